//! Finds the commit to compare with.

pub mod artifact;
mod on_forge;

use super::records::LazyHistory;
use super::snapshot::Version;
use crate::app::App;
use crate::ci;
use crate::connect::{self, Global};
use crate::error::{Error, Result};
use crate::forge::Forge;
use crate::forge::pull_requests::PushConfig;
use crate::git::{Commit, Git};
use crate::metrics::history::{Baseline, Record};
use crate::repository::Repository;
use artifact::KeptFiles;
use on_forge::{ask_forge, automatic_of, of_forge, without_clone};
use std::path::PathBuf;
use std::rc::Rc;

/// The remote from which CI systems clone.
pub const REMOTE: &str = "origin";
/// Names of default branches, where nothing else tells it.
const DEFAULT_BRANCHES: [&str; 2] = ["main", "master"];
/// What to do about a clone that lacks the base.
const DEPTH_HINT: &str = "check out more of the history: `fetch-depth: 0` of actions/checkout, `GIT_DEPTH: 0` on GitLab, `clone: { depth: full }` on Bitbucket; or pass --base";

/// A commit, and the name by which it was found.
#[derive(Clone)]
pub struct Named {
    /// As the user typed it, or the branch.
    pub name: String,
    pub commit: Commit,
    /// The forge that has its files, where the clone does not.
    pub forge: Option<Rc<dyn Forge>>,
}

impl Named {
    /// Returns a commit of this clone.
    fn here(name: &str, commit: Commit) -> Self {
        Named { name: name.to_owned(), commit, forge: None }
    }

    fn short(&self) -> &str {
        self.commit.sha.get(..7).unwrap_or(&self.commit.sha)
    }

    /// Returns it with the day of the commit.
    pub fn dated(&self) -> String {
        let time = i64::try_from(self.commit.time).ok().and_then(|time| chrono::DateTime::from_timestamp(time, 0));
        let day = time.map(|time| time.date_naive().to_string()).unwrap_or_default();
        let (name, short) = (&self.name, self.short());
        if self.commit.sha.starts_with(name) { format!("{short} of {day}") } else { format!("{name} ({short}, {day})") }
    }

    /// Returns it for messages.
    pub fn described(&self) -> String {
        if self.commit.sha.starts_with(&self.name) {
            self.short().to_owned()
        } else {
            format!("{} ({})", self.name, self.short())
        }
    }
}

/// What to compare with.
pub enum Base {
    /// A commit.
    Commit(Named),
    /// A file from elsewhere.
    File(PathBuf),
    /// What was recorded, and the name by which it was found.
    Record(String, Record),
    /// What a run has kept.
    Artifact(KeptFiles),
}

impl Base {
    /// Returns its name.
    pub fn name(&self) -> &str {
        match self {
            Base::Commit(named) => &named.name,
            Base::File(path) => path.to_str().unwrap_or("file"),
            Base::Record(name, _) => name,
            Base::Artifact(kept) => &kept.name,
        }
    }

    /// Returns its name, commit and age.
    pub fn title(&self, now: u64) -> String {
        match self {
            Base::Commit(named) => {
                let age = age(now.saturating_sub(named.commit.time));
                if named.commit.sha.starts_with(&named.name) {
                    format!("{} ({age})", named.short())
                } else {
                    format!("{} ({}, {age})", named.name, named.short())
                }
            }
            Base::File(_) => self.name().to_owned(),
            Base::Record(name, record) => {
                format!("{name} ({}, {})", record.short(), age(now.saturating_sub(record.time)))
            }
            Base::Artifact(kept) => {
                format!("{} ({}, {})", kept.name, kept.short(), age(now.saturating_sub(kept.time)))
            }
        }
    }
}

/// The commit that the work started from.
pub enum Start {
    Commit(Named),
    /// There is none, for this reason.
    None(String),
}

impl Start {
    /// Returns the commit.
    ///
    /// # Errors
    /// There is none.
    fn required(self) -> Result<Named> {
        match self {
            Start::Commit(named) => Ok(named),
            Start::None(reason) => {
                let message = format!("{reason}: there is nothing to compare with");
                Err(Error::not_found(message).hint("pass --base REVISION"))
            }
        }
    }

    fn first_commit() -> Self {
        Start::None("this is the first commit".to_owned())
    }

    fn unrelated(branch: &str) -> Self {
        Start::None(format!("this branch and {branch} have no common commit"))
    }
}

