//! GitHub's REST API: comments of issues, pull requests and commits, and the pull requests themselves.
//!
//! As of <https://docs.github.com/rest>, API version 2022-11-28. The Git Data API is in `github_git.rs`, what answers
//! look like in `github_shapes.rs`.

use serde_json::{Value, json};

use super::auth::{Access, access, scopes, token};
use super::clock::Time;
use super::github_shapes::{comment_json, error, full_repository, label, not_found, pull_request, state_name, user};
use super::http::{Request, Response};
use super::page::Page;
use super::route::Call;
use super::state::{BOT, Comment, PullRequest, State, Target, Vendor};
use super::{github_checks, github_git, github_runners, graphql, pulls, runs};

/// Longer comment bodies are refused.
const MAX_BODY: usize = 65_536;

pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let mut answer = checked(state, request, url, path);
    let access = access(Vendor::GitHub, request);
    if let Some(scopes) = access.and_then(|access| scopes(Vendor::GitHub, request, access)) {
        answer = answer.header("X-OAuth-Scopes", scopes).header("X-Accepted-OAuth-Scopes", "repo");
    }
    if token(request).starts_with("github_pat_") {
        answer = answer.header("GitHub-Authentication-Token-Expiration", "2027-01-31 00:00:00 UTC");
    }
    let reset = (state.desk.now().0 / 1_000_000 + 3600).to_string();
    answer
        .header("Server", "github.com")
        .header("X-GitHub-Media-Type", "github.v3; format=json")
        .header("X-RateLimit-Limit", "5000")
        .header("X-RateLimit-Remaining", "4999")
        .header("X-RateLimit-Reset", reset)
        .header("X-RateLimit-Resource", "core")
}

