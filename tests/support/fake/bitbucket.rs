//! Bitbucket Cloud's REST API 2.0: comments of pull requests, commits and issues, and the repository's downloads.
//!
//! Shapes as of <https://developer.atlassian.com/cloud/bitbucket/rest/>.

use serde_json::{Value, json};

use super::auth::{Access, access, scopes};
use super::bitbucket_insights;
use super::bitbucket_runners;
use super::github_shapes::title;
use super::http::{Request, Response, encode};
use super::multipart;
use super::page::Page;
use super::pulls;
use super::route::{Call, content_type};
use super::runs;
use super::state::{BOT, Comment, File, PullRequest, PullState, State, Target, Vendor};

/// Longer comments are refused.
const MAX_COMMENT: usize = 32_768;

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
            bitbucket_runners::route(state, request, url, &format!("{space}/{name}"), rest)
        }
        ["workspaces", space, rest @ ..] => bitbucket_runners::route(state, request, url, space, rest),
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
    let number = |text: &str| text.parse::<u64>().ok();
    let (target, rest) = match path {
        [] => return Response::json(200, &repository(call)),
        ["downloads"] => return downloads(call),
        ["downloads", name] => return download(call, name),
        ["pullrequests"] if call.request.verb() == "POST" => return pulls::bitbucket_create(call),
        ["pipelines", rest @ ..] => return runs::bitbucket(call, rest),
        ["pullrequests"] => return list_pulls(call),
        ["pullrequests", id, "merge"] if call.request.verb() == "POST" => {
            return number(id).map_or_else(|| error(404, "Resource not found"), |id| pulls::bitbucket_merge(call, id));
        }
        ["pullrequests", id] => {
            return match number(id).and_then(|id| call.repo.pulls.get(&id)) {
                Some(pull) => Response::json(200, &pull_request(call, pull)),
                None => error(404, "Resource not found"),
            };
        }
        ["commit", name, "pullrequests"] => return pulls_of_commit(call, name),
        ["commit", name, rest @ ..] if matches!(rest.first(), Some(&("reports" | "statuses"))) => {
            return match call.repo.commit(name) {
                Some(sha) => bitbucket_insights::route(call, &sha, rest),
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
        ("GET", ["comments"]) => list(call, &target),
        ("POST", ["comments"]) => match content(call.request) {
            Ok(body) => {
                let comment = call.desk.write(call.repo, target, BOT, body);
                let json = comment_json(call, &comment);
                let location = json["links"]["self"]["href"].as_str().unwrap_or_default().to_owned();
                Response::json(201, &json).header("Location", location)
            }
            Err(answer) => *answer,
        },
        (_, ["comments", id]) => match number(id) {
            Some(id) => one(call, &target, id),
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

fn list(call: &Call<'_>, target: &Target) -> Response {
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

fn one(call: &mut Call<'_>, target: &Target, id: u64) -> Response {
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
fn content(request: &Request) -> Result<String, Box<Response>> {
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

fn list_pulls(call: &Call<'_>) -> Response {
    let mut states: Vec<String> =
        call.request.query().into_iter().filter(|(key, _)| key == "state").map(|(_, value)| value).collect();
    let query = call.request.param("q").unwrap_or_default();
    let mut found: Vec<&PullRequest> = call.repo.pulls.values().rev().collect();
    for term in query.replace(" and ", " AND ").split(" AND ").map(str::trim).filter(|term| !term.is_empty()) {
        if let Some(choice) = term.strip_prefix('(').and_then(|term| term.strip_suffix(')')) {
            let choice = choice.split(" OR ").filter_map(|term| term.strip_prefix("state="));
            states.extend(choice.map(|value| value.trim_matches('"').to_owned()));
            continue;
        }
        let Some((field, value)) = term.split_once('=') else { return error(400, "Invalid query") };
        let value = value.trim().trim_matches('"');
        match field.trim() {
            "source.branch.name" => found.retain(|pull| pull.branch == value),
            "destination.branch.name" => found.retain(|pull| pull.base == value),
            "source.commit.hash" => found.retain(|pull| pull.head_sha.starts_with(value)),
            "state" => states.push(value.to_owned()),
            other => return error(400, &format!("Invalid field name: {other}")),
        }
    }
    if states.is_empty() {
        states.push("OPEN".to_owned());
    }
    found.retain(|pull| states.iter().any(|state| state.eq_ignore_ascii_case(state_name(pull))));
    paged(call, &found, 50, |pull| pull_request(call, pull))
}

fn pulls_of_commit(call: &Call<'_>, name: &str) -> Response {
    if !call.desk.switches.commit_pull_requests {
        return error(404, "Pull Request Commit Links app is not installed in this workspace");
    }
    let Some(sha) = call.repo.commit(name) else { return error(404, "Commit not found") };
    let found: Vec<&PullRequest> = call.repo.pulls.values().filter(|pull| pull.concerns(&sha)).collect();
    paged(call, &found, 50, |pull| {
        let whole = pull_request(call, pull);
        json!({"type": "pullrequest", "id": pull.number, "title": whole["title"], "links": whole["links"]})
    })
}

fn state_name(pull: &PullRequest) -> &'static str {
    match pull.state {
        PullState::Open => "OPEN",
        PullState::Closed => "DECLINED",
        PullState::Merged => "MERGED",
    }
}

/// Lists the downloads, or takes the form's `files`; one of the same name is replaced.
fn downloads(call: &mut Call<'_>) -> Response {
    if call.request.is_read() {
        let api = format!("{}/bitbucket/2.0/repositories/{}/downloads", call.url, call.repo.slug);
        let newest_first: Vec<&File> = call.repo.files.iter().rev().collect();
        return paged(call, &newest_first, 100, |file| {
            json!({"type": "download", "name": file.name, "size": file.body.len(), "downloads": 0,
                "links": {"self": {"href": format!("{api}/{}", encode(&file.name))}}, "user": user(call.url, BOT)})
        });
    }
    let parts = multipart::parts(call.request).unwrap_or_default().into_iter();
    let files: Vec<multipart::Part> = parts.filter(|part| part.name == "files" && part.filename.is_some()).collect();
    if call.request.verb() != "POST" || files.is_empty() {
        return error(400, "You must provide at least one file");
    }
    for part in files {
        let name = part.filename.unwrap_or_default();
        call.repo.files.retain(|file| file.name != name);
        let content_type = part.content_type.unwrap_or_else(|| content_type(&name).to_owned());
        call.repo.keep(File { key: String::new(), name, content_type, disposition: None, body: part.body });
    }
    Response::empty(201)
}

/// Redirects to a download's bytes, or removes it.
fn download(call: &mut Call<'_>, name: &str) -> Response {
    if !call.repo.files.iter().any(|file| file.name == name) {
        return error(404, &format!("No download named {name}"));
    }
    if call.request.verb() == "DELETE" {
        call.repo.files.retain(|file| file.name != name);
        return Response::empty(204);
    }
    let location = format!("{}/{}/downloads/{}", call.url, call.repo.slug, encode(name));
    Response::empty(302).header("Location", location)
}

pub fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"type": "error", "error": {"message": message}}))
}

fn comment_json(call: &Call<'_>, comment: &Comment) -> Value {
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

/// Pull requests name their commits by 12 digits only.
pub fn pull_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let (id, slug, url) = (pull.number, &call.repo.slug, call.url);
    let commit = |sha: &str| json!({"type": "commit", "hash": sha.get(..12).unwrap_or(sha)});
    let head_slug = pull.fork.as_deref().unwrap_or(slug);
    let side = |branch: &str, sha: &str, slug: &str| {
        let repository = json!({"type": "repository", "full_name": slug});
        json!({"branch": {"name": branch}, "commit": commit(sha), "repository": repository})
    };
    let base = call.repo.branch(&pull.base).unwrap_or_default();
    json!({
        "type": "pullrequest", "id": id, "title": title(pull, "Pull request"), "state": state_name(pull),
        "draft": false, "comment_count": 0, "author": user(url, "octocat"),
        "source": side(&pull.branch, &pull.head_sha, head_slug), "destination": side(&pull.base, &base, slug),
        "merge_commit": pull.merge_sha.as_deref().map(commit),
        "created_on": "2026-01-01T00:00:00.000000+00:00", "updated_on": "2026-01-01T00:00:00.000000+00:00",
        "links": {
            "self": {"href": format!("{url}/bitbucket/2.0/repositories/{slug}/pullrequests/{id}")},
            "html": {"href": format!("{url}/{slug}/pull-requests/{id}")},
        },
    })
}

fn repository(call: &Call<'_>) -> Value {
    let (slug, url) = (&call.repo.slug, call.url);
    json!({
        "type": "repository", "full_name": slug, "name": slug.rsplit('/').next(), "is_private": true,
        "uuid": format!("{{00000000-0000-4000-8000-{:012}}}", call.repo.id),
        "mainbranch": {"type": "branch", "name": "main"}, "has_issues": true,
        "workspace": {"type": "workspace", "slug": slug.split('/').next(),
            "uuid": bitbucket_runners::workspace_uuid(slug.split('/').next().unwrap_or_default())},
        "links": {"html": {"href": format!("{url}/{slug}")}},
    })
}

fn user(url: &str, login: &str) -> Value {
    let id = login.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_000);
    json!({"type": "user", "display_name": login, "nickname": login, "account_id": format!("557058:{id}"),
        "uuid": format!("{{00000000-0000-4000-9000-{id:012}}}"), "links": {"html": {"href": format!("{url}/{login}")}}})
}
