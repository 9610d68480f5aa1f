//! On the instance: the notice of a preemption, and whether the instance has an identity.

use crate::app::App;
use crate::auth::gcp::metadata;
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use std::time::Duration;

/// How long the metadata server holds a request for a change, in seconds:
/// <https://cloud.google.com/compute/docs/metadata/querying-metadata#waitforchange>.
const HOLD: u64 = 60;
/// How long such a request may take.
const HELD_TIMEOUT: Duration = Duration::from_secs(HOLD + 10);
/// The pause after each of them: where the server does not hold them, it is not asked all the time.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the metadata server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often the metadata server, which may not answer at once after a boot, is asked.
const MAX_ATTEMPTS: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Waits for the notice of a preemption; never returns on an instance that is not a spot one. It comes two minutes before the end, or half
/// a minute where the instance was made without it: <https://cloud.google.com/compute/docs/instances/spot#preemption-process>.
pub fn wait_for_interruption(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        // No text has this tag: the first answer comes at once.
        let mut tag = "NONE".to_owned();
        loop {
            let path = format!("instance/preempted?wait_for_change=true&timeout_sec={HOLD}&last_etag={tag}");
            if let Some(answer) = metadata::ask(app, &path, HELD_TIMEOUT).await
                && answer.status == StatusCode::OK
            {
                if answer.text == "TRUE" {
                    return;
                }
                tag = answer.tag.unwrap_or(tag);
            }
            app.host.sleep(PAUSE).await;
        }
    })
}

/// Returns whether this instance has a service account; `true` when that cannot be determined.
pub fn has_identity(app: &App) -> LocalBoxFuture<'_, bool> {
    Box::pin(async move {
        for _ in 0..MAX_ATTEMPTS {
            match metadata::ask(app, "instance/service-accounts/default/email", TIMEOUT).await {
                Some(answer) if answer.status == StatusCode::NOT_FOUND => return false,
                Some(answer) if answer.status == StatusCode::OK => return !answer.text.is_empty(),
                _ => app.host.sleep(RETRY_PAUSE).await,
            }
        }
        true
    })
}
