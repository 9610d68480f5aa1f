//! The client: `POST` with JSON and a token, whatever the endpoint.
//!
//! The keys go to `auth.login` only, which answers with a token; every other request has that. The SDK's own form, `GET` with a body, is
//! refused by some proxies.

use super::config::{Credentials, Server};
use super::envelope::{self, Refused};
use super::token::Claims;
use crate::app::App;
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use crate::host::MaxAnswer;
use crate::http::{FinalIf, Http, MayBeNonFinite, RetryPolicy, explain_status, request, secret_header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::lock::Mutex;
use http::{Method, Request, Response, header};
use serde_json::Value;
use std::rc::Rc;
use url::Url;

const LOGIN: &str = "auth.login";
/// How this program calls itself. The version is that of the crate.
const CLIENT: &str = concat!("cml-", env!("CARGO_PKG_VERSION"));

/// A connection to a ClearML server. Nothing is sent before the first call.
pub struct Client {
    app: App,
    http: Http,
    server: Server,
    credentials: Credentials,
    session: Mutex<Option<Rc<Session>>>,
}

/// A token, and what it says.
struct Session {
    token: Secret,
    claims: Claims,
    version: Option<String>,
    renew_at: Option<i64>,
}

impl Client {
    /// Returns a client of a server.
    pub fn new(app: &App, server: Server, credentials: Credentials) -> Self {
        let http = app.http.explained_by(|refusal| {
            let says = refusal.json()["meta"]["result_msg"].as_str().unwrap_or_default().to_owned();
            explain_status(refusal, "ClearML", &says)
        });
        Client { app: app.clone(), http, server, credentials, session: Mutex::default() }
    }

    /// Returns the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns what the server's token says.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn claims(&self) -> Result<Claims> {
        Ok(self.session(false).await?.claims.clone())
    }

    /// Returns the version of the server's API, as far as its token tells.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn api_version(&self) -> Result<Option<(u32, u32)>> {
        Ok(self.session(false).await?.claims.api)
    }

    /// Calls an endpoint that reads, such as `tasks.get_all`, and returns its data.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the request. A token that it does not accept any more is renewed once.
    pub async fn read(&self, endpoint: &str, body: &Value) -> Result<Value> {
        self.send(endpoint, body, RetryPolicy::Idempotent).await
    }

    /// Calls an endpoint that changes something, and returns its data. `retry` says whether sending it twice has the effect of
    /// sending it once; otherwise an answer that is lost is an error that [`Error::is_ambiguous`].
    ///
    /// # Errors
    /// As [`Client::read`]; or `CML_CLEARML_READ_ONLY` is set, and nothing is sent.
    pub async fn write(&self, endpoint: &str, body: &Value, retry: RetryPolicy) -> Result<Value> {
        let is_read_only = self.app.env().get(vars::CML_CLEARML_READ_ONLY).is_some_and(|value| !is_no(value));
        if is_read_only {
            return Err(Error::config(format!("not calling ClearML's {endpoint}: CML_CLEARML_READ_ONLY is set"))
                .hint("unset it for jobs that may change something in ClearML"));
        }
        self.send(endpoint, body, retry).await
    }

    async fn send(&self, endpoint: &str, body: &Value, retry: RetryPolicy) -> Result<Value> {
        let first = self.session(false).await?;
        match self.call(&first, endpoint, body, retry).await? {
            Err(Refused { is_token: true, .. }) => {}
            answer => return answer.map_err(|refused| refused.error),
        }
        let second = self.session(true).await?;
        self.call(&second, endpoint, body, retry).await?.map_err(|refused| refused.error)
    }

    async fn call(
        &self,
        session: &Session,
        endpoint: &str,
        body: &Value,
        retry: RetryPolicy,
    ) -> Result<Result<Value, Refused>> {
        let path = match &session.version {
            Some(version) => format!("v{version}/{endpoint}"),
            None => endpoint.to_owned(),
        };
        let bearer = format!("Bearer {}", session.token.expose());
        let answer = self.post(&path, &bearer, Some(body), retry).await?;
        Ok(envelope::open(endpoint, answer.status().as_u16(), answer.body()))
    }

    /// Returns a token that is valid for a while, from a login if need be. `anew` does not take the one at hand.
    async fn session(&self, anew: bool) -> Result<Rc<Session>> {
        let mut session = self.session.lock().await;
        let now = self.http.server_now();
        if let Some(found) = session.as_ref().filter(|found| !anew && found.renew_at.is_none_or(|end| now < end)) {
            return Ok(found.clone());
        }
        let fresh = Rc::new(self.log_in().await?);
        *session = Some(fresh.clone());
        Ok(fresh)
    }

    async fn log_in(&self) -> Result<Session> {
        let authorization = match &self.credentials {
            Credentials::Keys(key, secret) => {
                format!("Basic {}", STANDARD.encode(format!("{}:{}", key.expose(), secret.expose())))
            }
            Credentials::Token(token) => format!("Bearer {}", token.expose()),
        };
        let answer = self.post(LOGIN, &authorization, None, RetryPolicy::Idempotent).await?;
        let data = envelope::open(LOGIN, answer.status().as_u16(), answer.body()).map_err(|refused| refused.error)?;
        let token = data["token"].as_str().map(Secret::new).ok_or_else(|| {
            Error::config(format!("{} did not answer a login with a token", self.server.api))
                .hint("check CLEARML_API_HOST: it must be the address of ClearML's API")
        })?;
        self.app.log.hide("the ClearML token", &token);
        let claims = Claims::read(token.expose());
        let version = claims.version().map_err(|version| {
            Error::unsupported(format!("the API of {} has version {version}", self.server.api))
                .hint("update the ClearML server: cml needs version 2.13 of its API or newer")
        })?;
        let renew_at = claims.renew_at(self.http.server_now());
        Ok(Session { token, claims, version, renew_at })
    }

    /// Sends a `POST`.
    async fn post(
        &self,
        path: &str,
        authorization: &str,
        body: Option<&Value>,
        retry: RetryPolicy,
    ) -> Result<Response<Bytes>> {
        let address = format!("{}/{path}", self.server.api.as_str().trim_end_matches('/'));
        let mut builder = Request::builder()
            .method(Method::POST)
            .uri(&address)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, secret_header("the ClearML credentials", authorization)?)
            .header("X-ClearML-Client", CLIENT)
            .extension(MayBeNonFinite)
            .extension(MaxAnswer::USUAL)
            .extension(FinalIf(envelope::is_final))
            .extension(retry);
        if body.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = builder.body(bytes).map_err(|e| Error::config(format!("invalid address {address} ({e})")))?;
        self.http.send_raw(request).await
    }

    /// Downloads a file that a task has uploaded to the server of files.
    ///
    /// # Errors
    /// It is elsewhere, which gets neither the token nor a request; it is not there, or not for this user.
    pub async fn download(&self, url: &str) -> Result<Bytes> {
        let files = self.server.files.as_ref();
        let url = Url::parse(url).ok().filter(|url| files.is_some_and(|files| files.origin() == url.origin()));
        let url = url.ok_or_else(|| {
            Error::unsupported("it is not on ClearML's file server").hint(
                "only files of the server in CLEARML_FILES_HOST, or derived from CLEARML_API_HOST, are downloaded",
            )
        })?;
        let bearer = format!("Bearer {}", self.session(false).await?.token.expose());
        let mut request = request(Method::GET, &url, Bytes::new())?;
        request.headers_mut().insert(header::AUTHORIZATION, secret_header("the ClearML token", &bearer)?);
        Ok(self.http.send(request).await?.into_body())
    }
}

/// Returns whether a setting says no.
fn is_no(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "n" | "no" | "f" | "false" | "off")
}
