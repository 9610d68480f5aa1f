//! The client of Azure's Resource Manager: <https://learn.microsoft.com/rest/api/azure/>.

use super::explain::{DIALECT, is_busy};
use crate::app::App;
use crate::auth::azure::{Credentials, Settings};
use crate::cloud::rest::{Answer, Bearer, Call, Failure, Progress, Refused, Rest};
use crate::env::Secret;
use crate::error::{Error, Result};
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// The versions of the services' interfaces. From those after 2026-03 on, a new subnet has no way out.
pub mod version {
    /// Virtual machines and disks.
    pub const COMPUTE: &str = "2025-04-01";
    /// Sizes.
    pub const SKUS: &str = "2021-07-01";
    /// Networks.
    pub const NETWORK: &str = "2024-05-01";
    /// Resource groups.
    pub const RESOURCES: &str = "2021-04-01";
    /// Permissions.
    pub const AUTHORIZATION: &str = "2022-04-01";
    /// Identities.
    pub const IDENTITY: &str = "2023-01-31";
}

/// The pause between two looks at an operation, when Azure asks for none.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long an operation may take: that of a machine lasts until its system has reported.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// The first of the growing pauses before a request is repeated that collides with another operation on the same object.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
const MAX_BUSY_ATTEMPTS: u32 = 5;

/// The client of one subscription.
pub struct Arm {
    app: App,
    rest: Rest,
    base: &'static str,
    subscription: String,
}

/// The token of the environment.
struct EntraToken(Credentials);

#[async_trait(?Send)]
impl Bearer for EntraToken {
    async fn token(&self) -> Result<Secret> {
        Ok(self.0.token().await?.value)
    }

    async fn forget(&self) {
        self.0.forget().await;
    }
}

/// The address of an object: its path below the subscription, and the parameters.
#[derive(Debug, Clone)]
pub struct Target {
    path: String,
    query: Vec<(&'static str, String)>,
}

impl Target {
    /// Returns the target of a path below the subscription, each part of which has a slash before it.
    pub fn new(path: impl Into<String>, version: &'static str) -> Target {
        Target { path: path.into(), query: vec![("api-version", version.to_owned())] }
    }

    /// Returns the same with another parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Target {
        self.query.push((name, value.to_owned()));
        self
    }
}

impl Arm {
    /// Creates a client with the credentials of the environment; it sends nothing.
    ///
    /// # Errors
    /// The settings are invalid, or name no subscription.
    pub fn new(app: &App) -> Result<Arm> {
        let settings = Settings::read(app.env())?;
        let subscription = settings.subscription()?.to_owned();
        let bearer = EntraToken(Credentials::new(app, &settings));
        let rest = Rest::new(&app.http, Box::new(bearer), DIALECT);
        Ok(Arm { app: app.clone(), rest, base: settings.management(), subscription })
    }

