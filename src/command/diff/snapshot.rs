//! The files of a version of the project: of the working copy, or of a commit.

use super::WORKSPACE;
use super::base::Named;
use super::project::Project;
use crate::app::App;
use crate::dvc;
use crate::error::{Error, Result};
use crate::files::Refusal;
use crate::git::Git;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

/// Larger files are not metrics.
pub const LARGEST: u64 = 32 << 20;
/// A folder of metrics with more files is a mistake.
const MAX_FILES: usize = 10_000;

/// A version of the project.
#[derive(Clone)]
pub enum Version {
    /// The files as they are.
    Workspace,
    /// Those of a commit.
    Commit(Named),
}

/// The files of a version.
pub struct Snapshot<'a> {
    pub app: &'a App,
    git: &'a Git<'a>,
    pub project: &'a Project,
    version: Version,
    /// Those of a commit, from the root of the project.
    files: BTreeSet<String>,
    /// What the forge calls their contents, where it has them and not the clone.
    ids: BTreeMap<String, String>,
    /// Files of a commit that are read along with the first, to start git once.
    expected: BTreeSet<String>,
    /// What was read of a commit.
    contents: RefCell<BTreeMap<String, Vec<u8>>>,
    /// When the commit was made, once something was read of it.
    time: Cell<u64>,
    /// The names of what was read.
    seen: RefCell<BTreeSet<String>>,
    /// The files of DVC's in the working copy.
    listed: RefCell<Option<Vec<String>>>,
    pipelines: RefCell<Option<Pipelines>>,
}

/// The `dvc.yaml` files of a version, with what they declare.
pub type Pipelines = Rc<Vec<(String, dvc::pipeline::Declared)>>;

/// Files of DVC's, as patterns of their names.
const DVC_FILES: [&str; 2] = [dvc::PIPELINE, "*.dvc"];

impl<'a> Snapshot<'a> {
    /// Lists the files.
    pub async fn open(app: &'a App, git: &'a Git<'a>, project: &'a Project, version: Version) -> Result<Self> {
        let (mut files, mut ids) = (BTreeSet::new(), BTreeMap::new());
        let inside = |path: &String| Some(path.strip_prefix(&project.prefix)?.to_owned());
        if let Version::Commit(named) = &version {
            if let Some(history) = named.forge.as_ref().and_then(|forge| forge.history()) {
                let all = history.files(&named.commit.sha).await?;
                ids = all.into_iter().filter_map(|(path, id)| Some((inside(&path)?, id))).collect();
                files = ids.keys().cloned().collect();
            } else {
                files = git.files_of(&named.commit.sha).await?.iter().filter_map(inside).collect();
            }
        }
        Ok(Snapshot {
            app,
            git,
            project,
            version,
            files,
            ids,
            expected: BTreeSet::new(),
            contents: RefCell::default(),
            time: Cell::default(),
            seen: RefCell::default(),
            listed: RefCell::default(),
            pipelines: RefCell::default(),
        })
    }

    /// Expects that those files are needed that were read of another version.
    #[must_use]
    pub fn expecting(self, other: &Snapshot<'_>) -> Self {
        let files = other.seen.borrow().intersection(&self.files).cloned().collect();
        Snapshot { expected: files, ..self }
    }

    /// Returns the paths of the files that were read, from the top of the working copy.
    pub fn seen(&self) -> impl Iterator<Item = String> {
        self.seen.borrow().iter().map(|path| format!("{}{path}", self.project.prefix)).collect::<Vec<_>>().into_iter()
    }

    /// Returns its name in tables.
    pub fn title(&self) -> &str {
        match &self.version {
            Version::Workspace => WORKSPACE,
            Version::Commit(named) => &named.name,
        }
    }

    /// Returns when the commit was made.
    pub async fn time(&self) -> Result<u64> {
        match &self.version {
            Version::Workspace => Ok(0),
            Version::Commit(named) if named.commit.time > 0 => Ok(named.commit.time),
            Version::Commit(_) if self.time.get() > 0 => Ok(self.time.get()),
            Version::Commit(named) => Ok(self.git.commit_of(&named.commit.sha).await?.map_or(0, |commit| commit.time)),
        }
    }

    /// Returns its name in messages.
    pub fn described(&self) -> String {
        match &self.version {
            Version::Workspace => "the working copy".to_owned(),
            Version::Commit(named) => named.described(),
        }
    }

    /// Returns whether it is the working copy.
    pub fn is_workspace(&self) -> bool {
        matches!(self.version, Version::Workspace)
    }

    /// Returns the files `dvc.yaml`, or `*.dvc`, of the project. Ignored files are left out.
    pub async fn find(&self, pattern: &str) -> Result<Vec<String>> {
        let fits = |path: &&String| fast_glob::glob_match(pattern, path.rsplit('/').next().unwrap_or_default());
        if let Version::Commit(_) = &self.version {
            return Ok(self.files.iter().filter(fits).cloned().collect());
        }
        if self.listed.borrow().is_none() {
            let found = if self.git.has_checkout() {
                self.git.working_files(&DVC_FILES).await?
            } else {
                vec![dvc::PIPELINE.to_owned()]
            };
            let inside = found.iter().filter_map(|path| Some(path.strip_prefix(&self.project.prefix)?.to_owned()));
            // What git has may be deleted in the working copy.
            *self.listed.borrow_mut() = Some(inside.filter(|path| self.has(path)).collect());
        }
        Ok(self.listed.borrow().iter().flatten().filter(fits).cloned().collect())
    }

