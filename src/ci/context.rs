//! What a CI system says about the run.

use crate::repository::Repository;

/// What a CI system says about the run.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The repository.
    pub repository: Option<Repository>,
    /// The commit that the run is about: the head of the pull request, not the test merge.
    pub commit: Option<String>,
    /// What the CI checks out by itself, where that is another commit: the test merge.
    pub checked_out: Option<String>,
    /// The pull request that the event is about.
    pub pull_request: Option<u64>,
    /// The issue that the event is about.
    pub issue: Option<u64>,
    /// The branch.
    pub branch: Option<String>,
    /// The branch that the pull request goes into.
    pub target_branch: Option<String>,
    /// The repository's default branch.
    pub default_branch: Option<String>,
    /// The owner of the branch's repository, when it is a fork.
    pub fork: Option<String>,
    /// What `{workflow}` stands for in a watermark's title.
    pub workflow: Option<String>,
    /// What `{run}` stands for.
    pub run: Option<String>,
    /// What tells the job apart from every other, also from itself when it is started again.
    pub job: Option<String>,
    /// The page of the run, for people.
    pub run_url: Option<String>,
    /// Where it says some of that.
    pub sources: Sources,
}

/// The variables, or the like, that values of a [`Context`] came from; empty for a value that is not there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources {
    /// Of the repository.
    pub repository: &'static str,
    /// Of the commit.
    pub commit: &'static str,
    /// Of the pull request.
    pub pull_request: &'static str,
    /// Of the branch.
    pub branch: &'static str,
}

/// Returns the first of several values that is there, and where it came from.
pub fn first<T, const N: usize>(candidates: [(Option<T>, &'static str); N]) -> (Option<T>, &'static str) {
    candidates.into_iter().find_map(|(value, source)| value.map(|value| (Some(value), source))).unwrap_or((None, ""))
}
