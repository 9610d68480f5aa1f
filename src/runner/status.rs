//! The lines by which people and scripts follow a runner: those of CML, which machines read too. One JSON object a line
//! with sorted keys; a sentence on a terminal.

use super::machine::Status;
use crate::app::App;
use crate::forge::runner::Job;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Says how a runner of a repository is.
pub fn say(app: &App, repo: &str, name: &str, status: &Status) {
    match app.host.is_terminal() {
        true => app.log.info(&sentence(name, status)),
        false => line(app, repo, fields(status)),
    }
}

/// Says that it is over, and why.
pub fn terminated(app: &App, repo: &str, name: &str, reason: &str) {
    match app.host.is_terminal() {
        true => app.log.info(&format!("runner {name} ended: {reason}")),
        false => line(app, repo, vec![("status", json!("terminated")), ("reason", json!(reason))]),
    }
}

fn line(app: &App, repo: &str, fields: Vec<(&'static str, Value)>) {
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

fn fields(status: &Status) -> Vec<(&'static str, Value)> {
    let about = |job: &Job| {
        let id = job.id.as_ref().or(job.name.as_ref()).map(|id| ("job", json!(id)));
        id.into_iter().chain(job.pipeline.as_ref().map(|pipeline| ("pipeline", json!(pipeline))))
    };
    match status {
        Status::Ready => vec![("status", json!("ready"))],
        Status::Started(job) => about(job).chain([("status", json!("job_started"))]).collect(),
        Status::Ended(job, success) => {
            let success = success.map(|success| ("success", json!(success)));
            about(job).chain([("status", json!("job_ended"))]).chain(success).collect()
        }
    }
}

fn sentence(name: &str, status: &Status) -> String {
    let which = |job: &Job| {
        job.name.as_ref().or(job.id.as_ref()).map_or_else(|| "a job".to_owned(), |job| format!("job {job}"))
    };
    match status {
        Status::Ready => format!("runner {name} is ready"),
        Status::Started(job) => format!("{} started", which(job)),
        Status::Ended(job, Some(true)) => format!("{} succeeded", which(job)),
        Status::Ended(job, Some(false)) => format!("{} failed", which(job)),
        Status::Ended(job, None) => format!("{} ended", which(job)),
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
            (Status::Ready, "runner r is ready"),
            (Status::Started(unnamed), "job 7 started"),
            (Status::Started(Job::default()), "a job started"),
            (Status::Ended(job.clone(), Some(true)), "job train succeeded"),
            (Status::Ended(job.clone(), Some(false)), "job train failed"),
            (Status::Ended(job, None), "job train ended"),
        ] {
            assert_eq!(sentence("r", &status), text);
        }
    }
}
