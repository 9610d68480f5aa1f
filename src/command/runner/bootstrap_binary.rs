//! The cml binary that an instance downloads: static, for its architecture, with a pinned digest.

use super::cloud::Cloud;
use crate::app::App;
use crate::cloud::BootstrapBinary;
use crate::digest::Sha256Digest;
use crate::error::{Error, Result};
use crate::host::Platform;
use crate::http::{RetryPolicy, request};
use crate::release::released;
use bytes::Bytes;
use http::{Method, header};
use std::path::Path;
use url::Url;

/// The URL of the release that this binary belongs to, such as
/// `https://github.com/org/setup-cml-rs/releases/download/v1.0.0`; set when a release is built.
const RELEASE: Option<&str> = option_env!("CML_RELEASE");

/// Finds the binary: the user's, the one that the action has recorded, or this release's.
///
/// # Errors
/// Its URL is unknown, or it cannot be downloaded.
pub async fn find(app: &App, args: &Cloud, platform: &Platform) -> Result<BootstrapBinary> {
    if let (Some(url), Some(sha256)) = (&args.bootstrap_url, &args.bootstrap_sha256) {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
            Error::usage(format!("invalid --bootstrap-url {url}")).hint("give an address such as https://host/file")
        })?;
        return Ok(BootstrapBinary { url: url.to_string(), sha256: sha256.clone() });
    }
    let (urls, sha256) = if cfg!(target_arch = "wasm32") {
        let (urls, sha256) = released(app, platform).map_err(|error| unknown(&error.to_string()))?;
        (urls, sha256.parse().map_err(|error: Error| unknown(&error.to_string()))?)
    } else {
        own_binary(app, platform).map(|(url, sha256)| (vec![url], sha256))?
    };
    let url = first_available(app, urls).await?;
    Ok(BootstrapBinary { url: url.to_string(), sha256 })
}

/// Returns the first of some URLs from which an instance can download the binary.
///
/// # Errors
/// None of them works.
pub async fn first_available(app: &App, urls: Vec<Url>) -> Result<Url> {
    let mut failed = None;
    for url in urls {
        match check(app, &url).await {
            Ok(()) => return Ok(url),
            Err(error) => failed = Some(error.after(failed)),
        }
    }
    Err(failed.unwrap_or_else(|| unknown("the release is unknown")))
}

/// Checks that a file can be downloaded without credentials, as an instance does.
async fn check(app: &App, url: &Url) -> Result<()> {
    let hint = "give the URL of a mirror or of your own build with --bootstrap-url and --bootstrap-sha256";
    let missing = |error: Error| error.context(format!("cannot download the instance's cml from {url}")).hint(hint);
    let mut head = request(Method::HEAD, url, Bytes::new())?;
    head.extensions_mut().insert(RetryPolicy::Idempotent);
    let answer = app.http.send(head).await.map_err(missing)?;
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/html") {
        return Err(missing(Error::auth("the server answered with a web page, probably a login page")));
    }
    Ok(())
}

/// Returns this release's URL and the digest of this very binary, if the instance has the same platform.
fn own_binary(app: &App, platform: &Platform) -> Result<(Url, Sha256Digest)> {
    let here = app.host.platform();
    if here != *platform {
        let (wanted, have) = (format!("{}-{}", platform.os, platform.arch), format!("{}-{}", here.os, here.arch));
        return Err(unknown(&format!("this is the binary for {have}, but the instance needs the one for {wanted}")));
    }
    let name = format!("cml-{}-{}", platform.os, platform.arch);
    let url = RELEASE.and_then(|release| Url::parse(&format!("{release}/{name}")).ok());
    let url = url.ok_or_else(|| unknown("this build of cml is not a release"))?;
    let program = app.host.current_exe_argv();
    let path = Path::new(program.first().map_or("", String::as_str));
    let bytes = app.host.read(path).map_err(|error| unknown(&format!("cannot read this executable: {error}")))?;
    Ok((url, Sha256Digest::compute(&bytes)))
}

fn unknown(why: &str) -> Error {
    Error::config(format!("cannot determine where the instance can download cml: {why}"))
        .hint("give the static binary for Linux with --bootstrap-url and --bootstrap-sha256")
}
