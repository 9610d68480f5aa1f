//! A connection's loop: read, hold, carry out, spoil, answer.

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::fault::{Faults, Kind, scripted};
use super::gate::Gate;
use super::gitlab::jobs::is_held;
use super::http::{Framing, Request, Response, read_request, write_response};
use super::record::Log;
use super::route::route;
use super::server::{Life, Port, Server, lock};
use super::state::State;
use super::tls::Conn;

/// What the connections of a server share with the test that started it.
pub struct Core {
    pub url: String,
    pub state: Mutex<State>,
    pub log: Log,
    pub faults: Faults,
    pub gates: Mutex<Vec<Arc<Gate>>>,
    pub latency: Mutex<Duration>,
    tls: Option<Arc<ServerConfig>>,
}

/// How often a request that is held looks for something new.
const HELD: Duration = Duration::from_millis(10);

/// How a request ends.
enum Outcome {
    Answer(Response, Framing),
    /// The connection closes without an answer.
    Nothing,
}

impl Core {
    pub fn start(tls: Option<Arc<ServerConfig>>) -> (Arc<Core>, Server) {
        let port = Port::bind();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let core = Arc::new(Core {
            url: format!("{scheme}://{}", port.address()),
            state: Mutex::new(State::new()),
            log: Log::default(),
            faults: Faults::default(),
            gates: Mutex::default(),
            latency: Mutex::default(),
            tls,
        });
        let server = port.serve({
            let core = Arc::clone(&core);
            move |socket, life| core.connection(socket, life)
        });
        (core, server)
    }

    fn connection(&self, socket: TcpStream, life: &Life) {
        let Ok(conn) = Conn::new(socket, self.tls.as_ref()) else { return };
        let mut reader = BufReader::new(conn);
        loop {
            let mut started = Instant::now();
            let Ok(Some(request)) = read_request(&mut reader, || started = Instant::now()) else { break };
            let seq = self.log.begin(&request, started);
            let fault = self.faults.take(&line(&request));
            let name = fault.as_ref().map(Kind::name);
            let outcome = self.outcome(&request, fault, life);
            let Outcome::Answer(answer, framing) = outcome else {
                self.log.finish(seq, 0, name);
                return reader.get_mut().abort();
            };
            self.log.finish(seq, answer.status, name);
            let kept = write_response(reader.get_mut(), &request, &answer, framing);
            if matches!(framing, Framing::Short(_) | Framing::Chunked(_)) {
                return reader.get_mut().abort();
            }
            if !kept.unwrap_or(false) {
                break;
            }
        }
        reader.get_mut().close();
    }

    /// Carries a request out without a connection; `None` when its answer is lost. What is left of a spoilt answer is not told.
    pub fn exchange(&self, request: &Request) -> Option<Response> {
        let seq = self.log.begin(request, Instant::now());
        let fault = self.faults.take(&line(request));
        let name = fault.as_ref().map(Kind::name);
        let answer = match self.outcome(request, fault, &Life::default()) {
            Outcome::Answer(answer, _) => Some(answer),
            Outcome::Nothing => None,
        };
        self.log.finish(seq, answer.as_ref().map_or(0, |answer| answer.status), name);
        answer
    }

    /// Carries a request out, if its fault lets it.
    fn outcome(&self, request: &Request, fault: Option<Kind>, life: &Life) -> Outcome {
        let fault = match fault {
            Some(Kind::DropBefore) => return Outcome::Nothing,
            Some(Kind::Stall(time)) => {
                life.sleep(time);
                return Outcome::Nothing;
            }
            Some(Kind::Answer { status, headers, body }) => {
                life.sleep(*lock(&self.latency));
                return Outcome::Answer(self.dated(scripted(status, headers, body)), Framing::Whole);
            }
            other => other,
        };
        let answer = self.carry_out(request, life);
        let framing = match fault {
            Some(Kind::DropAfter) => return Outcome::Nothing,
            Some(Kind::Slow(time)) => {
                life.sleep(time);
                Framing::Whole
            }
            Some(Kind::Truncate(bytes)) => Framing::Short(bytes),
            Some(Kind::CutUnframed(bytes)) => Framing::Unframed(bytes),
            Some(Kind::CutChunked(bytes)) => Framing::Chunked(bytes),
            Some(Kind::AnswerAfter { status, headers, body }) => {
                return Outcome::Answer(self.dated(scripted(status, headers, body)), Framing::Whole);
            }
            _ => Framing::Whole,
        };
        Outcome::Answer(answer, framing)
    }

    /// The request's effect and answer, between its barriers and its latency.
    fn carry_out(&self, request: &Request, life: &Life) -> Response {
        let latency = *lock(&self.latency);
        let half = latency / 2;
        if !half.is_zero() {
            life.sleep(half);
        }
        let line = line(request);
        let gates: Vec<Arc<Gate>> = lock(&self.gates).iter().filter(|gate| gate.holds(&line)).cloned().collect();
        let groups: Vec<_> = gates.iter().map(|gate| gate.enter()).collect();
        self.hold(request, life);
        let answer = route(&mut lock(&self.state), request, &self.url);
        for group in groups {
            group.leave();
        }
        if !latency.is_zero() {
            life.sleep(latency - half);
        }
        self.dated(answer)
    }

    /// Holds a request for a job until there is one, whether or not its runner still waits for the answer.
    fn hold(&self, request: &Request, life: &Life) {
        let end = Instant::now() + lock(&self.state).runners.queue.hold;
        while is_held(&lock(&self.state), request) && Instant::now() < end && life.sleep(HELD) {}
    }

    /// Every answer has a date and a name.
    fn dated(&self, answer: Response) -> Response {
        let now = lock(&self.state).desk.now();
        let set = |name: &str| answer.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        if set("date") { answer } else { answer.header("Date", now.http_date()) }
    }
}

/// What patterns are matched against.
fn line(request: &Request) -> String {
    format!("{} {}", request.method, request.target)
}
