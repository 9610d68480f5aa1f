//! What a runner does next: a pure state machine. It is told what happens and when, and answers with what to do.
//!
//! | phase | from | to |
//! | --- | --- | --- |
//! | booting | start | idle when ready; fails after [`BOOT`] |
//! | idle | ready, or the last job ended | busy; leaving or stopping when the idle time is over |
//! | busy | a job started | idle, or lingering after the only job |
//! | leaving | idle for too long, where the forge is asked first | stopping; back when a job came in between |
//! | lingering | the only job ended, the program has its own end to do | ended by the program; stopping after [`LINGER`] |
//! | stopping | signal, idle time, failure | ended by the program; killed after its grace |
//! | waiting | it wants to be started again, or gets another registration | booting |
//! | done | | |
//!
//! The end of the process counts more than its last line; jobs start again only when the process has ended.

use crate::error::Error;
use crate::forge::runner::{Ending, Event, Job};
use crate::host::{Signal, Whom};
use std::time::Duration;

#[cfg(test)]
mod tests;
mod words;

pub use words::{Act, Deletion, Input, Outcome, Rules, Status, name};

/// A runner is ready by then, or something is wrong.
pub const BOOT: Duration = Duration::from_secs(600);
/// A program that ends by itself after its job has this long to report it.
pub const LINGER: Duration = Duration::from_secs(120);
/// A killed process is gone by then.
const KILLED: Duration = Duration::from_secs(20);
/// So often in a row a program may want to be started again without having been ready.
const RESTARTS: u32 = 10;
/// A program that watches the idle time itself may be this much ahead.
const AHEAD: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Booting,
    Idle {
        since: Duration,
    },
    Busy,
    Leaving,
    Lingering {
        until: Duration,
    },
    /// A gentle stop lets a job that came at the last moment end.
    Stopping {
        kill_at: Duration,
        gentle: bool,
        killed: bool,
    },
    Waiting {
        until: Duration,
    },
    Renewing,
    Done,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    rules: Rules,
    phase: Phase,
    /// When the program was first started without having been ready since.
    boot: Duration,
    restarts: u32,
    ready: bool,
    jobs: Vec<Job>,
    /// What a hook told of a job whose first line is still on its way.
    early: Option<Job>,
    ended: usize,
    /// Jobs that a signal or the end of the process took down.
    lost: Vec<Job>,
    signal: Option<Signal>,
    reason: Option<String>,
    failure: Option<Error>,
    deregistered: bool,
    acts: Vec<Act>,
}

impl Machine {
    /// The machine of a program that is being started.
    pub fn new(rules: Rules, now: Duration) -> Self {
        Machine {
            rules,
            phase: Phase::Booting,
            boot: now,
            restarts: 0,
            ready: false,
            jobs: Vec::new(),
            early: None,
            ended: 0,
            lost: Vec::new(),
            signal: None,
            reason: None,
            failure: None,
            deregistered: false,
            acts: Vec::new(),
        }
    }

    /// How many jobs ended with the present registration.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Whether a job runs.
    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether a job runs of which it is not known how it is started again.
    pub fn wants_hook(&self) -> bool {
        self.jobs.iter().any(|job| job.rerun.is_none())
    }

