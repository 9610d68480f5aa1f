//! GitLab's REST API v4: what each address leads to. What it does is in a file for each capability.
//!
//! Shapes as of <https://docs.gitlab.com/api/rest/>; the wording of errors as in GitLab's own source.

use serde_json::{Value, json};

use self::comments::{commit_comment, live, notes, text};
use self::pull_requests::merge_request;
use super::auth::{Access, access, scopes};
use super::http::{Request, Response};
use super::page::Page;
use super::route::Call;
use super::state::{BOT, PullRequest, State, Target, Vendor};

mod assets;
mod checks;
mod comments;
pub mod jobs;
mod pull_requests;
mod quick_actions;
mod runners;
mod runs;

pub use self::comments::system_note;

pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    if let Some(answer) = runners::route(state, request, url, path) {
        return answer;
    }
    let registration_token = runners::registration_token(state);
    let Some(access) = access(Vendor::GitLab, request) else { return error(401, "401 Unauthorized") };
    match path {
        ["version"] => Response::json(200, &json!({"version": "18.5.0", "revision": "fake0000000"})),
        ["user"] if access != Access::Job => Response::json(200, &user(url, bot(access))),
        ["personal_access_tokens", "self"] if access != Access::Job => {
            let scopes: Vec<&str> = scopes(Vendor::GitLab, request, access).unwrap_or_default().split(", ").collect();
            Response::json(
                200,
                &json!({"id": 4, "name": "cml", "revoked": false, "created_at": "2026-01-01T00:00:00.000Z",
                    "description": null, "scopes": scopes, "user_id": 3, "last_used_at": null, "active": true,
                    "expires_at": "2027-01-31"}),
            )
        }
        ["projects", name] if request.is_read() && access == Access::Full => match state.repo(Vendor::GitLab, name) {
            Some((repo, desk)) => {
                let mut project = project(&Call { request, url, access, repo, desk });
                project["runners_token"] = registration_token;
                Response::json(200, &project)
            }
            None => error(404, "404 Project Not Found"),
        },
        ["projects", name, rest @ ..] => match state.repo(Vendor::GitLab, name) {
            Some((repo, desk)) => in_project(&mut Call { request, url, access, repo, desk }, rest),
            None => error(404, "404 Project Not Found"),
        },
        _ => Response::json(404, &json!({"error": "404 Not Found"})),
    }
}

