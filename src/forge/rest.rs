//! A JSON API below one base address: what GitLab's and Bitbucket's clients share.

use crate::error::{Error, Kind, Result};
use crate::host::ProxyOverride;
use crate::http::{Discloses, Http, RetryPolicy, multipart};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The client.
#[derive(Clone)]
pub struct Rest {
    http: Http,
    base: String,
    credential: Option<(HeaderName, HeaderValue)>,
    proxy: Option<ProxyOverride>,
    discloses: bool,
}

impl Rest {
    /// Returns a client of the API at `base`, which sends the credential with each request.
    pub fn new(http: Http, base: &str, credential: Option<(HeaderName, HeaderValue)>) -> Self {
        Rest { http, base: base.trim_end_matches('/').to_owned(), credential, proxy: None, discloses: false }
    }

    /// Returns the same through a proxy of its own.
    pub fn through_proxy(self, proxy: String) -> Self {
        Rest { proxy: Some(ProxyOverride(proxy)), ..self }
    }

    /// Returns the same for requests with a secret in their body, which the service is to have.
    pub fn disclosing(&self) -> Self {
        Rest { discloses: true, ..self.clone() }
    }

    /// Sends a request; the answer's headers and JSON.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        repeat: RetryPolicy,
    ) -> Result<(HeaderMap, T)> {
        let (kind, bytes) = match body {
            Some(body) => (Some("application/json"), body.to_string().into()),
            None => (None, Bytes::new()),
        };
        let answer = self.send(method, path, kind, bytes, repeat).await?;
        let (parts, bytes) = answer.into_parts();
        let value = serde_json::from_slice(&bytes).map_err(|e| {
            let error = Error::remote(format!("unexpected answer to {path} ({e})"));
            // It may well have worked.
            if repeat == RetryPolicy::Idempotent { error } else { error.ambiguous() }
        })?;
        Ok((parts.headers, value))
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<(HeaderMap, T)> {
        self.call(Method::GET, path, None, RetryPolicy::Idempotent).await
    }

    /// Asks for something that may take longer than the request: the answer's body, if it has one yet, and the address
    /// that says how it goes.
    pub async fn start(&self, path: &str, body: &Value) -> Result<(Value, Option<String>)> {
        let bytes = body.to_string().into();
        let answer = self.send(Method::POST, path, Some("application/json"), bytes, RetryPolicy::LookFirst).await?;
        let location = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((serde_json::from_slice(answer.body()).unwrap_or_default(), location))
    }

    /// Returns the client underneath, for pauses.
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Reads a file.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.send(Method::GET, path, None, Bytes::new(), RetryPolicy::Idempotent).await?;
        Ok(answer.into_body().to_vec())
    }

    /// Returns whether there is something at a path.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        match self.send(Method::GET, path, None, Bytes::new(), RetryPolicy::Idempotent).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Deletes; what is gone already is fine.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.send(Method::DELETE, path, None, Bytes::new(), RetryPolicy::Idempotent).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Deletes what the body names; what is gone already is fine.
    pub async fn delete_by(&self, path: &str, body: &Value) -> Result<()> {
        let bytes = body.to_string().into();
        match self.send(Method::DELETE, path, Some("application/json"), bytes, RetryPolicy::Idempotent).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Sends what may be sent twice, and whose answer has nothing to tell.
    pub async fn post(&self, path: &str, body: &Value) -> Result<()> {
        let bytes = body.to_string().into();
        self.send(Method::POST, path, Some("application/json"), bytes, RetryPolicy::Idempotent).await.map(drop)
    }

    /// Sends a file; returns the answer's body. Sending it twice stores it twice and shows it once.
    pub async fn upload(&self, path: &str, field: &str, name: &str, mime: &str, bytes: &[u8]) -> Result<Bytes> {
        // The name is a hash of the content: no boundary made of it can be in the content by accident.
        let boundary = format!("cml-{name}");
        let (kind, body) = multipart(field, name, mime, bytes, &boundary);
        Ok(self.send(Method::POST, path, Some(&kind), body, RetryPolicy::Idempotent).await?.into_body())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
        repeat: RetryPolicy,
    ) -> Result<http::Response<Bytes>> {
        let address = format!("{}{path}", self.base);
        let mut builder = Request::builder()
            .method(method)
            .uri(&address)
            .header(header::ACCEPT, "application/json")
            .extension(repeat);
        if let Some((name, value)) = &self.credential {
            builder = builder.header(name, value);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.extension(proxy.clone());
        }
        if self.discloses {
            builder = builder.extension(Discloses);
        }
        if let Some(kind) = content_type {
            builder = builder.header(header::CONTENT_TYPE, kind);
        }
        let request = builder.body(body).map_err(|e| Error::config(format!("invalid address {address} ({e})")))?;
        self.http.send(request).await
    }
}

/// Escapes a text for one segment of a path or one value of a query.
pub fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