    /// Returns whether there is a file.
    pub fn has(&self, path: &str) -> bool {
        match &self.version {
            Version::Workspace => self.app.host.stat(&self.at(path)).is_ok_and(|stat| stat.is_file),
            Version::Commit(_) => self.files.contains(path),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.project.root.join(path)
    }

    /// Returns the files in a folder, with those below; none if it is not a folder.
    pub fn below(&self, folder: &str) -> Result<Vec<String>> {
        if let Version::Commit(_) = &self.version {
            let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            return Ok(self.files.iter().filter(|path| path.starts_with(&start)).cloned().collect());
        }
        let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in self.app.host.list(&self.at(&folder)).unwrap_or_default() {
                let Some(name) = entry.file_name().map(|name| name.to_string_lossy().into_owned()) else { continue };
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                match self.app.host.stat(&entry) {
                    Ok(stat) if stat.is_file => found.push(path),
                    Ok(_) if self.app.host.read_link(&entry).is_err() => folders.push(path),
                    _ => {}
                }
            }
            if found.len() > MAX_FILES {
                return Err(Error::config(format!("the folder {folder} has more than {MAX_FILES} files"))
                    .hint("declare files as metrics, not folders of data"));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns the files that a pattern matches.
    pub fn matching(&self, pattern: &str) -> Vec<String> {
        self.files.iter().filter(|path| fast_glob::glob_match(pattern, path)).cloned().collect()
    }

    /// Reads files that there are.
    pub async fn read(&self, paths: &[String]) -> Result<BTreeMap<String, Vec<u8>>> {
        self.seen.borrow_mut().extend(paths.iter().cloned());
        let Version::Commit(named) = &self.version else {
            return paths.iter().map(|path| Ok((path.clone(), self.read_one(path)?))).collect();
        };
        let is_new = |path: &&String| !self.contents.borrow().contains_key(*path);
        if paths.iter().any(|path| is_new(&path)) {
            let wanted: BTreeSet<&String> = paths.iter().chain(&self.expected).filter(is_new).collect();
            let whole: Vec<String> = wanted.iter().map(|path| format!("{}{path}", self.project.prefix)).collect();
            let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
            let read = match named.forge.as_ref().and_then(|forge| forge.history()) {
                None => {
                    let (time, read) = self.git.read_files(&named.commit.sha, &whole).await?;
                    self.time.set(time);
                    read
                }
                Some(history) => {
                    let mut read = Vec::new();
                    for (path, whole) in wanted.iter().zip(whole) {
                        let id = self.ids.get(*path).map(String::as_str).unwrap_or_default();
                        read.push(history.read(&named.commit.sha, whole, id).await?);
                    }
                    read
                }
            };
            self.contents.borrow_mut().extend(wanted.into_iter().cloned().zip(read));
        }
        let contents = self.contents.borrow();
        Ok(paths.iter().filter_map(|path| Some((path.clone(), contents.get(path)?.clone()))).collect())
    }

    fn read_one(&self, path: &str) -> Result<Vec<u8>> {
        let whole = self.at(path);
        let bytes = self.app.files()?.found(&whole).and_then(|file| file.read(LARGEST));
        bytes.map_err(|refusal| refusal.error(format!("cannot read {path}"), &whole))
    }

    /// Reads a file that may be outside of the project, such as DVC's cache; `None` if it does not exist.
    pub fn read_cache(&self, path: &std::path::Path) -> Result<Option<Vec<u8>>> {
        match self.app.files()?.named(path).and_then(|file| file.read(LARGEST)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refusal::Unreadable(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(refusal) => Err(refusal.error(format!("cannot read {}", path.display()), path)),
        }
    }

    /// Returns the `dvc.yaml` files with what they declare.
    pub async fn pipelines(&self) -> Result<Pipelines> {
        if let Some(known) = &*self.pipelines.borrow() {
            return Ok(known.clone());
        }
        let pipelines = Rc::new(self.read_pipelines().await?);
        *self.pipelines.borrow_mut() = Some(pipelines.clone());
        Ok(pipelines)
    }

    async fn read_pipelines(&self) -> Result<Vec<(String, dvc::pipeline::Declared)>> {
        let paths = self.find(dvc::PIPELINE).await?;
        let contents = self.read(&paths).await?;
        let mut documents = Vec::new();
        let mut imports = BTreeSet::new();
        for (path, bytes) in contents {
            let document = self.yaml(&path, &bytes)?;
            if dvc::pipeline::has_templates(&String::from_utf8_lossy(&bytes)) {
                imports.extend(dvc::pipeline::imports(&path, &document));
            }
            documents.push((path, document));
        }
        let imports: Vec<String> = imports.into_iter().filter(|path| self.has(path)).collect();
        let contents = self.read(&imports).await?;
        let value = |(path, bytes): (String, Vec<u8>)| {
            Ok((path.clone(), super::gather::value(self, &path, &bytes, &Default::default())?))
        };
        let files = contents.into_iter().map(value).collect::<Result<dvc::pipeline::Files>>()?;
        let read = |(path, document): (String, crate::metrics::Value)| {
            let declared = dvc::pipeline::read(&path, &document, &files).map_err(|what| {
                Error::config(format!("cannot read {path} of {}: {what}", self.described()))
                    .hint("`dvc stage list` shows what DVC makes of it; or name the files to compare")
            })?;
            Ok((path, declared))
        };
        documents.into_iter().map(read).collect()
    }

    /// Parses a file of DVC's.
    pub fn yaml(&self, path: &str, bytes: &[u8]) -> Result<crate::metrics::Value> {
        super::gather::value(self, path, bytes, &Default::default())
    }
}
