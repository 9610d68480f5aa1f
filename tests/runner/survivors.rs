//! Nothing survives the supervisor, whatever happens to it.

use super::stage::{Stage, is_alive, kill};
use std::process::Command;

#[test]
fn an_asked_runner_ends_when_its_supervisor_is_killed() {
    let play = Stage::github("trap 'echo asked >$ROOT/asked; exit 0' INT; ready; begin a 41 1; rest 60").start();
    play.until_busy();
    let listener = play.pid("listener");
    play.signal("KILL");
    play.until_gone(listener);
    play.until("private files", |stage| !stage.path("private").exists() && !stage.path("program").exists());
    assert_eq!(play.stage.read("asked"), "asked\n");
}

/// What is wanted most after such an end. The folder of the logs is gone with the program.
#[test]
fn logs_are_kept_when_the_supervisor_is_killed() {
    let script = "mkdir _diag; echo 'the reason' >_diag/Worker_2.log; ready; begin a 41 1; rest 60";
    let stage = Stage::github(&format!("trap 'exit 0' INT; {script}"));
    let folder = stage.path("logs").display().to_string();
    let play = stage.set("keep_logs", folder).start();
    play.until_busy();
    play.signal("KILL");
    play.until("files", |stage| !stage.path("private").exists() && !stage.path("program").exists());
    assert_eq!(play.stage.read("logs/r1/Worker_2.log"), "the reason\n");
}

#[test]
fn one_that_does_not_listen_is_killed_with_all_that_left_its_group() {
    let script = "trap '' INT TERM; ready
        setsid sh -c 'echo $$ >$PIDS/left; sleep 300 & echo $! >$PIDS/below; wait' &
        (setsid sh -c 'echo $$ >$PIDS/orphan; exec sleep 300' &)
        begin a 41 1; while :; do rest 60; done";
    for signal in ["KILL", "TERM"] {
        let play = Stage::github(script).set("grace", 1000).start();
        play.until_busy();
        let all = ["listener", "left", "below", "orphan"].map(|name| play.pid(name));
        assert!(all.into_iter().all(is_alive));
        play.signal(signal);
        for pid in all.into_iter().filter(|_| cfg!(target_os = "linux")) {
            play.until_gone(pid);
        }
    }
}

#[test]
fn what_a_job_left_running_ends_with_its_runner() {
    let play = Stage::github(
        "ready; begin a 41 1; (setsid sh -c 'echo $$ >$PIDS/left; exec sleep 300' &); rest 0.3; finish a Succeeded",
    )
    .start();
    let left = play.pid("left");
    let (_, ran) = play.end();
    assert!(ran.code == Some(0) && !is_alive(left), "{ran:#?}");
}

#[test]
fn a_killed_guard_takes_its_charge_along() {
    let play = Stage::github("trap '' INT; ready; begin a 41 1; while :; do rest 60; done").start();
    play.until_busy();
    let listener = play.pid("listener");
    let stat = std::fs::read_to_string(format!("/proc/{listener}/stat")).unwrap();
    let guard = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_ne!(guard, play.id());
    kill("KILL", guard);
    play.until_gone(listener);
    let (_, ran) = play.end();
    assert_eq!(ran.code, Some(9), "{ran:#?}");
}

#[test]
fn a_guard_without_a_charge_ends() {
    let output =
        Command::new(crate::support::native()).arg("runner-guard").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
