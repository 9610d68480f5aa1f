//! The one HTTP client: retries, rate limits, redirects and the translation of answers into errors.
//!
//! Every client in this program, third-party ones included, sends through [`Http::send`], and so through
//! [`Host::send`]. A request is repeated only when that cannot do harm: always when it certainly never
//! reached the server or was refused for its rate, otherwise only when it is marked [`Repeat::Safe`]. An
//! ambiguous failure of any other request is returned as an error that [`Error::is_ambiguous`]; the caller
//! looks whether it happened.

use crate::env::vars;
use crate::error::{Error, Kind, Result};
use crate::host::{Host, SendError, Stage};
use crate::log::Log;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// An attempt may take this long: enough for the largest image on a slow line, short enough to try again.
const ATTEMPT: Duration = Duration::from_secs(45);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const REDIRECTS: usize = 5;
/// Attempts against a server that answers badly, and against one that cannot be reached at all.
const ATTEMPTS: u32 = 8;
const ATTEMPTS_TO_CONNECT: u32 = 4;
/// GitHub's documentation asks for at least a minute when a secondary limit names no time.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
const UNNAMED_LIMIT: Duration = Duration::from_secs(60);

/// Whether a request may be sent again when it is not known if the server carried it out. A request carries
/// it as an extension; without one the method decides: only `POST` is not safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Sending it twice has the effect of sending it once.
    Safe,
    /// It would happen twice: fail instead, as ambiguous.
    Ask,
    /// What it says is out of date by then: one attempt, whatever happens.
    Once,
}

/// An answer that is not a success, as a forge sees it to explain it.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl Refusal<'_> {
    /// The body as JSON, `Null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Turns a refusal into an error with the vendor's message and hints.
pub type Explain = Rc<dyn Fn(&Refusal) -> Error>;

/// The client. Cheap to clone with another [`Explain`]; the clock and the deadline are shared.
#[derive(Clone)]
pub struct Http {
    host: Rc<dyn Host>,
    log: Log,
    explain: Explain,
    deadline: Rc<Cell<Duration>>,
    budget: Duration,
    /// Server time minus ours, in seconds, from the last `Date` header.
    skew: Rc<Cell<i64>>,
}

impl Http {
    /// A client whose requests, pauses included, end within `budget` from now.
    pub fn new(host: Rc<dyn Host>, log: Log, budget: Duration) -> Self {
        let deadline = Rc::new(Cell::new(host.elapsed() + budget));
        Http { host, log, explain: Rc::new(explain_plainly), deadline, budget, skew: Rc::default() }
    }

    /// The same client with a vendor's way to explain refusals.
    #[must_use]
    pub fn explained_by(&self, explain: impl Fn(&Refusal) -> Error + 'static) -> Self {
        Http { explain: Rc::new(explain), ..self.clone() }
    }

    /// Starts the time budget anew, for a next piece of work of a long-running command.
    pub fn restart_budget(&self) {
        self.deadline.set(self.host.elapsed() + self.budget);
    }

    /// Ends the budget after at most `time` from now.
    pub fn hurry(&self, time: Duration) {
        self.deadline.set(self.deadline.get().min(self.host.elapsed() + time));
    }

    /// Time left of the budget.
    pub fn time_left(&self) -> Duration {
        self.deadline.get().saturating_sub(self.host.elapsed())
    }

    /// Our best guess of the server's clock, in seconds since 1970.
    pub fn server_now(&self) -> i64 {
        self.host.now().as_secs() as i64 + self.skew.get()
    }

    /// A moment, to be turned into the server's time once an answer has told how its clock differs.
    pub fn mark(&self) -> Duration {
        self.host.elapsed()
    }

    /// The server's time at a moment, in seconds since 1970.
    pub fn server_time_at(&self, mark: Duration) -> i64 {
        self.server_now() - self.host.elapsed().saturating_sub(mark).as_secs() as i64
    }

    /// A pause of about `base * 2^attempt`, spread by half so that jobs that fail together do not come back
    /// together. Fails when the budget does not allow it.
    pub async fn pause(&self, base: Duration, attempt: u32) -> Result<()> {
        self.wait(jitter(self.host.random(), base, attempt)).await
    }

    /// A pause of `least`, and up to `spread` more. Fails when the budget does not allow it.
    pub async fn pause_at_least(&self, least: Duration, spread: Duration) -> Result<()> {
        self.wait(least + spread.mul_f64((self.host.random() % 1024) as f64 / 1024.0)).await
    }

