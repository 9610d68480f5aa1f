//! What a registered runner needs on this machine, and its supervision.

use super::super::place::Folders;
use super::{ATTEMPTS, LOOK, Launching};
use crate::connect::Connected;
use crate::env::vars;
use crate::error::{Kind, Result};
use crate::forge::register_runner_once;
use crate::forge::runner::{NewRunner, Place, Registration};
use crate::runner::{
    package,
    supervise::{Supervised, supervise},
};
use futures_util::future::LocalBoxFuture;
use std::path::PathBuf;
use std::time::Duration;

impl Launching<'_> {
    /// The runner program, where the forge has one to download, and what the machine can do.
    pub(super) async fn prepare(&self, folders: Folders) -> Result<Place> {
        let Launching { app, args, connected: Connected { forge, .. }, .. } = self;
        let gpu = app.run(&["nvidia-smi", "--list-gpus"]).await.is_ok_and(|output| output.code == Some(0));
        let docker_image = match forge.job_image(gpu) {
            Some(default) => self.docker_image(default).await,
            None => None,
        };
        if let Some(image) = forge.runner_image() {
            package::pull(app, image).await;
        }
        if args.runner_path.is_none()
            && let Some(package) = forge.runner_package(&app.host.platform()).await?
        {
            package::install(app, &package, &folders.program).await?;
        }
        Ok(Place {
            program: folders.program,
            work: folders.work,
            single: self.single,
            idle: args.idle_timeout.0,
            docker_volumes: args.docker_volumes.clone(),
            docker_image,
            gpu,
            hooks: folders.hooks,
        })
    }

    /// The image for jobs that name none; `None` where jobs run beside the runner, as there are no containers.
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
            app.log.info("docker does not run here: jobs run as this user, outside of containers");
        }
        has_docker.then(|| default.to_owned())
    }

    /// Runs the runner to its end.
    pub(super) async fn supervise(
        &self,
        new: &NewRunner,
        registration: Registration,
        place: Place,
        own: PathBuf,
    ) -> Result<()> {
        let Launching { app, connected: Connected { forge, driver, repository, .. }, .. } = self;
        let mint = || -> LocalBoxFuture<'_, Result<Registration>> { Box::pin(self.mint(new)) };
        supervise(Supervised {
            app,
            forge: Some(&**forge),
            driver,
            repo: repository.url(),
            registration,
            next: Some(&mint),
            place,
            pass_env: self.args.pass_env.clone(),
            retry: (!self.args.no_retry).then_some(ATTEMPTS),
            keep_logs: self.args.keep_logs.clone(),
            remove: vec![own],
            user: None,
            beside: Vec::new(),
            told: None,
        })
        .await
    }

    /// Registers the same runner anew, for its next job.
    async fn mint(&self, new: &NewRunner) -> Result<Registration> {
        let Launching { app, connected: Connected { forge, .. }, .. } = self;
        app.http.restart_budget();
        loop {
            match register_runner_once(&**forge, &app.http, &app.log, new, &[]).await {
                // The forge removes the one whose job has ended a moment after that.
                Err(error) if error.kind() == Kind::Conflict => {
                    app.http.pause_at_least(LOOK, Duration::ZERO).await.map_err(|_| error)?;
                }
                made => return made,
            }
        }
    }
}
