//! Bitbucket Pipelines: <https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>.

use super::{Ci, Context, ForgeHint, Outputs, Row, Sources, first};
use crate::env::{Env, Secret, Var, vars};
use crate::error::Result;
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
use crate::repository::Repository;
use async_trait::async_trait;
use std::path::Path;

/// Bitbucket Pipelines' row.
pub const CI: Row = Row {
    title: TITLE,
    // The audience is one of the workspace's own.
    identity_hint: Some(|_| "add to the step: oidc: true".to_owned()),
    new: |env| Some(Box::new(BitbucketPipelines::new(env)?)),
};

const TITLE: &str = "Bitbucket Pipelines";

/// A step of Bitbucket Pipelines.
struct BitbucketPipelines<'a> {
    env: &'a Env,
}

impl<'a> BitbucketPipelines<'a> {
    /// Returns the step, if this process runs in one.
    fn new(env: &'a Env) -> Option<Self> {
        env.get(vars::BITBUCKET_REPO_UUID)?;
        Some(BitbucketPipelines { env })
    }
}

#[async_trait(?Send)]
impl Ci for BitbucketPipelines<'_> {
    fn title(&self) -> &'static str {
        TITLE
    }

    fn forge(&self) -> ForgeHint {
        ForgeHint::Known("bitbucket")
    }

    fn context(&self, _: &dyn Host) -> Context {
        context_of(self.env)
    }

    fn workspace(&self) -> Option<&str> {
        self.env.get(vars::BITBUCKET_CLONE_DIR)
    }

    /// Returns a file in the folder that a pipe shares with the step's script.
    fn outputs(&self) -> Option<Outputs> {
        let folder = self.env.get(vars::BITBUCKET_PIPE_SHARED_STORAGE_DIR)?;
        Some(Outputs::Dotenv(Path::new(folder).join("cml.env")))
    }

    /// Returns the token of a step with `oidc: true`:
    /// <https://support.atlassian.com/bitbucket-cloud/docs/integrate-pipelines-with-resource-servers-using-oidc/>.
    async fn identity_token(&self, _: &Http, _: &Log, _: &str) -> Result<Option<Secret>> {
        Ok(self.env.get(vars::BITBUCKET_STEP_OIDC_TOKEN).map(Secret::new))
    }

    fn signs_checks(&self) -> bool {
        signing_proxy(self.env).is_some()
    }
}

/// Returns the proxy that stands beside each step of a pipeline and signs its requests for Code Insights, so that
/// they need no token:
/// <https://bitbucket.org/blog/provide-full-context-to-reviewers-by-including-pipeline-artifacts-within-the-pull-request>.
/// A pipe is a container of its own and reaches it by another name.
pub fn signing_proxy(env: &Env) -> Option<String> {
    env.get(vars::BITBUCKET_PIPELINE_UUID)?;
    let host = match env.get(vars::BITBUCKET_PIPE_SHARED_STORAGE_DIR) {
        Some(_) => "host.docker.internal",
        None => "localhost",
    };
    let named = env.get(vars::CML_BITBUCKET_PROXY).map(str::to_owned);
    Some(named.unwrap_or_else(|| format!("http://{host}:29418")))
}

/// Returns what the variables say.
fn context_of(env: &Env) -> Context {
    let text = |var| env.get(var).map(str::to_owned);
    let name = env.get(vars::BITBUCKET_REPO_FULL_NAME);
    let repository = name
        .and_then(|name| Repository::parse(name, Some("https://bitbucket.org")).ok())
        .or_else(|| Repository::parse(env.get(vars::BITBUCKET_GIT_HTTP_ORIGIN)?, None).ok());
    let build = env.get(vars::BITBUCKET_BUILD_NUMBER);
    let named = |var: Var| (text(var), var.name);
    let (commit, commit_source) = first([named(vars::BITBUCKET_COMMIT)]);
    let (branch, branch_source) = first([named(vars::BITBUCKET_BRANCH)]);
    let number = env.get(vars::BITBUCKET_PR_ID).and_then(|id| id.parse().ok());
    let (pull_request, pull_source) = first([(number, vars::BITBUCKET_PR_ID.name)]);
    let of_repository = if name.is_some() { vars::BITBUCKET_REPO_FULL_NAME } else { vars::BITBUCKET_GIT_HTTP_ORIGIN };
    Context {
        run_url: repository.as_ref().zip(build).map(|(r, build)| format!("{}/pipelines/results/{build}", r.url())),
        repository,
        commit,
        checked_out: None,
        pull_request,
        issue: None,
        branch,
        target_branch: text(vars::BITBUCKET_PR_DESTINATION_BRANCH),
        default_branch: None,
        fork: None,
        workflow: text(vars::BITBUCKET_PIPELINE_UUID),
        run: build.map(str::to_owned),
        job: env
            .get(vars::BITBUCKET_STEP_UUID)
            .map(|step| format!("{step}/{}", env.get(vars::BITBUCKET_STEP_RUN_NUMBER).unwrap_or_default())),
        sources: Sources {
            repository: of_repository.name,
            commit: commit_source,
            pull_request: pull_source,
            branch: branch_source,
        },
    }
}
