//! GitLab, gitlab.com and self-managed: <https://docs.gitlab.com/api/rest/>.

use super::check::{Check, CreatedCheck};
use super::permission::{About, BY_SERVER, Diagnosis};
use super::pull::{Merge, Merged, NewPullRequest, PushConfig};
use super::rest::{Rest, escape};
use super::runners::Runners;
use super::runs::Runs;
use super::{
    Asset, Author, Comment, Connection, Context, Driver, Forge, Keep, Limits, PageGuard, Progress, PullRequest,
    Repository, Target, Viewer, all_pages, is_hash, is_named_bot, seconds, send_each,
};
use crate::env::{Env, Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::http::{Http, Refusal, RetryPolicy, explain_status, in_brackets, secret_header};
use crate::log::Log;
use async_trait::async_trait;
use http::header::HeaderName;
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

mod lost_job;
mod lost_jobs;
mod permissions;
mod pulls;
mod quick_actions;
mod runner_process;
mod runners;
mod runs;
mod statuses;

/// GitLab's row.
pub const DRIVER: Driver = Driver {
    name: "gitlab",
    title: "GitLab",
    hosts: &["gitlab.com"],
    token_vars: &[vars::GITLAB_TOKEN, vars::CI_JOB_TOKEN],
    token_hint: "create a project access token with the role Reporter and the scope api, and save it as the masked variable REPO_TOKEN",
    own_token_hint: "create a personal access token with the scope api, then: export REPO_TOKEN=<token>",
    api_candidates,
    connect,
    runner_process: Some(runner_process::runner_process),
};

/// A note may have so many characters, not bytes: <https://docs.gitlab.com/api/notes/>, and the validation of lengths of Ruby on Rails.
const NOTE: usize = 1_000_000;

struct GitLab {
    rest: Rest,
    /// The project's page.
    page: String,
    /// Scheme and host.
    origin: String,
    /// The address of this GitLab, without a slash at its end.
    installation: String,
    /// The project's or group's path.
    path: String,
    /// The project's path in the API.
    root: String,
    /// The project's number, once a note has told it.
    project: Cell<Option<u64>>,
    /// What owns the runners, once that was asked for.
    owner: RefCell<Option<runners::Owner>>,
    /// Where the runner program comes from.
    downloads: runners::Downloads,
    context: Context,
    about: About,
    /// The pipeline that this runs in, if it is one of the project, and its commit.
    pipeline: Option<(u64, String)>,
    http: Http,
    log: Log,
    /// User name and password for git.
    credential: Option<(&'static str, Secret)>,
    /// Name and e-mail address of who started the pipeline.
    author: Option<(String, String)>,
}

fn connect(connection: Connection) -> Result<Rc<dyn Forge>> {
    let Connection { repository, api, token, context, http, log, host, .. } = connection;
    let page = repository.url();
    let (api, api_source) = match named_api(&repository, host.env()) {
        Some(named) => (named, vars::CI_API_V4_URL.name),
        None => (api.unwrap_or_else(|| format!("{}api/v4", repository.server)), BY_SERVER),
    };
    // GitLab may live below a path of its server; then that path is not part of the project's.
    let installation = api.trim_end_matches("/api/v4").to_owned();
    let path = page.strip_prefix(&format!("{installation}/")).unwrap_or(&repository.path).to_owned();
    let root = format!("/projects/{}", escape(&path));
    let source = token.as_ref().map(|(_, source)| *source);
    let credential = match &token {
        Some((token, source)) => {
            let name = if *source == vars::CI_JOB_TOKEN.name { "job-token" } else { "private-token" };
            Some((HeaderName::from_static(name), secret_header(source, token.expose())?))
        }
        None => None,
    };
    let rest = Rest::new(http.explained_by(move |refusal| explain(refusal, source)), &api, credential);
    let here = context.fork.is_none() && context.repository.as_ref() == Some(&repository);
    let project = host.env().get(vars::CI_PROJECT_ID).and_then(|id| id.parse().ok()).filter(|_| here);
    let of_ci = host.env().get(vars::CI_PIPELINE_ID).and_then(|id| id.parse().ok()).filter(|_| here);
    let pipeline = of_ci.zip(host.env().get(vars::CI_COMMIT_SHA).map(str::to_owned));
    let origin = repository.server.as_str().trim_end_matches('/').to_owned();
    let kind = token.as_ref().map(|(token, source)| permissions::kind(token.expose(), source));
    let about = About { api, api_source, token: kind };
    let credential = token.map(|(token, source)| (pulls::user(source), token));
    let author = pulls::author(host.env());
    let (owner, downloads) = (RefCell::default(), runners::Downloads::from_env(host.env()));
    Ok(Rc::new(GitLab {
        rest,
        page,
        origin,
        installation,
        path,
        root,
        project: Cell::new(project),
        owner,
        downloads,
        context,
        about,
        pipeline,
        http,
        log,
        credential,
        author,
    }))
}

/// Returns the base of the API that the CI names, when it is that of the repository's server.
fn named_api(repository: &Repository, env: &Env) -> Option<String> {
    let api = env.get(vars::CI_API_V4_URL)?;
    let is_here = url::Url::parse(api).is_ok_and(|api| api.host_str() == repository.server.host_str());
    is_here.then(|| api.trim_end_matches('/').to_owned())
}

/// GitLab may live below a path of its server, which nothing but its CI says:
/// <https://docs.gitlab.com/install/relative_url/>.
fn api_candidates(repository: &Repository, env: &Env, least: usize) -> Vec<String> {
    let names: Vec<&str> = repository.path.split('/').collect();
    if DRIVER.has_host(repository.server.host_str().unwrap_or_default())
        || named_api(repository, env).is_some()
        || names.len() <= least
    {
        return Vec::new();
    }
    let server = repository.server.as_str().trim_end_matches('/');
    (0..=names.len() - least)
        .map(|depth| names[..depth].iter().fold(server.to_owned(), |place, name| place + "/" + name) + "/api/v4")
        .collect()
}

fn explain(refusal: &Refusal, source: Option<&'static str>) -> Error {
    let json = refusal.json();
    let says = ["/error_description", "/message/error", "/message", "/error"]
        .iter()
        .find_map(|pointer| json.pointer(pointer))
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .unwrap_or_default();
    if let Some(error) = pulls::passing(refusal, &says) {
        return error;
    }
    let own_job = source == Some(vars::CI_JOB_TOKEN.name);
    if let Some(error) = runners::explain(refusal, &says, own_job) {
        return error;
    }
    let error = explain_status(refusal, "GitLab", &says);
    let work = permissions::work_of(refusal.path);
    match refusal.status.as_u16() {
        401 | 403 if own_job => {
            Error::auth(format!("the job's own token (CI_JOB_TOKEN) is not allowed to do this (GitLab says: {says})"))
                .hint(permissions::token_for(work))
        }
        401 => Error::auth(format!("GitLab does not accept the token{}", in_brackets(&says))).hint(match source {
            Some(source) => format!("check the token in {source}: it may have expired, been revoked or been cut off"),
            None => "save a project access token with the scope api as the masked variable REPO_TOKEN".to_owned(),
        }),
        403 if json.get("error").and_then(Value::as_str) == Some("insufficient_scope") => {
            Error::auth(format!("the token is not allowed to do this (GitLab says: {says})"))
                .hint(format!("to {work} {}", permissions::scope_for(work)))
        }
        403 => error.hint(format!("to {work} {}", permissions::role_for(work))),
        400 if says.contains("too long") => Error::too_large(format!("the text is too long for GitLab ({says})"))
            .hint("use --overflow split or --overflow truncate"),
        _ => error,
    }
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: String,
    created_at: String,
    #[serde(default)]
    system: bool,
    project_id: Option<u64>,
    author: Option<User>,
}

/// <https://docs.gitlab.com/api/users/>
#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    username: String,
}

impl From<User> for Author {
    fn from(user: User) -> Self {
        Author { id: user.id.to_string(), is_bot: is_named_bot(&user.username) }
    }
}

#[derive(Deserialize)]
struct Discussion {
    id: String,
    notes: Vec<Note>,
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

#[derive(Deserialize)]
struct Upload {
    url: String,
    full_path: Option<String>,
}

impl GitLab {
    /// Returns whether the token is the job's own.
    fn has_job_token(&self) -> bool {
        self.credential.as_ref().is_some_and(|(user, _)| *user == pulls::user(vars::CI_JOB_TOKEN.name))
    }

    /// Returns where a target's notes are listed and made. Those of a commit only have identities as discussions:
    /// <https://docs.gitlab.com/api/discussions/#commits>.
    fn notes(&self, target: &Target) -> String {
        match target {
            Target::PullRequest(iid) => format!("{}/merge_requests/{iid}/notes", self.root),
            Target::Issue(iid) => format!("{}/issues/{iid}/notes", self.root),
            Target::Commit(sha) => format!("{}/repository/commits/{sha}/discussions", self.root),
        }
    }

    fn note(&self, target: &Target, id: &str) -> String {
        match (target, id.split_once('/')) {
            (Target::Commit(_), Some((discussion, note))) => {
                format!("{}/{discussion}/notes/{note}", self.notes(target))
            }
            _ => format!("{}/{id}", self.notes(target)),
        }
    }

    fn comment(&self, target: &Target, discussion: Option<&str>, note: Note) -> Comment {
        let place = match target {
            Target::PullRequest(iid) => format!("merge_requests/{iid}"),
            Target::Issue(iid) => format!("issues/{iid}"),
            Target::Commit(sha) => format!("commit/{sha}"),
        };
        self.project.set(note.project_id.or(self.project.get()));
        Comment {
            id: discussion.map_or_else(|| note.id.to_string(), |discussion| format!("{discussion}/{}", note.id)),
            url: format!("{}/-/{place}#note_{}", self.page, note.id),
            created: seconds(&note.created_at),
            order: note.id,
            body: note.body,
            author: note.author.map(Author::from),
        }
    }

    async fn page(&self, target: &Target, number: u32) -> Result<(HeaderMap, Vec<Comment>)> {
        let path = format!("{}?per_page=100&page={number}", self.notes(target));
        if let Target::Commit(_) = target {
            let (headers, discussions): (_, Vec<Discussion>) = self.rest.get(&path).await?;
            let comments = discussions.into_iter().flat_map(|d| {
                let id = d.id;
                d.notes.into_iter().filter(|n| !n.system).map(move |n| (id.clone(), n)).collect::<Vec<_>>()
            });
            return Ok((headers, comments.map(|(id, note)| self.comment(target, Some(&id), note)).collect()));
        }
        let (headers, notes): (_, Vec<Note>) = self.rest.get(&format!("{path}&order_by=created_at&sort=desc")).await?;
        let comments = notes.into_iter().filter(|n| !n.system).map(|note| self.comment(target, None, note));
        Ok((headers, comments.collect()))
    }

    async fn merge_requests(&self, path: &str) -> Result<Vec<PullRequest>> {
        let found = match self.rest.get::<Vec<MergeRequest>>(path).await {
            Err(error) if error.kind() == Kind::NotFound => Vec::new(),
            found => found?.1,
        };
        Ok(found.into_iter().map(PullRequest::from).collect())
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u32> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[async_trait(?Send)]
impl Forge for GitLab {
    fn limits(&self) -> Limits {
        Limits { comment: NOTE }
    }

    async fn viewer(&self) -> Result<Viewer> {
        let user = self.rest.get::<User>("/user").await;
        Ok(user.map_or(Viewer::Unknown, |(_, user)| Viewer::User(user.id.to_string())))
    }

    fn stored(&self, body: &str) -> String {
        quick_actions::stored(body)
    }

    fn sent(&self, body: &str) -> String {
        quick_actions::escape(body).into()
    }

    async fn list_comments(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        let mut watch = PageGuard::new("GitLab");
        let (headers, mut first) = self.page(target, 1).await?;
        watch.take(&first)?;
        let mut pages = number(&headers, "x-total-pages");
        // Above 10,000 notes GitLab does not count them: <https://docs.gitlab.com/api/rest/#pagination-response-headers>.
        let mut next = number(&headers, "x-next-page").filter(|_| pages.is_none());
        while let Some(page) = next {
            first.retain(|comment| keep(comment));
            let (headers, comments) = self.page(target, page).await?;
            watch.take(&comments)?;
            first.extend(comments);
            next = number(&headers, "x-next-page");
            pages = None;
        }
        watch.check(pages.unwrap_or(1))?;
        let rest = (2..=pages.unwrap_or(1)).map(async |number| Ok(self.page(target, number).await?.1));
        all_pages(first, rest, keep).await
    }

    async fn get_comment(&self, target: &Target, id: &str) -> Result<Comment> {
        if let (Target::Commit(_), Some((discussion, note))) = (target, id.split_once('/')) {
            let (_, found): (_, Discussion) = self.rest.get(&format!("{}/{discussion}", self.notes(target))).await?;
            let found = found.notes.into_iter().find(|n| n.id.to_string() == note);
            let found = found.ok_or_else(|| Error::not_found(format!("comment {note} no longer exists")))?;
            return Ok(self.comment(target, Some(discussion), found));
        }
        let (_, note) = self.rest.get(&self.note(target, id)).await?;
        Ok(self.comment(target, None, note))
    }

    async fn create_comment(&self, target: &Target, body: &str) -> Result<Comment> {
        let path = self.notes(target);
        let body = json!({ "body": self.sent(body) });
        if let Target::Commit(_) = target {
            let (_, made): (_, Discussion) =
                self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await?;
            let note = made.notes.into_iter().next();
            let note = note.ok_or_else(|| Error::remote("GitLab answered with an empty discussion").ambiguous())?;
            return Ok(self.comment(target, Some(&made.id), note));
        }
        let (_, note) = self.rest.call(Method::POST, &path, Some(&body), RetryPolicy::LookFirst).await?;
        Ok(self.comment(target, None, note))
    }

    async fn update_comment(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment> {
        let body = json!({ "body": self.sent(body) });
        let (_, note) = self.rest.call(Method::PUT, &self.note(target, id), Some(&body), repeat).await?;
        Ok(self.comment(target, id.split_once('/').map(|(discussion, _)| discussion), note))
    }

    async fn delete_comment(&self, target: &Target, id: &str) -> Result<()> {
        self.rest.delete(&self.note(target, id)).await
    }

    async fn list_pull_requests(&self, commit: &str, branch: Option<&str>) -> Result<Vec<PullRequest>> {
        let path = format!("{}/repository/commits/{commit}/merge_requests?per_page=100", self.root);
        let mut found = self.merge_requests(&path).await?;
        if let Some(branch) = branch.filter(|_| !found.iter().any(|pull| pull.open)) {
            let branch = escape(branch);
            let path = format!("{}/merge_requests?state=opened&source_branch={branch}&per_page=100", self.root);
            found.extend(self.merge_requests(&path).await?);
        }
        Ok(found)
    }

    fn can_check(&self) -> Result<()> {
        Ok(())
    }

    async fn create_check(&self, check: &Check) -> Result<CreatedCheck> {
        statuses::create(self, check).await
    }

    fn push_config(&self) -> Result<PushConfig> {
        Ok(pulls::push_config(self.credential.clone(), self.author.clone()))
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

    /// <https://docs.gitlab.com/api/project_markdown_uploads/>
    async fn upload_assets(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>> {
        let path = format!("{}/uploads", self.root);
        let send = async |asset: &Asset| {
            let bytes = asset.read()?;
            let answer = self.rest.upload(&path, "file", &asset.unique_name(), &asset.mime, &bytes).await?;
            let upload: Upload = serde_json::from_slice(&answer)
                .map_err(|e| Error::remote(format!("unexpected answer from GitLab to an upload ({e})")))?;
            let number = upload.full_path.as_ref().and_then(|path| {
                let (_, below) = path.split_once("/-/project/")?;
                below.split('/').next()?.parse().ok()
            });
            self.project.set(number.or(self.project.get()));
            Ok(match upload.full_path {
                Some(path) => format!("{}{path}", self.origin),
                None => format!("{}{}", self.page, upload.url),
            })
        };
        send_each(assets, progress, send).await
    }

    /// Uploads are below the project, by its number or, before GitLab 17, by its path. Those of a project of another number
    /// are somebody else's; without the number none is known.
    fn is_asset(&self, address: &str, name: &str) -> bool {
        let by_number = || {
            let path = address.strip_prefix(&self.installation).filter(|path| path.starts_with("/-/"));
            let path = path.or_else(|| address.strip_prefix(&self.origin))?;
            path.strip_prefix(&format!("/-/project/{}", self.project.get()?))
        };
        let by_path = || address.strip_prefix(&self.page);
        let upload = |below: Option<&str>| {
            let secret = below?.strip_prefix("/uploads/")?.strip_suffix(name)?.strip_suffix('/')?;
            Some(is_hash(secret, 32))
        };
        upload(by_number()).or_else(|| upload(by_path())).unwrap_or(false)
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
