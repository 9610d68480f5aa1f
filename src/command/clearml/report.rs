//! `cml clearml report`: what a task has reported, as Markdown or as a comment.
//!
//! The task → its baseline → curves, plots and images, drawn or downloaded and published → Markdown ([`markdown`]).

use super::find::{document, missing_json, set_outputs};
use super::selection::{Found, Missing, Nothing, Pick, Run, Selection};
use super::{Connection, connect, links};
use crate::app::App;
use crate::clearml::links::Links;
use crate::clearml::task::{Scalar, Task};
use crate::clearml::{Client, Filter};
use crate::command::comment::{self, WrittenReport};
use crate::command::publish_args::{PublishArgs, write_output};
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::forge::TargetSpec;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use markdown::Sheet;
use std::path::PathBuf;
use std::str::FromStr;

mod json;
mod log_tail;
mod markdown;
mod pictures;

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
    /// Task to compare with: task:ID, or tag:NAME for the last task of the project with a tag
    #[arg(long, alias = "compare", value_name = "TASK", help_heading = "Content")]
    pub baseline: Option<Baseline>,
    /// Only these scalars: titles, or TITLE/SERIES, with * as in file names; may be given several times
    #[arg(long, value_name = "GLOB", help_heading = "Content")]
    pub metric: Vec<String>,
    /// Which hyper-parameters to show
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Params::Changed, help_heading = "Content")]
    pub params: Params,
    /// Draw curves and confusion matrices, and show debug images
    #[arg(long, help_heading = "Content", action = Set, default_value_t = false)]
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
    /// Publish the report as a comment, and update it with the next run
    #[arg(long = "publish", help_heading = "Output", action = Set, default_value_t = false)]
    pub publish: bool,
    /// With --publish, own one section of a comment that several jobs share, such as those of a matrix
    #[arg(long, value_name = "NAME", requires = "publish", help_heading = "Output")]
    pub section: Option<String>,
    /// With --publish, where to comment: auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337
    #[arg(long, value_name = "TARGET", default_value = "auto", help_heading = "Output")]
    pub target: TargetSpec,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE", conflicts_with = "publish", help_heading = "Output")]
    pub file: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["publish", "plots"], help_heading = "Output", action = Set, default_value_t = false)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
    /// Where to publish pictures.
    #[command(flatten)]
    pub publish_args: PublishArgs,
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

/// The task that a report compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// By its ID.
    Task(String),
    /// The last one with a tag.
    Tag(String),
}

impl FromStr for Baseline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let value = match text.split_once(':') {
            Some(("task", id)) => Baseline::Task(id.to_owned()),
            Some(("tag", tag)) => Baseline::Tag(tag.to_owned()),
            None => Baseline::Task(text.to_owned()),
            Some(_) => {
                return Err(Error::usage(format!("'{text}' does not name a task")).hint("write task:ID or tag:NAME"));
            }
        };
        match &value {
            Baseline::Task(name) | Baseline::Tag(name) if name.trim().is_empty() => {
                Err(Error::usage("--baseline needs an ID or a tag").hint("write task:ID or tag:NAME"))
            }
            _ => Ok(value),
        }
    }
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Report) -> Result<()> {
    let run = Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    match args.selection.find(app, &run, &client).await? {
        Found::Tasks(tasks) => {
            let links = links(&client).await?;
            set_outputs(app, &tasks, &links)?;
            let text = args.report(app, global, &client, &links, tasks).await?;
            args.hand_out(app, global, text).await
        }
        Found::Nothing(nothing) => args.report_nothing(app, global, &client, &nothing).await,
    }
}

