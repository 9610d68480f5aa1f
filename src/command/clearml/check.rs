//! `cml clearml check`: proves that a commit runs on an agent.
//!
//! Everything is looked up first; then the task is created, enqueued and followed. Whatever happens, it is stopped and archived. If this
//! program is killed, what is left has the tag [`CHECK_TAG`], by which `cml doctor` finds it.

use super::follow::{Ending, Patience, Until, seconds, with_own_budget};
use super::launch::Launch;
use super::launched::{Launched, conclude};
use super::selection::Run;
use super::{Connection, connect};
use crate::app::App;
use crate::clearml::launch::CHECK_TAG;
use crate::command::comment::{self, WrittenReport};
use crate::command::publish_args::PublishArgs;
use crate::connect::Global;
use crate::error::Result;
use crate::forge::TargetSpec;
use crate::shutdown::Shutdown;
use clap::ArgAction::Set;
use clap::Args;

/// What the comment of a task says to whoever finds one that was left.
const WARNING: &str = " The check stops and archives this task when it ends. If it still runs, the check was killed: stop and archive it.";

/// Options of `cml clearml check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Prove that the pull request runs on an agent of a queue\n  cml clearml check --queue default --script train.py\n\n  \
    # With the packages, container and parameters of an earlier task\n  \
    cml clearml check --queue gpu --template 0123456789abcdef0123456789abcdef\n\n\
    The task is always stopped and archived, also when the job is cancelled.")]
pub struct Check {
    /// What to run.
    #[command(flatten)]
    pub launch: Launch,
    /// What the task has to show: iteration (or a scalar, or its end), started, completed, or log:TEXT with * for anything
    #[arg(long, value_name = "WHAT", default_value = "iteration", help_heading = "Waiting")]
    pub until: Until,
    /// Give up if it has not after this time, such as 90 or 10m, counted from when a worker takes the task
    #[arg(id = "timeout", long = "timeout", value_name = "TIME", default_value = "10m", value_parser = seconds, help_heading = "Waiting")]
    pub timeout: u64,
    /// How long to wait.
    #[command(flatten)]
    pub patience: Patience,
    /// Stop the task afterwards, but do not archive it
    #[arg(long, help_heading = "Task", action = Set, default_value_t = false)]
    pub keep: bool,
    /// Publish the result as a comment, and update it with the next run
    #[arg(long = "publish", help_heading = "Output", action = Set, default_value_t = false)]
    pub publish: bool,
    /// With --publish, own one section of a comment that several jobs share
    #[arg(long, value_name = "NAME", requires = "publish", help_heading = "Output")]
    pub section: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "publish", help_heading = "Output", action = Set, default_value_t = false)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Check) -> Result<()> {
    let app = &with_own_budget(app);
    let run = Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    let mut shutdown = Shutdown::new(app, "the check");
    let mut plan = shutdown.run_until(args.launch.plan(app, global, &run, &client, "check")).await??;
    plan.draft.tags.push(CHECK_TAG.to_owned());
    plan.draft.comment.push_str(WARNING);
    let launched = Launched::create(app, &client, &plan, &mut shutdown).await?;
    let ending = args.supervise(&launched, &mut shutdown).await;
    let cleaned = launched.stop("the check has ended", !args.keep, &mut shutdown).await;
    let mut told = launched.tell(args.json, &ending).await;
    if let (true, Ok(ending)) = (args.publish, &ending) {
        let published = shutdown.run_until(args.comment(app, global, &launched, ending)).await.and_then(|done| done);
        if let (Err(_), Err(error)) = (&ending.outcome, &published) {
            app.log.warn_of(&error.to_string(), error.hint_text());
        }
        told = told.and(published);
    }
    conclude(app, ending, cleaned, told, &shutdown)
}

impl Check {
    /// Comments on how it ended. Checks of other entry points have comments of their own.
    async fn comment(&self, app: &App, global: &Global, launched: &Launched<'_>, ending: &Ending) -> Result<()> {
        let Launch { script, module, template, .. } = &self.launch;
        let entry = [script, module, template].into_iter().flatten().next().map_or("", String::as_str);
        let title = format!("ClearML check {entry}").trim().to_owned();
        let text = launched.markdown(&title, ending).await;
        app.http.restart_budget();
        let report = WrittenReport {
            text,
            target: TargetSpec::Auto,
            title: if self.section.is_some() { "ClearML".to_owned() } else { title },
            section: self.section.clone(),
            only_update: false,
            publish_args: PublishArgs::default(),
        };
        comment::publish(app, global, report).await
    }

    async fn supervise(&self, launched: &Launched<'_>, shutdown: &mut Shutdown<'_>) -> Result<Ending> {
        launched.enqueue(shutdown).await?;
        launched.follow(self.until.clone(), &self.patience, self.timeout, shutdown).await
    }
}
