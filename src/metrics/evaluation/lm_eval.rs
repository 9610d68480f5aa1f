//! The LM Evaluation Harness: <https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/interface.md>.
//!
//! A metric of a task has the key `acc,none`, where `none` is a filter of the answers, and its standard error the key
//! `acc_stderr,none`, which is `N/A` where there is none.

use super::{Goal, Measure, Value};

pub fn read(value: &Value) -> Option<Vec<Measure>> {
    let tasks = value.get("results")?.entries()?;
    value.get("configs").or(value.get("n-shot"))?;
    let mut measures = Vec::new();
    for (task, results) in tasks {
        let count = value.get("n-samples").and_then(|all| super::number(all.get(task)?, "effective"));
        for (key, found) in results.entries()? {
            let Some((metric, filter)) = key.split_once(',') else { continue };
            let Some(number) = found.to_f64().filter(|_| !metric.ends_with("_stderr")) else { continue };
            let name = if filter == "none" { format!("{task}/{metric}") } else { format!("{task}/{metric},{filter}") };
            measures.push(Measure {
                standard_error: super::number(results, &format!("{metric}_stderr,{filter}")),
                count: count.map(|count| count as usize),
                goal: goal(value, task, metric),
                ..Measure::new(name, number)
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
