//! `cml check create`: a report becomes a check of a commit.

use super::comment;
use super::images::Images;
use super::publish_args::PublishArgs;
use super::report_args::{self, ReportArgs};
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::files::{self, LARGEST_FILE};
use crate::forge::checks::{Check, CheckState, CheckStatus, Conclusion, CreatedCheck};
use crate::forge::{Target, TargetSpec, explain_not_found};
use crate::messages::count;
use crate::outputs;
use crate::publish::{Destination, Publish};
use crate::report::annotations::{self, Annotation};
use crate::report::decode::{clean, decode};
use crate::report::plain::without_mentions;
use crate::report::source::{self, Source};
use crate::report::split::{self, ReportLimits, Unit};
use crate::report::watermark::Watermark;
use clap::ArgAction::{Append, Set};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Publish a report as a check of a commit
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a check from the report, or update the unfinished check of the same title
    Create(Box<Checks>),
}

/// Options of `cml check create`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Check")]
#[command(after_help = "Examples:\n  \
    # Create a check on the commit, passed\n  cml check create report.md\n\n  \
    # Show that the training is running; the second command completes the check\n  \
    cml check create --title train --status in_progress report.md\n  \
    cml check create --title train --conclusion failure report.md\n\n  \
    # Show metrics, and annotate lines of code\n  \
    cml check create --data accuracy=0.97 --annotations lint.sarif report.md")]
pub struct Checks {
    /// The report.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Commit to check [default: the run's commit]
    #[arg(long, alias = "head-sha", value_name = "SHA")]
    pub commit_sha: Option<String>,
    /// Status of the check
    #[arg(long, value_name = "STATUS", value_enum, default_value_t = CheckStatus::Completed)]
    pub status: CheckStatus,
    /// Conclusion of a completed check
    #[arg(long, value_name = "CONCLUSION", value_enum, default_value_t = Conclusion::Success)]
    pub conclusion: Conclusion,
    /// Title that people see
    #[arg(long, value_name = "TITLE", default_value = "CML Report")]
    pub title: String,
    /// ID of the check to update, instead of finding it by its title (GitHub)
    #[arg(long, value_name = "ID")]
    pub check_id: Option<String>,
    /// File with annotations: SARIF 2.1.0, or one JSON object per line with path, line, message and level
    #[arg(long, value_name = "FILE")]
    pub annotations: Option<PathBuf>,
    /// Metric to show with the check; may be repeated
    #[arg(long, value_name = "NAME=VALUE", action = Append, value_parser = parse_metric)]
    pub data: Vec<(String, String)>,
    /// Also publish the report as a comment on the pull request (or the commit, without one)
    #[arg(long, action = Set, default_value_t = false)]
    pub comment: bool,

    /// Images.
    #[command(flatten)]
    pub images: Images,
}

fn parse_metric(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    let (name, value) = pair.filter(|(name, _)| !name.is_empty()).ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Create(args) = command;
    create(app, global, args, Vec::new()).await
}

/// Creates a check. `more` are annotations besides those of `--annotations`.
async fn create(app: &App, global: &Global, args: &Checks, more: Vec<Annotation>) -> Result<()> {
    if args.title.trim().is_empty() {
        return Err(Error::usage("--title is empty").hint("omit it to use the default title, CML Report"));
    }
    if args.comment {
        args.mark(None, None).check()?;
    }
    if args.report.is_stdin() && args.annotations.as_deref().is_some_and(files::is_stdin) {
        return Err(
            Error::usage("the report and --annotations are both standard input").hint("pass one of them as a file")
        );
    }
    // What cannot be read must not cost a request.
    let destination = args.images.destination()?;
    let report = args.report.write(app, global, &args.images.publish_args).await?;
    let sources = report.read(app)?;
    report_args::warn_if_empty(app, &sources, args.images.strict)?;
    let mut annotations = args.annotations.as_deref().map(|path| read(app, path)).transpose()?.unwrap_or_default();
    annotations.extend(more);
    let connected = connect::connect_to_check(app, global, args.images.publish_args.publish_branch.clone()).await?;
    // Asked before anything is done.
    connected.checks()?;
    let commit = args.commit(app, &connected).await?;
    let job = Job { app, args, connected, commit, destination };
    job.create(&sources, annotations).await?;
    report.outcome()
}

