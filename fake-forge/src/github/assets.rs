//! GitHub's Git Data API: blobs, trees, commits and refs, by which assets are published in the repository itself.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::clock::Time;
use super::super::git::{Commit, Entry, Person};
use super::super::http::Response;
use super::super::route::Call;
use super::super::state::BOT;
use super::shapes::{error, not_found};

/// A step that may already know the (error) answer.
type Step<T> = Result<T, Box<Response>>;

pub fn route(call: &mut Call<'_>, path: &[&str]) -> Response {
    let done = match (call.request.verb(), path) {
        ("POST", ["blobs"]) => create_blob(call),
        ("GET", ["blobs", sha]) => get_blob(call, sha),
        ("POST", ["trees"]) => create_tree(call),
        ("GET", ["trees", name]) => get_tree(call, name),
        ("POST", ["commits"]) => create_commit(call),
        ("GET", ["commits", sha]) => get_commit(call, sha),
        ("POST", ["refs"]) => create_ref(call),
        ("GET", ["ref", name @ ..]) => get_ref(call, &name.join("/")),
        ("GET", ["matching-refs", name @ ..]) => matching_refs(call, &name.join("/")),
        ("PATCH", ["refs", name @ ..]) => update_ref(call, &name.join("/")),
        ("DELETE", ["refs", name @ ..]) => delete_ref(call, &name.join("/")),
        _ => Ok(not_found()),
    };
    done.unwrap_or_else(|answer| *answer)
}

fn refuse<T>(message: &str) -> Step<T> {
    Err(Box::new(error(422, message)))
}

fn missing<T>() -> Step<T> {
    Err(Box::new(not_found()))
}

fn document(call: &Call<'_>) -> Step<Value> {
    let document = call.request.json();
    if document.is_object() { Ok(document) } else { Err(Box::new(error(400, "Problems parsing JSON"))) }
}

/// A text that must be there.
fn text(document: &Value, field: &str) -> Step<String> {
    match document[field].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => refuse(&format!("Invalid request.\n\n\"{field}\" wasn't supplied.")),
    }
}

fn api(call: &Call<'_>, path: &str) -> String {
    format!("{}/github/repos/{}/git/{path}", call.url, call.repo.slug)
}

fn created(json: &Value) -> Response {
    let location = json["url"].as_str().unwrap_or_default().to_owned();
    Response::json(201, json).header("Location", location)
}

fn create_blob(call: &mut Call<'_>) -> Step<Response> {
    let document = document(call)?;
    let content = text(&document, "content")?;
    let bytes = match document["encoding"].as_str().unwrap_or("utf-8") {
        "utf-8" => content.into_bytes(),
        "base64" => match STANDARD.decode(content.replace(['\n', '\r'], "")) {
            Ok(bytes) => bytes,
            Err(_) => return refuse("content is not valid Base64"),
        },
        other => return refuse(&format!("Invalid encoding: {other}")),
    };
    let sha = call.repo.git.add_blob(bytes);
    Ok(created(&json!({"sha": sha, "url": api(call, &format!("blobs/{sha}"))})))
}

fn get_blob(call: &Call<'_>, sha: &str) -> Step<Response> {
    let Some(bytes) = call.repo.git.blobs.get(sha) else { return missing() };
    let content = STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..content.len()).step_by(60).map(|at| &content[at..content.len().min(at + 60)]).collect();
    let json = json!({"sha": sha, "node_id": format!("B_{sha}"), "size": bytes.len(), "encoding": "base64",
        "content": lines.join("\n"), "url": api(call, &format!("blobs/{sha}"))});
    Ok(Response::json(200, &json))
}

