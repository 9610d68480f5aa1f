//! The report that a command is given: Markdown files, glob patterns, standard input, a text.

use super::publish_args::PublishArgs;
use super::report::{self, Written};
use crate::app::App;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::files::{self, Files, LARGEST_REPORT};
use crate::publish;
use crate::report::decode::decode;
use crate::report::source::{self, Source};
use clap::Args;
use std::path::{Component, Path, PathBuf};

/// A pattern that leads to more entries than this is a mistake.
const MAX_ENTRIES: usize = 10_000;

/// What stands for the path of a text that the command line gives.
const MESSAGE: &str = "--message";

/// The name that stands for the report of `cml report create`.
const AUTO: &str = "auto";

/// The report of a command.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Markdown files or glob patterns, joined in this order; - for standard input, auto for what `cml report create` writes
    #[arg(id = "report", value_name = "REPORT", required_unless_present = "message")]
    pub files: Vec<PathBuf>,
    /// Markdown text to publish, above the files if there are any
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// What stands for [`AUTO`].
    #[arg(skip)]
    pub written: Option<Written>,
}

impl ReportArgs {
    /// Writes the report that the name `auto` stands for, if it is among the files and no file is called so.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn write(&self, app: &App, global: &Global, publish_args: &PublishArgs) -> Result<Self> {
        let is_auto = self.has_auto() && app.host.stat(Path::new(AUTO)).is_err();
        let written = if is_auto { Some(report::compose(app, global, publish_args).await?) } else { None };
        Ok(ReportArgs { written, ..self.clone() })
    }

    /// Returns how writing what stands for [`AUTO`] ended.
    ///
    /// # Errors
    /// Something is missing in it.
    pub fn outcome(&self) -> Result<()> {
        self.written.as_ref().map_or(Ok(()), Written::outcome)
    }

    /// Whether the name `auto` is among the files.
    pub fn has_auto(&self) -> bool {
        self.files.iter().any(|path| path.as_os_str() == AUTO)
    }

    /// Whether standard input is part of the report.
    pub fn is_stdin(&self) -> bool {
        self.files.iter().any(|path| files::is_stdin(path))
    }

    /// Returns the report's name for messages.
    pub fn shown(&self) -> String {
        match &self.files[..] {
            [] => MESSAGE.to_owned(),
            paths => paths.iter().map(|path| files::shown(path)).collect::<Vec<_>>().join(", "),
        }
    }

    /// Returns the files, with every pattern replaced by what it matches, sorted.
    ///
    /// # Errors
    /// A pattern matches no file.
    pub fn paths(&self, app: &App) -> Result<Vec<PathBuf>> {
        let opener = app.files()?;
        let expanded = self.files.iter().map(|path| expand(app, &opener, path));
        Ok(expanded.collect::<Result<Vec<_>>>()?.concat())
    }

    /// Reads the report.
    ///
    /// # Errors
    /// A file cannot be read, is not a report, or contains a secret.
    pub fn read(&self, app: &App) -> Result<Vec<Source>> {
        self.read_files(app, &self.paths(app)?)
    }

    /// Reads the report from the files that [`ReportArgs::paths`] returned.
    ///
    /// # Errors
    /// As of [`ReportArgs::read`].
    pub fn read_files(&self, app: &App, paths: &[PathBuf]) -> Result<Vec<Source>> {
        if paths.iter().filter(|path| files::is_stdin(path)).count() > 1 {
            return Err(Error::usage("standard input (-) is given twice").hint("name it once"));
        }
        let mut sources = Vec::new();
        if let Some(text) = &self.message {
            sources.push(Source { path: PathBuf::from(MESSAGE), text: clean(app, MESSAGE, text.as_bytes())? });
        }
        for path in paths {
            let text = match &self.written {
                Some(written) if path.as_os_str() == AUTO => clean(app, AUTO, written.text.as_bytes())?,
                _ => read(app, path)?,
            };
            sources.push(Source { path: path.clone(), text });
        }
        Ok(source::isolated(sources))
    }
}

