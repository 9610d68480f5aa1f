//! The plots that are asked for.

use super::collected::{Collected, Found};
use crate::command::diff::project::Targets;
use crate::command::diff::snapshot::Snapshot;
use crate::dvc::plots::Definition;
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// The plots that are asked for, as they are typed and as paths; all if there are none.
#[derive(Default)]
pub struct Wanted(pub(super) Vec<(String, Targets)>);

impl Wanted {
    /// Returns whether a plot, or something in its folder, may be asked for.
    pub(super) fn may_have(&self, config: &str, definition: &Definition) -> bool {
        let id = &definition.id;
        let is_near = |path: &String| is_below(id, path) || is_below(path, id);
        let may = |(name, targets): &(String, Targets)| {
            let is_file = !targets.patterns.is_empty() || targets.paths.iter().any(is_near);
            is_called(config, id, name) || definition.is_path() && is_file
        };
        self.0.is_empty() || self.0.iter().any(may)
    }

    /// Returns whether a file of a plot is asked for.
    pub(super) fn has(&self, config: &str, definition: &Definition, file: &str) -> bool {
        let has = |(name, targets): &(String, Targets)| {
            is_called(config, &definition.id, name)
                || targets.paths.iter().any(|path| is_below(file, path))
                || targets.patterns.iter().any(|pattern| fast_glob::glob_match(pattern, file))
        };
        self.0.is_empty() || self.0.iter().any(has)
    }

    /// Returns the files of a version that are asked for, whether a plot has them or not.
    pub(super) fn files(&self, snapshot: &Snapshot<'_>) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for (_, targets) in &self.0 {
            for path in &targets.paths {
                files.extend(if snapshot.has(path) { vec![path.clone()] } else { snapshot.below(path)? });
            }
            for pattern in &targets.patterns {
                files.extend(if snapshot.is_workspace() {
                    targets.matches.clone()
                } else {
                    snapshot.matching(pattern)
                });
            }
        }
        Ok(files)
    }

    /// Fails with a name that no version has.
    pub(super) fn check(&self, versions: &[Collected]) -> Result<()> {
        let all = || versions.iter().flat_map(|version| &version.plots);
        for (name, targets) in &self.0 {
            let is_file = |file: &String| {
                targets.paths.iter().any(|path| is_below(file, path))
                    || targets.patterns.iter().any(|pattern| fast_glob::glob_match(pattern, file))
            };
            let is_it = |plot: &Found| is_called(&plot.config, &plot.id, name) || plot.files.iter().any(is_file);
            if all().any(is_it) {
                continue;
            }
            return Err(if targets.patterns.is_empty() {
                Error::config(format!("no plot or file is called {name}"))
                    .hint("name a file, or a plot as dvc.yaml calls it")
            } else {
                Error::config(format!("no file matches {name}"))
                    .hint("check the pattern: it is relative to the current directory")
            });
        }
        Ok(())
    }
}

/// Returns whether a plot has this name, with its `dvc.yaml` or without.
fn is_called(config: &str, id: &str, name: &str) -> bool {
    name == id || name.strip_suffix(id).is_some_and(|rest| rest.strip_suffix("::") == Some(config))
}

/// Returns whether a path is a folder, or in it.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.is_empty())
}
