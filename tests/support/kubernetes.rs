//! A Kubernetes API server for tests, with what stands behind one: the controllers of Jobs, of what is owned and of what is over, the
//! scheduler and a kubelet, each as far as a launch meets it.
//!
//! Facts: <https://kubernetes.io/docs/reference/using-api/api-concepts/>, and what a server of version 1.20 with its controllers did.
//! Scripted: how pods go ([`PodFate`]), what fails, and the clock, which [`Kubernetes::pass`] moves. Bodies are kept, for
//! `kubernetes-validate` to judge.

use super::clouds::FakeCloud;
use super::fake::http::{Request, Response};
use super::fake::server::{Life, Port, Server, lock};
use super::recorder::{self, Recorder};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod controllers;

use controllers::ended;

/// The token of the kubeconfig.
pub const TOKEN: &str = "k8s-token-5b1d6a7f9c3e";
/// The namespace of the kubeconfig.
pub const NAMESPACE: &str = "ml";

/// How pods go.
#[derive(Clone, Debug)]
pub enum PodFate {
    /// They run as soon as their Secret is there.
    Run,
    /// Their main container waits for a reason, with a message.
    Wait(&'static str, &'static str),
    /// No node takes them.
    Unschedulable(&'static str),
    /// None is created: the message of the event.
    None(&'static str),
    /// They end at once, with this exit code.
    End(u8),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The verb and the resource as RBAC names them: `create jobs`, `get pods/log`; `dry-run jobs` for one without an effect.
    pub action: String,
    pub query: String,
    pub body: Value,
}

impl FakeCloud for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn region(&self) -> &'static str {
        ""
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("KUBERNETES_CONFIGURATION", self.kubeconfig())]
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![TOKEN]
    }

    fn exchange(&self, request: &Request) -> Option<Response> {
        exchange(request, &Life::default(), &self.shared)
    }

    fn actions(&self) -> Vec<String> {
        Recorder::actions(self)
    }

    fn runs(&self) -> bool {
        self.objects("pods").values().any(|pod| pod["status"]["phase"] == "Running")
    }

    fn left(&self) -> Vec<String> {
        ["jobs", "pods", "secrets"].iter().flat_map(|kind| self.objects(kind).into_keys()).collect()
    }
}

impl recorder::Call for Call {
    fn action(&self) -> &str {
        &self.action
    }

    fn has_effect(&self) -> bool {
        ["create ", "delete ", "patch ", "update "].iter().any(|verb| self.action.starts_with(verb))
            && self.action != REVIEW
    }

    fn refusal(status: u16, code: &str, message: &str) -> Response {
        refusal(status, code, message)
    }
}

const REVIEW: &str = "create selfsubjectaccessreviews";

struct State {
    /// The user's token.
    token: String,
    /// By kind, then by name.
    objects: BTreeMap<&'static str, BTreeMap<String, Value>>,
    logs: BTreeMap<String, String>,
    fate: PodFate,
    /// What the user may do; `None` for everything.
    allowed: Option<BTreeSet<String>>,
    /// What a dry run of a pod is refused with.
    admission: Option<(u16, String)>,
    warning: Option<&'static str>,
    page: usize,
    passed: Duration,
    next: u32,
}

/// What requests meet.
struct Shared {
    recorder: Recorder<Call>,
    state: Mutex<State>,
}

/// The server.
pub struct Kubernetes {
    server: Server,
    shared: Arc<Shared>,
}

impl Deref for Kubernetes {
    type Target = Recorder<Call>;

    fn deref(&self) -> &Recorder<Call> {
        &self.shared.recorder
    }
}

impl Kubernetes {
    pub fn start() -> Kubernetes {
        let state = Mutex::new(State {
            token: TOKEN.to_owned(),
            objects: BTreeMap::new(),
            logs: BTreeMap::new(),
            fate: PodFate::Run,
            allowed: None,
            admission: None,
            warning: None,
            page: usize::MAX,
            passed: Duration::ZERO,
            next: 0,
        });
        let shared = Arc::new(Shared { recorder: Recorder::default(), state });
        let serves = Arc::clone(&shared);
        let server = Port::bind().serve(move |socket, life| {
            let _ = recorder::serve(socket, |request| exchange(request, life, &serves));
        });
        Kubernetes { server, shared }
    }

