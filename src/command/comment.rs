//! `cml comment create|update`: a report becomes a comment.
//!
//! Markdown file → files published, addresses replaced → job summary → cut to the forge's size → comment.

use super::images::Images;
use super::publish_args::PublishArgs;
use super::report_args::{self, ReportArgs};
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::comments::{self, Comment};
use crate::forge::{Capability, Driver, Target, TargetSpec, explain_not_found, require};
use crate::host;
use crate::outputs;
use crate::publish::{Destination, Publish};
use crate::report::section;
use crate::report::source::Source;
use crate::report::split::{self, ReportLimits, Unit};
use crate::report::watermark::Watermark;
use crate::sticky::{Retire, SectionMode, Sticky};
use clap::ArgAction::Set;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

mod print;
mod watch;

/// Publish a report as a comment
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a new comment from the report
    Create(Box<Comments>),
    /// Update the report's last comment, or create one
    Update(Box<Comments>),
}

/// What to do with a report that is too long for one comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Overflow {
    /// Split into several comments, between blocks; later updates find all of them
    Split,
    /// Cut the comment and link the whole report
    Truncate,
    /// Fail with an error
    Fail,
}

/// Default maximum number of comments of one report.
pub(super) const OVERFLOW_LIMIT: u32 = 10;

/// Options of both verbs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comment")]
#[command(after_help = "Examples:\n  \
    # Keep one comment of the pull request up to date\n  cml comment update report.md\n\n  \
    # Own one section of a comment that the jobs of a matrix share\n  \
    cml comment update --section 'python 3.14' report.md\n\n  \
    # Create a new comment on a commit\n  cml comment create --target commit/4b1d0c9 report.md\n\n  \
    # Follow a training\n  cml comment update --watch report.md & python train.py; kill $!; wait")]
pub struct Comments {
    /// The report.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Where to comment: auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337
    #[arg(long, value_name = "TARGET", default_value = "auto")]
    pub target: TargetSpec,
    /// Old form of --target pr
    #[arg(long, hide = true, conflicts_with_all = ["target", "commit_sha"], action = Set, default_value_t = false)]
    pub pr: bool,
    /// Old form of --target commit/<sha>
    #[arg(long, alias = "head-sha", hide = true, value_name = "SHA", conflicts_with = "target")]
    pub commit_sha: Option<String>,
    /// Update the last comment instead of creating one
    #[arg(long, hide = true, action = Set, default_value_t = false)]
    pub update: bool,
    /// Own one section of a comment that several jobs share, such as those of a matrix
    #[arg(long, value_name = "NAME")]
    pub section: Option<String>,
    /// What to do with a report that is too long for one comment
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Overflow::Split)]
    pub overflow: Overflow,
    /// Maximum number of comments of --overflow split; the whole report is then published as a file and linked
    #[arg(long, value_name = "N", default_value_t = OVERFLOW_LIMIT, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub overflow_limit: u32,
    /// Collapse the report's earlier comments as outdated (GitHub)
    #[arg(long, conflicts_with_all = ["delete_previous", "section"], action = Set, default_value_t = false)]
    pub hide_previous: bool,
    /// Delete the report's earlier comments
    #[arg(long, conflicts_with = "section", action = Set, default_value_t = false)]
    pub delete_previous: bool,
    /// Add the report below what the comment says already
    #[arg(long, conflicts_with_all = ["hide_previous", "delete_previous", "watch"], action = Set, default_value_t = false)]
    pub append: bool,
    /// Leave the report's last comment as it is if it says the same, whichever the commit
    #[arg(long, conflicts_with = "append", action = Set, default_value_t = false)]
    pub skip_unchanged: bool,

    /// Title that tells this report's comments from others; {workflow} and {run} are replaced by the CI's
    #[arg(long, value_name = "TITLE", default_value = "", hide_default_value = true, help_heading = "Watermark")]
    pub watermark_title: String,
    /// Omit the hidden watermark; the comment cannot be updated later
    #[arg(long, help_heading = "Watermark", action = Set, default_value_t = false)]
    pub rm_watermark: bool,

    /// Images.
    #[command(flatten)]
    pub images: Images,

    /// Update the comment whenever the report or its images change, until the job ends
    #[arg(long, help_heading = "Watching", action = Set, default_value_t = false)]
    pub watch: bool,
    /// With --watch, update only when this file appears or changes, and then delete it
    #[arg(long, value_name = "FILE", requires = "watch", help_heading = "Watching")]
    pub trigger_file: Option<PathBuf>,

    /// Do not add the report to GitHub's job summary
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub no_summary: bool,
    /// Open the local preview in the browser
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub open: bool,
    /// Print the Markdown that would be sent, and send nothing; files are not published and keep their paths
    #[arg(long, help_heading = "Output", conflicts_with_all = ["watch", "open"], action = Set, default_value_t = false)]
    pub print: bool,
}

