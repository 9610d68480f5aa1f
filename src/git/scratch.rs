//! Files of our own in git's folder, for the time of a commit.

use super::{folder, slashes};
use crate::app::App;
use crate::error::{Error, Result};
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

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        for path in [&self.index, &self.list] {
            let _ = self.app.host.remove(path);
        }
    }
}