/// Says how long ago something was.
fn age(seconds: u64) -> String {
    let units = [(365 * 86_400, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = units.iter().map(|(length, name)| (seconds / length, name)).find(|(count, _)| *count > 0);
    match unit {
        Some((1, name)) => format!("1 {name} ago"),
        Some((count, name)) => format!("{count} {name}s ago"),
        None => "just now".to_owned(),
    }
}

/// Returns what to compare with: what the user names, or the commit that the work started from.
pub async fn find(
    app: &App,
    global: &Global,
    git: &Git<'_>,
    given: Option<&str>,
    head: &Version,
    history: &LazyHistory,
) -> Result<Base> {
    let Some(name) = given else { return automatic(app, global, git, head).await?.required().map(Base::Commit) };
    if let Some(artifact) = name.strip_prefix(artifact::PREFIX) {
        let own = commit_of(app, git, head).await?;
        return artifact::find(app, global, artifact, own.as_deref()).await.map(Base::Artifact);
    }
    if let Ok(baseline) = name.parse() {
        let own = commit_of(app, git, head).await?;
        return recorded(history.records(app, global).await?, own.as_deref(), &baseline);
    }
    if let Some(tag) = name.strip_prefix("tag:") {
        let named = resolve(app, global, git, tag).await?;
        let mut records = history.records(app, global).await?.iter();
        let record = records.find(|record| record.commit == named.commit.sha).cloned();
        return Ok(record.map_or(Base::Commit(named), |record| Base::Record(name.to_owned(), record)));
    }
    if git.has_checkout()
        && let Some(commit) = git.commit_of(name).await?
    {
        return Ok(Base::Commit(Named::here(name, commit)));
    }
    if app.host.stat(name.as_ref()).is_ok_and(|stat| stat.is_file) {
        return Ok(Base::File(PathBuf::from(name)));
    }
    resolve(app, global, git, name).await.map(Base::Commit)
}

/// Returns what the history has for a baseline; the commit that is measured is not its own.
fn recorded(records: &[Record], own: Option<&str>, baseline: &Baseline) -> Result<Base> {
    let mut records = records.to_vec();
    records.retain(|record| Some(record.commit.as_str()) != own);
    let record = baseline.choose(&records).cloned().ok_or_else(|| {
        Error::not_found(format!("no record for --base {baseline}: {}", records_described(&records, baseline)))
            .hint("record the metrics of the default branch with `cml metrics record`")
    })?;
    Ok(Base::Record(baseline.to_string(), record))
}

fn records_described(records: &[Record], baseline: &Baseline) -> String {
    match baseline {
        Baseline::Max(name) | Baseline::Min(name) if !records.is_empty() => {
            format!("none of {} records has the metric {name}", records.len())
        }
        _ => "the history has none of another commit".to_owned(),
    }
}

/// Returns the commit of a version.
async fn commit_of(app: &App, git: &Git<'_>, version: &Version) -> Result<Option<String>> {
    match version {
        Version::Commit(named) => Ok(Some(named.commit.sha.clone())),
        Version::Workspace => commit_of_run(app, git).await,
    }
}

/// Returns the commit that the run is about, or that is checked out.
pub async fn commit_of_run(app: &App, git: &Git<'_>) -> Result<Option<String>> {
    let context = ci::context(ci::detect(app.env()).as_deref(), &*app.host)?;
    if context.commit.is_some() || !git.has_checkout() {
        return Ok(context.commit);
    }
    Ok(git.commit_of("HEAD").await?.map(|commit| commit.sha))
}

/// Returns the commit of a revision: of this clone, or a branch of the remote's, which is fetched if the clone lacks it.
pub async fn resolve(app: &App, global: &Global, git: &Git<'_>, name: &str) -> Result<Named> {
    if let Some(forge) = without_clone(app, global, git).await? {
        return of_forge(&forge, name, name).await;
    }
    for known in [name.to_owned(), format!("refs/remotes/{REMOTE}/{name}")] {
        if let Some(commit) = git.commit_of(&known).await? {
            return Ok(Named::here(name, commit));
        }
    }
    let unknown = || {
        Error::not_found(format!("unknown revision '{name}'"))
            .hint(format!("name a commit, a branch or a tag, or a file that exists; {DEPTH_HINT}"))
    };
    let sound =
        !name.is_empty() && !name.starts_with('-') && !name.contains([':', '~', '^', '*', '?', '[', '\\', ' ', '@']);
    if !sound || git.query(&["remote", "get-url", REMOTE]).await.is_err() {
        return Err(unknown());
    }
    let fetching = transferring(app, global).await?;
    let is_commit = name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let tip = if is_commit {
        Some(name.to_owned())
    } else {
        // Of an annotated tag, the commit.
        let names = [format!("refs/heads/{name}"), format!("refs/tags/{name}^{{}}"), format!("refs/tags/{name}")];
        let found = fetching.first_ref(REMOTE, &names.each_ref().map(String::as_str)).await;
        let found = found.map_err(|e| e.context(format!("unknown revision '{name}'")).or_hint(DEPTH_HINT))?;
        found.map(|(_, tip)| tip)
    };
    let tip = tip.ok_or_else(unknown)?;
    fetching.fetch_commit(REMOTE, &tip).await.map_err(|_| unknown())?;
    let commit = git.commit_of(&tip).await?.ok_or_else(unknown)?;
    Ok(Named::here(name, commit))
}

/// Returns git with the credentials of the forge, if there are any; else with its own, such as those that a CI leaves.
async fn transferring<'a>(app: &'a App, global: &Global) -> Result<Git<'a>> {
    Ok(pushing(app, global).await?.0)
}

