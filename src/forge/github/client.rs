//! octocrab over [`Http`]: its requests go through the host, with our retries, and come back as our errors.

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::{Http, RetryPolicy, secret_header};
use bytes::Bytes;
use futures_util::future::FutureExt;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use octocrab::{AuthState, FromResponse, OctoBody, Octocrab, OctocrabBuilder};
use send_wrapper::SendWrapper;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::rc::Rc;

/// A client of GitHub's REST and GraphQL APIs.
pub struct Client {
    crab: Octocrab,
    api: String,
    http: Http,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// Connects to an API base such as `https://api.github.com`.
    pub fn new(api: &str, token: Option<&(Secret, &'static str)>, http: Http, host: Rc<dyn Host>) -> Result<Self> {
        let authorization = match token {
            Some((token, source)) => Some(secret_header(source, &format!("Bearer {}", token.expose()))?),
            None => None,
        };
        let service = Service(SendWrapper::new((http.clone(), authorization.clone())));
        let spawn = SendWrapper::new(host);
        let Ok(crab) = OctocrabBuilder::new_empty()
            .with_service(tower::service_fn(move |request| service.call(request)))
            .with_executor(Box::new(move |worker| spawn.spawn(SendWrapper::new(worker).map(drop).boxed())))
            .with_auth(AuthState::None)
            .build();
        Ok(Client { crab, api: api.trim_end_matches('/').to_owned(), http, authorization })
    }

    /// Sends a request to a path of the API, or to a whole address.
    pub async fn call<T: FromResponse>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        repeat: RetryPolicy,
    ) -> Result<T> {
        let address = if path.starts_with('/') { format!("{}{path}", self.api) } else { path.to_owned() };
        let builder = Request::builder()
            .method(method)
            .uri(address)
            .header(header::ACCEPT, "application/vnd.github+json")
            .extension(repeat);
        let request = self.crab.build_request(builder, body).map_err(ours)?;
        let response = self.crab.execute(request).await.map_err(ours)?;
        let found = T::from_response(response).await.map_err(ours);
        // Something unexpected: it may well have worked.
        found.map_err(|error| if repeat == RetryPolicy::Idempotent { error } else { error.ambiguous() })
    }

    /// Reads from a path.
    pub async fn get<T: FromResponse>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None::<&()>, RetryPolicy::Idempotent).await
    }

    /// Asks for something to be done, without a body; what the answer says does not matter.
    pub async fn post(&self, path: &str, repeat: RetryPolicy) -> Result<()> {
        let builder = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.api))
            .header(header::ACCEPT, "application/vnd.github+json")
            .extension(repeat);
        let request = self.crab.build_request(builder, None::<&()>).map_err(ours)?;
        self.crab.execute(request).await.map(drop).map_err(ours)
    }

    /// Reads a page of a list, with the answer's headers.
    pub async fn page(&self, path: &str) -> Result<Response<Bytes>> {
        let mut request = self.request(Method::GET, path, None)?;
        request.headers_mut().insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        self.http.send(request).await
    }

    /// Reads from a path, with the answer's headers.
    pub async fn get_with_headers(&self, path: &str) -> Result<Response<Bytes>> {
        self.http.send(self.request(Method::GET, path, None)?).await
    }

    /// Sends a request that has no effect, and returns the answer whatever its status.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Bytes>> {
        self.http.send_raw(self.request(method, path, body)?).await
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Bytes>> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.api))
            .header(header::ACCEPT, "application/vnd.github+json")
            .extension(RetryPolicy::Idempotent);
        if let Some(value) = &self.authorization {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        if body.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(|body| body.to_string().into()).unwrap_or_default();
        builder.body(bytes).map_err(|error| no_address(&error))
    }

    /// Sends a request whose answer has no body.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let builder = Request::builder().method(Method::DELETE).uri(format!("{}{path}", self.api));
        let request = self.crab.build_request(builder, None::<&()>).map_err(ours)?;
        self.crab.execute(request).await.map(drop).map_err(ours)
    }
}

/// Returns an answer's JSON.
pub fn parsed<T: DeserializeOwned>(answer: &Response<Bytes>) -> Result<T> {
    serde_json::from_slice(answer.body()).map_err(|e| Error::remote(format!("unexpected answer from GitHub ({e})")))
}

/// The bottom of octocrab's stack. The program has one thread, so what the types ask to be `Send` never
/// leaves it; [`SendWrapper`] checks that at run time.
struct Service(SendWrapper<(Http, Option<HeaderValue>)>);

impl Service {
    fn call(
        &self,
        request: Request<OctoBody>,
    ) -> SendWrapper<impl Future<Output = Result<Response<Full<Bytes>>>> + use<>> {
        let (http, authorization) = SendWrapper::clone(&self.0).take();
        SendWrapper::new(async move {
            let (mut parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ours)?.to_bytes();
            parts.headers.remove(header::CONTENT_LENGTH);
            if let Some(value) = authorization {
                parts.headers.insert(header::AUTHORIZATION, value);
            }
            http.send(Request::from_parts(parts, body)).await.map(|answer| answer.map(Full::new))
        })
    }
}

/// Returns what the user or the CI names does not make an address.
fn no_address(error: &http::Error) -> Error {
    Error::config(format!("invalid address of GitHub's API ({error})"))
        .hint("check GITHUB_API_URL, GITHUB_SHA, --repo and --publish-branch")
}

/// Returns our own error out of octocrab's, or a description of octocrab's.
fn ours(error: octocrab::Error) -> Error {
    match error {
        octocrab::Error::Service { source, .. } => match source.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::internal(format!("the GitHub client failed ({other})")),
        },
        octocrab::Error::Http { source, .. } => no_address(&source),
        octocrab::Error::Serde { source, .. } => Error::remote(format!("unexpected answer from GitHub ({source})")),
        octocrab::Error::Json { source, .. } => Error::remote(format!("unexpected answer from GitHub ({source})")),
        other => Error::internal(format!("the GitHub client failed ({other})")),
    }
}