/// A completed check that another command has written.
pub struct WrittenCheck {
    /// The title.
    pub title: String,
    /// The report.
    pub text: String,
    /// The conclusion.
    pub conclusion: Conclusion,
    /// Metrics to show with it.
    pub data: Vec<(String, String)>,
    /// Remarks on lines of files.
    pub annotations: Vec<Annotation>,
    /// Where files are published.
    pub publish_args: PublishArgs,
}

/// Creates such a check, as `cml check create` does.
pub async fn publish(app: &App, global: &Global, check: WrittenCheck) -> Result<()> {
    let checks = Checks {
        report: ReportArgs { files: Vec::new(), message: Some(check.text), written: None },
        commit_sha: None,
        status: CheckStatus::Completed,
        conclusion: check.conclusion,
        title: check.title,
        check_id: None,
        annotations: None,
        data: check.data,
        comment: false,
        images: Images { publish: true, publish_args: check.publish_args, publish_links: false, strict: false },
    };
    create(app, global, &checks, check.annotations).await
}

/// Returns the annotations of a file.
fn read(app: &App, path: &Path) -> Result<Vec<Annotation>> {
    let shown = files::shown(path);
    let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST_FILE));
    let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read the annotations {shown}"), path))?;
    let text = decode(&bytes)
        .map_err(|wrong| Error::config(format!("the annotations file {shown} {wrong}")).hint(wrong.hint()))?;
    app.log.check(&shown, text.as_bytes())?;
    let found = annotations::parse(&text, &app.working_copy()?).map_err(|problem| {
        Error::config(format!("cannot read the annotations {shown}: {problem}"))
            .hint("use SARIF 2.1.0, or one JSON object per line such as {\"path\": \"a.py\", \"line\": 3, \"message\": \"…\", \"level\": \"warning\"}")
    })?;
    if found.elsewhere > 0 {
        let elsewhere = count(found.elsewhere, "annotation");
        app.log.warn(&format!("skipped {elsewhere} in {shown}: not in a file of the repository"));
    }
    let mut annotations = found.found;
    for annotation in &mut annotations {
        annotation.message = without_mentions(&annotation.message);
        annotation.title = annotation.title.as_deref().map(without_mentions);
    }
    Ok(annotations)
}

impl Checks {
    /// Returns the commit, in full where git knows it.
    async fn commit(&self, app: &App, connected: &Connected) -> Result<String> {
        let none = || {
            Error::config("cannot determine the commit").hint("pass --commit-sha <sha>, or run inside a git repository")
        };
        let Some(name) = &self.commit_sha else {
            let here = || connected.is_preview().then(|| "working copy".to_owned());
            return connected.commit(app).await?.or_else(here).ok_or_else(none);
        };
        let wrong = || {
            Error::usage(format!("'{name}' is not a commit")).hint("pass a full SHA, or a name that git can resolve")
        };
        let wanted: TargetSpec = format!("commit/{name}").parse().map_err(|_| wrong())?;
        match connected.target(app, &wanted).await? {
            Target::Commit(sha) if sha.len() < 40 => {
                let name = format!("{sha}^{{commit}}");
                Ok(app.query_git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await.unwrap_or(sha))
            }
            Target::Commit(sha) => Ok(sha),
            _ => Err(wrong()),
        }
    }

    /// Returns what marks the comment that goes with the check.
    fn mark(&self, workflow: Option<&str>, run: Option<&str>) -> Watermark {
        Watermark::new(&format!("check {}", self.title.trim()), workflow, run)
    }

    fn state(&self) -> CheckState {
        match self.status {
            CheckStatus::Queued => CheckState::Queued,
            CheckStatus::InProgress => CheckState::InProgress,
            CheckStatus::Completed => CheckState::Completed(self.conclusion),
        }
    }

