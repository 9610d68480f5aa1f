//! Workload identity federation: somebody else's token, exchanged for one of Google's. <https://google.aip.dev/auth/4117>

use super::document::Document;
use super::{PLATFORM, Purpose, endpoint, exchange, send, unexpected};
use crate::app::App;
use crate::auth::{Expiring, Source};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::http::{request, secret_header, unusable};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use std::path::PathBuf;
use url::Url;

/// How long a token of a service account is good for.
const LIFETIME: &str = "3600s";

/// What Google is to exchange.
pub struct Exchange<'a> {
    /// Google's name of the provider.
    pub audience: &'a str,
    /// The other token.
    pub subject: &'a Secret,
    /// Its kind.
    pub kind: &'a str,
    /// The service for tokens.
    pub url: &'a Url,
    /// The service account to act as, by the address that makes its tokens; `None` for the identity itself.
    pub account: Option<&'a Url>,
    /// Who shall accept the token.
    pub purpose: Purpose,
}

impl Exchange<'_> {
    /// Fetches the token.
    ///
    /// # Errors
    /// Google refuses.
    pub async fn fetch(&self, app: &App) -> Result<Expiring<Secret>> {
        app.log.hide("the identity token of the job", self.subject);
        // To act as an account takes no more.
        let scope = if self.account.is_some() { PLATFORM.to_owned() } else { self.purpose.scopes().join(" ") };
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", self.audience),
            ("scope", scope.as_str()),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", self.subject.expose()),
            ("subject_token_type", self.kind),
        ];
        let own = exchange(app, self.url, &fields).await?;
        let Some(account) = self.account else { return Ok(own) };
        app.log.hide("the access token of Google Cloud", &own.value);
        let bearer = secret_header("Google's token", &format!("Bearer {}", own.value.expose()))?;
        let body = json!({ "scope": self.purpose.scopes(), "lifetime": LIFETIME }).to_string();
        let json = HeaderValue::from_static("application/json");
        let answer = send(app, account, body, json, Some(bearer)).await?;
        let token = answer["accessToken"].as_str().ok_or_else(|| unexpected(account, "accessToken"))?;
        Ok(Expiring::at(Secret::new(token), answer["expireTime"].as_str()))
    }
}

/// Returns the address that makes tokens of a service account:
/// <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>.
pub fn account_url(app: &App, email: &str) -> Result<Url> {
    let base = endpoint(app, "IAMCREDENTIALS", "https://iamcredentials.googleapis.com")?;
    let path = format!("v1/projects/-/serviceAccounts/{email}:generateAccessToken");
    base.join(&path).map_err(|_| Error::config(format!("{email} is not a service account")))
}

/// Returns the project of a service account, by its e-mail address or an address that ends with it.
pub fn project_of(account: &str) -> Option<String> {
    let (_, domain) = account.split_once('@')?;
    let (project, _) = domain.split_once(".iam.gserviceaccount.com")?;
    Some(project.to_owned())
}

/// The credentials of the type `external_account`, as `google-github-actions/auth` writes them.
pub struct ExternalAccount {
    audience: String,
    kind: String,
    url: Url,
    account: Option<Url>,
    source: Value,
    origin: String,
    purpose: Purpose,
}

impl ExternalAccount {
    /// Reads the credentials.
    ///
    /// # Errors
    /// They are incomplete, or the other token comes from a program or from AWS.
    pub fn new(document: &Document, purpose: Purpose) -> Result<Self> {
        let origin = document.origin.clone();
        let address = |name: &str, text: &str| {
            Url::parse(text).map_err(|_| Error::config(format!("the {name} of {origin} is not a URL")))
        };
        let source = document.fields["credential_source"].clone();
        let is_known = source["file"].is_string() || source["url"].is_string() && source["environment_id"].is_null();
        if !is_known {
            return Err(Error::unsupported(format!(
                "{origin} takes its identity from a program or from AWS, which cml does not support"
            ))
            .hint("use a workload identity whose token is in a file or at a URL, or the job's own (docs/gcp.md)"));
        }
        let account = document.fields["service_account_impersonation_url"].as_str();
        Ok(ExternalAccount {
            audience: document.text("audience")?.to_owned(),
            kind: document.text("subject_token_type")?.to_owned(),
            url: address("token_url", document.text("token_url")?)?,
            account: account.map(|text| address("service_account_impersonation_url", text)).transpose()?,
            source,
            origin,
            purpose,
        })
    }

    /// Fetches the other token.
    async fn subject(&self, app: &App) -> Result<Secret> {
        let bytes = match self.source["file"].as_str() {
            Some(file) => app.host.read(&PathBuf::from(file)).map_err(|error| {
                Error::config(format!("cannot read the identity token {file} of {} ({error})", self.origin))
            })?,
            None => self.ask(app).await?.to_vec(),
        };
        let format = &self.source["format"];
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if format["type"] != "json" {
            return Ok(Secret::new(text));
        }
        let field = format["subject_token_field_name"].as_str().unwrap_or_default();
        let found = serde_json::from_str::<Value>(&text).ok().and_then(|json| json[field].as_str().map(Secret::new));
        found.ok_or_else(|| Error::auth(format!("the identity token of {} has no field {field}", self.origin)))
    }

    async fn ask(&self, app: &App) -> Result<Bytes> {
        let address = self.source["url"].as_str().unwrap_or_default();
        let wrong = || Error::config(format!("the credential_source of {} has no valid URL", self.origin));
        let mut request = request(Method::GET, &Url::parse(address).map_err(|_| wrong())?, Bytes::new())?;
        for (name, value) in self.source["headers"].as_object().into_iter().flatten() {
            let field = format!("a header of {}", self.origin);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable(&field))?;
            let value = value.as_str().unwrap_or_default();
            app.log.hide(&field, &Secret::new(value));
            request.headers_mut().insert(name, secret_header(&field, value)?);
        }
        Ok(app.http.send(request).await?.into_body())
    }
}

#[async_trait(?Send)]
impl Source<Secret> for ExternalAccount {
    async fn fetch(&self, app: &App) -> Result<Option<Expiring<Secret>>> {
        let subject = self.subject(app).await?;
        let exchange = Exchange {
            audience: &self.audience,
            subject: &subject,
            kind: &self.kind,
            url: &self.url,
            account: self.account.as_ref(),
            purpose: self.purpose,
        };
        exchange.fetch(app).await.map(Some)
    }
}
