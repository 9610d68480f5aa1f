//! The runner program: downloaded once, verified by its digest each time, unpacked for each runner.

use crate::app::App;
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::forge::runners::{Package, PackageContent};
use crate::http;
use ::http::HeaderValue;
use ::http::header::AUTHORIZATION;
use bytes::Bytes;

use std::io;
use std::path::{Path, PathBuf};
use url::Url;

/// How many bytes of a file are read at once.
const CHUNK_SIZE: usize = 1 << 20;

/// Returns the user's cache folder: `$XDG_CACHE_HOME/cml` or `~/.cache/cml`
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>). `None` when neither is set.
pub fn cache_folder(env: &Env) -> Option<PathBuf> {
    let own = env.named("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    own.or_else(|| env.named("HOME").map(|home| Path::new(home).join(".cache"))).map(|cache| cache.join("cml"))
}

/// Installs a runner program into a new folder for one runner alone, from the cache if it has been downloaded before. Its
/// digest is verified in any case.
///
/// # Errors
///
/// The file has another digest, or cannot be downloaded, written or unpacked.
pub async fn install(app: &App, package: &Package, folder: &Path) -> Result<()> {
    app.host.make_private_folder(folder).map_err(|error| unwritten(folder, &error))?;
    let cache = cache_folder(app.env()).unwrap_or_else(|| folder.join(".download"));
    let digest = expected_digest(package)?;
    let cached = cache.join("runners").join(digest.as_str());
    if file_digest(app, &cached).is_ok_and(|found| found == digest) {
        app.log.debug(&format!("using the cached runner program {}", cached.display()));
    } else {
        download(app, package, &digest, &cached).await?;
    }
    match &package.content {
        PackageContent::TarGz => app.host.unpack(&cached, folder).await.map_err(|error| {
            Error::config(format!("cannot unpack the runner program into {} ({error})", folder.display()))
                .hint("check that the disk is not full, or choose another folder with --workdir")
        }),
        PackageContent::Program(name) => {
            let program = folder.join(name);
            app.host.copy_program(&cached, &program).await.map_err(|error| unwritten(&program, &error))
        }
    }
}

/// Pulls the newest version of an image that may be here already: Docker itself would keep an old one. Where that fails, as
/// without the registry, Docker runs the local one, or reports what is wrong.
pub async fn pull(app: &App, image: &str) {
    let output = app.run(&["docker", "pull", "--quiet", image]).await;
    let Some(output) = output.ok().filter(|output| output.code != Some(0)) else { return };
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
    app.log.info(&format!("cannot pull {image} ({why}): using the local image"));
}

fn unwritten(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Unsupported => Error::unsupported("this build of cml cannot run a runner on this computer")
            .hint("use the native program on Linux or macOS; in the GitHub Action: native: true"),
        _ => Error::config(format!("cannot write {} ({error})", path.display()))
            .hint("check that the disk is not full, or choose another folder with --workdir"),
    }
}

/// Parses the digest of a package.
fn expected_digest(package: &Package) -> Result<Sha256Digest> {
    package.sha256.parse().map_err(|_| {
        Error::remote(format!("invalid SHA-256 digest of the runner program: {:?}", package.sha256))
            .hint("download the program yourself and give its folder with --runner-path")
    })
}

/// Computes the digest of a file.
fn file_digest(app: &App, path: &Path) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256Hasher::default();
    let mut offset = 0;
    loop {
        let piece = app.host.read_at(path, offset, CHUNK_SIZE)?;
        if piece.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(&piece);
        offset += piece.len() as u64;
    }
}

/// Downloads into a scratch file and renames it at the end, so that simultaneous launches do not conflict.
async fn download(app: &App, package: &Package, expected: &Sha256Digest, cached: &Path) -> Result<()> {
    let folder = cached.parent().unwrap_or(Path::new("."));
    app.host.make_private_folder(folder).map_err(|error| unwritten(folder, &error))?;
    let scratch = folder.join(format!(".{:016x}", app.host.random()));
    let url = Url::parse(&package.url).map_err(|error| {
        Error::remote(format!("invalid address {} ({error})", package.url))
            .hint("give the program's folder with --runner-path")
    })?;
    app.log.info(&format!("downloading {url}"));
    let mut request = http::request(::http::Method::GET, &url, Bytes::new())?;
    if let Some(token) = &package.token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
            Error::remote("the token of the download contains an invalid character")
                .hint("give the program's folder with --runner-path")
        })?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    app.http.download(&request, &scratch).await.map_err(|error| {
        error.context("cannot download the runner program").or_hint("give the program's folder with --runner-path")
    })?;
    let found = file_digest(app, &scratch).map_err(|error| unwritten(&scratch, &error))?;
    if found != *expected {
        let _ = app.host.remove(&scratch);
        let message = format!("{url} has the SHA-256 digest {found}, expected {expected}");
        return Err(Error::remote(message)
            .hint("a proxy may have changed it, or the download was truncated: try again, or give the program's folder with --runner-path"));
    }
    app.host.rename(&scratch, cached).map_err(|error| unwritten(cached, &error))
}
