//! Jobs of a workflow run, and why they failed: <https://docs.github.com/en/rest/actions/workflow-jobs>.

use super::GitHub;
use crate::error::{Error, Kind, Result};
use crate::forge::runs::{FailedJob, FailedRun, LostJobs, Ours};
use async_trait::async_trait;
use serde::Deserialize;

/// GitHub's annotations of a job whose runner is gone or was asked to end:
/// <https://github.com/actions/runner/issues/2624>, <https://github.com/actions/runner/issues/3724>.
const LOST: &[&str] = &["lost communication with the server", "has received a shutdown signal"];

#[derive(Deserialize)]
struct Run {
    status: Option<String>,
    run_attempt: Option<u64>,
}

#[derive(Deserialize)]
struct Jobs {
    total_count: usize,
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    /// Of its check run, too.
    id: u64,
    name: String,
    conclusion: Option<String>,
    /// Empty or absent for a job that never got a runner.
    runner_name: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    message: Option<String>,
}

#[async_trait(?Send)]
impl LostJobs for GitHub {
    /// Fetches the failed jobs of a completed run.
    async fn fetch_failed(&self, run: &str, ours: Ours<'_>) -> Result<FailedRun> {
        let number: u64 = run.parse().map_err(|_| {
            Error::usage(format!("'{run}' is not the id of a workflow run"))
                .hint("give the number at the end of the run's URL, such as --run 1234567890")
        })?;
        let path = format!("{}/actions/runs/{number}", self.root);
        let found: Run = self.client.get(&path).await.map_err(|error| match (error.kind(), error.hint_text()) {
            (Kind::NotFound, None) => {
                Error::not_found(format!("no workflow run {number} in {}", self.repository)).hint(
                    "give the number in the run's URL (…/actions/runs/1234567890), and --repo if it belongs to another repository",
                )
            }
            _ => error,
        })?;
        if found.status.as_deref() != Some("completed") {
            let status = found.status.unwrap_or_else(|| "unfinished".to_owned());
            return Err(Error::conflict(format!("run {number} is still {status}"))
                .hint("run this after it has completed, in a workflow on workflow_run with types: [completed]"));
        }
        let mut failed = FailedRun { attempt: found.run_attempt.unwrap_or(1), ..FailedRun::default() };
        for job in all(self, &path).await?.into_iter().filter(Job::is_failed) {
            match job.runner_name.as_deref().filter(|name| ours(name)).map(str::to_owned) {
                Some(runner) => {
                    failed.jobs.push(FailedJob { lost: lost(self, job.id).await?, name: job.name, runner });
                }
                None => failed.others += 1,
            }
        }
        Ok(failed)
    }
}

impl Job {
    fn is_failed(&self) -> bool {
        matches!(self.conclusion.as_deref(), Some("failure" | "cancelled" | "timed_out"))
    }
}

/// Fetches the jobs of a run's last attempt.
async fn all(github: &GitHub, run: &str) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for page in 1_u32.. {
        let found: Jobs = github.client.get(&format!("{run}/jobs?filter=latest&per_page=100&page={page}")).await?;
        let is_last = found.jobs.is_empty();
        jobs.extend(found.jobs);
        if is_last || jobs.len() >= found.total_count {
            break;
        }
    }
    Ok(jobs)
}

/// Returns the annotation that says that a job lost its runner, if there is one.
async fn lost(github: &GitHub, job: u64) -> Result<Option<String>> {
    let path = format!("{}/check-runs/{job}/annotations?per_page=100", github.root);
    let remarks: Vec<Annotation> = github.client.get(&path).await.map_err(|error| match error.kind() {
        Kind::Auth => error.hint("add to the job: permissions: { actions: write, checks: read }"),
        _ => error,
    })?;
    let mut says = remarks.into_iter().filter_map(|remark| remark.message);
    Ok(says.find(|says| LOST.iter().any(|lost| says.contains(lost))))
}
