//! The client of one namespace: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.

use super::explain::{self, Context};
use crate::app::App;
use crate::auth::kubernetes::ClusterAccess;
use crate::error::{Error, Result};
use crate::http::{self as client, Discloses, Http, Refusal, RetryPolicy};
use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

/// What is sent with a request that has no effect: <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>. A field that
/// the server does not know is an error.
pub const DRY_RUN: &str = "dryRun=All&fieldValidation=Strict";

/// The shortest pause before something is tried again.
const PAUSE: Duration = Duration::from_millis(300);

/// A body, and whether it may be sent again.
type Body<'a> = (&'a Value, RetryPolicy);

/// The client.
pub struct Api {
    http: Http,
    access: ClusterAccess,
    about: Context,
    /// The server's warnings so far, each of which is shown once.
    warned: RefCell<BTreeSet<String>>,
}

/// The kinds of objects, by their paths in a namespace.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Jobs.
    Jobs,
    /// Pods.
    Pods,
    /// Secrets.
    Secrets,
    /// Events.
    Events,
}

impl Api {
    /// Creates a client with credentials.
    pub fn new(app: &App, access: ClusterAccess) -> Api {
        let server = access.server().host_str().unwrap_or_default().to_owned();
        let about = Context { server, context: access.context().to_owned(), namespace: access.namespace().to_owned() };
        let of_refusals = about.clone();
        let http = app.http.explained_by(move |refusal| explain::refusal(refusal, &of_refusals));
        Api { http, access, about, warned: RefCell::default() }
    }

    /// Returns the credentials.
    pub fn access(&self) -> &ClusterAccess {
        &self.access
    }

    /// Returns the path of a kind of objects in the namespace, with further parts.
    pub fn path(&self, kind: Kind, rest: &[&str]) -> String {
        let (group, name) = match kind {
            Kind::Jobs => ("apis/batch/v1", "jobs"),
            Kind::Pods => ("api/v1", "pods"),
            Kind::Secrets => ("api/v1", "secrets"),
            Kind::Events => ("api/v1", "events"),
        };
        let path = [group, "namespaces", &self.about.namespace, name].into_iter().chain(rest.iter().copied());
        path.collect::<Vec<_>>().join("/")
    }

    /// Fetches an object or a list.
    pub async fn get(&self, path: &str, query: &str) -> Result<Value> {
        parsed(&self.send(Method::GET, path, query, None).await?)
    }

    /// Fetches an object; `None` when there is none.
    pub async fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path, "").await {
            Err(error) if error.kind() == crate::error::Kind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// Fetches text.
    pub async fn text(&self, path: &str, query: &str) -> Result<String> {
        let answer = self.send(Method::GET, path, query, None).await?;
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// Creates an object. It is sent again after a lost answer: a second one of the same name is a conflict.
    pub async fn create(&self, path: &str, query: &str, body: &Value) -> Result<Value> {
        parsed(&self.send(Method::POST, path, query, Some((body, RetryPolicy::Idempotent))).await?)
    }

    /// Creates an object; after a lost answer the error is ambiguous.
    pub async fn create_once(&self, path: &str, body: &Value) -> Result<Value> {
        parsed(&self.send(Method::POST, path, "", Some((body, RetryPolicy::LookFirst))).await?)
    }

    /// Waits a moment before something is tried again.
    pub async fn pause(&self, attempt: u32) -> Result<()> {
        self.http.pause(PAUSE, attempt).await
    }

    /// Deletes an object with what it owns; does nothing when it is gone.
    pub async fn delete(&self, path: &str) -> Result<()> {
        // With a body the query is ignored, and without a policy a Job leaves its pods.
        let body =
            serde_json::json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        match self.send(Method::DELETE, path, "", Some((&body, RetryPolicy::Idempotent))).await {
            Err(error) if error.kind() == crate::error::Kind::NotFound => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn send(&self, method: Method, path: &str, query: &str, body: Option<Body<'_>>) -> Result<Response<Bytes>> {
        let answer = self.send_once(&method, path, query, body).await?;
        // The token may have been revoked or replaced meanwhile.
        let answer = if answer.status() == StatusCode::UNAUTHORIZED && self.access.forget().await {
            self.send_once(&method, path, query, body).await?
        } else {
            answer
        };
        self.show_warnings(&answer);
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (status, headers, body) = (answer.status(), answer.headers(), answer.body());
        let refusal = Refusal { method: &method, path, status, headers, body };
        Err(explain::refusal(&refusal, &self.about))
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: Option<Body<'_>>,
    ) -> Result<Response<Bytes>> {
        let mut url = self.access.server().clone();
        // A server behind a proxy has a path of its own.
        let path = format!("{}/{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let bytes = body.map(|(body, _)| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = client::request(method.clone(), &url, bytes)?;
        request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static("application/json, */*"));
        if let Some((_, policy)) = body {
            request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
            request.extensions_mut().insert(policy);
        }
        if path.ends_with("/secrets") {
            // The runner's credential, and nothing else.
            request.extensions_mut().insert(Discloses);
        }
        self.access.authorize(&mut request).await?;
        self.http.send_raw(request).await
    }

    /// Shows the server's warnings: `299 - "unknown field …"` (<https://kubernetes.io/blog/2020/09/03/warnings/>).
    fn show_warnings(&self, answer: &Response<Bytes>) {
        for warning in answer.headers().get_all(header::WARNING) {
            let text = warning.to_str().ok().and_then(|text| text.strip_prefix("299 ")?.split_once('"'));
            let text = text.map(|(_, text)| text.trim_end_matches('"').replace("\\\"", "\""));
            if let Some(text) = text.filter(|text| self.warned.borrow_mut().insert(text.clone())) {
                self.http.log().warn(&format!("the cluster says: {text}"));
            }
        }
    }
}

fn parsed(answer: &Response<Bytes>) -> Result<Value> {
    serde_json::from_slice(answer.body()).map_err(|_| {
        Error::remote("the cluster's answer is not JSON").hint("check the server's address in the kubeconfig")
    })
}
