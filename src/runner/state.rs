//! What a runner does next: a pure state machine. It is fed what happens and when, and returns what to do.
//!
//! | phase | from | to |
//! | --- | --- | --- |
//! | booting | start | idle when ready, which the forge confirms where the program's line is not enough; fails after [`READY_TIMEOUT`], or after [`MAX_OUTAGE`] where it was ready before |
//! | idle | ready, or the last job ended | busy; leaving or stopping when the idle time is over; stopping when the forge does not know it any more |
//! | busy | a job started | idle, or lingering after the only job |
//! | leaving | idle for too long, where the forge is asked first | stopping; back when a job came in between |
//! | lingering | the only job ended, the program has its own end to do | ended by the program; stopping after its time to report |
//! | stopping | signal, idle time, failure | ended by the program; killed after its grace; waiting for another registration where the last one was used up without a job |
//! | waiting | it wants to be started again, or gets another registration | booting |
//! | done | | |
//!
//! The end of the process counts more than its last line; jobs start again only when the process has ended.

use crate::error::Error;
use crate::forge::runners::{Event, ExitDisposition, Job, JobResult, RunnerStatus};
use crate::host::{Signal, SignalTarget};
use std::collections::BTreeMap;
use std::time::Duration;

#[cfg(test)]
mod tests;
mod types;

pub use types::{Action, DeregisterResult, Input, LifecycleEvent, RegistrationStatus, Rules, RunOutcome};

/// How long a runner may take until it is ready.
pub const READY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a runner that was ready before may be without its forge, where the idle time is not longer.
pub const MAX_OUTAGE: Duration = Duration::from_secs(60 * 60);
/// How often the forge is asked about an idle runner.
const CHECK_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How often the forge is asked again when it did not answer while a runner starts.
const RECHECK_INTERVAL: Duration = Duration::from_secs(15);
/// How often in a row the forge sees an idle runner offline, or contradicts the program's lines, before that counts.
const MAX_MISSES: u32 = 2;
/// How long after a job's first line the forge is asked whether it sees the job.
const FIRST_JOB_CHECK: Duration = Duration::from_secs(5);
/// How often in a row a registration that was used up without a job is replaced.
const MAX_UNUSED_REGISTRATIONS: u32 = 5;
/// How long the same warning is not repeated.
const WARNING_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How many different warnings are tracked.
const MAX_TRACKED_WARNINGS: usize = 16;
/// How long a killed process may take to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);
/// How often in a row a program may be restarted without having been ready.
const MAX_RESTARTS: u32 = 10;
/// How much earlier a program that watches the idle time itself may end.
const IDLE_TOLERANCE: Duration = Duration::from_secs(10);

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
        /// When the signal is sent once more.
        again_at: Option<Duration>,
    },
    Waiting {
        until: Duration,
    },
    Renewing,
    Done,
}

/// The state of a supervised runner.
#[derive(Debug)]
pub struct RunnerState {
    rules: Rules,
    phase: Phase,
    /// When the program was first started without having been ready since.
    boot: Duration,
    restarts: u32,
    ready: bool,
    /// Whether the present registration was ever ready.
    was_ready: bool,
    /// When the forge is asked next.
    check_at: Option<Duration>,
    /// Whether it is being asked.
    checking: bool,
    /// Until when the program's line alone does not make it ready.
    troubled_until: Duration,
    /// The program's line that its credential was refused, until the forge was asked.
    refused: Option<String>,
    /// How often in a row the forge saw it offline while it was idle.
    offline: u32,
    /// How often in a row the forge did not know it, and contradicted its lines about jobs.
    missing: u32,
    contradictions: u32,
    /// Whether the forge ever saw the running job, and whether only the forge reported it.
    is_job_seen: bool,
    is_job_from_forge: bool,
    /// Whether the present registration is used up without a job, and how many before it were.
    used_up: bool,
    unused: u32,
    /// Its recent warnings: when each was shown, and how often it came since.
    troubles: BTreeMap<String, (Duration, u32)>,
    jobs: Vec<Job>,
    /// What a hook reported of a job whose first line has not arrived yet.
    early_hook: Option<Job>,
    ended: usize,
    /// The last job of the present registration that ended, and how.
    last_job: Option<(Job, JobResult)>,
    /// Jobs that a signal or the end of the process interrupted.
    lost: Vec<Job>,
    signal: Option<Signal>,
    reason: Option<String>,
    failure: Option<Error>,
    /// Why the program cannot run on this host, if it said so.
    unusable: Option<Error>,
    deregistered: bool,
    actions: Vec<Action>,
}

