//! GitHub's REST API: comments of issues, pull requests and commits, and the pull requests themselves.
//!
//! Shapes as of <https://docs.github.com/rest>, API version 2022-11-28. The Git Data API is in `github_git.rs`.

use serde_json::{Value, json};

use super::auth::{Access, access};
use super::clock::Time;
use super::http::{Request, Response};
use super::page::Page;
use super::route::Call;
use super::state::{BOT, Comment, PullRequest, PullState, Repo, State, Target, Vendor};
use super::{github_git, graphql};

/// Longer comment bodies are refused.
const MAX_BODY: usize = 65_536;

pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let answer = checked(state, request, url, path);
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
    if denied && !call.request.is_read() {
        let needed = if contents { "contents=write" } else { "issues=write; pull_requests=write" };
        let answer = error(403, "Resource not accessible by integration");
        return answer.header("X-Accepted-GitHub-Permissions", needed);
    }
    match (call.request.verb(), path) {
        ("GET", []) => Response::json(200, &repository(call)),
        ("GET", ["issues", "comments"]) => list_all(call),
        ("GET", ["pulls"]) => list_pulls(call),
        ("GET", ["pulls", number]) => with_number(number, |number| match call.repo.pulls.get(&number) {
            Some(pull) => Response::json(200, &pull_request(call, pull)),
            None => not_found(),
        }),
        (_, ["issues", "comments", id]) => with_number(id, |id| one(call, id, false)),
        (_, ["comments", id]) => with_number(id, |id| one(call, id, true)),
        (_, ["issues", number, "comments"]) => with_number(number, |number| thread(call, &Target::Issue(number))),
        (_, ["commits", sha, "comments"]) => thread(call, &Target::Commit((*sha).to_owned())),
        ("GET", ["commits", sha, "pulls"]) => pulls_of_commit(call, sha),
        (_, ["git", rest @ ..]) => github_git::route(call, rest),
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
    let relations =
        [("prev", previous), ("next", next), ("last", next.map(|_| page.count())), ("first", previous.map(|_| 1))];
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
    let fits = |pull: &&PullRequest| {
        (state == "all" || state_name(pull) == state)
            && head.as_ref().is_none_or(|head| *head == label(call.repo, pull))
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

fn state_name(pull: &PullRequest) -> &'static str {
    if pull.state == PullState::Open { "open" } else { "closed" }
}

fn label(repo: &Repo, pull: &PullRequest) -> String {
    let slug = pull.fork.as_deref().unwrap_or(&repo.slug);
    format!("{}:{}", slug.split('/').next().unwrap_or_default(), pull.branch)
}

fn with_number(text: &str, answer: impl FnOnce(u64) -> Response) -> Response {
    text.parse().map_or_else(|_| not_found(), answer)
}

/// An error as GitHub words it.
pub fn error(status: u16, message: &str) -> Response {
    let text = json!({"message": message, "documentation_url": "https://docs.github.com/rest",
        "status": status.to_string()});
    Response::json(status, &text)
}

/// GitHub's answer to everything unknown or hidden.
pub fn not_found() -> Response {
    error(404, "Not Found")
}

/// The id by which GraphQL knows a comment.
pub fn node_id(comment: &Comment) -> String {
    let kind = if matches!(comment.target, Target::Commit(_)) { "CC" } else { "IC" };
    format!("{kind}_kwDOFAKE{:08x}", comment.id)
}

fn comment_json(call: &Call<'_>, comment: &Comment) -> Value {
    let (id, slug, url) = (comment.id, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let mut json = json!({
        "id": id, "node_id": node_id(comment), "body": comment.body,
        "user": user(url, &comment.author), "author_association": "CONTRIBUTOR",
        "created_at": comment.created_at.seconds(), "updated_at": comment.updated_at.seconds(),
        "reactions": {"url": format!("{api}/issues/comments/{id}/reactions"), "total_count": 0, "+1": 0, "-1": 0,
            "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0},
    });
    let (path, page) = match &comment.target {
        Target::Pull(n) => (format!("issues/comments/{id}"), format!("pull/{n}#issuecomment-{id}")),
        Target::Issue(n) => (format!("issues/comments/{id}"), format!("issues/{n}#issuecomment-{id}")),
        Target::Commit(sha) => (format!("comments/{id}"), format!("commit/{sha}#commitcomment-{id}")),
    };
    json["url"] = json!(format!("{api}/{path}"));
    json["html_url"] = json!(format!("{url}/{slug}/{page}"));
    match &comment.target {
        Target::Pull(n) | Target::Issue(n) => {
            json["issue_url"] = json!(format!("{api}/issues/{n}"));
            json["performed_via_github_app"] = Value::Null;
        }
        Target::Commit(sha) => {
            json["commit_id"] = json!(sha);
            for field in ["path", "position", "line"] {
                json[field] = Value::Null;
            }
        }
    }
    json
}

fn pull_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let (number, slug, url) = (pull.number, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let merged = (pull.state == PullState::Merged).then_some("2026-01-02T00:00:00Z");
    let closed = (pull.state != PullState::Open).then_some("2026-01-02T00:00:00Z");
    let owner = |slug: &str| user(url, slug.split('/').next().unwrap_or_default());
    let head_slug = pull.fork.as_deref().unwrap_or(slug);
    let mut head_repo = repository(call);
    head_repo["full_name"] = json!(head_slug);
    head_repo["fork"] = json!(pull.fork.is_some());
    let main = call.repo.git.refs.get("refs/heads/main");
    json!({
        "id": 5_000_000 + number, "node_id": format!("PR_kwDOFAKE{number:08x}"), "number": number,
        "url": format!("{api}/pulls/{number}"), "html_url": format!("{url}/{slug}/pull/{number}"),
        "issue_url": format!("{api}/issues/{number}"), "state": state_name(pull), "locked": false,
        "title": format!("Pull request {number}"), "body": null, "draft": false, "user": user(url, "octocat"),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "closed_at": closed, "merged_at": merged, "merge_commit_sha": pull.merge_sha,
        "assignees": [], "requested_reviewers": [], "requested_teams": [], "labels": [],
        "author_association": "OWNER", "auto_merge": null, "active_lock_reason": null,
        "head": {"label": label(call.repo, pull), "ref": pull.branch, "sha": pull.head_sha,
            "user": owner(head_slug), "repo": head_repo},
        "base": {"label": format!("{}:main", slug.split('/').next().unwrap_or_default()), "ref": "main",
            "sha": main, "user": owner(slug), "repo": repository(call)},
    })
}

fn repository(call: &Call<'_>) -> Value {
    let (slug, url) = (&call.repo.slug, call.url);
    let (owner, name) = slug.split_once('/').unwrap_or(("", slug));
    json!({
        "id": call.repo.id, "node_id": format!("R_kgDOFAKE{:08x}", call.repo.id), "name": name, "full_name": slug,
        "owner": user(url, owner), "private": true, "visibility": "private", "fork": false, "default_branch": "main",
        "html_url": format!("{url}/{slug}"), "url": format!("{url}/github/repos/{slug}"), "description": null,
        "permissions": {"admin": false, "maintain": false, "push": true, "triage": true, "pull": true},
    })
}

/// An account, whole enough for strict clients. Names with `[bot]` are bots.
fn user(url: &str, login: &str) -> Value {
    let api = format!("{url}/github/users/{login}");
    let id = login.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 100_000_000);
    let mut json = json!({
        "login": login, "id": id, "node_id": format!("U_kgDO{id:08x}"), "gravatar_id": "", "site_admin": false,
        "avatar_url": format!("{url}/avatars/u/{id}"), "html_url": format!("{url}/{login}"), "url": api,
        "type": if login.ends_with("[bot]") { "Bot" } else { "User" }, "user_view_type": "public",
    });
    for (field, path) in [
        ("followers_url", "followers"),
        ("following_url", "following{/other_user}"),
        ("gists_url", "gists{/gist_id}"),
        ("starred_url", "starred{/owner}{/repo}"),
        ("subscriptions_url", "subscriptions"),
        ("organizations_url", "orgs"),
        ("repos_url", "repos"),
        ("events_url", "events{/privacy}"),
        ("received_events_url", "received_events"),
    ] {
        json[field] = json!(format!("{api}/{path}"));
    }
    json
}
