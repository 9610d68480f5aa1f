//! Google Compute Engine for tests, with the services for tokens and permissions, and the metadata server of an instance.
//!
//! Facts: the reference of version 1 (<https://cloud.google.com/compute/docs/reference/rest/v1>) and its description as of November 2026.
//! Each request is judged strictly: a query or a field that it does not know, a number of 64 bits that is no text, or a value that is
//! none of an enumeration is refused, as is a token that nobody gave. Scripted: which zones are full, what fails, and the clock, which
//! [`Gce::pass`] moves.

use super::clouds::FakeCloud;
use super::fake::http::{Request, Response};
use super::fake::server::{Life, Port, Server, lock};
use super::fake::{Identity, Proxy, accept};
use super::recorder::{self, Recorder};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod api;
mod instances;
mod metadata;
mod routes;
mod shapes;
mod tokens;

pub const PROJECT: &str = "ml-project";
pub const ACCOUNT: &str = "launcher@ml-project.iam.gserviceaccount.com";
/// The account of an instance, which may delete it.
pub const WORKER: &str = "worker@ml-project.iam.gserviceaccount.com";
/// The key of [`ACCOUNT`].
pub const KEY: &str = include_str!("../../src/host/native/rsa/test.pem");
/// Tokens that are exchanged for something else.
pub const STS_TOKEN: &str = "ya29.token-of-the-identity-0123456789";
pub const ACCOUNT_TOKEN: &str = "ya29.token-of-the-account-0123456789";
/// What clusters of GKE take: it has the scope of the e-mail address too.
pub const CLUSTER_TOKEN: &str = "ya29.token-for-clusters-0123456789";
pub const WORKER_TOKEN: &str = "ya29.token-of-the-instance-0123456789";
pub const PROVIDER: &str = "projects/1234/locations/global/workloadIdentityPools/ci/providers/forge";

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The first permission that it needs, or its path where it needs none.
    pub action: String,
    pub method: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

impl FakeCloud for Gce {
    fn name(&self) -> &'static str {
        "gcp"
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        self.variables().into_iter().chain([("GOOGLE_APPLICATION_CREDENTIALS_DATA", Gce::key())]).collect()
    }

    /// Neither a key nor a token.
    fn secrets(&self) -> Vec<&'static str> {
        vec!["PRIVATE KEY", KEY.lines().nth(3).unwrap(), "ya29.", "eyJhbGciOiJSUzI1NiI"]
    }

    fn exchange(&self, request: &Request) -> Option<Response> {
        exchange(request, &Life::default(), &self.shared)
    }

    fn actions(&self) -> Vec<String> {
        Recorder::actions(self)
    }

    fn runs(&self) -> bool {
        self.instances().iter().any(|one| one["status"] == "RUNNING")
    }

    fn left(&self) -> Vec<String> {
        self.billed()
    }
}

impl recorder::Call for Call {
    fn action(&self) -> &str {
        &self.action
    }

    fn has_effect(&self) -> bool {
        self.method != "GET" && self.action.starts_with("compute.")
    }

    fn refusal(status: u16, code: &str, message: &str) -> Response {
        refusal(status, code, message)
    }
}

struct State {
    /// By zone and name.
    instances: BTreeMap<(String, String), Value>,
    firewalls: BTreeSet<String>,
    operations: BTreeMap<String, Value>,
    /// The operations of requests by their id.
    requests: BTreeMap<String, String>,
    consoles: BTreeMap<String, String>,
    /// Zones without capacity for a model: `us-west1-a SPOT`.
    full: BTreeSet<String>,
    /// What an error about capacity recommends.
    recommends: Option<&'static str>,
    images: BTreeMap<String, Value>,
    /// `None` for all.
    granted: Option<BTreeSet<String>>,
    used: BTreeSet<String>,
    /// How often an operation is looked at before it is done.
    looks: u32,
    /// What the metadata server tells besides what follows from the instance.
    metadata: BTreeMap<String, String>,
    passed: Duration,
    next: u32,
    page: usize,
}

/// What requests meet.
struct Shared {
    recorder: Recorder<Call>,
    state: Mutex<State>,
}

/// The server.
pub struct Gce {
    server: Server,
    shared: Arc<Shared>,
}

