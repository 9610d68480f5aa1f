//! Pipelines: <https://docs.gitlab.com/api/pipelines/>.

use super::{GitLab, lost_job};
use crate::error::{Error, Kind, Result};
use crate::forge::Context;
use crate::forge::runs::{LostJobs, Rerun, Runs, start_once, which_run};
use crate::http::{Http, RetryPolicy};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use std::time::Duration;

/// The first of the growing pauses while a pipeline is being cancelled.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Pipeline {
    id: u64,
    status: String,
    web_url: String,
}

impl Pipeline {
    /// <https://docs.gitlab.com/api/pipelines/#list-project-pipelines> lists the statuses.
    fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "success" | "failed" | "canceled" | "skipped" | "manual")
    }
}

#[derive(Deserialize)]
struct Job {
    id: u64,
}

#[derive(Deserialize)]
struct JobsPipeline {
    pipeline: Reference,
}

#[derive(Deserialize)]
struct Reference {
    id: u64,
}

#[async_trait(?Send)]
impl Runs for GitLab {
    /// Runs the failed and cancelled jobs of a pipeline again. As in CML one that runs is cancelled first, except
    /// the one that this job is part of.
    async fn rerun(&self, id: Option<&str>, own: &Context, http: &Http) -> Result<Rerun> {
        let own = own.workflow.as_deref();
        let id = id.or(own).ok_or_else(|| which_run("pipeline"))?;
        let number: u64 = id.parse().map_err(|_| {
            Error::usage(format!("'{id}' is not a pipeline or job"))
                .hint("pass the number at the end of its address, such as --id 1234567890")
        })?;
        let mut pipeline = find(self, number).await.map_err(|error| explained(error, number))?;
        let within = own == Some(pipeline.id.to_string().as_str());
        if !within && !pipeline.is_over() {
            pipeline = cancelled(self, pipeline, http).await.map_err(|error| explained(error, number))?;
        }
        let jobs = failed(self, pipeline.id).await.map_err(|error| explained(error, number))?;
        let nothing = jobs.is_empty() && !matches!(pipeline.status.as_str(), "failed" | "canceled");
        if nothing {
            return Err(Error::conflict(format!(
                "no job of pipeline {} failed or was cancelled, and GitLab reruns no others",
                pipeline.id
            ))
            .hint("start a new pipeline for the same commit, in GitLab under Build > Pipelines"));
        }
        retry(self, &pipeline, &jobs, http).await.map_err(|error| explained(error, number))?;
        Ok(Rerun { url: pipeline.web_url, note: None })
    }

    async fn rerun_lost(&self, id: &str, most: u32, http: &Http) -> Result<Option<Rerun>> {
        lost_job::rerun(self, id, most, http).await
    }

    fn lost_jobs(&self) -> Option<&dyn LostJobs> {
        Some(self)
    }
}

/// Returns the pipeline of that number, else that of the job of that number.
async fn find(gitlab: &GitLab, id: u64) -> Result<Pipeline> {
    match get(gitlab, id).await {
        Err(error) if error.kind() == Kind::NotFound => {}
        found => return found,
    }
    match gitlab.rest.get::<JobsPipeline>(&format!("{}/jobs/{id}", gitlab.root)).await {
        Err(error) if error.kind() == Kind::NotFound => {
            Err(Error::not_found(format!("no pipeline or job {id} found in {}", gitlab.page)).hint(
                "pass the number in its address (…/-/pipelines/1234567890), and --repo if it is in another project",
            ))
        }
        found => get(gitlab, found?.1.pipeline.id).await,
    }
}

async fn get(gitlab: &GitLab, id: u64) -> Result<Pipeline> {
    Ok(gitlab.rest.get(&format!("{}/pipelines/{id}", gitlab.root)).await?.1)
}

/// Returns the jobs that a retry would run; those that were run again already are not among them.
async fn failed(gitlab: &GitLab, id: u64) -> Result<Vec<u64>> {
    let scope = "scope%5B%5D=failed&scope%5B%5D=canceled";
    let path = format!("{}/pipelines/{id}/jobs?{scope}&per_page=100", gitlab.root);
    let (_, jobs): (_, Vec<Job>) = gitlab.rest.get(&path).await?;
    Ok(jobs.into_iter().map(|job| job.id).collect())
}

/// Cancels the pipeline and waits for its end, as long as the time allows.
async fn cancelled(gitlab: &GitLab, mut pipeline: Pipeline, http: &Http) -> Result<Pipeline> {
    let id = pipeline.id;
    let path = format!("{}/pipelines/{id}/cancel", gitlab.root);
    (_, pipeline) = gitlab.rest.call(Method::POST, &path, None, RetryPolicy::Idempotent).await?;
    let mut attempt = 0;
    while !pipeline.is_over() {
        http.pause(PAUSE, attempt).await.map_err(|_| {
            let status = &pipeline.status;
            Error::remote(format!("pipeline {id} was cancelled but is still {status}; it was not restarted"))
                .hint("its jobs have not stopped yet; allow more time with --timeout SECONDS")
        })?;
        pipeline = get(gitlab, id).await?;
        attempt += 1;
    }
    Ok(pipeline)
}

/// Runs the jobs again, exactly once: when the answer was lost, looks at them before asking again.
async fn retry(gitlab: &GitLab, before: &Pipeline, jobs: &[u64], http: &Http) -> Result<()> {
    let path = format!("{}/pipelines/{}/retry", gitlab.root, before.id);
    let send = async || {
        let (_, _): (_, Pipeline) = gitlab.rest.call(Method::POST, &path, None, RetryPolicy::LookFirst).await?;
        Ok(())
    };
    let look = async || {
        if before.is_over() && !get(gitlab, before.id).await?.is_over() {
            return Ok(Some(()));
        }
        let now = failed(gitlab, before.id).await?;
        Ok(jobs.iter().any(|job| !now.contains(job)).then_some(()))
    };
    start_once(http, &format!("pipeline {}", before.id), send, look).await
}

fn explained(error: Error, id: u64) -> Error {
    match error.kind() {
        Kind::Auth if error.to_string().starts_with("GitLab answered 403") => {
            error.context(format!("cannot rerun {id}"))
        }
        _ => error,
    }
}
