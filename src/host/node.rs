//! The host of the WebAssembly build: Node, as the GitHub runner brings it.
//!
//! `action/host.js` does what only JavaScript can do; what it means is decided here. Windows' paths are used
//! with `/`, which Node takes as well, so that the core sees one kind of path.

use super::proxy::Proxies;
use super::{
    CertificateFault, Command, Host, MAX_ERRORS, MAX_OUTPUT, MaxAnswer, OpenFile, Output, Platform, ProxyOverride,
    SendError, SendPhase, Signal, Stat, Stream, TlsOptions,
};
use crate::env::{Env, Secret, vars};
use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use wasm_bindgen::{JsCast, JsValue};

mod crypto;
mod js;
mod open;

pub use crypto::Crypto;

const USER_AGENT: &str = concat!("setup-cml-rs/", env!("CARGO_PKG_VERSION"));

/// Node.
pub struct Node {
    env: Env,
    windows: bool,
    /// Certificates that the user gave, besides the environment's.
    extra_roots: RefCell<Vec<String>>,
    /// Certificates to trust; none for Node's own choice.
    roots: RefCell<Option<Vec<String>>>,
}

impl Default for Node {
    fn default() -> Self {
        // After this, the WebAssembly stops with an exception that says nothing.
        std::panic::set_hook(Box::new(|panic| {
            let _ = js::print(2, format!("error: a bug in cml ({panic})\n").as_bytes());
            let _ = js::print(2, b"hint: please report it with the command and the lines above\n");
        }));
        let pairs = js::environment();
        Node {
            env: pairs.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect(),
            windows: js::platform() == "win32",
            extra_roots: RefCell::default(),
            roots: RefCell::default(),
        }
    }
}

impl Node {
    fn path(&self, text: String) -> PathBuf {
        if self.windows { text.replace('\\', "/").into() } else { text.into() }
    }

    /// Returns the proxy for a request; `None` for a direct one.
    fn proxy(&self, uri: &http::Uri) -> Result<Option<js::Proxy>, SendError> {
        let invalid = |text: String| SendError::new(SendPhase::Invalid, text);
        let parse = |text: &str| Url::parse(text).map_err(|error| invalid(error.to_string()));
        let named = Proxies::from_env(&self.env).map_err(invalid)?;
        let Some(proxy) = named.for_url(&parse(&uri.to_string())?) else { return Ok(None) };
        let mut address = parse(proxy)?;
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = format!("{}:{}", decoded(address.username()), decoded(address.password().unwrap_or_default()));
        let authorization = (pair != ":").then(|| format!("Basic {}", BASE64_STANDARD.encode(pair)));
        // An address with a host takes both.
        let _ = address.set_username("").and_then(|()| address.set_password(None));
        Ok(Some(js::Proxy { address: address.into(), authorization }))
    }

    /// Returns the certificates to trust, if they are not just Node's (which include those of `NODE_EXTRA_CA_CERTS`).
    fn roots(&self) -> Result<Vec<String>, SendError> {
        if let Some(roots) = &*self.roots.borrow() {
            return Ok(roots.clone());
        }
        let (file, folder) = (self.env.get(vars::SSL_CERT_FILE), self.env.get(vars::SSL_CERT_DIR));
        let extra = self.extra_roots.borrow();
        let mut roots = match (file, folder) {
            (None, None) if extra.is_empty() => Vec::new(),
            (None, None) => js::default_roots(),
            (file, folder) => self.named_roots(file, folder)?,
        };
        roots.extend(extra.iter().cloned());
        self.roots.replace(Some(roots.clone()));
        Ok(roots)
    }

    /// Returns the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`, which replace all but `NODE_EXTRA_CA_CERTS`.
    fn named_roots(&self, file: Option<&str>, folder: Option<&str>) -> Result<Vec<String>, SendError> {
        let in_folder = folder.and_then(|folder| js::list(folder).ok()).unwrap_or_default();
        let files = file.map(str::to_owned).into_iter().chain(in_folder);
        let read = |path: String| js::certificates(&String::from_utf8_lossy(&js::read(&path).unwrap_or_default()));
        let roots: Vec<String> = files.flat_map(read).collect();
        if let Some(file) = file.filter(|_| roots.is_empty()) {
            let text = format!("{} names {file}, which contains no certificate", vars::SSL_CERT_FILE.name);
            return Err(SendError::new(SendPhase::Tls, text));
        }
        let extra = self.env.get(vars::NODE_EXTRA_CA_CERTS).map(str::to_owned).into_iter().flat_map(read);
        Ok(roots.into_iter().chain(extra).collect())
    }

