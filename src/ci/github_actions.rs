//! GitHub Actions: <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>.

use super::{Ci, Context, ForgeHint, Outputs, Row, Sources, Summary, first};
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::{Http, RetryPolicy, request, secret_header};
use crate::log::{Annotation, Commands, Level, Log};
use crate::repository::Repository;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, header};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// GitHub Actions' row.
pub const CI: Row = Row {
    title: TITLE,
    identity_hint: Some(|_| "add to the job: permissions: { id-token: write }".to_owned()),
    new: |env| Some(Box::new(GitHubActions::new(env)?)),
};

const TITLE: &str = "GitHub Actions";

/// A step's summary may have 1 MiB:
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>.
const SUMMARY: u64 = 1024 * 1024;

/// A job of GitHub Actions.
struct GitHubActions<'a> {
    env: &'a Env,
}

impl<'a> GitHubActions<'a> {
    /// Returns the job, if this process runs in one.
    fn new(env: &'a Env) -> Option<Self> {
        env.get(vars::GITHUB_REPOSITORY)?;
        Some(GitHubActions { env })
    }
}

#[async_trait(?Send)]
impl Ci for GitHubActions<'_> {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn forge(&self) -> ForgeHint {
        ForgeHint::Known("github")
    }

    fn context(&self, host: &dyn Host) -> Context {
        context_of(self.env, &event(self.env, host))
    }

    fn workspace(&self) -> Option<&str> {
        self.env.get(vars::GITHUB_WORKSPACE)
    }

    fn outputs(&self) -> Option<Outputs> {
        self.env.get(vars::GITHUB_OUTPUT).map(|path| Outputs::Heredoc(PathBuf::from(path)))
    }

    fn summary(&self) -> Option<Summary> {
        let file = PathBuf::from(self.env.get(vars::GITHUB_STEP_SUMMARY)?);
        Some(Summary { file, limit: SUMMARY })
    }

    fn names_runner(&self) -> bool {
        self.env.get(vars::RUNNER_TEMP).is_some()
    }

    async fn identity_token(&self, http: &Http, log: &Log, audience: &str) -> Result<Option<Secret>> {
        fetch_identity_token(self.env, http, log, audience).await
    }
}

/// The commands of a step, by which the log of the action is more than text:
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
pub const COMMANDS: Commands = Commands { annotate, mask: |value| format!("::add-mask::{}\n", escaped(value)) };

fn annotate(annotation: &Annotation<'_>) -> String {
    let kind = if annotation.level == Level::Error { "error" } else { "warning" };
    let place = annotation.place.map_or(String::new(), |(file, line)| {
        format!(" file={},line={line}", escaped(file).replace(':', "%3A").replace(',', "%2C"))
    });
    format!("::{kind}{place}::{}\n", escaped(annotation.text))
}

/// Returns a text as the value of a command.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The answer to a request for an identity token.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// Asks for the job's identity token:
/// <https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token>.
async fn fetch_identity_token(env: &Env, http: &Http, log: &Log, audience: &str) -> Result<Option<Secret>> {
    let (Some(url), Some(bearer)) =
        (env.get(vars::ACTIONS_ID_TOKEN_REQUEST_URL), env.get(vars::ACTIONS_ID_TOKEN_REQUEST_TOKEN))
    else {
        return Ok(None);
    };
    let wrong = || Error::config(format!("{} is not a valid address", vars::ACTIONS_ID_TOKEN_REQUEST_URL.name));
    let mut url = url::Url::parse(url).map_err(|_| wrong())?;
    url.query_pairs_mut().append_pair("audience", audience);
    let bearer = Secret::new(bearer);
    log.hide("the identity token of the job", &bearer);
    let mut request = request(Method::GET, &url, Bytes::new())?;
    request.headers_mut().insert(
        header::AUTHORIZATION,
        secret_header(vars::ACTIONS_ID_TOKEN_REQUEST_TOKEN.name, &format!("Bearer {}", bearer.expose()))?,
    );
    request.extensions_mut().insert(RetryPolicy::Idempotent);
    let answer =
        http.send(request).await.map_err(|error| error.context("cannot fetch the job's identity token from GitHub"))?;
    let answer: Answer = serde_json::from_slice(answer.body())
        .map_err(|_| Error::remote("GitHub sent an unexpected answer to the request for the job's identity token"))?;
    Ok(Some(Secret::new(answer.value)))
}

/// Where what the event says comes from.
const EVENT: &str = "the event in GITHUB_EVENT_PATH";
/// Where events name their commit. The variables are about the default branch in all of these but the first.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
const COMMITS: [&str; 5] = [
    "/pull_request/head/sha",
    "/workflow_run/head_sha",
    "/check_run/head_sha",
    "/check_suite/head_sha",
    // Of the event `status`.
    "/sha",
];
/// Where they name its branch.
const BRANCHES: [&str; 4] =
    ["/workflow_run/head_branch", "/check_run/check_suite/head_branch", "/check_suite/head_branch", "/branches/0/name"];
/// Where they list the pull requests with that commit.
const PULLS: [&str; 3] = ["/workflow_run/pull_requests", "/check_run/pull_requests", "/check_suite/pull_requests"];

