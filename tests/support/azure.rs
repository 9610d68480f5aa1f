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

/// What the wire server wants of a machine.
const GOAL: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>\
    <Container><ContainerId>c-1</ContainerId><RoleInstanceList><RoleInstance><InstanceId>r-1</InstanceId><State>Started</State>\
    </RoleInstance></RoleInstanceList></Container></GoalState>";

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

/// A resource, or what else a path names.
#[derive(Debug, PartialEq)]
enum Route {
    Group,
    Skus,
    Versions(String),
    Permissions,
    Operation(String),
    /// Machine and name of a role.
    Role(String, String),
    /// Type, and the names of it and of a part.
    Resource(String, Vec<String>),
}

fn route(path: &[String]) -> Option<Route> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let ["subscriptions", SUBSCRIPTION, rest @ ..] = &path[..] else { return None };
    Some(match rest {
        ["resourceGroups", _] => Route::Group,
        ["providers", "Microsoft.Compute", "skus"] => Route::Skus,
        ["providers", "Microsoft.Authorization", "permissions"] => Route::Permissions,
        ["providers", "Microsoft.Compute", "locations", _, "operations", id] => Route::Operation((*id).to_owned()),
        ["providers", "Microsoft.Compute", "locations", _, "publishers", image @ ..] => {
            Route::Versions(image.join("/"))
        }
        ["resourceGroups", _, "providers", "Microsoft.Authorization", "permissions"] => Route::Permissions,
        [
            "resourceGroups",
            _,
            "providers",
            "Microsoft.Compute",
            "virtualMachines",
            machine,
            "providers",
            "Microsoft.Authorization",
            "roleAssignments",
            name,
        ] => Route::Role((*machine).to_owned(), (*name).to_owned()),
        ["resourceGroups", _, "providers", provider, kind, names @ ..] => {
            Route::Resource(format!("{provider}/{kind}"), names.iter().map(|name| (*name).to_owned()).collect())
        }
        _ => return None,
    })
}

/// The permission that a request needs, and the version of its interface.
fn needs(route: &Route, method: &str) -> (String, &'static str) {
    let verb = match method {
        "GET" => "read",
        "PUT" => "write",
        "DELETE" => "delete",
        other => panic!("{other}"),
    };
    match route {
        Route::Group => (format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}"), "2021-04-01"),
        Route::Skus => ("Microsoft.Compute/skus/read".to_owned(), "2021-07-01"),
        Route::Versions(_) => {
            let action = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read";
            (action.to_owned(), "2025-04-01")
        }
        Route::Permissions => ("Microsoft.Authorization/permissions/read".to_owned(), "2022-04-01"),
        Route::Role(..) => (format!("Microsoft.Authorization/roleAssignments/{verb}"), "2022-04-01"),
        Route::Operation(_) => (String::new(), "2025-04-01"),
        Route::Resource(kind, names) => {
            let version = match kind.split('/').next().unwrap() {
                "Microsoft.Compute" => "2025-04-01",
                "Microsoft.Network" => "2024-05-01",
                "Microsoft.ManagedIdentity" => "2023-01-31",
                other => panic!("{other}"),
            };
            let part = if names.len() > 2 { format!("/{}", names[1]) } else { String::new() };
            (format!("{kind}{part}/{verb}"), version)
        }
    }
}

/// What Azure checks besides when a resource is written.
fn implied(kind: &str, has_own_identity: bool) -> &'static [&'static str] {
    match kind {
        MACHINES => &OF_A_MACHINE[..if has_own_identity { 6 } else { 7 }],
        "Microsoft.Network/virtualNetworks" => &["Microsoft.Network/networkSecurityGroups/join/action"],
        _ => &[],
    }
}

const OF_A_MACHINE: [&str; 7] = [
    "Microsoft.Compute/disks/write",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
];

