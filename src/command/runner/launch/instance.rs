//! `cml runner launch --cloud`: turns a new cloud instance into a runner.
//!
//! Look for an existing runner → plan and preflight → register → create the instance → wait until it is online. Whatever
//! fails, or a signal, rolls back what was created: first the instance, then the registration.

use super::{Inspection, KnownRunners, LaunchOutcome, Launching, ReuseDecision};
use crate::app::App;
use crate::cloud::{
    self, Bootstrap, BootstrapBinary, Cloud, Instance, InstanceRequest, Labels, LaunchPlan, Lifetime, PlanSummary,
};
use crate::command::runner::{bootstrap_binary, name};
use crate::connect::Connected;
use crate::error::{Error, Kind, Result};
use crate::forge::runners::{NewRunner, Package, Registration};
use crate::host::Platform;
use crate::outputs;
use crate::runner::bootstrap_config::BootstrapConfig;
use crate::shutdown::Shutdown;
use futures_util::future::join;
use std::time::Duration;

mod online;
mod summary;

/// Pauses between lookups of an instance of which it is unknown whether it was created.
const LOOKUP_PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// What the instance downloads.
struct BootstrapInputs {
    package: Option<Package>,
    binary: Option<BootstrapBinary>,
}

/// A launch for which everything is looked up, and nothing exists yet.
struct PlannedLaunch<'a> {
    cloud: &'a dyn Cloud,
    plan: Box<dyn LaunchPlan + 'a>,
    request: InstanceRequest,
    inputs: BootstrapInputs,
    phases: Phases<'a>,
}

/// What a rollback has to delete.
#[derive(Default)]
struct CreatedResources {
    /// The instance, if it is known.
    instance: Option<Instance>,
    /// Whether there may be one that is unknown.
    is_uncertain: bool,
}