fn create_tree(call: &mut Call<'_>) -> Step<Response> {
    let document = document(call)?;
    let mut files = match document["base_tree"].as_str() {
        Some(base) if call.repo.git.trees.contains_key(base) => call.repo.git.list(base, false),
        Some(_) => return refuse("base_tree is not a valid tree oid"),
        None => BTreeMap::new(),
    };
    let Some(entries) = document["tree"].as_array() else {
        return refuse("Invalid request.\n\n\"tree\" wasn't supplied.");
    };
    for entry in entries {
        place(call, &mut files, entry)?;
    }
    let sha = call.repo.git.add_files(&files);
    Ok(created(&tree_json(call, &sha, false)))
}

/// Adds one entry of a `POST git/trees` to a flat list of files: content, a known object, or null to remove it.
fn place(call: &mut Call<'_>, files: &mut BTreeMap<String, Entry>, entry: &Value) -> Step<()> {
    let path = text(entry, "path")?;
    if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | ".." | ".git")) {
        return refuse("tree.path contains a malformed path component");
    }
    let mode = entry["mode"].as_str().unwrap_or_default().to_owned();
    let below = format!("{path}/");
    files.retain(|name, _| *name != path && !name.starts_with(&below));
    let git = &mut call.repo.git;
    if let Some(content) = entry["content"].as_str() {
        let sha = git.add_blob(content.as_bytes().to_vec());
        files.insert(path, Entry { mode, sha });
        return Ok(());
    }
    if entry.get("sha").is_some_and(Value::is_null) {
        return Ok(());
    }
    let sha = text(entry, "sha")?;
    match mode.as_str() {
        "100644" | "100755" | "120000" if git.blobs.contains_key(&sha) => {
            files.insert(path, Entry { mode, sha });
        }
        "040000" if git.trees.contains_key(&sha) => {
            let inner = git.list(&sha, false).into_iter();
            files.extend(inner.map(|(name, entry)| (format!("{path}/{name}"), entry)));
        }
        "100644" | "100755" | "120000" => return refuse(&format!("tree.sha {sha} is not a valid blob")),
        "040000" => return refuse(&format!("tree.sha {sha} is not a valid tree")),
        _ => return refuse("Must supply a valid tree.mode"),
    }
    Ok(())
}

fn get_tree(call: &Call<'_>, name: &str) -> Step<Response> {
    let Some(sha) = call.repo.git.tree_of(name) else { return missing() };
    let recursive = call.request.param("recursive").is_some();
    Ok(Response::json(200, &tree_json(call, &sha, recursive)))
}

fn tree_json(call: &Call<'_>, sha: &str, recursive: bool) -> Value {
    let git = &call.repo.git;
    let entries = if recursive { git.list(sha, true) } else { git.trees.get(sha).cloned().unwrap_or_default() };
    let items = entries.iter().map(|(path, entry)| {
        let (kind, sha) = (entry.kind(), &entry.sha);
        let mut item = json!({"path": path, "mode": entry.mode, "type": kind, "sha": sha,
            "url": api(call, &format!("{kind}s/{sha}"))});
        if let Some(blob) = git.blobs.get(sha) {
            item["size"] = json!(blob.len());
        }
        item
    });
    let items: Vec<Value> = items.collect();
    json!({"sha": sha, "url": api(call, &format!("trees/{sha}")), "tree": items, "truncated": false})
}

fn create_commit(call: &mut Call<'_>) -> Step<Response> {
    let document = document(call)?;
    let (message, tree) = (text(&document, "message")?, text(&document, "tree")?);
    if !call.repo.git.trees.contains_key(&tree) {
        return refuse("Tree SHA does not exist");
    }
    let parents = document["parents"].as_array().cloned().unwrap_or_default();
    let parents: Vec<String> = parents.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if !parents.iter().all(|parent| call.repo.git.commits.contains_key(parent)) {
        return refuse("Parent SHA does not exist or is not a commit object");
    }
    let given = &document["author"];
    let author = Person {
        name: given["name"].as_str().unwrap_or(BOT).to_owned(),
        email: given["email"].as_str().unwrap_or("cml-bot@users.noreply.github.com").to_owned(),
        date: given["date"].as_str().and_then(Time::parse).unwrap_or_else(|| call.desk.tick()),
    };
    let sha = call.repo.git.add_commit(Commit { tree, parents, message, author });
    Ok(created(&commit_json(call, &sha)))
}

