//! Programs that run beside this one, each behind its guard.

use super::super::{Process, Program, Signal, Told, Whom};
use super::guard::{Order, Report, WORD, number};
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

/// Lines that wait to be read; more make the program wait.
const WAITING: usize = 256;
/// What a program wrote last arrives so soon after its end; what it left behind may keep its output open.
const LAST_LINES: Duration = Duration::from_millis(500);
/// Longer than a guard takes to kill.
const GUARD: Duration = Duration::from_secs(15);

/// A program behind its guard.
struct Guarded {
    pid: i32,
    guard: Child,
    told: mpsc::Receiver<Told>,
    orders: mpsc::UnboundedSender<Order>,
}

/// Starts a program behind a guard; `this` is the file of this program.
pub async fn start(this: &Path, program: &Program) -> io::Result<Box<dyn Process>> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = std::process::Command::new(this);
    // A signal to our own group, such as Ctrl-C sends one, is for us to act on.
    command.arg0("cml").arg(WORD).env_clear().process_group(0).current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut guard = tokio::process::Command::from(command).spawn()?;
    let (reports, mut orders) = UnixStream::from_std(ours)?.into_split();
    let mut reports = BufReader::new(reports).lines();
    write(&mut orders, &Order::Start(Box::new(program.into()))).await?;
    let pid = match report(&mut reports).await {
        Some(Report::Started(pid)) => pid,
        Some(Report::Failed(error)) => return Err(io::Error::from_raw_os_error(error)),
        Some(Report::Exited(_)) | None => return Err(io::Error::other("its guard ended")),
    };
    let (tell, told) = mpsc::channel(WAITING);
    let (send, sent) = mpsc::unbounded_channel();
    let output = guard.stdout.take().map(|pipe| tokio::spawn(read(pipe, tell.clone())));
    let errors = guard.stderr.take().map(|pipe| tokio::spawn(read(pipe, tell.clone())));
    tokio::spawn(async move {
        let mut ended = Box::pin(control(pid, reports, orders, sent));
        let (code, ended) = match ended.as_mut().await {
            Control::Exited(code, rest) => (code, Some(rest)),
            Control::Gone => (None, None),
        };
        let pipes = async {
            for pipe in output.into_iter().chain(errors) {
                let _ = pipe.await;
            }
        };
        let _ = tokio::time::timeout(LAST_LINES, pipes).await;
        let _ = tell.send(Told::Exited(code)).await;
        if let Some((mut orders, mut sent)) = ended {
            while let Some(order) = sent.recv().await {
                let _ = write(&mut orders, &order).await;
            }
        }
    });
    Ok(Box::new(Guarded { pid, guard, told, orders: send }))
}

async fn write(to: &mut OwnedWriteHalf, order: &Order) -> io::Result<()> {
    let line = serde_json::to_string(order)? + "\n";
    to.write_all(line.as_bytes()).await
}

async fn report(from: &mut Read<BufReader<OwnedReadHalf>>) -> Option<Report> {
    serde_json::from_str(&from.next_line().await.ok()??).ok()
}

enum Control {
    /// The program ended; orders may still be given.
    Exited(Option<i32>, (OwnedWriteHalf, mpsc::UnboundedReceiver<Order>)),
    /// The guard is gone.
    Gone,
}

/// Carries orders to the guard until the program has ended.
async fn control(
    pid: i32,
    mut reports: Read<BufReader<OwnedReadHalf>>,
    mut orders: OwnedWriteHalf,
    mut sent: mpsc::UnboundedReceiver<Order>,
) -> Control {
    loop {
        tokio::select! {
            told = report(&mut reports) => match told {
                Some(Report::Exited(code)) => return Control::Exited(code, (orders, sent)),
                Some(_) => {}
                None => {
                    // Somebody killed the guard: its charge would be nobody's.
                    if let Some(group) = rustix::process::Pid::from_raw(pid) {
                        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                    }
                    return Control::Gone;
                }
            },
            order = sent.recv() => match order {
                Some(order) => { let _ = write(&mut orders, &order).await; }
                // Dropped without an end: the closing socket tells the guard.
                None => return Control::Gone,
            },
        }
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, tell: mpsc::Sender<Told>) {
    let mut lines = Lines::default();
    let mut piece = vec![0; 8192];
    while let Ok(length @ 1..) = pipe.read(&mut piece).await {
        for line in lines.push(&piece[..length]) {
            let _ = tell.send(Told::Line(line)).await;
        }
    }
    if let Some(line) = lines.rest() {
        let _ = tell.send(Told::Line(line)).await;
    }
}

#[async_trait(?Send)]
impl Process for Guarded {
    fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    fn signal(&mut self, signal: Signal, whom: Whom) {
        let _ = self.orders.send(Order::Signal(number(signal).as_raw(), whom == Whom::All));
    }

    async fn end(self: Box<Self>) -> io::Result<()> {
        let Guarded { mut guard, told, orders, .. } = *self;
        // Nobody reads any more: what still writes gets an error.
        drop(told);
        let _ = orders.send(Order::End);
        match tokio::time::timeout(GUARD, guard.wait()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "its guard cannot kill all that it started")),
        }
    }
}
