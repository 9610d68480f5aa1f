//! Finding and reading event files: in pieces, and only what is new when read again.

use super::records::{self, Next};
use super::{Run, Taken};
use crate::files::{Files, Refusal};
use crate::host::Host;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// So many bytes are read at once.
const PIECE: usize = 1 << 20;
/// Folders are searched to this depth.
const DEPTH: usize = 32;

/// The logs under a folder, as far as they have been read.
pub struct Folder {
    root: PathBuf,
    runs: BTreeMap<String, RunFiles>,
}

/// A run and the files that it was read from, in order of their names, which begin with the time.
#[derive(Default)]
struct RunFiles {
    run: Run,
    files: BTreeMap<PathBuf, Progress>,
    /// Restarts that take back what was forgotten: file, offset and first step that is void.
    restarts: Vec<(PathBuf, u64, i64)>,
}

#[derive(Default, Clone, Copy)]
struct Progress {
    /// What has been read.
    offset: u64,
    /// Nothing more is read after a damage.
    damaged: bool,
}

/// What a look at the files showed.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whether there was anything new.
    pub changed: bool,
    /// What the user should know about files that could not be read to the end.
    pub warnings: Vec<String>,
}

impl Folder {
    /// Returns the logs under this folder, of which nothing has been read yet.
    pub fn new(root: &Path) -> Self {
        Folder { root: root.to_owned(), runs: BTreeMap::new() }
    }

    /// Returns the runs by name.
    pub fn runs(&self) -> impl Iterator<Item = (&str, &Run)> {
        self.runs.iter().map(|(name, run)| (name.as_str(), &run.run))
    }

    /// Reads what is new. An error when the folder itself cannot be listed.
    pub fn read(&mut self, host: &dyn Host, files: &Files) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let mut found = Vec::new();
        let entries = host.list(&self.root)?;
        if !files.may_search(&self.root) {
            return Err(io::Error::other(Refusal::Outside.to_string()));
        }
        collect((host, files), &self.root, entries, &mut HashSet::new(), DEPTH, &mut found);
        found.sort();
        for path in found {
            let inside = path.parent().and_then(|folder| folder.strip_prefix(&self.root).ok()).unwrap_or(Path::new(""));
            let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
            let name = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
            self.runs.entry(name).or_default().files.entry(path).or_default();
        }
        for run in self.runs.values_mut() {
            run.read(host, files, &mut seen);
        }
        Ok(seen)
    }
}

/// The event files among entries of a folder and below. Links are followed, each folder once, as far as they may be.
fn collect(
    (host, files): (&dyn Host, &Files),
    folder: &Path,
    entries: Vec<PathBuf>,
    known: &mut HashSet<PathBuf>,
    depth: usize,
    found: &mut Vec<PathBuf>,
) {
    let real = host.canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    if depth == 0 || !known.insert(real) {
        return;
    }
    for path in entries {
        match host.stat(&path) {
            Ok(stat) if stat.is_file && is_event_file(&path) => found.push(path),
            Ok(stat) if !stat.is_file && files.may_search(&path) => {
                if let Ok(entries) = host.list(&path) {
                    collect((host, files), &path, entries, known, depth - 1, found);
                }
            }
            _ => {}
        }
    }
}

/// Returns the rule of TensorBoard.
fn is_event_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains("tfevents") && !name.ends_with(".profile-empty")
}

impl RunFiles {
    fn read(&mut self, host: &dyn Host, opener: &Files, seen: &mut Seen) {
        // A restart that takes back what was forgotten makes everything be read again; each does so once.
        let mut warnings = Vec::new();
        while !self.pass(host, opener, &mut seen.changed, &mut warnings) {
            self.run = Run::default();
            self.files.values_mut().for_each(|progress| *progress = Progress::default());
            warnings.clear();
        }
        seen.warnings.append(&mut warnings);
    }

    /// Reads all files on. `false` when they are to be read from the beginning.
    fn pass(&mut self, host: &dyn Host, opener: &Files, changed: &mut bool, warnings: &mut Vec<String>) -> bool {
        let RunFiles { run, files, restarts } = self;
        for (path, progress) in files.iter_mut().filter(|(_, progress)| !progress.damaged) {
            let size = match host.stat(path) {
                Ok(stat) => stat.len,
                Err(_) if progress.offset == 0 => continue,
                // Deleted: what it said remains.
                Err(_) => progress.offset,
            };
            if size < progress.offset {
                // Written anew under the same name.
                *changed = true;
                return false;
            }
            let before = progress.offset;
            let end = if size > before { read_on(opener, path, progress, run, restarts) } else { End::Here };
            *changed |= progress.offset != before;
            let shown = path.display();
            match end {
                End::Here => {}
                End::Again => return false,
                End::Damaged(what) => {
                    progress.damaged = true;
                    warnings.push(format!(
                        "{shown} is damaged at byte {}: {what}; what follows in it is left out",
                        progress.offset
                    ));
                }
                End::Unreadable(error) => warnings.push(format!("{shown} cannot be read ({error})")),
            }
        }
        true
    }
}

/// Why reading a file ended.
enum End {
    /// There are no more whole records.
    Here,
    /// The run has to be read again, from the beginning.
    Again,
    Damaged(&'static str),
    Unreadable(Refusal),
}

fn read_on(
    opener: &Files,
    path: &Path,
    progress: &mut Progress,
    run: &mut Run,
    restarts: &mut Vec<(PathBuf, u64, i64)>,
) -> End {
    let file = match opener.found_in_named(path) {
        Ok(file) => file,
        Err(refusal) => return End::Unreadable(refusal),
    };
    // What has been read from `progress.offset` on; the records before `used` are done.
    let (mut bytes, mut used) = (Vec::new(), 0);
    loop {
        match records::next(&bytes[used..]) {
            Next::Damaged(what) => return End::Damaged(what),
            Next::Needs(size) => {
                bytes.drain(..used);
                used = 0;
                let wanted = PIECE.max(size - bytes.len());
                match file.read_at(progress.offset + bytes.len() as u64, wanted) {
                    Ok(more) if more.is_empty() => return End::Here,
                    Ok(more) => bytes.extend(more),
                    Err(error) => return End::Unreadable(error.into()),
                }
            }
            Next::Large(size) => {
                // Not before it is all there.
                let Some(end) = progress.offset.checked_add(size).filter(|end| file.len() >= *end) else {
                    return End::Here;
                };
                *progress = Progress { offset: end, damaged: false };
                (bytes, used) = (Vec::new(), 0);
            }
            Next::Record(data, size) => {
                let here = (path, progress.offset);
                let later = restarts.iter().filter(|(file, at, _)| (file.as_path(), *at) > here);
                let void = later.map(|(_, _, step)| *step).min();
                match run.record(data, void) {
                    Taken::Yes => {}
                    Taken::NotAnEvent => return End::Damaged("a record is no event"),
                    Taken::Restart(step) => {
                        restarts.push((path.to_owned(), progress.offset, step));
                        return End::Again;
                    }
                }
                used += size;
                progress.offset += size as u64;
            }
        }
    }
}
