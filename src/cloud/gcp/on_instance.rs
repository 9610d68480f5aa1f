//! On the instance: the notice of a preemption, and whether the instance has an identity.

use crate::app::App;
use crate::auth::gcp::metadata;
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use std::time::Duration;

/// How often the notice is looked for. It comes two minutes before the end, or half a minute where the instance was made without it:
/// <https://cloud.google.com/compute/docs/instances/spot#preemption-process>.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long the metadata server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How often the metadata server, which may not answer at once after a boot, is asked.
const MAX_ATTEMPTS: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Waits for the notice of a preemption; never returns on an instance that is not a spot one.
pub fn wait_for_interruption(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        while metadata::get(app, "instance/preempted").await.as_deref() != Some("TRUE") {
            app.host.sleep(POLL_INTERVAL).await;
        }
    })
}

/// Returns whether this instance has a service account; `true` when that cannot be determined.
pub fn has_identity(app: &App) -> LocalBoxFuture<'_, bool> {
    Box::pin(async move {
        for _ in 0..MAX_ATTEMPTS {
            match metadata::ask(app, "instance/service-accounts/default/email", TIMEOUT).await {
                Some((StatusCode::NOT_FOUND, _)) => return false,
                Some((StatusCode::OK, email)) => return !email.is_empty(),
                _ => app.host.sleep(RETRY_PAUSE).await,
            }
        }
        true
    })
}
