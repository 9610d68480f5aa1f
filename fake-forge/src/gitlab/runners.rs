//! GitLab's runners: <https://docs.gitlab.com/api/runners/>.

use serde_json::{Value, json};

use super::super::auth::{Access, access};
use super::super::http::{Request, Response};
use super::super::page::Page;
use super::super::runners::{Doing, OWNERS, REGISTRATION_TOKEN, Runner, add, of, owner};
use super::super::state::{State, Vendor};
use super::error;
use super::jobs;

/// What concerns runners in GitLab's API; `None` for everything else.
pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Option<Response> {
    if let Some(answer) = jobs::route(state, request, url, path) {
        return Some(answer);
    }
    let access = access(Vendor::GitLab, request);
    let (verb, full) = (request.verb(), access == Some(Access::Full));
    let place = |state: &mut State, kind: &str, name: &str| match kind {
        "projects" => state.repo(Vendor::GitLab, name).map(|(repo, _)| repo.slug.clone()),
        _ => owner(Vendor::GitLab, name).map(|(slug, _)| slug.to_owned()),
    };
    Some(match (verb, path) {
        // These take other tokens than the user's.
        ("POST", ["runners"]) => in_the_old_way(state, request),
        ("DELETE", ["runners"]) => {
            let Some(token) = request.field("token") else {
                return Some(Response::json(400, &json!({ "error": "token is missing" })));
            };
            let before = state.runners.all.len();
            state.runners.all.retain(|runner| runner.credential != token);
            if state.runners.all.len() < before { Response::empty(204) } else { error(403, "403 Forbidden") }
        }
        ("POST", ["runners", "verify"]) => {
            let token = request.field("token").unwrap_or_default();
            match state.runners.all.iter().find(|runner| runner.credential == token) {
                Some(runner) => {
                    Response::json(200, &json!({ "id": runner.id, "token": token, "token_expires_at": null }))
                }
                None => error(403, "403 Forbidden - invalid token supplied"),
            }
        }
        (_, ["groups" | "runners" | "user", ..]) if access.is_none() => error(401, "401 Unauthorized"),
        (_, ["groups" | "runners", ..] | ["user", "runners"] | ["projects", _, "runners"])
            if access == Some(Access::Job) =>
        {
            error(401, "401 Unauthorized")
        }
        ("GET", ["groups", name]) => match owner(Vendor::GitLab, name) {
            Some((slug, id)) => {
                let mut group = json!({ "id": id, "name": slug, "path": slug.rsplit('/').next(), "full_path": slug, "visibility": "private" });
                if full {
                    group["runners_token"] = registration_token(state);
                }
                Response::json(200, &group)
            }
            None => error(404, "404 Group Not Found"),
        },
        ("POST", ["user", "runners"]) if state.runners.old_gitlab => {
            Response::json(404, &json!({ "error": "404 Not Found" }))
        }
        ("POST", ["user", "runners"]) if access == Some(Access::ReadOnly) => {
            let text = "The request requires higher privileges than provided by the access token.";
            Response::json(
                403,
                &json!({ "error": "insufficient_scope", "error_description": text, "scope": "create_runner api" }),
            )
        }
        ("POST", ["user", "runners"]) if !full => error(403, "403 Forbidden"),
        ("POST", ["user", "runners"]) => create(state, request),
        ("GET", [kind @ ("projects" | "groups"), name, "runners"]) => {
            let place = place(state, kind, name)?;
            if full { list(state, request, &place, kind) } else { error(403, "403 Forbidden") }
        }
        (_, ["runners", ..]) if !full => error(403, "403 Forbidden  - No access granted"),
        (verb, ["runners", id, rest @ ..]) => {
            let Some(runner) =
                state.runners.all.iter().find(|r| r.vendor == Vendor::GitLab && r.id.to_string() == *id).cloned()
            else {
                return Some(error(404, "404 Not found"));
            };
            match (verb, rest) {
                ("GET", []) => {
                    let mut json = shape(state, &runner);
                    json["tag_list"] = json!(runner.labels);
                    json["run_untagged"] = runner.request["run_untagged"].clone();
                    json["locked"] = runner.request["locked"].clone();
                    Response::json(200, &json)
                }
                ("GET", ["jobs"]) => {
                    let busy = runner.doing == Doing::Busy;
                    Response::json(200, &if busy { json!([{ "id": 1, "status": "running" }]) } else { json!([]) })
                }
                // GitLab removes busy ones too.
                ("DELETE", []) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => error(404, "404 Not found"),
            }
        }
        _ => return None,
    })
}

