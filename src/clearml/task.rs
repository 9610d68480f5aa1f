//! Tasks, as the server describes them. Servers and agents write some fields in two shapes: both are read.

use serde_json::Value;
use std::collections::BTreeMap;

/// The iteration of a value that belongs to none (`report_single_value`).
pub const NO_ITERATION: i64 = -2_147_483_648;
/// What monitors of the machine report as metrics.
const MONITORS: &str = ":monitor:";

/// A task, as far as the request asked for its fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// Its identity: 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The identity of its project.
    pub project: String,
    /// `training`, `testing`, …
    pub kind: String,
    /// `created`, `queued`, `in_progress`, `completed`, …
    pub status: String,
    /// Why it has that status.
    pub status_reason: String,
    /// Tags of the users.
    pub tags: Vec<String>,
    /// Tags of the system, such as `archived`.
    pub system_tags: Vec<String>,
    /// The commit that it ran.
    pub commit: String,
    /// The branch that it ran.
    pub branch: String,
    /// Uncommitted changes; `None` where the request did not ask for them.
    pub diff: Option<String>,
    /// How long it has run, in seconds.
    pub seconds: Option<f64>,
    /// The worker that ran it.
    pub worker: String,
    /// The last values of its scalars, by metric and variant.
    pub scalars: Vec<Scalar>,
    /// Its hyper-parameters as `Section/name`.
    pub parameters: BTreeMap<String, String>,
    /// The names and addresses of its artifacts.
    pub artifacts: Vec<(String, String)>,
    /// The names and identities of the models that it made.
    pub models: Vec<(String, String)>,
}

/// The values of a scalar. `None` is a number that is not finite, or one that an old server does not keep.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scalar {
    /// The metric: the title of its chart.
    pub metric: String,
    /// The variant: the name of its line.
    pub variant: String,
    /// Where the server keeps it below `last_metrics`: the MD5s of the two names, `metric.variant`.
    pub key: String,
    /// The last value.
    pub last: Option<f64>,
    /// The least value, and its iteration.
    pub min: Option<(f64, Option<i64>)>,
    /// The greatest value, and its iteration.
    pub max: Option<(f64, Option<i64>)>,
}

impl Scalar {
    /// Returns `metric/variant`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.metric, self.variant)
    }

    /// Returns the scalar of the same name that a task has.
    pub fn find_in<'a>(&self, task: &'a Task) -> Option<&'a Scalar> {
        task.scalars.iter().find(|other| other.metric == self.metric && other.variant == self.variant)
    }

    /// Returns whether the last value may be one that was not finite: the SDK sends 0 in place of NaN and infinity.
    pub fn is_suspicious(&self) -> bool {
        let is_varied = matches!((self.min, self.max), (Some((min, _)), Some((max, _))) if min != max);
        self.last == Some(0.0) && is_varied
    }
}

impl Task {
    /// Reads a task.
    pub fn read(value: &Value) -> Self {
        let text = |pointer: &str| text(value.pointer(pointer).unwrap_or(&Value::Null));
        let list = |pointer: &str| texts(value.pointer(pointer).unwrap_or(&Value::Null));
        Task {
            id: text("/id"),
            name: text("/name"),
            project: text("/project"),
            kind: text("/type"),
            status: text("/status"),
            status_reason: text("/status_reason"),
            tags: list("/tags"),
            system_tags: list("/system_tags"),
            commit: text("/script/version_num"),
            branch: text("/script/branch"),
            diff: value.pointer("/script/diff").and_then(Value::as_str).map(str::to_owned),
            seconds: value["active_duration"].as_f64(),
            worker: text("/last_worker"),
            scalars: scalars(&value["last_metrics"]),
            parameters: parameters(&value["hyperparams"]),
            artifacts: pairs(&value["execution"]["artifacts"], "key", "uri"),
            models: pairs(&value["models"]["output"], "name", "model"),
        }
    }

    /// Returns whether it is archived.
    pub fn is_archived(&self) -> bool {
        self.system_tags.iter().any(|tag| tag == "archived")
    }

    /// Returns whether it waits for a worker, or runs.
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "in_progress" | "publishing")
    }

    /// Returns its status as ClearML's pages show it.
    pub fn status_word(&self) -> &str {
        match self.status.as_str() {
            "created" => "draft",
            "queued" => "pending",
            "in_progress" => "running",
            "stopped" => "aborted",
            other => other,
        }
    }

    /// Returns its scalars but those of the machine.
    pub fn own_scalars(&self) -> impl Iterator<Item = &Scalar> {
        self.scalars.iter().filter(|scalar| !scalar.metric.starts_with(MONITORS))
    }
}

