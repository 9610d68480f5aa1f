//! Bitbucket's runners: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use serde_json::{Value, json};

use super::super::auth::{Access, access};
use super::super::http::{Request, Response};
use super::super::page::Page;
use super::super::runners::{Doing, Runner, add, of, owner};
use super::super::state::{State, Vendor};
use super::error;

/// `/repositories/<place>/pipelines-config/runners…`, `/workspaces/<place>…`.
pub fn route(state: &mut State, request: &Request, url: &str, place: &str, rest: &[&str]) -> Response {
    let workspace = !place.contains('/');
    let known = if workspace {
        owner(Vendor::Bitbucket, place).is_some()
    } else {
        state.repo(Vendor::Bitbucket, place).is_some()
    };
    if !known {
        return error(404, &format!("No workspace with identifier '{place}'."));
    }
    let access = access(Vendor::Bitbucket, request);
    let needed = if request.is_read() { "runner" } else { "runner:write" };
    if !rest.is_empty() && access != Some(Access::Full) {
        let (granted, text) = ("pullrequest", "Your credentials lack one or more required privilege scopes.");
        let detail = json!({ "granted": [granted], "required": [needed] });
        return Response::json(403, &json!({ "type": "error", "error": { "message": text, "detail": detail } }));
    }
    match (request.verb(), rest) {
        ("GET", []) => Response::json(
            200,
            &json!({ "type": "workspace", "slug": place, "name": place, "uuid": workspace_uuid(place) }),
        ),
        ("POST", ["pipelines-config", "runners"]) => create(state, request, place),
        ("GET", ["pipelines-config", "runners"]) => {
            let all = of(state, Vendor::Bitbucket, place);
            let page = Page::of(request, ("pagelen", 10, 100), all.len());
            let values: Vec<Value> = page.items(&all).iter().map(|runner| shape(runner, false)).collect();
            let mut answer = json!({ "values": values, "pagelen": page.size, "size": page.total, "page": page.number });
            if let Some(next) = page.next() {
                answer["next"] = json!(page.url(url, request, next));
            }
            Response::json(200, &answer)
        }
        (verb, ["pipelines-config", "runners", uuid]) => {
            let found = of(state, Vendor::Bitbucket, place).into_iter().find(|runner| runner.uuid() == *uuid).cloned();
            match (verb, found) {
                ("GET", Some(runner)) => Response::json(200, &shape(&runner, false)),
                ("DELETE", Some(runner)) => {
                    state.runners.all.retain(|other| other.id != runner.id);
                    Response::empty(204)
                }
                _ => error(404, "Runner not found"),
            }
        }
        _ => error(404, "Resource not found"),
    }
}

/// The identity of a workspace.
pub fn workspace_uuid(name: &str) -> String {
    let id = owner(Vendor::Bitbucket, name).map_or(0, |(_, id)| id);
    format!("{{00000000-0000-4000-c000-{id:012}}}")
}

fn create(state: &mut State, request: &Request, place: &str) -> Response {
    let body = request.json();
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let labels: Vec<String> =
        body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let plain =
        |label: &String| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.');
    if name.is_empty()
        || name.chars().count() > 50
        || !labels.iter().all(plain)
        || labels.first().is_none_or(|label| label != "self.hosted")
    {
        return error(400, "Bad request: the runner's name or labels are not valid");
    }
    let runner = add(state, Vendor::Bitbucket, place, &name, labels, body);
    Response::json(201, &shape(&runner, true))
}

fn shape(runner: &Runner, secret: bool) -> Value {
    let status = if runner.doing == Doing::Offline { "UNREGISTERED" } else { "ONLINE" };
    let mut client = json!({ "id": format!("client-{}", runner.id), "audience": "api.atlassian.com", "token_endpoint": "https://auth.atlassian.com/oauth/token" });
    if secret {
        client["secret"] = json!(runner.credential);
    }
    let created = runner.created_at.micros();
    let mut state = json!({ "status": status, "updated_on": created, "cordoned": false });
    if runner.doing == Doing::Busy {
        state["step"] = json!({ "uuid": format!("{{00000000-0000-4000-d000-{:012}}}", runner.id) });
    }
    json!({ "uuid": runner.uuid(), "name": runner.name, "labels": runner.labels, "created_on": created, "updated_on": created,
        "state": state, "oauth_client": client })
}
