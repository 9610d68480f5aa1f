//! `cml runner reap`: finds and removes orphans, what a launcher or an instance that was killed has left behind. Its only
//! sources are the instances' tags and the forge.

use super::cloud::{BOOT_TIMEOUT, CloudLocation};
use super::{instances, name};
use crate::app::App;
use crate::cloud::{Cloud, Instance, Leftover};
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::runners::Runner;
use clap::ArgAction::Set;
use clap::Args;
use futures_util::future::try_join;
use std::time::Duration;

/// Options of `cml runner reap`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # From a schedule, with the credentials that launch uses\n  \
    cml runner reap --cloud aws --cloud-region eu-west-1\n\n  \
    # Only show what would be terminated\n  cml runner reap --cloud aws --cloud-region eu-west-1 --dry-run\n\n\
    An instance is terminated when its deadline has passed, whatever the forge says, or\n\
    when it has had time to boot and its runner is offline or gone in two checks. A\n\
    runner that was registered for this region of the account is removed when it is\n\
    offline and has no instance in both checks. Instances without cml's tags are never touched.")]
pub struct Reap {
    /// The cloud and region.
    #[command(flatten)]
    pub location: CloudLocation,
    /// Seconds that an instance may take until its runner is online
    #[arg(long, value_name = "SECONDS", default_value_t = BOOT_TIMEOUT, value_parser = clap::value_parser!(u64).range(0..=7200))]
    pub cloud_boot_timeout: u64,
    /// Seconds between the two checks
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub recheck_after: u64,
    /// Also terminate instances of other repositories whose deadline has passed
    #[arg(long, action = Set, default_value_t = false)]
    pub all: bool,
    /// Show what would be done without doing it
    #[arg(long, action = Set, default_value_t = false)]
    pub dry_run: bool,
}

/// Why something is an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OrphanReason {
    Overdue,
    NoRunner,
    Offline,
    NoInstance,
}

impl OrphanReason {
    fn text(&self) -> &'static str {
        match self {
            OrphanReason::Overdue => "its deadline has passed",
            OrphanReason::NoRunner => "the forge does not know its runner",
            OrphanReason::Offline => "its runner is offline",
            OrphanReason::NoInstance => "it is offline and has no instance",
        }
    }
}

/// The orphans that were found.
#[derive(Debug, Default)]
struct Orphans {
    instances: Vec<(Instance, OrphanReason)>,
    runners: Vec<Runner>,
    /// Runners without an instance here, whose names do not tell their account.
    unclear: Vec<Runner>,
    leftovers: Vec<Leftover>,
}

impl Orphans {
    fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.runners.is_empty() && self.leftovers.is_empty()
    }

    /// Keeps only the orphans that are in both.
    fn and_in(mut self, later: &Orphans) -> Orphans {
        self.instances.retain(|(one, _)| later.instances.iter().any(|(other, _)| other.id == one.id));
        self.runners.retain(|one| later.runners.iter().any(|other| other.id == one.id));
        self.unclear.retain(|one| later.unclear.iter().any(|other| other.id == one.id));
        self
    }

    fn table(&self) -> String {
        let instance = |(instance, why): &(Instance, OrphanReason)| {
            ["instance".to_owned(), instance.id.clone(), instance.labels.name.clone(), why.text().to_owned()].to_vec()
        };
        let runner = |runner: &Runner| {
            ["runner".to_owned(), runner.id.clone(), runner.name.clone(), OrphanReason::NoInstance.text().to_owned()]
                .to_vec()
        };
        let leftover =
            |one: &Leftover| [one.what.to_owned(), one.id.clone(), one.name.clone(), one.why.to_owned()].to_vec();
        let titles = ["WHAT", "ID", "NAME", "WHY"].map(str::to_owned).to_vec();
        let rows = self.instances.iter().map(instance).chain(self.runners.iter().map(runner));
        let rows = rows.chain(self.leftovers.iter().map(leftover));
        instances::columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
    }
}

