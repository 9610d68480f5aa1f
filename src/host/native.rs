//! The host of the native program: real files, processes, clock and network.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::disallowed_types)]

use super::proxy::Proxies;
use super::{
    CertificateFault, Command, Host, MaxAnswer, OpenFile, Output, Platform, ProxyOverride, SendError, SendPhase,
    Signal, Stat, Stream, TlsOptions,
};
#[cfg(unix)]
use super::{CommandSpec, Process};
use crate::env::{Env, Secret};
use crate::error::chain;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::cell::RefCell;
use std::error::Error as StdError;
use std::fs;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use url::Url;

mod child;
mod download;
mod files;
#[cfg(unix)]
pub mod guard;
#[cfg(unix)]
mod lines;
mod open;
#[cfg(unix)]
mod process;
mod rsa;
mod signals;
mod tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("setup-cml-rs/", env!("CARGO_PKG_VERSION"));

/// The host of the native program. The HTTP client is created at the first request, so that commands without one start
/// at once.
pub struct Native {
    env: Env,
    started: Instant,
    extra_roots: RefCell<Vec<CertificateDer<'static>>>,
    clients: RefCell<Vec<(Route, reqwest::Client)>>,
    signals: signals::Signals,
    /// The file of this program, or of another build of it.
    #[cfg(unix)]
    this: Option<PathBuf>,
}

/// File descriptors that the runtime and one request need.
#[cfg(unix)]
const DESCRIPTORS: usize = 7;

/// Checks that this process may open as many files as it needs to start: the runtime would stop with its own message.
pub fn check_descriptors() -> io::Result<()> {
    #[cfg(unix)]
    {
        let spare = || std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned();
        std::iter::repeat_with(spare).take(DESCRIPTORS).collect::<io::Result<Vec<_>>>()?;
    }
    Ok(())
}

impl Default for Native {
    fn default() -> Self {
        // Values that are not Unicode cannot be anything that this program reads.
        let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Native {
            env: env.collect(),
            started: Instant::now(),
            extra_roots: RefCell::default(),
            clients: RefCell::default(),
            signals: signals::Signals::default(),
            #[cfg(unix)]
            this: None,
        }
    }
}

impl Native {
    /// Returns this host with another environment: for tests.
    #[must_use]
    pub fn in_env(self, env: Env) -> Self {
        Native { env, ..self }
    }

    /// Returns this host with another executable for the guard: for tests, which are not the program.
    #[cfg(unix)]
    #[must_use]
    pub fn guarded_by(self, program: PathBuf) -> Self {
        Native { this: Some(program), ..self }
    }

    /// Returns the client for a request, and the request as it is to be sent by it.
    fn prepare(&self, request: http::Request<Bytes>) -> Result<(reqwest::Client, http::Request<Bytes>), SendError> {
        let url = Url::parse(&request.uri().to_string()).map_err(|e| invalid(e.to_string()))?;
        let proxy = match request.extensions().get::<ProxyOverride>() {
            Some(ProxyOverride(proxy)) => Some(proxy.clone()),
            None => Proxies::from_env(&self.env).map_err(invalid)?.for_url(&url).map(str::to_owned),
        };
        let tls = request.extensions().get::<Arc<TlsOptions>>().cloned();
        let name = tls.as_ref().and_then(|tls| tls.server_name.clone());
        let Some(name) = name.filter(|_| url.scheme() == "https") else {
            return Ok((self.client(Route { proxy, tls, host: None })?, request));
        };
        if proxy.is_some() {
            return Err(invalid("another server name cannot be asked for through a proxy".to_owned()));
        }
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned());
        let request = renamed(request, url, &name)?;
        Ok((self.client(Route { proxy, tls, host })?, request))
    }

    /// Returns the client of a route, which is created for its first request.
    fn client(&self, route: Route) -> Result<reqwest::Client, SendError> {
        if let Some((_, client)) = self.clients.borrow().iter().find(|(known, _)| *known == route) {
            return Ok(client.clone());
        }
        let tls = tls::config(&self.env, &self.extra_roots.borrow(), route.tls.as_deref())?;
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(tls)
            .no_proxy();
        if let Some(proxy) = &route.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|e| invalid(root_cause(&e)))?);
        }
        if let Some(host) = &route.host {
            builder = builder.dns_resolver(Arc::new(OneHost(host.clone())));
        }
        let client = builder.build().map_err(|e| invalid(root_cause(&e)))?;
        self.clients.borrow_mut().push((route, client.clone()));
        Ok(client)
    }
}