    async fn wait(&self, pause: Duration) -> Result<()> {
        if pause > self.time_left() {
            return Err(self.out_of_time());
        }
        self.host.sleep(pause).await;
        Ok(())
    }

    fn out_of_time(&self) -> Error {
        Error::remote(format!("no success within {} seconds", self.budget.as_secs()))
            .hint("the service or the network is slow: try again later, or allow more with --timeout SECONDS")
    }

    /// Sends a request and returns a successful answer, whole and (where it says it is JSON) well-formed.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.exchange(request, Self::judge).await
    }

    /// Sends a request and returns the answer whatever its status, for clients that judge it themselves. Only
    /// what every client would repeat is repeated here.
    pub async fn send_raw(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.exchange(request, |http, request, answer| match http.judge(request, answer.clone()) {
            Verdict::Failed(Failure { again: Again::Never, .. }) => Verdict::Done(answer),
            verdict => verdict,
        })
        .await
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        judge: impl Fn(&Self, &Request<Bytes>, Response<Bytes>) -> Verdict,
    ) -> Result<Response<Bytes>> {
        let by_method = if request.method() == Method::POST { Repeat::Ask } else { Repeat::Safe };
        let repeat = request.extensions().get::<Repeat>().copied().unwrap_or(by_method);
        let (mut attempt, mut redirects) = (0, 0);
        loop {
            let left = self.time_left();
            if left.is_zero() {
                return Err(self.out_of_time());
            }
            let started = self.host.elapsed();
            let sent = self.host.send(copy(&request), left.min(ATTEMPT)).await;
            self.log_exchange(&request, &sent, self.host.elapsed().saturating_sub(started));
            let failure = match sent {
                Ok(answer) => {
                    self.note_date(answer.headers());
                    if let Some(next) = redirect_target(&request, &answer)? {
                        redirects += 1;
                        if redirects > REDIRECTS {
                            return Err(Error::remote(format!("{} redirects in a circle", place(&request)))
                                .hint("check the address of the repository and of the API"));
                        }
                        follow(&mut request, next)?;
                        continue;
                    }
                    match judge(self, &request, answer) {
                        Verdict::Done(answer) => return Ok(answer),
                        Verdict::Failed(failure) => failure,
                    }
                }
                Err(error) => unsent(&request, &error, self.host.env()),
            };
            let Failure { mut error, again, pause } = failure;
            attempt += 1;
            let attempts = match again {
                Again::Never => return Err(error),
                Again::ToConnect => ATTEMPTS_TO_CONNECT,
                Again::Always | Again::IfSafe => ATTEMPTS,
            };
            let pause = pause.unwrap_or_else(|| jitter(self.host.random(), FIRST_PAUSE, attempt - 1));
            if again == Again::IfSafe && repeat != Repeat::Safe {
                error = error.ambiguous();
            }
            if error.is_ambiguous() || repeat == Repeat::Once || attempt >= attempts {
                return Err(error.passing(pause));
            }
            if pause >= self.time_left() {
                let budget = self.budget.as_secs();
                let hint = format!("allow more time than {budget} seconds with --timeout SECONDS, or try again later");
                return Err(error.or_hint(hint));
            }
            self.log.info(&format!("{error}; trying again in {:.1} s", pause.as_secs_f64()));
            self.host.sleep(pause).await;
        }
    }

    /// Sends a request and reads the answer's JSON.
    pub async fn json<T: DeserializeOwned>(&self, request: Request<Bytes>) -> Result<T> {
        let what = place(&request);
        let answer = self.send(request).await?;
        serde_json::from_slice(answer.body())
            .map_err(|e| Error::remote(format!("{what} answered something unexpected ({e})")).source(e))
    }

    fn judge(&self, request: &Request<Bytes>, answer: Response<Bytes>) -> Verdict {
        let status = answer.status();
        if status.is_success() {
            if is_json(&answer)
                && answer.status() != StatusCode::NO_CONTENT
                && serde_json::from_slice::<serde::de::IgnoredAny>(answer.body()).is_err()
            {
                let error = Error::remote(format!("{} sent an answer that is cut off", place(request)));
                return Verdict::Failed(Failure { error, again: Again::IfSafe, pause: None });
            }
            return Verdict::Done(answer);
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let error = SendError { stage: Stage::Proxy, text: status.to_string() };
            return Verdict::Failed(unsent(request, &error, self.host.env()));
        }
        let refusal = Refusal { method: request.method(), status, headers: answer.headers(), body: answer.body() };
        let error = (self.explain)(&refusal);
        Verdict::Failed(match limit_pause(&refusal, self.server_now()) {
            Some(pause) => Failure {
                error: rate_limited(request, pause),
                again: Again::Always,
                pause: Some(pause + Duration::from_millis(self.host.random() % 500)),
            },
            None if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Failure { error, again: Again::IfSafe, pause: retry_after(answer.headers(), self.server_now()) }
            }
            None => Failure { error, again: Again::Never, pause: None },
        })
    }

    fn note_date(&self, headers: &HeaderMap) {
        if let Some(date) = headers.get(header::DATE).and_then(|v| v.to_str().ok()).and_then(parse_date) {
            self.skew.set(date - self.host.now().as_secs() as i64);
        }
    }

    fn log_exchange(&self, request: &Request<Bytes>, sent: &Result<Response<Bytes>, SendError>, took: Duration) {
        let outcome = match sent {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        let (method, path) = (request.method(), request.uri().path());
        self.log.debug(&format!("{method} {path} -> {outcome} ({} ms)", took.as_millis()));
    }
}

