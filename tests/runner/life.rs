//! A runner's life, from ready to the end.

use super::stage::{Stage, events};

/// Nothing is left on this machine.
fn is_clean(stage: &Stage) {
    for left in ["private", "program"] {
        assert!(!stage.path(left).exists(), "{left} is left");
    }
}

#[test]
fn a_job_on_github() {
    let (stage, ran) = Stage::github(
        "ready
        begin 'train completed with result: Failed' 41 1
        finish 'train completed with result: Failed' Succeeded
        rest 0.3",
    )
    .run();
    let job = "train completed with result: Failed";
    let expected = [
        "ready".to_owned(),
        format!("job_started job={job}"),
        format!("job_ended job={job} success=true"),
        "terminated reason=single job".to_owned(),
    ];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.into()), "{ran:#?}");
    assert_eq!(stage.read("forge"), "delete 1 when it has ended\n");
    is_clean(&stage);
    let ready = ran.stderr.lines().find(|line| line.contains("ready")).unwrap();
    let names: Vec<&str> = ready.split('"').skip(1).step_by(4).collect();
    assert_eq!(names, ["date", "level", "message", "repo", "status"], "CML's keys are sorted");
}

#[test]
fn lines_in_pieces_and_several_at_once() {
    let (_, ran) = Stage::github(
        r"printf '2026-01-31 12:00:00Z: Listen'; rest 0.1; printf 'ing for Jobs\r\n2026-01-31 12:00:'
        printf '2026-01-31 12:00:00Z: noise on the other pipe\n' >&2
        rest 0.1; printf '01Z: Running job: a\n2026-01-31 12:00:02Z: Job a completed with result: Failed\n\377\n'
        printf 'said: 2026-01-31 12:00:00Z: Running job: b\nListening for Jobs'",
    )
    .run();
    let expected = ["ready", "job_started job=a", "job_ended job=a success=false", "terminated reason=single job"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
}

#[test]
fn exit_codes_of_the_listener() {
    for (code, job, ours, reason, error) in [
        (0, false, 0, "runner closed with exit code 0", ""),
        (0, true, 0, "single job", ""),
        (1, false, 9, "the runner program gave up (exit code 1)", "error: the runner program gave up (exit code 1)"),
        (2, true, 0, "single job", ""),
        (5, false, 6, "another runner program uses the same registration", "error: another runner program uses"),
        (7, false, 7, "GitHub does not accept this version", "error: GitHub does not accept this version"),
    ] {
        let job = if job { "begin a 1 1\nfinish a Succeeded" } else { "" };
        let (stage, ran) = Stage::github(&format!("ready\n{job}\necho last words\nexit {code}")).run();
        assert_eq!(ran.code, Some(ours), "{code}: {ran:#?}");
        let end = events(&ran).pop().unwrap();
        assert!(end.starts_with(&format!("terminated reason={reason}")), "{code}: {end}");
        assert!(ran.stderr.contains(error), "{code}: {ran:#?}");
        assert_eq!(ran.stderr.contains("runner: last words"), ours != 0, "{code}: {ran:#?}");
        assert_eq!(stage.read("forge"), "delete 1 when it has ended\n", "{code}");
        is_clean(&stage);
    }
}

#[test]
fn a_listener_that_wants_it_is_started_again() {
    let (stage, ran) = Stage::github(
        "echo x >>$ROOT/starts
        case $(wc -l <$ROOT/starts) in 1) exit 2;; 2) exit 3;; 3) exit 4;; esac
        ready; begin a 1 1; finish a Succeeded",
    )
    .run();
    assert_eq!((ran.code, stage.read("starts").lines().count()), (Some(0), 4), "{ran:#?}");
    assert_eq!(events(&ran).last().unwrap(), "terminated reason=single job");
}

#[test]
fn several_jobs_with_a_registration_each() {
    let (stage, ran) = Stage::github(
        "ready
        echo x >>$ROOT/starts
        n=$(wc -l <$ROOT/starts)
        [ $n = 3 ] && rest 60
        begin job-$n 4$n 1; finish job-$n Succeeded",
    )
    .set("single", false)
    .set("several", true)
    .set("idle", 700)
    .run();
    let expected = [
        "ready",
        "job_started job=job-1",
        "job_ended job=job-1 success=true",
        "ready",
        "job_started job=job-2",
        "job_ended job=job-2 success=true",
        "ready",
        "terminated reason=timeout:0",
    ];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    let asked = "register 2 when it has ended\nregister 3 when it has ended\ndelete 3 while the program runs\n";
    assert_eq!(stage.read("forge"), asked);
}

