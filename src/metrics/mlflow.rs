//! What MLflow keeps of runs, as files of metrics: its folder `mlruns` and its database `mlflow.db`.
//!
//! A run becomes one file with the newest value of each metric. It has the path of the store if it is the only run there, `STORE/seed=N` if all
//! runs there are seeds of the same training, else `STORE/EXPERIMENT/RUN`, where a run has its name. Deleted runs are left out.
//! <https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/>

use super::Value;
use super::python;
use super::source::{self, Problem, Row};
use sqlite::{Cell, Database};
use std::collections::{BTreeMap, BTreeSet};

mod sqlite;

/// What describes a run, or an experiment, in its folder.
const META: &str = "meta.yaml";
/// What separates the path of a store from a seed.
const SEED: &str = "/seed=";
/// Parameters that are seeds; scikit-learn calls it `random_state`.
const SEEDS: [&str; 3] = ["seed", "random_seed", "random_state"];

/// A run.
#[derive(Debug, Default)]
struct Run {
    /// The folder or database that it is in.
    store: String,
    experiment: String,
    id: String,
    name: String,
    metrics: BTreeMap<String, Point>,
    params: BTreeMap<String, String>,
}

/// A value of a metric. The newest one is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Point {
    step: f64,
    time: f64,
    value: f64,
}

/// Returns which of the files in a folder have to be read: all, unless runs of MLflow's are in it.
pub fn select(mut paths: Vec<String>) -> Vec<String> {
    let described: Vec<String> = paths.iter().filter_map(|path| Some(folder_of(path)?.to_owned())).collect();
    let part_of = |path: &str, part: &str| {
        described.iter().any(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with(part)))
    };
    // MLflow tags every run, with its user for one.
    if paths.iter().any(|path| part_of(path, "/tags/")) {
        paths.retain(|path| folder_of(path).is_some() || part_of(path, "/metrics/") || part_of(path, "/params/"));
    }
    paths
}

/// Returns the folder of a run or an experiment by the file that describes it.
fn folder_of(path: &str) -> Option<&str> {
    path.strip_suffix(META)?.strip_suffix('/')
}

