//! `cml runner bootstrap`: turns a new cloud instance into a runner. The instance's service powers it off when this ends,
//! however it ends.

use super::lease;
use crate::app::App;
use crate::cloud::CLOUDS;
use crate::error::{Error, Kind, Result};
use crate::forge::runners::Runners;
use crate::forge::{Connection, Context, Driver, FORGES, Forge, Repository};
use crate::host::Signal;
use crate::runner::bootstrap_config::BootstrapConfig;
use crate::runner::state::LifecycleEvent;
use crate::runner::{Lease, Supervised, supervise};
use clap::Args;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

mod gpu;
mod prepare;
mod process;

/// The user that jobs run as.
const USER: &str = "ci";
/// The folder of the runner's folders; it belongs to root.
const HOME: &str = "/var/lib/cml";
/// How many times the instance's lease and its service's watchdog (`WatchdogSec`) are renewed during one lease.
const RENEWALS: u32 = 5;
/// How long before the instance's deadline its runner is asked to end.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(120);

/// Options of `cml runner bootstrap`.
#[derive(Debug, Args)]
pub struct Bootstrap {
    /// File with the bootstrap configuration; it is deleted
    #[arg(long, value_name = "FILE")]
    pub launch_file: PathBuf,
    /// File with the end of the instance's lease, in seconds since its boot
    #[arg(long, value_name = "FILE")]
    pub lease_file: Option<PathBuf>,
    /// How long the instance stays when the lease is not renewed
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub lease: u32,
}

/// Runs the verb.
pub async fn run(app: &App, args: &Bootstrap) -> Result<()> {
    let platform = app.host.platform();
    if cfg!(target_arch = "wasm32") || platform.os != "linux" {
        return Err(Error::unsupported("cml runner bootstrap needs the native program on Linux")
            .hint("to turn this machine into a runner, use: cml runner launch"));
    }
    let unreadable = |error| {
        Error::config(format!("cannot read the bootstrap configuration {} ({error})", args.launch_file.display()))
            .hint("an instance becomes a runner only once: launch another one")
    };
    let bootstrap = BootstrapConfig::parse(&app.host.read(&args.launch_file).map_err(unreadable)?)?;
    bootstrap.registration.credential.values().for_each(|secret| app.log.hide("the credential of the runner", secret));
    if let Some(token) = bootstrap.package.as_ref().and_then(|package| package.token.as_ref()) {
        app.log.hide("the token of the download", token);
    }
    let kind = InstanceKind::new(app, &bootstrap.cloud)?;
    prepare::remove_secrets(app, &args.launch_file, &kind)?;
    let outcome = work(app, args, bootstrap, &kind).await;
    app.host.notify("STOPPING=1");
    outcome
}

/// What the instance is.
pub enum InstanceKind {
    /// A virtual machine of its own.
    Machine,
    /// A process in an existing environment, such as a container; the path is the folder of the runner's folders, in its working
    /// directory.
    Process(PathBuf),
}

impl InstanceKind {
    /// Returns what the instances of a cloud are. A cloud that this version does not know has machines.
    fn new(app: &App, cloud: &str) -> Result<InstanceKind> {
        let is_process = CLOUDS.iter().any(|row| row.name == cloud && !row.is_machine);
        if is_process { Ok(InstanceKind::Process(app.here()?.join("cml"))) } else { Ok(InstanceKind::Machine) }
    }

    /// Returns the folder of the runner's folders.
    fn home(&self) -> &Path {
        match self {
            InstanceKind::Machine => Path::new(HOME),
            InstanceKind::Process(folder) => folder,
        }
    }

    /// Returns the variables that the runner program gets besides the usual ones.
    fn environment(&self, app: &App) -> Vec<(String, String)> {
        match self {
            InstanceKind::Machine => Vec::new(),
            InstanceKind::Process(_) => process::environment(app),
        }
    }

    /// Returns the names of the variables that jobs get as they are: those of a container are the image's and the user's.
    fn passed_on(&self, app: &App) -> Vec<String> {
        match self {
            InstanceKind::Machine => Vec::new(),
            InstanceKind::Process(_) => app.env().names().map(str::to_owned).collect(),
        }
    }

