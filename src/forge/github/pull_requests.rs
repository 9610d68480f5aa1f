//! GitHub's pull requests: <https://docs.github.com/en/rest/pulls/pulls>.

use super::GitHub;
use super::permissions::needs;
use crate::error::{Error, Kind, Result};
use crate::forge::permissions::Work;
use crate::forge::pull_requests::{
    Author, GitCredential, Head, Merge, Merged, NewPullRequest, PullRequest, PullRequests, PushConfig, REQUESTS,
    open_or_merged,
};
use crate::http::RetryPolicy;
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// So long GitHub thinks about whether a new pull request can be merged.
const THINKING: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
struct WirePull {
    number: u64,
    state: String,
    head: WireHead,
    html_url: String,
    node_id: Option<String>,
    merged_at: Option<String>,
}

impl From<WirePull> for PullRequest {
    fn from(wire: WirePull) -> Self {
        let WirePull { number, state, head, html_url, node_id, .. } = wire;
        PullRequest { number, head: head.sha, open: state == "open", url: html_url, id: node_id }
    }
}

#[derive(Deserialize)]
struct WireHead {
    sha: String,
    #[serde(rename = "ref")]
    branch: Option<String>,
    /// None where the fork was deleted.
    repo: Option<WireRepository>,
}

#[derive(Deserialize)]
struct WireRepository {
    full_name: String,
}

impl GitHub {
    async fn pulls(&self, path: &str) -> Result<Vec<PullRequest>> {
        let found: Result<Vec<WirePull>> = self.client.get(path).await;
        let found = match found {
            // A commit that GitHub has not seen has no pull request.
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => Vec::new(),
            found => found?,
        };
        Ok(found.into_iter().map(PullRequest::from).collect())
    }
}

#[async_trait(?Send)]
impl PullRequests for GitHub {
    /// Returns the pull requests that have the commit; where that finds no open one, those of the branch: commits of
    /// forks are not found by commit.
    async fn list(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        let mut found = self.pulls(&format!("{}/commits/{commit}/pulls?per_page=100", self.root)).await?;
        if let Some(branch) = branch.filter(|_| !found.iter().any(|pull| pull.open)) {
            let owner = self.repository.path.split('/').next().unwrap_or_default();
            let head = if branch.contains(':') { branch.to_owned() } else { format!("{owner}:{branch}") };
            let head: String = url::form_urlencoded::byte_serialize(head.as_bytes()).collect();
            found.extend(self.pulls(&format!("{}/pulls?state=open&per_page=100&head={head}", self.root)).await?);
        }
        Ok(found)
    }

    async fn find(&self, source: &str, target: &str) -> Result<Option<PullRequest>> {
        let owner = self.repository.path.split('/').next().unwrap_or_default();
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("state", "all")
            .append_pair("head", &format!("{owner}:{source}"))
            .append_pair("base", target)
            .finish();
        let found: Vec<WirePull> = self.client.get(&format!("{}/pulls?{query}", self.root)).await?;
        // The newest are first.
        Ok(open_or_merged(found, |pull| pull.state == "open", |pull| pull.merged_at.is_some()).map(PullRequest::from))
    }

    /// Returns the head of a pull request.
    async fn head(&self, number: u64) -> Result<Option<Head>> {
        let pull: WirePull = self.client.get(&format!("{}/pulls/{number}", self.root)).await?;
        let ours = &self.repository.path;
        let name = pull.head.repo.map(|repository| repository.full_name);
        let owner = |name: String| name.split('/').next().unwrap_or_default().to_owned();
        let fork = match name {
            Some(name) if name.eq_ignore_ascii_case(ours) => None,
            name => Some(name.map_or_else(|| "a deleted fork".to_owned(), owner)),
        };
        Ok(Some(Head { commit: pull.head.sha, branch: pull.head.branch, fork }))
    }

    async fn create(&self, new: &NewPullRequest) -> Result<PullRequest> {
        let body = json!({ "title": new.title, "body": new.body, "head": new.source, "base": new.target });
        let made =
            self.client.call(Method::POST, &format!("{}/pulls", self.root), Some(&body), RetryPolicy::LookFirst).await;
        let made: WirePull = made.map_err(|error| about_creating(error, new))?;
        Ok(made.into())
    }

