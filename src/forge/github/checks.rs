//! Check runs: <https://docs.github.com/en/rest/checks/runs>.

use super::GitHub;
use crate::error::{Error, Kind, Result};
use crate::forge::checks::{Check, CheckState, Checks, CreatedCheck, name};
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::http::RetryPolicy;
use crate::report::annotations::{Annotation, Level};
use crate::report::plain::shorten;
use crate::report::split::{ReportLimits, Unit};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The summary and the text may have 65,535 bytes each, though GitHub calls them characters:
/// <https://github.com/github/docs/issues/35252>, <https://github.com/dorny/test-reporter/issues/57>.
const REPORT_LIMITS: ReportLimits = ReportLimits { parts: 2, part: 65_535, unit: Unit::Bytes };
/// A request may bring so many annotations; they are added to those that are there.
const ANNOTATIONS: usize = 50;
/// An annotation's title, in characters, and its message, in bytes: <https://docs.github.com/en/rest/checks/runs#create-a-check-run>.
const TITLE: usize = 255;
const MESSAGE: usize = 64 << 10;
/// What our checks carry as their identity elsewhere: those of jobs have the same app and may have the same name.
const OURS: &str = "cml";

#[derive(Deserialize)]
struct Run {
    id: u64,
    html_url: Option<String>,
    status: String,
    external_id: Option<String>,
    output: Output,
}

#[derive(Deserialize)]
struct Output {
    annotations_count: usize,
}

#[derive(Deserialize)]
struct Runs {
    check_runs: Vec<Run>,
}

impl Run {
    fn is_ours(&self) -> bool {
        self.external_id.as_deref() == Some(OURS)
    }
}

#[async_trait(?Send)]
impl Checks for GitHub {
    fn report_limits(&self) -> Option<ReportLimits> {
        Some(REPORT_LIMITS)
    }

    /// Makes a check run, or brings the one up to date that is not completed yet.
    async fn create(&self, check: &Check) -> Result<CreatedCheck> {
        let mut batches = check.annotations.chunks(ANNOTATIONS);
        let fields = fields(self, check, batches.next().unwrap_or_default());
        let mut run = match &check.id {
            Some(id) => by_id(self, id, &fields).await.map_err(|error| unknown(self, id, error))?,
            None => {
                let before = list(self, check).await?;
                match before.iter().find(|run| run.is_ours() && run.status != "completed") {
                    Some(open) => update(self, &open.id.to_string(), &fields, open.output.annotations_count).await?,
                    None => make(self, check, fields, before.iter().map(|run| run.id).max().unwrap_or(0)).await?,
                }
            }
        };
        for batch in batches {
            let body = json!({ "output": output(check, batch) });
            let added = body.as_object().cloned().unwrap_or_default();
            run = update(self, &run.id.to_string(), &added, run.output.annotations_count).await?;
        }
        let url = run.html_url.unwrap_or_else(|| format!("{}/runs/{}", self.repository.url(), run.id));
        Ok(CreatedCheck { id: Some(run.id.to_string()), url, left_out: Vec::new() })
    }
}

async fn by_id(hub: &GitHub, id: &str, fields: &Map<String, Value>) -> Result<Run> {
    if !id.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::not_found(format!("'{id}' is not the number of a check")));
    }
    let now: Run = hub.client.get(&format!("{}/check-runs/{id}", hub.root)).await?;
    update(hub, id, fields, now.output.annotations_count).await
}

fn unknown(hub: &GitHub, id: &str, error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::not_found(format!("check {id} not found in {}", hub.repository)).hint(
            "set --check-id to the output check-id of the step that created it, or omit it to find the check by its title",
        ),
        _ => error,
    }
}

/// Returns the newest check runs of that name on the commit, the newest first.
async fn list(hub: &GitHub, check: &Check) -> Result<Vec<Run>> {
    let title: String = url::form_urlencoded::byte_serialize(check.title.as_bytes()).collect();
    let path = format!("{}/commits/{}/check-runs?check_name={title}&filter=all&per_page=100", hub.root, check.commit);
    let mut found: Runs = hub.client.get(&path).await?;
    found.check_runs.sort_by_key(|run| std::cmp::Reverse(run.id));
    Ok(found.check_runs)
}

