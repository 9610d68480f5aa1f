//! The capabilities of a forge: a trait each, with its domain types and what is written once over it.
//!
//! A forge that lacks one returns `None` from the accessor in [`super::Forge`]; [`require`] makes the error of that.

use super::Driver;
use crate::error::{Error, Result};
use std::fmt;

pub mod artifacts;
pub mod assets;
pub mod checks;
pub mod comments;
pub mod history;
pub mod labels;
pub mod permissions;
pub mod pull_requests;
pub mod runners;
pub mod runs;

/// What a forge may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// [`comments::HideComments`].
    HideComments,
    /// [`checks::Checks`].
    Checks,
    /// [`pull_requests::PullRequests`].
    PullRequests,
    /// [`runs::Runs`].
    Runs,
    /// [`runs::LostJobs`].
    LostJobs,
    /// [`runners::Runners`].
    Runners,
    /// [`labels::Labels`].
    Labels,
    /// [`artifacts::Artifacts`].
    Artifacts,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::HideComments => "hiding comments",
            Capability::Checks => "checks",
            Capability::PullRequests => "pull requests",
            Capability::Runs => "rerunning workflows",
            Capability::LostJobs => "finding the jobs that were lost with their runner",
            Capability::Runners => "runners",
            Capability::Labels => "labels of pull requests",
            Capability::Artifacts => "reading the artifacts of earlier runs",
        })
    }
}

impl Capability {
    /// Returns what to do on a forge without it.
    fn alternative(self) -> &'static str {
        match self {
            Capability::HideComments => "use --delete-previous instead",
            Capability::Checks => "use cml comment create instead",
            Capability::PullRequests => {
                "pass a token in REPO_TOKEN, and --driver and --repo if they cannot be detected; --dry-run needs neither"
            }
            Capability::LostJobs => "use cml workflow rerun --id to rerun a pipeline whatever the cause of its failure",
            Capability::Labels => {
                "end the message of a commit with `Metrics-Accepted: NAME` to accept a metric instead"
            }
            Capability::Artifacts => {
                "compare with last, max:METRIC or min:METRIC instead: `cml metrics record` on the default branch keeps its metrics"
            }
            Capability::Runs | Capability::Runners => {
                "pass a token in REPO_TOKEN, and --driver and --repo if they cannot be detected"
            }
        }
    }
}

/// Returns a capability of a forge, or the error of a forge that lacks it.
pub fn require<'a, T: ?Sized>(capability: Option<&'a T>, what: Capability, forge: &Driver) -> Result<&'a T> {
    let missing = || Error::unsupported(format!("{} does not support {what}", forge.title)).hint(what.alternative());
    capability.ok_or_else(missing)
}
