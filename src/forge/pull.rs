//! Opening and merging pull requests: the domain types, and what is the same on every forge.

use super::once::{OutcomeMessages, exactly_once};
use super::{Forge, PullRequest};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::http::Http;
use std::time::Duration;

/// What a forge asks of those who push to it and open pull requests.
#[derive(Debug, Clone)]
pub struct PushConfig {
    /// User name and password for git over HTTP.
    pub credential: Option<(&'static str, Secret)>,
    /// Name and e-mail address of the forge's CI, or of who started the pipeline, for commits of people who gave none;
    /// git's own settings otherwise.
    pub author: Option<(String, String)>,
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

/// Returns the branch of `cml pr create` for a run, unless it is told another one.
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

/// Returns the answer of a forge that has no pull requests.
pub fn unsupported<T>() -> Result<T> {
    Err(Error::unsupported("pull requests are not supported by the local preview").hint(
        "pass a token in REPO_TOKEN, and --driver and --repo if they cannot be detected; --dry-run needs neither",
    ))
}

/// Of several, the newest first: the open one, else the last that was merged.
pub fn open_or_merged<T>(found: Vec<T>, is_open: impl Fn(&T) -> bool, is_merged: impl Fn(&T) -> bool) -> Option<T> {
    let at = found.iter().position(is_open).or_else(|| found.iter().position(is_merged))?;
    found.into_iter().nth(at)
}

/// Opens a pull request exactly once: when the answer was lost, looks for it before sending again.
pub async fn create_once(forge: &dyn Forge, http: &Http, new: &NewPullRequest) -> Result<PullRequest> {
    let messages = OutcomeMessages {
        done: format!("the pull request of {} was opened", new.source),
        unknown: "run this again: it finds the pull request if there is one".to_owned(),
        not_done: "the pull request was not opened",
    };
    let look = async || {
        let found = forge.find_pull_request(&new.source, &new.target).await?;
        Ok(found.filter(|pull| pull.open))
    };
    exactly_once(http, &messages, async || forge.create_pull_request(new).await, look).await
}

/// Merges a pull request, now or when its checks have passed. Forges look at a new one for a while before they
/// know whether it can be merged, and refuse until then.
pub async fn merge(forge: &dyn Forge, http: &Http, pull: &PullRequest, how: Merge) -> Result<Merged> {
    loop {
        let error = match forge.merge_pull_request(pull, how).await {
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
