//! Runs of the CI: workflow runs, pipelines and their jobs.

use crate::error::{Error, Result};
use crate::forge::Context;
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::http::Http;
use async_trait::async_trait;

/// Runs of the repository's CI.
#[async_trait(?Send)]
pub trait Runs {
    /// Reruns a run, exactly once, within the time of `http`; without an id the one that `own`, this repository's CI,
    /// names.
    async fn rerun(&self, id: Option<&str>, own: &Context, http: &Http) -> Result<Rerun>;

    /// Reruns a job, and no other, that was lost with its runner: what [`super::runners::Job::rerun`] names. `most` is how
    /// often it may have been started. `None` where it succeeded after all.
    async fn rerun_lost(&self, id: &str, _most: u32, http: &Http) -> Result<Option<Rerun>> {
        self.rerun(Some(id), &Context::default(), http).await.map(Some)
    }

    /// Returns whether a run was cancelled, and no job of it failed.
    async fn is_canceled(&self, _run: &str) -> Result<bool> {
        Ok(false)
    }

    /// Returns the search for lost jobs, where the forge reports which runner a job ran on.
    fn lost_jobs(&self) -> Option<&dyn LostJobs> {
        None
    }
}

/// The search for jobs that failed because their runner did.
#[async_trait(?Send)]
pub trait LostJobs {
    /// Returns the failed jobs of a completed run, of those that `ours` accepts by the name of their runner.
    async fn fetch_failed(&self, run: &str, ours: Ours<'_>) -> Result<FailedRun>;
}

/// Returns whether a runner, by its name, is one that the caller asks about.
pub type Ours<'a> = &'a dyn Fn(&str) -> bool;

/// A run of the CI that was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// Its page, for people.
    pub url: String,
    /// What the user should know about it.
    pub note: Option<String>,
}

/// A CI run that has not succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedRun {
    /// How often it has been started, from 1 on.
    pub attempt: u64,
    /// Its failed jobs on runners that the caller asked about.
    pub jobs: Vec<FailedJob>,
    /// How many other jobs failed.
    pub others: usize,
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// Its name.
    pub name: String,
    /// The name of its runner.
    pub runner: String,
    /// The forge's reason, if the job failed because its runner did.
    pub lost: Option<String>,
}

/// Restarts a run exactly once. `what` names the run.
pub(in crate::forge) async fn start_once<T>(
    http: &Http,
    what: &str,
    send: impl AsyncFn() -> Result<T>,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let messages = OutcomeMessages {
        done: format!("{what} was restarted"),
        unknown: format!("check {what} before you run this again"),
        not_done: "nothing was restarted",
    };
    exactly_once(http, &messages, send, look).await
}

/// Returns the error for a run that nothing names.
pub(in crate::forge) fn which_run(what: &str) -> Error {
    Error::usage(format!("cannot determine which {what} to rerun")).hint("pass its number with --id")
}
