//! The instance metadata service: <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>.

use crate::app::App;
use crate::env::vars;
use bytes::Bytes;
use http::{Request, StatusCode};
use std::time::Duration;

/// Returns the status and body of a path below `metadata`; `None` when there is no answer in time.
pub async fn get(app: &App, path: &str, timeout: Duration) -> Option<(StatusCode, Bytes)> {
    let base = app.env().get(vars::AZURE_POD_IDENTITY_AUTHORITY_HOST).unwrap_or("http://169.254.169.254");
    let address = format!("{}/metadata/{path}", base.trim_end_matches('/'));
    let request = Request::get(address).header("Metadata", "true").body(Bytes::new()).ok()?;
    let answer = app.host.send(request, timeout).await.ok()?;
    Some((answer.status(), answer.into_body()))
}
