//! The program that a machine in a cloud runs: this one, static, for its architecture, with a digest that is pinned.

use super::cloud::Cloud;
use crate::action::native::released;
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::hash;
use crate::host::Platform;
use crate::http::{RetryPolicy, request};
use crate::runner::script::Program;
use bytes::Bytes;
use http::{Method, header};
use std::path::Path;
use url::Url;

/// Where the release is that this program is of, such as `https://github.com/org/setup-cml-rs/releases/download/v1.0.0`:
/// told when a release is built. Another build is not what any release has.
const RELEASE: Option<&str> = option_env!("CML_RELEASE");

/// Finds it: what the user names, what the action has recorded, or this program's own release.
///
/// # Errors
/// It is not known where it is, or not there.
pub async fn find(app: &App, args: &Cloud, platform: &Platform) -> Result<Program> {
    if let (Some(url), Some(sha256)) = (&args.agent_url, &args.agent_sha256) {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(|| {
            Error::usage(format!("--agent-url {url} is not an address")).hint("it is https://host/file")
        })?;
        return Ok(Program { url: url.to_string(), sha256: sha256.clone() });
    }
    let (urls, sha256) = match cfg!(target_arch = "wasm32") {
        true => released(app, platform).map_err(|error| unknown(&error.to_string()))?,
        false => own(app, platform).map(|(url, sha256)| (vec![url], sha256))?,
    };
    let url = first(app, urls).await?;
    Ok(Program { url: url.to_string(), sha256 })
}

/// The first of some addresses at which a machine gets the program.
///
/// # Errors
/// No address has it.
pub async fn first(app: &App, urls: Vec<Url>) -> Result<Url> {
    let mut failed = None;
    for url in urls {
        match check(app, &url).await {
            Ok(()) => return Ok(url),
            Err(error) => failed = Some(error.after(failed)),
        }
    }
    Err(failed.unwrap_or_else(|| unknown("no release is known")))
}

/// Asks whether a file is there for everybody, as a machine gets it.
async fn check(app: &App, url: &Url) -> Result<()> {
    let hint =
        "give another place of the static program with --agent-url and --agent-sha256: a mirror, or a build of yours";
    let missing = |error: Error| error.context(format!("cannot get the machine's program {url}")).hint(hint);
    let mut head = request(Method::HEAD, url, Bytes::new())?;
    head.extensions_mut().insert(RetryPolicy::Idempotent);
    let answer = app.http.send(head).await.map_err(missing)?;
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.starts_with("text/html") {
        true => Err(missing(Error::auth("the server answers with a page, as it does when it wants a login"))),
        false => Ok(()),
    }
}

/// This program itself, where it runs on what the machine runs on.
fn own(app: &App, platform: &Platform) -> Result<(Url, String)> {
    let here = app.host.platform();
    if here != *platform {
        let (wanted, have) = (format!("{}-{}", platform.os, platform.arch), format!("{}-{}", here.os, here.arch));
        return Err(unknown(&format!("this is the program for {have}, the machine needs that for {wanted}")));
    }
    let name = format!("cml-{}-{}", platform.os, platform.arch);
    let url = RELEASE.and_then(|release| Url::parse(&format!("{release}/{name}")).ok());
    let url = url.ok_or_else(|| unknown("this program is of no release"))?;
    let program = app.host.current_exe_argv();
    let path = Path::new(program.first().map_or("", String::as_str));
    let bytes = app.host.read(path).map_err(|error| unknown(&format!("it cannot be read itself ({error})")))?;
    Ok((url, hash(&bytes)))
}

fn unknown(why: &str) -> Error {
    Error::config(format!("it is not known where the machine gets cml from: {why}"))
        .hint("give the static program for Linux with --agent-url and --agent-sha256")
}
