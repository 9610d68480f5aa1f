//! What the fakes of the clouds have in common: each notes what it is asked, lets requests go wrong, and tells a test of each.

use super::fake::http::{Framing, Request, Response, read_request, write_response};
use super::fake::server::{Life, lock};
use std::io::{BufReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// It is refused with a status, a code and a message.
    Refused(u16, &'static str, &'static str),
    /// It is accepted, and what it began fails with a code and a message.
    Fails(&'static str, &'static str),
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// It takes so much longer.
    Slow(Duration),
    /// It is answered so, and not carried out.
    Answered(Response),
}

/// A request, as a fake notes it.
pub trait Call: Clone {
    /// What it asks for, in the words of the cloud.
    fn action(&self) -> &str;

    /// Whether it changes anything.
    fn has_effect(&self) -> bool;

    /// The answer of the cloud that it is refused.
    fn refusal(status: u16, code: &str, message: &str) -> Response;
}

/// Called with the number of a request, from 1; by several at the same time.
type OnRequest = Arc<dyn Fn(usize) + Send + Sync>;

struct Inner<C> {
    calls: Vec<C>,
    wrong: Vec<(String, usize, Wrong)>,
    latency: Duration,
    hook: Option<OnRequest>,
}

/// What a fake was asked, and what goes wrong with it.
pub struct Recorder<C>(Mutex<Inner<C>>);

impl<C> Default for Recorder<C> {
    fn default() -> Self {
        Recorder(Mutex::new(Inner { calls: Vec::new(), wrong: Vec::new(), latency: Duration::ZERO, hook: None }))
    }
}

impl<C: Call> Recorder<C> {
    /// The next `times` requests of an action go wrong.
    pub fn fails(&self, action: &str, times: usize, wrong: Wrong) {
        lock(&self.0).wrong.push((action.to_owned(), times, wrong));
    }

    /// Every request takes so much longer.
    #[allow(dead_code)] // for benchmarks
    pub fn latency(&self, time: Duration) {
        lock(&self.0).latency = time;
    }

    /// Called after each request was carried out and before it is answered, with its number from 1.
    pub fn after_each(&self, hook: impl Fn(usize) + Send + Sync + 'static) {
        lock(&self.0).hook = Some(Arc::new(hook));
    }

    pub fn forget(&self) {
        let mut inner = lock(&self.0);
        inner.calls.clear();
        inner.hook = None;
    }

    pub fn calls(&self) -> Vec<C> {
        lock(&self.0).calls.clone()
    }

    /// The requests of one action.
    pub fn of(&self, action: &str) -> Vec<C> {
        self.calls().into_iter().filter(|call| call.action() == action).collect()
    }

    pub fn actions(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.action().to_owned()).collect()
    }

    /// The actions that had an effect.
    pub fn effects(&self) -> Vec<String> {
        self.calls().iter().filter(|call| call.has_effect()).map(|call| call.action().to_owned()).collect()
    }

    /// Notes a request and answers it; `None` when the answer is lost. What it began may have to fail, with a code and a message.
    pub fn exchange(
        &self,
        life: &Life,
        call: C,
        answer: impl FnOnce(Option<(&str, &str)>) -> Response,
    ) -> Option<Response> {
        let (wrong, number, latency) = self.note(call);
        let slow = if let Some(Wrong::Slow(time)) = wrong { time } else { Duration::ZERO };
        if !life.sleep(latency + slow) {
            return None;
        }
        let is_lost = matches!(wrong, Some(Wrong::LostAnswer));
        let answer = match wrong {
            Some(Wrong::Refused(status, code, message)) => C::refusal(status, code, message),
            Some(Wrong::Answered(answer)) => answer,
            Some(Wrong::Fails(code, message)) => answer(Some((code, message))),
            _ => answer(None),
        };
        let hook = lock(&self.0).hook.clone();
        if let Some(hook) = hook {
            hook(number);
        }
        (!is_lost).then_some(answer)
    }

    /// Notes a request. Returns what goes wrong with it, its number from 1, and how long it takes.
    fn note(&self, call: C) -> (Option<Wrong>, usize, Duration) {
        let mut inner = lock(&self.0);
        let found = inner.wrong.iter_mut().find(|(action, times, _)| *times > 0 && *action == call.action());
        let wrong = found.map(|(_, times, wrong)| {
            *times -= 1;
            wrong.clone()
        });
        inner.calls.push(call);
        (wrong, inner.calls.len(), inner.latency)
    }
}

/// Answers the requests of a connection, until an answer is lost.
pub fn serve<C: Read + Write>(stream: C, exchange: impl Fn(&Request) -> Option<Response>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, || {})? {
        let Some(answer) = exchange(&request) else { return Ok(()) };
        if !write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
            return Ok(());
        }
    }
    Ok(())
}
