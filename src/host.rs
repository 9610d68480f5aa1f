//! The seam to the operating system and the network: everything that the core needs besides computation.
//!
//! `native` implements it for shells and CI machines, `node` for the WebAssembly in GitHub's runners. Nothing outside this folder touches files, the clock, processes or the
//! network (`clippy.toml` sees to it).

use crate::env::{Env, Secret};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod logs;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
#[cfg(target_arch = "wasm32")]
pub mod node;
pub mod open;
pub mod process;
pub mod proxy;
mod tls;

pub use open::{FileFacts, FileKind, OpenFile};
pub use process::{CONTAINERS, CommandSpec, Process, ProcessEvent, ShutdownPolicy, SignalTarget};
pub use tls::{ClientIdentity, TlsOptions};

/// What the program runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `macos` or `windows`; others as they call themselves.
    pub os: String,
    /// `x86_64` or `aarch64`; others as they call themselves.
    pub arch: String,
}

/// What the file system says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// A regular file (links followed).
    pub is_file: bool,
    /// Its size in bytes.
    pub len: u64,
    /// When it last changed, in nanoseconds since 1970.
    pub modified: u128,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// A command to run to its end. No `Debug`: its environment may hold secrets.
#[derive(Clone, Default)]
pub struct Command {
    /// The program and its arguments; never through a shell.
    pub argv: Vec<String>,
    /// Variables to add to the environment: the place for secrets, which anybody can read in a list of arguments.
    pub env: Vec<(String, String)>,
    /// Variables to take out of it.
    pub unset: Vec<String>,
    /// Whether it is one of the user's own programs and inherits this program's tokens and identities.
    pub trusted: bool,
    /// How long it may run before it is killed with all that it started.
    pub limit: Option<Duration>,
    /// What it reads on standard input.
    pub input: Vec<u8>,
    /// Whether what it starts outlives it, as a browser does. Its output is not kept.
    pub lingers: bool,
}

impl Command {
    /// Creates a command that inherits none of this program's tokens.
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Self {
        Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() }
    }

    /// Returns whether a variable is removed from its environment.
    pub fn removes(&self, name: &str) -> bool {
        self.unset.iter().any(|unset| unset == name) || (!self.trusted && crate::env::is_sensitive(name))
    }
}

/// The most bytes of a command's standard output that are kept; more is an error.
pub const MAX_OUTPUT: usize = 64 << 20;
/// The most bytes of its standard error that are kept; the rest is dropped.
pub const MAX_ERRORS: usize = 1 << 20;

/// A signal, where the system has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGQUIT.
    Quit,
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGKILL: cannot be ignored.
    Kill,
}

impl Signal {
    /// Returns its name, as `kill -l` and CML write it.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
            Signal::Quit => "SIGQUIT",
            Signal::HangUp => "SIGHUP",
            Signal::Kill => "SIGKILL",
        }
    }

    /// Returns the exit code of a program that it ended, as shells give it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Signal::HangUp => 129,
            Signal::Interrupt => 130,
            Signal::Quit => 131,
            Signal::Kill => 137,
            Signal::Terminate => 143,
        }
    }
}

/// Where the program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: results, help.
    Output,
    /// Standard error: the log.
    Error,
}

/// Why a request got no answer, and in which phase it failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// The phase in which it failed.
    pub phase: SendPhase,
    /// The message of the operating system or library, without any URL.
    pub text: String,
    /// The libraries' errors from the outermost to the one that `text` belongs to, as far as they are known.
    #[source]
    pub cause: Option<Box<SendError>>,
}

/// The phase in which sending a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendPhase {
    /// The name of the server, or of the proxy, cannot be resolved.
    Name,
    /// No connection to the server: nothing was sent.
    Connect,
    /// The connection to or through the proxy failed: nothing was sent.
    Proxy,
    /// The certificate is not trusted, or TLS failed: nothing was sent.
    Tls,
    /// The certificate is trusted, and wrong: nothing was sent.
    Certificate(CertificateFault),
    /// The server does not accept the client's certificate, or demands one: nothing was carried out.
    ClientCertificate,
    /// The attempt timed out. The request may have been carried out.
    Timeout,
    /// The connection was lost during the request or the answer. The request may have been carried out.
    Broken,
    /// The answer is larger than [`MaxAnswer`] allows; the text says how large that is. The request may have been carried out.
    TooLarge,
    /// The request could not be built: an address is invalid.
    Invalid,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It does not name the server.
    WrongName,
}

impl SendError {
    /// Creates the error of a phase.
    pub fn new(phase: SendPhase, text: impl Into<String>) -> Self {
        SendError { phase, text: text.into(), cause: None }
    }

    /// Creates the error of an answer that is larger than `limit` bytes.
    pub fn too_large(limit: u64) -> Self {
        SendError::new(SendPhase::TooLarge, format!("{} MB", limit >> 20))
    }
}

/// The most bytes that the answer to a request may have, as an extension of the request: the rest is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAnswer(pub u64);

impl MaxAnswer {
    /// The usual limit: a page of a hundred of the longest comments.
    pub const USUAL: MaxAnswer = MaxAnswer(64 << 20);

    /// Returns the limit of a request in bytes.
    pub fn of(request: &http::Request<Bytes>) -> u64 {
        request.extensions().get().unwrap_or(&MaxAnswer::USUAL).0
    }
}

