//! Launches tasks and takes them back. What changes something is not sent again before a look whether it happened.

use super::client::Client;
use super::task::{Task, text};
use super::tasks::exactly;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::http::RetryPolicy::{Idempotent, LookFirst};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The tag of a task that a check stops and archives when it ends. One that is not archived runs, or was left.
pub const CHECK_TAG: &str = "cml-check";
/// How often to look whether the worker has stopped a task; it polls the server every few seconds.
const STOP_INTERVAL: Duration = Duration::from_millis(500);
const STOP_POLLS: usize = 6;
/// What tells how far a task is.
const STATE: [&str; 9] = [
    "id",
    "name",
    "project",
    "status",
    "status_reason",
    "status_message",
    "last_iteration",
    "last_worker",
    "last_metrics",
];

/// A task to create.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// A task to clone, in place of an empty one.
    pub template: Option<String>,
    /// Its name.
    pub name: String,
    /// The path of its project.
    pub project: Option<String>,
    /// `training`, `testing`, …
    pub kind: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its comment, in which `marker` is.
    pub comment: String,
    /// What no other task has in its comment.
    pub marker: String,
    /// The repository, commit and entry point: <https://clear.ml/docs/latest/docs/references/api/tasks>.
    pub script: Map<String, Value>,
    /// Command-line arguments.
    pub args: Vec<(String, String)>,
    /// The container, for agents that use one.
    pub container: Map<String, Value>,
}

/// How far a task is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The task, as far as it was asked for.
    pub task: Task,
    /// The last iteration that it has reported.
    pub iteration: i64,
    /// What the agent says about it.
    pub message: String,
}

impl Client {
    /// Creates a task. Nothing runs yet. Returns its identity.
    ///
    /// # Errors
    /// As [`Client::write`]; where an answer was lost, the error says what may be left.
    pub async fn create(&self, draft: &Draft) -> Result<String> {
        let project = match &draft.project {
            Some(path) => Some(self.project_or_new(path).await?),
            None => None,
        };
        let (endpoint, body) = self.creation(draft, project).await?;
        let id = self.once(endpoint, &body, || self.marked(&draft.marker)).await.map_err(|error| {
            let left = error.is_ambiguous();
            let error = error.context("cannot create the task");
            if left { error.hint(format!("a draft may be left: look for '{}' in ClearML", draft.name)) } else { error }
        })?;
        if draft.template.is_some() {
            let edit = json!({ "task": id, "script": draft.script });
            if let Err(error) = self.write("tasks.edit", &edit, Idempotent).await {
                let _ = self.write("tasks.archive", &json!({ "tasks": [id] }), Idempotent).await;
                return Err(error.context(format!("cannot prepare the task {id}")));
            }
        }
        Ok(id)
    }

    async fn creation(&self, draft: &Draft, project: Option<String>) -> Result<(&'static str, Value)> {
        let mut body = Map::new();
        let prefix = if draft.template.is_some() { "new_task_" } else { "" };
        let mut add = |name: &str, value: Value| drop(body.insert(format!("{prefix}{name}"), value));
        add("name", json!(draft.name));
        add("comment", json!(draft.comment));
        add("tags", json!(draft.tags));
        if let Some(project) = project {
            add("project", json!(project));
        }
        if !draft.container.is_empty() {
            add("container", json!(draft.container));
        }
        let mut parameters = match &draft.template {
            Some(id) if !draft.args.is_empty() => self.raw_task(id).await?["hyperparams"].take(),
            _ => Value::Null,
        };
        for (name, value) in &draft.args {
            parameters["Args"][name] =
                json!({ "section": "Args", "name": name, "value": value, "type": "str", "description": "" });
        }
        if !parameters.is_null() {
            add("hyperparams", parameters);
        }
        match &draft.template {
            Some(id) => {
                body.insert("task".to_owned(), json!(id));
                Ok(("tasks.clone", body.into()))
            }
            None => {
                body.insert("type".to_owned(), json!(draft.kind));
                body.insert("script".to_owned(), json!(draft.script));
                Ok(("tasks.create", body.into()))
            }
        }
    }

    /// Reads a task as the server has it.
    async fn raw_task(&self, id: &str) -> Result<Value> {
        Ok(self.read("tasks.get_by_id", &json!({ "task": id })).await?["task"].take())
    }

    /// Returns the identity of a project, which is created if need be.
    async fn project_or_new(&self, path: &str) -> Result<String> {
        let pattern = exactly(path);
        let find = || async {
            let found = self.list_projects(Some(&pattern)).await?;
            Ok(found.into_iter().find(|(_, name)| name == path).map(|(id, _)| id))
        };
        match find().await? {
            Some(id) => Ok(id),
            None => self.once("projects.create", &json!({ "name": path, "description": "" }), find).await,
        }
    }

