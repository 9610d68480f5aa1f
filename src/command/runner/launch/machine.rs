//! `cml runner launch --cloud`: a new machine becomes a runner.
//!
//! Is there a runner already? → what can be had, and whether we may → registration → machine → online. Whatever keeps
//! it from coming to that end, a signal too, undoes what was made: first the machine, then the registration.

use super::{End, Launching, Look, Outcome, unless};
use crate::app::App;
use crate::cloud::{self, Cloud, Instance, InstanceSpec, Plan, tags::Tags};
use crate::command::runner::program;
use crate::connect::Connected;
use crate::error::{Error, Kind, Result};
use crate::forge::runner::{NewRunner, Package, Registration};
use crate::host::{Platform, Signal};
use crate::outputs;
use crate::runner::document::Document;
use crate::runner::script::{Limits, Program, render};
use futures_util::future::join;
use std::cell::Cell;
use std::time::Duration;

mod online;
mod told;

/// Pauses between looks for a machine of which it is not known whether it was made, after the first one.
const LOOKS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// What the machine gets.
struct Luggage {
    package: Option<Package>,
    program: Program,
}

/// What there is to undo.
#[derive(Default)]
struct Made {
    /// The machine, when it is known.
    instance: Option<Instance>,
    /// Whether there may be one that is not known.
    maybe: bool,
}

