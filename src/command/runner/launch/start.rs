//! Prepares a runner on this host, and supervises it.

use super::super::dirs::RunnerDirs;
use super::{Launching, MAX_JOB_ATTEMPTS, POLL_INTERVAL};
use crate::connect::Connected;
use crate::env::vars;
use crate::error::{Kind, Result};
use crate::forge::runners::{NewRunner, Registration, RunnerConfig, register_once};
use crate::runner::{Supervised, package, supervise};
use futures_util::future::LocalBoxFuture;
use std::path::PathBuf;
use std::time::Duration;

impl Launching<'_> {
    /// Installs the runner program, if the forge has one to download, and detects Docker and GPUs.
    pub(super) async fn prepare(&self, dirs: RunnerDirs) -> Result<RunnerConfig> {
        let Launching { app, args, runners, .. } = self;
        let gpu = app.run(&["nvidia-smi", "--list-gpus"]).await.is_ok_and(|output| output.code == Some(0));
        let docker_image = match runners.job_image(gpu) {
            Some(default) => self.docker_image(default).await,
            None => None,
        };
        if let Some(image) = runners.program_image() {
            package::pull(app, image).await;
        }
        if args.runner_path.is_none()
            && let Some(package) = runners.package(&app.host.platform()).await?
        {
            package::install(app, &package, &dirs.program).await?;
        }
        Ok(RunnerConfig {
            program: dirs.program,
            work: dirs.work,
            single: self.single,
            idle: args.idle_timeout.0,
            docker_volumes: args.docker_volumes.clone(),
            docker_image,
            gpu,
            hooks: dirs.hooks,
        })
    }

    /// Returns the image for jobs that name none; `None` where jobs run without containers.
    async fn docker_image(&self, default: &str) -> Option<String> {
        let Launching { app, args, .. } = self;
        if let Some(image) = &args.docker_image {
            return Some(image.clone());
        }
        if app.env().get(vars::IN_DOCKER).is_some() {
            return None;
        }
        let has_docker = app.run(&["docker", "version"]).await.is_ok_and(|output| output.code == Some(0));
        if !has_docker {
            app.log.info("Docker is not running: jobs run as this user, outside of containers");
        }
        has_docker.then(|| default.to_owned())
    }

    /// Supervises the runner until it ends.
    pub(super) async fn supervise(
        &self,
        new: &NewRunner,
        registration: Registration,
        config: RunnerConfig,
        own: PathBuf,
    ) -> Result<()> {
        let Launching { app, runners, connected: Connected { forge, driver, repository, .. }, .. } = self;
        let register_again = || -> LocalBoxFuture<'_, Result<Registration>> { Box::pin(self.register_again(new)) };
        supervise(Supervised {
            app,
            runners: Some(*runners),
            runs: forge.runs(),
            driver,
            repo: repository.url(),
            registration,
            renew: Some(&register_again),
            config,
            pass_env: self.args.pass_env.clone(),
            env: Vec::new(),
            retry: (!self.args.no_retry).then_some(MAX_JOB_ATTEMPTS),
            keep_logs: self.args.keep_logs.clone(),
            remove: vec![own],
            user: None,
            shutdown_triggers: Vec::new(),
            on_status: None,
            lease: None,
        })
        .await
    }

    /// Registers the same runner again, for its next job.
    async fn register_again(&self, new: &NewRunner) -> Result<Registration> {
        let Launching { app, runners, .. } = self;
        app.http.restart_budget();
        loop {
            match register_once(*runners, &app.http, &app.log, new, &[]).await {
                // The forge removes the previous registration a moment after its job has ended.
                Err(error) if error.kind() == Kind::Conflict => {
                    app.http.pause_at_least(POLL_INTERVAL, Duration::ZERO).await.map_err(|_| error)?;
                }
                made => return made,
            }
        }
    }
}
