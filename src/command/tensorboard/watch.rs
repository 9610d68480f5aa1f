//! `--watch`: a section of a file follows the logs while a training runs.
//!
//! The section stands between two lines that Markdown does not show, so that the rest of the file belongs to others;
//! `cml comment update --watch` on the same file makes a comment of it. Ends on SIGINT or SIGTERM, after a last update.

use super::Logs;
use crate::app::App;
use crate::command::publish_args::{refused, unwritable};
use crate::command::publisher::Publisher;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::files::{LARGEST_REPORT, Refusal};
use crate::shutdown::Shutdown;
use crate::tensorboard::folder::Folder;
use std::io;
use std::time::Duration;

/// How often the logs are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Every update publishes its charts, and what is published stays: no more than two a minute.
const PAUSE: Duration = Duration::from_secs(30);

/// Follows until the program is asked to end.
pub async fn watch(app: &App, global: &Global, args: &Logs) -> Result<()> {
    let store = args.publish_args.open(app, global, false).await?;
    let mut watcher =
        Watcher { app, args, folder: Folder::new(&args.logdir), publisher: Publisher::new(app, &store), due: false };
    let mut shutdown = Shutdown::new(app, "the watch");
    app.log.info(&format!("watching {}", args.logdir.display()));
    let mut last: Option<Duration> = None;
    loop {
        let rested = last.is_none_or(|last| app.host.elapsed().saturating_sub(last) >= PAUSE);
        if watcher.look() && rested {
            app.http.restart_budget();
            let outcome = shutdown.run_to_completion(watcher.update()).await;
            watcher.settle(outcome);
            last = Some(app.host.elapsed());
        }
        if shutdown.run_until(app.host.sleep(LOOK)).await.is_err() {
            return watcher.finish().await;
        }
    }
}

struct Watcher<'a> {
    app: &'a App,
    args: &'a Logs,
    folder: Folder,
    publisher: Publisher<'a>,
    /// Whether the logs have something that the file has not.
    due: bool,
}

impl Watcher<'_> {
    /// Reads what is new. A folder that is not there yet has nothing.
    fn look(&mut self) -> bool {
        match super::read(self.app, &self.args.logdir, &mut self.folder) {
            Ok(changed) => self.due |= changed,
            Err(error) => self.app.log.debug(&error.to_string()),
        }
        self.due
    }

    async fn update(&mut self) -> Result<()> {
        let report = self.args.report(&self.folder);
        let text = super::publish_report(&mut self.publisher, &report).await?;
        self.write(&text)
    }

    /// Nothing ends a watch but the end of the job: failures are told, and later there is another try.
    fn settle(&mut self, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.due = false,
            Err(error) => {
                let hint = error.hint_text().unwrap_or("retrying in half a minute");
                self.app.log.warn_with_hint(&error.to_string(), hint);
            }
        }
    }

    /// The last update.
    async fn finish(&mut self) -> Result<()> {
        self.app.log.info("stopping: updating the section one last time");
        self.app.http.restart_budget();
        self.app.http.shorten_deadline();
        if self.look() { self.update().await } else { Ok(()) }
    }

    /// Replaces the section in the file, or adds it at the end.
    fn write(&self, text: &str) -> Result<()> {
        let Some(path) = &self.args.file else { return Err(Error::internal("--watch without --file")) };
        let files = self.app.files()?;
        files.check_target(path).map_err(|refusal| refused(path, refusal))?;
        let before = match files.named(path).and_then(|file| file.read(LARGEST_REPORT)) {
            Ok(bytes) => bytes,
            Err(Refusal::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(refusal) => return Err(refused(path, refusal)),
        };
        let before = String::from_utf8(before).map_err(|_| {
            Error::config(format!("{} is not UTF-8", path.display())).hint("--file must be a Markdown file")
        })?;
        let name = self.args.name.as_deref().or(self.args.title.as_deref()).unwrap_or_default();
        let after = with_section(&before, name, text);
        if after == before {
            return Ok(());
        }
        self.app.host.write(path, after.as_bytes()).map_err(|e| unwritable(path, &e))
    }
}

/// Returns a text with a section of this name, which is appended if it is missing.
fn with_section(text: &str, name: &str, section: &str) -> String {
    let name: String = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.')).collect();
    let name = if name.trim().is_empty() { String::new() } else { format!(" {}", name.trim()) };
    // Definitions of links that nobody uses: no forge shows them.
    let (begin, end) = (format!("[//]: # (tensorboard{name}: begin)"), format!("[//]: # (tensorboard{name}: end)"));
    let section = format!("{begin}\n\n{}\n\n{end}", section.trim());
    let found = text.find(&begin).and_then(|start| {
        let stop = start + text[start..].find(&end)? + end.len();
        Some((start, stop))
    });
    match found {
        Some((start, stop)) => format!("{}{section}{}", &text[..start], &text[stop..]),
        None if text.trim().is_empty() => format!("{section}\n"),
        None => format!("{}\n\n{section}\n", text.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = with_section("# Report\n", "my (run)", "one\n");
        assert_eq!(
            first,
            "# Report\n\n[//]: # (tensorboard my run: begin)\n\none\n\n[//]: # (tensorboard my run: end)\n"
        );
        let more = first.clone() + "\nmore\n";
        let second = with_section(&more, "my (run)", "two");
        assert_eq!(second, more.replace("one", "two"));
        let other = with_section(&second, "", "three");
        assert!(other.starts_with(&second) && other.ends_with("three\n\n[//]: # (tensorboard: end)\n"), "{other}");
    }
}
