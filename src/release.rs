//! The native program of this version: downloaded from the release, checked against the digest that was
//! recorded when `dist/` was made, kept in the tool cache.

use crate::app::App;
use crate::digest::hash;
use crate::env::vars;
use crate::error::{Error, Kind, Result};
use crate::host::Platform;
use crate::http::request;
use crate::inputs::action::value;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use url::Url;

/// Where actions come from that a server does not have itself (GitHub Connect).
const GITHUB: &str = "https://github.com";

/// `native.json`: what the release has, by `os-arch`.
#[derive(Debug, Deserialize)]
struct Record {
    files: BTreeMap<String, File>,
}

/// A file of the release.
#[derive(Debug, Deserialize)]
struct File {
    name: String,
    /// In hexadecimal digits.
    sha256: String,
}

impl File {
    fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let found = hash(bytes);
        if found == self.sha256 { Ok(()) } else { Err(found) }
    }
}

/// Returns the path of the program, after downloading it if the tool cache does not have it.
pub async fn install(app: &App) -> Result<PathBuf> {
    let platform = app.host.platform();
    let file = recorded(app, &platform)?;
    let path = place(app, &platform)?;
    if app.host.read(&path).is_ok_and(|bytes| file.check(&bytes).is_ok()) {
        // Another job may be at this point of keeping it, or may have died here. Somebody else's file is left as it is.
        let _ = app.host.make_executable(&path);
        app.log.info(&format!("using the native program in the tool cache: {}", path.display()));
        return Ok(path);
    }
    let (url, bytes) = download(app, &file).await?;
    let kept = app.host.write(&path, &bytes).and_then(|()| app.host.make_executable(&path));
    kept.map_err(|e| Error::config(format!("cannot store the native program in {} ({e})", path.display())))?;
    // What GitHub's own setup actions leave beside a finished tool.
    let mark = path.parent().map(|folder| folder.with_extension("complete"));
    mark.map(|mark| app.host.write(&mark, b"")).transpose().map_err(|e| Error::config(e.to_string()))?;
    app.log.info(&format!("downloaded {url} (SHA-256 verified)"));
    Ok(path)
}

/// Returns the program, from the first place that has it, and the address of that place.
async fn download(app: &App, file: &File) -> Result<(Url, Bytes)> {
    let mut failed = None;
    for release in releases(app)? {
        let url = address(&release, &file.name)?;
        match download_from(app, &url, file).await {
            Ok(bytes) => return Ok((url, bytes)),
            Err(error) => failed = Some(error.after(failed)),
        }
    }
    Err(failed.unwrap_or_else(|| Error::internal("no release is known")))
}

async fn download_from(app: &App, url: &Url, file: &File) -> Result<Bytes> {
    let hint = "check that this machine can reach it, set native-url to a mirror, or omit native: the WebAssembly build does the same";
    let answer = app
        .http
        .send(request(Method::GET, url, Bytes::new())?)
        .await
        .map_err(|error| error.context(format!("cannot download {url}")).or_hint(hint))?;
    file.check(answer.body()).map_err(|found| {
        let message = format!("SHA-256 mismatch for {url}: got {found}, expected {}", file.sha256);
        Error::new(Kind::Conflict, message)
            .hint("it was neither run nor stored; the cause may be an incomplete download, a mirror of another version, or an attack")
    })?;
    Ok(answer.into_body())
}

/// Returns the program of this version's release for a platform: the addresses at which it may be, the likeliest
/// first, and its digest. In a later step, the release is the one of the step that set cml up, unless this one names
/// a mirror itself.
///
/// # Errors
/// The release has none, or it is not known whose release it is.
pub fn released(app: &App, platform: &Platform) -> Result<(Vec<Url>, String)> {
    let file = recorded(app, platform)?;
    let noted = note(app).ok().and_then(|path| app.host.read(&path).ok());
    let releases = match noted.filter(|_| value(app.env(), "native-url").is_none()) {
        Some(text) => String::from_utf8_lossy(&text).lines().map(str::to_owned).collect(),
        None => releases(app)?,
    };
    let addresses = releases.iter().map(|release| address(release, &file.name)).collect::<Result<_>>()?;
    Ok((addresses, file.sha256))
}

