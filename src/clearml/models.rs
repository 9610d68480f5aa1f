//! Publishes tasks, and tags the models that they have made.

use super::client::Client;
use super::task::text;
use super::tasks::PAGE;
use crate::error::{Kind, Result};
use crate::http::RetryPolicy::Idempotent;
use serde_json::{Value, json};

impl Client {
    /// Publishes a task, with its models: nothing of it changes any more. Doing so twice is like doing it once.
    ///
    /// # Errors
    /// Those of [`Client::write`]; the task has not completed.
    pub async fn publish(&self, task: &str) -> Result<()> {
        match self.write("tasks.publish", &json!({ "task": task }), Idempotent).await {
            Err(error) if error.kind() == Kind::Conflict && self.state(task).await?.task.status == "published" => {
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// Adds a tag to models, or takes it away; their other tags stay.
    ///
    /// # Errors
    /// Those of [`Client::write`]; the API of the server is older than 2.27.
    pub async fn set_model_tag(&self, models: &[String], tag: &str, is_set: bool) -> Result<()> {
        let list = if is_set { "add_tags" } else { "remove_tags" };
        self.write("models.update_tags", &json!({ "ids": models, list: [tag] }), Idempotent).await.map(drop)
    }

    /// Returns the identities of the models of a project that have a tag, with those of the tasks that made them.
    pub async fn tagged_models(&self, project: &str, tag: &str) -> Result<Vec<(String, String)>> {
        let Value::Object(body) = json!({ "project": [project], "tags": [tag], "only_fields": ["id", "task"] }) else {
            return Ok(Vec::new());
        };
        let found = self.pages("models.get_all", body, "models", PAGE, true).await?;
        Ok(found.iter().map(|model| (text(&model["id"]), text(&model["task"]))).collect())
    }
}