/// How requests get to their servers: those of one route share connections.
#[derive(Clone, PartialEq, Eq)]
struct Route {
    proxy: Option<String>,
    tls: Option<Arc<TlsOptions>>,
    /// The host to connect to, where the address has another server name.
    host: Option<String>,
}

/// Resolves every name to one host.
struct OneHost(String);

impl Resolve for OneHost {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move { Ok(Box::new(tokio::net::lookup_host((host, 0)).await?) as Addrs) })
    }
}

/// Returns a request with a server name in its address, and with the host of the address in a header.
fn renamed(mut request: http::Request<Bytes>, mut url: Url, name: &str) -> Result<http::Request<Bytes>, SendError> {
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let host = http::HeaderValue::from_str(&host).map_err(|e| invalid(e.to_string()))?;
    request.headers_mut().entry(http::header::HOST).or_insert(host);
    let is_name = !name.is_empty() && name.parse::<std::net::IpAddr>().is_err() && url.set_host(Some(name)).is_ok();
    if !is_name {
        return Err(invalid(format!("'{name}' is not the name of a server")));
    }
    *request.uri_mut() = url.as_str().parse().map_err(|e: http::uri::InvalidUri| invalid(e.to_string()))?;
    Ok(request)
}

fn invalid(text: String) -> SendError {
    SendError::new(SendPhase::Invalid, text)
}

/// Returns the message of the innermost error.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    texts(error).pop().unwrap_or_default()
}

/// Returns the messages of an error and of its sources.
fn texts(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    texts.dedup();
    texts
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // The source of an `io::Error` is that of the error which it wraps, not that error.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    None
}

/// Returns what is wrong with a certificate other than that it is not trusted.
fn flaw(error: &rustls::Error) -> Option<CertificateFault> {
    use rustls::{CertificateError as Wrong, Error};
    match error {
        Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => Some(CertificateFault::Expired),
        Error::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => {
            Some(CertificateFault::NotYetValid)
        }
        Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => {
            Some(CertificateFault::WrongName)
        }
        _ => None,
    }
}

/// Returns whether the text of an error is about an alert that refuses the client's certificate, or demands one:
/// <https://www.rfc-editor.org/rfc/rfc8446#section-6.2>. With HTTP/2 only the text of it is left.
fn refuses_certificate(text: &str) -> bool {
    let alerts = ["AccessDenied", "BadCertificate", "CertificateExpired", "CertificateRequired", "CertificateRevoked"];
    let others = ["CertificateUnknown", "DecryptError", "UnknownCA", "UnsupportedCertificate"];
    let alert = text.rsplit_once("received fatal alert: ").map(|(_, alert)| alert);
    alert.is_some_and(|alert| alerts.iter().chain(&others).any(|known| *known == alert))
}

fn classify(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let all = format!("{error:?}").to_lowercase();
    let tls = find::<rustls::Error>(&error).filter(|_| error.is_connect());
    let phase = if texts(&error).iter().any(|text| refuses_certificate(text)) {
        SendPhase::ClientCertificate
    } else if let Some(tls) = tls {
        flaw(tls).map_or(SendPhase::Tls, SendPhase::Certificate)
    } else if all.contains("tunnel") || all.contains("proxyauth") {
        SendPhase::Proxy
    } else if error.is_connect() {
        if all.contains("dns") || all.contains("resolve") { SendPhase::Name } else { SendPhase::Connect }
    } else if error.is_timeout() {
        SendPhase::Timeout
    } else if error.is_builder() {
        SendPhase::Invalid
    } else {
        SendPhase::Broken
    };
    let texts = texts(&error);
    let cause =
        texts.iter().rev().fold(None, |cause, text| Some(Box::new(SendError { cause, ..SendError::new(phase, text) })));
    SendError { cause, ..SendError::new(phase, texts.last().cloned().unwrap_or_default()) }
}

#[async_trait(?Send)]
impl Host for Native {
    fn env(&self) -> &Env {
        &self.env
    }

    fn platform(&self) -> Platform {
        Platform { os: std::env::consts::OS.to_owned(), arch: std::env::consts::ARCH.to_owned() }
    }

