//! What is supervised: a registered runner, and what belongs to it.

use super::state::LifecycleEvent;
use crate::app::App;
use crate::error::Result;
use crate::forge::Driver;
use crate::forge::runners::{Registration, RunnerConfig, Runners};
use crate::forge::runs::Runs;
use crate::host::Signal;
use futures_util::future::LocalBoxFuture;
use std::path::PathBuf;
use std::time::Duration;

/// Creates another registration for the same runner.
pub type Renew<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Result<Registration>>;

/// A registered runner, to be run.
pub struct Supervised<'a> {
    /// The host, log and HTTP client.
    pub app: &'a App,
    /// The forge's runners, if its API can be used; an instance in a cloud has no token.
    pub runners: Option<&'a dyn Runners>,
    /// The forge's runs, if lost jobs can be rerun.
    pub runs: Option<&'a dyn Runs>,
    /// The forge's driver.
    pub driver: &'static Driver,
    /// The repository's address, for event lines.
    pub repo: String,
    /// The registration.
    pub registration: Registration,
    /// Creates another registration, where each is good for one job only and more jobs are wanted.
    pub renew: Option<Renew<'a>>,
    /// Its folders and options.
    pub config: RunnerConfig,
    /// Names of variables that are passed on besides the usual ones.
    pub pass_env: Vec<String>,
    /// Variables that it gets besides.
    pub env: Vec<(String, String)>,
    /// How often a lost job may be started in all, the first time included; `None` for no reruns.
    pub retry: Option<u32>,
    /// The folder to copy the program's own logs to; without one they are removed.
    pub keep_logs: Option<PathBuf>,
    /// Folders of this runner alone, which are removed with it.
    pub remove: Vec<PathBuf>,
    /// The user that the program runs as, if it is another one.
    pub user: Option<String>,
    /// Futures that end it, as a signal would.
    pub shutdown_triggers: Vec<LocalBoxFuture<'a, Signal>>,
    /// Called when it is ready and when jobs begin and end.
    pub on_status: Option<&'a dyn Fn(&LifecycleEvent)>,
    /// The lease of the instance that runs it alone.
    pub lease: Option<Lease<'a>>,
}

/// A lease of an instance, which ends when it is not renewed.
#[derive(Clone, Copy)]
pub struct Lease<'a> {
    /// How often it is renewed while there is reason to keep the instance.
    pub interval: Duration,
    /// Renews it.
    pub renew: &'a dyn Fn(),
}