enum Verdict {
    Done(Response<Bytes>),
    Failed(Failure),
}

struct Failure {
    error: Error,
    again: Again,
    /// What the server asks for; otherwise the usual growing one.
    pause: Option<Duration>,
}

#[derive(PartialEq)]
enum Again {
    Never,
    ToConnect,
    IfSafe,
    Always,
}

fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn jitter(random: u64, base: Duration, attempt: u32) -> Duration {
    let full = base.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE.max(base));
    full.mul_f64(0.5 + (random % 1024) as f64 / 1024.0)
}

/// `GitHub`-free name of the place a request goes to: scheme-less, without path and query.
fn place(request: &Request<Bytes>) -> String {
    request.uri().authority().map_or_else(|| "the server".to_owned(), |a| a.host().to_owned())
}

/// Whether an answer is meant to be JSON; some come without their type.
fn is_json(answer: &Response<Bytes>) -> bool {
    match answer.headers().get(header::CONTENT_TYPE) {
        Some(kind) => kind.to_str().is_ok_and(|kind| kind.contains("json")),
        None => matches!(answer.body().first(), Some(b'{' | b'[')),
    }
}

/// Explains a failure to get any answer.
fn unsent(request: &Request<Bytes>, error: &SendError, env: &crate::env::Env) -> Failure {
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
        Stage::Timeout => (format!("no answer from {to} in time"), None, Again::IfSafe),
        Stage::Broken => (format!("the connection to {to} broke off ({text})"), None, Again::IfSafe),
        Stage::Invalid => {
            let form = "a proxy is given as http://host:port, with user:password@ before the host if it asks for them";
            let hint = proxy_variable(request, env).map(|_| form.to_owned());
            (format!("cannot send to {to} ({text})"), hint, Again::Never)
        }
    };
    let kind = if error.stage == Stage::Invalid { Kind::Config } else { Kind::Remote };
    let mut explained = Error::new(kind, message).source(error.clone());
    if let Some(hint) = hint {
        explained = explained.hint(hint);
    }
    Failure { error: explained, again, pause: None }
}

/// A connection may be one to a proxy; nothing tells them apart.
fn connect_hint(request: &Request<Bytes>, env: &crate::env::Env, without: &str) -> String {
    match proxy_variable(request, env) {
        Some(name) => format!("check the network, and the proxy that {name} names"),
        None => without.to_owned(),
    }
}

/// The variable that names a proxy for a request, if any; `no_proxy` may except its server.
fn proxy_variable(request: &Request<Bytes>, env: &crate::env::Env) -> Option<&'static str> {
    let own = match request.uri().scheme_str() {
        Some("http") => ["http_proxy", "HTTP_PROXY"],
        _ => ["https_proxy", "HTTPS_PROXY"],
    };
    own.into_iter().chain(["all_proxy", "ALL_PROXY"]).find(|name| env.named(name).is_some())
}

