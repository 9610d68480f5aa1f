//! Bitbucket Cloud: <https://developer.atlassian.com/cloud/bitbucket/rest/>.

use super::check::{Check, CreatedCheck};
use super::permission::{About, BY_SERVER, Diagnosis};
use super::pull::{Merge, Merged, NewPullRequest, PushConfig};
use super::rest::{Rest, escape};
use super::runners::Runners;
use super::runs::Runs;
use super::{
    Asset, Author, Comment, Connection, Context, Driver, Forge, Keep, Limits, PageGuard, Progress, PullRequest,
    Repository, Target, Viewer, all_pages, is_named_bot, seconds, send_each,
};
use crate::ci::bitbucket_pipelines::signing_proxy;
use crate::env::{Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::http::{RetryPolicy, secret_header};
use crate::log::Log;
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use http::header;
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;

mod explain;
mod insights;
mod permissions;
mod pulls;
mod runner_process;
mod runners;
mod runs;

/// Bitbucket's row.
pub const DRIVER: Driver = Driver {
    name: "bitbucket",
    title: "Bitbucket",
    hosts: &["bitbucket.org", "bitbucket.com"],
    token_vars: &[vars::BITBUCKET_TOKEN],
    token_hint: "create a repository access token with the scopes pullrequest:write and repository:write, and save it as the secured variable REPO_TOKEN",
    own_token_hint: "create an API token with write access to pull requests and repositories, then: export REPO_TOKEN=<email>:<token>",
    api_candidates: |_, _, _| Vec::new(),
    connect,
    runner_process: Some(runner_process::runner_process),
};

/// Documented, in characters, for Bitbucket Server; Cloud documents none, and refuses very large ones without a reason
/// (<https://github.com/runatlantis/atlantis/issues/1251>). Measured in UTF-16 units, which are never fewer.
const COMMENT: usize = 32_768;
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
        let rest = Rest::new(http.clone(), &insights::plainly(&api), None).through_proxy(proxy.clone());
        (proxy, rest)
    };
    let proxy = signing_proxy(host.env()).map(through);
    let git_settings = pulls::settings(host.env(), proxy.as_ref().map(|(proxy, _)| proxy.as_str()));
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
struct Wire {
    id: u64,
    #[serde(default)]
    content: Content,
    links: Option<Links>,
    created_on: String,
    #[serde(default)]
    deleted: bool,
    user: Option<User>,
}

/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/>. The account of an access token is an `app_user`.
#[derive(Deserialize)]
struct User {
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    nickname: String,
    #[serde(default, rename = "type")]
    kind: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { is_bot: user.kind == "app_user" || is_named_bot(&user.nickname), id: user.uuid }
    }
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    raw: String,
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
    /// Returns the way to Code Insights where there is no token.
    fn insights(&self) -> Option<&Rest> {
        self.proxy.as_ref().filter(|_| self.token.is_none()).map(|(_, rest)| rest)
    }

    fn comments_of(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(id) => format!("{}/pullrequests/{id}/comments", self.root),
            Target::Commit(sha) => format!("{}/commit/{sha}/comments", self.root),
            Target::Issue(id) => format!("{}/issues/{id}/comments", self.root),
        }
    }

    /// Returns the address of a published file.
    fn download(&self, name: &str) -> String {
        format!("{}/downloads/cml-{name}", self.page)
    }

    fn comment(&self, target: &Target, wire: Wire) -> Comment {
        let place = match target {
            Target::PullRequest(id) => format!("pull-requests/{id}"),
            Target::Commit(sha) => format!("commits/{sha}"),
            Target::Issue(id) => format!("issues/{id}"),
        };
        let link = wire.links.and_then(|links| links.html).map(|link| link.href);
        Comment {
            id: wire.id.to_string(),
            body: wire.content.raw,
            url: link.unwrap_or_else(|| format!("{}/{place}#comment-{}", self.page, wire.id)),
            created: seconds(&wire.created_on),
            order: wire.id,
            author: wire.user.map(Author::from),
        }
    }

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

    async fn page(&self, target: &Target, number: u32) -> Result<(Option<u32>, bool, Vec<Comment>)> {
        let path = format!("{}?pagelen={PAGE}&page={number}&sort=-created_on", self.comments_of(target));
        let (_, list): (_, List<Wire>) = self.rest.get(&path).await.map_err(|e| about_issues(e, target))?;
        let comments = list.values.into_iter().filter(|c| !c.deleted).map(|c| self.comment(target, c));
        Ok((list.size, list.next.is_some(), comments.collect()))
    }

    async fn send(
        &self,
        method: Method,
        target: &Target,
        path: &str,
        body: &str,
        repeat: RetryPolicy,
    ) -> Result<Comment> {
        let body = json!({ "content": { "raw": body } });
        let sent = self.rest.call(method, path, Some(&body), repeat).await;
        let (_, wire): (_, Wire) = sent.map_err(|e| about_issues(e, target))?;
        Ok(self.comment(target, wire))
    }
}

