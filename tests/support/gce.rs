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
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod metadata;

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

/// The types of the catalogue, each with whether it has GPUs of its own, and the zones without it.
const TYPES: [(&str, bool, &[&str]); 9] = [
    ("n2-standard-8", false, &[]),
    ("n2d-standard-8", false, &["c"]),
    ("e2-standard-8", false, &[]),
    ("n4-standard-8", false, &["a", "c"]),
    ("n1-standard-4", false, &[]),
    ("g2-standard-4", true, &["a"]),
    ("g2-standard-8", true, &["a"]),
    ("t2a-standard-8", false, &["a"]),
    ("c4a-standard-8", false, &[]),
];
const REGIONS: [&str; 14] = [
    "us-west1",
    "us-east1",
    "us-central1",
    "us-east4",
    "us-west2",
    "us-west3",
    "europe-west1",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-north1",
    "europe-southwest1",
    "asia-east1",
    "us-south1",
];

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

    fn insert(&mut self, request: &Request, zone: &str, failure: Option<(&str, &str)>) -> Response {
        let id = request.param("requestId").unwrap_or_default();
        if let Some(name) = self.requests.get(&id) {
            return Response::json(200, &shown(&self.operations[name]));
        }
        let mut one = request.json();
        let name = one["name"].as_str().unwrap().to_owned();
        let machine = one["machineType"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        if let Err(error) = is_valid_instance(&one, zone, &machine, &id) {
            return refusal(400, "invalid", &error);
        }
        let letter = zone.rsplit('-').next().unwrap();
        let Some((_, has_gpu, without)) = TYPES.iter().find(|(known, ..)| *known == machine) else {
            return missing(&format!("projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"));
        };
        if without.contains(&letter) {
            return missing(&format!("projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"));
        }
        let scheduling = &one["scheduling"];
        if (*has_gpu || one.get("guestAccelerators").is_some()) && scheduling["onHostMaintenance"] != "TERMINATE" {
            return refusal(400, "invalid", "Instances with guest accelerators do not support live migration.");
        }
        let key = (zone.to_owned(), name.clone());
        if self.instances.contains_key(&key) {
            let message = format!("The resource 'projects/{PROJECT}/zones/{zone}/instances/{name}' already exists");
            return refusal(409, "alreadyExists", &message);
        }
        let model = scheduling["provisioningModel"].as_str().unwrap();
        let failure = match failure {
            Some((code, message)) => Some(json!({ "code": code, "message": message })),
            _ if self.full.contains(&format!("{zone} {model}")) => {
                let metadata = json!({ "zonesAvailable": self.recommends.unwrap_or_default() });
                Some(json!({ "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                    "message": format!("The zone '{zone}' does not have enough resources available to fulfill the request."),
                    "errorDetails": [{ "errorInfo": { "reason": "resource_availability", "metadatas": metadata } }] }))
            }
            _ => None,
        };
        let failed = failure.is_some();
        let operation = self.operation(request, &format!("zones/{zone}"), failure);
        if failed {
            return Response::json(200, &operation);
        }
        one["status"] = json!("PROVISIONING");
        one["creationTimestamp"] = json!(date(self.now()));
        one["machineType"] = json!(format!(
            "https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{zone}/machineTypes/{machine}"
        ));
        one["metadata"]["fingerprint"] = json!("Zm9v");
        one["networkInterfaces"][0]["networkIP"] = json!("10.138.0.2");
        if one["networkInterfaces"][0].get("accessConfigs").is_some() {
            one["networkInterfaces"][0]["accessConfigs"][0]["natIP"] = json!("203.0.113.9");
        }
        self.instances.insert(key, one);
        let operation_name = operation["name"].as_str().unwrap();
        self.operations.get_mut(operation_name).unwrap()["instance"] = json!([zone, name]);
        Response::json(200, &operation)
    }

    fn aggregated(&self, kind: &str, request: &Request) -> Response {
        let zones = REGIONS.iter().flat_map(|region| ["a", "b", "c"].map(|letter| format!("{region}-{letter}")));
        let conditions = request.param("filter").unwrap_or_default();
        let is_or = conditions.contains(") OR (");
        let conditions: Vec<(String, String)> = conditions
            .split(if is_or { " OR " } else { ") (" })
            .map(|part| part.trim_matches(['(', ')']).split_once(" = ").expect("a condition"))
            .map(|(field, value)| (field.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        let fits = |object: &Value| {
            let holds = |(field, value): &(String, String)| {
                let pointer = format!("/{}", field.replace('.', "/"));
                object.pointer(&pointer).is_some_and(|found| found == value.as_str())
            };
            if is_or { conditions.iter().any(holds) } else { conditions.iter().all(holds) }
        };
        let objects = |zone: &str| -> Vec<Value> {
            let letter = zone.rsplit('-').next().unwrap();
            match kind {
                "instances" => {
                    self.instances.iter().filter(|((of, _), _)| of == zone).map(|(_, one)| one.clone()).collect()
                }
                "machineTypes" => {
                    let here = TYPES.iter().filter(|(.., without)| !without.contains(&letter));
                    here.map(|(name, has_gpu, _)| {
                        let arch = if name.starts_with("t2a") || name.starts_with("c4a") { "ARM64" } else { "X86_64" };
                        let gpus = json!([{ "guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1 }]);
                        let gpus = if *has_gpu { gpus } else { json!([]) };
                        json!({ "name": name, "architecture": arch, "accelerators": gpus })
                    })
                    .collect()
                }
                _ if letter == "b" => vec![json!({ "name": "nvidia-tesla-t4" })],
                _ => Vec::new(),
            }
        };
        let parts: Vec<(String, Value)> = zones
            .map(|zone| {
                let found: Vec<Value> = objects(&zone).into_iter().filter(|object| fits(object)).collect();
                let part = if found.is_empty() {
                    json!({ "warning": { "code": "NO_RESULTS_ON_PAGE" } })
                } else {
                    json!({ kind: found })
                };
                (format!("zones/{zone}"), part)
            })
            .collect();
        let from: usize = request.param("pageToken").map_or(0, |text| text.parse().unwrap());
        let next = from.saturating_add(self.page);
        let items: serde_json::Map<String, Value> = parts.iter().skip(from).take(self.page).cloned().collect();
        let mut answer = json!({ "items": items });
        if next < parts.len() {
            answer["nextPageToken"] = json!(next.to_string());
        }
        Response::json(200, &answer)
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

/// What bodies may have: a kind of value, `[of each]`, `{"*": of each}`, or fields.
fn schema(kind: &str) -> Value {
    let instance = json!({
        "name": "text", "description": "text", "machineType": "text", "labels": { "*": "label" }, "tags": { "items": ["text"] },
        "disks": [{ "boot": "bool", "autoDelete": "bool", "type": "SCRATCH|PERSISTENT", "initializeParams": {
            "sourceImage": "text", "diskSizeGb": "int64", "diskType": "text", "labels": { "*": "label" } } }],
        "networkInterfaces": [{ "network": "text", "subnetwork": "text", "stackType": "IPV4_IPV6|IPV4_ONLY|IPV6_ONLY",
            "accessConfigs": [{ "name": "text", "type": "DIRECT_IPV6|ONE_TO_ONE_NAT", "networkTier": "PREMIUM|STANDARD" }] }],
        "guestAccelerators": [{ "acceleratorType": "text", "acceleratorCount": "number" }],
        "scheduling": { "provisioningModel": "SPOT|STANDARD", "instanceTerminationAction": "DELETE|STOP", "maxRunDuration": { "seconds": "int64" },
            "onHostMaintenance": "MIGRATE|TERMINATE", "automaticRestart": "bool", "preemptionNoticeDuration": { "seconds": "int64" } },
        "shieldedInstanceConfig": { "enableVtpm": "bool", "enableIntegrityMonitoring": "bool", "enableSecureBoot": "bool" },
        "serviceAccounts": [{ "email": "text", "scopes": ["text"] }],
        "metadata": { "items": [{ "key": "text", "value": "text" }] },
    });
    match kind {
        "instance" => instance,
        "metadata" => json!({ "fingerprint": "text", "items": [{ "key": "text", "value": "text" }] }),
        "firewall" => {
            json!({ "name": "text", "description": "text", "network": "text", "direction": "EGRESS|INGRESS", "priority": "number",
            "denied": [{ "IPProtocol": "text" }], "sourceRanges": ["text"], "targetTags": ["text"] })
        }
        _ => json!({ "permissions": ["text"] }),
    }
}

/// What is wrong with a body.
fn faults(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    match (schema, value) {
        (Value::Object(fields), Value::Object(values)) => {
            let each = values.iter().flat_map(|(name, value)| match fields.get(name).or(fields.get("*")) {
                Some(schema) => faults(value, schema, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name}: unknown field")],
            });
            each.collect()
        }
        (Value::Array(items), Value::Array(values)) => {
            values.iter().flat_map(|value| faults(value, &items[0], &format!("{at}[]"))).collect()
        }
        (Value::String(kind), value) => {
            let text = value.as_str();
            let is_right = match kind.as_str() {
                "text" => text.is_some(),
                "label" => text.is_some_and(|text| {
                    text.len() < 64
                        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
                }),
                "int64" => text.is_some_and(|text| text.parse::<i64>().is_ok()),
                "number" => value.is_i64(),
                "bool" => value.is_boolean(),
                values => text.is_some_and(|text| values.split('|').any(|one| one == text)),
            };
            if is_right { Vec::new() } else { vec![format!("{at}: {value} is no {kind}")] }
        }
        _ => vec![format!("{at}: {value} has another form")],
    }
}

/// What Google demands of an instance beyond the form of its fields.
fn is_valid_instance(one: &Value, zone: &str, machine: &str, request_id: &str) -> Result<(), String> {
    let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("Invalid value: {what}")) };
    let scheduling = &one["scheduling"];
    let is_spot = scheduling["provisioningModel"] == "SPOT";
    let name = one["name"].as_str().unwrap();
    check(
        name.len() < 64
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-')
            && !name.contains('_'),
        "name",
    )?;
    let is_uuid = request_id.len() == 36 && request_id.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    check(is_uuid && request_id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'), "requestId")?;
    check(one["machineType"] == format!("zones/{zone}/machineTypes/{machine}"), "machineType")?;
    check(one["description"].as_str().is_none_or(|text| text.chars().count() <= 2048), "description")?;
    check(!is_spot || scheduling["onHostMaintenance"] == "TERMINATE", "onHostMaintenance")?;
    check(is_spot || scheduling.get("preemptionNoticeDuration").is_none(), "preemptionNoticeDuration")?;
    check(
        scheduling.get("maxRunDuration").is_none() || scheduling.get("instanceTerminationAction").is_some(),
        "maxRunDuration",
    )?;
    check(scheduling["automaticRestart"] == false || !is_spot, "automaticRestart")?;
    check(one.get("guestAccelerators").is_none() || machine.starts_with("n1-"), "guestAccelerators")?;
    let disk = one["disks"][0]["initializeParams"]["diskType"].as_str().unwrap();
    let is_hyper = ["n4-", "c4a-", "g4-"].iter().any(|family| machine.starts_with(family));
    let wants = if is_hyper { "hyperdisk-balanced" } else { "pd-balanced" };
    check(
        disk == format!("zones/{zone}/diskTypes/{wants}"),
        &format!("diskType {disk}: [{disk}] features and [{machine}] are not compatible"),
    )?;
    let items = one["metadata"]["items"].as_array().unwrap();
    check(items.iter().all(|item| item["value"].as_str().unwrap().len() <= 262_144), "metadata")
}

/// The queries that a request may have.
fn queries(action: &str) -> &'static [&'static str] {
    match action {
        "compute.instances.create" | "compute.instances.delete" | "compute.instances.setMetadata" => &["requestId"],
        "compute.instances.getSerialPortOutput" => &["port", "start"],
        action if action.ends_with(".list") => &["filter", "maxResults", "pageToken"],
        _ => &[],
    }
}

/// What a request is: its path's parts, and the permissions that it needs.
fn needs(request: &Request, path: &[&str]) -> Vec<&'static str> {
    match (request.verb(), path) {
        ("GET", ["aggregated", "machineTypes"]) => vec!["compute.machineTypes.list"],
        ("GET", ["aggregated", "acceleratorTypes"]) => vec!["compute.acceleratorTypes.list"],
        ("GET", ["aggregated", "instances"]) => vec!["compute.instances.list"],
        ("GET", ["global", "firewalls", _]) => vec!["compute.firewalls.get"],
        ("POST", ["global", "firewalls"]) => vec!["compute.firewalls.create", "compute.networks.updatePolicy"],
        ("GET", ["global", "operations", _]) => vec!["compute.globalOperations.get"],
        ("GET", ["zones", _, "operations", _]) => vec!["compute.zoneOperations.get"],
        ("POST", ["zones", _, "instances"]) => {
            let body = request.json();
            let mut all = vec![
                "compute.instances.create",
                "compute.disks.create",
                "compute.disks.setLabels",
                "compute.instances.setLabels",
                "compute.instances.setMetadata",
                "compute.subnetworks.use",
            ];
            let interface = &body["networkInterfaces"][0];
            all.extend(body.get("tags").map(|_| "compute.instances.setTags"));
            all.extend(interface.get("accessConfigs").map(|_| "compute.subnetworks.useExternalIp"));
            all.extend(body.get("serviceAccounts").map(|_| "compute.instances.setServiceAccount"));
            all
        }
        ("GET", ["zones", _, "instances", _]) => vec!["compute.instances.get"],
        ("DELETE", ["zones", _, "instances", _]) => vec!["compute.instances.delete"],
        ("POST", ["zones", _, "instances", _, "setMetadata"]) => vec!["compute.instances.setMetadata"],
        ("GET", ["zones", _, "instances", _, "serialPort"]) => vec!["compute.instances.getSerialPortOutput"],
        _ => Vec::new(),
    }
}

/// Carries a request out; `None` when its answer is lost.
fn exchange(request: &Request, life: &Life, Shared { recorder, state }: &Shared) -> Option<Response> {
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let own = match path[..] {
        ["compute", "v1", "projects", PROJECT, ref rest @ ..] => needs(request, rest),
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

const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The scopes of a token for clusters.
const CLUSTERS: [&str; 2] = [PLATFORM, "https://www.googleapis.com/auth/userinfo.email"];

/// Whether a token is one of those that were given, or signed with the account's key.
fn is_known(token: &str, now: Duration) -> bool {
    [ACCOUNT_TOKEN, STS_TOKEN, WORKER_TOKEN].contains(&token) || is_signed(token, PLATFORM, None, now)
}

/// Whether a token is signed with the account's key, for these scopes and an audience. The clock of who signed may be the real one or this
/// server's.
fn is_signed(token: &str, scope: &str, audience: Option<&str>, now: Duration) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let parts: Vec<Value> =
        signed.split('.').map(|part| serde_json::from_slice(&decoded(part)).unwrap_or_default()).collect();
    let [header, claims] = &parts[..] else { return false };
    let pem: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::prelude::BASE64_STANDARD.decode(pem).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    let (issued, expires) = (claims["iat"].as_u64().unwrap_or(0), claims["exp"].as_u64().unwrap_or(0));
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    header["alg"] == "RS256"
        && header["kid"] == "0123456789abcdef"
        && claims["iss"] == ACCOUNT
        && claims["sub"] == ACCOUNT
        && claims["scope"] == scope
        && claims.get("aud").and_then(Value::as_str) == audience
        && issued <= now.as_secs()
        && expires > real.as_secs()
        && expires - issued <= 3600
        && key.verify(signed.as_bytes(), &decoded(signature)).is_ok()
}

impl State {
    fn answer(
        &mut self,
        request: &Request,
        path: &[&str],
        own: &[&'static str],
        failure: Option<(&str, &str)>,
    ) -> Response {
        let field = |name: &str| request.field(name).unwrap_or_default();
        let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        match (request.verb(), path) {
            ("GET", ["identity"]) => {
                return Response::json(200, &json!({ "count": 1, "value": "eyJ.identity-of-the-job.c2ln" }));
            }
            ("POST", ["v1", "token"]) => {
                let is_exchange = field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
                    && field("requested_token_type") == "urn:ietf:params:oauth:token-type:access_token"
                    && field("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt"
                    && [PLATFORM, &CLUSTERS.join(" ")].contains(&&*field("scope"));
                if field("audience") != format!("//iam.googleapis.com/{PROVIDER}") || !is_exchange {
                    let error = json!({ "error": "invalid_target", "error_description": "The target service indicated by the \"audience\" parameters is invalid." });
                    return Response::json(400, &error);
                }
                let token = if field("scope") == PLATFORM { STS_TOKEN } else { CLUSTER_TOKEN };
                return Response::json(
                    200,
                    &json!({ "access_token": token, "expires_in": 3600, "token_type": "Bearer" }),
                );
            }
            ("POST", ["token"]) if field("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let audience = Some("https://oauth2.googleapis.com/token");
                return if is_signed(&field("assertion"), &CLUSTERS.join(" "), audience, self.now()) {
                    Response::json(200, &json!({ "access_token": CLUSTER_TOKEN, "expires_in": 3599 }))
                } else {
                    let error = json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." });
                    Response::json(400, &error)
                };
            }
            ("POST", ["token"]) => {
                if field("refresh_token") != "1//refresh-token-0123456789" {
                    return Response::json(
                        400,
                        &json!({ "error": "invalid_grant", "error_description": "Token has been expired or revoked." }),
                    );
                }
                return Response::json(200, &json!({ "access_token": ACCOUNT_TOKEN, "expires_in": 3599 }));
            }
            ("POST", ["v1", "projects", "-", "serviceAccounts", account]) => {
                let expected = format!("{ACCOUNT}:generateAccessToken");
                if *account != expected || token != STS_TOKEN {
                    let error = json!({ "error": { "status": "PERMISSION_DENIED", "message": "Permission 'iam.serviceAccounts.getAccessToken' denied" } });
                    return Response::json(403, &error);
                }
                let scopes = &request.json()["scope"];
                let token = if *scopes == json!(CLUSTERS) { CLUSTER_TOKEN } else { ACCOUNT_TOKEN };
                return Response::json(
                    200,
                    &json!({ "accessToken": token, "expireTime": date(self.now() + Duration::from_secs(3600)) }),
                );
            }
            _ => {}
        }
        if !is_known(token, self.now()) {
            return refusal(401, "authError", "Invalid Credentials");
        }
        let may = |permission: &str, granted: &Option<BTreeSet<String>>| {
            granted.as_ref().is_none_or(|all| all.contains(permission))
        };
        if let ("POST", ["v1", "projects", name]) = (request.verb(), path)
            && *name == format!("{PROJECT}:testIamPermissions")
        {
            let body = request.json();
            if let Some(fault) = faults(&body, &schema("permissions"), "$").first() {
                return refusal(400, "invalid", fault);
            }
            let asked = body["permissions"].as_array().unwrap();
            let granted: Vec<&Value> = asked.iter().filter(|one| may(one.as_str().unwrap(), &self.granted)).collect();
            return Response::json(200, &json!({ "permissions": granted }));
        }
        let ["compute", "v1", "projects", project, rest @ ..] = path else { return missing(request.path()) };
        if let ("GET", ["global", "images", image @ ..]) = (request.verb(), rest) {
            let name = format!("{project}/{}", image.join("/"));
            return self.images.get(&name).map_or_else(|| missing(&name), |image| Response::json(200, image));
        }
        if *project != PROJECT || own.is_empty() {
            return missing(request.path());
        }
        if let Some((name, _)) = request.query().into_iter().find(|(name, _)| !queries(own[0]).contains(&name.as_str()))
        {
            return refusal(400, "invalid", &format!("unknown query {name}"));
        }
        if let Some(permission) = own.iter().find(|permission| !may(permission, &self.granted)) {
            let message = format!("Required '{permission}' permission for '{}'", path[2..].join("/"));
            return refusal(403, "forbidden", &message);
        }
        let kind = match (request.verb(), own[0]) {
            ("POST", "compute.instances.create") => Some("instance"),
            ("POST", "compute.instances.setMetadata") => Some("metadata"),
            ("POST", "compute.firewalls.create") => Some("firewall"),
            _ => None,
        };
        if let Some(kind) = kind {
            let found = faults(&request.json(), &schema(kind), "$");
            if !found.is_empty() {
                return refusal(400, "invalid", &format!("Invalid JSON payload received: {found:?}"));
            }
        } else if !request.body.is_empty() {
            return refusal(400, "invalid", "no body expected");
        }
        self.tick();
        self.act(request, rest, failure)
    }

    fn act(&mut self, request: &Request, path: &[&str], failure: Option<(&str, &str)>) -> Response {
        match (request.verb(), path) {
            ("GET", ["aggregated", kind]) => self.aggregated(kind, request),
            ("GET", ["global", "firewalls", name]) if self.firewalls.contains(*name) => {
                Response::json(200, &json!({ "name": name }))
            }
            ("POST", ["global", "firewalls"]) => {
                let name = request.json()["name"].as_str().unwrap().to_owned();
                if !self.firewalls.insert(name.clone()) {
                    return refusal(409, "alreadyExists", &format!("The resource '{name}' already exists"));
                }
                Response::json(200, &self.operation(request, "global", None))
            }
            ("GET", [.., "operations", name]) => self.look(name),
            ("POST", ["zones", zone, "instances"]) => self.insert(request, zone, failure),
            (_, ["zones", zone, "instances", name, rest @ ..]) => {
                let key = ((*zone).to_owned(), (*name).to_owned());
                let now = date(self.now());
                let Some(one) = self.instances.get_mut(&key) else { return missing(&path.join("/")) };
                match (request.verb(), rest) {
                    ("GET", ["serialPort"]) => {
                        let text = self.consoles.get(&format!("{zone}/{name}")).cloned().unwrap_or_default();
                        let start = text.len().saturating_sub(1 << 20);
                        Response::json(200, &json!({ "contents": text[start..], "next": text.len().to_string() }))
                    }
                    ("GET", _) => {
                        let answer = Response::json(200, one);
                        start(one, &now);
                        answer
                    }
                    ("DELETE", _) => {
                        self.instances.remove(&key);
                        Response::json(200, &self.operation(request, &format!("zones/{zone}"), None))
                    }
                    _ => {
                        let body = request.json();
                        if one["metadata"]["fingerprint"] != body["fingerprint"] {
                            return refusal(
                                412,
                                "conditionNotMet",
                                "Supplied fingerprint does not match current metadata fingerprint.",
                            );
                        }
                        one["metadata"] = json!({ "fingerprint": "YmFy", "items": body["items"] });
                        Response::json(200, &self.operation(request, &format!("zones/{zone}"), None))
                    }
                }
            }
            _ => missing(request.path()),
        }
    }
}