/// Runs the verb. Instances past their deadline are terminated whatever the forge says: their tags are enough for that.
pub async fn run(app: &App, global: &Global, args: &Reap) -> Result<()> {
    let (_, cloud) = args.location.connect(app)?.ok_or_else(|| {
        Error::usage("--cloud is required").hint("add --cloud aws, and --cloud-region unless it is us-west")
    })?;
    let connected = connect::connect_runners(app, global).await;
    let repository = match &connected {
        Ok(connected) => Some(connected.repository.url()),
        Err(_) => connect::runners_url(app, global).await,
    };
    let mut reaping = Reaping { app, args, cloud: &*cloud, repository, failed: None };
    let overdue = reaping.end_overdue().await?;
    let found_leftovers = reaping.delete_leftovers().await;
    let found_more = match connected {
        Ok(connected) => reaping.end_orphans(&connected, &overdue).await,
        Err(error) => Err(error),
    };
    match found_more {
        Ok(found_more) if !found_more && !found_leftovers && overdue.is_empty() => {
            app.log.info(&format!("nothing to reap in {}", cloud.region()));
        }
        Ok(_) => {}
        Err(error) => reaping.fail(error),
    }
    reaping.failed.map_or(Ok(()), Err)
}

struct Reaping<'a> {
    app: &'a App,
    args: &'a Reap,
    cloud: &'a dyn Cloud,
    /// The address of the repository whose instances are reaped, if it is known.
    repository: Option<String>,
    /// The first failure; later ones are warnings.
    failed: Option<Error>,
}

