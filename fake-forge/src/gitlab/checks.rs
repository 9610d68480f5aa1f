//! GitLab's statuses of a commit: <https://docs.gitlab.com/api/commits/#set-commit-pipeline-status>. Transitions and
//! refusals as in GitLab's `Ci::CreateCommitStatusService`.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::page::Page;
use super::super::route::Call;
use super::super::state::Status;
use super::error;

pub fn set(call: &mut Call<'_>, name: &str) -> Response {
    let Some(sha) = call.repo.commit(name) else { return error(404, "404 Commit Not Found") };
    let field = |name: &str| match &call.request.json()[name] {
        Value::Number(number) => Some(number.to_string()),
        value => value.as_str().map(str::to_owned),
    };
    let Some(state) = field("state") else { return Response::json(400, &json!({"error": "state is missing"})) };
    if !["pending", "running", "success", "failed", "canceled", "skipped"].contains(&state.as_str()) {
        return Response::json(400, &json!({"error": "state does not have a valid value"}));
    }
    let pipeline: Option<u64> = field("pipeline_id").and_then(|id| id.parse().ok());
    if pipeline.is_some_and(|id| call.repo.pipelines.get(&id) != Some(&sha)) {
        return error(404, "404 Pipeline for pipeline_id, sha and ref Not Found");
    }
    let (name, description) = (field("name").unwrap_or("default".to_owned()), field("description"));
    if description.as_ref().is_some_and(|text| text.chars().count() > 255) {
        return Response::json(400, &json!({"message": {"description": ["is too long (maximum is 255 characters)"]}}));
    }
    let same = |status: &&mut Status| status.sha == sha && status.name == name && status.is_open();
    let open = call.repo.statuses.iter_mut().find(same);
    let from = open.as_ref().map_or("created", |status| status.state.as_str()).to_owned();
    if let Some(event) = refused(&from, &state) {
        let text = format!(
            "Cannot transition status via :{event} from :{from} (Reason(s): Status cannot transition via \"{event}\")"
        );
        return error(400, &text);
    }
    let target_url = field("target_url");
    let status = match open {
        Some(status) => {
            (status.state, status.description, status.target_url) = (state, description, target_url);
            status.clone()
        }
        None => {
            let status = Status {
                id: call.desk.id(),
                sha,
                name,
                state,
                description,
                target_url,
                pipeline,
                branch: field("ref"),
            };
            call.repo.statuses.push(status.clone());
            status
        }
    };
    Response::json(201, &status_json(&status))
}

/// The event that is refused between two states. A status that ended is not found any more: a new one begins.
fn refused(from: &str, to: &str) -> Option<&'static str> {
    match (from, to) {
        ("pending" | "running", "pending") => Some("enqueue"),
        ("running", "running") => Some("run"),
        ("running", "skipped") => Some("skip"),
        _ => None,
    }
}

pub fn list(call: &Call<'_>, sha: &str) -> Response {
    let name = call.request.param("name");
    let mut found: Vec<&Status> = call.repo.statuses.iter().collect();
    found.retain(|status| status.sha == sha && name.as_ref().is_none_or(|name| *name == status.name));
    let page = Page::of(call.request, ("per_page", 20, 100), found.len());
    Response::json(200, &page.items(&found).iter().map(|status| status_json(status)).collect())
}

fn status_json(status: &Status) -> Value {
    json!({"id": status.id, "sha": status.sha, "ref": status.branch.as_deref().unwrap_or("feature"),
        "status": status.state, "name": status.name, "target_url": status.target_url,
        "description": status.description, "created_at": "2026-01-01T00:00:00.000Z", "allow_failure": false,
        "pipeline_id": status.pipeline.unwrap_or(500)})
}
