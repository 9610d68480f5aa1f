//! The LM Evaluation Harness: <https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/interface.md>.
//!
//! A metric of a task has the key `acc,none`, where `none` is a filter of the answers, and its standard error the key
//! `acc_stderr,none`, which is `N/A` where there is none.

use super::{Example, Goal, Measure, Value, number, text};

pub fn read(value: &Value) -> Option<Vec<Measure>> {
    let tasks = value.get("results")?.entries()?;
    value.get("configs").or(value.get("n-shot"))?;
    let mut measures = Vec::new();
    for (task, results) in tasks {
        let count = value.get("n-samples").and_then(|all| number(all.get(task)?, "effective"));
        for (key, found) in results.entries()? {
            let Some((metric, filter)) = key.split_once(',') else { continue };
            let Some(mean) = found.to_f64().filter(|_| !metric.ends_with("_stderr")) else { continue };
            let name = if filter == "none" { format!("{task}/{metric}") } else { format!("{task}/{metric},{filter}") };
            measures.push(Measure {
                standard_error: number(results, &format!("{metric}_stderr,{filter}")),
                count: count.map(|count| count as usize),
                goal: goal(value, task, metric),
                ..Measure::new(name, mean)
            });
        }
    }
    Some(measures)
}

fn goal(value: &Value, task: &str, metric: &str) -> Option<Goal> {
    match value.get("higher_is_better")?.get(task)?.get(metric)? {
        Value::Bool(true) => Some(Goal::Higher),
        Value::Bool(false) => Some(Goal::Lower),
        _ => None,
    }
}

/// Reads `samples_TASK_TIME.jsonl`, which `--log_samples` writes: one object per line, with the metrics of an example. `None` if the lines are
/// of something else.
pub fn read_samples(path: &str, lines: &[Value]) -> Option<Vec<Measure>> {
    lines.first()?;
    let file = path.rsplit('/').next().unwrap_or(path);
    let task = file.strip_prefix("samples_").and_then(|rest| rest.rsplit_once('_'));
    let task = task.map(|(task, _)| format!("{task}/")).unwrap_or_default();
    let mut found: Vec<(String, Vec<(&Value, f64)>)> = Vec::new();
    for line in lines {
        line.get("doc_id")?;
        for metric in line.get("metrics")?.items()?.iter().filter_map(Value::text) {
            let Some(value) = number(line, metric) else { continue };
            let filter = text(line, "filter");
            let name = if ["none", ""].contains(&filter) {
                format!("{task}{metric}")
            } else {
                format!("{task}{metric},{filter}")
            };
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push((line, value)),
                None => found.push((name, vec![(line, value)])),
            }
        }
    }
    found.into_iter().map(|(name, values)| measure(name, &values)).collect()
}

/// Returns a metric with the examples that passed, where each did or did not, else the mean.
fn measure(name: String, values: &[(&Value, f64)]) -> Option<Measure> {
    if values.iter().any(|(_, value)| ![0.0, 1.0].contains(value)) {
        return Measure::mean(name, &values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    }
    let shown = |line: &Value, key: &str| line.get(key).map(Value::to_python).unwrap_or_default();
    let example = |(line, value): &(&Value, f64)| {
        let detail = format!("expected {}, got {}", shown(line, "target"), shown(line, "filtered_resps"));
        Example::new(shown(line, "doc_id"), *value == 1.0, &detail)
    };
    Measure::pass_rate(name, values.iter().map(example).collect())
}
