//! Faults to order: which request goes wrong, how, and how often. And the matcher that names requests.

use std::sync::Mutex;
use std::time::Duration;

use super::http::Response;
use super::server::lock;

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The connection closes; nothing was done.
    DropBefore,
    /// The request is carried out, then the connection closes without an answer.
    DropAfter,
    /// Nothing is done and nothing answered for this long, then the connection closes.
    Stall(Duration),
    /// The request is carried out, and the answer comes this much later.
    Slow(Duration),
    /// Carried out; `Content-Length` is that of the whole answer, but only so many bytes of its body follow.
    Truncate(usize),
    /// Carried out; the answer has no length, and ends in good order after so many bytes: a silently cut JSON.
    CutUnframed(usize),
    /// Carried out; the chunked answer ends after so many bytes, without the last chunk.
    CutChunked(usize),
    /// This answer, and nothing is done.
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    /// The request is carried out, but answered so: a gateway's 502 after the server did its work.
    AnswerAfter { status: u16, headers: Vec<(String, String)>, body: String },
}

impl Kind {
    /// An answer instead of carrying the request out.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Kind {
        Kind::Answer { status, headers: owned(headers), body: body.to_owned() }
    }

    /// An answer other than the one that the request, carried out, deserved.
    pub fn answer_after(status: u16, headers: &[(&str, &str)], body: &str) -> Kind {
        Kind::AnswerAfter { status, headers: owned(headers), body: body.to_owned() }
    }

    /// How transcripts call it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::DropBefore => "dropped before",
            Kind::DropAfter => "done, then dropped",
            Kind::Stall(_) => "stalled",
            Kind::Slow(_) => "slow",
            Kind::Truncate(_) | Kind::CutUnframed(_) | Kind::CutChunked(_) => "cut",
            Kind::Answer { .. } => "instead",
            Kind::AnswerAfter { .. } => "done, but answered so",
        }
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A scripted answer. JSON is recognised by its first character.
pub fn scripted(status: u16, headers: Vec<(String, String)>, body: String) -> Response {
    let typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let json = body.trim_start().starts_with(['{', '[']);
    let mut answer = Response { status, headers, body: body.into_bytes() };
    if !typed && !answer.body.is_empty() {
        let kind = if json { "application/json; charset=utf-8" } else { "text/html; charset=utf-8" };
        answer = answer.header("Content-Type", kind);
    }
    answer
}

/// A fault for the requests of a pattern.
#[derive(Debug)]
struct Fault {
    pattern: String,
    /// Matches to let pass first.
    skip: usize,
    /// Matches still to hit.
    times: usize,
    kind: Kind,
}

/// The faults ordered so far.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub fn add(&self, pattern: &str, skip: usize, times: usize, kind: Kind) {
        lock(&self.0).push(Fault { pattern: pattern.to_owned(), skip, times, kind });
    }

    /// The fault for a request (`METHOD target`), if any: that of the oldest order with hits left. Orders that still
    /// let requests pass count this one, and leave it to the younger ones.
    pub fn take(&self, line: &str) -> Option<Kind> {
        for fault in lock(&self.0).iter_mut().filter(|fault| fault.times > 0 && matches(&fault.pattern, line)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else {
                fault.times -= 1;
                return Some(fault.kind.clone());
            }
        }
        None
    }

    /// The patterns of faults that were not played as often as ordered.
    pub fn unused(&self) -> Vec<String> {
        let faults = lock(&self.0);
        faults.iter().filter(|fault| fault.times > 0).map(|fault| fault.pattern.clone()).collect()
    }
}

/// Whether a pattern names a request. A pattern is the beginning of `METHOD path?query`; `*` stands for any characters,
/// and a `$` at its end for the end of the request: `POST /github/*/comments$`.
pub fn matches(pattern: &str, line: &str) -> bool {
    let (pattern, whole) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut parts: Vec<&str> = pattern.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    let Some((first, middle)) = parts.split_first() else {
        return if whole { line == last } else { line.starts_with(last) };
    };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    if whole { rest.ends_with(last) } else { rest.contains(last) }
}
