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
    A machine is terminated when its deadline has passed, or when it has had time to\n\
    boot and its runner is offline or gone, in two looks. A runner that a launch\n\
    registered in this region is removed when it is offline and has no machine, in\n\
    both. Machines without cml's tags are never touched.")]
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
}

impl Why {
    fn words(&self) -> &'static str {
        match self {
            Why::Overdue => "its deadline has passed",
            Why::NoRunner => "the forge does not know its runner",
            Why::Offline => "its runner is offline",
            Why::NoMachine => "it is offline and has no machine",
        }
    }
}

/// What is left over.
#[derive(Debug, Default)]
struct Leftovers {
    machines: Vec<(Instance, Why)>,
    runners: Vec<Runner>,
}

impl Leftovers {
    fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.runners.is_empty()
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
        let titles = ["WHAT", "ID", "NAME", "WHY"].map(str::to_owned).to_vec();
        let rows = self.machines.iter().map(machine).chain(self.runners.iter().map(runner));
        machines::columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
    }
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Reap) -> Result<()> {
    let (_, cloud) = args.place.connect(app)?.ok_or_else(|| {
        Error::usage("it is not said which cloud")
            .hint("give it: --cloud aws, with --cloud-region where it is not us-west")
    })?;
    let connected = connect::connect_runners(app, global).await?;
    let reaping = Reaping { app, args, cloud: &*cloud, connected: &connected };
    let mut found = reaping.look().await?;
    // What has passed its deadline needs no second look; somebody may be launching the others at this moment.
    let is_sure = found.runners.is_empty() && found.machines.iter().all(|(_, why)| *why == Why::Overdue);
    if !is_sure {
        app.host.sleep(Duration::from_secs(args.recheck_after)).await;
        app.http.restart_budget();
        found = found.and_in(&reaping.look().await?);
    }
    if found.is_empty() {
        app.log.info(&format!("nothing is left over in {}", cloud.region()));
        return Ok(());
    }
    let printed = app.print_result(&found.table());
    if !args.dry_run {
        reaping.remove(found).await?;
    }
    printed
}

struct Reaping<'a> {
    app: &'a App,
    args: &'a Reap,
    cloud: &'a dyn Cloud,
    connected: &'a Connected,
}

impl Reaping<'_> {
    /// What looks left over now. The forge is asked first: a runner that comes meanwhile has its machine.
    async fn look(&self) -> Result<Leftovers> {
        let runners = self.connected.forge.list_runners(&[]).await?;
        let machines = self.cloud.list_instances().await?;
        let here = self.connected.repository.url();
        let now = self.app.http.server_now().max(self.app.host.now().as_secs() as i64);
        let boot = self.args.cloud_boot_timeout as i64;
        let judge = |machine: &Instance| {
            let ours = machine.tags.repository == here;
            let of =
                |runner: &&Runner| Some(&runner.id) == machine.tags.runner.as_ref() || runner.name == machine.tags.name;
            let runner = runners.iter().find(of);
            let booted = machine.launched.is_none_or(|launched| launched + boot <= now);
            match runner {
                _ if !ours && !self.args.all => None,
                _ if machine.tags.deadline <= now => Some(Why::Overdue),
                _ if !ours || !booted => None,
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
        })
    }

    /// Removes what is left over, all that can be: the first failure is told at the end.
    async fn remove(&self, found: Leftovers) -> Result<()> {
        let mut failed = None;
        for (machine, _) in found.machines {
            self.app.http.restart_budget();
            let ended = match self.cloud.delete_instance(&machine.id).await {
                Ok(()) => self.forget(&machine).await,
                Err(error) => Err(error.context(format!("instance {} still runs", machine.id))),
            };
            match ended {
                Ok(()) => self.app.log.info(&format!("terminated instance {}", machine.id)),
                Err(error) => failed = Some(self.told(failed, error)),
            }
        }
        for runner in found.runners {
            self.app.http.restart_budget();
            match self.delete(&runner.id).await {
                Ok(()) => self.app.log.info(&format!("removed runner {}", runner.name)),
                Err(error) => failed = Some(self.told(failed, error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Keeps the first of several failures, and tells the others now.
    fn told(&self, first: Option<Error>, error: Error) -> Error {
        match first {
            Some(first) => {
                self.app.log.warn(&error.to_string());
                first
            }
            None => error,
        }
    }

    /// Removes the runner of a machine that is gone, where it is of the repository that we are connected to.
    async fn forget(&self, machine: &Instance) -> Result<()> {
        match &machine.tags.runner {
            Some(id) if machine.tags.repository == self.connected.repository.url() => self.delete(id).await,
            _ => Ok(()),
        }
    }

    async fn delete(&self, runner: &str) -> Result<()> {
        match self.connected.forge.delete_runner(runner).await {
            // It has a job that goes down with its machine; the forge forgets it when it has noticed.
            Err(error) if error.kind() == Kind::Conflict => Ok(()),
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}
