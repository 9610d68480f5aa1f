//! What a token may do: the domain types of `cml doctor`. Each forge has one table of what a piece of work asks for,
//! from which it also takes the hints of its refusals.

use crate::error::Result;
use async_trait::async_trait;
use std::fmt;

/// What the token may do.
#[async_trait(?Send)]
pub trait Permissions {
    /// Returns what the token may do, found out without any effect. A repository that cannot be seen is an error.
    async fn diagnose(&self) -> Result<Diagnosis>;
}

/// A piece of work that a token must be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Comments on pull requests and issues.
    Comment,
    /// Comments on commits.
    CommitComment,
    /// Checks, or what the forge has in their place.
    Check,
    /// A branch pushed, and a pull request from it.
    PullRequest,
    /// Files published in the repository's own place for them.
    Assets,
    /// Runs of the CI started again.
    Rerun,
    /// Runners of the repository registered.
    Runners,
}

impl Work {
    /// All of it, in the order in which people are told.
    pub const ALL: [Work; 7] =
        [Work::Comment, Work::CommitComment, Work::Check, Work::PullRequest, Work::Assets, Work::Rerun, Work::Runners];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Work::Comment => "comment on pull requests",
            Work::CommitComment => "comment on commits",
            Work::Check => "create checks",
            Work::PullRequest => "push and open pull requests",
            Work::Assets => "publish images and files",
            Work::Rerun => "rerun workflows",
            Work::Runners => "register runners",
        })
    }
}

/// Whether a token may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermissionState {
    /// It may.
    Works,
    /// It may not.
    Missing,
    /// Nothing tells without doing it.
    Unknown,
}

/// One line of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The work.
    pub work: Work,
    /// Whether the token may do it.
    pub state: PermissionState,
    /// What to do where it may not, or why it is not known.
    pub needs: String,
}

impl Permission {
    /// Returns a line with its advice, which counts only where the work does not certainly succeed.
    pub fn new(work: Work, state: PermissionState, needs: impl Into<String>) -> Self {
        Permission { work, state, needs: needs.into() }
    }
}

/// What a forge says of the token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What else is known of the token, and of what stands beside it: names and values.
    pub facts: Vec<(&'static str, String)>,
    /// What the token may do; nothing where no token is needed.
    pub permissions: Vec<Permission>,
}
