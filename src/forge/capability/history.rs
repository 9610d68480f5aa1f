//! Commits and their files, for a run without a clone that has them.

use crate::error::Result;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// The commits of the repository.
#[async_trait(?Send)]
pub trait History {
    /// Returns the commit of a branch, a tag or a hash; `None` if there is no such revision. `HEAD` is the default branch.
    async fn commit(&self, revision: &str) -> Result<Option<Commit>>;

    /// Returns the best common ancestor of two revisions; `None` if they have none, or one does not exist.
    async fn merge_base(&self, one: &str, other: &str) -> Result<Option<Commit>>;

    /// Returns the files of a commit by path, with what the forge calls their content.
    ///
    /// # Errors
    /// The forge does not list all of them.
    async fn files(&self, commit: &str) -> Result<BTreeMap<String, String>>;

    /// Returns the content of a file of [`History::files`].
    async fn read(&self, commit: &str, path: &str, id: &str) -> Result<Vec<u8>>;
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// Its first parent.
    pub parent: Option<String>,
}

impl Commit {
    /// Returns a commit whose date is in the form of RFC 3339.
    pub fn new(sha: String, date: &str, parent: Option<String>) -> Self {
        Commit { sha, time: u64::try_from(crate::forge::seconds(date)).unwrap_or_default(), parent }
    }
}

/// Returns what there is, or `None` for what the forge does not know.
pub fn known<T>(answer: Result<T>) -> Result<Option<T>> {
    use crate::error::Kind;
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the bytes of a content in base64, with line breaks in it.
pub fn decoded(content: &str) -> Result<Vec<u8>> {
    use base64::Engine;
    let text: String = content.split_ascii_whitespace().collect();
    let decoded = base64::prelude::BASE64_STANDARD.decode(text);
    decoded.map_err(|error| crate::error::Error::remote(format!("the content of a file is not base64 ({error})")))
}
