//! Commits and files: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/>,
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-source/>.

use super::Bitbucket;
use crate::error::{Error, Result};
use crate::forge::history::{Commit, History, known};
use crate::forge::rest::escape;
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Folders below each other, and pages of a list, at most.
const MAX_DEPTH: usize = 20;
const MAX_PAGES: usize = 300;

#[derive(Deserialize)]
struct WireCommit {
    hash: String,
    date: String,
    #[serde(default)]
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Parent {
    hash: String,
}

impl From<WireCommit> for Commit {
    fn from(wire: WireCommit) -> Self {
        Commit::new(wire.hash, &wire.date, wire.parents.into_iter().next().map(|parent| parent.hash))
    }
}

#[derive(Deserialize)]
struct Page {
    values: Vec<Entry>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    attributes: Vec<String>,
}

#[async_trait(?Send)]
impl History for Bitbucket {
    async fn commit(&self, revision: &str) -> Result<Option<Commit>> {
        let path = format!("{}/commit/{}", self.root, escape(revision));
        Ok(known(self.rest.get::<WireCommit>(&path).await)?.map(|(_, wire)| wire.into()))
    }

    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<Commit>> {
        let path = format!("{}/merge-base/{}..{}", self.root, escape(one), escape(other));
        Ok(known(self.rest.get::<WireCommit>(&path).await)?.map(|(_, wire)| wire.into()))
    }

    async fn files(&self, commit: &str) -> Result<BTreeMap<String, String>> {
        let list = format!("{}/src/{commit}/?max_depth={MAX_DEPTH}&pagelen=100", self.root);
        let (mut files, mut path) = (BTreeMap::new(), list);
        for _ in 0..MAX_PAGES {
            let (_, page): (_, Page) = self.rest.get(&path).await?;
            // A link or a submodule is not a file.
            let is_file =
                |entry: &Entry| entry.kind == "commit_file" && !entry.attributes.iter().any(|it| it == "link");
            files.extend(page.values.into_iter().filter(is_file).map(|entry| (entry.path, String::new())));
            // The page is in the query, whatever the address of the API.
            let Some(query) = page.next.as_deref().and_then(|next| next.split_once('?')) else { return Ok(files) };
            path = format!("{}/src/{commit}/?{}", self.root, query.1);
        }
        Err(Error::remote(format!("{} has too many files for Bitbucket to list", self.repository.path))
            .hint("clone the repository, with `clone: { depth: full }`"))
    }

    async fn read(&self, commit: &str, path: &str, _id: &str) -> Result<Vec<u8>> {
        let path: Vec<String> = path.split('/').map(escape).collect();
        self.rest.bytes(&format!("{}/src/{commit}/{}", self.root, path.join("/"))).await
    }
}
