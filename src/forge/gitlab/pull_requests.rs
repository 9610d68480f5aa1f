//! GitLab's merge requests: <https://docs.gitlab.com/api/merge_requests/>.

use super::GitLab;
use super::quick_actions::escape as escape_actions;
use crate::env::{Env, vars};
use crate::error::{Error, Kind, Result};
use crate::forge::pull_requests::{
    Author, Merge, Merged, NewPullRequest, PullRequest, PullRequests, PushConfig, open_or_merged,
};
use crate::forge::rest::escape;
use crate::http::{Refusal, RetryPolicy, in_brackets};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// So long GitLab looks at a new merge request, and makes its pipeline, before it can be set to merge:
/// <https://gitlab.com/gitlab-org/gitlab/-/issues/353984>.
const LOOKING: Duration = Duration::from_secs(4);

/// Returns the user name that goes with a token: <https://docs.gitlab.com/ci/jobs/ci_job_token/>; with tokens of
/// people and projects any name does.
pub fn user(source: &str) -> &'static str {
    if source == vars::CI_JOB_TOKEN.name { "gitlab-ci-token" } else { "oauth2" }
}

/// Who started the pipeline: <https://docs.gitlab.com/ci/variables/predefined_variables/>.
pub fn author(env: &Env) -> Option<Author> {
    let (name, email) = (env.get(vars::GITLAB_USER_NAME)?, env.get(vars::GITLAB_USER_EMAIL)?);
    Some(Author { name: name.to_owned(), email: email.to_owned() })
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
    state: String,
    sha: Option<String>,
    web_url: String,
}

impl From<MergeRequest> for PullRequest {
    fn from(wire: MergeRequest) -> Self {
        let MergeRequest { iid, state, sha, web_url } = wire;
        PullRequest { number: iid, head: sha.unwrap_or_default(), open: state == "opened", url: web_url, id: None }
    }
}

impl GitLab {
    async fn merge_requests(&self, path: &str) -> Result<Vec<PullRequest>> {
        let found = match self.rest.get::<Vec<MergeRequest>>(path).await {
            Err(error) if error.kind() == Kind::NotFound => Vec::new(),
            found => found?.1,
        };
        Ok(found.into_iter().map(PullRequest::from).collect())
    }
}

#[async_trait(?Send)]
impl PullRequests for GitLab {
    async fn list(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        let path = format!("{}/repository/commits/{commit}/merge_requests?per_page=100", self.root);
        let mut found = self.merge_requests(&path).await?;
        if let Some(branch) = branch.filter(|_| !found.iter().any(|pull| pull.open)) {
            let branch = escape(branch);
            let path = format!("{}/merge_requests?state=opened&source_branch={branch}&per_page=100", self.root);
            found.extend(self.merge_requests(&path).await?);
        }
        Ok(found)
    }

    async fn find(&self, source: &str, target: &str) -> Result<Option<PullRequest>> {
        let (source, target) = (escape(source), escape(target));
        let query = format!("source_branch={source}&target_branch={target}");
        let path = format!("{}/merge_requests?{query}", self.root);
        let (_, found): (_, Vec<MergeRequest>) = self.rest.get(&path).await?;
        // The newest are first.
        Ok(open_or_merged(found, |pull| pull.state == "opened", |pull| pull.state == "merged").map(PullRequest::from))
    }

    async fn create(&self, new: &NewPullRequest) -> Result<PullRequest> {
        let body = json!({ "title": new.title, "description": escape_actions(&new.body), "source_branch": new.source,
            "target_branch": new.target });
        let path = format!("{}/merge_requests", self.root);
        let (_, made): (_, MergeRequest) =
            self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await?;
        Ok(made.into())
    }

    /// <https://docs.gitlab.com/api/merge_requests/#merge-a-merge-request>. `merge_when_pipeline_succeeds` is the old
    /// name of `auto_merge`, and the only one before GitLab 17.11, which would merge at once without it.
    async fn merge(&self, pull: &PullRequest, how: Merge) -> Result<Merged> {
        let body = json!({ "auto_merge": true, "merge_when_pipeline_succeeds": true, "squash": how == Merge::Squash });
        let path = format!("{}/merge_requests/{}/merge", self.root, pull.number);
        let merged = self.rest.call(Method::PUT, &path, Some(&body), RetryPolicy::LookFirst).await;
        let (_, merged): (_, MergeRequest) = merged.map_err(|error| {
            let number = pull.number;
            match error.kind() {
                _ if error.is_ambiguous() => error,
                // GitLab answers 401 to a user without the permission to merge.
                Kind::Auth => Error::auth(format!("the token's user is not allowed to merge merge request {number} ({error})"))
                    .hint("allow it to merge into the target branch (Settings → Repository → Protected branches); the token needs the scope api"),
                Kind::Conflict => error.context(format!("merge request {number} was not merged"))
                    .hint("it may need a pipeline, approvals, or conflicts to be resolved; see its page"),
                _ => error,
            }
        })?;
        Ok(if merged.state == "merged" { Merged::Now } else { Merged::Later })
    }

    /// `ci.skip`: <https://docs.gitlab.com/topics/git/commit/#push-options-for-gitlab-cicd>.
    fn push_config(&self) -> PushConfig {
        PushConfig {
            credential: self.credential.clone(),
            author: self.author.clone(),
            // Rebasing is a setting of the project there.
            merges: &[Merge::Commit, Merge::Squash],
            noun: "Merge Request",
            skip_ci: &["ci.skip"],
            settings: Vec::new(),
        }
    }
}

/// Returns whether a refusal to merge may be over soon: 405 and 422 also stand for a merge request that GitLab still
/// looks at.
pub fn passing(refusal: &Refusal, says: &str) -> Option<Error> {
    let status = refusal.status.as_u16();
    if refusal.method != Method::PUT || !matches!(status, 405 | 406 | 422) {
        return None;
    }
    let error = Error::conflict(format!("GitLab answered {status}{}", in_brackets(says)));
    Some(if status == 406 { error } else { error.retry_in(LOOKING) })
}
