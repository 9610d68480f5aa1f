//! GitHub's REST API: what each address leads to. What it does is in a file for each capability.
//!
//! As of <https://docs.github.com/rest>, API version 2022-11-28. What answers look like is in `shapes.rs`.

use serde_json::{Value, json};

use self::shapes::{error, full_repository, not_found, pull_request, user};
use super::auth::{Access, access, scopes, token};
use super::http::{Request, Response};
use super::page::Page;
use super::route::Call;
use super::state::{BOT, State, Target, Vendor};

mod artifacts;
mod assets;
mod checks;
mod comments;
mod graphql;
mod pull_requests;
mod runners;
mod runs;
mod shapes;

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
            runners::route(state, request, url, &format!("{owner}/{name}"), rest)
        }
        ["orgs", name, "actions", rest @ ..] => runners::route(state, request, url, name, rest),
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
    if let Some(answer) = super::history::answer(call, path) {
        return answer;
    }
    match (call.request.verb(), path) {
        ("GET", []) => Response::json(200, &full_repository(call)),
        ("GET", ["issues", "comments"]) => comments::list_all(call),
        ("GET", ["pulls"]) => pull_requests::list(call),
        ("POST", ["pulls"]) => pull_requests::create(call),
        ("PUT", ["pulls", number, "merge"]) => with_number(number, |number| pull_requests::merge(call, number)),
        ("GET", ["pulls", number]) => with_number(number, |number| match call.repo.pulls.get(&number) {
            Some(pull) => Response::json(200, &pull_request(call, pull)),
            None => not_found(),
        }),
        (_, ["issues", "comments", id]) => with_number(id, |id| comments::one(call, id, false)),
        (_, ["comments", id]) => with_number(id, |id| comments::one(call, id, true)),
        (_, ["issues", number, "comments"]) => {
            with_number(number, |number| comments::thread(call, &Target::Issue(number)))
        }
        ("GET", ["issues", number, "labels"]) => with_number(number, |number| pull_requests::labels(call, number)),
        ("GET", ["issues", number, "timeline"]) => with_number(number, |number| pull_requests::timeline(call, number)),
        (_, ["commits", sha, "comments"]) => comments::thread(call, &Target::Commit((*sha).to_owned())),
        ("POST", ["check-runs"]) => checks::make(call),
        ("GET" | "PATCH", ["check-runs", id]) => with_number(id, |id| checks::one(call, id)),
        ("GET", ["check-runs", id, "annotations"]) => with_number(id, |id| runs::annotations(call, id)),
        ("GET", ["commits", sha, "check-runs"]) => checks::list(call, sha),
        ("GET", ["commits", sha, "pulls"]) => pull_requests::of_commit(call, sha),
        (_, ["git", rest @ ..]) => assets::route(call, rest),
        ("GET", ["rulesets", "rule-suites"]) => Response::json(200, &json!([])),
        (_, ["actions", "runs", rest @ ..]) => runs::route(call, rest),
        (_, ["actions", "artifacts", rest @ ..]) => artifacts::route(call, rest),
        _ => not_found(),
    }
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

fn with_number(text: &str, answer: impl FnOnce(u64) -> Response) -> Response {
    text.parse().map_or_else(|_| not_found(), answer)
}
