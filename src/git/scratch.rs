//! Files of our own in git's folder, for the time of a commit.

use super::{folder, slashes};
use crate::app::App;
use crate::digest::hash;
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An index and a list of files; both are gone when it is dropped.
pub struct Scratch<'a> {
    app: &'a App,
    index: PathBuf,
    list: PathBuf,
}

impl<'a> Scratch<'a> {
    /// Names for the files of a working copy.
    pub fn new(app: &'a App, top: &Path) -> Result<Self> {
        let folder = folder(app, top)?;
        let name = name(app);
        Ok(Scratch { app, index: folder.join(format!("{name}.index")), list: folder.join(format!("{name}.list")) })
    }

    /// Returns where the index is.
    pub fn index(&self) -> String {
        slashes(&self.index)
    }

    /// Those of some paths that the index has. `hash` is how many bytes a commit's name has.
    pub fn known(&self, paths: &[Vec<u8>], hash: usize) -> Result<Vec<Vec<u8>>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let index = self.app.host.read(&self.index);
        let index = index.map_err(|e| Error::config(format!("cannot read git's folder ({e})")))?;
        let known = names(&index, hash).ok_or_else(|| Error::internal("unknown format of git's index"))?;
        Ok(paths.iter().filter(|path| known.contains(path.as_slice())).cloned().collect())
    }

    /// Writes paths down, and says where.
    pub fn list(&self, paths: &[Vec<u8>]) -> Result<String> {
        let bytes = paths.join(&0);
        self.app
            .host
            .write(&self.list, &bytes)
            .map_err(|e| Error::config(format!("cannot write to git's folder ({e})")))?;
        Ok(slashes(&self.list))
    }
}

/// The beginning of the names of our files.
const PREFIX: &str = "cml-";
const ENDINGS: [&str; 4] = [".index", ".index.lock", ".list", ".pem"];
/// No run is as long as this: see `--timeout`.
const OLD: Duration = Duration::from_secs(2 * 86_400);

/// Returns a name for files of this run, by which the next one knows whether it has ended: the machine, the process,
/// and something random.
pub fn name(app: &App) -> String {
    format!("{PREFIX}{}-{}-{:016x}", machine(app), app.host.process_id(), app.host.random())
}

/// Returns what tells this machine, or container, from others in which the numbers of processes mean something else.
fn machine(app: &App) -> String {
    let name =
        ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|file| app.host.read(Path::new(file)).ok());
    hash(&name.unwrap_or_default())[..8].to_owned()
}

/// Removes what runs left that were killed.
pub fn tidy(app: &App, folder: &Path) {
    let machine = machine(app);
    for path in app.host.list(folder).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_ours(&name) && is_left(app, &machine, &path, &name) {
            let _ = app.host.remove(&path);
        }
    }
}

fn is_ours(name: &str) -> bool {
    // The second is what `Host::write` renames.
    let is_half_written = name.strip_prefix(".cml-").is_some_and(|rest| rest.len() == 16);
    (name.starts_with(PREFIX) && ENDINGS.iter().any(|ending| name.ends_with(ending))) || is_half_written
}

/// Returns whether the run that made a file has ended.
fn is_left(app: &App, machine: &str, path: &Path, name: &str) -> bool {
    let mut parts = name.strip_prefix(PREFIX).unwrap_or_default().split('-');
    let process = (parts.next() == Some(machine)).then(|| parts.next()?.parse::<u32>().ok()).flatten();
    match process {
        Some(process) => process == app.host.process_id() || !app.host.is_running(process),
        None => {
            let changed = app.host.stat(path).map_or(0, |stat| stat.modified);
            app.host.now().saturating_sub(Duration::from_nanos(u64::try_from(changed).unwrap_or(0))) > OLD
        }
    }
}

/// Returns the paths in an index of version 2. <https://git-scm.com/docs/gitformat-index#_index_entry>
fn names(index: &[u8], hash: usize) -> Option<HashSet<&[u8]>> {
    let rest = index.strip_prefix(b"DIRC\0\0\0\x02")?;
    let count = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    let mut entries = rest.get(4..)?;
    let mut found = HashSet::new();
    for _ in 0..count {
        // What the file system says of the file, its hash, and flags.
        let path = entries.get(40 + hash + 2..)?;
        let end = path.iter().position(|byte| *byte == 0)?;
        found.insert(&path[..end]);
        // At least one zero, up to a multiple of eight bytes.
        entries = entries.get((40 + hash + 2 + end + 8) & !7..)?;
    }
    Some(found)
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        // git's lock is there where git was killed.
        for path in [&self.index, &self.list, &self.index.with_extension("index.lock")] {
            let _ = self.app.host.remove(path);
        }
    }
}
