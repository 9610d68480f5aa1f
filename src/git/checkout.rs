//! Which repository git is asked about.

use crate::app::App;
use crate::ci;
use crate::error::Result;
use crate::files::Files;
use std::path::{Path, PathBuf};

/// A working copy of git's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its folder; symbolic links resolved.
    pub top: PathBuf,
    /// Whether the CI names this very folder, so that it is trusted whoever owns it.
    pub named: bool,
}

impl Checkout {
    /// Returns the one to look at: that of the folder which the CI names; where none is named, the nearest around the
    /// current directory.
    pub fn for_reading(app: &App) -> Option<Self> {
        match named_folder(app) {
            Some(top) => has_git(app, &top).then_some(Checkout { top, named: true }),
            None => Checkout::around(app, &app.here().ok()?),
        }
    }

    /// Returns the nearest around a folder, not above the folder which the CI names.
    pub fn around(app: &App, folder: &Path) -> Option<Self> {
        let named = named_folder(app);
        let inside = named.as_deref().filter(|named| folder.starts_with(named));
        let mut folders = folder.ancestors().take_while(|folder| inside.is_none_or(|named| folder.starts_with(named)));
        let top = folders.find(|folder| has_git(app, folder))?.to_path_buf();
        Some(Checkout { named: named.as_ref() == Some(&top), top })
    }

    /// Returns whether somebody else than the CI put it below the folder that the CI names: an artifact may have
    /// brought it along.
    pub fn is_nested(&self, app: &App) -> bool {
        !self.named && named_folder(app).is_some_and(|named| self.top.starts_with(named))
    }

    /// Returns whether another user made it.
    pub fn is_foreign(&self, app: &App) -> bool {
        app.host.is_foreign(&self.top.join(".git")) || app.host.is_foreign(&self.top)
    }
}

impl App {
    /// Returns what opens the files that are posted or published.
    pub fn files(&self) -> Result<Files> {
        let files = Files::new(self.host.clone(), self.working_copy()?);
        Ok(match named_folder(self) {
            Some(folder) => files.wary_of(folder),
            None => files,
        })
    }

    /// Returns the folder whose files may be published: the working copy around the current directory, or else the
    /// current directory; symbolic links resolved. It is never above the folder that the CI names, nor another user's.
    pub fn working_copy(&self) -> Result<PathBuf> {
        let here = self.here()?;
        let found = Checkout::around(self, &here).filter(|checkout| checkout.named || !checkout.is_foreign(self));
        Ok(found.map_or(here, |checkout| checkout.top))
    }
}

/// Returns the folder that the CI names; symbolic links resolved.
fn named_folder(app: &App) -> Option<PathBuf> {
    let ci = ci::detect(app.env())?;
    app.host.canonicalize(Path::new(ci.workspace()?)).ok()
}

fn has_git(app: &App, folder: &Path) -> bool {
    app.host.stat(&folder.join(".git")).is_ok()
}

/// Returns the nearest folder around a file that git would take for a repository or a working copy of one.
/// <https://git-scm.com/docs/gitrepository-layout>
pub fn nearest(app: &App, file: &Path) -> Option<PathBuf> {
    let there = |folder: &Path, name: &str| app.host.stat(&folder.join(name)).is_ok();
    let is_bare = |folder: &Path| {
        there(folder, "HEAD") && (there(folder, "commondir") || (there(folder, "objects") && there(folder, "refs")))
    };
    file.ancestors().skip(1).find(|folder| has_git(app, folder) || is_bare(folder)).map(Path::to_path_buf)
}
