//! GitLab, gitlab.com and self-managed: <https://docs.gitlab.com/api/rest/>.

use super::artifacts::Artifacts;
use super::assets::Assets;
use super::checks::Checks;
use super::comments::Comments;
use super::history::History;
use super::labels::Labels;
use super::permissions::Permissions;
use super::pull_requests::{Author, GitCredential, PullRequests};
use super::rest::{Rest, escape};
use super::runners::Runners;
use super::runs::Runs;
use super::{About, BY_SERVER, Connection, Context, Driver, Forge, Repository};
use crate::env::{Env, vars};
use crate::error::{Error, Result};
use crate::http::{Http, Refusal, explain_status, in_brackets, secret_header};
use crate::log::Log;
use async_trait::async_trait;
use http::HeaderMap;
use http::header::HeaderName;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

mod artifacts;
mod assets;
mod checks;
mod comments;
mod history;
mod labels;
mod lost_job;
mod lost_jobs;
mod permissions;
mod pull_requests;
mod quick_actions;
mod runner_process;
mod runners;
mod runs;

/// GitLab's row.
pub const DRIVER: Driver = Driver {
    name: "gitlab",
    title: "GitLab",
    is_preview: false,
    hosts: &["gitlab.com"],
    token_vars: &[vars::GITLAB_TOKEN, vars::CI_JOB_TOKEN],
    token_hint: "create a project access token with the role Reporter and the scope api, and save it as the masked variable REPO_TOKEN",
    own_token_hint: "create a personal access token with the scope api, then: export REPO_TOKEN=<token>",
    api_candidates,
    commit_path: "/-/commit/",
    has_details: true,
    connect,
    runner_process: Some(runner_process::runner_process),
};

struct GitLab {
    rest: Rest,
    /// The project's page.
    page: String,
    /// Scheme and host.
    origin: String,
    /// The address of this GitLab, without a slash at its end.
    installation: String,
    /// The project's or group's path.
    path: String,
    /// The project's path in the API.
    root: String,
    /// The project's number, once a note has told it.
    project: Cell<Option<u64>>,
    /// What owns the runners, once that was asked for.
    owner: RefCell<Option<runners::Owner>>,
    /// Where the runner program comes from.
    downloads: runners::Downloads,
    context: Context,
    about: About,
    /// The pipeline that this runs in, if it is one of the project, and its commit.
    pipeline: Option<(u64, String)>,
    http: Http,
    log: Log,
    /// User name and password for git.
    credential: Option<GitCredential>,
    /// Name and e-mail address of who started the pipeline.
    author: Option<Author>,
}

fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { repository, api, token, context, http, log, host, .. } = connection;
    let page = repository.url();
    let (api, api_source) = match named_api(&repository, host.env()) {
        Some(named) => (named, vars::CI_API_V4_URL.name),
        None => (api.unwrap_or_else(|| format!("{}api/v4", repository.server)), BY_SERVER),
    };
    // GitLab may live below a path of its server; then that path is not part of the project's.
    let installation = api.trim_end_matches("/api/v4").to_owned();
    let path = page.strip_prefix(&format!("{installation}/")).unwrap_or(&repository.path).to_owned();
    let root = format!("/projects/{}", escape(&path));
    let source = token.as_ref().map(|(_, source)| *source);
    let credential = match &token {
        Some((token, source)) => {
            let name = if *source == vars::CI_JOB_TOKEN.name { "job-token" } else { "private-token" };
            Some((HeaderName::from_static(name), secret_header(source, token.expose())?))
        }
        None => None,
    };
    let rest = Rest::new(http.explained_by(move |refusal| explain(refusal, source)), &api, credential);
    let here = context.fork.is_none() && context.repository.as_ref() == Some(&repository);
    let project = host.env().get(vars::CI_PROJECT_ID).and_then(|id| id.parse().ok()).filter(|_| here);
    let of_ci = host.env().get(vars::CI_PIPELINE_ID).and_then(|id| id.parse().ok()).filter(|_| here);
    let pipeline = of_ci.zip(host.env().get(vars::CI_COMMIT_SHA).map(str::to_owned));
    let origin = repository.server.as_str().trim_end_matches('/').to_owned();
    let kind = token.as_ref().map(|(token, source)| permissions::kind(token.expose(), source));
    let about = About { api, api_source, token: kind };
    let credential = token.map(|(password, source)| GitCredential { user: pull_requests::user(source), password });
    let author = pull_requests::author(host.env());
    let (owner, downloads) = (RefCell::default(), runners::Downloads::from_env(host.env()));
    Ok(Rc::new(GitLab {
        rest,
        page,
        origin,
        installation,
        path,
        root,
        project: Cell::new(project),
        owner,
        downloads,
        context,
        about,
        pipeline,
        http,
        log,
        credential,
        author,
    }))
}

