use super::*;
use crate::forge::runners::Behavior;
use proptest::prelude::*;

const IDLE: u64 = 300;

fn rules() -> Rules {
    Rules {
        name: "r".into(),
        idle: Some(Duration::from_secs(IDLE)),
        single: false,
        can_check: false,
        behavior: Behavior {
            drain: Signal::Quit,
            interrupt: Signal::Interrupt,
            grace: Duration::from_secs(30),
            drain_grace: Duration::from_secs(75),
            linger: Duration::from_secs(120),
            second_interrupt: None,
            confirm_after: None,
            one_at_a_time: false,
            poll: None,
            one_job_each: false,
            delete_first: false,
        },
    }
}

/// GitHub's way.
fn github() -> Rules {
    Rules {
        behavior: Behavior { one_job_each: true, delete_first: true, drain: Signal::Interrupt, ..rules().behavior },
        ..rules()
    }
}

fn job(id: &str) -> Job {
    Job { id: Some(id.into()), rerun: Some(format!("run-{id}")), ..Job::default() }
}

fn started(id: &str) -> Input {
    Input::Event(Event::Started(job(id)))
}

fn ended(id: &str, success: bool) -> Input {
    let result = if success { JobResult::Succeeded } else { JobResult::Failed };
    Input::Event(Event::Ended { job: Some(id.into()), result })
}

fn ready() -> Input {
    Input::Event(Event::Ready)
}

/// A state and what it said at each time.
struct Trace(RunnerState);

impl Trace {
    fn new(rules: Rules) -> Self {
        Trace(RunnerState::new(rules, Duration::ZERO))
    }

