//! GitHub, github.com and Enterprise: <https://docs.github.com/en/rest>.

use super::check::{Check, CreatedCheck};
use super::permission::{About, BY_SERVER, Diagnosis};
use super::pull::{Head, Merge, Merged, NewPullRequest, PushConfig};
use super::runners::Runners;
use super::runs::Runs;
use super::{
    Asset, Author, Comment, Connection, Context, Driver, Forge, Keep, Limits, PageGuard, Progress, PullRequest,
    Repository, Target, Viewer, all_pages, is_named_bot, seconds,
};
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::http::{Http, RetryPolicy};
use crate::log::Log;
use crate::report::split::ReportLimits;
use async_trait::async_trait;
use client::Client;
use http::{HeaderMap, Method, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::rc::Rc;

mod assets;
mod checks;
mod client;
mod explain;
mod lost_jobs;
mod permissions;
mod pulls;
mod runner_process;
mod runners;
mod runs;

/// GitHub's row.
pub const DRIVER: Driver = Driver {
    name: "github",
    title: "GitHub",
    hosts: &["github.com", ".ghe.com"],
    token_vars: &[vars::INPUT_TOKEN, vars::GITHUB_TOKEN],
    token_hint: "pass it in the step: env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" }, and give the job permissions: { pull-requests: write, contents: write }",
    own_token_hint: "export REPO_TOKEN=$(gh auth token)",
    api_candidates: |_, _, _| Vec::new(),
    connect,
    runner_process: Some(runner_process::runner_process),
};

/// A comment may have 65,536 characters, of up to four bytes each (<https://github.com/orgs/community/discussions/27190>);
/// whether GitHub counts one outside of the basic plane once or twice is not documented: measured as two.
const COMMENT: usize = 65_536;

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

/// The part of GitHub's comment that we need; both kinds of comments have it.
#[derive(Deserialize)]
struct Wire {
    id: u64,
    node_id: Option<String>,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    created_at: String,
    user: Option<User>,
}

/// An account. <https://docs.github.com/en/rest/users/users>
#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    login: String,
    /// `User`, `Bot` or `Organization`.
    #[serde(default, rename = "type")]
    kind: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { id: user.id.to_string(), is_bot: user.kind == "Bot" }
    }
}

impl From<Wire> for Comment {
    fn from(wire: Wire) -> Self {
        Comment {
            id: wire.id.to_string(),
            body: wire.body.unwrap_or_default(),
            url: wire.html_url,
            created: seconds(&wire.created_at),
            order: wire.id,
            author: wire.user.map(Author::from),
        }
    }
}

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

/// The pages that an answer's `Link` header names.
#[derive(Default)]
struct Links {
    next: Option<u32>,
    last: Option<u32>,
}

impl Links {
    fn from_headers(headers: &HeaderMap) -> Links {
        let text = headers.get(header::LINK).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut links = Links::default();
        for link in text.split(',') {
            let Some((address, relation)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
                continue;
            };
            let query = address.split_once('?').map_or("", |(_, query)| query);
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            let page = pairs.find(|(name, _)| name == "page").and_then(|(_, page)| page.parse().ok());
            match relation.split("rel=").nth(1).map(|name| name.trim_matches('"')) {
                Some("next") => links.next = page,
                Some("last") => links.last = page,
                _ => {}
            }
        }
        links
    }
}

impl GitHub {
    async fn page(&self, target: &Target, number: u32) -> Result<(Links, Vec<Comment>)> {
        let path = format!("{}?per_page=100&page={number}", self.comments_of(target));
        let answer = self.client.page(&path).await?;
        let wires: Vec<Wire> = client::parsed(&answer)?;
        Ok((Links::from_headers(answer.headers()), wires.into_iter().map(|wire| self.to_comment(wire)).collect()))
    }

    /// Converts a comment. A token of unknown kind is of an old or another server, where accounts of programs look like
    /// people's.
    fn to_comment(&self, wire: Wire) -> Comment {
        let is_named =
            self.kind == permissions::Token::Other && wire.user.as_ref().is_some_and(|user| is_named_bot(&user.login));
        let mut comment = Comment::from(wire);
        if let Some(author) = &mut comment.author {
            author.is_bot |= is_named;
        }
        comment
    }

    fn comments_of(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(n) | Target::Issue(n) => format!("{}/issues/{n}/comments", self.root),
            Target::Commit(sha) => format!("{}/commits/{sha}/comments", self.root),
        }
    }

    fn comment(&self, target: &Target, id: &str) -> String {
        match target {
            Target::PullRequest(_) | Target::Issue(_) => format!("{}/issues/comments/{id}", self.root),
            Target::Commit(_) => format!("{}/comments/{id}", self.root),
        }
    }

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
impl Forge for GitHub {
    fn limits(&self) -> Limits {
        Limits { comment: COMMENT }
    }