impl Reaping<'_> {
    /// Returns the time that deadlines are compared with, in seconds since 1970.
    fn now(&self) -> i64 {
        self.app.http.server_now().max(self.app.host.now().as_secs() as i64)
    }

    fn is_ours(&self, instance: &Instance) -> bool {
        self.repository.as_ref() == Some(&instance.labels.repository)
    }

    /// Terminates instances past their deadline, without asking the forge, and returns those that were terminated.
    async fn end_overdue(&mut self) -> Result<Vec<Instance>> {
        let mut instances = self.cloud.list().await?;
        let now = self.now();
        instances.retain(|instance| instance.labels.deadline <= now && (self.args.all || self.is_ours(instance)));
        let found = Orphans {
            instances: instances.into_iter().map(|instance| (instance, OrphanReason::Overdue)).collect(),
            ..Orphans::default()
        };
        Ok(self.terminate(&found).await)
    }

    /// Deletes what belongs to no instance any more. Returns whether there was any. A policy that does not allow it yet is not a
    /// failure.
    async fn delete_leftovers(&mut self) -> bool {
        let leftovers = match self.cloud.list_leftovers().await {
            Ok(leftovers) => leftovers,
            Err(error) => {
                self.app.log.warn_of(&format!("cannot look for leftovers: {error}"), error.hint_text());
                return false;
            }
        };
        let found = Orphans { leftovers, ..Orphans::default() };
        if found.is_empty() {
            return false;
        }
        self.show(&found);
        for Leftover { id, name, what, .. } in found.leftovers.iter().filter(|_| !self.args.dry_run) {
            match self.cloud.delete_leftover(id).await {
                Ok(()) => self.app.log.info(&format!("deleted {what} {name}")),
                Err(error) => {
                    self.app.log.warn_of(&format!("cannot delete {what} {name}: {error}"), error.hint_text());
                }
            }
        }
        true
    }

    /// Terminates instances without a runner, and removes runners without an instance. Returns whether there were any.
    async fn end_orphans(&mut self, connected: &Connected, overdue: &[Instance]) -> Result<bool> {
        let mut found = self.find_orphans(connected).await?;
        for instance in overdue {
            self.forget(connected, instance).await;
        }
        if !found.is_empty() {
            // Another launch may be in progress.
            self.app.host.sleep(Duration::from_secs(self.args.recheck_after)).await;
            self.app.http.restart_budget();
            found = found.and_in(&self.find_orphans(connected).await?);
        }
        let found_any = !found.is_empty();
        for Runner { name, .. } in &found.unclear {
            self.app.log.warn_with_hint(
                &format!("runner {name} is offline and has no instance in this account, but may have one in another"),
                &format!("if it has none, remove it with: cml runner stop {name}"),
            );
        }
        for instance in self.terminate(&found).await {
            self.forget(connected, &instance).await;
        }
        if !self.args.dry_run {
            for runner in found.runners {
                self.app.http.restart_budget();
                match delete(connected, &runner.id).await {
                    Ok(()) => self.app.log.info(&format!("removed runner {}", runner.name)),
                    Err(error) => self.fail(error),
                }
            }
        }
        Ok(found_any)
    }

    /// Finds what looks orphaned now. The forge is asked first: a runner that comes in the meantime has its instance.
    async fn find_orphans(&self, connected: &Connected) -> Result<Orphans> {
        let runners = connected.runners()?.list(&[]).await?;
        let (instances, location) = try_join(self.cloud.list(), self.cloud.location()).await?;
        let now = self.now();
        let boot = self.args.cloud_boot_timeout as i64;
        let judge = |instance: &Instance| {
            let of = |runner: &&Runner| {
                Some(&runner.id) == instance.labels.runner.as_ref() || runner.name == instance.labels.name
            };
            let booted = instance.launched.is_none_or(|launched| launched + boot <= now);
            match runners.iter().find(of) {
                _ if !self.is_ours(instance) || !booted || instance.labels.deadline <= now => None,
                None => Some(OrphanReason::NoRunner),
                Some(runner) if !runner.online => Some(OrphanReason::Offline),
                Some(_) => None,
            }
        };
        let has_instance = |runner: &Runner| instances.iter().any(|instance| instance.labels.name == runner.name);
        let is_lonely = |runner: &&Runner| !runner.online && !has_instance(runner);
        let with_prefix = |prefix: String| {
            let runners = runners.iter().filter(|runner| runner.name.starts_with(&prefix));
            runners.filter(is_lonely).cloned().collect::<Vec<_>>()
        };
        Ok(Orphans {
            instances: instances.iter().filter_map(|instance| Some((instance.clone(), judge(instance)?))).collect(),
            runners: with_prefix(name::cloud_prefix(&location)),
            unclear: with_prefix(name::region_prefix(self.cloud)),
            leftovers: Vec::new(),
        })
    }

    /// Prints the orphans and terminates their instances, as many as possible. Returns those that were terminated.
    async fn terminate(&mut self, found: &Orphans) -> Vec<Instance> {
        let mut terminated = Vec::new();
        if found.is_empty() {
            return terminated;
        }
        self.show(found);
        if self.args.dry_run {
            return found.instances.iter().map(|(instance, _)| instance.clone()).collect();
        }
        for (instance, _) in &found.instances {
            self.app.http.restart_budget();
            match self.cloud.delete(&instance.id).await {
                Ok(()) => {
                    self.app.log.info(&format!("terminated instance {}", instance.id));
                    terminated.push(instance.clone());
                }
                Err(error) => self.fail(error.context(format!("cannot terminate instance {}", instance.id))),
            }
        }
        self.app.http.restart_budget();
        terminated
    }

    /// Prints the orphans. A failure to print does not keep them.
    fn show(&mut self, found: &Orphans) {
        if let Err(error) = self.app.print_result(&found.table()) {
            self.fail(error);
        }
    }

    /// Keeps the first of several failures, and logs the others.
    fn fail(&mut self, error: Error) {
        match &self.failed {
            Some(_) => self.app.log.warn(&error.to_string()),
            None => self.failed = Some(error),
        }
    }

    /// Removes the runner of a terminated instance, if it belongs to the connected repository.
    async fn forget(&mut self, connected: &Connected, instance: &Instance) {
        if self.args.dry_run || !self.is_ours(instance) {
            return;
        }
        let Some(id) = &instance.labels.runner else { return };
        self.app.http.restart_budget();
        if let Err(error) = delete(connected, id).await {
            self.fail(error);
        }
    }
}

/// Removes a runner from the forge. A busy one ends with its instance, and the forge removes it when it notices.
async fn delete(connected: &Connected, runner: &str) -> Result<()> {
    match connected.runners()?.delete(runner).await {
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => Ok(()),
        outcome => outcome,
    }
}