impl Report {
    /// Returns the report of some tasks, the newest first.
    async fn report(
        &self,
        app: &App,
        global: &Global,
        client: &Client,
        links: &Links,
        tasks: Vec<Task>,
    ) -> Result<String> {
        let count = if self.selection.pick == Pick::All { tasks.len() } else { 1 };
        let (mut texts, mut documents) = (Vec::new(), Vec::new());
        for found in tasks.into_iter().take(count) {
            // A search does not ask for all fields.
            let task = if self.selection.task.is_some() { found } else { client.task(&found.id).await? };
            let baseline = self.baseline(client, &task).await?;
            let scalars = self.scalars(&task)?;
            if self.json {
                documents.push(json::report(&task, baseline.as_ref(), &scalars, links));
                continue;
            }
            let pictures = self.pictures(app, global, client, &task, &scalars).await?;
            let log = match self.log_lines {
                0 => Vec::new(),
                lines => log_tail::without_secrets(app, client.log_tail(&task.id, lines as usize).await?),
            };
            let sheet = Sheet { task: &task, baseline: baseline.as_ref(), scalars, links, pictures, log, args: self };
            texts.push(sheet.markdown());
        }
        Ok(if self.json { document(&documents.into()) } else { texts.join("\n") })
    }

    /// Returns the task to compare with; `None` if none was asked for, or none has the tag yet.
    async fn baseline(&self, client: &Client, task: &Task) -> Result<Option<Task>> {
        match &self.baseline {
            None => Ok(None),
            Some(Baseline::Task(id)) => client.task(id).await.map(Some),
            Some(Baseline::Tag(tag)) => {
                let filter = Filter {
                    projects: vec![task.project.clone()],
                    name: self.selection.name.clone(),
                    tag: Some(tag.clone()),
                    status: ["completed", "published"].map(str::to_owned).to_vec(),
                    ..Filter::default()
                };
                let tagged = client.tasks(&filter).await?;
                let best = tagged.iter().find(|other| !other.is_archived() && other.id != task.id);
                match best {
                    Some(best) => client.task(&best.id).await.map(Some),
                    None => Ok(None),
                }
            }
        }
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

    /// Prints the report, appends it to the file, or makes it a comment.
    async fn hand_out(&self, app: &App, global: &Global, text: String) -> Result<()> {
        if !self.publish {
            return write_output(app, self.file.as_ref(), &text);
        }
        let place = [&self.selection.project, &self.selection.name].map(|text| text.as_deref().unwrap_or_default());
        let title = if self.section.is_some() { String::new() } else { place.join(" ") };
        let report = WrittenReport {
            text,
            target: self.target.clone(),
            section: self.section.clone(),
            title: format!("ClearML {title}").trim().to_owned(),
            publish_args: self.publish_args.clone(),
        };
        comment::publish(app, global, report).await
    }

    /// Says that there is no task: in the comment too, as people read that first.
    async fn report_nothing(&self, app: &App, global: &Global, client: &Client, nothing: &Nothing) -> Result<()> {
        let is_neutral = self.selection.missing == Missing::Neutral;
        if self.json {
            app.print_result(&missing_json(nothing))?;
        } else if self.publish || is_neutral {
            let text = format!("### ClearML\n\n{}", nothing.markdown(&links(client).await?));
            self.hand_out(app, global, text).await?;
        }
        if is_neutral { Ok(()) } else { Err(nothing.error()) }
    }
}

/// Returns whether a pattern means a scalar.
fn is_meant(pattern: &str, scalar: &Scalar) -> bool {
    let name = scalar.name();
    [scalar.metric.as_str(), &name].into_iter().any(|text| text == pattern || fast_glob::glob_match(pattern, text))
}

/// Returns the error for a scalar that a task does not have, with those that it has, the nearest first.
fn no_such_metric(pattern: &str, task: &Task) -> Error {
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

    #[test]
    fn a_baseline_is_a_task_or_a_tag() {
        let parsed = |text: &str| text.parse::<Baseline>().map_err(|error| error.to_string());
        assert_eq!(parsed("task:a1"), Ok(Baseline::Task("a1".into())));
        assert_eq!(parsed("a1"), Ok(Baseline::Task("a1".into())));
        assert_eq!(parsed("tag:Best: one"), Ok(Baseline::Tag("Best: one".into())));
        for wrong in ["best:x", "tag:", "task: ", ""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
