//! On the instance: spot interruption notices, two minutes in advance, and whether the instance has an identity.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use crate::app::App;
use crate::auth::aws::metadata::{ROLES, Session};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use std::time::Duration;

/// How often Amazon recommends to poll.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
const NOTICE: &str = "meta-data/spot/instance-action";
/// The metadata service may not answer at once after a boot.
const MAX_ATTEMPTS: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Waits for an interruption notice; never returns on an instance that is not a spot one.
pub fn wait_for_interruption(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        while !is_noticed(app).await {
            app.host.sleep(POLL_INTERVAL).await;
        }
    })
}

/// Returns whether there is a notice. Each check opens a session: two small requests that do not leave the host.
async fn is_noticed(app: &App) -> bool {
    match Session::open(app).await {
        Some(session) => session.read(NOTICE).await.is_some(),
        None => false,
    }
}

/// Returns whether this instance has an instance profile; `true` when that cannot be determined.
pub fn has_identity(app: &App) -> LocalBoxFuture<'_, bool> {
    Box::pin(async move {
        for _ in 0..MAX_ATTEMPTS {
            let answer = match Session::open(app).await {
                Some(session) => session.get(ROLES).await,
                None => None,
            };
            match answer {
                Some((StatusCode::NOT_FOUND, _)) => return false,
                Some((StatusCode::OK, roles)) => return !roles.is_empty(),
                _ => app.host.sleep(RETRY_PAUSE).await,
            }
        }
        true
    })
}
