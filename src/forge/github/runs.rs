//! Workflow runs: <https://docs.github.com/en/rest/actions/workflow-runs>.

use super::GitHub;
use crate::error::{Error, Kind, Result};
use crate::forge::Context;
use crate::forge::runs::{LostJobs, Rerun, Runs, start_once, which_run};
use crate::http::{Http, RetryPolicy};
use async_trait::async_trait;
use serde::Deserialize;
use std::time::Duration;

/// The first of the growing pauses while a run is being cancelled.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Run {
    id: u64,
    /// `queued`, `in_progress`, `waiting`, …, and in the end `completed`.
    status: Option<String>,
    conclusion: Option<String>,
    html_url: String,
    /// One more with each start.
    run_attempt: Option<u64>,
}

impl Run {
    fn is_over(&self) -> bool {
        self.status.as_deref() == Some("completed")
    }

    /// Returns whether the run has started again since `before`.
    fn is_after(&self, before: &Run) -> bool {
        !self.is_over() || self.run_attempt > before.run_attempt
    }
}

#[async_trait(?Send)]
impl Runs for GitHub {
    /// Cancels the run if it has not ended, and starts its failed and cancelled jobs again, or all jobs when none
    /// failed.
    async fn rerun(&self, id: Option<&str>, own: &Context, http: &Http) -> Result<Rerun> {
        let own = own.run.as_deref();
        let id = id.or(own).ok_or_else(|| which_run("workflow run"))?;
        let number: u64 = id.parse().map_err(|_| {
            Error::usage(format!("'{id}' is not a workflow run"))
                .hint("pass the number at the end of the run's address, such as --id 1234567890")
        })?;
        let mut run = get(self, number).await?;
        if !run.is_over() {
            if own == Some(id) {
                // A run ends only once each of its steps has: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>.
                return Err(Error::unsupported(format!(
                    "this step is part of run {number}: cancelling the run would end this step before it can restart anything"
                ))
                .hint("run this in another workflow on workflow_run, with --id ${{ github.event.workflow_run.id }}"));
            }
            run = cancelled(self, run, http).await?;
        }
        let passed = matches!(run.conclusion.as_deref(), Some("success" | "neutral" | "skipped"));
        let started = match start(self, &run, if passed { "rerun" } else { "rerun-failed-jobs" }, http).await {
            // Of some cancelled runs GitHub finds no failed jobs.
            Err(error) if !passed && error.to_string().contains("cannot be retried") => {
                start(self, &run, "rerun", http).await
            }
            started => started,
        };
        started.map_err(|error| explained(error, number))?;
        Ok(Rerun { url: run.html_url, note: None })
    }

    /// Returns whether a run was cancelled: a failed job would have made it a failure.
    async fn is_canceled(&self, run: &str) -> Result<bool> {
        let Ok(number) = run.parse() else { return Ok(false) };
        Ok(get(self, number).await?.conclusion.as_deref() == Some("cancelled"))
    }

    fn lost_jobs(&self) -> Option<&dyn LostJobs> {
        Some(self)
    }
}

async fn get(github: &GitHub, id: u64) -> Result<Run> {
    github.client.get(&path(github, id)).await.map_err(|error| match (error.kind(), error.hint_text()) {
        (Kind::NotFound, None) => {
            Error::not_found(format!("workflow run {id} not found in {}", github.repository)).hint(
                "pass the number in the run's address (…/actions/runs/1234567890), and --repo if it is in another repository",
            )
        }
        _ => error,
    })
}

fn path(github: &GitHub, id: u64) -> String {
    format!("{}/actions/runs/{id}", github.root)
}

/// Cancels the run and waits for its end, as long as the time allows.
async fn cancelled(github: &GitHub, mut run: Run, http: &Http) -> Result<Run> {
    let id = run.id;
    match github.client.post(&format!("{}/cancel", path(github, id)), RetryPolicy::Idempotent).await {
        // It ended by itself meanwhile, or is being cancelled.
        Err(error) if error.kind() == Kind::Conflict => {}
        outcome => outcome.map_err(|error| explained(error, id))?,
    }
    let mut attempt = 0;
    while !run.is_over() {
        http.pause(PAUSE, attempt).await.map_err(|_| {
            let status = run.status.as_deref().unwrap_or("unfinished");
            Error::remote(format!("run {id} was cancelled but is still {status}; it was not restarted"))
                .hint("GitHub takes up to 5 minutes to end a run; allow more time with --timeout SECONDS")
        })?;
        run = get(github, id).await?;
        attempt += 1;
    }
    Ok(run)
}

/// Starts the run again, exactly once: when the answer was lost, looks at the run before asking again.
async fn start(github: &GitHub, run: &Run, how: &str, http: &Http) -> Result<()> {
    let path = format!("{}/{how}", path(github, run.id));
    let send = async || github.client.post(&path, RetryPolicy::LookFirst).await;
    let look = async || Ok(get(github, run.id).await?.is_after(run).then_some(()));
    start_once(http, &format!("run {}", run.id), send, look).await
}

/// Returns why GitHub does not start a run:
/// <https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs>.
fn explained(error: Error, id: u64) -> Error {
    let says = error.to_string();
    let refused = |kind| Error::new(kind, format!("run {id} was not restarted ({says})"));
    if says.contains("over a month ago") || says.contains("30 days") {
        return refused(Kind::Unsupported)
            .hint("GitHub allows reruns for 30 days, at most 50 times; push a commit or dispatch the workflow");
    }
    if says.contains("cannot be retried") || says.contains("nable to retry") {
        return refused(Kind::Unsupported)
            .hint("its workflow file may be gone, broken or disabled, or its logs have expired: start a new run");
    }
    if says.contains("already running") {
        return refused(Kind::Conflict).hint("it was already restarted; see the run's page");
    }
    match error.kind() {
        Kind::Auth if says.contains("pull request from a fork") => {
            error.hint("restart runs from a workflow on workflow_run, with permissions: { actions: write }")
        }
        _ => error,
    }
}
