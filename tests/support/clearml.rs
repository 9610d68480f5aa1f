//! A ClearML server for tests: its API as far as the program and the real SDK use it, and a server of files.
//!
//! Requests of the program (they say so in `X-ClearML-Client`) are checked: `POST`, the token, and exactly the keys of [`KEYS`];
//! others are answered like a server that does not understand them. The SDK's are taken as they come, which tests the fake: what it
//! writes has to be what the program reads. <https://github.com/clearml/clearml-server/tree/master/apiserver/schema/services>

use super::fake::http::{Framing, Request, Response, decode, read_request, write_response};
use super::fake::multipart;
use super::fake::server::{Port, Server, lock};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

/// The keys that a server accepts.
pub const KEY: &str = "AKCLEARMLTEST0001";
pub const SECRET: &str = "clearml-secret-of-the-tests-1234567890";
/// A token that may be exchanged for another.
pub const TOKEN: &str = "clearml-auth-token-of-the-tests-0987";

/// The keys of the program's requests; those after `|` may be missing.
const KEYS: &[(&str, &str)] = &[
    ("projects.get_all", "only_fields search_hidden page page_size | name"),
    ("tasks.get_all", "order_by only_fields page page_size | project name _all_ status tags system_tags"),
    ("tasks.get_all", "id only_fields"),
    ("tasks.get_all", "_all_ only_fields"),
    ("tasks.get_by_id", "task"),
    ("tasks.update_tags", "ids add_tags"),
    ("tasks.update_tags", "ids remove_tags"),
    ("tasks.update", "task tags"),
    ("tasks.publish", "task"),
    ("models.get_all", "project tags only_fields page page_size"),
    ("models.update_tags", "ids add_tags"),
    ("models.update_tags", "ids remove_tags"),
    ("projects.create", "name description"),
    ("queues.get_all", "only_fields | name"),
    ("queues.get_all", "id only_fields"),
    ("workers.get_all", "last_seen"),
    ("tasks.create", "name type tags comment script | project container hyperparams"),
    (
        "tasks.clone",
        "task new_task_name new_task_tags new_task_comment | new_task_project new_task_container new_task_hyperparams",
    ),
    ("tasks.edit", "task script"),
    ("tasks.enqueue", "task queue verify_watched_queue"),
    ("tasks.stop", "task status_reason"),
    ("tasks.stopped", "task status_reason force"),
    ("tasks.archive", "tasks | status_reason"),
    ("events.scalar_metrics_iter_histogram", "task samples key metrics"),
    ("events.get_task_log", "task batch_size navigate_earlier order"),
    ("events.get_task_plots", "task iters"),
    ("events.debug_images", "metrics iters"),
];

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub endpoint: String,
    /// The version in the path.
    pub version: String,
    pub authorization: String,
    pub client: String,
    pub body: Value,
    /// The answer with its envelope, if there was one in JSON.
    pub answer: Option<Value>,
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Wrong {
    /// The server refuses it: code, subcode.
    Refused(u16, u64),
    /// Something else answers.
    Answered(Response),
    /// The connection closes.
    Dropped,
    /// It is carried out, and the connection closes before the answer.
    Lost,
}

/// Is called with the tasks and the endpoint before each answer.
type Hook = Box<dyn Fn(&mut Vec<Value>, &str) + Send>;

