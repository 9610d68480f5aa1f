//! Bitbucket Cloud's REST API 2.0: what each address leads to. What it does is in a file for each capability.
//!
//! Shapes as of <https://developer.atlassian.com/cloud/bitbucket/rest/>.

use serde_json::{Value, json};

use self::pull_requests::pull_request;
use super::auth::{Access, access, scopes};
use super::http::{Request, Response};
use super::page::Page;
use super::route::Call;
use super::state::{BOT, State, Target, Vendor};

mod assets;
mod checks;
mod comments;
mod pull_requests;
mod runners;
mod runs;

pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let mut answer = checked(state, request, url, path);
    if let Some(access) = access(Vendor::Bitbucket, request) {
        let basic = request.header("authorization").is_some_and(|value| value.starts_with("Basic "));
        answer = answer
            .header("X-OAuth-Scopes", scopes(Vendor::Bitbucket, request, access).unwrap_or_default())
            .header("X-Credential-Type", if basic { "api_token" } else { "repo_access_token" });
    }
    if state.desk.switches.no_content_type {
        answer.headers.retain(|(name, _)| name != "Content-Type");
    }
    answer
}

fn checked(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let Some(access) = access(Vendor::Bitbucket, request) else {
        return error(401, "Token is invalid or not supported for this endpoint.");
    };
    match path {
        ["user"] if request.is_read() => Response::json(200, &user(url, BOT)),
        ["repositories", space] if request.is_read() => with_role(state, request, access, space),
        ["repositories", space, name, rest @ ..] if rest.first() == Some(&"pipelines-config") => {
            runners::route(state, request, url, &format!("{space}/{name}"), rest)
        }
        ["workspaces", space, rest @ ..] => runners::route(state, request, url, space, rest),
        ["repositories", space, name, rest @ ..] => match state.repo(Vendor::Bitbucket, &format!("{space}/{name}")) {
            Some((repo, desk)) => in_repo(&mut Call { request, url, access, repo, desk }, rest),
            None => error(
                404,
                "You may not have access to this repository or it no longer exists in this workspace. If you \
                     think this repository exists and you have access, make sure you are authenticated.",
            ),
        },
        _ => error(404, "Resource not found"),
    }
}

/// The repositories of a workspace in which the token's user has a role.
fn with_role(state: &State, request: &Request, access: Access, space: &str) -> Response {
    let role = request.param("role").unwrap_or_default();
    let query = request.param("q").unwrap_or_default();
    let may = match access {
        Access::Full => role != "owner",
        Access::NoContents => matches!(role.as_str(), "member" | "contributor"),
        _ => role == "member",
    };
    let of_space = |repo: &&super::state::Repo| {
        repo.vendor == Vendor::Bitbucket
            && repo.slug.starts_with(&format!("{space}/"))
            && (query.is_empty() || query == format!("full_name=\"{}\"", repo.slug))
    };
    let found = state.repos.values().filter(of_space).filter(|_| may);
    let values: Vec<Value> = found.map(|repo| json!({"type": "repository", "full_name": repo.slug})).collect();
    Response::json(200, &json!({"pagelen": 1, "size": values.len(), "page": 1, "values": values}))
}

