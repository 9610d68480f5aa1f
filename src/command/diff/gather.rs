//! Finds the files that count in a version, and reads them.

use super::cached::Cached;
use super::project::Targets;
use super::snapshot::{Pipelines, Snapshot};
use crate::dvc::PARAMS;
use crate::dvc::params::{Tracked, select};
use crate::dvc::pipeline::Declared;
use crate::error::{Error, Result};
use crate::metrics::Value;
use crate::metrics::mlflow;
use crate::metrics::source::{self, Problem, Row};
use crate::metrics::table::Subject;
use std::collections::BTreeMap;

/// Files of metrics of a project that declares none.
const METRICS_FILES: [&str; 2] = ["metrics.json", "dvclive/metrics.json"];
/// Files of parameters of a project that declares none.
const PARAMS_FILES: [&str; 2] = [PARAMS, "dvclive/params.yaml"];

/// Which files count, and what of them.
pub struct Selection<'a> {
    pub subject: Subject,
    /// Those that the command line names.
    pub targets: Option<Targets>,
    /// Whether only parameters count that stages depend on.
    pub dependencies_only: bool,
    pub row: &'a Row,
}

/// A file or folder that counts.
#[derive(Default)]
struct Wanted {
    /// Keys of parameters; none for all.
    keys: Vec<String>,
    /// Why it counts.
    reason: Reason,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `dvc.yaml` declares it.
    #[default]
    Declared,
    /// The command line names it.
    Named,
}

/// Returns the values of all files that count. `is_new` for the newer version, in which a file that is named has to exist.
pub async fn gather(
    snapshot: &Snapshot<'_>,
    selection: &Selection<'_>,
    is_new: bool,
) -> Result<BTreeMap<String, Value>> {
    let pipelines = if selection.targets.is_some() { Pipelines::default() } else { snapshot.pipelines().await? };
    let wanted = wanted(snapshot, selection, &pipelines)?;
    let mut contents = contents(snapshot, &wanted, is_new).await?;
    if selection.subject == Subject::Metrics {
        contents = expand(snapshot, contents)?;
    }
    let mut values = BTreeMap::new();
    for (path, bytes) in contents {
        let value = value(snapshot, &path, &bytes, selection.row)?;
        let keys = wanted.get(&path).map(|wanted| wanted.keys.as_slice()).unwrap_or_default();
        let value = if selection.subject == Subject::Metrics { source::metrics(value) } else { select(value, keys) };
        values.insert(path, value);
    }
    if selection.targets.is_none() && selection.subject == Subject::Params {
        add_used(&pipelines, &mut values);
    }
    Ok(values)
}

/// Returns the contents of all files of metrics that count, as [`gather`] does with their values.
pub async fn files(
    snapshot: &Snapshot<'_>,
    selection: &Selection<'_>,
    is_new: bool,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let pipelines = if selection.targets.is_some() { Pipelines::default() } else { snapshot.pipelines().await? };
    expand(snapshot, contents(snapshot, &wanted(snapshot, selection, &pipelines)?, is_new).await?)
}

/// Puts files with the metrics of each run in the place of MLflow's.
fn expand(snapshot: &Snapshot<'_>, contents: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>> {
    mlflow::expand(contents).map_err(|(path, problem)| explain(&path, &snapshot.described(), problem))
}

async fn contents(
    snapshot: &Snapshot<'_>,
    wanted: &BTreeMap<String, Wanted>,
    is_new: bool,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut cached = Cached::new(snapshot);
    let (mut plain, mut contents) = (Vec::new(), BTreeMap::new());
    for (path, wanted) in wanted {
        if snapshot.has(path) {
            plain.push(path.clone());
            continue;
        }
        let below = snapshot.below(path)?;
        if !below.is_empty() {
            plain.extend(mlflow::select(below));
            continue;
        }
        let found = cached.read(path).await?;
        match (found.is_empty(), wanted.reason) {
            (false, _) => contents.extend(found),
            (true, Reason::Named) if !is_new => {
                snapshot.app.log.info(&format!("{path} does not exist in {}: all of it is new", snapshot.described()));
            }
            (true, reason) => return Err(missing(snapshot, path, reason)),
        }
    }
    plain.sort();
    plain.dedup();
    contents.extend(snapshot.read(&plain).await?);
    Ok(contents)
}

