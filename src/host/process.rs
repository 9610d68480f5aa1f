//! Programs that run beside this one.

use super::Signal;
use super::logs::Logs;
use async_trait::async_trait;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A program to start beside this one. No `Debug`: its environment may hold secrets.
#[derive(Clone, Default)]
pub struct CommandSpec {
    /// The program and its arguments; never through a shell.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub folder: PathBuf,
    /// How it is shut down when this program is gone before it.
    pub shutdown: ShutdownPolicy,
}

/// The commands of Docker that list what a filter finds, and remove it: containers first, as they use the networks.
pub const CONTAINERS: [(&[&str], &[&str]); 2] = [
    (&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]),
    (&["network", "ls", "--quiet"], &["network", "rm"]),
];

/// How a program is shut down when its parent is gone, whatever ended that.
#[derive(Debug, Clone)]
pub struct ShutdownPolicy {
    /// The signal that asks it to end.
    pub signal: Signal,
    /// A command to run as well, such as `docker stop`.
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

impl Default for ShutdownPolicy {
    fn default() -> Self {
        ShutdownPolicy {
            signal: Signal::Terminate,
            command: None,
            grace: Duration::from_secs(10),
            logs: None,
            remove: Vec::new(),
            containers: None,
        }
    }
}

/// What happened to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// It wrote a whole line to its standard output or error; here without the line break, cut after 16 KiB, and with
    /// replacements for what is not UTF-8.
    Line(String),
    /// It ended, with an exit code or (`None`) by a signal. What it started may still run: see [`Process::end`].
    Exited(Option<i32>),
}

/// Which processes get a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalTarget {
    /// The program itself.
    Leader,
    /// All that it started, too.
    All,
}

/// A program that runs.
#[async_trait(?Send)]
pub trait Process {
    /// Returns its process id.
    fn id(&self) -> u32;
    /// Returns the next event; after [`ProcessEvent::Exited`] this never resolves. Dropping the future loses no event.
    async fn next(&mut self) -> ProcessEvent;
    /// Sends a signal; does nothing when it has ended.
    fn signal(&mut self, signal: Signal, target: SignalTarget);
    /// Kills what is left of it and of all that it started, and returns when that is done.
    async fn end(self: Box<Self>) -> io::Result<()>;
}
