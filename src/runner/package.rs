//! The runner program: downloaded once, checked by its digest each time, unpacked for each runner anew.

use crate::app::App;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::forge::runner::{Package, PackageContent};
use crate::http;
use ::http::HeaderValue;
use ::http::header::AUTHORIZATION;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use url::Url;

/// Files are read in pieces of so many bytes.
const PIECE: usize = 1 << 20;

/// The user's folder for what can be had again: `$XDG_CACHE_HOME/cml` or `~/.cache/cml`
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>). `None` where neither is set.
pub fn cache_folder(env: &Env) -> Option<PathBuf> {
    let own = env.named("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    own.or_else(|| env.named("HOME").map(|home| Path::new(home).join(".cache"))).map(|cache| cache.join("cml"))
}

/// Puts a runner program into a new folder for one runner alone. It comes from the cache when it has been downloaded
/// before, and is checked all the same.
///
/// # Errors
///
/// The file is not what its digest says, or cannot be downloaded, written or unpacked.
pub async fn install(app: &App, package: &Package, folder: &Path) -> Result<()> {
    app.host.make_private_folder(folder).map_err(|error| unwritten(folder, &error))?;
    let cache = cache_folder(app.env()).unwrap_or_else(|| folder.join(".download"));
    let cached = cache.join("runners").join(checked_digest(package)?);
    if is(app, &cached, &package.sha256) {
        app.log.debug(&format!("the runner program is in the cache: {}", cached.display()));
    } else {
        download(app, package, &cached).await?;
    }
    match &package.content {
        PackageContent::TarGz => app.host.unpack(&cached, folder).await.map_err(|error| {
            Error::config(format!("cannot unpack the runner program into {} ({error})", folder.display()))
                .hint("check that there is room on the disk; --workdir chooses another folder")
        }),
        PackageContent::Program(name) => {
            let program = folder.join(name);
            app.host.copy_program(&cached, &program).await.map_err(|error| unwritten(&program, &error))
        }
    }
}

/// Gets the newest form of an image that may be here already: Docker itself would keep an old one for years. Where that does
/// not work, as without its registry, Docker runs what is here, or says what is wrong.
pub async fn pull(app: &App, image: &str) {
    let output = app.run(&["docker", "pull", "--quiet", image]).await;
    let Some(output) = output.ok().filter(|output| output.code != Some(0)) else { return };
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
    app.log.info(&format!("cannot pull {image} ({why}): using the one that is here"));
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Unsupported => Error::unsupported("this build cannot run a runner on this machine")
            .hint("use the native program on Linux or macOS; in the GitHub Action: native: true"),
        _ => Error::config(format!("cannot write {} ({error})", path.display()))
            .hint("check that there is room on the disk; --workdir chooses another folder"),
    }
}

/// The digest as the name of a file.
fn checked_digest(package: &Package) -> Result<&str> {
    let is_digest = package.sha256.len() == 64 && package.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(package.sha256.as_str()).ok_or_else(|| {
        Error::remote(format!("the digest of the runner program is none: {:?}", package.sha256))
            .hint("download the program yourself and give its folder with --runner-path")
    })
}

/// Whether a file has a digest.
fn is(app: &App, path: &Path, sha256: &str) -> bool {
    digest(app, path).is_ok_and(|digest| digest.eq_ignore_ascii_case(sha256))
}

fn digest(app: &App, path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut offset = 0;
    loop {
        let piece = app.host.read_at(path, offset, PIECE)?;
        if piece.is_empty() {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&piece);
        offset += piece.len() as u64;
    }
}

/// Downloads beside the place in the cache and takes it at the end, so that two launches at once do not meet.
async fn download(app: &App, package: &Package, cached: &Path) -> Result<()> {
    let folder = cached.parent().unwrap_or(Path::new("."));
    app.host.make_private_folder(folder).map_err(|error| unwritten(folder, &error))?;
    let scratch = folder.join(format!(".{:016x}", app.host.random()));
    let url = Url::parse(&package.url).map_err(|error| {
        Error::remote(format!("{} is not an address ({error})", package.url))
            .hint("give the program's folder with --runner-path")
    })?;
    app.log.info(&format!("downloading {url}"));
    let mut request = http::request(::http::Method::GET, &url, Bytes::new())?;
    if let Some(token) = &package.token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
            Error::remote("the token of the download cannot be sent")
                .hint("give the program's folder with --runner-path")
        })?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    app.http.download(&request, &scratch).await.map_err(|error| {
        error.context("cannot download the runner program").or_hint("give the program's folder with --runner-path")
    })?;
    let found = digest(app, &scratch).map_err(|error| unwritten(&scratch, &error))?;
    if !found.eq_ignore_ascii_case(&package.sha256) {
        let _ = app.host.remove(&scratch);
        let message = format!("{url} is not what its digest says: SHA-256 {found} instead of {}", package.sha256);
        return Err(Error::remote(message)
            .hint("a proxy may have changed it, or the download was cut: try again; --runner-path takes a folder that has the program"));
    }
    app.host.rename(&scratch, cached).map_err(|error| unwritten(cached, &error))
}
