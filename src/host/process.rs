//! Programs that run beside this one.

use super::Signal;
use super::logs::Logs;
use async_trait::async_trait;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A program to start. No `Debug`: its environment may hold secrets.
#[derive(Clone, Default)]
pub struct Program {
    /// The program and its arguments; never through a shell.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What is done when this program is gone before it.
    pub farewell: Farewell,
}

/// The commands of Docker that list what a filter finds, and remove it: containers first, as they use the networks.
pub const CONTAINERS: [(&[&str], &[&str]); 2] = [
    (&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]),
    (&["network", "ls", "--quiet"], &["network", "rm"]),
];

/// How a program is ended when the one that started it is gone, whatever killed that.
#[derive(Debug, Clone)]
pub struct Farewell {
    /// Asks it to end.
    pub signal: Signal,
    /// A command to run besides.
    pub command: Option<Vec<String>>,
    /// How long it may take to end, before everything that it started is killed.
    pub grace: Duration,
    /// Its own logs, which are collected before anything is removed.
    pub logs: Option<Logs>,
    /// Files and folders to remove then.
    pub remove: Vec<PathBuf>,
    /// Docker's filter for the containers and networks to remove then.
    pub containers: Option<String>,
}

impl Default for Farewell {
    fn default() -> Self {
        Farewell {
            signal: Signal::Terminate,
            command: None,
            grace: Duration::from_secs(10),
            logs: None,
            remove: Vec::new(),
            containers: None,
        }
    }
}

/// What a program tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A whole line of its standard output or error, without what ends it. What is longer than 16 KiB is cut there; what
    /// is not UTF-8 is replaced.
    Line(String),
    /// It ended, with an exit code or (`None`) by a signal. What it started may still run: see [`Process::end`].
    Exited(Option<i32>),
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The program itself.
    Leader,
    /// All that it started, too.
    All,
}

/// A program that runs.
#[async_trait(?Send)]
pub trait Process {
    /// The number of its process.
    fn id(&self) -> u32;
    /// The next thing that it tells; after [`Told::Exited`] this waits for ever. Nothing is lost when the call is given
    /// up.
    async fn next(&mut self) -> Told;
    /// Sends it a signal; that it is gone is fine.
    fn signal(&mut self, signal: Signal, whom: Whom);
    /// Kills what is left of it and of all that it started, and returns when that is done.
    async fn end(self: Box<Self>) -> io::Result<()>;
}
