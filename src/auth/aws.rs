//! Amazon's credentials, from the sources of its own tools:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.
//!
//! Keys in the environment → the job's identity, exchanged for a role's keys → a profile → a container's → the instance's.

use super::{Expiring, Source, checked_value};
use crate::app::App;
use crate::ci;
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Result};
use async_trait::async_trait;
use serde::Deserialize;
use url::Url;

mod container;
mod environment;
mod identity;
mod instance;
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
    /// Checks that the keys can be sent, trims them, and keeps them out of the log.
    fn accepted(app: &App, keys: Keys) -> Result<Keys> {
        let keys = keys.checked()?;
        app.log.hide(vars::AWS_SECRET_ACCESS_KEY.name, &keys.secret);
        if let Some(token) = &keys.token {
            app.log.hide(vars::AWS_SESSION_TOKEN.name, token);
        }
        app.log.debug(&format!("AWS credentials from {}", keys.source));
        Ok(keys)
    }

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

/// The keys of the first source that is configured, for requests to one region; they are renewed when they expire.
pub struct Credentials(super::Credentials<Keys>);

impl Credentials {
    /// Returns the credentials for a region. No source is asked yet.
    pub fn new(app: &App, region: &str) -> Self {
        let sources: Vec<Box<dyn Source<Keys>>> = vec![
            Box::new(environment::Environment),
            Box::new(identity::JobIdentity { region: region.to_owned() }),
            Box::new(profile::Profile),
            Box::new(container::Container),
            Box::new(instance::InstanceProfile),
        ];
        Credentials(super::Credentials::new(app, sources, Keys::accepted))
    }

    /// Returns the credentials that are given.
    pub fn of(app: &App, keys: Keys) -> Self {
        Credentials(super::Credentials::new(app, vec![Box::new(Given(keys))], Keys::accepted))
    }

    /// Returns keys that are valid now.
    ///
    /// # Errors
    /// There are none, or the configured ones do not work: the next source is never used silently.
    pub async fn keys(&self) -> Result<Keys> {
        self.0.get().await?.ok_or_else(|| {
            let identity = ci::identity_hint(self.0.app.env(), identity::AUDIENCE);
            Error::auth("no AWS credentials found").hint(format!(
                "in CI set AWS_ROLE_ARN and {identity} (docs/runners.md), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            ))
        })
    }
}

/// Keys that do not expire.
struct Given(Keys);

#[async_trait(?Send)]
impl Source<Keys> for Given {
    async fn fetch(&self, _app: &App) -> Result<Option<Expiring<Keys>>> {
        Ok(Some(Expiring::never(self.0.clone())))
    }
}

/// Returns a service's endpoint, if the environment overrides Amazon's:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
pub fn endpoint<'a>(env: &'a Env, service: &str) -> Option<&'a str> {
    env.named(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| env.named("AWS_ENDPOINT_URL")).map(str::trim)
}

/// Returns the address of a service, such as `SSM`, in a region.
pub(crate) fn service_url(env: &Env, service: &str, region: &str) -> Result<Url> {
    let usual = format!("https://{}.{region}.{}/", service.to_ascii_lowercase(), domain(region));
    let address = endpoint(env, service).unwrap_or(&usual);
    Url::parse(address).map_err(|_| Error::config(format!("invalid {service} endpoint {address}")))
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
    expiration: Option<String>,
}

impl Temporary {
    fn keys(self, source: &str) -> Expiring<Keys> {
        let keys = Keys {
            id: self.access_key_id,
            secret: Secret::new(self.secret_access_key),
            token: self.token.map(Secret::new),
            source: source.to_owned(),
        };
        Expiring::at(keys, self.expiration.as_deref())
    }
}
