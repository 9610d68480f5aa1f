//! Finds what a run reports to: its pull request, commit or issue.

use super::Connected;
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::{Target, TargetSpec, explain_not_found, pull_requests, repository_not_visible};
use std::collections::HashSet;

impl Connected {
    /// Returns the head of the run's pull request where the CI names the pull request but not its commit.
    async fn head(&self) -> Result<Option<pull_requests::Head>> {
        let (None, Some(number)) = (&self.context.commit, self.context.pull_request) else { return Ok(None) };
        let Some(pulls) = self.forge.pull_requests() else { return Ok(None) };
        match pulls.head(number).await {
            Ok(head) => Ok(head),
            Err(error) => {
                let target = Target::PullRequest(number);
                Err(explain_not_found(&*self.forge, &self.repository, &target, error).await)
            }
        }
    }

    /// Fetches what the CI does not provide about the run's pull request: its commit, branch and fork.
    pub async fn with_head(mut self) -> Result<Self> {
        if let Some(head) = self.head().await? {
            let context = &mut self.context;
            (context.commit, context.branch, context.fork) = (Some(head.commit), head.branch, head.fork);
        }
        Ok(self)
    }

    /// Returns the commit of the run, in full.
    pub async fn commit(&self, app: &App) -> Result<Option<String>> {
        if let Some(commit) = &self.context.commit {
            return Ok(Some(commit.clone()));
        }
        match self.head().await? {
            Some(head) => Ok(Some(head.commit)),
            None => Ok(app.query_git(&["rev-parse", "HEAD"]).await),
        }
    }

    /// Resolves `--target` for this run.
    pub async fn target(&self, app: &App, wanted: &TargetSpec) -> Result<Target> {
        let no_commit = || {
            Error::config("cannot determine the commit")
                .hint("pass --target commit/<sha> or pr/<number>, or run inside a git repository")
        };
        match wanted {
            TargetSpec::This(Target::Commit(name)) if !name.bytes().all(|b| b.is_ascii_hexdigit()) => {
                let commit = app
                    .query_git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")])
                    .await;
                commit.map(Target::Commit).ok_or_else(|| Error::not_found(format!("unknown commit '{name}'")))
            }
            TargetSpec::This(target) => Ok(target.clone()),
            TargetSpec::Commit => self.commit(app).await?.map(Target::Commit).ok_or_else(no_commit),
            TargetSpec::Issue => self.context.issue.map(Target::Issue).ok_or_else(|| {
                Error::not_found("this run was not triggered by an issue").hint("pass its number: --target issue/1337")
            }),
            TargetSpec::PullRequest | TargetSpec::Auto => {
                if let Some(number) = self.context.pull_request {
                    return Ok(Target::PullRequest(number));
                }
                let commits = self.commits(app).await;
                if let Some(number) = self.find_pull_request(&commits).await? {
                    return Ok(Target::PullRequest(number));
                }
                if *wanted == TargetSpec::PullRequest
                    && let Some(number) = self.own_pull_request().await?
                {
                    return Ok(Target::PullRequest(number));
                }
                match (wanted, commits.into_iter().next()) {
                    (TargetSpec::Auto, Some(commit)) => Ok(Target::Commit(commit)),
                    (TargetSpec::Auto, None) if self.is_preview() => Ok(Target::Commit("working copy".into())),
                    (_, None) => Err(no_commit()),
                    (_, Some(_)) if self.forge.can_see_repository().await.is_ok_and(|seen| !seen) => {
                        Err(repository_not_visible(&self.repository))
                    }
                    (_, Some(commit)) => Err(Error::not_found(format!("no open pull request contains commit {commit}"))
                        .hint("open one, pass its number with --target pr/42, or use --target auto to comment on the commit instead")),
                }
            }
        }
    }

    /// Returns the commits by which to find the pull request: the run's; the working copy's, which a step may have
    /// created since; and the second parent of a test merge.
    async fn commits(&self, app: &App) -> Vec<String> {
        let mut commits: Vec<String> = self.context.commit.iter().cloned().collect();
        if let Some(parents) = app.query_git(&["rev-list", "--parents", "--max-count=1", "HEAD"]).await {
            let mut parents = parents.split(' ').map(str::to_owned);
            commits.extend(parents.next());
            commits.extend(parents.nth(1));
        }
        let mut seen = HashSet::new();
        commits.retain(|commit| seen.insert(commit.clone()));
        commits
    }

    /// Returns the open pull request that an earlier `cml pr create` opened in this run. It does not contain the run's
    /// commit but is based on it.
    async fn own_pull_request(&self) -> Result<Option<u64>> {
        let context = &self.context;
        let (Some(commit), Some(branch), None) = (&context.commit, &context.branch, &context.fork) else {
            return Ok(None);
        };
        let Some(pulls) = self.forge.pull_requests() else { return Ok(None) };
        let found = pulls.find(&pull_requests::branch(branch, commit), branch).await?;
        Ok(found.filter(|pull| pull.open).map(|pull| pull.number))
    }

    async fn find_pull_request(&self, commits: &[String]) -> Result<Option<u64>> {
        let Some(pulls) = self.forge.pull_requests() else { return Ok(None) };
        let branch = match (&self.context.fork, &self.context.branch) {
            (Some(owner), Some(branch)) => Some(format!("{owner}:{branch}")),
            (None, branch) => branch.clone(),
            (Some(_), None) => None,
        };
        for commit in commits {
            let found = pulls.list(commit, branch.as_deref()).await?;
            let open: Vec<_> = found.into_iter().filter(|pull| pull.open).collect();
            if let Some(pull) = open.iter().find(|pull| pull.is_at(commit)).or(open.first()) {
                return Ok(Some(pull.number));
            }
        }
        Ok(None)
    }
}