/// The proxy of one request, as an extension of the request: it overrides the environment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyOverride(pub String);

/// The operating system and the network. Each build has one implementation.
#[async_trait(?Send)]
pub trait Host {
    /// Returns the environment, as it was at the start.
    fn env(&self) -> &Env;
    /// Returns the operating system and architecture.
    fn platform(&self) -> Platform;
    /// Returns the command line that starts this program again: its executable, or Node and the script.
    fn current_exe_argv(&self) -> Vec<String>;
    /// Returns the wall-clock time since 1970.
    fn now(&self) -> Duration;
    /// Returns the time since some fixed moment; it never goes back.
    fn elapsed(&self) -> Duration;
    /// Returns a random number, good enough for identifiers that must not collide.
    fn random(&self) -> u64;
    /// Signs a message with an RSA key in PEM: PKCS #1 v1.5 with SHA-256, the `RS256` of
    /// <https://www.rfc-editor.org/rfc/rfc7518#section-3.3>; `None` when it is not such a key.
    fn sign_rs256(&self, key: &Secret, message: &[u8]) -> Option<Vec<u8>>;
    /// Runs a task beside the others; it ends with the program.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Waits for a signal that asks this program to end, and returns it. From the first call on, signals that arrive
    /// between two calls are kept. For one caller at a time.
    async fn interrupted(&self) -> Signal;
    /// Resolves when such a signal has ended a command of [`Host::execute`], unless [`Host::interrupted`] is waiting for
    /// it. Without commands a signal ends this program at once.
    async fn terminated(&self) -> Signal {
        std::future::pending().await
    }

    /// Adds certificate authorities, as PEM, that all later requests trust.
    fn trust(&self, pem: &[u8]) -> Result<(), String>;

    /// Returns the current directory.
    fn current_dir(&self) -> io::Result<PathBuf>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes a whole file atomically, creating its folder.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to `length` bytes of a file from `offset`.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Opens a file for reading without waiting for the writer of a pipe.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Opens standard input.
    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>>;
    /// Returns the target of a symbolic link; an error for everything else.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// Returns the paths of a folder's entries, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Writes a whole file that only this user can read, creating its folder likewise.
    fn write_private(&self, _path: &Path, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Creates a folder that only this user can enter, with its parents; an existing one stays as it is.
    fn make_private_folder(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a folder with all that is in it.
    fn remove_folder(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Renames a file within its file system, taking the place of another.
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Copies a file as a program that only this user can run.
    async fn copy_program(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Unpacks a `tar.gz` into a folder. An entry that leads outside is an error.
    async fn unpack(&self, _archive: &Path, _folder: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Appends to a file, creating it.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a file executable for everybody, where the system has such a permission.
    fn make_executable(&self, path: &Path) -> io::Result<()>;
    /// Returns what the file system says about a path.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// Resolves every symbolic link of a path.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// Runs a command with its standard input, and no terminal, in a process group of its own. The whole group is gone when this returns or
    /// is dropped, unless the command lingers.
    async fn execute(&self, command: &Command) -> io::Result<Output>;
    /// Runs a program with its arguments and more variables, and without this program's tokens.
    async fn run(&self, argv: &[&str], env: &[(&str, &str)]) -> io::Result<Output> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.execute(&Command { env, ..Command::new(argv.iter().copied()) }).await
    }
    /// Returns the id of this process.
    fn process_id(&self) -> u32;
    /// Returns whether a process with this id runs.
    fn is_running(&self, process: u32) -> bool;
    /// Returns whether a file belongs to another user than the one who runs this program (links are not followed); `false`
    /// where the system does not tell.
    fn is_foreign(&self, path: &Path) -> bool;

    /// Runs a program with this one's standard output and error, and with its standard input unless the command has its own. Returns
    /// its exit code, `None` when a signal ended it.
    async fn hand_over(&self, command: &Command) -> io::Result<Option<i32>>;

    /// Starts a program beside this one, in a process group of its own. Nothing of it survives this program, however that
    /// ends, as far as the system allows.
    async fn start(&self, _spec: &CommandSpec) -> io::Result<Box<dyn Process>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sends one request and writes the body of a 2xx answer to a private file; other answers are returned with their body.
    /// A [`MaxAnswer`] among its extensions limits both. There is no timeout for the whole; it fails when no byte arrives
    /// for `patience`.
    async fn download(
        &self,
        _request: http::Request<Bytes>,
        _to: &Path,
        _patience: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        Err(SendError::new(SendPhase::Invalid, "only the native program can download to files"))
    }

    /// Sends one request and returns whatever the server answers, redirects included. `timeout` bounds the
    /// whole exchange. Of its extensions, [`ProxyOverride`] names its proxy, [`MaxAnswer`]
    /// limits the answer, and [`TlsOptions`] secure the connection.
    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError>;

    /// Sends the state of this service to the service manager, if there is one:
    /// <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>.
    fn notify(&self, _state: &str) {}

    /// Writes a line to standard error.
    fn log(&self, line: &str);
    /// Replaces the last line of standard error, on a terminal.
    fn progress(&self, line: &str);
    /// Returns whether a stream is a terminal.
    fn is_terminal(&self, stream: Stream) -> bool;
    /// Writes to standard output and flushes it.
    fn out(&self, bytes: &[u8]) -> io::Result<()>;
}