    /// Returns the token's user. The token of a job or an App cannot request it, and its comments are a bot's.
    async fn viewer(&self) -> Result<Viewer> {
        use permissions::Token;
        if matches!(self.kind, Token::Job | Token::Installation) {
            return Ok(Viewer::Bot);
        }
        match self.client.get::<User>("/user").await {
            Ok(user) => Ok(Viewer::User(user.id.to_string())),
            Err(error) if error.kind() == Kind::Auth => Ok(Viewer::Bot),
            Err(_) => Ok(Viewer::Unknown),
        }
    }

    async fn list_comments(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("GitHub");
        // GitHub lists the oldest first and says with the first page how many there are, unless that is too much work for it:
        // <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>.
        let (links, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let (last, mut next, mut number) = (links.last, links.next.filter(|_| links.last.is_none()), 1);
        while let Some(page) = next {
            if page <= number {
                return Err(watch.endless("the next page is an earlier one"));
            }
            first.retain(|comment| keep(comment));
            let (links, comments) = self.page(target, page).await?;
            watch.take(&comments)?;
            first.extend(comments);
            (next, number) = (links.next, page);
        }
        watch.check(last.unwrap_or(1))?;
        let rest = (2..=last.unwrap_or(1)).map(async |number| Ok(self.page(target, number).await?.1));
        all_pages(first, rest, keep).await
    }

    async fn get_comment(&self, target: &Target, id: &str) -> Result<Comment> {
        self.client.get::<Wire>(&self.comment(target, id)).await.map(|wire| self.to_comment(wire))
    }

    async fn create_comment(&self, target: &Target, body: &str) -> Result<Comment> {
        let path = self.comments_of(target);
        let made: Wire =
            self.client.call(Method::POST, &path, Some(&json!({ "body": body })), RetryPolicy::LookFirst).await?;
        Ok(self.to_comment(made))
    }

    async fn update_comment(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        let path = self.comment(target, id);
        let made: Wire = self.client.call(Method::PATCH, &path, Some(&json!({ "body": body })), repeat).await?;
        Ok(self.to_comment(made))
    }

    async fn delete_comment(&self, target: &Target, id: &str) -> Result<()> {
        match self.client.delete(&self.comment(target, id)).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn can_hide(&self) -> Result<()> {
        Ok(())
    }

    /// <https://docs.github.com/en/graphql/reference/mutations#minimizecomment>
    async fn hide_comment(&self, target: &Target, id: &str) -> Result<()> {
        let wire: Wire = self.client.get(&self.comment(target, id)).await?;
        let query = "mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) \
                     { minimizedComment { isMinimized } } }";
        let body = json!({ "query": query, "variables": { "id": wire.node_id } });
        let answer: Value = self.client.call(Method::POST, &self.graphql, Some(&body), RetryPolicy::Idempotent).await?;
        match answer.pointer("/errors/0/message").and_then(Value::as_str) {
            None => Ok(()),
            Some(message) => {
                let kind = answer.pointer("/errors/0/type").and_then(Value::as_str);
                let kind = if kind == Some("FORBIDDEN") { Kind::Auth } else { Kind::Remote };
                Err(Error::new(kind, format!("GitHub does not hide comment {id}: {message}")))
            }
        }
    }

    /// Returns the pull requests that have the commit; where that finds no open one, those of the branch: commits of
    /// forks are not found by commit.
    async fn list_pull_requests(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        let mut found = self.pulls(&format!("{}/commits/{commit}/pulls?per_page=100", self.root)).await?;
        if let Some(branch) = branch.filter(|_| !found.iter().any(|pull| pull.open)) {
            let owner = self.repository.path.split('/').next().unwrap_or_default();
            let head = if branch.contains(':') { branch.to_owned() } else { format!("{owner}:{branch}") };
            let head: String = url::form_urlencoded::byte_serialize(head.as_bytes()).collect();
            found.extend(self.pulls(&format!("{}/pulls?state=open&per_page=100&head={head}", self.root)).await?);
        }
        Ok(found)
    }

    async fn pull_request_head(&self, number: u64) -> Result<Option<Head>> {
        pulls::head(self, number).await.map(Some)
    }

    fn can_check(&self) -> Result<()> {
        Ok(())
    }

    fn report_limits(&self) -> Option<ReportLimits> {
        Some(checks::ROOM)
    }

    async fn create_check(&self, check: &Check) -> Result<CreatedCheck> {
        checks::create(self, check).await
    }

    fn push_config(&self) -> Result<PushConfig> {
        Ok(pulls::push_config(self.token.clone()))
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

    async fn upload_assets(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        assets::upload(self, assets, progress).await
    }

    fn is_asset(&self, address: &str, name: &str) -> bool {
        assets::is_asset(self, address, name)
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
        match self.client.get::<Value>(&self.root).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
