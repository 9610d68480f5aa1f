//! A real API server of Kubernetes with its controllers, on an etcd of its own: <https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/>.
//!
//! `CML_TEST_KUBERNETES` names a folder with `kube-apiserver`, `kube-controller-manager`, `etcd` and `kubectl`, which
//! `cargo xtask kubernetes` makes. Without it the tests that need one are ignored.
//!
//! Real: authentication, RBAC, admission, validation, quotas, the controllers of Jobs and of what is owned and over, the audit log.
//! There is no scheduler and no node: a test binds pods and says how they go ([`Namespace::run_pods`]), and a server of
//! this process gives their logs, as a kubelet would.

use super::fake::http::{Framing, Response, read_request, write_response};
use super::fake::server::{Port, Server, lock};
use super::fake::{Identity, accept};
use super::ignored::ignored;
use super::{Ran, TIMEOUT, eventually, eventually_within, net};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The user that administers it.
const ADMIN: &str = "admin-token";
/// The service account of the documentation.
const LAUNCHER: &str = "cml-launcher";

/// A running API server; it ends when it is dropped.
pub struct ApiServer {
    // In the order in which they are to end.
    children: Vec<Child>,
    folder: tempfile::TempDir,
    programs: PathBuf,
    url: String,
    /// The same, without TLS and as the administrator: `kubectl proxy`.
    proxy: String,
    logs: Arc<Mutex<Vec<(String, String)>>>,
    kubelet: Server,
}