    /// Returns the subscription's id.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// Returns the address of the Resource Manager, without a slash at its end.
    pub fn base(&self) -> &'static str {
        self.base
    }

    /// Returns the resource id of a path below the subscription.
    pub fn id(&self, path: &str) -> String {
        format!("/subscriptions/{}{path}", self.subscription)
    }

    /// Fetches an object, or `None` if it does not exist.
    pub async fn find<T: DeserializeOwned>(&self, target: &Target) -> Result<Option<T>, Failure> {
        Ok(self.rest.find(self.url(target)?).await?.map(parsed).transpose()?)
    }

    /// Fetches all pages of a list.
    pub async fn list<T: DeserializeOwned>(&self, target: &Target) -> Result<Vec<T>, Failure> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page<T> {
            value: Vec<T>,
            next_link: Option<String>,
        }
        let (mut found, mut url) = (Vec::new(), self.url(target)?);
        loop {
            let page: Page<T> = parsed(self.rest.send(&Call::get(url)).await?.body)?;
            found.extend(page.value);
            match page.next_link.filter(|next| !next.is_empty()) {
                Some(next) => url = self.own_url(&next)?,
                None => return Ok(found),
            }
        }
    }

    /// Creates an object, and waits until it is done. One that exists already is refused with the status 412. The body may have the
    /// runner's credential in it.
    pub async fn create(&self, target: &Target, body: &impl Serialize) -> Result<(), Failure> {
        let call = Call::new(Method::PUT, self.url(target)?).body(json(body)?).disclosing();
        let call = call.header(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        let begun = self.rest.send(&call).await.map_err(Failure::ambiguous_without_answer)?;
        // A look that is refused does not tell how the operation ends.
        self.wait(&begun).await.map_err(|failure| if failure.is_of_operation() { failure } else { failure.ambiguous() })
    }

    /// Creates or replaces an object, and waits until it is done.
    pub async fn put(&self, target: &Target, body: &impl Serialize) -> Result<(), Failure> {
        let begun = self.unless_busy(&Call::new(Method::PUT, self.url(target)?).body(json(body)?)).await?;
        self.wait(&begun).await
    }

    /// Sends a request without a body that changes nothing, for an answer at once.
    pub async fn post<T: DeserializeOwned>(&self, target: &Target) -> Result<T, Failure> {
        let call = Call::new(Method::POST, self.url(target)?).idempotent();
        Ok(parsed(self.rest.send(&call).await?.body)?)
    }

    /// Deletes an object, and returns when Azure has accepted that; does nothing when it is gone.
    pub async fn delete(&self, target: &Target) -> Result<()> {
        match self.unless_busy(&Call::new(Method::DELETE, self.url(target)?)).await {
            Err(failure) if failure.is_missing() => Ok(()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// Sends a request again while another operation holds the object.
    async fn unless_busy(&self, call: &Call) -> Result<Answer, Failure> {
        let mut attempt = 0;
        loop {
            match self.rest.send(call).await {
                Err(failure)
                    if is_busy(&failure)
                        && attempt < MAX_BUSY_ATTEMPTS
                        && self.app.http.pause(BUSY_PAUSE, attempt).await.is_ok() =>
                {
                    self.app.log.info(&format!("{}; retrying", failure.error));
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits until the operation that an answer began is over:
    /// <https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations>.
    async fn wait(&self, begun: &Answer) -> Result<(), Failure> {
        let address = |name: &str| begun.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(url) = address("azure-asyncoperation").or_else(|| address("location")) else { return Ok(()) };
        let (call, start) = (Call::get(self.own_url(url)?), self.app.host.elapsed());
        let pause = |answer: &Answer| self.rest.pause_of(answer).or(Some(POLL_INTERVAL));
        let mut first = Some(Progress::Running(pause(begun)));
        let look = async || {
            if let Some(first) = first.take() {
                return Ok(first);
            }
            if self.app.host.elapsed().saturating_sub(start) > OPERATION_TIMEOUT {
                return Err(Error::remote("Azure did not complete the operation in time").into());
            }
            self.app.http.extend_budget();
            let answer = self.rest.send(&call).await?;
            match answer.body["status"].as_str() {
                Some("Succeeded") => Ok(Progress::Done(())),
                Some("Failed" | "Canceled") => {
                    let (code, message) = (DIALECT.read)(&answer.body);
                    Err(DIALECT.failure(Refused { status: 0, code, message, body: answer.body }))
                }
                // The address of the other kind answers with the object, when it is there.
                None if answer.status != StatusCode::ACCEPTED => Ok(Progress::Done(())),
                _ => Ok(Progress::Running(pause(&answer))),
            }
        };
        self.rest.poll(look).await
    }

    fn url(&self, target: &Target) -> Result<Url> {
        let mut url = self.own_url(&format!("{}{}", self.base, self.id(&target.path)))?;
        url.query_pairs_mut().extend_pairs(&target.query);
        Ok(url)
    }

    /// Parses an address that gets the token.
    fn own_url(&self, address: &str) -> Result<Url> {
        let url = Url::parse(address).ok().filter(|url| url.as_str().starts_with(&format!("{}/", self.base)));
        url.ok_or_else(|| Error::remote("Azure named the address of another server"))
    }
}

fn json(body: &impl Serialize) -> Result<Value> {
    serde_json::to_value(body).map_err(|error| Error::internal(error.to_string()))
}

fn parsed<T: DeserializeOwned>(body: Value) -> Result<T> {
    serde_json::from_value(body).map_err(|error| Error::remote(format!("Azure sent an unexpected answer ({error})")))
}