fn get_commit(call: &Call<'_>, sha: &str) -> Step<Response> {
    if call.repo.git.commits.contains_key(sha) { Ok(Response::json(200, &commit_json(call, sha))) } else { missing() }
}

fn commit_json(call: &Call<'_>, sha: &str) -> Value {
    let commit = &call.repo.git.commits[sha];
    let page = |sha: &str| format!("{}/{}/commit/{sha}", call.url, call.repo.slug);
    let person = json!({"name": commit.author.name, "email": commit.author.email,
        "date": commit.author.date.seconds()});
    let parents = commit
        .parents
        .iter()
        .map(|parent| json!({"sha": parent, "url": api(call, &format!("commits/{parent}")), "html_url": page(parent)}));
    let parents: Vec<Value> = parents.collect();
    json!({
        "sha": sha, "node_id": format!("C_{sha}"), "url": api(call, &format!("commits/{sha}")),
        "html_url": page(sha), "author": person, "committer": person, "message": commit.message,
        "tree": {"sha": commit.tree, "url": api(call, &format!("trees/{}", commit.tree))}, "parents": parents,
        "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null,
            "verified_at": null},
    })
}

fn create_ref(call: &mut Call<'_>) -> Step<Response> {
    let document = document(call)?;
    let (name, sha) = (text(&document, "ref")?, text(&document, "sha")?);
    if !name.starts_with("refs/") || name.split('/').count() < 3 {
        return refuse("Reference name must start with 'refs/' and contain at least two slashes.");
    }
    if call.repo.git.refs.contains_key(&name) {
        return refuse("Reference already exists");
    }
    known(call, &sha)?;
    call.repo.git.refs.insert(name.clone(), sha);
    Ok(created(&ref_json(call, &name)))
}

fn known(call: &Call<'_>, sha: &str) -> Step<()> {
    if call.repo.git.has(sha) || call.repo.commits.contains(sha) { Ok(()) } else { refuse("Object does not exist") }
}

fn get_ref(call: &Call<'_>, name: &str) -> Step<Response> {
    let name = format!("refs/{name}");
    if call.repo.git.refs.contains_key(&name) { Ok(Response::json(200, &ref_json(call, &name))) } else { missing() }
}

fn matching_refs(call: &Call<'_>, prefix: &str) -> Step<Response> {
    let prefix = format!("refs/{prefix}");
    let names = call.repo.git.refs.keys().filter(|name| name.starts_with(&prefix));
    let found: Vec<Value> = names.map(|name| ref_json(call, name)).collect();
    Ok(Response::json(200, &Value::from(found)))
}

fn update_ref(call: &mut Call<'_>, name: &str) -> Step<Response> {
    let name = format!("refs/{name}");
    let document = document(call)?;
    let sha = text(&document, "sha")?;
    let Some(old) = call.repo.git.refs.get(&name).cloned() else { return refuse("Reference does not exist") };
    known(call, &sha)?;
    if document["force"] != json!(true) && !call.repo.git.contains(&sha, &old) {
        return refuse("Update is not a fast forward");
    }
    call.repo.git.refs.insert(name.clone(), sha);
    Ok(Response::json(200, &ref_json(call, &name)))
}

fn delete_ref(call: &mut Call<'_>, name: &str) -> Step<Response> {
    match call.repo.git.refs.remove(&format!("refs/{name}")) {
        Some(_) => Ok(Response::empty(204)),
        None => refuse("Reference does not exist"),
    }
}

fn ref_json(call: &Call<'_>, name: &str) -> Value {
    let sha = &call.repo.git.refs[name];
    json!({"ref": name, "node_id": format!("REF_{name}"), "url": api(call, name),
        "object": {"type": "commit", "sha": sha, "url": api(call, &format!("commits/{sha}"))}})
}