/// Returns the base of the API that the CI names, when it is that of the repository's server.
fn named_api(repository: &Repository, env: &Env) -> Option<String> {
    let api = env.get(vars::CI_API_V4_URL)?;
    let is_here = url::Url::parse(api).is_ok_and(|api| api.host_str() == repository.server.host_str());
    is_here.then(|| api.trim_end_matches('/').to_owned())
}

/// GitLab may live below a path of its server, which nothing but its CI says:
/// <https://docs.gitlab.com/install/relative_url/>.
fn api_candidates(repository: &Repository, env: &Env, least: usize) -> Vec<String> {
    let names: Vec<&str> = repository.path.split('/').collect();
    if DRIVER.has_host(repository.server.host_str().unwrap_or_default())
        || named_api(repository, env).is_some()
        || names.len() <= least
    {
        return Vec::new();
    }
    let server = repository.server.as_str().trim_end_matches('/');
    (0..=names.len() - least)
        .map(|depth| names[..depth].iter().fold(server.to_owned(), |place, name| place + "/" + name) + "/api/v4")
        .collect()
}

fn explain(refusal: &Refusal, source: Option<&'static str>) -> Error {
    let json = refusal.json();
    let says = ["/error_description", "/message/error", "/message", "/error"]
        .iter()
        .find_map(|pointer| json.pointer(pointer))
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .unwrap_or_default();
    if let Some(error) = pull_requests::passing(refusal, &says) {
        return error;
    }
    let own_job = source == Some(vars::CI_JOB_TOKEN.name);
    if let Some(error) = runners::explain(refusal, &says, own_job) {
        return error;
    }
    let error = explain_status(refusal, "GitLab", &says);
    let work = permissions::work_of(refusal.path);
    match refusal.status.as_u16() {
        401 | 403 if own_job => {
            Error::auth(format!("the job's own token (CI_JOB_TOKEN) is not allowed to do this (GitLab says: {says})"))
                .hint(permissions::token_for(work))
        }
        401 => Error::auth(format!("GitLab does not accept the token{}", in_brackets(&says))).hint(match source {
            Some(source) => format!("check the token in {source}: it may have expired, been revoked or been cut off"),
            None => "save a project access token with the scope api as the masked variable REPO_TOKEN".to_owned(),
        }),
        403 if json.get("error").and_then(Value::as_str) == Some("insufficient_scope") => {
            Error::auth(format!("the token is not allowed to do this (GitLab says: {says})"))
                .hint(format!("to {work} {}", permissions::scope_for(work)))
        }
        403 => error.hint(format!("to {work} {}", permissions::role_for(work))),
        400 if says.contains("too long") => Error::too_large(format!("the text is too long for GitLab ({says})"))
            .hint("use --overflow split or --overflow truncate"),
        _ => error,
    }
}

impl GitLab {
    /// Returns whether the token is the job's own.
    fn has_job_token(&self) -> bool {
        self.credential.as_ref().is_some_and(|own| own.user == pull_requests::user(vars::CI_JOB_TOKEN.name))
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[async_trait(?Send)]
impl Forge for GitLab {
    fn comments(&self) -> &dyn Comments {
        self
    }

    fn assets(&self) -> &dyn Assets {
        self
    }

    fn checks(&self) -> Option<&dyn Checks> {
        Some(self)
    }

    fn pull_requests(&self) -> Option<&dyn PullRequests> {
        Some(self)
    }

    fn runs(&self) -> Option<&dyn Runs> {
        Some(self)
    }

    fn runners(&self) -> Option<&dyn Runners> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        Some(self)
    }

    fn labels(&self) -> Option<&dyn Labels> {
        Some(self)
    }

    fn artifacts(&self) -> Option<&dyn Artifacts> {
        Some(self)
    }

    fn about(&self) -> About {
        self.about.clone()
    }

    fn permissions(&self) -> Option<&dyn Permissions> {
        Some(self)
    }

    async fn can_see_repository(&self) -> Result<bool> {
        self.rest.exists(&self.root).await
    }
}
