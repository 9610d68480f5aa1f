//! Pull requests: finding, opening and merging them, and what is the same on every forge.

use crate::env::Secret;
use crate::error::Result;
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::http::Http;
use async_trait::async_trait;
use std::time::Duration;

/// Pull requests of the repository (GitLab: merge requests).
#[async_trait(?Send)]
pub trait PullRequests {
    /// Returns pull requests that may be about a commit or come from a branch; callers compare the head.
    async fn list(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>>;

    /// Returns the pull request from one branch of the repository to another: the open one, else the last that was
    /// merged.
    async fn find(&self, source: &str, target: &str) -> Result<Option<PullRequest>>;

    /// Returns the head of a pull request, for runs whose CI names the pull request but not its commit; `None` where the
    /// CI always names both.
    async fn head(&self, _number: u64) -> Result<Option<Head>> {
        Ok(None)
    }

    /// Opens a pull request. When it is not known whether that worked, the error [`is_ambiguous`](crate::error::Error::is_ambiguous).
    async fn create(&self, new: &NewPullRequest) -> Result<PullRequest>;

    /// Merges a pull request, when its checks have passed where the forge can wait for that. An error that has
    /// [`retry_after`](crate::error::Error::retry_after) may be over then.
    async fn merge(&self, pull: &PullRequest, how: Merge) -> Result<Merged>;

    /// Returns what pushing to this forge and opening pull requests asks for.
    fn push_config(&self) -> PushConfig;
}

/// A pull request, as far as it matters for finding the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The head of its source branch; forges may shorten it.
    pub head: String,
    /// Whether it is open.
    pub open: bool,
    /// Its page, for people.
    pub url: String,
    /// The forge's other identity of it, opaque outside the forge's file.
    pub id: Option<String>,
}

impl PullRequest {
    /// Returns whether a commit is the head.
    pub fn is_at(&self, commit: &str) -> bool {
        !self.head.is_empty() && (commit.starts_with(&self.head) || self.head.starts_with(commit))
    }
}

/// The user name and password of git over HTTP.
#[derive(Debug, Clone)]
pub struct GitCredential {
    /// The user name.
    pub user: &'static str,
    /// The password: a token.
    pub password: Secret,
}

/// The author of a commit.
#[derive(Debug, Clone)]
pub struct Author {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
}

/// What a forge asks of those who push to it and open pull requests.
#[derive(Debug, Clone)]
pub struct PushConfig {
    /// The credential for git over HTTP.
    pub credential: Option<GitCredential>,
    /// The author of commits for which the user names none: the forge's CI, or who started the pipeline; `None` for git's own settings.
    pub author: Option<Author>,
    /// The ways of merging that it knows.
    pub merges: &'static [Merge],
    /// What a pull request is called.
    pub noun: &'static str,
    /// Options of a push that starts no pipeline, besides `[skip ci]` in the message.
    pub skip_ci: &'static [&'static str],
    /// Settings of git, in place of the clone's, without which it does not reach the forge.
    pub settings: Vec<(String, String)>,
}

impl PushConfig {
    /// Returns what there is without a forge: git's own settings.
    pub fn without_forge() -> Self {
        PushConfig {
            credential: None,
            author: None,
            merges: &[Merge::Commit, Merge::Rebase, Merge::Squash],
            noun: "pull request",
            skip_ci: &[],
            settings: Vec::new(),
        }
    }
}

/// A pull request to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    /// Its title.
    pub title: String,
    /// Its description, Markdown.
    pub body: String,
    /// The branch with the changes.
    pub source: String,
    /// The branch that they are for.
    pub target: String,
}

/// The head of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its commit.
    pub commit: String,
    /// Its branch.
    pub branch: Option<String>,
    /// The owner of the branch's repository, when it is a fork.
    pub fork: Option<String>,
}

/// Returns the default branch of `cml pr create` for a run.
pub fn branch(target: &str, trigger: &str) -> String {
    let short: String = trigger.chars().take(8).collect();
    format!("{target}-cml-pr-{short}")
}

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// With a merge commit.
    Commit,
    /// By rebasing its commits; where a forge has no such thing, by a fast-forward.
    Rebase,
    /// As one commit.
    Squash,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// It is merged.
    Now,
    /// The forge merges it when its checks have passed.
    Later,
    /// The forge is at it.
    Started,
}

/// So many requests a whole command makes: what a forge is not ready for is tried again as long as there is one left.
pub const REQUESTS: u32 = 4;

/// Of several, the newest first: the open one, else the last that was merged.
pub fn open_or_merged<T>(found: Vec<T>, is_open: impl Fn(&T) -> bool, is_merged: impl Fn(&T) -> bool) -> Option<T> {
    let at = found.iter().position(is_open).or_else(|| found.iter().position(is_merged))?;
    found.into_iter().nth(at)
}

/// Opens a pull request exactly once: when the answer was lost, looks for it before sending again.
pub async fn create_once(pulls: &dyn PullRequests, http: &Http, new: &NewPullRequest) -> Result<PullRequest> {
    let messages = OutcomeMessages {
        done: format!("the pull request of {} was opened", new.source),
        unknown: "run this again: it finds the pull request if there is one".to_owned(),
        not_done: "the pull request was not opened",
    };
    let look = async || {
        let found = pulls.find(&new.source, &new.target).await?;
        Ok(found.filter(|pull| pull.open))
    };
    exactly_once(http, &messages, async || pulls.create(new).await, look).await
}

/// Merges a pull request, now or when its checks have passed. Forges look at a new one for a while before they
/// know whether it can be merged, and refuse until then.
pub async fn merge(pulls: &dyn PullRequests, http: &Http, pull: &PullRequest, how: Merge) -> Result<Merged> {
    loop {
        let error = match pulls.merge(pull, how).await {
            Err(error) if error.is_ambiguous() => {
                return Err(error
                    .context(format!("cannot determine whether pull request {} was merged", pull.number))
                    .or_hint("check the pull request before you run this again"));
            }
            Err(error) if error.retry_after().is_some() && http.requests() < REQUESTS => error,
            outcome => return outcome,
        };
        http.log().info(&format!("{error}; retrying"));
        http.pause_at_least(error.retry_after().unwrap_or_default(), Duration::ZERO).await.map_err(|_| error)?;
    }
}
