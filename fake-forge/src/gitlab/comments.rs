//! Notes of merge requests and issues, discussions and comments of commits: <https://docs.gitlab.com/api/notes/>.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::clock::Time;
use super::super::http::{Request, Response};
use super::super::route::Call;
use super::super::state::{BOT, Comment, Desk, Repo, Target, hex};
use super::{error, paged, quick_actions, user};

/// Longer notes are refused.
const MAX_NOTE: usize = 1_000_000;

/// The notes and discussions of anything that has some.
pub fn notes(call: &mut Call<'_>, target: Target, path: &[&str]) -> Response {
    match (call.request.verb(), path) {
        ("GET", ["notes"]) => list_notes(call, &target),
        ("GET", ["discussions"]) => paged(call, &live(call, &target), |note| discussion(call, note)),
        ("POST", ["notes" | "discussions"]) => match text(call.request, "body", "400 Bad request - Note") {
            Ok(body) => {
                let body = quick_actions::perform(call.repo, &target, &body);
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
pub fn live<'a>(call: &'a Call<'_>, target: &Target) -> Vec<&'a Comment> {
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
                let body = quick_actions::perform(call.repo, target, &body);
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
pub fn text(request: &Request, field: &str, prefix: &str) -> Result<String, Box<Response>> {
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
pub fn commit_comment(call: &Call<'_>, note: &Comment) -> Value {
    json!({"note": note.body, "path": null, "line": null, "line_type": null,
        "author": user(call.url, &note.author), "created_at": note.created_at.millis()})
}

/// A note that GitLab wrote itself, between people's notes.
pub fn system_note(repo: &mut Repo, desk: &mut Desk, target: Target, body: &str, at: Time) -> u64 {
    let id = desk.write_at(repo, target, "octocat", body.to_owned(), at).id;
    if let Some(note) = repo.comment_mut(id) {
        note.system = true;
    }
    id
}
