//! The CI systems: which one this process runs in, and what it says and takes.
//!
//! A CI is one file: its variables, the context of the run, the files for outputs and for the job's page, its identity token, its
//! log commands. Adding one is a file, a `mod` line and a row in [`CIS`]. A CI is not a forge: it may know which forge its
//! repository is on, or only the repository's URL.

use crate::env::{Env, Secret, vars};
use crate::error::Result;
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
use async_trait::async_trait;
use std::path::PathBuf;

pub mod bitbucket_pipelines;
mod context;
mod forgejo_actions;
mod generic;
pub mod github_actions;
mod gitlab_ci;
mod variables;

pub use context::{Context, Sources, first};

/// A row of [`CIS`].
pub struct Row {
    /// The name people use.
    pub title: &'static str,
    /// Returns how a job gets an identity token for an audience; `None` where the CI has none that cml reads.
    pub identity_hint: Option<fn(audience: &str) -> String>,
    /// Returns the CI, if this process runs in it.
    pub new: for<'a> fn(&'a Env) -> Option<Box<dyn Ci + 'a>>,
}

/// The CI systems, in the order in which they are looked for: Forgejo's, which sets GitHub's variables too, before GitHub's, and
/// the one for every other CI last.
pub const CIS: &[Row] = &[
    forgejo_actions::CI,
    github_actions::CI,
    gitlab_ci::CI,
    bitbucket_pipelines::CI,
    variables::AZURE_PIPELINES,
    variables::BUILDKITE,
    variables::CIRCLECI,
    variables::JENKINS,
    variables::TEAMCITY,
    variables::WOODPECKER,
    generic::CI,
];

/// What a CI says about the forge that its repository is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeHint {
    /// One that cml supports, by its name in `--driver`.
    Known(&'static str),
    /// One that cml does not support, by the name people use.
    Unsupported(&'static str),
    /// Nothing: the repository's host tells it.
    Unknown,
}

/// A CI system that this process runs in.
#[async_trait(?Send)]
pub trait Ci {
    /// Returns the name people use.
    fn title(&self) -> &'static str;

    /// Returns the variable by which it was detected, where the name alone does not tell.
    fn source(&self) -> &'static str {
        ""
    }

    /// Returns what it says about the forge that its repository is on.
    fn forge(&self) -> ForgeHint;

    /// Returns what it says about the run.
    fn context(&self, host: &dyn Host) -> Context;

    /// Returns the folder that it names as the working copy.
    fn workspace(&self) -> Option<&str> {
        None
    }

    /// Returns the file that takes the results of a step.
    fn outputs(&self) -> Option<Outputs> {
        None
    }

    /// Returns where the job's page takes a report.
    fn summary(&self) -> Option<Summary> {
        None
    }

    /// Returns the job's identity token for an audience; `None` if it offers none.
    ///
    /// # Errors
    /// The CI refuses.
    async fn identity_token(&self, _http: &Http, _log: &Log, _audience: &str) -> Result<Option<Secret>> {
        Ok(None)
    }

    /// Returns the tokens in its environment that are for a forge other than their variable says, and must not be sent there.
    fn other_forges_tokens(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns whether `RUNNER_NAME` is the name of the runner that runs the job; older versions of CML took one to launch from it.
    fn names_runner(&self) -> bool {
        false
    }

    /// Returns whether it signs requests for checks on its forge, so that they need no token.
    fn signs_checks(&self) -> bool {
        false
    }
}

/// A file for the results of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outputs {
    /// `name<<delimiter`, the value, `delimiter`.
    Heredoc(PathBuf),
    /// Lines `NAME=value`.
    Dotenv(PathBuf),
}

/// Where a job's page takes a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The file.
    pub file: PathBuf,
    /// How many bytes it may have.
    pub limit: u64,
}

/// Returns the CI that this process runs in.
pub fn detect(env: &Env) -> Option<Box<dyn Ci + '_>> {
    CIS.iter().find_map(|row| (row.new)(env))
}

/// Returns what a CI says about the run, and what users say themselves.
///
/// # Errors
/// A variable of the users' is not what it is for.
pub fn context(ci: Option<&dyn Ci>, host: &dyn Host) -> Result<Context> {
    let mut context = ci.map(|ci| ci.context(host)).unwrap_or_default();
    generic::apply(host.env(), &mut context)?;
    Ok(context)
}

/// Returns how this job gets an identity token for an audience, for a hint.
pub fn identity_hint(env: &Env, audience: &str) -> String {
    let row = CIS.iter().find(|row| (row.new)(env).is_some());
    match row.and_then(|row| row.identity_hint) {
        Some(hint) => hint(audience),
        None => format!("set {} to an identity token for the audience {audience}", vars::CML_ID_TOKEN.name),
    }
}
