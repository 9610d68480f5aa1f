//! `cml comment create|update`: a report becomes a comment.
//!
//! Markdown file → files published, addresses replaced → job summary → cut to the forge's size → comment.

use super::images::Images;
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::files::{self, LARGEST_REPORT};
use crate::forge::{Comment, Target, local, name_what_is_missing};
use crate::host;
use crate::outputs;
use crate::publish::{self, Destination, Publish};
use crate::report::decode::decode;
use crate::report::section;
use crate::report::split::{self, ReportLimits, Unit};
use crate::report::target::Wanted;
use crate::report::watermark::Watermark;
use crate::sticky::{Retire, Sticky};
use clap::ArgAction::Set;
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

mod watch;

/// Publish a report as a comment
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new comment with the report
    Create(Box<Comments>),
    /// Update the report's last comment, or make it
    Update(Box<Comments>),
}

/// What to do with a report that is longer than the forge takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Overflow {
    /// Several comments, cut between blocks; found and updated together
    Split,
    /// One comment with the beginning and a link to the whole report
    Truncate,
    /// An error
    Fail,
}

/// The comments of one report, unless the user asks for more or fewer.
pub(super) const OVERFLOW_LIMIT: u32 = 10;

/// Options of both verbs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comment")]
#[command(after_help = "Examples:\n  \
    # One comment of the pull request, with the report of the last run\n  cml comment update report.md\n\n  \
    # A part of a comment that the jobs of a matrix share\n  \
    cml comment update --section 'python 3.14' report.md\n\n  \
    # A new comment on a commit\n  cml comment create --target commit/4b1d0c9 report.md\n\n  \
    # Follow a training\n  cml comment update --watch report.md & python train.py; kill $!; wait")]
pub struct Comments {
    /// Markdown file; - for standard input
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,

    /// Where to comment: auto, pr, pr/42, commit, commit/<sha>, issue, issue/1337
    #[arg(long, value_name = "TARGET", default_value = "auto")]
    pub target: Wanted,
    /// Old form of --target pr
    #[arg(long, hide = true, conflicts_with_all = ["target", "commit_sha"], action = Set, default_value_t = false)]
    pub pr: bool,
    /// Old form of --target commit/<sha>
    #[arg(long, alias = "head-sha", hide = true, value_name = "SHA", conflicts_with = "target")]
    pub commit_sha: Option<String>,
    /// Update the last comment instead of making one
    #[arg(long, hide = true, action = Set, default_value_t = false)]
    pub update: bool,
    /// Own one section of a comment that several jobs share, such as those of a matrix
    #[arg(long, value_name = "NAME")]
    pub section: Option<String>,
    /// What to do with a report that is longer than the forge takes
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Overflow::Split)]
    pub overflow: Overflow,
    /// Number of comments that --overflow split makes at most; what is left is published as a file and linked
    #[arg(long, value_name = "N", default_value_t = OVERFLOW_LIMIT, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub overflow_limit: u32,
    /// Collapse the report's earlier comments as out of date (GitHub)
    #[arg(long, conflicts_with_all = ["delete_previous", "section"], action = Set, default_value_t = false)]
    pub hide_previous: bool,
    /// Delete the report's earlier comments
    #[arg(long, conflicts_with = "section", action = Set, default_value_t = false)]
    pub delete_previous: bool,

    /// Title by which this report's comments are known; {workflow} and {run} stand for the CI's
    #[arg(long, value_name = "TITLE", default_value = "", hide_default_value = true, help_heading = "Watermark")]
    pub watermark_title: String,
    /// Leave the invisible mark out; such a comment cannot be updated
    #[arg(long, help_heading = "Watermark", action = Set, default_value_t = false)]
    pub rm_watermark: bool,

    /// Images.
    #[command(flatten)]
    pub images: Images,

    /// Update the comment whenever the report or its images change, until the job ends
    #[arg(long, help_heading = "Watching", action = Set, default_value_t = false)]
    pub watch: bool,
    /// With --watch: update only when this file appears or changes; it is deleted then
    #[arg(long, value_name = "FILE", requires = "watch", help_heading = "Watching")]
    pub trigger_file: Option<PathBuf>,

    /// Leave the report out of GitHub's job summary
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub no_summary: bool,
    /// Open the local preview in the browser
    #[arg(long, help_heading = "Output", action = Set, default_value_t = false)]
    pub open: bool,
}

/// Runs either verb.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let (args, update) = match command {
        Command::Create(args) => (args, args.update || args.section.is_some()),
        Command::Update(args) => (args, true),
    };
    args.check(app, update)?;
    // A report that cannot be read must not cost a request.
    let first = if args.watch { None } else { Some(read(app, &args.report)?) };
    if let Some(text) = &first {
        warn_if_empty(app, &args.report, text, args.images.strict)?;
    }
    let job = Job::prepare(app, global, args, update).await?;
    match first {
        None => watch::watch(&job).await,
        Some(text) => {
            let comment = job.post(&text, How { update, summary: !args.no_summary, retire: args.retire() }).await?;
            job.announce(&comment)?;
            if args.open {
                open(app, &comment.url).await;
            }
            Ok(())
        }
    }
}

