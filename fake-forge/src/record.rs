//! What was asked of the server, when, and what that says about a client: how many requests at once, how many one
//! after the other.

use std::sync::Mutex;
use std::time::Instant;

use super::http::Request;
use super::server::lock;

/// One request that arrived whole.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// From 1, in the order of arrival.
    pub seq: usize,
    pub method: String,
    /// With the query, as sent.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its first byte arrived.
    pub started: Instant,
    /// Just before its answer was written, or the connection closed; `None` while under way.
    pub finished: Option<Instant>,
    /// 0 without an answer.
    pub status: u16,
    /// The fault that was played, for transcripts.
    pub fault: Option<&'static str>,
}

impl Recorded {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The requests so far.
#[derive(Debug, Default)]
pub struct Log {
    requests: Mutex<(usize, Vec<Recorded>)>,
}

impl Log {
    /// Notes a request; its number is the key for [`Log::finish`].
    pub fn begin(&self, request: &Request, started: Instant) -> usize {
        let mut log = lock(&self.requests);
        log.0 += 1;
        let seq = log.0;
        log.1.push(Recorded {
            seq,
            method: request.method.clone(),
            path: request.target.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            started,
            finished: None,
            status: 0,
            fault: None,
        });
        seq
    }

    /// Notes how a request ended.
    pub fn finish(&self, seq: usize, status: u16, fault: Option<&'static str>) {
        let mut log = lock(&self.requests);
        if let Some(found) = log.1.iter_mut().rev().find(|recorded| recorded.seq == seq) {
            (found.finished, found.status, found.fault) = (Some(Instant::now()), status, fault);
        }
    }

    pub fn all(&self) -> Vec<Recorded> {
        lock(&self.requests).1.clone()
    }

    /// Forgets the requests, and counts from 1 again.
    pub fn clear(&self) {
        *lock(&self.requests) = (0, Vec::new());
    }
}

/// The most requests that were under way at the same time.
pub fn max_concurrent(requests: &[Recorded]) -> usize {
    let under_way =
        |at: Instant| requests.iter().filter(|r| r.started <= at && r.finished.is_none_or(|end| end > at)).count();
    requests.iter().map(|recorded| under_way(recorded.started)).max().unwrap_or(0)
}

/// The longest chain of requests each of which arrived after its predecessor was answered. Without latency a chain can
/// also be chance: give the server some milliseconds of it before judging.
pub fn round_trips(requests: &[Recorded]) -> usize {
    let mut order: Vec<&Recorded> = requests.iter().collect();
    order.sort_by_key(|recorded| recorded.started);
    let mut depths: Vec<(Option<Instant>, usize)> = Vec::new();
    for recorded in order {
        let before = depths.iter().filter(|(end, _)| end.is_some_and(|end| end <= recorded.started));
        let depth = 1 + before.map(|(_, depth)| *depth).max().unwrap_or(0);
        depths.push((recorded.finished, depth));
    }
    depths.into_iter().map(|(_, depth)| depth).max().unwrap_or(0)
}
