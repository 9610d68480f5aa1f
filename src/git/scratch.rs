//! Files of our own in git's folder, for the time of a commit.

use super::{folder, slashes};
use crate::app::App;
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

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
        let name = format!("cml-{:016x}", app.host.random());
        Ok(Scratch { app, index: folder.join(format!("{name}.index")), list: folder.join(format!("{name}.list")) })
    }

    /// Where the index is.
    pub fn index(&self) -> String {
        slashes(&self.index)
    }

    /// Those of some paths that the index has. `hash` is how many bytes a commit's name has.
    pub fn known(&self, paths: &[Vec<u8>], hash: usize) -> Result<Vec<Vec<u8>>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let index = self.app.host.read(&self.index);
        let index = index.map_err(|e| Error::config(format!("cannot read in git's folder ({e})")))?;
        let known = names(&index, hash).ok_or_else(|| Error::internal("git's index has another form"))?;
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

/// The paths in an index of version 2. <https://git-scm.com/docs/gitformat-index#_index_entry>
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
        for path in [&self.index, &self.list] {
            let _ = self.app.host.remove(path);
        }
    }
}
