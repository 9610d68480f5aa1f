//! `--watch`: the comment follows the report while a training runs.
//!
//! Polls the report, the files that it shows, and the trigger file twice a second; posts once a change has
//! been quiet for a second, so that a burst of writes or a half-written file makes one comment of the
//! finished state. Ends on SIGINT or SIGTERM, after one last update.

use super::{Job, PostOptions};
use crate::error::{Kind, Result};
use crate::files;
use crate::host::Stat;
use crate::outputs;
use crate::report::{self, source::Source};
use crate::shutdown::Shutdown;
use std::path::{Path, PathBuf};
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// A change is complete when nothing has changed for this many polls.
const QUIET_POLLS: u32 = 2;
/// A report that never comes to rest is posted all the same, after this many polls.
const MAX_POLLS: u32 = 20;

/// The state of the watched files; equal when nothing changed.
#[derive(PartialEq, Clone, Default)]
struct Snapshot(Vec<(PathBuf, Option<Stat>)>);

/// Watches until the program is asked to stop.
pub async fn watch(job: &Job<'_>) -> Result<()> {
    let comments = job.connected.forge.comments();
    comments.set_watched(true)?;
    let followed = follow(job).await;
    // What failed before it is what counts.
    followed.and(comments.set_watched(false))
}

async fn follow(job: &Job<'_>) -> Result<()> {
    let mut watcher = Watcher { job, posted: None };
    let mut shutdown = Shutdown::new(job.app, "the watch");
    let mut last = watcher.snapshot();
    // What is there already counts: the report, or the trigger where one decides.
    let is_present = last.0.first().is_some_and(|(_, stat)| stat.is_some());
    let mut changed = is_present.then_some((QUIET_POLLS - 1, 0));
    job.app.log.info(&format!("watching {}", job.args.report.shown()));
    loop {
        if shutdown.run_until(job.app.host.sleep(POLL_INTERVAL)).await.is_err() {
            return watcher.finish().await;
        }
        let now = watcher.snapshot();
        changed = match (changed, now == last) {
            (None, true) => None,
            (None, false) => Some((0, 0)),
            (Some((quiet, age)), true) => Some((quiet + 1, age + 1)),
            (Some((_, age)), false) => Some((if age >= MAX_POLLS { QUIET_POLLS } else { 0 }, age + 1)),
        };
        last = now;
        if changed.is_some_and(|(quiet, _)| quiet >= QUIET_POLLS) {
            let settled = shutdown.run_to_completion(watcher.post()).await;
            changed = (!settled).then_some((0, 0));
            if shutdown.received().is_some() {
                return watcher.finish().await;
            }
            // What changed while it was posted counts as a change: of a trigger, that it is there again.
            if job.args.trigger_file.is_none() {
                last = watcher.posted.as_ref().map_or_else(|| watcher.snapshot(), |(_, seen)| seen.clone());
            }
        }
    }
}

struct Watcher<'a, 'b> {
    job: &'a Job<'b>,
    /// The report that was posted last, and the state of its files.
    posted: Option<(Vec<Source>, Snapshot)>,
}

impl Watcher<'_, '_> {
    /// Returns the state of the files that decide: the trigger file, or the report with what it shows.
    fn snapshot(&self) -> Snapshot {
        match &self.job.args.trigger_file {
            Some(trigger) => Snapshot(vec![(trigger.clone(), self.stat(trigger))]),
            None => self.content(),
        }
    }

    fn stat(&self, path: &Path) -> Option<Stat> {
        self.job.app.host.stat(path).ok()
    }

    /// Returns the state of the report's files and of those that they show.
    fn content(&self) -> Snapshot {
        let Job { app, args, .. } = self.job;
        let paths = args.report.paths(app);
        let sources = paths.as_ref().ok().and_then(|paths| args.report.read_files(app, paths).ok());
        // A pattern that matches nothing yet stands for itself.
        let mut files = paths.unwrap_or_else(|_| args.report.files.clone());
        if let (Some(sources), Ok(opener)) = (sources, app.files()) {
            for source in sources {
                let folder = files::folder_of(&source.path);
                let references = report::references(&source.text).into_iter();
                let names =
                    references.filter(|r| report::is_local(&r.address)).flat_map(|r| report::file_names(&r.address));
                files.extend(names.filter(|name| opener.foreign_name(name).is_none()).map(|name| folder.join(name)));
            }
        }
        Snapshot(files.into_iter().map(|path| (path.clone(), self.stat(&path))).collect())
    }

    /// Earlier comments are retired once, by the first that is posted; later ones update that.
    fn options(&self, summary: bool) -> PostOptions {
        let first = self.posted.is_none();
        PostOptions { update: self.job.update || !first, summary, retire: first }
    }

    /// Posts the current report. Nothing ends a watch but the end of the job: failures are logged and the next
    /// change is tried again. Returns `false` if that change has happened already.
    async fn post(&mut self) -> bool {
        let Job { app, args, .. } = self.job;
        let trigger = args.trigger_file.as_ref().map(|trigger| (trigger, self.stat(trigger)));
        if matches!(trigger, Some((_, None))) {
            return true;
        }
        app.http.restart_budget();
        let sources = match args.report.read(app) {
            Ok(sources) if is_empty(&sources) => return true,
            Ok(sources) => sources,
            Err(error) => {
                app.log.warn(&format!("{error}; waiting for the next change"));
                return true;
            }
        };
        let content = self.content();
        if self.posted.as_ref().is_some_and(|(old, seen)| *old == sources && *seen == content) {
            self.remove(trigger);
            return true;
        }
        match self.job.post(&sources, self.options(false)).await {
            Ok(comment) => {
                app.log.info(&format!("posted {}", comment.url));
                let first = self.posted.replace((sources, content)).is_none();
                if first && let Err(error) = self.job.announce(&comment) {
                    app.log.warn(&error.to_string());
                }
                if first && args.open {
                    super::open(app, &comment.url).await;
                }
                self.remove(trigger);
                true
            }
            Err(error) if error.kind() == Kind::Conflict => {
                app.log.info(&format!("{error}; retrying"));
                false
            }
            Err(error) => {
                let hint = error.hint_text().unwrap_or("the next change is tried again");
                app.log.warn_with_hint(&error.to_string(), hint);
                true
            }
        }
    }

    /// Deletes the trigger, unless it was made again since.
    fn remove(&self, trigger: Option<(&PathBuf, Option<Stat>)>) {
        let Some((path, _)) = trigger.filter(|(path, seen)| self.stat(path) == *seen) else { return };
        if let Err(error) = self.job.app.host.remove(path) {
            self.job.app.log.warn(&format!("cannot delete {} ({error})", path.display()));
        }
    }

    /// Posts one last time, with whatever has not been posted yet, and the job summary.
    async fn finish(&mut self) -> Result<()> {
        let Job { app, args, .. } = self.job;
        app.log.info("stopping: updating the comment one last time");
        app.http.restart_budget();
        app.http.shorten_deadline();
        let sources = args.report.read(app)?;
        if is_empty(&sources) {
            return Ok(());
        }
        let fresh = self.posted.as_ref().is_none_or(|(old, seen)| *old != sources || *seen != self.content());
        let summary = !args.no_summary && outputs::has_summary(app);
        // Posting what is there already sends nothing; it gives the report with its published images.
        if fresh || summary {
            let comment = self.job.post(&sources, self.options(summary)).await?;
            if self.posted.is_none() {
                self.job.announce(&comment)?;
            }
        }
        Ok(())
    }
}

fn is_empty(sources: &[Source]) -> bool {
    sources.iter().all(|source| source.text.trim().is_empty())
}
