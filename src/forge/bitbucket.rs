//! Bitbucket Cloud: <https://developer.atlassian.com/cloud/bitbucket/rest/>.

use super::assets::Assets;
use super::checks::Checks;
use super::comments::Comments;
use super::history::History;
use super::permissions::Permissions;
use super::pull_requests::PullRequests;
use super::rest::Rest;
use super::runners::Runners;
use super::runs::Runs;
use super::{About, BY_SERVER, Connection, Driver, Forge, Repository};
use crate::ci::bitbucket_pipelines::signing_proxy;
use crate::env::{Secret, vars};
use crate::error::Result;
use crate::http::secret_header;
use crate::log::Log;
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header;
use serde::Deserialize;
use std::rc::Rc;

mod assets;
mod checks;
mod comments;
mod explain;
mod history;
mod permissions;
mod pull_requests;
mod runner_process;
mod runners;
mod runs;

/// Bitbucket's row.
pub const DRIVER: Driver = Driver {
    name: "bitbucket",
    title: "Bitbucket",
    is_preview: false,
    hosts: &["bitbucket.org", "bitbucket.com"],
    token_vars: &[vars::BITBUCKET_TOKEN],
    token_hint: "create a repository access token with the scopes pullrequest:write and repository:write, and save it as the secured variable REPO_TOKEN",
    own_token_hint: "create an API token with write access to pull requests and repositories, then: export REPO_TOKEN=<email>:<token>",
    api_candidates: |_, _, _| Vec::new(),
    commit_path: "/commits/",
    has_details: false,
    connect,
    runner_process: Some(runner_process::runner_process),
};

/// The largest page that every listing accepts.
const PAGE: u32 = 50;

struct Bitbucket {
    rest: Rest,
    repository: Repository,
    page: String,
    root: String,
    /// The page of the run, for people.
    run_url: Option<String>,
    /// The proxy of a pipeline, and the way to Code Insights through it, which needs no token.
    proxy: Option<(String, Rest)>,
    /// What git needs to reach that proxy.
    git_settings: Vec<(String, String)>,
    /// The commit of the pipeline.
    commit: Option<String>,
    about: About,
    token: Option<Secret>,
    /// The image of the runner program.
    runner_image: String,
    log: Log,
}

fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { repository, token, context, http, log, host, .. } = connection;
    let (api, api_source) = match host.env().get(vars::BITBUCKET_API_URL) {
        Some(api) => (api.to_owned(), vars::BITBUCKET_API_URL.name),
        None => ("https://api.bitbucket.org/2.0".to_owned(), BY_SERVER),
    };
    let source = token.as_ref().map(|(_, source)| *source);
    let credential = match &token {
        Some((token, source)) => {
            let value = authorization(token);
            // A password is sent in another form, and a service may complain about either part.
            let parts = [value.split_once(' '), token.expose().split_once(':')];
            parts.into_iter().flatten().for_each(|(_, part)| log.hide(source, &Secret::new(part)));
            Some((header::AUTHORIZATION, secret_header(source, &value)?))
        }
        None => None,
    };
    let http = http.explained_by(move |refusal| explain::explain(refusal, source));
    let through = |proxy: String| {
        let rest = Rest::new(http.clone(), &checks::plainly(&api), None).through_proxy(proxy.clone());
        (proxy, rest)
    };
    let proxy = signing_proxy(host.env()).map(through);
    let git_settings = pull_requests::settings(host.env(), proxy.as_ref().map(|(proxy, _)| proxy.as_str()));
    let kind = token.as_ref().map(|(token, _)| permissions::kind(token));
    let (page, root) = (repository.url(), format!("/repositories/{}", repository.path));
    let rest = Rest::new(http, &api, credential);
    Ok(Rc::new(Bitbucket {
        rest,
        page,
        root,
        run_url: context.run_url,
        proxy,
        git_settings,
        commit: context.commit,
        about: About { api, api_source, token: kind },
        token: token.map(|(token, _)| token),
        runner_image: host.env().get(vars::CML_BITBUCKET_RUNNER_IMAGE).unwrap_or(runners::IMAGE).to_owned(),
        repository,
        log,
    }))
}

/// Access tokens are bearer tokens; `email:api-token` is a password
/// (<https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/>), and so is the same encoded in
/// base64, which is the form that CML wants.
fn authorization(token: &Secret) -> String {
    let token = token.expose();
    let decoded = BASE64_STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded {
        _ if token.contains(':') => format!("Basic {}", BASE64_STANDARD.encode(token)),
        Some(pair) if pair.contains(':') && !pair.contains(char::is_control) => format!("Basic {token}"),
        _ => format!("Bearer {token}"),
    }
}

#[derive(Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct List<T> {
    values: Vec<T>,
    size: Option<u32>,
    next: Option<String>,
}

#[async_trait(?Send)]
impl Forge for Bitbucket {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_token_is_known() {
        let of = |token: &str| authorization(&Secret::new(token));
        assert_eq!(of("ATCTT3xFfGN0abc="), "Bearer ATCTT3xFfGN0abc=");
        assert_eq!(of("me@example.org:ATATT"), "Basic bWVAZXhhbXBsZS5vcmc6QVRBVFQ=");
        assert_eq!(of("bWVAZXhhbXBsZS5vcmc6QVRBVFQ="), "Basic bWVAZXhhbXBsZS5vcmc6QVRBVFQ=");
    }
}
