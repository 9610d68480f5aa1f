//! Opening and merging pull requests: the domain types, and what is the same on every forge.

use super::{Forge, PullRequest};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::http::Http;
use crate::log::Log;
use std::time::Duration;

/// What a forge asks of those who push to it and open pull requests.
#[derive(Debug, Clone)]
pub struct Pushing {
    /// User name and password for git over HTTP.
    pub credential: Option<(&'static str, Secret)>,
    /// Name and e-mail address of the forge's CI, for commits of people who gave none.
    pub author: (&'static str, &'static str),
    /// The ways of merging that it knows.
    pub merges: &'static [Merge],
    /// What a pull request is called.
    pub noun: &'static str,
    /// Options of a push that starts no pipeline, besides `[skip ci]` in the message.
    pub skip_ci: &'static [&'static str],
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

/// How often something is tried that the forge is not ready for.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);

/// The answer of a forge that has no pull requests.
pub fn none<T>() -> Result<T> {
    Err(Error::unsupported("the local preview has no pull requests")
        .hint("give a token in REPO_TOKEN, and --driver and --repo where they cannot be found"))
}

/// Opens a pull request exactly once: when the answer was lost, looks for it before trying again.
pub async fn create_once(forge: &dyn Forge, http: &Http, log: &Log, new: &NewPullRequest) -> Result<PullRequest> {
    for attempt in 0.. {
        let error = match forge.create_pull_request(new).await {
            Err(error) if error.is_ambiguous() => error,
            outcome => return outcome,
        };
        log.info(&format!("{error}; looking whether the pull request is there"));
        let pause = error.again_after().unwrap_or(PAUSE);
        let unknown = |error: Error| {
            error
                .context(format!("it is not known whether the pull request of {} was opened", new.source))
                .hint("run this again: it finds the pull request if there is one")
        };
        http.pause_at_least(pause, Duration::ZERO).await.map_err(|_| unknown(error.clone()))?;
        match forge.find_pull_request(&new.source, &new.target).await {
            Ok(Some(pull)) => return Ok(pull),
            Ok(None) if attempt + 1 < TRIES => {}
            Ok(None) => return Err(error.or_hint("the pull request was not opened: run this again later")),
            Err(why) => return Err(unknown(why)),
        }
    }
    Err(Error::internal("the attempts never end"))
}

/// Merges a pull request, now or when its checks have passed. Forges look at a new one for a while before they
/// know whether it can be merged, and refuse until then.
pub async fn merge(forge: &dyn Forge, http: &Http, log: &Log, pull: &PullRequest, how: Merge) -> Result<Merged> {
    for attempt in 1.. {
        let error = match forge.merge_pull_request(pull, how).await {
            Err(error) if error.is_ambiguous() => {
                return Err(error
                    .context(format!("it is not known whether pull request {} was merged", pull.number))
                    .or_hint("look at the pull request before you run this again"));
            }
            Err(error) if error.again_after().is_some() && attempt < TRIES => error,
            outcome => return outcome,
        };
        log.info(&format!("{error}; trying again"));
        http.pause_at_least(error.again_after().unwrap_or(PAUSE), Duration::ZERO).await.map_err(|_| error)?;
    }
    Err(Error::internal("the attempts never end"))
}
