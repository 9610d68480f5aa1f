//! The guard: a subreaper process between this program and a child, so that nothing of the child survives.
//!
//! This program starts itself again with the subcommand [`SUBCOMMAND`] and a socket as its standard input: the guard. It
//! starts the child in a process group of its own, carries out [`GuardRequest`]s, and sends [`GuardReport`]s. When the
//! socket closes, its parent is gone, even by SIGKILL: the guard then asks the child to end, waits, and kills what is left.
//!
//! What is left is found by its process group, and on Linux by descent, too: as a subreaper the guard becomes the parent
//! of every orphan below it (`PR_SET_CHILD_SUBREAPER`,
//! <https://man7.org/linux/man-pages/man2/pr_set_child_subreaper.2const.html>), so that a daemon that left the group is
//! found. On macOS such a daemon survives, and so does, on every system, what another service runs on the child's behalf,
//! such as a container, unless [`ShutdownPolicy`]'s command ends it or its filter finds it.

use super::super::logs::Logs;
use super::super::{CONTAINERS, CommandSpec, ShutdownPolicy, Signal};
use super::Native;
use rustix::process::{self, Pid, WaitOptions};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};

/// The hidden subcommand that runs a guard.
pub const SUBCOMMAND: &str = "runner-guard";
/// How long killing may take.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command of Docker may take.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two checks whether processes are left.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A request to a guard, as one line of JSON.
#[derive(Serialize, Deserialize)]
pub enum GuardRequest {
    /// Start the program; the first request.
    Start(Box<StartRequest>),
    /// Send it a signal, by number; with the flag to all that it started.
    Signal(i32, bool),
    /// Kill what is left, and end.
    End,
}

/// A [`CommandSpec`] that can be serialized.
#[derive(Serialize, Deserialize)]
pub struct StartRequest {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    folder: PathBuf,
    signal: i32,
    command: Option<Vec<String>>,
    grace: Duration,
    logs: Option<Logs>,
    remove: Vec<PathBuf>,
    containers: Option<String>,
}

impl From<&CommandSpec> for StartRequest {
    fn from(spec: &CommandSpec) -> Self {
        let ShutdownPolicy { signal, command, grace, logs, remove, containers } = spec.shutdown.clone();
        let CommandSpec { argv, env, folder, .. } = spec.clone();
        StartRequest { argv, env, folder, signal: number(signal).as_raw(), command, grace, logs, remove, containers }
    }
}

/// A report of a guard, as one line of JSON.
#[derive(Serialize, Deserialize)]
pub enum GuardReport {
    /// The program runs under this number.
    Started(i32),
    /// It could not be started: the system's error.
    Failed(i32),
    /// It ended with an exit code, or by a signal.
    Exited(Option<i32>),
}

/// Returns the system's number of a signal.
pub fn number(signal: Signal) -> process::Signal {
    match signal {
        Signal::Interrupt => process::Signal::INT,
        Signal::Terminate => process::Signal::TERM,
        Signal::Quit => process::Signal::QUIT,
        Signal::HangUp => process::Signal::HUP,
        Signal::Kill => process::Signal::KILL,
    }
}

/// Runs the guard to its end. Returns `false` when it was started by hand, without a socket.
pub fn main() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(guard()).is_ok())
}

async fn guard() -> io::Result<()> {
    let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    socket.set_nonblocking(true)?;
    let (requests, mut reports) = UnixStream::from_std(socket)?.into_split();
    let mut requests = BufReader::new(requests).lines();
    // A signal to the whole process tree ends the child and this process's parent, too: the guard follows these.
    // The child starts with default signal handlers, whatever this process inherited.
    let ignored = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()];
    let _ignored = ignored.map(signal);
    let mut children = signal(SignalKind::child())?;
    prepare();
    let Some(GuardRequest::Start(spec)) = parse(requests.next_line().await) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut child = match start(&spec) {
        Ok(leader) => Child { leader, runs: true },
        Err(error) => return report(&mut reports, GuardReport::Failed(error.raw_os_error().unwrap_or(0))).await,
    };
    let _ = report(&mut reports, GuardReport::Started(child.leader.as_raw_pid())).await;
    loop {
        tokio::select! {
            request = requests.next_line() => match parse(request) {
                Some(GuardRequest::Signal(number, all)) => child.signal(number, all),
                Some(GuardRequest::End) => break,
                Some(GuardRequest::Start(_)) | None => {
                    shut_down(&spec, &mut child).await;
                    child.kill_all().await;
                    // The parent is gone: nothing reads whether there were any.
                    let _ = spec.logs.as_ref().map(|logs| logs.collect(&Native::default()));
                    remove(&spec.remove);
                    remove_containers(&spec).await;
                    return Ok(());
                }
            },
            _ = children.recv() => {
                if let Some(code) = child.reap() {
                    let _ = report(&mut reports, GuardReport::Exited(code)).await;
                }
            }
        }
    }
    child.kill_all().await;
    Ok(())
}

