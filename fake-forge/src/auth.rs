//! Tokens: who may do what.
//!
//! | token | may |
//! | --- | --- |
//! | `good` | everything |
//! | `readonly` | read |
//! | `nocontents` | everything but write to the repository (Git Data API, uploads, downloads) |
//! | any other | nothing: 401 |
//!
//! With the beginning of one of the vendor's kinds of tokens (`ghp_`, `github_pat_`, `ghs_`, `glpat-`, …) before them they
//! are of that kind. What they may do is said as the vendors say it, see [`scopes`].
//!
//! GitLab's `JOB-TOKEN: good` may only read merge requests and their notes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::Request;
use super::state::Vendor;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Full,
    ReadOnly,
    NoContents,
    /// GitLab's CI job token.
    Job,
}

/// What a request's credentials allow; `None` for missing, unknown, or in a form that the vendor doesn't take.
pub fn access(vendor: Vendor, request: &Request) -> Option<Access> {
    if vendor == Vendor::GitLab {
        if let Some(token) = request.header("private-token") {
            return grant(token);
        }
        if let Some(token) = request.header("job-token") {
            return (token == "good").then_some(Access::Job);
        }
    }
    let (scheme, secret) = request.header("authorization")?.split_once(' ')?;
    match (vendor, scheme.to_ascii_lowercase().as_str()) {
        (_, "bearer") | (Vendor::GitHub, "token") => grant(secret.trim()),
        (Vendor::GitHub | Vendor::Bitbucket, "basic") => grant(&password(secret)?),
        _ => None,
    }
}

/// The password of Basic credentials.
pub fn password(secret: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(secret.trim()).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// How tokens begin, by their kinds.
const KINDS: [&str; 8] = ["ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "ATCTT3xFfGN0", "ATATT3xFfGF0"];

/// The token of a request.
pub fn token(request: &Request) -> String {
    let private = request.header("private-token").map(str::to_owned);
    let sent = || request.header("authorization")?.split_once(' ').map(|(_, secret)| secret.trim().to_owned());
    private.or_else(sent).unwrap_or_default()
}

/// The scopes that a vendor says a token has; none for tokens that have no such thing.
pub fn scopes(vendor: Vendor, request: &Request, access: Access) -> Option<&'static str> {
    let token = token(request);
    let basic = request.header("authorization").is_some_and(|value| value.starts_with("Basic "));
    match (vendor, access) {
        // Those of Apps for users have the header, with nothing in it.
        (Vendor::GitHub, _) if token.starts_with("ghu_") => Some(""),
        (Vendor::GitHub, _) if !token.starts_with("ghp_") && !token.starts_with("gho_") => None,
        (Vendor::GitHub, Access::ReadOnly) => Some("gist"),
        (Vendor::GitHub, _) => Some("repo, workflow"),
        (Vendor::GitLab, Access::ReadOnly) => Some("read_api"),
        (Vendor::GitLab, _) => Some("api"),
        (Vendor::Bitbucket, Access::Full) if basic => Some(
            "read:repository:bitbucket, write:repository:bitbucket, read:pullrequest:bitbucket, write:pullrequest:bitbucket",
        ),
        (Vendor::Bitbucket, Access::Full) => Some("pullrequest:write, repository:write, pipeline:write, runner:write"),
        (Vendor::Bitbucket, Access::NoContents) => Some("pullrequest:write"),
        (Vendor::Bitbucket, _) => Some("pullrequest, pipeline"),
    }
}

pub fn grant(token: &str) -> Option<Access> {
    let token = KINDS.iter().find_map(|kind| token.strip_prefix(kind)).unwrap_or(token);
    match token {
        "good" => Some(Access::Full),
        "readonly" => Some(Access::ReadOnly),
        "nocontents" => Some(Access::NoContents),
        _ => None,
    }
}
