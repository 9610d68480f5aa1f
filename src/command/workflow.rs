//! `cml workflow rerun`: a run of the CI starts again.

use crate::app::App;
use crate::connect::{self, Global};
use crate::error::{Kind, Result};
use crate::forge::{Context, repository_not_visible};
use crate::outputs;
use clap::{Args, Subcommand};

/// Rerun workflows
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a workflow's failed jobs again; a run that has not ended is cancelled first
    Rerun(Rerun),
}

/// Options of the verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
#[command(after_help = "Examples:\n  \
    # The failed jobs of a run\n  cml workflow rerun --id 1234567890\n\n  \
    # One of another workflow, in a workflow on: workflow_run\n  \
    cml workflow rerun --id ${{ github.event.workflow_run.id }}")]
pub struct Rerun {
    /// Run to start again: a GitHub run, a GitLab pipeline or job, a Bitbucket pipeline; otherwise the CI's own
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Rerun(args) = command;
    let connected = connect::connect(app, global, None).await?;
    // Another repository has other runs.
    let same = connected.context.repository.as_ref().is_some_and(|own| own.path == connected.repository.path);
    let own = if same { connected.context.clone() } else { Context::default() };
    let id = args.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let run = match connected.forge.rerun(id, &own, &app.http).await {
        Err(error) if error.kind() == Kind::NotFound => {
            let hidden = connected.forge.can_see_repository().await.is_ok_and(|seen| !seen);
            return Err(if hidden { repository_not_visible(&connected.repository) } else { error });
        }
        run => run?,
    };
    if let Some(note) = &run.note {
        app.log.warn(note);
    }
    outputs::set(app, &[("run-url", &run.url)])?;
    app.print_line(&run.url)
}
