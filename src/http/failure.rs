//! Failures: which can be retried, when, and their messages.

use super::{FIRST_PAUSE, Refusal, authority};
use crate::env::{Env, vars};
use crate::error::{Error, Kind};
use crate::host::proxy::Proxies;
use crate::host::{CertificateFault, SendError, SendPhase, TlsOptions};
use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderMap};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// GitHub's documentation asks for at least a minute when a secondary limit names no time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const SECONDARY_LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// An exchange that failed, and whether it can be retried.
pub struct Failure {
    /// The error for the user.
    pub error: Error,
    /// Whether it can be retried.
    pub retryable: Retryable,
    /// The pause that the server asks for; `None` for the usual exponential one.
    pub pause: Option<Duration>,
}

/// Whether a failed request can be retried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Retryable {
    /// It would fail again.
    Never,
    /// A few times: the server was not reached.
    ToConnect,
    /// If it is idempotent: the server may have carried it out.
    IfIdempotent,
    /// Yes: the server refused it for now.
    Always,
}

/// Explains a failure to get any answer.
pub fn unsent(request: &Request<Bytes>, error: &SendError, env: &Env) -> Failure {
    let to = authority(request);
    let text = &error.text;
    let (message, hint, retryable) = match error.phase {
        SendPhase::Name => {
            let hint = "check the network, the name, and whether a proxy is needed (https_proxy)";
            (format!("cannot resolve {to}"), Some(connect_hint(request, env, hint)), Retryable::ToConnect)
        }
        SendPhase::Connect => {
            let hint = "check that the server is up and reachable; behind a proxy set https_proxy";
            (format!("cannot connect to {to} ({text})"), Some(connect_hint(request, env, hint)), Retryable::ToConnect)
        }
        SendPhase::Proxy => (
            format!("the proxy refused the request to {to} ({text})"),
            Some(
                "check https_proxy and http_proxy (with user:password@ before the host if the proxy needs it), and list the hosts that need no proxy in no_proxy"
                    .to_owned(),
            ),
            Retryable::Never,
        ),
        SendPhase::Tls if has_own_roots(request) => (
            format!("the connection to {to} is not trusted ({text})"),
            Some("check the certificate authority that is given for this server: no other one is trusted".to_owned()),
            Retryable::Never,
        ),
        SendPhase::Tls => (
            format!("the connection to {to} is not trusted ({text})"),
            Some(format!(
                "if your company signs its own certificates, pass its CA with --ca-cert FILE or {}=FILE",
                vars::SSL_CERT_FILE.name
            )),
            Retryable::Never,
        ),
        SendPhase::Certificate(flaw) => {
            let (message, hint) = flawed(&to, flaw);
            (format!("{message} ({text})"), Some(hint.to_owned()), Retryable::Never)
        }
        SendPhase::ClientCertificate => (
            format!("{to} does not accept the client certificate ({text})"),
            Some("check that it has not expired, and that the server trusts its authority".to_owned()),
            Retryable::Never,
        ),
        SendPhase::Timeout => (format!("timed out waiting for {to}"), None, Retryable::IfIdempotent),
        SendPhase::Broken => (format!("lost the connection to {to} ({text})"), None, Retryable::IfIdempotent),
        SendPhase::TooLarge => (format!("the answer from {to} is larger than {text}"), None, Retryable::Never),
        SendPhase::Invalid => {
            let form = "give a proxy as http://host:port, with user:password@ before the host if the proxy needs it";
            let hint = proxy_variable(request, env).map(|_| form.to_owned());
            (format!("cannot send the request to {to} ({text})"), hint, Retryable::Never)
        }
    };
    let kind = if error.phase == SendPhase::Invalid { Kind::Config } else { Kind::Remote };
    let hint = if error.text.contains("Too many open files") {
        Some("raise the limit of open files: ulimit -n".to_owned())
    } else {
        hint
    };
    let cause = error.cause.as_deref().unwrap_or(error);
    let mut explained = Error::new(kind, message).source(cause.clone());
    if let Some(hint) = hint {
        explained = explained.hint(hint);
    }
    Failure { error: explained, retryable, pause: None }
}

/// Returns whether a request has authorities of its own, in place of the usual ones.
fn has_own_roots(request: &Request<Bytes>) -> bool {
    request.extensions().get::<Arc<TlsOptions>>().is_some_and(|tls| !tls.trusts_usual_roots())
}

/// Returns the message and hint about the certificate of a server.
fn flawed(to: &str, flaw: CertificateFault) -> (String, &'static str) {
    match flaw {
        CertificateFault::Expired => (
            format!("the certificate of {to} has expired"),
            "renew it on the server, or check the clock of this computer with `date`",
        ),
        CertificateFault::NotYetValid => (
            format!("the certificate of {to} is not valid yet"),
            "check the clock of this computer with `date`; if it is right, the server needs another certificate",
        ),
        CertificateFault::WrongName => (
            format!("the certificate of {to} is for a different name"),
            "check the address; a proxy or another site may be answering instead of the server",
        ),
    }
}

/// Returns a hint about a failed connection, which may have been one to a proxy: nothing tells them apart.
fn connect_hint(request: &Request<Bytes>, env: &Env, without: &str) -> String {
    match proxy_variable(request, env) {
        Some(name) => format!("check the network and the proxy in {name}"),
        None => without.to_owned(),
    }
}

