//! EC2 for tests: moto, or one inside of this process (`ec2/scripted.rs`), behind a proxy that records what is asked and fails on request.
//!
//! The proxy sees to it, as EC2 does, that the same `ClientToken` twice makes one thing and gets the same answer, and is refused with
//! other fields (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>). moto keeps no user data of a
//! fleet and no shutdown behaviour: tests look at the recorded request for those.

use super::fake::http::{Framing, Request, Response, decode, read_request, write_response};
use super::fake::server::{Life, Port, Server, lock};
use super::hook::Hook;
use super::moto::Moto;
use super::net::send;
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

mod scripted;

use scripted::Scripted;

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// It is refused with a status and a code.
    Refused(u16, &'static str, &'static str),
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// A fleet gets no machine, for this reason.
    NoMachine(&'static str),
    /// It takes so much longer.
    Slow(Duration),
    /// It is answered so, with the content of the answer's element.
    Answered(&'static str),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub action: String,
    pub fields: BTreeMap<String, String>,
    /// Whether its credentials have a session's token.
    pub has_token: bool,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    wrong: Vec<(&'static str, usize, Wrong)>,
    /// By action and client token, what was asked, and the answer.
    answers: BTreeMap<(String, String), (BTreeMap<String, String>, Response)>,
    latency: Duration,
    hook: Arc<Hook>,
    /// What is served besides, by path.
    pages: BTreeMap<String, String>,
    /// Who asked for that: the target and the authorization.
    served: Vec<(String, String)>,
}

/// What carries requests out.
enum Upstream {
    Moto(Arc<Moto>),
    Scripted(Mutex<Scripted>),
}

/// EC2 in one region.
pub struct Ec2 {
    upstream: Arc<Upstream>,
    server: Server,
    state: Arc<Mutex<State>>,
    pub region: &'static str,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub id: String,
    pub state: String,
    pub kind: String,
    pub tags: BTreeMap<String, String>,
}

impl Machine {
    /// Whether it has ended, or is ending, and costs nothing.
    fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "terminated" | "shutting-down")
    }
}

impl Ec2 {
    /// In a region of its own. `None` where there is no moto.
    pub fn start(region: &'static str) -> Option<Ec2> {
        Ec2::over(Moto::with_machines(region)?, region)
    }

    /// Over a certain moto.
    pub fn over(moto: Arc<Moto>, region: &'static str) -> Option<Ec2> {
        Some(Ec2::of_upstream(Upstream::Moto(moto), region))
    }

    /// Inside of this process, with a clock that the test moves.
    pub fn scripted(region: &'static str) -> Ec2 {
        Ec2::of_upstream(Upstream::Scripted(Mutex::new(Scripted::new(region))), region)
    }

    fn of_upstream(upstream: Upstream, region: &'static str) -> Ec2 {
        let (state, upstream) = (Arc::new(Mutex::new(State::default())), Arc::new(upstream));
        let (shared, carries_out) = (Arc::clone(&state), Arc::clone(&upstream));
        let server = Port::bind().serve(move |socket, life| {
            let _ = serve(socket, life, &shared, &carries_out);
        });
        Ec2 { upstream, server, state, region }
    }

    /// That of a scripted one.
    pub fn script(&self) -> MutexGuard<'_, Scripted> {
        let Upstream::Scripted(scripted) = &*self.upstream else { panic!("moto has no script") };
        lock(scripted)
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// The next `times` requests of an action go wrong.
    pub fn fails(&self, action: &'static str, times: usize, wrong: Wrong) {
        lock(&self.state).wrong.push((action, times, wrong));
    }

    /// Every request takes so much longer.
    #[allow(dead_code)] // for benchmarks
    pub fn latency(&self, time: Duration) {
        lock(&self.state).latency = time;
    }

    /// Serves JSON at a path.
    pub fn serves(&self, path: &str, json: &str) {
        lock(&self.state).pages.insert(path.to_owned(), json.to_owned());
    }

    /// The targets that were served so, each with its authorization.
    pub fn served(&self) -> Vec<(String, String)> {
        lock(&self.state).served.clone()
    }

    /// Carries a request out without a connection; `None` when its answer is lost.
    pub fn exchange(&self, request: &Request) -> Option<Response> {
        exchange(request, &Life::default(), &self.state, &self.upstream).unwrap()
    }

    /// Called after each request was carried out and before it is answered, with its number from 1.
    pub fn after_each(&self, hook: impl Fn(usize) + Send + Sync + 'static) {
        lock(&self.state).hook.set(hook);
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    pub fn actions(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.action).collect()
    }

    /// The requests of one action.
    pub fn of(&self, action: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.action == action).collect()
    }

    pub fn forget(&self) {
        let mut state = lock(&self.state);
        state.calls.clear();
        state.hook.clear();
    }

    /// Asks moto itself.
    pub fn ask(&self, query: &str) -> String {
        let Upstream::Moto(moto) = &*self.upstream else { panic!("there is no moto") };
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=any/20260101/{}/ec2/aws4_request, SignedHeaders=host, Signature=0",
            self.region
        );
        let headers =
            [("Authorization", scope.as_str()), ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")];
        let body = format!("{query}&Version=2016-11-15");
        let answer = send("POST", &moto.url, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text()
    }

    /// All machines, those that are gone too.
    pub fn machines(&self) -> Vec<Machine> {
        if let Upstream::Scripted(scripted) = &*self.upstream {
            return lock(scripted).machines();
        }
        let text = self.ask("Action=DescribeInstances");
        let between = |text: &str, from: &str, to: &str| {
            text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map_or("", |(found, _)| found).to_owned()
        };
        // A reservation of ours has one machine.
        let machine = |part: &str| {
            let tags = between(part, "<tagSet>", "</tagSet>");
            let tags = tags.split("<item>").skip(1);
            Machine {
                id: between(part, "<instanceId>", "<"),
                state: between(&between(part, "<instanceState>", "</instanceState>"), "<name>", "</name>"),
                kind: between(part, "<instanceType>", "</instanceType>"),
                tags: tags.map(|tag| (between(tag, "<key>", "</key>"), between(tag, "<value>", "</value>"))).collect(),
            }
        };
        text.split("<instancesSet>").skip(1).map(machine).collect()
    }

    /// Those that cost money.
    pub fn alive(&self) -> Vec<Machine> {
        self.machines().into_iter().filter(|machine| !machine.is_over()).collect()
    }
}

