//! The forges: a small core trait, the capabilities that a forge has or lacks, and the table of forges.
//!
//! A forge is one file and a folder: its addresses, its errors and its variables, and a file for each capability. Adding
//! one is those, a `mod` line and a row in [`FORGES`]. Why it is built so: `docs/adr/0011-forge-capabilities.md`.

pub use crate::ci::Context;
use crate::env::{Env, Secret, Var};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
pub use crate::repository::Repository;
use artifacts::Artifacts;
use assets::Assets;
use async_trait::async_trait;
use checks::Checks;
use comments::Comments;
use history::History;
use labels::Labels;
use permissions::Permissions;
use pull_requests::PullRequests;
use runners::Runners;
use runs::Runs;
use std::rc::Rc;

pub mod bitbucket;
mod capability;
pub mod github;
pub mod gitlab;
pub mod local;
mod once;
mod rest;
mod target;

pub use capability::{
    Capability, artifacts, assets, checks, comments, history, labels, permissions, pull_requests, require, runners,
    runs,
};
pub use target::{Target, TargetSpec};

/// A row of [`FORGES`]: everything the core knows about a forge before it talks to it.
pub struct Driver {
    /// The name that `--driver` takes.
    pub name: &'static str,
    /// The name people use.
    pub title: &'static str,
    /// Whether it is the preview on this host, which needs no repository, no token and no network.
    pub is_preview: bool,
    /// Hosts that are this forge; one that begins with a dot stands for all below it.
    pub hosts: &'static [&'static str],
    /// Variables that hold a token for this forge only.
    pub token_vars: &'static [Var],
    /// Where a user gets one and how it is passed.
    pub token_hint: &'static str,
    /// The same for a person's own machine.
    pub own_token_hint: &'static str,
    /// The places where the API of a repository's server may be, when that has to be looked for. What is looked for has at
    /// least so many names below them.
    pub api_candidates: fn(&Repository, &Env, usize) -> Vec<String>,
    /// The way from a repository's page to that of a commit; empty where there is none.
    pub commit_path: &'static str,
    /// Whether Markdown may have `<details>`; Bitbucket shows HTML as text:
    /// <https://support.atlassian.com/bitbucket-cloud/docs/markup-comments/>.
    pub has_details: bool,
    /// Connects to a repository.
    pub connect: fn(Connection) -> Result<Rc<dyn Forge>>,
    /// How the runner program of a registration is run; `None` where there is none.
    pub runner_process: Option<fn(&runners::Registration, &runners::RunnerConfig) -> Result<runners::RunnerProcess>>,
}

impl Driver {
    /// Returns whether a host is this forge's.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| if known.starts_with('.') { host.ends_with(known) } else { host == *known })
    }
}

/// The forges, in the order in which they are looked for.
pub const FORGES: &[Driver] = &[github::DRIVER, gitlab::DRIVER, bitbucket::DRIVER, local::DRIVER];

/// Returns the names that `--driver` takes for forges, for messages: `github, gitlab or bitbucket`.
pub fn driver_names() -> String {
    let names: Vec<&str> = FORGES.iter().filter(|driver| !driver.is_preview).map(|driver| driver.name).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// What a forge needs to connect.
pub struct Connection {
    /// The repository.
    pub repository: Repository,
    /// The base of the API, where it had to be looked for.
    pub api: Option<String>,
    /// The token, and the variable or option it came from.
    pub token: Option<(Secret, &'static str)>,
    /// What the CI says.
    pub context: Context,
    /// Where an upload to the repository goes.
    pub publish_branch: Option<String>,
    /// The client.
    pub http: Http,
    /// The log.
    pub log: Log,
    /// The outside.
    pub host: Rc<dyn Host>,
}

/// A forge, connected to one repository: its capabilities, some of which it may lack ([`require`]).
#[async_trait(?Send)]
pub trait Forge {
    /// Returns its comments.
    fn comments(&self) -> &dyn Comments;

    /// Returns where it publishes files.
    fn assets(&self) -> &dyn Assets;

    /// Returns its checks.
    fn checks(&self) -> Option<&dyn Checks> {
        None
    }

    /// Returns its pull requests.
    fn pull_requests(&self) -> Option<&dyn PullRequests> {
        None
    }

    /// Returns the runs of its CI.
    fn runs(&self) -> Option<&dyn Runs> {
        None
    }

    /// Returns its runners.
    fn runners(&self) -> Option<&dyn Runners> {
        None
    }

    /// Returns its commits and files.
    fn history(&self) -> Option<&dyn History> {
        None
    }

    /// Returns the labels of its pull requests.
    fn labels(&self) -> Option<&dyn Labels> {
        None
    }

    /// Returns the artifacts of its runs.
    fn artifacts(&self) -> Option<&dyn Artifacts> {
        None
    }

    /// Returns what the token may do; `None` where no token is needed.
    fn permissions(&self) -> Option<&dyn Permissions> {
        None
    }

    /// Returns what is known of the connection before anything is sent.
    fn about(&self) -> About {
        About::default()
    }

    /// Returns whether the repository can be seen with this token: tells a missing pull request from a missing
    /// repository.
    async fn can_see_repository(&self) -> Result<bool>;
}

/// What is known of a connection before anything is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The address of the API.
    pub api: String,
    /// Where that address came from.
    pub api_source: &'static str,
    /// What kind of token it is, as far as that can be seen.
    pub token: Option<&'static str>,
}

/// Where an API's address came from that no variable names.
pub const BY_SERVER: &str = "the server's address";

/// Seconds since 1970 of a date as the forges write it (RFC 3339).
pub fn seconds(date: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(date).map_or(0, |date| date.timestamp())
}

/// What to do about a commit that a forge does not know.
pub const PUSH_FIRST: &str = "push the commit first";

/// Says whether the repository or the target is what does not exist.
pub async fn explain_not_found(forge: &dyn Forge, repository: &Repository, target: &Target, error: Error) -> Error {
    if error.kind() != Kind::NotFound {
        return error;
    }
    match forge.can_see_repository().await {
        Ok(true) => {
            let missing = Error::not_found(format!("{target} not found in {repository}"));
            match (error.hint_text(), target) {
                // The forge knows more about it.
                (Some(hint), _) => missing.hint(hint),
                (None, Target::Commit(_)) => missing.hint(PUSH_FIRST),
                (None, _) => missing.hint("check the number in --target, or omit --target to use the event's"),
            }
        }
        Ok(false) => repository_not_visible(repository),
        Err(_) => error,
    }
}

/// Returns the error for a repository that the token cannot see.
pub fn repository_not_visible(repository: &Repository) -> Error {
    Error::not_found(format!("repository {} was not found with this token", repository.url()))
        .hint("check --repo, and that the token can read the repository (a private one looks as if it did not exist)")
}
