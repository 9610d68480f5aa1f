//! `cml runner launch`: this machine becomes a runner.
//!
//! Is there one already? → a name → registration, and beside it the runner program → supervision, which ends with
//! the runner unregistered. A signal at any step undoes what was made.

use super::name::Names;
use super::options::Launch;
use super::place::Folders;
use super::reuse::{Mode, Seen, Verdict, judge};
use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::register_runner_once;
use crate::forge::runner::{NewRunner, Place, Registration, Runner};
use crate::host::Platform;
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;
use std::time::Duration;

mod machine;
mod start;

/// Pause between two looks at a runner that somebody else is launching.
const LOOK: Duration = Duration::from_secs(2);
/// What a forge may need until its list has a new runner.
const MOMENT: Duration = Duration::from_millis(500);
/// How often a name is tried that others take at the same moment.
const TRIES: usize = 20;
/// How often an interrupted job is started at most, its first time included.
const ATTEMPTS: u32 = 3;

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Launch) -> Result<()> {
    let mode = args.mode()?;
    let labels = args.labels()?;
    args.warn(app);
    let machine = args.cloud.place.connect(app)?;
    args.check()?;
    let platform = app.host.platform();
    if machine.is_none() {
        can_run(&platform)?;
    }
    let connected = connect::connect_runners(app, global).await?;
    let by_default = connected.forge.runners_take_one_job();
    // Where each job needs a registration of its own, only somebody with the token can make the next one.
    let only_one = machine.is_some() && by_default;
    let single = args.is_single(by_default) || only_one;
    if only_one && !args.is_single(by_default) {
        app.log.warn("the machine runs one job: it has no token to register for another one");
    } else if single && args.single.is_none() && !only_one {
        app.log.info("the runner ends after one job; use --single=false for several");
    }
    let containers = connected.forge.job_image(false).is_some();
    if !containers && !args.docker_volumes.is_empty() {
        app.log.warn("Parameters --docker-volumes is only supported in gitlab");
    }
    if !containers && args.docker_image.is_some() {
        app.log.warn("--docker-image is only supported in gitlab");
    }
    let job = connected.context.job.as_deref();
    if args.keep_logs.is_some() && connected.driver.name != "github" {
        app.log.warn("--keep-logs is only supported on GitHub: use --log debug");
    }
    let names = Names::new(args.name.as_deref(), mode, connected.repository.url().as_str(), &labels, job, &*app.host);
    let patience = match machine {
        Some(_) => args.cloud.cloud_boot_timeout,
        None => global.timeout,
    };
    let patience = Duration::from_secs(patience);
    let launch = Launching { app, args, connected: &connected, mode, labels, names, single, platform, patience };
    match machine {
        Some((driver, cloud)) => launch.run_in(driver, &*cloud).await,
        None => launch.run().await,
    }
}

/// Whether this machine can be a runner.
fn can_run(platform: &Platform) -> Result<()> {
    if cfg!(target_arch = "wasm32") {
        return Err(Error::unsupported("the action's own program cannot be a runner: it starts no processes")
            .hint("set cml up with native: true and use run: cml runner launch in a later step, or give --cloud"));
    }
    match (platform.os.as_str(), platform.arch.as_str()) {
        ("linux" | "macos", "x86_64" | "aarch64") => Ok(()),
        (os, arch) => Err(Error::unsupported(format!("a machine with {os} on {arch} cannot be a runner"))
            .hint("use Linux or macOS on x86_64 or aarch64, or the forge's own runner")),
    }
}

/// What a launch comes to before the runner runs.
enum Outcome {
    /// There is a runner already.
    Reused,
    /// The forge knows a new one.
    Registered(Box<(NewRunner, Registration)>),
    /// The program was asked to end; nothing is left.
    Ended,
}

/// What the forge's runners come to, and all of them.
type Look = (Verdict, Vec<Runner>);

/// Resolves when the program is asked to end.
type End<'a> = LocalBoxFuture<'a, ()>;

struct Launching<'a> {
    app: &'a App,
    args: &'a Launch,
    connected: &'a Connected,
    mode: Mode,
    labels: Vec<String>,
    names: Names,
    single: bool,
    /// What the runner runs on.
    platform: Platform,
    /// How long a runner that is being launched may take until it is online.
    patience: Duration,
}

