//! The signals that ask this program to end.

use super::super::Signal;
use std::cell::RefCell;
use std::future::poll_fn;
use std::task::Poll;

/// What listens for them, from the first call on.
#[derive(Default)]
pub struct Signals(RefCell<Option<Vec<(Signal, Stream)>>>);

#[cfg(unix)]
type Stream = tokio::signal::unix::Signal;
#[cfg(not(unix))]
type Stream = tokio::signal::windows::CtrlC;

impl Signals {
    /// From now on no signal ends this program by itself.
    pub fn listen(&self) {
        self.0.borrow_mut().get_or_insert_with(listen);
    }

    /// The next one.
    pub async fn next(&self) -> Signal {
        self.listen();
        poll_fn(|context| {
            let mut streams = self.0.borrow_mut();
            for (signal, stream) in streams.iter_mut().flatten() {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
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

/// Whether this process was told to ignore a signal, where the system says so:
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
