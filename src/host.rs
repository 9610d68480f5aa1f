//! The seam to the outside world: everything the core needs that is not computation.
//!
//! `native` implements it for shells and CI machines, `node` for the WebAssembly in GitHub's runners. Nothing outside this folder touches files, the clock, processes or the
//! network (`clippy.toml` sees to it).

use crate::env::Env;
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

pub use open::{FileFacts, FileKind, OpenFile};
pub use process::{CONTAINERS, Farewell, Process, Program, Told, Whom};

/// What the program runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `macos` or `windows`; others as they call themselves.
    pub os: String,
    /// `x86_64` or `aarch64`; others as they call themselves.
    pub arch: String,
}

/// What a file system says of a path.
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
    /// Whether it is a program of the user's own, which gets this program's tokens and identities, too.
    pub trusted: bool,
    /// How long it may run. Then it is killed, with all that it started.
    pub limit: Option<Duration>,
    /// Whether what it starts goes on after it, as a browser does. Nothing of its output is kept.
    pub lingers: bool,
}

impl Command {
    /// A command without any of this program's tokens.
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Self {
        Command { argv: argv.into_iter().map(Into::into).collect(), ..Command::default() }
    }

    /// Whether it does not inherit a variable.
    pub fn removes(&self, name: &str) -> bool {
        self.unset.iter().any(|unset| unset == name) || (!self.trusted && crate::env::is_sensitive(name))
    }
}

/// The most that is kept of a command's standard output; more is an error.
pub const MAX_OUTPUT: usize = 64 << 20;
/// The most that is kept of its standard error; the rest is left out.
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
    /// The exit code of a program that it ended, as shells give it.
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

/// Why no answer came back, and whether the request can have been carried out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// The stage at which it failed.
    pub stage: Stage,
    /// What the operating system or library says, without any URL.
    pub text: String,
    /// The errors of the libraries from the outermost to the one that `text` is of, as far as they are known.
    #[source]
    pub cause: Option<Box<SendError>>,
}

/// The stage at which sending a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The name of the server, or of the proxy, cannot be resolved.
    Name,
    /// No connection to the server: nothing was sent.
    Connect,
    /// The connection to or through the proxy failed: nothing was sent.
    Proxy,
    /// The certificate is not trusted, or TLS failed: nothing was sent.
    Tls,
    /// The certificate is trusted, and wrong: nothing was sent.
    Certificate(Flaw),
    /// The time for the attempt was over. The request may have been carried out.
    Timeout,
    /// The connection ended during the request or the answer. The request may have been carried out.
    Broken,
    /// The answer is larger than [`MaxAnswer`] allows, which the text says. The request may have been carried out.
    TooLarge,
    /// The request could not be built: a mistake in an address.
    Invalid,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is not for the name of the server.
    WrongName,
}

impl SendError {
    /// An error at a stage.
    pub fn new(stage: Stage, text: impl Into<String>) -> Self {
        SendError { stage, text: text.into(), cause: None }
    }

    /// The error of an answer that is larger than so many bytes.
    pub fn too_large(limit: u64) -> Self {
        SendError::new(Stage::TooLarge, format!("{} MB", limit >> 20))
    }
}

/// The most bytes that the answer to a request may have, as an extension of it: the rest is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAnswer(pub u64);

impl MaxAnswer {
    /// What most answers keep to: a page of a hundred of the longest comments.
    pub const USUAL: MaxAnswer = MaxAnswer(64 << 20);

    /// Returns the limit of a request in bytes.
    pub fn of(request: &http::Request<Bytes>) -> u64 {
        request.extensions().get().unwrap_or(&MaxAnswer::USUAL).0
    }
}

/// The address of a proxy for one request, as an extension of it: it goes there whatever the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via(pub String);

