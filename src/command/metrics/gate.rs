//! `cml metrics gate`: exit code 1 if a metric is worse than a rule allows, 13 if a rule is about a metric that is nowhere.
//!
//! Rules of the file and of the command line → metrics of two versions ([`samples`]) → verdicts ([`crate::metrics::gate`]) → Markdown
//! or JSON ([`verdict`]), which is printed or published.

use crate::app::App;
use crate::ci;
use crate::command::check::{self, WrittenCheck};
use crate::command::comment::{self, WrittenReport};
use crate::command::diff::base::{self, Base};
use crate::command::diff::gather::Selection;
use crate::command::diff::project::Project;
use crate::command::diff::records::LazyHistory;
use crate::command::diff::snapshot::{LARGEST, Snapshot, Version};
use crate::command::publish_args::{PublishArgs, write_output};
use crate::connect::{self, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::TargetSpec;
use crate::git::Git;
use crate::metrics::gate::config::{self, Config};
use crate::metrics::gate::{Judgement, Rule, Subject, judge};
use crate::metrics::source::Row;
use crate::metrics::table::Subject as Table;
use crate::outputs;
use crate::repository::Repository;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use label::{Label, Lookup};
use past::Past;
use samples::{Groups, Samples};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use verdict::Outcome;

mod accepted;
mod flipped;
mod label;
mod past;
mod samples;
mod verdict;

/// What metrics are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// The commit that the work started from.
    Auto,
    /// A revision, or a file.
    Named(String),
}

impl FromStr for Baseline {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "auto" { Baseline::Auto } else { Baseline::Named(text.to_owned()) })
    }
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Markdown
    Md,
    /// JSON
    Json,
}

/// Options of `cml metrics gate`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
#[command(after_help = "Examples:\n  \
    # Fail if the accuracy is below 0.9, or fell by more than 0.005\n  \
    cml metrics gate --rule 'accuracy: higher, min 0.9, drop 0.005'\n\n  \
    # Judge several runs by the rules of .cml.yaml, and say so in the pull request\n  \
    cml metrics gate 'seed-*/metrics.json' --publish --check metrics\n\n  \
    # Write rules to begin with\n  cml metrics gate --init")]
