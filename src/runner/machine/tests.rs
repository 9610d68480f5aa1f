use super::*;
use proptest::prelude::*;

const IDLE: u64 = 300;

fn rules() -> Rules {
    Rules {
        name: "r".into(),
        idle: Some(Duration::from_secs(IDLE)),
        single: false,
        drain: Signal::Quit,
        interrupt: Signal::Interrupt,
        grace: Duration::from_secs(30),
        drain_grace: Duration::from_secs(75),
        linger: Duration::from_secs(120),
        second_interrupt: None,
        confirm_after: None,
        one_at_a_time: false,
        poll: None,
        can_check: false,
        one_job_each: false,
        delete_first: false,
    }
}

/// GitHub's way.
fn github() -> Rules {
    Rules { one_job_each: true, delete_first: true, drain: Signal::Interrupt, ..rules() }
}

fn job(id: &str) -> Job {
    Job { id: Some(id.into()), rerun: Some(format!("run-{id}")), ..Job::default() }
}

fn started(id: &str) -> Input {
    Input::Told(Event::Started(job(id)))
}

fn ended(id: &str, success: bool) -> Input {
    let result = if success { JobResult::Succeeded } else { JobResult::Failed };
    Input::Told(Event::Ended { job: Some(id.into()), result })
}

fn ready() -> Input {
    Input::Told(Event::Ready)
}

/// A machine and what it said at each time.
struct Story(Machine);

impl Story {
    fn new(rules: Rules) -> Self {
        Story(Machine::new(rules, Duration::ZERO))
    }

