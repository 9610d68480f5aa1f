//! Forgejo Actions and Gitea Actions: <https://forgejo.org/docs/latest/user/actions/reference/#environment-variables>,
//! <https://docs.gitea.com/usage/actions/overview>.
//!
//! They run GitHub's workflows and set its variables, `GITHUB_ACTIONS` too, but their forge is another one with another API. What
//! is about the job itself works as on GitHub: the event, outputs, log commands. The token in `GITHUB_TOKEN` is their forge's.

use super::{Ci, Context, ForgeHint, Outputs, Row, Summary, github_actions};
use crate::env::{Env, Secret, vars};
use crate::error::Result;
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
use async_trait::async_trait;

/// Their row.
pub const CI: Row = Row {
    title: "Forgejo Actions and Gitea Actions",
    identity_hint: None,
    new: |env| Some(Box::new(ForgejoActions::new(env)?)),
};

/// A job of Forgejo Actions and Gitea Actions.
struct ForgejoActions<'a> {
    env: &'a Env,
    job: Box<dyn Ci + 'a>,
}

impl<'a> ForgejoActions<'a> {
    /// Returns the job, if this process runs in one. Forgejo's runner sets both variables, Gitea's only its own.
    fn new(env: &'a Env) -> Option<Self> {
        env.get(vars::FORGEJO_ACTIONS).or(env.get(vars::GITEA_ACTIONS))?;
        Some(ForgejoActions { env, job: (github_actions::CI.new)(env)? })
    }

    fn is_forgejo(&self) -> bool {
        self.env.get(vars::FORGEJO_ACTIONS).is_some()
    }
}

#[async_trait(?Send)]
impl Ci for ForgejoActions<'_> {
    fn title(&self) -> &'static str {
        if self.is_forgejo() { "Forgejo Actions" } else { "Gitea Actions" }
    }

    fn forge(&self) -> ForgeHint {
        ForgeHint::Unsupported(if self.is_forgejo() { "Forgejo" } else { "Gitea" })
    }

    /// Returns what GitHub's variables and event say, with the page of the run, whose address has the run's number in the
    /// repository.
    fn context(&self, host: &dyn Host) -> Context {
        let mut context = self.job.context(host);
        let page = context.repository.as_ref().map(|repository| format!("{}/actions/runs", repository.url()));
        context.run_url = page.zip(self.env.get(vars::GITHUB_RUN_NUMBER)).map(|(page, run)| format!("{page}/{run}"));
        context
    }

    fn workspace(&self) -> Option<&str> {
        self.job.workspace()
    }

    fn outputs(&self) -> Option<Outputs> {
        self.job.outputs()
    }

    fn summary(&self) -> Option<Summary> {
        self.job.summary()
    }

    fn names_runner(&self) -> bool {
        self.job.names_runner()
    }

    async fn identity_token(&self, http: &Http, log: &Log, audience: &str) -> Result<Option<Secret>> {
        self.job.identity_token(http, log, audience).await
    }

    fn other_forges_tokens(&self) -> Vec<&str> {
        let vars = [vars::GITHUB_TOKEN, vars::FORGEJO_TOKEN, vars::GITEA_TOKEN];
        vars.into_iter().filter_map(|var| self.env.get(var)).collect()
    }
}
