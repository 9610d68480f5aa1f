//! Amazon's credentials, from the sources of its own tools:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.
//!
//! Keys in the environment → the job's identity, exchanged for a role's keys → a profile → a container's → the instance's.

use super::{checked_value, oidc};
use crate::app::App;
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Result};
use crate::http::{in_brackets, request, secret_header};
use bytes::Bytes;
use http::{Method, header};
use serde::Deserialize;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

pub mod metadata;
mod profile;

/// Access keys, with the session token of temporary ones.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The access key's id.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
    /// The session token of temporary keys.
    pub token: Option<Secret>,
    /// Where they come from, for people.
    pub source: String,
}

impl Keys {
    /// Checks that the keys can be sent, and trims them.
    fn checked(mut self) -> Result<Keys> {
        let from = |name: &str| match self.source.as_str() {
            ENVIRONMENT => name.to_owned(),
            source => format!("{name} of {source}"),
        };
        let id = checked_value(&from(vars::AWS_ACCESS_KEY_ID.name), &self.id)?.to_owned();
        checked_value(&from(vars::AWS_SECRET_ACCESS_KEY.name), self.secret.expose())?;
        if let Some(token) = &self.token {
            checked_value(&from(vars::AWS_SESSION_TOKEN.name), token.expose())?;
        }
        self.id = id;
        Ok(self)
    }
}

/// The source of keys in variables.
const ENVIRONMENT: &str = "the environment";
/// How long a local metadata service may take to answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// The audience of the job's identity token.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Finds credentials for a region.
///
/// # Errors
/// There are none, or the configured ones do not work: the next source is never used silently.
pub async fn credentials(app: &App, region: &str) -> Result<Keys> {
    let env = app.env();
    let keys = if let Some(keys) = from_environment(env)? {
        keys
    } else if let Some(keys) = from_identity(app, region).await? {
        keys
    } else if let Some(keys) = profile::keys(app).await? {
        keys
    } else if let Some(keys) = from_container(app).await? {
        keys
    } else if let Some(keys) = from_instance_profile(app).await? {
        keys
    } else {
        return Err(Error::auth("no AWS credentials found").hint(
            "in CI set AWS_ROLE_ARN and permissions: { id-token: write } (docs/runners.md), or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ));
    };
    let keys = keys.checked()?;
    app.log.hide(vars::AWS_SECRET_ACCESS_KEY.name, &keys.secret);
    if let Some(token) = &keys.token {
        app.log.hide(vars::AWS_SESSION_TOKEN.name, token);
    }
    app.log.debug(&format!("AWS credentials from {}", keys.source));
    Ok(keys)
}

/// Returns a service's endpoint, if the environment overrides Amazon's:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
pub fn endpoint<'a>(env: &'a Env, service: &str) -> Option<&'a str> {
    env.named(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| env.named("AWS_ENDPOINT_URL")).map(str::trim)
}

/// Returns the endpoint of STS in a region.
pub(crate) fn sts_url(env: &Env, region: &str) -> Result<Url> {
    let address = match endpoint(env, "STS") {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("https://sts.{region}.{}/", domain(region)),
    };
    Url::parse(&address).map_err(|_| Error::config(format!("invalid STS endpoint {address}")))
}

fn from_environment(env: &Env) -> Result<Option<Keys>> {
    let (id, secret) = (env.get(vars::AWS_ACCESS_KEY_ID), env.get(vars::AWS_SECRET_ACCESS_KEY));
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Keys {
            id: id.to_owned(),
            secret: Secret::new(secret),
            token: env.get(vars::AWS_SESSION_TOKEN).map(Secret::new),
            source: ENVIRONMENT.to_owned(),
        })),
        (None, None) => Ok(None),
        (have, _) => {
            let (set, unset) = match have {
                Some(_) => (vars::AWS_ACCESS_KEY_ID, vars::AWS_SECRET_ACCESS_KEY),
                None => (vars::AWS_SECRET_ACCESS_KEY, vars::AWS_ACCESS_KEY_ID),
            };
            Err(Error::config(format!("{} is set, but {} is not", set.name, unset.name))
                .hint("set both: a secret that does not exist, or that forks cannot read, is empty in CI"))
        }
    }
}

