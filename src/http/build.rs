//! The parts of requests.

use crate::error::{Error, Result};
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use url::Url;

/// Builds a request.
pub fn request(method: Method, url: &Url, body: Bytes) -> Result<Request<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url.as_str())
        .body(body)
        .map_err(|e| Error::config(format!("invalid address {url} ({e})")))
}

/// Returns a secret of a variable or option as a header's value, marked so that it is never printed.
pub fn secret_header(name: &str, value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| unusable(name))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Creates the error of a secret that cannot be sent in a header.
pub fn unusable(name: &str) -> Error {
    Error::config(format!("the value of {name} contains an invalid character, such as a line break"))
        .hint("check how the secret is stored: it must be one line of letters, digits and punctuation")
}

/// Returns the content type and body of a `multipart/form-data` request with one file.
pub fn multipart(field: &str, file_name: &str, mime: &str, bytes: &[u8], boundary: &str) -> (String, Bytes) {
    let name = file_name.replace(['"', '\r', '\n', '\\'], "_");
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: {mime}\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body.into())
}
