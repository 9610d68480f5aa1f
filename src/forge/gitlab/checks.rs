//! Checks as statuses of a commit: <https://docs.gitlab.com/api/commits/#set-commit-pipeline-status>.

use super::GitLab;
use crate::error::{Error, Kind, Result};
use crate::forge::checks::{Check, CheckState, Checks, Conclusion, CreatedCheck, name};
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::http::RetryPolicy;
use crate::report::plain::{plain, shorten};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// A status has so many characters, not bytes, of description and of name: GitLab's model `CommitStatus` validates lengths as Ruby on
/// Rails counts them.
const DESCRIPTION: usize = 255;
const NAME: usize = 255;

#[derive(Deserialize)]
struct Status {
    status: String,
    description: Option<String>,
}

fn state(check: &Check) -> &'static str {
    match check.state {
        CheckState::Queued => "pending",
        CheckState::InProgress => "running",
        CheckState::Completed(Conclusion::Success | Conclusion::Neutral) => "success",
        CheckState::Completed(Conclusion::Failure | Conclusion::TimedOut) => "failed",
        CheckState::Completed(Conclusion::Cancelled) => "canceled",
        CheckState::Completed(Conclusion::Skipped) => "skipped",
    }
}

#[async_trait(?Send)]
impl Checks for GitLab {
    /// Sets the status. A state that it has already is fine, though GitLab refuses it.
    async fn create(&self, check: &Check) -> Result<CreatedCheck> {
        let mut body = json!({
            "state": state(check), "name": shorten(&check.title, NAME), "description": description(check),
        });
        if let Some(run) = &self.context.run_url {
            body["target_url"] = json!(run);
        }
        let of_pipeline = self.pipeline.as_ref().filter(|(_, commit)| *commit == check.commit);
        if let Some((id, _)) = of_pipeline {
            body["pipeline_id"] = json!(id);
        } else if let (Some(branch), None) = (&self.context.branch, &self.context.fork) {
            body["ref"] = json!(branch);
        }
        let mut left_out = Vec::new();
        match set(self, check, &body).await {
            // The pipeline is of another commit, such as the merged result.
            Err(error) if of_pipeline.is_some() && error.kind() == Kind::NotFound => {
                body.as_object_mut().map(|fields| fields.remove("pipeline_id"));
                set(self, check, &body).await?;
            }
            Err(error) => match refused_transition(&error) {
                Some(from) if from == state(check) || (check.state == CheckState::Queued && from == "running") => {
                    self.log.debug(&format!("the status was {from} already"));
                }
                // What runs cannot be skipped any more.
                Some(from) if state(check) == "skipped" => {
                    left_out.push(format!("GitLab cannot skip a status that is {from}; it was set to success"));
                    body["state"] = json!("success");
                    set(self, check, &body).await?;
                }
                _ => return Err(error),
            },
            Ok(()) => {}
        }
        if !check.annotations.is_empty() {
            left_out.push(format!("GitLab statuses have no annotations; skipped {}", check.annotations.len()));
        }
        Ok(CreatedCheck { id: None, url: format!("{}/-/commit/{}/pipelines", self.page, check.commit), left_out })
    }
}

/// Returns what stands beside the status: the figures, else the beginning of the report.
fn description(check: &Check) -> String {
    let figures: Vec<String> = check.data.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let text =
        if figures.is_empty() { plain(&check.report.concat()).replace('\n', " · ") } else { figures.join(", ") };
    let ending = match check.state {
        CheckState::Completed(Conclusion::Success | Conclusion::Failure)
        | CheckState::Queued
        | CheckState::InProgress => None,
        // The state does not say these.
        CheckState::Completed(conclusion) => Some(name(conclusion).replace('_', " ")),
    };
    let parts: Vec<String> = ending.into_iter().chain([text]).filter(|part| !part.is_empty()).collect();
    shorten(&parts.join(": "), DESCRIPTION)
}

/// Returns the state from which GitLab does not go where it should, as in `Cannot transition status via :run from
/// :running`.
fn refused_transition(error: &Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("Cannot transition status via :")?;
    let (_, from) = rest.split_once(" from :")?;
    Some(from.chars().take_while(char::is_ascii_alphabetic).collect())
}

/// Sends it. When the answer was lost, looks whether the status is what it should be: once a status has ended,
/// another request makes a second one.
async fn set(lab: &GitLab, check: &Check, body: &Value) -> Result<()> {
    let path = format!("{}/statuses/{}", lab.root, check.commit);
    let send = async || {
        let sent: Result<(_, Value)> = lab.rest.call(Method::POST, &path, Some(body), RetryPolicy::LookFirst).await;
        sent.map(drop)
    };
    let look = async || {
        let name = super::escape(&shorten(&check.title, NAME));
        let list = format!("{}/repository/commits/{}/statuses?name={name}&per_page=100", lab.root, check.commit);
        let (_, found): (_, Vec<Status>) = lab.rest.get(&list).await?;
        let same = |status: &Status| {
            status.status == body["state"] && status.description.as_deref().unwrap_or_default() == body["description"]
        };
        Ok(found.iter().any(same).then_some(()))
    };
    let messages = OutcomeMessages {
        done: "the status was set".to_owned(),
        unknown: "check the commit's pipelines before you run this again".to_owned(),
        not_done: "the status was not set",
    };
    exactly_once(&lab.http, &messages, send, look).await
}