/// Bitbucket ended its issue tracker in August 2026.
fn about_issues(error: Error, target: &Target) -> Error {
    match target {
        Target::Issue(_) if error.kind() == Kind::NotFound => {
            error.hint("Bitbucket has removed its issue tracker; use --target pr or --target commit")
        }
        _ => error,
    }
}

#[async_trait(?Send)]
impl Forge for Bitbucket {
    fn limits(&self) -> Limits {
        Limits { comment: COMMENT }
    }

    /// Returns an access token of a repository is no user that may be asked for, and its comments are a bot's.
    async fn viewer(&self) -> Result<Viewer> {
        let is_access_token = self.token.as_ref().is_some_and(|token| token.expose().starts_with("ATCTT"));
        Ok(match self.rest.get::<User>("/user").await {
            Ok((_, user)) => Viewer::User(user.uuid),
            Err(error) if error.kind() == Kind::Auth && is_access_token => Viewer::Bot,
            Err(_) => Viewer::Unknown,
        })
    }

    async fn list_comments(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("Bitbucket");
        let (size, mut more, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let mut number = 1;
        while size.is_none() && more {
            number += 1;
            first.retain(|comment| keep(comment));
            let (_, next, comments) = self.page(target, number).await?;
            watch.take(&comments)?;
            first.extend(comments);
            more = next;
        }
        let pages = size.map_or(1, |size| size.div_ceil(PAGE));
        watch.check(pages)?;
        let rest = (2..=pages).map(async |number| Ok(self.page(target, number).await?.2));
        all_pages(first, rest, keep).await
    }

    async fn get_comment(&self, target: &Target, id: &str) -> Result<Comment> {
        let (_, wire): (_, Wire) = self.rest.get(&format!("{}/{id}", self.comments_of(target))).await?;
        if wire.deleted {
            return Err(Error::not_found(format!("comment {id} no longer exists")));
        }
        Ok(self.comment(target, wire))
    }

    async fn create_comment(&self, target: &Target, body: &str) -> Result<Comment> {
        self.send(Method::POST, target, &self.comments_of(target), body, RetryPolicy::LookFirst).await
    }

    async fn update_comment(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        self.send(Method::PUT, target, &format!("{}/{id}", self.comments_of(target)), body, repeat).await
    }

    async fn delete_comment(&self, target: &Target, id: &str) -> Result<()> {
        self.rest.delete(&format!("{}/{id}", self.comments_of(target))).await
    }

    /// Open pull requests of the branch, or all open ones where no branch is known; finding them by commit
    /// needs an app that few workspaces have.
    async fn list_pull_requests(&self, _commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
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

    fn push_config(&self) -> Result<PushConfig> {
        Ok(pulls::push_config(self.token.as_ref(), self.git_settings.clone()))
    }

    async fn find_pull_request(&self, source: &str, target: &str) -> Result<Option<PullRequest>> {
        pulls::find(self, source, target).await
    }

    async fn create_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest> {
        pulls::create(self, new).await
    }

    async fn merge_pull_request(&self, pull: &PullRequest, how: Merge) -> Result<Merged> {
        pulls::merge(self, pull, how).await
    }

    fn can_check(&self) -> Result<()> {
        Ok(())
    }

    async fn create_check(&self, check: &Check) -> Result<CreatedCheck> {
        insights::create(self, check).await
    }

    /// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-downloads/>; a file of the same name is
    /// replaced, and the name is the content's hash.
    async fn upload_assets(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let path = format!("{}/downloads", self.root);
        let send = async |asset: &Asset| {
            let name = asset.unique_name();
            self.rest.upload(&path, "files", &format!("cml-{name}"), &asset.mime, &asset.read()?).await?;
            Ok(self.download(&name))
        };
        send_each(assets, progress, send).await
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        address == self.download(name)
    }

    fn runs(&self) -> Option<&dyn Runs> {
        Some(self)
    }

    fn runners(&self) -> Option<&dyn Runners> {
        Some(self)
    }

    fn about(&self) -> About {
        self.about.clone()
    }

    async fn permissions(&self) -> Result<Diagnosis> {
        permissions::permissions(self).await
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
