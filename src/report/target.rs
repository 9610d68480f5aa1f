//! What `--target` means.

use crate::error::{Error, Result};
use crate::forge::Target;
use std::str::FromStr;

/// The value of `--target`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
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

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("'{text}' is not a target"))
                .hint("one of auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337")
        };
        let (kind, id) = text.split_once('/').map_or((text, None), |(kind, id)| (kind, Some(id)));
        let number = |id: &str| id.parse().ok().filter(|n| *n > 0).ok_or_else(wrong);
        Ok(match (kind.to_ascii_lowercase().as_str(), id) {
            ("auto", None) => Wanted::Auto,
            ("pr", None) => Wanted::PullRequest,
            ("commit", None) => Wanted::Commit,
            ("issue", None) => Wanted::Issue,
            ("pr", Some(id)) => Wanted::This(Target::PullRequest(number(id)?)),
            ("issue", Some(id)) => Wanted::This(Target::Issue(number(id)?)),
            // Any name of a commit that git or the forge understands; never a path into the API.
            ("commit", Some(id))
                if !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-~^".contains(c)) =>
            {
                Wanted::This(Target::Commit(id.to_owned()))
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
            ("auto", Wanted::Auto),
            ("AUTO", Wanted::Auto),
            ("pr", Wanted::PullRequest),
            ("pr/42", Wanted::This(Target::PullRequest(42))),
            ("PR/3", Wanted::This(Target::PullRequest(3))),
            ("commit", Wanted::Commit),
            ("commit/f00bar", Wanted::This(Target::Commit("f00bar".into()))),
            ("commit/HEAD", Wanted::This(Target::Commit("HEAD".into()))),
            ("issue", Wanted::Issue),
            ("issue/1337", Wanted::This(Target::Issue(1337))),
        ] {
            assert_eq!(text.parse::<Wanted>().unwrap(), wanted);
        }
        for text in ["", "foo/3", "pr/", "pr/0", "pr/x", "commit/", "commit/../../x", "auto/1", "issue/1/2"] {
            let error = text.parse::<Wanted>().unwrap_err();
            assert_eq!(error.kind().exit_code(), 2, "{text}");
        }
    }
}
