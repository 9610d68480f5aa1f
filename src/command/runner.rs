//! `cml runner launch|list|stop|reap|retry`: machines as runners of the forge.
//!
//! [`launch`] makes this machine a runner; [`name`] says what it is called, [`reuse`] whether there is one already.

use crate::app::App;
use crate::connect::Global;
use crate::error::Result;
use clap::Subcommand;

pub mod agent;
pub mod cloud;
pub mod idle;
pub mod launch;
pub mod list;
pub mod machines;
pub mod name;
pub mod options;
pub mod place;
pub mod program;
pub mod reap;
pub mod retry;
pub mod reuse;
pub mod stop;

/// Launch and manage self-hosted runners
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this machine, or a new one in a cloud, a runner until it is idle or has run one job
    Launch(Box<options::Launch>),
    /// List the runners
    List(list::List),
    /// Remove a runner from the forge
    Stop(stop::Stop),
    /// Terminate machines in a cloud that have outlived their runner or their time
    Reap(reap::Reap),
    /// Run the failed jobs of a run again, where they were lost with their runner
    Retry(retry::Retry),
    /// Be the runner of a machine in a cloud; its start-up script runs this
    #[command(hide = true)]
    Agent(agent::Agent),
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Launch(args) => launch::run(app, global, args).await,
        Command::List(args) => list::run(app, global, args).await,
        Command::Stop(args) => stop::run(app, global, args).await,
        Command::Reap(args) => reap::run(app, global, args).await,
        Command::Retry(args) => retry::run(app, global, args).await,
        Command::Agent(args) => agent::run(app, args).await,
    }
}
