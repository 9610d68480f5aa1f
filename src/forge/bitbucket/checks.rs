//! Checks as reports of Code Insights, with a build status:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/>,
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/>.

use super::Bitbucket;
use crate::digest::hash;
use crate::error::{Error, Kind, Result};
use crate::forge::checks::{Check, CheckState, Checks, Conclusion, CreatedCheck, name};
use crate::forge::rest::{Rest, escape};
use crate::http::RetryPolicy;
use crate::report::annotations::{Annotation, Level};
use crate::report::plain::{plain, shorten};
use async_trait::async_trait;
use http::Method;
use serde_json::{Number, Value, json};

/// Characters of a report's title, of its details, and of an annotation's summary.
const TITLE: usize = 450;
const DETAILS: usize = 2000;
const SUMMARY: usize = 450;
/// Figures of a report.
const DATA: usize = 10;
/// Annotations of a report, and of one request.
const ANNOTATIONS: usize = 1000;
const AT_ONCE: usize = 100;
/// Characters of a status's name and description.
const NAME: usize = 255;

/// Returns the address without TLS, inside of which the proxy could not sign.
pub fn plainly(api: &str) -> String {
    api.strip_prefix("https://").map_or_else(|| api.to_owned(), |rest| format!("http://{rest}"))
}

impl Bitbucket {
    /// Returns the way to Code Insights where there is no token.
    fn insights(&self) -> Option<&Rest> {
        self.proxy.as_ref().filter(|_| self.token.is_none()).map(|(_, rest)| rest)
    }
}

#[async_trait(?Send)]
impl Checks for Bitbucket {
    /// Sets the report, its annotations and the build status. The same title is the same report.
    async fn create(&self, check: &Check) -> Result<CreatedCheck> {
        // A build status's key may have 40 characters.
        let key = format!("cml-{}", &hash(check.title.as_bytes())[..32]);
        let commit = format!("{}/commit/{}", self.root, escape(&check.commit));
        let report = format!("{commit}/reports/{key}");
        let insights = self.insights().unwrap_or(&self.rest);
        let mut left_out = Vec::new();
        if !check.annotations.is_empty() {
            // Those of an earlier run would stay.
            insights.delete(&report).await.map_err(|error| without_token(self, error))?;
        }
        let body = body(self, check);
        let set: Result<(_, Value)> = insights.call(Method::PUT, &report, Some(&body), RetryPolicy::Idempotent).await;
        set.map_err(|error| without_token(self, error))?;
        let annotations = &check.annotations[..check.annotations.len().min(ANNOTATIONS)];
        for (n, batch) in annotations.chunks(AT_ONCE).enumerate() {
            let items = (n * AT_ONCE..).zip(batch);
            let body: Value = items.map(|(n, found)| annotation(&format!("{key}-{n:04}"), found)).collect();
            // Each has an identity: what is there already is replaced.
            let path = format!("{report}/annotations");
            let _: (_, Value) = insights.call(Method::POST, &path, Some(&body), RetryPolicy::Idempotent).await?;
        }
        for (what, all, most) in
            [("annotations", check.annotations.len(), ANNOTATIONS), ("figures", check.data.len(), DATA)]
        {
            if all > most {
                left_out.push(format!("Bitbucket accepts at most {most} {what}; skipped {}", all - most));
            }
        }
        let url = format!("{}/commits/{}", self.page, check.commit);
        if self.insights().is_some() {
            left_out.push("no build status without a token, except the pipeline's own".to_owned());
        } else {
            let status = status(self, check, &key, &url);
            let path = format!("{commit}/statuses/build");
            // A status of the same key is replaced.
            let _: (_, Value) = self.rest.call(Method::POST, &path, Some(&status), RetryPolicy::Idempotent).await?;
        }
        Ok(CreatedCheck { id: None, url, left_out })
    }
}

/// Explains a failure without a token, such as a missing proxy, with the hint to use a token.
fn without_token(bucket: &Bitbucket, error: Error) -> Error {
    match bucket.insights() {
        Some(_) if matches!(error.kind(), Kind::Remote | Kind::Auth) => error
            .context("the pipeline's proxy did not create the check")
            .hint("save a repository access token with the scope repository:write as the secured variable REPO_TOKEN"),
        _ => error,
    }
}

