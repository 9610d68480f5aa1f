//! A task that this program has created: put it into its queue, follow it, tell what became of it.

use super::find::document;
use super::follow::{Ending, Follower, Patience, Until};
use super::launch::Plan;
use super::links;
use super::report::folded;
use crate::app::App;
use crate::clearml::Client;
use crate::clearml::launch::State;
use crate::error::{Error, Kind, Result};
use crate::outputs;
use crate::report::escape::escape;
use crate::shutdown::Shutdown;
use serde_json::json;

/// A created task.
pub struct Launched<'a> {
    /// The program.
    pub app: &'a App,
    /// The server.
    pub client: &'a Client,
    /// What was looked up for it.
    pub plan: &'a Plan,
    /// Its identity.
    pub id: String,
}

impl<'a> Launched<'a> {
    /// Creates the task.
    ///
    /// # Errors
    /// Those of [`Client::create`].
    pub async fn create(app: &'a App, client: &'a Client, plan: &'a Plan, shutdown: &mut Shutdown<'_>) -> Result<Self> {
        app.http.restart_budget();
        // Whatever was created must be known, to be taken back.
        let id = shutdown.run_to_completion(client.create(&plan.draft)).await?;
        Ok(Launched { app, client, plan, id })
    }

    /// Puts it into the queue.
    ///
    /// # Errors
    /// A signal came before, or the server refuses.
    pub async fn enqueue(&self, shutdown: &mut Shutdown<'_>) -> Result<()> {
        shutdown.check()?;
        let Plan { queue, draft, .. } = self.plan;
        shutdown.run_to_completion(self.client.enqueue(&self.id, &queue.id)).await?;
        self.app.log.info(&format!("the task {} ({}) is in the queue {}", draft.name, self.id, queue.name));
        Ok(())
    }

    /// Follows it until it has shown what is wanted, it has ended, or a signal comes.
    ///
    /// # Errors
    /// The signal, or the server cannot be reached.
    pub async fn follow(
        &self,
        until: Until,
        patience: &Patience,
        timeout: u64,
        shutdown: &mut Shutdown<'_>,
    ) -> Result<Ending> {
        let (app, client, id, queue) = (self.app, self.client, &self.id[..], &self.plan.queue);
        let follower = Follower { app, client, id, queue, until, patience, timeout };
        shutdown.run_until(follower.follow()).await?
    }

    /// Stops it, and archives it if that is wanted; within a few seconds after a signal.
    ///
    /// # Errors
    /// It may still run.
    pub async fn stop(&self, reason: &str, archive: bool, shutdown: &mut Shutdown<'_>) -> Result<()> {
        let Launched { app, client, plan, id } = self;
        app.http.restart_budget();
        if shutdown.received().is_some() {
            app.log.info("stopping the task");
            app.http.shorten_deadline();
        }
        shutdown.run_to_completion(client.stop(app, id, reason, archive)).await.map_err(|error| {
            error
                .context(format!("cannot stop the ClearML task {} ({id})", plan.draft.name))
                .or_hint("stop and archive it in ClearML: it may still run")
        })
    }

    /// Returns its page, where that is known.
    pub async fn url(&self, state: &State) -> String {
        // The version of the API is known by now: this sends nothing.
        let links = links(self.client).await.ok();
        links.and_then(|links| links.task(&state.task.project, &self.id, "log")).unwrap_or_default()
    }

    /// Returns how it ended as Markdown, under a title.
    pub async fn markdown(&self, title: &str, ending: &Ending) -> String {
        let Plan { queue, commit, .. } = self.plan;
        let (symbol, message) = match &ending.outcome {
            Ok(message) => ('✔', message.clone()),
            Err(error) => ('✘', error.to_string()),
        };
        let url = self.url(&ending.state).await;
        let task = if url.is_empty() { self.id.clone() } else { format!("[task]({url})") };
        let commit = commit.get(..7).unwrap_or(commit);
        let (title, message, queue) = (escape(title), escape(&message), escape(&queue.name));
        let log = folded(&ending.log);
        format!("### {title} {symbol}\n\n{task} · commit {commit} · queue {queue}\n\n{message}\n{log}")
    }

    /// Prints the result, or the end of the log of a task that failed; sets the outputs.
    pub async fn tell(&self, json: bool, ending: &Result<Ending>) -> Result<()> {
        let Launched { app, plan, id, .. } = self;
        let unknown = State::default();
        let (kind, outcome, state, log) = match ending {
            Ok(Ending { kind, outcome, state, log }) => (*kind, outcome.as_ref(), state, &log[..]),
            Err(error) => {
                (if error.kind() == Kind::Interrupted { "cancelled" } else { "error" }, Err(error), &unknown, &[][..])
            }
        };
        let url = self.url(state).await;
        match outcome {
            _ if json => {
                let message = outcome.map_or_else(Error::to_string, Clone::clone);
                let document = document(&json!({ "kind": kind, "message": message, "id": id, "name": plan.draft.name,
                    "status": state.task.status, "commit": plan.commit, "queue": plan.queue.name, "url": url, "log": log }));
                app.print_result(&document)?;
            }
            Ok(_) => app.print_line(format!("{id} {url}").trim_end())?,
            Err(_) => {
                if !log.is_empty() {
                    app.log.quote(&log.join("\n"));
                }
                if !log.is_empty() && !url.is_empty() {
                    app.log.info(&format!("the whole log: {url}"));
                }
            }
        }
        outputs::set(app, &[("task-id", id), ("task-url", &url), ("task-status", &state.task.status)])
    }
}

/// Returns the result of all: what failed first counts, and what is left is told in any case.
pub fn conclude(
    app: &App,
    ending: Result<Ending>,
    cleaned: Result<()>,
    told: Result<()>,
    shutdown: &Shutdown<'_>,
) -> Result<()> {
    match ending.and_then(|ending| ending.outcome) {
        Ok(message) => {
            app.log.info(&message);
            cleaned.and(told).and_then(|()| shutdown.check())
        }
        Err(error) => {
            if let Err(left) = cleaned {
                app.log.warn_of(&left.to_string(), left.hint_text());
            }
            Err(error)
        }
    }
}
