//! From a path to the module that answers it: the three APIs, the web pages that serve files, and the asset store.

use super::auth::Access;
use super::http::{Request, Response};
use super::state::{BOT, Comment, Desk, File, Repo, State, Vendor};
use super::{bitbucket, git_http, github, gitlab, runners, store};

/// A request that passed authentication, with the repository it is about.
pub struct Call<'a> {
    pub request: &'a Request,
    /// The server's base URL.
    pub url: &'a str,
    pub access: Access,
    pub repo: &'a mut Repo,
    pub desk: &'a mut Desk,
}

impl Call<'_> {
    /// Whether the token's user may not change a comment.
    pub fn is_refused(&self, comment: &Comment) -> bool {
        self.desk.switches.only_own && comment.author != BOT && !self.request.is_read()
    }

    /// Gives a comment another body.
    pub fn rewrite(&mut self, comment: Comment, body: String) -> Comment {
        let changed = Comment { body, updated_at: self.desk.tick(), ..comment };
        self.repo.comment_mut(changed.id).expect("a comment of this repository").clone_from(&changed);
        changed
    }
}

/// Answers a request. The caller holds the lock of the state: each request is atomic.
pub fn route(state: &mut State, request: &Request, url: &str) -> Response {
    let segments = request.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match path[..] {
        // `/api/v3` and `/api/v4` are where programs look that know only the server's own URL.
        ["github", ref rest @ ..] | ["api", "v3", ref rest @ ..] => github::route(state, request, url, rest),
        ["api", "graphql"] => github::route(state, request, url, &["graphql"]),
        ["gitlab", "api", "v4", ref rest @ ..] | ["api", "v4", ref rest @ ..] => {
            gitlab::route(state, request, url, rest)
        }
        ["bitbucket", "2.0", ref rest @ ..] => bitbucket::route(state, request, url, rest),
        _ if git_http::is_git(request.path()) => git_http::git(state, request, url, &path),
        ["runners", "tell", what] if request.verb() == "POST" => runners::tell(state, request, what),
        ["downloads", ref rest @ ..] if request.is_read() => runners::download(state, request, rest),
        ["store", ref rest @ ..] => store::route(state, request, url, rest),
        _ if request.is_read() => page(state, request, &path).unwrap_or_else(not_found),
        _ => not_found(),
    }
}

fn not_found() -> Response {
    Response::bytes(404, "text/html; charset=utf-8", "<h1>404</h1>")
}

/// The files that a browser would load to show a comment.
fn page(state: &mut State, request: &Request, path: &[&str]) -> Option<Response> {
    if let ["-", "project", id, "uploads", key, name] = path {
        let (repo, _) = state.repo(Vendor::GitLab, id)?;
        return file(repo.files.iter().find(|file| file.key == *key && file.name == *name)?);
    }
    if let ["-", "archives", owner, name, id] = path {
        let (repo, _) = state.repo(Vendor::GitHub, &format!("{owner}/{name}"))?;
        return Some(Response::bytes(200, "application/zip", repo.kept_one(id)?.archive.clone()));
    }
    if let [owner, name, "raw", revision, rest @ ..] = path {
        let needs_branch = state.desk.switches.raw_needs_branch;
        let (repo, _) = state.repo(Vendor::GitHub, &format!("{owner}/{name}"))?;
        let path = rest.join("/");
        let hidden = needs_branch && repo.git.commits.contains_key(*revision) && !repo.git.on_a_branch(revision);
        let body = repo.git.file(revision, &path).filter(|_| !hidden)?;
        // GitHub serves SVG as text unless it is asked to clean it.
        let as_text = path.ends_with(".svg") && request.param("sanitize").as_deref() != Some("true");
        let mime = if as_text { "text/plain; charset=utf-8" } else { content_type(&path) };
        return Some(Response::bytes(200, mime, body.clone()));
    }
    if let [owner, name, "downloads", file_name] = path {
        let (repo, _) = state.repo(Vendor::Bitbucket, &format!("{owner}/{name}"))?;
        return file(repo.files.iter().find(|file| file.name == *file_name)?);
    }
    let at = path.iter().position(|segment| *segment == "uploads")?;
    let (repo, _) = state.repo(Vendor::GitLab, &path[..at].join("/"))?;
    let [key, name] = path[at + 1..] else { return None };
    file(repo.files.iter().find(|file| file.key == key && file.name == name)?)
}

/// Serves a file as it was uploaded.
#[allow(clippy::unnecessary_wraps)]
fn file(file: &File) -> Option<Response> {
    Some(Response::bytes(200, &file.content_type, file.body.clone()))
}

/// A type by a path's extension, as a forge guesses it.
pub fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "md" | "txt" | "csv" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
