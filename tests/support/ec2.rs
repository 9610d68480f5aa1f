//! EC2 for tests: moto, or one inside of this process (`ec2/scripted.rs`), behind a proxy that records what is asked and fails on request.
//!
//! The proxy sees to it, as EC2 does, that the same `ClientToken` twice makes one thing and gets the same answer, and is refused with
//! other fields (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>). moto keeps no user data of a
//! fleet and no shutdown behaviour: tests look at the recorded request for those.

use super::clouds::FakeCloud;
use super::fake::http::{Request, Response, decode};
use super::fake::server::{Life, Port, Server, lock};
use super::moto::Moto;
use super::net::send;
use super::recorder::{self, Recorder};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

mod scripted;

use scripted::Scripted;

pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub action: String,
    pub fields: BTreeMap<String, String>,
    /// Whether its credentials have a session's token.
    pub has_token: bool,
}

impl FakeCloud for Ec2 {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn region(&self) -> &'static str {
        self.region
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![SECRET]
    }

    fn exchange(&self, request: &Request) -> Option<Response> {
        self.shared.exchange(request, &Life::default())
    }

    fn actions(&self) -> Vec<String> {
        Recorder::actions(self)
    }

    fn runs(&self) -> bool {
        !self.alive().is_empty()
    }

    fn left(&self) -> Vec<String> {
        self.alive().into_iter().map(|machine| machine.id).collect()
    }
}

impl recorder::Call for Call {
    fn action(&self) -> &str {
        &self.action
    }

    fn has_effect(&self) -> bool {
        let is_dry = self.fields.get("DryRun").is_some_and(|dry| dry == "true");
        !is_dry && !self.action.starts_with("Describe") && !self.action.starts_with("Get")
    }

    fn refusal(status: u16, code: &str, message: &str) -> Response {
        refusal(status, code, message)
    }
}

#[derive(Default)]
struct State {
    /// By action and client token, what was asked, and the answer.
    answers: BTreeMap<(String, String), (BTreeMap<String, String>, Response)>,
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

/// What requests meet.
struct Shared {
    recorder: Recorder<Call>,
    state: Mutex<State>,
    upstream: Upstream,
}

/// EC2 in one region.
pub struct Ec2 {
    server: Server,
    shared: Arc<Shared>,
    pub region: &'static str,
}

impl Deref for Ec2 {
    type Target = Recorder<Call>;

    fn deref(&self) -> &Recorder<Call> {
        &self.shared.recorder
    }
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
        let shared = Arc::new(Shared { recorder: Recorder::default(), state: Mutex::default(), upstream });
        let serves = Arc::clone(&shared);
        let server = Port::bind().serve(move |socket, life| {
            let _ = recorder::serve(socket, |request| serves.exchange(request, life));
        });
        Ec2 { server, shared, region }
    }

    /// That of a scripted one.
    pub fn script(&self) -> MutexGuard<'_, Scripted> {
        let Upstream::Scripted(scripted) = &self.shared.upstream else { panic!("moto has no script") };
        lock(scripted)
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Serves JSON at a path.
    pub fn serves(&self, path: &str, json: &str) {
        lock(&self.shared.state).pages.insert(path.to_owned(), json.to_owned());
    }

    /// The targets that were served so, each with its authorization.
    pub fn served(&self) -> Vec<(String, String)> {
        lock(&self.shared.state).served.clone()
    }

    /// Asks moto itself.
    pub fn ask(&self, query: &str) -> String {
        let Upstream::Moto(moto) = &self.shared.upstream else { panic!("there is no moto") };
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
        if let Upstream::Scripted(scripted) = &self.shared.upstream {
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

/// An answer with this content.
pub fn answered(action: &str, content: &str) -> Response {
    let name = format!("{action}Response");
    let namespace = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let body = format!("<{name} xmlns=\"{namespace}\"><requestId>r</requestId>{content}</{name}>");
    Response::bytes(200, "text/xml;charset=UTF-8", body)
}

/// What a fleet is told that gets no instance.
fn no_instance(code: &str, message: &str) -> String {
    format!(
        "<fleetId>fleet-1</fleetId><errorSet><item><errorCode>{code}</errorCode><errorMessage>{message}</errorMessage><lifecycle>spot</lifecycle></item></errorSet><fleetInstanceSet/>"
    )
}

/// The fields of a form.
fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name, true), decode(value, true))).collect()
}

impl Shared {
    /// Carries a request out; `None` when its answer is lost.
    fn exchange(&self, request: &Request, life: &Life) -> Option<Response> {
        if let Some(page) = self.page(request) {
            return Some(page);
        }
        let fields = fields(&request.body);
        let target = request.header("x-amz-target").and_then(|target| target.rsplit('.').next());
        let action = fields.get("Action").cloned().or(target.map(str::to_owned)).unwrap_or_default();
        let call = Call { action, fields, has_token: request.header("x-amz-security-token").is_some() };
        self.recorder.exchange(life, call.clone(), |failure| {
            self.once(&call, || match failure {
                Some((code, message)) => answered(&call.action, &no_instance(code, message)),
                None => self.upstream.carry_out(request, &call),
            })
        })
    }

    fn page(&self, request: &Request) -> Option<Response> {
        let mut state = lock(&self.state);
        let body = state.pages.get(request.path())?.clone();
        state.served.push((request.target.clone(), request.header("authorization").unwrap_or_default().to_owned()));
        Some(Response::bytes(200, "application/json", body))
    }

    /// Carries a request out, unless one with its token was: then the answer is the same.
    fn once(&self, call: &Call, carry_out: impl FnOnce() -> Response) -> Response {
        let Some(token) = call.fields.get("ClientToken") else { return carry_out() };
        let key = (call.action.clone(), token.clone());
        if let Some((asked, answer)) = lock(&self.state).answers.get(&key) {
            let is_same = *asked == call.fields;
            let other = || refusal(400, "IdempotentParameterMismatch", "The token was used with other parameters.");
            return if is_same { answer.clone() } else { other() };
        }
        let answer = carry_out();
        if answer.status == 200 {
            lock(&self.state).answers.insert(key, (call.fields.clone(), answer.clone()));
        }
        answer
    }
}

impl Upstream {
    fn carry_out(&self, request: &Request, call: &Call) -> Response {
        let moto = match self {
            Upstream::Moto(moto) => moto,
            Upstream::Scripted(scripted) => return lock(scripted).carry_out(&call.action, &call.fields),
        };
        const OWN: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "user-agent"];
        let headers = request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match send(&request.method, &format!("{}{}", moto.url, request.target), &headers, &request.body) {
            Ok(answer) => Response::bytes(answer.status, answer.header("content-type"), answer.body.clone()),
            Err(_) => Response::empty(502),
        }
    }
}
