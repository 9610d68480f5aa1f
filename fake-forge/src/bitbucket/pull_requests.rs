//! Pull requests: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::pull_requests::{text, title};
use super::super::route::Call;
use super::super::state::{PullRequest, PullState};
use super::{error, paged, user};

pub fn list(call: &Call<'_>) -> Response {
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

pub fn of_commit(call: &Call<'_>, name: &str) -> Response {
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

pub fn create(call: &mut Call<'_>) -> Response {
    let json = call.request.json();
    let (source, target) = (text(&json, "/source/branch/name"), text(&json, "/destination/branch/name"));
    for (side, branch) in [("source", &source), ("destination", &target)] {
        if call.repo.branch(branch).is_none() {
            // In these words: <https://github.com/jenkins-x/jx/issues/3374>.
            let (field, says) = (format!("branch not found: {branch}"), format!("{side}: branch not found: {branch}"));
            return Response::json(
                400,
                &json!({"type": "error", "error": {"fields": {side: [field]}, "message": says}}),
            );
        }
    }
    if !call.repo.ahead(&source, &target) {
        return error(400, "There are no changes to be pulled");
    }
    // An open one of the same branches is changed.
    let there = call.repo.open_pull(&source, &target).cloned();
    let pull =
        there.unwrap_or_else(|| call.repo.open(&source, &target, &text(&json, "/title"), &text(&json, "/description")));
    Response::json(201, &pull_request(call, &pull))
}

pub fn merge(call: &mut Call<'_>, number: u64) -> Response {
    match call.repo.pulls.get(&number) {
        None => error(404, "Resource not found"),
        Some(pull) if pull.state != PullState::Open => error(400, "This pull request is already closed."),
        Some(_) => {
            let mut pull = call.repo.merge(number);
            pull.auto_merge = Some(text(&call.request.json(), "/merge_strategy"));
            call.repo.add_pull(pull.clone());
            Response::json(200, &pull_request(call, &pull))
        }
    }
}
