//! Programs that run beside this one, each behind its guard.

use super::super::{CommandSpec, Process, ProcessEvent, Signal, SignalTarget};
use super::guard::{GuardReport, GuardRequest, SUBCOMMAND, number};
use super::lines::Lines;
use async_trait::async_trait;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines as Read};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::mpsc;

/// Lines that are buffered until they are read; when the buffer is full the program waits.
const MAX_BUFFERED_LINES: usize = 256;
/// How long its last output may take to arrive after a program's exit; its orphans may keep the pipes open.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a guard may take to end: longer than it takes to kill.
const GUARD_EXIT_TIMEOUT: Duration = Duration::from_secs(15);

/// A program behind its guard.
struct Guarded {
    pid: i32,
    guard: Child,
    events: mpsc::Receiver<ProcessEvent>,
    requests: mpsc::UnboundedSender<GuardRequest>,
}

/// Starts a program behind a guard; `this` is the executable file of this program.
pub async fn start(this: &Path, spec: &CommandSpec) -> io::Result<Box<dyn Process>> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = std::process::Command::new(this);
    // A signal to our own group, such as Ctrl-C sends one, is for us to act on.
    command.arg0("cml").arg(SUBCOMMAND).env_clear().process_group(0).current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut guard = tokio::process::Command::from(command).spawn()?;
    let (reports, mut requests) = UnixStream::from_std(ours)?.into_split();
    let mut reports = BufReader::new(reports).lines();
    write(&mut requests, &GuardRequest::Start(Box::new(spec.into()))).await?;
    let pid = match report(&mut reports).await {
        Some(GuardReport::Started(pid)) => pid,
        Some(GuardReport::Failed(error)) => return Err(io::Error::from_raw_os_error(error)),
        Some(GuardReport::Exited(_)) | None => return Err(io::Error::other("the guard process exited")),
    };
    let (sender, events) = mpsc::channel(MAX_BUFFERED_LINES);
    let (request_sender, sent) = mpsc::unbounded_channel();
    let output = guard.stdout.take().map(|pipe| tokio::spawn(read(pipe, sender.clone())));
    let errors = guard.stderr.take().map(|pipe| tokio::spawn(read(pipe, sender.clone())));
    tokio::spawn(async move {
        let mut ended = Box::pin(control(pid, reports, requests, sent));
        let (code, ended) = match ended.as_mut().await {
            Control::Exited(code, rest) => (code, Some(rest)),
            Control::Gone => (None, None),
        };
        let pipes = async {
            for pipe in output.into_iter().chain(errors) {
                let _ = pipe.await;
            }
        };
        let _ = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, pipes).await;
        let _ = sender.send(ProcessEvent::Exited(code)).await;
        if let Some((mut requests, mut sent)) = ended {
            while let Some(request) = sent.recv().await {
                let _ = write(&mut requests, &request).await;
            }
        }
    });
    Ok(Box::new(Guarded { pid, guard, events, requests: request_sender }))
}

async fn write(to: &mut OwnedWriteHalf, request: &GuardRequest) -> io::Result<()> {
    let line = serde_json::to_string(request)? + "\n";
    to.write_all(line.as_bytes()).await
}

async fn report(from: &mut Read<BufReader<OwnedReadHalf>>) -> Option<GuardReport> {
    serde_json::from_str(&from.next_line().await.ok()??).ok()
}

enum Control {
    /// The program ended; requests may still be given.
    Exited(Option<i32>, (OwnedWriteHalf, mpsc::UnboundedReceiver<GuardRequest>)),
    /// The guard is gone.
    Gone,
}

/// Carries requests to the guard until the program has ended.
async fn control(
    pid: i32,
    mut reports: Read<BufReader<OwnedReadHalf>>,
    mut requests: OwnedWriteHalf,
    mut sent: mpsc::UnboundedReceiver<GuardRequest>,
) -> Control {
    loop {
        tokio::select! {
            events = report(&mut reports) => match events {
                Some(GuardReport::Exited(code)) => return Control::Exited(code, (requests, sent)),
                Some(_) => {}
                None => {
                    // The guard was killed: nothing else would end its child.
                    if let Some(group) = rustix::process::Pid::from_raw(pid) {
                        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                    }
                    return Control::Gone;
                }
            },
            request = sent.recv() => match request {
                Some(request) => { let _ = write(&mut requests, &request).await; }
                // Dropped without an end: the closing socket tells the guard.
                None => return Control::Gone,
            },
        }
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, sender: mpsc::Sender<ProcessEvent>) {
    let mut lines = Lines::default();
    let mut piece = vec![0; 8192];
    while let Ok(length @ 1..) = pipe.read(&mut piece).await {
        for line in lines.push(&piece[..length]) {
            let _ = sender.send(ProcessEvent::Line(line)).await;
        }
    }
    if let Some(line) = lines.rest() {
        let _ = sender.send(ProcessEvent::Line(line)).await;
    }
}

#[async_trait(?Send)]
impl Process for Guarded {
    fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    async fn next(&mut self) -> ProcessEvent {
        match self.events.recv().await {
            Some(events) => events,
            None => std::future::pending().await,
        }
    }

    fn signal(&mut self, signal: Signal, target: SignalTarget) {
        let _ = self.requests.send(GuardRequest::Signal(number(signal).as_raw(), target == SignalTarget::All));
    }

    async fn end(self: Box<Self>) -> io::Result<()> {
        let Guarded { mut guard, events, requests, .. } = *self;
        // Nobody reads any more: what still writes gets an error.
        drop(events);
        let _ = requests.send(GuardRequest::End);
        match tokio::time::timeout(GUARD_EXIT_TIMEOUT, guard.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the guard process could not kill every child")),
        }
    }
}