struct State {
    projects: Vec<(String, String)>,
    tasks: Vec<Value>,
    models: Vec<Value>,
    /// Identity, name and the tasks that wait.
    queues: Vec<(String, String, Vec<String>)>,
    workers: Vec<Value>,
    /// After so many looks at it a worker stops the task that it is told to.
    stop_polls: u64,
    events: Vec<Value>,
    files: BTreeMap<String, (String, Vec<u8>)>,
    tokens: Vec<String>,
    api_version: String,
    lifetime: i64,
    calls: Vec<Call>,
    wrong: Vec<(&'static str, usize, Wrong)>,
    clock: u64,
    hook: Option<Hook>,
}

/// A running server.
pub struct ClearMl {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl ClearMl {
    pub fn start() -> ClearMl {
        let state = State {
            projects: Vec::new(),
            tasks: Vec::new(),
            models: Vec::new(),
            queues: Vec::new(),
            workers: Vec::new(),
            stop_polls: 0,
            events: Vec::new(),
            files: BTreeMap::new(),
            tokens: Vec::new(),
            api_version: "2.34".to_owned(),
            lifetime: 86_400,
            calls: Vec::new(),
            wrong: Vec::new(),
            clock: 0,
            hook: None,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Port::bind().serve(move |socket, _| {
            let _ = serve(socket, &shared);
        });
        ClearMl { server, state }
    }

    /// For `CLEARML_API_HOST` and `CLEARML_FILES_HOST`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Answers a request without a connection; `None` when the answer is lost.
    pub fn exchange(&self, request: &Request) -> Option<Response> {
        lock(&self.state).answer(request)
    }

    /// Makes a project and returns its identity.
    pub fn project(&self, name: &str) -> String {
        lock(&self.state).project(name)
    }

    /// Adds a task and returns its identity: the fields over those of a completed one. The last one added is the newest.
    pub fn task(&self, fields: Value) -> String {
        let mut state = lock(&self.state);
        let base = json!({ "name": "train", "type": "training", "status": "completed", "status_reason": "", "tags": [],
            "system_tags": [], "script": { "diff": "", "branch": "main" }, "active_duration": 252, "last_worker": "gpu-3" });
        let id = state.create(&base);
        let task = state.find(&id).unwrap();
        merge(task, &fields);
        id
    }

    /// Makes a queue, with a worker if it is watched, and returns its identity.
    pub fn queue(&self, name: &str, is_watched: bool) -> String {
        let mut state = lock(&self.state);
        let id = format!("{:032x}", 0xc000 + state.queues.len());
        state.queues.push((id.clone(), name.to_owned(), Vec::new()));
        if is_watched {
            let worker = json!({ "id": format!("vm:{name}"), "queues": [{ "id": id, "name": name }] });
            state.workers.push(worker);
        }
        id
    }

    /// Workers stop a task after so many looks at it.
    pub fn stop_polls(&self, polls: u64) {
        lock(&self.state).stop_polls = polls;
    }

    /// Changes a task.
    pub fn change(&self, id: &str, fields: Value) {
        merge(lock(&self.state).find(id).unwrap(), &fields);
    }

    /// Adds a model that a task has made.
    pub fn model(&self, id: &str, task: &str, tags: &[&str]) {
        let mut state = lock(&self.state);
        let project = state.find(task).unwrap()["project"].clone();
        state.models.push(json!({ "id": id, "task": task, "project": project, "tags": tags }));
        let output = json!([{ "name": id, "model": id }]);
        merge(state.find(task).unwrap(), &json!({ "models": { "output": output } }));
    }

    /// Reads a model.
    pub fn read_model(&self, id: &str) -> Value {
        lock(&self.state).models.iter().find(|model| model["id"] == id).unwrap().clone()
    }

    /// Reads a task.
    pub fn read(&self, id: &str) -> Value {
        lock(&self.state).find(id).unwrap().clone()
    }

    /// Adds an event, as the SDK sends them.
    pub fn event(&self, event: Value) {
        lock(&self.state).add_event(event);
    }

    /// Serves a file.
    pub fn file(&self, path: &str, mime: &str, bytes: &[u8]) -> String {
        lock(&self.state).files.insert(path.to_owned(), (mime.to_owned(), bytes.to_vec()));
        format!("{}/{path}", self.url())
    }

    pub fn api_version(&self, version: &str) {
        lock(&self.state).api_version = version.to_owned();
    }

    /// Tokens live so many seconds.
    pub fn lifetime(&self, seconds: i64) {
        lock(&self.state).lifetime = seconds;
    }

    /// The next `times` requests of an endpoint go wrong.
    pub fn fails(&self, endpoint: &'static str, times: usize, wrong: Wrong) {
        lock(&self.state).wrong.push((endpoint, times, wrong));
    }

    /// Called before each request is carried out, with the tasks and the endpoint.
    pub fn before_each(&self, hook: impl Fn(&mut Vec<Value>, &str) + Send + 'static) {
        lock(&self.state).hook = Some(Box::new(hook));
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state).calls.clone()
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.endpoint).collect()
    }

