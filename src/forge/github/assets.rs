//! Files of a report in the repository itself, by the Git Data API
//! (<https://docs.github.com/en/rest/git>): blobs, a tree, a commit and a ref outside of the branches, so that
//! no workflow starts and no branch appears. They have the repository's visibility.
//!
//! File names are content hashes. Jobs that publish at the same time each build on what they saw and move the ref without
//! force; who loses builds again on the new commit. A commit of the hidden ref shows the files of one report, and has the
//! earlier ones as its ancestors, so that their addresses last. Small files are sent while the ref is read; of large ones
//! and in a branch only those that are not there yet.

use super::GitHub;
use crate::error::{Error, Kind, Result};
use crate::forge::assets::{Asset, Assets, Progress, UPLOADS_AT_ONCE, is_hash};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use base64::Engine;
use futures_util::future::try_join;
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::HashMap;

/// The ref that nobody sees, below `refs/`.
pub const HIDDEN: &str = "cml/assets";
/// A tree of the hidden ref with more files than this is not built upon: the next one starts with the report's
/// own files, so that reading it stays cheap. Older files stay reachable through the commits before. A branch
/// may hold other things than ours, and keeps them.
const LARGE: usize = 1000;
/// Files of fewer bytes together are sent before it is known whether they are there: that takes less time than to ask.
const SMALL: u64 = 1 << 20;
/// Each lost race means that another job won one, so this many jobs may publish at the same moment.
const RACES: usize = 60;

#[derive(Deserialize)]
struct Object {
    sha: String,
}

/// The ref as it stands.
struct Head {
    commit: String,
    tree: String,
    /// Its files: name to blob.
    files: HashMap<String, String>,
}

#[async_trait(?Send)]
impl Assets for GitHub {
    /// Uploads files; returns the addresses in order.
    async fn upload(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let is_small = assets.iter().map(Asset::size).sum::<u64>() <= SMALL;
        if self.assets_ref == HIDDEN && is_small {
            upload_small(self, assets, progress).await
        } else {
            upload_missing(self, assets, progress).await
        }
    }

    /// Returns whether an address is that of a file in a commit of the repository.
    fn is_asset(&self, address: &str, name: &str) -> bool {
        let page = self.repository.url();
        let commit = address
            .strip_prefix(&page)
            .and_then(|rest| rest.strip_prefix("/raw/"))
            .and_then(|rest| rest.strip_suffix(query(name)))
            .and_then(|rest| rest.strip_suffix(name))
            .and_then(|rest| rest.strip_suffix('/'));
        // By SHA-1 or SHA-256.
        commit.is_some_and(|commit| is_hash(commit, 40) || is_hash(commit, 64))
    }
}

/// Uploads small files to the hidden ref in four round trips.
async fn upload_small(forge: &GitHub, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
    let all = (0..assets.len()).collect();
    let (mut head, mut blobs) = try_join(read_ref(forge), create_blobs(forge, assets, all, progress)).await?;
    blobs.sort_unstable();
    let entries = blobs.iter().map(|(n, sha)| entry(&assets[*n].unique_name(), sha)).collect();
    let tree_there = async {
        match &head {
            Some(commit) => tree_of(forge, commit).await.map(Some),
            None => Ok(None),
        }
    };
    let (tree, there) = try_join(create_tree(forge, entries, None), tree_there).await?;
    if let (Some(head), true) = (&head, there.as_ref() == Some(&tree)) {
        return Ok(addresses(forge, assets, head));
    }
    for _ in 0..RACES {
        let commit = create_commit(forge, &tree, head.as_deref()).await?;
        if move_ref(forge, &commit, head.is_some()).await? {
            return Ok(addresses(forge, assets, &commit));
        }
        head = read_ref(forge).await?;
    }
    Err(lost())
}

fn lost() -> Error {
    Error::conflict("too many jobs are publishing to the repository at the same time").hint("run the step again")
}

/// Uploads files that are not there yet, however many requests it takes to know.
async fn upload_missing(forge: &GitHub, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
    let mut head = read_head(forge).await?;
    let mut blobs: Vec<Option<String>> = vec![None; assets.len()];
    for _ in 0..RACES {
        let there = |asset: &Asset| head.as_ref().is_some_and(|head| head.files.contains_key(&asset.unique_name()));
        let missing: Vec<usize> = (0..assets.len()).filter(|n| !there(&assets[*n])).collect();
        progress(assets.len() - missing.len());
        if let (Some(head), true) = (&head, missing.is_empty()) {
            return Ok(addresses(forge, assets, &head.commit));
        }
        let unsent: Vec<usize> = missing.iter().copied().filter(|n| blobs[*n].is_none()).collect();
        for (n, sha) in create_blobs(forge, assets, unsent, progress).await? {
            blobs[n] = Some(sha);
        }
        let base = head.as_ref().filter(|head| head.files.len() < LARGE || forge.assets_ref != HIDDEN);
        let entries: Vec<Value> = (0..assets.len())
            .filter_map(|n| {
                let name = assets[n].unique_name();
                let sha = blobs[n].as_ref().or_else(|| head.as_ref()?.files.get(&name).filter(|_| base.is_none()))?;
                Some(entry(&name, sha))
            })
            .collect();
        let tree = create_tree(forge, entries, base).await?;
        let commit = create_commit(forge, &tree, head.as_ref().map(|head| head.commit.as_str())).await?;
        if move_ref(forge, &commit, head.is_some()).await? {
            return Ok(addresses(forge, assets, &commit));
        }
        head = read_head(forge).await?;
    }
    Err(lost())
}

