//! The project: the folder in which paths begin, as DVC sees it.

use crate::app::App;
use crate::command::report_args::expand;
use crate::dvc;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A project: the nearest folder with `.dvc`, or else the working copy.
pub struct Project {
    /// Its folder; symbolic links resolved.
    pub root: PathBuf,
    /// Its path from the top of the working copy, with `/` at the end unless it is empty.
    pub prefix: String,
    /// The current directory's path from the root.
    here: String,
}

/// Files that the command line names, from the root.
#[derive(Debug, Default)]
pub struct Targets {
    /// Files and folders.
    pub paths: Vec<String>,
    /// Patterns.
    pub patterns: Vec<String>,
    /// What the patterns match in the working copy.
    pub matches: Vec<String>,
}

impl Project {
    /// Finds the project around the current directory.
    pub fn find(app: &App) -> Result<Self> {
        let (here, top) = (app.here()?, app.working_copy()?);
        let folders = here.ancestors().take_while(|folder| folder.starts_with(&top));
        let dvc = folders.into_iter().find(|folder| app.host.list(&folder.join(".dvc")).is_ok());
        let root = dvc.unwrap_or(&top).to_path_buf();
        let prefix = slashes(root.strip_prefix(&top).unwrap_or(Path::new("")));
        let prefix = if prefix.is_empty() { prefix } else { prefix + "/" };
        Ok(Project { here: slashes(here.strip_prefix(&root).unwrap_or(Path::new(""))), root, prefix })
    }

    /// Returns the files that arguments name.
    ///
    /// # Errors
    /// One is outside of the project.
    pub fn targets(&self, app: &App, names: &[String]) -> Result<Targets> {
        let mut targets = Targets::default();
        for name in names {
            let path = self.path_of(name)?;
            let is_pattern = name.contains(['*', '?', '[', '{']) && app.host.stat(Path::new(name)).is_err();
            if !is_pattern {
                targets.paths.push(path);
                continue;
            }
            targets.patterns.push(path);
            // What matches nothing here may match in the other version.
            for found in expand(app, &app.files()?, Path::new(name)).unwrap_or_default() {
                targets.matches.push(self.path_of(&found.to_string_lossy())?);
            }
        }
        Ok(targets)
    }

    /// Returns the path from the root that a path from the current directory is.
    pub fn path_of(&self, name: &str) -> Result<String> {
        let absolute = Path::new(name).strip_prefix(&self.root).ok().filter(|_| Path::new(name).is_absolute());
        let name_ = absolute.map_or_else(|| name.replace('\\', "/"), slashes);
        let base = if absolute.is_some() { "" } else { &self.here };
        dvc::join(base, &name_).ok_or_else(|| {
            Error::usage(format!("{name} is outside of {}", self.root.display()))
                .hint("compare files of the project; a file from elsewhere can be the --base")
        })
    }

    /// Returns a path from the root as it is from the current directory.
    pub fn shown(&self, path: &str) -> String {
        let here: Vec<&str> = self.here.split('/').filter(|part| !part.is_empty()).collect();
        let parts: Vec<&str> = path.split('/').collect();
        let same = here.iter().zip(&parts).take_while(|(one, other)| one == other).count();
        let up = vec![".."; here.len() - same];
        up.into_iter().chain(parts[same..].iter().copied()).collect::<Vec<_>>().join("/")
    }
}

fn slashes(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_from_the_current_directory() {
        let project =
            |here: &str| Project { root: PathBuf::from("/work"), prefix: String::new(), here: here.to_owned() };
        for (here, name, path) in [
            ("", "m.json", "m.json"),
            ("", "a/m.json", "a/m.json"),
            ("a", "m.json", "a/m.json"),
            ("a", "../m.json", "m.json"),
            ("a/b", "../../c/m.json", "c/m.json"),
            ("a", "../ab/m.json", "ab/m.json"),
        ] {
            assert_eq!(project(here).path_of(name).unwrap(), path);
            assert_eq!(project(here).shown(path), name);
        }
        assert_eq!(project("a").path_of("/work/b/m.json").unwrap(), "b/m.json");
        assert!(project("a").path_of("../../m.json").is_err() && project("").path_of("/tmp/m.json").is_err());
    }
}
