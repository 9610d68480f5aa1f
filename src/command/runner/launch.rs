//! `cml runner launch`: turns this host, or a new cloud instance, into a runner.
//!
//! Look for an existing runner → choose a name → register, while the runner program is downloaded → supervise, which ends
//! with the runner unregistered. A signal at any step rolls back what was created.

use super::dirs::RunnerDirs;
use super::name::RunnerNames;
use super::options::Launch;
use super::reuse::{KnownRunners, Mode, ReuseDecision, decide};
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::runners::{NewRunner, Registration, Runner, RunnerConfig, Runners, register_once};
use crate::host::Platform;
use crate::shutdown::Shutdown;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;
use std::time::Duration;

mod instance;
mod start;

/// Pause between two checks of a runner that another launch is starting.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How long a forge may take until its list includes a new runner.
const EVENTUAL_CONSISTENCY_DELAY: Duration = Duration::from_millis(500);
/// How many names are tried when other launches take them at the same moment.
const MAX_NAME_ATTEMPTS: usize = 20;
/// How often an interrupted job is started in all, the first time included.
const MAX_JOB_ATTEMPTS: u32 = 3;

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Launch) -> Result<()> {
    let mode = args.mode()?;
    let labels = args.labels()?;
    args.warn(app);
    let cloud = args.cloud.location.connect(app)?;
    args.check()?;
    let platform = app.host.platform();
    if cloud.is_none() {
        check_platform(&platform)?;
    }
    let connected = connect::connect_runners(app, global).await?;
    let runners = connected.runners()?;
    let by_default = runners.one_job_each();
    // Where each job needs its own registration, only the launcher, which has the token, could create the next one.
    let only_one = cloud.is_some() && by_default;
    let single = args.is_single(by_default) || only_one;
    if only_one && !args.is_single(by_default) {
        app.log.warn("the instance runs one job: it has no token to register for another one");
    } else if single && args.single.is_none() && !only_one {
        app.log.info("the runner stops after one job; use --single=false for several");
    }
    let containers = runners.job_image(false).is_some();
    if !containers && !args.docker_volumes.is_empty() {
        app.log.warn("Parameters --docker-volumes is only supported in gitlab");
    }
    if !containers && args.docker_image.is_some() {
        app.log.warn("--docker-image is only supported in gitlab");
    }
    let job = connected.context.job.as_deref();
    if args.keep_logs.is_some() && !runners.has_logs() {
        app.log.warn("--keep-logs is only supported on GitHub: use --log debug instead");
    }
    let names =
        RunnerNames::new(args.name.as_deref(), mode, connected.repository.url().as_str(), &labels, job, &*app.host);
    let boot_timeout = match cloud {
        Some(_) => args.cloud.cloud_boot_timeout,
        None => global.timeout,
    };
    let boot_timeout = Duration::from_secs(boot_timeout);
    let connected = &connected;
    let launch = Launching { app, args, connected, runners, mode, labels, names, single, platform, boot_timeout };
    match cloud {
        Some((driver, cloud)) => launch.run_in(driver, &*cloud).await,
        None => launch.run().await,
    }
}

/// Checks that this host can be a runner.
fn check_platform(platform: &Platform) -> Result<()> {
    if cfg!(target_arch = "wasm32") {
        return Err(Error::unsupported("the action cannot run a runner itself: it cannot start processes")
            .hint("set up cml with native: true and run cml runner launch in a later step, or use --cloud"));
    }
    match (platform.os.as_str(), platform.arch.as_str()) {
        ("linux" | "macos", "x86_64" | "aarch64") => Ok(()),
        (os, arch) => Err(Error::unsupported(format!("cannot run a runner on {os} {arch}"))
            .hint("use Linux or macOS on x86_64 or aarch64, or the forge's own runner")),
    }
}

/// The outcome of a launch before the runner runs.
enum LaunchOutcome {
    /// An existing runner is reused.
    Reused,
    /// A new one is registered.
    Registered(Box<(NewRunner, Registration)>),
}

/// What to do about the forge's runners.
struct Inspection {
    decision: ReuseDecision,
    /// All runners that there are.
    runners: Vec<Runner>,
}

struct Launching<'a> {
    app: &'a App,
    args: &'a Launch,
    connected: &'a Connected,
    runners: &'a dyn Runners,
    mode: Mode,
    labels: Vec<String>,
    names: RunnerNames,
    single: bool,
    /// What the runner runs on.
    platform: Platform,
    /// How long a runner that is being launched may take until it is online.
    boot_timeout: Duration,
}

