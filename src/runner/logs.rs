//! The logs that a runner program keeps of itself, in a folder beside it.

use crate::app::App;
use std::path::{Path, PathBuf};

/// The listener begins another file after 8 MB (`HostContext.cs`).
const LARGEST: u64 = 64 << 20;

/// Takes the logs that are not among the `old` ones out of their folder, into the folder `to` where there is one. The
/// folder goes, too, where it was not there before.
pub fn collect(app: &App, folder: &Path, old: Option<&[PathBuf]>, to: Option<&Path>) {
    let is_new = |path: &PathBuf| !old.is_some_and(|old| old.contains(path));
    let new: Vec<PathBuf> = app.host.list(folder).unwrap_or_default().into_iter().filter(is_new).collect();
    if let Some(to) = to {
        keep(app, &new, to);
    }
    for path in new {
        if app.host.remove(&path).is_err() {
            let _ = app.host.remove_folder(&path);
        }
    }
    if old.is_none() {
        let _ = app.host.remove_folder(folder);
    }
}

/// Copies files into a folder that only this user can read: they may tell more than the job's own log.
fn keep(app: &App, files: &[PathBuf], to: &Path) {
    let copy = |path: &PathBuf| {
        let Some(name) = path.file_name() else { return Ok(()) };
        app.host.write_private(&to.join(name), &app.host.read(path)?)
    };
    // What a job put there is no log: a link, a pipe, a file without end.
    let is_log = |path: &&PathBuf| {
        let is_whole = app.host.stat(path).is_ok_and(|stat| stat.is_file && stat.len <= LARGEST);
        is_whole && app.host.read_link(path).is_err() && path.extension().is_some_and(|kind| kind == "log")
    };
    let mut logs = files.iter().filter(is_log).peekable();
    if logs.peek().is_none() {
        return app.log.warn("the runner program left no logs to keep");
    }
    match app.host.make_private_folder(to).and_then(|()| logs.try_for_each(copy)) {
        Ok(()) => app.log.info(&format!("the runner program's logs are in {}", to.display())),
        Err(error) => app.log.warn(&format!("cannot keep the runner program's logs in {} ({error})", to.display())),
    }
}