/// Makes one. When the answer was lost, looks for one of ours that was not there before.
async fn make(hub: &GitHub, check: &Check, mut fields: Map<String, Value>, newest: u64) -> Result<Run> {
    fields.insert("head_sha".to_owned(), json!(check.commit));
    fields.insert("external_id".to_owned(), json!(OURS));
    fields.insert("started_at".to_owned(), json!(now(hub)));
    let path = format!("{}/check-runs", hub.root);
    let send = async || hub.client.call(Method::POST, &path, Some(&fields), RetryPolicy::LookFirst).await;
    let look = async || Ok(list(hub, check).await?.into_iter().find(|run| run.is_ours() && run.id > newest));
    exactly_once(&hub.http, &messages("created"), send, look).await
}

fn messages(done: &str) -> OutcomeMessages {
    OutcomeMessages {
        done: format!("the check was {done}"),
        unknown: "check the commit's checks before you run this again".to_owned(),
        not_done: "the check was not changed",
    }
}

/// Changes one that has `before` annotations. When the answer was lost, looks whether the new ones are there: a
/// second request would add them again.
async fn update(hub: &GitHub, id: &str, fields: &Map<String, Value>, before: usize) -> Result<Run> {
    let path = format!("{}/check-runs/{id}", hub.root);
    let adds = fields.get("output").and_then(|output| output["annotations"].as_array()).map_or(0, Vec::len);
    let repeat = if adds == 0 { RetryPolicy::Idempotent } else { RetryPolicy::LookFirst };
    let send = async || hub.client.call(Method::PATCH, &path, Some(fields), repeat).await;
    let look = async || {
        let now: Run = hub.client.get(&path).await?;
        Ok(Some(now).filter(|now| now.output.annotations_count >= before + adds))
    };
    exactly_once(&hub.http, &messages("changed"), send, look).await
}

fn now(hub: &GitHub) -> String {
    let at = chrono::DateTime::from_timestamp(hub.http.server_now(), 0);
    at.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Returns what making and changing have in common. A conclusion would complete it: only with the end.
fn fields(hub: &GitHub, check: &Check, annotations: &[Annotation]) -> Map<String, Value> {
    let status = match check.state {
        CheckState::Queued => "queued",
        CheckState::InProgress => "in_progress",
        CheckState::Completed(_) => "completed",
    };
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(check.title));
    fields.insert("status".to_owned(), json!(status));
    if let CheckState::Completed(conclusion) = check.state {
        fields.insert("conclusion".to_owned(), json!(name(conclusion)));
        fields.insert("completed_at".to_owned(), json!(now(hub)));
    }
    if let Some(run) = &hub.run_url {
        fields.insert("details_url".to_owned(), json!(run));
    }
    fields.insert("output".to_owned(), output(check, annotations));
    fields
}

fn output(check: &Check, annotations: &[Annotation]) -> Value {
    let mut output = json!({ "title": check.title, "summary": check.report.first() });
    if let Some(text) = check.report.get(1) {
        output["text"] = json!(text);
    }
    if !annotations.is_empty() {
        output["annotations"] = annotations.iter().map(annotation).collect();
    }
    output
}

fn annotation(annotation: &Annotation) -> Value {
    let level = match annotation.level {
        Level::Error => "failure",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    let message = &annotation.message[..annotation.message.floor_char_boundary(MESSAGE)];
    let mut json = json!({ "path": annotation.path, "start_line": annotation.start_line,
        "end_line": annotation.end_line, "annotation_level": level, "message": message });
    if let Some((start, end)) = annotation.columns {
        json["start_column"] = json!(start);
        json["end_column"] = json!(end);
    }
    if let Some(title) = &annotation.title {
        json["title"] = json!(shorten(title, TITLE));
    }
    json
}
