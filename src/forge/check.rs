//! Checks: the result of a piece of work on a commit, shown with the commit and its pull requests.

use crate::report::annotations::Annotation;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Status {
    /// It waits
    Queued,
    /// It runs
    InProgress,
    /// It has ended, see --conclusion
    Completed,
}

/// How the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
pub enum Conclusion {
    /// Well
    Success,
    /// Badly
    Failure,
    /// Neither
    Neutral,
    /// Somebody stopped it
    Cancelled,
    /// It was not done
    Skipped,
    /// It took too long
    TimedOut,
}

/// Where a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It waits.
    Queued,
    /// It runs.
    InProgress,
    /// It has ended so.
    Completed(Conclusion),
}

/// The name of a value on the command line, which is GitHub's.
pub fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A check to make, or to bring up to date.
#[derive(Debug, Clone)]
pub struct Check {
    /// The commit, in full.
    pub commit: String,
    /// The title, by which it is known too.
    pub title: String,
    /// Where it is.
    pub state: State,
    /// The report, in as many parts as [`super::Forge::report_limits`] asks for.
    pub report: Vec<String>,
    /// Remarks on lines.
    pub annotations: Vec<Annotation>,
    /// Figures, by name; where there is room for Markdown they are in the report.
    pub data: Vec<(String, String)>,
    /// The check that this is about; otherwise an unfinished one of the same title, if there is one.
    pub id: Option<String>,
}

/// A check that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The forge's identity of it, where a later command needs one.
    pub id: Option<String>,
    /// Its page, for people.
    pub url: String,
    /// What this forge could not show.
    pub left_out: Vec<String>,
}
