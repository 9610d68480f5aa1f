//! The metrics of a version, by file. Files that a pattern matches are runs of the same metrics: what `*` matched is the seed.

use crate::app::App;
use crate::command::diff::base::artifact::KeptFiles;
use crate::command::diff::gather::{self, Selection, explain};
use crate::command::diff::project::Project;
use crate::command::diff::snapshot::{LARGEST, Snapshot};
use crate::error::{Error, Result};
use crate::metrics::evaluation::{self, Evaluation};
use crate::metrics::history::Record;
use crate::metrics::mlflow;
use crate::metrics::statistics::Sample;
use std::collections::BTreeMap;
use std::path::Path;

/// The metrics of a version: by file or pattern, then by name.
pub type Groups = BTreeMap<String, BTreeMap<String, Measured>>;

/// What a version has of a metric, and where.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Its values.
    pub sample: Sample,
    /// Why examples failed, in the words of the tool.
    pub failures: BTreeMap<String, String>,
    /// The file from the root of the project, if there is one only, and the line.
    pub place: Option<(String, usize)>,
}

/// Reads the metrics of versions.
pub struct Samples<'a> {
    /// The project.
    pub project: &'a Project,
    /// The files.
    pub selection: &'a Selection<'a>,
}

impl Samples<'_> {
    /// Reads those of a version. `is_new` for the newer one, in which a file that is named has to exist.
    pub async fn read(&self, snapshot: &Snapshot<'_>, is_new: bool) -> Result<Groups> {
        self.of_files(gather::files(snapshot, self.selection, is_new).await?, &snapshot.described())
    }

    /// Reads those of an artifact. `seen` are files of the newer version, as [`KeptFiles::files`] takes them, and `now` are its metrics.
    pub fn of_artifact(&self, kept: &KeptFiles, seen: impl Iterator<Item = String>, now: &Groups) -> Result<Groups> {
        let counts = |path: &str| now.contains_key(&self.group(path).0);
        self.of_files(kept.files(self.project, seen, counts)?, &kept.described())
    }

    /// Reads those of files, whose place is named in errors.
    fn of_files(&self, files: BTreeMap<String, Vec<u8>>, place: &str) -> Result<Groups> {
        let mut groups = Groups::new();
        for (path, bytes) in files {
            let results = evaluation::read(&path, &bytes, self.selection.row);
            let results = results.map_err(|problem| explain(&path, place, problem))?;
            let (group, seed) = self.group(&path);
            add(groups.entry(group).or_default(), &seed, results, Some((&path, &bytes)));
        }
        Ok(groups)
    }

    /// Reads those of a file from elsewhere, for the only file that there is.
    pub fn of_file(&self, app: &App, path: &Path, now: &Groups) -> Result<Groups> {
        let shown = path.display().to_string();
        let [group] = now.keys().collect::<Vec<_>>()[..] else {
            let text = format!("the baseline {shown} is a file, but {} files are compared with it", now.len());
            return Err(Error::usage(text).hint("name one file to judge, or a revision as the baseline"));
        };
        let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST));
        let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read {shown}"), path))?;
        let results = evaluation::read(&shown, &bytes, self.selection.row);
        let mut metrics = BTreeMap::new();
        add(&mut metrics, "", results.map_err(|problem| explain(&shown, "--baseline", problem))?, None);
        Ok(Groups::from([(group.clone(), metrics)]))
    }

    /// Returns those that were recorded.
    pub fn of_record(&self, name: &str, record: &Record) -> Result<Groups> {
        let mut groups = Groups::new();
        for (path, value) in &record.metrics {
            let Some(path) = path.strip_prefix(&self.project.prefix) else { continue };
            let results = evaluation::of_value(value.clone()).map_err(|problem| explain(path, name, problem))?;
            let (group, seed) = self.group(path);
            add(groups.entry(group).or_default(), &seed, results, None);
        }
        Ok(groups)
    }

    /// Returns what a file is shown as, and its seed.
    fn group(&self, path: &str) -> (String, String) {
        let targets = self.selection.targets.as_ref();
        let pattern = targets.and_then(|targets| {
            let is_named = targets.paths.iter().any(|named| named == path);
            targets.patterns.iter().find(|pattern| !is_named && fast_glob::glob_match(*pattern, path))
        });
        match pattern {
            Some(pattern) => (self.project.shown(pattern), seed(pattern, path)),
            None => {
                let (path, seed) = mlflow::split_seed(path).unwrap_or((path, ""));
                (self.project.shown(path), seed.to_owned())
            }
        }
    }
}

/// Adds what a file says.
fn add(group: &mut BTreeMap<String, Measured>, seed: &str, evaluation: Evaluation, file: Option<(&str, &[u8])>) {
    let lines = file.map(|(_, bytes)| crate::metrics::yaml::lines::of_keys(&String::from_utf8_lossy(bytes)));
    for measure in evaluation.measures {
        let line = lines.as_ref().and_then(|lines| lines.get(&measure.name)).copied().unwrap_or(1);
        let Measured { sample, failures, place } = group.entry(measure.name).or_default();
        sample.runs.insert(seed.to_owned(), measure.value);
        let is_only = sample.runs.len() == 1;
        sample.standard_error = measure.standard_error.filter(|_| is_only);
        (sample.examples, *failures) = (BTreeMap::new(), BTreeMap::new());
        for example in measure.examples.into_iter().filter(|_| is_only) {
            if !example.passed {
                failures.insert(example.id.clone(), example.detail);
            }
            sample.examples.insert(example.id, example.passed);
        }
        *place = file.filter(|_| is_only).map(|(path, _)| (path.to_owned(), line));
    }
}

/// Returns what the part of a pattern from the first special character to the last one matched.
fn seed(pattern: &str, path: &str) -> String {
    let special = |c: char| "*?[]{}".contains(c);
    let (start, end) = (pattern.find(special).unwrap_or(0), pattern.rfind(special).map_or(0, |at| at + 1));
    let matched = path.get(start..path.len().saturating_sub(pattern.len() - end));
    matched.unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_matched_is_the_seed() {
        for (pattern, path, expected) in [
            ("seed-*/metrics.json", "seed-12/metrics.json", "12"),
            ("runs/*.json", "runs/é.json", "é"),
            ("{a,b}/m-[0-9].json", "a/m-3.json", "a/m-3"),
            ("**/m.json", "x/y/m.json", "x/y"),
        ] {
            assert_eq!(seed(pattern, path), expected, "{pattern}");
        }
    }
}