/// Notes for the later steps where the release is: what the runner tells this step of the action, it does not tell them.
///
/// # Errors
/// The note cannot be written.
pub fn remember(app: &App) -> Result<()> {
    let (Ok(releases), path) = (releases(app), note(app)?) else { return Ok(()) };
    app.host
        .write(&path, releases.join("\n").as_bytes())
        .map_err(|error| Error::config(format!("cannot write {} ({error})", path.display())))
}

fn note(app: &App) -> Result<PathBuf> {
    Ok(folder(app)?.join("release"))
}

/// Returns what this version's release has for this platform.
fn recorded(app: &App, platform: &Platform) -> Result<File> {
    let path = dist(app).join("native.json");
    let wrong = |why: String| Error::config(format!("cannot read {} ({why})", path.display()));
    let bytes = app.host.read(&path).map_err(|e| wrong(e.to_string()))?;
    let mut record: Record = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    let key = format!("{}-{}", platform.os, platform.arch);
    record.files.remove(&key).ok_or_else(|| {
        let version = env!("CARGO_PKG_VERSION");
        Error::unsupported(format!("version {version} has no native build for {key}"))
            .hint("omit native: the WebAssembly build does the same")
    })
}

/// Returns where the tool cache keeps it: `<tool>/<version>/<arch>/`, with the names of architectures that GitHub
/// uses.
fn place(app: &App, platform: &Platform) -> Result<PathBuf> {
    let arch = match platform.arch.as_str() {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let cache = match app.env().get(vars::RUNNER_TOOL_CACHE) {
        Some(cache) => Path::new(cache).to_path_buf(),
        None => folder(app)?,
    };
    let name = if platform.os == "windows" { "cml.exe" } else { "cml" };
    Ok(cache.join("setup-cml-rs").join(env!("CARGO_PKG_VERSION")).join(arch).join(name))
}

/// Returns the folders that may have the files of the release of the repository that the action comes from, or the
/// mirror of it. Nothing tells whether a server other than github.com has the action itself or takes it from there:
/// its own release goes first, which needs no way out of its network. The digest is the same.
fn releases(app: &App) -> Result<Vec<String>> {
    if let Some(url) = value(app.env(), "native-url") {
        return Ok(vec![url.to_owned()]);
    }
    let server = app.env().get(vars::GITHUB_SERVER_URL).unwrap_or(GITHUB).trim_end_matches('/');
    let repository = app.env().get(vars::GITHUB_ACTION_REPOSITORY).ok_or_else(|| {
        Error::config("GITHUB_ACTION_REPOSITORY is not set; cannot determine which release to download")
            .hint("set native-url to the folder with the files")
    })?;
    let servers = [server, GITHUB].into_iter().take(if server == GITHUB { 1 } else { 2 });
    let release = |server| format!("{server}/{repository}/releases/download/v{}", env!("CARGO_PKG_VERSION"));
    Ok(servers.map(release).collect())
}

/// Returns a file there.
fn address(release: &str, name: &str) -> Result<Url> {
    let address = format!("{}/{name}", release.trim_end_matches('/'));
    Url::parse(&address)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| Error::usage(format!("invalid native-url '{address}'")).hint("use https://host/folder"))
}

/// Returns the folder of `index.js` and what was made with it.
pub fn dist(app: &App) -> PathBuf {
    let program = app.host.current_exe_argv();
    Path::new(program.last().map_or("", String::as_str)).parent().unwrap_or(Path::new("")).to_path_buf()
}

/// Returns the folder of this version for the time of the job.
pub fn folder(app: &App) -> Result<PathBuf> {
    let temp = app.env().get(vars::RUNNER_TEMP).ok_or_else(|| {
        Error::config("RUNNER_TEMP is not set; this is not a step of a GitHub workflow")
            .hint("on the command line pass the program's name: node index.js cml …")
    })?;
    Ok(Path::new(temp).join("setup-cml-rs").join(env!("CARGO_PKG_VERSION")))
}
