//! Commands that run to completion, each in a process group of its own that is killed at the end.

use super::super::{Command, MAX_ERRORS, MAX_OUTPUT, Output};
use super::signals::Signals;
use futures_util::future::{Either, join, select};
use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

/// How long its last output may take to arrive after a command's exit; its orphans may keep the pipes open.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a command may take to end after SIGTERM when its time is over.
const TERM_GRACE: Duration = Duration::from_secs(1);

/// Runs a command with this program's output and errors, and with its input unless it has its own. Returns its exit code.
pub async fn hand_over(command: &Command) -> io::Result<Option<i32>> {
    let mut process = prepare(command)?;
    if command.input.is_empty() {
        return Ok(process.status().await?.code());
    }
    let mut child = process.stdin(Stdio::piped()).spawn()?;
    write_input(child.stdin.take(), &command.input).await;
    Ok(child.wait().await?.code())
}

fn prepare(command: &Command) -> io::Result<tokio::process::Command> {
    let (program, args) = command.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut process = tokio::process::Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| command.removes(&name.to_string_lossy())) {
        process.env_remove(name);
    }
    process.args(args).envs(command.env.iter().map(|(name, value)| (name, value)));
    Ok(process)
}

async fn write_input(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut pipe) = stdin {
        // It may end without reading all.
        let _ = pipe.write_all(input).await;
    }
}

/// Runs a command. Dropping the future kills it.
pub async fn run(command: &Command, signals: &Signals) -> io::Result<Output> {
    let mut process = prepare(command)?;
    process.stdin(Stdio::null());
    process.kill_on_drop(!command.lingers);
    #[cfg(unix)]
    process.process_group(0);
    if command.lingers {
        process.stdout(Stdio::null()).stderr(Stdio::null());
        return Ok(Output { code: within(command, process.spawn()?.wait()).await??.code(), ..Output::default() });
    }
    if !command.input.is_empty() {
        process.stdin(Stdio::piped());
    }
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    signals.watch();
    let mut child = process.spawn()?;
    let group = signals.adopt(child.id());
    let (out, err) = (BoundedBuffer::new(MAX_OUTPUT), BoundedBuffer::new(MAX_ERRORS));
    let status = match within(command, finish(&mut child, &command.input, &out, &err)).await {
        Ok(status) => status?,
        Err(late) => {
            group.ask_to_end();
            let _ = tokio::time::timeout(TERM_GRACE, child.wait()).await;
            return Err(late);
        }
    };
    drop(group);
    if signals.have_ended() {
        // A signal ended it: this program ends, too.
        return std::future::pending().await;
    }
    if out.is_over() {
        return Err(io::Error::other(format!("it printed more than {} MB", MAX_OUTPUT >> 20)));
    }
    Ok(Output { code: status.code(), stdout: out.bytes(), stderr: err.bytes() })
}

/// Runs a task within a command's time limit.
async fn within<T>(command: &Command, task: impl Future<Output = T>) -> io::Result<T> {
    let Some(limit) = command.limit else { return Ok(task.await) };
    tokio::time::timeout(limit, task).await.map_err(|_| io::ErrorKind::TimedOut.into())
}

/// Gives a child its input and reads what it prints until it ends.
async fn finish(child: &mut Child, input: &[u8], out: &BoundedBuffer, err: &BoundedBuffer) -> io::Result<ExitStatus> {
    let pipes = (child.stdout.take(), child.stderr.take());
    let writing = write_input(child.stdin.take(), input);
    let reading = pin!(join(writing, join(out.fill(pipes.0), err.fill(pipes.1))));
    match select(pin!(child.wait()), reading).await {
        Either::Left((status, rest)) => {
            let _ = tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, rest).await;
            status
        }
        Either::Right((_, wait)) => wait.await,
    }
}

/// The first bytes of a pipe.
struct BoundedBuffer {
    bytes: RefCell<Vec<u8>>,
    most: usize,
}

impl BoundedBuffer {
    fn new(most: usize) -> Self {
        BoundedBuffer { bytes: RefCell::default(), most }
    }

    /// Reads to the end; keeps one byte more than the limit at most.
    async fn fill(&self, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut piece = vec![0; 65_536];
        while let Ok(length @ 1..) = pipe.read(&mut piece).await {
            let mut bytes = self.bytes.borrow_mut();
            let room = (self.most + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&piece[..length.min(room)]);
        }
    }

    fn is_over(&self) -> bool {
        self.bytes.borrow().len() > self.most
    }

    fn bytes(self) -> Vec<u8> {
        self.bytes.into_inner()
    }
}

/// Asks Windows to end a process with all that it started.
#[cfg(windows)]
pub fn end_tree(process: u32) {
    let process = process.to_string();
    let mut command = std::process::Command::new("taskkill");
    command.args(["/T", "/F", "/PID", &process]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}