/// Returns the variable that names the proxy of a request, if it goes through one.
fn proxy_variable(request: &Request<Bytes>, env: &Env) -> Option<&'static str> {
    let url = Url::parse(&request.uri().to_string()).ok()?;
    // What cannot be read is named as well.
    if Proxies::from_env(env).is_ok_and(|proxies| proxies.for_url(&url).is_none()) {
        return None;
    }
    let own = match request.uri().scheme_str() {
        Some("http") => ["http_proxy", "HTTP_PROXY"],
        _ => ["https_proxy", "HTTPS_PROXY"],
    };
    own.into_iter().chain(["all_proxy", "ALL_PROXY"]).find(|name| env.named(name).is_some())
}

/// Creates the error of a status with the first line of the answer.
pub fn explain_plainly(refusal: &Refusal) -> Error {
    let text = String::from_utf8_lossy(refusal.body);
    explain_status(refusal, "the server", text.lines().next().unwrap_or_default())
}

/// Creates the error of a status with the vendor's message, without a hint.
pub fn explain_status(refusal: &Refusal, who: &str, says: &str) -> Error {
    let status = refusal.status;
    let kind = match status.as_u16() {
        401 | 403 => Kind::Auth,
        404 | 410 => Kind::NotFound,
        409 | 412 => Kind::Conflict,
        413 => Kind::TooLarge,
        429 => Kind::RateLimited,
        _ => Kind::Remote,
    };
    let says: String = says.trim().chars().take(300).collect();
    let reason = status.canonical_reason().unwrap_or("unknown status");
    Error::new(
        kind,
        if says.is_empty() {
            format!("{who} answered {} {reason}", status.as_u16())
        } else {
            format!("{who} answered {}: {says}", status.as_u16())
        },
    )
}

/// Returns a service's message in brackets, or nothing if it is empty.
pub fn in_brackets(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!(" ({says})") }
}

/// Creates the error of a rate limit that lasts longer than the budget.
pub fn rate_limited(request: &Request<Bytes>, pause: Duration) -> Error {
    Error::new(
        Kind::RateLimited,
        format!("{} is rate limiting requests for another {} seconds", authority(request), pause.as_secs()),
    )
    .hint("run fewer jobs at once, use a token with a higher limit, or wait longer with --timeout SECONDS")
}

/// Returns how long to wait when the answer is a rate limit: `Retry-After`, else the reset time of an exhausted
/// limit, else a minute for a secondary limit that names none.
pub fn limit_pause(refusal: &Refusal, now: i64) -> Option<Duration> {
    let status = refusal.status.as_u16();
    if status != 429 && status != 403 {
        return None;
    }
    if let Some(pause) = retry_after(refusal.headers, now) {
        return Some(pause);
    }
    let exhausted = ["x-ratelimit-remaining", "ratelimit-remaining"].iter().any(|h| refusal.header(h) == Some("0"));
    let reset = ["x-ratelimit-reset", "ratelimit-reset"]
        .iter()
        .find_map(|h| refusal.header(h)?.parse::<i64>().ok())
        .filter(|_| exhausted || status == 429);
    if let Some(reset) = reset {
        return Some(Duration::from_secs(reset.saturating_sub(now).clamp(1, i64::from(u32::MAX)) as u64));
    }
    let text = String::from_utf8_lossy(refusal.body).to_lowercase();
    let pause = if text.contains("secondary") { SECONDARY_LIMIT_PAUSE } else { FIRST_PAUSE * 10 };
    // Google's reason is one word: `rateLimitExceeded`.
    (status == 429 || text.contains("rate limit") || text.contains("ratelimitexceeded")).then_some(pause)
}

/// Reads `Retry-After`, in seconds or as a date. Larger values than `u32::MAX` seconds are cut to that.
pub fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.min(u32::MAX.into()))),
        Err(_) => parse_date(value).map(|at| Duration::from_secs((at - now).max(0) as u64)),
    }
}

/// Returns the seconds since 1970 of an HTTP date.
pub fn parse_date(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(text).ok().map(|d| d.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method, StatusCode};

    #[test]
    fn limits_are_read_as_documented() {
        let mut headers = HeaderMap::new();
        let pause = |status: u16, headers: &HeaderMap, body: &str| {
            let status = StatusCode::from_u16(status).ok()?;
            let refusal = Refusal { method: &Method::GET, path: "/", status, headers, body: body.as_bytes() };
            limit_pause(&refusal, 1000)
        };
        assert_eq!(pause(403, &headers, "Resource not accessible"), None);
        assert_eq!(pause(403, &headers, r#"{"reason": "rateLimitExceeded"}"#), Some(FIRST_PAUSE * 10));
        assert_eq!(pause(403, &headers, "You have exceeded a secondary rate limit"), Some(SECONDARY_LIMIT_PAUSE));
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        headers.insert("x-ratelimit-reset", HeaderValue::from_static("1030"));
        assert_eq!(pause(403, &headers, ""), Some(Duration::from_secs(30)));
        headers.insert("retry-after", HeaderValue::from_static("1"));
        assert_eq!(pause(403, &headers, "secondary rate limit"), Some(Duration::from_secs(1)));
        headers.insert("retry-after", HeaderValue::from_static("Thu, 01 Jan 1970 00:16:50 GMT"));
        assert_eq!(pause(429, &headers, ""), Some(Duration::from_secs(10)));
    }
}
