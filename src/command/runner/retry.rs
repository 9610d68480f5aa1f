//! `cml runner retry`: reruns what failed because its runner did. For a workflow on `workflow_run`, whose token may do
//! that, so that no instance needs one.

use super::name::PREFIX;
use crate::app::App;
use crate::connect::{self, Global};
use crate::error::Result;
use crate::forge::{Capability, require};
use crate::messages::count;
use crate::outputs;
use clap::Args;

/// Options of `cml runner retry`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
#[command(after_help = "Examples:\n  # In a workflow on workflow_run with types: [completed]\n  \
    cml runner retry --run ${{ github.event.workflow_run.id }}")]
pub struct Retry {
    /// ID of a completed run: a GitHub workflow run or a GitLab pipeline
    #[arg(long, value_name = "ID", required = true)]
    pub run: String,
    /// Maximum number of attempts, the first one included
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=50))]
    pub max_attempts: u64,
    /// Prefix of the names of the runners to consider
    #[arg(long, value_name = "PREFIX", default_value = PREFIX)]
    pub runner_prefix: String,
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Retry) -> Result<()> {
    let connected = connect::connect(app, global, None).await?;
    let ours = |name: &str| name.starts_with(&args.runner_prefix);
    let id = args.run.trim();
    let runs = connected.runs()?;
    let failed = require(runs.lost_jobs(), Capability::LostJobs, connected.driver)?.fetch_failed(id, &ours).await?;
    let lost: Vec<_> = failed.jobs.iter().filter_map(|job| Some((job, job.lost.as_ref()?))).collect();
    for (job, why) in &lost {
        app.log.info(&format!("job {} was lost with its runner {}: {why}", job.name, job.runner));
    }
    if lost.is_empty() {
        app.log.info(&format!("no job of run {id} was lost with its runner: nothing to do"));
        return Ok(());
    }
    if failed.attempt >= args.max_attempts {
        app.log.warn(&format!(
            "run {id} has been started {} times already: not running it again (--max-attempts={})",
            failed.attempt, args.max_attempts
        ));
        return Ok(());
    }
    let others = failed.jobs.len() - lost.len() + failed.others;
    if others > 0 {
        app.log.info(&format!("{} failed for other reasons and will be rerun too", count(others, "job")));
    }
    let run = runs.rerun(Some(id), &connected.context, &app.http).await?;
    if let Some(note) = &run.note {
        app.log.warn(note);
    }
    outputs::set(app, &[("run-url", &run.url)])?;
    app.print_line(&run.url)
}
