//! Checks: the result of a piece of work on a commit, shown with the commit and its pull requests.

use crate::error::Result;
use crate::report::annotations::Annotation;
use crate::report::split::ReportLimits;
use async_trait::async_trait;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Checks of the repository's commits.
#[async_trait(?Send)]
pub trait Checks {
    /// Returns how much of a report a check shows as Markdown; `None` where it is plain text, which the forge cuts.
    fn report_limits(&self) -> Option<ReportLimits> {
        None
    }

    /// Creates a check, or updates an unfinished one.
    async fn create(&self, check: &Check) -> Result<CreatedCheck>;
}

/// The status of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Waiting
    Queued,
    /// Running
    InProgress,
    /// Completed, see --conclusion
    Completed,
}

/// The conclusion of a completed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
pub enum Conclusion {
    /// It succeeded
    Success,
    /// It failed
    Failure,
    /// Neither success nor failure
    Neutral,
    /// It was cancelled
    Cancelled,
    /// It was skipped
    Skipped,
    /// It timed out
    TimedOut,
}

/// The status of a check, with its conclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckState {
    /// Waiting.
    Queued,
    /// Running.
    InProgress,
    /// Completed, with this conclusion.
    Completed(Conclusion),
}

/// Returns the name of a value on the command line, which is GitHub's.
pub fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A check to create or update.
#[derive(Debug, Clone)]
pub struct Check {
    /// The commit, in full.
    pub commit: String,
    /// The title, by which it is found again.
    pub title: String,
    /// Its status.
    pub state: CheckState,
    /// The report, in as many parts as [`Checks::report_limits`] asks for.
    pub report: Vec<String>,
    /// The annotations.
    pub annotations: Vec<Annotation>,
    /// Metrics, by name; on forges whose checks show Markdown they are in the report.
    pub data: Vec<(String, String)>,
    /// The check to update; by default an unfinished one of the same title, if there is one.
    pub id: Option<String>,
}

/// A check that was created or updated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreatedCheck {
    /// The forge's identity of it, where a later command needs one.
    pub id: Option<String>,
    /// Its page, for people.
    pub url: String,
    /// What this forge could not show.
    pub left_out: Vec<String>,
}
