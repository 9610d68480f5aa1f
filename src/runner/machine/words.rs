//! What the machine is told, and what it says.

use crate::error::Error;
use crate::forge::runner::{Ending, Event, Job, RunnerState};
use crate::host::{Signal, SignalTarget};
use std::time::Duration;

/// What decides.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The runner's name, for messages.
    pub name: String,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// Whether it ends after one job.
    pub single: bool,
    /// See [`crate::forge::runner::Agent::drain`].
    pub drain: Signal,
    /// See [`crate::forge::runner::Agent::interrupt`].
    pub interrupt: Signal,
    /// See [`crate::forge::runner::Agent::grace`].
    pub grace: Duration,
    /// See [`crate::forge::runner::Agent::drain_grace`].
    pub drain_grace: Duration,
    /// See [`crate::forge::runner::Agent::linger`].
    pub linger: Duration,
    /// See [`crate::forge::runner::Agent::second_interrupt`].
    pub second_interrupt: Option<Duration>,
    /// See [`crate::forge::runner::Agent::confirm_after`].
    pub confirm_after: Option<Duration>,
    /// See [`crate::forge::runner::Agent::one_at_a_time`].
    pub one_at_a_time: bool,
    /// See [`crate::forge::runner::Agent::poll`].
    pub poll: Option<Duration>,
    /// Whether the forge can be asked about the runner.
    pub can_check: bool,
    /// See [`crate::forge::runner::Agent::one_job_each`].
    pub one_job_each: bool,
    /// See [`crate::forge::runner::Agent::delete_first`].
    pub delete_first: bool,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The program told something.
    Told(Event),
    /// A hook told which run the job belongs to.
    Hook(Job),
    /// The program ended.
    Exited(Ending),
    /// The forge's answer to [`Act::Delete`].
    Deleted(Deletion),
    /// The forge's answer to [`Act::Check`].
    Checked(Standing),
    /// Somebody wants this program to end.
    Signal(Signal),
    /// Time passed.
    Tick,
}

/// What came of removing the runner at the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is removed: no job can come any more.
    Gone,
    /// It runs a job.
    Busy,
    /// Nobody knows.
    Failed,
}

/// What the forge knows of the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It takes its credential, and sees it like this.
    Known(RunnerState),
    /// It does not know it.
    Unknown,
    /// There is no answer, for this reason.
    Unclear(String),
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Act {
    /// Say how the runner is.
    Say(Status),
    /// Tell the user.
    Warn(String),
    /// Tell the user of something good.
    Inform(String),
    /// Start the program again.
    Start,
    /// Get another registration and start the program with it.
    Renew,
    /// Remove the present registration, which was used up without a job.
    Unregister,
    /// Ask the forge about the runner.
    Check,
    /// Send the program a signal.
    Send(Signal, SignalTarget),
    /// Run the command that stops it.
    Stop,
    /// Remove the runner at the forge, if it is idle.
    Delete,
    /// Start jobs again that the runner took down with it. The process has ended.
    Rerun(Vec<Job>),
    /// It is over. The process has ended, or cannot be killed.
    Finish(Outcome),
}

/// How a runner is, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It waits for jobs.
    Ready,
    /// A job began.
    Started(Job),
    /// A job ended; whether well, if that is known.
    Ended(Job, Option<bool>),
}

/// How it all ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why, in CML's words.
    pub reason: String,
    /// What went wrong.
    pub error: Option<Error>,
}

/// The name of a signal, as CML writes it.
pub fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Interrupt => "SIGINT",
        Signal::Terminate => "SIGTERM",
        Signal::Quit => "SIGQUIT",
        Signal::HangUp => "SIGHUP",
        Signal::Kill => "SIGKILL",
    }
}
