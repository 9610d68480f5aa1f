//! On the machine: EC2 tells two minutes before it takes a spot machine back, and whether the machine has an identity.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use crate::app::App;
use crate::auth::aws::metadata::{ROLES, Session};
use futures_util::future::LocalBoxFuture;
use http::StatusCode;
use std::time::Duration;

/// Amazon advises to look so often.
const LOOK: Duration = Duration::from_secs(5);
const NOTICE: &str = "meta-data/spot/instance-action";
/// A machine that has just booted may wait a moment for the service.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Resolves when there is a notice; never on a machine that is not a spot one.
pub fn taken_back(app: &App) -> LocalBoxFuture<'_, ()> {
    Box::pin(async move {
        while !is_noticed(app).await {
            app.host.sleep(LOOK).await;
        }
    })
}

/// A session each time, as the service asks for: two small requests that do not leave the machine.
async fn is_noticed(app: &App) -> bool {
    match Session::begin(app).await {
        Some(session) => session.read(NOTICE).await.is_some(),
        None => false,
    }
}

/// Returns whether this machine has an instance profile; `true` where that cannot be told.
pub fn has_identity(app: &App) -> LocalBoxFuture<'_, bool> {
    Box::pin(async move {
        for _ in 0..TRIES {
            let answer = match Session::begin(app).await {
                Some(session) => session.get(ROLES).await,
                None => None,
            };
            match answer {
                Some((StatusCode::NOT_FOUND, _)) => return false,
                Some((StatusCode::OK, roles)) => return !roles.is_empty(),
                _ => app.host.sleep(PAUSE).await,
            }
        }
        true
    })
}
