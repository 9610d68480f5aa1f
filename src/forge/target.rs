//! What comments and checks are about, and what `--target` means.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What a comment or a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A pull request (GitLab: merge request).
    PullRequest(u64),
    /// A commit.
    Commit(String),
    /// An issue.
    Issue(u64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::PullRequest(number) => write!(f, "pull request {number}"),
            Target::Commit(sha) => write!(f, "commit {sha}"),
            Target::Issue(number) => write!(f, "issue {number}"),
        }
    }
}

/// The value of `--target`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TargetSpec {
    /// The pull request of the event, else an open one of the commit, else the commit.
    #[default]
    Auto,
    /// The pull request of the event, else an open one of the commit, else the one that `cml pr create` opened in this run.
    PullRequest,
    /// The commit of the run.
    Commit,
    /// The issue of the event.
    Issue,
    /// Exactly this.
    This(Target),
}

impl FromStr for TargetSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("'{text}' is not a target"))
                .hint("one of auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337")
        };
        let (kind, id) = text.split_once('/').map_or((text, None), |(kind, id)| (kind, Some(id)));
        let number = |id: &str| id.parse().ok().filter(|n| *n > 0).ok_or_else(wrong);
        Ok(match (kind.to_ascii_lowercase().as_str(), id) {
            ("auto", None) => TargetSpec::Auto,
            ("pr", None) => TargetSpec::PullRequest,
            ("commit", None) => TargetSpec::Commit,
            ("issue", None) => TargetSpec::Issue,
            ("pr", Some(id)) => TargetSpec::This(Target::PullRequest(number(id)?)),
            ("issue", Some(id)) => TargetSpec::This(Target::Issue(number(id)?)),
            // Any name of a commit that git or the forge understands; never a path into the API.
            ("commit", Some(id))
                if !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-~^".contains(c)) =>
            {
                TargetSpec::This(Target::Commit(id.to_owned()))
            }
            _ => return Err(wrong()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, wanted) in [
            ("auto", TargetSpec::Auto),
            ("AUTO", TargetSpec::Auto),
            ("pr", TargetSpec::PullRequest),
            ("pr/42", TargetSpec::This(Target::PullRequest(42))),
            ("PR/3", TargetSpec::This(Target::PullRequest(3))),
            ("commit", TargetSpec::Commit),
            ("commit/f00bar", TargetSpec::This(Target::Commit("f00bar".into()))),
            ("commit/HEAD", TargetSpec::This(Target::Commit("HEAD".into()))),
            ("issue", TargetSpec::Issue),
            ("issue/1337", TargetSpec::This(Target::Issue(1337))),
        ] {
            assert_eq!(text.parse::<TargetSpec>().unwrap(), wanted);
        }
        for text in ["", "foo/3", "pr/", "pr/0", "pr/x", "commit/", "commit/../../x", "auto/1", "issue/1/2"] {
            let error = text.parse::<TargetSpec>().unwrap_err();
            assert_eq!(error.kind().exit_code(), 2, "{text}");
        }
    }
}