    /// Creates something, and returns its identity. After a lost answer `find` looks whether it is there.
    async fn once<F: Future<Output = Result<Option<String>>>>(
        &self,
        endpoint: &str,
        body: &Value,
        find: impl Fn() -> F,
    ) -> Result<String> {
        let mut lost = None;
        for _ in 0..2 {
            match self.write(endpoint, body, LookFirst).await {
                Ok(data) => {
                    let id = text(&data["id"]);
                    let missing = || Error::remote(format!("ClearML's answer to {endpoint} has no ID"));
                    return if id.is_empty() { Err(missing()) } else { Ok(id) };
                }
                Err(error) if error.is_ambiguous() => match find().await {
                    Ok(Some(id)) => return Ok(id),
                    Ok(None) => lost = Some(error),
                    Err(_) => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Err(lost.unwrap_or_else(|| Error::internal("nothing was sent")))
    }

    /// Returns the task whose comment has a marker.
    async fn marked(&self, marker: &str) -> Result<Option<String>> {
        let body = json!({ "_all_": { "fields": ["comment"], "pattern": marker }, "only_fields": ["id"] });
        let data = self.read("tasks.get_all", &body).await?;
        Ok(data["tasks"][0]["id"].as_str().map(str::to_owned))
    }

    /// Puts a task into a queue.
    pub async fn enqueue(&self, task: &str, queue: &str) -> Result<()> {
        let body = json!({ "task": task, "queue": queue, "verify_watched_queue": true });
        for _ in 0..2 {
            match self.write("tasks.enqueue", &body, LookFirst).await {
                Err(error) if error.is_ambiguous() && self.state(task).await?.task.status == "created" => {}
                Err(error) if !error.is_ambiguous() => return Err(error),
                _ => return Ok(()),
            }
        }
        Err(Error::remote("ClearML did not answer whether the task was enqueued").hint("try again later"))
    }

    /// Returns how far a task is.
    ///
    /// # Errors
    /// It was deleted.
    pub async fn state(&self, id: &str) -> Result<State> {
        let data = self.read("tasks.get_all", &json!({ "id": [id], "only_fields": STATE })).await?;
        let value = &data["tasks"][0];
        if !value.is_object() {
            return Err(Error::not_found(format!("the ClearML task {id} is gone")).hint("somebody deleted it"));
        }
        let iteration = value["last_iteration"].as_i64().unwrap_or_default();
        Ok(State { task: Task::read(value), iteration, message: text(&value["status_message"]) })
    }

    /// Stops a task that waits or runs, and archives it if that is wanted, or if it never ran. Takes some seconds at most.
    ///
    /// # Errors
    /// It may still run.
    pub async fn stop(&self, app: &App, id: &str, reason: &str, archive: bool) -> Result<()> {
        let halted = self.halt(app, id, reason).await;
        let is_draft = matches!(&halted, Ok(status) if status == "created");
        if !archive && !is_draft {
            return halted.map(drop);
        }
        // The server also stops what it archives.
        let body = json!({ "tasks": [id], "status_reason": reason });
        self.write("tasks.archive", &body, Idempotent).await.map(drop)
    }

    /// Returns the status that it has then.
    async fn halt(&self, app: &App, id: &str, reason: &str) -> Result<String> {
        let mut body = json!({ "task": id, "status_reason": reason });
        let mut is_told = false;
        for _ in 0..=STOP_POLLS {
            let task = self.state(id).await?.task;
            if !task.is_under_way() {
                return Ok(task.status);
            }
            if is_told {
                app.host.sleep(STOP_INTERVAL).await;
                continue;
            }
            is_told = match self.write("tasks.stop", &body, Idempotent).await {
                Ok(_) => true,
                // Its status has changed meanwhile.
                Err(error) if error.kind() == Kind::Conflict => false,
                Err(error) => return Err(error),
            };
        }
        // The worker does not answer: the task is marked, and an agent that comes back ends it.
        body["force"] = json!(true);
        self.write("tasks.stopped", &body, Idempotent).await.map(|_| "stopped".to_owned())
    }

    /// Lists the tasks of checks that are not archived: those that run now, and those that were left.
    pub async fn left_by_checks(&self) -> Result<Vec<Task>> {
        let filter = super::Filter { tag: Some(CHECK_TAG.to_owned()), ..super::Filter::default() };
        Ok(self.tasks(&filter).await?.into_iter().filter(|task| !task.is_archived()).collect())
    }
}
