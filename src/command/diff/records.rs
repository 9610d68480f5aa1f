//! The history of metrics, which the remote repository keeps: a file for each commit, in a reference apart from the user's branches.

use super::base::{REMOTE, pushing};
use crate::app::App;
use crate::connect::Global;
use crate::error::{Error, Kind, Result};
use crate::git::{CommitAuthor, Git, Moved};
use crate::metrics::history::{Record, sort};
use std::cell::OnceCell;
use std::time::Duration;

/// The reference, which no clone gets unless it asks.
const HIDDEN: &str = "refs/cml/metrics";
/// The branch in its place, where a forge refuses other references.
const BRANCH: &str = "refs/heads/cml-metrics";
/// No workflow starts by it where it is a branch.
const MESSAGE: &str = "Metrics recorded by CML [skip ci]";
/// Each lost race means that another job won one, so this many jobs may record at the same moment.
const RACES: u32 = 60;
/// The pause after the first lost race, and how often it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 4;

/// The records, oldest first, and where they are.
#[derive(Default)]
pub struct History {
    /// The reference and its commit; `None` before the first record.
    place: Option<(&'static str, String)>,
    /// Sorted by the time of their commits.
    pub records: Vec<Record>,
}

/// The history, which is fetched when it is first asked for.
#[derive(Default)]
pub struct LazyHistory(OnceCell<History>);

impl LazyHistory {
    /// Returns the records, oldest first.
    pub async fn records(&self, app: &App, global: &Global) -> Result<&[Record]> {
        let history = match self.0.get() {
            Some(history) => history,
            None => {
                let history = History::load(app, global).await?;
                self.0.get_or_init(|| history)
            }
        };
        Ok(&history.records)
    }
}

impl History {
    /// Fetches the history.
    pub async fn load(app: &App, global: &Global) -> Result<Self> {
        let (git, _) = pushing(app, global).await?;
        Self::fetch(app, &git).await.map_err(|error| error.context("cannot read the history of metrics"))
    }

    async fn fetch(app: &App, git: &Git<'_>) -> Result<Self> {
        if git.query(&["remote", "get-url", REMOTE]).await.is_err() {
            return Err(Error::config(format!("this clone has no remote named {REMOTE}"))
                .hint("the remote repository keeps the history; add it with `git remote add`"));
        }
        let Some(place) = git.first_ref(REMOTE, &[HIDDEN, BRANCH]).await? else { return Ok(History::default()) };
        git.fetch_commit(REMOTE, &place.1).await?;
        let paths = git.files_of(&place.1).await?;
        let paths: Vec<&str> = paths.iter().map(String::as_str).filter(|path| path.ends_with(".json")).collect();
        let (_, contents) = git.read_files(&place.1, &paths).await?;
        let mut records = Vec::new();
        for (path, bytes) in paths.iter().zip(&contents) {
            match Record::parse(bytes) {
                Ok(record) => records.push(record),
                Err(what) => app.log.warn(&format!("left out the record {path}: {what}")),
            }
        }
        sort(&mut records);
        Ok(History { place: Some(place), records })
    }

    /// Adds a record, and removes the oldest ones so that `keep` stay. Returns how many there are; `None` when they were so already.
    pub async fn add(app: &App, global: &Global, record: &Record, keep: Option<usize>) -> Result<Option<usize>> {
        let (git, config) = pushing(app, global).await?;
        let author = match &config.author {
            Some(author) => CommitAuthor::new(None, None, Some(author)),
            None => CommitAuthor::new(Some("cml"), Some("cml@localhost"), None),
        };
        let failed = |error: Error| error.context("cannot record the metrics");
        let mut new_place = HIDDEN;
        for race in 0..RACES {
            let history = Self::fetch(app, &git).await.map_err(failed)?;
            let Some(change) = history.with(record, keep) else { return Ok(None) };
            let (name, parent) = match &history.place {
                Some((name, tip)) => (*name, Some(tip.as_str())),
                None => (new_place, None),
            };
            let text = change.record.write();
            let file = (change.record.path(), text.as_bytes());
            let commit = git.commit_file(parent, (&file.0, file.1), &change.removed, MESSAGE, &author).await;
            match git.move_ref(REMOTE, name, parent, &commit.map_err(failed)?).await.map_err(failed)? {
                Moved::Done => return Ok(Some(change.count)),
                Moved::Lost => app.http.pause(FIRST_PAUSE, race.min(DOUBLINGS)).await.map_err(failed)?,
                Moved::Refused(error) if matches!(error.kind(), Kind::Auth | Kind::Config) => {
                    if parent.is_some() || name == BRANCH {
                        return Err(failed(error).hint(
                            "let the token push to refs/cml/metrics, or else to the branch cml-metrics: contents: write on GitHub, \
                             write_repository on GitLab, repository:write on Bitbucket",
                        ));
                    }
                    app.log.debug(&format!("{error}; trying a branch"));
                    new_place = BRANCH;
                }
                Moved::Refused(error) => return Err(failed(error)),
            }
        }
        Err(Error::conflict("cannot record the metrics: too many jobs are recording at the same time")
            .hint("run the step again"))
    }

    /// Returns what changes with a record; `None` if nothing does.
    fn with(&self, record: &Record, keep: Option<usize>) -> Option<Change> {
        let (mut own, mut others) = (None, Vec::new());
        for known in &self.records {
            if known.commit == record.commit { own = Some(known.clone()) } else { others.push(known) }
        }
        let is_new = own.is_none();
        let mut merged = own.unwrap_or_else(|| record.clone());
        let is_changed = merged.merge(record) || is_new;
        let over = keep.map_or(0, |keep| (others.len() + 1).saturating_sub(keep)).min(others.len());
        let removed: Vec<String> = others[..over].iter().map(|record| record.path()).collect();
        let count = others.len() + 1 - over;
        (is_changed || !removed.is_empty()).then_some(Change { record: merged, removed, count })
    }
}

/// What changes with a record.
struct Change {
    record: Record,
    /// Paths of records that go.
    removed: Vec<String>,
    /// How many records there are then.
    count: usize,
}
