//! An application with a client secret:
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#first-case-access-token-request-with-a-shared-secret>.

use super::exchange::{self, Proof};
use super::{Settings, Token};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::vars;
use crate::error::Result;
use async_trait::async_trait;

/// `AZURE_CLIENT_SECRET`.
pub struct ClientSecret(pub Settings);

#[async_trait(?Send)]
impl Source<Token> for ClientSecret {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Token>>> {
        let Some(secret) = &self.0.secret else { return Ok(None) };
        let name = vars::AZURE_CLIENT_SECRET.name;
        let application = self.0.application(name)?;
        exchange::token(app, &application, &Proof::Secret(secret.clone()), name).await.map(Some)
    }
}