fn in_repo(call: &mut Call<'_>, path: &[&str]) -> Response {
    if let Some(denied) = denied(call, path) {
        return denied;
    }
    if let Some(answer) = super::history::answer(call, path) {
        return answer;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let (target, rest) = match path {
        [] => return Response::json(200, &repository(call)),
        ["downloads"] => return assets::downloads(call),
        ["downloads", name] => return assets::download(call, name),
        ["pullrequests"] if call.request.verb() == "POST" => return pull_requests::create(call),
        ["pipelines", rest @ ..] => return runs::route(call, rest),
        ["pullrequests"] => return pull_requests::list(call),
        ["pullrequests", id, "merge"] if call.request.verb() == "POST" => {
            return number(id).map_or_else(|| error(404, "Resource not found"), |id| pull_requests::merge(call, id));
        }
        ["pullrequests", id] => {
            return match number(id).and_then(|id| call.repo.pulls.get(&id)) {
                Some(pull) => Response::json(200, &pull_request(call, pull)),
                None => error(404, "Resource not found"),
            };
        }
        ["commit", name, "pullrequests"] => return pull_requests::of_commit(call, name),
        ["commit", name, rest @ ..] if matches!(rest.first(), Some(&("reports" | "statuses"))) => {
            return match call.repo.commit(name) {
                Some(sha) => checks::route(call, &sha, rest),
                None => error(404, "Commit not found"),
            };
        }
        ["pullrequests", id, rest @ ..] => (number(id).map(Target::Pull), rest),
        ["issues", id, rest @ ..] => (number(id).map(Target::Issue), rest),
        ["commit", name, rest @ ..] => (Some(Target::Commit((*name).to_owned())), rest),
        _ => return error(404, "Resource not found"),
    };
    let Some(target) = target.and_then(|target| call.repo.target(&target)) else {
        return error(404, "Resource not found");
    };
    match (call.request.verb(), rest) {
        ("GET", ["comments"]) => comments::list(call, &target),
        ("POST", ["comments"]) => match comments::content(call.request) {
            Ok(body) => {
                let comment = call.desk.write(call.repo, target, BOT, body);
                let json = comments::comment_json(call, &comment);
                let location = json["links"]["self"]["href"].as_str().unwrap_or_default().to_owned();
                Response::json(201, &json).header("Location", location)
            }
            Err(answer) => *answer,
        },
        (_, ["comments", id]) => match number(id) {
            Some(id) => comments::one(call, &target, id),
            None => error(404, "Resource not found"),
        },
        _ => error(404, "Resource not found"),
    }
}

/// What a token's scopes forbid.
fn denied(call: &Call<'_>, path: &[&str]) -> Option<Response> {
    let downloads = path.first() == Some(&"downloads");
    let allowed =
        call.request.is_read() || call.access == Access::Full || (call.access == Access::NoContents && !downloads);
    if allowed {
        return None;
    }
    let (granted, required) = match (call.access, path.first()) {
        (Access::NoContents, _) => ("pullrequest:write", "repository:write"),
        (_, Some(&"downloads")) => ("pullrequest", "repository:write"),
        (_, Some(&"commit")) => ("pullrequest", "repository"),
        (_, Some(&"pipelines")) => ("pipeline", "pipeline:write"),
        (_, Some(&"issues")) => ("pullrequest", "issue:write"),
        _ => ("pullrequest", "pullrequest:write"),
    };
    let json = json!({"type": "error", "error": {
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"granted": [granted], "required": [required]},
    }});
    Some(Response::json(403, &json))
}

/// One page, in Bitbucket's envelope.
fn paged<T>(call: &Call<'_>, all: &[T], max: usize, json: impl Fn(&T) -> Value) -> Response {
    let wanted = call.request.param("pagelen").map(|text| text.parse::<usize>());
    if wanted.is_some_and(|wanted| !wanted.is_ok_and(|size| (1..=max).contains(&size))) {
        return error(400, "Invalid pagelen");
    }
    let page = Page::of(call.request, ("pagelen", 10, max), all.len());
    let values: Vec<Value> = page.items(all).iter().map(json).collect();
    let mut answer = json!({"values": values, "pagelen": page.size, "size": page.total, "page": page.number});
    if let Some(next) = page.next() {
        answer["next"] = json!(page.url(call.url, call.request, next));
    }
    if let Some(previous) = page.previous() {
        answer["previous"] = json!(page.url(call.url, call.request, previous));
    }
    Response::json(200, &answer)
}

pub fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"type": "error", "error": {"message": message}}))
}

fn repository(call: &Call<'_>) -> Value {
    let (slug, url) = (&call.repo.slug, call.url);
    json!({
        "type": "repository", "full_name": slug, "name": slug.rsplit('/').next(), "is_private": true,
        "uuid": format!("{{00000000-0000-4000-8000-{:012}}}", call.repo.id),
        "mainbranch": {"type": "branch", "name": "main"}, "has_issues": true,
        "workspace": {"type": "workspace", "slug": slug.split('/').next(),
            "uuid": runners::workspace_uuid(slug.split('/').next().unwrap_or_default())},
        "links": {"html": {"href": format!("{url}/{slug}")}},
    })
}

fn user(url: &str, login: &str) -> Value {
    let id = login.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_000);
    json!({"type": "user", "display_name": login, "nickname": login, "account_id": format!("557058:{id}"),
        "uuid": format!("{{00000000-0000-4000-9000-{id:012}}}"), "links": {"html": {"href": format!("{url}/{login}")}}})
}