#[test]
fn an_idle_runner_is_removed_before_it_ends_and_stays_while_the_forge_says_busy() {
    let stage = Stage::github("trap 'exit 0' INT; ready; rest 60").set("idle", 1000);
    std::fs::write(stage.path("busy"), "").unwrap();
    let (stage, ran) = stage.run();
    assert_eq!(
        (ran.code, events(&ran)),
        (Some(0), vec!["ready".into(), "terminated reason=timeout:1".into()]),
        "{ran:#?}"
    );
    assert_eq!(stage.read("forge"), "delete 1: busy while the program runs\ndelete 1 while the program runs\n");
}

#[test]
fn time_before_it_is_ready_is_not_idle() {
    let (_, ran) = Stage::github("rest 1.5; ready; rest 0.3; begin a 1 1; finish a Canceled").set("idle", 1000).run();
    assert_eq!(events(&ran).last().unwrap(), "terminated reason=single job", "{ran:#?}");
}

#[test]
fn jobs_at_once_on_gitlab() {
    let (stage, ran) = Stage::gitlab(
        r#"[ -s "$ROOT/private/config.toml" ] && cp "$ROOT/private/config.toml" "$ROOT/config"
        trap 'echo quit >"$ROOT/quit"; exit 0' QUIT
        log() { printf '{"level":"info",%s,"time":"2026-01-31T12:00:00Z"}\n' "$1" >&2; }
        log '"msg":"Starting runner for https://forge.example with token abc ..."'
        sleep 0.5; [ -e "$ROOT/private/config.toml" ] && echo left >"$ROOT/left"
        log '"job":11,"msg":"Checking for jobs... received"'
        log '"job":12,"msg":"Checking for jobs... received"'
        log '"duration_s":1.5,"msg":"Job succeeded"'
        log '"duration_s":1.5,"job":11,"job-status":"success","msg":"Job succeeded"'
        sleep 1.5
        log '"duration_s":2.5,"job":12,"job-status":"failed","msg":"Job failed: exit code 1"'
        while :; do sleep 0.1; done"#,
    )
    .set("single", false)
    .set("idle", 1000)
    .run();
    let expected = [
        "ready",
        "job_started job=11",
        "job_started job=12",
        "job_ended job=11 success=true",
        "job_ended job=12 success=false",
        "terminated reason=timeout:1",
    ];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert!(stage.read("config").contains("-token"));
    assert!(!stage.path("left").exists(), "a job could read the token");
    assert_eq!((stage.read("quit"), stage.read("forge")), ("quit\n".into(), "delete 1 when it has ended\n".into()));
}

#[test]
fn one_job_in_bitbuckets_container() {
    let (stage, ran) = Stage::bitbucket(
        r#"echo "$*" >>"$ROOT/docker"
        [ "$2" = run ] || exit 0
        trap 'exit 143' TERM
        log() { printf '[2026-01-31 12:00:00,001] %s\n' "$1"; }
        log 'Updating runner status to "ONLINE" and checking for new steps assigned to the runner after 0 seconds'
        log 'Getting step StepId{accountUuid={1}, repositoryUuid={2}, pipelineUuid={p}, stepUuid={s}}.'
        log 'Completing step with result Result{status=PASSED, error=None}.'
        while :; do sleep 0.1; done"#,
    )
    .run();
    let expected = [
        "ready",
        "job_started job={s} pipeline={p}",
        "job_ended job={s} pipeline={p} success=true",
        "terminated reason=single job",
    ];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert_eq!(stage.read("docker").lines().count(), 1, "it ended by itself when asked to");
}

#[test]
fn a_program_that_is_not_there() {
    let stage = Stage::github("");
    std::fs::remove_file(stage.path("program/bin/Runner.Listener")).unwrap();
    let (stage, ran) = stage.run();
    let error =
        format!("cannot start the runner program {}/program/bin/Runner.Listener (*)", stage.folder.path().display());
    ran.fails(3, &error, "check that it is there and made for this machine");
    assert_eq!(stage.read("forge"), "delete 1 when it has ended\n");
    is_clean(&stage);
}
