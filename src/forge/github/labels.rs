//! Labels of pull requests: <https://docs.github.com/en/rest/issues/labels>, and who set them:
//! <https://docs.github.com/en/rest/issues/timeline>. To set one takes the role triage:
//! <https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization>.

use super::GitHub;
use crate::error::Result;
use crate::forge::labels::{Labels, SetLabel, day};
use async_trait::async_trait;
use serde::Deserialize;

/// Entries of a page, and pages of the timeline, at most.
const PAGE: usize = 100;
const MAX_PAGES: usize = 30;

#[derive(Deserialize)]
struct WireLabel {
    name: String,
}

/// An entry of the timeline. Other kinds of entries have other fields.
#[derive(Deserialize)]
struct Entry {
    event: Option<String>,
    label: Option<WireLabel>,
    /// None where the account was deleted.
    actor: Option<Actor>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Actor {
    login: String,
}

#[async_trait(?Send)]
impl Labels for GitHub {
    async fn label(&self, number: u64, name: &str) -> Result<Option<SetLabel>> {
        let pull = format!("{}/issues/{number}", self.root);
        let is_it = |label: &WireLabel| label.name.eq_ignore_ascii_case(name);
        let labels: Vec<WireLabel> = self.client.get(&format!("{pull}/labels?per_page={PAGE}")).await?;
        if !labels.iter().any(is_it) {
            return Ok(None);
        }
        let mut found = SetLabel { by: None, day: None, is_trusted: true };
        for page in 1..=MAX_PAGES {
            let timeline = format!("{pull}/timeline?per_page={PAGE}&page={page}");
            let entries: Vec<Entry> = self.client.get(&timeline).await?;
            let is_last = entries.len() < PAGE;
            let sets =
                |entry: &Entry| entry.event.as_deref() == Some("labeled") && entry.label.as_ref().is_some_and(is_it);
            // The oldest are first.
            if let Some(entry) = entries.into_iter().rfind(sets) {
                found.by = entry.actor.map(|actor| actor.login);
                found.day = entry.created_at.as_deref().and_then(day);
            }
            if is_last {
                break;
            }
        }
        Ok(Some(found))
    }
}
