//! Failures: which may be tried again and when, and what they are called.

use super::{FIRST_PAUSE, Refusal, place};
use crate::env::{Env, vars};
use crate::error::{Error, Kind};
use crate::host::proxy::Proxies;
use crate::host::{Flaw, SendError, Stage};
use bytes::Bytes;
use http::Request;
use http::header::{self, HeaderMap};
use std::time::Duration;
use url::Url;

/// GitHub's documentation asks for at least a minute when a secondary limit names no time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const UNNAMED_LIMIT: Duration = Duration::from_secs(60);

/// An exchange that failed, and what the client may do about it.
pub struct Failure {
    /// What to tell.
    pub error: Error,
    /// When to try again.
    pub again: Again,
    /// What the server asks for; otherwise the usual growing one.
    pub pause: Option<Duration>,
}

/// When a failed request may be sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It would fail again.
    Never,
    /// The server was not reached: a few times.
    ToConnect,
    /// The server may have carried it out: only where that does no harm.
    IfSafe,
    /// The server refused it for now.
    Always,
}

/// Explains a failure to get any answer.
pub fn unsent(request: &Request<Bytes>, error: &SendError, env: &Env) -> Failure {
    let to = place(request);
    let text = &error.text;
    let (message, hint, again) = match error.stage {
        Stage::Name => {
            let hint = "check the network, the name, and whether a proxy is needed (https_proxy)";
            (format!("cannot find the address of {to}"), Some(connect_hint(request, env, hint)), Again::ToConnect)
        }
        Stage::Connect => {
            let hint = "check that the server runs and the network reaches it; behind a proxy set https_proxy";
            (format!("cannot connect to {to} ({text})"), Some(connect_hint(request, env, hint)), Again::ToConnect)
        }
        Stage::Proxy => (
            format!("the proxy does not let the request to {to} through ({text})"),
            Some(
                "check https_proxy and http_proxy, and user:password@ before the host in them; hosts to reach without a proxy go into no_proxy"
                    .to_owned(),
            ),
            Again::Never,
        ),
        Stage::Tls => (
            format!("the connection to {to} is not trusted ({text})"),
            Some(format!(
                "if your company signs its own certificates, pass its CA with --ca-cert FILE or {}=FILE",
                vars::SSL_CERT_FILE.name
            )),
            Again::Never,
        ),
        Stage::Certificate(flaw) => {
            let (message, hint) = flawed(&to, flaw);
            (format!("{message} ({text})"), Some(hint.to_owned()), Again::Never)
        }
        Stage::Timeout => (format!("no answer from {to} in time"), None, Again::IfSafe),
        Stage::Broken => (format!("the connection to {to} broke off ({text})"), None, Again::IfSafe),
        Stage::TooLarge => (format!("the answer of {to} is larger than {text}"), None, Again::Never),
        Stage::Invalid => {
            let form = "a proxy is given as http://host:port, with user:password@ before the host if it asks for them";
            let hint = proxy_variable(request, env).map(|_| form.to_owned());
            (format!("cannot send to {to} ({text})"), hint, Again::Never)
        }
    };
    let kind = if error.stage == Stage::Invalid { Kind::Config } else { Kind::Remote };
    let hint = match error.text.contains("Too many open files") {
        true => Some("raise the limit of open files: ulimit -n".to_owned()),
        false => hint,
    };
    let cause = error.cause.as_deref().unwrap_or(error);
    let mut explained = Error::new(kind, message).source(cause.clone());
    if let Some(hint) = hint {
        explained = explained.hint(hint);
    }
    Failure { error: explained, again, pause: None }
}

/// What is wrong with the certificate of a server, and what to do about it.
fn flawed(to: &str, flaw: Flaw) -> (String, &'static str) {
    match flaw {
        Flaw::Expired => (
            format!("the certificate of {to} has expired"),
            "renew it on the server, or check the clock of this machine: `date` shows it",
        ),
        Flaw::NotYetValid => (
            format!("the certificate of {to} is not valid yet"),
            "check the clock of this machine: `date` shows it; if it is right, the server needs another certificate",
        ),
        Flaw::WrongName => (
            format!("the certificate of {to} is for another name"),
            "check the address: it is the name that the certificate is for; a proxy or another site may answer in place of the server",
        ),
    }
}

/// A connection may be one to a proxy; nothing tells them apart.
fn connect_hint(request: &Request<Bytes>, env: &Env, without: &str) -> String {
    match proxy_variable(request, env) {
        Some(name) => format!("check the network, and the proxy that {name} names"),
        None => without.to_owned(),
    }
}

/// The variable that names the proxy of a request, if it goes to one.
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

/// The error of a status with the first line of the answer.
pub fn explain_plainly(refusal: &Refusal) -> Error {
    let text = String::from_utf8_lossy(refusal.body);
    explain_status(refusal, "the server", text.lines().next().unwrap_or_default())
}

/// The error of a status with the vendor's message, before any hint.
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
        match says.is_empty() {
            true => format!("{who} answered {} {reason}", status.as_u16()),
            false => format!("{who} answered {}: {says}", status.as_u16()),
        },
    )
}

/// What a service says, in brackets, if it says anything.
pub fn in_brackets(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!(" ({says})") }
}

/// A rate limit that lasts longer than we wait.
pub fn rate_limited(request: &Request<Bytes>, pause: Duration) -> Error {
    Error::new(
        Kind::RateLimited,
        format!("{} limits the rate of requests for another {} seconds", place(request), pause.as_secs()),
    )
    .hint("run fewer jobs at once, use a token with a higher limit, or wait longer with --timeout SECONDS")
}

/// How long to stay away when the answer is a rate limit: `Retry-After`, else the reset time of an exhausted
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
    match status == 429 || text.contains("rate limit") {
        true => Some(if text.contains("secondary") { UNNAMED_LIMIT } else { FIRST_PAUSE * 10 }),
        false => None,
    }
}

/// What `Retry-After` says: seconds or a date. More than a lifetime is a lifetime, with which one can reckon.
pub fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.min(u32::MAX.into()))),
        Err(_) => parse_date(value).map(|at| Duration::from_secs((at - now).max(0) as u64)),
    }
}

/// Seconds since 1970 of an HTTP date.
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
        assert_eq!(pause(403, &headers, "You have exceeded a secondary rate limit"), Some(UNNAMED_LIMIT));
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        headers.insert("x-ratelimit-reset", HeaderValue::from_static("1030"));
        assert_eq!(pause(403, &headers, ""), Some(Duration::from_secs(30)));
        headers.insert("retry-after", HeaderValue::from_static("1"));
        assert_eq!(pause(403, &headers, "secondary rate limit"), Some(Duration::from_secs(1)));
        headers.insert("retry-after", HeaderValue::from_static("Thu, 01 Jan 1970 00:16:50 GMT"));
        assert_eq!(pause(429, &headers, ""), Some(Duration::from_secs(10)));
    }
}
