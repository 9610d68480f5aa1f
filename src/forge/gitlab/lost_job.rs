//! Reruns a job that was lost with its runner: <https://docs.gitlab.com/api/jobs/>. The rest of its pipeline goes on.

use super::GitLab;
use crate::error::{Error, Kind, Result};
use crate::forge::runs::{Rerun, start_once};
use crate::http::{Http, RetryPolicy};
use http::Method;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The first of the growing pauses while a job is being cancelled.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    status: String,
    web_url: String,
    pipeline: Pipeline,
}

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
}

impl Job {
    fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "success" | "failed" | "canceled" | "skipped")
    }
}

/// Reruns a job, unless GitLab did so itself or it succeeded. If GitLab does not know yet that it is over, it is cancelled
/// first: its runner has ended.
pub async fn rerun(gitlab: &GitLab, id: &str, most: u32, http: &Http) -> Result<Option<Rerun>> {
    let number: u64 = id.parse().map_err(|_| Error::internal(format!("'{id}' is not the id of a GitLab job")))?;
    let mut job = get(gitlab, number).await?;
    if !job.is_over() {
        job = cancelled(gitlab, job, http).await?;
    }
    if job.status == "success" {
        return Ok(None);
    }
    let attempts = attempts(gitlab, &job).await?;
    if let Some(next) = next(&attempts, number) {
        return Ok(Some(rerun_of(next)));
    }
    if attempts.len() >= most as usize {
        let name = &job.name;
        return Err(Error::conflict(format!("it has been started {} times already", attempts.len()))
            .hint(format!("find out why {name} loses its runners, and rerun it by hand")));
    }
    let path = format!("{}/jobs/{number}/retry", gitlab.root);
    let send = async || {
        let (_, started): (_, Job) = gitlab.rest.call(Method::POST, &path, None, RetryPolicy::LookFirst).await?;
        Ok(rerun_of(&started))
    };
    let look = async || Ok(next(&self::attempts(gitlab, &job).await?, number).map(rerun_of));
    start_once(http, &format!("job {number}"), send, look).await.map(Some)
}

fn rerun_of(job: &Job) -> Rerun {
    Rerun { url: job.web_url.clone(), note: None }
}

async fn get(gitlab: &GitLab, id: u64) -> Result<Job> {
    let path = format!("{}/jobs/{id}", gitlab.root);
    let (_, job) = gitlab.rest.get(&path).await.map_err(|error| match error.kind() {
        Kind::NotFound => Error::not_found(format!("no job {id} in {}", gitlab.page))
            .hint("a group's runner runs jobs of several projects: rerun it in its own project"),
        _ => error,
    })?;
    Ok(job)
}

/// Cancels a job and waits until it has ended. If GitLab waits for a confirmation of the runner, the request is repeated with
/// `force`.
async fn cancelled(gitlab: &GitLab, mut job: Job, http: &Http) -> Result<Job> {
    let (id, path) = (job.id, format!("{}/jobs/{}/cancel", gitlab.root, job.id));
    (_, job) = gitlab.rest.call(Method::POST, &path, None, RetryPolicy::Idempotent).await?;
    if job.status == "canceling" {
        let body = json!({ "force": true });
        let forced: Result<(_, Job)> =
            gitlab.rest.call(Method::POST, &path, Some(&body), RetryPolicy::Idempotent).await;
        // It may be over by now, or the token is not allowed to: the status will tell.
        job = forced.map_or(job, |(_, job)| job);
    }
    let mut attempt = 0;
    while !job.is_over() {
        http.pause(PAUSE, attempt).await.map_err(|_| {
            Error::remote(format!("job {id} was cancelled but is still {}: not running it again", job.status))
                .hint("rerun it by hand when GitLab shows it as cancelled")
        })?;
        job = get(gitlab, id).await?;
        attempt += 1;
    }
    Ok(job)
}

/// Fetches all jobs of the same name in its pipeline: each attempt is a job of its own.
async fn attempts(gitlab: &GitLab, job: &Job) -> Result<Vec<Job>> {
    let mut found = Vec::new();
    for page in 1_u32.. {
        let query = format!("include_retried=true&per_page=100&page={page}");
        let path = format!("{}/pipelines/{}/jobs?{query}", gitlab.root, job.pipeline.id);
        let (_, jobs): (_, Vec<Job>) = gitlab.rest.get(&path).await?;
        let is_last = jobs.len() < 100;
        found.extend(jobs.into_iter().filter(|other| other.name == job.name));
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// Returns the next attempt after one, if there is one already.
fn next(attempts: &[Job], id: u64) -> Option<&Job> {
    attempts.iter().filter(|job| job.id > id).max_by_key(|job| job.id)
}
