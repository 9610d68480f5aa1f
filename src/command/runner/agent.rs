//! `cml runner agent`: a machine in a cloud becomes the runner that it is told to be. Its service ends the machine
//! whenever this ends, however it does.

use crate::app::App;
use crate::cloud::CLOUDS;
use crate::error::{Error, Kind, Result};
use crate::forge::{Connection, Context, Driver, FORGES, Forge, Repository};
use crate::host::Signal;
use crate::runner::document::Document;
use crate::runner::machine::Status;
use crate::runner::supervise::{Supervised, supervise};
use clap::Args;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

mod prepare;

/// Jobs run as this user.
const USER: &str = "ci";
/// The runner's folders are below this one, which is root's.
const HOME: &str = "/var/lib/cml";
/// A third of the service's `WatchdogSec`.
const WATCHDOG: Duration = Duration::from_secs(60);
/// So long before the machine's end its runner is told to end.
const LAST_MINUTES: Duration = Duration::from_secs(120);

/// Options of `cml runner agent`.
#[derive(Debug, Args)]
pub struct Agent {
    /// File with what the machine is told; it is removed
    #[arg(long, value_name = "FILE")]
    pub launch_file: PathBuf,
}

/// Runs the verb.
pub async fn run(app: &App, args: &Agent) -> Result<()> {
    let platform = app.host.platform();
    if cfg!(target_arch = "wasm32") || platform.os != "linux" {
        return Err(Error::unsupported("only the native program for Linux can be the agent of a machine")
            .hint("cml runner launch makes this machine a runner"));
    }
    let unreadable = |error| {
        Error::config(format!("cannot read the launch document {} ({error})", args.launch_file.display()))
            .hint("a machine is a runner once only: launch another one")
    };
    let document = Document::parse(&app.host.read(&args.launch_file).map_err(unreadable)?)?;
    document.registration.credential.values().for_each(|secret| app.log.hide("the credential of the runner", secret));
    if let Some(token) = document.package.as_ref().and_then(|package| package.token.as_ref()) {
        app.log.hide("the token of the download", token);
    }
    prepare::forget(app, &args.launch_file)?;
    let outcome = work(app, document).await;
    app.host.notify("STOPPING=1");
    outcome
}

async fn work(app: &App, document: Document) -> Result<()> {
    let left = Duration::from_secs(u64::try_from(document.deadline).unwrap_or(0)).saturating_sub(app.host.now());
    let prepared = {
        let preparing = pin!(prepare::prepare(app, &document));
        let end = pin!(select(Box::pin(app.host.interrupted()), Box::pin(app.host.sleep(left))));
        match select(preparing, end).await {
            Either::Left((place, _)) => place?,
            Either::Right(_) => return Err(Error::new(Kind::Interrupted, "the machine ended before its runner began")),
        }
    };
    let driver = FORGES.iter().find(|driver| driver.name == document.driver).ok_or_else(|| {
        Error::config(format!("the launch document names a forge that is none: {}", document.driver))
            .hint("the machine's program is of another version")
    })?;
    let forge = forge(app, driver, &document);
    let told = |status: &Status| {
        if matches!(status, Status::Ready) {
            app.host.notify("READY=1\nSTATUS=waiting for jobs");
        }
        if matches!(status, Status::Started(_)) {
            app.host.notify("STATUS=running a job");
        }
    };
    let deadline = app.host.sleep(left.saturating_sub(LAST_MINUTES.min(left / 10)));
    let beside: Vec<LocalBoxFuture<'_, Signal>> = vec![
        Box::pin(alive(app)),
        Box::pin(async move {
            deadline.await;
            app.log.warn("the machine's lifetime is over");
            Signal::Terminate
        }),
        Box::pin(taken_back(app, &document.cloud)),
    ];
    supervise(Supervised {
        app,
        forge: forge.as_deref(),
        driver,
        repo: document.repo.clone(),
        registration: document.registration.clone(),
        next: None,
        place: prepared,
        pass_env: Vec::new(),
        retry: None,
        keep_logs: None,
        remove: vec![Path::new(HOME).join("runner")],
        user: Some(USER.to_owned()),
        beside,
        told: Some(&told),
    })
    .await
}

/// Resolves when the cloud takes the machine back; never, where it does not tell.
async fn taken_back(app: &App, cloud: &str) -> Signal {
    match CLOUDS.iter().find(|row| row.name == cloud) {
        Some(row) => (row.taken_back)(app).await,
        None => std::future::pending().await,
    }
    app.log.warn(&format!("{cloud} takes this machine back"));
    Signal::Terminate
}

/// Tells the service manager that the program is not stuck.
async fn alive(app: &App) -> Signal {
    loop {
        app.host.notify("WATCHDOG=1");
        app.host.sleep(WATCHDOG).await;
    }
}

/// The forge, where the runner's own credential is enough to unregister it.
fn forge(app: &App, driver: &Driver, document: &Document) -> Option<Rc<dyn Forge>> {
    let connection = Connection {
        repository: Repository::parse(&document.repo, None).ok()?,
        api: None,
        token: None,
        context: Context::default(),
        publish_branch: None,
        http: app.http.clone(),
        log: app.log.clone(),
        host: app.host.clone(),
    };
    (driver.connect)(connection).ok().filter(|forge| forge.takes_runner_credential())
}
