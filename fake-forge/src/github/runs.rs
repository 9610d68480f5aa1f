//! Workflow runs and their jobs: <https://docs.github.com/en/rest/actions/workflow-runs>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::route::Call;
use super::super::runs::{Phase, Run};
use super::super::state::{BOT, HEAD};
use super::shapes::{error, not_found, repository, user};

/// `/repos/{owner}/{repo}/actions/runs/…`
pub fn route(call: &mut Call<'_>, path: &[&str]) -> Response {
    let Some(id) = path.first().and_then(|id| id.parse::<u64>().ok()) else { return not_found() };
    if let ("GET", 1, Some(kept)) = (call.request.verb(), path.len(), call.repo.kept_one(path[0])) {
        let run = Run::new(id, kept.phase);
        return Response::json(200, &workflow_run(call, &run));
    }
    let Some(run) = call.repo.runs.get_mut(&id) else { return not_found() };
    match (call.request.verb(), &path[1..]) {
        ("GET", []) => {
            run.look();
            let run = run.clone();
            Response::json(200, &workflow_run(call, &run))
        }
        ("GET", ["jobs"]) => {
            let run = run.clone();
            let jobs = [job(call, &run, 0), job(call, &run, run.attempt)];
            Response::json(200, &json!({ "total_count": 2, "jobs": jobs }))
        }
        ("POST", ["cancel"]) if run.is_over() => error(409, "Cannot cancel a workflow run that is completed."),
        ("POST", ["cancel"]) => {
            run.phase = Phase::Cancelling(run.lingers);
            Response::json(202, &json!({}))
        }
        ("POST", ["rerun" | "rerun-failed-jobs"]) if !run.is_over() => error(403, "This workflow is already running"),
        ("POST", [how @ ("rerun" | "rerun-failed-jobs")]) => {
            let nothing = *how == "rerun-failed-jobs" && run.failed_jobs().is_empty();
            let refused = run.refused.clone().or(nothing.then(|| "This workflow run cannot be retried".to_owned()));
            if let Some(why) = refused {
                return error(403, &why);
            }
            run.start(how);
            Response::json(201, &json!({}))
        }
        _ => not_found(),
    }
}

/// The first job, which passes, or the second in one of its attempts.
fn job(call: &Call<'_>, run: &Run, which: u64) -> Value {
    let (id, slug, url) = (run.id * 10 + which, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let failed = which > 0 && run.phase == Phase::Failed;
    let (name, runner) = if which > 0 { ("train", run.runner.as_str()) } else { ("lint", "hosted") };
    let date = "2026-01-01T00:00:00Z";
    json!({
        "id": id, "run_id": run.id, "run_attempt": run.attempt, "node_id": format!("CR_kwDOFAKE{id:08x}"), "head_sha": HEAD,
        "head_branch": "feature", "workflow_name": "train", "name": name, "status": "completed",
        "conclusion": if failed { "failure" } else { "success" }, "created_at": date, "started_at": date,
        "completed_at": date, "steps": [], "labels": ["self-hosted"], "runner_id": 1, "runner_name": runner,
        "runner_group_id": 1, "runner_group_name": "Default", "url": format!("{api}/actions/jobs/{id}"),
        "run_url": format!("{api}/actions/runs/{}", run.id), "html_url": format!("{url}/{slug}/actions/runs/{}/job/{id}", run.id),
        "check_run_url": format!("{api}/check-runs/{id}"),
    })
}

/// `/repos/{owner}/{repo}/check-runs/{id}/annotations`, of jobs.
pub fn annotations(call: &Call<'_>, id: u64) -> Response {
    let Some(run) = call.repo.runs.get(&(id / 10)) else { return not_found() };
    let remark = |message: &str| {
        json!({ "path": ".github", "start_line": 1, "end_line": 1, "start_column": null, "end_column": null,
            "annotation_level": "failure", "title": "", "message": message, "raw_details": "",
            "blob_href": format!("{}/{}/blob/{HEAD}/.github", call.url, call.repo.slug) })
    };
    let all = run.reason.iter().map(|reason| remark(reason)).chain([remark("Process completed with exit code 1.")]);
    Response::json(200, &all.collect())
}

fn workflow_run(call: &Call<'_>, run: &Run) -> Value {
    let (id, slug, url) = (run.id, &call.repo.slug, call.url);
    let api = format!("{url}/github/repos/{slug}");
    let this = format!("{api}/actions/runs/{id}");
    let (status, conclusion) = match run.phase {
        Phase::Running | Phase::Cancelling(_) => ("in_progress", None),
        Phase::Passed => ("completed", Some("success")),
        Phase::Failed => ("completed", Some("failure")),
        Phase::Cancelled => ("completed", Some("cancelled")),
    };
    let date = "2026-01-01T00:00:00Z";
    let person = json!({ "name": "octocat", "email": "octocat@example.org" });
    json!({
        "id": id, "node_id": format!("WFR_kwDOFAKE{id:08x}"), "name": "train", "head_branch": "feature", "head_sha": HEAD,
        "run_number": 1, "run_attempt": run.attempt, "display_title": "train", "event": "push", "status": status,
        "conclusion": conclusion, "path": ".github/workflows/train.yml", "workflow_id": 1, "pull_requests": [],
        "check_suite_id": id, "check_suite_node_id": format!("CS_kwDOFAKE{id:08x}"), "url": this,
        "html_url": format!("{url}/{slug}/actions/runs/{id}"), "created_at": date, "updated_at": date,
        "run_started_at": date, "actor": user(url, "octocat"), "triggering_actor": user(url, BOT),
        "jobs_url": format!("{this}/jobs"), "logs_url": format!("{this}/logs"), "previous_attempt_url": null,
        "check_suite_url": format!("{api}/check-suites/{id}"), "cancel_url": format!("{this}/cancel"),
        "rerun_url": format!("{this}/rerun"), "artifacts_url": format!("{this}/artifacts"),
        "workflow_url": format!("{api}/actions/workflows/1"),
        "head_commit": { "id": HEAD, "tree_id": HEAD, "message": "x", "timestamp": date, "author": person,
            "committer": person },
        "repository": repository(call), "head_repository": repository(call),
    })
}
