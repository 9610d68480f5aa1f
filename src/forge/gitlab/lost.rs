//! A job that its runner took down with it: <https://docs.gitlab.com/api/jobs/>. The rest of its pipeline goes on.

use super::GitLab;
use crate::error::{Error, Kind, Result};
use crate::forge::{Rerun, start_once};
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

/// Starts a job again, unless GitLab did so by itself or it ended well. Where GitLab does not know yet that it is over, it is
/// cancelled first: its runner has ended.
pub async fn rerun(gitlab: &GitLab, id: &str, most: u32, http: &Http) -> Result<Option<Rerun>> {
    let number: u64 = id.parse().map_err(|_| Error::internal(format!("'{id}' is not a job of GitLab")))?;
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
        return Err(Error::conflict(format!("it was started {} times already", attempts.len()))
            .hint(format!("look why {name} loses its runners, and start it again by hand")));
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
        Kind::NotFound => Error::not_found(format!("there is no job {id} in {}", gitlab.page))
            .hint("a group's runner runs jobs of other projects: start it again there"),
        _ => error,
    })?;
    Ok(job)
}

/// Cancels a job and waits for its end. Where GitLab would wait until the job's runner confirms it, the request is repeated with
/// `force`.
async fn cancelled(gitlab: &GitLab, mut job: Job, http: &Http) -> Result<Job> {
    let (id, path) = (job.id, format!("{}/jobs/{}/cancel", gitlab.root, job.id));
    (_, job) = gitlab.rest.call(Method::POST, &path, None, RetryPolicy::Idempotent).await?;
    if job.status == "canceling" {
        let body = json!({ "force": true });
        let forced: Result<(_, Job)> =
            gitlab.rest.call(Method::POST, &path, Some(&body), RetryPolicy::Idempotent).await;
        // It is over meanwhile, or the token may not: time will tell.
        job = forced.map_or(job, |(_, job)| job);
    }
    let mut attempt = 0;
    while !job.is_over() {
        http.pause(PAUSE, attempt).await.map_err(|_| {
            Error::remote(format!("job {id} was cancelled and is still {}: it was not started again", job.status))
                .hint("start it again by hand when GitLab shows it as cancelled")
        })?;
        job = get(gitlab, id).await?;
        attempt += 1;
    }
    Ok(job)
}

/// All jobs of that name in its pipeline: each start is another one.
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

/// The start after one, if there is one already.
fn next(attempts: &[Job], id: u64) -> Option<&Job> {
    attempts.iter().filter(|job| job.id > id).max_by_key(|job| job.id)
}