fn explain_plainly(refusal: &Refusal) -> Error {
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

fn rate_limited(request: &Request<Bytes>, pause: Duration) -> Error {
    Error::new(
        Kind::RateLimited,
        format!("{} limits the rate of requests for another {} seconds", place(request), pause.as_secs()),
    )
    .hint("run fewer jobs at once, use a token with a higher limit, or wait longer with --timeout SECONDS")
}

/// How long to stay away when the answer is a rate limit: `Retry-After`, else the reset time of an exhausted
/// limit, else a minute for a secondary limit that names none.
fn limit_pause(refusal: &Refusal, now: i64) -> Option<Duration> {
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
        return Some(Duration::from_secs((reset - now).clamp(1, i64::from(u32::MAX)) as u64));
    }
    let text = String::from_utf8_lossy(refusal.body).to_lowercase();
    match status == 429 || text.contains("rate limit") {
        true => Some(if text.contains("secondary") { UNNAMED_LIMIT } else { FIRST_PAUSE * 10 }),
        false => None,
    }
}

fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => parse_date(value).map(|at| Duration::from_secs((at - now).max(0) as u64)),
    }
}

fn parse_date(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(text).ok().map(|d| d.timestamp())
}

/// Where a redirect leads. Forges ask to repeat the request as it was, whatever the method
/// (<https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>),
/// so a `POST` is never turned into a `GET` that silently does nothing.
fn redirect_target(request: &Request<Bytes>, answer: &Response<Bytes>) -> Result<Option<Url>> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let bad = || Error::remote(format!("{} redirects to an address that makes no sense", place(request)));
    let location = answer.headers().get(header::LOCATION).and_then(|v| v.to_str().ok()).ok_or_else(bad)?;
    let from = Url::parse(&request.uri().to_string()).map_err(|_| bad())?;
    let to = from.join(location).map_err(|_| bad())?;
    if !same_server(&from, &to) && request.method() != Method::GET {
        let message = format!("{} redirects to {}", place(request), to.origin().ascii_serialization());
        return Err(Error::config(message)
            .hint("if the service has moved, use its new address (--repo, or the API's variable)"));
    }
    let page = to.path().trim_end_matches('/').rsplit('/').next();
    if matches!(page, Some("sign_in" | "signin" | "login")) {
        return Err(Error::auth(format!("{} sends the request to its sign-in page", place(request)))
            .hint("check the token, and that the repository's address is right"));
    }
    Ok(Some(to))
}

/// Whether a request may go to both with the same credentials: scheme, host and port are the same, or it is
/// now encrypted.
fn same_server(from: &Url, to: &Url) -> bool {
    let usual_ports = from.port().is_none() && to.port().is_none();
    let encrypted = (from.scheme(), to.scheme()) == ("http", "https");
    from.origin() == to.origin() || (encrypted && usual_ports && from.host_str() == to.host_str())
}

fn follow(request: &mut Request<Bytes>, to: Url) -> Result<()> {
    let from = Url::parse(&request.uri().to_string());
    if !from.is_ok_and(|from| same_server(&from, &to)) {
        for name in ["authorization", "private-token", "job-token", "cookie"] {
            request.headers_mut().remove(name);
        }
    }
    *request.uri_mut() =
        to.as_str().parse().map_err(|e| Error::remote(format!("cannot follow the redirect to {to} ({e})")))?;
    Ok(())
}

/// Builds a request with a JSON body.
pub fn json_request(method: Method, url: &Url, body: &impl serde::Serialize) -> Result<Request<Bytes>> {
    let body = serde_json::to_vec(body).map_err(|e| Error::internal(format!("cannot write JSON ({e})")))?;
    let mut request = request(method, url, body.into())?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// Builds a request.
pub fn request(method: Method, url: &Url, body: Bytes) -> Result<Request<Bytes>> {
    Request::builder()
        .method(method)
        .uri(url.as_str())
        .body(body)
        .map_err(|e| Error::config(format!("{url} is not an address ({e})")))
}

/// A secret as a header's value: marked so that it is never printed.
pub fn secret_header(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::config("the token has a character that no token has, such as a line break")
            .hint("check how the secret is stored: it is one line of letters, digits and punctuation")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A `multipart/form-data` body with one file.
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

    #[test]
    fn limits_are_read_as_documented() {
        let mut headers = HeaderMap::new();
        let pause = |status: u16, headers: &HeaderMap, body: &str| {
            let status = StatusCode::from_u16(status).ok()?;
            let refusal = Refusal { method: &Method::GET, status, headers, body: body.as_bytes() };
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
