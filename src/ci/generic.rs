//! Any other CI, and what users say about a run themselves: `CML_PR`, `CML_SHA`, `CML_BRANCH`, and `CML_REPO`, which is the option
//! `--repo`.

use super::variables::{branch_of, commit_of, pull_number};
use super::{Ci, Context, ForgeHint, Row};
use crate::env::{Env, Var, is_reference, vars};
use crate::error::{Error, Result};
use crate::host::Host;
use async_trait::async_trait;

/// The row for every CI that is not known.
pub const CI: Row = Row { title: TITLE, identity_hint: None, new: |env| Some(Box::new(Generic::new(env)?)) };

const TITLE: &str = "another one";

/// A job of a CI that is not known.
struct Generic {
    /// The variable that says so.
    source: Var,
}

impl Generic {
    /// Returns the job, if this process runs in one.
    fn new(env: &Env) -> Option<Self> {
        let vars = [vars::CI, vars::CML_PR, vars::CML_SHA, vars::CML_BRANCH];
        let source = vars.into_iter().find(|var| env.get(*var).is_some())?;
        Some(Generic { source })
    }
}

#[async_trait(?Send)]
impl Ci for Generic {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn source(&self) -> &'static str {
        self.source.name
    }

    fn forge(&self) -> ForgeHint {
        ForgeHint::Unknown
    }

    fn context(&self, _: &dyn Host) -> Context {
        Context::default()
    }
}

/// Puts what users say themselves in place of what the CI says.
///
/// # Errors
/// A value is not what its variable is for.
pub fn apply(env: &Env, context: &mut Context) -> Result<()> {
    if let Some(number) = value(env, vars::CML_PR, |value| pull_number(value, None))? {
        (context.pull_request, context.sources.pull_request) = (Some(number), vars::CML_PR.name);
    }
    if let Some(commit) = value(env, vars::CML_SHA, commit_of)? {
        (context.commit, context.sources.commit) = (Some(commit), vars::CML_SHA.name);
    }
    if let Some(branch) = value(env, vars::CML_BRANCH, branch_of)? {
        (context.branch, context.sources.branch) = (Some(branch), vars::CML_BRANCH.name);
    }
    Ok(())
}

/// Returns a variable's value; `None` where it is what a CI leaves of a variable that is not set, or `false`.
fn value<T>(env: &Env, var: Var, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let is_left = |value: &&str| is_reference(value) || (value.starts_with('%') && value.ends_with('%'));
    let Some(value) = env.get(var).map(str::trim).filter(|value| !is_left(value) && *value != "false") else {
        return Ok(None);
    };
    let expected = match var {
        vars::CML_PR => "the number of a pull request, such as 42",
        vars::CML_SHA => "a commit, such as the output of git rev-parse HEAD",
        _ => "the name of a branch, such as main",
    };
    let wrong =
        || Error::usage(format!("invalid value '{value}' in {}", var.name)).hint(format!("it takes {expected}"));
    read(value).map(Some).ok_or_else(wrong)
}
