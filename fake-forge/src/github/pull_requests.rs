//! Pull requests: <https://docs.github.com/en/rest/pulls/pulls>.

use serde_json::{Value, json};

use super::super::auth::Access;
use super::super::http::Response;
use super::super::pull_requests::text;
use super::super::route::Call;
use super::super::state::{LabelEvent, PullRequest, PullState, State, Vendor};
use super::paged;
use super::shapes::{error, full_pull_request, label, pull_request, state_name, user};

pub fn list(call: &Call<'_>) -> Response {
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

pub fn of_commit(call: &Call<'_>, name: &str) -> Response {
    let Some(sha) = call.repo.commit(name) else {
        return error(422, &format!("No commit found for SHA: {name}"));
    };
    let found: Vec<&PullRequest> = call.repo.pulls.values().filter(|pull| pull.concerns(&sha)).collect();
    paged(call, &found, |pull| pull_request(call, pull))
}

pub fn create(call: &mut Call<'_>) -> Response {
    let json = call.request.json();
    let (source, target) = (text(&json, "/head"), text(&json, "/base"));
    let invalid = |problem: Value| {
        let errors = json!([problem]);
        Response::json(
            422,
            &json!({"message": "Validation Failed", "errors": errors, "status": "422",
            "documentation_url": "https://docs.github.com/rest/pulls/pulls#create-a-pull-request"}),
        )
    };
    let custom = |message: String| invalid(json!({"resource": "PullRequest", "code": "custom", "message": message}));
    for (field, branch) in [("head", &source), ("base", &target)] {
        if call.repo.branch(branch).is_none() {
            return invalid(json!({"resource": "PullRequest", "field": field, "code": "invalid"}));
        }
    }
    if call.repo.open_pull(&source, &target).is_some() {
        let owner = call.repo.slug.split('/').next().unwrap_or_default();
        return custom(format!("A pull request already exists for {owner}:{source}."));
    }
    if !call.repo.ahead(&source, &target) {
        return custom(format!("No commits between {target} and {source}"));
    }
    let pull = call.repo.open(&source, &target, &text(&json, "/title"), &text(&json, "/body"));
    Response::json(201, &full_pull_request(call, &pull))
}

pub fn merge(call: &mut Call<'_>, number: u64) -> Response {
    match call.repo.pulls.get(&number) {
        None => error(404, "Not Found"),
        Some(pull) if pull.state != PullState::Open => error(405, "Pull Request is not mergeable"),
        Some(_) => {
            let pull = call.repo.merge(number);
            let answer = json!({"sha": pull.merge_sha, "merged": true, "message": "Pull Request successfully merged"});
            Response::json(200, &answer)
        }
    }
}

pub fn auto_merge(state: &mut State, variables: &Value, access: Access) -> Response {
    let refuse = |kind: &str, message: &str| {
        let errors = json!([{"type": kind, "path": ["enablePullRequestAutoMerge"], "message": message}]);
        Response::json(200, &json!({"data": {"enablePullRequestAutoMerge": null}, "errors": errors}))
    };
    if access != Access::Full {
        return refuse("FORBIDDEN", "Resource not accessible by integration");
    }
    let has_it = state.desk.switches.auto_merge;
    let id = text(variables, "/id");
    let repos = state.repos.values_mut().filter(|repo| repo.vendor == Vendor::GitHub);
    let mut pulls = repos.flat_map(|repo| repo.pulls.values_mut());
    let Some(pull) = pulls.find(|pull| format!("PR_kwDOFAKE{:08x}", pull.number) == id) else {
        return refuse("NOT_FOUND", &format!("Could not resolve to a node with the global id of '{id}'"));
    };
    if !has_it {
        return refuse("UNPROCESSABLE", "Auto merge is not allowed for this repository");
    }
    pull.auto_merge = Some(text(variables, "/method"));
    let answer = json!({"pullRequest": {"number": pull.number}});
    Response::json(200, &json!({"data": {"enablePullRequestAutoMerge": answer}}))
}

pub fn labels(call: &Call<'_>, number: u64) -> Response {
    let labels: Vec<&str> = call.repo.labels(number).into_iter().collect();
    paged(call, &labels, |name| {
        json!({"id": 9, "node_id": "LA_kwDOFAKE", "url": format!("{}/github/repos/{}/labels/{name}", call.url, call.repo.slug),
            "name": name, "description": null, "color": "ededed", "default": false})
    })
}

/// The timeline begins with a commit, whose entry has other fields.
pub fn timeline(call: &Call<'_>, number: u64) -> Response {
    let Some(pull) = call.repo.pulls.get(&number) else { return error(404, "Not Found") };
    let of_pull = call.repo.label_events.iter().filter(|event| event.pull == number);
    let entries: Vec<Option<&LabelEvent>> = [None].into_iter().chain(of_pull.map(Some)).collect();
    paged(call, &entries, |entry| match entry {
        None => {
            let person = json!({"name": "t", "email": "t@example.org", "date": LabelEvent::AT.seconds()});
            let commit = format!("{}/github/repos/{}/git/commits/{}", call.url, call.repo.slug, pull.head_sha);
            json!({
                "event": "committed", "sha": pull.head_sha, "node_id": "C_kwDOFAKE", "url": commit, "html_url": commit,
                "author": person, "committer": person, "message": "x", "parents": [],
                "tree": {"sha": pull.head_sha, "url": commit},
                "verification": {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
            })
        }
        Some(event) => json!({
            "id": 8, "node_id": "LE_kwDOFAKE", "url": format!("{}/github/repos/{}/issues/events/8", call.url, call.repo.slug),
            "actor": user(call.url, &event.by), "event": if event.is_set { "labeled" } else { "unlabeled" },
            "commit_id": null, "commit_url": null, "created_at": LabelEvent::AT.seconds(),
            "performed_via_github_app": null, "label": {"name": event.label, "color": "ededed"},
        }),
    })
}
