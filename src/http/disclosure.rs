//! The last look at a request before it leaves: the secrets that the log hides are in its headers or nowhere.

use crate::error::{Error, Result};
use crate::log::{Leak, Log};
use bytes::Bytes;
use http::{Request, header};
use serde_json::Value;

/// Marks a request as one whose service gets a secret in its body or address, such as the exchange of a token.
#[derive(Debug, Clone, Copy)]
pub struct Discloses;

/// Larger documents hold files, which are searched as they are.
const LARGEST_DOCUMENT: usize = 8 << 20;

/// Refuses a request with a secret in its body or address, unless it [`Discloses`].
pub fn check(request: &Request<Bytes>, log: &Log) -> Result<()> {
    if request.extensions().get::<Discloses>().is_some() {
        return Ok(());
    }
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    if let Some(leak) = log.leak(address) {
        return Err(leak.error("what is asked for"));
    }
    let body = request.body();
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let document = (kind.contains("json") && body.len() <= LARGEST_DOCUMENT).then(|| serde_json::from_slice(body).ok());
    let error: Option<Error> = match document.flatten() {
        Some(document) => in_document("", &document, log).map(|(field, leak)| leak.error(format!("the field {field}"))),
        None => log.leak(body).map(|leak| leak.error("a file")),
    };
    error.map_or(Ok(()), Err)
}

/// The first text in a document with a secret in it, and the field's name.
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
