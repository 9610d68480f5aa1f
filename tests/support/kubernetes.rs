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
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The token of the kubeconfig.
pub const TOKEN: &str = "k8s-token-5b1d6a7f9c3e";
/// The namespace of the kubeconfig.
pub const NAMESPACE: &str = "ml";
/// How long our init container waits for its Secret.
const UNPACK_TIMEOUT: u64 = 300;

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

fn ended(container: &str, code: u8, reason: &str) -> Value {
    json!({"name": container, "image": "i", "state": {"terminated": {"exitCode": code, "reason": reason}}})
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

impl State {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.passed
    }

    fn date(&self) -> String {
        chrono::DateTime::from_timestamp(self.now().as_secs() as i64, 0)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }

    /// How many seconds ago that was.
    fn age(&self, date: &Value) -> u64 {
        let date = chrono::DateTime::parse_from_rfc3339(date.as_str().unwrap()).unwrap().timestamp() as u64;
        self.now().as_secs().saturating_sub(date)
    }

    fn of(&mut self, kind: &'static str) -> &mut BTreeMap<String, Value> {
        self.objects.entry(kind).or_default()
    }

    /// What the controllers and kubelets do meanwhile.
    fn tick(&mut self) {
        let jobs: Vec<(String, Value)> =
            self.of("jobs").clone().into_iter().filter(|(_, job)| job["metadata"]["uid"] != "foreign").collect();
        for (name, job) in jobs {
            let age = self.age(&job["metadata"]["creationTimestamp"]);
            if let Some(finished) = job["status"].get("finished") {
                if self.age(finished) >= job["spec"]["ttlSecondsAfterFinished"].as_u64().unwrap() {
                    self.delete_job(&name);
                }
                continue;
            }
            if age >= job["spec"]["activeDeadlineSeconds"].as_u64().unwrap() {
                // The controller deletes the pods.
                self.of("pods").remove(&format!("{name}-abcde"));
                self.finish(&name, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline");
                continue;
            }
            self.go(&name, age);
        }
    }

    /// A pod goes its way.
    fn go(&mut self, job: &str, age: u64) {
        let has_secret = self.of("secrets").contains_key(job);
        let pod = format!("{job}-abcde");
        let done = ended("unpack", 0, "Completed");
        let status = match self.fate.clone() {
            PodFate::None(message) => {
                self.event(job, "FailedCreate", message);
                return;
            }
            _ if !self.of("pods").contains_key(&pod) => return,
            PodFate::Unschedulable(message) => json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}),
            PodFate::Wait(reason, message) => {
                json!({"phase": "Pending", "initContainerStatuses": [done], "containerStatuses": [
                {"name": "runner", "image": "the-image", "state": {"waiting": {"reason": reason, "message": message}}}]})
            }
            _ if !has_secret && age > UNPACK_TIMEOUT => return self.end(job, &[ended("unpack", 12, "Error")], 12),
            _ if !has_secret => {
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "unpack", "state": {"running": {}}}]})
            }
            PodFate::End(code) => return self.end(job, &[done, ended("runner", code, "Error")], code),
            PodFate::Run => {
                json!({"phase": "Running", "podIP": "10.0.0.7", "initContainerStatuses": [done], "containerStatuses": [
                {"name": "runner", "image": "the-image", "ready": true, "state": {"running": {}}}]})
            }
        };
        let runs = u8::from(status["phase"] == "Running");
        if let Some(pod) = self
            .of("pods")
            .get_mut(&pod)
            .filter(|pod| pod["status"]["phase"] != "Failed" && pod["status"]["phase"] != "Succeeded")
        {
            pod["status"] = status;
            self.of("jobs").get_mut(job).unwrap()["status"] = json!({"active": 1, "ready": runs});
        }
    }

    fn end(&mut self, job: &str, containers: &[Value], code: u8) {
        let (phase, kind, reason) = if code == 0 {
            ("Succeeded", "Complete", "CompletionsReached")
        } else {
            ("Failed", "Failed", "BackoffLimitExceeded")
        };
        let (init, main): (Vec<_>, Vec<_>) = containers.iter().cloned().partition(|one| one["name"] == "unpack");
        if let Some(pod) = self.of("pods").get_mut(&format!("{job}-abcde")) {
            pod["status"] = json!({"phase": phase, "initContainerStatuses": init, "containerStatuses": main});
        }
        self.finish(job, kind, reason, "Job has reached the specified backoff limit");
    }

    fn finish(&mut self, job: &str, kind: &str, reason: &str, message: &str) {
        let date = self.date();
        let status = json!({"finished": date, "conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}]});
        self.of("jobs").get_mut(job).unwrap()["status"] = status;
    }

    fn event(&mut self, object: &str, reason: &str, message: &str) {
        let name = format!("{object}.{reason}");
        let event = json!({"metadata": {"name": name}, "involvedObject": {"name": object}, "type": "Warning", "reason": reason, "message": message});
        self.of("events").insert(name, event);
    }

    /// A Job is deleted in the background, with all that it owns.
    fn delete_job(&mut self, name: &str) {
        let Some(job) = self.of("jobs").remove(name) else { return };
        let uid = job["metadata"]["uid"].clone();
        for kind in ["pods", "secrets"] {
            self.of(kind).retain(|_, one| one["metadata"]["ownerReferences"][0]["uid"] != uid);
        }
    }

    fn create(&mut self, kind: &'static str, mut object: Value, is_dry: bool) -> Response {
        self.next += 1;
        let metadata = &mut object["metadata"];
        let name = match metadata["name"].as_str() {
            Some(name) => name.to_owned(),
            None => format!("{}{:05}", metadata["generateName"].as_str().unwrap(), self.next),
        };
        if self.of(kind).contains_key(&name) {
            let full = if kind == "jobs" { "jobs.batch" } else { kind };
            return refusal(409, "AlreadyExists", &format!("{full} \"{name}\" already exists"));
        }
        let date = self.date();
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(name);
        metadata["namespace"] = json!(NAMESPACE);
        metadata["uid"] = json!(format!("uid-{}", self.next));
        metadata["creationTimestamp"] = json!(date);
        if is_dry {
            return Response::json(201, &object);
        }
        let uid = object["metadata"]["uid"].clone();
        if kind == "jobs" {
            object["status"] = json!({});
            if !matches!(self.fate, PodFate::None(_)) {
                let mut pod = object["spec"]["template"].clone();
                pod["metadata"]["name"] = json!(format!("{name}-abcde"));
                pod["metadata"]["creationTimestamp"] = json!(date);
                pod["metadata"]["labels"]["job-name"] = json!(name);
                pod["metadata"]["ownerReferences"] = json!([{"uid": uid}]);
                pod["spec"]["nodeName"] = json!("node-1");
                pod["status"] = json!({"phase": "Pending"});
                self.of("pods").insert(format!("{name}-abcde"), pod);
            }
        }
        self.of(kind).insert(name, object.clone());
        self.tick();
        Response::json(201, &object)
    }

    fn list(&mut self, kind: &'static str, request: &Request) -> Response {
        let field = |name: &str| {
            request
                .param(name)
                .and_then(|text| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        let (label, involved) = (field("labelSelector"), field("fieldSelector"));
        let matching = |one: &&Value| {
            label.as_ref().is_none_or(|(key, value)| one["metadata"]["labels"][key] == **value)
                && involved.as_ref().is_none_or(|(_, value)| one["involvedObject"]["name"] == **value)
        };
        let limit = request.param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX).min(self.page);
        let from = request.param("continue").map_or(0, |text| text.parse::<usize>().unwrap());
        let all: Vec<Value> = self.of(kind).values().filter(matching).cloned().collect();
        let items: Vec<&Value> = all.iter().skip(from).take(limit).collect();
        let next = from.saturating_add(limit);
        let more = if next < all.len() { json!(next.to_string()) } else { json!("") };
        Response::json(200, &json!({"kind": "List", "metadata": {"continue": more}, "items": items}))
    }
}

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
