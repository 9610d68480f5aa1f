//! Checks each request before it is sent: the secrets that the log hides may only be in its headers.

use crate::error::{Error, Result};
use crate::log::{Leak, Log};
use bytes::Bytes;
use http::{Request, header};
use serde_json::Value;

/// Marks a request as one whose service gets a secret in its body or address, such as the exchange of a token.
#[derive(Debug, Clone, Copy)]
pub struct Discloses;

/// Larger JSON documents hold files and are searched as raw bytes.
const MAX_DOCUMENT_SIZE: usize = 8 << 20;

/// Refuses a request with a secret in its body or address, unless it [`Discloses`].
pub fn check(request: &Request<Bytes>, log: &Log) -> Result<()> {
    if request.extensions().get::<Discloses>().is_some() {
        return Ok(());
    }
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    if let Some(leak) = log.leak(address) {
        return Err(leak.error("the request URL"));
    }
    let body = request.body();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let document =
        (kind.contains("json") && body.len() <= MAX_DOCUMENT_SIZE).then(|| serde_json::from_slice(body).ok());
    let error: Option<Error> = match document.flatten() {
        Some(document) => in_document("", &document, log).map(|(field, leak)| leak.error(format!("the field {field}"))),
        None => log.leak(body).map(|leak| leak.error("a file")),
    };
    error.map_or(Ok(()), Err)
}

/// Returns the name of the first field of a document with a secret in it, and the leak.
fn in_document(field: &str, value: &Value, log: &Log) -> Option<(String, Leak)> {
    let is_in = |text: &str| log.leak(text).map(|leak| (field.to_owned(), leak));
    match value {
        Value::String(text) => is_in(text),
        Value::Array(items) => items.iter().find_map(|item| in_document(field, item, log)),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| is_in(name).or_else(|| in_document(name, value, log)))
        }
        _ => None,
    }
}
