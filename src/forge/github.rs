//! GitHub, github.com and Enterprise: <https://docs.github.com/en/rest>.

use super::artifacts::Artifacts;
use super::assets::Assets;
use super::checks::Checks;
use super::comments::Comments;
use super::history::History;
use super::labels::Labels;
use super::permissions::Permissions;
use super::pull_requests::PullRequests;
use super::runners::Runners;
use super::runs::Runs;
use super::{About, BY_SERVER, Connection, Driver, Forge, Repository};
use crate::env::{Env, Secret, vars};
use crate::error::{Kind, Result};
use crate::http::Http;
use crate::log::Log;
use async_trait::async_trait;
use client::Client;
use serde_json::Value;
use std::rc::Rc;

mod artifacts;
mod assets;
mod checks;
mod client;
mod comments;
mod explain;
mod history;
mod labels;
mod lost_jobs;
mod permissions;
mod pull_requests;
mod runner_process;
mod runners;
mod runs;

/// GitHub's row.
pub const DRIVER: Driver = Driver {
    name: "github",
    title: "GitHub",
    is_preview: false,
    hosts: &["github.com", ".ghe.com"],
    token_vars: &[vars::INPUT_TOKEN, vars::GITHUB_TOKEN],
    token_hint: "pass it in the step: env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" }, and give the job permissions: { pull-requests: write, contents: write }",
    own_token_hint: "export REPO_TOKEN=$(gh auth token)",
    api_candidates: |_, _, _| Vec::new(),
    commit_path: "/commit/",
    has_details: true,
    connect,
    runner_process: Some(runner_process::runner_process),
};

struct GitHub {
    client: Client,
    token: Option<Secret>,
    repository: Repository,
    /// Its path in the API.
    root: String,
    graphql: String,
    assets_ref: String,
    /// The page of the run, for people.
    run_url: Option<String>,
    about: About,
    kind: permissions::Token,
    /// Whether the run is for a pull request from a fork.
    fork: bool,
    http: Http,
    log: Log,
}

fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { repository, token, context, publish_branch, http, log, host, .. } = connection;
    let (api, graphql) = addresses(&repository, host.env());
    let source = token.as_ref().map(|(_, source)| *source);
    let kind = token.as_ref().map(|(token, source)| permissions::Token::detect(token.expose(), source, host.env()));
    let fork = context.fork.is_some();
    let http = http.explained_by(move |refusal| explain::explain(refusal, source, fork));
    let client = Client::new(&api, token.as_ref(), http.clone(), host.clone())?;
    let api_source =
        if host.env().get(vars::GITHUB_API_URL) == Some(&api) { vars::GITHUB_API_URL.name } else { BY_SERVER };
    Ok(Rc::new(GitHub {
        client,
        root: format!("/repos/{}", repository.path),
        repository,
        graphql,
        assets_ref: publish_branch.map_or(assets::HIDDEN.to_owned(), |branch| format!("heads/{branch}")),
        run_url: context.run_url,
        about: About { api, api_source, token: kind.map(permissions::Token::title) },
        kind: kind.unwrap_or(permissions::Token::Other),
        fork,
        token: token.map(|(token, _)| token),
        http,
        log,
    }))
}

/// Returns the REST base and the GraphQL address: the ones that Actions names when they belong to the repository's
/// server, else github.com's, else Enterprise Server's usual ones.
/// <https://docs.github.com/en/enterprise-server/rest/quickstart>
fn addresses(repository: &Repository, env: &Env) -> (String, String) {
    let server = env.get(vars::GITHUB_SERVER_URL).and_then(|url| url::Url::parse(url).ok());
    let here = server.is_none_or(|server| server.host_str() == repository.server.host_str());
    let (rest, graphql) = match repository.server.host_str() {
        Some("github.com") => ("https://api.github.com".to_owned(), "https://api.github.com/graphql".to_owned()),
        // <https://docs.github.com/en/enterprise-cloud@latest/graphql/guides/managing-enterprise-accounts>
        Some(host) if host.ends_with(".ghe.com") => {
            (format!("https://api.{host}"), format!("https://api.{host}/graphql"))
        }
        _ => (format!("{}api/v3", repository.server), format!("{}api/graphql", repository.server)),
    };
    let named = |var| env.get(var).filter(|_| here).map(str::to_owned);
    (named(vars::GITHUB_API_URL).unwrap_or(rest), named(vars::GITHUB_GRAPHQL_URL).unwrap_or(graphql))
}

#[async_trait(?Send)]
impl Forge for GitHub {
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
        match self.client.get::<Value>(&self.root).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
