//! What git-lfs's hook does at a push: as no hook runs, this asks git-lfs itself.

use super::Access::{Read, Transfer};
use super::{Git, Status};
use crate::error::Result;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Git<'_> {
    /// Sends the large files of a commit to where git-lfs keeps them, if the repository uses it.
    /// <https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-push.adoc>
    pub(super) async fn push_large_files(&self, remote: &str, commit: &str, status: &Status) -> Result<()> {
        if !self.marks_large_files(status)? {
            return Ok(());
        }
        let configured = ["config", "--get-regexp", r"^filter\.lfs\.(process|clean)$"];
        if self.output(Read, &configured, &[]).await?.code != Some(0) {
            return Ok(());
        }
        self.run(Transfer, &["lfs", "push", remote, commit], &[]).await.map(drop)
    }

    /// Returns whether the attributes of changed files name git-lfs, or its hook is there.
    fn marks_large_files(&self, status: &Status) -> Result<bool> {
        let top = &self.checkout()?.top;
        let folder = super::folder(self.app, top)?;
        let paths: Vec<String> = status.changed.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        let folders: BTreeSet<&Path> = paths.iter().flat_map(|path| Path::new(path).ancestors().skip(1)).collect();
        let attributes = folders.into_iter().map(|folder| top.join(folder).join(".gitattributes"));
        let more: [PathBuf; 3] =
            [top.join(".gitattributes"), folder.join("info/attributes"), folder.join("hooks/pre-push")];
        Ok(attributes.chain(more).any(|file| {
            let text = self.app.host.read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            text.contains("filter=lfs") || text.contains("git lfs pre-push")
        }))
    }
}
