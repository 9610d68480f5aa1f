//! `cml runner launch|list|stop|reap|retry`: self-hosted runners on this host or in a cloud.
//!
//! [`launch`] starts a runner; [`name`] chooses its name, [`reuse`] decides whether an existing one will do.

use crate::app::App;
use crate::connect::Global;
use crate::error::Result;
use clap::Subcommand;

pub mod bootstrap;
pub mod bootstrap_binary;
pub mod cloud;
pub mod dirs;
pub mod idle;
pub mod instances;
pub mod launch;
pub mod lease;
pub mod list;
pub mod name;
pub mod options;
pub mod reap;
pub mod retry;
pub mod reuse;
pub mod stop;
pub mod unpack;

/// Launch and manage self-hosted runners
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn this machine, or a new cloud machine, into a runner; it stops when idle or after one job
    Launch(Box<options::Launch>),
    /// List the runners
    List(list::List),
    /// Remove a runner from the forge
    Stop(stop::Stop),
    /// Terminate cloud instances whose deadline has passed or whose runner is gone
    Reap(reap::Reap),
    /// Rerun the failed jobs of a run that was lost with its runner
    Retry(retry::Retry),
    /// Turn a new cloud instance into a runner; its start-up script runs this
    #[command(hide = true, alias = "agent")]
    Bootstrap(bootstrap::Bootstrap),
    /// Put the program and the bootstrap configuration where a pod's runner finds them
    #[command(hide = true)]
    Unpack(unpack::Unpack),
    /// Check that the instance's lease has not ended; its liveness probe runs this
    #[command(hide = true)]
    Lease(lease::Lease),
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Launch(args) => launch::run(app, global, args).await,
        Command::List(args) => list::run(app, global, args).await,
        Command::Stop(args) => stop::run(app, global, args).await,
        Command::Reap(args) => reap::run(app, global, args).await,
        Command::Retry(args) => retry::run(app, global, args).await,
        Command::Bootstrap(args) => bootstrap::run(app, args).await,
        Command::Unpack(args) => unpack::run(app, args).await,
        Command::Lease(args) => lease::run(app, args),
    }
}
