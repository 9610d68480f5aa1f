//! What the forges know: repositories with their pull requests, issues, commits, comments and files. One model for all
//! three vendors; `github.rs`, `gitlab.rs` and `bitbucket.rs` are views of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::artifacts::Kept;
use super::clock::{Clock, Time};
use super::git::Git;
use super::runners::Runners;
use super::runs::Run;

/// The head commit of the open pull request 7.
pub const HEAD: &str = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
/// The head commit of the merged pull request 5.
pub const MERGED_HEAD: &str = "0badcafe0badcafe0badcafe0badcafe0badcafe";
/// The commit by which pull request 5 was merged.
pub const MERGE: &str = "facade05facade05facade05facade05facade05";
/// The login that every accepted token belongs to.
pub const BOT: &str = "cml-bot";

/// One of the vendors played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    GitHub,
    GitLab,
    Bitbucket,
}

impl Vendor {
    pub const ALL: [Vendor; 3] = [Vendor::GitHub, Vendor::GitLab, Vendor::Bitbucket];

    /// The repository that tests use unless they say otherwise.
    pub fn slug(self) -> &'static str {
        match self {
            Vendor::GitHub => "octo/model",
            Vendor::GitLab => "group/model",
            Vendor::Bitbucket => "team/model",
        }
    }

    /// The variable in which its CI names the working copy.
    pub fn checkout_variable(self) -> &'static str {
        match self {
            Vendor::GitHub => "GITHUB_WORKSPACE",
            Vendor::GitLab => "CI_PROJECT_DIR",
            Vendor::Bitbucket => "BITBUCKET_CLONE_DIR",
        }
    }

    /// The path of the API's base.
    pub fn api(self) -> &'static str {
        match self {
            Vendor::GitHub => "/github",
            Vendor::GitLab => "/gitlab/api/v4",
            Vendor::Bitbucket => "/bitbucket/2.0",
        }
    }
}

/// What a comment hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Pull(u64),
    Issue(u64),
    Commit(String),
}

/// A comment or note, with what happened to it.
#[derive(Clone, Debug)]
pub struct Comment {
    pub id: u64,
    pub target: Target,
    pub author: String,
    pub body: String,
    pub created_at: Time,
    pub updated_at: Time,
    /// Deleted comments stay here, and in Bitbucket's lists.
    pub deleted: bool,
    /// Written by GitLab itself ("added 1 commit").
    pub system: bool,
    /// GitHub's reason (`OUTDATED`, …) once it was minimised.
    pub minimized: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    Open,
    Closed,
    Merged,
}

/// A pull or merge request.
#[derive(Clone, Debug)]
pub struct PullRequest {
    pub number: u64,
    pub head_sha: String,
    pub branch: String,
    pub state: PullState,
    pub merge_sha: Option<String>,
    /// The fork's slug, if the branch is not of the repository itself.
    pub fork: Option<String>,
    /// The branch that it is for.
    pub base: String,
    pub title: Option<String>,
    pub body: Option<String>,
    /// How the pull request will be merged when its checks have passed: `MERGE`, `REBASE`, `SQUASH`.
    pub auto_merge: Option<String>,
}

impl PullRequest {
    pub fn open(number: u64, head_sha: &str, branch: &str) -> PullRequest {
        let (head_sha, branch) = (head_sha.to_owned(), branch.to_owned());
        PullRequest {
            number,
            head_sha,
            branch,
            state: PullState::Open,
            merge_sha: None,
            fork: None,
            base: "main".to_owned(),
            title: None,
            body: None,
            auto_merge: None,
        }
    }

    pub fn merged(number: u64, head_sha: &str, branch: &str, merge_sha: &str) -> PullRequest {
        let merge_sha = Some(merge_sha.to_owned());
        PullRequest { state: PullState::Merged, merge_sha, ..PullRequest::open(number, head_sha, branch) }
    }

    /// Whether it is one of a commit: its head, or the commit that merged it.
    pub fn concerns(&self, sha: &str) -> bool {
        self.head_sha == sha || self.merge_sha.as_deref() == Some(sha)
    }
}