/// Returns the error for a file that is neither in a version nor known to DVC.
pub fn missing(snapshot: &Snapshot<'_>, path: &str, reason: Reason) -> Error {
    let place = snapshot.described();
    let is_declared = reason == Reason::Declared;
    let what = if is_declared { format!("{path}, which dvc.yaml declares,") } else { path.to_owned() };
    let hint = match (snapshot.is_workspace(), is_declared) {
        (true, true) => format!("run the step that writes it, or `dvc pull {path}`"),
        (true, false) => "check the path, and the step that writes it".to_owned(),
        (false, true) => format!("commit it, or run `dvc repro` and `dvc push` there, and `dvc pull {path}` here"),
        (false, false) => "check the path and the revision".to_owned(),
    };
    Error::config(format!("{what} does not exist in {place}")).hint(hint)
}

fn wanted(
    snapshot: &Snapshot<'_>,
    selection: &Selection<'_>,
    pipelines: &[(String, Declared)],
) -> Result<BTreeMap<String, Wanted>> {
    if let Some(targets) = &selection.targets {
        return named(snapshot, targets);
    }
    let mut wanted = BTreeMap::new();
    if selection.subject == Subject::Metrics {
        let declared = pipelines.iter().flat_map(|(_, declared)| &declared.metrics);
        wanted.extend(declared.map(|path| (path.clone(), Wanted::default())));
    } else {
        let mut tracked = Tracked::default();
        for (_, declared) in pipelines {
            tracked.extend(if selection.dependencies_only { &declared.dependencies } else { &declared.params });
        }
        if !selection.dependencies_only && snapshot.has(PARAMS) {
            tracked.add(PARAMS, &[]);
        }
        let one =
            |(path, keys): (&str, &[String])| (path.to_owned(), Wanted { keys: keys.to_vec(), ..Wanted::default() });
        wanted.extend(tracked.files().map(one));
    }
    let defaults = if selection.subject == Subject::Metrics { METRICS_FILES } else { PARAMS_FILES };
    if wanted.is_empty() && !selection.dependencies_only {
        let found = defaults.iter().filter(|path| snapshot.has(path));
        wanted.extend(found.map(|path| ((*path).to_owned(), Wanted::default())));
    }
    Ok(wanted)
}

/// Returns the files that the command line names.
fn named(snapshot: &Snapshot<'_>, targets: &Targets) -> Result<BTreeMap<String, Wanted>> {
    let mut paths = targets.paths.clone();
    for pattern in &targets.patterns {
        let found = if snapshot.is_workspace() { targets.matches.clone() } else { snapshot.matching(pattern) };
        if found.is_empty() && targets.matches.is_empty() {
            return Err(Error::config(format!("no file matches {pattern}"))
                .hint("check the pattern: it is relative to the current directory"));
        }
        paths.extend(found);
    }
    let wanted = |path| (path, Wanted { reason: Reason::Named, ..Wanted::default() });
    Ok(paths.into_iter().map(wanted).collect())
}

/// Adds what templates took from files that nothing else names.
fn add_used(pipelines: &[(String, Declared)], values: &mut BTreeMap<String, Value>) {
    let mut found: BTreeMap<&String, Vec<(String, Value)>> = BTreeMap::new();
    for (file, keys) in pipelines.iter().flat_map(|(_, declared)| &declared.used) {
        let known = found.entry(file).or_default();
        for (key, value) in keys {
            if !known.iter().any(|(name, _)| name == key) {
                known.push((key.clone(), value.clone()));
            }
        }
    }
    for (file, keys) in found {
        values.entry(file.clone()).or_insert(Value::Map(keys));
    }
}

/// Parses a file of a version.
pub fn value(snapshot: &Snapshot<'_>, path: &str, bytes: &[u8], row: &Row) -> Result<Value> {
    source::parse(path, bytes, row).map_err(|problem| explain(path, &snapshot.described(), problem))
}

/// Parses a file from elsewhere.
pub fn parse(path: &str, bytes: &[u8], row: &Row, subject: Subject, place: &str) -> Result<Value> {
    let value = source::parse(path, bytes, row).map_err(|problem| explain(path, place, problem))?;
    Ok(if subject == Subject::Metrics { source::metrics(value) } else { value })
}

/// Returns the error for a file that cannot be parsed.
pub fn explain(path: &str, place: &str, problem: Problem) -> Error {
    match problem {
        Problem::Malformed { format, what } => {
            Error::config(format!("{path} of {place} is not valid {format}: {what}"))
                .hint("check the step that writes it")
        }
        Problem::Python => Error::unsupported(format!("{path} of {place} is Python, which cml does not run"))
            .hint("keep parameters in YAML, JSON or TOML"),
    }
}
