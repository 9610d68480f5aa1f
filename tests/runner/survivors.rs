//! Nothing survives the supervisor, whatever happens to it.

use super::fixture::{SupervisorFixture, is_alive, kill};
use std::process::Command;

#[test]
fn an_asked_runner_ends_when_its_supervisor_is_killed() {
    let running =
        SupervisorFixture::github("trap 'echo asked >$ROOT/asked; exit 0' INT; ready; begin a 41 1; rest 60").start();
    running.until_busy();
    let listener = running.pid("listener");
    running.signal("KILL");
    running.until_gone(listener);
    running.until("private files", |fixture| !fixture.path("private").exists() && !fixture.path("program").exists());
    assert_eq!(running.fixture.read("asked"), "asked\n");
}

/// What is wanted most after such an end. The folder of the logs is gone with the program.
#[test]
fn logs_are_kept_when_the_supervisor_is_killed() {
    let script = "mkdir _diag; echo 'the reason' >_diag/Worker_2.log; ready; begin a 41 1; rest 60";
    let fixture = SupervisorFixture::github(&format!("trap 'exit 0' INT; {script}"));
    let folder = fixture.path("logs").display().to_string();
    let running = fixture.set("keep_logs", folder).start();
    running.until_busy();
    running.signal("KILL");
    running.until("files", |fixture| !fixture.path("private").exists() && !fixture.path("program").exists());
    assert_eq!(running.fixture.read("logs/r1/Worker_2.log"), "the reason\n");
}

#[test]
fn one_that_does_not_listen_is_killed_with_all_that_left_its_group() {
    let script = "trap '' INT TERM; ready
        setsid sh -c 'echo $$ >$PIDS/left; sleep 300 & echo $! >$PIDS/below; wait' &
        (setsid sh -c 'echo $$ >$PIDS/orphan; exec sleep 300' &)
        begin a 41 1; while :; do rest 60; done";
    for signal in ["KILL", "TERM"] {
        let running = SupervisorFixture::github(script).set("grace", 1000).start();
        running.until_busy();
        let all = ["listener", "left", "below", "orphan"].map(|name| running.pid(name));
        assert!(all.into_iter().all(is_alive));
        running.signal(signal);
        for pid in all.into_iter().filter(|_| cfg!(target_os = "linux")) {
            running.until_gone(pid);
        }
    }
}

#[test]
fn what_a_job_left_running_ends_with_its_runner() {
    let running = SupervisorFixture::github(
        "ready; begin a 41 1; (setsid sh -c 'echo $$ >$PIDS/left; exec sleep 300' &); rest 0.3; finish a Succeeded",
    )
    .start();
    let left = running.pid("left");
    let (_, ran) = running.end();
    assert!(ran.code == Some(0) && !is_alive(left), "{ran:#?}");
}

#[test]
fn a_killed_guard_takes_its_charge_along() {
    let running = SupervisorFixture::github("trap '' INT; ready; begin a 41 1; while :; do rest 60; done").start();
    running.until_busy();
    let listener = running.pid("listener");
    let stat = std::fs::read_to_string(format!("/proc/{listener}/stat")).unwrap();
    let guard = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_ne!(guard, running.id());
    kill("KILL", guard);
    running.until_gone(listener);
    let (_, ran) = running.end();
    assert_eq!(ran.code, Some(9), "{ran:#?}");
}

#[test]
fn a_guard_without_a_charge_ends() {
    let output =
        Command::new(crate::support::native()).arg("runner-guard").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
