//! The identity of a CI job: <https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines>.

use super::external::{Exchange, account_url};
use super::{Purpose, endpoint};
use crate::app::App;
use crate::auth::{Expiring, Source, oidc};
use crate::ci;
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use async_trait::async_trait;

/// The kind of the job's token.
const KIND: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The form of a provider's name.
pub const FORM: &str = "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME";

/// Returns the audience of the job's token for a provider: the one that a provider accepts by default.
pub fn audience(provider: &str) -> String {
    format!("https://iam.googleapis.com/{provider}")
}

/// The job's identity, for the provider in `CML_GCP_WORKLOAD_IDENTITY_PROVIDER`, as the service account in
/// `CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT` or as itself.
pub struct JobIdentity(pub Purpose);

#[async_trait(?Send)]
impl Source<Secret> for JobIdentity {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let variable = vars::CML_GCP_WORKLOAD_IDENTITY_PROVIDER;
        let Some(provider) = app.env().get(variable) else { return Ok(None) };
        let provider = provider.trim().trim_start_matches("https:").trim_start_matches("//iam.googleapis.com/");
        if !provider.starts_with("projects/") || !provider.contains("/providers/") {
            return Err(Error::config(format!("{} does not name a workload identity provider", variable.name))
                .hint(format!("give {FORM}, as gcloud iam workload-identity-pools providers describe prints it")));
        }
        let audience = audience(provider);
        let token = oidc::token(app, &audience).await?;
        let Some(token) = token else {
            return Err(Error::auth(format!("{} is set, but the job has no identity token", variable.name))
                .hint(ci::identity_hint(app.env(), &audience)));
        };
        let account = app.env().get(vars::CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT);
        let account = account.map(|email| account_url(app, email.trim())).transpose()?;
        let url = endpoint(app, "STS", "https://sts.googleapis.com")?.join("v1/token");
        let exchange = Exchange {
            audience: &format!("//iam.googleapis.com/{provider}"),
            subject: &token,
            kind: KIND,
            url: &url.map_err(|error| Error::internal(error.to_string()))?,
            account: account.as_ref(),
            purpose: self.0,
        };
        exchange.fetch(app).await.map(Some)
    }
}
