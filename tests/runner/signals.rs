//! Interruptions: stop, wait, and only then start the job again.

use super::stage::{Stage, events, is_alive};
use std::time::{Duration, Instant};

/// A job that ends as GitHub's listener makes it end when it is interrupted.
const JOB: &str = "trap 'interrupted a' INT; ready; begin a 41 1; rest 60";

#[test]
fn an_interrupted_job_starts_again_after_the_end_of_its_runner() {
    let all = [("TERM", "SIGTERM"), ("INT", "SIGINT"), ("QUIT", "SIGQUIT"), ("HUP", "SIGHUP")];
    // Under `nohup`, which the tests may run under, too, the last one is not heard.
    for (signal, reason) in all.into_iter().filter(|(signal, _)| *signal != "HUP" || !is_hangup_ignored()) {
        let play = Stage::github(JOB).start();
        play.until_busy();
        play.signal(signal);
        let (stage, ran) = play.end();
        let end = ["job_ended job=a success=false".to_owned(), format!("terminated reason={reason}")];
        assert_eq!(events(&ran)[2..], end, "{ran:#?}");
        ran.fails(75, "the runner r1 was interrupted while a job was running", "");
        assert_eq!(stage.read("forge"), "rerun 41 when it has ended\ndelete 1 when it has ended\n");
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
    let play = Stage::github("trap 'exit 0' INT; ready; rest 60").start();
    play.until_said("ready");
    play.signal("TERM");
    let (stage, ran) = play.end();
    assert_eq!((ran.code, events(&ran).last().unwrap().as_str()), (Some(0), "terminated reason=SIGTERM"), "{ran:#?}");
    assert_eq!(stage.read("forge"), "delete 1 when it has ended\n");

    let play = Stage::github("trap 'finish a Succeeded; exit 0' INT; ready; begin a 41 1; rest 60").start();
    play.until_busy();
    play.signal("TERM");
    let (stage, ran) = play.end();
    assert_eq!((ran.code, stage.read("forge")), (Some(0), "delete 1 when it has ended\n".into()), "{ran:#?}");
}

/// Its actions are being downloaded: no hook has told of which run the job is.
#[test]
fn a_job_that_is_interrupted_before_its_hook_is_said_to_be_lost() {
    let play = Stage::github("trap 'interrupted a' INT; ready; begin a 41 1 60; rest 60").start();
    play.until_said("job_started");
    play.signal("TERM");
    let (stage, ran) = play.end();
    assert_eq!((ran.code, stage.read("forge").as_str()), (Some(75), "delete 1 when it has ended\n"), "{ran:#?}");
    assert_eq!(events(&ran)[1..], ["job_started job=a", "job_ended job=a success=false", "terminated reason=SIGTERM"]);
}

#[test]
fn retries_are_bounded_and_can_be_turned_off() {
    for (attempt, retry, said) in
        [(3, serde_json::json!(3), "a has been started 3 times already"), (1, serde_json::Value::Null, "")]
    {
        let play = Stage::github(&JOB.replace("41 1", &format!("41 {attempt}"))).set("retry", retry).start();
        play.until_busy();
        play.signal("TERM");
        let (stage, ran) = play.end();
        assert_eq!((ran.code, stage.read("forge").as_str()), (Some(75), "delete 1 when it has ended\n"), "{ran:#?}");
        assert!(ran.stderr.contains(said));
    }
}

#[test]
fn one_that_ignores_the_signal_is_killed_after_its_time() {
    let play =
        Stage::github("trap '' INT; ready; begin a 41 1; sleep 60 & echo $! >$PIDS/child; while :; do rest 60; done")
            .set("grace", 1000)
            .start();
    play.until_busy();
    let (listener, child) = (play.pid("listener"), play.pid("child"));
    play.signal("TERM");
    let (stage, ran) = play.end();
    assert_eq!(ran.code, Some(75), "{ran:#?}");
    assert!(!is_alive(listener) && !is_alive(child));
    assert!(stage.read("forge").starts_with("rerun 41 when it has ended\n"));
}

#[test]
fn a_second_signal_does_not_wait() {
    let play =
        Stage::github("trap 'echo asked >$ROOT/asked' INT; ready; begin a 41 1; while :; do rest 60; done").start();
    play.until_busy();
    let began = Instant::now();
    play.signal("INT");
    play.until("asked", |stage| stage.path("asked").exists());
    play.signal("INT");
    let (_, ran) = play.end();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(ran.code, Some(75), "{ran:#?}");
}

#[test]
fn a_runner_that_dies_under_its_job_is_told_and_the_job_starts_again() {
    let play = Stage::github("ready; begin a 41 1; rest 60").start();
    play.until_busy();
    // The hook is read once a second.
    std::thread::sleep(Duration::from_millis(1500));
    super::stage::kill("KILL", play.pid("listener"));
    let (stage, ran) = play.end();
    assert!(ran.stderr.contains("error: the runner program was killed"), "{ran:#?}");
    assert_eq!(
        (ran.code, stage.read("forge").as_str()),
        (Some(9), "rerun 41 when it has ended\ndelete 1 when it has ended\n")
    );
}

#[test]
fn a_hook_never_fails_a_job() {
    let (_, ran) =
        Stage::github("ready; rm -r $ROOT/private/jobs; mkdir -p $ROOT/private/jobs; begin a 1 1; finish a Succeeded")
            .run();
    assert!(ran.code == Some(0) && !ran.stderr.contains("hook failed"), "{ran:#?}");
}

#[test]
fn a_signal_between_two_registrations_leaves_neither() {
    let stage = Stage::github("echo x >>$ROOT/starts; ready; begin a 1 1; finish a Succeeded").set("single", false);
    let play = stage.set("several", true).set("slow", 1500).start();
    play.until("register", |stage| stage.read("forge").contains("register 2"));
    play.signal("TERM");
    let (stage, ran) = play.end();
    assert_eq!((ran.code, events(&ran).last().unwrap().as_str()), (Some(0), "terminated reason=SIGTERM"), "{ran:#?}");
    assert_eq!(stage.read("forge"), "register 2 when it has ended\ndelete 2 when it has ended\n");
    assert_eq!(stage.read("starts"), "x\n");
}
