//! `cml runner reap`: what a launcher or a machine that was killed has left behind is removed. All there is to know is
//! in the machines' tags and at the forge.

use super::cloud::{BOOT, Place};
use super::{machines, name};
use crate::app::App;
use crate::cloud::{Cloud, Instance};
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Kind, Result};
use crate::forge::runner::Runner;
use clap::ArgAction::Set;
use clap::Args;
use std::time::Duration;

/// Options of `cml runner reap`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # From a schedule, with the credentials that launch uses\n  \
    cml runner reap --cloud aws --cloud-region eu-west-1\n\n  \
    # What would be terminated\n  cml runner reap --cloud aws --cloud-region eu-west-1 --dry-run\n\n\
    A machine is terminated when its deadline has passed, whatever the forge says, or\n\
    when it has had time to boot and its runner is offline or gone, checked twice. A\n\
    runner that a launch registered in this region is removed when it is offline and\n\
    has no machine in both checks. Machines without cml's tags are never touched.")]
pub struct Reap {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Seconds that a machine may take until its runner is online
    #[arg(long, value_name = "SECONDS", default_value_t = BOOT, value_parser = clap::value_parser!(u64).range(0..=7200))]
    pub cloud_boot_timeout: u64,
    /// Seconds between the two looks at what seems left over
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub recheck_after: u64,
    /// Also terminate machines of other repositories, when their deadline has passed
    #[arg(long, action = Set, default_value_t = false)]
    pub all: bool,
    /// Say what would be done, and do nothing
    #[arg(long, action = Set, default_value_t = false)]
    pub dry_run: bool,
}

/// Why something is left over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Overdue,
    NoRunner,
    Offline,
    NoMachine,
    Outdated,
}

impl Why {
    fn words(&self) -> &'static str {
        match self {
            Why::Overdue => "its deadline has passed",
            Why::NoRunner => "the forge does not know its runner",
            Why::Offline => "its runner is offline",
            Why::NoMachine => "it is offline and has no machine",
            Why::Outdated => "another version of cml made it",
        }
    }
}

/// What is left over.
#[derive(Debug, Default)]
struct Leftovers {
    machines: Vec<(Instance, Why)>,
    runners: Vec<Runner>,
    /// What other versions of the program share, by id and name.
    outdated: Vec<(String, String)>,
}

impl Leftovers {
    fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.runners.is_empty() && self.outdated.is_empty()
    }

    /// What is left over here and there.
    fn and_in(mut self, later: &Leftovers) -> Leftovers {
        self.machines.retain(|(one, _)| later.machines.iter().any(|(other, _)| other.id == one.id));
        self.runners.retain(|one| later.runners.iter().any(|other| other.id == one.id));
        self
    }

    fn table(&self) -> String {
        let machine = |(machine, why): &(Instance, Why)| {
            ["machine".to_owned(), machine.id.clone(), machine.tags.name.clone(), why.words().to_owned()].to_vec()
        };
        let runner = |runner: &Runner| {
            ["runner".to_owned(), runner.id.clone(), runner.name.clone(), Why::NoMachine.words().to_owned()].to_vec()
        };
        let outdated = |(id, name): &(String, String)| {
            ["template".to_owned(), id.clone(), name.clone(), Why::Outdated.words().to_owned()].to_vec()
        };
        let titles = ["WHAT", "ID", "NAME", "WHY"].map(str::to_owned).to_vec();
        let rows = self.machines.iter().map(machine).chain(self.runners.iter().map(runner));
        let rows = rows.chain(self.outdated.iter().map(outdated));
        machines::columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
    }
}