/// Runs `create` or `update`.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let (args, update) = match command {
        Command::Create(args) => (args, args.update || args.section.is_some()),
        Command::Update(args) => (args, true),
    };
    args.check(app, update)?;
    // A report that cannot be read must not cost a request.
    let report = args.report.write(app, global, &args.images.publish_args).await?;
    let first = if args.watch { None } else { Some(report.read(app)?) };
    if let Some(sources) = &first {
        report_args::warn_if_empty(app, sources, args.images.strict)?;
    }
    let mut job = Job::prepare(app, global, args, update).await?;
    match first {
        None => watch::watch(&job).await,
        Some(sources) if args.print => {
            job.print(&sources).await?;
            report.outcome()
        }
        Some(sources) => {
            let comment = job.post(&sources, PostOptions { update, summary: !args.no_summary, retire: true }).await?;
            job.announce(&comment)?;
            if args.open {
                open(app, &comment.url).await;
            }
            report.outcome()
        }
    }
}

/// A report that another command has written, and where it goes.
pub struct WrittenReport {
    /// The text.
    pub text: String,
    /// Where to comment.
    pub target: TargetSpec,
    /// The section of a comment that several jobs share.
    pub section: Option<String>,
    /// What tells its comment from others.
    pub title: String,
    /// Whether a comment is updated only, and none is created.
    pub only_update: bool,
    /// Where files are published.
    pub publish_args: PublishArgs,
}

/// Updates the comment of such a report, or creates one, as `cml comment update` does.
pub async fn publish(app: &App, global: &Global, report: WrittenReport) -> Result<()> {
    let comments = Comments {
        report: ReportArgs { files: Vec::new(), message: Some(report.text), written: None },
        target: report.target,
        pr: false,
        commit_sha: None,
        update: true,
        section: report.section,
        overflow: Overflow::Split,
        overflow_limit: OVERFLOW_LIMIT,
        hide_previous: false,
        delete_previous: false,
        append: false,
        skip_unchanged: false,
        watermark_title: report.title,
        rm_watermark: false,
        images: Images { publish: true, publish_args: report.publish_args, publish_links: false, strict: false },
        watch: false,
        trigger_file: None,
        no_summary: false,
        open: false,
        print: false,
    };
    if report.only_update {
        let job = Job::prepare(app, global, &comments, true).await?;
        let sticky = job.connected.sticky(app, &job.target, job.watermark.as_ref(), job.commit.as_deref());
        if job.explain_missing(sticky.find().await).await?.is_empty() {
            app.log.info("nothing changed: there is no comment");
            let text = comments.report.message.as_deref().unwrap_or_default();
            return outputs::summary(app, text);
        }
    }
    run(app, global, &Command::Update(Box::new(comments))).await
}

