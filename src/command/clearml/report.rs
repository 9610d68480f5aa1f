//! `cml clearml report`: what a task has reported, as Markdown or as a comment.
//!
//! The task → its baseline → curves, plots and images, drawn or downloaded and published → Markdown ([`markdown`]).

use super::baseline::{Baseline, Reference, Search};
use super::find::{document, set_outputs};
use super::output::Output;
use super::selection::{Found, Pick, Run, Selection};
use super::{Connection, connect, links};
use crate::app::App;
use crate::clearml::links::Links;
use crate::clearml::statistic::{Ranking, Statistic};
use crate::clearml::task::{Scalar, Task};
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::metrics::gate::Goal;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use markdown::Sheet;

mod json;
pub mod log_tail;
mod markdown;
mod pictures;

pub use markdown::{facts, folded, remark};

/// Options of `cml clearml report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Comment on the pull request with the scalars of the task that ran its head\n  \
    cml clearml report --project Lab/CI --publish\n\n  \
    # Compare them with the best task, draw the curves\n  \
    cml clearml report --project Lab/CI --baseline 'tag:best' --plots --publish\n\n  \
    # Add the accuracies to a report\n  cml clearml report --metric 'accuracy/*' >> report.md")]
pub struct Report {
    /// Which task.
    #[command(flatten)]
    pub selection: Selection,
    /// Task to compare with: task:ID, tag:NAME for the last task of the project with a tag, best for the best one by --metric, or
    /// base-branch for the last one of the branch that the pull request goes into
    #[arg(long, alias = "compare", value_name = "TASK", help_heading = "Content")]
    pub baseline: Option<Baseline>,
    /// Which values of --metric are better, for --baseline best
    #[arg(long, value_name = "GOAL", value_enum, default_value_t = Direction::Max, help_heading = "Content")]
    pub goal: Direction,
    /// Only these scalars: titles, or TITLE/SERIES, with * as in file names; may be given several times
    #[arg(long, value_name = "GLOB", help_heading = "Content")]
    pub metric: Vec<String>,
    /// Which hyper-parameters to show
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Params::Changed, help_heading = "Content")]
    pub params: Params,
    /// Draw curves and confusion matrices, and show debug images
    #[arg(long, help_heading = "Content", conflicts_with = "json", action = Set, default_value_t = false)]
    pub plots: bool,
    /// List the models that the task has made
    #[arg(long, help_heading = "Content", action = Set, default_value_t = false)]
    pub models: bool,
    /// List the artifacts of the task
    #[arg(long, help_heading = "Content", action = Set, default_value_t = false)]
    pub artifacts: bool,
    /// Show this many of the last lines of the task's log, without secrets
    #[arg(long = "log-lines", value_name = "LINES", default_value_t = 0, help_heading = "Content", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub log_lines: u32,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
    /// Where the report goes.
    #[command(flatten)]
    pub output: Output,
}

/// Which hyper-parameters a report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Params {
    /// None
    None,
    /// Those that differ from the baseline's, if there is one
    Changed,
    /// All of them
    All,
}

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// The greater ones
    Max,
    /// The smaller ones
    Min,
}

impl From<Direction> for Goal {
    fn from(direction: Direction) -> Self {
        if direction == Direction::Max { Goal::Higher } else { Goal::Lower }
    }
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Report) -> Result<()> {
    args.selection.check_pick()?;
    if args.baseline == Some(Baseline::Best) && args.metric.is_empty() {
        return Err(Error::usage("--baseline best needs a metric").hint("name one with --metric, such as accuracy/val"));
    }
    let run = Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    match args.selection.find(app, global, &run, &client).await? {
        Found::Tasks(tasks) => {
            let links = links(&client).await?;
            set_outputs(app, &tasks, &links)?;
            let name = args.selection.name.as_deref();
            let search = Search { app, global, client: &client, run: &run, name };
            let text = args.report(&search, &links, tasks).await?;
            args.output.hand_out(app, global, &args.selection, "", text).await
        }
        Found::Nothing(nothing) => {
            args.output.report_nothing(app, global, &client, &args.selection, "", &nothing).await
        }
    }
}

