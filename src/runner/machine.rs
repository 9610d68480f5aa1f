//! What a runner does next: a pure state machine. It is told what happens and when, and answers with what to do.
//!
//! | phase | from | to |
//! | --- | --- | --- |
//! | booting | start | idle when ready, which the forge confirms where the program's word is none; fails after [`BOOT`], or after [`OUTAGE`] where it was ready before |
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
use crate::forge::runner::{Ending, Event, Job, JobResult, RunnerState};
use crate::host::{Signal, SignalTarget};
use std::collections::BTreeMap;
use std::time::Duration;

#[cfg(test)]
mod tests;
mod words;

pub use words::{Act, Deletion, Input, Outcome, Rules, Standing, Status, name};

/// A runner is ready by then, or something is wrong.
pub const BOOT: Duration = Duration::from_secs(600);
/// A runner that was ready before may be without its forge for so long, where no idle time says otherwise.
pub const OUTAGE: Duration = Duration::from_secs(60 * 60);
/// How often the forge is asked about an idle runner.
const CHECK: Duration = Duration::from_secs(5 * 60);
/// How often the forge is asked again that did not answer while a runner starts.
const CHECK_AGAIN: Duration = Duration::from_secs(15);
/// So often in a row the forge sees an idle runner offline, or contradicts the program's lines, before that counts.
const OFFLINE: u32 = 2;
/// So long after a job's first line the forge is asked whether it sees the job.
const SOON: Duration = Duration::from_secs(5);
/// So often in a row another registration is got for one that was used up without a job.
const UNUSED: u32 = 5;
/// The same trouble is told again only after this time.
const TROUBLE: Duration = Duration::from_secs(10 * 60);
/// So many different troubles are told apart.
const TROUBLES: usize = 16;
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
        /// When the signal is sent once more.
        again_at: Option<Duration>,
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
    /// Whether the present registration was ever ready.
    was_ready: bool,
    /// When the forge is asked next.
    check_at: Option<Duration>,
    /// Whether it is being asked.
    checking: bool,
    /// Until when the program's word alone counts for nothing.
    troubled_until: Duration,
    /// Why the program says that its credential was refused, until the forge was asked.
    refused: Option<String>,
    /// How often in a row the forge saw it offline while it was idle.
    offline: u32,
    /// How often in a row the forge did not know it, and said something else of its job than its lines.
    missing: u32,
    contradictions: u32,
    /// Whether the forge ever saw the job that runs, and whether only the forge said that there is one.
    is_job_seen: bool,
    is_job_unsaid: bool,
    /// Whether the present registration is used up without a job, and how many before it were.
    used_up: bool,
    unused: u32,
    /// What troubles it had lately: when each was told, and how often it came since.
    troubles: BTreeMap<String, (Duration, u32)>,
    jobs: Vec<Job>,
    /// What a hook told of a job whose first line is still on its way.
    early: Option<Job>,
    ended: usize,
    /// The last job of the present registration that ended, and how.
    last: Option<(Job, JobResult)>,
    /// Jobs that a signal or the end of the process took down.
    lost: Vec<Job>,
    signal: Option<Signal>,
    reason: Option<String>,
    failure: Option<Error>,
    /// Why the program cannot run on this machine, if it said so.
    unusable: Option<Error>,
    deregistered: bool,
    acts: Vec<Act>,
}

impl Machine {
    /// The machine of a program that is being started.
    pub fn new(rules: Rules, now: Duration) -> Self {
        let check_at = rules.poll.filter(|_| rules.can_check).map(|pause| now + pause);
        Machine {
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
            is_job_unsaid: false,
            used_up: false,
            unused: 0,
            troubles: BTreeMap::new(),
            jobs: Vec::new(),
            early: None,
            ended: 0,
            last: None,
            lost: Vec::new(),
            signal: None,
            reason: None,
            failure: None,
            unusable: None,
            deregistered: false,
            acts: Vec::new(),
        }
    }

