//! What is done at the forge, and in Docker, after a runner has ended.

use super::state::{DeregisterResult, RegistrationStatus};
use super::supervised::Supervised;
use crate::app::App;
use crate::error::Kind;
use crate::forge::runners::{Job, Registration, Runners};
use crate::forge::runs::Runs;
use crate::host::CONTAINERS;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// A forge may take a moment to notice that a runner's job is over.
const MAX_BUSY_ATTEMPTS: u32 = 5;
const BUSY_RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Reruns jobs that were interrupted with their runner.
pub async fn rerun(supervised: &Supervised<'_>, jobs: Vec<Job>) {
    let app = supervised.app;
    let (Some(most), Some(runs)) = (supervised.retry, supervised.runs) else { return };
    app.log.info("Still pending jobs, retrying workflow...");
    app.http.restart_budget();
    let mut done: Vec<String> = Vec::new();
    for job in jobs {
        let called = job.name.or(job.id).unwrap_or_else(|| "a job".to_owned());
        let Some(run) = job.rerun else {
            app.log.warn(&format!("cannot determine which run {called} belongs to: rerun it by hand"));
            continue;
        };
        if job.attempt.is_some_and(|attempt| attempt >= most) {
            app.log.warn(&format!("{called} has been started {most} times already: not running it again"));
        } else if !done.contains(&run) {
            if job.maybe_canceled && is_canceled(supervised, runs, &run).await {
                app.log.info(&format!("{called} was cancelled by a user: not running it again"));
                continue;
            }
            let rerun = async {
                match runs.rerun_lost(&run, most, &app.http).await {
                    Ok(Some(rerun)) => app.log.info(&format!("running again: {}", rerun.url)),
                    Ok(None) => app.log.info(&format!("{called} succeeded after all: not running it again")),
                    Err(error) => {
                        app.log.warn_of(&format!("cannot rerun {called}: {error}"), error.hint_text());
                    }
                }
            };
            with_deadline(app, rerun).await;
            done.push(run);
        }
    }
}

/// Returns whether a user cancelled a run; the forge may take a moment to know.
async fn is_canceled(supervised: &Supervised<'_>, runs: &dyn Runs, run: &str) -> bool {
    supervised.app.host.sleep(BUSY_RETRY_INTERVAL).await;
    runs.is_canceled(run).await.unwrap_or(false)
}

/// Asks the forge about a registration.
pub async fn check_registration(runners: &dyn Runners, registration: &Registration) -> RegistrationStatus {
    match runners.check(registration).await {
        Ok(Some(state)) => RegistrationStatus::Known(state),
        Ok(None) => RegistrationStatus::Unknown,
        Err(error) => RegistrationStatus::Unclear(error.to_string()),
    }
}

/// How long a command of Docker may take.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(60);

/// Removes the containers and networks of an interrupted job, by Docker's filter: its runner skips the step that does so,
/// and the next runner knows only its own.
pub async fn remove_containers(app: &App, filter: &str) {
    let docker = async |args: &[&str]| {
        let argv = [&["docker"], args].concat();
        match select(app.host.run(&argv, &[]), pin!(app.host.sleep(DOCKER_TIMEOUT))).await {
            Either::Left((Ok(output), _)) if output.code == Some(0) => {
                Some(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            _ => None,
        }
    };
    for (list, remove) in CONTAINERS {
        let Some(found) = docker(&[list, &["--filter", filter]].concat()).await else { return };
        let ids: Vec<&str> = found.split_whitespace().collect();
        if !ids.is_empty() {
            app.log.info("removing the Docker containers and networks of the interrupted job");
            docker(&[remove, &ids[..]].concat()).await;
        }
    }
}

/// Unregisters a runner that has ended.
pub async fn unregister(supervised: &Supervised<'_>) {
    supervised.app.http.restart_budget();
    with_deadline(supervised.app, try_to_unregister(supervised)).await;
}

async fn try_to_unregister(supervised: &Supervised<'_>) {
    let Supervised { app, runners, registration, .. } = supervised;
    let Some(runners) = runners else { return };
    app.log.info(&format!("Unregistering runner {}...", registration.name));
    for attempt in 0.. {
        match runners.unregister(registration).await {
            Ok(()) => return app.log.info("\tSuccess"),
            // The forge may not have noticed the end of the job yet.
            Err(error) if error.kind() == Kind::Conflict && attempt < MAX_BUSY_ATTEMPTS => {
                app.host.sleep(BUSY_RETRY_INTERVAL).await;
            }
            Err(error) => {
                let name = &registration.name;
                return app.log.warn_of(&format!("cannot unregister runner {name}: {error}"), error.hint_text());
            }
        }
    }
}

/// Removes an idle runner from the forge.
pub async fn deregister_idle(app: &App, runners: &dyn Runners, id: &str) -> DeregisterResult {
    match runners.delete(id).await {
        Ok(()) => DeregisterResult::Removed,
        Err(error) if error.kind() == Kind::Conflict => DeregisterResult::Busy,
        Err(error) => {
            app.log.debug(&format!("cannot remove the idle runner: {error}"));
            DeregisterResult::Failed
        }
    }
}

/// Runs some work; a first signal shortens its deadline, a second one ends it.
async fn with_deadline(app: &App, work: impl Future<Output = ()>) {
    let signals = async {
        app.host.interrupted().await;
        app.http.shorten_deadline();
        app.host.interrupted().await;
    };
    select(pin!(work), pin!(signals)).await;
}
