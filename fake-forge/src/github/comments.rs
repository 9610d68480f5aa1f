//! Comments of issues, pull requests and commits: <https://docs.github.com/en/rest/issues/comments>.

use serde_json::{Value, json};

use super::super::clock::Time;
use super::super::http::{Request, Response};
use super::super::route::Call;
use super::super::state::{BOT, Comment, Target};
use super::paged;
use super::shapes::{comment_json, error, not_found};

/// Longer comment bodies are refused.
const MAX_BODY: usize = 65_536;

/// Lists or creates the comments of one target.
pub fn thread(call: &mut Call<'_>, target: &Target) -> Response {
    let Some(target) = call.repo.target(target) else {
        return match target {
            Target::Commit(sha) => error(422, &format!("No commit found for SHA: {sha}")),
            _ => not_found(),
        };
    };
    match call.request.verb() {
        "GET" => {
            let found: Vec<&Comment> = call.repo.thread(&target).into_iter().filter(|c| !c.deleted).collect();
            list(call, found)
        }
        "POST" => match body(call.request, &target) {
            Ok(body) => {
                let comment = call.desk.write(call.repo, target, BOT, body);
                let json = comment_json(call, &comment);
                let location = json["url"].as_str().unwrap_or_default().to_owned();
                Response::json(201, &json).header("Location", location)
            }
            Err(answer) => *answer,
        },
        _ => not_found(),
    }
}

/// The comments of all issues and pull requests of a repository.
pub fn list_all(call: &Call<'_>) -> Response {
    let comments = call.repo.comments.iter();
    let mut found: Vec<&Comment> = comments.filter(|c| !c.deleted && !matches!(c.target, Target::Commit(_))).collect();
    if call.request.param("sort").as_deref() == Some("updated") {
        found.sort_by_key(|comment| comment.updated_at);
    }
    if call.request.param("direction").as_deref() == Some("desc") {
        found.reverse();
    }
    list(call, found)
}

fn list(call: &Call<'_>, mut comments: Vec<&Comment>) -> Response {
    if let Some(since) = call.request.param("since").and_then(|text| Time::parse(&text)) {
        comments.retain(|comment| comment.updated_at >= since);
    }
    paged(call, &comments, |comment| comment_json(call, comment))
}

/// Reads, changes or deletes a comment, of a commit or of anything else.
pub fn one(call: &mut Call<'_>, id: u64, of_commit: bool) -> Response {
    let Some(comment) = call.repo.comment(id).cloned() else { return not_found() };
    if matches!(comment.target, Target::Commit(_)) != of_commit {
        return not_found();
    }
    match call.request.verb() {
        _ if call.is_refused(&comment) => error(403, "Must have admin rights to Repository."),
        "GET" => Response::json(200, &comment_json(call, &comment)),
        "PATCH" => match body(call.request, &comment.target) {
            Ok(body) => {
                let changed = call.rewrite(comment, body);
                Response::json(200, &comment_json(call, &changed))
            }
            Err(answer) => *answer,
        },
        "DELETE" => {
            call.repo.comment_mut(id).expect("found above").deleted = true;
            Response::empty(204)
        }
        _ => not_found(),
    }
}

/// The body of a new or changed comment, if GitHub takes it.
fn body(request: &Request, target: &Target) -> Result<String, Box<Response>> {
    let resource = if matches!(target, Target::Commit(_)) { "CommitComment" } else { "IssueComment" };
    let refuse = |problem: Value| {
        let errors = json!([problem]);
        let text = json!({"message": "Validation Failed", "errors": errors,
            "documentation_url": "https://docs.github.com/rest", "status": "422"});
        Err(Box::new(Response::json(422, &text)))
    };
    let document = request.json();
    if !document.is_object() {
        return Err(Box::new(error(400, "Problems parsing JSON")));
    }
    let text = document["body"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        return refuse(json!({"resource": resource, "code": "missing_field", "field": "body"}));
    }
    if text.chars().count() > MAX_BODY {
        let message = format!("Body is too long (maximum is {MAX_BODY} characters)");
        return refuse(json!({"resource": resource, "code": "unprocessable", "field": "data", "message": message}));
    }
    Ok(text.to_owned())
}
