//! The report as JSON.

use crate::clearml::links::Links;
use crate::clearml::task::{Scalar, Task};
use serde_json::{Value, json};

/// Returns the document of one task. A value that is not finite is null.
pub fn report(task: &Task, baseline: Option<&Task>, scalars: &[Scalar], links: &Links) -> Value {
    let before = |scalar: &Scalar| scalar.find_in(baseline?)?.last;
    let scalar = |scalar: &Scalar| {
        json!({
            "metric": scalar.metric,
            "variant": scalar.variant,
            "last": scalar.last,
            "min": scalar.min.map(|(value, _)| value),
            "min_iteration": scalar.min.and_then(|(_, iteration)| iteration),
            "max": scalar.max.map(|(value, _)| value),
            "max_iteration": scalar.max.and_then(|(_, iteration)| iteration),
            "baseline": before(scalar),
        })
    };
    json!({
        "id": task.id,
        "name": task.name,
        "status": task.status,
        "commit": task.commit,
        "worker": task.worker,
        "seconds": task.seconds,
        "url": links.task(&task.project, &task.id, "log"),
        "baseline": baseline.map(|task| &task.id),
        "scalars": scalars.iter().map(scalar).collect::<Vec<_>>(),
        "parameters": task.parameters,
    })
}
