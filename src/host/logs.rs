//! The log files of a supervised program, in a folder beside it.

use super::Host;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// GitHub's listener begins another file after 8 MB (`HostContext.cs`).
const LARGEST: u64 = 64 << 20;

/// Where such logs are and where they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Their folder.
    pub folder: PathBuf,
    /// What was in it before the program; `None` where the folder was not there.
    pub old: Option<Vec<PathBuf>>,
    /// The folder to copy them to; without one they are only removed.
    pub to: Option<PathBuf>,
}

impl Logs {
    /// Moves the new logs out of their folder, and removes the folder if it was not there before. Returns whether there
    /// were logs to keep.
    pub fn collect(&self, host: &dyn Host) -> io::Result<bool> {
        let is_new = |path: &PathBuf| !self.old.as_ref().is_some_and(|old| old.contains(path));
        let new: Vec<PathBuf> = host.list(&self.folder).unwrap_or_default().into_iter().filter(is_new).collect();
        let kept = self.to.as_ref().map_or(Ok(false), |to| keep(host, &new, to));
        for path in new {
            if host.remove(&path).is_err() {
                let _ = host.remove_folder(&path);
            }
        }
        if self.old.is_none() {
            let _ = host.remove_folder(&self.folder);
        }
        kept
    }
}

/// Copies files into a folder that only this user can read: they may tell more than the job's own log.
fn keep(host: &dyn Host, files: &[PathBuf], to: &Path) -> io::Result<bool> {
    // A job may have put something else there: a link, a pipe, a huge file.
    let is_log = |path: &&PathBuf| {
        let is_whole = host.stat(path).is_ok_and(|stat| stat.is_file && stat.len <= LARGEST);
        is_whole && host.read_link(path).is_err() && path.extension().is_some_and(|kind| kind == "log")
    };
    let logs: Vec<&PathBuf> = files.iter().filter(is_log).collect();
    if logs.is_empty() {
        return Ok(false);
    }
    host.make_private_folder(to)?;
    for path in logs {
        if let Some(name) = path.file_name() {
            host.write_private(&to.join(name), &host.read(path)?)?;
        }
    }
    Ok(true)
}