fn in_project(call: &mut Call<'_>, path: &[&str]) -> Response {
    if let Some(denied) = denied(call, path) {
        return denied;
    }
    if let Some(answer) = super::history::answer(call, path) {
        return answer;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    match (call.request.verb(), path) {
        ("GET", []) => Response::json(200, &project(call)),
        ("GET", ["members", "all", "3"]) if call.access == Access::NoContents => {
            Response::json(200, &json!({"id": 3, "username": bot(call.access), "access_level": 20}))
        }
        ("GET", ["members", "all", id]) => {
            let member = call.repo.members.iter().find(|(login, _)| user(call.url, login)["id"].as_u64() == number(id));
            member.map_or_else(
                || error(404, "404 Not found"),
                |(login, level)| {
                    let mut member = user(call.url, login);
                    member["access_level"] = json!(level);
                    Response::json(200, &member)
                },
            )
        }
        ("POST", ["uploads"]) => assets::upload(call),
        ("POST", ["statuses", sha]) => checks::set(call, sha),
        ("GET", ["merge_requests"]) => pull_requests::list(call),
        ("POST", ["merge_requests"]) => pull_requests::create(call),
        ("PUT", ["merge_requests", iid, "merge"]) => pull_requests::merge(call, iid),
        ("GET", ["merge_requests", iid]) => match number(iid).and_then(|iid| call.repo.pulls.get(&iid)) {
            Some(pull) => Response::json(200, &merge_request(call, pull)),
            None => error(404, "404 Not found"),
        },
        ("GET", ["merge_requests", iid, "resource_label_events"]) => pull_requests::label_events(call, iid),
        (_, ["merge_requests", iid, rest @ ..]) => {
            let target = number(iid).and_then(|iid| call.repo.target(&Target::Pull(iid)));
            target.map_or_else(|| error(404, "404 MergeRequest Not Found"), |target| notes(call, target, rest))
        }
        (_, ["pipelines" | "jobs", ..]) => runs::route(call, path),
        (_, ["issues", iid, rest @ ..]) => {
            let target = number(iid).and_then(|iid| call.repo.target(&Target::Issue(iid)));
            target.map_or_else(|| error(404, "404 Issue Not Found"), |target| notes(call, target, rest))
        }
        (_, ["repository", "commits", name, rest @ ..]) => match call.repo.commit(name) {
            Some(sha) => of_commit(call, &sha, rest),
            None => error(404, "404 Commit Not Found"),
        },
        _ => Response::json(404, &json!({"error": "404 Not Found"})),
    }
}

/// What a token's limits forbid.
fn denied(call: &Call<'_>, path: &[&str]) -> Option<Response> {
    let read = call.request.is_read();
    match call.access {
        Access::Full => None,
        Access::Job => {
            let about_merge_requests =
                matches!(path, ["merge_requests", ..] | ["repository", "commits", _, "merge_requests"]);
            let allowed = read && about_merge_requests && call.desk.switches.job_token_reads;
            (!allowed).then(|| error(401, "401 Unauthorized"))
        }
        _ if read || (call.access == Access::NoContents && path != ["uploads"]) => None,
        _ => {
            let text = "The request requires higher privileges than provided by the access token.";
            let json = json!({"error": "insufficient_scope", "error_description": text, "scope": "api"});
            Some(Response::json(403, &json))
        }
    }
}

fn of_commit(call: &mut Call<'_>, sha: &str, path: &[&str]) -> Response {
    let target = Target::Commit(sha.to_owned());
    match (call.request.verb(), path) {
        ("GET", ["merge_requests"]) => {
            let found: Vec<&PullRequest> = call.repo.pulls.values().filter(|pull| pull.concerns(sha)).collect();
            paged(call, &found, |pull| merge_request(call, pull))
        }
        ("GET", ["statuses"]) => checks::list(call, sha),
        ("GET", ["comments"]) => paged(call, &live(call, &target), |note| commit_comment(call, note)),
        ("POST", ["comments"]) => match text(call.request, "note", "Failed to save note") {
            Ok(body) => {
                let note = call.desk.write(call.repo, target, BOT, body);
                Response::json(201, &commit_comment(call, &note))
            }
            Err(answer) => *answer,
        },
        (_, ["discussions", ..]) => notes(call, target, path),
        _ => Response::json(404, &json!({"error": "404 Not Found"})),
    }
}

/// One page, with GitLab's headers.
fn paged<T>(call: &Call<'_>, all: &[T], json: impl Fn(&T) -> Value) -> Response {
    let page = Page::of(call.request, ("per_page", 20, 100), all.len());
    let number = |page: Option<usize>| page.map(|page| page.to_string()).unwrap_or_default();
    let (next, previous) = (page.next(), page.previous());
    let mut answer = Response::json(200, &page.items(all).iter().map(json).collect())
        .header("X-Page", page.number.to_string())
        .header("X-Per-Page", page.size.to_string())
        .header("X-Next-Page", number(next))
        .header("X-Prev-Page", number(previous));
    let totals = !call.desk.switches.omit_totals;
    if totals {
        answer = answer.header("X-Total", page.total.to_string()).header("X-Total-Pages", page.count().to_string());
    }
    let last = totals.then(|| page.count());
    let relations = [("prev", previous), ("next", next), ("first", Some(1)), ("last", last)];
    match page.links(call.url, call.request, &relations) {
        Some(links) => answer.header("Link", links),
        None => answer,
    }
}

pub fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"message": message}))
}

fn project(call: &Call<'_>) -> Value {
    let (slug, url) = (&call.repo.slug, call.url);
    let name = slug.rsplit('/').next().unwrap_or_default();
    json!({
        "id": call.repo.id, "name": name, "path": name, "path_with_namespace": slug, "default_branch": "main",
        "visibility": "private", "web_url": format!("{url}/{slug}"), "http_url_to_repo": format!("{url}/{slug}.git"),
        "description": null, "issues_enabled": true, "merge_requests_enabled": true, "archived": false,
        "permissions": permissions(call.access),
    })
}

/// The user of a token: of a project, or a person's.
fn bot(access: Access) -> &'static str {
    if access == Access::NoContents { BOT } else { "project_42_bot_0123456789abcdef" }
}

/// A role in the project, or one by another way, which is not told there.
fn permissions(access: Access) -> Value {
    let of = |level: u64| json!({"access_level": level, "notification_level": 3});
    match access {
        Access::Full => json!({"project_access": of(30), "group_access": of(40)}),
        Access::ReadOnly => json!({"project_access": of(30), "group_access": null}),
        _ => json!({"project_access": null, "group_access": null}),
    }
}

fn user(url: &str, login: &str) -> Value {
    let id = login.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_000);
    json!({"id": id, "username": login, "name": login, "state": "active", "locked": false, "avatar_url": null,
        "web_url": format!("{url}/{login}")})
}
