//! Comments of pull requests, commits and issues:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>.

use serde_json::{Value, json};

use super::super::http::{Request, Response};
use super::super::route::Call;
use super::super::state::{Comment, Target};
use super::{error, paged, user};

/// Longer comments are refused.
const MAX_COMMENT: usize = 32_768;

pub fn list(call: &Call<'_>, target: &Target) -> Response {
    let param = |name: &str| call.request.param(name).unwrap_or_default();
    let mut comments = call.repo.thread(target);
    let without_spaces: String = param("q").chars().filter(|c| !c.is_whitespace()).collect();
    match without_spaces.to_ascii_lowercase().as_str() {
        "" => {}
        "deleted=false" => comments.retain(|comment| !comment.deleted),
        _ => return error(400, "Invalid query. The fake forge knows only: deleted=false"),
    }
    let sort = param("sort");
    match sort.trim_start_matches('-') {
        "" | "id" | "created_on" => {}
        "updated_on" => comments.sort_by_key(|comment| (comment.updated_at, comment.id)),
        other => return error(400, &format!("Invalid field name: {other}")),
    }
    if sort.starts_with('-') {
        comments.reverse();
    }
    paged(call, &comments, 100, |comment| comment_json(call, comment))
}

pub fn one(call: &mut Call<'_>, target: &Target, id: u64) -> Response {
    let found = call.repo.comments.iter().find(|comment| comment.id == id && comment.target == *target);
    let Some(comment) = found.cloned() else { return error(404, "Resource not found") };
    match call.request.verb() {
        _ if call.is_refused(&comment) => error(403, "You do not have permission to edit this comment."),
        "GET" => Response::json(200, &comment_json(call, &comment)),
        _ if comment.deleted => error(404, "Resource not found"),
        "PUT" => match content(call.request) {
            Ok(body) => {
                let changed = call.rewrite(comment, body);
                // So it is described, for commits only.
                let status = if matches!(target, Target::Commit(_)) { 201 } else { 200 };
                Response::json(status, &comment_json(call, &changed))
            }
            Err(answer) => *answer,
        },
        "DELETE" => {
            let updated_at = call.desk.tick();
            let comment = call.repo.comment_mut(id).expect("found above");
            (comment.deleted, comment.updated_at) = (true, updated_at);
            Response::empty(204)
        }
        _ => error(405, "Method not allowed"),
    }
}

/// The text of a new or changed comment, if Bitbucket takes it.
pub fn content(request: &Request) -> Result<String, Box<Response>> {
    let document = request.json();
    let text = document["content"]["raw"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        let fields = json!({"content": ["This field is required."]});
        let json = json!({"type": "error", "error": {"message": "Bad request", "fields": fields}});
        return Err(Box::new(Response::json(400, &json)));
    }
    if text.chars().count() > MAX_COMMENT {
        // Not JSON: so seen in runatlantis/atlantis#1251.
        let page = "<h1>Bad Request (400)</h1>";
        return Err(Box::new(Response::bytes(400, "text/html; charset=utf-8", page)));
    }
    Ok(text.to_owned())
}

pub fn comment_json(call: &Call<'_>, comment: &Comment) -> Value {
    let (id, slug, url) = (comment.id, &call.repo.slug, call.url);
    let api = format!("{url}/bitbucket/2.0/repositories/{slug}");
    let raw = if comment.deleted { "" } else { comment.body.as_str() };
    let html = raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = if html.is_empty() { html } else { format!("<p>{html}</p>") };
    let mut json = json!({
        "id": id, "deleted": comment.deleted, "pending": false, "user": user(url, &comment.author),
        "created_on": comment.created_at.micros(), "updated_on": comment.updated_at.micros(),
        "content": {"type": "rendered", "raw": raw, "markup": "markdown", "html": html},
    });
    let (kind, path, page) = match &comment.target {
        Target::Pull(n) => {
            json["pullrequest"] = json!({"type": "pullrequest", "id": n, "title": format!("Pull request {n}")});
            ("pullrequest_comment", format!("pullrequests/{n}"), format!("pull-requests/{n}/_/diff#comment-{id}"))
        }
        Target::Issue(n) => {
            json["issue"] = json!({"type": "issue", "id": n, "title": format!("Issue {n}")});
            ("issue_comment", format!("issues/{n}"), format!("issues/{n}#comment-{id}"))
        }
        Target::Commit(sha) => {
            json["commit"] = json!({"type": "commit", "hash": sha});
            ("commit_comment", format!("commit/{sha}"), format!("commits/{sha}#comment-{id}"))
        }
    };
    json["type"] = json!(kind);
    json["links"] = json!({
        "self": {"href": format!("{api}/{path}/comments/{id}")}, "html": {"href": format!("{url}/{slug}/{page}")},
    });
    json
}
