//! `cml report create`: what a change does, as one report: metrics, parameters, plots, data.
//!
//! Two versions of the project → sections → Markdown. The same input has the same output: no times, everything sorted.

use super::diff::base::{self, Base, Start};
use super::diff::gather::{Selection, gather};
use super::diff::plots::{Wanted, between};
use super::diff::project::Project;
use super::diff::records::LazyHistory;
use super::diff::snapshot::{Snapshot, Version};
use super::diff::{WORKSPACE, cached, compare_files};
use super::publish_args::PublishArgs;
use super::{plots, tensorboard};
use crate::app::App;
use crate::connect::{self, Global};
use crate::dvc::data;
use crate::dvc::lock::Objects;
use crate::dvc::plots::Props;
use crate::error::{Error, Result};
use crate::git::Git;
use crate::messages;
use crate::metrics::Value;
use crate::metrics::compare::Rules;
use crate::metrics::source::Row;
use crate::metrics::table::{self, Layout, PRECISION, Subject};
use crate::report::escape::escape;
use crate::repository::Repository;
use clap::ArgAction::Set;
use clap::{Args, Subcommand, ValueEnum};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Write reports
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a report of what a change does to metrics, parameters, plots and data
    Create(Box<Create>),
}

/// A section of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Metrics that changed
    Metrics,
    /// Parameters that changed
    Params,
    /// The plots of both versions
    Plots,
    /// Data of DVC's that changed, by dvc.lock and .dvc files
    Data,
    /// The charts of --logdir
    Tensorboard,
}

/// Where nothing else is asked for.
const PARTS: [Part; 5] = [Part::Metrics, Part::Params, Part::Plots, Part::Data, Part::Tensorboard];
const TITLE: &str = "Report";
const FOLD: usize = 15;

/// Options of `cml report create`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
#[command(after_help = "Examples:\n  \
    # Comment on the pull request with what it changes\n  cml report create | cml comment update -\n\n  \
    # The same in one command\n  cml comment update auto\n\n  \
    # Compare with the last release, metrics and data only\n  \
    cml report create --base v1.0 --part metrics --part data --output report.md")]
pub struct Create {
    /// Revision to compare with; auto for the commit that the branch started from
    #[arg(long, value_name = "REVISION", default_value = "auto")]
    pub base: String,
    /// Section of the report; may be given several times, in the order of the report [default: all]
    #[arg(long, value_name = "PART", value_enum)]
    pub part: Vec<Part>,
    /// Title of the report
    #[arg(long, short, value_name = "TITLE", default_value = TITLE)]
    pub title: String,
    /// Folder with TensorBoard's logs to draw
    #[arg(long, value_name = "FOLDER")]
    pub logdir: Option<PathBuf>,
    /// Show metrics and parameters that did not change too
    #[arg(long, action = Set, default_value_t = false)]
    pub all: bool,
    /// Fold sections with more rows and pictures than this; Bitbucket cannot fold
    #[arg(long, value_name = "N", default_value_t = FOLD)]
    pub fold: usize,
    /// Write the report to this file instead of printing it
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Where to publish pictures.
    #[command(flatten)]
    pub publish_args: PublishArgs,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Create(args) = command;
    let report = args.compose(app, global).await?;
    match &args.output {
        None => app.print_result(&report.text)?,
        Some(path) => write(app, path, &report.text)?,
    }
    report.outcome()
}

fn write(app: &App, path: &Path, text: &str) -> Result<()> {
    app.files()?
        .check_target(path)
        .map_err(|refusal| refusal.error(format!("cannot write {}", path.display()), path))?;
    app.host.write(path, text.as_bytes()).map_err(|error| {
        Error::config(format!("cannot write {} ({error})", path.display()))
            .hint("check --output: its folder must exist")
    })
}

/// A report that is written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The Markdown.
    pub text: String,
    /// Why plots are missing in it.
    not_drawn: Vec<Error>,
}

impl Written {
    /// Returns how writing it ended.
    ///
    /// # Errors
    /// Plots are missing, of the kind of the first one.
    pub fn outcome(&self) -> Result<()> {
        let Some(first) = self.not_drawn.first() else { return Ok(()) };
        let count = messages::count(self.not_drawn.len(), "plot");
        Err(Error::new(first.kind(), format!("cannot draw {count} of the report")).hint("see the warnings above"))
    }
}