impl Comments {
    fn check(&self, app: &App, update: bool) -> Result<()> {
        if self.rm_watermark && update {
            return Err(Error::usage("watermarks are mandatory for updatable comments")
                .hint("omit --rm-watermark, or use `cml comment create`"));
        }
        if self.section.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::usage("--section needs a name").hint("for a matrix: --section \"${{ matrix.python }}\""));
        }
        if !self.rm_watermark {
            Watermark::new(&self.watermark_title, None, None).check()?;
        }
        if self.watch && (self.report.is_stdin() || self.report.files.is_empty()) {
            return Err(Error::usage("--watch needs a file to follow").hint("pass the report as a file"));
        }
        if self.watch && self.report.has_auto() {
            return Err(Error::usage("--watch does not follow the report auto")
                .hint("run `cml comment update auto` when the training is done"));
        }
        if self.append && !update {
            return Err(Error::usage("--append needs a comment to add to").hint("use `cml comment update --append`"));
        }
        if self.skip_unchanged && self.rm_watermark {
            return Err(
                Error::usage("--skip-unchanged finds the last comment by its watermark").hint("omit --rm-watermark")
            );
        }
        if self.pr {
            app.log.warn("--pr is deprecated, please use --target=pr");
        }
        if let Some(sha) = &self.commit_sha {
            app.log.warn(&format!("--commit-sha={sha} is deprecated, please use --target=commit/{sha}"));
        }
        Ok(())
    }

    fn wanted(&self) -> Result<TargetSpec> {
        match &self.commit_sha {
            Some(sha) => format!("commit/{sha}").parse(),
            None if self.pr => Ok(TargetSpec::PullRequest),
            None => Ok(self.target.clone()),
        }
    }
}

/// What posting the report includes.
#[derive(Clone, Copy)]
struct PostOptions {
    /// Update the last comment.
    update: bool,
    /// Add the report to the job's page.
    summary: bool,
    /// Hide or delete the comments of earlier runs, where the user asked for that.
    retire: bool,
}

/// What stays the same from one update to the next.
struct Job<'a> {
    app: &'a App,
    args: &'a Comments,
    /// Whether the command updates the report's last comment.
    update: bool,
    connected: Connected,
    /// What takes the comments instead of the forge, with `--print`.
    rehearsal: Option<Rc<print::Rehearsal>>,
    target: Target,
    watermark: Option<Watermark>,
    commit: Option<String>,
    destination: Destination,
}

impl<'a> Job<'a> {
    async fn prepare(app: &'a App, global: &Global, args: &'a Comments, update: bool) -> Result<Self> {
        let (wanted, destination) = (args.wanted()?, args.images.destination()?);
        let connected = connect::connect(app, global, args.images.publish_args.publish_branch.clone()).await?;
        // Asked before anything is done.
        args.retire(connected.forge.comments(), connected.driver)?;
        let context = &connected.context;
        let title = || Watermark::new(&args.watermark_title, context.workflow.as_deref(), context.run.as_deref());
        let watermark = (!args.rm_watermark).then(title);
        watermark.as_ref().map_or(Ok(()), Watermark::check)?;
        let target = connected.target(app, &wanted).await?;
        app.log.debug(&format!("{} {}, {target}, update: {update}", connected.driver.title, connected.repository));
        let commit = match &target {
            Target::Commit(sha) => Some(sha.clone()),
            // Only the watermark needs it; a comment works without.
            _ => connected.commit(app).await.unwrap_or_default(),
        };
        Ok(Job { app, args, update, connected, rehearsal: None, target, watermark, commit, destination })
    }

    /// Prints what would be sent for the report as it is now.
    async fn print(&mut self, sources: &[Source]) -> Result<()> {
        let rehearsal = Rc::new(print::Rehearsal::new(self.connected.forge.clone()));
        self.rehearsal = Some(rehearsal.clone());
        self.destination = Destination::Nowhere;
        let how = PostOptions { update: self.update, summary: false, retire: true };
        let comment = self.post(sources, how).await?;
        rehearsal.print(self.app, &comment)
    }

    /// Returns the comments that are read and written.
    fn comments(&self) -> &dyn comments::Comments {
        match &self.rehearsal {
            Some(rehearsal) => &**rehearsal,
            None => self.connected.forge.comments(),
        }
    }

