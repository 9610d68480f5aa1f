//! Changes the tags of tasks, one at a time.

use super::client::Client;
use crate::app::App;
use crate::error::{Kind, Result};
use crate::http::RetryPolicy;
use serde_json::json;

impl Client {
    /// Adds a tag to a task, or takes it away; its other tags stay. Doing so twice is like doing it once.
    ///
    /// # Errors
    /// Those of [`Client::write`].
    pub async fn set_tag(&self, app: &App, task: &str, tag: &str, is_set: bool) -> Result<()> {
        let list = if is_set { "add_tags" } else { "remove_tags" };
        let body = json!({ "ids": [task], list: [tag] });
        match self.write("tasks.update_tags", &body, RetryPolicy::Idempotent).await {
            Err(error) if error.kind() == Kind::Unsupported => {}
            answer => return answer.map(drop),
        }
        // Before 2.27 of the API, only all tags at once.
        app.log.warn_of(
            &format!("this ClearML server cannot change one tag: all tags of {task} are written"),
            Some("a change that somebody else makes at the same moment may be lost; update the server"),
        );
        let mut tags = self.task(task).await?.tags;
        tags.retain(|other| other != tag);
        tags.extend(is_set.then(|| tag.to_owned()));
        self.write("tasks.update", &json!({ "task": task, "tags": tags }), RetryPolicy::Idempotent).await.map(drop)
    }
}