/// An uploaded file: a GitLab upload, a Bitbucket download, or an asset of the CML-compatible store.
#[derive(Clone, Debug)]
pub struct File {
    /// What makes its URL unique; derived from the content, so that transcripts don't depend on the order of uploads.
    pub key: String,
    pub name: String,
    pub content_type: String,
    /// `Content-Disposition` as sent to the asset store.
    pub disposition: Option<String>,
    pub body: Vec<u8>,
}

/// A check run of GitHub's.
#[derive(Clone, Debug)]
pub struct CheckRun {
    pub id: u64,
    pub sha: String,
    pub name: String,
    pub status: String,
    pub conclusion: Option<String>,
    pub external_id: Option<String>,
    pub details_url: Option<String>,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<serde_json::Value>,
}

/// A status of a commit, as GitLab has it.
#[derive(Clone, Debug)]
pub struct Status {
    pub id: u64,
    pub sha: String,
    pub name: String,
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub pipeline: Option<u64>,
    pub branch: Option<String>,
}

impl Status {
    /// Whether another request of its name changes it.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }
}

/// A report of Code Insights.
#[derive(Clone, Debug, Default)]
pub struct Insight {
    pub report: serde_json::Value,
    pub annotations: BTreeMap<String, serde_json::Value>,
}

/// A repository or project.
#[derive(Debug)]
pub struct Repo {
    pub vendor: Vendor,
    pub id: u64,
    pub slug: String,
    pub comments: Vec<Comment>,
    pub pulls: BTreeMap<u64, PullRequest>,
    pub issues: BTreeSet<u64>,
    pub commits: BTreeSet<String>,
    pub git: Git,
    pub files: Vec<File>,
    /// GitHub's check runs.
    pub checks: Vec<CheckRun>,
    /// GitLab's pipelines by their number, with their commits, and the statuses of commits.
    pub pipelines: BTreeMap<u64, String>,
    pub statuses: Vec<Status>,
    /// Bitbucket's reports and build statuses by commit and key.
    pub insights: BTreeMap<(String, String), Insight>,
    pub builds: BTreeMap<(String, String), serde_json::Value>,
    /// A real bare repository with its branches, see `git_http.rs`.
    pub bare: Option<PathBuf>,
    /// Runs of the CI.
    pub runs: BTreeMap<u64, Run>,
    /// The quick actions that GitLab has carried out.
    pub actions: Vec<String>,
    /// Who set and removed labels of pull requests, oldest first.
    pub label_events: Vec<LabelEvent>,
    /// Access levels of GitLab's members by their login.
    pub members: BTreeMap<String, u64>,
    /// What runs have kept, oldest first.
    pub artifacts: Vec<Kept>,
}

/// A label of a pull request that somebody set or removed.
#[derive(Clone, Debug)]
pub struct LabelEvent {
    pub pull: u64,
    pub label: String,
    pub by: String,
    pub is_set: bool,
}

impl LabelEvent {
    /// When all of them were.
    pub const AT: Time = Time(1_767_323_045_000_000);
}

impl Repo {
    /// A repository with the open pull request 7, the merged one 5, issue 3, and one commit on `main`.
    pub fn new(vendor: Vendor, id: u64, slug: &str) -> Repo {
        let mut repo = Repo {
            vendor,
            id,
            slug: slug.to_owned(),
            comments: Vec::new(),
            pulls: BTreeMap::new(),
            issues: BTreeSet::from([3]),
            commits: BTreeSet::new(),
            git: Git::with_readme(),
            files: Vec::new(),
            checks: Vec::new(),
            pipelines: BTreeMap::from([(500, HEAD.to_owned())]),
            statuses: Vec::new(),
            insights: BTreeMap::new(),
            builds: BTreeMap::new(),
            bare: None,
            runs: BTreeMap::new(),
            actions: Vec::new(),
            label_events: Vec::new(),
            artifacts: Vec::new(),
            members: BTreeMap::new(),
        };
        repo.add_pull(PullRequest::merged(5, MERGED_HEAD, "merged", MERGE));
        repo.add_pull(PullRequest::open(7, HEAD, "feature"));
        repo
    }