    /// Adds the operating system's certificates. Reading them takes a while, so this is done when a certificate is not
    /// trusted. Returns `false` when there are no more.
    fn add_system_roots(&self) -> bool {
        let decided = [vars::SSL_CERT_FILE, vars::SSL_CERT_DIR].iter().any(|var| self.env.get(*var).is_some());
        let mut all = js::default_roots();
        all.extend(self.extra_roots.borrow().iter().cloned());
        let before = all.len();
        all.extend(js::system_roots());
        let known = self.roots.borrow().as_ref().map_or(0, Vec::len);
        if decided || all.len() == before || all.len() == known {
            return false;
        }
        self.roots.replace(Some(all));
        true
    }

    async fn attempt(
        &self,
        request: &http::Request<Bytes>,
        timeout: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        let proxy = match request.extensions().get::<ProxyOverride>() {
            Some(ProxyOverride(address)) => Some(js::Proxy { address: address.clone(), authorization: None }),
            None => self.proxy(request.uri())?,
        };
        let mut headers = vec![("user-agent".to_owned(), vec![USER_AGENT.to_owned()])];
        for name in request.headers().keys() {
            let values = request.headers().get_all(name).iter();
            // A header's bytes are Latin-1 to Node.
            let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            headers.retain(|(before, _)| before != name.as_str());
            headers.push((name.to_string(), values.map(text).collect()));
        }
        let tls = request.extensions().get::<Arc<TlsOptions>>();
        if let Some(ca) = tls.and_then(|tls| tls.ca.as_deref())
            && js::certificates(ca).is_empty()
        {
            let text = "the given certificate authority contains no certificate";
            return Err(SendError::new(SendPhase::Tls, text));
        }
        let (address, roots, limit) = (request.uri().to_string(), self.roots()?, MaxAnswer::of(request));
        let sent = js::send(js::Request {
            method: request.method().as_str(),
            address: &address,
            headers: &headers,
            body: request.body(),
            timeout,
            limit,
            proxy: proxy.as_ref(),
            roots: &roots,
            tls: tls.map(|tls| &**tls),
        });
        let answer = sent.await.map_err(|error| classify(&error, limit))?;
        let mut response = http::Response::new(Bytes::from(answer.body()));
        *response.status_mut() = StatusCode::from_u16(answer.status()).map_err(broken)?;
        *response.headers_mut() = read_headers(&answer.headers());
        Ok(response)
    }
}

/// Returns whether the usual authorities decide about the certificate of a request's server.
fn trusts_usual_roots(request: &http::Request<Bytes>) -> bool {
    request.extensions().get::<Arc<TlsOptions>>().is_none_or(|tls| tls.trusts_usual_roots())
}