/// Warns about empty files (an error where the command is `strict`): usually the step that writes them went wrong.
pub fn warn_if_empty(app: &App, sources: &[Source], strict: bool) -> Result<()> {
    for source in sources.iter().filter(|source| source.text.trim().is_empty()) {
        let empty = Error::config(format!("the report {} is empty", files::shown(&source.path)))
            .hint("check the step that writes it");
        if strict {
            return Err(empty);
        }
        app.log.warn_of(&empty.to_string(), empty.hint_text());
    }
    Ok(())
}

/// Returns the text of a report's file.
fn read(app: &App, path: &Path) -> Result<String> {
    let shown = files::shown(path);
    let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST_REPORT));
    let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read the report {shown}"), path))?;
    if let Some(what) = publish::not_a_report(path, &bytes) {
        return Err(what);
    }
    clean(app, &shown, &bytes)
}

/// Returns a report's text in the form that every forge accepts.
fn clean(app: &App, shown: &str, bytes: &[u8]) -> Result<String> {
    let text =
        decode(bytes).map_err(|wrong| Error::config(format!("the report {shown} {wrong}")).hint(wrong.hint()))?;
    // What was taken out may have stood in the middle of a secret.
    app.log.check(shown, text.as_bytes())?;
    Ok(text)
}

/// Returns the files that a path means: itself, or what it matches as a pattern. A shell does that too, but not on Windows,
/// in quotes, or in an input of a workflow.
pub(super) fn expand(app: &App, opener: &Files, path: &Path) -> Result<Vec<PathBuf>> {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[', '{']);
    if !is_pattern || app.host.stat(path).is_ok() {
        return Ok(vec![path.to_owned()]);
    }
    let mut search = Search { app, opener, left: MAX_ENTRIES };
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        found = search.step(found, component)?;
    }
    found.retain(|path| app.host.stat(path).is_ok_and(|stat| stat.is_file));
    found.sort();
    if found.is_empty() {
        return Err(Error::config(format!("no file matches {}", path.display()))
            .hint("check the pattern: it is relative to the current directory"));
    }
    Ok(found)
}

struct Search<'a> {
    app: &'a App,
    opener: &'a Files,
    left: usize,
}

impl Search<'_> {
    /// Returns what lies one component further down a pattern.
    fn step(&mut self, folders: Vec<PathBuf>, component: Component) -> Result<Vec<PathBuf>> {
        let name = component.as_os_str().to_string_lossy();
        if name == "**" {
            return self.below(folders);
        }
        if !name.contains(['*', '?', '[', '{']) {
            return Ok(folders.into_iter().map(|folder| folder.join(component)).collect());
        }
        let mut found = Vec::new();
        for folder in folders {
            let entries = self.entries(&folder)?.into_iter();
            found.extend(entries.filter(|entry| matches(&name, entry)).map(|entry| folder.join(entry)));
        }
        Ok(found)
    }

    /// Returns the folders and all that are in them, without links, which may lead in circles.
    fn below(&mut self, mut folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
        let mut at = 0;
        while let Some(folder) = folders.get(at).cloned() {
            at += 1;
            for entry in self.entries(&folder)?.iter().filter(|entry| !entry.starts_with('.')) {
                let path = folder.join(entry);
                let is_folder = self.app.host.stat(&path).is_ok_and(|stat| !stat.is_file);
                if is_folder && self.app.host.read_link(&path).is_err() {
                    folders.push(path);
                }
            }
        }
        Ok(folders)
    }

    fn entries(&mut self, folder: &Path) -> Result<Vec<String>> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !self.opener.may_search(folder) {
            return Ok(Vec::new());
        }
        let entries = self.app.host.list(folder).unwrap_or_default();
        self.left = self.left.checked_sub(entries.len()).ok_or_else(|| {
            Error::usage(format!("a pattern leads to more than {MAX_ENTRIES} files"))
                .hint("name the folder of the reports")
        })?;
        Ok(entries.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }
}

/// Whether a name matches a component of a pattern, as in shells: hidden files have to be asked for.
fn matches(pattern: &str, name: &str) -> bool {
    (pattern.starts_with('.') || !name.starts_with('.')) && fast_glob::glob_match(pattern, name)
}