/// Returns the report that needs no options, for `cml comment update auto`.
pub async fn compose(app: &App, global: &Global, publish_args: &PublishArgs) -> Result<Written> {
    let args = Create {
        base: "auto".to_owned(),
        part: Vec::new(),
        title: TITLE.to_owned(),
        logdir: None,
        all: false,
        fold: FOLD,
        output: None,
        publish_args: publish_args.clone(),
    };
    args.compose(app, global).await
}

/// A section before it is Markdown.
struct Section {
    title: &'static str,
    /// What it has, for the headline: `2 metrics`; empty for what is not counted.
    summary: String,
    /// Rows and pictures.
    length: usize,
    body: String,
    /// Why plots are missing.
    not_drawn: Vec<Error>,
}

impl Section {
    fn new(title: &'static str, summary: String, length: usize, body: String) -> Self {
        Section { title, summary, length, body, not_drawn: Vec::new() }
    }
}

/// The two versions, and how they are called.
struct Versions<'a> {
    project: &'a Project,
    /// What it is compared with, and how that is called.
    old: Option<(Snapshot<'a>, String)>,
    new: Snapshot<'a>,
}

impl Create {
    async fn compose(&self, app: &App, global: &Global) -> Result<Written> {
        let parts: &[Part] = if self.part.is_empty() { &PARTS } else { &self.part };
        if self.logdir.is_none() && self.part.contains(&Part::Tensorboard) {
            return Err(
                Error::usage("--part tensorboard needs --logdir").hint("pass the folder with TensorBoard's logs")
            );
        }
        let project = Project::find(app)?;
        let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
        let start = self.start(app, global, &git).await?;
        let new = Snapshot::open(app, &git, &project, Version::Workspace).await?;
        let old = match &start {
            Start::Commit(base) => {
                let old = Snapshot::open(app, &git, &project, Version::Commit(base.clone())).await?;
                Some((old, escape(&base.described())))
            }
            Start::None(_) => None,
        };
        let versions = Versions { project: &project, old, new };
        let mut sections = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if !parts[..at].contains(part) {
                sections.extend(self.section(app, global, *part, &versions).await?);
            }
        }
        let start = match (start, &versions.old) {
            (Start::Commit(mut base), Some((old, _))) => {
                base.commit.time = old.time().await?;
                Start::Commit(base)
            }
            (start, _) => start,
        };
        let place = Place::find(app, global, &git).await?;
        let text = self.markdown(&sections, &start, &place);
        Ok(Written { text, not_drawn: sections.into_iter().flat_map(|section| section.not_drawn).collect() })
    }

    /// Returns the commit to compare with.
    async fn start(&self, app: &App, global: &Global, git: &Git<'_>) -> Result<Start> {
        if self.base == "auto" {
            return base::automatic(app, global, git, &Version::Workspace).await;
        }
        match base::find(app, global, git, Some(&self.base), &Version::Workspace, &LazyHistory::default()).await? {
            Base::Commit(base) => Ok(Start::Commit(base)),
            Base::File(_) | Base::Record(..) | Base::Artifact(_) => Err(Error::usage(format!(
                "--base {} is not a revision",
                self.base
            ))
            .hint(
                "pass a commit, a branch or a tag; `cml metrics diff --base` takes files, records and artifacts too",
            )),
        }
    }

    async fn section(
        &self,
        app: &App,
        global: &Global,
        part: Part,
        versions: &Versions<'_>,
    ) -> Result<Option<Section>> {
        match part {
            Part::Metrics => versions.values(Subject::Metrics, self.all).await,
            Part::Params => versions.values(Subject::Params, self.all).await,
            Part::Plots => versions.plots(app, global, &self.publish_args).await,
            Part::Data => versions.data().await,
            Part::Tensorboard => {
                let Some(logdir) = &self.logdir else { return Ok(None) };
                let body = tensorboard::draw(app, global, logdir, &self.publish_args).await?;
                let length = body.lines().filter(|line| line.starts_with('|') || line.starts_with("![")).count();
                Ok(Some(Section::new("TensorBoard", String::new(), length, body)))
            }
        }
    }

    /// Returns the report.
    fn markdown(&self, sections: &[Section], start: &Start, place: &Place) -> String {
        let counts: Vec<&str> =
            sections.iter().map(|section| &*section.summary).filter(|text| !text.is_empty()).collect();
        let counts = match counts.split_last() {
            None if matches!(start, Start::None(_)) => "Nothing to report was found".to_owned(),
            None => "Nothing to compare was found".to_owned(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
        };
        let compared = match start {
            Start::Commit(base) => format!("**{counts}** compared with {}.", escape(&base.dated())),
            Start::None(reason) => format!("**{counts}.** There is nothing to compare with: {}.", escape(reason)),
        };
        let mut text = format!("## {}\n\n{compared}{}\n", escape(&self.title), place.links());
        for Section { title, length, body, .. } in sections {
            let body = body.trim_end();
            let _ = if *length > self.fold && place.has_details {
                let summary = if *length == 1 { format!("{title} (1)") } else { format!("{title} ({length})") };
                write!(text, "\n<details>\n<summary><b>{summary}</b></summary>\n\n{body}\n\n</details>\n")
            } else {
                write!(text, "\n### {title}\n\n{body}\n")
            };
        }
        text
    }
}

