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
    /// Rerun a workflow's failed jobs; a run in progress is cancelled first
    Rerun(Rerun),
}

/// Options of `cml workflow rerun`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
#[command(after_help = "Examples:\n  \
    # Rerun the failed jobs of a run\n  cml workflow rerun --id 1234567890\n\n  \
    # Rerun another workflow's run, in a workflow on: workflow_run\n  \
    cml workflow rerun --id ${{ github.event.workflow_run.id }}")]
pub struct Rerun {
    /// GitHub run, GitLab pipeline or job, or Bitbucket pipeline to rerun [default: the current one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    let Command::Rerun(args) = command;
    let connected = connect::connect(app, global, None).await?;
    // Another repository has other runs.
    let same = connected.context.repository.as_ref().is_some_and(|own| own.path == connected.repository.path);
    let own = if same { connected.context.clone() } else { Context::default() };
    let id = args.id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let run = match connected.runs()?.rerun(id, &own, &app.http).await {
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
