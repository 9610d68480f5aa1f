//! Commits and files: <https://docs.github.com/en/rest/commits/commits>, <https://docs.github.com/en/rest/git/trees>,
//! <https://docs.github.com/en/rest/git/blobs>.

use super::GitHub;
use crate::error::{Error, Result};
use crate::forge::history::{Commit, History, decoded, known};
use async_trait::async_trait;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct WireCommit {
    sha: String,
    commit: Inner,
    #[serde(default)]
    parents: Vec<Parent>,
}

#[derive(Deserialize)]
struct Inner {
    committer: Person,
}

#[derive(Deserialize)]
struct Person {
    date: String,
}

#[derive(Deserialize)]
struct Parent {
    sha: String,
}

impl From<WireCommit> for Commit {
    fn from(wire: WireCommit) -> Self {
        Commit::new(wire.sha, &wire.commit.committer.date, wire.parents.into_iter().next().map(|parent| parent.sha))
    }
}

#[derive(Deserialize)]
struct Comparison {
    merge_base_commit: WireCommit,
}

#[derive(Deserialize)]
struct Tree {
    tree: Vec<Entry>,
    truncated: bool,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
    mode: String,
    sha: String,
}

#[derive(Deserialize)]
struct Blob {
    content: String,
}

/// Returns a revision as a part of a path, in which a slash stays.
fn escape(revision: &str) -> String {
    revision.split('/').map(crate::forge::rest::escape).collect::<Vec<_>>().join("/")
}

#[async_trait(?Send)]
impl History for GitHub {
    async fn commit(&self, revision: &str) -> Result<Option<Commit>> {
        let found: Result<WireCommit> = self.client.get(&format!("{}/commits/{}", self.root, escape(revision))).await;
        Ok(known(found)?.map(Commit::from))
    }

    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<Commit>> {
        let path = format!("{}/compare/{}...{}?per_page=1", self.root, escape(one), escape(other));
        let found: Result<Comparison> = self.client.get(&path).await;
        Ok(known(found)?.map(|comparison| comparison.merge_base_commit.into()))
    }

    async fn files(&self, commit: &str) -> Result<BTreeMap<String, String>> {
        let listed: Tree = self.client.get(&format!("{}/git/trees/{commit}?recursive=1", self.root)).await?;
        if listed.truncated {
            return Err(Error::remote(format!("{} has too many files for GitHub to list", self.repository.path))
                .hint("check the repository out, with `fetch-depth: 0` of actions/checkout"));
        }
        // A link or a submodule is not a file.
        let files = listed.tree.into_iter().filter(|entry| entry.mode.starts_with("100"));
        Ok(files.map(|entry| (entry.path, entry.sha)).collect())
    }

    async fn read(&self, _commit: &str, _path: &str, id: &str) -> Result<Vec<u8>> {
        let blob: Blob = self.client.get(&format!("{}/git/blobs/{id}", self.root)).await?;
        decoded(&blob.content)
    }
}