pub struct Gate {
    /// Files to judge; a glob pattern in quotes names runs of the same metrics [default: those of .cml.yaml, or what dvc.yaml
    /// declares]
    #[arg(id = "files", value_name = "FILE")]
    pub files: Vec<String>,
    /// Rule for a metric, such as 'accuracy >= 0.9' or 'loss: lower, rise 2%'; may be given several times, and goes before those of
    /// the file
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<Rule>,
    /// Revision or file to compare with; auto for the commit that the branch started from; last, max:METRIC, min:METRIC or tag:TAG for
    /// what `cml metrics record` has recorded; artifact:NAME for what the last successful run of the base branch has kept [default: that
    /// of .cml.yaml, or auto]
    #[arg(long, alias = "base", value_name = "REVISION")]
    pub baseline: Option<Baseline>,
    /// File with rules [default: .cml.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Write a file with rules for the metrics whose names are well known, and judge nothing
    #[arg(long, action = Set, default_value_t = false)]
    pub init: bool,
    /// Row of CSV and TSV files that counts: last, max:COLUMN or min:COLUMN
    #[arg(long, value_name = "ROW", default_value_t = Row::Last)]
    pub row: Row,
    /// Probability that a metric of several runs or examples is better or worse by chance, of all rules together
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = probability)]
    pub significance: f64,
    /// Label of the pull request that accepts what is worse; empty for none [default: that of .cml.yaml, or metrics-accepted]
    #[arg(long, value_name = "LABEL")]
    pub accept_label: Option<String>,
    /// Exit with 0, whatever the verdict
    #[arg(long, action = Set, default_value_t = false)]
    pub report_only: bool,

    /// Create a check of the commit with this title, which fails if a metric is worse
    #[arg(long, value_name = "TITLE", help_heading = "Output")]
    pub check: Option<String>,
    /// Publish the report as a comment, and update it with the next run
    #[arg(long = "publish", help_heading = "Output", action = Set, default_value_t = false)]
    pub publish: bool,
    /// With --publish, own one section of a comment that several jobs share, such as those of a matrix
    #[arg(long, value_name = "NAME", help_heading = "Output", requires = "publish")]
    pub section: Option<String>,
    /// With --publish, where to comment: auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337
    #[arg(long, value_name = "TARGET", help_heading = "Output", default_value = "auto")]
    pub target: TargetSpec,
    /// With --publish, create no comment if no metric is better or worse; one of an earlier run is updated
    #[arg(long, help_heading = "Output", requires = "publish", action = Set, default_value_t = false)]
    pub skip_unchanged: bool,
    /// Form of the output
    #[arg(long, value_name = "FORMAT", help_heading = "Output", value_enum, default_value_t = Format::Md)]
    pub format: Format,
    /// Append the output to this file instead of printing it
    #[arg(long, short, value_name = "FILE", help_heading = "Output", conflicts_with = "publish")]
    pub file: Option<PathBuf>,
    /// Where to publish files.
    #[command(flatten)]
    pub publish_args: PublishArgs,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "expected a number between 0 and 1".to_owned())
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, args: &Gate) -> Result<()> {
    if args.format == Format::Json && (args.publish || args.check.is_some()) {
        return Err(Error::usage("--format json does not publish")
            .hint("run the command twice: with --format json, and with --publish or --check"));
    }
    let project = Project::find(app)?;
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let config_path = args.config.clone().unwrap_or_else(|| config::FILE.into());
    let config = if args.init { Config::default() } else { args.read_config(app, &config_path)? };
    let names = if args.files.is_empty() { &config.files } else { &args.files };
    let targets = (!names.is_empty()).then(|| project.targets(app, names)).transpose()?;
    let selection = Selection { subject: Table::Metrics, targets, dependencies_only: false, row: &args.row };
    let new = Snapshot::open(app, &git, &project, Version::Workspace).await?;
    let samples = Samples { project: &project, selection: &selection };
    let now = samples.read(&new, true).await?;
    if args.init {
        return init(app, &config_path, names, &now);
    }
    let rules = args.rules(&config)?;
    let label = args.label(&config);
    let mut context = Context {
        base: None,
        changes: Vec::new(),
        accepted: Vec::new(),
        label,
        lookup: Lookup::Unavailable,
        has_details: true,
    };
    let mut before = Groups::default();
    let history = LazyHistory::default();
    match args.find_base(app, global, &git, &config, &rules, &history).await? {
        Some(Base::Commit(mut commit)) => {
            let old = Snapshot::open(app, &git, &project, Version::Commit(commit.clone())).await?.expecting(&new);
            before = samples.read(&old, false).await?;
            context.changes = config_changes(&old, &project, &config_path, &config).await?;
            context.accepted = accepted::find(app, &git, &commit.commit.sha).await?;
            commit.commit.time = old.time().await?;
            context.base = Some(commit.dated());
        }
        Some(Base::File(path)) => {
            before = samples.of_file(app, &path, &now)?;
            context.base = Some(path.display().to_string());
        }
        Some(Base::Record(name, record)) => {
            before = samples.of_record(&name, &record)?;
            context.base = Some(Base::Record(name, record).title(app.host.now().as_secs()));
        }
        Some(Base::Artifact(kept)) => {
            before = samples.of_artifact(&kept, new.seen(), &now)?;
            context.base = Some(Base::Artifact(kept).title(app.host.now().as_secs()));
        }
        None => {}
    }
    let is_needed = rules.iter().any(|rule| rule.uses_history);
    let past = if is_needed || args.format == Format::Md {
        Past::read(app, history.records(app, global).await, &git, &samples, is_needed).await
    } else {
        Past::default()
    };
    let (subjects, missing) = subjects(&rules, &now, &before, &past);
    let mut judgements = judge(subjects, args.significance);
    for judgement in &mut judgements {
        let accepts = |accepted: &&accepted::Accepted| accepted.is_about(&judgement.file, &judgement.name);
        judgement.accepted_by = context.accepted.iter().find(accepts).map(|accepted| accepted.author.clone());
        judgement.trend = past.trend(judgement);
    }
    if judgements.iter().any(Judgement::is_failure) {
        context.lookup = context.label.find(app, global, &args.target).await;
        for judgement in judgements.iter_mut().filter(|judgement| judgement.is_failure()) {
            judgement.accepted_by = context.lookup.accepted_by().map(str::to_owned);
        }
    }
    let forge = connect::infer(app, global, Repository::parse).await.found.ok().flatten();
    context.has_details = forge.is_none_or(|forge| forge.driver.has_details);
    let significance = args.significance;
    let outcome = Outcome { judgements, missing, context, significance, now: &now, before: &before };
    args.hand_out(app, global, &project, &outcome).await
}