impl Deref for Gce {
    type Target = Recorder<Call>;

    fn deref(&self) -> &Recorder<Call> {
        &self.shared.recorder
    }
}

/// Google's names, until it is dropped.
pub struct UnderItsNames {
    _server: Server,
    _folder: tempfile::TempDir,
    pub proxy: Proxy,
    /// The authority of its certificates.
    pub ca: PathBuf,
}

impl Gce {
    pub fn start() -> Gce {
        let images = [
            ("ubuntu-os-cloud/family/ubuntu-2404-lts-amd64", "ubuntu-2404-noble-amd64-v20261101", "X86_64", "10"),
            ("ubuntu-os-cloud/family/ubuntu-2404-lts-arm64", "ubuntu-2404-noble-arm64-v20261101", "ARM64", "10"),
            (
                "ubuntu-os-accelerator-images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580",
                "ubuntu-accelerator-v1",
                "X86_64",
                "60",
            ),
            ("debian-cloud/family/debian-13", "debian-13-trixie-v20261101", "X86_64", "10"),
        ];
        let images = images.into_iter().map(|(path, name, arch, size)| {
            let link = format!(
                "https://www.googleapis.com/compute/v1/projects/{}/global/images/{name}",
                path.split('/').next().unwrap()
            );
            (
                path.to_owned(),
                json!({ "name": name, "selfLink": link, "architecture": arch, "diskSizeGb": size, "status": "READY" }),
            )
        });
        let state = Mutex::new(State {
            instances: BTreeMap::new(),
            firewalls: BTreeSet::new(),
            operations: BTreeMap::new(),
            requests: BTreeMap::new(),
            consoles: BTreeMap::new(),
            full: BTreeSet::new(),
            recommends: None,
            images: images.collect(),
            granted: None,
            used: BTreeSet::new(),
            looks: 0,
            metadata: BTreeMap::new(),
            passed: Duration::ZERO,
            next: 0,
            page: usize::MAX,
        });
        let shared = Arc::new(Shared { recorder: Recorder::default(), state });
        let serves = Arc::clone(&shared);
        let server = Port::bind().serve(move |socket, life| {
            let _ = recorder::serve(socket, |request| exchange(request, life, &serves));
        });
        Gce { server, shared }
    }