    /// What comes of an input at a second: a word an act.
    fn at(&mut self, second: u64, input: Input) -> String {
        let acts = self.0.feed(input, Duration::from_secs(second));
        acts.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

fn word(act: &Act) -> String {
    match act {
        Act::Say(Status::Ready) => "ready".into(),
        Act::Say(Status::Started(job)) => format!("+{}", job.id.clone().unwrap_or_default()),
        Act::Say(Status::Ended(job, success)) => {
            format!("-{}:{}", job.id.clone().unwrap_or_default(), success.map_or("?".into(), |s| s.to_string()))
        }
        Act::Warn(text) | Act::Inform(text) => format!("warn({text})"),
        Act::Check => "check".into(),
        Act::Unregister => "unregister".into(),
        Act::Start => "start".into(),
        Act::Renew => "renew".into(),
        Act::Send(signal, SignalTarget::Leader) => name(*signal).into(),
        Act::Send(signal, SignalTarget::All) => format!("{}!", name(*signal)),
        Act::Stop => "stop".into(),
        Act::Delete => "delete".into(),
        Act::Rerun(jobs) => {
            let runs: Vec<&str> = jobs.iter().filter_map(|job| job.rerun.as_deref()).collect();
            format!("rerun({})", runs.join(","))
        }
        Act::Finish(Outcome { reason, error }) => {
            format!("finish({reason}{})", error.as_ref().map_or(String::new(), |e| format!("; {:?}", e.kind())))
        }
    }
}

#[test]
fn idle_time_begins_when_ready_and_anew_after_each_job() {
    let mut story = Story::new(rules());
    assert_eq!(story.at(500, ready()), "ready");
    assert_eq!(story.at(500 + IDLE - 1, Input::Tick), "");
    assert_eq!(story.at(800 - 1, started("a")), "+a");
    assert_eq!(story.at(9000, started("b")), "+b");
    assert_eq!(story.at(9001, ended("a", true)), "-a:true");
    assert_eq!(story.at(99000, Input::Tick), "");
    assert_eq!(story.at(99000, ended("b", false)), "-b:false");
    assert_eq!(story.at(99000 + IDLE - 1, Input::Tick), "");
    assert_eq!(story.at(99000 + IDLE, Input::Tick), "SIGQUIT");
    // A job that came at the last moment is not killed.
    assert_eq!(story.at(99301, started("c")), "+c");
    assert_eq!(story.at(999_999, Input::Tick), "");
    assert_eq!(story.at(999_999, ended("c", true)), "-c:true");
    assert_eq!(story.at(1_000_118, Input::Tick), "");
    assert_eq!(story.at(1_000_119, Input::Tick), "SIGKILL! stop");
    assert_eq!(story.at(1_000_119, Input::Exited(Ending::Done)), "finish(timeout:300)");
}

#[test]
fn a_runner_that_is_not_ready_in_time_fails() {
    let mut story = Story::new(rules());
    assert_eq!(story.at(600, Input::Tick), "SIGINT stop");
    assert_eq!(story.at(630, Input::Tick), "SIGKILL! stop");
    let end = story.at(631, Input::Exited(Ending::Done));
    assert_eq!(end, "finish(the runner r was not ready within 10 minutes; Remote)");
}

#[test]
fn the_forge_is_asked_before_an_idle_runner_goes() {
    let mut story = Story::new(github());
    story.at(0, ready());
    assert_eq!(story.at(300, Input::Tick), "delete");
    assert_eq!(story.at(301, Input::Deleted(Deletion::Busy)), "");
    assert_eq!(story.at(599, Input::Tick), "");
    assert_eq!(story.at(601, Input::Tick), "delete");
    assert_eq!(story.at(602, started("a")), "+a");
    assert_eq!(story.at(603, Input::Deleted(Deletion::Failed)), "");
    assert_eq!(story.at(9999, Input::Tick), "");
    let mut story = Story::new(github());
    story.at(0, ready());
    story.at(300, Input::Tick);
    assert_eq!(story.at(301, Input::Deleted(Deletion::Gone)), "SIGINT");
    assert_eq!(story.at(302, Input::Exited(Ending::Done)), "finish(timeout:300)");
}

#[test]
fn another_job_needs_another_registration_where_each_is_for_one() {
    let mut story = Story::new(github());
    story.at(0, ready());
    story.at(1, started("a"));
    // The program reports the job's end before it ends: it is given time, and is not idle.
    assert_eq!(story.at(2, ended("a", true)), "-a:true");
    assert_eq!(story.at(100, Input::Exited(Ending::Done)), "renew");
    story.0.renewed(Duration::from_secs(101));
    assert_eq!(story.at(102, ready()), "ready");
    assert_eq!(story.at(102 + IDLE, Input::Tick), "delete");

    let mut story = Story::new(Rules { single: true, ..github() });
    story.at(0, ready());
    story.at(1, started("a"));
    story.at(2, ended("a", true));
    assert_eq!(story.at(3, Input::Exited(Ending::Done)), "finish(single job)");
    // The line that says how it ended got lost.
    let mut story = Story::new(Rules { single: true, ..github() });
    story.at(1, started("a"));
    assert_eq!(story.at(3, Input::Exited(Ending::Done)), "-a:? finish(single job)");
}

#[test]
fn a_program_that_would_take_another_job_is_asked_to_end() {
    // It has time to report the job first, and one that comes meanwhile is run.
    let mut story = Story::new(Rules { single: true, linger: Duration::from_secs(15), ..rules() });
    story.at(0, ready());
    story.at(1, started("a"));
    assert_eq!(story.at(2, ended("a", false)), "-a:false");
    assert_eq!(story.at(10, started("b")), "+b");
    assert_eq!(story.at(20, ended("b", true)), "-b:true");
    assert_eq!(story.at(34, Input::Tick), "");
    assert_eq!(story.at(35, Input::Tick), "SIGQUIT");
    assert_eq!(story.at(36, Input::Exited(Ending::Failed(Error::remote("137")))), "finish(single job)");
    // And one that was to end by itself and hangs.
    let mut story = Story::new(Rules { single: true, ..rules() });
    story.at(1, started("a"));
    assert_eq!(story.at(2, ended("a", true)), "-a:true");
    assert_eq!(story.at(122, Input::Tick), "SIGQUIT");
    assert_eq!(story.at(197, Input::Tick), "SIGKILL! stop");
}

#[test]
fn an_interrupted_job_starts_again_when_its_runner_has_ended() {
    let mut story = Story::new(github());
    story.at(0, ready());
    story.at(1, Input::Told(Event::Started(Job::default())));
    story.at(2, Input::Hook(job("x")));
    assert_eq!(story.at(3, Input::Signal(Signal::Terminate)), "SIGINT stop");
    let canceled = Event::Ended { job: None, result: JobResult::Canceled };
    assert_eq!(story.at(4, Input::Told(canceled)), "-:false");
    assert_eq!(story.at(5, Input::Exited(Ending::Done)), "rerun(run-x) finish(SIGTERM; Interrupted)");
    // One that ended well meanwhile does not.
    let mut story = Story::new(github());
    story.at(1, started("a"));
    story.at(3, Input::Signal(Signal::Interrupt));
    assert_eq!(story.at(4, ended("a", true)), "-a:true");
    assert_eq!(story.at(5, Input::Exited(Ending::Done)), "finish(SIGINT)");
}

#[test]
fn patience_has_an_end_and_a_second_signal_is_that() {
    let mut story = Story::new(rules());
    story.at(1, started("a"));
    assert_eq!(story.at(10, Input::Signal(Signal::Interrupt)), "SIGINT stop");
    assert_eq!(story.at(39, Input::Tick), "");
    assert_eq!(story.at(40, Input::Tick), "SIGKILL! stop");
    assert_eq!(story.at(41, Input::Exited(Ending::Done)), "rerun(run-a) finish(SIGINT; Interrupted)");

    let mut story = Story::new(rules());
    story.at(1, started("a"));
    story.at(10, Input::Signal(Signal::Interrupt));
    assert_eq!(story.at(11, Input::Signal(Signal::Interrupt)), "SIGKILL! stop");
    // What cannot be killed may still run its job.
    assert_eq!(story.at(31, Input::Tick), "finish(SIGINT; Internal)");
}

#[test]
fn a_program_that_wants_it_is_started_again_but_not_for_ever() {
    let mut story = Story::new(rules());
    let again = || Input::Exited(Ending::Again(Duration::from_secs(5)));
    story.at(0, ready());
    story.at(1, started("a"));
    assert_eq!(story.at(2, again()), "rerun(run-a)");
    assert_eq!(story.at(6, Input::Tick), "");
    assert_eq!(story.at(7, Input::Tick), "start");
    for round in 1..=9 {
        assert_eq!(story.at(round * 10, again()), "", "{round}");
        assert_eq!(story.at(round * 10 + 5, Input::Tick), "start");
    }
    let end = story.at(200, again());
    assert_eq!(end, "finish(the program of the runner r ends again and again before it is ready; Remote)");

    let mut story = Story::new(rules());
    story.at(0, again());
    assert_eq!(story.at(1, Input::Signal(Signal::HangUp)), "finish(SIGHUP)");
}

#[test]
fn a_runner_that_was_removed_ends_when_its_job_has() {
    let mut story = Story::new(rules());
    story.at(0, ready());
    assert_eq!(story.at(1, Input::Told(Event::Deregistered)), "SIGQUIT");
    assert_eq!(story.at(1, Input::Told(Event::Deregistered)), "");
    assert_eq!(story.at(2, Input::Exited(Ending::Again(Duration::ZERO))), "finish(removed)");
    let mut story = Story::new(rules());
    story.at(0, started("a"));
    assert_eq!(story.at(1, Input::Told(Event::Deregistered)), "");
    assert_eq!(story.at(2, ended("a", true)), "-a:true SIGQUIT");
    // Before it was ready the program ends by itself, or falls back.
    let mut story = Story::new(rules());
    assert_eq!(story.at(1, Input::Told(Event::Deregistered)), "");
    let end = story.at(2, Input::Exited(Ending::Failed(Error::remote("x"))));
    assert_eq!(end, "finish(removed; Conflict)");
    // What was good for one job only is removed with it.
    let mut story = Story::new(github());
    story.at(0, started("a"));
    story.at(1, ended("a", true));
    assert_eq!(story.at(2, Input::Told(Event::Deregistered)), "");
    assert_eq!(story.at(2, Input::Exited(Ending::Done)), "renew");
}

#[test]
fn a_program_that_watches_the_idle_time_itself_may_be_first() {
    let mut story = Story::new(rules());
    story.at(0, ready());
    assert_eq!(story.at(295, Input::Exited(Ending::Done)), "finish(timeout:300)");
    let mut story = Story::new(rules());
    story.at(0, ready());
    assert_eq!(story.at(20, Input::Exited(Ending::Done)), "finish(runner closed with exit code 0)");
}

#[test]
fn a_hook_may_be_faster_than_the_line() {
    let mut story = Story::new(github());
    story.at(0, Input::Hook(job("x")));
    story.at(1, ready());
    story.at(1, Input::Told(Event::Started(Job::default())));
    assert!(!story.0.wants_hook());
    story.at(3, Input::Signal(Signal::Terminate));
    assert_eq!(story.at(5, Input::Exited(Ending::Done)), "rerun(run-x) finish(SIGTERM; Interrupted)");
    // What it told is not the next registration's.
    let mut story = Story::new(github());
    story.at(0, started("a"));
    story.at(1, Input::Hook(job("x")));
    story.at(2, ended("a", true));
    assert_eq!(story.at(3, Input::Exited(Ending::Done)), "renew");
    story.0.renewed(Duration::from_secs(4));
    story.at(5, Input::Told(Event::Started(Job::default())));
    assert!(story.0.wants_hook());
}

#[test]
fn words_about_unknown_jobs_change_nothing() {
    let mut story = Story::new(rules());
    story.at(0, ready());
    assert_eq!(story.at(1, ended("nobody", true)), "");
    assert_eq!(story.at(2, started("a")), "+a");
    assert_eq!(story.at(2, started("a")), "");
    assert_eq!(story.at(3, ended("b", true)), "");
    assert!(story.0.is_busy());
}

/// GitLab's way.
fn gitlab() -> Rules {
    Rules {
        confirm_after: Some(Duration::from_secs(3)),
        second_interrupt: Some(Duration::from_secs(1)),
        one_at_a_time: true,
        can_check: true,
        interrupt: Signal::Terminate,
        ..rules()
    }
}

fn seen(online: bool, busy: Option<bool>) -> Input {
    Input::Checked(Standing::Known(RunnerState { online, busy }))
}

fn known() -> Input {
    seen(true, None)
}

fn refused() -> Input {
    Input::Told(Event::Refused("refused".into()))
}

fn trouble(text: &str) -> Input {
    Input::Told(Event::Trouble(text.into()))
}

#[test]
fn ready_means_that_the_forge_takes_it() {
    let mut story = Story::new(gitlab());
    assert_eq!(story.at(0, ready()), "");
    assert_eq!(story.at(2, Input::Tick), "");
    assert_eq!(story.at(3, Input::Tick), "check");
    assert_eq!(story.at(4, known()), "ready");
    // The program cannot reach the forge, though this program can.
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    assert_eq!(story.at(2, trouble("502")), "warn(502)");
    assert_eq!(story.at(3, Input::Tick), "check");
    assert_eq!(story.at(4, known()), "");
    assert_eq!(story.at(4, trouble("502")), "");
    assert_eq!(story.at(5, Input::Tick), "check");
    assert_eq!(story.at(5, known()), "");
    assert_eq!(story.at(7, Input::Tick), "check");
    assert_eq!(story.at(8, known()), "warn(the runner r reaches the forge again) ready");
    // Nor this program.
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    story.at(3, Input::Tick);
    let unclear = Input::Checked(Standing::Unclear("no".into()));
    assert_eq!(story.at(4, unclear), "warn(cannot ask the forge about the runner: no)");
    assert_eq!(story.at(18, Input::Tick), "");
    assert_eq!(story.at(19, Input::Tick), "check");
    assert_eq!(story.at(600, Input::Tick), "SIGTERM stop");
    // The first request was answered with a job.
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    assert_eq!(story.at(1, started("a")), "ready +a");
    // Nobody can be asked.
    let mut story = Story::new(Rules { can_check: false, ..gitlab() });
    story.at(0, ready());
    assert_eq!(story.at(3, Input::Tick), "ready");
}

#[test]
fn a_refusal_is_believed_when_the_forge_says_so_too() {
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    assert_eq!(story.at(1, refused()), "check");
    assert_eq!(story.at(2, Input::Checked(Standing::Unknown)), "SIGTERM stop");
    assert_eq!(story.at(3, Input::Tick), "SIGTERM");
    assert_eq!(story.at(4, Input::Exited(Ending::Failed(Error::remote("1")))), "finish(refused; Auth)");
    let mut story = Story::new(Rules { can_check: false, ..gitlab() });
    story.at(0, ready());
    assert_eq!(story.at(1, refused()), "SIGTERM stop");
    // Later it is trouble, or the runner was removed.
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    story.at(3, Input::Tick);
    story.at(4, known());
    assert_eq!(story.at(10, refused()), "check");
    assert_eq!(story.at(11, known()), "warn(refused)");
    assert_eq!(story.at(20, refused()), "check");
    assert_eq!(story.at(21, Input::Checked(Standing::Unknown)), "SIGTERM stop");
    assert_eq!(story.at(22, Input::Tick), "SIGTERM");
    assert_eq!(story.at(23, Input::Exited(Ending::Failed(Error::remote("1")))), "finish(removed)");
}

#[test]
fn a_second_signal_ends_an_idle_program_and_never_a_job() {
    let mut story = Story::new(gitlab());
    story.at(0, started("a"));
    assert_eq!(story.at(1, Input::Signal(Signal::Interrupt)), "SIGTERM stop");
    assert_eq!(story.at(5, Input::Tick), "");
    let mut story = Story::new(gitlab());
    assert_eq!(story.at(1, Input::Signal(Signal::Interrupt)), "SIGTERM stop");
    assert_eq!(story.at(1, trouble("shutdown timed out")), "", "it says what it was asked to do");
    assert_eq!(story.at(2, Input::Tick), "SIGTERM");
    assert_eq!(story.at(3, Input::Tick), "");
    assert_eq!(story.at(31, Input::Tick), "SIGKILL! stop");
    // A request for a job may be held for longer than an interrupted job takes.
    let mut story = Story::new(gitlab());
    story.at(0, ready());
    story.at(3, Input::Tick);
    story.at(3, known());
    assert_eq!(story.at(303, Input::Tick), "SIGQUIT");
    assert_eq!(story.at(377, Input::Tick), "");
    assert_eq!(story.at(378, Input::Tick), "SIGKILL! stop");
}

#[test]
fn another_job_means_that_the_one_before_never_ran() {
    let mut story = Story::new(gitlab());
    story.at(0, started("a"));
    assert_eq!(story.at(1, started("b")), "-a:? +b");
    assert_eq!(story.at(2, ended("b", true)), "-b:true");
    assert!(!story.0.is_busy());
}

/// Bitbucket's way.
fn bitbucket() -> Rules {
    Rules {
        poll: Some(Duration::from_secs(30)),
        can_check: true,
        one_at_a_time: true,
        linger: Duration::from_secs(15),
        interrupt: Signal::Terminate,
        drain: Signal::Terminate,
        ..rules()
    }
}

#[test]
fn the_forge_says_what_lines_of_other_words_do_not() {
    let mut story = Story::new(Rules { single: true, ..bitbucket() });
    assert_eq!(story.at(30, Input::Tick), "check");
    assert_eq!(story.at(30, seen(false, Some(false))), "");
    assert_eq!(story.at(60, Input::Tick), "check");
    assert_eq!(story.at(60, seen(true, Some(false))), "ready");
    assert_eq!(story.at(90, Input::Tick), "check");
    // The forge may be late: one answer that contradicts says nothing.
    assert_eq!(story.at(90, seen(true, Some(true))), "");
    assert_eq!(story.at(120, Input::Tick), "check");
    assert_eq!(story.at(120, seen(true, Some(true))), "+");
    for round in 0..20 {
        let now = 125 + round * 60;
        assert_eq!(story.at(now, Input::Tick), "check");
        let answer =
            if round % 2 == 0 { seen(true, Some(true)) } else { Input::Checked(Standing::Unclear("no".into())) };
        assert_eq!(story.at(now + 30, answer), "", "a job that runs is never idle");
    }
    assert_eq!(story.at(1335, Input::Tick), "check");
    assert_eq!(story.at(1335, seen(true, Some(false))), "");
    assert_eq!(story.at(1365, Input::Tick), "check");
    assert_eq!(story.at(1365, seen(true, Some(false))), "-:?");
    assert_eq!(story.at(1380, Input::Tick), "SIGTERM");
    assert_eq!(story.at(1381, Input::Exited(Ending::Done)), "finish(single job)");
}

#[test]
fn a_forge_that_tells_of_no_job_ends_none_that_the_lines_tell_of() {
    let mut story = Story::new(bitbucket());
    assert_eq!(story.at(0, ready()), "ready");
    assert_eq!(story.at(1, started("a")), "+a");
    for now in [6, 36, 66, 96] {
        assert_eq!(story.at(now, Input::Tick), "check");
        assert_eq!(story.at(now, seen(true, Some(false))), "");
    }
    assert_eq!(story.at(100, ended("a", true)), "-a:true");
    // The forge is late with the end, and was faster than the next line.
    assert_eq!(story.at(130, Input::Tick), "check");
    assert_eq!(story.at(130, seen(true, Some(true))), "");
    assert_eq!(story.at(160, Input::Tick), "check");
    assert_eq!(story.at(160, seen(true, Some(true))), "+");
    assert_eq!(story.at(161, started("b")), "", "it is the same job");
    assert_eq!(story.at(170, ended("b", true)), "-b:true");
    // It is removed when two answers say so.
    assert_eq!(story.at(200, Input::Tick), "check");
    assert_eq!(story.at(200, Input::Checked(Standing::Unknown)), "");
    assert_eq!(story.at(230, Input::Tick), "check");
    assert_eq!(story.at(230, Input::Checked(Standing::Unknown)), "SIGTERM");
}

const USED_UP: &str = "warn(the registration of the runner r was used up without a job)";

#[test]
fn a_ghost_is_found_and_replaced() {
    let ghost = || {
        let mut story = Story::new(Rules { can_check: true, idle: None, ..github() });
        story.at(0, ready());
        assert_eq!(story.at(299, Input::Tick), "");
        assert_eq!(story.at(300, Input::Tick), "check");
        assert_eq!(story.at(301, known()), "");
        assert_eq!(story.at(601, Input::Tick), "check");
        story
    };
    let mut story = ghost();
    assert_eq!(story.at(602, Input::Checked(Standing::Unknown)), format!("{USED_UP} SIGINT"));
    assert_eq!(story.at(603, Input::Exited(Ending::Done)), "unregister renew");
    // Offline once may be a moment.
    let offline = || seen(false, None);
    let mut story = ghost();
    assert_eq!(story.at(602, offline()), "");
    assert_eq!(story.at(902, Input::Tick), "check");
    assert_eq!(story.at(903, offline()), format!("{USED_UP} SIGINT"));
    // A job that came at that moment is run to its end.
    assert_eq!(story.at(904, started("a")), "+a");
    assert_eq!(story.at(9999, Input::Tick), "");
    assert_eq!(story.at(9999, ended("a", true)), "-a:true");
    // No answer says nothing, and one about a registration that is gone neither.
    let mut story = ghost();
    assert_eq!(story.at(602, Input::Checked(Standing::Unclear("no".into()))), "");
    assert_eq!(story.at(603, Input::Checked(Standing::Unknown)), "");
}

#[test]
fn a_program_that_ends_without_its_job_used_its_registration_up() {
    let mut story = Story::new(github());
    for round in 0..5 {
        assert_eq!(story.at(round * 10, ready()), "ready");
        assert_eq!(story.at(round * 10 + 1, Input::Exited(Ending::Done)), format!("{USED_UP} unregister renew"));
        story.0.renewed(Duration::from_secs(round * 10 + 2));
    }
    story.at(60, ready());
    let end = story.at(61, Input::Exited(Ending::Done));
    assert!(end.ends_with("used up without jobs again and again; Remote)"), "{end}");
    let mut story = Story::new(Rules { single: true, ..github() });
    story.at(0, ready());
    let end = format!("{USED_UP} finish(its registration was used up without a job)");
    assert_eq!(story.at(1, Input::Exited(Ending::Done)), end);
}

#[test]
fn a_runner_that_was_ready_may_be_without_its_forge_for_longer() {
    let again = || Input::Exited(Ending::Again(Duration::from_secs(5)));
    let mut story = Story::new(Rules { idle: None, ..github() });
    story.at(0, ready());
    assert_eq!(story.at(10, again()), "");
    assert_eq!(story.at(15, Input::Tick), "start");
    assert_eq!(story.at(16, trouble("connect error")), "warn(connect error)");
    assert_eq!(story.at(715, Input::Tick), "");
    assert_eq!(story.at(715, ready()), "warn(the runner r reaches the forge again) ready");
    assert_eq!(story.at(720, again()), "");
    story.at(725, Input::Tick);
    assert_eq!(story.at(725 + 3600, Input::Tick), "SIGINT stop");
    let end = story.at(9999, Input::Exited(Ending::Done));
    assert_eq!(end, "finish(the runner r cannot reach the forge any more, for 60 minutes; Remote)");
    // Somebody removed it meanwhile: it was ready before.
    let mut story = Story::new(github());
    story.at(0, ready());
    story.at(10, again());
    story.at(15, Input::Tick);
    assert_eq!(story.at(16, Input::Told(Event::Deregistered)), "");
    assert_eq!(story.at(17, Input::Exited(Ending::Failed(Error::remote("1")))), "finish(removed)");
}

#[test]
fn the_same_trouble_is_told_now_and_then_with_its_number() {
    let mut story = Story::new(Rules { idle: None, can_check: false, ..gitlab() });
    story.at(0, ready());
    assert_eq!(story.at(3, Input::Tick), "ready");
    let told: Vec<String> =
        (0..260).map(|n| story.at(4 + n * 3, trouble("502"))).filter(|told| told.contains("warn")).collect();
    assert_eq!(told[..2], ["warn(502)", "warn(502 (200 times more))"], "{told:?}");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_job_that_the_program_cut_off_runs_again() {
    let mut story = Story::new(Rules { single: true, ..github() });
    story.at(0, started("a"));
    let canceled = Event::Ended { job: Some("a".into()), result: JobResult::Canceled };
    assert_eq!(story.at(1, Input::Told(canceled)), "-a:false");
    assert_eq!(story.0.last_result(), Some(JobResult::Canceled));
    assert_eq!(story.at(2, Input::Exited(Ending::JobCut)), "rerun(run-a) finish(single job)");
}

fn any_input() -> impl Strategy<Value = Input> {
    let id = prop_oneof![Just("a"), Just("b"), Just("c")];
    prop_oneof![
        3 => Just(ready()),
        4 => id.clone().prop_map(started),
        4 => (id, any::<bool>()).prop_map(|(id, success)| ended(id, success)),
        1 => Just(Input::Hook(job("h"))),
        1 => Just(Input::Told(Event::Deregistered)),
        1 => Just(refused()),
        1 => Just(trouble("x")),
        3 => prop_oneof![
            Just(Standing::Unknown),
            any::<(bool, Option<bool>)>().prop_map(|(online, busy)| Standing::Known(RunnerState { online, busy })),
            Just(Standing::Unclear("x".into()))
        ].prop_map(Input::Checked),
        2 => prop_oneof![Just(Deletion::Gone), Just(Deletion::Busy), Just(Deletion::Failed)].prop_map(Input::Deleted),
        1 => Just(Input::Signal(Signal::Terminate)),
        2 => prop_oneof![
            Just(Ending::Done),
            Just(Ending::JobCut),
            Just(Ending::Again(Duration::from_secs(5))),
            Just(Ending::Failed(Error::remote("x")))
        ].prop_map(Input::Exited),
        4 => Just(Input::Tick),
    ]
}

/// The world as far as it matters: whether the process runs, and which jobs do.
#[derive(Default)]
struct World {
    serial: bool,
    runs: bool,
    jobs: Vec<String>,
    finished: bool,
    killed: bool,
}

impl World {
    fn happen(&mut self, machine: &mut Machine, input: Input, now: Duration) -> Result<(), TestCaseError> {
        match &input {
            Input::Told(Event::Started(job)) if !self.jobs.contains(job.id.as_ref().unwrap()) => {
                if self.serial {
                    self.jobs.clear();
                }
                self.jobs.extend(job.id.clone());
            }
            Input::Told(Event::Ended { job, .. }) => self.jobs.retain(|other| Some(other) != job.as_ref()),
            Input::Exited(_) => {
                self.runs = false;
                self.jobs.clear();
            }
            _ => {}
        }
        let signalled = matches!(input, Input::Signal(_));
        let gone = !matches!(input, Input::Deleted(Deletion::Gone));
        for act in machine.feed(input, now) {
            prop_assert!(!self.finished, "{act:?} after the end");
            match act {
                Act::Start | Act::Renew => {
                    prop_assert!(!self.runs, "two processes");
                    self.runs = true;
                    if matches!(act, Act::Renew) {
                        machine.renewed(now);
                    }
                }
                Act::Rerun(jobs) => {
                    prop_assert!(!self.runs, "{jobs:?} run twice at once");
                    prop_assert!(!jobs.is_empty());
                }
                Act::Delete => prop_assert!(self.jobs.is_empty(), "removed while busy"),
                Act::Send(Signal::Quit, _) if gone => prop_assert!(self.jobs.is_empty(), "idle while busy"),
                Act::Send(Signal::Kill, _) => self.killed = true,
                Act::Send(..) if signalled => prop_assert!(self.runs),
                Act::Finish(_) => {
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
        let rules = Rules {
            one_job_each: one,
            single,
            delete_first: first,
            can_check: checks,
            confirm_after: confirms.then_some(Duration::from_secs(3)),
            second_interrupt: twice.then_some(Duration::from_secs(1)),
            one_at_a_time: serial,
            poll: polls.then_some(Duration::from_secs(30)),
            ..rules()
        };
        let mut machine = Machine::new(rules, Duration::ZERO);
        let mut world = World { runs: true, serial, ..World::default() };
        let mut now = Duration::ZERO;
        for (input, pause) in steps {
            now += Duration::from_secs(pause);
            // A process that does not run tells nothing, and a dead one does not die.
            if !world.runs && matches!(input, Input::Told(_) | Input::Exited(_)) {
                world.happen(&mut machine, Input::Tick, now)?;
                continue;
            }
            world.happen(&mut machine, input, now)?;
        }
        // Two signals end everything, whatever the process does.
        world.happen(&mut machine, Input::Signal(Signal::Interrupt), now)?;
        world.happen(&mut machine, Input::Signal(Signal::Interrupt), now)?;
        if let Some(deadline) = machine.deadline() {
            world.happen(&mut machine, Input::Tick, deadline)?;
        }
        prop_assert!(world.finished);
        prop_assert_eq!(machine.deadline(), None);
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
        let mut machine = Machine::new(Rules { single, idle, can_check: true, confirm_after: None, ..usual }, Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut inputs = std::collections::VecDeque::from([(now, ready())]);
        if let Habit::Silent { after } = habit {
            inputs.push_back((Duration::from_secs(after), Input::Exited(Ending::Done)));
        }
        let (mut renewals, mut unregistered, mut job_runs, mut finished) = (0, 0, false, false);
        for _ in 0..200 {
            if finished || renewals >= 3 {
                break;
            }
            // What comes first: something that the program or the forge says, or a deadline.
            let deadline = machine.deadline();
            let (at, input) = match (inputs.front().map(|(at, _)| *at), deadline) {
                (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => inputs.pop_front().unwrap(),
                (_, Some(deadline)) => (deadline, Input::Tick),
                (_, None) => return Err(TestCaseError::fail(format!("it waits for ever: {machine:?}"))),
            };
            now = now.max(at);
            match &input {
                Input::Told(Event::Started(_)) => job_runs = true,
                Input::Told(Event::Ended { .. }) => job_runs = false,
                _ => {}
            }
            for act in machine.feed(input, now) {
                match (act, habit) {
                    (Act::Check, Habit::Ghost) => inputs.push_back((now, Input::Checked(Standing::Unknown))),
                    (Act::Check, _) => inputs.push_back((now, known())),
                    (Act::Delete, _) => inputs.push_back((now, Input::Deleted(Deletion::Gone))),
                    (Act::Send(Signal::Kill, _), _) => prop_assert!(false, "killed at {now:?}, with a job: {job_runs}"),
                    (Act::Send(Signal::Quit, _), Habit::Held { seconds, with_job }) => {
                        let mut end = now + Duration::from_secs(seconds);
                        if with_job {
                            inputs.push_back((end, started("a")));
                            end += Duration::from_secs(3600);
                            inputs.push_back((end, ended("a", true)));
                            end += Duration::from_secs(60);
                        }
                        inputs.push_back((end, Input::Exited(Ending::Done)));
                    }
                    (Act::Send(..), _) => inputs.push_back((now + Duration::from_secs(1), Input::Exited(Ending::Done))),
                    (Act::Unregister, _) => unregistered += 1,
                    (Act::Renew, _) => {
                        renewals += 1;
                        machine.renewed(now);
                        inputs.clear();
                        inputs.push_back((now, ready()));
                        if let Habit::Silent { after } = habit {
                            inputs.push_back((now + Duration::from_secs(after), Input::Exited(Ending::Done)));
                        }
                    }
                    (Act::Rerun(jobs), _) => prop_assert!(false, "lost: {jobs:?}"),
                    (Act::Finish(outcome), _) => {
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
            _ => prop_assert!(finished, "{machine:?}"),
        }
    }
}