/// Runs the verb. What has passed its deadline ends whatever the forge says: its tags are all that is needed for that.
pub async fn run(app: &App, global: &Global, args: &Reap) -> Result<()> {
    let (_, cloud) = args.place.connect(app)?.ok_or_else(|| {
        Error::usage("--cloud is required").hint("give it: --cloud aws, with --cloud-region where it is not us-west")
    })?;
    let connected = connect::connect_runners(app, global).await;
    let repository = match &connected {
        Ok(connected) => Some(connected.repository.url()),
        Err(_) => connect::runners_url(app, global).await,
    };
    let mut reaping = Reaping { app, args, cloud: &*cloud, repository, failed: None };
    let overdue = reaping.end_overdue().await?;
    let found_outdated = reaping.delete_outdated().await;
    let found_more = match connected {
        Ok(connected) => reaping.end_orphans(&connected, &overdue).await,
        Err(error) => Err(error),
    };
    match found_more {
        Ok(found_more) if !found_more && !found_outdated && overdue.is_empty() => {
            app.log.info(&format!("nothing is left over in {}", cloud.region()));
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
    /// The address of the repository whose machines these are, where it is known.
    repository: Option<String>,
    /// The first failure; later ones are warnings.
    failed: Option<Error>,
}

impl Reaping<'_> {
    /// Returns the time that deadlines are compared with, in seconds since 1970.
    fn now(&self) -> i64 {
        self.app.http.server_now().max(self.app.host.now().as_secs() as i64)
    }

    fn is_ours(&self, machine: &Instance) -> bool {
        self.repository.as_ref() == Some(&machine.tags.repository)
    }

    /// Terminates what has passed its deadline, without asking the forge, and returns what it terminated.
    async fn end_overdue(&mut self) -> Result<Vec<Instance>> {
        let mut machines = self.cloud.list_instances().await?;
        let now = self.now();
        machines.retain(|machine| machine.tags.deadline <= now && (self.args.all || self.is_ours(machine)));
        let found = Leftovers {
            machines: machines.into_iter().map(|machine| (machine, Why::Overdue)).collect(),
            ..Leftovers::default()
        };
        Ok(self.terminate(&found).await)
    }

    /// Deletes what launches of other versions share; a launch that needs it makes it again. Returns whether there was
    /// anything. A policy that does not allow it yet is no failure.
    async fn delete_outdated(&mut self) -> bool {
        let outdated = match self.cloud.list_outdated().await {
            Ok(outdated) => outdated,
            Err(error) => {
                self.app.log.warn_of(&format!("cannot look for outdated templates: {error}"), error.hint_text());
                return false;
            }
        };
        let found = Leftovers { outdated, ..Leftovers::default() };
        if found.is_empty() {
            return false;
        }
        self.show(&found);
        for (id, name) in found.outdated.iter().filter(|_| !self.args.dry_run) {
            match self.cloud.delete_outdated(id).await {
                Ok(()) => self.app.log.info(&format!("deleted template {name}")),
                Err(error) => {
                    self.app.log.warn_of(&format!("cannot delete template {name}: {error}"), error.hint_text());
                }
            }
        }
        true
    }

    /// Terminates and removes what the forge knows nothing of any more, or that has no machine. Returns whether there
    /// was anything.
    async fn end_orphans(&mut self, connected: &Connected, overdue: &[Instance]) -> Result<bool> {
        let mut found = self.find_orphans(connected).await?;
        for machine in overdue {
            self.forget(connected, machine).await;
        }
        if !found.is_empty() {
            // Somebody may be launching them at this moment.
            self.app.host.sleep(Duration::from_secs(self.args.recheck_after)).await;
            self.app.http.restart_budget();
            found = found.and_in(&self.find_orphans(connected).await?);
        }
        let found_any = !found.is_empty();
        for machine in self.terminate(&found).await {
            self.forget(connected, &machine).await;
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

    /// Returns what looks left over now. The forge is asked first: a runner that comes meanwhile has its machine.
    async fn find_orphans(&self, connected: &Connected) -> Result<Leftovers> {
        let runners = connected.forge.list_runners(&[]).await?;
        let machines = self.cloud.list_instances().await?;
        let now = self.now();
        let boot = self.args.cloud_boot_timeout as i64;
        let judge = |machine: &Instance| {
            let of =
                |runner: &&Runner| Some(&runner.id) == machine.tags.runner.as_ref() || runner.name == machine.tags.name;
            let booted = machine.launched.is_none_or(|launched| launched + boot <= now);
            match runners.iter().find(of) {
                _ if !self.is_ours(machine) || !booted || machine.tags.deadline <= now => None,
                None => Some(Why::NoRunner),
                Some(runner) if !runner.online => Some(Why::Offline),
                Some(_) => None,
            }
        };
        let prefix = name::in_cloud(self.cloud);
        let has_machine = |runner: &Runner| machines.iter().any(|machine| machine.tags.name == runner.name);
        let lonely = |runner: &Runner| runner.name.starts_with(&prefix) && !runner.online && !has_machine(runner);
        Ok(Leftovers {
            machines: machines.iter().filter_map(|machine| Some((machine.clone(), judge(machine)?))).collect(),
            runners: runners.iter().filter(|runner| lonely(runner)).cloned().collect(),
            outdated: Vec::new(),
        })
    }

    /// Shows what was found and terminates its machines, all that can be. Returns those that were.
    async fn terminate(&mut self, found: &Leftovers) -> Vec<Instance> {
        let mut terminated = Vec::new();
        if found.is_empty() {
            return terminated;
        }
        self.show(found);
        if self.args.dry_run {
            return found.machines.iter().map(|(machine, _)| machine.clone()).collect();
        }
        for (machine, _) in &found.machines {
            self.app.http.restart_budget();
            match self.cloud.delete_instance(&machine.id).await {
                Ok(()) => {
                    self.app.log.info(&format!("terminated instance {}", machine.id));
                    terminated.push(machine.clone());
                }
                Err(error) => self.fail(error.context(format!("instance {} still runs", machine.id))),
            }
        }
        self.app.http.restart_budget();
        terminated
    }

    /// Prints what was found. What cannot be printed ends all the same.
    fn show(&mut self, found: &Leftovers) {
        if let Err(error) = self.app.print_result(&found.table()) {
            self.fail(error);
        }
    }

    /// Keeps the first of several failures, and shows the others now.
    fn fail(&mut self, error: Error) {
        match &self.failed {
            Some(_) => self.app.log.warn(&error.to_string()),
            None => self.failed = Some(error),
        }
    }

    /// Removes the runner of a machine that is gone, where it is of the repository that we are connected to.
    async fn forget(&mut self, connected: &Connected, machine: &Instance) {
        if self.args.dry_run || !self.is_ours(machine) {
            return;
        }
        let Some(id) = &machine.tags.runner else { return };
        self.app.http.restart_budget();
        if let Err(error) = delete(connected, id).await {
            self.fail(error);
        }
    }
}

/// Removes a runner from the forge. One that has a job goes down with its machine, and the forge forgets it when it has
/// noticed.
async fn delete(connected: &Connected, runner: &str) -> Result<()> {
    match connected.forge.delete_runner(runner).await {
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => Ok(()),
        outcome => outcome,
    }
}
