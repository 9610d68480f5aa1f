//! Runs of the CI and how they start again: GitHub's workflow runs, GitLab's and Bitbucket's pipelines. One model, three
//! views of it.
//!
//! As of <https://docs.github.com/en/rest/actions/workflow-runs>, <https://docs.gitlab.com/api/pipelines/> and
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use serde_json::{Value, json};

use super::clock::Time;
use super::github_shapes::{error as github_error, not_found, repository, user};
use super::http::Response;
use super::route::Call;
use super::state::{BOT, HEAD};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Was asked to end, and does when it has been looked at so often.
    Cancelling(u32),
    Passed,
    Failed,
    Cancelled,
}

/// A run: two jobs, `id * 10` and `id * 10 + 1`, of which the second fails.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: u64,
    pub phase: Phase,
    /// How often it was looked at before a cancellation takes effect.
    pub lingers: u32,
    pub attempt: u64,
    /// How it was restarted: `rerun`, `rerun-failed-jobs` or `retry`.
    pub starts: Vec<String>,
    /// The runner of its second job.
    pub runner: String,
    /// What GitHub remarks on that job, or GitLab's reason for its failure.
    pub reason: Option<String>,
    /// Why GitHub does not start it again.
    pub refused: Option<String>,
    /// Bitbucket's, with their values; secured ones have none.
    pub variables: Vec<(String, Option<String>)>,
    pub target: Value,
    pub created_at: Time,
}

impl Run {
    pub fn new(id: u64, phase: Phase) -> Run {
        let target = json!({ "type": "pipeline_ref_target", "ref_type": "branch", "ref_name": "feature",
            "commit": { "type": "commit", "hash": HEAD }, "selector": { "type": "custom", "pattern": "train" } });
        let (starts, variables) = (Vec::new(), Vec::new());
        let (runner, refused, reason) = ("hosted".to_owned(), None, None);
        Run {
            id,
            phase,
            lingers: 1,
            attempt: 1,
            starts,
            runner,
            reason,
            refused,
            variables,
            target,
            created_at: Time(0),
        }
    }

    pub fn uuid(&self) -> String {
        format!("{{00000000-0000-4000-a000-{:012}}}", self.id)
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Passed | Phase::Failed | Phase::Cancelled)
    }

    fn look(&mut self) {
        match self.phase {
            Phase::Cancelling(0) => self.phase = Phase::Cancelled,
            Phase::Cancelling(n) if n < u32::MAX => self.phase = Phase::Cancelling(n - 1),
            _ => {}
        }
    }

    fn start(&mut self, how: &str) {
        (self.phase, self.attempt) = (Phase::Running, self.attempt + 1);
        self.starts.push(how.to_owned());
    }

    /// The jobs that failed or were cancelled and were not run again since.
    fn failed_jobs(&self) -> Vec<u64> {
        let second = self.id * 10 + self.attempt;
        match self.phase {
            Phase::Failed => vec![second],
            Phase::Cancelled => vec![self.id * 10, second],
            _ => Vec::new(),
        }
    }
}

/// `/repos/{owner}/{repo}/actions/runs/…`
pub fn github(call: &mut Call<'_>, path: &[&str]) -> Response {
    let Some(id) = path.first().and_then(|id| id.parse::<u64>().ok()) else { return not_found() };
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
        ("POST", ["cancel"]) if run.is_over() => github_error(409, "Cannot cancel a workflow run that is completed."),
        ("POST", ["cancel"]) => {
            run.phase = Phase::Cancelling(run.lingers);
            Response::json(202, &json!({}))
        }
        ("POST", ["rerun" | "rerun-failed-jobs"]) if !run.is_over() => {
            github_error(403, "This workflow is already running")
        }
        ("POST", [how @ ("rerun" | "rerun-failed-jobs")]) => {
            let nothing = *how == "rerun-failed-jobs" && run.failed_jobs().is_empty();
            let refused = run.refused.clone().or(nothing.then(|| "This workflow run cannot be retried".to_owned()));
            if let Some(why) = refused {
                return github_error(403, &why);
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

/// `/projects/:id/pipelines/…` and `/projects/:id/jobs/:id`
pub fn gitlab(call: &mut Call<'_>, path: &[&str]) -> Response {
    let missing = || Response::json(404, &json!({ "message": "404 Not found" }));
    let number = |text: &str| text.parse::<u64>().ok();
    let page = format!("{}/{}/-", call.url, call.repo.slug);
    if let ["jobs", id, rest @ ..] = path {
        let force = call.request.field("force").as_deref() == Some("true");
        let (project, verb) = (call.repo.id, call.request.verb());
        let run = number(id).and_then(|id| call.repo.runs.get_mut(&(id / 10)).map(|run| (id, run)));
        let Some((id, run)) = run else { return missing() };
        return gitlab_job(run, id, (verb, rest), force, project, &page);
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
fn gitlab_job(
    run: &mut Run,
    id: u64,
    (verb, rest): (&str, &[&str]),
    force: bool,
    project: u64,
    page: &str,
) -> Response {
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

/// `/repositories/{workspace}/{repo_slug}/pipelines…`
pub fn bitbucket(call: &mut Call<'_>, path: &[&str]) -> Response {
    let refuse =
        |status, message: &str| Response::json(status, &json!({ "type": "error", "error": { "message": message } }));
    match (call.request.verb(), path) {
        ("GET", []) => {
            let mut runs: Vec<&Run> = call.repo.runs.values().collect();
            runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
            let values: Vec<Value> = runs.into_iter().map(|run| pipeline(call, run)).collect();
            let size = values.len();
            Response::json(200, &json!({ "values": values, "page": 1, "pagelen": 20, "size": size }))
        }
        ("GET", [id]) => match call.repo.runs.values().find(|run| run.uuid() == *id || run.id.to_string() == *id) {
            Some(run) => Response::json(200, &pipeline(call, run)),
            None => refuse(404, "Not found"),
        },
        ("POST", []) => {
            let document = call.request.json();
            if document["target"]["type"].is_null() {
                return refuse(400, "Bad request");
            }
            let (id, created_at) = (call.desk.id(), call.desk.tick());
            let variables = document["variables"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let variables = variables.map(|v| (text(&v["key"]).unwrap_or_default(), text(&v["value"]))).collect();
            let target = document["target"].clone();
            let run = Run { variables, target, created_at, ..Run::new(id, Phase::Running) };
            let answer = Response::json(201, &pipeline(call, &run));
            call.repo.runs.insert(id, run);
            answer
        }
        _ => refuse(404, "Resource not found"),
    }
}

fn pipeline(call: &Call<'_>, run: &Run) -> Value {
    let state = match run.phase {
        Phase::Running | Phase::Cancelling(_) => json!({ "type": "pipeline_state_in_progress", "name": "IN_PROGRESS" }),
        _ => json!({ "type": "pipeline_state_completed", "name": "COMPLETED", "result": { "name": "FAILED" } }),
    };
    let variable = |(key, value): &(String, Option<String>)| match value {
        Some(value) => json!({ "type": "pipeline_variable", "key": key, "value": value, "secured": false }),
        None => json!({ "type": "pipeline_variable", "key": key, "secured": true }),
    };
    let variables: Vec<Value> = run.variables.iter().map(variable).collect();
    json!({ "type": "pipeline", "uuid": run.uuid(), "build_number": run.id, "created_on": run.created_at.micros(),
        "target": run.target, "state": state, "variables": variables, "has_variables": !variables.is_empty(),
        "links": { "self": { "href": format!("{}/bitbucket/2.0/repositories/{}/pipelines/{}", call.url, call.repo.slug, run.uuid()) } } })
}