impl Comments {
    fn check(&self, app: &App, update: bool) -> Result<()> {
        if self.rm_watermark && update {
            return Err(Error::usage("watermarks are mandatory for updatable comments")
                .hint("leave --rm-watermark out, or use `cml comment create`"));
        }
        if self.section.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::usage("--section needs a name").hint("for a matrix: --section \"${{ matrix.python }}\""));
        }
        if !self.rm_watermark {
            Watermark::new(&self.watermark_title, None, None).check()?;
        }
        if self.watch && files::is_stdin(&self.report) {
            return Err(Error::usage("--watch cannot follow standard input").hint("give the report as a file"));
        }
        if self.pr {
            app.log.warn("--pr is deprecated, please use --target=pr");
        }
        if let Some(sha) = &self.commit_sha {
            app.log.warn(&format!("--commit-sha={sha} is deprecated, please use --target=commit/{sha}"));
        }
        Ok(())
    }

    fn wanted(&self) -> Result<Wanted> {
        match &self.commit_sha {
            Some(sha) => format!("commit/{sha}").parse(),
            None if self.pr => Ok(Wanted::PullRequest),
            None => Ok(self.target.clone()),
        }
    }
}

/// The report's text, as every forge takes it.
pub(super) fn read(app: &App, path: &Path) -> Result<String> {
    let shown = files::shown(path);
    let bytes = app.files()?.named(path).and_then(|file| file.read(LARGEST_REPORT));
    let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read the report {shown}"), path))?;
    if let Some(what) = publish::not_a_report(path, &bytes) {
        return Err(what);
    }
    let text =
        decode(&bytes).map_err(|wrong| Error::config(format!("the report {shown} {wrong}")).hint(wrong.hint()))?;
    // What was taken out may have stood in the middle of a secret.
    app.log.check(&shown, text.as_bytes())?;
    Ok(text)
}

/// An empty report is mostly a mistake of the step that should have written it.
pub(super) fn warn_if_empty(app: &App, path: &Path, text: &str, strict: bool) -> Result<()> {
    if !text.trim().is_empty() {
        return Ok(());
    }
    let empty =
        Error::config(format!("the report {} is empty", files::shown(path))).hint("check the step that writes it");
    if strict {
        return Err(empty);
    }
    app.log.warn_of(&empty.to_string(), empty.hint_text());
    Ok(())
}

/// What one posting does besides.
#[derive(Clone, Copy)]
struct How {
    /// Update the last comment.
    update: bool,
    /// Add the report to the job's page.
    summary: bool,
    /// What happens to the comments of earlier runs.
    retire: Option<Retire>,
}

/// Everything that stays the same from one update to the next.
struct Job<'a> {
    app: &'a App,
    args: &'a Comments,
    /// Whether the command updates the report's last comment.
    update: bool,
    connected: Connected,
    target: Target,
    watermark: Option<Watermark>,
    commit: Option<String>,
    destination: Destination,
}

impl<'a> Job<'a> {
    async fn prepare(app: &'a App, global: &Global, args: &'a Comments, update: bool) -> Result<Self> {
        let (wanted, destination) = (args.wanted()?, args.images.destination()?);
        let connected = connect::connect(app, global, args.images.place.publish_branch.clone()).await?;
        if args.hide_previous {
            connected.forge.can_hide()?;
        }
        let context = &connected.context;
        let title = || Watermark::new(&args.watermark_title, context.workflow.as_deref(), context.run.as_deref());
        let watermark = (!args.rm_watermark).then(title);
        watermark.as_ref().map_or(Ok(()), Watermark::check)?;
        let target = connected.target(app, &wanted).await?;
        app.log.debug(&format!("{} {}, {target}, update: {update}", connected.driver.title, connected.repository));
        let commit = match &target {
            Target::Commit(sha) => Some(sha.clone()),
            // The mark says it; a comment is right without.
            _ => connected.commit(app).await.unwrap_or_default(),
        };
        Ok(Job { app, args, update, connected, target, watermark, commit, destination })
    }