impl Report {
    /// Returns the report of some tasks, the newest first.
    async fn report(&self, search: &Search<'_>, links: &Links, tasks: Vec<Task>) -> Result<String> {
        let Search { app, global, client, .. } = *search;
        let count = if self.selection.pick == Pick::All { tasks.len() } else { 1 };
        let (mut texts, mut documents) = (Vec::new(), Vec::new());
        for found in tasks.into_iter().take(count) {
            // A search does not ask for all fields.
            let task = if self.selection.task.is_some() { found } else { client.task(&found.id).await? };
            let scalars = self.scalars(&task)?;
            let reference = match &self.baseline {
                Some(baseline) => Some(search.find(baseline, &task, self.ranking(&scalars).as_ref()).await?),
                None => None,
            };
            let baseline = reference.as_ref().and_then(Reference::task);
            if self.output.json {
                documents.push(json::report(&task, baseline, &scalars, links));
                continue;
            }
            let pictures = self.pictures(app, global, client, &task, &scalars).await?;
            let log = match self.log_lines {
                0 => Vec::new(),
                lines => log_tail::without_secrets(app, client.log_tail(&task.id, lines as usize).await?),
            };
            let no_baseline = reference.as_ref().and_then(Reference::missing);
            let sheet = Sheet { task: &task, baseline, no_baseline, scalars, links, pictures, log, args: self };
            texts.push(sheet.markdown());
        }
        Ok(if self.output.json { document(&documents.into()) } else { texts.join("\n") })
    }

    /// Returns by what tasks are ranked: the first of the scalars that are asked for.
    fn ranking(&self, scalars: &[Scalar]) -> Option<Ranking> {
        let first = self.metric.first()?;
        let scalar = scalars.iter().find(|scalar| is_meant(first, scalar))?.clone();
        Some(Ranking { scalar, statistic: Statistic::Last, goal: self.goal.into() })
    }

    /// Returns the scalars of a task that are asked for.
    ///
    /// # Errors
    /// There are none of them.
    fn scalars(&self, task: &Task) -> Result<Vec<Scalar>> {
        if self.metric.is_empty() {
            return Ok(task.own_scalars().cloned().collect());
        }
        for pattern in &self.metric {
            if !task.scalars.iter().any(|scalar| is_meant(pattern, scalar)) {
                return Err(no_such_metric(pattern, task));
            }
        }
        let is_wanted = |scalar: &&Scalar| self.metric.iter().any(|pattern| is_meant(pattern, scalar));
        Ok(task.scalars.iter().filter(is_wanted).cloned().collect())
    }
}

/// Returns whether a pattern means a scalar.
pub fn is_meant(pattern: &str, scalar: &Scalar) -> bool {
    let name = scalar.name();
    [scalar.metric.as_str(), &name].into_iter().any(|text| text == pattern || fast_glob::glob_match(pattern, text))
}

/// Returns the error for a scalar that a task does not have, with those that it has, the nearest first.
pub fn no_such_metric(pattern: &str, task: &Task) -> Error {
    let mut names: Vec<String> = task.own_scalars().map(Scalar::name).collect();
    let distance =
        |name: &String| (-1000.0 * strsim::jaro_winkler(&name.to_lowercase(), &pattern.to_lowercase())) as i64;
    names.sort_by_cached_key(distance);
    names.truncate(5);
    let error = Error::not_found(format!("the ClearML task {} has no scalar '{pattern}'", task.name));
    if names.is_empty() {
        return error.hint("it has no scalars at all");
    }
    error.hint(format!("it has {}", names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_titles_and_series() {
        let scalar = Scalar { metric: "train/loss".into(), variant: "a b".into(), ..Scalar::default() };
        for pattern in ["train/loss", "train/*", "train/loss/a b", "train/loss/*", "*/loss/a?b"] {
            assert!(is_meant(pattern, &scalar), "{pattern}");
        }
        for pattern in ["train", "loss", "*", "train/loss/b"] {
            assert!(!is_meant(pattern, &scalar), "{pattern}");
        }
    }
}