impl Launching<'_> {
    /// Launches an instance in a cloud.
    pub(super) async fn run_in(mut self, row: &cloud::Driver, cloud: &dyn Cloud) -> Result<()> {
        let mut shutdown = Shutdown::new(self.app, "the launch");
        let outcome = self.launch_in(row, cloud, &mut shutdown).await;
        shutdown.check().and(outcome)
    }

    async fn launch_in(&mut self, row: &cloud::Driver, cloud: &dyn Cloud, shutdown: &mut Shutdown<'_>) -> Result<()> {
        self.check_containers(row)?;
        self.announce();
        let known = if self.args.cloud.dry_run {
            KnownRunners::default()
        } else {
            shutdown.run_until(self.fetch_runners()).await??
        };
        // The cloud is not asked when there is nothing to launch.
        if self.names.is_given() || known.reused(self.mode, &self.labels).is_some() {
            let inspection = self.decide(known.clone(), 0);
            if matches!(inspection.decision, ReuseDecision::Reuse(_) | ReuseDecision::Taken(_)) {
                return self.acquire(inspection, shutdown).await.map(drop);
            }
        }
        let phases = Phases::new(self.app);
        let request = self.request(row, cloud);
        let (plan, location) = shutdown.run_until(join(cloud.plan(&request), cloud.location())).await?;
        let (plan, location) = (plan?, location?);
        if self.args.cloud.dry_run {
            return self.show_plan(row, plan.summary());
        }
        // By this prefix `cml runner reap` finds registrations that never got an instance.
        self.names = self.names.clone().with_prefix(name::cloud_prefix(&location));
        let inspection = self.decide(known, 0);
        phases.say("checked and planned");
        self.platform = Platform { os: "linux".into(), arch: plan.summary().arch.name().into() };
        let inputs = shutdown.run_until(self.prepare_inputs(row)).await??;
        let planned = PlannedLaunch { cloud, plan, request, inputs, phases };
        self.launch_planned(inspection, planned, shutdown).await
    }

    /// Finds the runner package and the cml binary for the instance, before anything is created.
    async fn prepare_inputs(&self, row: &cloud::Driver) -> Result<BootstrapInputs> {
        let package = self.runners.package(&self.platform);
        if !row.downloads_binary {
            return Ok(BootstrapInputs { package: package.await?, binary: None });
        }
        let binary = bootstrap_binary::find(self.app, &self.args.cloud, &self.platform);
        let (package, binary) = join(package, binary).await;
        Ok(BootstrapInputs { package: package?, binary: Some(binary?) })
    }

    /// Prints what would be done. Where a launch is documents, standard output has nothing else.
    fn show_plan(&self, row: &cloud::Driver, plan: &PlanSummary) -> Result<()> {
        match &plan.manifest {
            Some(manifest) => {
                summary::render_plan(plan).lines().for_each(|line| self.app.log.info(line));
                self.app.print(manifest)
            }
            None if self.args.cloud.output.is_some() => {
                Err(Error::unsupported(format!("--output is not supported on {}", row.title))
                    .hint("leave it out: --dry-run prints a table there"))
            }
            None => self.app.print(&summary::render_plan(plan)),
        }
    }

    /// Checks that jobs need no Docker where an instance is a container itself, as far as it can be known before a job comes.
    fn check_containers(&self, row: &cloud::Driver) -> Result<()> {
        if row.is_machine {
            return Ok(());
        }
        let Launching { app, args, runners, connected, .. } = self;
        let (cloud, forge) = (row.title, connected.driver.title);
        if runners.program_image().is_some() {
            return Err(Error::unsupported(format!(
                "the runner of {forge} is a Docker image, which cannot run on {cloud}"
            ))
            .hint("use a cloud with virtual machines, such as --cloud aws"));
        }
        if args.docker_image.is_some() || !args.docker_volumes.is_empty() {
            return Err(Error::usage(format!("--docker-image and --docker-volumes have no effect on {cloud}: jobs run in the instance's own container"))
                .hint("name the image that jobs run in with --cloud-image, and volumes with --cloud-kubernetes-pod"));
        }
        if !row.downloads_binary {
            app.log.info("jobs run in the pod's own container: those with container: or services: of their own need a cloud with virtual machines");
        }
        Ok(())
    }

    async fn launch_planned(
        &self,
        inspection: Inspection,
        planned: PlannedLaunch<'_>,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<()> {
        let PlannedLaunch { cloud, plan, mut request, inputs, phases } = planned;
        let LaunchOutcome::Registered(registered) = self.acquire(inspection, shutdown).await? else { return Ok(()) };
        let (new, registration) = *registered;
        registration.credential.values().for_each(|secret| self.app.log.hide("the credential of the runner", secret));
        request.labels.name.clone_from(&registration.name);
        request.labels.runner = Some(registration.id.clone());
        let config = self.bootstrap_config(plan.summary(), &request, &new, &registration, inputs.package);
        let bootstrap = Bootstrap { config: config.to_json(), binary: inputs.binary, lifetime: request.lifetime };
        let launching = plan.launch(&request.labels, &bootstrap);
        let mut created_resources = CreatedResources::default();
        match self.create(cloud, launching, &registration, &mut created_resources, &phases, shutdown).await {
            Ok(instance) => self.print_summary(cloud, &request, &registration, &instance),
            Err(error) => {
                let is_interrupted = shutdown.received().is_some();
                self.rollback(cloud, &request.labels, created_resources, &registration, is_interrupted).await;
                Err(self.explain_too_large(error))
            }
        }
    }

    /// Creates the instance and waits for its runner.
    async fn create(
        &self,
        cloud: &dyn Cloud,
        launching: impl Future<Output = Result<Instance>>,
        registration: &Registration,
        created_resources: &mut CreatedResources,
        phases: &Phases<'_>,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<Instance> {
        self.app.http.restart_budget();
        created_resources.is_uncertain = true;
        let created = shutdown.run_to_completion(launching).await;
        let is_interrupted = shutdown.received().is_some();
        let instance =
            created.inspect_err(|error| created_resources.is_uncertain = is_interrupted || error.is_ambiguous())?;
        created_resources.instance = Some(instance.clone());
        phases.say(&format!("instance {} accepted", summary::render_instance(&instance)));
        shutdown.check()?;
        let instance = self.wait_online(cloud, instance, registration, phases, shutdown).await?;
        if let Err(error) = shutdown.run_until(cloud.forget_bootstrap(&instance.id)).await? {
            self.app.log.warn_of(
                &format!("cannot remove the start-up script from the instance's metadata: {error}"),
                error.hint_text(),
            );
        }
        Ok(instance)
    }

    /// Terminates the instance, and any that may have been created, and then removes the registration.
    async fn rollback(
        &self,
        cloud: &dyn Cloud,
        labels: &Labels,
        created_resources: CreatedResources,
        registration: &Registration,
        is_interrupted: bool,
    ) {
        let Launching { app, .. } = self;
        app.http.restart_budget();
        if is_interrupted {
            app.http.shorten_deadline();
        }
        let ids = match created_resources.instance {
            Some(instance) => vec![instance.id],
            None => self.find_orphans(cloud, labels, created_resources.is_uncertain).await,
        };
        for id in ids {
            match cloud.delete(&id).await {
                Ok(()) => app.log.info(&format!("terminated instance {id}")),
                Err(error) => {
                    app.log.warn_with_hint(
                        &format!("instance {id} may still be running ({error})"),
                        "terminate it with cml runner reap; it also powers itself off when it is idle or its runner is not ready in time",
                    );
                }
            }
        }
        self.unregister(registration).await;
    }

    /// Finds our instances of this launch: the answer about one was lost, or a signal came before it. Where the cloud said that there is
    /// none, one look will do: it may have answered to a second attempt, after the answer to a first one was lost.
    async fn find_orphans(&self, cloud: &dyn Cloud, labels: &Labels, is_uncertain: bool) -> Vec<String> {
        let mut pauses = LOOKUP_PAUSES.into_iter().filter(|_| is_uncertain);
        loop {
            let all = match cloud.chosen_id(labels) {
                Some(id) => cloud.get(&id).await.map(|one| one.into_iter().collect()),
                None => cloud.list().await,
            };
            let found = all.map(|all| {
                let ours = |one: &Instance| one.labels.runner == labels.runner && one.labels.name == labels.name;
                all.into_iter().filter(ours).map(|one| one.id).collect::<Vec<_>>()
            });
            match (found, pauses.next()) {
                (Ok(found), _) if !found.is_empty() => return found,
                // The list may lag behind.
                (_, Some(pause)) => self.app.host.sleep(pause).await,
                (Ok(_), None) => return Vec::new(),
                (Err(_), None) if !is_uncertain => return Vec::new(),
                (Err(error), None) => {
                    let text = format!("an instance may have been created ({error})");
                    self.app
                        .log
                        .warn_with_hint(&text, "if so, terminate it with cml runner reap, which finds it by its tags");
                    return Vec::new();
                }
            }
        }
    }

    /// Returns the request for the instance.
    fn request(&self, row: &cloud::Driver, cloud: &dyn Cloud) -> InstanceRequest {
        let Launching { app, args, connected: Connected { driver, repository, context, .. }, .. } = self;
        let wish = &args.cloud;
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let user_labels =
            wish.cloud_metadata.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default()));
        let deadline = app.host.now() + wish.cloud_max_lifetime.0;
        app.log.debug(&format!("launching an instance on {} in {}", row.title, cloud.region()));
        InstanceRequest {
            types: text(&wish.cloud_type).unwrap_or_else(|| "m".to_owned()),
            gpu: text(&wish.cloud_gpu),
            arch: wish.cloud_arch,
            image: text(&wish.cloud_image),
            disk: wish.cloud_hdd_size.unwrap_or(35),
            is_disk_given: wish.cloud_hdd_size.is_some(),
            spot: wish.cloud_spot,
            spot_price: wish.cloud_spot_price.filter(|price| *price >= 0.0),
            on_demand_fallback: wish.cloud_on_demand_fallback,
            identity: text(&wish.cloud_permission_set),
            lifetime: Lifetime { max: wish.cloud_max_lifetime.0, boot: Duration::from_secs(wish.cloud_boot_timeout) },
            options: wish.options.clone(),
            user_labels: user_labels.collect(),
            labels: Labels {
                name: self.names.candidate(0),
                repository: repository.url(),
                run: context.job.clone(),
                deadline: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX),
                forge: driver.name.to_owned(),
                runner: None,
            },
        }
    }

    fn bootstrap_config(
        &self,
        plan: &PlanSummary,
        request: &InstanceRequest,
        new: &NewRunner,
        registration: &Registration,
        package: Option<Package>,
    ) -> BootstrapConfig {
        let Launching { args, connected, .. } = self;
        let image = self.runners.job_image(plan.gpu);
        BootstrapConfig {
            name: new.name.clone(),
            driver: connected.driver.name.to_owned(),
            repo: connected.repository.url(),
            labels: new.labels.clone(),
            single: new.single,
            idle: args.idle_timeout.0,
            deadline: request.labels.deadline,
            registration: registration.clone(),
            package,
            docker_image: args.docker_image.clone().filter(|_| image.is_some()).or(image.map(str::to_owned)),
            docker_required: args.docker_image.is_some() && image.is_some(),
            docker_volumes: args.docker_volumes.clone(),
            gpu: plan.gpu,
            startup_script: args.cloud.cloud_startup_script.clone(),
            cloud: args.cloud.location.name(),
            identity: request.identity.is_some(),
        }
    }

    /// Adds which options make what the instance is given too large.
    fn explain_too_large(&self, error: Error) -> Error {
        if error.kind() != Kind::TooLarge {
            return error;
        }
        error.hint(match &self.args.cloud.cloud_startup_script {
            Some(script) => format!(
                "--cloud-startup-script is {} bytes long: shorten it, or let it download what it needs",
                script.len()
            ),
            None => "use fewer or shorter --labels and --docker-volumes".to_owned(),
        })
    }

    /// Prints the summary that scripts read: CML's line, the last one, and the step outputs.
    fn print_summary(
        &self,
        cloud: &dyn Cloud,
        request: &InstanceRequest,
        registration: &Registration,
        instance: &Instance,
    ) -> Result<()> {
        let results = [("runner-name", registration.name.as_str()), ("instance-id", instance.id.as_str())];
        outputs::set(self.app, &results)?;
        self.app.log.info(&self.line(cloud.region(), request, registration, instance).to_string());
        Ok(())
    }
}

/// A timer for the phases of a launch.
struct Phases<'a> {
    app: &'a App,
    begun: Duration,
}

impl<'a> Phases<'a> {
    fn new(app: &'a App) -> Self {
        Phases { app, begun: app.host.elapsed() }
    }

    /// Returns the time since the launch began.
    fn so_far(&self) -> Duration {
        self.app.host.elapsed().saturating_sub(self.begun)
    }

    /// Logs that a phase is done, and after how long.
    fn say(&self, what: &str) {
        self.app.log.info(&format!("{what} after {:.1} s", self.so_far().as_secs_f64()));
    }
}
