//! Files that DVC keeps instead of git: found by their digest in the local cache, or else in the remote.

use super::remote;
use super::snapshot::Snapshot;
use crate::dvc::config::Config;
use crate::dvc::lock::{self, Object, Objects};
use crate::dvc::{self, cache};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// The cache of a project, and what a version has in it.
pub struct Cached<'a> {
    snapshot: &'a Snapshot<'a>,
    /// Read when the first file is missing.
    objects: Option<Objects>,
    config: Config,
    google: remote::Google,
}

impl<'a> Cached<'a> {
    /// Returns the cache for a version. Nothing is read yet.
    pub fn new(snapshot: &'a Snapshot<'a>) -> Self {
        Cached { snapshot, objects: None, config: Config::default(), google: remote::Google::default() }
    }

    /// Reads a file, or all files of a folder; none if DVC does not know it.
    ///
    /// # Errors
    /// DVC knows it, and the cache does not have it.
    pub async fn read(&mut self, path: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        if self.objects.is_none() {
            self.objects = Some(objects(self.snapshot).await?);
            self.config = config(self.snapshot)?;
        }
        let objects = self.objects.as_ref().into_iter().flatten();
        let around = |(known, _): &(&String, &Object)| *known == path || path.starts_with(&format!("{known}/"));
        let Some((known, object)) = objects.into_iter().find(around) else { return Ok(BTreeMap::new()) };
        if !object.is_folder() {
            let is_it = known == path;
            let content = if is_it { Some(self.content(path, object).await?) } else { None };
            return Ok(content.map(|content| (path.to_owned(), content)).into_iter().collect());
        }
        let list = self.content(known, object).await?;
        let entries = cache::entries(&list, object).map_err(|what| {
            Error::config(format!("the list of {known} in DVC's cache is broken: {what}"))
                .hint(format!("run `dvc pull --force {known}`"))
        })?;
        let mut found = BTreeMap::new();
        for (entry, object) in entries {
            let whole = format!("{known}/{entry}");
            if whole == path || whole.starts_with(&format!("{path}/")) {
                let content = self.content(&whole, &object).await?;
                found.insert(whole, content);
            }
        }
        Ok(found)
    }

    async fn content(&self, path: &str, object: &Object) -> Result<Vec<u8>> {
        let (snapshot, config) = (self.snapshot, &self.config);
        let folder = snapshot.project.root.join(".dvc");
        let file = folder.join(config.cache_folder().unwrap_or(cache::FOLDER)).join(cache::path(object));
        if let Some(bytes) = snapshot.read_cache(&file)? {
            return Ok(bytes);
        }
        let place = snapshot.described();
        let hint = if snapshot.is_workspace() {
            format!("run `dvc pull {path}` first")
        } else {
            format!("run `dvc fetch --all-commits {path}` first; `dvc pull {path}` gets only the current version")
        };
        let places = match remote::find(config, object) {
            None => format!("neither git nor DVC's cache ({})", file.display()),
            Some(remote) => {
                let read = remote.read(snapshot, config, object, &self.google).await;
                let read = read.map_err(|error| {
                    error.context(format!("cannot read {path} of {place} from DVC's {remote}")).or_hint(&hint)
                })?;
                match read {
                    Some(bytes) => return Ok(bytes),
                    None => format!("neither git, DVC's cache ({}), nor its {remote}", file.display()),
                }
            }
        };
        Err(Error::config(format!("{path} of {place} is in {places}")).hint(hint))
    }
}

/// Returns the configuration of a project; that of `.dvc/config.local` goes before that of `.dvc/config`.
fn config(snapshot: &Snapshot<'_>) -> Result<Config> {
    let mut config = Config::default();
    for name in ["config", "config.local"] {
        let path = snapshot.project.root.join(".dvc").join(name);
        let text = snapshot.read_cache(&path)?.unwrap_or_default();
        config.add(&String::from_utf8_lossy(&text));
    }
    Ok(config)
}

/// Returns what `dvc.lock` and `*.dvc` files of a version say.
pub async fn objects(snapshot: &Snapshot<'_>) -> Result<Objects> {
    let mut objects = Objects::new();
    for (path, declared) in &*snapshot.pipelines().await? {
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
