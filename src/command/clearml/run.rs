//! `cml clearml run`: runs a commit on an agent, and with `--wait` reports the task once it has completed.

use super::follow::{Ending, Patience, Until, seconds, with_own_budget};
use super::launch::Launch;
use super::launched::{Launched, conclude};
use super::report::{self, Report};
use super::{Connection, connect, selection};
use crate::app::App;
use crate::connect::Global;
use crate::error::{Error, Kind, Result};
use crate::shutdown::Shutdown;
use clap::ArgAction::Set;
use clap::{Args, FromArgMatches};

/// Options of `cml clearml run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Train this commit on an agent, and go on\n  cml clearml run --queue gpu --project Lab/CI --script train.py\n\n  \
    # Train it, and comment on the pull request with its scalars\n  \
    cml clearml run --queue gpu --project Lab/CI --script train.py --wait --publish\n\n\
    With --wait the task is stopped if the job is cancelled or the time is over; without, nothing stops it.")]
pub struct Run {
    /// What to run.
    #[command(flatten)]
    pub launch: Launch,
    /// Wait for the task to complete, and report it
    #[arg(long, help_heading = "Waiting", action = Set, default_value_t = false)]
    pub wait: bool,
    /// Give up if it has not completed after this time, such as 12h, counted from when a worker takes the task
    #[arg(id = "timeout", long = "timeout", value_name = "TIME", default_value = "24h", value_parser = seconds, help_heading = "Waiting")]
    pub timeout: u64,
    /// How long to wait.
    #[command(flatten)]
    pub patience: Patience,
    /// Task to compare with in the report: task:ID, or tag:NAME
    #[arg(long, value_name = "TASK", requires = "wait", help_heading = "Output")]
    pub baseline: Option<String>,
    /// Draw curves and confusion matrices in the report
    #[arg(long, requires = "wait", help_heading = "Output", action = Set, default_value_t = false)]
    pub plots: bool,
    /// Publish the report as a comment, and update it with the next run
    #[arg(long = "publish", requires = "wait", help_heading = "Output", action = Set, default_value_t = false)]
    pub publish: bool,
    /// With --publish, own one section of a comment that several jobs share
    #[arg(long, value_name = "NAME", requires = "publish", help_heading = "Output")]
    pub section: Option<String>,
    /// Print JSON, without a report
    #[arg(long, conflicts_with_all = ["publish", "plots", "baseline"], help_heading = "Output", action = Set, default_value_t = false)]
    pub json: bool,
    /// How to connect.
    #[command(flatten)]
    pub connection: Connection,
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Run) -> Result<()> {
    let app = &with_own_budget(app);
    let run = selection::Run::detect(app, global).await;
    let Some(client) = connect(app, &run, &args.connection).await? else { return Ok(()) };
    let mut shutdown = Shutdown::new(app, "the run");
    let plan = shutdown.run_until(args.launch.plan(app, global, &run, &client, "run")).await??;
    let launched = Launched::create(app, &client, &plan, &mut shutdown).await?;
    let mut ending = args.supervise(&launched, &mut shutdown).await;
    let is_over = matches!(&ending, Ok(Ending { kind, .. }) if *kind != "timeout");
    let cleaned = if is_over {
        Ok(())
    } else {
        launched.stop("the job that waited for it has ended", false, &mut shutdown).await
    };
    let is_reported = args.wait && !args.json && matches!(&ending, Ok(Ending { outcome: Ok(_), .. }));
    let told = if is_reported {
        shutdown.run_until(args.report(app, global, &launched.id)).await.and_then(|reported| reported)
    } else {
        launched.tell(args.json, &ending).await
    };
    if let (true, Err(error)) = (is_reported, &told) {
        ending = Err(error.clone());
    }
    conclude(app, ending, cleaned, told, &shutdown)
}

impl Run {
    async fn supervise(&self, launched: &Launched<'_>, shutdown: &mut Shutdown<'_>) -> Result<Ending> {
        launched.enqueue(shutdown).await?;
        if self.wait {
            return launched.follow(Until::Completed, &self.patience, self.timeout, shutdown).await;
        }
        let state = launched.client.state(&launched.id).await.unwrap_or_default();
        Ok(Ending { kind: "launched", outcome: Ok("the task was launched".to_owned()), state, log: Vec::new() })
    }

    /// Reports the task as `cml clearml report` does.
    async fn report(&self, app: &App, global: &Global, id: &str) -> Result<()> {
        let mut argv = vec![
            "report".to_owned(),
            format!("--task={id}"),
            format!("--plots={}", self.plots),
            format!("--publish={}", self.publish),
        ];
        argv.extend(self.section.iter().map(|name| format!("--section={name}")));
        argv.extend(self.baseline.iter().map(|task| format!("--baseline={task}")));
        argv.push(format!("--insecure-http={}", self.connection.insecure_http));
        let command = Report::augment_args(clap::Command::new("report"));
        let parsed = command.try_get_matches_from(argv).and_then(|matches| Report::from_arg_matches(&matches));
        let report = parsed.map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
        app.http.restart_budget();
        report::run(app, global, &report).await
    }
}
