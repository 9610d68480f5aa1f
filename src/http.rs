//! The one HTTP client: retries, rate limits, redirects and the translation of answers into errors.
//!
//! Every client in this program, third-party ones included, sends through [`Http::send`], and so through
//! [`Host::send`]. A request is retried only when that does no harm: always when it certainly never reached
//! the server or was rate limited, otherwise only when it is [`RetryPolicy::Idempotent`]. An ambiguous failure
//! of any other request is returned as an error that [`Error::is_ambiguous`]; the caller looks whether it was
//! carried out.

use crate::error::{Error, Result};
use crate::host::{Host, MaxAnswer, ProxyOverride, SendError, SendPhase, TlsOptions};
use crate::log::Log;
use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

mod build;
mod disclosure;
mod download;
mod failure;
mod non_finite;
mod redirect;

pub use build::{multipart, request, secret_header, unusable};
pub use disclosure::Discloses;
use failure::{Failure, Retryable, explain_plainly, limit_pause, parse_date, rate_limited, unsent};
pub use failure::{explain_status, in_brackets, retry_after};
pub use non_finite::{MayBeNonFinite, without_non_finite};
use redirect::{follow, redirect_target};

/// How long an attempt may take, besides the time to send its body at [`MIN_UPLOAD_RATE`].
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
const MIN_UPLOAD_RATE: u64 = 100_000; // bytes per second
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const MAX_REDIRECTS: usize = 5;
/// The largest answer to a request other than `GET`.
const LARGEST_OBJECT: MaxAnswer = MaxAnswer(8 << 20);
/// How long a CI system lets a cancelled job run on: some ten seconds.
const SHUTDOWN_BUDGET: Duration = Duration::from_secs(10);
/// Attempts at a server that answers with errors, and at one that cannot be reached.
const MAX_ATTEMPTS: u32 = 8;
const MAX_CONNECT_ATTEMPTS: u32 = 4;

/// Whether a request may be sent again when it is unknown whether the server carried it out. A request carries
/// it as an extension; without one the method decides: only `POST` is not idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Sending it twice has the effect of sending it once.
    Idempotent,
    /// Sending it twice would do it twice: fail as ambiguous, so that the caller looks first.
    LookFirst,
    /// Its content would be out of date: one attempt, whatever happens.
    Never,
}

/// Tells that an earlier attempt at a request may have been carried out, as an extension of its answer: a refusal says nothing about that.
#[derive(Clone, Copy)]
pub struct MayBeDone;

/// Tells which refusals are final although their status is that of a passing fault. A request carries it as an extension.
#[derive(Clone, Copy)]
pub struct FinalIf(pub fn(&Refusal) -> bool);

/// An answer that is not a success, for a forge to explain.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's path, without its query.
    pub path: &'a str,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl Refusal<'_> {
    /// Returns the body as JSON, `Null` when it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body).unwrap_or_default()
    }

    /// Returns a header's text.
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
    /// Whether the program is asked to end.
    is_ending: Rc<Cell<bool>>,
    budget: Duration,
    /// Server time minus ours, in seconds, from the last `Date` header.
    skew: Rc<Cell<i64>>,
    /// How many requests there were, each counted once.
    requests: Rc<Cell<u32>>,
}

impl Http {
    /// Creates a client whose requests, pauses included, end within `budget` from now.
    pub fn new(host: Rc<dyn Host>, log: Log, budget: Duration) -> Self {
        let deadline = Rc::new(Cell::new(host.elapsed() + budget));
        Http {
            host,
            log,
            explain: Rc::new(explain_plainly),
            deadline,
            is_ending: Rc::default(),
            budget,
            skew: Rc::default(),
            requests: Rc::default(),
        }
    }

    /// Returns this client with a vendor's way to explain refusals.
    #[must_use]
    pub fn explained_by(&self, explain: impl Fn(&Refusal) -> Error + 'static) -> Self {
        Http { explain: Rc::new(explain), ..self.clone() }
    }

    /// Returns the number of requests so far. A retried one counts once.
    pub fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// Resets the number of requests to an earlier one: those after a lost answer do not count.
    pub fn count_from(&self, requests: u32) {
        self.requests.set(requests);
    }

    /// Returns the log, for retries.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Restarts the time budget, for the next step of a long-running command.
    pub fn restart_budget(&self) {
        self.is_ending.set(false);
        self.deadline.set(self.host.elapsed() + self.budget);
    }

    /// Restarts the time budget, unless the program is asked to end.
    pub fn extend_budget(&self) {
        if !self.is_ending.get() {
            self.restart_budget();
        }
    }

