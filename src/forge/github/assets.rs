//! Files of a report in the repository itself, by the Git Data API
//! (<https://docs.github.com/en/rest/git>): blobs, a tree, a commit and a ref outside of the branches, so that
//! no workflow starts and no branch appears. They have the repository's visibility.
//!
//! File names are content hashes: what is there already is not sent again. Jobs that publish at the same time
//! each build on what they saw and move the ref without force; who loses builds again on the new commit.

use super::GitHub;
use crate::error::{Error, Kind, Result};
use crate::forge::{Asset, Progress, UPLOADS_AT_ONCE, is_hash};
use crate::http::Repeat;
use base64::Engine;
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

/// Uploads what is not there yet; returns the addresses in order.
pub async fn upload(forge: &GitHub, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
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
        let done = Cell::new(assets.len() - unsent.len());
        let sent: Vec<(usize, String)> = futures_util::stream::iter(unsent)
            .map(async |n| {
                let sha = create_blob(forge, &assets[n]).await?;
                done.set(done.get() + 1);
                progress(done.get());
                Ok::<_, Error>((n, sha))
            })
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect()
            .await?;
        for (n, sha) in sent {
            blobs[n] = Some(sha);
        }
        let base = head.as_ref().filter(|head| head.files.len() < LARGE || forge.assets_ref != HIDDEN);
        let entries: Vec<Value> = (0..assets.len())
            .filter_map(|n| {
                let name = assets[n].unique_name();
                let sha = blobs[n].as_ref().or_else(|| head.as_ref()?.files.get(&name).filter(|_| base.is_none()))?;
                Some(json!({ "path": name, "mode": "100644", "type": "blob", "sha": sha }))
            })
            .collect();
        let commit = create_commit(forge, entries, base, head.as_ref()).await?;
        if move_ref(forge, &commit, head.is_some()).await? {
            return Ok(addresses(forge, assets, &commit));
        }
        head = read_head(forge).await?;
    }
    Err(Error::conflict("too many jobs publish to the repository at the same moment").hint("run the step again"))
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

/// Whether an address is that of a file in a commit of the repository.
pub fn is_asset(forge: &GitHub, address: &str, name: &str) -> bool {
    let page = forge.repository.url();
    let commit = address
        .strip_prefix(&page)
        .and_then(|rest| rest.strip_prefix("/raw/"))
        .and_then(|rest| rest.strip_suffix(query(name)))
        .and_then(|rest| rest.strip_suffix(name))
        .and_then(|rest| rest.strip_suffix('/'));
    // By SHA-1 or SHA-256.
    commit.is_some_and(|commit| is_hash(commit, 40) || is_hash(commit, 64))
}

async fn post<T: serde::de::DeserializeOwned>(forge: &GitHub, what: &str, body: &Value) -> Result<T> {
    // Git objects are named by their content: making one twice makes one.
    forge.client.call(Method::POST, &format!("{}/git/{what}", forge.root), Some(body), Repeat::Safe).await
}

async fn create_blob(forge: &GitHub, asset: &Asset) -> Result<String> {
    let content = base64::prelude::BASE64_STANDARD.encode(&asset.read()?);
    let blob: Object = post(forge, "blobs", &json!({ "content": content, "encoding": "base64" })).await?;
    Ok(blob.sha)
}

async fn create_commit(
    forge: &GitHub,
    entries: Vec<Value>,
    base: Option<&Head>,
    head: Option<&Head>,
) -> Result<String> {
    let mut tree = json!({ "tree": entries });
    if let Some(base) = base {
        tree["base_tree"] = json!(base.tree);
    }
    let tree: Object = post(forge, "trees", &tree).await?;
    let parents: Vec<&str> = head.iter().map(|head| head.commit.as_str()).collect();
    let body = json!({ "message": "Files of a CML report", "tree": tree.sha, "parents": parents });
    let commit: Object = post(forge, "commits", &body).await?;
    Ok(commit.sha)
}

async fn read_head(forge: &GitHub) -> Result<Option<Head>> {
    let path = format!("{}/git/ref/{}", forge.root, forge.assets_ref);
    let commit = match forge.client.get::<Value>(&path).await {
        Ok(found) => found.pointer("/object/sha").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found: Value = forge.client.get(&format!("{}/git/commits/{commit}", forge.root)).await?;
    let tree = found.pointer("/tree/sha").and_then(Value::as_str).unwrap_or_default().to_owned();
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
        forge.client.call(Method::PATCH, &format!("{root}/git/refs/{name}"), Some(&body), Repeat::Safe).await
    } else {
        let body = json!({ "ref": format!("refs/{name}"), "sha": commit });
        forge.client.call(Method::POST, &format!("{root}/git/refs"), Some(&body), Repeat::Safe).await
    };
    match moved {
        Ok(_) => Ok(true),
        // Also the answer to a repetition of a request that had worked: then the ref names our commit.
        Err(error) if error.kind() == Kind::Conflict => {
            Ok(read_head(forge).await?.is_some_and(|head| head.commit == commit))
        }
        Err(error) => Err(error),
    }
}
