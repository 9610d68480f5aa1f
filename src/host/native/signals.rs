//! The signals that ask this program to end.

use super::super::Signal;
use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// How long this program has to end by itself after a signal ended its commands.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The listeners, from the first call on.
#[derive(Default)]
pub struct Signals {
    streams: RefCell<Option<Vec<(Signal, Stream)>>>,
    shared: Arc<Shared>,
}

/// The state that is shared with the thread that watches over commands.
#[derive(Default)]
struct Shared {
    /// Whether that thread runs.
    watched: AtomicBool,
    /// Whether a signal is for [`Signals::next`].
    heard: AtomicBool,
    /// The leaders of the groups of the commands that run.
    leaders: Mutex<Vec<u32>>,
    ended: Mutex<Option<Signal>>,
    told: Notify,
}

impl Shared {
    fn leaders(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.leaders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Option<Signal>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the commands, and this program unless it does so itself.
    async fn end(&self, signal: Signal) {
        *self.ended() = Some(signal);
        for leader in self.leaders().iter() {
            kill(*leader);
        }
        self.told.notify_one();
        tokio::time::sleep(EXIT_TIMEOUT).await;
        std::process::exit(i32::from(signal.exit_code()));
    }
}

/// A command and all that it started: killed when this is dropped.
pub struct Group {
    leader: Option<u32>,
    shared: Arc<Shared>,
}

impl Group {
    /// Sends SIGTERM to the group.
    pub fn ask_to_end(&self) {
        #[cfg(unix)]
        if let Some(group) = self.leader.and_then(group) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        kill(leader);
        self.shared.leaders().retain(|other| *other != leader);
    }
}

#[cfg(unix)]
fn group(leader: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(leader).ok()?)
}

fn kill(leader: u32) {
    #[cfg(unix)]
    if let Some(group) = group(leader) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(windows)]
    super::child::end_tree(leader);
}

#[cfg(unix)]
type Stream = tokio::signal::unix::Signal;
#[cfg(not(unix))]
type Stream = tokio::signal::windows::CtrlC;

impl Signals {
    /// Takes signals over: from now on none ends this program by itself.
    pub fn listen(&self) {
        self.shared.heard.store(true, Ordering::SeqCst);
        self.streams.borrow_mut().get_or_insert_with(listen);
    }

    /// Starts the thread that, on a signal that nothing waits for, ends the commands before this program: the main thread
    /// may be reading standard input.
    pub fn watch(&self) {
        if self.shared.watched.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let watch = move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let mut streams = listen();
                let _ = ready.send(());
                loop {
                    let signal = poll_fn(|context| poll(&mut streams, context)).await;
                    if !shared.heard.load(Ordering::SeqCst) {
                        shared.end(signal).await;
                    }
                }
            });
        };
        if std::thread::Builder::new().name("signals".to_owned()).spawn(watch).is_ok() {
            let _ = is_ready.recv();
        }
    }

    /// Takes responsibility for a command's process group.
    pub fn adopt(&self, leader: Option<u32>) -> Group {
        self.shared.leaders().extend(leader);
        Group { leader, shared: Arc::clone(&self.shared) }
    }

    /// Returns whether a signal ended the commands.
    pub fn have_ended(&self) -> bool {
        self.shared.ended().is_some()
    }

    /// Waits until a signal has ended the commands, and returns it.
    pub async fn ended(&self) -> Signal {
        loop {
            let told = self.shared.told.notified();
            if let Some(signal) = *self.shared.ended() {
                return signal;
            }
            told.await;
        }
    }

    /// Waits for the next signal.
    pub async fn next(&self) -> Signal {
        self.listen();
        poll_fn(|context| {
            let mut streams = self.streams.borrow_mut();
            streams.as_mut().map_or(Poll::Pending, |streams| poll(streams, context))
        })
        .await
    }
}

fn poll(streams: &mut [(Signal, Stream)], context: &mut std::task::Context<'_>) -> Poll<Signal> {
    for (signal, stream) in streams {
        if let Poll::Ready(Some(())) = stream.poll_recv(context) {
            return Poll::Ready(*signal);
        }
    }
    Poll::Pending
}

#[cfg(unix)]
fn listen() -> Vec<(Signal, Stream)> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        (Signal::Interrupt, SignalKind::interrupt()),
        (Signal::Terminate, SignalKind::terminate()),
        (Signal::Quit, SignalKind::quit()),
        (Signal::HangUp, SignalKind::hangup()),
    ];
    // `nohup` makes a program that goes on when the terminal is gone.
    let wanted = kinds.into_iter().filter(|(name, kind)| *name != Signal::HangUp || !is_ignored(kind.as_raw_value()));
    wanted.filter_map(|(name, kind)| Some((name, signal(kind).ok()?))).collect()
}

/// Returns whether this process inherited that a signal is ignored, where the system tells:
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>.
#[cfg(unix)]
fn is_ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (number - 1) & 1 == 1
}

#[cfg(not(unix))]
fn listen() -> Vec<(Signal, Stream)> {
    tokio::signal::windows::ctrl_c().map(|stream| (Signal::Interrupt, stream)).into_iter().collect()
}