    /// Returns the figures as a table before the report.
    fn with_data(&self, text: &str) -> String {
        if self.data.is_empty() {
            return text.to_owned();
        }
        let cell = |text: &str| without_mentions(&clean(text).replace('|', "\\|").replace('\n', " "));
        let rows: String =
            self.data.iter().map(|(name, value)| format!("| {} | {} |\n", cell(name), cell(value))).collect();
        format!("| | |\n| - | - |\n{rows}\n{text}")
    }
}

struct Job<'a> {
    app: &'a App,
    args: &'a Checks,
    connected: Connected,
    commit: String,
    destination: Destination,
}

impl Job<'_> {
    fn publish(&self) -> Publish<'_> {
        self.args.images.publish(self.app, &self.connected, &self.destination)
    }

    async fn create(&self, sources: &[Source], annotations: Vec<Annotation>) -> Result<()> {
        let Connected { forge, repository, .. } = &self.connected;
        let (publish, checks) = (self.publish(), self.connected.checks()?);
        let room = checks.report_limits();
        // Where neither the check nor a comment shows them, images need no place.
        let text = if room.is_some() || self.args.comment {
            publish.report(sources, &[]).await?.text
        } else {
            source::joined(sources.iter().map(|source| source.text.as_str()))
        };
        let report = match room {
            Some(room) => self.fit(&publish, &self.args.with_data(&text), room).await?,
            None => vec![text.clone()],
        };
        let check = Check {
            commit: self.commit.clone(),
            title: clean(self.args.title.trim()).into_owned(),
            state: self.args.state(),
            report,
            annotations,
            data: self.args.data.iter().map(|(name, value)| (clean(name).into(), clean(value).into())).collect(),
            id: self.args.check_id.clone(),
        };
        let made = match checks.create(&check).await {
            Err(error) if error.kind() == Kind::NotFound && error.hint_text().is_none() => {
                let target = Target::Commit(self.commit.clone());
                return Err(explain_not_found(&**forge, repository, &target, error).await);
            }
            made => made?,
        };
        let announced = self.announce(&made);
        if self.args.comment {
            self.comment(&self.args.with_data(&text)).await?;
        }
        announced
    }

    /// Returns the report in the parts that there is room for, cut where that is too little.
    async fn fit(&self, publish: &Publish<'_>, text: &str, room: ReportLimits) -> Result<Vec<String>> {
        let parts = split::split(text, room);
        if parts.len() <= room.parts {
            return Ok(parts);
        }
        let title = self.connected.driver.title;
        self.app.log.warn(&format!("the report is too long for a check on {title} and was cut"));
        let note = comment::truncation_note(self.app, &self.connected, publish, text, &[]).await?;
        Ok(split::limit(parts, room, &note))
    }

    /// Prints the check's address and hands it on to later steps.
    fn announce(&self, made: &CreatedCheck) -> Result<()> {
        for text in &made.left_out {
            self.app.log.warn(text);
        }
        let printed = self.app.print_line(&made.url);
        let mut results = vec![("check-url", made.url.as_str())];
        results.extend(made.id.as_deref().map(|id| ("check-id", id)));
        let set = outputs::set(self.app, &results);
        printed.and(set)
    }

    /// The report as a comment with a mark of its own.
    async fn comment(&self, text: &str) -> Result<()> {
        let Connected { forge, context, .. } = &self.connected;
        let target = match &self.args.commit_sha {
            Some(_) => Target::Commit(self.commit.clone()),
            None => self.connected.target(self.app, &TargetSpec::Auto).await?,
        };
        let mark = self.args.mark(context.workflow.as_deref(), context.run.as_deref());
        let sticky = self.connected.sticky(self.app, &target, Some(&mark), Some(&self.commit));
        let existing = sticky.find().await?;
        let read = self.app.http.mark();
        let part = forge.comments().max_length().saturating_sub(sticky.overhead());
        let room = ReportLimits { part, unit: Unit::Utf16, parts: comment::OVERFLOW_LIMIT as usize };
        let parts = comment::split_report(self.app, &self.connected, &self.publish(), text, &[], room).await?;
        let comment = sticky.update(&existing, read, &parts).await?;
        self.app.log.info(&format!("posted the report as {}", comment.url));
        outputs::set(self.app, &[("comment-url", &comment.url)])
    }
}
