//! The guard of a program: a process between it and this one, so that nothing of it survives.
//!
//! This program starts itself again under the name [`WORD`], with a socket as its standard input: the guard. It starts
//! the program in a process group of its own, carries out [`Order`]s, and reports. When the socket closes, the one that
//! gave the orders is gone, be it by SIGKILL: the guard then asks the program to end, waits, and kills what is left.
//!
//! What is left is found by its group, and on Linux by descent, too: the guard is the parent of every orphan below it
//! (`PR_SET_CHILD_SUBREAPER`, <https://man7.org/linux/man-pages/man2/pr_set_child_subreaper.2const.html>), so that a
//! daemon that left the group is found. On macOS such a daemon survives, and everywhere what another service runs on
//! the program's behalf, such as a container, unless the farewell's command ends it or its filter finds it.

use super::super::logs::Logs;
use super::super::{CONTAINERS, Farewell, Program, Signal};
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

/// The first argument of a guard.
pub const WORD: &str = "runner-guard";
/// How long killing may take.
const KILLING: Duration = Duration::from_secs(10);
/// Docker answers by then.
const DOCKER: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// What a guard is told: a line of JSON each.
#[derive(Serialize, Deserialize)]
pub enum Order {
    /// Start the program; the first order.
    Start(Box<Spec>),
    /// Send it a signal, by number; with the flag to all that it started.
    Signal(i32, bool),
    /// Kill what is left, and end.
    End,
}

/// A [`Program`] on its way.
#[derive(Serialize, Deserialize)]
pub struct Spec {
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

impl From<&Program> for Spec {
    fn from(program: &Program) -> Self {
        let Farewell { signal, command, grace, logs, remove, containers } = program.farewell.clone();
        let Program { argv, env, folder, .. } = program.clone();
        Spec { argv, env, folder, signal: number(signal).as_raw(), command, grace, logs, remove, containers }
    }
}

/// What a guard tells: a line of JSON each.
#[derive(Serialize, Deserialize)]
pub enum Report {
    /// The program runs under this number.
    Started(i32),
    /// It could not be started: the system's error.
    Failed(i32),
    /// It ended with an exit code, or by a signal.
    Exited(Option<i32>),
}

/// The system's number of a signal.
pub fn number(signal: Signal) -> process::Signal {
    match signal {
        Signal::Interrupt => process::Signal::INT,
        Signal::Terminate => process::Signal::TERM,
        Signal::Quit => process::Signal::QUIT,
        Signal::HangUp => process::Signal::HUP,
        Signal::Kill => process::Signal::KILL,
    }
}

/// The guard's whole life. `false` when it was started by hand, without a socket.
pub fn main() -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.is_ok_and(|runtime| runtime.block_on(guard()).is_ok())
}

async fn guard() -> io::Result<()> {
    let socket = std::os::unix::net::UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    socket.set_nonblocking(true)?;
    let (orders, mut reports) = UnixStream::from_std(socket)?.into_split();
    let mut orders = BufReader::new(orders).lines();
    // Whoever ends a whole tree of processes ends the program and the one that gives orders, too: that is what counts.
    // The program starts with all of them at their defaults, whatever this process inherited.
    let ignored = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit(), SignalKind::hangup()];
    let _ignored = ignored.map(signal);
    let mut children = signal(SignalKind::child())?;
    prepare();
    let Some(Order::Start(spec)) = parse(orders.next_line().await) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut charge = match start(&spec) {
        Ok(leader) => Charge { leader, runs: true },
        Err(error) => return report(&mut reports, Report::Failed(error.raw_os_error().unwrap_or(0))).await,
    };
    let _ = report(&mut reports, Report::Started(charge.leader.as_raw_pid())).await;
    loop {
        tokio::select! {
            order = orders.next_line() => match parse(order) {
                Some(Order::Signal(number, all)) => charge.signal(number, all),
                Some(Order::End) => break,
                Some(Order::Start(_)) | None => {
                    farewell(&spec, &mut charge).await;
                    charge.kill_all().await;
                    // Nobody is left to be told whether there were any.
                    let _ = spec.logs.as_ref().map(|logs| logs.collect(&Native::default()));
                    remove(&spec.remove);
                    remove_containers(&spec).await;
                    return Ok(());
                }
            },
            _ = children.recv() => {
                if let Some(code) = charge.reap() {
                    let _ = report(&mut reports, Report::Exited(code)).await;
                }
            }
        }
    }
    charge.kill_all().await;
    Ok(())
}