    pub fn tasks(&self) -> Vec<Value> {
        lock(&self.state).tasks.clone()
    }
}

/// Takes an object over another, deeply.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn serve(socket: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    while let Some(request) = read_request(&mut reader, || {})? {
        let Some(answer) = lock(state).answer(&request) else { return Ok(()) };
        if !write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
            break;
        }
    }
    Ok(())
}

/// An answer in its envelope. `"__NaN__"` becomes the bare word, as the server's encoder writes it.
fn envelope(status: u16, subcode: u64, data: &Value) -> Response {
    // The SDK requires all of it.
    let meta = json!({
        "id": "1",
        "trx": "1",
        "endpoint": { "name": "any", "requested_version": "2.23", "actual_version": "2.23" },
        "result_code": status,
        "result_subcode": subcode,
        "result_msg": format!("message {status}/{subcode}"),
        "error_stack": "",
        "error_data": {},
    });
    let text = json!({ "meta": meta, "data": data }).to_string().replace("\"__NaN__\"", "NaN");
    Response::bytes(status, "application/json; charset=utf-8", text)
}

impl State {
    fn answer(&mut self, request: &Request) -> Option<Response> {
        let at = self.calls.len();
        let answer = self.carry_out(request)?;
        if let Some(call) = self.calls.get_mut(at) {
            call.answer = serde_json::from_slice(&answer.body).ok();
        }
        Some(answer)
    }

    fn carry_out(&mut self, request: &Request) -> Option<Response> {
        let path = decode(request.path().trim_start_matches('/'), false);
        let authorization = request.header("authorization").unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let (version, endpoint) = match parts[..] {
            [version, endpoint] if version.starts_with('v') && endpoint.contains('.') => (version, endpoint),
            [endpoint] if endpoint.contains('.') && !self.files.contains_key(endpoint) => ("", endpoint),
            _ => return Some(self.files(request, &path, &authorization)),
        };
        let client = request.header("x-clearml-client").unwrap_or_default().to_owned();
        let call = Call {
            method: request.method.clone(),
            endpoint: endpoint.to_owned(),
            version: version.to_owned(),
            authorization: authorization.clone(),
            client: client.clone(),
            body: request.json(),
            answer: None,
        };
        self.calls.push(call.clone());
        if let Some(at) = self.wrong.iter().position(|(name, times, _)| *name == endpoint && *times > 0) {
            self.wrong[at].1 -= 1;
            match self.wrong[at].2.clone() {
                Wrong::Refused(code, subcode) => return Some(envelope(code, subcode, &json!({}))),
                Wrong::Answered(response) => return Some(response),
                Wrong::Dropped => return None,
                Wrong::Lost => {
                    self.call(endpoint, request);
                    return None;
                }
            }
        }
        if let Some(hook) = &self.hook {
            hook(&mut self.tasks, endpoint);
        }
        if endpoint == "auth.login" {
            return Some(self.login(&authorization));
        }
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default();
        if !self.tokens.iter().any(|token| token == bearer) {
            return Some(envelope(401, 31, &json!({})));
        }
        if client.starts_with("cml-") && !is_ours(&call) {
            return Some(envelope(400, 12, &json!({ "wrong": call.body })));
        }
        Some(self.call(endpoint, request))
    }