/// Returns the event that started the run.
fn event(env: &Env, host: &dyn Host) -> Value {
    env.get(vars::GITHUB_EVENT_PATH)
        .and_then(|path| host.read(Path::new(path)).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Returns what the variables and the event of a job say of its run. Pure.
pub fn context_of(env: &Env, event: &Value) -> Context {
    let slug = env.get(vars::GITHUB_REPOSITORY).unwrap_or_default();
    let server = env.get(vars::GITHUB_SERVER_URL).unwrap_or("https://github.com");
    let var = |var| env.get(var).map(str::to_owned);
    // The variables are about the default branch where the event is about a comment on a pull request.
    let about_pull = is_on_pull(event);
    let (commit, commit_source) = first([
        (COMMITS.iter().find_map(|pointer| text(event, pointer)), EVENT),
        (var(vars::GITHUB_SHA).filter(|_| !about_pull), vars::GITHUB_SHA.name),
    ]);
    let (issue, named) = of_event(event, slug);
    let of_ref = env.get(vars::GITHUB_REF).and_then(pull_of_ref);
    let (pull_request, pull_source) = first([(named, EVENT), (of_ref, vars::GITHUB_REF.name)]);
    let pushed = || Some(branch_of_ref(env.get(vars::GITHUB_REF)?)?.to_owned());
    let queued = text(event, "/merge_group/base_ref").and_then(|name| Some(branch_of_ref(&name)?.to_owned()));
    let (branch, branch_source) = first([
        (BRANCHES.iter().find_map(|pointer| text(event, pointer)).or(queued), EVENT),
        (var(vars::GITHUB_HEAD_REF), vars::GITHUB_HEAD_REF.name),
        (pushed().filter(|_| !about_pull), vars::GITHUB_REF.name),
    ]);
    let run_id = env.get(vars::GITHUB_RUN_ID);
    Context {
        repository: Repository::parse(slug, Some(server)).ok(),
        commit,
        checked_out: var(vars::GITHUB_SHA),
        pull_request,
        issue,
        branch,
        target_branch: text(event, "/pull_request/base/ref").or(var(vars::GITHUB_BASE_REF)),
        default_branch: text(event, "/repository/default_branch"),
        fork: fork(event, slug),
        workflow: var(vars::GITHUB_WORKFLOW),
        run: run_id.map(str::to_owned),
        job: job(env),
        run_url: run_id.map(|id| format!("{server}/{slug}/actions/runs/{id}")),
        sources: Sources {
            repository: vars::GITHUB_REPOSITORY.name,
            commit: commit_source,
            pull_request: pull_source,
            branch: branch_source,
        },
    }
}

fn text(event: &Value, pointer: &str) -> Option<String> {
    event.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// Returns whether an event is a comment on a pull request, which arrives as one on an issue that has a
/// `pull_request`.
fn is_on_pull(event: &Value) -> bool {
    event.pointer("/issue/pull_request").is_some_and(|pull| !pull.is_null())
}

/// Returns the issue, or the pull request, that an event is about.
fn of_event(event: &Value, slug: &str) -> (Option<u64>, Option<u64>) {
    let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64);
    let on_issue = number("/issue/number");
    let of_pull = is_on_pull(event);
    let listed = || PULLS.iter().find_map(|list| pull_into(slug, event.pointer(list)?.as_array()?));
    let of_run = number("/pull_request/number").or_else(listed);
    (on_issue.filter(|_| !of_pull), of_run.or(on_issue.filter(|_| of_pull)))
}

/// Returns the number of the first listed pull request that is into this repository. Those of its branches into another
/// repository, such as the one that this is a fork of, are listed too.
fn pull_into(slug: &str, pulls: &[Value]) -> Option<u64> {
    let end = format!("/repos/{slug}").to_lowercase();
    let is_ours = |pull: &&Value| {
        let base = pull.pointer("/base/repo/url").and_then(Value::as_str);
        base.is_none_or(|url| url.to_lowercase().ends_with(&end))
    };
    pulls.iter().find(is_ours)?.get("number")?.as_u64()
}

/// Returns the run, its attempt, the job, and what tells the jobs of a matrix apart: the runner gives each job
/// another `RUNNER_TRACKING_ID` (<https://github.com/actions/runner/blob/main/src/Runner.Worker/JobExtension.cs>).
fn job(env: &Env) -> Option<String> {
    let names = [vars::GITHUB_RUN_ID, vars::GITHUB_RUN_ATTEMPT, vars::GITHUB_JOB, vars::RUNNER_TRACKING_ID];
    env.get(vars::GITHUB_RUN_ID)?;
    Some(names.map(|name| env.get(name).unwrap_or_default()).join("/"))
}

/// Returns the branch in `refs/heads/main`.
fn branch_of_ref(name: &str) -> Option<&str> {
    name.strip_prefix("refs/heads/")
}

/// Returns the number in `refs/pull/7/merge`, or in a merge queue's `refs/heads/gh-readonly-queue/main/pr-7-<sha>`.
fn pull_of_ref(name: &str) -> Option<u64> {
    let digits = match name.strip_prefix("refs/pull/") {
        Some(rest) => rest,
        None => name.strip_prefix("refs/heads/gh-readonly-queue/")?.rsplit('/').next()?.strip_prefix("pr-")?,
    };
    digits.split(['/', '-']).next()?.parse().ok()
}

/// Returns the owner of the head's repository when it is not this one.
fn fork(event: &Value, slug: &str) -> Option<String> {
    let head = ["/pull_request/head/repo", "/workflow_run/head_repository"].iter().find_map(|p| event.pointer(p))?;
    let full_name = head.get("full_name").and_then(Value::as_str)?;
    (full_name != slug).then(|| full_name.split('/').next().unwrap_or_default().to_owned())
}
