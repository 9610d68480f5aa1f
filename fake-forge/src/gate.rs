//! Barriers that force an interleaving: requests wait for each other, are carried out, and are answered only when all
//! of them have been carried out. Two clients' reads so surely come before either's write.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::fault::matches;
use super::server::lock;

/// A group whose members are all carried out may wait so long for the slowest.
const PATIENCE: Duration = Duration::from_secs(2);

/// A barrier for the requests of a pattern: they go in groups.
#[derive(Debug)]
pub struct Gate {
    pattern: String,
    size: usize,
    wait: Duration,
    /// Whether only the first group waits.
    is_once: bool,
    current: Mutex<Arc<Group>>,
}

/// Requests that pass together.
#[derive(Debug)]
pub struct Group {
    state: Mutex<Members>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Members {
    arrived: usize,
    done: usize,
    open: bool,
    deadline: Option<Instant>,
}

impl Group {
    fn new() -> Arc<Group> {
        Arc::new(Group { state: Mutex::default(), changed: Condvar::new() })
    }

    /// Waits until the gate opens.
    fn enter(&self, size: usize, wait: Duration) {
        let mut members = lock(&self.state);
        members.open |= members.arrived >= size;
        let deadline = *members.deadline.get_or_insert(Instant::now() + wait);
        while !members.open {
            let left = deadline.saturating_duration_since(Instant::now());
            members.open = left.is_zero();
            if !members.open {
                members = self.changed.wait_timeout(members, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        self.changed.notify_all();
    }

    /// Tells that this request was carried out, and waits for the others.
    pub fn leave(&self) {
        let mut members = lock(&self.state);
        members.done += 1;
        self.changed.notify_all();
        let end = Instant::now() + PATIENCE;
        while members.done < members.arrived {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            members = self.changed.wait_timeout(members, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Gate {
    pub fn new(pattern: &str, size: usize, wait: Duration) -> Gate {
        Gate { pattern: pattern.to_owned(), size, wait, is_once: false, current: Mutex::new(Group::new()) }
    }

    /// The same for the first requests only; later ones pass.
    pub fn once(self) -> Gate {
        Gate { is_once: true, ..self }
    }

    /// Whether it holds a request up.
    pub fn holds(&self, line: &str) -> bool {
        matches(&self.pattern, line) && !(self.is_once && lock(&lock(&self.current).state).open)
    }

    /// Waits until `size` requests are here, or the first of them has waited long enough.
    pub fn enter(&self) -> Arc<Group> {
        let group = self.join();
        group.enter(self.size, self.wait);
        group
    }

    /// Becomes a member of the group that is still waiting, or of a new one.
    fn join(&self) -> Arc<Group> {
        let mut current = lock(&self.current);
        if lock(&current.state).open {
            *current = Group::new();
        }
        let group = Arc::clone(&current);
        let mut members = lock(&group.state);
        members.arrived += 1;
        members.open |= members.arrived >= self.size;
        drop(members);
        group
    }
}