impl Launching<'_> {
    /// Launches a machine in a cloud.
    pub(super) async fn run_in(mut self, row: &cloud::Driver, cloud: &dyn Cloud) -> Result<()> {
        let caught = Cell::new(None);
        let host = self.app.host.clone();
        // By this beginning `cml runner reap` finds what was registered and never became a machine.
        self.names = self.names.beginning_with(super::super::name::in_cloud(cloud));
        let mut end: End<'_> = Box::pin(async { caught.set(Some(host.interrupted().await)) });
        let outcome = self.launch_in(row, cloud, &mut end).await;
        drop(end);
        match caught.get() {
            Some(signal) => Err(signalled(signal)),
            None => outcome,
        }
    }

    async fn launch_in(&mut self, row: &cloud::Driver, cloud: &dyn Cloud, end: &mut End<'_>) -> Result<()> {
        self.announce();
        let look = match self.args.cloud.dry_run {
            true => None,
            false => match self.look(0, end).await? {
                Some(look) => Some(look),
                None => return Ok(()),
            },
        };
        // Nothing is asked of the cloud where there is nothing to launch.
        let look = match look {
            Some(look @ (super::Verdict::Reuse(_) | super::Verdict::Taken(_), _)) => {
                return self.acquire(look, end).await.map(drop);
            }
            look => look,
        };
        let phases = Phases::new(self.app);
        let mut spec = self.spec(row, cloud);
        let Some(plan) = unless(end, cloud.plan(&spec)).await else { return Ok(()) };
        let plan = plan?;
        let Some(look) = look else {
            return self.app.print(&told::plan(&plan));
        };
        phases.say("checked and planned");
        self.platform = Platform { os: "linux".into(), arch: plan.arch.name().into() };
        let Some(luggage) = unless(end, self.pack()).await else { return Ok(()) };
        let luggage = luggage?;
        self.launch_planned(look, cloud, (&plan, &mut spec), luggage, &phases, end).await
    }

    /// What the machine is to get, before anything is made.
    async fn pack(&self) -> Result<Luggage> {
        let package = self.connected.forge.runner_package(&self.platform);
        let program = program::find(self.app, &self.args.cloud, &self.platform);
        let (package, program) = join(package, program).await;
        Ok(Luggage { package: package?, program: program? })
    }

    async fn launch_planned(
        &self,
        look: Look,
        cloud: &dyn Cloud,
        (plan, spec): (&Plan, &mut InstanceSpec),
        luggage: Luggage,
        phases: &Phases<'_>,
        end: &mut End<'_>,
    ) -> Result<()> {
        let Outcome::Registered(registered) = self.acquire(look, end).await? else { return Ok(()) };
        let (new, registration) = *registered;
        registration.credential.values().for_each(|secret| self.app.log.hide("the credential of the runner", secret));
        spec.name.clone_from(&registration.name);
        spec.tags.name.clone_from(&registration.name);
        spec.tags.runner = Some(registration.id.clone());
        let mut made = Made::default();
        let document = self.document(plan, spec, &new, &registration, luggage.package);
        let limits = Limits {
            lifetime: self.args.cloud.cloud_max_lifetime.0,
            boot: Duration::from_secs(self.args.cloud.cloud_boot_timeout),
        };
        let script = render(&document, &luggage.program, limits, plan.script_limit);
        let outcome = match script {
            Ok(script) => self.make(cloud, (spec, &script), &registration, &mut made, phases, end).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Some(instance)) => self.tell(cloud, spec, &registration, &instance),
            outcome => {
                self.undo(cloud, spec, made, &registration, outcome.is_ok()).await;
                outcome.map(drop)
            }
        }
    }

    /// Makes the machine and waits for its runner; `None` when the program was asked to end.
    async fn make(
        &self,
        cloud: &dyn Cloud,
        (spec, script): (&InstanceSpec, &crate::env::Secret),
        registration: &Registration,
        made: &mut Made,
        phases: &Phases<'_>,
        end: &mut End<'_>,
    ) -> Result<Option<Instance>> {
        self.app.http.restart_budget();
        made.maybe = true;
        let (created, ended) = self.finish(cloud.create_instance(spec, script), end).await;
        let instance = created.inspect_err(|error| made.maybe = ended || error.is_ambiguous())?;
        made.instance = Some(instance.clone());
        phases.say(&format!("instance {} accepted", told::instance(&instance)));
        if ended {
            return Ok(None);
        }
        self.wait_online(cloud, instance, registration, phases, end).await
    }

    /// Ends the machine, whether it is known or only feared, and then removes the registration.
    async fn undo(
        &self,
        cloud: &dyn Cloud,
        spec: &InstanceSpec,
        made: Made,
        registration: &Registration,
        signalled: bool,
    ) {
        let Launching { app, .. } = self;
        app.http.restart_budget();
        if signalled {
            app.http.shorten_deadline();
        }
        let ids = match made.instance {
            Some(instance) => vec![instance.id],
            None if made.maybe => self.feared(cloud, spec).await,
            None => Vec::new(),
        };
        for id in ids {
            match cloud.delete_instance(&id).await {
                Ok(()) => app.log.info(&format!("instance {id} is terminated")),
                Err(error) => {
                    app.log.warn_with_hint(
                        &format!("instance {id} may still run ({error})"),
                        "cml runner reap ends it; otherwise it ends itself when it is idle, or its runner not ready in time",
                    );
                }
            }
        }
        self.remove(registration).await;
    }

    /// Machines of ours with the name: the answer that told of one was lost, or a signal came before it.
    async fn feared(&self, cloud: &dyn Cloud, spec: &InstanceSpec) -> Vec<String> {
        let mut pauses = LOOKS.into_iter();
        loop {
            let found = cloud.list_instances().await.map(|all| {
                let ours = |one: &Instance| one.tags.runner == spec.tags.runner && one.tags.name == spec.tags.name;
                all.into_iter().filter(ours).map(|one| one.id).collect::<Vec<_>>()
            });
            match (found, pauses.next()) {
                (Ok(found), _) if !found.is_empty() => return found,
                // A machine may be a moment late in the list.
                (_, Some(pause)) => self.app.host.sleep(pause).await,
                (Ok(_), None) => return Vec::new(),
                (Err(error), None) => {
                    let text = format!("it is not known whether a machine was made ({error})");
                    self.app.log.warn_with_hint(&text, "cml runner reap finds it by its tags");
                    return Vec::new();
                }
            }
        }
    }

    /// What the machine is to be.
    fn spec(&self, row: &cloud::Driver, cloud: &dyn Cloud) -> InstanceSpec {
        let Launching { app, args, connected: Connected { driver, repository, context, .. }, .. } = self;
        let wish = &args.cloud;
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let metadata = wish.cloud_metadata.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default()));
        let deadline = app.host.now() + wish.cloud_max_lifetime.0;
        let name = self.names.nth(0);
        app.log.debug(&format!("a machine of {} in {}", row.title, cloud.region()));
        InstanceSpec {
            types: text(&wish.cloud_type).unwrap_or_else(|| "m".to_owned()),
            gpu: text(&wish.cloud_gpu),
            arch: wish.cloud_arch,
            image: text(&wish.cloud_image),
            disk: wish.cloud_hdd_size.unwrap_or(35),
            spot: wish.cloud_spot,
            spot_price: wish.cloud_spot_price.filter(|price| *price >= 0.0),
            or_on_demand: wish.cloud_on_demand_fallback,
            permission_set: text(&wish.cloud_permission_set),
            security_group: text(&wish.cloud_aws_security_group),
            subnets: wish.cloud_aws_subnet.iter().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect(),
            ssh_key: None,
            metadata: metadata.collect(),
            tags: Tags {
                name: name.clone(),
                repository: repository.url(),
                run: context.job.clone(),
                deadline: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX),
                forge: driver.name.to_owned(),
                runner: None,
            },
            name,
        }
    }

    fn document(
        &self,
        plan: &Plan,
        spec: &InstanceSpec,
        new: &NewRunner,
        registration: &Registration,
        package: Option<Package>,
    ) -> Document {
        let Launching { args, connected, .. } = self;
        let image = connected.forge.job_image(plan.gpu);
        Document {
            name: new.name.clone(),
            driver: connected.driver.name.to_owned(),
            repo: connected.repository.url(),
            labels: new.labels.clone(),
            single: new.single,
            idle: args.idle_timeout.0,
            deadline: spec.tags.deadline,
            registration: registration.clone(),
            package,
            docker_image: args.docker_image.clone().filter(|_| image.is_some()).or(image.map(str::to_owned)),
            docker_required: args.docker_image.is_some() && image.is_some(),
            docker_volumes: args.docker_volumes.clone(),
            gpu: plan.gpu,
            startup_script: args.cloud.cloud_startup_script.clone(),
            cloud: args.cloud.place.name(),
            identity: spec.permission_set.is_some(),
        }
    }

    /// What scripts read: CML's line, the last one.
    fn tell(
        &self,
        cloud: &dyn Cloud,
        spec: &InstanceSpec,
        registration: &Registration,
        instance: &Instance,
    ) -> Result<()> {
        let results = [("runner-name", registration.name.as_str()), ("instance-id", instance.id.as_str())];
        outputs::set(self.app, &results)?;
        self.app.log.info(&self.line(cloud.region(), spec, registration, instance).to_string());
        Ok(())
    }
}

/// A signal's error: the exit code is what a shell makes of the signal.
fn signalled(signal: Signal) -> Error {
    let (name, code) = match signal {
        Signal::Interrupt => ("SIGINT", 130),
        Signal::Terminate => ("SIGTERM", 143),
        Signal::Quit => ("SIGQUIT", 131),
        Signal::HangUp => ("SIGHUP", 129),
        Signal::Kill => ("SIGKILL", 137),
    };
    Error::new(Kind::Interrupted, format!("{name} ended the launch")).exits_with(code)
}

/// What takes how long.
struct Phases<'a> {
    app: &'a App,
    begun: Duration,
}

impl<'a> Phases<'a> {
    fn new(app: &'a App) -> Self {
        Phases { app, begun: app.host.elapsed() }
    }

    /// Time since the launch began.
    fn so_far(&self) -> Duration {
        self.app.host.elapsed().saturating_sub(self.begun)
    }

    /// Says that something is done, and after how long.
    fn say(&self, what: &str) {
        self.app.log.info(&format!("{what} after {:.1} s", self.so_far().as_secs_f64()));
    }
}
