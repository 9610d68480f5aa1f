//! Azure for tests: its login, Resource Manager, prices, boot diagnostics and metadata service, as far as a launch meets them, under
//! their own names: a proxy leads there, with TLS.
//!
//! Facts: <https://github.com/Azure/azure-rest-api-specs> (Microsoft.Compute 2025-04-01, Microsoft.Network 2024-05-01). Each body is judged:
//! unknown fields, types and values are refused, as is a version of an interface that there is not. Scripted: what fails, and what is
//! allowed.

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
use std::time::Duration;

mod manager;
mod routes;
mod services;
mod shapes;

pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
pub const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
pub const SUBSCRIPTION: &str = "0b1f6471-1bf0-4dda-aec3-cb9272f09590";
pub const SECRET: &str = "Q8~azure-client-secret-0123456789";
pub const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.azure-token.signature";
/// The resource group that is there.
pub const GROUP: &str = "cml-runners";
const HOSTS: [&str; 4] =
    ["login.microsoftonline.com", "management.azure.com", "prices.azure.com", "md-1.z1.blob.storage.azure.net"];
const MACHINES: &str = "Microsoft.Compute/virtualMachines";

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The permission that it needs, such as `Microsoft.Compute/virtualMachines/write`; for others the method and host.
    pub action: String,
    pub method: String,
    pub path: String,
    pub body: Value,
}

impl Call {
    /// Whether it looks at one machine.
    pub fn is_look(&self) -> bool {
        self.method == "GET" && self.path.contains(&format!("/{MACHINES}/"))
    }
}

impl FakeCloud for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        self.variables()
    }

    fn secrets(&self) -> Vec<&'static str> {
        vec![SECRET, TOKEN]
    }

    fn exchange(&self, request: &Request) -> Option<Response> {
        exchange(request, &Life::default(), &self.shared)
    }

    fn actions(&self) -> Vec<String> {
        Recorder::actions(self)
    }

    fn runs(&self) -> bool {
        let runs = |one: &Value| one["properties"]["provisioningState"] == "Succeeded" && one["power"] == "running";
        self.machines().values().any(runs)
    }

    fn left(&self) -> Vec<String> {
        let interfaces = self.resources("Microsoft.Network/networkInterfaces").into_keys();
        self.billed().into_iter().chain(interfaces).collect()
    }
}

impl recorder::Call for Call {
    fn action(&self) -> &str {
        &self.action
    }

    fn has_effect(&self) -> bool {
        self.action.starts_with("Microsoft.") && (self.method == "PUT" || self.method == "DELETE")
    }

    fn refusal(status: u16, code: &str, message: &str) -> Response {
        refusal(status, code, message)
    }
}

struct State {
    used: BTreeSet<String>,
    denied: BTreeSet<String>,
    hides_permissions: bool,
    has_group: bool,
    has_identity: bool,
    may_assign: bool,
    /// How many requests a role that was assigned takes no effect for, for each machine.
    delay: usize,
    /// The roles that were assigned: machine, name, and the requests that are left of its delay.
    roles: Vec<(String, String, usize)>,
    secret: String,
    /// By resource type, then by name.
    resources: BTreeMap<String, BTreeMap<String, Value>>,
    /// Operations that are not over at the next look, with how they end.
    operations: BTreeMap<String, (u32, Value)>,
    console: BTreeMap<String, String>,
    restricted: BTreeSet<String>,
    events: Value,
    asked_for_events: usize,
    /// How long the first answer takes that tells events.
    first_events: Duration,
    /// Whether the machine has reported that it is ready.
    is_ready: bool,
    /// How often an operation is looked at before it is done.
    looks: u32,
    next: u32,
}

/// What requests meet.
struct Shared {
    recorder: Recorder<Call>,
    state: Mutex<State>,
}

