//! `cml metrics`: what a change does to the metrics, whether it may, and what files say about them.

use super::diff::{self, DiffArgs, Kind};
use crate::app::App;
use crate::connect::Global;
use crate::error::Result;
use crate::metrics::table::Subject;
use clap::{Args, Subcommand};

mod convert;
mod gate;
mod record;
mod trend;

/// Compare, judge, convert and record metrics
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare metrics with those of another commit, and print a table
    Diff(Box<Diff>),
    /// Print what a file of metrics or of an evaluation tool says
    Convert(convert::Convert),
    /// Record the metrics of a commit of the default branch
    Record(Box<record::Record>),
    /// Draw a metric over the commits that were recorded
    Trend(Box<trend::TrendArgs>),
    /// Judge metrics by rules, and fail if one is worse than it may be
    Gate(Box<gate::Gate>),
}

/// Options of `cml metrics diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Compare with the commit that the branch started from, and comment\n  cml metrics diff | cml comment update -\n\n  \
    # Compare some files with main\n  cml metrics diff main 'results/*.json'\n\n  \
    # As `dvc metrics diff` prints it\n  cml metrics diff HEAD~1 --format dvc")]
pub struct Diff {
    /// What to compare.
    #[command(flatten)]
    pub args: DiffArgs,
    /// Significant digits; with --format dvc decimals [default: 5]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = clap::value_parser!(u16).range(0..=300))]
    pub precision: Option<u16>,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let diff = match command {
        Command::Diff(diff) => diff,
        Command::Convert(convert) => return convert::run(app, convert).await,
        Command::Record(args) => return record::run(app, global, args).await,
        Command::Trend(args) => return trend::run(app, global, args).await,
        Command::Gate(args) => return gate::run(app, global, args).await,
    };
    // DVC takes 0 for its default, too.
    let precision = diff.precision.filter(|precision| *precision > 0).map(usize::from);
    let kind = Kind { subject: Subject::Metrics, precision, dependencies_only: false };
    diff::run(app, global, &diff.args, &kind).await
}