    /// For `KUBERNETES_CONFIGURATION`. The server is behind a path, as Rancher's are.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with(TOKEN)
    }

    pub fn kubeconfig_with(&self, token: &str) -> String {
        let address = self.server.address;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: Test Cluster\nclusters:\n- name: c\n  cluster: {{server: \"http://{address}/k8s/clusters/c-1\"}}\n\
            users:\n- name: ci\n  user: {{token: \"{token}\"}}\ncontexts:\n- name: Test Cluster\n  context: {{cluster: c, user: ci, namespace: {NAMESPACE}}}\n"
        )
    }

    /// The user has another token.
    pub fn takes(&self, token: &str) {
        lock(&self.shared.state).token = token.to_owned();
    }

    /// How the next pods go.
    pub fn pods_go(&self, fate: PodFate) {
        let mut state = lock(&self.shared.state);
        state.fate = fate;
        state.tick();
    }

    /// The user may do this only: `create jobs`.
    pub fn allows(&self, actions: impl IntoIterator<Item = String>) {
        lock(&self.shared.state).allowed = Some(actions.into_iter().collect());
    }

    /// The user may not do this.
    pub fn denies(&self, action: &str) {
        let all = ALL.iter().map(|one| (*one).to_owned()).filter(|one| one != action).collect();
        lock(&self.shared.state).allowed.get_or_insert(all).remove(action);
    }

    /// A dry run of a pod is refused so.
    pub fn refuses_pods(&self, status: u16, message: &str) {
        lock(&self.shared.state).admission = Some((status, message.to_owned()));
    }

    /// Every answer has this warning.
    pub fn warns(&self, text: &'static str) {
        lock(&self.shared.state).warning = Some(text);
    }

    /// A page of a list has so many objects at most.
    pub fn pages(&self, most: usize) {
        lock(&self.shared.state).page = most;
    }

    /// Time passes, for the cluster.
    pub fn pass(&self, time: Duration) {
        let mut state = lock(&self.shared.state);
        state.passed += time;
        state.tick();
    }

    /// The objects of a kind, by name.
    pub fn objects(&self, kind: &str) -> BTreeMap<String, Value> {
        let mut state = lock(&self.shared.state);
        state.tick();
        state.objects.get(kind).cloned().unwrap_or_default()
    }

    /// The Jobs whose pods hold a node's resources, or wait for them.
    pub fn billed(&self) -> Vec<String> {
        let pods = self.objects("pods").into_values();
        let live = pods.filter(|pod| pod["status"]["phase"] == "Pending" || pod["status"]["phase"] == "Running");
        live.map(|pod| pod["metadata"]["labels"]["job-name"].as_str().unwrap().to_owned()).collect()
    }

    /// A Job that somebody else made.
    pub fn make_foreign(&self, name: &str) {
        let job = json!({"metadata": {"name": name, "uid": "foreign", "labels": {"app": "other"}}, "spec": {"template": {"spec": {}}}, "status": {}});
        lock(&self.shared.state).objects.entry("jobs").or_default().insert(name.to_owned(), job);
    }

    /// What a Job's runner printed.
    pub fn fill_log(&self, job: &str, text: &str) {
        lock(&self.shared.state).logs.insert(format!("{job}-abcde"), text.to_owned());
    }

    /// The pod of a Job ends.
    pub fn end_pod(&self, job: &str, code: u8, reason: &str) {
        let mut state = lock(&self.shared.state);
        state.end(job, &[ended("runner", code, reason)], code);
    }
}

/// All actions that a Role can name.
const ALL: [&str; 10] = [
    "create jobs",
    "get jobs",
    "list jobs",
    "delete jobs",
    "create secrets",
    "create pods",
    "get pods",
    "list pods",
    "get pods/log",
    "list events",
];

pub fn refusal(code: u16, reason: &str, message: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code});
    let answer = Response::json(code, &status);
    if code == 429 { answer.header("Retry-After", "1") } else { answer }
}

