//! Redirects: the request is repeated as it was, and credentials are never sent to another server.

use super::authority;
use crate::error::{Error, Result};
use crate::host::TlsOptions;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use std::sync::Arc;
use url::Url;

/// The headers that carry credentials.
const CREDENTIALS: &[&str] = &["authorization", "private-token", "job-token", "cookie"];

/// Returns the target of a redirect. Forges ask to repeat the request as it was, whatever the method
/// (<https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>),
/// so a `POST` is never turned into a `GET` that silently does nothing.
pub fn redirect_target(request: &Request<Bytes>, answer: &Response<Bytes>) -> Result<Option<Url>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad = || Error::remote(format!("{} redirects to an invalid address", authority(request)));
    // Without an address it is a refusal: S3's, for a bucket of another region.
    let Some(location) = answer.headers().get(header::LOCATION) else { return Ok(None) };
    let location = location.to_str().map_err(|_| bad())?;
    let from = Url::parse(&request.uri().to_string()).map_err(|_| bad())?;
    let to = from.join(location).map_err(|_| bad())?;
    if !same_server(&from, &to) && request.method() != Method::GET {
        let message = format!("{} redirects to {}", authority(request), to.origin().ascii_serialization());
        return Err(Error::config(message)
            .hint("if the service has moved, use its new address (--repo, or the API's variable)"));
    }
    let is_plain = (from.scheme(), to.scheme()) == ("https", "http") && from.host_str() == to.host_str();
    if is_plain && CREDENTIALS.iter().any(|name| request.headers().contains_key(*name)) {
        let message = format!(
            "{} redirects to {}: not sending the token unencrypted",
            authority(request),
            to.origin().ascii_serialization()
        );
        return Err(Error::config(message).hint(
            "configure the server, or the proxy in front of it, to use https in its own addresses (GitLab: external_url)",
        ));
    }
    let page = to.path().trim_end_matches('/').rsplit('/').next();
    if matches!(page, Some("sign_in" | "signin" | "login")) {
        return Err(Error::auth(format!("{} redirects to its sign-in page", authority(request)))
            .hint("check the token and the repository's address"));
    }
    Ok(Some(to))
}

/// Returns whether a request may go to both with the same credentials: scheme, host and port are the same, or
/// it is now encrypted.
fn same_server(from: &Url, to: &Url) -> bool {
    let usual_ports = from.port().is_none() && to.port().is_none();
    let encrypted = (from.scheme(), to.scheme()) == ("http", "https");
    from.origin() == to.origin() || (encrypted && usual_ports && from.host_str() == to.host_str())
}

/// Points a request at the new address; credentials are kept only within the server.
pub fn follow(request: &mut Request<Bytes>, to: Url) -> Result<()> {
    let from = Url::parse(&request.uri().to_string());
    if !from.is_ok_and(|from| same_server(&from, &to)) {
        for name in CREDENTIALS {
            request.headers_mut().remove(*name);
        }
        // A certificate shows who the client is, and an authority is that of one server.
        request.extensions_mut().remove::<Arc<TlsOptions>>();
    }
    *request.uri_mut() =
        to.as_str().parse().map_err(|e| Error::remote(format!("cannot follow the redirect to {to} ({e})")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_with_the_server() {
        for (from, to, same) in [
            ("https://host/a", "https://host:443/b", true),
            ("http://host/a", "https://host/a", true),
            ("https://host/a", "http://host/a", false),
            ("https://host/a", "https://host:8443/a", false),
            ("http://host:8080/a", "https://host/a", false),
            ("https://host/a", "https://api.host/a", false),
            ("https://host/a", "https://host@other/a", false),
        ] {
            assert_eq!(same_server(&Url::parse(from).unwrap(), &Url::parse(to).unwrap()), same, "{from} {to}");
        }
    }
}