    /// The outcome of a request for the target, with the word for what does not exist: the target or the
    /// repository.
    async fn named<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => {
                let Connected { forge, repository, .. } = &self.connected;
                Err(name_what_is_missing(&**forge, repository, &self.target, error).await)
            }
        }
    }

    /// Posts the report as it is now.
    async fn post(&self, text: &str, how: How) -> Result<Comment> {
        let How { update, summary, retire } = how;
        section::check(text)?;
        let forge = &*self.connected.forge;
        let sticky = Sticky {
            forge,
            http: &self.app.http,
            log: &self.app.log,
            target: &self.target,
            watermark: self.watermark.as_ref(),
            commit: self.commit.as_deref(),
        };
        // A section reads for itself; here it only needs to know which images are there already.
        let look = match &self.args.section {
            Some(_) => !crate::report::references(text).is_empty(),
            None => update || retire.is_some(),
        };
        let existing = if look { self.named(sticky.find().await).await? } else { Vec::new() };
        let read = self.app.http.mark();
        let publish = Publish {
            app: self.app,
            forge,
            repository: &self.connected.repository,
            destination: self.destination.clone(),
            links: self.args.images.publish_links,
            strict: self.args.images.strict,
        };
        // Addresses do not tell whether they lead to the branch: earlier ones may be of the hidden ref.
        let known = existing.iter().rev().filter(|_| self.args.images.place.publish_branch.is_none());
        let before: Vec<&str> = known.map(|comment| comment.body.as_str()).collect();
        let published = publish.report(&self.args.report, text, &before).await?;
        if published.files > 0 {
            let is_copied = self.connected.driver.name == local::DRIVER.name && self.destination == Destination::Forge;
            self.app.log.info(&match is_copied {
                true => format!("copied {} to .cml/files", published.count()),
                false => format!("published {}", published.count()),
            });
        }
        if summary {
            outputs::summary(self.app, &self.connected.context, &published.text)?;
        }
        if let Some(name) = &self.args.section {
            let written = sticky.section(name, &published.text, forge.limits().comment).await;
            return self.named(written).await;
        }
        let room = forge.limits().comment.saturating_sub(sticky.overhead());
        let parts = self.fit(&publish, &published.text, &before, room).await?;
        let posted = match retire {
            Some(how) => match sticky.create(&parts).await {
                Ok(made) => sticky.retire(&existing, how).await.map(|()| made),
                error => error,
            },
            None if update => sticky.update(&existing, read, &parts).await,
            None => sticky.create(&parts).await,
        };
        self.named(posted).await
    }

    /// The report in as many parts as the forge's limit asks for.
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
                let note = cut_note(self.app, &self.connected, publish, text, before).await?;
                Ok(vec![split::truncate(text, room, &note)])
            }
            Overflow::Fail => Err(Error::new(
                Kind::TooLarge,
                format!("the report has {length} characters, a comment on {title} takes {room}"),
            )
            .hint("use --overflow split or --overflow truncate")),
        }
    }

    /// Prints the comment's address and hands it on to later steps.
    fn announce(&self, comment: &Comment) -> Result<()> {
        let printed = self.app.print_line(&comment.url);
        let set = outputs::set(self.app, &[("comment-url", &comment.url)]);
        printed.and(set)
    }
}

impl Comments {
    fn retire(&self) -> Option<Retire> {
        match (self.hide_previous, self.delete_previous) {
            (true, _) => Some(Retire::Hide),
            (_, true) => Some(Retire::Delete),
            _ => None,
        }
    }
}

/// The report in the comments that there is room for; one that needs more ends with a link to the whole.
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
            app.log.info(&format!("the report has {length} characters, {title} takes {limit}: {count} comments"));
        }
        return Ok(parts);
    }
    let hint = "--overflow-limit allows more comments, --overflow truncate makes one";
    app.log.warn_with_hint(&format!("the report would need {count} comments: it is cut after {most}"), hint);
    let note = cut_note(app, connected, publish, text, before).await?;
    Ok(split::limit(parts, room, &note))
}

/// What ends a report that was cut.
pub(super) async fn cut_note(
    app: &App,
    connected: &Connected,
    publish: &Publish<'_>,
    text: &str,
    before: &[&str],
) -> Result<String> {
    let link = whole_report(app, connected, publish, text, before).await?;
    Ok(format!("*The report was cut here.* {link}").trim_end().to_owned())
}

/// Where the whole report can be read: published as a file, else the run's page.
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
        Ok(url) => Ok(format!("[Read all of it]({url})")),
        Err(error) if error.kind() == Kind::Auth => {
            app.log.warn(&format!("the whole report is not published: {error}"));
            Ok(page())
        }
        Err(error) => Err(error.context("cannot publish the whole report")),
    }
}

/// How long a browser may take to say that it cannot start.
const STARTING: Duration = Duration::from_secs(5);

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
        let browser = host::Command { lingers: true, limit: Some(STARTING), ..host::Command::new(argv) };
        match app.host.execute(&browser).await {
            Ok(output) if output.code == Some(0) => return,
            // It goes on as the browser itself.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return,
            _ => {}
        }
    }
    app.log.warn(&format!("no browser could be started: open {address} yourself"));
}
