//! Runs of the CI and how they start again: GitHub's workflow runs, GitLab's and Bitbucket's pipelines. One model, three
//! views of it: `github/runs.rs`, `gitlab/runs.rs` and `bitbucket/runs.rs`.
//!
//! As of <https://docs.github.com/en/rest/actions/workflow-runs>, <https://docs.gitlab.com/api/pipelines/> and
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use serde_json::{Value, json};

use super::clock::Time;
use super::state::HEAD;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Was asked to end, and does when it has been looked at so often.
    Cancelling(u32),
    Passed,
    Failed,
    Cancelled,
}

/// A run: two jobs, `id * 10` and `id * 10 + 1`, of which the second fails.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: u64,
    pub phase: Phase,
    /// How often it was looked at before a cancellation takes effect.
    pub lingers: u32,
    pub attempt: u64,
    /// How it was restarted: `rerun`, `rerun-failed-jobs` or `retry`.
    pub starts: Vec<String>,
    /// The runner of its second job.
    pub runner: String,
    /// What GitHub remarks on that job, or GitLab's reason for its failure.
    pub reason: Option<String>,
    /// Why GitHub does not start it again.
    pub refused: Option<String>,
    /// Bitbucket's, with their values; secured ones have none.
    pub variables: Vec<(String, Option<String>)>,
    pub target: Value,
    pub created_at: Time,
}

impl Run {
    pub fn new(id: u64, phase: Phase) -> Run {
        let target = json!({ "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "feature",
            "commit": { "type": "commit", "hash": HEAD }, "selector": { "type": "custom", "pattern": "train" } });
        let (starts, variables) = (Vec::new(), Vec::new());
        let (runner, refused, reason) = ("hosted".to_owned(), None, None);
        Run {
            id,
            phase,
            lingers: 1,
            attempt: 1,
            starts,
            runner,
            reason,
            refused,
            variables,
            target,
            created_at: Time(0),
        }
    }

    pub fn uuid(&self) -> String {
        format!("{{00000000-0000-4000-a000-{:012}}}", self.id)
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Passed | Phase::Failed | Phase::Cancelled)
    }

    pub fn look(&mut self) {
        match self.phase {
            Phase::Cancelling(0) => self.phase = Phase::Cancelled,
            Phase::Cancelling(n) if n < u32::MAX => self.phase = Phase::Cancelling(n - 1),
            _ => {}
        }
    }

    pub fn start(&mut self, how: &str) {
        (self.phase, self.attempt) = (Phase::Running, self.attempt + 1);
        self.starts.push(how.to_owned());
    }

    /// The jobs that failed or were cancelled and were not run again since.
    pub fn failed_jobs(&self) -> Vec<u64> {
        let second = self.id * 10 + self.attempt;
        match self.phase {
            Phase::Failed => vec![second],
            Phase::Cancelled => vec![self.id * 10, second],
            _ => Vec::new(),
        }
    }
}
