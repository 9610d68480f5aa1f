//! What GitLab's runner program asks of its server: a job, which a request waits for, the job's state, and its log. The program
//! itself could be pointed at it (`network/gitlab.go`, `common/spec/spec.go`); the server is <https://docs.gitlab.com/development/cicd/>,
//! and the front that holds requests <https://docs.gitlab.com/ci/runners/long_polling/>.

use serde_json::{Value, json};
use std::time::Duration;

use super::super::http::{Request, Response};
use super::super::runners::Doing;
use super::super::state::{HEAD, State, Vendor};
use super::error;

/// A job for whichever runner asks first.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: u64,
    token: String,
    /// One line of the shell, without quotation marks and brackets, which the scripted program does not read.
    script: String,
    /// GitLab's word for it: `pending`, `running`, `canceling`, `success`, `failed` or `canceled`.
    pub status: String,
    /// Why it failed, as its runner says.
    pub reason: Option<String>,
    pub log: Vec<u8>,
    /// The runner that has it.
    pub runner: Option<u64>,
}

/// The jobs of a server, and how long it holds a request for one.
#[derive(Debug, Default)]
pub struct Queue {
    pub jobs: Vec<Job>,
    pub hold: Duration,
}

impl Queue {
    /// Adds one; returns its number.
    pub fn add(&mut self, script: &str) -> u64 {
        let id = 101 + self.jobs.len() as u64;
        let (token, script, status) = (format!("glcbt-64_job-{id}"), script.to_owned(), "pending".to_owned());
        self.jobs.push(Job { id, token, script, status, reason: None, log: Vec::new(), runner: None });
        id
    }

    /// Changes with every new job: a runner that has seen the present one is made to wait.
    fn last_update(&self) -> String {
        format!("{:032x}", self.jobs.len())
    }
}

/// Whether the server's front holds a request back: there is nothing new for the runner.
pub fn is_held(state: &State, request: &Request) -> bool {
    request.verb() == "POST"
        && request.path().ends_with("/jobs/request")
        && request.field("last_update").as_ref() == Some(&state.runners.queue.last_update())
}

/// What concerns a runner's jobs; `None` for everything else. None of it takes a user's token.
pub fn route(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Option<Response> {
    match (request.verb(), path) {
        ("POST", ["jobs", "request"]) => Some(hand_out(state, request, url)),
        ("PUT", ["jobs", id]) => Some(with_job(state, request, id, update)),
        ("PATCH", ["jobs", id, "trace"]) => Some(with_job(state, request, id, append)),
        _ => None,
    }
}

fn hand_out(state: &mut State, request: &Request, url: &str) -> Response {
    let token = request.field("token").unwrap_or_default();
    let all = &mut state.runners;
    let Some(runner) = all.all.iter_mut().find(|runner| runner.vendor == Vendor::GitLab && runner.credential == token)
    else {
        return error(403, "403 Forbidden");
    };
    let last_update = all.queue.last_update();
    let Some(job) = all.queue.jobs.iter_mut().find(|job| job.status == "pending") else {
        runner.doing = Doing::Idle;
        return Response::empty(204).header("X-GitLab-Last-Update", last_update);
    };
    (job.status, job.runner, runner.doing) = ("running".to_owned(), Some(runner.id), Doing::Busy);
    Response::json(201, &shape(job, &runner.place, url))
}

fn shape(job: &Job, place: &str, url: &str) -> Value {
    let variable = |key: &str, value: &str| json!({ "key": key, "value": value, "public": true, "masked": false });
    json!({
        "id": job.id, "token": job.token, "allow_git_fetch": true,
        "job_info": { "id": job.id, "name": "train", "stage": "test", "project_id": 1, "project_name": "model",
            "project_full_path": place, "pipeline_id": 5 },
        "git_info": { "repo_url": format!("{url}/{place}.git"), "ref": "feature", "sha": HEAD,
            "before_sha": "0".repeat(40), "ref_type": "branch", "depth": 20,
            "refspecs": ["+refs/heads/feature:refs/remotes/origin/feature"] },
        "runner_info": { "timeout": 3600, "runner_session_url": null },
        "variables": [variable("CI_JOB_ID", &job.id.to_string()), variable("GIT_STRATEGY", "none")],
        "steps": [{ "name": "script", "script": [job.script], "timeout": 3600, "when": "on_success",
            "allow_failure": false }],
        "image": null, "services": [], "artifacts": [], "cache": [], "credentials": [], "dependencies": [], "hooks": [],
        "features": { "trace_sections": true, "failure_reasons": ["unknown_failure", "script_failure",
            "runner_system_failure", "job_execution_timeout", "runner_interrupted"] },
    })
}

/// Carries out what a job's own token allows while the job runs.
fn with_job(state: &mut State, request: &Request, id: &str, does: fn(&mut Job, &Request) -> Response) -> Response {
    let token = request.header("job-token").map(str::to_owned).or_else(|| request.field("token"));
    let runners = &mut state.runners;
    let Some(job) = runners.queue.jobs.iter_mut().find(|job| job.id.to_string() == id) else {
        return error(404, "404 Not Found");
    };
    if token.as_deref() != Some(&job.token) {
        return error(403, "403 Forbidden");
    }
    if !matches!(job.status.as_str(), "running" | "canceling") {
        return error(403, "403 Forbidden  - Job is not running").header("Job-Status", &job.status);
    }
    let answer = does(job, request);
    let (runner, is_over) = (job.runner, !matches!(job.status.as_str(), "running" | "canceling"));
    if let Some(runner) = runners.all.iter_mut().find(|other| is_over && Some(other.id) == runner) {
        runner.doing = Doing::Idle;
    }
    answer.header("Job-Status", job.status.clone()).header("X-GitLab-Trace-Update-Interval", "3")
}

fn update(job: &mut Job, request: &Request) -> Response {
    match request.field("state").as_deref() {
        Some("running") | None => {}
        Some(_) if job.status == "canceling" => job.status = "canceled".to_owned(),
        Some(state @ ("success" | "failed")) => {
            (job.status, job.reason) = (state.to_owned(), request.field("failure_reason"));
        }
        Some(_) => return Response::json(400, &json!({ "error": "state does not have a valid value" })),
    }
    Response::json(200, &json!("200"))
}

fn append(job: &mut Job, request: &Request) -> Response {
    let range = request.header("content-range").and_then(|range| range.split_once('-'));
    let Some(start) = range.and_then(|(start, _)| start.parse::<usize>().ok()) else {
        return error(400, "400 Missing header Content-Range");
    };
    if start > job.log.len() {
        return error(416, "416 Range Not Satisfiable").header("Range", format!("0-{}", job.log.len()));
    }
    job.log.truncate(start);
    job.log.extend_from_slice(&request.body);
    Response::json(202, &json!("202")).header("Range", format!("0-{}", job.log.len()))
}