    /// What comes of an input at a second: a word an action.
    fn at(&mut self, second: u64, input: Input) -> String {
        let actions = self.0.feed(input, Duration::from_secs(second));
        actions.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

fn word(action: &Action) -> String {
    match action {
        Action::Announce(LifecycleEvent::Ready) => "ready".into(),
        Action::Announce(LifecycleEvent::Started(job)) => format!("+{}", job.id.clone().unwrap_or_default()),
        Action::Announce(LifecycleEvent::Ended(job, success)) => {
            format!("-{}:{}", job.id.clone().unwrap_or_default(), success.map_or("?".into(), |s| s.to_string()))
        }
        Action::Warn(text) | Action::Inform(text) => format!("warn({text})"),
        Action::Check => "check".into(),
        Action::Unregister => "unregister".into(),
        Action::Start => "start".into(),
        Action::Renew => "renew".into(),
        Action::Send(signal, SignalTarget::Leader) => signal.name().into(),
        Action::Send(signal, SignalTarget::All) => format!("{}!", signal.name()),
        Action::Stop => "stop".into(),
        Action::Deregister => "delete".into(),
        Action::Rerun(jobs) => {
            let runs: Vec<&str> = jobs.iter().filter_map(|job| job.rerun.as_deref()).collect();
            format!("rerun({})", runs.join(","))
        }
        Action::Finish(RunOutcome { reason, error }) => {
            format!("finish({reason}{})", error.as_ref().map_or(String::new(), |e| format!("; {:?}", e.kind())))
        }
    }
}

#[test]
fn idle_time_begins_when_ready_and_anew_after_each_job() {
    let mut trace = Trace::new(rules());
    assert_eq!(trace.at(500, ready()), "ready");
    assert_eq!(trace.at(500 + IDLE - 1, Input::Tick), "");
    assert_eq!(trace.at(800 - 1, started("a")), "+a");
    assert_eq!(trace.at(9000, started("b")), "+b");
    assert_eq!(trace.at(9001, ended("a", true)), "-a:true");
    assert_eq!(trace.at(99000, Input::Tick), "");
    assert_eq!(trace.at(99000, ended("b", false)), "-b:false");
    assert_eq!(trace.at(99000 + IDLE - 1, Input::Tick), "");
    assert_eq!(trace.at(99000 + IDLE, Input::Tick), "SIGQUIT");
    // A job that came at the last moment is not killed.
    assert_eq!(trace.at(99301, started("c")), "+c");
    assert_eq!(trace.at(999_999, Input::Tick), "");
    assert_eq!(trace.at(999_999, ended("c", true)), "-c:true");
    assert_eq!(trace.at(1_000_118, Input::Tick), "");
    assert_eq!(trace.at(1_000_119, Input::Tick), "SIGKILL! stop");
    assert_eq!(trace.at(1_000_119, Input::Exited(ExitDisposition::Completed)), "finish(timeout:300)");
}

#[test]
fn a_runner_that_is_not_ready_in_time_fails() {
    let mut trace = Trace::new(rules());
    assert_eq!(trace.at(600, Input::Tick), "SIGINT stop");
    assert_eq!(trace.at(630, Input::Tick), "SIGKILL! stop");
    let end = trace.at(631, Input::Exited(ExitDisposition::Completed));
    assert_eq!(end, "finish(runner r was not ready within 10 minutes; Remote)");
}

#[test]
fn the_forge_is_asked_before_an_idle_runner_goes() {
    let mut trace = Trace::new(github());
    trace.at(0, ready());
    assert_eq!(trace.at(300, Input::Tick), "delete");
    assert_eq!(trace.at(301, Input::Deregistered(DeregisterResult::Busy)), "");
    assert_eq!(trace.at(599, Input::Tick), "");
    assert_eq!(trace.at(601, Input::Tick), "delete");
    assert_eq!(trace.at(602, started("a")), "+a");
    assert_eq!(trace.at(603, Input::Deregistered(DeregisterResult::Failed)), "");
    assert_eq!(trace.at(9999, Input::Tick), "");
    let mut trace = Trace::new(github());
    trace.at(0, ready());
    trace.at(300, Input::Tick);
    assert_eq!(trace.at(301, Input::Deregistered(DeregisterResult::Removed)), "SIGINT");
    assert_eq!(trace.at(302, Input::Exited(ExitDisposition::Completed)), "finish(timeout:300)");
}

#[test]
fn another_job_needs_another_registration_where_each_is_for_one() {
    let mut trace = Trace::new(github());
    trace.at(0, ready());
    trace.at(1, started("a"));
    // The program reports the job's end before it ends: it is given time, and is not idle.
    assert_eq!(trace.at(2, ended("a", true)), "-a:true");
    assert_eq!(trace.at(100, Input::Exited(ExitDisposition::Completed)), "renew");
    trace.0.renewed(Duration::from_secs(101));
    assert_eq!(trace.at(102, ready()), "ready");
    assert_eq!(trace.at(102 + IDLE, Input::Tick), "delete");

    let mut trace = Trace::new(Rules { single: true, ..github() });
    trace.at(0, ready());
    trace.at(1, started("a"));
    trace.at(2, ended("a", true));
    assert_eq!(trace.at(3, Input::Exited(ExitDisposition::Completed)), "finish(single job)");
    // The line that says how it ended got lost.
    let mut trace = Trace::new(Rules { single: true, ..github() });
    trace.at(1, started("a"));
    assert_eq!(trace.at(3, Input::Exited(ExitDisposition::Completed)), "-a:? finish(single job)");
}

#[test]
fn a_program_that_would_take_another_job_is_asked_to_end() {
    // It has time to report the job first, and one that comes meanwhile is run.
    let mut trace = Trace::new(Rules {
        single: true,
        behavior: Behavior { linger: Duration::from_secs(15), ..rules().behavior },
        ..rules()
    });
    trace.at(0, ready());
    trace.at(1, started("a"));
    assert_eq!(trace.at(2, ended("a", false)), "-a:false");
    assert_eq!(trace.at(10, started("b")), "+b");
    assert_eq!(trace.at(20, ended("b", true)), "-b:true");
    assert_eq!(trace.at(34, Input::Tick), "");
    assert_eq!(trace.at(35, Input::Tick), "SIGQUIT");
    assert_eq!(trace.at(36, Input::Exited(ExitDisposition::Failed(Error::remote("137")))), "finish(single job)");
    // And one that was to end by itself and hangs.
    let mut trace = Trace::new(Rules { single: true, ..rules() });
    trace.at(1, started("a"));
    assert_eq!(trace.at(2, ended("a", true)), "-a:true");
    assert_eq!(trace.at(122, Input::Tick), "SIGQUIT");
    assert_eq!(trace.at(197, Input::Tick), "SIGKILL! stop");
}

#[test]
fn an_interrupted_job_starts_again_when_its_runner_has_ended() {
    let mut trace = Trace::new(github());
    trace.at(0, ready());
    trace.at(1, Input::Event(Event::Started(Job::default())));
    trace.at(2, Input::Hook(job("x")));
    assert_eq!(trace.at(3, Input::Signal(Signal::Terminate)), "SIGINT stop");
    let canceled = Event::Ended { job: None, result: JobResult::Canceled };
    assert_eq!(trace.at(4, Input::Event(canceled)), "-:false");
    assert_eq!(trace.at(5, Input::Exited(ExitDisposition::Completed)), "rerun(run-x) finish(SIGTERM; Interrupted)");
    // One that ended well meanwhile does not.
    let mut trace = Trace::new(github());
    trace.at(1, started("a"));
    trace.at(3, Input::Signal(Signal::Interrupt));
    assert_eq!(trace.at(4, ended("a", true)), "-a:true");
    assert_eq!(trace.at(5, Input::Exited(ExitDisposition::Completed)), "finish(SIGINT)");
}

#[test]
fn patience_has_an_end_and_a_second_signal_is_that() {
    let mut trace = Trace::new(rules());
    trace.at(1, started("a"));
    assert_eq!(trace.at(10, Input::Signal(Signal::Interrupt)), "SIGINT stop");
    assert_eq!(trace.at(39, Input::Tick), "");
    assert_eq!(trace.at(40, Input::Tick), "SIGKILL! stop");
    assert_eq!(trace.at(41, Input::Exited(ExitDisposition::Completed)), "rerun(run-a) finish(SIGINT; Interrupted)");

    let mut trace = Trace::new(rules());
    trace.at(1, started("a"));
    trace.at(10, Input::Signal(Signal::Interrupt));
    assert_eq!(trace.at(11, Input::Signal(Signal::Interrupt)), "SIGKILL! stop");
    // What cannot be killed may still run its job.
    assert_eq!(trace.at(31, Input::Tick), "finish(SIGINT; Internal)");
}

#[test]
fn a_program_that_wants_it_is_started_again_but_not_for_ever() {
    let mut trace = Trace::new(rules());
    let again = || Input::Exited(ExitDisposition::Restart(Duration::from_secs(5)));
    trace.at(0, ready());
    trace.at(1, started("a"));
    assert_eq!(trace.at(2, again()), "rerun(run-a)");
    assert_eq!(trace.at(6, Input::Tick), "");
    assert_eq!(trace.at(7, Input::Tick), "start");
    for round in 1..=9 {
        assert_eq!(trace.at(round * 10, again()), "", "{round}");
        assert_eq!(trace.at(round * 10 + 5, Input::Tick), "start");
    }
    let end = trace.at(200, again());
    assert_eq!(end, "finish(runner r exited 10 times in a row before it was ready; Remote)");

    let mut trace = Trace::new(rules());
    trace.at(0, again());
    assert_eq!(trace.at(1, Input::Signal(Signal::HangUp)), "finish(SIGHUP)");
}

#[test]
fn a_runner_that_was_removed_ends_when_its_job_has() {
    let mut trace = Trace::new(rules());
    trace.at(0, ready());
    assert_eq!(trace.at(1, Input::Event(Event::Deregistered)), "SIGQUIT");
    assert_eq!(trace.at(1, Input::Event(Event::Deregistered)), "");
    assert_eq!(trace.at(2, Input::Exited(ExitDisposition::Restart(Duration::ZERO))), "finish(removed)");
    let mut trace = Trace::new(rules());
    trace.at(0, started("a"));
    assert_eq!(trace.at(1, Input::Event(Event::Deregistered)), "");
    assert_eq!(trace.at(2, ended("a", true)), "-a:true SIGQUIT");
    // Before it was ready the program ends by itself, or falls back.
    let mut trace = Trace::new(rules());
    assert_eq!(trace.at(1, Input::Event(Event::Deregistered)), "");
    let end = trace.at(2, Input::Exited(ExitDisposition::Failed(Error::remote("x"))));
    assert_eq!(end, "finish(removed; Conflict)");
    // What was good for one job only is removed with it.
    let mut trace = Trace::new(github());
    trace.at(0, started("a"));
    trace.at(1, ended("a", true));
    assert_eq!(trace.at(2, Input::Event(Event::Deregistered)), "");
    assert_eq!(trace.at(2, Input::Exited(ExitDisposition::Completed)), "renew");
}

#[test]
fn a_program_that_watches_the_idle_time_itself_may_be_first() {
    let mut trace = Trace::new(rules());
    trace.at(0, ready());
    assert_eq!(trace.at(295, Input::Exited(ExitDisposition::Completed)), "finish(timeout:300)");
    let mut trace = Trace::new(rules());
    trace.at(0, ready());
    assert_eq!(trace.at(20, Input::Exited(ExitDisposition::Completed)), "finish(runner closed with exit code 0)");
}

#[test]
fn a_hook_may_be_faster_than_the_line() {
    let mut trace = Trace::new(github());
    trace.at(0, Input::Hook(job("x")));
    trace.at(1, ready());
    trace.at(1, Input::Event(Event::Started(Job::default())));
    assert!(!trace.0.wants_hook());
    trace.at(3, Input::Signal(Signal::Terminate));
    assert_eq!(trace.at(5, Input::Exited(ExitDisposition::Completed)), "rerun(run-x) finish(SIGTERM; Interrupted)");
    // What it told is not the next registration's.
    let mut trace = Trace::new(github());
    trace.at(0, started("a"));
    trace.at(1, Input::Hook(job("x")));
    trace.at(2, ended("a", true));
    assert_eq!(trace.at(3, Input::Exited(ExitDisposition::Completed)), "renew");
    trace.0.renewed(Duration::from_secs(4));
    trace.at(5, Input::Event(Event::Started(Job::default())));
    assert!(trace.0.wants_hook());
}

#[test]
fn words_about_unknown_jobs_change_nothing() {
    let mut trace = Trace::new(rules());
    trace.at(0, ready());
    assert_eq!(trace.at(1, ended("nobody", true)), "");
    assert_eq!(trace.at(2, started("a")), "+a");
    assert_eq!(trace.at(2, started("a")), "");
    assert_eq!(trace.at(3, ended("b", true)), "");
    assert!(trace.0.is_busy());
}

/// GitLab's way.
fn gitlab() -> Rules {
    Rules {
        can_check: true,
        behavior: Behavior {
            confirm_after: Some(Duration::from_secs(3)),
            second_interrupt: Some(Duration::from_secs(1)),
            one_at_a_time: true,
            interrupt: Signal::Terminate,
            ..rules().behavior
        },
        ..rules()
    }
}

fn seen(online: bool, busy: Option<bool>) -> Input {
    Input::Checked(RegistrationStatus::Known(RunnerStatus { online, busy }))
}

fn known() -> Input {
    seen(true, None)
}

fn refused() -> Input {
    Input::Event(Event::Refused("refused".into()))
}

fn trouble(text: &str) -> Input {
    Input::Event(Event::Trouble(text.into()))
}

#[test]
fn ready_means_that_the_forge_takes_it() {
    let mut trace = Trace::new(gitlab());
    assert_eq!(trace.at(0, ready()), "");
    assert_eq!(trace.at(2, Input::Tick), "");
    assert_eq!(trace.at(3, Input::Tick), "check");
    assert_eq!(trace.at(4, known()), "ready");
    // The program cannot reach the forge, though this program can.
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    assert_eq!(trace.at(2, trouble("502")), "warn(502)");
    assert_eq!(trace.at(3, Input::Tick), "check");
    assert_eq!(trace.at(4, known()), "");
    assert_eq!(trace.at(4, trouble("502")), "");
    assert_eq!(trace.at(5, Input::Tick), "check");
    assert_eq!(trace.at(5, known()), "");
    assert_eq!(trace.at(7, Input::Tick), "check");
    assert_eq!(trace.at(8, known()), "warn(runner r is connected to the forge again) ready");
    // Nor this program.
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    trace.at(3, Input::Tick);
    let unclear = Input::Checked(RegistrationStatus::Unclear("no".into()));
    assert_eq!(trace.at(4, unclear), "warn(cannot check the runner's status: no)");
    assert_eq!(trace.at(18, Input::Tick), "");
    assert_eq!(trace.at(19, Input::Tick), "check");
    assert_eq!(trace.at(600, Input::Tick), "SIGTERM stop");
    // The first request was answered with a job.
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    assert_eq!(trace.at(1, started("a")), "ready +a");
    // Nobody can be asked.
    let mut trace = Trace::new(Rules { can_check: false, ..gitlab() });
    trace.at(0, ready());
    assert_eq!(trace.at(3, Input::Tick), "ready");
}

#[test]
fn a_refusal_is_believed_when_the_forge_says_so_too() {
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    assert_eq!(trace.at(1, refused()), "check");
    assert_eq!(trace.at(2, Input::Checked(RegistrationStatus::Unknown)), "SIGTERM stop");
    assert_eq!(trace.at(3, Input::Tick), "SIGTERM");
    assert_eq!(trace.at(4, Input::Exited(ExitDisposition::Failed(Error::remote("1")))), "finish(refused; Auth)");
    let mut trace = Trace::new(Rules { can_check: false, ..gitlab() });
    trace.at(0, ready());
    assert_eq!(trace.at(1, refused()), "SIGTERM stop");
    // Later it is trouble, or the runner was removed.
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    trace.at(3, Input::Tick);
    trace.at(4, known());
    assert_eq!(trace.at(10, refused()), "check");
    assert_eq!(trace.at(11, known()), "warn(refused)");
    assert_eq!(trace.at(20, refused()), "check");
    assert_eq!(trace.at(21, Input::Checked(RegistrationStatus::Unknown)), "SIGTERM stop");
    assert_eq!(trace.at(22, Input::Tick), "SIGTERM");
    assert_eq!(trace.at(23, Input::Exited(ExitDisposition::Failed(Error::remote("1")))), "finish(removed)");
}

#[test]
fn a_second_signal_ends_an_idle_program_and_never_a_job() {
    let mut trace = Trace::new(gitlab());
    trace.at(0, started("a"));
    assert_eq!(trace.at(1, Input::Signal(Signal::Interrupt)), "SIGTERM stop");
    assert_eq!(trace.at(5, Input::Tick), "");
    let mut trace = Trace::new(gitlab());
    assert_eq!(trace.at(1, Input::Signal(Signal::Interrupt)), "SIGTERM stop");
    assert_eq!(trace.at(1, trouble("shutdown timed out")), "", "it says what it was asked to do");
    assert_eq!(trace.at(2, Input::Tick), "SIGTERM");
    assert_eq!(trace.at(3, Input::Tick), "");
    assert_eq!(trace.at(31, Input::Tick), "SIGKILL! stop");
    // A request for a job may be held for longer than an interrupted job takes.
    let mut trace = Trace::new(gitlab());
    trace.at(0, ready());
    trace.at(3, Input::Tick);
    trace.at(3, known());
    assert_eq!(trace.at(303, Input::Tick), "SIGQUIT");
    assert_eq!(trace.at(377, Input::Tick), "");
    assert_eq!(trace.at(378, Input::Tick), "SIGKILL! stop");
}

#[test]
fn another_job_means_that_the_one_before_never_ran() {
    let mut trace = Trace::new(gitlab());
    trace.at(0, started("a"));
    assert_eq!(trace.at(1, started("b")), "-a:? +b");
    assert_eq!(trace.at(2, ended("b", true)), "-b:true");
    assert!(!trace.0.is_busy());
}

/// Bitbucket's way.
fn bitbucket() -> Rules {
    Rules {
        can_check: true,
        behavior: Behavior {
            poll: Some(Duration::from_secs(30)),
            one_at_a_time: true,
            linger: Duration::from_secs(15),
            interrupt: Signal::Terminate,
            drain: Signal::Terminate,
            ..rules().behavior
        },
        ..rules()
    }
}

#[test]
fn the_forge_says_what_lines_of_other_words_do_not() {
    let mut trace = Trace::new(Rules { single: true, ..bitbucket() });
    assert_eq!(trace.at(30, Input::Tick), "check");
    assert_eq!(trace.at(30, seen(false, Some(false))), "");
    assert_eq!(trace.at(60, Input::Tick), "check");
    assert_eq!(trace.at(60, seen(true, Some(false))), "ready");
    assert_eq!(trace.at(90, Input::Tick), "check");
    // The forge may be late: one answer that contradicts says nothing.
    assert_eq!(trace.at(90, seen(true, Some(true))), "");
    assert_eq!(trace.at(120, Input::Tick), "check");
    assert_eq!(trace.at(120, seen(true, Some(true))), "+");
    for round in 0..20 {
        let now = 125 + round * 60;
        assert_eq!(trace.at(now, Input::Tick), "check");
        let answer = if round % 2 == 0 {
            seen(true, Some(true))
        } else {
            Input::Checked(RegistrationStatus::Unclear("no".into()))
        };
        assert_eq!(trace.at(now + 30, answer), "", "a job that runs is never idle");
    }
    assert_eq!(trace.at(1335, Input::Tick), "check");
    assert_eq!(trace.at(1335, seen(true, Some(false))), "");
    assert_eq!(trace.at(1365, Input::Tick), "check");
    assert_eq!(trace.at(1365, seen(true, Some(false))), "-:?");
    assert_eq!(trace.at(1380, Input::Tick), "SIGTERM");
    assert_eq!(trace.at(1381, Input::Exited(ExitDisposition::Completed)), "finish(single job)");
}

#[test]
fn a_forge_that_tells_of_no_job_ends_none_that_the_lines_tell_of() {
    let mut trace = Trace::new(bitbucket());
    assert_eq!(trace.at(0, ready()), "ready");
    assert_eq!(trace.at(1, started("a")), "+a");
    for now in [6, 36, 66, 96] {
        assert_eq!(trace.at(now, Input::Tick), "check");
        assert_eq!(trace.at(now, seen(true, Some(false))), "");
    }
    assert_eq!(trace.at(100, ended("a", true)), "-a:true");
    // The forge is late with the end, and was faster than the next line.
    assert_eq!(trace.at(130, Input::Tick), "check");
    assert_eq!(trace.at(130, seen(true, Some(true))), "");
    assert_eq!(trace.at(160, Input::Tick), "check");
    assert_eq!(trace.at(160, seen(true, Some(true))), "+");
    assert_eq!(trace.at(161, started("b")), "", "it is the same job");
    assert_eq!(trace.at(170, ended("b", true)), "-b:true");
    // It is removed when two answers say so.
    assert_eq!(trace.at(200, Input::Tick), "check");
    assert_eq!(trace.at(200, Input::Checked(RegistrationStatus::Unknown)), "");
    assert_eq!(trace.at(230, Input::Tick), "check");
    assert_eq!(trace.at(230, Input::Checked(RegistrationStatus::Unknown)), "SIGTERM");
}

const USED_UP: &str = "warn(the registration of runner r was used up without a job)";

#[test]
fn a_ghost_is_found_and_replaced() {
    let ghost = || {
        let mut trace = Trace::new(Rules { can_check: true, idle: None, ..github() });
        trace.at(0, ready());
        assert_eq!(trace.at(299, Input::Tick), "");
        assert_eq!(trace.at(300, Input::Tick), "check");
        assert_eq!(trace.at(301, known()), "");
        assert_eq!(trace.at(601, Input::Tick), "check");
        trace
    };
    let mut trace = ghost();
    assert_eq!(trace.at(602, Input::Checked(RegistrationStatus::Unknown)), format!("{USED_UP} SIGINT"));
    assert_eq!(trace.at(603, Input::Exited(ExitDisposition::Completed)), "unregister renew");
    // Offline once may be a moment.
    let offline = || seen(false, None);
    let mut trace = ghost();
    assert_eq!(trace.at(602, offline()), "");
    assert_eq!(trace.at(902, Input::Tick), "check");
    assert_eq!(trace.at(903, offline()), format!("{USED_UP} SIGINT"));
    // A job that came at that moment is run to its end.
    assert_eq!(trace.at(904, started("a")), "+a");
    assert_eq!(trace.at(9999, Input::Tick), "");
    assert_eq!(trace.at(9999, ended("a", true)), "-a:true");
    // No answer says nothing, and one about a registration that is gone neither.
    let mut trace = ghost();
    assert_eq!(trace.at(602, Input::Checked(RegistrationStatus::Unclear("no".into()))), "");
    assert_eq!(trace.at(603, Input::Checked(RegistrationStatus::Unknown)), "");
}

#[test]
fn a_program_that_ends_without_its_job_used_its_registration_up() {
    let mut trace = Trace::new(github());
    for round in 0..5 {
        assert_eq!(trace.at(round * 10, ready()), "ready");
        assert_eq!(
            trace.at(round * 10 + 1, Input::Exited(ExitDisposition::Completed)),
            format!("{USED_UP} unregister renew")
        );
        trace.0.renewed(Duration::from_secs(round * 10 + 2));
    }
    trace.at(60, ready());
    let end = trace.at(61, Input::Exited(ExitDisposition::Completed));
    assert!(end.ends_with("used up without a job 5 times in a row; Remote)"), "{end}");
    let mut trace = Trace::new(Rules { single: true, ..github() });
    trace.at(0, ready());
    let end = format!("{USED_UP} finish(its registration was used up without a job)");
    assert_eq!(trace.at(1, Input::Exited(ExitDisposition::Completed)), end);
}

#[test]
fn a_runner_that_was_ready_may_be_without_its_forge_for_longer() {
    let again = || Input::Exited(ExitDisposition::Restart(Duration::from_secs(5)));
    let mut trace = Trace::new(Rules { idle: None, ..github() });
    trace.at(0, ready());
    assert_eq!(trace.at(10, again()), "");
    assert_eq!(trace.at(15, Input::Tick), "start");
    assert_eq!(trace.at(16, trouble("connect error")), "warn(connect error)");
    assert_eq!(trace.at(715, Input::Tick), "");
    assert_eq!(trace.at(715, ready()), "warn(runner r is connected to the forge again) ready");
    assert_eq!(trace.at(720, again()), "");
    trace.at(725, Input::Tick);
    assert_eq!(trace.at(725 + 3600, Input::Tick), "SIGINT stop");
    let end = trace.at(9999, Input::Exited(ExitDisposition::Completed));
    assert_eq!(end, "finish(runner r has not reached the forge for 60 minutes; Remote)");
    // Somebody removed it meanwhile: it was ready before.
    let mut trace = Trace::new(github());
    trace.at(0, ready());
    trace.at(10, again());
    trace.at(15, Input::Tick);
    assert_eq!(trace.at(16, Input::Event(Event::Deregistered)), "");
    assert_eq!(trace.at(17, Input::Exited(ExitDisposition::Failed(Error::remote("1")))), "finish(removed)");
}

#[test]
fn the_same_trouble_is_told_now_and_then_with_its_number() {
    let mut trace = Trace::new(Rules { idle: None, can_check: false, ..gitlab() });
    trace.at(0, ready());
    assert_eq!(trace.at(3, Input::Tick), "ready");
    let told: Vec<String> =
        (0..260).map(|n| trace.at(4 + n * 3, trouble("502"))).filter(|told| told.contains("warn")).collect();
    assert_eq!(told[..2], ["warn(502)", "warn(502 (200 more times))"], "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_job_that_the_program_cut_off_runs_again() {
    let mut trace = Trace::new(Rules { single: true, ..github() });
    trace.at(0, started("a"));
    let canceled = Event::Ended { job: Some("a".into()), result: JobResult::Canceled };
    assert_eq!(trace.at(1, Input::Event(canceled)), "-a:false");
    assert_eq!(trace.0.last_result(), Some(JobResult::Canceled));
    assert_eq!(trace.at(2, Input::Exited(ExitDisposition::JobLost)), "rerun(run-a) finish(single job)");
}

fn any_input() -> impl Strategy<Value = Input> {
    let id = prop_oneof![Just("a"), Just("b"), Just("c")];
    prop_oneof![
        3 => Just(ready()),
        4 => id.clone().prop_map(started),
        4 => (id, any::<bool>()).prop_map(|(id, success)| ended(id, success)),
        1 => Just(Input::Hook(job("h"))),
        1 => Just(Input::Event(Event::Deregistered)),
        1 => Just(refused()),
        1 => Just(trouble("x")),
        3 => prop_oneof![
            Just(RegistrationStatus::Unknown),
            any::<(bool, Option<bool>)>().prop_map(|(online, busy)| RegistrationStatus::Known(RunnerStatus { online, busy })),
            Just(RegistrationStatus::Unclear("x".into()))
        ].prop_map(Input::Checked),
        2 => prop_oneof![Just(DeregisterResult::Removed), Just(DeregisterResult::Busy), Just(DeregisterResult::Failed)].prop_map(Input::Deregistered),
        1 => Just(Input::Signal(Signal::Terminate)),
        2 => prop_oneof![
            Just(ExitDisposition::Completed),
            Just(ExitDisposition::JobLost),
            Just(ExitDisposition::Restart(Duration::from_secs(5))),
            Just(ExitDisposition::Failed(Error::remote("x")))
        ].prop_map(Input::Exited),
        4 => Just(Input::Tick),
    ]
}

/// The model as far as it matters: whether the process runs, and which jobs do.
#[derive(Default)]
struct Model {
    serial: bool,
    runs: bool,
    jobs: Vec<String>,
    finished: bool,
    killed: bool,
}

impl Model {
    fn happen(&mut self, state: &mut RunnerState, input: Input, now: Duration) -> Result<(), TestCaseError> {
        match &input {
            Input::Event(Event::Started(job)) if !self.jobs.contains(job.id.as_ref().unwrap()) => {
                if self.serial {
                    self.jobs.clear();
                }
                self.jobs.extend(job.id.clone());
            }
            Input::Event(Event::Ended { job, .. }) => self.jobs.retain(|other| Some(other) != job.as_ref()),
            Input::Exited(_) => {
                self.runs = false;
                self.jobs.clear();
            }
            _ => {}
        }
        let signalled = matches!(input, Input::Signal(_));
        let gone = !matches!(input, Input::Deregistered(DeregisterResult::Removed));
        for action in state.feed(input, now) {
            prop_assert!(!self.finished, "{action:?} after the end");
            match action {
                Action::Start | Action::Renew => {
                    prop_assert!(!self.runs, "two processes");
                    self.runs = true;
                    if matches!(action, Action::Renew) {
                        state.renewed(now);
                    }
                }
                Action::Rerun(jobs) => {
                    prop_assert!(!self.runs, "{jobs:?} run twice at once");
                    prop_assert!(!jobs.is_empty());
                }
                Action::Deregister => prop_assert!(self.jobs.is_empty(), "removed while busy"),
                Action::Send(Signal::Quit, _) if gone => prop_assert!(self.jobs.is_empty(), "idle while busy"),
                Action::Send(Signal::Kill, _) => self.killed = true,
                Action::Send(..) if signalled => prop_assert!(self.runs),
                Action::Finish(_) => {
                    prop_assert!(!self.runs || self.killed, "a process is left");
                    self.finished = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_ends_in_order(
        steps in proptest::collection::vec((any_input(), 0u64..400), 0..60),
        (one, single, first, checks) in any::<(bool, bool, bool, bool)>(),
        (confirms, twice, serial, polls) in any::<(bool, bool, bool, bool)>(),
    ) {
        let rules = Rules { single, can_check: checks, behavior: Behavior { one_job_each: one, delete_first: first, confirm_after: confirms.then_some(Duration::from_secs(3)), second_interrupt: twice.then_some(Duration::from_secs(1)), one_at_a_time: serial, poll: polls.then_some(Duration::from_secs(30)), ..rules().behavior }, ..rules() };
        let mut state = RunnerState::new(rules, Duration::ZERO);
        let mut model = Model { runs: true, serial, ..Model::default() };
        let mut now = Duration::ZERO;
        for (input, pause) in steps {
            now += Duration::from_secs(pause);
            // A process that does not run tells nothing, and a dead one does not die.
            if !model.runs && matches!(input, Input::Event(_) | Input::Exited(_)) {
                model.happen(&mut state, Input::Tick, now)?;
                continue;
            }
            model.happen(&mut state, input, now)?;
        }
        // Two signals end everything, whatever the process does.
        model.happen(&mut state, Input::Signal(Signal::Interrupt), now)?;
        model.happen(&mut state, Input::Signal(Signal::Interrupt), now)?;
        if let Some(deadline) = state.deadline() {
            model.happen(&mut state, Input::Tick, deadline)?;
        }
        prop_assert!(model.finished);
        prop_assert_eq!(state.deadline(), None);
    }
}

/// A program that is killed by nothing and says no more: the last second at which the lease is renewed, a minute after the other, and
/// `None` where that is later than a week.
fn last_renewal(trace: &mut Trace, from: u64) -> Option<u64> {
    const WEEK: u64 = 7 * 24 * 3600;
    let mut last = 0;
    for second in (from..=WEEK).step_by(60) {
        trace.at(second, Input::Tick);
        if trace.0.needs_instance(Duration::from_secs(second)) {
            last = second;
        }
    }
    (last + 60 <= WEEK).then_some(last)
}

#[test]
fn a_lease_is_renewed_while_a_job_runs_or_the_idle_time_has_not_passed() {
    // Never ready: ten minutes, and the time to end it.
    let mut trace = Trace::new(rules());
    assert_eq!(last_renewal(&mut trace, 0), Some(660));
    // Idle: until it is asked to end, has had the time for it, and is killed.
    let mut trace = Trace::new(rules());
    trace.at(10, ready());
    assert_eq!(last_renewal(&mut trace, 10), Some(430));
    // A job that never ends: that is up to the forge, and the maximum lifetime.
    let mut trace = Trace::new(rules());
    trace.at(10, ready());
    trace.at(20, started("a"));
    assert_eq!(last_renewal(&mut trace, 60), None);
    // After it, the idle time again.
    let mut trace = Trace::new(rules());
    trace.at(10, ready());
    trace.at(20, started("a"));
    trace.at(4000, ended("a", true));
    assert_eq!(last_renewal(&mut trace, 4000), Some(4420));
    // `--idle-timeout never`: the maximum lifetime only.
    let mut trace = Trace::new(Rules { idle: None, ..rules() });
    trace.at(10, ready());
    assert_eq!(last_renewal(&mut trace, 60), None);
    // The only job is over: the time for its report.
    let mut trace = Trace::new(Rules { single: true, ..github() });
    trace.at(10, ready());
    trace.at(20, started("a"));
    trace.at(100, ended("a", true));
    assert_eq!(last_renewal(&mut trace, 100), Some(340));
    // The forge does not answer whether it may leave.
    let mut trace = Trace::new(github());
    trace.at(10, ready());
    assert_eq!(trace.at(310, Input::Tick), "delete");
    assert_eq!(last_renewal(&mut trace, 310), Some(0));
}

proptest! {
    /// Whatever happened, from then on silence: without a job, nothing renews the lease for longer than an outage of the forge.
    #[test]
    fn no_lease_is_renewed_for_ever_without_a_job(
        steps in proptest::collection::vec((any_input(), 0u64..400), 0..40),
        (one, single, checks, polls) in any::<(bool, bool, bool, bool)>(),
    ) {
        let poll = polls.then_some(Duration::from_secs(30));
        let rules = Rules { single, can_check: checks, behavior: Behavior { one_job_each: one, poll, ..rules().behavior }, ..rules() };
        let mut state = RunnerState::new(rules, Duration::ZERO);
        let mut now = Duration::ZERO;
        for (input, pause) in steps {
            now += Duration::from_secs(pause);
            state.feed(input, now);
        }
        let silence = now + MAX_OUTAGE;
        while now < silence + READY_TIMEOUT {
            now += Duration::from_secs(60);
            state.feed(Input::Tick, now);
        }
        prop_assert!(state.is_busy() || !state.needs_instance(now), "{state:?}");
    }
}

/// How a program of these forges behaves where it is asked nothing, as its sources say.
#[derive(Debug, Clone, Copy)]
enum Habit {
    /// It listens, with a registration that is gone: no job ever comes.
    Ghost,
    /// It asks for jobs with requests that are held for so many seconds, and looks at a gentle signal between them only. A job
    /// may come with the one that is open.
    Held { seconds: u64, with_job: bool },
    /// It ends after so many seconds without a word.
    Silent { after: u64 },
}

fn any_habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        Just(Habit::Ghost),
        (1u64..=50, any::<bool>()).prop_map(|(seconds, with_job)| Habit::Held { seconds, with_job }),
        (1u64..250).prop_map(|after| Habit::Silent { after }),
    ]
}

proptest! {
    /// The program is there, says that it is ready, and then behaves as one of the habits. Time goes from one deadline to the next.
    #[test]
    fn whatever_the_program_keeps_silent_about_the_runner_ends_and_loses_no_job(
        habit in any_habit(),
        (single, forever) in any::<(bool, bool)>(),
    ) {
        let one_job_each = !matches!(habit, Habit::Held { .. });
        let usual = if one_job_each { github() } else { gitlab() };
        let idle = if forever && matches!(habit, Habit::Ghost) { None } else { Some(Duration::from_secs(IDLE)) };
        let mut state = RunnerState::new(Rules { single, idle, can_check: true, behavior: Behavior { confirm_after: None, ..usual.behavior }, ..usual }, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut inputs = std::collections::VecDeque::from([(now, ready())]);
        if let Habit::Silent { after } = habit {
            inputs.push_back((Duration::from_secs(after), Input::Exited(ExitDisposition::Completed)));
        }
        let (mut renewals, mut unregistered, mut job_runs, mut finished) = (0, 0, false, false);
        for _ in 0..200 {
            if finished || renewals >= 3 {
                break;
            }
            // What comes first: something that the program or the forge says, or a deadline.
            let deadline = state.deadline();
            let (at, input) = match (inputs.front().map(|(at, _)| *at), deadline) {
                (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => inputs.pop_front().unwrap(),
                (_, Some(deadline)) => (deadline, Input::Tick),
                (_, None) => return Err(TestCaseError::fail(format!("it waits for ever: {state:?}"))),
            };
            now = now.max(at);
            match &input {
                Input::Event(Event::Started(_)) => job_runs = true,
                Input::Event(Event::Ended { .. }) => job_runs = false,
                _ => {}
            }
            for action in state.feed(input, now) {
                match (action, habit) {
                    (Action::Check, Habit::Ghost) => inputs.push_back((now, Input::Checked(RegistrationStatus::Unknown))),
                    (Action::Check, _) => inputs.push_back((now, known())),
                    (Action::Deregister, _) => inputs.push_back((now, Input::Deregistered(DeregisterResult::Removed))),
                    (Action::Send(Signal::Kill, _), _) => prop_assert!(false, "killed at {now:?}, with a job: {job_runs}"),
                    (Action::Send(Signal::Quit, _), Habit::Held { seconds, with_job }) => {
                        let mut end = now + Duration::from_secs(seconds);
                        if with_job {
                            inputs.push_back((end, started("a")));
                            end += Duration::from_secs(3600);
                            inputs.push_back((end, ended("a", true)));
                            end += Duration::from_secs(60);
                        }
                        inputs.push_back((end, Input::Exited(ExitDisposition::Completed)));
                    }
                    (Action::Send(..), _) => inputs.push_back((now + Duration::from_secs(1), Input::Exited(ExitDisposition::Completed))),
                    (Action::Unregister, _) => unregistered += 1,
                    (Action::Renew, _) => {
                        renewals += 1;
                        state.renewed(now);
                        inputs.clear();
                        inputs.push_back((now, ready()));
                        if let Habit::Silent { after } = habit {
                            inputs.push_back((now + Duration::from_secs(after), Input::Exited(ExitDisposition::Completed)));
                        }
                    }
                    (Action::Rerun(jobs), _) => prop_assert!(false, "lost: {jobs:?}"),
                    (Action::Finish(outcome), _) => {
                        prop_assert!(outcome.error.is_none(), "{outcome:?}");
                        finished = true;
                    }
                    _ => {}
                }
            }
        }
        match habit {
            Habit::Held { .. } => prop_assert!(finished && renewals == 0),
            // A registration that was used up is removed before there is another one of its name.
            _ if !single && renewals > 0 => prop_assert_eq!(renewals, unregistered),
            _ => prop_assert!(finished, "{state:?}"),
        }
    }
}