impl ApiServer {
    /// The one that all tests share while one of them runs; each has a namespace of its own.
    pub fn shared() -> Option<Arc<ApiServer>> {
        static SHARED: Mutex<Weak<ApiServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let Some(programs) = std::env::var_os("CML_TEST_KUBERNETES") else {
            ignored("no API server of Kubernetes: cargo xtask kubernetes");
            return None;
        };
        let server = Arc::new(ApiServer::start(programs.into()));
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    fn start(programs: PathBuf) -> ApiServer {
        let logs = Arc::<Mutex<Vec<(String, String)>>>::default();
        let kubelet = kubelet(Arc::clone(&logs));
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports();
        let url = format!("https://127.0.0.1:{}", ports[2]);
        let mut server = ApiServer { children: Vec::new(), folder, programs, url, proxy: String::new(), logs, kubelet };
        let (etcd, peer) = (format!("http://127.0.0.1:{}", ports[0]), format!("http://127.0.0.1:{}", ports[1]));
        let root = server.folder.path().to_owned();
        let path = |name: &str| root.join(name).display().to_string();
        let key = path("sa.key");
        Ran::of(Command::new("openssl").args(["genrsa", "-out", &key, "2048"])).ok();
        std::fs::write(path("tokens.csv"), format!("{ADMIN},admin,1,system:masters\n")).unwrap();
        let policy = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}"#;
        std::fs::write(path("policy.json"), policy).unwrap();
        let etcd_args = ["--data-dir", &path("etcd"), "--listen-client-urls", &etcd, "--advertise-client-urls", &etcd];
        let peer_args = ["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer];
        let cluster = format!("default={peer}");
        let more = ["--initial-cluster", &cluster, "--unsafe-no-fsync"];
        server.spawn("etcd", &[&etcd_args[..], &peer_args, &more].concat());
        let port = ports[2].to_string();
        let serving = ["--secure-port", &port, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"];
        let accounts = [
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--service-account-key-file",
            &key,
            "--service-account-signing-key-file",
            &key,
        ];
        let rest = [
            "--etcd-servers",
            &etcd,
            "--cert-dir",
            &path("certs"),
            "--service-cluster-ip-range",
            "10.0.0.0/24",
            "--token-auth-file",
            &path("tokens.csv"),
            "--authorization-mode",
            "RBAC",
            "--audit-policy-file",
            &path("policy.json"),
            "--audit-log-path",
            &path("audit.log"),
            "--feature-gates",
            "TTLAfterFinished=true",
        ];
        server.spawn("kube-apiserver", &[&serving[..], &accounts, &rest].concat());
        let certificate = root.join("certs/apiserver.crt");
        eventually("a certificate", || certificate.exists(), || server.log("kube-apiserver"));
        std::fs::write(path("admin.yaml"), server.kubeconfig(ADMIN, "default")).unwrap();
        let is_ready = || Ran::of(&mut server.kubectl(&["get", "--raw", "/readyz"])).stdout == "ok";
        // Seconds, or a minute and more beside other builds.
        eventually_within(3 * TIMEOUT, "an API server", is_ready, || server.log("kube-apiserver"));
        server.start_controllers(&ports[3].to_string(), &key);
        server.start_proxy();
        server.make_node();
        server
    }

    fn start_controllers(&mut self, port: &str, key: &str) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let config = path("admin.yaml");
        let args = [
            "--kubeconfig",
            &config,
            "--authentication-kubeconfig",
            &config,
            "--authorization-kubeconfig",
            &config,
            "--controllers",
            "job,garbagecollector,ttl-after-finished,resourcequota,serviceaccount,serviceaccount-token,namespace",
            "--feature-gates",
            "TTLAfterFinished=true",
            "--leader-elect=false",
            "--secure-port",
            port,
            "--port",
            "0",
            "--bind-address",
            "127.0.0.1",
            "--cert-dir",
            &path("controllers"),
            "--service-account-private-key-file",
            key,
            "--min-resync-period",
            "1m",
        ];
        self.spawn("kube-controller-manager", &args);
    }

    fn start_proxy(&mut self) {
        let mut command = self.kubectl(&["proxy", "--port=0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.children.insert(0, child);
        let address = line.trim().rsplit(' ').next().unwrap();
        self.proxy = format!("http://{address}");
    }

    /// A node whose kubelet is this process.
    fn make_node(&self) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
        self.ask("POST", "/api/v1/nodes", &node);
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.kubelet.address.port()}},
        }});
        self.ask("PATCH", "/api/v1/nodes/node-1/status", &status);
    }

    fn spawn(&mut self, program: &str, args: &[&str]) {
        let log = std::fs::File::create(self.log_path(program)).unwrap();
        let mut command = Command::new(self.programs.join(program));
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.children.insert(0, command.spawn().unwrap_or_else(|e| panic!("{program}: {e}")));
    }

    fn log(&self, program: &str) -> String {
        std::fs::read_to_string(self.log_path(program)).unwrap_or_default()
    }

    fn log_path(&self, program: &str) -> PathBuf {
        self.folder.path().join(program).with_extension("log")
    }

    /// kubectl as the administrator.
    fn kubectl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("kubectl"));
        let folder = self.folder.path();
        command.args(args).env_clear().env("HOME", folder).env("KUBECONFIG", folder.join("admin.yaml"));
        command.stdin(Stdio::null());
        command
    }

    /// A kubeconfig with a token. The server's own authority is trusted.
    fn kubeconfig(&self, token: &str, namespace: &str) -> String {
        let ca = std::fs::read(self.folder.path().join("certs/apiserver.crt")).unwrap_or_default();
        let (url, ca) = (&self.url, STANDARD.encode(ca));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: real\nclusters:\n- name: c\n  cluster: {{server: \"{url}\", certificate-authority-data: {ca}}}\n\
            users:\n- name: ci\n  user: {{token: \"{token}\"}}\ncontexts:\n- name: real\n  context: {{cluster: c, user: ci, namespace: {namespace}}}\n"
        )
    }

    /// Asks it as the administrator.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let url = format!("{}{path}", self.proxy);
        let answer = net::send(method, &url, &[("Content-Type", kind)], body.as_bytes()).unwrap();
        let text = answer.text();
        assert!(answer.status < 300 || answer.status == 404, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// A namespace that the launcher of the documentation may use.
    pub fn namespace(self: &Arc<ApiServer>, name: &str) -> Namespace {
        let namespace = Namespace { server: Arc::clone(self), name: name.to_owned() };
        namespace.kubectl(&["create", "namespace", name]);
        // Pods are admitted once there is an account for them.
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        eventually("an account", || self.ask("GET", &account, &Value::Null)["secrets"].is_array(), || name.to_owned());
        namespace.kubectl(&["create", "serviceaccount", LAUNCHER]);
        let role = documented_role().replace("namespace: ml", &format!("namespace: {name}"));
        let file = self.folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, role).unwrap();
        namespace.kubectl(&["apply", "--filename", file.to_str().unwrap()]);
        let account = format!("--serviceaccount={name}:{LAUNCHER}");
        namespace.kubectl(&["create", "rolebinding", LAUNCHER, "--role", LAUNCHER, &account]);
        namespace
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ports that are free for now.
fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// The manifest of the Role in the documentation.
pub fn documented_role() -> String {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubernetes.md")).unwrap();
    let blocks = docs.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap());
    blocks.into_iter().find(|text| text.contains("kind: Role\n")).expect("a Role").to_owned()
}

/// Answers an API server that asks for the log of a pod: `/containerLogs/NAMESPACE/POD/CONTAINER`.
fn kubelet(logs: Arc<Mutex<Vec<(String, String)>>>) -> Server {
    let identity = Identity::new();
    Port::bind().serve(move |socket, _| {
        let Ok(Some(stream)) = accept(&identity.config, socket) else { return };
        let mut reader = BufReader::new(stream);
        while let Ok(Some(request)) = read_request(&mut reader, || {}) {
            let pod = request.segments().get(2).cloned().unwrap_or_default();
            let log = lock(&logs).iter().find(|(job, _)| pod.starts_with(job.as_str())).map(|(_, log)| log.clone());
            let answer = Response::bytes(200, "text/plain", log.unwrap_or_default());
            if !write_response(reader.get_mut(), &request, &answer, Framing::Whole).unwrap_or(false) {
                return;
            }
        }
    })
}

/// A namespace.
pub struct Namespace {
    pub server: Arc<ApiServer>,
    pub name: String,
}

impl Namespace {
    /// The kubeconfig of the launcher, with a token as the documentation says.
    pub fn kubeconfig(&self) -> String {
        let token = self.kubectl(&["create", "token", LAUNCHER, "--duration", "24h"]);
        self.server.kubeconfig(token.trim(), &self.name)
    }

    /// The kubeconfig of somebody.
    pub fn kubeconfig_of(&self, token: &str) -> String {
        self.server.kubeconfig(token, &self.name)
    }

    /// The administrator's, for a namespace that there is not.
    pub fn kubeconfig_elsewhere(&self) -> String {
        self.server.kubeconfig(ADMIN, "nowhere")
    }

    /// What kubectl shows the administrator.
    pub fn kubectl(&self, args: &[&str]) -> String {
        Ran::of(&mut self.server.kubectl(&[&["--namespace", &self.name], args].concat())).ok()
    }

    fn path(&self, kind: &str) -> String {
        let group = if kind == "jobs" { "/apis/batch/v1" } else { "/api/v1" };
        format!("{group}/namespaces/{}/{kind}", self.name)
    }

    /// The objects of a kind that are not being deleted.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let items = self.server.ask("GET", &self.path(kind), &Value::Null)["items"].take();
        let items = items.as_array().cloned().unwrap_or_default();
        items.into_iter().filter(|one| one["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// The pods of a Job.
    fn pods(&self, job: &str) -> Vec<Value> {
        let mut pods = self.objects("pods");
        pods.retain(|pod| pod["metadata"]["labels"]["job-name"] == *job);
        pods
    }

    /// Changes the status of the pods of a Job that have a node, and gives those a node that have none.
    fn set_pods(&self, job: &str, status: &Value) {
        eventually("a pod", || !self.pods(job).is_empty(), || self.kubectl(&["describe", "job", job]));
        for pod in self.pods(job) {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let path = format!("{}/{name}", self.path("pods"));
            if pod["spec"]["nodeName"].is_null() {
                let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"}});
                self.server.ask("POST", &format!("{path}/binding"), &binding);
            }
            self.server.ask("PATCH", &format!("{path}/status"), &json!({ "status": status }));
        }
    }

    /// All pods start.
    pub fn run_pods(&self) {
        for job in self.jobs() {
            self.set_pods(&job, &json!({"phase": "Running", "podIP": "10.0.0.7"}));
        }
    }

    /// The container of a Job waits for a reason.
    pub fn hold_pod(&self, job: &str, reason: &str, message: &str) {
        let waiting = json!({"name": "runner", "image": "the-image", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}}});
        self.set_pods(job, &json!({"phase": "Pending", "containerStatuses": [waiting]}));
    }

    /// The container of a Job ends.
    pub fn end_pod(&self, job: &str, code: u8) {
        let ended = json!({"name": "runner", "image": "the-image", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }}}});
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        self.set_pods(job, &json!({"phase": phase, "containerStatuses": [ended]}));
    }

    /// What the containers of a Job have printed.
    pub fn fill_log(&self, job: &str, text: &str) {
        lock(&self.server.logs).push((job.to_owned(), text.to_owned()));
        self.run_pods();
    }

    /// A Job that somebody else made.
    pub fn make_foreign(&self, name: &str) {
        let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
        let job = json!({"metadata": {"name": name, "labels": {"app": "other"}}, "spec": {"template": {"metadata": {"labels": {"app": "other"}}, "spec": pod}}});
        self.server.ask("POST", &self.path("jobs"), &job);
    }

    /// The names of the launcher's Jobs that have not ended.
    pub fn jobs(&self) -> Vec<String> {
        let jobs = self.objects("jobs").into_iter().filter(|job| {
            job["metadata"]["labels"]["cml-managed"] == "true" && job["status"]["conditions"][0].is_null()
        });
        jobs.map(|job| job["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The Jobs whose pods hold a node's resources, or wait for them, once the controllers have nothing more to do.
    pub fn billed(&self) -> Vec<String> {
        let live = || {
            let pods = self.objects("pods").into_iter().filter(|pod| {
                let phase = pod["status"]["phase"].as_str().unwrap_or_default();
                pod["metadata"]["labels"]["app"] != "other" && ["Pending", "Running"].contains(&phase)
            });
            pods.map(|pod| pod["metadata"]["labels"]["job-name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        let jobs = || self.jobs().into_iter().collect::<BTreeSet<_>>();
        eventually("the controllers", || live() == jobs(), || format!("{:?} {:?}", live(), jobs()));
        self.jobs()
    }

    /// What the launcher has asked for, as RBAC names it, and whether the server allowed it; in the order of the audit log.
    /// <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>
    fn audit(&self, stage: &str) -> Vec<(String, String, bool)> {
        let user = format!("system:serviceaccount:{}:{LAUNCHER}", self.name);
        let log = std::fs::read_to_string(self.server.folder.path().join("audit.log")).unwrap_or_default();
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events = events.filter(|event| event["user"]["username"] == *user && event["stage"] == stage);
        let asked = events.map(|event| {
            let object = &event["objectRef"];
            let sub = object["subresource"].as_str().map(|sub| format!("/{sub}")).unwrap_or_default();
            let verb = event["verb"].as_str().unwrap_or_default();
            let action = format!("{verb} {}{sub}", object["resource"].as_str().unwrap_or_default());
            let is_allowed = event["annotations"]["authorization.k8s.io/decision"] == "allow";
            (action, event["requestURI"].as_str().unwrap_or_default().to_owned(), is_allowed)
        });
        asked.collect()
    }

    /// The requests of the launcher that changed something.
    pub fn effects(&self) -> Vec<String> {
        let changes = |action: &str| !["get", "list", "watch"].contains(&action.split(' ').next().unwrap());
        let asked = self.audit("RequestReceived").into_iter().filter(|(action, uri, _)| {
            changes(action) && !uri.contains("dryRun=All") && action != "create selfsubjectaccessreviews"
        });
        asked.map(|(action, ..)| action).collect()
    }

    /// What the launcher was allowed and what it was refused, without repetition.
    pub fn rights(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let asked = self.audit("ResponseComplete").into_iter();
        let asked = asked.filter(|(action, ..)| action != "create selfsubjectaccessreviews");
        let (allowed, refused): (Vec<_>, Vec<_>) = asked.partition(|(.., is_allowed)| *is_allowed);
        let actions = |asked: Vec<(String, String, bool)>| asked.into_iter().map(|(action, ..)| action).collect();
        (actions(allowed), actions(refused))
    }
}
