//! What is left to do at the forge when a runner has ended.

use super::machine::{Deletion, Standing};
use super::supervise::Supervised;
use crate::app::App;
use crate::error::Kind;
use crate::forge::Forge;
use crate::forge::runner::{Job, Registration};
use crate::host::CONTAINERS;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;

/// A forge may need a moment to see that a runner's job is over.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// Starts jobs again whose runner ended under them.
pub async fn rerun(it: &Supervised<'_>, jobs: Vec<Job>) {
    let app = it.app;
    let (Some(most), Some(forge)) = (it.retry, it.forge) else { return };
    app.log.info("Still pending jobs, retrying workflow...");
    app.http.restart_budget();
    let mut done: Vec<String> = Vec::new();
    for job in jobs {
        let called = job.name.or(job.id).unwrap_or_else(|| "a job".to_owned());
        let Some(run) = job.rerun else {
            app.log.warn(&format!("cannot tell which run {called} belongs to: start it again by hand"));
            continue;
        };
        if job.attempt.is_some_and(|attempt| attempt >= most) {
            app.log.warn(&format!("{called} was started {most} times already: it is not started again"));
        } else if !done.contains(&run) {
            if job.maybe_canceled && is_canceled(it, forge, &run).await {
                app.log.info(&format!("{called} was cancelled by a user: it is not started again"));
                continue;
            }
            let rerun = async {
                match forge.rerun_lost(&run, most, &app.http).await {
                    Ok(Some(rerun)) => app.log.info(&format!("started again: {}", rerun.url)),
                    Ok(None) => app.log.info(&format!("{called} ended well after all: it is not started again")),
                    Err(error) => {
                        app.log.warn_of(&format!("cannot start {called} again: {error}"), error.hint_text());
                    }
                }
            };
            unless_urged(app, rerun).await;
            done.push(run);
        }
    }
}

/// Returns whether a user cancelled a run; a forge may need a moment to say so.
async fn is_canceled(it: &Supervised<'_>, forge: &dyn Forge, run: &str) -> bool {
    it.app.host.sleep(BUSY_PAUSE).await;
    forge.is_run_canceled(run).await.unwrap_or(false)
}

/// Asks the forge about a runner.
pub async fn check(forge: &dyn Forge, registration: &Registration) -> Standing {
    match forge.check_runner(registration).await {
        Ok(Some(state)) => Standing::Known(state),
        Ok(None) => Standing::Unknown,
        Err(error) => Standing::Unclear(error.to_string()),
    }
}

/// Docker answers by then.
const DOCKER: Duration = Duration::from_secs(60);

/// Removes the containers and networks that Docker's filter finds, which an interrupted job left: its runner skips the step
/// that does so, and the next one knows only its own.
pub async fn remove_containers(app: &App, filter: &str) {
    let docker = async |args: &[&str]| {
        let words = [&["docker"], args].concat();
        match select(app.host.run(&words, &[]), pin!(app.host.sleep(DOCKER))).await {
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
            app.log.info("removing what the interrupted job left in Docker");
            docker(&[remove, &ids[..]].concat()).await;
        }
    }
}

/// Unregisters a runner that has ended.
pub async fn unregister(it: &Supervised<'_>) {
    it.app.http.restart_budget();
    unless_urged(it.app, try_to_unregister(it)).await;
}

async fn try_to_unregister(it: &Supervised<'_>) {
    let Supervised { app, forge, registration, .. } = it;
    let Some(forge) = forge else { return };
    app.log.info(&format!("Unregistering runner {}...", registration.name));
    for attempt in 0.. {
        match forge.unregister_runner(registration).await {
            Ok(()) => return app.log.info("\tSuccess"),
            // The job's end may not have reached it yet.
            Err(error) if error.kind() == Kind::Conflict && attempt < BUSY_TRIES => {
                app.host.sleep(BUSY_PAUSE).await;
            }
            Err(error) => {
                let name = &registration.name;
                return app.log.warn_of(&format!("cannot unregister the runner {name}: {error}"), error.hint_text());
            }
        }
    }
}

/// Removes an idle runner.
pub async fn delete(app: &App, forge: &dyn Forge, id: &str) -> Deletion {
    match forge.delete_runner(id).await {
        Ok(()) => Deletion::Gone,
        Err(error) if error.kind() == Kind::Conflict => Deletion::Busy,
        Err(error) => {
            app.log.debug(&format!("cannot remove the idle runner: {error}"));
            Deletion::Failed
        }
    }
}

/// Work that a signal hurries up, and another one ends.
async fn unless_urged(app: &App, work: impl Future<Output = ()>) {
    let urged = async {
        app.host.interrupted().await;
        app.http.shorten_deadline();
        app.host.interrupted().await;
    };
    select(pin!(work), pin!(urged)).await;
}