/// What is told besides the verdicts.
struct Context {
    /// What the metrics are compared with.
    base: Option<String>,
    /// What this change changes in the file with rules: what it is, how it was and how it is.
    changes: Vec<(String, Option<String>, Option<String>)>,
    /// Metrics that somebody accepts although they are worse.
    accepted: Vec<accepted::Accepted>,
    /// The label that accepts what is worse.
    label: Label,
    /// Whether the pull request has it.
    lookup: Lookup,
    /// Whether the forge's Markdown may have `<details>`.
    has_details: bool,
}

/// Returns what to judge, and the rules that are about nothing.
fn subjects(rules: &[Rule], now: &Groups, before: &Groups, past: &Past) -> (Vec<Subject>, Vec<Rule>) {
    let (mut subjects, mut missing) = (Vec::new(), Vec::new());
    for rule in rules {
        let mut is_found = false;
        for (file, group) in now {
            for (name, new) in group {
                let has_own = || rules.iter().any(|other| !other.is_pattern() && other.is_about(file, name));
                if !rule.is_about(file, name) {
                    continue;
                }
                is_found = true;
                if !rule.is_pattern() || !has_own() {
                    let old =
                        before.get(file).and_then(|group| group.get(name)).map(|measured| measured.sample.clone());
                    let history = past.runs(file, name);
                    let (file, name, rule) = (file.clone(), name.clone(), rule.clone());
                    subjects.push(Subject { file, name, rule, new: new.sample.clone(), old, history });
                }
            }
        }
        if !is_found && !rule.is_optional {
            missing.push(rule.clone());
        }
    }
    (subjects, missing)
}

/// Returns how the file with rules differs from that of the base.
async fn config_changes(
    old: &Snapshot<'_>,
    project: &Project,
    path: &Path,
    config: &Config,
) -> Result<Vec<(String, Option<String>, Option<String>)>> {
    let Ok(path) = project.path_of(&path.to_string_lossy()) else { return Ok(Vec::new()) };
    if !old.has(&path) {
        return Ok(Vec::new());
    }
    let read = old.read(std::slice::from_ref(&path)).await?;
    let text = read.get(&path).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let before = config::parse(&text).unwrap_or_else(|problem| {
        old.app.log.warn(&format!("cannot read {path} of {}: {}", old.described(), problem.error));
        config.clone()
    });
    Ok(config::changes(&before, config))
}

/// Writes a file with rules.
fn init(app: &App, path: &Path, files: &[String], now: &Groups) -> Result<()> {
    let shown = path.display();
    if app.host.stat(path).is_ok() {
        return Err(
            Error::config(format!("{shown} exists already")).hint("edit it, or name another file with --config")
        );
    }
    let mut names: Vec<String> = now.values().flat_map(|group| group.keys().cloned()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(Error::config("there are no metrics to write rules for")
            .hint("run the step that writes them, or name their files: cml metrics gate --init metrics.json"));
    }
    let files_of = app.files()?;
    files_of.check_target(path).map_err(|refusal| refusal.error(format!("cannot write {shown}"), path))?;
    app.host.write(path, config::suggest(files, &names).as_bytes()).map_err(|error| {
        Error::config(format!("cannot write {shown} ({error})")).hint("check --config: its folder must exist")
    })?;
    app.log.info(&format!("wrote rules to {shown}; review them before you commit the file"));
    app.print_line(&shown.to_string())
}