    fn login(&mut self, authorization: &str) -> Response {
        let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:{SECRET}")));
        if authorization != basic && authorization != format!("Bearer {TOKEN}") {
            return envelope(401, 22, &json!({}));
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let claims = json!({ "exp": now + self.lifetime, "api_version": self.api_version, "n": self.tokens.len(),
            "server_version": "2.3.0", "identity": { "user_name": "ci", "role": "user" } });
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims.to_string()));
        self.tokens.push(token.clone());
        envelope(200, 0, &json!({ "token": token }))
    }

    /// The server of files takes the token and nothing else.
    fn files(&mut self, request: &Request, path: &str, authorization: &str) -> Response {
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default();
        if !self.tokens.iter().any(|token| token == bearer) {
            return Response::empty(401);
        }
        if request.method == "POST" {
            for part in multipart::parts(request).unwrap_or_default() {
                let mime = part.content_type.unwrap_or_default();
                // The SDK quotes some names and some not.
                let name = decode(&part.filename.unwrap_or(part.name), false);
                self.files.insert(name.trim_start_matches('/').to_owned(), (mime, part.body));
            }
            return Response::empty(200);
        }
        match self.files.get(path) {
            Some((mime, bytes)) => Response::bytes(200, mime, bytes.clone()),
            None => Response::empty(404),
        }
    }

    fn call(&mut self, endpoint: &str, request: &Request) -> Response {
        let body = request.json();
        let task = body["task"].as_str().unwrap_or_default().to_owned();
        let data = match endpoint {
            "projects.get_all" | "projects.get_all_ex" => json!({ "projects": self.list_projects(&body) }),
            "projects.get_by_id" => {
                let found = self.projects.iter().find(|(id, _)| *id == body["project"]);
                json!({ "project": found.map(|(id, name)| json!({ "id": id, "name": name })) })
            }
            "projects.create" => json!({ "id": self.project(body["name"].as_str().unwrap_or_default()) }),
            "tasks.create" => json!({ "id": self.create(&body) }),
            "tasks.get_all" | "tasks.get_all_ex" => {
                self.look(&body["id"]);
                json!({ "tasks": self.list_tasks(&body) })
            }
            "tasks.enqueue" => {
                let queue = self.queues.iter_mut().find(|(id, ..)| *id == body["queue"]);
                let Some((id, _, entries)) = queue else { return envelope(400, 701, &json!({})) };
                entries.push(task.clone());
                let (id, watched) = (id.clone(), self.is_watched(body["queue"].as_str().unwrap()));
                let mut fields = self.set(&task, &json!({ "status": "queued", "execution": { "queue": id } }));
                merge(&mut fields, &json!({ "queued": 1, "queue_watched": watched }));
                fields
            }
            "tasks.dequeue" => {
                self.take_out(&task);
                self.set(&task, &json!({ "status": body["new_status"].as_str().unwrap_or("created") }))
            }
            "tasks.stop" => match self.status(&task).as_str() {
                "in_progress" if self.stop_polls > 0 => {
                    let fields = json!({ "status_message": "stopping", "stop_polls": self.stop_polls });
                    self.set(&task, &fields)
                }
                "queued" | "in_progress" => {
                    self.take_out(&task);
                    self.set(&task, &json!({ "status": "stopped", "status_reason": body["status_reason"] }))
                }
                _ => return envelope(400, 110, &json!({})),
            },
            "tasks.archive" => {
                for id in body["tasks"].as_array().cloned().unwrap_or_default() {
                    let id = id.as_str().unwrap_or_default().to_owned();
                    self.take_out(&id);
                    let is_under_way = matches!(self.status(&id).as_str(), "in_progress" | "queued");
                    let status = if is_under_way { json!({ "status": "stopped" }) } else { json!({}) };
                    self.set(&id, &status);
                    self.set(&id, &json!({ "system_tags": ["archived"] }));
                }
                json!({ "archived": 1 })
            }
            "tasks.clone" => {
                let Some(mut fields) = self.find(&task).cloned() else { return envelope(400, 101, &json!({})) };
                for key in ["id", "status", "last_metrics", "last_iteration", "last_update"] {
                    fields.as_object_mut().unwrap().remove(key);
                }
                for (key, value) in body.as_object().unwrap() {
                    if let Some(key) = key.strip_prefix("new_task_") {
                        fields[key] = value.clone();
                    }
                }
                json!({ "id": self.create(&fields) })
            }
            "queues.get_all" | "queues.get_all_ex" => json!({ "queues": self.list_queues(&body) }),
            "queues.get_default" => match self.queues.first() {
                Some((id, name, _)) => json!({ "id": id, "name": name }),
                None => return envelope(400, 707, &json!({})),
            },
            "queues.get_by_id" => match self.queues.iter().find(|(id, ..)| *id == body["queue"]) {
                Some((id, name, _)) => json!({ "queue": { "id": id, "name": name, "entries": [] } }),
                None => return envelope(400, 701, &json!({})),
            },
            "queues.get_next_task" => {
                let queue = self.queues.iter_mut().find(|(id, ..)| *id == body["queue"]);
                match queue.filter(|(.., entries)| !entries.is_empty()) {
                    Some((.., entries)) => json!({ "entry": { "task": entries.remove(0), "added": "2026-11-28T00:00:00+00:00" } }),
                    None => json!({}),
                }
            }
            "workers.get_all" => json!({ "workers": self.workers }),
            "workers.register" => {
                let queues = body["queues"].as_array().cloned().unwrap_or_default();
                let queues: Vec<Value> = queues.iter().map(|id| json!({ "id": id })).collect();
                self.workers.push(json!({ "id": body["worker"], "queues": queues }));
                json!({})
            }
            "workers.unregister" => {
                self.workers.retain(|worker| worker["id"] != body["worker"]);
                json!({})
            }
            "workers.status_report" => {
                let worker = json!({ "last_worker": body["worker"] });
                if task.is_empty() { json!({}) } else { self.set(&task, &worker) }
            }
            "tasks.get_by_id" => match self.find(&task) {
                Some(task) => json!({ "task": task }),
                None => return envelope(400, 101, &json!({})),
            },
            "tasks.started" => self.set(&task, &json!({ "status": "in_progress" })),
            "tasks.completed" => self.set(&task, &json!({ "status": "completed" })),
            "tasks.failed" => self.set(&task, &json!({ "status": "failed", "status_reason": body["status_reason"], "status_message": body["status_message"] })),
            "tasks.stopped" => self.set(&task, &json!({ "status": "stopped" })),
            "tasks.edit" | "tasks.update" => {
                let mut fields = body.clone();
                fields.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "task" | "force" | "method"));
                self.set(&task, &fields)
            }
            "tasks.set_requirements" => self.set(&task, &json!({ "script": { "requirements": body["requirements"] } })),
            "tasks.update_tags" => update_tags(&mut self.tasks, &body),
            "tasks.publish" => match self.status(&task).as_str() {
                "completed" | "stopped" | "failed" => self.set(&task, &json!({ "status": "published" })),
                _ => return envelope(400, 110, &json!({})),
            },
            "models.update_tags" => update_tags(&mut self.models, &body),
            "models.get_all" => {
                let has = |model: &&Value| {
                    body["project"] == json!([model["project"]])
                        && model["tags"].as_array().unwrap().contains(&body["tags"][0])
                };
                json!({ "models": page(self.models.iter().filter(has).cloned().collect(), &body) })
            }
            "tasks.ping" => json!({}),
            "tasks.add_or_update_artifacts" => {
                self.set(&task, &json!({ "execution": { "artifacts": body["artifacts"] } }))
            }
            "events.add" => {
                self.add_event(body);
                json!({ "added": 1, "errors": 0 })
            }
            "events.add_batch" => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
                let added = events.len();
                events.into_iter().for_each(|event| self.add_event(event));
                json!({ "added": added, "errors": 0, "errors_info": {} })
            }
            "events.scalar_metrics_iter_histogram" => self.histogram(&task, &body["metrics"]),
            "events.get_task_log" => self.log(&task, &body),
            "events.get_task_plots" => json!({ "plots": self.events_of(&task, "plot"), "scroll_id": "s" }),
            "events.debug_images" => {
                let task = body["metrics"][0]["task"].as_str().unwrap_or_default().to_owned();
                let events = self.events_of(&task, "training_debug_image");
                json!({ "metrics": [{ "task": task, "iterations": [{ "iter": 0, "events": events }] }] })
            }
            _ => return envelope(404, 0, &json!({})),
        };
        envelope(200, 0, &data)
    }

    fn project(&mut self, name: &str) -> String {
        if let Some((id, _)) = self.projects.iter().find(|(_, found)| found == name) {
            return id.clone();
        }
        let id = format!("{:032x}", 0xf000 + self.projects.len());
        self.projects.push((id.clone(), name.to_owned()));
        id
    }

    fn create(&mut self, fields: &Value) -> String {
        let id = format!("{:032x}", 0xa000 + self.tasks.len());
        let mut task = json!({ "id": id, "status": "created", "last_iteration": 0, "script": {}, "execution": {} });
        merge(&mut task, fields);
        self.tasks.push(task);
        self.touch(&id);
        id
    }

    fn touch(&mut self, id: &str) {
        self.clock += 1;
        let time = format!("2026-11-28T00:{:02}:{:02}.000000+00:00", self.clock / 60, self.clock % 60);
        merge(self.find(id).unwrap(), &json!({ "last_update": time }));
    }

    fn find(&mut self, id: &str) -> Option<&mut Value> {
        self.tasks.iter_mut().find(|task| task["id"] == id)
    }

    fn set(&mut self, id: &str, fields: &Value) -> Value {
        match self.find(id) {
            Some(task) => merge(task, fields),
            None => return json!({ "updated": 0 }),
        }
        self.touch(id);
        json!({ "updated": 1, "fields": fields })
    }

    fn status(&mut self, id: &str) -> String {
        self.find(id).and_then(|task| Some(task["status"].as_str()?.to_owned())).unwrap_or_default()
    }

    /// A worker looks at the tasks that it is told to stop.
    fn look(&mut self, ids: &Value) {
        for id in ids.as_array().cloned().unwrap_or_default() {
            let Some(task) = self.find(id.as_str().unwrap_or_default()) else { continue };
            match task["stop_polls"].as_u64() {
                Some(0) | None => {}
                Some(1) => merge(task, &json!({ "status": "stopped", "stop_polls": 0 })),
                Some(polls) => task["stop_polls"] = json!(polls - 1),
            }
        }
    }

    fn take_out(&mut self, task: &str) {
        self.queues.iter_mut().for_each(|(.., entries)| entries.retain(|entry| entry != task));
    }

    fn is_watched(&self, queue: &str) -> bool {
        let queues = |worker: &Value| worker["queues"].as_array().cloned().unwrap_or_default();
        self.workers.iter().any(|worker| queues(worker).iter().any(|watched| watched["id"] == queue))
    }

    fn list_queues(&self, body: &Value) -> Vec<Value> {
        let is_named = |name: &str| body["name"].as_str().is_none_or(|pattern| fits(pattern, name));
        let is_meant = |id: &str| body["id"].as_array().is_none_or(|ids| ids.iter().any(|wanted| wanted == id));
        let found = self.queues.iter().filter(|(id, name, _)| is_named(name) && is_meant(id));
        let queue = |(id, name, entries): &(String, String, Vec<String>)| {
            let entries: Vec<Value> = entries.iter().map(|task| json!({ "task": task })).collect();
            json!({ "id": id, "name": name, "entries": entries, "tags": [], "system_tags": [] })
        };
        found.map(queue).collect()
    }

    fn list_projects(&self, body: &Value) -> Vec<Value> {
        let is_wanted = |name: &str| body["name"].as_str().is_none_or(|pattern| fits(pattern, name));
        let found = self.projects.iter().filter(|(_, name)| is_wanted(name));
        page(found.map(|(id, name)| json!({ "id": id, "name": name })).collect(), body)
    }

    fn list_tasks(&self, body: &Value) -> Vec<Value> {
        let any = |key: &str, value: &Value| {
            let wanted = body[key].as_array();
            wanted.is_none_or(|wanted| match value {
                Value::Array(values) => values.iter().any(|value| wanted.contains(value)),
                value => wanted.contains(value),
            })
        };
        let matches = |pattern: &Value, value: &Value| {
            pattern.as_str().is_none_or(|pattern| fits(pattern, value.as_str().unwrap_or_default()))
        };
        let field = |task: &Value| {
            let path = body["_all_"]["fields"][0].as_str().unwrap_or_default().replace('.', "/");
            task.pointer(&format!("/{path}")).cloned().unwrap_or_default()
        };
        let is_wanted = |task: &&Value| {
            any("id", &task["id"])
                && any("project", &task["project"])
                && any("status", &task["status"])
                && any("tags", &task["tags"])
                && !is_excluded(&body["system_tags"], &task["system_tags"])
                && matches(&body["name"], &task["name"])
                && matches(&body["_all_"]["pattern"], &field(task))
        };
        let mut found: Vec<Value> = self.tasks.iter().filter(is_wanted).cloned().collect();
        match body["order_by"][0].as_str() {
            Some(field) if field.contains("last_metrics.") => sort_by_number(&mut found, field),
            _ => found.sort_by_key(|task| std::cmp::Reverse(task["last_update"].to_string())),
        }
        let fields = body["only_fields"].as_array().cloned();
        let found = found.iter().map(|task| fields.as_ref().map_or_else(|| task.clone(), |fields| only(task, fields)));
        page(found.collect(), body)
    }

    fn add_event(&mut self, event: Value) {
        let id = event["task"].as_str().unwrap_or_default().to_owned();
        if event["type"] == "training_stats_scalar" && self.find(&id).is_some() {
            let (metric, variant) = (event["metric"].clone(), event["variant"].clone());
            let key = |value: &Value| cml::digest::hash(value.as_str().unwrap_or_default().as_bytes())[..32].to_owned();
            let pointer = format!("/last_metrics/{}/{}", key(&metric), key(&variant));
            let before = self.find(&id).unwrap().pointer(&pointer).cloned().unwrap_or_default();
            let (value, iter) = (event["value"].clone(), event["iter"].clone());
            let better = |name: &str, is_better: fn(f64, f64) -> bool| match (before[name].as_f64(), value.as_f64()) {
                (Some(old), Some(new)) if !is_better(new, old) => {
                    (before[name].clone(), before[format!("{name}_iteration")].clone())
                }
                (Some(_), None) => (before[name].clone(), before[format!("{name}_iteration")].clone()),
                _ => (value.clone(), iter.clone()),
            };
            let (min, max) = (better("min_value", |new, old| new < old), better("max_value", |new, old| new > old));
            let fields = json!({ "metric": metric, "variant": variant, "value": value, "min_value": min.0,
                "min_value_iteration": min.1, "max_value": max.0, "max_value_iteration": max.1 });
            let patch = json!({ "last_metrics": { key(&metric): { key(&variant): fields } } });
            let task = self.find(&id).unwrap();
            merge(task, &patch);
            let last =
                task["last_iteration"].as_i64().unwrap_or_default().max(event["iter"].as_i64().unwrap_or_default());
            task["last_iteration"] = json!(last);
        }
        self.events.push(event);
    }

    fn events_of(&self, task: &str, kind: &str) -> Vec<Value> {
        self.events.iter().filter(|event| event["task"] == task && event["type"] == kind).cloned().collect()
    }

    fn histogram(&self, task: &str, metrics: &Value) -> Value {
        let mut found: Map<String, Value> = Map::new();
        let is_wanted = |event: &Value| {
            metrics.as_array().is_none_or(|metrics| {
                metrics.iter().any(|wanted| {
                    wanted["metric"] == event["metric"]
                        && wanted["variants"].as_array().unwrap().contains(&event["variant"])
                })
            })
        };
        for event in self.events_of(task, "training_stats_scalar").iter().filter(|event| is_wanted(event)) {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let metric = found.entry(text("metric")).or_insert(json!({}));
            let line = metric.as_object_mut().unwrap().entry(text("variant")).or_insert(json!({ "x": [], "y": [] }));
            line["x"].as_array_mut().unwrap().push(event["iter"].clone());
            line["y"].as_array_mut().unwrap().push(event["value"].clone());
        }
        Value::Object(found)
    }

    fn log(&self, task: &str, body: &Value) -> Value {
        let all = self.events_of(task, "log");
        let size = body["batch_size"].as_u64().unwrap_or(5000) as usize;
        json!({ "events": all[all.len().saturating_sub(size)..], "returned": all.len(), "total": all.len() })
    }
}