    /// Adds or replaces a pull request; its commits become known.
    pub fn add_pull(&mut self, pull: PullRequest) {
        self.commits.insert(pull.head_sha.clone());
        self.commits.extend(pull.merge_sha.clone());
        self.pulls.insert(pull.number, pull);
    }

    /// Somebody sets a label of a pull request, or removes it.
    pub fn set_label(&mut self, pull: u64, label: &str, by: &str, is_set: bool) {
        self.label_events.push(LabelEvent { pull, label: label.to_owned(), by: by.to_owned(), is_set });
    }

    /// The labels that a pull request has.
    pub fn labels(&self, pull: u64) -> BTreeSet<&str> {
        let mut labels = BTreeSet::new();
        for event in self.label_events.iter().filter(|event| event.pull == pull) {
            if event.is_set {
                labels.insert(event.label.as_str())
            } else {
                labels.remove(event.label.as_str())
            };
        }
        labels
    }

    /// The full name of a commit given by it, by a prefix of at least four digits, or by a branch.
    pub fn commit(&self, name: &str) -> Option<String> {
        if let Some(sha) = self.git.refs.get(&format!("refs/heads/{name}")) {
            return Some(sha.clone());
        }
        let known = self.commits.iter().chain(self.git.commits.keys());
        let mut matches = known.filter(|sha| name.len() >= 4 && sha.starts_with(name));
        let first = matches.next()?;
        matches.all(|other| other == first).then(|| first.clone())
    }

    /// The target as comments name it: commits by their full name, GitHub's pull requests never as issues. `None` when
    /// there is no such thing.
    pub fn target(&self, target: &Target) -> Option<Target> {
        match target {
            Target::Commit(name) => self.commit(name).map(Target::Commit),
            Target::Pull(number) => self.pulls.contains_key(number).then(|| target.clone()),
            Target::Issue(number) if self.issues.contains(number) => Some(target.clone()),
            Target::Issue(number) => {
                let same = self.vendor == Vendor::GitHub && self.pulls.contains_key(number);
                same.then_some(Target::Pull(*number))
            }
        }
    }

    /// All comments of a target in the order of their creation, deleted ones too.
    pub fn thread(&self, target: &Target) -> Vec<&Comment> {
        let Some(target) = self.target(target) else { return Vec::new() };
        self.comments.iter().filter(|comment| comment.target == target).collect()
    }

    /// A comment that was not deleted.
    pub fn comment(&self, id: u64) -> Option<&Comment> {
        self.comments.iter().find(|comment| comment.id == id && !comment.deleted)
    }

    pub fn comment_mut(&mut self, id: u64) -> Option<&mut Comment> {
        self.comments.iter_mut().find(|comment| comment.id == id && !comment.deleted)
    }

    /// Keeps a file under a key made from its content and name.
    pub fn keep(&mut self, file: File) -> &File {
        keep(&mut self.files, file)
    }
}