    /// How the last job of the present registration ended.
    pub fn last_result(&self) -> Option<JobResult> {
        self.last.as_ref().map(|(_, result)| *result)
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
            Phase::Booting => Some(earlier(self.boot + self.boot_limit(), self.check_at)),
            Phase::Idle { since } => match self.rules.idle {
                Some(idle) => Some(earlier(since + idle, self.check_at)),
                None => self.check_at,
            },
            Phase::Lingering { until } | Phase::Waiting { until } => Some(until),
            Phase::Stopping { gentle: true, killed: false, .. } if !self.jobs.is_empty() => None,
            Phase::Stopping { kill_at, again_at, .. } => Some(earlier(kill_at, again_at)),
            Phase::Busy => self.rules.poll.and(self.check_at),
            Phase::Leaving | Phase::Renewing | Phase::Done => None,
        }
    }

    /// How long the program may take to be ready.
    fn boot_limit(&self) -> Duration {
        if self.was_ready { self.rules.idle.map_or(OUTAGE, |idle| idle.max(BOOT)) } else { BOOT }
    }

    /// Takes what happened at a time, and says what to do, in order.
    pub fn feed(&mut self, input: Input, now: Duration) -> Vec<Act> {
        if self.phase != Phase::Done {
            match input {
                Input::Told(event) => self.told(event, now),
                Input::Hook(job) => self.hook(job),
                Input::Exited(ending) => self.exited(ending, now),
                Input::Deleted(deletion) => self.deleted(deletion, now),
                Input::Checked(standing) => self.checked(standing, now),
                Input::Signal(signal) => self.signalled(signal, now),
                Input::Tick => {}
            }
            self.look_at_the_clock(now);
        }
        std::mem::take(&mut self.acts)
    }

    fn told(&mut self, event: Event, now: Duration) {
        match event {
            Event::Ready => match self.rules.confirm_after {
                Some(pause) if self.phase == Phase::Booting => self.check_at = Some(now + pause),
                Some(_) => {}
                None => self.is_ready(now),
            },
            Event::Started(job) => self.started(job, now),
            Event::Ended { job, result } => self.job_ended(job.as_deref(), result, now),
            // The listener may fall back to another configuration of its own, and ends by itself otherwise.
            Event::Deregistered if self.phase == Phase::Booting => {
                self.deregistered = true;
            }
            Event::Deregistered => self.removed(now),
            Event::Refused(text) => self.refused(text, now),
            Event::Unusable { what, hint } => self.unusable = Some(Error::config(what).hint(hint)),
            Event::Trouble(text) => {
                self.troubled_until = now + self.rules.confirm_after.unwrap_or_default();
                // A program that is asked to end twice says so.
                if !matches!(self.phase, Phase::Stopping { .. }) || !self.jobs.is_empty() {
                    self.trouble(text, now);
                }
            }
        }
    }

    /// The forge takes it.
    fn is_ready(&mut self, now: Duration) {
        self.connected();
        (self.restarts, self.deregistered) = (0, false);
        if self.phase == Phase::Booting {
            self.idle(now);
            self.acts.push(Act::Say(Status::Ready));
        }
    }

    fn connected(&mut self) {
        (self.ready, self.was_ready) = (true, true);
        if !std::mem::take(&mut self.troubles).is_empty() {
            self.acts.push(Act::Inform(format!("the runner {} reaches the forge again", self.rules.name)));
        }
    }

    fn idle(&mut self, now: Duration) {
        self.phase = Phase::Idle { since: now };
        (self.check_at, self.offline) = (self.check_after(self.rules.poll.unwrap_or(CHECK), now), 0);
    }

    fn check_after(&self, pause: Duration, now: Duration) -> Option<Duration> {
        self.rules.can_check.then_some(now + pause)
    }

    /// Takes what the forge sees, where the program's lines are not known from a source. Returns whether that is all.
    fn polled(&mut self, standing: &Standing, pause: Duration, now: Duration) -> bool {
        self.check_at = self.check_after(pause, now);
        self.missing = if *standing == Standing::Unknown { self.missing + 1 } else { 0 };
        match (self.phase, standing) {
            // One answer may be the forge's mistake.
            (_, Standing::Unknown) => self.missing < OFFLINE,
            (Phase::Booting, Standing::Known(state)) => {
                if state.online {
                    self.is_ready(now);
                }
                true
            }
            (Phase::Idle { .. } | Phase::Busy, Standing::Known(RunnerState { busy: Some(busy), .. })) => {
                self.compare(*busy, now);
                true
            }
            (Phase::Booting, Standing::Unclear(_)) => false,
            _ => true,
        }
    }

    /// Compares what the forge says of a job with the program's lines, which may have other words by now. The forge may be a
    /// moment late, and may tell of no job at all.
    fn compare(&mut self, busy: bool, now: Duration) {
        let runs = self.is_busy();
        self.is_job_seen |= busy && runs;
        if busy == runs || (runs && !self.is_job_seen) {
            self.contradictions = 0;
            return;
        }
        self.contradictions += 1;
        if self.contradictions < OFFLINE {
            return;
        }
        self.contradictions = 0;
        if busy {
            self.started(Job::default(), now);
            (self.is_job_unsaid, self.is_job_seen) = (true, true);
            return;
        }
        for job in std::mem::take(&mut self.jobs) {
            self.ended += 1;
            self.acts.push(Act::Say(Status::Ended(job, None)));
        }
        self.none_runs(now);
    }

    /// Tells of a trouble: the same one once, and then now and again with its number.
    fn trouble(&mut self, text: String, now: Duration) {
        if let Some((told, count)) = self.troubles.get_mut(&text) {
            *count += 1;
            if now >= *told + TROUBLE {
                self.acts.push(Act::Warn(format!("{text} ({count} times more)")));
                (*told, *count) = (now, 0);
            }
            return;
        }
        if self.troubles.len() >= TROUBLES {
            self.troubles.pop_first();
        }
        self.troubles.insert(text.clone(), (now, 0));
        self.acts.push(Act::Warn(text));
    }

    /// The program says that its credential was refused. The forge itself is asked whether that is so.
    fn refused(&mut self, text: String, now: Duration) {
        self.troubled_until = now + self.rules.confirm_after.unwrap_or_default();
        match self.phase {
            Phase::Booting if !self.rules.can_check => self.fail_refused(text, now),
            Phase::Booting | Phase::Idle { .. } | Phase::Busy if self.rules.can_check => {
                self.refused = Some(text);
                self.check();
            }
            Phase::Stopping { .. } | Phase::Done => {}
            _ => self.trouble(text, now),
        }
    }

    fn fail_refused(&mut self, text: String, now: Duration) {
        let hint = "check that the runner was not removed meanwhile, and that this machine's address may use it";
        self.failure.get_or_insert(Error::auth(text).hint(hint));
        self.interrupt(now);
    }

    fn check(&mut self) {
        self.check_at = None;
        if !std::mem::replace(&mut self.checking, true) {
            self.acts.push(Act::Check);
        }
    }

    /// The forge's answer.
    fn checked(&mut self, standing: Standing, now: Duration) {
        // Of a registration that was given up meanwhile.
        if !std::mem::take(&mut self.checking) {
            return;
        }
        if self.rules.poll.is_some_and(|pause| self.polled(&standing, pause, now)) {
            return;
        }
        let refused = self.refused.take();
        let quiet = now >= self.troubled_until;
        match (self.phase, standing) {
            (Phase::Booting, Standing::Unknown) => {
                let usual = || format!("the forge does not know the runner {}", self.rules.name);
                let text = refused.unwrap_or_else(usual);
                self.fail_refused(text, now);
            }
            (Phase::Booting, Standing::Known(_)) if refused.is_none() && quiet => self.is_ready(now),
            (Phase::Booting, standing) => {
                if let Some(text) = refused {
                    self.trouble(text, now);
                }
                if let Standing::Unclear(why) = standing {
                    self.trouble(format!("cannot ask the forge about the runner: {why}"), now);
                    self.check_at = Some(now + CHECK_AGAIN);
                } else {
                    self.check_at = Some(self.troubled_until.max(now + Duration::from_secs(1)));
                }
            }
            (Phase::Idle { .. }, Standing::Unknown) => self.vanished(now),
            (Phase::Idle { .. }, standing) => {
                if let Some(text) = refused {
                    self.trouble(text, now);
                }
                let is_offline = matches!(standing, Standing::Known(RunnerState { online: false, .. }));
                self.offline = if is_offline { self.offline + 1 } else { 0 };
                self.check_at = Some(now + CHECK);
                if self.rules.one_job_each && self.offline >= OFFLINE {
                    self.vanished(now);
                }
            }
            (Phase::Busy, Standing::Unknown) if !self.rules.one_job_each => self.removed(now),
            (Phase::Busy, _) => {
                if let Some(text) = refused {
                    self.trouble(text, now);
                }
            }
            _ => {}
        }
    }

    /// The forge does not know an idle runner any more, or never sees it.
    fn vanished(&mut self, now: Duration) {
        if !self.rules.one_job_each {
            return self.removed(now);
        }
        self.used_up();
        self.acts.push(Act::Send(self.rules.interrupt, SignalTarget::Leader));
        self.stopping(now + self.rules.drain_grace, true);
    }

    /// A registration for one job is gone, and there was none.
    fn used_up(&mut self) {
        self.used_up = true;
        let name = &self.rules.name;
        self.acts.push(Act::Warn(format!("the registration of the runner {name} was used up without a job")));
        if self.rules.single {
            self.reason.get_or_insert_with(|| "its registration was used up without a job".to_owned());
        }
    }

    fn stopping(&mut self, kill_at: Duration, gentle: bool) {
        self.phase = Phase::Stopping { kill_at, gentle, killed: false, again_at: None };
    }

    /// Somebody removed the runner at the forge. One whose registration was good for the job that ended is as it is to
    /// be; others end, when their job has.
    fn removed(&mut self, now: Duration) {
        if self.rules.one_job_each && self.ended > 0 {
            return;
        }
        self.deregistered = true;
        self.removal();
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. }) {
            // One that watches for this signal between two requests only would take long.
            match self.rules.second_interrupt {
                Some(_) => self.interrupt(now),
                None => self.drain(now),
            }
        }
    }

    /// Notes that it ends because it was removed, which is an error before it was ever ready.
    fn removal(&mut self) {
        self.reason.get_or_insert_with(|| "removed".to_owned());
        if !self.was_ready {
            let error = Error::conflict(format!("somebody removed the runner {} before it was ready", self.rules.name));
            self.failure
                .get_or_insert(error.hint("look for another program that removes runners, and launch it again"));
        }
    }

    fn started(&mut self, job: Job, now: Duration) {
        if job.id.is_some() && self.jobs.iter().any(|known| known.id == job.id) {
            return;
        }
        if std::mem::take(&mut self.is_job_unsaid) && self.is_busy() {
            // The forge was faster than the line.
            self.jobs = vec![job];
            return;
        }
        (self.contradictions, self.is_job_seen) = (0, false);
        if self.rules.one_at_a_time {
            // Nothing said how the one before ended: it never ran.
            for over in std::mem::take(&mut self.jobs) {
                self.acts.push(Act::Say(Status::Ended(over, None)));
            }
        }
        // The first request was answered with a job: nothing is left to be confirmed.
        let announced = self.rules.confirm_after.is_some() && (self.check_at.is_some() || self.checking);
        if self.phase == Phase::Booting && announced {
            self.acts.push(Act::Say(Status::Ready));
        }
        self.connected();
        self.unused = 0;
        self.acts.push(Act::Say(Status::Started(job.clone())));
        self.jobs.push(job);
        if let Some(told) = self.early.take() {
            self.hook(told);
        }
        if matches!(self.phase, Phase::Booting | Phase::Idle { .. } | Phase::Lingering { .. }) {
            self.phase = Phase::Busy;
            self.check_at = self.rules.poll.and_then(|pause| self.check_after(pause.min(SOON), now));
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

    fn job_ended(&mut self, id: Option<&str>, result: JobResult, now: Duration) {
        let named = |job: &Job| job.id.as_deref() == id;
        let Some(place) =
            self.jobs.iter().position(named).or(if id.is_none() { self.jobs.len().checked_sub(1) } else { None })
        else {
            return;
        };
        let job = self.jobs.remove(place);
        let success = result == JobResult::Succeeded;
        (self.is_job_unsaid, self.contradictions) = (false, 0);
        self.ended += 1;
        self.acts.push(Act::Say(Status::Ended(job.clone(), Some(success))));
        self.last = Some((job.clone(), result));
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
                *kill_at = now + self.rules.linger.max(self.rules.grace);
            }
            Phase::Busy if self.rules.one_job_each || self.rules.single => {
                self.phase = Phase::Lingering { until: now + self.rules.linger };
            }
            Phase::Busy if self.deregistered => self.drain(now),
            Phase::Busy => self.idle(now),
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
                match self.jobs.is_empty() {
                    true => self.idle(now),
                    false => self.phase = Phase::Busy,
                }
            }
        }
    }

    fn drain(&mut self, now: Duration) {
        self.acts.push(Act::Send(self.rules.drain, SignalTarget::Leader));
        self.stopping(now + self.rules.drain_grace, true);
    }

    fn interrupt(&mut self, now: Duration) {
        self.acts.push(Act::Send(self.rules.interrupt, SignalTarget::Leader));
        self.acts.push(Act::Stop);
        let again_at = self.rules.second_interrupt.filter(|_| self.jobs.is_empty()).map(|pause| now + pause);
        self.phase = Phase::Stopping { kill_at: now + self.rules.grace, gentle: false, killed: false, again_at };
    }

    fn kill(&mut self, now: Duration) {
        self.acts.push(Act::Send(Signal::Kill, SignalTarget::All));
        self.acts.push(Act::Stop);
        self.phase = Phase::Stopping { kill_at: now + KILLED, gentle: false, killed: true, again_at: None };
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
            Phase::Lingering { .. } => self.stopping(now + self.rules.grace, false),
            Phase::Stopping { killed: true, .. } | Phase::Done => {}
            Phase::Booting | Phase::Idle { .. } | Phase::Busy | Phase::Leaving | Phase::Stopping { .. } => {
                self.interrupt(now);
            }
        }
    }

    fn exited(&mut self, ending: Ending, now: Duration) {
        let expected = matches!(self.phase, Phase::Stopping { .. });
        if !expected && matches!(ending, Ending::Done | Ending::JobCut) {
            // It did what it was to; the line that says so did not arrive.
            for job in std::mem::take(&mut self.jobs) {
                self.ended += 1;
                self.acts.push(Act::Say(Status::Ended(job, None)));
            }
        }
        self.lost.append(&mut self.jobs);
        if let (Ending::JobCut, false, Some((mut job, _))) = (&ending, expected, self.last.take()) {
            job.maybe_canceled = true;
            self.lost.push(job);
        }
        let another = self.rules.one_job_each && !self.rules.single && self.signal.is_none();
        if expected && self.used_up && another && self.failure.is_none() && self.ended == 0 {
            return self.renew_unused(now);
        }
        if self.deregistered && !expected {
            self.removal();
        }
        if expected || self.deregistered {
            return self.finish();
        }
        let is_unused = self.rules.one_job_each && self.ended == 0 && self.was_ready && self.reason.is_none();
        match ending {
            Ending::Failed(error) => {
                self.failure = Some(self.unusable.take().unwrap_or(error));
                self.finish();
            }
            Ending::Done | Ending::JobCut | Ending::Again(_) if another && self.ended > 0 => self.renew(now),
            Ending::Done if is_unused => {
                self.used_up();
                match another {
                    true => self.renew_unused(now),
                    false => self.finish(),
                }
            }
            Ending::Done | Ending::JobCut => {
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
        (self.ended, self.early, self.last) = (0, None, None);
        (self.used_up, self.was_ready, self.ready, self.deregistered) = (false, false, false, false);
        (self.checking, self.check_at) = (false, None);
        (self.is_job_unsaid, self.contradictions, self.missing) = (false, 0, 0);
        (self.boot, self.phase) = (now, Phase::Renewing);
        self.acts.push(Act::Renew);
    }

    /// Gets another registration for one that was used up without a job, which is removed first: it has the name.
    fn renew_unused(&mut self, now: Duration) {
        self.unused += 1;
        if self.unused > UNUSED {
            let name = &self.rules.name;
            self.failure = Some(
                Error::remote(format!(
                    "the registrations of the runner {name} are used up without jobs again and again"
                ))
                .hint("look for jobs that are cancelled while they are queued; --log debug shows the program's lines"),
            );
            return self.finish();
        }
        self.acts.push(Act::Unregister);
        self.renew(now);
    }

    /// The program of another registration is being started.
    pub fn renewed(&mut self, now: Duration) {
        if self.phase == Phase::Renewing {
            (self.boot, self.phase) = (now, Phase::Booting);
            self.check_at = self.rules.poll.and_then(|pause| self.check_after(pause, now));
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
        self.check_at = None;
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
            Phase::Booting if now < self.boot + self.boot_limit() => match self.rules.can_check {
                true => self.check(),
                // Nobody can be asked: the program's word counts, when it has told of no trouble since.
                false if now < self.troubled_until => self.check_at = Some(self.troubled_until),
                false => {
                    self.check_at = None;
                    self.is_ready(now);
                }
            },
            Phase::Booting => {
                let (name, minutes) = (&self.rules.name, self.boot_limit().as_secs() / 60);
                let what = match self.was_ready {
                    true => format!("the runner {name} cannot reach the forge any more, for {minutes} minutes"),
                    false => format!("the runner {name} was not ready within {minutes} minutes"),
                };
                self.failure = Some(
                    Error::remote(what)
                        .hint("its last lines are above: check that this machine reaches the forge, through the proxy if there is one"),
                );
                self.interrupt(now);
            }
            Phase::Idle { since } if self.rules.idle.is_none_or(|idle| now < since + idle) => self.check(),
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
            Phase::Stopping { kill_at, gentle, killed: false, again_at: Some(_) } if now < kill_at => {
                self.acts.push(Act::Send(self.rules.interrupt, SignalTarget::Leader));
                self.stopping(kill_at, gentle);
            }
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
                self.check_at = self.rules.poll.and_then(|pause| self.check_after(pause, now));
                self.acts.push(Act::Start);
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