/// What a maintainer reads of a project or group.
pub fn registration_token(state: &State) -> Value {
    if state.runners.old_gitlab { json!(REGISTRATION_TOKEN) } else { Value::Null }
}

fn create(state: &mut State, request: &Request) -> Response {
    let kind = request.field("runner_type").unwrap_or_default();
    let (kind, name) = match kind.as_str() {
        "project_type" => ("project_id", request.field("project_id")),
        "group_type" => ("group_id", request.field("group_id")),
        _ => return Response::json(400, &json!({ "error": "runner_type does not have a valid value" })),
    };
    let Some(name) = name.filter(|name| name.parse::<u64>().is_ok()) else {
        return Response::json(400, &json!({ "error": format!("{kind} is missing") }));
    };
    let place = match kind {
        "project_id" => state.repo(Vendor::GitLab, &name).map(|(repo, _)| repo.slug.clone()),
        _ => owner(Vendor::GitLab, &name).map(|(slug, _)| slug.to_owned()),
    };
    match place {
        Some(place) => register(state, request, &place),
        None => error(403, "403 Forbidden"),
    }
}

fn in_the_old_way(state: &mut State, request: &Request) -> Response {
    if state.runners.no_registration_tokens || !state.runners.old_gitlab {
        return error(410, "410 Gone - runner registration disallowed");
    }
    match request.field("token").as_deref() {
        Some(REGISTRATION_TOKEN) => register(state, request, "group/model"),
        _ => error(403, "403 Forbidden - invalid token supplied"),
    }
}

fn register(state: &mut State, request: &Request, place: &str) -> Response {
    let tags = request.field("tag_list").unwrap_or_default();
    let tags: Vec<String> = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    if tags.is_empty() && request.field("run_untagged").as_deref() == Some("false") {
        let why = "can not be empty when runner is not allowed to pick untagged jobs";
        return Response::json(400, &json!({ "message": { "tags_list": [why] } }));
    }
    if request.field("maximum_timeout").is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time < 600)) {
        return Response::json(400, &json!({ "message": { "maximum_timeout": ["needs to be at least 10 minutes"] } }));
    }
    let name = request.field("description").unwrap_or_default();
    let runner = add(state, Vendor::GitLab, place, &name, tags, request.json());
    Response::json(201, &json!({ "id": runner.id, "token": runner.credential, "token_expires_at": null }))
}

fn list(state: &State, request: &Request, place: &str, kind: &str) -> Response {
    let tags = request.param("tag_list").unwrap_or_default();
    let has = |runner: &&&Runner| {
        tags.split(',').filter(|tag| !tag.is_empty()).all(|tag| runner.labels.iter().any(|label| label == tag))
    };
    let all: Vec<Runner> =
        of(state, Vendor::GitLab, place).iter().filter(has).map(|runner| (*runner).clone()).collect();
    let mut shared = Vec::new();
    if request.param("type").is_none() && kind == "projects" {
        shared.push(json!({ "id": 1, "description": "shared", "is_shared": true, "runner_type": "instance_type", "online": true, "status": "online" }));
    }
    let page = Page::of(request, ("per_page", 20, 100), all.len());
    let items = page.items(&all).iter().map(|runner| shape(state, runner));
    let next = page.next().map_or_else(String::new, |page| page.to_string());
    Response::json(200, &shared.into_iter().chain(items).collect())
        .header("X-Next-Page", next)
        .header("X-Total", all.len().to_string())
}

fn shape(state: &State, runner: &Runner) -> Value {
    let kind = if OWNERS.iter().any(|(_, slug, _)| *slug == runner.place) { "group_type" } else { "project_type" };
    let online = runner.doing != Doing::Offline;
    let mut json = json!({ "id": runner.id, "description": runner.name, "ip_address": "", "active": true, "paused": false,
        "is_shared": false, "runner_type": kind, "name": null, "online": if online { json!(true) } else { Value::Null },
        "status": if online { "online" } else { "never_contacted" } });
    if !state.runners.no_execution_status {
        json["job_execution_status"] = json!(if runner.doing == Doing::Busy { "active" } else { "idle" });
    }
    json
}