/// Adds a file to a list under a key that depends on its content, its name and how often both were there already.
pub fn keep(files: &mut Vec<File>, mut file: File) -> &File {
    let same = files.iter().filter(|old| old.name == file.name && old.body == file.body).count();
    let mut hash = Sha256::new();
    hash.update(file.name.as_bytes());
    hash.update([0]);
    hash.update(same.to_string().as_bytes());
    hash.update([0]);
    hash.update(&file.body);
    file.key = hex(&hash.finalize()[..16]);
    files.push(file);
    &files[files.len() - 1]
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of bytes in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Ways in which a server may behave, off by default except `job_token_reads`.
#[derive(Clone, Debug)]
pub struct Switches {
    /// GitHub leaves out the link to the last page. GitLab leaves out `x-total`, `x-total-pages` and the link to the last page, as it does above 10,000 items.
    pub omit_totals: bool,
    /// GitLab lets a job token read merge requests and their notes, as it does since 2025; older ones answer 401.
    pub job_token_reads: bool,
    /// Bitbucket answers without a `Content-Type`.
    pub no_content_type: bool,
    /// Bitbucket knows the pull requests of a commit (an app that must have been installed).
    pub commit_pull_requests: bool,
    /// GitHub's `raw` URLs serve only what a branch reaches.
    pub raw_needs_branch: bool,
    /// The asset store answers 500, with a URL as its body.
    pub store_fails: bool,
    /// Comments may be changed and deleted by their authors only, as by tokens without a higher role.
    pub only_own: bool,
    /// GitHub's repositories have auto-merge, and GitLab's merge requests a running pipeline.
    pub auto_merge: bool,
}

impl Default for Switches {
    fn default() -> Switches {
        Switches {
            omit_totals: false,
            job_token_reads: true,
            no_content_type: false,
            commit_pull_requests: false,
            raw_needs_branch: false,
            store_fails: false,
            only_own: false,
            auto_merge: false,
        }
    }
}

/// What hands out ids and times, for all vendors alike.
#[derive(Debug)]
pub struct Desk {
    last_id: u64,
    last_time: Time,
    clock: Clock,
    pub switches: Switches,
}

impl Desk {
    /// Sets the clock, also back.
    pub fn set_clock(&mut self, clock: Clock) {
        (self.clock, self.last_time) = (clock, Time(0));
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// The next id of the server's only counter.
    pub fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The time for a new or changed object: never the same twice.
    pub fn tick(&mut self) -> Time {
        self.last_time = self.clock.tick().max(Time(self.last_time.0 + 1));
        self.last_time
    }

    /// Writes a comment now, to a target that [`Repo::target`] gave.
    pub fn write(&mut self, repo: &mut Repo, target: Target, author: &str, body: String) -> Comment {
        let now = self.tick();
        self.write_at(repo, target, author, body, now)
    }

    /// Writes a comment as of a time.
    pub fn write_at(&mut self, repo: &mut Repo, target: Target, author: &str, body: String, at: Time) -> Comment {
        let comment = Comment {
            id: self.id(),
            target,
            author: author.to_owned(),
            body,
            created_at: at,
            updated_at: at,
            deleted: false,
            system: false,
            minimized: None,
        };
        repo.comments.push(comment.clone());
        comment
    }
}

/// Everything that lives behind the server's one lock.
#[derive(Debug)]
pub struct State {
    pub desk: Desk,
    pub repos: BTreeMap<(Vendor, String), Repo>,
    /// What the asset store holds.
    pub store: Vec<File>,
    /// Runners, and the programs to run them.
    pub runners: Runners,
}

impl State {
    /// The default repository of each vendor, and GitLab's nested `group/sub/model` (id 43).
    pub fn new() -> State {
        let clock = Clock::Real(0);
        let desk = Desk { last_id: 1000, last_time: Time(0), clock, switches: Switches::default() };
        let mut state = State { desk, repos: BTreeMap::new(), store: Vec::new(), runners: Runners::default() };
        for (vendor, id, slug) in [
            (Vendor::GitHub, 41, "octo/model"),
            (Vendor::GitLab, 42, "group/model"),
            (Vendor::GitLab, 43, "group/sub/model"),
            (Vendor::Bitbucket, 44, "team/model"),
        ] {
            state.repos.insert((vendor, slug.to_owned()), Repo::new(vendor, id, slug));
        }
        state
    }

    /// A repository by its slug, or for GitLab by its number; names are compared without case.
    pub fn repo(&mut self, vendor: Vendor, name: &str) -> Option<(&mut Repo, &mut Desk)> {
        let matches = |repo: &Repo| {
            repo.vendor == vendor && (repo.slug.eq_ignore_ascii_case(name) || repo.id.to_string() == name)
        };
        let repo = self.repos.values_mut().find(|repo| matches(repo))?;
        Some((repo, &mut self.desk))
    }
}
