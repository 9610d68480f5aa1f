//! A client for the clouds that speak JSON over HTTP, with a bearer token: requests, refusals by their code, and operations that take
//! time. What a refusal means is the cloud's: its [`Dialect`].

use crate::env::Secret;
use crate::error::{Error, Kind, Result};
use crate::http::{
    self as client, Discloses, FinalIf, Http, MayBeDone, Refusal, RetryPolicy, retry_after, secret_header,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// The pause between two looks at an operation, unless the cloud asks for another one.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How much longer a pause may be, so that jobs that start together do not ask together.
const POLL_SPREAD: Duration = Duration::from_millis(250);

/// Where the token of a request comes from.
#[async_trait(?Send)]
pub trait Bearer {
    /// Returns a token that is valid now.
    ///
    /// # Errors
    /// There are no credentials, or they do not work.
    async fn token(&self) -> Result<Secret>;

    /// Forgets the token, which the cloud has refused.
    async fn forget(&self);
}

/// What a cloud answered instead of a success.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// The status; 0 for an operation that failed after its request was accepted.
    pub status: u16,
    /// The cloud's code; empty where it gives none.
    pub code: String,
    /// The cloud's message.
    pub message: String,
    /// The whole answer; `Null` where it is not JSON.
    pub body: Value,
}

/// How a cloud says no.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// The cloud's name, for messages.
    pub title: &'static str,
    /// Reads the code and the message of an answer.
    pub read: fn(&Value) -> (String, String),
    /// Translates a refusal for people.
    pub explain: fn(&Refused) -> Error,
    /// Returns whether a refusal is final although its status is that of a passing fault, such as 503 for a lack of capacity.
    pub is_final: fn(&Refusal) -> bool,
}

impl Dialect {
    /// Returns the failure of a refusal.
    pub fn failure(&self, refused: Refused) -> Failure {
        Failure { error: (self.explain)(&refused), refused: Some(Box::new(refused)) }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Refused {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (code, message) = (self.read)(&body);
        Refused { status: status.as_u16(), code, message, body }
    }
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error for people.
    pub error: Error,
    /// What the cloud answered, or `None` if it did not answer, or only with a passing fault.
    pub refused: Option<Box<Refused>>,
}

impl Failure {
    /// Returns the cloud's code; empty when there was no answer.
    pub fn code(&self) -> &str {
        self.refused.as_ref().map_or("", |refused| &refused.code)
    }

    /// Returns whether the cloud does not know the object.
    pub fn is_missing(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.status == 404)
    }

    /// Returns whether an operation has failed whose request was accepted.
    pub fn is_of_operation(&self) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.status == 0)
    }

    /// Returns whether the cloud refused a request, or a look at its operation, of which an earlier attempt may have succeeded.
    pub fn refused_later(&self) -> bool {
        self.refused.is_some() && self.error.is_ambiguous()
    }

    /// Marks that the request may have succeeded.
    #[must_use]
    pub fn ambiguous(self) -> Failure {
        Failure { error: self.error.ambiguous(), ..self }
    }

    /// Marks that the request may have succeeded, if it is unknown what became of it.
    #[must_use]
    pub fn ambiguous_without_answer(self) -> Failure {
        if self.refused.is_none() && self.error.kind() == Kind::Remote { self.ambiguous() } else { self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, refused: None }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}

/// A request.
pub struct Call {
    method: Method,
    url: Url,
    body: Option<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    policy: Option<RetryPolicy>,
    discloses: bool,
}

impl Call {
    /// Creates a request without a body. A `POST` is sent once, all others until there is an answer.
    pub fn new(method: Method, url: Url) -> Call {
        Call { method, url, body: None, headers: Vec::new(), policy: None, discloses: false }
    }

    /// Creates a request for something.
    pub fn get(url: Url) -> Call {
        Call::new(Method::GET, url)
    }

