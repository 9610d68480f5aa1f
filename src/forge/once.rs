//! Requests that must have their effect exactly once: when an answer was lost, look before sending again.

use crate::error::Result;
use crate::http::Http;
use std::time::Duration;

/// How often something is tried.
const MAX_ATTEMPTS: u32 = 6;
/// The first of the growing pauses between them.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// What a user is told when it does not come to a good end.
pub(in crate::forge) struct OutcomeMessages {
    /// What it is not known of whether it happened.
    pub done: String,
    /// What to do about that.
    pub unknown: String,
    /// What certainly did not happen.
    pub not_done: &'static str,
}

/// Sends until it is known that it happened: when the answer was lost, looks before sending again.
pub(in crate::forge) async fn exactly_once<T>(
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