/// Puts files with the metrics of each run in the place of MLflow's, and leaves other files as they are.
///
/// # Errors
/// A file of MLflow's is broken; with its path.
pub fn expand(mut files: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>, (String, Problem)> {
    let mut runs = take_folders(&mut files)?;
    let databases: Vec<String> =
        files.iter().filter(|(_, bytes)| bytes.starts_with(sqlite::MAGIC)).map(|(path, _)| path.clone()).collect();
    for path in databases {
        let bytes = files.remove(&path).unwrap_or_default();
        let found = read_database(&path, &bytes);
        runs.extend(found.map_err(|what| (path, Problem::Malformed { format: "MLflow", what }))?);
    }
    let mut stores = BTreeMap::<String, Vec<Run>>::new();
    runs.into_iter().for_each(|run| stores.entry(run.store.clone()).or_default().push(run));
    for (store, runs) in stores {
        let seeds = seeds(&runs);
        for (at, run) in runs.iter().enumerate() {
            let folder = format!("{store}/{}", run.experiment);
            let mut path = match seeds.get(at) {
                _ if runs.len() == 1 => store.clone(),
                Some(seed) => format!("{store}{SEED}{seed}"),
                // Else what is behind the dot would be the format.
                None if run.name.contains('.') => format!("{folder}/{}.yaml", run.name),
                None => format!("{folder}/{}", run.name),
            };
            if files.contains_key(&path) {
                path = format!("{folder}/{}", run.id);
            }
            files.insert(path, run.text());
        }
    }
    Ok(files)
}

/// Returns the seeds of runs, if they differ in nothing else: each has logged another one, and the other parameters are the same. Else none.
fn seeds(runs: &[Run]) -> Vec<&str> {
    let of = |name: &str| {
        let seeds: Option<Vec<&str>> = runs.iter().map(|run| run.params.get(name).map(String::as_str)).collect();
        let seeds = seeds?;
        let others = |run: &Run| -> Vec<(String, String)> {
            run.params.clone().into_iter().filter(|(param, _)| param != name).collect()
        };
        let first = runs.first()?;
        let is_training = |run: &Run| run.experiment == first.experiment && others(run) == others(first);
        let distinct = seeds.iter().collect::<BTreeSet<_>>().len();
        (distinct == seeds.len() && seeds.iter().all(|seed| is_seed(seed)) && runs.iter().all(is_training))
            .then_some(seeds)
    };
    SEEDS.into_iter().find_map(of).unwrap_or_default()
}

/// Returns the path of the store, and the seed, of a file that [`expand`] has made of one of several seeds.
pub fn split_seed(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once(SEED).filter(|(_, seed)| is_seed(seed))
}

/// Returns whether a parameter can be part of a path as it is.
fn is_seed(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl Run {
    /// Adds a value, if it is newer than the one that is there.
    fn add(&mut self, name: &str, point: Point) {
        let newest = self.metrics.entry(name.to_owned()).or_insert(point);
        if *newest < point {
            *newest = point;
        }
    }

    /// Returns its metrics in YAML.
    fn text(&self) -> Vec<u8> {
        let entry = |(name, point): (&String, &Point)| {
            format!("{}: {}", serde_json::Value::from(name.as_str()), yaml_number(point.value))
        };
        format!("{{{}}}\n", self.metrics.iter().map(entry).collect::<Vec<_>>().join(", ")).into_bytes()
    }
}

/// Returns a number as every version of YAML reads it as one.
fn yaml_number(number: f64) -> String {
    if number.is_nan() {
        ".nan".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        let text = python::float(number);
        if text.contains('.') { text } else { text.replace('e', ".0e") }
    }
}

/// Takes the runs of folders out of files: `EXPERIMENT/RUN/meta.yaml` and `EXPERIMENT/RUN/metrics/NAME`.
fn take_folders(files: &mut BTreeMap<String, Vec<u8>>) -> Result<Vec<Run>, (String, Problem)> {
    let mut runs = Vec::new();
    let described: Vec<String> = files.keys().filter(|path| folder_of(path).is_some()).cloned().collect();
    for path in described {
        let Some(folder) = folder_of(&path) else { continue };
        let bytes = files.get(&path).cloned().unwrap_or_default();
        let meta = source::parse(&path, &bytes, &Row::Last).map_err(|problem| (path.clone(), problem))?;
        let text = |key: &str| meta.get(key).map(Value::to_python).unwrap_or_default();
        if meta.get("run_id").is_none() {
            if meta.get("experiment_id").is_some() && meta.get("artifact_location").is_some() {
                files.remove(&path);
            }
            continue;
        }
        files.remove(&path);
        let mut parts = folder.rsplitn(3, '/').skip(1);
        let experiment = parts.next().unwrap_or_default().to_owned();
        let store = parts.next().unwrap_or(folder).to_owned();
        let mut run = Run { store, experiment, id: text("run_id"), name: text("run_name"), ..Run::default() };
        let start = format!("{folder}/metrics/");
        let metrics: Vec<String> = files.keys().filter(|path| path.starts_with(&start)).cloned().collect();
        for path in metrics {
            let bytes = files.remove(&path).unwrap_or_default();
            for line in String::from_utf8_lossy(&bytes).lines() {
                let point = point_of(line).ok_or_else(|| {
                    let what = format!("'{line}' is not a time, a value and a step");
                    (path.clone(), Problem::Malformed { format: "MLflow", what })
                })?;
                run.add(path.strip_prefix(&start).unwrap_or(&path), point);
            }
        }
        let start = format!("{folder}/params/");
        let params: Vec<String> = files.keys().filter(|path| path.starts_with(&start)).cloned().collect();
        for path in params {
            let value = files.remove(&path).unwrap_or_default();
            let name = path.strip_prefix(&start).unwrap_or(&path).to_owned();
            run.params.insert(name, String::from_utf8_lossy(&value).trim().to_owned());
        }
        if text("lifecycle_stage") != "deleted" {
            runs.push(run);
        }
    }
    Ok(runs)
}

/// Returns the value of a line `TIME VALUE STEP`; files of old versions have no step.
fn point_of(line: &str) -> Option<Point> {
    let mut fields = line.split_ascii_whitespace();
    let mut next = || fields.next().map(|field| field.parse::<f64>().ok());
    Some(Point { time: next()??, value: next()??, step: next().unwrap_or(Some(0.0))? })
}

/// Returns a run, of those that are sorted by their id.
fn find<'r>(runs: &'r mut [Run], id: &Cell) -> Option<&'r mut Run> {
    let at = runs.binary_search_by(|run| run.id.cmp(&id.text())).ok()?;
    runs.get_mut(at)
}

/// Returns the runs of a database.
fn read_database(path: &str, bytes: &[u8]) -> Result<Vec<Run>, String> {
    let database = Database::open(bytes)?;
    let mut runs: Vec<Run> = Vec::new();
    for row in database.rows("runs", ["run_uuid", "name", "experiment_id", "lifecycle_stage"])? {
        let [id, name, experiment, stage] = row;
        if stage.text() != "deleted" {
            let (experiment, store) = (experiment.text(), path.to_owned());
            runs.push(Run { store, experiment, id: id.text(), name: name.text(), ..Run::default() });
        }
    }
    runs.sort_by(|one, other| one.id.cmp(&other.id));
    for row in database.rows("latest_metrics", ["run_uuid", "key", "value", "is_nan"])? {
        let [id, name, value, is_nan] = row;
        let value = if is_nan == Cell::Integer(1) { f64::NAN } else { value.number() };
        if let Some(run) = find(&mut runs, &id) {
            run.add(&name.text(), Point { step: 0.0, time: 0.0, value });
        }
    }
    for [id, name, value] in database.rows("params", ["run_uuid", "key", "value"])? {
        if let Some(run) = find(&mut runs, &id) {
            run.params.insert(name.text(), value.text());
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