/// Returns a count with its noun, and that so many changed where something is compared.
fn count(number: usize, one: &str, many: &str, is_compared: bool) -> String {
    let end = if is_compared { " changed" } else { "" };
    match number {
        0 => format!("no {many}{end}"),
        1 => format!("1 {one}{end}"),
        _ => format!("{number} {many}{end}"),
    }
}

impl<'a> Versions<'a> {
    fn old(&self) -> Option<&Snapshot<'a>> {
        self.old.as_ref().map(|(old, _)| old)
    }

    /// Returns the name of what it is compared with.
    fn base(&self) -> Option<&str> {
        self.old.as_ref().map(|(_, name)| name.as_str())
    }

    /// Returns the section of metrics or parameters; `None` where there are none.
    async fn values(&self, subject: Subject, all: bool) -> Result<Option<Section>> {
        let selection = Selection { subject, targets: None, dependencies_only: false, row: &Row::Last };
        let new = gather(&self.new, &selection, true).await?;
        let old: BTreeMap<String, Value> = match self.old() {
            Some(old) => gather(old, &selection, false).await?,
            None => BTreeMap::new(),
        };
        if new.is_empty() && old.is_empty() {
            return Ok(None);
        }
        let is_compared = self.old.is_some();
        let files = compare_files(&old, &new, self.project, Rules::Whole, all || !is_compared)?;
        let length = files.iter().map(|file| file.changes.len()).sum();
        let changes = files.iter().flat_map(|file| &file.changes);
        let counted = changes.filter(|change| !is_compared || !change.old.is_equal(&change.new)).count();
        let (title, noun) = match subject {
            Subject::Metrics => ("Metrics", "metric"),
            Subject::Params => ("Parameters", "parameter"),
        };
        let layout = Layout { subject, old: self.base(), new: WORKSPACE, has_paths: true, precision: PRECISION };
        let body = match (length, is_compared) {
            (0, true) => format!("No {noun} changed.\n"),
            (0, false) => format!("The files have no {noun}.\n"),
            _ => table::markdown(&files, &layout),
        };
        Ok(Some(Section::new(title, count(counted, noun, &format!("{noun}s"), is_compared), length, body)))
    }

    /// Returns the section of plots; `None` where there are none. Those that cannot be drawn are named, with the reason.
    async fn plots(&self, app: &App, global: &Global, publish_args: &PublishArgs) -> Result<Option<Section>> {
        let found = between(&self.new, self.old(), &Wanted::default(), &Props::default()).await?;
        let (mut plots, mut not_drawn) = (Vec::new(), Vec::new());
        for plot in found {
            match plot {
                Ok(plot) => plots.push(plot),
                Err(error) => {
                    app.log.warn_of(&error.to_string(), error.hint_text());
                    not_drawn.push(error);
                }
            }
        }
        let mut body = String::new();
        if !plots.is_empty() {
            body = plots::publish(app, global, &plots, publish_args).await? + "\n";
        }
        if !not_drawn.is_empty() {
            body.push_str("Not drawn:\n\n");
        }
        for error in &not_drawn {
            let _ = writeln!(body, "- {}", escape(&error.to_string()));
        }
        let length = plots.len() + not_drawn.len();
        let missing = if not_drawn.is_empty() { String::new() } else { format!(" ({} not drawn)", not_drawn.len()) };
        let summary = format!("{}{missing}", messages::count(length, "plot"));
        let section = Section { not_drawn, ..Section::new("Plots", summary, length, body) };
        Ok(Some(section).filter(|section| section.length > 0))
    }

    /// Returns the section of data; `None` where DVC keeps none. Metrics and plots have their own sections.
    async fn data(&self) -> Result<Option<Section>> {
        let new = self.objects(&self.new).await?;
        let old = match self.old() {
            Some(old) => self.objects(old).await?,
            None => Objects::default(),
        };
        if old.is_empty() && new.is_empty() {
            return Ok(None);
        }
        let changes = data::changes(&old, &new);
        let row = |change: &data::DataChange<'_>| {
            let [path, old, new, difference] = change.cells();
            let path = escape(&self.project.shown(&path));
            if self.old.is_some() { vec![path, old, new, difference] } else { vec![path, new] }
        };
        let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
        let header = match self.base() {
            Some(base) => vec!["Path", base, WORKSPACE, "Change"],
            None => vec!["Path", WORKSPACE],
        };
        let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
        let body = if rows.is_empty() { "No data changed.\n".to_owned() } else { table::lay_out(&header, &rows) };
        let summary = match rows.len() {
            0 => "no data changed".to_owned(),
            number => count(number, "data file or folder", "data files and folders", self.old.is_some()),
        };
        Ok(Some(Section::new("Data", summary, rows.len(), body)))
    }

    async fn objects(&self, snapshot: &Snapshot<'_>) -> Result<Objects> {
        let pipelines = snapshot.pipelines().await?;
        let mut shown: BTreeSet<&String> = pipelines.iter().flat_map(|(_, declared)| &declared.metrics).collect();
        let plots = pipelines.iter().filter_map(|(_, declared)| declared.plots.0.as_ref().ok());
        shown.extend(plots.flatten().map(|plot| &plot.id));
        let mut objects = cached::objects(snapshot).await?;
        objects.retain(|path, _| !shown.contains(path));
        Ok(objects)
    }
}

