//! Tokens: who may do what.
//!
//! | token | may |
//! | --- | --- |
//! | `good` | everything |
//! | `readonly` | read |
//! | `nocontents` | everything but write to the repository (Git Data API, uploads, downloads) |
//! | any other | nothing: 401 |
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

pub fn grant(token: &str) -> Option<Access> {
    match token {
        "good" => Some(Access::Full),
        "readonly" => Some(Access::ReadOnly),
        "nocontents" => Some(Access::NoContents),
        _ => None,
    }
}
