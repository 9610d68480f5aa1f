//! `cml params`: which parameters a change sets anew.

use super::diff::{self, DiffArgs, Kind};
use crate::app::App;
use crate::connect::Global;
use crate::error::Result;
use crate::metrics::table::Subject;
use clap::ArgAction::Set;
use clap::{Args, Subcommand};

/// Compare parameters
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare parameters with those of another commit, and print a table
    Diff(Box<Diff>),
}

/// Options of `cml params diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Compare with the commit that the branch started from, and add it to a report\n  cml params diff >> report.md\n\n  \
    # Compare a file with that of a tag\n  cml params diff v1.0 config.toml")]
pub struct Diff {
    /// What to compare.
    #[command(flatten)]
    pub args: DiffArgs,
    /// Compare only parameters that stages depend on
    #[arg(long, help_heading = "Comparison", action = Set, default_value_t = false)]
    pub deps: bool,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Diff(diff) = command;
    let kind = Kind { subject: Subject::Params, precision: None, dependencies_only: diff.deps };
    diff::run(app, global, &diff.args, &kind).await
}