fn body(bucket: &Bitbucket, check: &Check) -> Value {
    let result = match check.state {
        CheckState::Queued | CheckState::InProgress => "PENDING",
        CheckState::Completed(Conclusion::Success | Conclusion::Neutral | Conclusion::Skipped) => "PASSED",
        CheckState::Completed(Conclusion::Failure | Conclusion::Cancelled | Conclusion::TimedOut) => "FAILED",
    };
    let text = text(check);
    let details = match ending(check) {
        Some(ending) => format!("{ending}\n{text}"),
        None => text,
    };
    let mut body = json!({
        "title": shorten(&check.title, TITLE), "details": shorten(&details, DETAILS), "report_type": "TEST",
        "reporter": "CML", "result": result,
        "data": check.data.iter().take(DATA).map(|(name, value)| figure(name, value)).collect::<Value>(),
    });
    if let Some(run) = &bucket.run_url {
        body["link"] = json!(run);
    }
    body
}

/// Returns the report's text; its title where it only has pictures, as Bitbucket wants one.
fn text(check: &Check) -> String {
    let text = plain(&check.report.concat());
    if text.is_empty() { check.title.clone() } else { text }
}

/// Returns what the result does not say.
fn ending(check: &Check) -> Option<String> {
    match check.state {
        CheckState::Completed(Conclusion::Success | Conclusion::Failure)
        | CheckState::Queued
        | CheckState::InProgress => None,
        CheckState::Completed(conclusion) => Some(name(conclusion).replace('_', " ")),
    }
}

/// Returns a figure in the form that Bitbucket shows best; a percentage is between 0 and 100.
fn figure(name: &str, value: &str) -> Value {
    let percentage = value.trim().strip_suffix('%').and_then(number);
    let percentage =
        percentage.filter(|percent| percent.as_f64().is_some_and(|percent| (0.0..=100.0).contains(&percent)));
    match (percentage, number(value), value) {
        (Some(percent), _, _) => json!({ "title": name, "type": "PERCENTAGE", "value": percent }),
        (_, Some(number), _) => json!({ "title": name, "type": "NUMBER", "value": number }),
        (_, _, "true" | "false") => json!({ "title": name, "type": "BOOLEAN", "value": value == "true" }),
        (_, _, link) if link.starts_with("https://") => {
            json!({ "title": name, "type": "LINK", "value": { "text": link, "href": link } })
        }
        _ => json!({ "title": name, "type": "TEXT", "value": value }),
    }
}

/// Returns a number as it is written where JSON has that form, which it does not of `.5` or `+1`.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let number: f64 = text.parse().ok()?;
    serde_json::from_str(text).ok().or_else(|| Number::from_f64(number))
}

fn annotation(id: &str, found: &Annotation) -> Value {
    let (kind, severity) = match found.level {
        Level::Error => ("BUG", "HIGH"),
        Level::Warning => ("CODE_SMELL", "MEDIUM"),
        Level::Note => ("CODE_SMELL", "LOW"),
    };
    let summary = match &found.title {
        Some(title) => format!("{title}: {}", found.message),
        None => found.message.clone(),
    };
    let mut json = json!({ "external_id": id, "annotation_type": kind, "severity": severity, "path": found.path,
        "line": found.start_line, "summary": shorten(&summary.replace('\n', " "), SUMMARY) });
    if summary.contains('\n') || summary.chars().count() > SUMMARY {
        json["details"] = json!(shorten(&found.message, DETAILS));
    }
    json
}

fn status(bucket: &Bitbucket, check: &Check, key: &str, page: &str) -> Value {
    let state = match check.state {
        CheckState::Queued | CheckState::InProgress => "INPROGRESS",
        CheckState::Completed(Conclusion::Success | Conclusion::Neutral | Conclusion::Skipped) => "SUCCESSFUL",
        CheckState::Completed(Conclusion::Failure | Conclusion::TimedOut) => "FAILED",
        CheckState::Completed(Conclusion::Cancelled) => "STOPPED",
    };
    let text = text(check).replace('\n', " · ");
    let url = bucket.run_url.as_deref().unwrap_or(page);
    json!({ "key": key, "state": state, "name": shorten(&check.title, NAME), "url": url,
        "description": shorten(&text, NAME) })
}