fn read_headers(raw: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for pair in raw.chunks_exact(2) {
        let value: Vec<u8> = pair[1].chars().map(|c| c as u8).collect();
        if let (Ok(name), Ok(value)) = (pair[0].parse::<HeaderName>(), HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn broken(error: impl std::fmt::Display) -> SendError {
    SendError::new(SendPhase::Broken, error.to_string())
}

/// Classifies an error of Node: <https://nodejs.org/api/errors.html#common-system-errors> and, for certificates,
/// <https://nodejs.org/api/tls.html#x509-certificate-error-codes>.
fn classify(error: &JsValue, limit: u64) -> SendError {
    let error: &js::Error = error.unchecked_ref();
    let (code, text) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    let about_tls = |code: &str| {
        let words = ["CERT", "UNABLE_TO", "ERR_TLS", "ERR_SSL", "HOSTNAME_MISMATCH", "INVALID_CA", "EPROTO"];
        words.iter().any(|word| code.contains(word))
    };
    let phase = match code.as_str() {
        "ENOTFOUND" | "EAI_AGAIN" => SendPhase::Name,
        "PROXY" => SendPhase::Proxy,
        "TIMEOUT" => SendPhase::Timeout,
        "TOO_LARGE" => return SendError::too_large(limit),
        "CERT_HAS_EXPIRED" => SendPhase::Certificate(CertificateFault::Expired),
        "CERT_NOT_YET_VALID" => SendPhase::Certificate(CertificateFault::NotYetValid),
        "ERR_TLS_CERT_ALTNAME_INVALID" | "HOSTNAME_MISMATCH" => SendPhase::Certificate(CertificateFault::WrongName),
        // OpenSSL's names of the alerts about certificates, which are about the client's.
        code if code.contains("_ALERT_")
            && ["CERTIFICATE", "UNKNOWN_CA", "DECRYPT_ERROR"].iter().any(|alert| code.contains(alert)) =>
        {
            SendPhase::ClientCertificate
        }
        // Before anything is sent: of a certificate or key that the request has.
        code if code.starts_with("ERR_OSSL") => SendPhase::Invalid,
        code if about_tls(code) => SendPhase::Tls,
        code if code.starts_with("ERR_INVALID") || code == "ERR_UNESCAPED_CHARACTERS" => SendPhase::Invalid,
        _ if !error.connected() => SendPhase::Connect,
        _ => SendPhase::Broken,
    };
    let text = match phase {
        SendPhase::Invalid if code.starts_with("ERR_OSSL") => format!("cannot use the client certificate: {text}"),
        // Where in OpenSSL it was noticed is of no interest.
        SendPhase::ClientCertificate => text.split(':').find(|part| part.contains("alert")).unwrap_or(&text).to_owned(),
        // What follows is about Node's options, which are not the user's here.
        SendPhase::Tls | SendPhase::Certificate(_) => text.split(';').next().unwrap_or_default().to_owned(),
        SendPhase::Connect if !code.is_empty() => described(&code, error.errno()).map_or(text, |(_, text)| text),
        _ => text,
    };
    SendError::new(phase, text)
}

/// Returns the kind and message of a common system error, as the native program has them.
fn described(code: &str, number: Option<f64>) -> Option<(io::ErrorKind, String)> {
    let (kind, text) = match code {
        "ENOENT" => (io::ErrorKind::NotFound, "No such file or directory"),
        "EACCES" => (io::ErrorKind::PermissionDenied, "Permission denied"),
        "EPERM" => (io::ErrorKind::PermissionDenied, "Operation not permitted"),
        "EEXIST" => (io::ErrorKind::AlreadyExists, "File exists"),
        "EISDIR" => (io::ErrorKind::IsADirectory, "Is a directory"),
        "ENOTDIR" => (io::ErrorKind::NotADirectory, "Not a directory"),
        "EIO" => (io::ErrorKind::Other, "Input/output error"),
        "ENOSPC" => (io::ErrorKind::StorageFull, "No space left on device"),
        "EBADF" => (io::ErrorKind::Other, "Bad file descriptor"),
        "ELOOP" => (io::ErrorKind::Other, "Too many levels of symbolic links"),
        "EMFILE" => (io::ErrorKind::Other, "Too many open files"),
        "EPIPE" => (io::ErrorKind::BrokenPipe, "Broken pipe"),
        "EROFS" => (io::ErrorKind::ReadOnlyFilesystem, "Read-only file system"),
        "ENAMETOOLONG" => (io::ErrorKind::InvalidFilename, "File name too long"),
        "ECONNREFUSED" => (io::ErrorKind::ConnectionRefused, "Connection refused"),
        "ENETUNREACH" => (io::ErrorKind::NetworkUnreachable, "Network is unreachable"),
        _ => return None,
    };
    let number = number.map(|number| format!(" (os error {})", -number)).unwrap_or_default();
    Some((kind, format!("{text}{number}")))
}

fn io_error(error: JsValue) -> io::Error {
    let error: &js::Error = error.unchecked_ref();
    let (code, text) = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
    let (kind, text) = described(&code, error.errno()).unwrap_or((io::ErrorKind::Other, text));
    io::Error::new(kind, text)
}

fn parse_signal(name: &str) -> Signal {
    match name {
        "SIGINT" => Signal::Interrupt,
        "SIGQUIT" => Signal::Quit,
        "SIGHUP" => Signal::HangUp,
        _ => Signal::Terminate,
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[async_trait(?Send)]
impl Host for Node {
    fn env(&self) -> &Env {
        &self.env
    }

    fn platform(&self) -> Platform {
        let os = match js::platform().as_str() {
            "darwin" => "macos".to_owned(),
            "win32" => "windows".to_owned(),
            other => other.to_owned(),
        };
        let arch = match js::arch().as_str() {
            "x64" => "x86_64".to_owned(),
            "arm64" => "aarch64".to_owned(),
            other => other.to_owned(),
        };
        Platform { os, arch }
    }

    fn current_exe_argv(&self) -> Vec<String> {
        js::program()
    }

    fn now(&self) -> Duration {
        Duration::from_secs_f64(js::now() / 1000.0)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs_f64(js::elapsed() / 1000.0)
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| js::now() as u64)
    }

    fn sign_rs256(&self, key: &Secret, message: &[u8]) -> Option<Vec<u8>> {
        js::sign_rs256(key.expose(), message).ok()
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(task);
    }

    async fn sleep(&self, duration: Duration) {
        js::sleep(duration.as_secs_f64() * 1000.0).await;
    }

    async fn interrupted(&self) -> Signal {
        loop {
            // A caller that gives up here leaves the signal for the next one.
            js::interrupted().await;
            if let Some(name) = js::next_signal() {
                return parse_signal(&name);
            }
        }
    }

    async fn terminated(&self) -> Signal {
        parse_signal(&js::terminated().await)
    }

    fn trust(&self, pem: &[u8]) -> Result<(), String> {
        let found = js::certificates(&String::from_utf8_lossy(pem));
        if found.is_empty() {
            return Err("no PEM certificate found".to_owned());
        }
        for certificate in &found {
            js::check_certificate(certificate).map_err(|error| io_error(error).to_string())?;
        }
        self.extra_roots.borrow_mut().extend(found);
        self.roots.replace(None);
        Ok(())
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        js::current_dir().map(|path| self.path(path)).map_err(io_error)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        js::read(text(path)).map_err(io_error)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        js::read_at(text(path), offset as f64, length as f64).map_err(io_error)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let opened = js::open_file(text(path)).map_err(io_error)?;
        Ok(Box::new(open::Open::new(opened, Some(path), |real| self.path(real))))
    }

    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>> {
        let opened = js::open_stdin().map_err(io_error)?;
        Ok(Box::new(open::Open::new(opened, None, |real| self.path(real))))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        js::read_link(text(path)).map(|target| self.path(target)).map_err(io_error)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let found = js::list(text(folder)).map_err(io_error)?;
        Ok(found.into_iter().map(|path| self.path(path)).collect())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        js::make_folder(text(parent)).map_err(io_error)?;
        let scratch = parent.join(format!(".cml-{:016x}", self.random()));
        let written = js::write(text(&scratch), bytes).and_then(|()| js::rename(text(&scratch), text(path)));
        written.map_err(|error| {
            let _ = js::remove(text(&scratch));
            io_error(error)
        })
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        js::append(text(path), bytes).map_err(io_error)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        js::remove(text(path)).map_err(io_error)
    }

    fn make_executable(&self, path: &Path) -> io::Result<()> {
        js::make_executable(text(path)).map_err(io_error)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let stat = js::stat(text(path)).map_err(io_error)?;
        Ok(Stat { is_file: stat.is_file(), len: stat.size(), modified: u128::from(stat.modified()) })
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        js::canonicalize(text(path)).map(|path| self.path(path)).map_err(io_error)
    }

    async fn execute(&self, command: &Command) -> io::Result<Output> {
        if command.argv.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (added, removed) = environment_changes(command);
        let child = js::run(js::Child {
            argv: command.argv.clone(),
            added,
            removed,
            limit: command.limit.map(|limit| limit.as_secs_f64() * 1000.0),
            lingers: command.lingers,
            input: command.input.clone(),
            most: (MAX_OUTPUT + 1, MAX_ERRORS),
        });
        let output = child.output().await.map_err(io_error)?;
        if output.late() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let stdout = output.stdout();
        if stdout.len() > MAX_OUTPUT {
            return Err(io::Error::other(format!("it printed more than {} MB", MAX_OUTPUT >> 20)));
        }
        Ok(Output { code: output.code(), stdout, stderr: output.stderr() })
    }

    fn process_id(&self) -> u32 {
        js::process_id()
    }

    fn is_running(&self, process: u32) -> bool {
        js::is_running(process)
    }

    fn is_foreign(&self, path: &Path) -> bool {
        js::is_foreign(text(path))
    }

    async fn hand_over(&self, command: &Command) -> io::Result<Option<i32>> {
        if command.argv.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (added, removed) = environment_changes(command);
        js::hand_over(command.argv.clone(), added, removed, &command.input).await.map_err(io_error)
    }

    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
        match self.attempt(&request, timeout).await {
            // Nothing was sent over a connection that is not trusted.
            Err(error) if error.phase == SendPhase::Tls && trusts_usual_roots(&request) && self.add_system_roots() => {
                self.attempt(&request, timeout).await
            }
            outcome => outcome,
        }
    }

    fn log(&self, line: &str) {
        let _ = js::print(2, format!("{line}\n").as_bytes());
    }

    fn progress(&self, line: &str) {
        let _ = js::print(2, format!("\r\x1b[K{line}").as_bytes());
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        js::is_terminal(if stream == Stream::Output { 1 } else { 2 })
    }

    fn out(&self, bytes: &[u8]) -> io::Result<()> {
        js::print(1, bytes).map_err(io_error)
    }
}

/// Returns what a command's environment has in addition, names and values in turn, and the names that it lacks.
fn environment_changes(command: &Command) -> (Vec<String>, Vec<String>) {
    let added = command.env.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
    (added, js::environment().into_iter().step_by(2).filter(|name| command.removes(name)).collect())
}
