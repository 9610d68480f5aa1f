//! From the accepted machine to the runner that is online, or to the reason why it is not.

use super::{Phases, told};
use crate::cloud::{Cloud, Instance, State};
use crate::command::runner::launch::{End, Launching, unless};
use crate::error::{Error, Kind, Result};
use crate::forge::runner::{Registration, Runner};
use futures_util::future::join;
use std::time::Duration;

/// Between two looks, which cost one request at the forge and one at the cloud.
const PAUSE: Duration = Duration::from_secs(2);
/// The machine's console is shown when its runner is not online by then.
const SLOW: Duration = Duration::from_secs(100);
/// So much of the console is shown.
const TAIL: usize = 30;
/// A machine or a runner that was just made may be a moment late in an answer.
const LATE: u32 = 3;

/// What is known of the wait so far.
#[derive(Default)]
struct Wait {
    runs: bool,
    shown: bool,
    /// How often in a row the cloud did not know the machine, and the forge not the runner.
    no_machine: u32,
    no_runner: u32,
}

impl Launching<'_> {
    /// Waits until the runner is online; `None` when the program was asked to end.
    ///
    /// # Errors
    /// [`Kind::Died`]: the machine ended, or its runner is not online in time. The console was shown then.
    pub(super) async fn wait_online(
        &self,
        cloud: &dyn Cloud,
        mut instance: Instance,
        registration: &Registration,
        phases: &Phases<'_>,
        end: &mut End<'_>,
    ) -> Result<Option<Instance>> {
        let app = self.app;
        let begun = app.host.elapsed();
        let mut wait = Wait::default();
        loop {
            app.http.restart_budget();
            let looks = join(self.connected.forge.get_runner(&registration.id), cloud.get_instance(&instance.id));
            let Some((runner, machine)) = unless(end, looks).await else { return Ok(None) };
            let runner = self.passable(runner)?;
            if let Some(machine) = self.passable(machine)? {
                wait.no_machine = if machine.is_none() { wait.no_machine + 1 } else { 0 };
                instance = machine.unwrap_or(instance);
            }
            if instance.state == State::Running && !wait.runs {
                wait.runs = true;
                phases.say("running");
            }
            if wait.is_online(runner, &instance) {
                phases.say(&format!("runner {} online", registration.name));
                return Ok(Some(instance));
            }
            let waited = app.host.elapsed().saturating_sub(begun);
            if let Some(why) = wait.failed(&instance) {
                self.show_console(cloud, &instance).await;
                return Err(died(format!(
                    "instance {} ended before its runner was online: {why}",
                    told::instance(&instance)
                )));
            }
            if waited >= self.patience {
                self.show_console(cloud, &instance).await;
                let seconds = self.patience.as_secs();
                return Err(died(format!(
                    "the runner of {} is not online after {seconds} seconds",
                    told::instance(&instance)
                ))
                .hint("its console is above: check that the machine reaches the internet (a private subnet needs a NAT gateway), or give a start-up script that takes longer more time with --cloud-boot-timeout"));
            }
            if waited >= SLOW && !wait.shown {
                wait.shown = true;
                app.log.info(&format!(
                    "the runner is not online after {} seconds; the machine's console:",
                    SLOW.as_secs()
                ));
                self.show_console(cloud, &instance).await;
            }
            if unless(end, app.host.sleep(PAUSE)).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// An answer; `None` when there was none and the next look may have one.
    fn passable<T>(&self, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if matches!(error.kind(), Kind::Remote | Kind::RateLimited) => {
                self.app.log.warn(&format!("{error}; looking again"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The end of the machine's console, where the cloud has it by now.
    async fn show_console(&self, cloud: &dyn Cloud, instance: &Instance) {
        self.app.http.restart_budget();
        match cloud.instance_logs(&instance.id).await {
            Ok(text) if !text.trim().is_empty() => {
                let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
                for line in &lines[lines.len().saturating_sub(TAIL)..] {
                    self.app.log.quote(&format!("console: {line}"));
                }
            }
            Ok(_) => self.app.log.info("the machine has written nothing to its console yet"),
            Err(error) => self.app.log.info(&format!("the machine's console cannot be had ({error})")),
        }
    }
}

fn died(what: String) -> Error {
    Error::new(Kind::Died, what)
}

impl Wait {
    fn is_online(&mut self, runner: Option<Option<Runner>>, instance: &Instance) -> bool {
        match runner {
            Some(Some(runner)) => {
                self.no_runner = 0;
                runner.online
            }
            // A runner for one job may have done it between two looks.
            Some(None) => {
                self.no_runner += 1;
                self.no_runner >= LATE && self.runs && instance.state == State::Running
            }
            None => false,
        }
    }

    /// Why no runner will come any more.
    fn failed(&self, instance: &Instance) -> Option<String> {
        match instance.state {
            State::Gone | State::Stopped => {
                Some(instance.reason.clone().unwrap_or_else(|| "the cloud gives no reason".to_owned()))
            }
            _ if self.no_machine >= LATE && self.runs => Some("the cloud does not know it any more".to_owned()),
            _ => None,
        }
    }
}