    /// Returns the outcome of a request for the target, explaining a 404: which of the target and the repository
    /// does not exist.
    async fn explain_missing<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                let Connected { forge, repository, .. } = &self.connected;
                Err(explain_not_found(&**forge, repository, &self.target, error).await)
            }
        }
    }

    /// Posts the report as it is now.
    async fn post(&self, sources: &[Source], options: PostOptions) -> Result<Comment> {
        let PostOptions { update, summary, retire } = options;
        let Comments { append, skip_unchanged, .. } = *self.args;
        sources.iter().try_for_each(|source| section::check(&source.text))?;
        let comments = self.comments();
        let retire = if retire { self.args.retire(comments, self.connected.driver)? } else { None };
        let (watermark, commit) = (self.watermark.as_ref(), self.commit.as_deref());
        let sticky = self.connected.sticky(self.app, &self.target, watermark, commit);
        let sticky = Sticky { comments, ..sticky };
        // A section reads for itself; here it only needs to know which images are there already.
        let needs_existing = match &self.args.section {
            Some(_) => sources.iter().any(|source| !crate::report::references(&source.text).is_empty()),
            None => update || retire.is_some() || skip_unchanged,
        };
        let existing = if needs_existing { self.explain_missing(sticky.find().await).await? } else { Vec::new() };
        let read = self.app.http.mark();
        let publish = self.args.images.publish(self.app, &self.connected, &self.destination);
        // Addresses do not tell whether they lead to the branch: earlier ones may be of the hidden ref.
        let known = existing.iter().rev().filter(|_| self.args.images.publish_args.publish_branch.is_none());
        let before: Vec<&str> = known.map(|comment| comment.body.as_str()).collect();
        let published = publish.report(sources, &before).await?;
        if published.files > 0 {
            let is_copied = self.connected.is_preview() && self.destination == Destination::Forge;
            let count = published.count();
            self.app.log.info(&if is_copied {
                format!("copied {count} to .cml/files")
            } else {
                format!("published {count}")
            });
        }
        if summary {
            outputs::summary(self.app, &published.text)?;
        }
        if let Some(name) = &self.args.section {
            let mode = SectionMode { limit: comments.max_length(), append, skip_unchanged };
            let written = sticky.section(name, &published.text, mode).await;
            return self.explain_missing(written).await;
        }
        let room = comments.max_length().saturating_sub(sticky.overhead());
        let text = if append {
            // What another job added while images were published stays.
            let now =
                if published.files > 0 { self.explain_missing(sticky.find().await).await? } else { existing.clone() };
            sticky.appended(&now, &published.text)
        } else {
            published.text
        };
        let parts = self.fit(&publish, &text, &before, room).await?;
        if let Some(same) = sticky.find_unchanged(&existing, &parts).filter(|_| skip_unchanged) {
            self.app.log.info("the report has not changed: its comment stays as it is");
            return Ok(same);
        }
        let posted = match retire {
            Some(how) => match sticky.create(&parts).await {
                Ok(made) => sticky.retire(&existing, how).await.map(|()| made),
                error => error,
            },
            None if update => sticky.update(&existing, read, &parts).await,
            None => sticky.create(&parts).await,
        };
        self.explain_missing(posted).await
    }

    /// Returns the report in parts that fit the forge's limit.
    async fn fit(&self, publish: &Publish<'_>, text: &str, before: &[&str], room: usize) -> Result<Vec<String>> {
        let length = split::length(text);
        if length <= room {
            return Ok(vec![text.to_owned()]);
        }
        let title = self.connected.driver.title;
        match self.args.overflow {
            Overflow::Split => {
                let room = ReportLimits { part: room, unit: Unit::Utf16, parts: self.args.overflow_limit as usize };
                split_report(self.app, &self.connected, publish, text, before, room).await
            }
            Overflow::Truncate => {
                let note = truncation_note(self.app, &self.connected, publish, text, before).await?;
                Ok(vec![split::truncate(text, room, &note)])
            }
            Overflow::Fail => Err(Error::new(
                Kind::TooLarge,
                format!("the report has {length} characters, but a comment on {title} can have at most {room}"),
            )
            .hint("use --overflow split or --overflow truncate")),
        }
    }

    /// Prints the comment's address and sets it as an output for later steps.
    fn announce(&self, comment: &Comment) -> Result<()> {
        let printed = self.app.print_line(&comment.url);
        let set = outputs::set(self.app, &[("comment-url", &comment.url)]);
        printed.and(set)
    }
}