/// Everything outside: one implementation a build.
#[async_trait(?Send)]
pub trait Host {
    /// The environment, as it was at the start.
    fn env(&self) -> &Env;
    /// What the program runs on.
    fn platform(&self) -> Platform;
    /// The words that start this program again: its file, or Node and the script.
    fn program(&self) -> Vec<String>;
    /// Wall-clock time since 1970.
    fn now(&self) -> Duration;
    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
    /// A random number, good enough for identifiers that must not collide.
    fn random(&self) -> u64;
    /// Runs a task beside the others; it ends with the program.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Waits.
    async fn sleep(&self, duration: Duration);
    /// Resolves when the user or the CI system asks the program to end, and says how. From the first call on, no signal
    /// is lost that arrives between two calls. For one caller at a time.
    async fn interrupted(&self) -> Signal;
    /// Resolves when such a signal has ended a command of [`Host::execute`], unless somebody waits for it with
    /// [`Host::interrupted`]. Without commands a signal ends this program at once.
    async fn terminated(&self) -> Signal {
        std::future::pending().await
    }

    /// Trusts more certificate authorities, given as PEM, for all requests that follow.
    fn trust(&self, pem: &[u8]) -> Result<(), String>;

    /// The current directory.
    fn current_dir(&self) -> io::Result<PathBuf>;
    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Writes a whole file at once (a reader sees the old or the new one), making its folder.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// A part of a file: `length` bytes from `offset` on, fewer where it ends.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Opens a file for reading without waiting for whoever is at the other end of a pipe.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Standard input as an open file.
    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>>;
    /// Where a symbolic link leads, as it says itself; an error for everything else.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// The paths of what is in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Writes a whole file that only this user can read, making its folder likewise.
    fn write_private(&self, _path: &Path, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes a folder that only this user can enter, with those above it; one that is there stays as it is.
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
    /// Unpacks a `tar.gz` into a folder. An entry that would be outside of it is an error.
    async fn unpack(&self, _archive: &Path, _folder: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Appends to a file, making it.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Lets everybody run a file, where the system asks for that.
    fn make_executable(&self, path: &Path) -> io::Result<()>;
    /// What a path is.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// The path with every symbolic link resolved.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// Runs a command without standard input, in a process group of its own. Nothing of the group is left when this
    /// returns or is dropped, unless the command lingers.
    async fn execute(&self, command: &Command) -> io::Result<Output>;
    /// Runs a program with its arguments and more variables, and without this program's tokens.
    async fn run(&self, argv: &[&str], env: &[(&str, &str)]) -> io::Result<Output> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.execute(&Command { env, ..Command::new(argv.iter().copied()) }).await
    }
    /// The number of this process.
    fn process_id(&self) -> u32;
    /// Whether a process of this number runs.
    fn is_running(&self, process: u32) -> bool;
    /// Whether a file belongs to another user than the one who runs this program (links are not followed); `false` where
    /// the system does not say.
    fn is_foreign(&self, path: &Path) -> bool;

    /// Runs a program that takes this one's place: its standard input and output are ours. Its exit code, if it has
    /// one.
    async fn hand_over(&self, argv: &[&str]) -> io::Result<Option<i32>>;

    /// Starts a program beside this one, in a process group of its own. Nothing of it survives this program, however
    /// that ends, as far as the system lets one see to it.
    async fn start(&self, _program: &Program) -> io::Result<Box<dyn Process>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sends one request and writes the body of an answer 2xx to a private file; other answers come back with theirs.
    /// A [`MaxAnswer`] among its extensions bounds either.
    /// Nothing bounds the whole; it fails when no byte arrives for `patience`.
    async fn download(
        &self,
        _request: http::Request<Bytes>,
        _to: &Path,
        _patience: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        Err(SendError::new(Stage::Invalid, "only the native program downloads to files"))
    }

    /// Sends one request and returns whatever the server answers, redirects included. `timeout` bounds the
    /// whole exchange. Of its extensions a [`Via`] names its proxy, and a [`MaxAnswer`] bounds the answer.
    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError>;

    /// Tells the service manager how this service is, where there is one:
    /// <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>.
    fn notify(&self, _state: &str) {}

    /// Writes a line to standard error.
    fn log(&self, line: &str);
    /// Replaces the last line of standard error, on a terminal.
    fn progress(&self, line: &str);
    /// Whether a stream is a terminal.
    fn is_terminal(&self, stream: Stream) -> bool;
    /// Writes to standard output. When it returns, everything is written.
    fn out(&self, text: &str) -> io::Result<()>;
}
