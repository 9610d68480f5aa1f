//! The host of the native program: real files, processes, clock and network.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::disallowed_types)]

use super::proxy::Proxies;
use super::{
    CertificateFault, Command, Host, MaxAnswer, OpenFile, Output, Platform, ProxyOverride, SendError, SendPhase,
    Signal, Stat, Stream,
};
#[cfg(unix)]
use super::{CommandSpec, Process};
use crate::env::{Env, vars};
use crate::error::chain;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
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
mod signals;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("setup-cml-rs/", env!("CARGO_PKG_VERSION"));

/// The host of the native program. The HTTP client is created at the first request, so that commands without one start
/// at once.
pub struct Native {
    env: Env,
    started: Instant,
    extra_roots: RefCell<Vec<CertificateDer<'static>>>,
    /// The client without a proxy.
    client: OnceCell<reqwest::Client>,
    /// Clients of proxies that the environment or a request names.
    by_proxy: RefCell<HashMap<String, reqwest::Client>>,
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
            client: OnceCell::new(),
            by_proxy: RefCell::default(),
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

    fn client(&self) -> Result<&reqwest::Client, SendError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.build_client(None)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn client_for(&self, request: &http::Request<Bytes>) -> Result<reqwest::Client, SendError> {
        if let Some(proxy_override) = request.extensions().get::<ProxyOverride>() {
            return self.client_by(proxy_override);
        }
        let url = Url::parse(&request.uri().to_string()).map_err(|e| invalid(e.to_string()))?;
        match Proxies::from_env(&self.env).map_err(invalid)?.for_url(&url) {
            Some(proxy) => self.client_by(&ProxyOverride(proxy.to_owned())),
            None => self.client().cloned(),
        }
    }

    fn client_by(&self, ProxyOverride(proxy): &ProxyOverride) -> Result<reqwest::Client, SendError> {
        if let Some(client) = self.by_proxy.borrow().get(proxy) {
            return Ok(client.clone());
        }
        let all = reqwest::Proxy::all(proxy).map_err(|e| invalid(root_cause(&e)))?;
        let client = self.build_client(Some(all))?;
        self.by_proxy.borrow_mut().insert(proxy.clone(), client.clone());
        Ok(client)
    }

    fn build_client(&self, proxy: Option<reqwest::Proxy>) -> Result<reqwest::Client, SendError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_backend_preconfigured(self.tls()?)
            .no_proxy();
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|e| invalid(root_cause(&e)))
    }

    fn tls(&self) -> Result<rustls::ClientConfig, SendError> {
        let tls = |text: String| SendError::new(SendPhase::Tls, text);
        let mut roots = rustls::RootCertStore::empty();
        let (file, dir) = (self.env.get(vars::SSL_CERT_FILE), self.env.get(vars::SSL_CERT_DIR));
        let found = match (file, dir) {
            (None, None) => rustls_native_certs::load_native_certs(),
            _ => rustls_native_certs::load_certs_from_paths(file.map(Path::new), dir.map(Path::new)),
        };
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            if let Some(file) = file {
                return Err(tls(format!("{} names {file}, which contains no certificate", vars::SSL_CERT_FILE.name)));
            }
            // An image without CA certificates: the ones that the program carries.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        // CML ran on Node, where this adds to whatever is trusted otherwise.
        if let Some(file) = self.env.get(vars::NODE_EXTRA_CA_CERTS) {
            roots.add_parsable_certificates(
                rustls_native_certs::load_certs_from_paths(Some(Path::new(file)), None).certs,
            );
        }
        for root in self.extra_roots.borrow().iter() {
            roots.add(root.clone()).map_err(|e| tls(format!("the certificate of --ca-cert: {e}")))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| tls(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
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

fn classify(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let all = format!("{error:?}").to_lowercase();
    let tls = find::<rustls::Error>(&error).filter(|_| error.is_connect());
    let phase = if let Some(tls) = tls {
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

    async fn hand_over(&self, argv: &[&str]) -> io::Result<Option<i32>> {
        let (program, args) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(tokio::process::Command::new(program).args(args).status().await?.code())
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
        download::download(&self.client_for(&request)?, request, to, patience).await
    }

    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
        let (client, limit) = (self.client_for(&request)?, MaxAnswer::of(&request));
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

    fn out(&self, text: &str) -> io::Result<()> {
        io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush())
    }
}
