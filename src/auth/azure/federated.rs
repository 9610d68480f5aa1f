//! A federated identity: an application that trusts a token of somebody else, such as the CI job's:
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>.

use super::exchange::{self, Proof};
use super::{Settings, Token};
use crate::app::App;
use crate::auth::{Expiring, Source, oidc};
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use async_trait::async_trait;
use std::path::PathBuf;

/// The audience of the job's identity token.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The application of `AZURE_CLIENT_ID`, which trusts the token of `AZURE_FEDERATED_TOKEN_FILE` or the job's identity.
pub struct JobIdentity(pub Settings);

#[async_trait(?Send)]
impl Source<Token> for JobIdentity {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Token>>> {
        let file_name = vars::AZURE_FEDERATED_TOKEN_FILE.name;
        if let Some(file) = &self.0.token_file {
            let application = self.0.application(file_name)?;
            let text = app
                .host
                .read(&PathBuf::from(file))
                .map_err(|error| Error::config(format!("cannot read {file} of {file_name} ({error})")))?;
            let token = Secret::new(String::from_utf8_lossy(&text));
            app.log.hide("the identity token of the job", &token);
            return exchange::token(app, &application, &Proof::Assertion(token), file_name).await.map(Some);
        }
        // A managed identity needs no tenant, and may be named by the same variable.
        if self.0.tenant.is_none() || self.0.client.is_none() {
            return Ok(None);
        }
        let application = self.0.application(vars::AZURE_TENANT_ID.name)?;
        match oidc::token(app, AUDIENCE).await? {
            Some(token) => {
                exchange::token(app, &application, &Proof::Assertion(token), "the job's identity").await.map(Some)
            }
            None => Ok(None),
        }
    }
}
