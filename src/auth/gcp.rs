//! Google's credentials, as its own tools find them: <https://cloud.google.com/docs/authentication/application-default-credentials>.
//!
//! The content of a credentials file in `GOOGLE_APPLICATION_CREDENTIALS_DATA` → the file of `GOOGLE_APPLICATION_CREDENTIALS` → the job's
//! identity, for the provider in `CML_GCP_WORKLOAD_IDENTITY_PROVIDER` → gcloud's file → the metadata server of the instance.

use super::{Credentials, Expiring, Source};
use crate::app::App;
use crate::ci;
use crate::env::{Secret, Var, vars};
use crate::error::{Error, Kind, Result};
use crate::http::{Discloses, Refusal, RetryPolicy, explain_status, in_brackets, request};
use document::Document;
use http::{HeaderValue, Method, header};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use url::Url;

mod document;
mod external;
mod identity;
mod key;
pub mod metadata;
mod user;

/// The scope of all that an account may do.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// That of its e-mail address.
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";

/// Who shall accept a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Google's APIs.
    Apis,
    /// A cluster of GKE, which takes no token that a key has signed itself, and which knows a service account by its e-mail address only
    /// if it may see that: <https://github.com/kubernetes/cloud-provider-gcp/tree/master/cmd/gke-gcloud-auth-plugin>.
    Clusters,
}

impl Purpose {
    /// Returns the scopes of its tokens.
    fn scopes(self) -> &'static [&'static str] {
        match self {
            Purpose::Apis => &[PLATFORM],
            Purpose::Clusters => &[PLATFORM, EMAIL],
        }
    }
}

/// The variables that name a project, in the order in which CML read them.
const PROJECT_VARIABLES: [Var; 6] = [
    vars::CLOUDSDK_CORE_PROJECT,
    vars::CLOUDSDK_PROJECT,
    vars::GCLOUD_PROJECT,
    vars::GCP_PROJECT,
    vars::GOOGLE_CLOUD_PROJECT,
    vars::GOOGLE_PROJECT,
];

/// The account and the project that the environment names.
pub struct GoogleAccess {
    app: App,
    tokens: Credentials<Secret>,
    project: Option<String>,
}

/// Finds the credentials of the environment. It reads variables and files, and sends nothing.
///
/// # Errors
/// They are invalid, or of a kind that is not supported.
pub fn connect(app: &App) -> Result<GoogleAccess> {
    access(app, document::find(app)?)
}

/// Reads the credentials of a file. `origin` says what names it.
///
/// # Errors
/// They are invalid, or of a kind that is not supported.
pub fn connect_with(app: &App, path: &Path, origin: String) -> Result<GoogleAccess> {
    access(app, Some(Document::read(app, path, origin)?))
}

fn access(app: &App, document: Option<Document>) -> Result<GoogleAccess> {
    let env = app.env();
    // In CML's order: a key names its project.
    let account = env.get(vars::CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT).and_then(external::project_of);
    let named = env.first(&PROJECT_VARIABLES).map(|(_, project)| project.trim().to_owned());
    let project = document.as_ref().and_then(Document::project).or(named);
    let project = project.or_else(|| document.as_ref().and_then(Document::account_project)).or(account);
    let sources = sources(app, document, Purpose::Apis)?;
    Ok(GoogleAccess { app: app.clone(), tokens: Credentials::new(app, sources, accepted), project })
}

fn sources(app: &App, document: Option<Document>, purpose: Purpose) -> Result<Vec<Box<dyn Source<Secret>>>> {
    Ok(match document {
        Some(document) => vec![document.source(app, purpose)?],
        None => vec![Box::new(identity::JobIdentity(purpose)), Box::new(metadata::ServiceAccount)],
    })
}

