//! Asks the forge for commits that the clone lacks, or where there is no clone.

use super::{Named, Start};
use crate::app::App;
use crate::ci::Context;
use crate::command::diff::snapshot::Version;
use crate::connect::{self, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::Forge;
use crate::forge::history;
use crate::git::{Commit, Git};
use crate::repository::Repository;
use std::rc::Rc;

/// Asks the forge for a commit that could not be fetched, if there is a token for it.
pub async fn ask_forge(
    app: &App,
    global: &Global,
    failure: &Error,
    ask: impl AsyncFn(&dyn history::History) -> Result<Option<history::Commit>>,
    name: &str,
) -> Option<Named> {
    if failure.kind() == Kind::NotFound {
        return None;
    }
    let forge = forge_of(app, global).await.ok()??;
    app.log.info(&format!("{failure}; asking the forge instead"));
    let found = ask(forge.history()?).await.ok()??;
    Some(of_commit(&forge, name, found))
}

/// Returns the forge, if it is known, there is a token for it, and it lists commits.
async fn forge_of(app: &App, global: &Global) -> Result<Option<Rc<dyn Forge>>> {
    let inferred =
        connect::infer(app, global, Repository::parse).await.locate(app, connect::MIN_REPOSITORY_NAMES).await;
    let (Ok(Some(found)), Some(_)) = (&inferred.found, &inferred.token) else { return Ok(None) };
    let forge = inferred.connect(app, found, None)?;
    Ok(forge.history().is_some().then_some(forge))
}

/// Returns the forge where there is no clone to ask.
///
/// # Errors
/// There is neither.
pub async fn without_clone(app: &App, global: &Global, git: &Git<'_>) -> Result<Option<Rc<dyn Forge>>> {
    if git.has_checkout() {
        return Ok(None);
    }
    let forge = forge_of(app, global).await?.ok_or_else(|| {
        Error::config("not a git repository, and no token for a forge to ask instead")
            .hint("run this inside the clone, set REPO_TOKEN, or pass a file with --base")
    })?;
    Ok(Some(forge))
}

fn of_commit(forge: &Rc<dyn Forge>, name: &str, found: history::Commit) -> Named {
    let commit = Commit { sha: found.sha, time: found.time };
    Named { name: name.to_owned(), commit, forge: Some(forge.clone()) }
}

/// Returns the commit of a revision on the forge.
pub async fn of_forge(forge: &Rc<dyn Forge>, name: &str, revision: &str) -> Result<Named> {
    let found = match forge.history() {
        Some(history) => history.commit(revision).await?,
        None => None,
    };
    let unknown = || Error::not_found(format!("unknown revision '{name}'")).hint("name a commit, a branch or a tag");
    Ok(of_commit(forge, name, found.ok_or_else(unknown)?))
}

/// Returns what [`super::automatic`] does, by what the CI says alone.
pub async fn automatic_of(forge: &Rc<dyn Forge>, context: &Context, head: &Version) -> Result<Start> {
    let tip = match (head, &context.commit) {
        (Version::Commit(named), _) => Some(&named.commit.sha),
        (Version::Workspace, commit) => commit.as_ref(),
    };
    let target = context.target_branch.as_ref().filter(|_| context.pull_request.is_some());
    let default = target.or(context.default_branch.as_ref()).map_or("HEAD", String::as_str);
    // Without a commit there is nothing that started anywhere.
    let Some(tip) = tip else { return of_forge(forge, default, default).await.map(Start::Commit) };
    if target.is_some() || context.branch.as_deref().is_none_or(|branch| branch != default) {
        let found = match forge.history() {
            Some(history) => history.merge_base(tip, default).await?,
            None => None,
        };
        // On the default branch itself it is the commit.
        if let Some(found) = found.filter(|found| target.is_some() || found.sha != *tip) {
            return Ok(Start::Commit(of_commit(forge, default, found)));
        }
        if target.is_some() {
            return Ok(Start::unrelated(default));
        }
    }
    let here = match forge.history() {
        Some(history) => history.commit(tip).await?,
        None => None,
    };
    let Some(parent) = here.and_then(|commit| commit.parent) else { return Ok(Start::first_commit()) };
    let name = context.branch.as_ref().map_or_else(|| parent.clone(), |branch| format!("{branch}~1"));
    of_forge(forge, &name, &parent).await.map(Start::Commit)
}