/// Azure.
pub struct Azure {
    server: Server,
    metadata: Server,
    proxy: Proxy,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Deref for Azure {
    type Target = Recorder<Call>;

    fn deref(&self) -> &Recorder<Call> {
        &self.shared.recorder
    }
}

impl Azure {
    pub fn start() -> Azure {
        let state = Mutex::new(State {
            used: BTreeSet::new(),
            denied: BTreeSet::new(),
            hides_permissions: false,
            has_group: true,
            has_identity: true,
            may_assign: false,
            delay: 0,
            roles: Vec::new(),
            secret: SECRET.to_owned(),
            resources: BTreeMap::new(),
            operations: BTreeMap::new(),
            console: BTreeMap::new(),
            restricted: BTreeSet::new(),
            events: json!({"DocumentIncarnation": 1, "Events": []}),
            asked_for_events: 0,
            first_events: Duration::ZERO,
            is_ready: false,
            looks: 1,
            next: 0,
        });
        let shared = Arc::new(Shared { recorder: Recorder::default(), state });
        let identity = Identity::of(&HOSTS, 1975, 4096);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &identity.ca_pem).unwrap();
        let (config, serves) = (Arc::clone(&identity.config), Arc::clone(&shared));
        let server = Port::bind().serve(move |socket, life| {
            if let Ok(Some(stream)) = accept(&config, socket) {
                let _ = recorder::serve(stream, |request| exchange(request, life, &serves));
            }
        });
        let proxy = Proxy::start();
        for host in HOSTS {
            proxy.route(&format!("{host}:443"), &server.address.to_string());
        }
        let serves = Arc::clone(&shared);
        let metadata = Port::bind().serve(move |socket, life| {
            let _ = recorder::serve(socket, |request| exchange(request, life, &serves));
        });
        Azure { server, metadata, proxy, folder, shared }
    }

