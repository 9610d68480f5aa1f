//! Pipelines and their jobs: <https://docs.gitlab.com/api/pipelines/>, <https://docs.gitlab.com/api/jobs/>.

use serde_json::{Value, json};

use super::super::artifacts::Kept;
use super::super::http::Response;
use super::super::route::Call;
use super::super::runs::{Phase, Run};
use super::super::state::HEAD;

/// `/projects/:id/pipelines/…` and `/projects/:id/jobs/:id`
pub fn route(call: &mut Call<'_>, path: &[&str]) -> Response {
    let missing = || Response::json(404, &json!({ "message": "404 Not found" }));
    match (call.request.verb(), path) {
        ("GET", ["pipelines"]) => return kept_pipelines(call),
        ("GET", ["pipelines", id, "jobs"]) if call.repo.kept_one(id).is_some() => return kept_job(call, id),
        ("GET", ["jobs", id, "artifacts"]) => {
            let kept = call.repo.kept_one(id).filter(|kept| !kept.is_expired);
            return kept.map_or_else(missing, |kept| Response::bytes(200, "application/zip", kept.archive.clone()));
        }
        _ => {}
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let page = format!("{}/{}/-", call.url, call.repo.slug);
    if let ["jobs", id, rest @ ..] = path {
        let force = call.request.field("force").as_deref() == Some("true");
        let (project, verb) = (call.repo.id, call.request.verb());
        let run = number(id).and_then(|id| call.repo.runs.get_mut(&(id / 10)).map(|run| (id, run)));
        let Some((id, run)) = run else { return missing() };
        return job(run, id, (verb, rest), force, project, &page);
    }
    let ["pipelines", id, rest @ ..] = path else { return missing() };
    let Some(run) = number(id).and_then(|id| call.repo.runs.get_mut(&id)) else { return missing() };
    match (call.request.verb(), rest) {
        ("GET", []) => run.look(),
        ("GET", ["jobs"]) => {
            if call.request.param("include_retried").is_some() {
                let attempt = |n: u64| {
                    let (last, id) = (n == run.attempt && run.phase != Phase::Failed, run.id * 10 + n);
                    let reason = run.reason.as_deref().unwrap_or("script_failure");
                    json!({ "id": id, "name": "train", "status": if last { "success" } else { "failed" },
                        "failure_reason": reason, "runner": { "id": 1, "description": run.runner },
                        "web_url": format!("{page}/jobs/{id}"), "pipeline": { "id": run.id } })
                };
                let first = json!({ "id": run.id * 10, "name": "lint", "status": "success", "runner": null,
                    "web_url": format!("{page}/jobs/{}", run.id * 10), "pipeline": { "id": run.id } });
                let jobs = [first].into_iter().chain((1..=run.attempt).map(attempt));
                return Response::json(200, &jobs.collect::<Value>());
            }
            let scope: Vec<_> = call.request.query().into_iter().filter(|(key, _)| key == "scope[]").collect();
            assert_eq!(scope.len(), 2, "the fake knows only the jobs that failed or were canceled");
            let jobs = run.failed_jobs().into_iter();
            let jobs = jobs.map(|id| json!({ "id": id, "name": "train", "status": "failed" }));
            return Response::json(200, &jobs.collect::<Value>());
        }
        ("POST", ["cancel"]) if run.is_over() => {}
        ("POST", ["cancel"]) => run.phase = Phase::Cancelling(run.lingers),
        ("POST", ["retry"]) if run.failed_jobs().is_empty() => {}
        ("POST", ["retry"]) => run.start("retry"),
        _ => return missing(),
    }
    let status = match run.phase {
        Phase::Running => "running",
        Phase::Cancelling(_) => "canceling",
        Phase::Passed => "success",
        Phase::Failed => "failed",
        Phase::Cancelled => "canceled",
    };
    let created = if rest == ["retry"] { 201 } else { 200 };
    let (id, project) = (run.id, call.repo.id);
    Response::json(
        created,
        &json!({ "id": id, "iid": 1, "project_id": project, "sha": HEAD, "ref": "feature", "status": status,
            "source": "push", "web_url": format!("{page}/pipelines/{id}") }),
    )
}

/// `/projects/:id/jobs/:id…` of a run's second job, whose state is the run's. A job that is being cancelled waits for the word of
/// its runner, unless it is forced: <https://docs.gitlab.com/api/jobs/#cancel-a-job>.
fn job(run: &mut Run, id: u64, (verb, rest): (&str, &[&str]), force: bool, project: u64, page: &str) -> Response {
    let is_last = id == run.id * 10 + run.attempt;
    let mut job = id;
    match (verb, rest) {
        ("GET", []) => run.look(),
        ("POST", ["cancel"]) => match run.phase {
            Phase::Running if is_last => run.phase = Phase::Cancelling(run.lingers),
            Phase::Cancelling(_) if force => run.phase = Phase::Cancelled,
            _ => {}
        },
        ("POST", ["retry"]) if is_last && matches!(run.phase, Phase::Failed | Phase::Cancelled) => {
            run.start("job");
            job = run.id * 10 + run.attempt;
        }
        ("POST", ["retry"]) => {
            return Response::json(403, &json!({ "message": "403 Forbidden  - Job is not retryable" }));
        }
        _ => return Response::json(404, &json!({ "message": "404 Not found" })),
    }
    let status = match run.phase {
        _ if job != run.id * 10 + run.attempt => "failed",
        Phase::Running => "running",
        Phase::Cancelling(_) => "canceling",
        Phase::Passed => "success",
        Phase::Failed => "failed",
        Phase::Cancelled => "canceled",
    };
    let pipeline = json!({ "id": run.id, "project_id": project, "ref": "feature", "sha": HEAD });
    Response::json(
        if verb == "POST" { 201 } else { 200 },
        &json!({ "id": job, "name": "train", "status": status, "web_url": format!("{page}/jobs/{job}"), "pipeline": pipeline }),
    )
}

/// The pipelines of a branch that have kept something and ended so, each with one job of the same number.
fn kept_pipelines(call: &Call<'_>) -> Response {
    let (branch, status) = (call.request.param("ref"), call.request.param("status"));
    let is_wanted = |kept: &Kept| {
        !kept.of_fork && branch.as_ref() == Some(&kept.branch) && status.as_deref() == Some(status_of(kept))
    };
    let shape = |(id, kept): (u64, &Kept)| {
        json!({ "id": id, "iid": id, "project_id": call.repo.id, "sha": kept.commit, "ref": kept.branch, "status": status_of(kept),
            "source": "push", "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
            "web_url": format!("{}/{}/-/pipelines/{id}", call.url, call.repo.slug) })
    };
    Response::json(200, &call.repo.kept().filter(|(_, kept)| is_wanted(kept)).map(shape).collect())
}

fn status_of(kept: &Kept) -> &'static str {
    match kept.phase {
        Phase::Passed => "success",
        Phase::Failed => "failed",
        Phase::Cancelled => "canceled",
        Phase::Running | Phase::Cancelling(_) => "running",
    }
}

fn kept_job(call: &Call<'_>, id: &str) -> Response {
    let Some(kept) = call.repo.kept_one(id) else { return Response::json(200, &json!([])) };
    let number: u64 = id.parse().unwrap_or_default();
    // GitLab leaves out what has expired.
    let file = (!kept.is_expired).then(|| json!({ "filename": "artifacts.zip", "size": kept.archive.len() }));
    let mut job = json!({ "id": number, "name": kept.name, "status": "success", "finished_at": "2026-01-01T00:00:00.000Z",
        "artifacts_expire_at": "2026-01-31T00:00:00.000Z", "pipeline": { "id": number },
        "web_url": format!("{}/{}/-/jobs/{id}", call.url, call.repo.slug) });
    if let Some(file) = file {
        job["artifacts_file"] = file;
    }
    Response::json(200, &json!([job]))
}