/// Where the report is from.
struct Place {
    run_url: Option<String>,
    /// The commit's page, and its hash.
    commit: Option<(String, String)>,
    /// Whether its Markdown may have `<details>`.
    has_details: bool,
}

impl Place {
    /// Finds it without a request.
    async fn find(app: &App, global: &Global, git: &Git<'_>) -> Result<Self> {
        let inferred = connect::infer(app, global, Repository::parse).await;
        let found = inferred.found.ok().flatten();
        let sha = match inferred.context.commit {
            Some(sha) => Some(sha),
            None if git.has_checkout() => git.commit_of("HEAD").await?.map(|commit| commit.sha),
            None => None,
        };
        let page = found.as_ref().filter(|found| !found.driver.commit_path.is_empty());
        let page = page.map(|found| format!("{}{}", found.repository.url(), found.driver.commit_path));
        let commit = page.zip(sha).map(|(page, sha)| (format!("{page}{sha}"), sha));
        let has_details = found.is_none_or(|found| found.driver.has_details);
        Ok(Place { run_url: inferred.context.run_url, commit, has_details })
    }

    fn links(&self) -> String {
        let commit = self.commit.as_ref().map(|(url, sha)| format!("[Commit {}]({url})", sha.get(..7).unwrap_or(sha)));
        let run = self.run_url.as_ref().map(|url| format!("[Run]({url})"));
        let links: Vec<String> = commit.into_iter().chain(run).collect();
        if links.is_empty() { String::new() } else { format!(" {}", links.join(" · ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_nouns() {
        let counts = |is_compared| [0, 1, 2].map(|number| count(number, "metric", "metrics", is_compared));
        assert_eq!(counts(true), ["no metrics changed", "1 metric changed", "2 metrics changed"]);
        assert_eq!(counts(false), ["no metrics", "1 metric", "2 metrics"]);
    }
}
