//! Artifacts that runs have kept, as GitHub and GitLab list them: `github/runs.rs` and `gitlab/runs.rs` are views of these.
//!
//! As of <https://docs.github.com/en/rest/actions/artifacts> and <https://docs.gitlab.com/api/job_artifacts/>. Bitbucket's cannot be read.

use super::runs::Phase;
use super::state::Repo;

/// An artifact of a run of its own.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name on GitHub, that of its job on GitLab.
    pub name: String,
    pub branch: String,
    pub commit: String,
    /// How its run ended.
    pub phase: Phase,
    /// Whether the run was for a pull request from a fork.
    pub of_fork: bool,
    pub is_expired: bool,
    /// A zip file.
    pub archive: Vec<u8>,
}

impl Kept {
    /// One of a run that passed.
    pub fn new(name: &str, branch: &str, commit: &str, archive: &[u8]) -> Kept {
        let (name, branch, commit) = (name.to_owned(), branch.to_owned(), commit.to_owned());
        let archive = archive.to_vec();
        Kept { name, branch, commit, phase: Phase::Passed, of_fork: false, is_expired: false, archive }
    }
}

/// The number of the first one, and of its run, its pipeline and its job.
const FIRST: u64 = 9_000;

impl Repo {
    /// The artifacts with their numbers, newest first.
    pub fn kept(&self) -> impl Iterator<Item = (u64, &Kept)> {
        (FIRST..).zip(&self.artifacts).collect::<Vec<_>>().into_iter().rev()
    }

    pub fn kept_one(&self, id: &str) -> Option<&Kept> {
        self.kept().find(|(number, _)| number.to_string() == id).map(|(_, kept)| kept)
    }
}
