//! Merge requests: <https://docs.gitlab.com/api/merge_requests/>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::pull_requests::title;
use super::super::route::Call;
use super::super::state::{LabelEvent, PullRequest, PullState, Target};
use super::{error, paged, quick_actions, user};

pub fn list(call: &Call<'_>) -> Response {
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

pub fn merge_request(call: &Call<'_>, pull: &PullRequest) -> Value {
    let (iid, id) = (pull.number, call.repo.id);
    let merged = (pull.state == PullState::Merged).then_some("2026-01-02T00:00:00.000Z");
    json!({
        "id": 70_000 + iid, "iid": iid, "project_id": id, "title": title(pull, "Merge request"), "merge_when_pipeline_succeeds": pull.auto_merge.is_some(),
        "description": pull.body, "state": state_name(pull), "source_branch": pull.branch, "target_branch": pull.base,
        "source_project_id": if pull.fork.is_some() { 4242 } else { id }, "target_project_id": id,
        "sha": pull.head_sha, "merge_commit_sha": pull.merge_sha, "squash_commit_sha": null, "draft": false,
        "author": user(call.url, "octocat"), "merged_at": merged, "user_notes_count": 0, "labels": call.repo.labels(iid),
        "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        "reference": format!("!{iid}"), "web_url": format!("{}/{}/-/merge_requests/{iid}", call.url, call.repo.slug),
    })
}

pub fn create(call: &mut Call<'_>) -> Response {
    let field = |name| call.request.field(name).unwrap_or_default();
    let (source, target, title) = (field("source_branch"), field("target_branch"), field("title"));
    if let Some(other) = call.repo.open_pull(&source, &target) {
        let text = format!("Another open merge request already exists for this source branch: !{}", other.number);
        return Response::json(409, &json!({"message": [text]}));
    }
    if call.repo.branch(&source).is_none() {
        return Response::json(400, &json!({"message": {"source_branch": ["does not exist"]}}));
    }
    let number = call.repo.open(&source, &target, &title, &field("description")).number;
    let stored = quick_actions::perform(call.repo, &Target::Pull(number), &field("description"));
    let pull = call.repo.pulls.get_mut(&number).expect("just opened");
    pull.body = Some(stored);
    let pull = pull.clone();
    Response::json(201, &merge_request(call, &pull))
}

/// Without a pipeline to wait for `auto_merge` is refused: <https://gitlab.com/gitlab-org/gitlab/-/issues/355455>.
pub fn merge(call: &mut Call<'_>, iid: &str) -> Response {
    let number: u64 = iid.parse().unwrap_or_default();
    let Some(pull) = call.repo.pulls.get_mut(&number) else { return error(404, "404 Not found") };
    let has = |name| call.request.field(name).is_some_and(|value| value == "true");
    let waits = has("auto_merge") || has("merge_when_pipeline_succeeds");
    if pull.state != PullState::Open || (waits && !call.desk.switches.auto_merge) {
        return error(405, "405 Method Not Allowed");
    }
    let pull = if waits {
        pull.auto_merge = Some(if has("squash") { "SQUASH" } else { "MERGE" }.to_owned());
        pull.clone()
    } else {
        call.repo.merge(number)
    };
    Response::json(200, &merge_request(call, &pull))
}

/// <https://docs.gitlab.com/api/resource_label_events/>
pub fn label_events(call: &Call<'_>, iid: &str) -> Response {
    let number: u64 = iid.parse().unwrap_or_default();
    let events: Vec<&LabelEvent> = call.repo.label_events.iter().filter(|event| event.pull == number).collect();
    paged(call, &events, |event| {
        json!({"id": 142, "user": user(call.url, &event.by), "created_at": LabelEvent::AT.millis(),
            "resource_type": "MergeRequest", "resource_id": 70_000 + number, "action": if event.is_set { "add" } else { "remove" },
            "label": {"id": 73, "name": event.label, "color": "#34495E", "description": ""}})
    })
}
