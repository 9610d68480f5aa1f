//! The managed identity of the virtual machine that this runs on:
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

use super::metadata;
use super::{Settings, Token};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::Secret;
use crate::error::Result;
use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// How long the service, which is on the same host, may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The identity that `AZURE_CLIENT_ID` names, else the only one.
pub struct ManagedIdentity(pub Settings);

#[derive(Deserialize)]
struct Answer {
    access_token: Secret,
    /// Seconds since 1970, as text.
    expires_on: Option<String>,
}

#[async_trait(?Send)]
impl Source<Token> for ManagedIdentity {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Token>>> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("api-version", "2018-02-01").append_pair("resource", &format!("{}/", self.0.management()));
        if let Some(client) = &self.0.client {
            query.append_pair("client_id", client);
        }
        let path = format!("identity/oauth2/token?{}", query.finish());
        // GitHub's own runners are machines of Azure without an identity.
        let Some((StatusCode::OK, body)) = metadata::get(app, &path, TIMEOUT).await else { return Ok(None) };
        let Ok(Answer { access_token, expires_on }) = serde_json::from_slice(&body) else { return Ok(None) };
        let expires = expires_on.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let value = Token { value: access_token, source: "the managed identity of this machine".to_owned() };
        Ok(Some(Expiring { value, expires }))
    }
}
