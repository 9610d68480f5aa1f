//! The identity token of a CI job, which a cloud accepts instead of keys (OpenID Connect).

use crate::app::App;
use crate::ci;
use crate::env::{Secret, vars};
use crate::error::Result;

/// Returns the job's identity token for an audience: the one in `CML_ID_TOKEN`, else the CI's own; `None` when the CI offers
/// none.
///
/// # Errors
/// The CI refuses.
pub async fn token(app: &App, audience: &str) -> Result<Option<Secret>> {
    let token = match (app.env().get(vars::CML_ID_TOKEN), ci::detect(app.env())) {
        (Some(token), _) => Some(Secret::new(token)),
        (None, Some(ci)) => ci.identity_token(&app.http, &app.log, audience).await?,
        (None, None) => None,
    };
    if let Some(token) = &token {
        app.log.hide("the identity token of the job", token);
    }
    Ok(token)
}