    /// Where everything is, for variables as gcloud has them.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let url = format!("http://{}", self.server.address);
        vec![
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", format!("{url}/compute/v1/")),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", url.clone()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", url.clone()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", url.clone()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_OAUTH2", url),
            ("GCE_METADATA_HOST", self.server.address.to_string()),
        ]
    }

    /// Is there under Google's own names, too: a proxy leads there, with TLS.
    pub fn has_its_names(&self) -> UnderItsNames {
        let hosts = ["compute.googleapis.com", "cloudresourcemanager.googleapis.com"];
        let identity = Identity::of(&hosts, 1975, 4096);
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, &identity.ca_pem).unwrap();
        let (config, shared) = (Arc::clone(&identity.config), Arc::clone(&self.shared));
        let server = Port::bind().serve(move |socket, life| {
            if let Ok(Some(stream)) = accept(&config, socket) {
                let _ = recorder::serve(stream, |request| exchange(request, life, &shared));
            }
        });
        let proxy = Proxy::start();
        for host in hosts {
            proxy.route(&format!("{host}:443"), &server.address.to_string());
        }
        UnderItsNames { _server: server, proxy, _folder: folder, ca }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The key of the account, for `GOOGLE_APPLICATION_CREDENTIALS_DATA`.
    pub fn key() -> String {
        json!({
            "type": "service_account", "project_id": PROJECT, "private_key_id": "0123456789abcdef", "private_key": KEY,
            "client_email": ACCOUNT, "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        })
        .to_string()
    }

    /// A zone has no capacity for `SPOT` or `STANDARD` instances.
    pub fn is_full(&self, zone: &str, model: &str) {
        lock(&self.shared.state).full.insert(format!("{zone} {model}"));
    }

    /// Errors about capacity name these zones.
    pub fn recommends(&self, zones: &'static str) {
        lock(&self.shared.state).recommends = Some(zones);
    }

    /// The account has these permissions only.
    pub fn grants(&self, permissions: impl IntoIterator<Item = String>) {
        lock(&self.shared.state).granted = Some(permissions.into_iter().collect());
    }

    /// Operations are done after so many looks.
    pub fn looks(&self, count: u32) {
        lock(&self.shared.state).looks = count;
    }

    /// A page of a list has so many zones at most.
    pub fn pages(&self, most: usize) {
        lock(&self.shared.state).page = most;
    }

    /// The metadata server tells this.
    pub fn tells(&self, path: &str, text: &str) {
        lock(&self.shared.state).metadata.insert(path.to_owned(), text.to_owned());
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        let mut state = lock(&self.shared.state);
        let now = date(state.now());
        state.instances.values_mut().for_each(|one| start(one, &now));
        state.passed += time;
        state.tick();
    }

    /// Instances power off, by themselves or by a preemption without a deletion.
    pub fn power_off(&self) {
        for one in lock(&self.shared.state).instances.values_mut().filter(|one| one["status"] == "RUNNING") {
            one["status"] = json!("TERMINATED");
        }
    }

    /// Instances that are off were created long ago.
    pub fn age(&self) {
        for one in lock(&self.shared.state).instances.values_mut().filter(|one| one["status"] == "TERMINATED") {
            one["lastStartTimestamp"] = json!("2026-01-28T12:00:00.000-08:00");
        }
    }

    /// Google takes spot instances back, and does with them as they say.
    pub fn preempt(&self) {
        let is_spot = |one: &Value| one["scheduling"]["provisioningModel"] == "SPOT";
        let mut state = lock(&self.shared.state);
        state.instances.retain(|_, one| !is_spot(one) || one["scheduling"]["instanceTerminationAction"] != "DELETE");
        state.instances.values_mut().filter(|one| is_spot(one)).for_each(|one| one["status"] = json!("TERMINATED"));
    }

    /// The permissions that were needed.
    pub fn used(&self) -> BTreeSet<String> {
        lock(&self.shared.state).used.clone()
    }

    pub fn instances(&self) -> Vec<Value> {
        let mut state = lock(&self.shared.state);
        state.tick();
        state.instances.values().cloned().collect()
    }

    /// What costs something, be it the disk: by zone and name.
    pub fn billed(&self) -> Vec<String> {
        let mut state = lock(&self.shared.state);
        state.tick();
        state
            .instances
            .keys()
            .map(|(zone, name)| format!("{zone}/{name}"))
            .filter(|id| !id.ends_with("/somebodys"))
            .collect()
    }

    pub fn firewalls(&self) -> BTreeSet<String> {
        lock(&self.shared.state).firewalls.clone()
    }

    /// An instance that somebody else made.
    pub fn make_foreign(&self, zone: &str) {
        let one = json!({ "name": "somebodys", "status": "RUNNING", "labels": { "team": "ml" }, "description": "mine", "scheduling": {},
            "creationTimestamp": "2026-01-01T00:00:00.000-08:00" });
        lock(&self.shared.state).instances.insert((zone.to_owned(), "somebodys".to_owned()), one);
    }

    /// The start-up script that an instance was made with.
    pub fn startup_script(&self) -> String {
        let body = self.of("compute.instances.create").pop().unwrap().body;
        let items = body["metadata"]["items"].as_array().unwrap().clone();
        let script = items.iter().find(|item| item["key"] == "startup-script").unwrap();
        script["value"].as_str().unwrap().to_owned()
    }

    /// Runs what an instance runs when it ends, with curl, against this metadata server: whether it succeeded, and what it printed. Its
    /// pauses are short.
    pub fn run_deletion(&self) -> (bool, String) {
        let script = self.startup_script();
        let (_, rest) = script.split_once("cat >/usr/local/sbin/cml-delete <<'CML_DELETE'\n").unwrap();
        let (delete, _) = rest.split_once("\nCML_DELETE\n").unwrap();
        let delete = delete.replace("http://metadata.google.internal", &self.url()).replace("sleep 5", "sleep 0.1");
        let output = Command::new("sh").args(["-c", &delete]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// What is on the serial port of an instance.
    pub fn fill_console(&self, id: &str, text: &str) {
        lock(&self.shared.state).consoles.insert(id.to_owned(), text.to_owned());
    }
}

fn date(time: Duration) -> String {
    chrono::DateTime::from_timestamp(time.as_secs() as i64, 0).unwrap().to_rfc3339()
}

/// An instance runs after a while, whether or not anybody looks at the operation that makes it.
fn start(one: &mut Value, now: &str) {
    if one["status"] == "PROVISIONING" {
        one["status"] = json!("RUNNING");
        one["lastStartTimestamp"] = json!(now);
    }
}

impl State {
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.passed
    }

    /// What Google does meanwhile: it deletes instances that have run for so long.
    fn tick(&mut self) {
        let now = self.now().as_secs() as i64;
        self.instances.retain(|_, one| {
            let Some(most) = one["scheduling"]["maxRunDuration"]["seconds"].as_str() else { return true };
            let started = one["lastStartTimestamp"].as_str().unwrap_or_default();
            let started = chrono::DateTime::parse_from_rfc3339(started).map_or(now, |date| date.timestamp());
            one["status"] != "RUNNING" || now - started < most.parse::<i64>().unwrap()
        });
    }

    fn operation(&mut self, request: &Request, scope: &str, failure: Option<Value>) -> Value {
        self.next += 1;
        let name = format!("operation-{}", self.next);
        let mut operation =
            json!({ "kind": "compute#operation", "name": name, "status": "RUNNING", "looks": self.looks });
        if let Some(zone) = scope.strip_prefix("zones/") {
            operation["zone"] = json!(format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}"));
        }
        if let Some(failure) = failure {
            operation["failure"] = failure;
        }
        self.operations.insert(name.clone(), operation.clone());
        if let Some(id) = request.param("requestId") {
            self.requests.insert(id, name);
        }
        shown(&operation)
    }

    /// Looks at an operation.
    fn look(&mut self, name: &str) -> Response {
        let Some(operation) = self.operations.get_mut(name) else { return missing(name) };
        let looks = operation["looks"].as_u64().unwrap();
        operation["looks"] = json!(looks.saturating_sub(1));
        if looks == 0 && operation["status"] != "DONE" {
            operation["status"] = json!("DONE");
            if let Some(failure) = operation.get("failure").cloned() {
                operation["error"] = json!({ "errors": [failure] });
                operation["httpErrorStatusCode"] = json!(400);
            } else if let Some(key) = operation["instance"].as_array().cloned() {
                let key = (key[0].as_str().unwrap().to_owned(), key[1].as_str().unwrap().to_owned());
                let now = date(self.now());
                if let Some(one) = self.instances.get_mut(&key) {
                    one["status"] = json!("RUNNING");
                    one["lastStartTimestamp"] = json!(now);
                }
            }
        }
        Response::json(200, &shown(&self.operations[name]))
    }
}

/// An operation without what only this server knows.
fn shown(operation: &Value) -> Value {
    let mut shown = operation.clone();
    for field in ["looks", "failure", "instance"] {
        shown.as_object_mut().unwrap().remove(field);
    }
    shown
}

pub fn refusal(status: u16, reason: &str, message: &str) -> Response {
    let errors = json!([{ "domain": "global", "reason": reason, "message": message }]);
    Response::json(status, &json!({ "error": { "code": status, "message": message, "errors": errors } }))
}

fn missing(what: &str) -> Response {
    refusal(404, "notFound", &format!("The resource '{what}' was not found"))
}

/// Carries a request out; `None` when its answer is lost.
fn exchange(request: &Request, life: &Life, Shared { recorder, state }: &Shared) -> Option<Response> {
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let own = match path[..] {
        ["compute", "v1", "projects", PROJECT, ref rest @ ..] => routes::needs(request, rest),
        _ => Vec::new(),
    };
    lock(state).used.extend(own.iter().map(|permission| (*permission).to_owned()));
    let action = own.first().map_or_else(|| request.path().to_owned(), |first| (*first).to_owned());
    let call = Call { action, method: request.method.clone(), query: request.query(), body: request.json() };
    recorder.exchange(life, call, |failure| {
        if path.starts_with(&["computeMetadata", "v1"]) {
            return metadata::answer(request, life, state);
        }
        lock(state).answer(request, &path, &own, failure)
    })
}
