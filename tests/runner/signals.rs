//! Interruptions: stop, wait, and only then start the job again.

use super::fixture::{SupervisorFixture, events, is_alive};
use std::time::{Duration, Instant};

/// A job that ends as GitHub's listener makes it end when it is interrupted.
const JOB: &str = "trap 'interrupted a' INT; ready; begin a 41 1; rest 60";

#[test]
fn an_interrupted_job_starts_again_after_the_end_of_its_runner() {
    let all = [("TERM", "SIGTERM"), ("INT", "SIGINT"), ("QUIT", "SIGQUIT"), ("HUP", "SIGHUP")];
    // Under `nohup`, which the tests may run under, too, the last one is not heard.
    for (signal, reason) in all.into_iter().filter(|(signal, _)| *signal != "HUP" || !is_hangup_ignored()) {
        let running = SupervisorFixture::github(JOB).start();
        running.until_busy();
        running.signal(signal);
        let (fixture, ran) = running.end();
        let end = ["job_ended job=a success=false".to_owned(), format!("terminated reason={reason}")];
        assert_eq!(events(&ran)[2..], end, "{ran:#?}");
        ran.fails(75, "runner r1 was interrupted while a job was running", "");
        assert_eq!(fixture.read("forge"), "rerun 41 when it has ended\ndelete 1 when it has ended\n");
    }
}

/// Whether this process ignores SIGHUP, the first bit of `SigIgn`, and so whatever it starts.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn nobody_is_interrupted_when_idle_and_a_job_that_ends_well_meanwhile_is_done() {
    let running = SupervisorFixture::github("trap 'exit 0' INT; ready; rest 60").start();
    running.until_said("ready");
    running.signal("TERM");
    let (fixture, ran) = running.end();
    assert_eq!((ran.code, events(&ran).last().unwrap().as_str()), (Some(0), "terminated reason=SIGTERM"), "{ran:#?}");
    assert_eq!(fixture.read("forge"), "delete 1 when it has ended\n");

    let running =
        SupervisorFixture::github("trap 'finish a Succeeded; exit 0' INT; ready; begin a 41 1; rest 60").start();
    running.until_busy();
    running.signal("TERM");
    let (fixture, ran) = running.end();
    assert_eq!((ran.code, fixture.read("forge")), (Some(0), "delete 1 when it has ended\n".into()), "{ran:#?}");
}

/// Its actions are being downloaded: no hook has told of which run the job is.
#[test]
fn a_job_that_is_interrupted_before_its_hook_is_said_to_be_lost() {
    let running = SupervisorFixture::github("trap 'interrupted a' INT; ready; begin a 41 1 60; rest 60").start();
    running.until_said("job_started");
    running.signal("TERM");
    let (fixture, ran) = running.end();
    assert_eq!((ran.code, fixture.read("forge").as_str()), (Some(75), "delete 1 when it has ended\n"), "{ran:#?}");
    assert_eq!(events(&ran)[1..], ["job_started job=a", "job_ended job=a success=false", "terminated reason=SIGTERM"]);
}

#[test]
fn retries_are_bounded_and_can_be_turned_off() {
    for (attempt, retry, said) in
        [(3, serde_json::json!(3), "a has been started 3 times already"), (1, serde_json::Value::Null, "")]
    {
        let running =
            SupervisorFixture::github(&JOB.replace("41 1", &format!("41 {attempt}"))).set("retry", retry).start();
        running.until_busy();
        running.signal("TERM");
        let (fixture, ran) = running.end();
        assert_eq!((ran.code, fixture.read("forge").as_str()), (Some(75), "delete 1 when it has ended\n"), "{ran:#?}");
        assert!(ran.stderr.contains(said));
    }
}

#[test]
fn one_that_ignores_the_signal_is_killed_after_its_time() {
    let running = SupervisorFixture::github(
        "trap '' INT; ready; begin a 41 1; sleep 60 & echo $! >$PIDS/child; while :; do rest 60; done",
    )
    .set("grace", 1000)
    .start();
    running.until_busy();
    let (listener, child) = (running.pid("listener"), running.pid("child"));
    running.signal("TERM");
    let (fixture, ran) = running.end();
    assert_eq!(ran.code, Some(75), "{ran:#?}");
    assert!(!is_alive(listener) && !is_alive(child));
    assert!(fixture.read("forge").starts_with("rerun 41 when it has ended\n"));
}

#[test]
fn a_second_signal_does_not_wait() {
    let running =
        SupervisorFixture::github("trap 'echo asked >$ROOT/asked' INT; ready; begin a 41 1; while :; do rest 60; done")
            .start();
    running.until_busy();
    let began = Instant::now();
    running.signal("INT");
    running.until("asked", |fixture| fixture.path("asked").exists());
    running.signal("INT");
    let (_, ran) = running.end();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(ran.code, Some(75), "{ran:#?}");
}

#[test]
fn a_runner_that_dies_under_its_job_is_told_and_the_job_starts_again() {
    let running = SupervisorFixture::github("ready; begin a 41 1; rest 60").start();
    running.until_busy();
    // The hook is read once a second.
    std::thread::sleep(Duration::from_millis(1500));
    super::fixture::kill("KILL", running.pid("listener"));
    let (fixture, ran) = running.end();
    assert!(ran.stderr.contains("error: the runner program was killed"), "{ran:#?}");
    assert_eq!(
        (ran.code, fixture.read("forge").as_str()),
        (Some(9), "rerun 41 when it has ended\ndelete 1 when it has ended\n")
    );
}

#[test]
fn a_hook_never_fails_a_job() {
    let (_, ran) = SupervisorFixture::github(
        "ready; rm -r $ROOT/private/jobs; mkdir -p $ROOT/private/jobs; begin a 1 1; finish a Succeeded",
    )
    .run();
    assert!(ran.code == Some(0) && !ran.stderr.contains("hook failed"), "{ran:#?}");
}

#[test]
fn a_signal_between_two_registrations_leaves_neither() {
    let fixture =
        SupervisorFixture::github("echo x >>$ROOT/starts; ready; begin a 1 1; finish a Succeeded").set("single", false);
    let running = fixture.set("several", true).set("slow", 1500).start();
    running.until("register", |fixture| fixture.read("forge").contains("register 2"));
    running.signal("TERM");
    let (fixture, ran) = running.end();
    assert_eq!((ran.code, events(&ran).last().unwrap().as_str()), (Some(0), "terminated reason=SIGTERM"), "{ran:#?}");
    assert_eq!(fixture.read("forge"), "register 2 when it has ended\ndelete 2 when it has ended\n");
    assert_eq!(fixture.read("starts"), "x\n");
}