    fn current_exe_argv(&self) -> Vec<String> {
        let path = std::env::current_exe().map(|path| path.to_string_lossy().into_owned());
        vec![path.unwrap_or_else(|_| "cml".to_owned())]
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn random(&self) -> u64 {
        // The system's source fails only where there is none at all; time still spreads the retries then.
        getrandom::u64().unwrap_or_else(|_| self.now().as_nanos() as u64)
    }

    fn sign_rs256(&self, key: &Secret, message: &[u8]) -> Option<Vec<u8>> {
        rsa::sign(key, message)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn interrupted(&self) -> Signal {
        self.signals.next().await
    }

    async fn terminated(&self) -> Signal {
        self.signals.ended().await
    }

    fn trust(&self, pem: &[u8]) -> Result<(), String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(found) if !found.is_empty() => {
                self.extra_roots.borrow_mut().extend(found);
                Ok(())
            }
            Ok(_) => Err("no PEM certificate found".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(open::Open::path(path)?))
    }

    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(open::Open::stdin()?))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let scratch = parent.join(format!(".cml-{:016x}", self.random()));
        fs::write(&scratch, bytes).and_then(|()| fs::rename(&scratch, path)).inspect_err(|_| {
            let _ = fs::remove_file(&scratch);
        })
    }

    fn write_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        files::write_private(path, &path.with_file_name(format!(".cml-{:016x}", self.random())), bytes)
    }

    fn make_private_folder(&self, path: &Path) -> io::Result<()> {
        files::make_private_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    async fn copy_program(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        tokio::task::spawn_blocking(move || files::copy_program(&from, &to)).await?
    }

    async fn unpack(&self, archive: &Path, folder: &Path) -> io::Result<()> {
        let (archive, folder) = (archive.to_owned(), folder.to_owned());
        tokio::task::spawn_blocking(move || files::unpack(&archive, &folder)).await?
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(bytes)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_executable(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let _ = path;
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let meta = fs::metadata(path)?;
        let modified = meta.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(Stat { is_file: meta.is_file(), len: meta.len(), modified: modified.as_nanos() })
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    async fn execute(&self, command: &Command) -> io::Result<Output> {
        child::run(command, &self.signals).await
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    fn is_running(&self, process: u32) -> bool {
        #[cfg(unix)]
        {
            let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
            // Another user's process cannot be asked, and runs.
            pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
        }
        #[cfg(not(unix))]
        {
            let _ = process;
            true
        }
    }

    fn is_foreign(&self, path: &Path) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let own = rustix::process::geteuid().as_raw();
            // As git does: what belongs to the user behind `sudo` is the user's own.
            let sudo = self.env.named("SUDO_UID").filter(|_| own == 0).and_then(|user| user.parse::<u32>().ok());
            fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() != own && Some(meta.uid()) != sudo)
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            false
        }
    }

    async fn hand_over(&self, command: &Command) -> io::Result<Option<i32>> {
        child::hand_over(command).await
    }

    #[cfg(unix)]
    async fn start(&self, spec: &CommandSpec) -> io::Result<Box<dyn Process>> {
        // What is started must be ended before this program.
        self.signals.listen();
        // On Linux this stays the file that runs, also when an update has taken its place.
        let same = Path::new("/proc/self/exe");
        let this = match &self.this {
            Some(this) => this.clone(),
            None if same.exists() => same.to_owned(),
            None => std::env::current_exe()?,
        };
        process::start(&this, spec).await
    }

    async fn download(
        &self,
        request: http::Request<Bytes>,
        to: &Path,
        patience: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        let (client, request) = self.prepare(request)?;
        download::download(&client, request, to, patience).await
    }

    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
        let limit = MaxAnswer::of(&request);
        let (client, request) = self.prepare(request)?;
        let mut request = reqwest::Request::try_from(request).map_err(classify)?;
        *request.timeout_mut() = Some(timeout);
        let mut answer = client.execute(request).await.map_err(classify)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = http::Response::new(download::body(&mut answer, limit).await?);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    #[cfg(target_os = "linux")]
    fn notify(&self, state: &str) {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let Some(name) = self.env().named("NOTIFY_SOCKET") else { return };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        // Without a listener there is nothing to do.
        let _ = address.and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    }

    fn log(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn progress(&self, line: &str) {
        let _ = write!(io::stderr(), "\r\x1b[K{line}").and_then(|()| io::stderr().flush());
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Output => io::stdout().is_terminal(),
            Stream::Error => io::stderr().is_terminal(),
        }
    }

    fn out(&self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().write_all(bytes).and_then(|()| io::stdout().flush())
    }
}