impl RunnerState {
    /// Creates the state of a program that is being started.
    pub fn new(rules: Rules, now: Duration) -> Self {
        let check_at = rules.behavior.poll.filter(|_| rules.can_check).map(|pause| now + pause);
        RunnerState {
            rules,
            phase: Phase::Booting,
            boot: now,
            restarts: 0,
            ready: false,
            was_ready: false,
            check_at,
            checking: false,
            troubled_until: Duration::ZERO,
            refused: None,
            offline: 0,
            missing: 0,
            contradictions: 0,
            is_job_seen: false,
            is_job_from_forge: false,
            used_up: false,
            unused: 0,
            troubles: BTreeMap::new(),
            jobs: Vec::new(),
            early_hook: None,
            ended: 0,
            last_job: None,
            lost: Vec::new(),
            signal: None,
            reason: None,
            failure: None,
            unusable: None,
            deregistered: false,
            actions: Vec::new(),
        }
    }

    /// Returns how the last job of the present registration ended.
    pub fn last_result(&self) -> Option<JobResult> {
        self.last_job.as_ref().map(|(_, result)| *result)
    }

    /// Returns whether a job is running.
    pub fn is_busy(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Returns whether a job is running that no hook has told how to rerun.
    pub fn wants_hook(&self) -> bool {
        self.jobs.iter().any(|job| job.rerun.is_none())
    }

    /// Returns when [`Input::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Booting => Some(earlier(self.boot + self.boot_limit(), self.check_at)),
            Phase::Idle { since } => match self.rules.idle {
                Some(idle) => Some(earlier(since + idle, self.check_at)),
                None => self.check_at,
            },
            Phase::Lingering { until } | Phase::Waiting { until } => Some(until),
            Phase::Stopping { gentle: true, killed: false, .. } if !self.jobs.is_empty() => None,
            Phase::Stopping { kill_at, again_at, .. } => Some(earlier(kill_at, again_at)),
            Phase::Busy => self.rules.behavior.poll.and(self.check_at),
            Phase::Leaving | Phase::Renewing | Phase::Done => None,
        }
    }

    /// Returns whether there is reason to keep the instance: a job runs, or the present phase has not lasted its time. It is the condition
    /// for renewing the instance's lease. Phases that wait for the forge are shorter than a lease.
    pub fn needs_instance(&self, now: Duration) -> bool {
        match self.phase {
            Phase::Busy => true,
            Phase::Stopping { gentle: true, killed: false, .. } if self.is_busy() => true,
            Phase::Booting => now < self.boot + self.boot_limit(),
            Phase::Idle { since } => self.rules.idle.is_none_or(|idle| now < since + idle),
            Phase::Lingering { until } | Phase::Waiting { until } => now < until,
            Phase::Stopping { kill_at, .. } => now < kill_at,
            Phase::Leaving | Phase::Renewing | Phase::Done => false,
        }
    }

    /// Returns how long the program may take to be ready.
    fn boot_limit(&self) -> Duration {
        if self.was_ready { self.rules.idle.map_or(MAX_OUTAGE, |idle| idle.max(READY_TIMEOUT)) } else { READY_TIMEOUT }
    }

    /// Handles an input at a time, and returns what to do, in order.
    pub fn feed(&mut self, input: Input, now: Duration) -> Vec<Action> {
        if self.phase != Phase::Done {
            match input {
                Input::Event(event) => self.handle_event(event, now),
                Input::Hook(job) => self.handle_hook(job),
                Input::Exited(disposition) => self.handle_exit(disposition, now),
                Input::Deregistered(result) => self.handle_deregistration(result, now),
                Input::Checked(status) => self.handle_check(status, now),
                Input::Signal(signal) => self.handle_signal(signal, now),
                Input::Tick => {}
            }
            self.handle_deadline(now);
        }
        std::mem::take(&mut self.actions)
    }

    fn handle_event(&mut self, event: Event, now: Duration) {
        match event {
            Event::Ready => match self.rules.behavior.confirm_after {
                Some(pause) if self.phase == Phase::Booting => self.check_at = Some(now + pause),
                Some(_) => {}
                None => self.is_ready(now),
            },
            Event::Started(job) => self.started(job, now),
            Event::Ended { job, result } => self.job_ended(job.as_deref(), result, now),
            // The listener may fall back to another configuration of its own; if not, it ends by itself.
            Event::Deregistered if self.phase == Phase::Booting => {
                self.deregistered = true;
            }
            Event::Deregistered => self.removed(now),
            Event::Refused(text) => self.refused(text, now),
            Event::Unusable { what, hint } => self.unusable = Some(Error::config(what).hint(hint)),
            Event::Trouble(text) => {
                self.troubled_until = now + self.rules.behavior.confirm_after.unwrap_or_default();
                // A program that is asked to end twice prints a line about it.
                if !matches!(self.phase, Phase::Stopping { .. }) || !self.jobs.is_empty() {
                    self.warn(text, now);
                }
            }
        }
    }

    /// Makes it ready: the forge accepts it.
    fn is_ready(&mut self, now: Duration) {
        self.connected();
        (self.restarts, self.deregistered) = (0, false);
        if self.phase == Phase::Booting {
            self.idle(now);
            self.actions.push(Action::Announce(LifecycleEvent::Ready));
        }
    }

    fn connected(&mut self) {
        (self.ready, self.was_ready) = (true, true);
        if !std::mem::take(&mut self.troubles).is_empty() {
            self.actions.push(Action::Inform(format!("runner {} is connected to the forge again", self.rules.name)));
        }
    }

    fn idle(&mut self, now: Duration) {
        self.phase = Phase::Idle { since: now };
        (self.check_at, self.offline) = (self.check_after(self.rules.behavior.poll.unwrap_or(CHECK_INTERVAL), now), 0);
    }

    fn check_after(&self, pause: Duration, now: Duration) -> Option<Duration> {
        self.rules.can_check.then_some(now + pause)
    }

    /// Applies a poll of the forge, where the program's lines are not known from its source. Returns whether nothing else
    /// needs to be done.
    fn polled(&mut self, status: &RegistrationStatus, pause: Duration, now: Duration) -> bool {
        self.check_at = self.check_after(pause, now);
        self.missing = if *status == RegistrationStatus::Unknown { self.missing + 1 } else { 0 };
        match (self.phase, status) {
            // One answer may be the forge's mistake.
            (_, RegistrationStatus::Unknown) => self.missing < MAX_MISSES,
            (Phase::Booting, RegistrationStatus::Known(state)) => {
                if state.online {
                    self.is_ready(now);
                }
                true
            }
            (Phase::Idle { .. } | Phase::Busy, RegistrationStatus::Known(RunnerStatus { busy: Some(busy), .. })) => {
                self.compare(*busy, now);
                true
            }
            (Phase::Booting, RegistrationStatus::Unclear(_)) => false,
            _ => true,
        }
    }

    /// Compares the forge's view of jobs with the program's lines, whose wording may have changed. The forge may lag, and
    /// may report no job at all.
    fn compare(&mut self, busy: bool, now: Duration) {
        let runs = self.is_busy();
        self.is_job_seen |= busy && runs;
        if busy == runs || (runs && !self.is_job_seen) {
            self.contradictions = 0;
            return;
        }
        self.contradictions += 1;
        if self.contradictions < MAX_MISSES {
            return;
        }
        self.contradictions = 0;
        if busy {
            self.started(Job::default(), now);
            (self.is_job_from_forge, self.is_job_seen) = (true, true);
            return;
        }
        for job in std::mem::take(&mut self.jobs) {
            self.ended += 1;
            self.actions.push(Action::Announce(LifecycleEvent::Ended(job, None)));
        }
        self.none_runs(now);
    }

    /// Warns: the same text once, and then from time to time with its count.
    fn warn(&mut self, text: String, now: Duration) {
        if let Some((shown, count)) = self.troubles.get_mut(&text) {
            *count += 1;
            if now >= *shown + WARNING_INTERVAL {
                self.actions.push(Action::Warn(format!("{text} ({count} more times)")));
                (*shown, *count) = (now, 0);
            }
            return;
        }
        if self.troubles.len() >= MAX_TRACKED_WARNINGS {
            self.troubles.pop_first();
        }
        self.troubles.insert(text.clone(), (now, 0));
        self.actions.push(Action::Warn(text));
    }

    /// Handles the program's line that its credential was refused: the forge itself is asked whether that is so.
    fn refused(&mut self, text: String, now: Duration) {
        self.troubled_until = now + self.rules.behavior.confirm_after.unwrap_or_default();
        match self.phase {
            Phase::Booting if !self.rules.can_check => self.fail_refused(text, now),
            Phase::Booting | Phase::Idle { .. } | Phase::Busy if self.rules.can_check => {
                self.refused = Some(text);
                self.check();
            }
            Phase::Stopping { .. } | Phase::Done => {}
            _ => self.warn(text, now),
        }
    }

    fn fail_refused(&mut self, text: String, now: Duration) {
        let hint = "check that the runner has not been removed, and that the forge accepts this host's IP address";
        self.failure.get_or_insert(Error::auth(text).hint(hint));
        self.interrupt(now);
    }

    fn check(&mut self) {
        self.check_at = None;
        if !std::mem::replace(&mut self.checking, true) {
            self.actions.push(Action::Check);
        }
    }

    /// Handles the forge's answer about the registration.
    fn handle_check(&mut self, status: RegistrationStatus, now: Duration) {
        // The answer is about a registration that was given up in the meantime.
        if !std::mem::take(&mut self.checking) {
            return;
        }
        if self.rules.behavior.poll.is_some_and(|pause| self.polled(&status, pause, now)) {
            return;
        }
        let refused = self.refused.take();
        let quiet = now >= self.troubled_until;
        match (self.phase, status) {
            (Phase::Booting, RegistrationStatus::Unknown) => {
                let usual = || format!("the forge does not know runner {}", self.rules.name);
                let text = refused.unwrap_or_else(usual);
                self.fail_refused(text, now);
            }
            (Phase::Booting, RegistrationStatus::Known(_)) if refused.is_none() && quiet => self.is_ready(now),
            (Phase::Booting, status) => {
                if let Some(text) = refused {
                    self.warn(text, now);
                }
                if let RegistrationStatus::Unclear(why) = status {
                    self.warn(format!("cannot check the runner's status: {why}"), now);
                    self.check_at = Some(now + RECHECK_INTERVAL);
                } else {
                    self.check_at = Some(self.troubled_until.max(now + Duration::from_secs(1)));
                }
            }
            (Phase::Idle { .. }, RegistrationStatus::Unknown) => self.vanished(now),
            (Phase::Idle { .. }, status) => {
                if let Some(text) = refused {
                    self.warn(text, now);
                }
                let is_offline = matches!(status, RegistrationStatus::Known(RunnerStatus { online: false, .. }));
                self.offline = if is_offline { self.offline + 1 } else { 0 };
                self.check_at = Some(now + CHECK_INTERVAL);
                if self.rules.behavior.one_job_each && self.offline >= MAX_MISSES {
                    self.vanished(now);
                }
            }
            (Phase::Busy, RegistrationStatus::Unknown) if !self.rules.behavior.one_job_each => self.removed(now),
            (Phase::Busy, _) => {
                if let Some(text) = refused {
                    self.warn(text, now);
                }
            }
            _ => {}
        }
    }

    /// Handles an idle runner that the forge no longer knows, or never sees online.
    fn vanished(&mut self, now: Duration) {
        if !self.rules.behavior.one_job_each {
            return self.removed(now);
        }
        self.used_up();
        self.actions.push(Action::Send(self.rules.behavior.interrupt, SignalTarget::Leader));
        self.stopping(now + self.rules.behavior.drain_grace, true);
    }

    /// Notes that a registration for one job is gone without a job.
    fn used_up(&mut self) {
        self.used_up = true;
        let name = &self.rules.name;
        self.actions.push(Action::Warn(format!("the registration of runner {name} was used up without a job")));
        if self.rules.single {
            self.reason.get_or_insert_with(|| "its registration was used up without a job".to_owned());
        }
    }

    fn stopping(&mut self, kill_at: Duration, gentle: bool) {
        self.phase = Phase::Stopping { kill_at, gentle, killed: false, again_at: None };
    }

    /// Handles the removal of the runner at the forge. For a registration that was good for one job, which has ended, this
    /// is expected; other runners end after their job.
    fn removed(&mut self, now: Duration) {
        if self.rules.behavior.one_job_each && self.ended > 0 {
            return;
        }
        self.deregistered = true;
        self.removal();
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. }) {
            // One that handles this signal only between two requests would take long.
            match self.rules.behavior.second_interrupt {
                Some(_) => self.interrupt(now),
                None => self.drain(now),
            }
        }
    }

    /// Notes that it ends because it was removed, which is an error before it was ever ready.
    fn removal(&mut self) {
        self.reason.get_or_insert_with(|| "removed".to_owned());
        if !self.was_ready {
            let error = Error::conflict(format!("runner {} was removed before it was ready", self.rules.name));
            self.failure
                .get_or_insert(error.hint("check whether another program removes runners, and launch it again"));
        }
    }

    fn started(&mut self, job: Job, now: Duration) {
        if job.id.is_some() && self.jobs.iter().any(|known| known.id == job.id) {
            return;
        }
        if std::mem::take(&mut self.is_job_from_forge) && self.is_busy() {
            // The forge was faster than the line.
            self.jobs = vec![job];
            return;
        }
        (self.contradictions, self.is_job_seen) = (0, false);
        if self.rules.behavior.one_at_a_time {
            // No line told how the previous one ended: it never ran.
            for over in std::mem::take(&mut self.jobs) {
                self.actions.push(Action::Announce(LifecycleEvent::Ended(over, None)));
            }
        }
        // The first request was answered with a job: that confirms the runner.
        let announced = self.rules.behavior.confirm_after.is_some() && (self.check_at.is_some() || self.checking);
        if self.phase == Phase::Booting && announced {
            self.actions.push(Action::Announce(LifecycleEvent::Ready));
        }
        self.connected();
        self.unused = 0;
        self.actions.push(Action::Announce(LifecycleEvent::Started(job.clone())));
        self.jobs.push(job);
        if let Some(hook_job) = self.early_hook.take() {
            self.handle_hook(hook_job);
        }
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. } | Phase::Lingering { .. }) {
            self.phase = Phase::Busy;
            self.check_at =
                self.rules.behavior.poll.and_then(|pause| self.check_after(pause.min(FIRST_JOB_CHECK), now));
        }
    }

    /// Handles a hook's report, which arrives before the job's last line, and maybe before its first.
    fn handle_hook(&mut self, hook_job: Job) {
        match self.jobs.iter_mut().find(|job| job.rerun.is_none()) {
            Some(job) => {
                job.rerun = hook_job.rerun;
                job.attempt = hook_job.attempt;
                job.pipeline = job.pipeline.take().or(hook_job.pipeline);
            }
            None => self.early_hook = Some(hook_job),
        }
    }

    fn job_ended(&mut self, id: Option<&str>, result: JobResult, now: Duration) {
        let named = |job: &Job| job.id.as_deref() == id;
        let Some(place) =
            self.jobs.iter().position(named).or(if id.is_none() { self.jobs.len().checked_sub(1) } else { None })
        else {
            return;
        };
        let job = self.jobs.remove(place);
        let success = result == JobResult::Succeeded;
        (self.is_job_from_forge, self.contradictions) = (false, 0);
        self.ended += 1;
        self.actions.push(Action::Announce(LifecycleEvent::Ended(job.clone(), Some(success))));
        self.last_job = Some((job.clone(), result));
        if self.signal.is_some() && !success {
            self.lost.push(job);
        }
        if self.jobs.is_empty() {
            self.none_runs(now);
        }
    }

    fn none_runs(&mut self, now: Duration) {
        match &mut self.phase {
            Phase::Stopping { kill_at, gentle: true, killed: false, .. } => {
                *kill_at = now + self.rules.behavior.linger.max(self.rules.behavior.grace);
            }
            Phase::Busy if self.rules.behavior.one_job_each || self.rules.single => {
                self.phase = Phase::Lingering { until: now + self.rules.behavior.linger };
            }
            Phase::Busy if self.deregistered => self.drain(now),
            Phase::Busy => self.idle(now),
            _ => {}
        }
        if self.rules.single && self.signal.is_none() {
            self.reason = Some("single job".to_owned());
        }
    }

    fn handle_deregistration(&mut self, result: DeregisterResult, now: Duration) {
        if self.phase != Phase::Leaving {
            return;
        }
        match result {
            DeregisterResult::Removed => self.drain(now),
            DeregisterResult::Failed if self.jobs.is_empty() => self.drain(now),
            DeregisterResult::Busy | DeregisterResult::Failed => {
                self.reason = None;
                if self.jobs.is_empty() {
                    self.idle(now);
                } else {
                    self.phase = Phase::Busy;
                }
            }
        }
    }

    fn drain(&mut self, now: Duration) {
        self.actions.push(Action::Send(self.rules.behavior.drain, SignalTarget::Leader));
        self.stopping(now + self.rules.behavior.drain_grace, true);
    }

    fn interrupt(&mut self, now: Duration) {
        self.actions.push(Action::Send(self.rules.behavior.interrupt, SignalTarget::Leader));
        self.actions.push(Action::Stop);
        let again_at = self.rules.behavior.second_interrupt.filter(|_| self.jobs.is_empty()).map(|pause| now + pause);
        self.phase =
            Phase::Stopping { kill_at: now + self.rules.behavior.grace, gentle: false, killed: false, again_at };
    }

    fn kill(&mut self, now: Duration) {
        self.actions.push(Action::Send(Signal::Kill, SignalTarget::All));
        self.actions.push(Action::Stop);
        self.phase = Phase::Stopping { kill_at: now + KILL_TIMEOUT, gentle: false, killed: true, again_at: None };
    }

    fn handle_signal(&mut self, signal: Signal, now: Duration) {
        if self.signal.is_some() {
            return match self.phase {
                Phase::Waiting { .. } | Phase::Renewing => self.finish(),
                _ => self.kill(now),
            };
        }
        self.signal = Some(signal);
        self.reason = Some(signal.name().to_owned());
        match self.phase {
            Phase::Waiting { .. } | Phase::Renewing => self.finish(),
            // It ends by itself, and still has to report the end of its job.
            Phase::Lingering { .. } => self.stopping(now + self.rules.behavior.grace, false),
            Phase::Stopping { killed: true, .. } | Phase::Done => {}
            Phase::Booting | Phase::Idle { .. } | Phase::Busy | Phase::Leaving | Phase::Stopping { .. } => {
                self.interrupt(now);
            }
        }
    }

    fn handle_exit(&mut self, disposition: ExitDisposition, now: Duration) {
        let expected = matches!(self.phase, Phase::Stopping { .. });
        if !expected && matches!(disposition, ExitDisposition::Completed | ExitDisposition::JobLost) {
            // It completed its job; the line about that did not arrive.
            for job in std::mem::take(&mut self.jobs) {
                self.ended += 1;
                self.actions.push(Action::Announce(LifecycleEvent::Ended(job, None)));
            }
        }
        self.lost.append(&mut self.jobs);
        if let (ExitDisposition::JobLost, false, Some((mut job, _))) = (&disposition, expected, self.last_job.take()) {
            job.maybe_canceled = true;
            self.lost.push(job);
        }
        let another = self.rules.behavior.one_job_each && !self.rules.single && self.signal.is_none();
        if expected && self.used_up && another && self.failure.is_none() && self.ended == 0 {
            return self.renew_unused(now);
        }
        if self.deregistered && !expected {
            self.removal();
        }
        if expected || self.deregistered {
            return self.finish();
        }
        let is_unused = self.rules.behavior.one_job_each && self.ended == 0 && self.was_ready && self.reason.is_none();
        match disposition {
            ExitDisposition::Failed(error) => {
                self.failure = Some(self.unusable.take().unwrap_or(error));
                self.finish();
            }
            ExitDisposition::Completed | ExitDisposition::JobLost | ExitDisposition::Restart(_)
                if another && self.ended > 0 =>
            {
                self.renew(now)
            }
            ExitDisposition::Completed if is_unused => {
                self.used_up();
                if another {
                    self.renew_unused(now);
                } else {
                    self.finish();
                }
            }
            ExitDisposition::Completed | ExitDisposition::JobLost => {
                self.reason.get_or_insert_with(|| match (self.phase, self.rules.idle) {
                    (Phase::Idle { since }, Some(idle)) if now + IDLE_TOLERANCE >= since + idle => timeout(idle),
                    _ if self.rules.single && self.ended > 0 => "single job".to_owned(),
                    _ => "runner closed with exit code 0".to_owned(),
                });
                self.finish();
            }
            ExitDisposition::Restart(_) if self.reason.is_some() => self.finish(),
            ExitDisposition::Restart(pause) => self.restart(pause, now),
        }
    }

    fn renew(&mut self, now: Duration) {
        self.rerun_lost();
        (self.ended, self.early_hook, self.last_job) = (0, None, None);
        (self.used_up, self.was_ready, self.ready, self.deregistered) = (false, false, false, false);
        (self.checking, self.check_at) = (false, None);
        (self.is_job_from_forge, self.contradictions, self.missing) = (false, 0, 0);
        (self.boot, self.phase) = (now, Phase::Renewing);
        self.actions.push(Action::Renew);
    }

    /// Replaces a registration that was used up without a job. It is removed first: it has the name.
    fn renew_unused(&mut self, now: Duration) {
        self.unused += 1;
        if self.unused > MAX_UNUSED_REGISTRATIONS {
            let name = &self.rules.name;
            self.failure = Some(
                Error::remote(format!(
                    "the registrations of runner {name} were used up without a job {MAX_UNUSED_REGISTRATIONS} times in a row"
                ))
                .hint("check for jobs that are cancelled while they are queued; --log debug shows the runner program's output"),
            );
            return self.finish();
        }
        self.actions.push(Action::Unregister);
        self.renew(now);
    }

    /// Notes that the program is being started with another registration.
    pub fn renewed(&mut self, now: Duration) {
        if self.phase == Phase::Renewing {
            (self.boot, self.phase) = (now, Phase::Booting);
            self.check_at = self.rules.behavior.poll.and_then(|pause| self.check_after(pause, now));
        }
    }

    fn restart(&mut self, pause: Duration, now: Duration) {
        self.rerun_lost();
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            let name = &self.rules.name;
            self.failure = Some(
                Error::remote(format!("runner {name} exited {MAX_RESTARTS} times in a row before it was ready"))
                    .hint("the last lines of its output are above; --log debug shows all of it"),
            );
            return self.finish();
        }
        if self.ready {
            (self.boot, self.ready) = (now + pause, false);
        }
        self.check_at = None;
        self.phase = Phase::Waiting { until: now + pause };
    }

    fn rerun_lost(&mut self) {
        if !self.lost.is_empty() {
            self.actions.push(Action::Rerun(std::mem::take(&mut self.lost)));
        }
    }

    fn finish(&mut self) {
        let interrupted = self.signal.is_some() && !self.lost.is_empty();
        self.rerun_lost();
        let error = self.failure.take().or_else(|| {
            interrupted.then(|| {
                Error::interrupted(format!("runner {} was interrupted while a job was running", self.rules.name))
            })
        });
        let message = || error.as_ref().map_or_else(|| "runner closed".to_owned(), ToString::to_string);
        let reason = self.reason.take().unwrap_or_else(message);
        self.actions.push(Action::Finish(RunOutcome { reason, error }));
        self.phase = Phase::Done;
    }

    fn handle_deadline(&mut self, now: Duration) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.phase {
            Phase::Booting if now < self.boot + self.boot_limit() => {
                if self.rules.can_check {
                    self.check();
                } else if now < self.troubled_until {
                    // The forge cannot be asked: the program's line counts, when it has reported no trouble since.
                    self.check_at = Some(self.troubled_until);
                } else {
                    self.check_at = None;
                    self.is_ready(now);
                }
            }
            Phase::Booting => {
                let (name, minutes) = (&self.rules.name, self.boot_limit().as_secs() / 60);
                let what = if self.was_ready {
                    format!("runner {name} has not reached the forge for {minutes} minutes")
                } else {
                    format!("runner {name} was not ready within {minutes} minutes")
                };
                self.failure = Some(
                    Error::remote(what)
                        .hint("the last lines of its output are above: check that this host can reach the forge, through the proxy if there is one"),
                );
                self.interrupt(now);
            }
            Phase::Idle { since } if self.rules.idle.is_none_or(|idle| now < since + idle) => self.check(),
            Phase::Idle { .. } => {
                self.reason = self.rules.idle.map(timeout);
                if self.rules.behavior.delete_first {
                    self.phase = Phase::Leaving;
                    self.actions.push(Action::Deregister);
                } else {
                    self.drain(now);
                }
            }
            Phase::Lingering { .. } => self.drain(now),
            Phase::Stopping { kill_at, gentle, killed: false, again_at: Some(_) } if now < kill_at => {
                self.actions.push(Action::Send(self.rules.behavior.interrupt, SignalTarget::Leader));
                self.stopping(kill_at, gentle);
            }
            Phase::Stopping { killed: false, .. } => self.kill(now),
            Phase::Stopping { killed: true, .. } => {
                let error = Error::internal(format!("cannot kill the program of runner {}", self.rules.name));
                self.failure.get_or_insert(error);
                self.lost.append(&mut self.jobs);
                // While it runs, a job must not run a second time.
                self.lost.clear();
                self.finish();
            }
            Phase::Waiting { .. } => {
                self.phase = Phase::Booting;
                self.check_at = self.rules.behavior.poll.and_then(|pause| self.check_after(pause, now));
                self.actions.push(Action::Start);
            }
            Phase::Busy => self.check(),
            Phase::Leaving | Phase::Renewing | Phase::Done => {}
        }
    }
}

fn earlier(one: Duration, other: Option<Duration>) -> Duration {
    other.map_or(one, |other| one.min(other))
}

fn timeout(idle: Duration) -> String {
    format!("timeout:{}", idle.as_secs())
}