    /// Returns the user that jobs run as, unless that is this process's.
    fn user(&self) -> Option<String> {
        matches!(self, InstanceKind::Machine).then(|| USER.to_owned())
    }
}

async fn work(app: &App, args: &Bootstrap, bootstrap: BootstrapConfig, kind: &InstanceKind) -> Result<()> {
    let left = Duration::from_secs(u64::try_from(bootstrap.deadline).unwrap_or(0)).saturating_sub(app.host.now());
    let prepared = {
        let preparing = pin!(prepare::prepare(app, &bootstrap, kind));
        let end = pin!(select(Box::pin(app.host.interrupted()), Box::pin(app.host.sleep(left))));
        match select(preparing, end).await {
            Either::Left((config, _)) => config?,
            Either::Right(_) => return Err(Error::new(Kind::Interrupted, "interrupted before the runner was started")),
        }
    };
    let driver = FORGES.iter().find(|driver| driver.name == bootstrap.driver).ok_or_else(|| {
        Error::config(format!("unknown forge '{}' in the bootstrap configuration", bootstrap.driver))
            .hint("the instance runs another version of cml than the launcher")
    })?;
    let forge = forge(app, driver, &bootstrap);
    let on_status = |event: &LifecycleEvent| {
        if matches!(event, LifecycleEvent::Ready) {
            app.host.notify("READY=1\nSTATUS=waiting for jobs");
        }
        if matches!(event, LifecycleEvent::Started(_)) {
            app.host.notify("STATUS=running a job");
        }
    };
    let deadline = app.host.sleep(left.saturating_sub(SHUTDOWN_MARGIN.min(left / 10)));
    let shutdown_triggers: Vec<LocalBoxFuture<'_, Signal>> = vec![
        Box::pin(async move {
            deadline.await;
            app.log.warn("the instance has reached its maximum lifetime: stopping");
            Signal::Terminate
        }),
        Box::pin(wait_for_interruption(app, &bootstrap.cloud)),
    ];
    let lasting = Duration::from_secs(args.lease.into());
    let renew = || {
        app.host.notify("WATCHDOG=1");
        if let Some(file) = &args.lease_file
            && let Err(error) = lease::renew(app, file, lasting)
        {
            app.log.warn(&format!("cannot renew the instance's lease ({error})"));
        }
    };
    supervise(Supervised {
        app,
        runners: forge.as_deref().and_then(Forge::runners),
        runs: None,
        driver,
        repo: bootstrap.repo.clone(),
        registration: bootstrap.registration.clone(),
        renew: None,
        config: prepared,
        pass_env: kind.passed_on(app),
        env: kind.environment(app),
        retry: None,
        keep_logs: None,
        remove: vec![kind.home().join("runner")],
        user: kind.user(),
        shutdown_triggers,
        on_status: Some(&on_status),
        lease: Some(Lease { interval: lasting / RENEWALS, renew: &renew }),
    })
    .await
}

/// Waits until the cloud announces an interruption of this instance; never returns where it does not announce them.
async fn wait_for_interruption(app: &App, cloud: &str) -> Signal {
    match CLOUDS.iter().find(|row| row.name == cloud) {
        Some(row) => (row.wait_for_interruption)(app).await,
        None => std::future::pending().await,
    }
    app.log.warn(&format!("{cloud} is reclaiming this spot instance: stopping"));
    Signal::Terminate
}

/// Connects to the forge, where the runner's own credential is enough to unregister it.
fn forge(app: &App, driver: &Driver, bootstrap: &BootstrapConfig) -> Option<Rc<dyn Forge>> {
    let connection = Connection {
        repository: Repository::parse(&bootstrap.repo, None).ok()?,
        api: None,
        token: None,
        context: Context::default(),
        publish_branch: None,
        http: app.http.clone(),
        log: app.log.clone(),
        host: app.host.clone(),
    };
    let forge = (driver.connect)(connection).ok()?;
    let is_enough = forge.runners().is_some_and(Runners::is_credential_enough);
    is_enough.then_some(forge)
}
