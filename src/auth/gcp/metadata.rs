//! The metadata server of an instance: <https://cloud.google.com/compute/docs/metadata/overview>.

use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::{Secret, vars};
use crate::error::Result;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use std::time::Duration;

/// How long the server, which is on the same host, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The path of the token of the instance's service account.
const TOKEN: &str = "instance/service-accounts/default/token";

/// The service account of this instance.
pub struct ServiceAccount;

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
}

#[async_trait(?Send)]
impl Source<Secret> for ServiceAccount {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let text = get(app, TOKEN).await;
        let token = text.and_then(|text| serde_json::from_str::<Token>(&text).ok());
        Ok(token.map(|Token { access_token, expires_in }| Expiring {
            value: Secret::new(access_token),
            expires: Some(app.host.now() + Duration::from_secs(expires_in)),
        }))
    }
}

/// What the server answers.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The text.
    pub text: String,
    /// What a request that waits for a change of the text gives as `last_etag`.
    pub tag: Option<String>,
}

/// Returns the text of a path, if there is a server, and it knows it.
pub async fn get(app: &App, path: &str) -> Option<String> {
    ask(app, path, TIMEOUT).await.filter(|answer| answer.status == StatusCode::OK).map(|answer| answer.text)
}

/// Returns the answer for a path; `None` when there is none within a time.
pub async fn ask(app: &App, path: &str, timeout: Duration) -> Option<Answer> {
    let host = app.env().get(vars::GCE_METADATA_HOST).unwrap_or("metadata.google.internal");
    let address = format!("http://{host}/computeMetadata/v1/{path}");
    let request = Request::get(address).header("Metadata-Flavor", "Google").body(Bytes::new()).ok()?;
    let answer = app.host.send(request, timeout).await.ok()?;
    // Somebody else may answer for any name.
    answer.headers().get("Metadata-Flavor").filter(|flavor| *flavor == "Google")?;
    let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    Some(Answer { status: answer.status(), text: String::from_utf8_lossy(answer.body()).trim().to_owned(), tag })
}
