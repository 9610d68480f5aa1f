//! Labels of merge requests, and who set them: <https://docs.gitlab.com/api/resource_label_events/>.

use super::GitLab;
use crate::error::{Error, Kind, Result};
use crate::forge::labels::{Labels, SetLabel, day};
use async_trait::async_trait;
use serde::Deserialize;

/// Events of a page, and pages of them, at most.
const PAGE: usize = 100;
const MAX_PAGES: usize = 30;
/// The access level of the role Developer, who may push: <https://docs.gitlab.com/api/access_requests/#valid-access-levels>.
const DEVELOPER: u64 = 30;

#[derive(Deserialize)]
struct MergeRequest {
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct Event {
    user: Option<User>,
    created_at: String,
    /// None where the label was deleted.
    label: Option<WireLabel>,
    action: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
}

#[derive(Deserialize)]
struct WireLabel {
    name: String,
}

#[derive(Deserialize)]
struct Member {
    access_level: u64,
}

impl GitLab {
    /// Returns whether a user may push, as a member of the project or of its groups: <https://docs.gitlab.com/api/project_members/>.
    async fn may_push(&self, user: &User) -> Result<bool> {
        match self.rest.get::<Member>(&format!("{}/members/all/{}", self.root, user.id)).await {
            Ok((_, member)) => Ok(member.access_level >= DEVELOPER),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait(?Send)]
impl Labels for GitLab {
    async fn label(&self, number: u64, name: &str) -> Result<Option<SetLabel>> {
        let path = format!("{}/merge_requests/{number}", self.root);
        let (_, found): (_, MergeRequest) = self.rest.get(&path).await?;
        if !found.labels.iter().any(|label| label == name) {
            return Ok(None);
        }
        let mut last = None;
        for page in 1..=MAX_PAGES {
            let list = format!("{path}/resource_label_events?per_page={PAGE}&page={page}");
            let (_, events): (_, Vec<Event>) = self.rest.get(&list).await?;
            let is_last = events.len() < PAGE;
            let sets =
                |event: &Event| event.action == "add" && event.label.as_ref().is_some_and(|label| label.name == name);
            // The oldest are first.
            last = events.into_iter().rfind(sets).or(last);
            if is_last {
                break;
            }
        }
        let Some((user, created)) = last.and_then(|event| Some((event.user?, event.created_at))) else {
            return Err(Error::not_found("GitLab does not say who set the label").hint("remove it and set it again"));
        };
        let is_trusted = self.may_push(&user).await?;
        Ok(Some(SetLabel { by: Some(user.username), day: day(&created), is_trusted }))
    }
}