/// Carries a request out; `None` when its answer is lost.
fn exchange(request: &Request, life: &Life, Shared { recorder, state }: &Shared) -> Option<Response> {
    let host = request.header("host").unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let routed = (host == "management.azure.com").then(|| route(&request.segments())).flatten();
    let boot = request.path().ends_with("/retrieveBootDiagnosticsData");
    let (action, version) = match &routed {
        Some(_) if boot => (format!("{MACHINES}/retrieveBootDiagnosticsData/action"), "2025-04-01"),
        Some(route) => needs(route, &request.method),
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
        Some(route) => manage(&mut lock(state), request, route, &action, version, failure),
        None => other(&mut lock(state), request, &host),
    })
}

/// The login, the prices, a console's text, and the metadata service.
fn other(state: &mut State, request: &Request, host: &str) -> Response {
    match host {
        "login.microsoftonline.com" => login(state, request),
        "prices.azure.com" => {
            let filter = request.param("$filter").unwrap();
            let size = filter.split("armSkuName eq '").nth(1).unwrap().split('\'').next().unwrap();
            let item = |price: f64, sku: String| json!({"retailPrice": price, "productName": "Virtual Machines", "skuName": sku, "unitOfMeasure": "1 Hour", "armSkuName": size});
            let items = [item(0.384, size.to_owned()), item(0.0768, format!("{size} Spot"))];
            Response::json(200, &json!({"Items": items, "NextPageLink": null}))
        }
        "md-1.z1.blob.storage.azure.net" => {
            assert!(request.header("authorization").is_none(), "the token is not for the storage");
            let name = request.segments().pop().unwrap();
            match state.console.get(&name) {
                Some(text) => Response::bytes(200, "text/plain", text.clone()),
                None => Response::bytes(404, "application/xml", "<Error><Code>BlobNotFound</Code></Error>"),
            }
        }
        "127.0.0.1" => metadata(state, request, ""),
        "169.254.169.254" => {
            let only = state.of(MACHINES).keys().next().cloned().unwrap_or_default();
            metadata(state, request, &only)
        }
        "168.63.129.16" => wire_server(state, request),
        _ => Response::json(404, &json!({"error": {"code": "InvalidResourceType", "message": request.target}})),
    }
}

