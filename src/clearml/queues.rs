//! Queues and the workers that watch them.

use super::client::Client;
use super::task::text;
use super::tasks::exactly;
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// A worker that has been silent for so many seconds is gone, as the server sees it.
const SILENCE: u32 = 600;

/// A queue of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many tasks wait in it.
    pub waiting: usize,
}

impl Client {
    /// Lists the queues.
    pub async fn queues(&self) -> Result<Vec<Queue>> {
        self.list_queues(None).await
    }

    /// Returns the queue of a name. It is never created, as the server would do.
    ///
    /// # Errors
    /// There is none.
    pub async fn queue(&self, name: &str) -> Result<Queue> {
        let named = self.list_queues(Some(&exactly(name))).await?.into_iter().find(|queue| queue.name == name);
        if let Some(queue) = named {
            return Ok(queue);
        }
        let mut names: Vec<String> = self.queues().await?.into_iter().map(|queue| queue.name).collect();
        names.sort_by_cached_key(|other| (-1000.0 * strsim::jaro_winkler(other, name)) as i64);
        let error = Error::not_found(format!("no ClearML queue is called {name}"));
        Err(match names.first() {
            Some(nearest) => {
                error.hint(format!("check --queue; the nearest name is '{nearest}'; there are {}", names.join(", ")))
            }
            None => error.hint("create one in ClearML and start an agent: clearml-agent daemon --queue NAME"),
        })
    }

    async fn list_queues(&self, pattern: Option<&str>) -> Result<Vec<Queue>> {
        let mut body = json!({ "only_fields": ["id", "name", "entries"] });
        if let Some(pattern) = pattern {
            body["name"] = json!(pattern);
        }
        let data = self.read("queues.get_all", &body).await?;
        let queue = |queue: &Value| {
            let text = |key: &str| queue[key].as_str().unwrap_or_default().to_owned();
            Queue { id: text("id"), name: text("name"), waiting: queue["entries"].as_array().map_or(0, Vec::len) }
        };
        Ok(data["queues"].as_array().into_iter().flatten().map(queue).collect())
    }

    /// Returns how many tasks are before one in a queue; `None` if it is not in it.
    pub async fn place(&self, queue: &str, task: &str) -> Result<Option<usize>> {
        let data = self.read("queues.get_all", &json!({ "id": [queue], "only_fields": ["entries"] })).await?;
        let entries = data["queues"][0]["entries"].as_array();
        Ok(entries.and_then(|entries| entries.iter().position(|entry| text(&entry["task"]) == task)))
    }

    /// Returns, for each worker that is there, the identities of the queues that it watches.
    pub async fn watched_queues(&self) -> Result<Vec<Vec<String>>> {
        let data = self.read("workers.get_all", &json!({ "last_seen": SILENCE })).await?;
        let ids = |worker: &Value| {
            let queues = worker["queues"].as_array().into_iter().flatten();
            queues.filter_map(|queue| Some(queue["id"].as_str()?.to_owned())).collect()
        };
        Ok(data["workers"].as_array().into_iter().flatten().map(ids).collect())
    }
}
