//! The metadata server of the only instance: <https://cloud.google.com/compute/docs/metadata/overview>. It holds requests that wait for a
//! change, and tells folders as JSON, as Google's programs ask for both.

use super::super::fake::http::{Request, Response};
use super::super::fake::server::{Life, lock};
use super::{PROJECT, State, WORKER_TOKEN};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Answers a request, as soon as what it waits for has happened.
pub fn answer(request: &Request, life: &Life, state: &Mutex<State>) -> Response {
    let answer = |status, kind: &str, text: String| {
        Response::bytes(status, kind, text)
            .header("Metadata-Flavor", "Google")
            .header("Server", "Metadata Server for VM")
    };
    if request.header("metadata-flavor") != Some("Google") {
        return answer(403, "text/html", "Missing Metadata-Flavor:Google header.".to_owned());
    }
    let path = request.segments()[2..].join("/");
    let (path, is_folder) = (path.trim_matches('/'), request.param("recursive").is_some());
    let is_json = is_folder || request.param("alt").as_deref() == Some("json");
    let look = || {
        let told = told(&lock(state), path, is_folder);
        let tag: String =
            Sha256::digest(told.clone().unwrap_or_default()).iter().take(8).map(|b| format!("{b:02x}")).collect();
        (told, tag)
    };
    let waits = request.param("wait_for_change").as_deref() == Some("true");
    let known = request.param("last_etag").unwrap_or_else(|| look().1);
    let time = request.param("timeout_sec").and_then(|text| text.parse().ok()).unwrap_or(3600);
    let end = Instant::now() + Duration::from_secs(time);
    loop {
        let (told, tag) = look();
        if waits && tag == known && Instant::now() < end && life.sleep(Duration::from_millis(20)) {
            continue;
        }
        return match told {
            Some(text) => answer(200, if is_json { "application/json" } else { "application/text" }, text),
            None => answer(404, "text/html", "not found".to_owned()),
        }
        .header("ETag", tag);
    }
}

/// The text of a path, or all that is below it.
fn told(state: &State, path: &str, is_folder: bool) -> Option<String> {
    let all = texts(state);
    if !is_folder {
        return all.get(path).cloned();
    }
    let mut tree = Map::new();
    // Tokens are told one by one only.
    for (name, text) in all.iter().filter(|(name, _)| !name.ends_with("/token")) {
        let below = if path.is_empty() {
            Some(name.as_str())
        } else {
            name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'))
        };
        let Some(below) = below else { continue };
        let is_attribute = name.contains("attributes/");
        let mut place = &mut tree;
        let mut parts: Vec<String> =
            below.split('/').map(|part| if is_attribute { part.to_owned() } else { camel_case(part) }).collect();
        let last = parts.pop().unwrap();
        for part in parts {
            place = place.entry(part).or_insert_with(|| json!({})).as_object_mut().unwrap();
        }
        place.insert(last, json!(text));
    }
    // Google's programs ask for attributes where there are none, too.
    (!tree.is_empty() || path.ends_with("attributes")).then(|| Value::Object(tree).to_string())
}

/// Folders have their names in another form in JSON.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + &part[..1].to_uppercase() + &part[1..])
}

/// Everything: what follows from the instance, and what a test says.
fn texts(state: &State) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let ours = state.instances.iter().find(|((_, name), _)| name != "somebodys");
    if let Some(((zone, name), one)) = ours {
        let mut tell = |path: &str, text: &str| all.insert(path.to_owned(), text.to_owned());
        tell("instance/name", name);
        tell("instance/zone", &format!("projects/1234/zones/{zone}"));
        tell("instance/preempted", "FALSE");
        tell("project/project-id", PROJECT);
        for item in one["metadata"]["items"].as_array().into_iter().flatten() {
            tell(&format!("instance/attributes/{}", item["key"].as_str().unwrap()), item["value"].as_str().unwrap());
        }
        if let Some(email) = one["serviceAccounts"][0]["email"].as_str() {
            tell("instance/service-accounts/default/email", email);
            let token = json!({ "access_token": WORKER_TOKEN, "expires_in": 3000, "token_type": "Bearer" });
            tell("instance/service-accounts/default/token", &token.to_string());
        }
    }
    all.extend(state.metadata.clone());
    all
}