impl Gate {
    fn read_config(&self, app: &App, path: &Path) -> Result<Config> {
        if self.config.is_none() && app.host.stat(path).is_err() {
            return Ok(Config::default());
        }
        let shown = path.display();
        let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST));
        let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read {shown}"), path))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::config(format!("{shown} is not UTF-8")))?;
        config::parse(&text).map_err(|problem| {
            let line = problem.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let error = Error::config(format!("{shown}{line}: {}", problem.error));
            error.hint(problem.error.hint_text().unwrap_or("see docs/gates.md for what the file may have"))
        })
    }

    /// Returns the rules of the command line, then those of the file about other metrics.
    fn rules(&self, config: &Config) -> Result<Vec<Rule>> {
        let is_given = |rule: &&Rule| self.rule.iter().any(|given| given.name == rule.name);
        let others = config.rules.iter().filter(|rule| !is_given(rule));
        let rules: Vec<Rule> = self.rule.iter().chain(others).cloned().collect();
        if rules.is_empty() {
            return Err(Error::usage("there is no rule to judge metrics by").hint(
                "write a --rule 'accuracy: higher, drop 0.005', or `cml metrics gate --init` to begin a .cml.yaml",
            ));
        }
        Ok(rules)
    }

    /// Returns the label that accepts what is worse.
    fn label(&self, config: &Config) -> Label {
        let chosen = self.accept_label.as_ref().or(config.accept_label.as_ref());
        Label { name: chosen.map_or(config::LABEL, String::as_str).trim().to_owned(), is_chosen: chosen.is_some() }
    }

    /// Finds what to compare with; where only limits count, it may be missing.
    async fn find_base(
        &self,
        app: &App,
        global: &Global,
        git: &Git<'_>,
        config: &Config,
        rules: &[Rule],
        history: &LazyHistory,
    ) -> Result<Option<Base>> {
        let of_config = config.baseline.as_deref().map(|text| text.parse().unwrap_or(Baseline::Auto));
        let name = match self.baseline.clone().or(of_config) {
            Some(Baseline::Named(name)) => Some(name),
            Some(Baseline::Auto) | None => None,
        };
        match base::find(app, global, git, name.as_deref(), &Version::Workspace, history).await {
            Ok(base) => Ok(Some(base)),
            Err(error) if name.is_none() && rules.iter().all(|rule| rule.goal.is_none()) => {
                app.log.info(&format!("nothing to compare with: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the outputs, prints or publishes the report, and fails if a metric is worse or a rule is about nothing.
    async fn hand_out(&self, app: &App, global: &Global, project: &Project, outcome: &Outcome<'_>) -> Result<()> {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let first = outcome.judgements.first();
        let (metric, baseline) = (first.map(|first| first.value), first.and_then(|first| first.baseline));
        let results =
            [("verdict", outcome.verdict().name()), ("metric", &number(metric)), ("baseline", &number(baseline))];
        outputs::set(app, &results)?;
        let verdict = if self.report_only { Ok(()) } else { outcome.error().map_or(Ok(()), Err) };
        let text = match self.format {
            Format::Json => outcome.json(),
            Format::Md => outcome.markdown(),
        };
        if !self.publish && (self.check.is_none() || self.file.is_some()) {
            write_output(app, self.file.as_ref(), &text)?;
        }
        match self.publish(app, global, project, outcome, &text).await {
            // A verdict that fails the step goes before the error.
            Err(error) if verdict.is_err() || is_forks(app, &error)? => {
                app.log.warn_of(&format!("the verdict is not published: {error}"), error.hint_text());
                app.print_result(&text)?;
            }
            published => published?,
        }
        verdict
    }

    /// Publishes the comment and the check.
    async fn publish(
        &self,
        app: &App,
        global: &Global,
        project: &Project,
        outcome: &Outcome<'_>,
        text: &str,
    ) -> Result<()> {
        let mut published = Ok(());
        if self.publish {
            let report = WrittenReport {
                text: text.to_owned(),
                target: self.target.clone(),
                section: self.section.clone(),
                title: if self.section.is_some() { "Metrics".to_owned() } else { "Metrics gate".to_owned() },
                only_update: self.skip_unchanged && !outcome.is_notable(),
                publish_args: self.publish_args.clone(),
            };
            published = comment::publish(app, global, report).await;
        } else if self.check.is_some() {
            outputs::summary(app, text)?;
        }
        let Some(title) = &self.check else { return published };
        let value = |value: f64| crate::metrics::python::float(value);
        let check = WrittenCheck {
            title: title.clone(),
            text: text.to_owned(),
            conclusion: outcome.conclusion(self.report_only),
            data: outcome.judgements.iter().map(|judged| (judged.name.clone(), value(judged.value))).collect(),
            annotations: outcome.annotations(project),
            publish_args: self.publish_args.clone(),
        };
        published.and(check::publish(app, global, check).await)
    }
}

/// Returns whether an error is that a pull request from a fork may not write.
fn is_forks(app: &App, error: &Error) -> Result<bool> {
    let context = ci::context(ci::detect(app.env()).as_deref(), &*app.host)?;
    Ok(error.kind() == Kind::Auth && context.fork.is_some())
}
