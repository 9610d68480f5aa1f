//! `cml check create`: a report becomes a check of a commit.

use super::comment;
use super::images::Images;
use super::report_args::{self, ReportArgs};
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::files::{self, LARGEST_FILE};
use crate::forge::check::{Check, Conclusion, Made, State, Status};
use crate::forge::{Target, explain_not_found};
use crate::messages::count;
use crate::outputs;
use crate::publish::{Destination, Publish};
use crate::report::annotations::{self, Annotation};
use crate::report::decode::{clean, decode};
use crate::report::plain::without_mentions;
use crate::report::source::{self, Source};
use crate::report::split::{self, ReportLimits, Unit};
use crate::report::target::TargetSpec;
use crate::report::watermark::Watermark;
use clap::ArgAction::{Append, Set};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Publish a report as a check of a commit
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a check with the report, or bring the unfinished one of the same title up to date
    Create(Box<Checks>),
}

/// Options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Check")]
#[command(after_help = "Examples:\n  \
    # A check of the commit, passed\n  cml check create report.md\n\n  \
    # One that says that the training runs; the second finishes it\n  \
    cml check create --title train --status in_progress report.md\n  \
    cml check create --title train --conclusion failure report.md\n\n  \
    # Figures, and remarks on lines of code\n  \
    cml check create --data accuracy=0.97 --annotations lint.sarif report.md")]
pub struct Checks {
    /// The report.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Commit that the check is about; that of the run otherwise
    #[arg(long, alias = "head-sha", value_name = "SHA")]
    pub commit_sha: Option<String>,
    /// How far the work is
    #[arg(long, value_name = "STATUS", value_enum, default_value_t = Status::Completed)]
    pub status: Status,
    /// How the work ended, once it is completed
    #[arg(long, value_name = "CONCLUSION", value_enum, default_value_t = Conclusion::Success)]
    pub conclusion: Conclusion,
    /// Title that people see
    #[arg(long, value_name = "TITLE", default_value = "CML Report")]
    pub title: String,
    /// Number of the check to bring up to date, instead of finding it by its title (GitHub)
    #[arg(long, value_name = "ID")]
    pub check_id: Option<String>,
    /// Remarks on lines of files: SARIF 2.1.0, or a JSON object a line with path, line, message and level
    #[arg(long, value_name = "FILE")]
    pub annotations: Option<PathBuf>,
    /// Figure to show with the check; may be given several times
    #[arg(long, value_name = "NAME=VALUE", action = Append, value_parser = figure)]
    pub data: Vec<(String, String)>,
    /// Also keep a comment with the report, on the pull request or else the commit
    #[arg(long, action = Set, default_value_t = false)]
    pub comment: bool,

    /// Images.
    #[command(flatten)]
    pub images: Images,
}

fn figure(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    let (name, value) = pair.filter(|(name, _)| !name.is_empty()).ok_or("it has the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Create(args) = command;
    if args.title.trim().is_empty() {
        return Err(Error::usage("--title is empty").hint("leave it out for the title CML Report"));
    }
    if args.comment {
        args.mark(None, None).check()?;
    }
    if args.report.is_stdin() && args.annotations.as_deref().is_some_and(files::is_stdin) {
        return Err(
            Error::usage("the report and --annotations are both standard input").hint("give one of them as a file")
        );
    }
    // What cannot be read must not cost a request.
    let destination = args.images.destination()?;
    let sources = args.report.read(app)?;
    report_args::warn_if_empty(app, &sources, args.images.strict)?;
    let annotations = args.annotations.as_deref().map(|path| read(app, path)).transpose()?.unwrap_or_default();
    let connected = connect::connect_to_check(app, global, args.images.place.publish_branch.clone()).await?;
    connected.forge.can_check()?;
    let commit = args.commit(app, &connected).await?;
    let job = Job { app, args, connected, commit, destination };
    job.create(&sources, annotations).await
}

/// The annotations of a file.
fn read(app: &App, path: &Path) -> Result<Vec<Annotation>> {
    let shown = files::shown(path);
    let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST_FILE));
    let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read the annotations {shown}"), path))?;
    let text = decode(&bytes)
        .map_err(|wrong| Error::config(format!("the annotations file {shown} {wrong}")).hint(wrong.hint()))?;
    app.log.check(&shown, text.as_bytes())?;
    let found = annotations::parse(&text, &app.working_copy()?).map_err(|problem| {
        Error::config(format!("cannot read the annotations {shown}, {problem}"))
            .hint("give SARIF 2.1.0, or lines such as {\"path\": \"a.py\", \"line\": 3, \"message\": \"…\", \"level\": \"warning\"}")
    })?;
    if found.elsewhere > 0 {
        let elsewhere = count(found.elsewhere, "annotation");
        app.log.warn(&format!("{elsewhere} of {shown} left out: not about a file of the repository"));
    }
    let mut annotations = found.found;
    for annotation in &mut annotations {
        annotation.message = without_mentions(&annotation.message);
        annotation.title = annotation.title.as_deref().map(without_mentions);
    }
    Ok(annotations)
}

impl Checks {
    /// The commit, in full where git knows it.
    async fn commit(&self, app: &App, connected: &Connected) -> Result<String> {
        let none = || {
            Error::config("cannot determine the commit").hint("give --commit-sha <sha>, or run inside a git repository")
        };
        let Some(name) = &self.commit_sha else {
            let here = || connected.is_preview().then(|| "working copy".to_owned());
            return connected.commit(app).await?.or_else(here).ok_or_else(none);
        };
        let wrong = || {
            Error::usage(format!("'{name}' is not a commit"))
                .hint("give --commit-sha as a full SHA, or a name that git knows")
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

    /// What marks the comment that goes with the check.
    fn mark(&self, workflow: Option<&str>, run: Option<&str>) -> Watermark {
        Watermark::new(&format!("check {}", self.title.trim()), workflow, run)
    }

    fn state(&self) -> State {
        match self.status {
            Status::Queued => State::Queued,
            Status::InProgress => State::InProgress,
            Status::Completed => State::Completed(self.conclusion),
        }
    }

    /// The figures as a table before the report.
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
        let publish = self.publish();
        let room = forge.report_limits();
        // Where neither the check nor a comment shows them, images need no place.
        let text = match room.is_some() || self.args.comment {
            true => publish.report(sources, &[]).await?.text,
            false => source::joined(sources.iter().map(|source| source.text.as_str())),
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
        let made = match forge.create_check(&check).await {
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

    /// The report in the parts that there is room for, cut where that is too little.
    async fn fit(&self, publish: &Publish<'_>, text: &str, room: ReportLimits) -> Result<Vec<String>> {
        let parts = split::split(text, room);
        if parts.len() <= room.parts {
            return Ok(parts);
        }
        let title = self.connected.driver.title;
        self.app.log.warn(&format!("the report is longer than a check on {title} shows: it is cut"));
        let note = comment::truncation_note(self.app, &self.connected, publish, text, &[]).await?;
        Ok(split::limit(parts, room, &note))
    }

    /// Prints the check's address and hands it on to later steps.
    fn announce(&self, made: &Made) -> Result<()> {
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
        let part = forge.limits().comment.saturating_sub(sticky.overhead());
        let room = ReportLimits { part, unit: Unit::Utf16, parts: comment::OVERFLOW_LIMIT as usize };
        let parts = comment::split_report(self.app, &self.connected, &self.publish(), text, &[], room).await?;
        let comment = sticky.update(&existing, read, &parts).await?;
        self.app.log.info(&format!("the report is in {}", comment.url));
        outputs::set(self.app, &[("comment-url", &comment.url)])
    }
}