    /// Shortens the budget, as the program is asked to end.
    pub fn shorten_deadline(&self) {
        self.is_ending.set(true);
        self.deadline.set(self.deadline.get().min(self.host.elapsed() + SHUTDOWN_BUDGET));
    }

    /// Returns the time left of the budget.
    pub fn time_left(&self) -> Duration {
        self.deadline.get().saturating_sub(self.host.elapsed())
    }

    /// Returns the server's clock, as far as it is known, in seconds since 1970.
    pub fn server_now(&self) -> i64 {
        self.host.now().as_secs() as i64 + self.skew.get()
    }

    /// Returns a moment for [`Http::server_time_at`], once an answer has shown how the server's clock differs.
    pub fn mark(&self) -> Duration {
        self.host.elapsed()
    }

    /// Returns the server's time at a moment, in seconds since 1970.
    pub fn server_time_at(&self, mark: Duration) -> i64 {
        self.server_now() - self.host.elapsed().saturating_sub(mark).as_secs() as i64
    }

    /// Waits about `base * 2^attempt`, with jitter so that jobs that fail together do not retry together. Fails
    /// when the budget does not allow it.
    pub async fn pause(&self, base: Duration, attempt: u32) -> Result<()> {
        self.wait(jitter(self.host.random(), base, attempt)).await
    }

    /// Waits `least`, and up to `spread` more. Fails when the budget does not allow it.
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

    /// Fails when the budget is used up: for steps that send nothing.
    pub fn check_time(&self) -> Result<()> {
        if self.time_left().is_zero() { Err(self.out_of_time()) } else { Ok(()) }
    }

    /// Creates the error of an operation that timed out.
    pub fn out_of_time(&self) -> Error {
        Error::remote(format!("timed out after {} seconds", self.budget.as_secs()))
            .hint("the service or the network is slow: try again later, or allow more time with --timeout SECONDS")
    }

    /// Adds to an error that there is no time left to retry.
    fn without_time(&self, error: Error) -> Error {
        let budget = self.budget.as_secs();
        error.or_hint(format!("allow more time than {budget} seconds with --timeout SECONDS, or try again later"))
    }

