//! Commits and files: <https://docs.gitlab.com/api/commits/>, <https://docs.gitlab.com/api/repositories/>.

use super::GitLab;
use crate::error::{Error, Result};
use crate::forge::history::{Commit, History, decoded, known};
use crate::forge::rest::escape;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Entries of a page, and pages of a list, at most.
const PAGE: usize = 100;
const MAX_PAGES: usize = 300;

#[derive(Deserialize)]
struct WireCommit {
    id: String,
    committed_date: String,
    #[serde(default)]
    parent_ids: Vec<String>,
}

impl From<WireCommit> for Commit {
    fn from(wire: WireCommit) -> Self {
        Commit::new(wire.id, &wire.committed_date, wire.parent_ids.into_iter().next())
    }
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    path: String,
    mode: String,
}

#[derive(Deserialize)]
struct Blob {
    content: String,
}

#[async_trait(?Send)]
impl History for GitLab {
    async fn commit(&self, revision: &str) -> Result<Option<Commit>> {
        let path = format!("{}/repository/commits/{}", self.root, escape(revision));
        Ok(known(self.rest.get::<WireCommit>(&path).await)?.map(|(_, wire)| wire.into()))
    }

    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<Commit>> {
        let refs = [one, other].map(|revision| format!("refs%5B%5D={}", escape(revision))).join("&");
        let path = format!("{}/repository/merge_base?{refs}", self.root);
        Ok(known(self.rest.get::<WireCommit>(&path).await)?.map(|(_, wire)| wire.into()))
    }

    async fn files(&self, commit: &str) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for page in 1..=MAX_PAGES {
            let query = format!("ref={commit}&recursive=true&per_page={PAGE}&page={page}");
            let (_, entries): (_, Vec<Entry>) =
                self.rest.get(&format!("{}/repository/tree?{query}", self.root)).await?;
            let is_last = entries.len() < PAGE;
            // A link or a submodule is not a file.
            let found = entries.into_iter().filter(|entry| entry.mode.starts_with("100"));
            files.extend(found.map(|entry| (entry.path, entry.id)));
            if is_last {
                return Ok(files);
            }
        }
        Err(Error::remote(format!("{} has more than {} files", self.path, PAGE * MAX_PAGES))
            .hint("clone the repository, with `GIT_DEPTH: 0`"))
    }

    async fn read(&self, _commit: &str, _path: &str, id: &str) -> Result<Vec<u8>> {
        let (_, blob): (_, Blob) = self.rest.get(&format!("{}/repository/blobs/{id}", self.root)).await?;
        decoded(&blob.content)
    }
}