    /// Adds a body.
    #[must_use]
    pub fn body(self, body: Value) -> Call {
        Call { body: Some(body), ..self }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Call {
        self.headers.push((name, value));
        self
    }

    /// Marks that sending it twice has the effect of sending it once.
    #[must_use]
    pub fn idempotent(self) -> Call {
        Call { policy: Some(RetryPolicy::Idempotent), ..self }
    }

    /// Marks that the body has a secret in it, which is meant for the cloud.
    #[must_use]
    pub fn disclosing(self) -> Call {
        Call { discloses: true, ..self }
    }

    fn request(&self) -> Result<Request<Bytes>> {
        let body = self.body.as_ref().map(|body| Bytes::from(body.to_string()));
        let is_json = body.is_some();
        let mut request = client::request(self.method.clone(), &self.url, body.unwrap_or_default())?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json.clone());
        if is_json {
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if let Some(policy) = self.policy {
            request.extensions_mut().insert(policy);
        }
        if self.discloses {
            request.extensions_mut().insert(Discloses);
        }
        Ok(request)
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The document; `Null` for an empty one.
    pub body: Value,
}

/// The client.
pub struct Rest {
    http: Http,
    bearer: Box<dyn Bearer>,
    dialect: Dialect,
}

impl Rest {
    /// Creates a client.
    pub fn new(http: &Http, bearer: Box<dyn Bearer>, dialect: Dialect) -> Rest {
        let explained = http
            .explained_by(move |refusal: &Refusal| (dialect.explain)(&dialect.refused(refusal.status, refusal.body)));
        Rest { http: explained, bearer, dialect }
    }

    /// Returns the transport, with its clock and its budget.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Returns how the cloud says no.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Sends a request. A token that is refused is replaced once.
    ///
    /// # Errors
    /// The cloud refuses, or there is no answer. It is ambiguous where an earlier attempt may have been carried out, whose answer was lost.
    pub async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let mut answer = self.send_once(call).await?;
        let may_be_done = answer.extensions().get::<MayBeDone>().is_some();
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.bearer.forget().await;
            answer = self.send_once(call).await?;
        }
        let (parts, body) = answer.into_parts();
        if !parts.status.is_success() {
            let may_be_done = may_be_done || parts.extensions.get::<MayBeDone>().is_some();
            let failure = self.dialect.failure(self.dialect.refused(parts.status, &body));
            return Err(if may_be_done { failure.ambiguous() } else { failure });
        }
        let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
        let body = body.map_err(|_| Error::remote(format!("the answer of {} is not JSON", self.dialect.title)))?;
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Sends a request for an object, and returns `None` if it does not exist.
    ///
    /// # Errors
    /// Those of [`Rest::send`].
    pub async fn find(&self, url: Url) -> Result<Option<Value>, Failure> {
        match self.send(&Call::get(url)).await {
            Err(failure) if failure.is_missing() => Ok(None),
            answer => answer.map(|answer| Some(answer.body)),
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Response<Bytes>> {
        let mut request = call.request()?;
        let token = self.bearer.token().await?;
        let value = secret_header("the access token", &format!("Bearer {}", token.expose()))?;
        request.headers_mut().insert(header::AUTHORIZATION, value);
        request.extensions_mut().insert(FinalIf(self.dialect.is_final));
        self.http.send_raw(request).await
    }

    /// Looks at an operation until it is done, with the pauses that the cloud asks for, else a second.
    ///
    /// # Errors
    /// The operation failed, or it is not done within the budget.
    pub async fn poll<T>(&self, mut look: impl AsyncFnMut() -> Result<Progress<T>, Failure>) -> Result<T, Failure> {
        loop {
            match look().await? {
                Progress::Done(outcome) => return Ok(outcome),
                Progress::Running(pause) => {
                    self.http.pause_at_least(pause.unwrap_or(POLL_INTERVAL), POLL_SPREAD).await?;
                }
            }
        }
    }

    /// Returns the pause that an answer asks for.
    pub fn pause_of(&self, answer: &Answer) -> Option<Duration> {
        retry_after(&answer.headers, self.http.server_now())
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<T> {
    /// It is done.
    Done(T),
    /// It goes on; the cloud may say when to look again.
    Running(Option<Duration>),
}