    /// Sends a request and returns a successful answer, complete and (if it is JSON) well-formed.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.exchange(request, Self::judge).await
    }

    /// Sends a request and returns the answer whatever its status, for clients that judge it themselves. Only
    /// what every client would retry is retried here.
    pub async fn send_raw(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        self.exchange(request, |http, request, answer| match http.judge(request, answer.clone()) {
            ExchangeOutcome::Failed(Failure { retryable: Retryable::Never, .. }) => ExchangeOutcome::Done(answer),
            verdict => verdict,
        })
        .await
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        judge: impl Fn(&Self, &Request<Bytes>, Response<Bytes>) -> ExchangeOutcome,
    ) -> Result<Response<Bytes>> {
        disclosure::check(&request, &self.log)?;
        let largest = if request.method() == Method::GET { MaxAnswer::USUAL } else { LARGEST_OBJECT };
        request.extensions_mut().get_or_insert(largest);
        let by_method = if request.method() == Method::POST { RetryPolicy::LookFirst } else { RetryPolicy::Idempotent };
        let repeat = request.extensions().get::<RetryPolicy>().copied().unwrap_or(by_method);
        let (mut attempt, mut redirects) = (0, 0);
        self.requests.set(self.requests.get() + 1);
        let mut last = None;
        let mut may_be_done = false;
        loop {
            let left = self.time_left();
            if left.is_zero() {
                return Err(last.map_or_else(|| self.out_of_time(), |error| self.without_time(error)));
            }
            let started = self.host.elapsed();
            let sent = self.host.send(copy(&request), left.min(attempt_time(&request))).await;
            self.log_exchange(&request, &sent, self.host.elapsed().saturating_sub(started));
            let is_unanswered = sent.is_err();
            let failure = match sent {
                Ok(answer) => {
                    self.note_date(answer.headers());
                    if let Some(next) = redirect_target(&request, &answer)? {
                        redirects += 1;
                        if redirects > MAX_REDIRECTS {
                            return Err(Error::remote(format!("too many redirects from {}", authority(&request)))
                                .hint("check the addresses of the repository and the API"));
                        }
                        follow(&mut request, next)?;
                        continue;
                    }
                    match judge(self, &request, answer) {
                        ExchangeOutcome::Done(mut answer) => {
                            if may_be_done {
                                answer.extensions_mut().insert(MayBeDone);
                            }
                            return Ok(answer);
                        }
                        ExchangeOutcome::Failed(failure) => failure,
                    }
                }
                Err(error) => unsent(&request, &error, self.host.env()),
            };
            let Failure { mut error, retryable, pause } = failure;
            may_be_done |= retryable == Retryable::IfIdempotent;
            attempt += 1;
            let attempts = match retryable {
                Retryable::Never => return Err(error),
                Retryable::ToConnect => MAX_CONNECT_ATTEMPTS,
                Retryable::Always | Retryable::IfIdempotent => MAX_ATTEMPTS,
            };
            let pause = pause.unwrap_or_else(|| jitter(self.host.random(), FIRST_PAUSE, attempt - 1));
            if retryable == Retryable::IfIdempotent && repeat != RetryPolicy::Idempotent {
                error = error.ambiguous();
            }
            if is_unanswered && !error.is_ambiguous() && self.time_left().is_zero() {
                // The deadline cut this attempt short: the failure before it says more.
                return Err(self.without_time(last.unwrap_or(error)));
            }
            if error.is_ambiguous() || repeat == RetryPolicy::Never || attempt >= attempts {
                return Err(error.retry_in(pause));
            }
            if pause >= self.time_left() {
                return Err(self.without_time(error));
            }
            self.log.info(&format!("{error}; retrying in {:.1} s", pause.as_secs_f64()));
            self.host.sleep(pause).await;
            last = Some(error);
        }
    }

    fn judge(&self, request: &Request<Bytes>, answer: Response<Bytes>) -> ExchangeOutcome {
        let status = answer.status();
        if status.is_success() {
            if is_json(&answer) && answer.status() != StatusCode::NO_CONTENT && !is_whole(request, answer.body()) {
                let error = Error::remote(format!("{} sent a truncated answer", authority(request)));
                return ExchangeOutcome::Failed(Failure { error, retryable: Retryable::IfIdempotent, pause: None });
            }
            return ExchangeOutcome::Done(answer);
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let error = SendError::new(SendPhase::Proxy, status.to_string());
            return ExchangeOutcome::Failed(unsent(request, &error, self.host.env()));
        }
        let (method, path) = (request.method(), request.uri().path());
        let refusal = Refusal { method, path, status, headers: answer.headers(), body: answer.body() };
        let error = (self.explain)(&refusal);
        if request.extensions().get::<FinalIf>().is_some_and(|FinalIf(is_final)| is_final(&refusal)) {
            return ExchangeOutcome::Failed(Failure { error, retryable: Retryable::Never, pause: None });
        }
        ExchangeOutcome::Failed(match limit_pause(&refusal, self.server_now()) {
            Some(pause) => Failure {
                error: rate_limited(request, pause),
                retryable: Retryable::Always,
                pause: Some(pause + Duration::from_millis(self.host.random() % 500)),
            },
            None if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => Failure {
                error,
                retryable: Retryable::IfIdempotent,
                pause: retry_after(answer.headers(), self.server_now()),
            },
            None => Failure { error, retryable: Retryable::Never, pause: None },
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

enum ExchangeOutcome {
    Done(Response<Bytes>),
    Failed(Failure),
}

fn attempt_time(request: &Request<Bytes>) -> Duration {
    ATTEMPT_TIMEOUT + Duration::from_secs(request.body().len() as u64 / MIN_UPLOAD_RATE)
}

fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    if let Some(via) = request.extensions().get::<ProxyOverride>() {
        copy.extensions_mut().insert(via.clone());
    }
    if let Some(limit) = request.extensions().get::<MaxAnswer>() {
        copy.extensions_mut().insert(*limit);
    }
    if let Some(tls) = request.extensions().get::<Arc<TlsOptions>>() {
        copy.extensions_mut().insert(Arc::clone(tls));
    }
    copy
}

fn jitter(random: u64, base: Duration, attempt: u32) -> Duration {
    let full = base.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE.max(base));
    full.mul_f64(0.5 + (random % 1024) as f64 / 1024.0)
}

/// Returns the server that a request goes to, for messages: a whole address may hold secrets.
fn authority(request: &Request<Bytes>) -> String {
    request.uri().authority().map_or_else(|| "the server".to_owned(), |a| a.host().to_owned())
}

/// Returns whether an answer is a whole JSON document.
fn is_whole(request: &Request<Bytes>, body: &[u8]) -> bool {
    let is_json = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    is_json(body) || request.extensions().get::<MayBeNonFinite>().is_some() && is_json(&without_non_finite(body))
}

/// Returns whether an answer is meant to be JSON; some come without a content type.
fn is_json(answer: &Response<Bytes>) -> bool {
    match answer.headers().get(header::CONTENT_TYPE) {
        Some(kind) => kind.to_str().is_ok_and(|kind| kind.contains("json")),
        None => matches!(answer.body().first(), Some(b'{' | b'[')),
    }
}
