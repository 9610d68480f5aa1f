//! Jobs of a pipeline, and why they failed: <https://docs.gitlab.com/api/jobs/#list-all-jobs-for-a-pipeline>.

use super::GitLab;
use crate::error::{Error, Kind, Result};
use crate::forge::runs::{FailedJob, FailedRun, LostJobs, Ours};
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Reasons that are the runner's: <https://docs.gitlab.com/ci/yaml/#retrywhen>. Those of GitLab 19 and later come first; what
/// older servers call a runner that vanished, they still mean by [`retry:when`](https://docs.gitlab.com/ci/yaml/#retrywhen).
/// `unknown_failure` is what a server before 19 makes of `runner_interrupted`, which it does not know; only the caller's own
/// runners are judged by it.
const LOST: &[(&str, &str)] = &[
    ("runner_interrupted", "the runner was stopped (runner_interrupted)"),
    ("no_updates_running", "the runner stopped responding (no_updates_running)"),
    ("no_updates_canceling", "the runner stopped responding (no_updates_canceling)"),
    ("runner_system_failure", "the runner failed (runner_system_failure)"),
    ("stuck_or_timeout_failure", "the runner stopped responding (stuck_or_timeout_failure)"),
    ("unknown_failure", "the runner was stopped, or failed in a way GitLab does not know (unknown_failure)"),
];

#[derive(Deserialize)]
struct Job {
    id: u64,
    name: String,
    status: String,
    failure_reason: Option<String>,
    runner: Option<Runner>,
}

#[derive(Deserialize)]
struct Runner {
    description: Option<String>,
}

#[async_trait(?Send)]
impl LostJobs for GitLab {
    /// Fetches the failed jobs of a pipeline. Jobs of the same name are attempts of one job.
    async fn fetch_failed(&self, run: &str, ours: Ours<'_>) -> Result<FailedRun> {
        let number: u64 = run.parse().map_err(|_| {
            Error::usage(format!("'{run}' is not the id of a pipeline"))
                .hint("give the number at the end of its URL, such as --run 1234567890")
        })?;
        let mut last: BTreeMap<String, (u64, Job)> = BTreeMap::new();
        for page in 1_u32.. {
            let path = format!("{}/pipelines/{number}/jobs?include_retried=true&per_page=100&page={page}", self.root);
            let (_, jobs): (_, Vec<Job>) = self.rest.get(&path).await.map_err(|error| match error.kind() {
                Kind::NotFound => Error::not_found(format!("no pipeline {number} in {}", self.page)).hint(
                    "give the number in its URL (…/-/pipelines/1234567890), and --repo if it belongs to another project",
                ),
                _ => error,
            })?;
            let is_last = jobs.len() < 100;
            for job in jobs {
                let count = last.get(&job.name).map_or(0, |(count, _)| *count) + 1;
                let known = last.remove(&job.name).map(|(_, known)| known).filter(|known| known.id > job.id);
                last.insert(job.name.clone(), (count, known.unwrap_or(job)));
            }
            if is_last {
                break;
            }
        }
        let mut failed = FailedRun { attempt: 1, ..FailedRun::default() };
        for (attempt, job) in last.into_values().filter(|(_, job)| job.status == "failed") {
            match job.runner.and_then(|runner| runner.description).filter(|name| ours(name)) {
                Some(runner) => {
                    let lost = LOST.iter().find(|(reason, _)| job.failure_reason.as_deref() == Some(reason));
                    failed.attempt = failed.attempt.max(attempt);
                    failed.jobs.push(FailedJob {
                        name: job.name,
                        runner,
                        lost: lost.map(|(_, says)| (*says).to_owned()),
                    });
                }
                None => failed.others += 1,
            }
        }
        Ok(failed)
    }
}
