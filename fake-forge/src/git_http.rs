//! git over HTTP: its own server, over a real bare repository, behind the vendors' ways of asking for credentials.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::auth::{Access, grant, password};
use super::http::{Request, Response};
use super::lfs;
use super::state::{State, Vendor};

/// Whether a path is one of git's smart HTTP protocol.
pub fn is_git(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    ["/info/refs", "/git-upload-pack", "/git-receive-pack"].iter().any(|end| path.ends_with(end))
        || path.contains("/info/lfs/")
}

/// git's own server, behind the vendors' ways of asking for credentials.
pub fn git(state: &mut State, request: &Request, url: &str, path: &[&str]) -> Response {
    let (repository, rest) = path.split_at(path.iter().position(|word| *word == "info").unwrap_or(path.len() - 1));
    let repository = repository.join("/");
    let slug = repository.trim_end_matches(".git");
    let found = Vendor::ALL.into_iter().find_map(|vendor| {
        let (repo, _) = state.repo(vendor, slug)?;
        Some((vendor, repo.bare.clone()?))
    });
    let Some((vendor, bare)) = found else { return Response::bytes(404, "text/plain", "Repository not found.") };
    let credentials: Vec<&str> =
        request.headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str()).collect();
    let secret = match credentials[..] {
        [] => None,
        [one] => one.strip_prefix("Basic "),
        _ => return Response::bytes(400, "text/plain", "Duplicate header: \"Authorization\""),
    };
    let Some(access) = secret.and_then(|secret| access(vendor, secret)) else {
        return Response::bytes(401, "text/plain", "HTTP Basic: Access denied")
            .header("WWW-Authenticate", "Basic realm=\"Git\"");
    };
    let writes = request.target.contains("git-receive-pack") || rest.starts_with(&["info", "lfs"]);
    if writes && access != Access::Full {
        return Response::bytes(403, "text/plain", "Write access to repository not granted.");
    }
    match rest {
        ["info", "lfs", rest @ ..] => lfs::answer(request, &bare, &format!("{url}/{repository}/info/lfs"), rest),
        _ => backend(request, &bare, &rest.join("/")),
    }
}

fn access(vendor: Vendor, secret: &str) -> Option<Access> {
    use base64::Engine as _;
    let pair = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(secret).ok()?).ok()?;
    let users = ["x-token-auth", "x-bitbucket-api-token-auth"];
    let known = vendor != Vendor::Bitbucket || users.contains(&pair.split(':').next()?);
    grant(&password(secret)?).filter(|_| known)
}

/// Hands a request to `git http-backend`: <https://git-scm.com/docs/git-http-backend>.
fn backend(request: &Request, bare: &Path, service: &str) -> Response {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", bare)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{service}"))
        .env("REMOTE_USER", "cml-bot")
        .env("REQUEST_METHOD", &request.method)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git http-backend");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().expect("git http-backend");
    let _ = writer.join();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_default();
    let mut answer = Response::empty(200);
    for line in String::from_utf8_lossy(&output.stdout[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => answer.status = status[..3].parse().unwrap_or(500),
            Some((name, value)) => answer = answer.header(name, value),
            None => {}
        }
    }
    answer.body = output.stdout.get(end + 4..).unwrap_or_default().to_vec();
    answer
}
