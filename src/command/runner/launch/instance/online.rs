//! Waits until the runner of a new instance is online, or finds out why it is not.

use super::{Phases, summary};
use crate::cloud::{Cloud, Instance, InstanceState};
use crate::command::runner::launch::Launching;
use crate::error::{Error, Kind, Result};
use crate::forge::runners::{Registration, Runner};
use crate::shutdown::Shutdown;
use futures_util::future::join;
use std::time::Duration;

/// Pause between two checks, each of which costs one request at the forge and one at the cloud.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How long to wait before the instance's console is shown.
const CONSOLE_AFTER: Duration = Duration::from_secs(100);
/// How many lines of the console are shown.
const SHOWN_LINES: usize = 30;
/// How often in a row a new instance or runner may be missing from an answer.
const MAX_MISSES: u32 = 3;

/// The state of the wait.
#[derive(Default)]
struct OnlineWait {
    runs: bool,
    shown: bool,
    /// What it waits for, as the cloud said it last.
    waits_for: Option<String>,
    /// How often in a row the cloud did not know the instance, and the forge not the runner.
    instance_misses: u32,
    runner_misses: u32,
}

impl Launching<'_> {
    /// Waits until the runner is online.
    ///
    /// # Errors
    /// [`Kind::Died`]: the instance ended, or its runner is not online in time. The console was shown then.
    pub(super) async fn wait_online(
        &self,
        cloud: &dyn Cloud,
        mut instance: Instance,
        registration: &Registration,
        phases: &Phases<'_>,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<Instance> {
        let app = self.app;
        let begun = app.host.elapsed();
        let mut wait = OnlineWait::default();
        loop {
            app.http.restart_budget();
            let checks = join(self.runners.get(&registration.id), cloud.get(&instance.id));
            let (runner, found) = shutdown.run_until(checks).await?;
            let runner = self.tolerate_failure(runner)?;
            if let Some(found) = self.tolerate_failure(found)? {
                wait.instance_misses = if found.is_none() { wait.instance_misses + 1 } else { 0 };
                instance = found.unwrap_or(instance);
            }
            if instance.state == InstanceState::Running && !wait.runs {
                wait.runs = true;
                phases.say("running");
            }
            wait.say_waiting(&instance, |message| app.log.info(message));
            if wait.is_online(runner, &instance) {
                phases.say(&format!("runner {} online", registration.name));
                return Ok(instance);
            }
            let waited = app.host.elapsed().saturating_sub(begun);
            if let Some(error) = wait.failure(&instance) {
                self.show_console(cloud, &instance).await;
                return Err(error);
            }
            if waited >= self.boot_timeout {
                let seconds = self.boot_timeout.as_secs();
                let name = summary::render_instance(&instance);
                if let InstanceState::Waiting { message } = &instance.state {
                    return Err(Error::new(
                        Kind::NoCapacity,
                        format!("instance {name} found no capacity within {seconds} seconds: {message}"),
                    )
                    .hint("check the size and the labels of nodes that are asked for, or raise --cloud-boot-timeout if the cluster takes longer to add a node"));
                }
                self.show_console(cloud, &instance).await;
                return Err(died(format!("the runner of instance {name} did not come online within {seconds} seconds"))
                .hint("its console is above: check that the instance can reach the internet (a private subnet needs a NAT gateway), or raise --cloud-boot-timeout if its start-up script takes longer"));
            }
            if waited >= CONSOLE_AFTER && !wait.shown {
                wait.shown = true;
                app.log.info(&format!(
                    "the runner is not online after {} seconds; the instance's console:",
                    CONSOLE_AFTER.as_secs()
                ));
                self.show_console(cloud, &instance).await;
            }
            shutdown.run_until(app.host.sleep(POLL_INTERVAL)).await?;
        }
    }

    /// Turns a temporary failure into `None` and logs it.
    fn tolerate_failure<T>(&self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if matches!(error.kind(), Kind::Remote | Kind::RateLimited) => {
                self.app.log.warn(&format!("{error}; retrying"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Logs the last lines of the instance's console, if the cloud has them already.
    async fn show_console(&self, cloud: &dyn Cloud, instance: &Instance) {
        self.app.http.restart_budget();
        match cloud.console_log(&instance.id).await {
            Ok(text) if !text.trim().is_empty() => {
                let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
                for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                    self.app.log.quote(&format!("console: {line}"));
                }
            }
            Ok(_) => self.app.log.info("the instance's console is still empty"),
            Err(error) => self.app.log.info(&format!("cannot fetch the console output ({error})")),
        }
    }
}

fn died(what: String) -> Error {
    Error::new(Kind::Died, what)
}

impl OnlineWait {
    /// Says what the instance waits for, once for each reason.
    fn say_waiting(&mut self, instance: &Instance, say: impl Fn(&str)) {
        let InstanceState::Waiting { message } = &instance.state else { return };
        if self.waits_for.as_ref() != Some(message) {
            say(&format!("instance {} waits for capacity: {message}", instance.id));
            self.waits_for = Some(message.clone());
        }
    }

    fn is_online(&mut self, runner: Option<Option<Runner>>, instance: &Instance) -> bool {
        match runner {
            Some(Some(runner)) => {
                self.runner_misses = 0;
                runner.online
            }
            // A runner for one job may have completed it between two checks.
            Some(None) => {
                self.runner_misses += 1;
                self.runner_misses >= MAX_MISSES && self.runs && instance.state == InstanceState::Running
            }
            None => false,
        }
    }

    /// Returns why the runner will never come online, if that is certain.
    fn failure(&self, instance: &Instance) -> Option<Error> {
        let name = summary::render_instance(instance);
        let ended = |why: &str| died(format!("instance {name} ended before its runner was online: {why}"));
        match &instance.state {
            InstanceState::Failed { kind, message } => {
                let error = Error::new(*kind, format!("instance {name} failed: {message}"));
                Some(error.hint(match kind {
                    Kind::NoCapacity => "ask for less with --cloud-type, or try again when others have ended",
                    _ => "check --cloud-image, and that the cloud may use what the instance is made of",
                }))
            }
            InstanceState::Terminated | InstanceState::Stopped => {
                Some(ended(instance.reason.as_deref().unwrap_or("the cloud gives no reason")))
            }
            _ if self.instance_misses >= MAX_MISSES && self.runs => Some(ended("the cloud no longer lists it")),
            _ => None,
        }
    }
}