/// Fetches a token for clusters of GKE; `None` where the environment has no credentials.
///
/// # Errors
/// They do not work.
pub async fn cluster_token(app: &App) -> Result<Option<Expiring<Secret>>> {
    for source in sources(app, document::find(app)?, Purpose::Clusters)? {
        if let Some(token) = source.fetch(app).await? {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

impl GoogleAccess {
    /// Returns a token that is valid now.
    ///
    /// # Errors
    /// There are no credentials, or the configured ones do not work.
    pub async fn token(&self) -> Result<Secret> {
        self.tokens.get().await?.ok_or_else(|| {
            Error::auth("no Google Cloud credentials found").hint(format!(
                "set {} to the content of a service account's key, or {} to a provider and {} (docs/gcp.md)",
                vars::GOOGLE_APPLICATION_CREDENTIALS_DATA.name,
                vars::CML_GCP_WORKLOAD_IDENTITY_PROVIDER.name,
                ci::identity_hint(self.app.env(), &identity::audience(identity::FORM))
            ))
        })
    }

    /// Forgets the token, which a service has refused.
    pub async fn forget(&self) {
        self.tokens.forget().await;
    }

    /// Returns the project; on an instance of Google's without a key the instance's.
    ///
    /// # Errors
    /// Nothing names one.
    pub async fn project(&self) -> Result<String> {
        if let Some(project) = &self.project {
            return Ok(project.clone());
        }
        // First: without credentials, that is the error.
        self.token().await?;
        metadata::get(&self.app, "project/project-id").await.ok_or_else(|| {
            Error::config("the Google Cloud project is unknown: these credentials name none")
                .hint(format!("set {} to the id of the project", vars::GOOGLE_CLOUD_PROJECT.name))
        })
    }
}

fn accepted(app: &App, token: Secret) -> Result<Secret> {
    app.log.hide("the access token of Google Cloud", &token);
    Ok(token)
}

/// Returns the address of a service, which `CLOUDSDK_API_ENDPOINT_OVERRIDES_…` may replace, as for gcloud:
/// <https://cloud.google.com/sdk/gcloud/reference/config/set#api_endpoint_overrides>.
///
/// # Errors
/// The variable has no address.
pub fn endpoint(app: &App, service: &str, usual: &str) -> Result<Url> {
    let variable = format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}");
    let address = app.env().named(&variable).unwrap_or(usual);
    let address = format!("{}/", address.trim().trim_end_matches('/'));
    Url::parse(&address).map_err(|_| Error::config(format!("{variable} is not a URL: {address}")))
}

/// Returns the service that exchanges logins and keys for tokens.
fn token_service(app: &App) -> Result<Url> {
    let url = endpoint(app, "OAUTH2", "https://oauth2.googleapis.com")?.join("token");
    url.map_err(|error| Error::internal(error.to_string()))
}

/// Exchanges something for a token, at one of Google's services for tokens.
async fn exchange(app: &App, url: &Url, fields: &[(&str, &str)]) -> Result<Expiring<Secret>> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let answer = send(app, url, body, form, None).await?;
    let token = answer["access_token"].as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| unexpected(url, "access_token"))?;
    let expires = answer["expires_in"].as_u64().map(|time| app.host.now() + Duration::from_secs(time));
    Ok(Expiring { value: Secret::new(token), expires })
}

/// Sends a request to a service for tokens.
async fn send(app: &App, url: &Url, body: String, kind: HeaderValue, bearer: Option<HeaderValue>) -> Result<Value> {
    let mut request = request(Method::POST, url, body.into())?;
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    if let Some(bearer) = bearer {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    request.extensions_mut().insert(Discloses);
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let answer = app.http.explained_by(refused).send(request).await?;
    serde_json::from_slice(answer.body()).map_err(|_| unexpected(url, "JSON"))
}

fn unexpected(url: &Url, what: &str) -> Error {
    Error::remote(format!("{} sent an unexpected answer without {what}", url.host_str().unwrap_or_default()))
}

/// Translates a refusal: `{"error": "invalid_grant", "error_description": "…"}` or `{"error": {"status": …, "message": "…"}}`.
fn refused(refusal: &Refusal) -> Error {
    let body = refusal.json();
    let says = body["error_description"].as_str().or(body["error"]["message"].as_str()).unwrap_or_default();
    let code = body["error"].as_str().or(body["error"]["status"].as_str()).unwrap_or_default();
    if refusal.status.is_server_error() || refusal.status.as_u16() == 429 {
        return explain_status(refusal, "Google's token service", says);
    }
    let error = Error::new(
        Kind::Auth,
        format!("Google Cloud refused the credentials{}", in_brackets(says.trim_end_matches('.'))),
    );
    match code {
        "invalid_target" => error.hint(format!("check the workload identity provider: {}", identity::FORM)),
        "invalid_grant" => error.hint("check that the provider accepts this repository and audience, and that the key or login is not deleted or expired; the clock of this computer must be right"),
        "unauthorized_client" => error.hint("the provider's attribute condition must accept this repository"),
        "PERMISSION_DENIED" => error.hint("grant the identity the role roles/iam.workloadIdentityUser on the service account"),
        _ => error.hint("check the credentials; docs/gcp.md says how they are set up"),
    }
}