fn parse(line: io::Result<Option<String>>) -> Option<Order> {
    serde_json::from_str(&line.ok()??).ok()
}

async fn report(to: &mut tokio::net::unix::OwnedWriteHalf, report: Report) -> io::Result<()> {
    let line = serde_json::to_string(&report)? + "\n";
    to.write_all(line.as_bytes()).await
}

/// What holds for all that this process starts.
fn prepare() {
    #[cfg(target_os = "linux")]
    {
        let _ = process::set_child_subreaper(Some(process::getpid()));
        // A service may be protected against the want of memory; its jobs are not to be.
        let adjustment = "/proc/self/oom_score_adj";
        if fs::read_to_string(adjustment).is_ok_and(|text| text.starts_with('-')) {
            let _ = fs::write(adjustment, "0");
        }
    }
}

fn start(spec: &Spec) -> io::Result<Pid> {
    let (program, args) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&spec.folder).stdin(Stdio::null()).process_group(0);
    let child = command.spawn()?;
    // Only the program has its pipes from now on: their end is the end of all that writes to them.
    let nothing = fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(Pid::from_child(&child))
}

/// The program and what it started.
struct Charge {
    leader: Pid,
    /// Whether the leader has not been seen to end: its number is its own until then.
    runs: bool,
}

impl Charge {
    /// Collects what ended. The leader's exit code when it is among that.
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
        let end = Instant::now() + KILLING;
        while Instant::now() < end {
            let _ = self.reap();
            let group = process::test_kill_process_group(self.leader).is_ok();
            if !group && descendants().is_empty() {
                return;
            }
            self.signal(process::Signal::KILL.as_raw(), true);
            tokio::time::sleep(LOOK / 5).await;
        }
    }
}

/// Nobody gives orders any more: the program is asked to end, and has its time.
async fn farewell(spec: &Spec, charge: &mut Charge) {
    let end = Instant::now() + spec.grace;
    charge.signal(spec.signal, false);
    if let Some((program, args)) = spec.command.as_deref().and_then(<[String]>::split_first) {
        let environment = spec.env.iter().map(|(name, value)| (name, value));
        let _ = Command::new(program).args(args).env_clear().envs(environment).stdin(Stdio::null()).spawn();
    }
    let Ok(mut children) = signal(SignalKind::child()) else { return };
    let _ = charge.reap();
    while charge.runs && timeout_at(end, children.recv()).await.is_ok() {
        let _ = charge.reap();
    }
    // A command that was started besides may take a moment longer.
    while spec.command.is_some() && Instant::now() < end && !descendants().is_empty() {
        tokio::time::sleep(LOOK).await;
        let _ = charge.reap();
    }
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Removes the containers and networks that the program's jobs left.
async fn remove_containers(spec: &Spec) {
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
async fn docker(spec: &Spec, args: &[&str]) -> Option<String> {
    let mut command = tokio::process::Command::new("docker");
    command.args(args).env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DOCKER, command.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All processes below this one that have not ended.
#[cfg(target_os = "linux")]
fn descendants() -> Vec<Pid> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let parent = |pid: i32| {
        // Number, name in brackets, state, number of the parent; the name may have brackets and spaces.
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

/// Only the group can be found here.
#[cfg(not(target_os = "linux"))]
fn descendants() -> Vec<Pid> {
    Vec::new()
}