fn parse(line: io::Result<Option<String>>) -> Option<GuardRequest> {
    serde_json::from_str(&line.ok()??).ok()
}

async fn report(to: &mut tokio::net::unix::OwnedWriteHalf, report: GuardReport) -> io::Result<()> {
    let line = serde_json::to_string(&report)? + "\n";
    to.write_all(line.as_bytes()).await
}

/// Makes this process a subreaper and resets its protection from the out-of-memory killer.
fn prepare() {
    #[cfg(target_os = "linux")]
    {
        let _ = process::set_child_subreaper(Some(process::getpid()));
        // A service may be protected from the out-of-memory killer; its jobs must not be.
        let adjustment = "/proc/self/oom_score_adj";
        if fs::read_to_string(adjustment).is_ok_and(|text| text.starts_with('-')) {
            let _ = fs::write(adjustment, "0");
        }
    }
}

fn start(spec: &StartRequest) -> io::Result<Pid> {
    let (program, args) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&spec.folder).stdin(Stdio::null()).process_group(0);
    let child = command.spawn()?;
    // From now on only the child holds its pipes, so that they close with the last process that writes to them.
    let nothing = fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(Pid::from_child(&child))
}

/// The child and what it started.
struct Child {
    leader: Pid,
    /// Whether the leader has not been reaped: its process id cannot be reused until then.
    runs: bool,
}

impl Child {
    /// Reaps processes that ended. Returns the leader's exit code if it is one of them.
    fn reap(&mut self) -> Option<Option<i32>> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = process::wait(WaitOptions::NOHANG) {
            if pid == self.leader && self.runs {
                self.runs = false;
                ended = Some(status.exit_status());
            }
        }
        ended
    }

    fn signal(&self, number: i32, all: bool) {
        let Some(signal) = process::Signal::from_named_raw(number) else { return };
        if all {
            let _ = process::kill_process_group(self.leader, signal);
            for pid in descendants() {
                let _ = process::kill_process(pid, signal);
            }
        } else if self.runs {
            let _ = process::kill_process(self.leader, signal);
        }
    }

    async fn kill_all(&mut self) {
        let end = Instant::now() + KILL_TIMEOUT;
        while Instant::now() < end {
            let _ = self.reap();
            let group = process::test_kill_process_group(self.leader).is_ok();
            if !group && descendants().is_empty() {
                return;
            }
            self.signal(process::Signal::KILL.as_raw(), true);
            tokio::time::sleep(POLL_INTERVAL / 5).await;
        }
    }
}

/// Asks the child to end and gives it its grace period, as its parent is gone.
async fn shut_down(spec: &StartRequest, child: &mut Child) {
    let end = Instant::now() + spec.grace;
    child.signal(spec.signal, false);
    if let Some((program, args)) = spec.command.as_deref().and_then(<[String]>::split_first) {
        let environment = spec.env.iter().map(|(name, value)| (name, value));
        let _ = Command::new(program).args(args).env_clear().envs(environment).stdin(Stdio::null()).spawn();
    }
    let Ok(mut children) = signal(SignalKind::child()) else { return };
    let _ = child.reap();
    while child.runs && timeout_at(end, children.recv()).await.is_ok() {
        let _ = child.reap();
    }
    // The policy's command may take a moment longer.
    while spec.command.is_some() && Instant::now() < end && !descendants().is_empty() {
        tokio::time::sleep(POLL_INTERVAL).await;
        let _ = child.reap();
    }
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Removes the containers and networks that the program's jobs left.
async fn remove_containers(spec: &StartRequest) {
    let Some(filter) = spec.containers.as_deref() else { return };
    for (list, remove) in CONTAINERS {
        let Some(found) = docker(spec, &[list, &["--filter", filter]].concat()).await else { return };
        let ids: Vec<&str> = found.split_whitespace().collect();
        if !ids.is_empty() {
            docker(spec, &[remove, &ids[..]].concat()).await;
        }
    }
}

/// Runs a command of Docker; returns its output when it succeeds in time.
async fn docker(spec: &StartRequest, args: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("docker");
    command.args(args).env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DOCKER_TIMEOUT, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns all processes below this one that have not ended.
#[cfg(target_os = "linux")]
fn descendants() -> Vec<Pid> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let parent = |pid: i32| {
        // Process id, name in brackets, state, parent's id; the name may contain brackets and spaces.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse::<i32>().ok()?;
        (state != "Z").then_some((pid, parent))
    };
    let all: Vec<(i32, i32)> = folder.filter_map(number).filter_map(parent).collect();
    let mut found = vec![process::getpid().as_raw_pid()];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        next += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

/// Returns nothing: other systems do not tell descendants.
#[cfg(not(target_os = "linux"))]
fn descendants() -> Vec<Pid> {
    Vec::new()
}
