//! Bitbucket's pull requests: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>.

use super::{Bitbucket, Links, List, PAGE};
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::forge::pull_requests::{
    Author, GitCredential, Merge, Merged, NewPullRequest, PullRequest, PullRequests, PushConfig, REQUESTS,
    open_or_merged,
};
use crate::forge::rest::escape;
use crate::http::RetryPolicy;
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The first of the growing pauses before a merge is looked at.
const POLL: Duration = Duration::from_secs(2);

/// Origin is an address without TLS, which the step's proxy signs:
/// <https://community.atlassian.com/t5/Bitbucket-articles/Pushing-back-to-your-repository/ba-p/958407>. The clone has the
/// proxy as a step finds it; a pipe finds it elsewhere.
pub fn settings(env: &Env, proxy: Option<&str>) -> Vec<(String, String)> {
    let in_pipe = env.get(vars::BITBUCKET_PIPE_SHARED_STORAGE_DIR).is_some();
    let origin = env.get(vars::BITBUCKET_GIT_HTTP_ORIGIN).filter(|origin| in_pipe && origin.starts_with("http://"));
    let Some((origin, proxy)) = origin.zip(proxy) else { return Vec::new() };
    ["", ".git"].map(|ending| (format!("http.{origin}{ending}.proxy"), proxy.to_owned())).to_vec()
}

/// Returns the fixed user names that git takes with an API token and with an access token:
/// <https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/>,
/// <https://support.atlassian.com/bitbucket-cloud/docs/using-access-tokens/>.
fn password(token: &Secret) -> GitCredential {
    let decoded = BASE64_STANDARD.decode(token.expose()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.filter(|pair| pair.contains(':') && !pair.contains(char::is_control));
    match token.expose().split_once(':').or_else(|| decoded.as_deref()?.split_once(':')) {
        Some((_, password)) => GitCredential { user: "x-bitbucket-api-token-auth", password: Secret::new(password) },
        None => GitCredential { user: "x-token-auth", password: token.clone() },
    }
}

#[derive(Deserialize)]
struct WirePull {
    id: u64,
    state: String,
    source: Source,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Source {
    commit: Option<Hash>,
}

#[derive(Deserialize)]
struct Hash {
    hash: String,
}

impl Bitbucket {
    fn pull(&self, wire: WirePull) -> PullRequest {
        let link = wire.links.and_then(|links| links.html).map(|link| link.href);
        PullRequest {
            number: wire.id,
            head: wire.source.commit.map(|commit| commit.hash).unwrap_or_default(),
            open: wire.state == "OPEN",
            url: link.unwrap_or_else(|| format!("{}/pull-requests/{}", self.page, wire.id)),
            id: None,
        }
    }
}

#[async_trait(?Send)]
impl PullRequests for Bitbucket {
    /// Open pull requests of the branch, or all open ones where no branch is known; finding them by commit
    /// needs an app that few workspaces have.
    async fn list(&self, _commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        let query = match branch {
            Some(branch) => {
                let name = branch.replace(['"', '\\'], "");
                format!("q={}", escape(&format!("source.branch.name=\"{name}\" AND state=\"OPEN\"")))
            }
            None => "state=OPEN".to_owned(),
        };
        let path = format!("{}/pullrequests?{query}&pagelen={PAGE}", self.root);
        let list = match self.rest.get::<List<WirePull>>(&path).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
            list => list?.1,
        };
        Ok(list.values.into_iter().map(|wire| self.pull(wire)).collect())
    }

    async fn find(&self, source: &str, target: &str) -> Result<Option<PullRequest>> {
        let name = |branch: &str| branch.replace(['"', '\\'], "");
        let (source, target) = (name(source), name(target));
        let query = format!(
            "source.branch.name=\"{source}\" AND destination.branch.name=\"{target}\" AND (state=\"OPEN\" OR state=\"MERGED\")"
        );
        let path = format!("{}/pullrequests?q={}&sort=-created_on", self.root, escape(&query));
        let (_, found): (_, List<WirePull>) = self.rest.get(&path).await?;
        let found = open_or_merged(found.values, |pull| pull.state == "OPEN", |pull| pull.state == "MERGED");
        Ok(found.map(|wire| self.pull(wire)))
    }

    async fn create(&self, new: &NewPullRequest) -> Result<PullRequest> {
        let branch = |name: &str| json!({ "branch": { "name": name } });
        let body = json!({ "title": new.title, "description": new.body, "source": branch(&new.source),
            "destination": branch(&new.target) });
        let path = format!("{}/pullrequests", self.root);
        let made = self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await;
        let (_, made): (_, WirePull) = made.map_err(|error| about_creating(error, new))?;
        Ok(self.pull(made))
    }

    /// Bitbucket Cloud merges at once; it knows no waiting for pipelines.
    async fn merge(&self, pull: &PullRequest, how: Merge) -> Result<Merged> {
        let strategy = match how {
            Merge::Commit => "merge_commit",
            Merge::Rebase => "fast_forward",
            Merge::Squash => "squash",
        };
        let body = json!({ "type": "pullrequest_merge_parameters", "merge_strategy": strategy });
        let path = format!("{}/pullrequests/{}/merge", self.root, pull.number);
        let merged = match self.rest.start(&path, &body).await {
            Ok((answer, Some(task))) if answer.get("state").is_none() => follow(self, &path, &task).await,
            Ok(_) => Ok(Merged::Now),
            Err(error) => Err(error),
        };
        merged.map_err(|error| match error.kind() {
            _ if error.is_ambiguous() => error,
            Kind::Auth | Kind::RateLimited => error,
            _ => Error::conflict(format!("pull request {} was not merged: {error}", pull.number))
                .hint("its page lists the missing merge checks or the conflicts; merge it there"),
        })
    }

    /// Returns how to push. The author is that of commits by Bitbucket's pipes, because no variable has the name of the user
    /// who started a pipeline:
    /// <https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>.
    fn push_config(&self) -> PushConfig {
        PushConfig {
            credential: self.token.as_ref().map(password),
            author: Some(Author {
                name: "bitbucket-pipelines".to_owned(),
                email: "commits-noreply@bitbucket.org".to_owned(),
            }),
            merges: &[Merge::Commit, Merge::Rebase, Merge::Squash],
            noun: "Pull Request",
            skip_ci: &[],
            settings: self.git_settings.clone(),
        }
    }
}

/// Refusals of a new pull request come with 400 and a text.
fn about_creating(error: Error, new: &NewPullRequest) -> Error {
    let says = error.to_string().to_lowercase();
    if says.contains("no changes to be pulled") {
        return Error::conflict(format!("{} has no commits that {} does not have", new.source, new.target))
            .hint("there is nothing to merge: pass other files, or another --target-branch");
    }
    if says.contains("destination: branch not found") {
        Error::not_found(format!("target branch {} not found", new.target)).hint("check --target-branch")
    } else {
        error
    }
}

/// Returns a merge that takes longer than a few seconds is answered with 202 and the address of its task:
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/>. A merge that fails there is answered
/// with an error.
async fn follow(bitbucket: &Bitbucket, path: &str, task: &str) -> Result<Merged> {
    let id = task.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let http = bitbucket.rest.http();
    for attempt in 0.. {
        if http.requests() >= REQUESTS || http.pause(POLL, attempt).await.is_err() {
            break;
        }
        let (_, answer): (_, Value) = bitbucket.rest.get(&format!("{path}/task-status/{id}")).await?;
        if answer.get("task_status").and_then(Value::as_str) == Some("SUCCESS") {
            return Ok(Merged::Now);
        }
    }
    Ok(Merged::Started)
}