impl Comments {
    /// Returns what happens to the comments of earlier runs; an error where the forge cannot do that.
    fn retire<'a>(&self, comments: &'a dyn comments::Comments, forge: &Driver) -> Result<Option<Retire<'a>>> {
        if self.hide_previous {
            let hiding = require(comments.hiding(), Capability::HideComments, forge)?;
            return Ok(Some(Retire::Hide(hiding)));
        }
        Ok(self.delete_previous.then_some(Retire::Delete))
    }
}

/// Splits the report into at most `limits.parts` comments; a longer one is cut and ends with a link to the whole.
pub(super) async fn split_report(
    app: &App,
    connected: &Connected,
    publish: &Publish<'_>,
    text: &str,
    before: &[&str],
    room: ReportLimits,
) -> Result<Vec<String>> {
    let (length, parts) = (room.unit.length(text), split::split(text, room));
    let (count, most, title) = (parts.len(), room.parts, connected.driver.title);
    if count <= most {
        if count > 1 {
            let limit = room.part;
            app.log.info(&format!(
                "the report has {length} characters, more than {title}'s limit of {limit}; split into {count} comments"
            ));
        }
        return Ok(parts);
    }
    let hint = "raise --overflow-limit, or use --overflow truncate for a single comment";
    app.log.warn_with_hint(&format!("the report needs {count} comments; cut after {most}"), hint);
    let note = truncation_note(app, connected, publish, text, before).await?;
    Ok(split::limit(parts, room, &note))
}

/// Returns the note at the end of a report that was cut.
pub(super) async fn truncation_note(
    app: &App,
    connected: &Connected,
    publish: &Publish<'_>,
    text: &str,
    before: &[&str],
) -> Result<String> {
    let link = whole_report(app, connected, publish, text, before).await?;
    Ok(format!("*The report was cut here.* {link}").trim_end().to_owned())
}

/// Publishes the whole report as a file and returns a link to it, or else to the run's page.
async fn whole_report(
    app: &App,
    connected: &Connected,
    publish: &Publish<'_>,
    text: &str,
    before: &[&str],
) -> Result<String> {
    let run = connected.context.run_url.as_ref();
    let page = || run.map_or(String::new(), |url| format!("[See the job]({url})"));
    if publish.destination == Destination::Nowhere {
        return Ok(page());
    }
    match publish.whole_text(text, before).await {
        Ok(url) => Ok(format!("[Read the whole report]({url})")),
        Err(error) if error.kind() == Kind::Auth => {
            app.log.warn(&format!("cannot publish the whole report: {error}"));
            Ok(page())
        }
        Err(error) => Err(error.context("cannot publish the whole report")),
    }
}

/// How long to wait for a browser to fail to start.
const BROWSER_START_TIMEOUT: Duration = Duration::from_secs(5);

async fn open(app: &App, address: &str) {
    let commands: &[&[&str]] = if cfg!(target_os = "macos") {
        &[&["open"]]
    } else if cfg!(windows) {
        &[&["rundll32", "url.dll,FileProtocolHandler"]]
    } else {
        &[&["xdg-open"], &["wslview"]]
    };
    for command in commands {
        let argv: Vec<&str> = command.iter().copied().chain([address]).collect();
        let browser = host::Command { lingers: true, limit: Some(BROWSER_START_TIMEOUT), ..host::Command::new(argv) };
        match app.host.execute(&browser).await {
            Ok(output) if output.code == Some(0) => return,
            // It goes on as the browser itself.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return,
            _ => {}
        }
    }
    app.log.warn(&format!("cannot start a browser; open {address} yourself"));
}
