//! GitHub's runners: <https://docs.github.com/en/rest/actions/self-hosted-runners>.

use serde_json::{Value, json};

use super::super::auth::{Access, access};
use super::super::http::{Request, Response};
use super::super::page::Page;
use super::super::runners::{Doing, Runner, add, jit, of, owner};
use super::super::state::{State, Vendor, sha256};
use super::shapes::{error, not_found};

/// `/repos/<place>/actions/runners…` and `/orgs/<place>/actions/runner…`.
pub fn route(state: &mut State, request: &Request, url: &str, place: &str, rest: &[&str]) -> Response {
    let organisation = !place.contains('/');
    let known =
        if organisation { owner(Vendor::GitHub, place).is_some() } else { state.repo(Vendor::GitHub, place).is_some() };
    let needed = if organisation { "organization_self_hosted_runners=write" } else { "administration=write" };
    let refused = |text: &str| error(403, text).header("X-Accepted-GitHub-Permissions", needed);
    match access(Vendor::GitHub, request) {
        Some(Access::Full) if known => {}
        Some(Access::NoContents) if known => return refused("Resource not accessible by integration"),
        Some(_) if known => return refused("Resource not accessible by personal access token"),
        _ => return not_found(),
    }
    match (request.verb(), rest) {
        ("GET", ["runners"]) => list(state, request, url, place),
        ("GET", ["runners", "downloads"]) => downloads(state, url),
        ("POST", ["runners", "generate-jitconfig"]) => create(state, request, place),
        ("GET", ["runner-groups"]) if organisation => {
            let group = |id: u64, name: &str| {
                json!({ "id": id, "name": name, "visibility": "all", "default": id == 1, "inherited": false,
                    "runners_url": format!("{url}/github/orgs/{place}/actions/runner-groups/{id}/runners"),
                    "allows_public_repositories": false, "restricted_to_workflows": false, "selected_workflows": [] })
            };
            Response::json(
                200,
                &json!({ "total_count": 2, "runner_groups": [group(1, "Default"), group(5, "Big GPUs")] }),
            )
        }
        (verb, ["runners", id]) => {
            let found =
                of(state, Vendor::GitHub, place).into_iter().find(|runner| runner.id.to_string() == *id).cloned();
            match (verb, found) {
                ("GET", Some(runner)) => Response::json(200, &shape(&runner)),
                ("DELETE", Some(runner)) if runner.doing == Doing::Busy => {
                    error(422, &format!("Bad request - Runner \"{}\" is still running a job\"", runner.name))
                }
                ("DELETE", Some(runner)) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

fn list(state: &State, request: &Request, url: &str, place: &str) -> Response {
    let mut all = of(state, Vendor::GitHub, place);
    if let Some(name) = request.param("name") {
        all.retain(|runner| runner.name == name);
    }
    let page = Page::of(request, ("per_page", 30, 100), all.len());
    let runners: Vec<Value> = page.items(&all).iter().map(|runner| shape(runner)).collect();
    let answer = Response::json(200, &json!({ "total_count": all.len(), "runners": runners }));
    match page.links(url, request, &[("next", page.next())]) {
        Some(links) => answer.header("Link", links),
        None => answer,
    }
}

fn shape(runner: &Runner) -> Value {
    let label = |(at, name): (usize, &String)| json!({ "id": at + 1, "name": name, "type": "custom" });
    let labels: Vec<Value> = runner.labels.iter().enumerate().map(label).collect();
    json!({ "id": runner.id, "name": runner.name, "os": "unknown", "runner_group_id": runner.request["runner_group_id"],
        "status": if runner.doing == Doing::Offline { "offline" } else { "online" }, "busy": runner.doing == Doing::Busy,
        "ephemeral": true, "labels": labels })
}

fn create(state: &mut State, request: &Request, place: &str) -> Response {
    let body = request.json();
    for key in ["name", "runner_group_id", "labels"] {
        if body[key].is_null() {
            return error(422, &format!("Invalid input: object is missing required key: {key}"));
        }
    }
    let (name, group) = (body["name"].as_str().unwrap_or_default().to_owned(), body["runner_group_id"].as_u64());
    if name.chars().count() > 64 {
        return error(422, "Invalid Argument - Runner name is too long");
    }
    match group {
        Some(1) => {}
        Some(5) if !place.contains('/') => {}
        _ => return not_found(),
    }
    if of(state, Vendor::GitHub, place).iter().any(|runner| runner.name.eq_ignore_ascii_case(&name)) {
        return error(409, &format!("Already exists - A runner with the name {name} already exists."));
    }
    let asked = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase);
    let labels: Vec<String> = if state.runners.loses_labels { vec!["self-hosted".into()] } else { asked.collect() };
    let runner = add(state, Vendor::GitHub, place, &name, labels, body);
    Response::json(201, &json!({ "runner": shape(&runner), "encoded_jit_config": jit(&runner.credential) }))
}

fn downloads(state: &State, url: &str) -> Response {
    let one = |(os, arch): (&str, &str)| {
        let name = format!("actions-runner-{os}-{arch}-2.336.0.tar.gz");
        let mut json = json!({ "os": os, "architecture": arch, "download_url": format!("{url}/downloads/{name}"), "filename": name });
        if !state.runners.no_checksums {
            let body = state.runners.files.get(&name).map_or(&b""[..], Vec::as_slice);
            json["sha256_checksum"] = json!(sha256(body));
        }
        if let Some(token) = &state.runners.download_token {
            json["temp_download_token"] = json!(token);
        }
        json
    };
    let all =
        [("osx", "x64"), ("linux", "x64"), ("linux", "arm"), ("win", "x64"), ("osx", "arm64"), ("linux", "arm64")];
    Response::json(200, &all.map(one).into_iter().collect())
}