/// Returns the same, and how to push.
pub async fn pushing<'a>(app: &'a App, global: &Global) -> Result<(Git<'a>, PushConfig)> {
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let inferred =
        connect::infer(app, global, Repository::parse).await.locate(app, connect::MIN_REPOSITORY_NAMES).await;
    let (Ok(Some(found)), Some(_)) = (&inferred.found, &inferred.token) else {
        return Ok((git.reaching(REMOTE).await?, PushConfig::without_forge()));
    };
    let forge = inferred.connect(app, found, None)?;
    let config = forge.pull_requests().map_or_else(PushConfig::without_forge, |pulls| pulls.push_config());
    let git = git.with_push_config(&found.repository, &config).reaching(REMOTE).await?;
    Ok((git, config))
}

/// Returns the commit that the work started from: the merge base with the pull request's target, or with the default branch; on the
/// default branch the commit before. Outside of a CI, on the default branch, HEAD: what differs is not committed yet.
pub async fn automatic(app: &App, global: &Global, git: &Git<'_>, head: &Version) -> Result<Start> {
    let ci = ci::detect(app.env());
    let context = ci::context(ci.as_deref(), &*app.host)?;
    if let Some(forge) = without_clone(app, global, git).await? {
        return automatic_of(&forge, &context, head).await;
    }
    let current = async || {
        git.commit_of("HEAD").await?.ok_or_else(|| {
            Error::config("not a git repository with a commit")
                .hint("run this inside the clone, or pass a file with --base")
        })
    };
    let tip = match (head, &context.commit) {
        (Version::Commit(named), _) => named.commit.sha.clone(),
        (Version::Workspace, Some(commit)) => commit.clone(),
        (Version::Workspace, None) => current().await?.sha,
    };
    let target = context.target_branch.clone().filter(|_| context.pull_request.is_some());
    let branch = match &context.branch {
        // The target decides.
        None if target.is_some() => None,
        Some(branch) => Some(branch.clone()),
        None => git.query(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await.ok(),
    };
    let default = match (&target, &context.default_branch) {
        (Some(target), _) => Some(target.clone()),
        (None, Some(default)) => Some(default.clone()),
        (None, None) => match guess_default_branch(git).await {
            None if ci.is_some() => transferring(app, global).await?.default_branch_of(REMOTE).await.ok().flatten(),
            found => found,
        },
    };
    match default {
        Some(default) if target.is_some() || branch.as_ref() != Some(&default) => {
            merge_base(app, global, git, &tip, &default).await
        }
        _ if ci.is_none() && matches!(head, Version::Workspace) => {
            Ok(Start::Commit(Named::here("HEAD", current().await?)))
        }
        _ => first_parent(app, global, git, &tip, branch.as_deref()).await,
    }
}

/// Returns the repository's default branch, as the CI, the clone or the remote says it.
pub async fn default_branch(app: &App, global: &Global, context: &ci::Context) -> Option<String> {
    if let Some(name) = &context.default_branch {
        return Some(name.clone());
    }
    if let Some(name) = remote_head(&Git::new(app)).await {
        return Some(name);
    }
    transferring(app, global).await.ok()?.default_branch_of(REMOTE).await.ok().flatten()
}

/// Returns the branch that the remote's HEAD is, as the clone knows it.
async fn remote_head(git: &Git<'_>) -> Option<String> {
    let head = git.query(&["symbolic-ref", "--quiet", "--short", &format!("refs/remotes/{REMOTE}/HEAD")]).await;
    head.ok()?.strip_prefix(&format!("{REMOTE}/")).map(str::to_owned)
}

/// Returns the default branch, as far as the clone tells it, or one with a usual name.
async fn guess_default_branch(git: &Git<'_>) -> Option<String> {
    if let Some(name) = remote_head(git).await {
        return Some(name);
    }
    for name in DEFAULT_BRANCHES {
        for full in [format!("refs/remotes/{REMOTE}/{name}"), format!("refs/heads/{name}")] {
            if git.commit_of(&full).await.ok().flatten().is_some() {
                return Some(name.to_owned());
            }
        }
    }
    None
}

async fn merge_base(app: &App, global: &Global, git: &Git<'_>, tip: &str, branch: &str) -> Result<Start> {
    // Most clones have both: one question to git.
    if let Some(sha) = git.merge_base(tip, &format!("refs/remotes/{REMOTE}/{branch}")).await? {
        // When it was made is read along with its files.
        return Ok(Start::Commit(Named::here(branch, Commit { sha, time: 0 })));
    }
    let error = match fetch_merge_base(app, global, git, tip, branch).await {
        Err(error) => error,
        found => return found,
    };
    let found = ask_forge(app, global, &error, async |history| history.merge_base(tip, branch).await, branch).await;
    found.map(Start::Commit).ok_or(error)
}

/// Fetches as much of the history as is needed.
async fn fetch_merge_base(app: &App, global: &Global, git: &Git<'_>, tip: &str, branch: &str) -> Result<Start> {
    let other = branch_tip(git, branch).await?;
    if let Some(other) = &other
        && git.commit_of(tip).await?.is_some()
    {
        if let Some(sha) = git.merge_base(tip, &other.sha).await? {
            return named(git, branch, &sha).await.map(Start::Commit);
        }
        if !git.is_shallow().await? {
            return Ok(Start::unrelated(branch));
        }
    }
    let cannot = |error: Error| {
        error.context(format!("cannot find the commit that this branch started from on {branch}")).or_hint(DEPTH_HINT)
    };
    let fetching = transferring(app, global).await.map_err(cannot)?;
    let other = match other {
        Some(other) => other.sha,
        None => fetching.branch(REMOTE, branch).await.map_err(cannot)?.ok_or_else(|| {
            Error::not_found(format!("there is no branch {branch} on {REMOTE}")).hint("pass --base REVISION")
        })?,
    };
    for commit in [tip, &other] {
        fetching.fetch_commit(REMOTE, commit).await.map_err(cannot)?;
    }
    match fetching.deepen_to_merge_base(REMOTE, tip, &other).await.map_err(cannot)? {
        Some(sha) => named(git, branch, &sha).await.map(Start::Commit),
        None => Ok(Start::unrelated(branch)),
    }
}

/// Returns the commit of a branch in this clone: that of the remote's branch goes before one of the same name here.
async fn branch_tip(git: &Git<'_>, branch: &str) -> Result<Option<Commit>> {
    match git.commit_of(&format!("refs/remotes/{REMOTE}/{branch}")).await? {
        None => git.commit_of(&format!("refs/heads/{branch}")).await,
        found => Ok(found),
    }
}

async fn first_parent(app: &App, global: &Global, git: &Git<'_>, tip: &str, branch: Option<&str>) -> Result<Start> {
    let Some(parent) = git.parent_of(tip).await? else { return Ok(Start::first_commit()) };
    let name = branch.map_or_else(|| parent.clone(), |branch| format!("{branch}~1"));
    if git.commit_of(&parent).await?.is_none() {
        let fetched = match transferring(app, global).await {
            Ok(fetching) => fetching.fetch_commit(REMOTE, &parent).await,
            Err(error) => Err(error),
        };
        if let Err(error) = fetched {
            let error = error.context(format!("cannot fetch {name}, the commit before")).or_hint(DEPTH_HINT);
            let found = ask_forge(app, global, &error, async |history| history.commit(&parent).await, &name).await;
            return found.map(Start::Commit).ok_or(error);
        }
    }
    named(git, &name, &parent).await.map(Start::Commit)
}

async fn named(git: &Git<'_>, name: &str, sha: &str) -> Result<Named> {
    let commit = git.commit_of(sha).await?;
    let commit = commit.ok_or_else(|| Error::not_found(format!("unknown revision '{sha}'")).hint(DEPTH_HINT))?;
    Ok(Named::here(name, commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expected) in [
            (0, "just now"),
            (60, "1 minute ago"),
            (7_199, "1 hour ago"),
            (3 * 86_400 + 5, "3 days ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn a_commit_is_not_named_twice() {
        let of = |name: &str| {
            let commit = Commit { sha: "4b1d0c9e5f".repeat(4), time: 0 };
            Base::Commit(Named::here(name, commit)).title(3 * 86_400)
        };
        assert_eq!(
            (of("main").as_str(), of("4b1d0c9e").as_str()),
            ("main (4b1d0c9, 3 days ago)", "4b1d0c9 (3 days ago)")
        );
    }
}
