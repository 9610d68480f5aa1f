//! Finds and reads tasks and projects.

use super::client::Client;
use super::task::Task;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// The server cuts longer pages silently.
pub(super) const PAGE: usize = 500;
/// What tells whether a task counts. Diffs may be large: they are asked for one by one.
const FIELDS: [&str; 11] = [
    "id",
    "name",
    "type",
    "status",
    "status_reason",
    "system_tags",
    "tags",
    "last_update",
    "project",
    "script.version_num",
    "script.branch",
];

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Identities of projects; empty for all.
    pub projects: Vec<String>,
    /// The exact name.
    pub name: Option<String>,
    /// The commit, in full.
    pub commit: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// One of these statuses; empty for all.
    pub status: Vec<String>,
    /// A tag.
    pub tag: Option<String>,
    /// Without archived tasks.
    pub no_archived: bool,
    /// The field of `last_metrics` by which they are sorted, with `-` in front for the greatest first, and how many are wanted; else
    /// all of them, those that changed last first. Tasks without the field come last.
    pub best: Option<(String, usize)>,
}

impl Filter {
    /// Returns the request for it. `script.*` has no field of its own to filter by.
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut add = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        if !self.projects.is_empty() {
            add("project", json!(self.projects));
        }
        if let Some(name) = &self.name {
            add("name", json!(exactly(name)));
        }
        let script = [("script.version_num", &self.commit), ("script.branch", &self.branch)];
        if let Some((field, Some(value))) = script.into_iter().find(|(_, value)| value.is_some()) {
            add("_all_", json!({ "fields": [field], "pattern": exactly(value) }));
        }
        if !self.status.is_empty() {
            add("status", json!(self.status));
        }
        if let Some(tag) = &self.tag {
            add("tags", json!([tag]));
        }
        // `-` excludes: <https://github.com/clearml/clearml-server/blob/master/apiserver/schema/services/tasks.conf>
        if self.no_archived {
            add("system_tags", json!(["-archived"]));
        }
        match &self.best {
            Some((field, _)) => {
                let (scalar, _) = field.trim_start_matches('-').rsplit_once('.').unwrap_or_default();
                add("order_by", json!([field]));
                add("only_fields", json!([&FIELDS[..], &[scalar]].concat()));
            }
            None => {
                add("order_by", json!(["-last_update"]));
                add("only_fields", json!(FIELDS));
            }
        }
        body
    }
}

impl Client {
    /// Lists tasks, those that changed last first, or as [`Filter::best`] says.
    pub async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>> {
        let size = filter.best.as_ref().map_or(PAGE, |(_, count)| *count);
        let found = self.pages("tasks.get_all", filter.body(), "tasks", size, filter.best.is_none()).await?;
        Ok(found.iter().map(Task::read).collect())
    }

    /// Reads a task with all of its fields.
    ///
    /// # Errors
    /// There is no such task.
    pub async fn task(&self, id: &str) -> Result<Task> {
        let data = self.read("tasks.get_by_id", &json!({ "task": id })).await?;
        if data["task"].is_object() {
            return Ok(Task::read(&data["task"]));
        }
        Err(Error::not_found(format!("no ClearML task has the ID {id}"))
            .hint("check --task, and that the keys are of its workspace"))
    }

    /// Returns the uncommitted changes of a task.
    pub async fn diff(&self, id: &str) -> Result<String> {
        let body = json!({ "id": [id], "only_fields": ["script.diff"] });
        let data = self.read("tasks.get_all", &body).await?;
        Ok(Task::read(&data["tasks"][0]).diff.unwrap_or_default())
    }

    /// Returns the identities of a project, and with `PROJECT/**` of those below it.
    ///
    /// # Errors
    /// There is no such project.
    pub async fn projects(&self, path: &str) -> Result<Vec<String>> {
        let (path, pattern) = match path.strip_suffix("/**") {
            Some(path) => (path, format!("^{}(/|$)", escape(path))),
            None => (path, exactly(path)),
        };
        let found = self.list_projects(Some(&pattern)).await?;
        if !found.is_empty() {
            return Ok(found.into_iter().map(|(id, _)| id).collect());
        }
        let error = Error::not_found(format!("no ClearML project is called {path}"));
        let others = self.list_projects(None).await.unwrap_or_default();
        let nearest = others
            .iter()
            .map(|(_, name)| name)
            .max_by(|a, b| strsim::jaro_winkler(a, path).total_cmp(&strsim::jaro_winkler(b, path)));
        Err(match nearest {
            Some(name) => error.hint(format!("check --project; the nearest name is '{name}'")),
            None => error.hint("check --project, and that the keys are of its workspace"),
        })
    }

    /// Lists projects as identities and paths.
    pub(super) async fn list_projects(&self, pattern: Option<&str>) -> Result<Vec<(String, String)>> {
        let mut body = Map::new();
        if let Some(pattern) = pattern {
            body.insert("name".to_owned(), json!(pattern));
        }
        body.insert("only_fields".to_owned(), json!(["id", "name"]));
        body.insert("search_hidden".to_owned(), json!(true));
        let found = self.pages("projects.get_all", body, "projects", PAGE, true).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(found.iter().map(|project| (text(&project["id"]), text(&project["name"]))).collect())
    }

    /// Reads the first page of a list, or all.
    pub(super) async fn pages(
        &self,
        endpoint: &str,
        mut body: Map<String, Value>,
        key: &str,
        size: usize,
        all_pages: bool,
    ) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for page in 0.. {
            body.insert("page".to_owned(), json!(page));
            body.insert("page_size".to_owned(), json!(size));
            let mut data = self.read(endpoint, &Value::Object(body.clone())).await?;
            let Value::Array(items) = data[key].take() else { break };
            let is_last = !all_pages || items.len() < size;
            all.extend(items);
            if is_last {
                break;
            }
        }
        Ok(all)
    }
}

/// Returns the pattern that matches a text and nothing else.
pub fn exactly(text: &str) -> String {
    format!("^{}$", escape(text))
}

/// Returns a text that means itself in a regular expression.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_one_text() {
        assert_eq!(
            (exactly("Lab/CI (v1.0)"), exactly("a|b")),
            (r"^Lab/CI \(v1\.0\)$".to_owned(), r"^a\|b$".to_owned())
        );
    }
}
