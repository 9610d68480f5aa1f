//! Amazon's SDK over [`Http`]: its requests go through the host, with our retries and our errors.

use super::explain::{is_about_capacity, no_capacity, refused};
use crate::app::App;
use crate::auth::aws::{self as auth, Keys};
use crate::error::{Error, Result};
use crate::host::{Host, MaxAnswer};
use crate::http::{Discloses, FinalIf, Http, MayBeDone, RetryPolicy};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future::ProvideCredentials as ProvideCredentialsFuture};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::header;
use send_wrapper::SendWrapper;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// A connection to one region.
pub struct Connection {
    /// The credentials of the environment.
    pub credentials: Rc<auth::Credentials>,
    /// EC2.
    pub client: aws_sdk_ec2::Client,
}

/// Connects to a region, with the credentials of the environment.
pub async fn connect(app: &App, region: &str) -> Result<Connection> {
    let credentials = Rc::new(auth::Credentials::new(app, region));
    // Fail early, and once.
    credentials.keys().await?;
    let mut config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Provider(SendWrapper::new(Rc::clone(&credentials))))
        .http_client(Transport(SendWrapper::new(app.http.explained_by(|answer| refused("the request", answer)))))
        .time_source(Clock(SendWrapper::new(app.host.clone())))
        .sleep_impl(Clock(SendWrapper::new(app.host.clone())))
        // All of these are ours.
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = auth::endpoint(app.env(), "EC2") {
        config = config.endpoint_url(endpoint);
    }
    Ok(Connection { credentials, client: aws_sdk_ec2::Client::from_conf(config.build()) })
}

/// The keys as the SDK asks for them, before each request.
struct Provider(SendWrapper<Rc<auth::Credentials>>);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(SendWrapper::new(async move {
            let keys = self.0.keys().await.map_err(CredentialsError::provider_error)?;
            Ok(sdk_credentials(&keys))
        }))
    }
}

/// Returns keys as the SDK's type.
pub(super) fn sdk_credentials(keys: &Keys) -> Credentials {
    let token = keys.token.as_ref().map(|token| token.expose().to_owned());
    Credentials::new(&keys.id, keys.secret.expose(), token, None, "cml")
}

/// The bottom of the SDK's stack. The program has one thread, so what the types ask to be `Send` never leaves it;
/// [`SendWrapper`] checks that at run time.
#[derive(Clone)]
struct Transport(SendWrapper<Http>);

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = SendWrapper::clone(&self.0).take();
        HttpConnectorFuture::new(SendWrapper::new(async move {
            let failed = |error: Error| ConnectorError::other(Box::new(error), None);
            let unusable = |what: &str| failed(Error::internal(format!("the EC2 client created an invalid {what}")));
            let request = request.try_into_http1x().map_err(|_| unusable("request"))?;
            let (mut parts, body) = request.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            // Every request is idempotent: those that create something have a client token or a unique name.
            parts.extensions.insert(RetryPolicy::Idempotent);
            parts.extensions.insert(FinalIf(is_about_capacity));
            // The user data holds the runner's credential.
            parts.extensions.insert(Discloses);
            parts.extensions.insert(MaxAnswer::USUAL);
            let body = Bytes::copy_from_slice(body.bytes().ok_or_else(|| unusable("body"))?);
            let answer = http.send_raw(http::Request::from_parts(parts, body)).await.map_err(failed)?;
            // An earlier attempt, whose answer was lost, may have created an instance all the same.
            if answer.extensions().get::<MayBeDone>().is_some()
                && let Some(error) = no_capacity(answer.body())
            {
                return Err(failed(error.ambiguous()));
            }
            HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|_| unusable("answer"))
        }))
    }
}

/// The host's clock: WebAssembly has none of its own.
struct Clock(SendWrapper<Rc<dyn Host>>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0.now()
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let host = SendWrapper::clone(&self.0).take();
        Sleep::new(SendWrapper::new(async move { host.sleep(duration).await }))
    }
}