/// Returns a text, or the identity of an object that stands in its place.
pub fn text(value: &Value) -> String {
    match value {
        Value::Object(object) => object.get("id").map(text).unwrap_or_default(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// `{md5(metric): {md5(variant): {metric, variant, value, min_value, …}}}`: the names stand inside.
fn scalars(value: &Value) -> Vec<Scalar> {
    let mut found = Vec::new();
    for (metric, variants) in value.as_object().into_iter().flatten() {
        let variants = variants.as_object().into_iter().flatten().filter(|(_, variant)| variant.is_object());
        found.extend(variants.map(|(variant, value)| Scalar { key: format!("{metric}.{variant}"), ..scalar(value) }));
    }
    found.sort_by_cached_key(|scalar| (scalar.metric.clone(), scalar.variant.clone()));
    found
}

fn scalar(value: &Value) -> Scalar {
    let extreme = |name: &str| {
        let iteration = value[format!("{name}_iteration")].as_i64().filter(|iteration| *iteration != NO_ITERATION);
        Some((value[name].as_f64()?, iteration))
    };
    Scalar {
        metric: text(&value["metric"]),
        variant: text(&value["variant"]),
        key: String::new(),
        last: value["value"].as_f64(),
        min: extreme("min_value"),
        max: extreme("max_value"),
    }
}

/// `{section: {name: {value}}}`.
fn parameters(value: &Value) -> BTreeMap<String, String> {
    let sections = value.as_object().into_iter().flatten();
    let all = sections.flat_map(|(section, names)| {
        let names = names.as_object().into_iter().flatten();
        names.map(move |(name, parameter)| (format!("{section}/{name}"), text(&parameter["value"])))
    });
    all.collect()
}

/// Returns two fields of each object of a list, or of an object of objects, as older servers have it.
fn pairs(value: &Value, name: &str, other: &str) -> Vec<(String, String)> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(items) => items.values().collect(),
        _ => Vec::new(),
    };
    items.into_iter().map(|item| (text(&item[name]), text(&item[other]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_shapes_are_read() {
        for project in [json!("p1"), json!({ "id": "p1", "name": "Lab/CI" })] {
            for artifacts in
                [json!([{ "key": "data", "uri": "s3://b/x" }]), json!({ "h": { "key": "data", "uri": "s3://b/x" } })]
            {
                let task =
                    Task::read(&json!({ "id": "t1", "project": project, "execution": { "artifacts": artifacts },
                    "tags": null, "system_tags": ["archived"], "active_duration": 12, "last_worker": null,
                    "script": { "version_num": "abc" }, "models": { "output": [{ "name": "m", "model": "m1" }] },
                    "hyperparams": { "Args": { "lr": { "value": "0.1" }, "n": { "value": 3 } } } }));
                assert_eq!((task.project.as_str(), task.seconds, &task.diff), ("p1", Some(12.0), &None));
                assert_eq!(task.artifacts, [("data".to_owned(), "s3://b/x".to_owned())]);
                assert_eq!(task.models, [("m".to_owned(), "m1".to_owned())]);
                assert_eq!((task.parameters["Args/lr"].as_str(), task.parameters["Args/n"].as_str()), ("0.1", "3"));
                assert!(task.is_archived() && task.tags.is_empty());
            }
        }
        assert_eq!(Task::read(&json!(null)), Task::default());
    }

    #[test]
    fn scalars_have_the_names_that_stand_inside() {
        let task = Task::read(&json!({ "last_metrics": {
            "h1": { "v": { "metric": "loss", "variant": "train", "value": 0, "min_value": 0, "min_value_iteration": 3, "max_value": 2.5 } },
            "h2": { "v": { "metric": "Summary", "variant": "acc", "value": null, "min_value": 0.7, "min_value_iteration": NO_ITERATION } },
            "h3": { "v": { "metric": ":monitor:gpu", "variant": "x", "value": 1 } },
            "odd": 3,
        } }));
        let own: Vec<&Scalar> = task.own_scalars().collect();
        assert_eq!(own.iter().map(|scalar| scalar.name()).collect::<Vec<_>>(), ["Summary/acc", "loss/train"]);
        assert_eq!((own[0].last, own[0].min, own[0].max), (None, Some((0.7, None)), None));
        assert_eq!((own[1].min, own[1].max), (Some((0.0, Some(3))), Some((2.5, None))));
        assert!(own[1].is_suspicious() && !own[0].is_suspicious());
        assert_eq!(own[1].key, "h1.v");
    }
}