fn checked(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    if request.header("user-agent").is_none_or(str::is_empty) {
        let text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header";
        return Response::bytes(403, "text/html; charset=utf-8", text);
    }
    let Some(access) = access(Vendor::GitHub, request) else {
        let anonymous = request.header("authorization").is_none();
        return error(401, if anonymous { "Requires authentication" } else { "Bad credentials" });
    };
    match path {
        ["graphql"] if request.verb() == "POST" => graphql::answer(state, request, access),
        ["user"] if request.is_read() => Response::json(200, &user(url, BOT)),
        ["repos", owner, name, "actions", rest @ ..] if rest.first() == Some(&"runners") => {
            github_runners::route(state, request, url, &format!("{owner}/{name}"), rest)
        }
        ["orgs", name, "actions", rest @ ..] => github_runners::route(state, request, url, name, rest),
        ["repos", owner, name, rest @ ..] => match state.repo(Vendor::GitHub, &format!("{owner}/{name}")) {
            Some((repo, desk)) => in_repo(&mut Call { request, url, access, repo, desk }, rest),
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn in_repo(call: &mut Call<'_>, path: &[&str]) -> Response {
    let contents = matches!(path.first(), Some(&("git" | "commits" | "comments")));
    let denied = match call.access {
        Access::Full => false,
        Access::NoContents => path.first() == Some(&"git"),
        Access::ReadOnly | Access::Job => true,
    };
    // This listing asks for the right to administer.
    let administers = path == ["rulesets", "rule-suites"] && call.access != Access::Full;
    if administers || (denied && !call.request.is_read()) {
        let needed = match path.first() {
            Some(&"check-runs") => "checks=write",
            Some(&"actions") => "actions=write",
            Some(&"rulesets") => "administration=write",
            _ if contents => "contents=write",
            _ => "issues=write; pull_requests=write",
        };
        let who = if token(call.request).starts_with("github_pat_") { "personal access token" } else { "integration" };
        let answer = error(403, &format!("Resource not accessible by {who}"));
        return answer.header("X-Accepted-GitHub-Permissions", needed);
    }
    match (call.request.verb(), path) {
        ("GET", []) => Response::json(200, &full_repository(call)),
        ("GET", ["issues", "comments"]) => list_all(call),
        ("GET", ["pulls"]) => list_pulls(call),
        ("POST", ["pulls"]) => pulls::github_create(call),
        ("PUT", ["pulls", number, "merge"]) => with_number(number, |number| pulls::github_merge(call, number)),
        ("GET", ["pulls", number]) => with_number(number, |number| match call.repo.pulls.get(&number) {
            Some(pull) => Response::json(200, &pull_request(call, pull)),
            None => not_found(),
        }),
        (_, ["issues", "comments", id]) => with_number(id, |id| one(call, id, false)),
        (_, ["comments", id]) => with_number(id, |id| one(call, id, true)),
        (_, ["issues", number, "comments"]) => with_number(number, |number| thread(call, &Target::Issue(number))),
        (_, ["commits", sha, "comments"]) => thread(call, &Target::Commit((*sha).to_owned())),
        ("POST", ["check-runs"]) => github_checks::make(call),
        ("GET" | "PATCH", ["check-runs", id]) => with_number(id, |id| github_checks::one(call, id)),
        ("GET", ["check-runs", id, "annotations"]) => with_number(id, |id| runs::annotations(call, id)),
        ("GET", ["commits", sha, "check-runs"]) => github_checks::list(call, sha),
        ("GET", ["commits", sha, "pulls"]) => pulls_of_commit(call, sha),
        (_, ["git", rest @ ..]) => github_git::route(call, rest),
        ("GET", ["rulesets", "rule-suites"]) => Response::json(200, &json!([])),
        (_, ["actions", "runs", rest @ ..]) => runs::github(call, rest),
        _ => not_found(),
    }
}

/// Lists or creates the comments of one target.
fn thread(call: &mut Call<'_>, target: &Target) -> Response {
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
fn list_all(call: &Call<'_>) -> Response {
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

/// One page, with GitHub's `Link` header.
fn paged<T>(call: &Call<'_>, all: &[T], json: impl Fn(&T) -> Value) -> Response {
    let page = Page::of(call.request, ("per_page", 30, 100), all.len());
    let answer = Response::json(200, &page.items(all).iter().map(json).collect());
    let (next, previous) = (page.next(), page.previous());
    let relations = [
        ("prev", previous),
        ("next", next),
        ("last", next.map(|_| page.count()).filter(|_| !call.desk.switches.omit_totals)),
        ("first", previous.map(|_| 1)),
    ];
    match page.links(call.url, call.request, &relations) {
        Some(links) => answer.header("Link", links),
        None => answer,
    }
}

/// Reads, changes or deletes a comment, of a commit or of anything else.
fn one(call: &mut Call<'_>, id: u64, of_commit: bool) -> Response {
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

fn list_pulls(call: &Call<'_>) -> Response {
    let state = call.request.param("state").unwrap_or_else(|| "open".to_owned());
    // GitHub ignores a head without an owner.
    let head = call.request.param("head").filter(|head| head.contains(':'));
    let base = call.request.param("base");
    let fits = |pull: &&PullRequest| {
        (state == "all" || state_name(pull) == state)
            && head.as_ref().is_none_or(|head| *head == label(call.repo, pull))
            && base.as_ref().is_none_or(|base| *base == pull.base)
    };
    let newest_first = call.repo.pulls.values().rev();
    let found: Vec<&PullRequest> = newest_first.filter(fits).collect();
    paged(call, &found, |pull| pull_request(call, pull))
}

fn pulls_of_commit(call: &Call<'_>, name: &str) -> Response {
    let Some(sha) = call.repo.commit(name) else {
        return error(422, &format!("No commit found for SHA: {name}"));
    };
    let found: Vec<&PullRequest> = call.repo.pulls.values().filter(|pull| pull.concerns(&sha)).collect();
    paged(call, &found, |pull| pull_request(call, pull))
}

fn with_number(text: &str, answer: impl FnOnce(u64) -> Response) -> Response {
    text.parse().map_or_else(|_| not_found(), answer)
}