/// Whether a task has one of the tags that a filter excludes with `-`.
fn is_excluded(filter: &Value, tags: &Value) -> bool {
    let excluded = filter.as_array().into_iter().flatten().filter_map(|tag| tag.as_str()?.strip_prefix('-'));
    excluded.into_iter().any(|tag| tags.as_array().is_some_and(|tags| tags.contains(&json!(tag))))
}

/// Sorts tasks by a number at a dotted path, with `-` in front the greatest first; those without it come last.
fn sort_by_number(tasks: &mut [Value], field: &str) {
    let path = format!("/{}", field.trim_start_matches('-').replace('.', "/"));
    let number = |task: &Value| task.pointer(&path).and_then(Value::as_f64);
    let sign = if field.starts_with('-') { -1.0 } else { 1.0 };
    let key = |task: &Value| number(task).map_or(f64::INFINITY, |number| sign * number);
    tasks.sort_by(|one, other| key(one).total_cmp(&key(other)));
}

/// Adds and takes away single tags, in one step. Neither changes `last_update`.
fn update_tags(all: &mut [Value], body: &Value) -> Value {
    let list = |key: &str| body[key].as_array().cloned().unwrap_or_default();
    let (ids, add, remove) = (list("ids"), list("add_tags"), list("remove_tags"));
    for one in all.iter_mut().filter(|one| ids.contains(&one["id"])) {
        let tags = one["tags"].as_array_mut().unwrap();
        tags.retain(|tag| !remove.contains(tag) && !add.contains(tag));
        tags.extend(add.iter().cloned());
    }
    json!({ "updated": ids.len() })
}

