//! The inputs and outputs of the state machine.

use crate::error::Error;
use crate::forge::runners::{Behavior, Event, ExitDisposition, Job, RunnerStatus};
use crate::host::{Signal, SignalTarget};
use std::time::Duration;

/// The parameters of a runner's supervision.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The runner's name, for messages.
    pub name: String,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// Whether it ends after one job.
    pub single: bool,
    /// Whether the forge can be asked about the runner.
    pub can_check: bool,
    /// How the program behaves.
    pub behavior: Behavior,
}

/// An input of the state machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// The program wrote a line that means something.
    Event(Event),
    /// A hook reported which run the job belongs to.
    Hook(Job),
    /// The program ended.
    Exited(ExitDisposition),
    /// The forge's answer to [`Action::Deregister`].
    Deregistered(DeregisterResult),
    /// The forge's answer to [`Action::Check`].
    Checked(RegistrationStatus),
    /// A signal asks this program to end.
    Signal(Signal),
    /// Time passed.
    Tick,
}

/// The result of removing the runner at the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeregisterResult {
    /// It is removed: no job can come any more.
    Removed,
    /// It is running a job.
    Busy,
    /// The request failed.
    Failed,
}

/// The forge's answer about a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationStatus {
    /// The registration is valid, and the runner has this status.
    Known(RunnerStatus),
    /// The forge does not know it.
    Unknown,
    /// There was no answer, for this reason.
    Unclear(String),
}

/// An action for the supervisor to perform.
#[derive(Debug, Clone)]
pub enum Action {
    /// Print a lifecycle event.
    Announce(LifecycleEvent),
    /// Log a warning.
    Warn(String),
    /// Log a message.
    Inform(String),
    /// Start the program again.
    Start,
    /// Get another registration and start the program with it.
    Renew,
    /// Remove the present registration, which was used up without a job.
    Unregister,
    /// Ask the forge about the runner.
    Check,
    /// Send a signal to the program.
    Send(Signal, SignalTarget),
    /// Run the command that stops it.
    Stop,
    /// Remove the runner at the forge, if it is idle.
    Deregister,
    /// Rerun jobs that the runner interrupted. The process has ended.
    Rerun(Vec<Job>),
    /// End the supervision. The process has ended, or cannot be killed.
    Finish(RunOutcome),
}

/// A step in the life of a runner, for people and scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleEvent {
    /// It waits for jobs.
    Ready,
    /// A job began.
    Started(Job),
    /// A job ended; whether it succeeded, if that is known.
    Ended(Job, Option<bool>),
}

/// How the supervision ended.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// The reason, as CML writes it.
    pub reason: String,
    /// What went wrong.
    pub error: Option<Error>,
}