    /// Auto-merge where the repository has it and there is something to wait for, else a merge at once.
    /// <https://docs.github.com/en/graphql/reference/mutations#enablepullrequestautomerge>
    async fn merge(&self, pull: &PullRequest, how: Merge) -> Result<Merged> {
        let method = match how {
            Merge::Commit => "MERGE",
            Merge::Rebase => "REBASE",
            Merge::Squash => "SQUASH",
        };
        let query = "mutation($id: ID!, $method: PullRequestMergeMethod!) { enablePullRequestAutoMerge(input: \
                     {pullRequestId: $id, mergeMethod: $method}) { pullRequest { number } } }";
        let body = json!({ "query": query, "variables": { "id": pull.id, "method": method } });
        let answer: Value = self.client.call(Method::POST, &self.graphql, Some(&body), RetryPolicy::Idempotent).await?;
        let Some(says) = answer.pointer("/errors/0/message").and_then(Value::as_str) else { return Ok(Merged::Later) };
        if at_once(says) {
            return merge_now(self, pull, method).await;
        }
        Err(refusal(says, pull))
    }

    /// Any user name does with a token. The author is the one that GitHub gives to commits of workflows:
    /// <https://github.com/actions/checkout#push-a-commit-using-the-built-in-token>.
    fn push_config(&self) -> PushConfig {
        PushConfig {
            credential: self.token.clone().map(|password| GitCredential { user: "x-access-token", password }),
            author: Some(Author {
                name: "github-actions[bot]".to_owned(),
                email: "41898282+github-actions[bot]@users.noreply.github.com".to_owned(),
            }),
            merges: &[Merge::Commit, Merge::Rebase, Merge::Squash],
            noun: "Pull Request",
            skip_ci: &[],
            settings: Vec::new(),
        }
    }
}

fn about_creating(error: Error, new: &NewPullRequest) -> Error {
    let says = error.to_string().to_lowercase();
    if says.contains("not permitted to create") {
        return Error::auth("GitHub Actions is not allowed to open pull requests in this repository").hint(
            "allow it in Settings → Actions → General → \"Allow GitHub Actions to create and approve pull requests\", or use another token",
        );
    }
    if says.contains("no commits between") {
        return Error::conflict(format!("{} has no commits that {} does not have", new.source, new.target))
            .hint("there is nothing to merge: pass other files, or another --target-branch");
    }
    if says.contains("base invalid") {
        Error::not_found(format!("target branch {} not found", new.target)).hint("check --target-branch")
    } else {
        error
    }
}

/// Refusals of auto-merge that are none of a merge: there is nothing to wait for, or the repository does not
/// have auto-merge.
fn at_once(says: &str) -> bool {
    ["clean status", "unstable status", "has_hooks status", "not allowed for this repository"]
        .iter()
        .chain(&["Can't enable auto-merge", "Protected branch rules not configured"])
        .any(|known| says.contains(known))
}

fn refusal(says: &str, pull: &PullRequest) -> Error {
    let lower = says.to_lowercase();
    let number = pull.number;
    if lower.contains("not accessible by") {
        return Error::auth(format!("the token is not allowed to merge pull request {number} (GitHub says: {says})"))
            .hint(format!("add to the job: permissions: {{ {} }}", needs(Work::PullRequest)));
    }
    let error = Error::conflict(format!("pull request {number} was not merged (GitHub says: {says})"));
    if lower.contains("dirty status") || lower.contains("conflict") {
        return error.hint("its changes conflict with those of the target branch: resolve them on its page");
    }
    if ["unknown status", "base branch was modified", "correct state"].iter().any(|passing| lower.contains(passing)) {
        return error.hint("merge it on its page").retry_in(THINKING);
    }
    if lower.contains("merge commits are not allowed") || lower.contains("merges are not allowed") {
        return error
            .hint("the repository does not allow this merge method; use another of --merge, --rebase, --squash");
    }
    error.hint(
        "the target branch is protected; allow auto-merge in Settings → General, and GitHub merges once its requirements are met",
    )
}

async fn merge_now(github: &GitHub, pull: &PullRequest, method: &str) -> Result<Merged> {
    let path = format!("{}/pulls/{}/merge", github.root, pull.number);
    let body = json!({ "merge_method": method.to_lowercase() });
    while github.http.requests() < REQUESTS {
        let merged: Result<Value> = github.client.call(Method::PUT, &path, Some(&body), RetryPolicy::LookFirst).await;
        let error = match merged {
            Ok(_) => return Ok(Merged::Now),
            Err(error) if error.is_ambiguous() || matches!(error.kind(), Kind::Auth | Kind::RateLimited) => {
                return Err(error);
            }
            Err(error) => refusal(&error.to_string(), pull),
        };
        match error.retry_after() {
            Some(pause) if github.http.requests() < REQUESTS => {
                github.http.pause_at_least(pause, Duration::ZERO).await.map_err(|_| error)?;
            }
            _ => return Err(error),
        }
    }
    Err(Error::conflict(format!("pull request {} was not merged: GitHub was not ready", pull.number))
        .hint("merge it on its page, or run this again"))
}