fn login(state: &State, request: &Request) -> Response {
    let refused = |description: &str| {
        let text = format!("{description} Trace ID: 1 Correlation ID: 2 Timestamp: 3");
        Response::json(401, &json!({"error": "invalid_client", "error_description": text}))
    };
    if request.path() != format!("/{TENANT}/oauth2/v2.0/token") {
        return refused("AADSTS90002: Tenant not found.");
    }
    let field = |name: &str| request.field(name).unwrap_or_default();
    assert_eq!(
        (field("grant_type").as_str(), field("scope").as_str()),
        ("client_credentials", "https://management.azure.com/.default")
    );
    if field("client_id") != CLIENT {
        return refused("AADSTS700016: Application with identifier was not found in the directory.");
    }
    let is_right = match field("client_assertion") {
        token if !token.is_empty() => {
            assert_eq!(field("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            if token != "identity-token-of-the-job" {
                return refused(
                    "AADSTS700213: No matching federated identity record found for presented assertion subject.",
                );
            }
            true
        }
        _ => field("client_secret") == state.secret,
    };
    if !is_right {
        return refused("AADSTS7000215: Invalid client secret provided.");
    }
    Response::json(200, &json!({"token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN}))
}

/// What tells the programs of a machine what to do, and is told that it is ready, as cloud-init asks it (`sources/helpers/azure.py`).
fn wire_server(state: &mut State, request: &Request) -> Response {
    match (request.verb(), request.param("comp").as_deref()) {
        ("GET", Some("goalstate")) => Response::bytes(200, "text/xml", GOAL),
        ("POST", Some("health")) => {
            state.is_ready = String::from_utf8_lossy(&request.body).contains("<State>Ready</State>");
            Response::empty(200)
        }
        _ => Response::empty(404),
    }
}

/// The metadata service of the machine in the path, or of this one.
fn metadata(state: &mut State, request: &Request, this: &str) -> Response {
    assert_eq!(request.header("metadata"), Some("true"));
    let path = request.path();
    let (machine, path) = match path.strip_prefix("/of/").and_then(|rest| rest.split_once('/')) {
        Some((machine, path)) => (machine, format!("/{path}")),
        None => (this, path.to_owned()),
    };
    match path.as_str() {
        "/metadata/identity/oauth2/token" => {
            let identity = state.resources.get(MACHINES).and_then(|all| Some(all.get(machine)?["identity"].clone()));
            let is_named = request.param("client_id").or(request.param("msi_res_id")).is_some();
            let is_own = identity.as_ref().is_some_and(|identity| identity["principalId"].is_string());
            if identity.is_none() || is_named == is_own {
                return Response::json(
                    400,
                    &json!({"error": "invalid_request", "error_description": "Identity not found"}),
                );
            }
            assert_eq!(request.param("resource").as_deref(), Some("https://management.azure.com/"));
            let token = if is_own { format!("{TOKEN}-of-{machine}") } else { TOKEN.to_owned() };
            Response::json(200, &json!({"access_token": token, "expires_on": "4000000000", "token_type": "Bearer"}))
        }
        "/metadata/instance/compute" => {
            let id = &state.resources[MACHINES][machine]["id"];
            Response::json(200, &json!({"name": machine, "resourceId": id, "vmId": "x"}))
        }
        "/metadata/instance/compute/name" => {
            Response::bytes(200, "text/plain", if machine.is_empty() { "vm-1" } else { machine })
        }
        "/metadata/instance" => {
            let user =
                json!({"computerName": machine, "adminUsername": "cml", "disablePasswordAuthentication": "true"});
            let compute = json!({"name": machine, "vmId": "x", "osProfile": user});
            Response::json(200, &json!({"compute": compute, "network": {"interface": []}}))
        }
        "/metadata/scheduledevents" => {
            state.asked_for_events += 1;
            Response::json(200, &state.events)
        }
        _ => Response::json(404, &json!({"error": "Not found"})),
    }
}

/// The Resource Manager.
fn manage(
    state: &mut State,
    request: &Request,
    route: &Route,
    action: &str,
    version: &str,
    failure: Option<(&str, &str)>,
) -> Response {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if let Some(machine) = bearer.strip_prefix(&format!("{TOKEN}-of-")) {
        // A machine's own identity may what its role says, on the machine alone, when that has got about.
        let role = state.roles.iter_mut().find(|(of, ..)| of == machine);
        let is_allowed = request.path().ends_with(&format!("/{machine}"))
            && role.is_some_and(|(.., delay)| {
                let is_over = *delay == 0;
                *delay = delay.saturating_sub(1);
                is_over
            });
        if !is_allowed {
            return refusal(403, "AuthorizationFailed", "The client does not have authorization to perform action.");
        }
    } else if bearer != TOKEN {
        return refusal(401, "InvalidAuthenticationToken", "The access token is invalid.");
    }
    if request.param("api-version").as_deref() != Some(version) {
        return refusal(400, "InvalidApiVersionParameter", &request.target);
    }
    let kind = if let Route::Resource(kind, _) = route { kind.as_str() } else { "" };
    let has_own_identity = request.json()["identity"]["type"] == "SystemAssigned";
    let more: &[&str] = if request.method == "PUT" { implied(kind, has_own_identity) } else { &[] };
    if let Some(denied) = std::iter::once(action).chain(more.iter().copied()).find(|one| state.denied.contains(*one)) {
        let code = if denied == action { "AuthorizationFailed" } else { "LinkedAuthorizationFailed" };
        let message = format!(
            "The client '{CLIENT}' does not have authorization to perform action '{denied}' over scope '{}' or the scope is invalid.",
            request.path()
        );
        return refusal(403, code, &message);
    }
    state.used.extend(more.iter().map(|one| (*one).to_owned()));
    let missing = || refusal(404, "ResourceNotFound", &format!("The Resource '{}' was not found.", request.path()));
    match (route, request.method.as_str()) {
        (Route::Operation(id), _) => {
            let Some((looks, outcome)) = state.operations.get_mut(id) else { return missing() };
            if *looks > 0 {
                *looks -= 1;
                return Response::json(200, &json!({"status": "InProgress"})).header("Retry-After", "0");
            }
            Response::json(200, outcome)
        }
        (Route::Skus, _) => Response::json(200, &json!({"value": skus(state, request)})),
        (Route::Versions(image), _) => versions(image),
        (Route::Permissions, _) if state.hides_permissions => refusal(
            403,
            "AuthorizationFailed",
            "does not have authorization to perform action 'Microsoft.Authorization/permissions/read'",
        ),
        (Route::Permissions, _) if !state.has_group && request.path().contains("/resourceGroups/") => {
            refusal(404, "ResourceGroupNotFound", "Resource group could not be found.")
        }
        (Route::Permissions, _) => {
            // Those of Contributor, which most applications have.
            let assigning = ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"];
            let assigning = assigning.into_iter().filter(|_| !state.may_assign).map(str::to_owned);
            let denied: Vec<String> = state.denied.iter().cloned().chain(assigning).collect();
            Response::json(200, &json!({"value": [{"actions": ["*"], "notActions": denied}]}))
        }
        (Route::Group, "GET") if state.has_group => {
            Response::json(200, &json!({"id": request.path(), "name": GROUP, "tags": {}}))
        }
        (Route::Group, "GET") => refusal(404, "ResourceGroupNotFound", "Resource group could not be found."),
        (Route::Group, "PUT") => {
            if let Some(wrong) = judge(&request.json(), &json!({"location": "", "tags": {"*": ""}}), "$") {
                return refusal(400, "InvalidRequestContent", &wrong);
            }
            state.has_group = true;
            Response::json(201, &json!({"properties": {"provisioningState": "Succeeded"}}))
        }
        (Route::Role(machine, name), "PUT") => {
            let body = request.json();
            let principal = json!(state.of(MACHINES).get(machine).map(|one| one["identity"]["principalId"].clone()));
            let role = format!(
                "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/9980e02c-c2be-4d73-94e8-173b1dc7cf3c"
            );
            let properties =
                json!({"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal"});
            if body != json!({ "properties": properties }) || !name.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
                return refusal(400, "InvalidRequestContent", &body.to_string());
            }
            if let Some((_, other, _)) = state.roles.iter().find(|(of, ..)| of == machine) {
                let is_same = other == name;
                return if is_same {
                    Response::json(200, &body)
                } else {
                    refusal(409, "RoleAssignmentExists", "It exists.")
                };
            }
            state.roles.push((machine.clone(), name.clone(), state.delay));
            Response::json(201, &body)
        }
        (Route::Resource(..), _) if !state.has_group => {
            refusal(404, "ResourceGroupNotFound", "Resource group could not be found.")
        }
        (Route::Resource(kind, names), method) => {
            resource(state, request, method, kind, names, failure).unwrap_or_else(missing)
        }
        (route, method) => panic!("{method} {route:?}"),
    }
}

/// A resource of the group; `None` where there is none.
fn resource(
    state: &mut State,
    request: &Request,
    method: &str,
    kind: &str,
    names: &[String],
    failure: Option<(&str, &str)>,
) -> Option<Response> {
    let Some(name) = names.first() else {
        let machines: Vec<Value> = state.of(kind).values().map(|one| shown(one, false)).collect();
        return Some(Response::json(200, &json!({"value": machines})));
    };
    if kind == "Microsoft.ManagedIdentity/userAssignedIdentities" {
        let id = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/{kind}/{name}");
        return state.has_identity.then(|| Response::json(200, &json!({"id": id, "properties": {"clientId": CLIENT}})));
    }
    match (method, names.get(1).map(String::as_str)) {
        ("GET", Some("subnets")) => {
            let subnets = state.of(kind).get(name)?["properties"]["subnets"].clone();
            let found = subnets.as_array()?.iter().find(|one| one["name"] == *names[2])?.clone();
            Some(Response::json(200, &found))
        }
        ("GET", None) => {
            let expands = request.param("$expand").as_deref() == Some("instanceView");
            state.of(kind).get(name).map(|one| Response::json(200, &shown(one, expands)))
        }
        ("POST", Some("retrieveBootDiagnosticsData")) => {
            state.of(kind).get(name)?;
            let address = format!("https://md-1.z1.blob.storage.azure.net/console/{name}?sig=signature");
            Some(Response::json(200, &json!({ "serialConsoleLogBlobUri": address })))
        }
        ("DELETE", None) => {
            state.of(kind).get(name)?;
            match kind {
                MACHINES => {
                    assert_eq!(request.param("forceDeletion").as_deref(), Some("true"));
                    state.delete_machine(name);
                }
                _ => drop(state.of(kind).remove(name)),
            }
            Some(Response::empty(202).header("Location", request.target.clone()))
        }
        ("PUT", None) => Some(put(state, request, kind, name, failure)),
        _ => panic!("{method} {}", request.target),
    }
}

fn put(state: &mut State, request: &Request, kind: &str, name: &str, failure: Option<(&str, &str)>) -> Response {
    let mut body = request.json();
    if let Some(wrong) = judge(&body, &shape(kind), "$") {
        return refusal(400, "InvalidRequestContent", &wrong);
    }
    if kind != MACHINES {
        body["name"] = json!(name);
        state.of(kind).insert(name.to_owned(), body.clone());
        return state.operation(Response::json(201, &body), json!({"status": "Succeeded"}));
    }
    assert_eq!(request.header("if-none-match"), Some("*"));
    if state.of(MACHINES).contains_key(name) {
        return refusal(412, "PreconditionFailed", "The resource already exists.");
    }
    if let Some(wrong) = machine_is_wrong(state, &body, name) {
        return refusal(400, "InvalidParameter", &wrong);
    }
    state.create_machine(name, body, failure)
}

/// What the description does not say, but Azure does.
fn machine_is_wrong(state: &mut State, body: &Value, name: &str) -> Option<String> {
    use base64::Engine as _;
    let properties = &body["properties"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let interface = &properties["networkProfile"]["networkInterfaceConfigurations"][0];
    let subnet = text(&interface["properties"]["ipConfigurations"][0]["properties"]["subnet"]["id"]);
    let network = subnet.split('/').nth_back(2).unwrap_or_default().to_owned();
    let data = base64::engine::general_purpose::STANDARD.decode(text(&properties["osProfile"]["customData"]));
    let is_spot = properties["priority"] == "Spot";
    let is_name = |name: &str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    [
        (!is_name(name) || properties["osProfile"]["computerName"] != *name, "computerName"),
        (
            ["admin", "root", "user", "test", "ci"].contains(&&*text(&properties["osProfile"]["adminUsername"])),
            "adminUsername",
        ),
        (!data.is_ok_and(|data| data.len() <= 65_535), "customData"),
        (!state.of("Microsoft.Network/virtualNetworks").contains_key(&network), "subnet"),
        (is_spot != properties["evictionPolicy"].is_string(), "evictionPolicy"),
        (is_spot != properties["billingProfile"].is_object(), "billingProfile"),
        (body["placement"].is_object() && body["zones"].is_array(), "placement"),
        (properties["storageProfile"]["osDisk"]["diskSizeGB"].as_u64() < Some(30), "diskSizeGB"),
        (body["tags"].as_object().is_none_or(|tags| tags.len() > 50), "tags"),
    ]
    .into_iter()
    .find_map(|(is_wrong, what)| is_wrong.then(|| format!("The value of parameter {what} is invalid.")))
}

/// A resource as a list, or with `$expand`, shows it.
fn shown(resource: &Value, expands: bool) -> Value {
    let mut shown = resource.clone();
    let fields = shown.as_object_mut().unwrap();
    fields.remove("custom_data");
    let power = fields.remove("power");
    if let Some(power) = power.filter(|_| expands) {
        let state = shown["properties"]["provisioningState"].as_str().unwrap().to_ascii_lowercase();
        let statuses = [
            json!({"code": format!("ProvisioningState/{state}"), "level": "Info"}),
            json!({"code": format!("PowerState/{}", power.as_str().unwrap()), "level": "Info"}),
        ];
        shown["properties"]["instanceView"] = json!({ "statuses": statuses });
    }
    shown
}

fn skus(state: &State, request: &Request) -> Vec<Value> {
    let filter = request.param("$filter").unwrap();
    let location = filter.strip_prefix("location eq '").unwrap().trim_end_matches('\'');
    if location == "moon" {
        return Vec::new();
    }
    let sizes = [
        ("Standard_D8as_v5", "x64", "0"),
        ("Standard_D8s_v5", "x64", "0"),
        ("Standard_F8s_v2", "x64", "0"),
        ("Standard_D8ps_v5", "Arm64", "0"),
        ("Standard_NC4as_T4_v3", "x64", "1"),
    ];
    let sizes = sizes.into_iter().map(|(name, arch, gpus)| {
        let restricted =
            json!([{"type": "Location", "values": [location], "reasonCode": "NotAvailableForSubscription"}]);
        let restrictions = if state.restricted.contains(name) { restricted } else { json!([]) };
        let capability = |name: &str, value: &str| json!({"name": name, "value": value});
        json!({"resourceType": "virtualMachines", "name": name, "locations": [location], "restrictions": restrictions,
            "locationInfo": [{"location": location, "zones": ["1", "2", "3"]}],
            "capabilities": [capability("CpuArchitectureType", arch), capability("GPUs", gpus),
                capability("HyperVGenerations", "V1,V2"), capability("LowPriorityCapable", "True")]})
    });
    sizes.chain([json!({"resourceType": "disks", "name": "Premium_LRS"})]).collect()
}

/// The images that there are.
fn versions(image: &str) -> Response {
    let (path, version) = image.split_once("/versions").unwrap();
    let architecture = match path {
        "Canonical/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/server"
        | "microsoft-dsvm/artifacttypes/vmimage/offers/ubuntu-hpc/skus/2404"
        | "vendor/artifacttypes/vmimage/offers/paid/skus/x" => "x64",
        "Canonical/artifacttypes/vmimage/offers/ubuntu-24_04-lts/skus/server-arm64" => "Arm64",
        _ => return refusal(404, "ImageNotFound", "The platform image was not found."),
    };
    if version.is_empty() {
        return Response::json(200, &json!([{"name": "24.4.202611200", "location": "westus2"}]));
    }
    let plan = if path.starts_with("vendor/") {
        json!({"name": "x", "publisher": "vendor", "product": "paid"})
    } else {
        Value::Null
    };
    let features = [json!({"name": "SecurityType", "value": "TrustedLaunchSupported"})];
    Response::json(
        200,
        &json!({"name": "24.4.202611200", "properties": {"architecture": architecture, "osDiskImage": {"operatingSystem": "Linux", "sizeInGb": 31},
            "hyperVGeneration": "V2", "plan": plan, "features": features}}),
    )
}

/// The fields of a resource that may be written: text is `""` or its values between bars, `0` is a number, `{"*": …}` has any names.
fn shape(kind: &str) -> Value {
    let reference = json!({"id": ""});
    let top = |properties: Value| json!({"location": "", "tags": {"*": ""}, "properties": properties});
    match kind {
        "Microsoft.Network/networkSecurityGroups" => {
            top(json!({"flushConnection": false, "securityRules": [{"name": "", "properties": {
            "description": "", "priority": 0, "direction": "Inbound|Outbound", "access": "Allow|Deny", "protocol": "Tcp|Udp|Icmp|Esp|Ah|*",
            "sourceAddressPrefix": "", "sourcePortRange": "", "destinationAddressPrefix": "", "destinationPortRange": ""}}]}))
        }
        "Microsoft.Network/virtualNetworks" => {
            top(json!({"addressSpace": {"addressPrefixes": [""]}, "subnets": [{"name": "", "properties": {
            "addressPrefix": "", "defaultOutboundAccess": false, "networkSecurityGroup": reference}}]}))
        }
        MACHINES => {
            let address = json!({"name": "", "tags": {"*": ""}, "sku": {"name": "Basic|Standard", "tier": "Regional|Global"}, "properties": {
                "deleteOption": "Delete|Detach", "publicIPAllocationMethod": "Dynamic|Static", "idleTimeoutInMinutes": 0}});
            let ip = json!({"name": "", "properties": {"primary": false, "subnet": reference, "publicIPAddressConfiguration": address}});
            let interface = json!({"name": "", "tags": {"*": ""}, "properties": {"primary": false, "deleteOption": "Delete|Detach",
                "networkSecurityGroup": reference, "ipConfigurations": [ip]}});
            let mut machine = top(json!({
                "hardwareProfile": {"vmSize": ""},
                "storageProfile": {"imageReference": {"publisher": "", "offer": "", "sku": "", "version": "", "id": ""},
                    "osDisk": {"name": "", "createOption": "FromImage|Attach|Empty", "deleteOption": "Delete|Detach", "caching": "None|ReadOnly|ReadWrite",
                        "diskSizeGB": 0, "managedDisk": {"storageAccountType": "Standard_LRS|Premium_LRS|StandardSSD_LRS"}}},
                "osProfile": {"computerName": "", "adminUsername": "", "customData": "", "allowExtensionOperations": false,
                    "linuxConfiguration": {"disablePasswordAuthentication": false, "provisionVMAgent": false,
                        "ssh": {"publicKeys": [{"path": "", "keyData": ""}]}}},
                "networkProfile": {"networkApiVersion": "2020-11-01|2022-11-01", "networkInterfaceConfigurations": [interface]},
                "securityProfile": {"securityType": "TrustedLaunch|ConfidentialVM", "uefiSettings": {"secureBootEnabled": false, "vTpmEnabled": false}},
                "priority": "Regular|Low|Spot", "evictionPolicy": "Deallocate|Delete", "billingProfile": {"maxPrice": 0.0},
                "diagnosticsProfile": {"bootDiagnostics": {"enabled": false}}}));
            machine["zones"] = json!([""]);
            machine["placement"] =
                json!({"zonePlacementPolicy": "Any|Auto", "includeZones": [""], "excludeZones": [""]});
            machine["identity"] = json!({"type": "SystemAssigned|UserAssigned|SystemAssigned, UserAssigned|None", "userAssignedIdentities": {"*": {}}});
            machine
        }
        other => panic!("nobody writes {other}"),
    }
}

/// What is wrong with a body.
fn judge(body: &Value, shape: &Value, at: &str) -> Option<String> {
    match (body, shape) {
        (Value::Object(fields), Value::Object(known)) => {
            fields.iter().find_map(|(name, value)| match known.get(name).or(known.get("*")) {
                Some(shape) => judge(value, shape, &format!("{at}.{name}")),
                None => Some(format!("Could not find member '{name}' at {at}.")),
            })
        }
        (Value::Array(items), Value::Array(shapes)) => items.iter().find_map(|item| judge(item, &shapes[0], at)),
        (Value::String(text), Value::String(values)) => {
            let fits = values.is_empty() || values.split('|').any(|value| value == text);
            (!fits).then(|| format!("'{text}' is not one of {values} at {at}."))
        }
        (Value::Bool(_), Value::Bool(_)) => None,
        (Value::Number(one), Value::Number(other)) if one.is_u64() || other.is_f64() => None,
        (value, _) => Some(format!("unexpected {value} at {at}.")),
    }
}

#[test]
fn a_wrong_body_is_refused() {
    let machine = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({"location": "w", "properties": {"priority": "Spot", "osProfile": {"customData": "eA=="}, "billingProfile": {"maxPrice": -1}}});
        change(&mut body);
        judge(&body, &shape(MACHINES), "$")
    };
    assert_eq!(machine(&|body| body["properties"]["billingProfile"]["maxPrice"] = json!(-1.0)), None);
    assert!(
        machine(&|body| body["properties"]["osProfile"]["customdata"] = json!("x")).unwrap().contains("customdata")
    );
    assert!(machine(&|body| body["properties"]["priority"] = json!("spot")).unwrap().contains("Regular|Low|Spot"));
    assert!(machine(&|body| body["location"] = json!(7)).unwrap().contains("$.location"));
}