/// Exchanges the job's identity for a role's keys.
async fn from_identity(app: &App, region: &str) -> Result<Option<Keys>> {
    let env = app.env();
    let Some(role) = env.get(vars::AWS_ROLE_ARN).filter(|_| env.get(vars::AWS_PROFILE).is_none()) else {
        return Ok(None);
    };
    let token = match env.get(vars::AWS_WEB_IDENTITY_TOKEN_FILE) {
        Some(file) => {
            let text = app.host.read(&PathBuf::from(file)).map_err(|error| {
                Error::config(format!("cannot read {file} of {} ({error})", vars::AWS_WEB_IDENTITY_TOKEN_FILE.name))
            })?;
            Some(Secret::new(String::from_utf8_lossy(&text)))
        }
        None => oidc::token(app, AUDIENCE).await?,
    };
    let Some(token) = token else {
        return Err(Error::auth(format!("{} is set, but the job has no identity token", vars::AWS_ROLE_ARN.name))
            .hint(crate::ci::identity_hints()));
    };
    app.log.hide("the identity token of the job", &token);
    let role = checked_value(vars::AWS_ROLE_ARN.name, role)?;
    assume(app, region, role, &token).await.map(Some)
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>: a request without a
/// signature.
async fn assume(app: &App, region: &str, role: &str, token: &Secret) -> Result<Keys> {
    let env = app.env();
    let url = sts_url(env, region)?;
    let name = env.get(vars::AWS_ROLE_SESSION_NAME).unwrap_or("cml");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", name)
        .append_pair("WebIdentityToken", token.expose())
        .finish();
    let mut request = request(Method::POST, &url, Bytes::from(body))?;
    let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, form);
    request.extensions_mut().insert(crate::http::Discloses);
    request.extensions_mut().insert(crate::http::RetryPolicy::Idempotent);
    let (role_name, passes) = (role.to_owned(), Rc::new(Cell::new(false)));
    let may_pass = Rc::clone(&passes);
    let http = app.http.explained_by(move |refusal| {
        let body = String::from_utf8_lossy(refusal.body);
        may_pass.set(is_temporary(&body));
        refused(&role_name, &body)
    });
    let mut attempt = 0;
    let answer = loop {
        passes.set(false);
        match http.send(request.clone()).await {
            Err(error) if passes.get() && attempt < MAX_ATTEMPTS && http.pause(RETRY_PAUSE, attempt).await.is_ok() => {
                app.log.info(&format!("{error}; retrying"));
                attempt += 1;
            }
            answer => break answer?,
        }
    };
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    let field = |name: &str| {
        tag(&text, name).ok_or_else(|| Error::remote(format!("STS sent an unexpected answer without {name}")))
    };
    Ok(Keys {
        id: field("AccessKeyId")?.to_owned(),
        secret: Secret::new(field("SecretAccessKey")?),
        token: Some(Secret::new(field("SessionToken")?)),
        source: format!("the job's identity, as {role}"),
    })
}

/// How often a temporary refusal of STS is retried, and the first of the growing pauses.
const MAX_ATTEMPTS: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Returns whether a refusal of STS is temporary: it could not reach the identity provider, or throttles requests.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors>
fn is_temporary(body: &str) -> bool {
    match tag(body, "Code").unwrap_or_default() {
        "IDPCommunicationError" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => true,
        "InvalidIdentityToken" => body.contains("verification key"),
        _ => false,
    }
}

fn refused(role: &str, body: &str) -> Error {
    let (code, says) = (tag(body, "Code").unwrap_or_default(), tag(body, "Message").unwrap_or_default());
    let error = Error::auth(format!("AWS refused to let the job assume the role {role}{}", in_brackets(says)));
    match code {
        "AccessDenied" => error.hint("the role's trust policy must name this repository: compare its conditions on aud and sub with the job (docs/runners.md)"),
        "ExpiredTokenException" => error.hint("the job's identity token has expired: launch earlier in the job"),
        "InvalidIdentityToken" => error.hint("add the CI as an identity provider of the AWS account, with the audience sts.amazonaws.com"),
        _ => error.hint("check AWS_ROLE_ARN and the role's trust policy"),
    }
}

/// Returns the text of an XML element without entities.
pub(crate) fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim()).filter(|text| !text.is_empty())
}

/// Returns the domain of a region: China has its own.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The answer of a container's or an instance's metadata service.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Temporary {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

impl Temporary {
    fn keys(self, source: &str) -> Keys {
        Keys {
            id: self.access_key_id,
            secret: Secret::new(self.secret_access_key),
            token: self.token.map(Secret::new),
            source: source.to_owned(),
        }
    }
}

/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>.
async fn from_container(app: &App) -> Result<Option<Keys>> {
    let env = app.env();
    let address = match (
        env.get(vars::AWS_CONTAINER_CREDENTIALS_RELATIVE_URI),
        env.get(vars::AWS_CONTAINER_CREDENTIALS_FULL_URI),
    ) {
        (Some(path), _) => format!("http://169.254.170.2{path}"),
        (None, Some(address)) => address.to_owned(),
        (None, None) => return Ok(None),
    };
    let failed = |why: &str| Error::auth(format!("cannot fetch the container's AWS credentials ({why})"));
    let url = Url::parse(&address).map_err(|_| failed("invalid address"))?;
    let mut request = request(Method::GET, &url, Bytes::new())?;
    let token = match env.get(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) {
        Some(file) => {
            let text = app.host.read(&PathBuf::from(file)).map_err(|error| failed(&format!("{file}: {error}")))?;
            Some(String::from_utf8_lossy(&text).trim().to_owned())
        }
        None => env.get(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN).map(str::to_owned),
    };
    if let Some(token) = token {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, secret_header(vars::AWS_CONTAINER_AUTHORIZATION_TOKEN.name, &token)?);
    }
    let answer = app.host.send(request, METADATA_TIMEOUT * 5).await.map_err(|error| failed(&error.to_string()))?;
    let found: Temporary =
        serde_json::from_slice(answer.body()).map_err(|_| failed(&format!("unexpected answer {}", answer.status())))?;
    Ok(Some(found.keys("the container")))
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>, version 2 only.
async fn from_instance_profile(app: &App) -> Result<Option<Keys>> {
    let env = app.env();
    if env.named("AWS_EC2_METADATA_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let Some(session) = metadata::Session::open(app).await else { return Ok(None) };
    let Some(role) = session.read(metadata::ROLES).await else { return Ok(None) };
    let role = role.lines().next().unwrap_or_default().to_owned();
    let text = session.read(&format!("{}{role}", metadata::ROLES)).await;
    let found = text.and_then(|text| serde_json::from_str::<Temporary>(&text).ok());
    Ok(found.map(|keys| keys.keys("the instance profile")))
}