/// Sends some of the files, several at once. Returns their numbers and the names of their blobs.
async fn create_blobs(
    forge: &GitHub,
    assets: &[Asset],
    numbers: Vec<usize>,
    progress: Progress<'_>,
) -> Result<Vec<(usize, String)>> {
    let done = Cell::new(assets.len() - numbers.len());
    let create = async |n: usize| {
        let sha = create_blob(forge, &assets[n]).await?;
        done.set(done.get() + 1);
        progress(done.get());
        Ok::<_, Error>((n, sha))
    };
    futures_util::stream::iter(numbers).map(create).buffer_unordered(UPLOADS_AT_ONCE).try_collect().await
}

/// Returns a file of a tree.
fn entry(name: &str, sha: &str) -> Value {
    json!({ "path": name, "mode": "100644", "type": "blob", "sha": sha })
}

fn addresses(forge: &GitHub, assets: &[Asset], commit: &str) -> Vec<String> {
    let base = forge.repository.url();
    let address = |asset: &Asset| {
        let name = asset.unique_name();
        format!("{base}/raw/{commit}/{name}{}", query(&name))
    };
    assets.iter().map(address).collect()
}

/// SVG is served as text/plain without this, which no browser shows as an image.
fn query(name: &str) -> &'static str {
    if name.ends_with(".svg") { "?sanitize=true" } else { "" }
}

async fn post<T: serde::de::DeserializeOwned>(forge: &GitHub, what: &str, body: &Value) -> Result<T> {
    // Git objects are named by their content: making one twice makes one.
    forge.client.call(Method::POST, &format!("{}/git/{what}", forge.root), Some(body), RetryPolicy::Idempotent).await
}

async fn create_blob(forge: &GitHub, asset: &Asset) -> Result<String> {
    let content = base64::prelude::BASE64_STANDARD.encode(&asset.read()?);
    let blob: Object = post(forge, "blobs", &json!({ "content": content, "encoding": "base64" })).await?;
    Ok(blob.sha)
}

async fn create_tree(forge: &GitHub, entries: Vec<Value>, base: Option<&Head>) -> Result<String> {
    let mut tree = json!({ "tree": entries });
    if let Some(base) = base {
        tree["base_tree"] = json!(base.tree);
    }
    post::<Object>(forge, "trees", &tree).await.map(|tree| tree.sha)
}

async fn create_commit(forge: &GitHub, tree: &str, parent: Option<&str>) -> Result<String> {
    let parents: Vec<&str> = parent.into_iter().collect();
    let body = json!({ "message": "Files of a CML report", "tree": tree, "parents": parents });
    post::<Object>(forge, "commits", &body).await.map(|commit| commit.sha)
}

/// Returns the commit of the ref, if there is one.
async fn read_ref(forge: &GitHub) -> Result<Option<String>> {
    let path = format!("{}/git/ref/{}", forge.root, forge.assets_ref);
    match forge.client.get::<Value>(&path).await {
        Ok(found) => Ok(found.pointer("/object/sha").and_then(Value::as_str).map(str::to_owned)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the tree of a commit.
async fn tree_of(forge: &GitHub, commit: &str) -> Result<String> {
    let found: Value = forge.client.get(&format!("{}/git/commits/{commit}", forge.root)).await?;
    Ok(found.pointer("/tree/sha").and_then(Value::as_str).unwrap_or_default().to_owned())
}

async fn read_head(forge: &GitHub) -> Result<Option<Head>> {
    let Some(commit) = read_ref(forge).await? else { return Ok(None) };
    let tree = tree_of(forge, &commit).await?;
    let found: Value = forge.client.get(&format!("{}/git/trees/{tree}", forge.root)).await?;
    let text = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let entries = found.get("tree").and_then(Value::as_array).into_iter().flatten();
    let files = entries.filter_map(|entry| Some((text(entry, "path")?, text(entry, "sha")?))).collect();
    Ok(Some(Head { commit, tree, files }))
}

/// Moves the ref to a commit; `false` when another job was faster.
async fn move_ref(forge: &GitHub, commit: &str, exists: bool) -> Result<bool> {
    let (root, name) = (&forge.root, &forge.assets_ref);
    let moved: Result<Value> = if exists {
        let body = json!({ "sha": commit, "force": false });
        forge.client.call(Method::PATCH, &format!("{root}/git/refs/{name}"), Some(&body), RetryPolicy::Idempotent).await
    } else {
        let body = json!({ "ref": format!("refs/{name}"), "sha": commit });
        forge.client.call(Method::POST, &format!("{root}/git/refs"), Some(&body), RetryPolicy::Idempotent).await
    };
    match moved {
        Ok(_) => Ok(true),
        // Also the answer to a repetition of a request that had worked: then the ref names our commit.
        Err(error) if error.kind() == Kind::Conflict => Ok(read_ref(forge).await?.is_some_and(|head| head == commit)),
        Err(error) => Err(error),
    }
}