    /// When it wants to be told the time at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Booting => Some(self.boot + BOOT),
            Phase::Idle { since } => self.rules.idle.map(|idle| since + idle),
            Phase::Lingering { until } | Phase::Waiting { until } => Some(until),
            Phase::Stopping { gentle: true, killed: false, .. } if !self.jobs.is_empty() => None,
            Phase::Stopping { kill_at, .. } => Some(kill_at),
            Phase::Busy | Phase::Leaving | Phase::Renewing | Phase::Done => None,
        }
    }

    /// Takes what happened at a time, and says what to do, in order.
    pub fn feed(&mut self, input: Input, now: Duration) -> Vec<Act> {
        if self.phase != Phase::Done {
            match input {
                Input::Told(event) => self.told(event, now),
                Input::Hook(job) => self.hook(job),
                Input::Exited(ending) => self.exited(ending, now),
                Input::Deleted(deletion) => self.deleted(deletion, now),
                Input::Signal(signal) => self.signalled(signal, now),
                Input::Tick => {}
            }
            self.look_at_the_clock(now);
        }
        std::mem::take(&mut self.acts)
    }

    fn told(&mut self, event: Event, now: Duration) {
        match event {
            Event::Ready => {
                self.ready = true;
                self.restarts = 0;
                if self.phase == Phase::Booting {
                    self.phase = Phase::Idle { since: now };
                    self.acts.push(Act::Say(Status::Ready));
                }
            }
            Event::Started(job) => self.started(job),
            Event::Ended { job, success } => self.job_ended(job.as_deref(), success, now),
            Event::Deregistered => self.removed(now),
            Event::Trouble(text) => self.acts.push(Act::Warn(text)),
        }
    }

    /// Somebody removed the runner at the forge. One whose registration was good for the job that ended is as it is to
    /// be; others end, when their job has.
    fn removed(&mut self, now: Duration) {
        if self.rules.one_job_each && self.ended > 0 {
            return;
        }
        self.deregistered = true;
        self.reason.get_or_insert_with(|| "removed".to_owned());
        if !self.ready {
            let error = Error::conflict(format!("somebody removed the runner {} before it was ready", self.rules.name));
            self.failure
                .get_or_insert(error.hint("look for another program that removes runners, and launch it again"));
        }
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. }) {
            self.drain(now);
        }
    }

    fn started(&mut self, job: Job) {
        if job.id.is_some() && self.jobs.iter().any(|known| known.id == job.id) {
            return;
        }
        self.acts.push(Act::Say(Status::Started(job.clone())));
        self.jobs.push(job);
        if let Some(told) = self.early.take() {
            self.hook(told);
        }
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. } | Phase::Lingering { .. }) {
            self.ready = true;
            self.phase = Phase::Busy;
        }
    }

    /// A hook's word comes before the job's last line, and maybe before its first.
    fn hook(&mut self, told: Job) {
        match self.jobs.iter_mut().find(|job| job.rerun.is_none()) {
            Some(job) => {
                job.rerun = told.rerun;
                job.attempt = told.attempt;
                job.pipeline = job.pipeline.take().or(told.pipeline);
            }
            None => self.early = Some(told),
        }
    }

    fn job_ended(&mut self, id: Option<&str>, success: bool, now: Duration) {
        let named = |job: &Job| job.id.as_deref() == id;
        let Some(place) =
            self.jobs.iter().position(named).or(if id.is_none() { self.jobs.len().checked_sub(1) } else { None })
        else {
            return;
        };
        let job = self.jobs.remove(place);
        self.ended += 1;
        self.acts.push(Act::Say(Status::Ended(job.clone(), Some(success))));
        if self.signal.is_some() && !success {
            self.lost.push(job);
        }
        if self.jobs.is_empty() {
            self.none_runs(now);
        }
    }

    fn none_runs(&mut self, now: Duration) {
        match &mut self.phase {
            Phase::Stopping { kill_at, gentle: true, killed: false } => *kill_at = now + self.rules.grace,
            Phase::Busy if self.rules.one_job_each || (self.rules.single && self.rules.ends_itself) => {
                self.phase = Phase::Lingering { until: now + LINGER };
            }
            Phase::Busy if self.rules.single || self.deregistered => self.drain(now),
            Phase::Busy => self.phase = Phase::Idle { since: now },
            _ => {}
        }
        if self.rules.single && self.signal.is_none() {
            self.reason = Some("single job".to_owned());
        }
    }

    fn deleted(&mut self, deletion: Deletion, now: Duration) {
        if self.phase != Phase::Leaving {
            return;
        }
        match deletion {
            Deletion::Gone => self.drain(now),
            Deletion::Failed if self.jobs.is_empty() => self.drain(now),
            Deletion::Busy | Deletion::Failed => {
                self.reason = None;
                self.phase = if self.jobs.is_empty() { Phase::Idle { since: now } } else { Phase::Busy };
            }
        }
    }

    fn drain(&mut self, now: Duration) {
        self.acts.push(Act::Send(self.rules.drain, Whom::Leader));
        self.phase = Phase::Stopping { kill_at: now + self.rules.grace, gentle: true, killed: false };
    }

    fn interrupt(&mut self, now: Duration) {
        self.acts.push(Act::Send(self.rules.interrupt, Whom::Leader));
        self.acts.push(Act::Stop);
        self.phase = Phase::Stopping { kill_at: now + self.rules.grace, gentle: false, killed: false };
    }

    fn kill(&mut self, now: Duration) {
        self.acts.push(Act::Send(Signal::Kill, Whom::All));
        self.acts.push(Act::Stop);
        self.phase = Phase::Stopping { kill_at: now + KILLED, gentle: false, killed: true };
    }

    fn signalled(&mut self, signal: Signal, now: Duration) {
        if self.signal.is_some() {
            return match self.phase {
                Phase::Waiting { .. } | Phase::Renewing => self.finish(),
                _ => self.kill(now),
            };
        }
        self.signal = Some(signal);
        self.reason = Some(name(signal).to_owned());
        match self.phase {
            Phase::Waiting { .. } | Phase::Renewing => self.finish(),
            // It ends by itself, and still has its job's end to report.
            Phase::Lingering { .. } => {
                self.phase = Phase::Stopping { kill_at: now + self.rules.grace, gentle: false, killed: false };
            }
            Phase::Stopping { killed: true, .. } | Phase::Done => {}
            Phase::Booting | Phase::Idle { .. } | Phase::Busy | Phase::Leaving | Phase::Stopping { .. } => {
                self.interrupt(now);
            }
        }
    }

    fn exited(&mut self, ending: Ending, now: Duration) {
        let expected = matches!(self.phase, Phase::Stopping { .. });
        if !expected && matches!(ending, Ending::Done) {
            // It did what it was to; the line that says so did not arrive.
            for job in std::mem::take(&mut self.jobs) {
                self.ended += 1;
                self.acts.push(Act::Say(Status::Ended(job, None)));
            }
        }
        self.lost.append(&mut self.jobs);
        if expected || self.deregistered {
            return self.finish();
        }
        let another = self.rules.one_job_each && !self.rules.single && self.ended > 0;
        match ending {
            Ending::Failed(error) => {
                self.failure = Some(error);
                self.finish();
            }
            Ending::Done | Ending::Again(_) if another => self.renew(now),
            Ending::Done => {
                self.reason.get_or_insert_with(|| match (self.phase, self.rules.idle) {
                    (Phase::Idle { since }, Some(idle)) if now + AHEAD >= since + idle => timeout(idle),
                    _ if self.rules.single && self.ended > 0 => "single job".to_owned(),
                    _ => "runner closed with exit code 0".to_owned(),
                });
                self.finish();
            }
            Ending::Again(_) if self.reason.is_some() => self.finish(),
            Ending::Again(pause) => self.again(pause, now),
        }
    }

    fn renew(&mut self, now: Duration) {
        self.rerun_lost();
        (self.ended, self.early) = (0, None);
        (self.boot, self.phase) = (now, Phase::Renewing);
        self.acts.push(Act::Renew);
    }

    /// The program of another registration is being started.
    pub fn renewed(&mut self, now: Duration) {
        if self.phase == Phase::Renewing {
            (self.boot, self.phase) = (now, Phase::Booting);
        }
    }

    fn again(&mut self, pause: Duration, now: Duration) {
        self.rerun_lost();
        self.restarts += 1;
        if self.restarts > RESTARTS {
            let name = &self.rules.name;
            self.failure = Some(
                Error::remote(format!("the program of the runner {name} ends again and again before it is ready"))
                    .hint("its last lines are above; --log debug shows all of them"),
            );
            return self.finish();
        }
        if self.ready {
            (self.boot, self.ready) = (now + pause, false);
        }
        self.phase = Phase::Waiting { until: now + pause };
    }

    fn rerun_lost(&mut self) {
        if !self.lost.is_empty() {
            self.acts.push(Act::Rerun(std::mem::take(&mut self.lost)));
        }
    }

    fn finish(&mut self) {
        let interrupted = self.signal.is_some() && !self.lost.is_empty();
        self.rerun_lost();
        let error = self.failure.take().or_else(|| {
            interrupted.then(|| {
                Error::interrupted(format!("the runner {} was interrupted while a job was running", self.rules.name))
            })
        });
        let told = || error.as_ref().map_or_else(|| "runner closed".to_owned(), ToString::to_string);
        let reason = self.reason.take().unwrap_or_else(told);
        self.acts.push(Act::Finish(Outcome { reason, error }));
        self.phase = Phase::Done;
    }

    fn look_at_the_clock(&mut self, now: Duration) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Booting => {
                let (name, minutes) = (&self.rules.name, BOOT.as_secs() / 60);
                self.failure = Some(
                    Error::remote(format!("the runner {name} was not ready within {minutes} minutes"))
                        .hint("its last lines are above: check that this machine reaches the forge, through the proxy if there is one"),
                );
                self.interrupt(now);
            }
            Phase::Idle { .. } => {
                self.reason = self.rules.idle.map(timeout);
                match self.rules.delete_first {
                    true => {
                        self.phase = Phase::Leaving;
                        self.acts.push(Act::Delete);
                    }
                    false => self.drain(now),
                }
            }
            Phase::Lingering { .. } => self.drain(now),
            Phase::Stopping { killed: false, .. } => self.kill(now),
            Phase::Stopping { killed: true, .. } => {
                let error = Error::internal(format!("the program of the runner {} cannot be killed", self.rules.name));
                self.failure.get_or_insert(error);
                self.lost.append(&mut self.jobs);
                // While it runs, a job must not run a second time.
                self.lost.clear();
                self.finish();
            }
            Phase::Waiting { .. } => {
                self.phase = Phase::Booting;
                self.acts.push(Act::Start);
            }
            Phase::Busy | Phase::Leaving | Phase::Renewing | Phase::Done => {}
        }
    }
}

fn timeout(idle: Duration) -> String {
    format!("timeout:{}", idle.as_secs())
}