    /// The variables of a launcher.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_TENANT_ID", TENANT.to_owned()),
            ("AZURE_CLIENT_ID", CLIENT.to_owned()),
            ("AZURE_CLIENT_SECRET", SECRET.to_owned()),
            ("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION.to_owned()),
            ("https_proxy", self.proxy.url()),
            ("SSL_CERT_FILE", self.ca().display().to_string()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.metadata_url()),
        ]
    }

    /// The authority of its certificates.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Where the Resource Manager answers, and where the metadata service and the wire server do.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.server.address, self.metadata.address)
    }

    /// The address of the metadata service.
    pub fn metadata_url(&self) -> String {
        format!("http://{}", self.metadata.address)
    }

    /// The application may not do this.
    pub fn denies(&self, action: &str) {
        lock(&self.shared.state).denied.insert(action.to_owned());
    }

    /// The application may not ask what it may.
    pub fn hides_permissions(&self) {
        lock(&self.shared.state).hides_permissions = true;
    }

    /// Nobody has made the resource group, nor the identity.
    pub fn is_new(&self) {
        let mut state = lock(&self.shared.state);
        (state.has_group, state.has_identity) = (false, false);
    }

    /// Nobody has made the identity.
    pub fn has_no_identity(&self) {
        lock(&self.shared.state).has_identity = false;
    }

    /// The application may assign roles, which take effect after so many requests of a machine.
    pub fn may_assign(&self, delay: usize) {
        let mut state = lock(&self.shared.state);
        (state.may_assign, state.delay) = (true, delay);
    }

    /// How many roles machines have.
    pub fn roles(&self) -> usize {
        lock(&self.shared.state).roles.len()
    }

    /// An earlier launch has made the network of a region.
    pub fn make_network(&self, region: &str) {
        let name = format!("cml-{region}");
        let mut state = lock(&self.shared.state);
        let network =
            json!({"name": name, "tags": {"cml-managed": "shared"}, "properties": {"subnets": [{"name": "cml"}]}});
        state.of("Microsoft.Network/virtualNetworks").insert(name, network);
    }

    /// The subscription cannot use this size.
    pub fn restricts(&self, size: &str) {
        lock(&self.shared.state).restricted.insert(size.to_owned());
    }

    /// Operations are done after so many looks.
    pub fn looks(&self, count: u32) {
        lock(&self.shared.state).looks = count;
    }

    /// The permissions that were needed, those of what Azure does with a machine included.
    pub fn used(&self) -> BTreeSet<String> {
        lock(&self.shared.state).used.clone()
    }

    /// The resources of a type, by name.
    pub fn resources(&self, kind: &str) -> BTreeMap<String, Value> {
        lock(&self.shared.state).resources.get(kind).cloned().unwrap_or_default()
    }

    pub fn machines(&self) -> BTreeMap<String, Value> {
        self.resources(MACHINES)
    }

    /// The names of what costs something: machines in any state, and the addresses and disks of those that are gone.
    pub fn billed(&self) -> Vec<String> {
        let parts = ["Microsoft.Network/publicIPAddresses", "Microsoft.Compute/disks"].map(|kind| self.resources(kind));
        let all = self.machines().into_keys().chain(parts.into_iter().flat_map(BTreeMap::into_keys));
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// A machine that somebody else made.
    pub fn make_foreign(&self, name: &str) {
        let machine = json!({"id": "x", "name": name, "location": "westus2", "tags": {"team": "other"}, "properties": {"provisioningState": "Succeeded"}});
        lock(&self.shared.state).of(MACHINES).insert(name.to_owned(), machine);
    }

    /// A machine was created long ago.
    pub fn age(&self, name: &str) {
        self.edit(MACHINES, name, |machine| {
            machine["properties"]["timeCreated"] = json!("2026-01-28T12:00:00.1234567+00:00")
        });
    }

    /// Changes a resource.
    pub fn edit(&self, kind: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        edit(lock(&self.shared.state).of(kind).get_mut(name).unwrap());
    }

    /// A machine powers itself off.
    pub fn power_off(&self, name: &str) {
        self.edit(MACHINES, name, |machine| machine["power"] = json!("stopped"));
    }

    /// Somebody stops a machine in Azure's portal, which keeps its disk and address.
    pub fn deallocate(&self, name: &str) {
        self.edit(MACHINES, name, |machine| machine["power"] = json!("deallocated"));
    }

    /// Azure takes a spot machine back, and leaves what it had.
    pub fn evict(&self, name: &str) {
        lock(&self.shared.state).of(MACHINES).remove(name);
    }

    /// What a machine printed.
    pub fn fill_console(&self, name: &str, text: &str) {
        lock(&self.shared.state).console.insert(name.to_owned(), text.to_owned());
    }

    /// What the metadata service announces.
    pub fn announces(&self, kind: &str, machine: &str) {
        lock(&self.shared.state).events = json!({"DocumentIncarnation": 2, "Events": [{"EventId": "1", "EventType": kind,
            "ResourceType": "VirtualMachine", "Resources": [machine], "EventStatus": "Scheduled", "NotBefore": ""}]});
    }

    /// The first answer about what it announces takes so long: it turns the service on.
    pub fn announces_late(&self, time: Duration) {
        lock(&self.shared.state).first_events = time;
    }

    /// Whether the machine has told the wire server that it is ready.
    pub fn is_ready(&self) -> bool {
        lock(&self.shared.state).is_ready
    }

    /// How often the metadata service was asked what it announces.
    pub fn asked_for_events(&self) -> usize {
        lock(&self.shared.state).asked_for_events
    }

    /// The start-up script of a machine.
    pub fn custom_data(&self, name: &str) -> String {
        use base64::Engine as _;
        let data = self.machines()[name]["custom_data"].as_str().unwrap().to_owned();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap()
    }

    /// Runs what a machine runs when it ends: the script, with curl, asks the metadata service and the Resource Manager.
    pub fn run_deletion(&self, name: &str) {
        let script = self.custom_data(name);
        let (_, rest) = script.split_once("cat >/usr/local/sbin/cml-delete <<'CML_DELETE'\n").unwrap();
        let (delete, _) = rest.split_once("\nCML_DELETE\n").unwrap();
        let delete = delete.replace("http://169.254.169.254", &format!("{}/of/{name}", self.metadata_url()));
        let delete = delete.replace("sleep 10", ":");
        let output = Command::new("sh")
            .args(["-c", &delete])
            .env("https_proxy", self.proxy.url())
            .env("CURL_CA_BUNDLE", self.ca())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl State {
    fn of(&mut self, kind: &str) -> &mut BTreeMap<String, Value> {
        self.resources.entry(kind.to_owned()).or_default()
    }

    /// Removes a machine, and what it takes along.
    fn delete_machine(&mut self, name: &str) {
        let Some(machine) = self.of(MACHINES).remove(name) else { return };
        self.roles.retain(|(of, ..)| of != name);
        let interface = &machine["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]["properties"];
        let address = &interface["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"]["properties"];
        let disk = &machine["properties"]["storageProfile"]["osDisk"];
        for (kind, part) in [
            ("Microsoft.Network/networkInterfaces", interface),
            ("Microsoft.Network/publicIPAddresses", address),
            ("Microsoft.Compute/disks", disk),
        ] {
            if part["deleteOption"] == "Delete" {
                self.of(kind).remove(name);
                self.used.insert(format!("{kind}/delete"));
            }
        }
    }

    fn create_machine(&mut self, name: &str, body: Value, failure: Option<(&str, &str)>) -> Response {
        self.next += 1;
        let mut machine = body;
        let custom_data = machine["properties"]["osProfile"].as_object_mut().unwrap().remove("customData");
        machine["custom_data"] = custom_data.unwrap_or_default();
        machine["id"] =
            json!(format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{MACHINES}/{name}"));
        machine["name"] = json!(name);
        machine["zones"] = json!(["2"]);
        machine["power"] = json!("running");
        if machine["identity"]["type"] == "SystemAssigned" {
            machine["identity"]["principalId"] = json!(format!("principal-{}", self.next));
        }
        machine["properties"]["timeCreated"] = json!(now());
        machine["properties"]["provisioningState"] = json!(if failure.is_some() { "Failed" } else { "Succeeded" });
        let (tags, location) = (machine["tags"].clone(), machine["location"].clone());
        let part =
            |properties: Value| json!({"name": name, "location": location, "tags": tags, "properties": properties});
        let used_by = json!({"virtualMachine": {"id": machine["id"]}});
        self.of("Microsoft.Network/networkInterfaces").insert(name.to_owned(), part(used_by));
        self.of("Microsoft.Network/publicIPAddresses")
            .insert(name.to_owned(), part(json!({"ipAddress": "203.0.113.7"})));
        if failure.is_none() {
            let mut disk = part(json!({"diskState": "Attached"}));
            disk["managedBy"] = machine["id"].clone();
            self.of("Microsoft.Compute/disks").insert(name.to_owned(), disk);
        }
        self.of(MACHINES).insert(name.to_owned(), machine.clone());
        let outcome = match failure {
            Some((code, message)) => json!({"status": "Failed", "error": {"code": code, "message": message}}),
            None => json!({"status": "Succeeded"}),
        };
        machine["properties"]["provisioningState"] = json!("Creating");
        machine.as_object_mut().unwrap().remove("custom_data");
        self.operation(Response::json(201, &machine), outcome)
    }

    /// An answer that begins an operation.
    fn operation(&mut self, answer: Response, outcome: Value) -> Response {
        self.next += 1;
        let id = format!("op-{}", self.next);
        self.operations.insert(id.clone(), (self.looks, outcome));
        let address = format!(
            "https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westus2/operations/{id}?api-version=2025-04-01"
        );
        answer.header("Azure-AsyncOperation", address).header("Retry-After", "0")
    }
}

/// The time, as Azure writes it.
pub fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    chrono::DateTime::from_timestamp(now.as_secs() as i64, 123_456_700).unwrap().to_rfc3339()
}

pub fn refusal(status: u16, code: &str, message: &str) -> Response {
    let answer = Response::json(status, &json!({"error": {"code": code, "message": message}}));
    if status == 429 { answer.header("Retry-After", "0") } else { answer }
}

/// Carries a request out; `None` when its answer is lost.
fn exchange(request: &Request, life: &Life, Shared { recorder, state }: &Shared) -> Option<Response> {
    let host = request.header("host").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let routed = (host == "management.azure.com").then(|| routes::route(&request.segments())).flatten();
    let boot = request.path().ends_with("/retrieveBootDiagnosticsData");
    let (action, version) = match &routed {
        Some(_) if boot => (format!("{MACHINES}/retrieveBootDiagnosticsData/action"), "2025-04-01"),
        Some(route) => routes::needs(route, &request.method),
        None => (format!("{} {host}", request.method), ""),
    };
    if action.starts_with("Microsoft.") {
        lock(state).used.insert(action.clone());
    }
    let (method, path) = (request.method.clone(), request.path().to_owned());
    let is_first = path == "/metadata/scheduledevents";
    let slow = if is_first { std::mem::take(&mut lock(state).first_events) } else { Duration::ZERO };
    if !life.sleep(slow) {
        return None;
    }
    let call = Call { action: action.clone(), method, path, body: request.json() };
    recorder.exchange(life, call, |failure| match &routed {
        Some(route) => manager::manage(&mut lock(state), request, route, &action, version, failure),
        None => services::other(&mut lock(state), request, &host),
    })
}
