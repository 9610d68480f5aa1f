//! The event lines of a runner, as CML writes them: one JSON object per line with sorted keys, or a sentence on a terminal.

use super::state::LifecycleEvent;
use crate::app::App;
use crate::forge::runners::Job;
use crate::host::Stream;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Prints a lifecycle event of a runner.
pub fn announce(app: &App, repo: &str, name: &str, event: &LifecycleEvent) {
    if app.host.is_terminal(Stream::Error) {
        app.log.info(&sentence(name, event));
    } else {
        print_line(app, repo, fields(event));
    }
}

/// Prints that a runner has ended, and why.
pub fn announce_termination(app: &App, repo: &str, name: &str, reason: &str) {
    if app.host.is_terminal(Stream::Error) {
        app.log.info(&format!("runner {name} ended: {reason}"));
    } else {
        print_line(app, repo, vec![("status", json!("terminated")), ("reason", json!(reason))]);
    }
}

fn print_line(app: &App, repo: &str, fields: Vec<(&'static str, Value)>) {
    let mut all: BTreeMap<&str, Value> = fields.into_iter().collect();
    let now = chrono::DateTime::from_timestamp_millis(i64::try_from(app.host.now().as_millis()).unwrap_or(0));
    let date = now.unwrap_or_default().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    all.extend([
        ("date", json!(date)),
        ("level", json!("info")),
        ("message", json!("runner status")),
        ("repo", json!(repo)),
    ]);
    app.log.info(&serde_json::to_string(&all).unwrap_or_default());
}

fn fields(event: &LifecycleEvent) -> Vec<(&'static str, Value)> {
    let about = |job: &Job| {
        let id = job.id.as_ref().or(job.name.as_ref()).map(|id| ("job", json!(id)));
        id.into_iter().chain(job.pipeline.as_ref().map(|pipeline| ("pipeline", json!(pipeline))))
    };
    match event {
        LifecycleEvent::Ready => vec![("status", json!("ready"))],
        LifecycleEvent::Started(job) => about(job).chain([("status", json!("job_started"))]).collect(),
        LifecycleEvent::Ended(job, success) => {
            let success = success.map(|success| ("success", json!(success)));
            about(job).chain([("status", json!("job_ended"))]).chain(success).collect()
        }
    }
}

fn sentence(name: &str, event: &LifecycleEvent) -> String {
    let which = |job: &Job| {
        job.name.as_ref().or(job.id.as_ref()).map_or_else(|| "a job".to_owned(), |job| format!("job {job}"))
    };
    match event {
        LifecycleEvent::Ready => format!("runner {name} is ready"),
        LifecycleEvent::Started(job) => format!("{} started", which(job)),
        LifecycleEvent::Ended(job, Some(true)) => format!("{} succeeded", which(job)),
        LifecycleEvent::Ended(job, Some(false)) => format!("{} failed", which(job)),
        LifecycleEvent::Ended(job, None) => format!("{} ended", which(job)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_sentences() {
        let job = Job { id: Some("7".into()), name: Some("train".into()), ..Job::default() };
        let unnamed = Job { name: None, ..job.clone() };
        for (status, text) in [
            (LifecycleEvent::Ready, "runner r is ready"),
            (LifecycleEvent::Started(unnamed), "job 7 started"),
            (LifecycleEvent::Started(Job::default()), "a job started"),
            (LifecycleEvent::Ended(job.clone(), Some(true)), "job train succeeded"),
            (LifecycleEvent::Ended(job.clone(), Some(false)), "job train failed"),
            (LifecycleEvent::Ended(job, None), "job train ended"),
        ] {
            assert_eq!(sentence("r", &status), text);
        }
    }
}
