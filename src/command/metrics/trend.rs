//! `cml metrics trend`: a metric over the commits of the default branch, and where this run is.

use crate::app::App;
use crate::charts::trend::{self, Trend};
use crate::command::diff::base;
use crate::command::diff::gather::{Selection, gather};
use crate::command::diff::project::Project;
use crate::command::diff::records::History;
use crate::command::diff::snapshot::{Snapshot, Version};
use crate::command::publish_args::{PublishArgs, write_output};
use crate::command::publisher::Publisher;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::metrics::history::{Record, mean};
use crate::metrics::python::significant;
use crate::metrics::source::Row;
use crate::metrics::table::{PRECISION, Subject};
use crate::publish::prepare_asset;
use crate::report::escape::escape;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Markdown with the chart, which is published, and a line of text
    Md,
    /// A line of text
    Text,
    /// The chart itself
    Svg,
}

/// Options of `cml metrics trend`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trend")]
#[command(after_help = "Examples:\n  \
    # Add the chart to a report\n  cml metrics trend accuracy >> report.md\n\n  \
    # Print the last 20 values as a line of text\n  cml metrics trend train.loss --last 20 --format text")]
pub struct TrendArgs {
    /// Metric: its keys, joined by dots
    #[arg(value_name = "METRIC")]
    pub metric: String,
    /// Show this many commits, the newest
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub last: u32,
    /// Form of the output
    #[arg(long, help_heading = "Output", value_name = "FORMAT", value_enum, default_value_t = Form::Md)]
    pub format: Form,
    /// Append the output to this file instead of printing it
    #[arg(long, short, help_heading = "Output", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where to publish.
    #[command(flatten)]
    pub publish_args: PublishArgs,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, args: &TrendArgs) -> Result<()> {
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let records = History::load(app, global).await?.records;
    let name = &args.metric;
    let mut valued: Vec<(&Record, f64)> =
        records.iter().filter_map(|record| Some((record, record.value(name)?))).collect();
    if valued.is_empty() {
        let what = match records.len() {
            0 => "the history of metrics is empty".to_owned(),
            count => format!("none of {count} records has the metric {name}"),
        };
        return Err(Error::not_found(what)
            .hint("check the name: keys are joined by dots; `cml metrics record` on the default branch adds records"));
    }
    let own = base::commit_of_run(app, &git).await?;
    let is_recorded = valued.iter().any(|(record, _)| Some(&record.commit) == own.as_ref());
    let current = if is_recorded { None } else { current(app, &git, name).await };
    valued.drain(..valued.len().saturating_sub(args.last as usize));
    let values: Vec<f64> = valued.iter().map(|(_, value)| *value).collect();
    let ends = [valued.first(), valued.last()].map(|end| end.map(|(record, _)| record.short()).unwrap_or_default());
    let trend = Trend { title: name, values: &values, ends, current };
    let text = match args.format {
        Form::Svg => trend::svg(&trend),
        Form::Text => format!("{}\n", line(name, &trend)),
        Form::Md => {
            let asset = prepare_asset("trend.svg", None, trend::svg(&trend).into_bytes().into())?;
            let store = args.publish_args.open(app, global, false).await?;
            let addresses = Publisher::new(app, &store).publish(&[asset], "the chart").await?;
            let name = escape(name);
            format!("![Trend of {name}]({})\n\n{}\n", addresses.concat(), line(&name, &trend))
        }
    };
    write_output(app, args.file.as_ref(), &text)
}

/// Returns the value of the working copy.
async fn current(app: &App, git: &Git<'_>, name: &str) -> Option<f64> {
    let read = async || {
        let project = Project::find(app)?;
        let selection =
            Selection { subject: Subject::Metrics, targets: None, dependencies_only: false, row: &Row::Last };
        let snapshot = Snapshot::open(app, git, &project, Version::Workspace).await?;
        gather(&snapshot, &selection, true).await
    };
    match read().await {
        Ok(values) => mean(&values, name),
        Err(error) => {
            app.log.info(&format!("{error}; the trend has no value of this run"));
            None
        }
    }
}

/// Returns the trend as a line: bars, the newest value, and this run's.
fn line(name: &str, trend: &Trend<'_>) -> String {
    let number = |value: f64| significant(value, PRECISION);
    let bars = trend::sparkline(trend.values);
    let last = trend.values.last().map(|value| number(*value)).unwrap_or_default();
    let commits =
        if trend.values.len() == 1 { "1 commit".to_owned() } else { format!("{} commits", trend.values.len()) };
    let band = trend::usual(trend.values).map(|(low, high)| format!(", usually {} to {}", number(low), number(high)));
    let current = trend.current.map(|value| format!("; this run: {}", number(value)));
    format!("{name} {bars} {last} ({commits}{}){}", band.unwrap_or_default(), current.unwrap_or_default())
}