pub fn refusal(status: u16, code: &str, says: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{says}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    );
    Response::bytes(status, "text/xml;charset=UTF-8", body)
}

fn answered(action: &str, content: &str) -> Response {
    let name = format!("{action}Response");
    let namespace = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let body = format!("<{name} xmlns=\"{namespace}\"><requestId>r</requestId>{content}</{name}>");
    Response::bytes(200, "text/xml;charset=UTF-8", body)
}

/// The answer to a fleet that gets no instance, for this reason.
fn no_instance(code: &str) -> String {
    format!(
        "<fleetId>fleet-1</fleetId><errorSet><item><errorCode>{code}</errorCode><errorMessage>There is none.</errorMessage><lifecycle>spot</lifecycle></item></errorSet><fleetInstanceSet/>"
    )
}

/// The fields of a form.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name, true), decode(value, true))).collect()
}

fn serve(socket: TcpStream, life: &Life, state: &Mutex<State>, upstream: &Upstream) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    while let Some(request) = read_request(&mut reader, || {})? {
        if let Some(answer) = page(state, &request) {
            write_response(reader.get_mut(), &request, &answer, Framing::Whole)?;
            return Ok(());
        }
        let Some(answer) = exchange(&request, life, state, upstream)? else { return Ok(()) };
        if !write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Carries a request out; `None` when its answer is lost.
fn exchange(
    request: &Request,
    life: &Life,
    state: &Mutex<State>,
    upstream: &Upstream,
) -> std::io::Result<Option<Response>> {
    let (call, wrong, number) = record(state, request);
    let latency = lock(state).latency;
    if !life.sleep(latency) {
        return Ok(None);
    }
    if let Some(Wrong::Slow(time)) = wrong
        && !life.sleep(time)
    {
        return Ok(None);
    }
    let answer = match wrong {
        Some(Wrong::Refused(status, code, says)) => refusal(status, code, says),
        Some(Wrong::Answered(content)) => answered(&call.action, content),
        Some(Wrong::NoMachine(code)) => once(state, &call, || Ok(answered(&call.action, &no_instance(code))))?,
        _ => once(state, &call, || upstream.carry_out(request, &call))?,
    };
    let hook = Arc::clone(&lock(state).hook);
    hook.call(number);
    Ok((!matches!(wrong, Some(Wrong::LostAnswer))).then_some(answer))
}

fn page(state: &Mutex<State>, request: &Request) -> Option<Response> {
    let mut state = lock(state);
    let body = state.pages.get(request.path())?.clone();
    state.served.push((request.target.clone(), request.header("authorization").unwrap_or_default().to_owned()));
    Some(Response::bytes(200, "application/json", body))
}

/// Notes a request. Returns it, what goes wrong with it, and its number from 1.
fn record(state: &Mutex<State>, request: &Request) -> (Call, Option<Wrong>, usize) {
    let fields = fields(&request.body);
    let target = request.header("x-amz-target").and_then(|target| target.rsplit('.').next());
    let action = fields.get("Action").cloned().or(target.map(str::to_owned)).unwrap_or_default();
    let call = Call { action, fields, has_token: request.header("x-amz-security-token").is_some() };
    let mut state = lock(state);
    state.calls.push(call.clone());
    let found = state.wrong.iter_mut().find(|(action, times, _)| *times > 0 && *action == call.action);
    let wrong = found.map(|(_, times, wrong)| {
        *times -= 1;
        wrong.clone()
    });
    (call, wrong, state.calls.len())
}

/// Carries a request out, unless one with its token was: then the answer is the same.
fn once(
    state: &Mutex<State>,
    call: &Call,
    carry_out: impl FnOnce() -> std::io::Result<Response>,
) -> std::io::Result<Response> {
    let Some(token) = call.fields.get("ClientToken") else { return carry_out() };
    let key = (call.action.clone(), token.clone());
    if let Some((asked, answer)) = lock(state).answers.get(&key) {
        let is_same = *asked == call.fields;
        let other = || refusal(400, "IdempotentParameterMismatch", "The token was used with other parameters.");
        return Ok(if is_same { answer.clone() } else { other() });
    }
    let answer = carry_out()?;
    if answer.status == 200 {
        lock(state).answers.insert(key, (call.fields.clone(), answer.clone()));
    }
    Ok(answer)
}

impl Upstream {
    fn carry_out(&self, request: &Request, call: &Call) -> std::io::Result<Response> {
        let moto = match self {
            Upstream::Moto(moto) => moto,
            Upstream::Scripted(scripted) => return Ok(lock(scripted).carry_out(&call.action, &call.fields)),
        };
        const OWN: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "user-agent"];
        let headers = request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = send(&request.method, &format!("{}{}", moto.url, request.target), &headers, &request.body)?;
        Ok(Response::bytes(answer.status, answer.header("content-type"), answer.body.clone()))
    }
}
