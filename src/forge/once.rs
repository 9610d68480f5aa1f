//! Requests that must have their effect exactly once: when an answer was lost, look before sending again.

use super::runner::{NewRunner, Registration, Runner};
use super::{Comment, Forge, Target};
use crate::error::{Kind, Result};
use crate::http::Http;
use crate::log::Log;
use std::cell::Cell;
use std::time::Duration;

/// How often something is tried.
const MAX_ATTEMPTS: u32 = 6;
/// The first of the growing pauses between them.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Makes a comment exactly once.
pub async fn create_comment_once(forge: &dyn Forge, http: &Http, target: &Target, body: &str) -> Result<Comment> {
    let started = http.mark();
    let send = async || forge.create_comment(target, body).await;
    let look = async || {
        let stored = forge.stored(body);
        let mut found = forge.list_comments(target, &|comment| same_text(&comment.body, &stored)).await?;
        let since = http.server_time_at(started) - 5;
        found.retain(|comment| comment.created >= since);
        Ok(found.pop())
    };
    let messages = OutcomeMessages {
        done: "the comment was created".to_owned(),
        unknown: format!("check {target} before you run this again; cml comment update does not create a second one"),
        not_done: "the comment was not created",
    };
    exactly_once(http, &messages, send, look).await
}

/// Starts a run again exactly once. `what` names the run.
pub async fn start_once<T>(
    http: &Http,
    what: &str,
    send: impl AsyncFn() -> Result<T>,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let messages = OutcomeMessages {
        done: format!("{what} was restarted"),
        unknown: format!("check {what} before you run this again"),
        not_done: "nothing was restarted",
    };
    exactly_once(http, &messages, send, look).await
}

/// Registers a runner exactly once. A runner whose credential was lost with the answer is of no use: it is removed and
/// registered again. `before` are the runners that there were before, which are none of ours.
pub async fn register_runner_once(
    forge: &dyn Forge,
    http: &Http,
    log: &Log,
    new: &NewRunner,
    before: &[Runner],
) -> Result<Registration> {
    let lost_before = Cell::new(false);
    let send = async || {
        let made = forge.register_runner(new).await.map_err(|error| match error.kind() {
            // Ours, which the listing did not show yet.
            Kind::Conflict if lost_before.get() => error.ambiguous(),
            _ => error,
        });
        made.inspect_err(|error| {
            if error.is_ambiguous() {
                lost_before.set(true);
                log.info(&format!("{error}; checking whether runner {} is registered", new.name));
            }
        })
    };
    let look = async || {
        let known = |runner: &Runner| before.iter().any(|old| old.id == runner.id);
        let lost = |runner: &Runner| runner.name == new.name && !runner.online && !known(runner);
        for runner in forge.list_runners(&[]).await?.into_iter().filter(lost) {
            log.info(&format!("the credential of runner {} was lost; removing the runner", runner.name));
            forge.delete_runner(&runner.id).await?;
        }
        Ok(None)
    };
    let messages = OutcomeMessages {
        done: format!("runner {} was registered", new.name),
        unknown: format!("check the list of runners, remove {} if it is there, and run this again", new.name),
        not_done: "no runner was registered",
    };
    exactly_once(http, &messages, send, look).await
}

/// What a user is told when it does not come to a good end.
pub(super) struct OutcomeMessages {
    /// What it is not known of whether it happened.
    pub done: String,
    /// What to do about that.
    pub unknown: String,
    /// What certainly did not happen.
    pub not_done: &'static str,
}

/// Sends until it is known that it happened: when the answer was lost, looks before sending again.
pub(super) async fn exactly_once<T>(
    http: &Http,
    messages: &OutcomeMessages,
    send: impl AsyncFn() -> Result<T>,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let OutcomeMessages { done, unknown, not_done } = messages;
    let (mut attempt, before) = (0, http.requests());
    loop {
        http.count_from(before);
        let error = match send().await {
            Err(error) if error.is_ambiguous() => error,
            outcome => return outcome,
        };
        http.log().info(&format!("{error}; checking whether {done}"));
        let lost =
            |why: &str| error.clone().context(format!("cannot determine whether {done}{why}")).hint(unknown.clone());
        let pause = error.retry_after().unwrap_or(RETRY_PAUSE);
        http.pause_at_least(pause, Duration::ZERO).await.map_err(|_| lost(""))?;
        http.count_from(before);
        let found = look().await.map_err(|why| lost(&format!(": checking failed ({why})")))?;
        if let Some(found) = found {
            return Ok(found);
        }
        attempt += 1;
        if attempt >= MAX_ATTEMPTS || http.pause(RETRY_PAUSE, attempt - 1).await.is_err() {
            return Err(
                error.or_hint(format!("{not_done}: try again later, or allow more time with --timeout SECONDS"))
            );
        }
    }
}

/// Forges trim bodies and change line ends.
fn same_text(one: &str, other: &str) -> bool {
    one.trim().lines().map(str::trim_end).eq(other.trim().lines().map(str::trim_end))
}
