//! GitHub's check runs: <https://docs.github.com/en/rest/checks/runs>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::page::Page;
use super::super::route::Call;
use super::super::state::CheckRun;
use super::shapes::{error, not_found, user};

/// Bytes, whatever the message says: <https://github.com/github/docs/issues/35252>.
const MAX_TEXT: usize = 65_535;
const MAX_ANNOTATIONS: usize = 50;
const CONCLUSIONS: [&str; 7] =
    ["success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"];

pub fn make(call: &mut Call<'_>) -> Response {
    let body = call.request.json();
    let name = body["head_sha"].as_str().unwrap_or_default();
    let Some(sha) = call.repo.commit(name).filter(|sha| sha == name) else {
        return error(422, &format!("No commit found for SHA: {name}"));
    };
    if body["name"].as_str().is_none_or(str::is_empty) {
        return error(422, "Invalid request.\n\n\"name\" wasn't supplied.");
    }
    let now = call.desk.tick();
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let mut run = CheckRun {
        id: call.desk.id(),
        sha,
        name: String::new(),
        status: "queued".to_owned(),
        conclusion: None,
        external_id: text("external_id"),
        details_url: None,
        started_at: text("started_at").or(Some(now.seconds())),
        completed_at: None,
        title: None,
        summary: None,
        text: None,
        annotations: Vec::new(),
    };
    if let Err(problem) = change(&mut run, &body, &now.seconds()) {
        return error(422, &problem);
    }
    call.repo.checks.push(run.clone());
    Response::json(201, &run_json(call, &run))
}

pub fn one(call: &mut Call<'_>, id: u64) -> Response {
    let Some(mut run) = call.repo.checks.iter().find(|run| run.id == id).cloned() else { return not_found() };
    if call.request.verb() == "PATCH" {
        let now = call.desk.tick().seconds();
        if let Err(problem) = change(&mut run, &call.request.json(), &now) {
            return error(422, &problem);
        }
        let kept = call.repo.checks.iter_mut().find(|run| run.id == id).expect("found above");
        kept.clone_from(&run);
    }
    Response::json(200, &run_json(call, &run))
}

pub fn list(call: &Call<'_>, name: &str) -> Response {
    let Some(sha) = call.repo.commit(name) else { return error(422, &format!("No commit found for SHA: {name}")) };
    let wanted = call.request.param("check_name");
    let mut found: Vec<&CheckRun> = call.repo.checks.iter().rev().collect();
    found.retain(|run| run.sha == sha && wanted.as_ref().is_none_or(|name| *name == run.name));
    if call.request.param("filter").as_deref() != Some("all") {
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|run| seen.insert(run.name.clone()));
    }
    let page = Page::of(call.request, ("per_page", 30, 100), found.len());
    let runs: Vec<Value> = page.items(&found).iter().map(|run| run_json(call, run)).collect();
    Response::json(200, &json!({"total_count": found.len(), "check_runs": runs}))
}

/// Takes over what a request says; annotations are added.
fn change(run: &mut CheckRun, body: &Value, now: &str) -> Result<(), String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let output = &body["output"];
    for field in ["summary", "text"] {
        let length = output[field].as_str().map_or(0, str::len);
        if length > MAX_TEXT {
            return Err(format!("Only {MAX_TEXT} characters are allowed; {length} were supplied."));
        }
    }
    let annotations = output["annotations"].as_array().cloned().unwrap_or_default();
    if annotations.len() > MAX_ANNOTATIONS {
        return Err(format!("No more than {MAX_ANNOTATIONS} items are allowed; {} were supplied.", annotations.len()));
    }
    if annotations.iter().any(|a| !a["start_column"].is_null() && a["start_line"] != a["end_line"]) {
        return Err("Annotations only support start_column and end_column on the same line".to_owned());
    }
    run.annotations.extend(annotations);
    run.name = text(&body["name"]).unwrap_or(std::mem::take(&mut run.name));
    run.details_url = text(&body["details_url"]).or(run.details_url.take());
    run.title = text(&output["title"]).or(run.title.take());
    run.summary = text(&output["summary"]).or(run.summary.take());
    run.text = text(&output["text"]).or(run.text.take());
    run.status = text(&body["status"]).unwrap_or(std::mem::take(&mut run.status));
    // A conclusion completes a check run, whatever its status is said to be.
    if let Some(conclusion) = text(&body["conclusion"]) {
        if !CONCLUSIONS.contains(&conclusion.as_str()) {
            return Err(format!("{conclusion} is not a member of {CONCLUSIONS:?}"));
        }
        (run.status, run.conclusion) = ("completed".to_owned(), Some(conclusion));
        run.completed_at = text(&body["completed_at"]).or(Some(now.to_owned()));
    } else if run.status == "completed" && run.conclusion.is_none() {
        return Err("A conclusion is required when the status is completed".to_owned());
    }
    Ok(())
}

fn run_json(call: &Call<'_>, run: &CheckRun) -> Value {
    let api = format!("{}/github/repos/{}/check-runs/{}", call.url, call.repo.slug, run.id);
    let page = format!("{}/{}/runs/{}", call.url, call.repo.slug, run.id);
    json!({
        "id": run.id, "node_id": format!("CR_kwDOFAKE{:08x}", run.id), "head_sha": run.sha, "name": run.name,
        "external_id": run.external_id.as_deref().unwrap_or_default(), "url": api, "html_url": page,
        "details_url": run.details_url.as_deref().unwrap_or("https://github.com/apps/github-actions"),
        "status": run.status, "conclusion": run.conclusion, "started_at": run.started_at,
        "completed_at": run.completed_at, "check_suite": {"id": 900}, "pull_requests": [],
        "output": {"title": run.title, "summary": run.summary, "text": run.text,
            "annotations_count": run.annotations.len(), "annotations_url": format!("{api}/annotations")},
        "app": {"id": 15368, "slug": "github-actions", "node_id": "MDM6QXBwMTUzNjg=", "owner": user(call.url, "github"),
            "name": "GitHub Actions", "description": "Automate your workflow",
            "external_url": "https://help.github.com/en/actions", "html_url": "https://github.com/apps/github-actions",
            "created_at": "2018-07-30T09:30:17Z", "updated_at": "2024-04-10T20:33:16Z",
            "permissions": {"checks": "write"}, "events": []},
    })
}