impl Launching<'_> {
    async fn run(&self) -> Result<()> {
        let mut end: End<'_> = Box::pin(async {
            self.app.host.interrupted().await;
        });
        self.announce();
        let folders = Folders::new(self.app, self.args, &self.names.nth(0))?;
        let own = folders.own.clone();
        let outcome = match self.look(0, &mut end).await? {
            Some(look) => self.begin(look, folders, &mut end).await,
            None => Ok(None),
        };
        drop(end);
        let outcome = match outcome {
            Ok(Some(Ready { new, registration, place })) => {
                self.supervise(&new, registration, place, own.clone()).await
            }
            outcome => outcome.map(drop),
        };
        // Whatever came of it; mostly it is gone already.
        let _ = self.app.host.remove_folder(&own);
        outcome
    }

    /// As CML does.
    fn announce(&self) {
        if self.mode == Mode::ReuseIdle {
            let labels = self.labels.join(",");
            self.app.log.info(&format!("Checking for existing idle runner matching labels: {labels}."));
        }
    }

    /// Registers a runner, and has its program ready; `None` when there is nothing to run.
    async fn begin(&self, look: Look, folders: Folders, end: &mut End<'_>) -> Result<Option<Ready>> {
        let is_free = matches!(look.0, Verdict::Free(..));
        let mut preparing: LocalBoxFuture<'_, Result<Place>> = Box::pin(self.prepare(folders));
        // The program takes longer than the registration, and is in the cache for the next time whatever comes of this.
        let (outcome, place) = if is_free {
            match select(pin!(self.acquire(look, end)), &mut preparing).await {
                Either::Left((outcome, _)) => (outcome?, None),
                Either::Right((place, acquiring)) => (acquiring.await?, Some(place)),
            }
        } else {
            (self.acquire(look, end).await?, None)
        };
        let Outcome::Registered(registered) = outcome else { return Ok(None) };
        let (new, registration) = *registered;
        let place = match place {
            Some(place) => Some(place),
            None => unless(end, preparing).await,
        };
        match place {
            Some(Ok(place)) => Ok(Some(Ready { new, registration, place })),
            place => {
                self.remove(&registration).await;
                place.transpose().map(|_| None)
            }
        }
    }

    /// What there is; `None` when the program was asked to end. The first `skip` names are not asked for.
    async fn look(&self, skip: usize, end: &mut End<'_>) -> Result<Option<Look>> {
        // A name of a new runner's own is free, and where it is not the registration says so.
        let is_needed = self.mode != Mode::New || self.names.is_given();
        let seen = match is_needed {
            true => match unless(end, self.see()).await {
                Some(seen) => seen?,
                None => return Ok(None),
            },
            false => Seen::default(),
        };
        Ok(Some((judge(self.mode, &seen, &self.labels, &self.names, skip), seen.all)))
    }

    /// The forge's runners, as far as they matter.
    async fn see(&self) -> Result<Seen> {
        let forge = &self.connected.forge;
        let mut seen = Seen::default();
        if self.mode != Mode::New {
            seen.fit = forge.list_runners(&self.labels).await?;
        }
        if self.mode == Mode::ReuseIdle {
            for runner in seen.fit.iter_mut().filter(|runner| runner.online && runner.busy.is_none()) {
                if let Some(now) = forge.get_runner(&runner.id).await? {
                    *runner = now;
                }
            }
        }
        let is_enough = !self.names.is_given() && seen.reused(self.mode, &self.labels).is_some();
        if !is_enough {
            seen.all = forge.list_runners(&[]).await?;
        }
        Ok(seen)
    }

    /// Registers a runner, unless there turns out to be one.
    async fn acquire(&self, (mut verdict, mut before): Look, end: &mut End<'_>) -> Result<Outcome> {
        let mut skip = 0;
        for _ in 0..TRIES {
            match verdict {
                Verdict::Reuse(words) => {
                    self.app.log.info(&words);
                    return Ok(Outcome::Reused);
                }
                Verdict::Taken(name) => return Err(taken(&name)),
                Verdict::Wait(other) => match unless(end, self.wait_for(&other)).await {
                    Some(outcome) => outcome?,
                    None => return Ok(Outcome::Ended),
                },
                Verdict::Free(name, n) => match self.register(&name, &before, end).await {
                    Ok(Some(outcome)) => return Ok(outcome),
                    Ok(None) => {}
                    Err(error) if error.kind() != Kind::Conflict => return Err(error),
                    Err(_) if self.names.is_given() && self.mode == Mode::New => return Err(taken(&name)),
                    // Another job of a matrix has it, or an earlier launch of this one.
                    Err(_) if self.mode == Mode::New => skip = n + 1,
                    // The list may be a moment late.
                    Err(_) if unless(end, self.app.host.sleep(MOMENT)).await.is_none() => return Ok(Outcome::Ended),
                    Err(_) => {}
                },
            }
            (verdict, before) = match self.look(skip, end).await? {
                Some(look) => look,
                None => return Ok(Outcome::Ended),
            };
        }
        Err(Error::conflict("other launches take the runner's name again and again")
            .hint("give each of them a --name of its own, or try again later"))
    }

    /// Waits for a runner that somebody else is launching. One that does not come online within the time is a
    /// leftover, and removed where its name is one that cml gave.
    async fn wait_for(&self, other: &Runner) -> Result<()> {
        let Launching { app, connected: Connected { forge, .. }, .. } = self;
        app.log.info(&format!("runner {} is registered and not online yet: waiting for it", other.name));
        let end = app.host.elapsed() + self.patience;
        while app.host.elapsed() + LOOK <= end {
            app.host.sleep(LOOK).await;
            app.http.restart_budget();
            if forge.get_runner(&other.id).await?.is_none_or(|runner| runner.online) {
                app.http.restart_budget();
                return Ok(());
            }
        }
        app.http.restart_budget();
        if self.names.is_given() {
            return Err(Error::conflict(format!(
                "runner name {} is already in use, by a runner that is offline",
                other.name
            ))
            .hint(format!("start that runner, or remove it with: cml runner stop {}", other.name)));
        }
        let waited = self.patience.as_secs();
        app.log.warn(&format!("runner {} did not come online within {waited} seconds: removing it", other.name));
        match forge.delete_runner(&other.id).await {
            // It has a job, so it is online after all.
            Err(error) if error.kind() == Kind::Conflict => Ok(()),
            outcome => outcome,
        }
    }

    /// Registers a runner of a name that none of those `before` has. `None` when another launch was before this one.
    async fn register(&self, name: &str, before: &[Runner], end: &mut End<'_>) -> Result<Option<Outcome>> {
        let new = NewRunner {
            name: name.to_owned(),
            labels: self.labels.clone(),
            group: self.args.runner_group.clone(),
            single: self.single,
            job_timeout: None,
            platform: self.platform.clone(),
        };
        let Launching { app, connected: Connected { forge, .. }, .. } = self;
        let making = register_runner_once(&**forge, &app.http, &app.log, &new, before);
        let (made, mut ended) = self.finish(making, end).await;
        let registration = match made {
            Err(_) if ended => return Ok(Some(Outcome::Ended)),
            made => made?,
        };
        let mut is_first = true;
        // Where the forge takes two of one name.
        if !ended && (self.mode != Mode::New || self.names.is_given()) {
            let (first, over) = self.finish(self.is_first(&registration), end).await;
            ended = over;
            is_first = match first {
                Ok(first) => first,
                Err(error) => {
                    self.remove(&registration).await;
                    return Err(error);
                }
            };
        }
        if ended || !is_first {
            self.remove(&registration).await;
            return Ok(ended.then_some(Outcome::Ended));
        }
        self.app.log.debug(&format!("registered runner {} ({})", registration.name, registration.id));
        Ok(Some(Outcome::Registered(Box::new((new, registration)))))
    }

    /// Whether no other runner of the name was made before.
    async fn is_first(&self, registration: &Registration) -> Result<bool> {
        let runners = self.connected.forge.list_runners(&[]).await?;
        let same = |runner: &&Runner| runner.name == registration.name && runner.id != registration.id;
        let order = runners.iter().find(|runner| runner.id == registration.id).map(|runner| runner.order);
        let before = |runner: &Runner| order.is_none_or(|order| (runner.order, &runner.id) < (order, &registration.id));
        Ok(!runners.iter().filter(same).any(before))
    }

    /// Lets something come to its end that must not be left half done; whether the program was asked to end meanwhile.
    async fn finish<T>(&self, work: impl Future<Output = T>, end: &mut End<'_>) -> (T, bool) {
        match select(pin!(work), &mut *end).await {
            Either::Left((outcome, _)) => (outcome, false),
            Either::Right(((), work)) => {
                self.app.http.shorten_deadline();
                (work.await, true)
            }
        }
    }

    /// Unregisters a runner that has not begun.
    async fn remove(&self, registration: &Registration) {
        let name = &registration.name;
        self.app.log.info(&format!("Unregistering runner {name}..."));
        self.app.http.restart_budget();
        self.app.http.shorten_deadline();
        match self.connected.forge.unregister_runner(registration).await {
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
struct Ready {
    new: NewRunner,
    registration: Registration,
    place: Place,
}

/// The outcome of some work that may be given up; `None` when the program was asked to end.
async fn unless<T>(end: &mut End<'_>, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), end).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

fn taken(name: &str) -> Error {
    Error::conflict(format!("runner name {name} is already in use"))
        .hint(format!("change the name, add --reuse, or terminate the existing runner: cml runner stop {name}"))
}
