//! `cml clearml`: the ClearML task that ran this commit, its scalars as a report, a gate for them.
//!
//! Selection ([`selection`]) finds the task; [`launch`] says what to run on an agent, and [`follow`] how far it is; each verb is a file.

use crate::app::App;
use crate::clearml::links::Links;
use crate::clearml::{Client, Settings, config};
use crate::connect::Global;
use crate::error::Result;
use clap::ArgAction::Set;
use clap::{Args, Subcommand};

mod baseline;
mod check;
mod compare;
mod find;
mod follow;
mod launch;
mod launched;
mod missing;
mod output;
mod promote;
mod report;
mod run;
mod selection;

/// Report and run ClearML tasks
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the task that ran this commit, and print its ID and address
    Find(Box<find::Find>),
    /// Report the scalars, curves and parameters of the task that ran this commit
    Report(Box<report::Report>),
    /// Compare the metrics of the task that ran this commit with a baseline, and fail with exit code 1 if one is worse
    Compare(Box<compare::Compare>),
    /// On the default branch, move a tag such as best to the task that ran this commit, unless a metric is worse
    Promote(Box<promote::Promote>),
    /// Check that this commit runs on an agent: launch it, wait for its first sign of life, stop it
    Check(Box<check::Check>),
    /// Run this commit on an agent
    Run(Box<run::Run>),
}

/// How to connect.
#[derive(Debug, Args)]
#[command(next_help_heading = "ClearML")]
pub struct Connection {
    /// Send credentials to the server unencrypted, over http://
    #[arg(long, action = Set, default_value_t = false)]
    pub insecure_http: bool,
}

/// Runs the subcommand.
pub async fn run(app: &App, global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Find(args) => find::run(app, global, args).await,
        Command::Report(args) => report::run(app, global, args).await,
        Command::Compare(args) => compare::run(app, global, args).await,
        Command::Promote(args) => promote::run(app, global, args).await,
        Command::Check(args) => check::run(app, global, args).await,
        Command::Run(args) => run::run(app, global, args).await,
    }
}

impl Connection {
    /// Returns a client of the configured server; `None` where there are no credentials.
    ///
    /// # Errors
    /// The configuration is wrong.
    fn open(&self, app: &App) -> Result<Option<Client>> {
        let settings = Settings::load(app)?;
        let Some(credentials) = settings.credentials() else { return Ok(None) };
        let server = settings.server(self.insecure_http)?;
        settings.trust()?;
        Ok(Some(Client::new(app, server, credentials)))
    }
}

/// Connects. In a pull request from a fork, whose runs get no secrets, a run without credentials has nothing to do: `None`, after
/// saying so.
///
/// # Errors
/// There are no credentials, or the configuration is wrong.
async fn connect(app: &App, run: &selection::Run, connection: &Connection) -> Result<Option<Client>> {
    match connection.open(app)? {
        Some(client) => Ok(Some(client)),
        None if run.is_fork => {
            app.log.info("pull requests from forks get no secrets: ClearML was not asked");
            Ok(None)
        }
        None => Err(config::missing_credentials()),
    }
}

/// Returns the pages of the server that a client has spoken to.
async fn links(client: &Client) -> Result<Links> {
    Ok(Links::new(client.server(), client.api_version().await?))
}