/// Whether the program's request is one that [`KEYS`] has.
fn is_ours(call: &Call) -> bool {
    let Some(body) = call.body.as_object().filter(|_| call.method == "POST") else { return false };
    let words = |text: &'static str| text.split_whitespace();
    KEYS.iter().filter(|(endpoint, _)| *endpoint == call.endpoint).any(|(_, keys)| {
        let (must, may) = keys.split_once('|').unwrap_or((keys, ""));
        words(must).all(|key| body.contains_key(key))
            && body.keys().all(|key| words(must).chain(words(may)).any(|known| known == key))
    })
}

/// Whether a text is what a pattern means: `^text$`, `^text(/|$)`, or a part of it. Backslashes stand before single characters.
fn fits(pattern: &str, text: &str) -> bool {
    let plain = |pattern: &str| {
        let mut chars = pattern.chars();
        std::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) }))
            .collect::<String>()
    };
    match pattern.strip_prefix('^') {
        Some(rest) if rest.ends_with("(/|$)") => {
            let start = plain(rest.trim_end_matches("(/|$)"));
            text.strip_prefix(&start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some(rest) if rest.ends_with('$') => text == plain(&rest[..rest.len() - 1]),
        _ => text.contains(&plain(pattern)),
    }
}

/// The fields of a task that a request asks for, nested as the task has them, and its identity.
fn only(task: &Value, fields: &[Value]) -> Value {
    let mut kept = json!({ "id": task["id"] });
    for path in fields.iter().filter_map(Value::as_str) {
        if let Some(value) = task.pointer(&format!("/{}", path.replace('.', "/"))) {
            let nested = path.rsplit('.').fold(value.clone(), |inner, key| json!({ key: inner }));
            merge(&mut kept, &nested);
        }
    }
    kept
}

/// A page of a list, which has 500 items at most.
fn page(all: Vec<Value>, body: &Value) -> Vec<Value> {
    let size = body["page_size"].as_u64().unwrap_or(500).min(500) as usize;
    let start = body["page"].as_u64().unwrap_or(0) as usize * size;
    all.into_iter().skip(start).take(size).collect()
}