impl Launching<'_> {
    async fn run(&self) -> Result<()> {
        let mut shutdown = Shutdown::new(self.app, "the launch");
        self.announce();
        let dirs = RunnerDirs::new(self.app, self.args, &self.names.candidate(0))?;
        let own = dirs.own.clone();
        let outcome = match self.inspect(0, &mut shutdown).await {
            Ok(inspection) => self.begin(inspection, dirs, &mut shutdown).await,
            Err(error) => Err(error),
        };
        let is_interrupted = shutdown.received().is_some();
        drop(shutdown);
        let outcome = match outcome {
            // The user ended it, and nothing is left.
            Err(error) if is_interrupted && error.kind() == Kind::Interrupted => Ok(()),
            Ok(Some(ReadyRunner { new, registration, config })) => {
                self.supervise(&new, registration, config, own.clone()).await
            }
            outcome => outcome.map(drop),
        };
        // In any case; usually it is gone already.
        let _ = self.app.host.remove_folder(&own);
        outcome
    }

    /// Logs CML's line about reuse.
    fn announce(&self) {
        if self.mode == Mode::ReuseIdle {
            let labels = self.labels.join(",");
            self.app.log.info(&format!("Checking for existing idle runner matching labels: {labels}."));
        }
    }

    /// Registers a runner and prepares its program; `None` when there is nothing to run.
    async fn begin(
        &self,
        inspection: Inspection,
        dirs: RunnerDirs,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<Option<ReadyRunner>> {
        let is_free = matches!(inspection.decision, ReuseDecision::Free(..));
        let mut preparing: LocalBoxFuture<'_, Result<RunnerConfig>> = Box::pin(self.prepare(dirs));
        // The download takes longer than the registration, and is cached for the next launch in any case.
        let (outcome, config) = if is_free {
            match select(pin!(self.acquire(inspection, shutdown)), &mut preparing).await {
                Either::Left((outcome, _)) => (outcome?, None),
                Either::Right((config, acquiring)) => (acquiring.await?, Some(config)),
            }
        } else {
            (self.acquire(inspection, shutdown).await?, None)
        };
        let LaunchOutcome::Registered(registered) = outcome else { return Ok(None) };
        let (new, registration) = *registered;
        let config = match config {
            Some(config) => config,
            None => shutdown.run_until(preparing).await.and_then(|config| config),
        };
        match config {
            Ok(config) => Ok(Some(ReadyRunner { new, registration, config })),
            Err(error) => {
                self.unregister(&registration).await;
                Err(error)
            }
        }
    }

    /// Looks for existing runners. The first `skip` names are taken.
    async fn inspect(&self, skip: usize, shutdown: &mut Shutdown<'_>) -> Result<Inspection> {
        let known = shutdown.run_until(self.fetch_runners()).await??;
        Ok(self.decide(known, skip))
    }

    fn decide(&self, known: KnownRunners, skip: usize) -> Inspection {
        let decision = decide(self.mode, &known, &self.labels, &self.names, skip);
        Inspection { decision, runners: known.all }
    }

    /// Fetches the forge's runners, as far as the mode needs them.
    async fn fetch_runners(&self) -> Result<KnownRunners> {
        let mut known = KnownRunners::default();
        // A generated name of a new runner is free; if not, the registration fails.
        if self.mode == Mode::New && !self.names.is_given() {
            return Ok(known);
        }
        if self.mode != Mode::New {
            known.matching = self.runners.list(&self.labels).await?;
        }
        if self.mode == Mode::ReuseIdle {
            for runner in known.matching.iter_mut().filter(|runner| runner.online && runner.busy.is_none()) {
                if let Some(now) = self.runners.get(&runner.id).await? {
                    *runner = now;
                }
            }
        }
        let is_enough = !self.names.is_given() && known.reused(self.mode, &self.labels).is_some();
        if !is_enough {
            known.all = self.runners.list(&[]).await?;
        }
        Ok(known)
    }

    /// Registers a runner, unless one can be reused.
    async fn acquire(&self, mut inspection: Inspection, shutdown: &mut Shutdown<'_>) -> Result<LaunchOutcome> {
        let mut skip = 0;
        for _ in 0..MAX_NAME_ATTEMPTS {
            match inspection.decision {
                ReuseDecision::Reuse(message) => {
                    self.app.log.info(&message);
                    return Ok(LaunchOutcome::Reused);
                }
                ReuseDecision::Taken(name) => return Err(name_taken(&name)),
                ReuseDecision::Wait(other) => shutdown.run_until(self.wait_for(&other)).await??,
                ReuseDecision::Free(name, n) => match self.register(&name, &inspection.runners, shutdown).await {
                    Ok(Some(outcome)) => return Ok(outcome),
                    Ok(None) => {}
                    Err(error) if error.kind() != Kind::Conflict => return Err(error),
                    Err(_) if self.names.is_given() && self.mode == Mode::New => return Err(name_taken(&name)),
                    // Another job of a matrix has the name, or an earlier launch of this one.
                    Err(_) if self.mode == Mode::New => skip = n + 1,
                    // The list may lag behind.
                    Err(_) => shutdown.run_until(self.app.host.sleep(EVENTUAL_CONSISTENCY_DELAY)).await?,
                },
            }
            inspection = self.inspect(skip, shutdown).await?;
        }
        Err(Error::conflict(format!("other launches took the runner's name {MAX_NAME_ATTEMPTS} times in a row"))
            .hint("give each launch its own --name, or try again later"))
    }

    /// Waits for a runner that another launch is starting. If it does not come online in time it is a leftover, and is
    /// removed if cml generated its name.
    async fn wait_for(&self, other: &Runner) -> Result<()> {
        let Launching { app, runners, .. } = self;
        app.log.info(&format!("runner {} is registered but not online yet: waiting for it", other.name));
        let end = app.host.elapsed() + self.boot_timeout;
        while app.host.elapsed() + POLL_INTERVAL <= end {
            app.host.sleep(POLL_INTERVAL).await;
            app.http.restart_budget();
            if runners.get(&other.id).await?.is_none_or(|runner| runner.online) {
                app.http.restart_budget();
                return Ok(());
            }
        }
        app.http.restart_budget();
        if self.names.is_given() {
            return Err(Error::conflict(format!("runner name {} is already in use by an offline runner", other.name))
                .hint(format!("start that runner, or remove it with: cml runner stop {}", other.name)));
        }
        let waited = self.boot_timeout.as_secs();
        app.log.warn(&format!("runner {} did not come online within {waited} seconds: removing it", other.name));
        match runners.delete(&other.id).await {
            // It is running a job, so it is online after all.
            Err(error) if error.kind() == Kind::Conflict => Ok(()),
            outcome => outcome,
        }
    }

    /// Registers a runner with a name that none of `before` has. `None` when another launch was faster.
    async fn register(
        &self,
        name: &str,
        before: &[Runner],
        shutdown: &mut Shutdown<'_>,
    ) -> Result<Option<LaunchOutcome>> {
        let new = NewRunner {
            name: name.to_owned(),
            labels: self.labels.clone(),
            group: self.args.runner_group.clone(),
            single: self.single,
            platform: self.platform.clone(),
        };
        let Launching { app, runners, .. } = self;
        let making = register_once(*runners, &app.http, &app.log, &new, before);
        let made = shutdown.run_to_completion(making).await;
        let registration = made.or_else(|error| shutdown.check().and(Err(error)))?;
        let mut is_first = true;
        // For forges that accept two runners of one name.
        if shutdown.received().is_none() && (self.mode != Mode::New || self.names.is_given()) {
            is_first = match shutdown.run_to_completion(self.is_first(&registration)).await {
                Ok(first) => first,
                Err(error) => {
                    self.unregister(&registration).await;
                    return Err(error);
                }
            };
        }
        if shutdown.received().is_some() || !is_first {
            self.unregister(&registration).await;
            return shutdown.check().map(|()| None);
        }
        self.app.log.debug(&format!("registered runner {} ({})", registration.name, registration.id));
        Ok(Some(LaunchOutcome::Registered(Box::new((new, registration)))))
    }

    /// Returns whether no other runner of this name was registered before.
    async fn is_first(&self, registration: &Registration) -> Result<bool> {
        let runners = self.runners.list(&[]).await?;
        let same = |runner: &&Runner| runner.name == registration.name && runner.id != registration.id;
        let order = runners.iter().find(|runner| runner.id == registration.id).map(|runner| runner.order);
        let before = |runner: &Runner| order.is_none_or(|order| (runner.order, &runner.id) < (order, &registration.id));
        Ok(!runners.iter().filter(same).any(before))
    }

    /// Unregisters a runner that has not been started.
    async fn unregister(&self, registration: &Registration) {
        let name = &registration.name;
        self.app.log.info(&format!("Unregistering runner {name}..."));
        self.app.http.restart_budget();
        self.app.http.shorten_deadline();
        match self.runners.unregister(registration).await {
            Ok(()) => self.app.log.info("\tSuccess"),
            Err(error) => {
                let hint = format!("remove it with: cml runner stop {name}");
                self.app.log.warn_with_hint(&format!("runner {name} is still registered ({error})"), &hint);
            }
        }
        self.app.http.restart_budget();
    }
}

/// A runner that is registered and can be started.
struct ReadyRunner {
    new: NewRunner,
    registration: Registration,
    config: RunnerConfig,
}

fn name_taken(name: &str) -> Error {
    Error::conflict(format!("runner name {name} is already in use"))
        .hint(format!("change the name, add --reuse, or remove the existing runner with: cml runner stop {name}"))
}
