//! GitLab's REST API v4: notes of merge requests and issues, discussions and comments of commits, uploads.
//!
//! Shapes as of <https://docs.gitlab.com/api/rest/>; the wording of errors as in GitLab's own source.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::auth::{Access, access, scopes};
use super::clock::Time;
use super::github_shapes::title;
use super::gitlab_actions;
use super::gitlab_runners;
use super::gitlab_statuses;
use super::http::{Request, Response};
use super::multipart;
use super::page::Page;
use super::pulls;
use super::route::{Call, content_type};
use super::runs;
use super::state::{BOT, Comment, Desk, File, PullRequest, PullState, Repo, State, Target, Vendor, hex};

/// Longer notes are refused.
const MAX_NOTE: usize = 1_000_000;

pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    if let Some(answer) = gitlab_runners::route(state, request, url, path) {
        return answer;
    }
    let registration_token = gitlab_runners::registration_token(state);
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
    let number = |text: &str| text.parse::<u64>().ok();
    match (call.request.verb(), path) {
        ("GET", []) => Response::json(200, &project(call)),
        ("GET", ["members", "all", "3"]) if call.access == Access::NoContents => {
            Response::json(200, &json!({"id": 3, "username": bot(call.access), "access_level": 20}))
        }
        ("GET", ["members", "all", _]) => error(404, "404 Not found"),
        ("POST", ["uploads"]) => upload(call),
        ("POST", ["statuses", sha]) => gitlab_statuses::set(call, sha),
        ("GET", ["merge_requests"]) => list_merge_requests(call),
        ("POST", ["merge_requests"]) => pulls::gitlab_create(call),
        ("PUT", ["merge_requests", iid, "merge"]) => pulls::gitlab_merge(call, iid),
        ("GET", ["merge_requests", iid]) => match number(iid).and_then(|iid| call.repo.pulls.get(&iid)) {
            Some(pull) => Response::json(200, &merge_request(call, pull)),
            None => error(404, "404 Not found"),
        },
        (_, ["merge_requests", iid, rest @ ..]) => {
            let target = number(iid).and_then(|iid| call.repo.target(&Target::Pull(iid)));
            target.map_or_else(|| error(404, "404 MergeRequest Not Found"), |target| notes(call, target, rest))
        }
        (_, ["pipelines" | "jobs", ..]) => runs::gitlab(call, path),
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
        ("GET", ["statuses"]) => gitlab_statuses::list(call, sha),
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

/// The notes and discussions of anything that has some.
fn notes(call: &mut Call<'_>, target: Target, path: &[&str]) -> Response {
    match (call.request.verb(), path) {
        ("GET", ["notes"]) => list_notes(call, &target),
        ("GET", ["discussions"]) => paged(call, &live(call, &target), |note| discussion(call, note)),
        ("POST", ["notes" | "discussions"]) => match text(call.request, "body", "400 Bad request - Note") {
            Ok(body) => {
                let body = gitlab_actions::perform(call.repo, &target, &body);
                if body.is_empty() {
                    let json = json!({"commands_changes": {}, "summary": ["Applied quick actions."]});
                    return Response::json(202, &json);
                }
                let note = call.desk.write(call.repo, target, BOT, body);
                let in_discussion = path == ["discussions"];
                let json = if in_discussion { discussion(call, &note) } else { note_json(call, &note) };
                Response::json(201, &json)
            }
            Err(answer) => *answer,
        },
        (_, ["notes", id] | ["discussions", _, "notes", id]) => match id.parse() {
            Ok(id) => one_note(call, &target, id),
            Err(_) => Response::json(400, &json!({"error": "note_id is invalid"})),
        },
        ("GET", ["discussions", id]) => match live(call, &target).into_iter().find(|note| discussion_id(note) == *id) {
            Some(note) => Response::json(200, &discussion(call, note)),
            None => error(404, "404 Discussion Not Found"),
        },
        _ => Response::json(404, &json!({"error": "404 Not Found"})),
    }
}

fn list_notes(call: &Call<'_>, target: &Target) -> Response {
    let param = |name: &str| call.request.param(name).unwrap_or_default();
    let system = match param("activity_filter").as_str() {
        "only_comments" => Some(false),
        "only_activity" => Some(true),
        _ => None,
    };
    let mut notes = live(call, target);
    notes.retain(|note| system.is_none_or(|system| note.system == system));
    if param("order_by") == "updated_at" {
        notes.sort_by_key(|note| (note.updated_at, note.id));
    }
    if param("sort") != "asc" {
        notes.reverse();
    }
    paged(call, &notes, |note| note_json(call, note))
}

/// The notes that are still there, oldest first.
fn live<'a>(call: &'a Call<'_>, target: &Target) -> Vec<&'a Comment> {
    let mut notes = call.repo.thread(target);
    notes.retain(|note| !note.deleted);
    notes
}

fn one_note(call: &mut Call<'_>, target: &Target, id: u64) -> Response {
    let found = call.repo.comment(id).filter(|note| note.target == *target).cloned();
    let Some(note) = found else { return error(404, "404 Not found") };
    match call.request.verb() {
        "GET" => Response::json(200, &note_json(call, &note)),
        _ if call.is_refused(&note) => error(403, "403 Forbidden"),
        "PUT" | "DELETE" if note.system => error(403, "403 Forbidden"),
        "PUT" => match text(call.request, "body", "400 Bad request - Note") {
            Ok(body) => {
                let body = gitlab_actions::perform(call.repo, target, &body);
                let changed = call.rewrite(note, body);
                if changed.body.is_empty() {
                    call.repo.comment_mut(id).expect("found above").deleted = true;
                }
                Response::json(200, &note_json(call, &changed))
            }
            Err(answer) => *answer,
        },
        "DELETE" => {
            call.repo.comment_mut(id).expect("found above").deleted = true;
            Response::empty(204)
        }
        _ => Response::json(405, &json!({"error": "405 Not Allowed"})),
    }
}

/// The text of a new or changed note, if GitLab takes it.
fn text(request: &Request, field: &str, prefix: &str) -> Result<String, Box<Response>> {
    let Some(text) = request.field(field) else {
        let json = json!({"error": format!("{field} is missing")});
        return Err(Box::new(Response::json(400, &json)));
    };
    let problem = if text.trim().is_empty() {
        "can't be blank".to_owned()
    } else if text.chars().count() > MAX_NOTE {
        format!("is too long (maximum is {MAX_NOTE} characters)")
    } else {
        return Ok(text);
    };
    Err(Box::new(error(400, &format!("{prefix} {{:note=>[\"{problem}\"]}}"))))
}

/// `POST uploads`: the form's `file`.
fn upload(call: &mut Call<'_>) -> Response {
    let parts = multipart::parts(call.request).unwrap_or_default();
    let Some(part) = parts.into_iter().find(|part| part.name == "file" && part.filename.is_some()) else {
        return Response::json(400, &json!({"error": "file is missing"}));
    };
    let keep = |c: char| if c.is_alphanumeric() || "._-+".contains(c) { c } else { '_' };
    let name: String = part.filename.unwrap_or_default().chars().map(keep).collect();
    let guessed = content_type(&name);
    let shown = guessed.starts_with("image/") || guessed.starts_with("video/");
    let file = call.repo.keep(File {
        key: String::new(),
        name: name.clone(),
        content_type: part.content_type.unwrap_or_else(|| guessed.to_owned()),
        disposition: None,
        body: part.body,
    });
    let path = format!("/uploads/{}/{name}", file.key);
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let alt = if shown { stem } else { &name };
    let mark = if shown { "!" } else { "" };
    let json = json!({
        "id": call.desk.id(), "alt": alt, "url": path,
        "full_path": format!("/-/project/{}{path}", call.repo.id), "markdown": format!("{mark}[{alt}]({path})"),
    });
    Response::json(201, &json)
}

fn list_merge_requests(call: &Call<'_>) -> Response {
    let param = |name: &str| call.request.param(name).filter(|value| !value.is_empty());
    let (state, source) = (param("state").filter(|state| state != "all"), param("source_branch"));
    let target = call.request.param("target_branch");
    let fits = |pull: &&PullRequest| {
        state.as_ref().is_none_or(|state| state_name(pull) == state)
            && source.as_ref().is_none_or(|source| pull.branch == *source)
            && target.as_ref().is_none_or(|target| pull.base == *target)
    };
    let newest_first = call.repo.pulls.values().rev();
    let found: Vec<&PullRequest> = newest_first.filter(fits).collect();
    paged(call, &found, |pull| merge_request(call, pull))
}

fn state_name(pull: &PullRequest) -> &'static str {
    match pull.state {
        PullState::Open => "opened",
        PullState::Closed => "closed",
        PullState::Merged => "merged",
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

/// A discussion has a name of its own; here each note is a discussion.
fn discussion_id(note: &Comment) -> String {
    hex(&Sha256::digest(format!("discussion {}", note.id))[..20])
}

fn discussion(call: &Call<'_>, note: &Comment) -> Value {
    json!({"id": discussion_id(note), "individual_note": true, "notes": [note_json(call, note)]})
}

fn note_json(call: &Call<'_>, note: &Comment) -> Value {
    let (kind, iid, commit) = match &note.target {
        Target::Pull(iid) => ("MergeRequest", json!(iid), Value::Null),
        Target::Issue(iid) => ("Issue", json!(iid), Value::Null),
        Target::Commit(sha) => ("Commit", Value::Null, json!(sha)),
    };
    json!({
        "id": note.id, "type": null, "body": note.body, "author": user(call.url, &note.author),
        "created_at": note.created_at.millis(), "updated_at": note.updated_at.millis(), "system": note.system,
        "noteable_id": iid.as_u64().map(|iid| 70_000 + iid), "noteable_type": kind, "noteable_iid": iid,
        "project_id": call.repo.id, "commit_id": commit, "resolvable": false, "confidential": false,
        "internal": false, "imported": false, "imported_from": "none", "commands_changes": {},
    })
}

/// GitLab's comments of commits have neither an id nor a link.
fn commit_comment(call: &Call<'_>, note: &Comment) -> Value {
    json!({"note": note.body, "path": null, "line": null, "line_type": null,
        "author": user(call.url, &note.author), "created_at": note.created_at.millis()})
}

pub fn merge_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let (iid, id) = (pull.number, call.repo.id);
    let merged = (pull.state == PullState::Merged).then_some("2026-01-02T00:00:00.000Z");
    json!({
        "id": 70_000 + iid, "iid": iid, "project_id": id, "title": title(pull, "Merge request"), "merge_when_pipeline_succeeds": pull.auto_merge.is_some(),
        "description": pull.body, "state": state_name(pull), "source_branch": pull.branch, "target_branch": pull.base,
        "source_project_id": if pull.fork.is_some() { 4242 } else { id }, "target_project_id": id,
        "sha": pull.head_sha, "merge_commit_sha": pull.merge_sha, "squash_commit_sha": null, "draft": false,
        "author": user(call.url, "octocat"), "merged_at": merged, "user_notes_count": 0, "labels": [],
        "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        "reference": format!("!{iid}"), "web_url": format!("{}/{}/-/merge_requests/{iid}", call.url, call.repo.slug),
    })
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

/// A note that GitLab wrote itself, between people's notes.
pub fn system_note(repo: &mut Repo, desk: &mut Desk, target: Target, body: &str, at: Time) -> u64 {
    let id = desk.write_at(repo, target, "octocat", body.to_owned(), at).id;
    if let Some(note) = repo.comment_mut(id) {
        note.system = true;
    }
    id
}
