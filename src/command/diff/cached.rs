//! Files that DVC keeps instead of git: found by their digest in the local cache.

use super::snapshot::Snapshot;
use crate::dvc::lock::{self, Object, Objects};
use crate::dvc::{self, cache};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The cache of a project, and what a version has in it.
pub struct Cached<'a> {
    snapshot: &'a Snapshot<'a>,
    /// Read when the first file is missing.
    objects: Option<Objects>,
}

impl<'a> Cached<'a> {
    /// Returns the cache for a version. Nothing is read yet.
    pub fn new(snapshot: &'a Snapshot<'a>) -> Self {
        Cached { snapshot, objects: None }
    }

    /// Reads a file, or all files of a folder; none if DVC does not know it.
    ///
    /// # Errors
    /// DVC knows it, and the cache does not have it.
    pub async fn read(&mut self, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        if self.objects.is_none() {
            self.objects = Some(objects(self.snapshot).await?);
        }
        let objects = self.objects.as_ref().into_iter().flatten();
        let around = |(known, _): &(&String, &Object)| *known == path || path.starts_with(&format!("{known}/"));
        let Some((known, object)) = objects.into_iter().find(around) else { return Ok(BTreeMap::new()) };
        if !object.is_folder() {
            let is_it = known == path;
            let content = if is_it { Some(self.content(path, object)?) } else { None };
            return Ok(content.map(|content| (path.to_owned(), content)).into_iter().collect());
        }
        let list = self.content(known, object)?;
        let entries = cache::entries(&list, object).map_err(|what| {
            Error::config(format!("the list of {known} in DVC's cache is broken: {what}"))
                .hint(format!("run `dvc pull --force {known}`"))
        })?;
        let mut found = BTreeMap::new();
        for (entry, object) in entries {
            let whole = format!("{known}/{entry}");
            if whole == path || whole.starts_with(&format!("{path}/")) {
                let content = self.content(&whole, &object)?;
                found.insert(whole, content);
            }
        }
        Ok(found)
    }

    fn content(&self, path: &str, object: &Object) -> Result<Vec<u8>> {
        let file = self.folder()?.join(cache::path(object));
        self.snapshot.read_cache(&file)?.ok_or_else(|| {
            let place = self.snapshot.described();
            let hint = if self.snapshot.is_workspace() {
                format!("run `dvc pull {path}` first")
            } else {
                format!("run `dvc fetch --all-commits {path}` first; `dvc pull {path}` gets only the current version")
            };
            Error::config(format!("{path} of {place} is in neither git nor DVC's cache ({})", file.display()))
                .hint(hint)
        })
    }

    /// Returns the folder of the cache; that of `.dvc/config.local` goes before that of `.dvc/config`.
    fn folder(&self) -> Result<PathBuf> {
        let dvc = self.snapshot.project.root.join(".dvc");
        let mut folder = dvc.join(cache::FOLDER);
        for name in ["config", "config.local"] {
            let config = self.snapshot.read_cache(&dvc.join(name))?.unwrap_or_default();
            if let Some(configured) = cache::configured(&String::from_utf8_lossy(&config)) {
                folder = dvc.join(configured);
            }
        }
        Ok(folder)
    }
}

/// Returns what `dvc.lock` and `*.dvc` files of a version say.
async fn objects(snapshot: &Snapshot<'_>) -> Result<Objects> {
    let mut objects = Objects::new();
    for (path, declared) in snapshot.pipelines().await? {
        let lock = format!("{}.lock", path.trim_end_matches(".yaml"));
        if snapshot.has(&lock) {
            let bytes = snapshot.read(std::slice::from_ref(&lock)).await?.remove(&lock).unwrap_or_default();
            objects.extend(lock::outputs(&snapshot.yaml(&lock, &bytes)?, &declared.stages));
        }
    }
    let files = snapshot.find("*.dvc").await?;
    for (path, bytes) in snapshot.read(&files).await? {
        objects.extend(lock::of_file(&snapshot.yaml(&path, &bytes)?, dvc::folder(&path)));
    }
    Ok(objects)
}