/// The kind and the rest of a path, without the server's own.
fn route(request: &Request) -> Option<(&'static str, Vec<String>)> {
    let all = request.segments();
    let path: Vec<&str> = all.iter().map(String::as_str).collect();
    let ["k8s", "clusters", "c-1", path @ ..] = path.as_slice() else { return None };
    let (kinds, rest): (&[&'static str], &[&str]) = match path {
        ["apis", "authorization.k8s.io", "v1", rest @ ..] => (&["selfsubjectaccessreviews"], rest),
        ["apis", "batch", "v1", "namespaces", NAMESPACE, rest @ ..] => (&["jobs"], rest),
        ["api", "v1", "namespaces", NAMESPACE, rest @ ..] => (&["pods", "secrets", "events"], rest),
        _ => return None,
    };
    let kind = kinds.iter().find(|kind| rest.first() == Some(*kind))?;
    Some((kind, rest.iter().skip(1).map(|part| (*part).to_owned()).collect()))
}

/// Carries a request out; `None` when its answer is lost.
fn exchange(request: &Request, life: &Life, Shared { recorder, state }: &Shared) -> Option<Response> {
    let routed = route(request);
    let is_dry = request.param("dryRun").as_deref() == Some("All");
    let action = routed.as_ref().map(|(kind, rest)| {
        let kind = if rest.len() > 1 { format!("{kind}/{}", rest[1]) } else { (*kind).to_owned() };
        let verb = match (request.verb(), rest.is_empty(), is_dry) {
            ("GET", true, _) => "list",
            ("GET", false, _) => "get",
            ("POST", _, true) => "dry-run",
            ("POST", _, false) => "create",
            ("DELETE", ..) => "delete",
            (other, ..) => panic!("{other} {}", request.target),
        };
        format!("{verb} {kind}")
    });
    let action = action.unwrap_or_else(|| request.target.clone());
    let query = request.target.split_once('?').map_or("", |(_, query)| query).to_owned();
    let call = Call { action: action.clone(), query, body: request.json() };
    let answer = recorder.exchange(life, call, |_| answer(&mut lock(state), request, routed, &action, is_dry))?;
    Some(match lock(state).warning {
        Some(text) => answer.header("Warning", format!("299 - \"{text}\"")),
        None => answer,
    })
}

fn answer(
    state: &mut State,
    request: &Request,
    routed: Option<(&'static str, Vec<String>)>,
    action: &str,
    is_dry: bool,
) -> Response {
    let Some((kind, rest)) = routed else { return Response::bytes(404, "text/plain", "404 page not found\n") };
    if request.header("authorization") != Some(&format!("Bearer {}", state.token)) {
        return refusal(401, "Unauthorized", "Unauthorized");
    }
    let right = action.replace("dry-run ", "create ");
    let may = |right: &str| state.allowed.as_ref().is_none_or(|allowed| allowed.contains(right));
    if kind == "selfsubjectaccessreviews" {
        let mut review = request.json();
        let asked = &review["spec"]["resourceAttributes"];
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        let sub = if text("subresource").is_empty() { String::new() } else { format!("/{}", text("subresource")) };
        assert_eq!((text("namespace"), text("group") == "batch"), (NAMESPACE, text("resource") == "jobs"), "{review}");
        let allowed = may(&format!("{} {}{sub}", text("verb"), text("resource")));
        review["status"] = json!({ "allowed": allowed });
        return Response::json(201, &review);
    }
    if !may(&right) {
        let (verb, resource) = right.split_once(' ').unwrap();
        let (full, group) = if kind == "jobs" { ("jobs.batch", "batch") } else { (kind, "") };
        let message = format!(
            "{full} is forbidden: User \"ci\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the namespace \"{NAMESPACE}\""
        );
        return refusal(403, "Forbidden", &message);
    }
    state.tick();
    let name = rest.first().map(String::as_str).unwrap_or_default();
    let missing = || refusal(404, "NotFound", &format!("{kind} \"{name}\" not found"));
    match (request.verb(), rest.len()) {
        ("POST", 0) => {
            if let Some((status, message)) = state.admission.clone().filter(|_| is_dry && kind == "pods") {
                let reason = if status == 403 { "Forbidden" } else { "Invalid" };
                return refusal(status, reason, &message);
            }
            state.create(kind, request.json(), is_dry)
        }
        ("GET", 0) => state.list(kind, request),
        ("GET", 1) => state.of(kind).get(name).map_or_else(missing, |one| Response::json(200, one)),
        ("GET", 2) => {
            let Some(pod) = state.of("pods").get(name).cloned() else { return missing() };
            let container = request.param("container").unwrap();
            if container == "runner" && pod["status"]["phase"] == "Pending" {
                let message = format!("container \"runner\" in pod \"{name}\" is waiting to start: PodInitializing");
                return refusal(400, "BadRequest", &message);
            }
            let text =
                if container == "runner" { state.logs.get(name).cloned().unwrap_or_default() } else { String::new() };
            Response::bytes(200, "text/plain", text)
        }
        ("DELETE", 1) => {
            if !state.of(kind).contains_key(name) {
                return missing();
            }
            // Otherwise a Job of batch/v1 leaves its pods.
            if request.json()["propagationPolicy"] == "Background" {
                state.delete_job(name);
            } else {
                state.of(kind).remove(name);
            }
            Response::json(200, &json!({"kind": "Status", "status": "Success"}))
        }
        _ => panic!("{} {}", request.method, request.target),
    }
}
