//! A runner's life, from ready to the end.

use super::fixture::{SupervisorFixture, events};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Nothing is left on this machine.
fn is_clean(fixture: &SupervisorFixture) {
    for left in ["private", "program"] {
        assert!(!fixture.path(left).exists(), "{left} is left");
    }
}

#[test]
fn a_job_on_github() {
    let (fixture, ran) = SupervisorFixture::github(
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
    assert_eq!(fixture.read("forge"), "delete 1 when it has ended\n");
    is_clean(&fixture);
    let ready = ran.stderr.lines().find(|line| line.contains("ready")).unwrap();
    let names: Vec<&str> = ready.split('"').skip(1).step_by(4).collect();
    assert_eq!(names, ["date", "level", "message", "repo", "status"], "CML's keys are sorted");
}

#[test]
fn lines_in_pieces_and_several_at_once() {
    let (_, ran) = SupervisorFixture::github(
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
        (0, false, 0, "its registration was used up without a job", "warning: the registration of runner r1 was used"),
        (0, true, 0, "single job", ""),
        (1, false, 9, "the runner program gave up (exit code 1)", "error: the runner program gave up (exit code 1)"),
        (2, true, 0, "single job", ""),
        (
            5,
            false,
            6,
            "another runner program is using the same registration",
            "error: another runner program is using",
        ),
        (7, false, 7, "GitHub no longer accepts this version", "error: GitHub no longer accepts this version"),
    ] {
        let job = if job { "begin a 1 1\nfinish a Succeeded" } else { "" };
        let (fixture, ran) = SupervisorFixture::github(&format!("ready\n{job}\necho last words\nexit {code}")).run();
        assert_eq!(ran.code, Some(ours), "{code}: {ran:#?}");
        let end = events(&ran).pop().unwrap();
        assert!(end.starts_with(&format!("terminated reason={reason}")), "{code}: {end}");
        assert!(ran.stderr.contains(error), "{code}: {ran:#?}");
        assert_eq!(ran.stderr.contains("runner: last words"), ours != 0, "{code}: {ran:#?}");
        assert_eq!(fixture.read("forge"), "delete 1 when it has ended\n", "{code}");
        is_clean(&fixture);
    }
}

#[test]
fn a_listener_that_wants_it_is_started_again() {
    let (fixture, ran) = SupervisorFixture::github(
        "echo x >>$ROOT/starts
        case $(wc -l <$ROOT/starts) in 1) exit 2;; 2) exit 3;; 3) exit 4;; esac
        ready; begin a 1 1; finish a Succeeded",
    )
    .run();
    assert_eq!((ran.code, fixture.read("starts").lines().count()), (Some(0), 4), "{ran:#?}");
    assert_eq!(events(&ran).last().unwrap(), "terminated reason=single job");
}

#[test]
fn several_jobs_with_a_registration_each() {
    let (fixture, ran) = SupervisorFixture::github(
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
    assert_eq!(fixture.read("forge"), asked);
}

#[test]
fn an_idle_runner_is_removed_before_it_ends_and_stays_while_the_forge_says_busy() {
    let fixture = SupervisorFixture::github("trap 'exit 0' INT; ready; rest 60").set("idle", 1000);
    std::fs::write(fixture.path("busy"), "").unwrap();
    let (fixture, ran) = fixture.run();
    assert_eq!(
        (ran.code, events(&ran)),
        (Some(0), vec!["ready".into(), "terminated reason=timeout:1".into()]),
        "{ran:#?}"
    );
    assert_eq!(fixture.read("forge"), "delete 1: busy while the program runs\ndelete 1 while the program runs\n");
}

#[test]
fn time_before_it_is_ready_is_not_idle() {
    let (_, ran) =
        SupervisorFixture::github("rest 1.5; ready; rest 0.3; begin a 1 1; finish a Canceled").set("idle", 1000).run();
    assert_eq!(events(&ran).last().unwrap(), "terminated reason=single job", "{ran:#?}");
}

/// What the scripts of GitLab's runner share: its lines, and its answer to signals (`commands/single.go`). SIGQUIT is seen
/// between two requests for a job only; the first SIGTERM lets it wait for its job, the second one ends it at once.
const GITLAB: &str = r#"
log() { printf '{"level":"info",%s,"time":"2026-01-31T12:00:00Z"}\n' "$1" >&2; }
trap 'echo QUIT >>"$ROOT/signals"; finished=1' QUIT
trap 'echo TERM >>"$ROOT/signals"; [ -n "$term" ] && { log "\"level\":\"fatal\",\"msg\":\"forced exit\""; exit 1; }; term=1' TERM
finished='' term=''
# A request for a job, which the server holds for $1 seconds. A signal does not end it.
held() { n=$(($1 * 10)); while [ "$n" -gt 0 ]; do sleep 0.1; n=$((n - 1)); done; }
starting() { log '"msg":"Starting runner for https://forge.example with token abc ..."'; }
forbidden() { log '"msg":"Checking for jobs... forbidden","status":"POST https://forge.example/api/v4/jobs/request: 403 Forbidden"'; }
received() { log '"job":'$1',"msg":"Checking for jobs... received"'; }
succeeded() { log '"duration_s":1.5,"job":'$1',"job-status":"success","msg":"Job succeeded"'; }
"#;

fn gitlab(script: &str) -> SupervisorFixture {
    SupervisorFixture::gitlab(&format!("{GITLAB}{script}"))
}

#[test]
fn jobs_one_after_the_other_on_gitlab() {
    let (fixture, ran) = gitlab(
        r#"[ -s "$ROOT/private/config.toml" ] && cp "$ROOT/private/config.toml" "$ROOT/config"
        starting
        sleep 1; [ -e "$ROOT/private/config.toml" ] && echo left >"$ROOT/left"
        received 11
        log '"duration_s":1.5,"msg":"Job succeeded"'
        succeeded 11
        # GitLab takes one back before it runs; of another one there is no word at all.
        received 12
        log '"code":200,"job":12,"job-status":"canceling","msg":"Submitting job to coordinator...ok"'
        received 13
        received 14
        log '"duration_s":2.5,"job":14,"job-status":"failed","msg":"Job failed: exit code 1"'
        while [ -z "$finished" ]; do held 1; done"#,
    )
    .set("single", false)
    .set("idle", 1000)
    .run();
    let expected = [
        "ready",
        "job_started job=11",
        "job_ended job=11 success=true",
        "job_started job=12",
        "job_ended job=12 success=false",
        "job_started job=13",
        "job_ended job=13",
        "job_started job=14",
        "job_ended job=14 success=false",
        "terminated reason=timeout:1",
    ];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert!(fixture.read("config").contains("-token"));
    assert!(!fixture.path("left").exists(), "a job could read the token");
    let asked = "delete 1 when it has ended\n";
    assert_eq!((fixture.read("signals"), fixture.read("forge")), ("QUIT\n".into(), asked.into()), "nothing runs again");
}

#[test]
fn a_token_that_gitlab_refuses_at_the_start_is_a_failure() {
    let fixture = gitlab("starting; forbidden; held 300");
    std::fs::write(fixture.path("gone"), "").unwrap();
    let (fixture, ran) = fixture.run();
    let error = "GitLab refuses the runner's token (POST https://forge.example/api/v4/jobs/request: 403 Forbidden)";
    ran.fails(4, error, "check that the runner has not been removed*");
    assert!(!ran.stderr.contains("\"ready\""), "{ran:#?}");
    assert_eq!(fixture.read("signals"), "TERM\nTERM\n", "it would not see SIGQUIT for minutes");
}

#[test]
fn a_refusal_that_passes_is_trouble() {
    let (_, ran) = gitlab("starting; held 1; forbidden; held 1; forbidden; held 1; received 11; succeeded 11").run();
    let expected = ["ready", "job_started job=11", "job_ended job=11 success=true", "terminated reason=single job"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert_eq!(ran.stderr.matches("warning: GitLab refuses the runner's token").count(), 1, "{ran:#?}");
    assert!(ran.stderr.contains("runner r1 is connected to the forge again\n"), "{ran:#?}");
}

#[test]
fn a_job_that_came_with_the_request_that_was_open_is_run_to_its_end() {
    let (fixture, ran) = gitlab(
        r#"starting
        while [ -z "$finished" ]; do held 1; done
        received 11; held 1; succeeded 11"#,
    )
    .set("single", false)
    .set("idle", 300)
    .run();
    let expected = ["ready", "job_started job=11", "job_ended job=11 success=true", "terminated reason=timeout:0"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert_eq!(fixture.read("signals"), "QUIT\n");
}

#[test]
fn an_idle_runner_of_gitlab_that_is_interrupted_ends_at_once_and_without_a_word_of_trouble() {
    let running = gitlab("starting; while :; do held 50; done").start();
    running.until_said("\"ready\"");
    let begun = std::time::Instant::now();
    running.signal("INT");
    let (fixture, ran) = running.end();
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "it was waited for");
    assert_eq!((ran.code, fixture.read("signals").as_str()), (Some(0), "TERM\nTERM\n"), "{ran:#?}");
    assert!(!ran.stderr.contains("warning"), "{ran:#?}");
}

/// The program reports that it was interrupted; a job that does not end within 30 seconds (one here) it leaves to GitLab.
#[test]
fn an_interrupted_job_of_gitlab_starts_again_whether_or_not_it_was_reported() {
    for (is_reported, end) in [
        (
            true,
            r#"log '"duration_s":1.5,"exit_code":0,"failure_reason":"runner_interrupted","job":11,"job-status":"failed","msg":"Job failed: aborted: terminated"'
        log '"code":200,"job":11,"job-status":"failed","msg":"Submitting job to coordinator... job failed"'"#,
        ),
        (false, r#"held 1; log '"level":"fatal","msg":"shutdown timed out"'; exit 1"#),
    ] {
        let running = gitlab(&format!("starting; received 11; while [ -z \"$term\" ]; do held 1; done\n{end}")).start();
        running.until_said("job_started");
        running.signal("TERM");
        let (fixture, ran) = running.end();
        let asked = "rerun 11 when it has ended\ndelete 1 when it has ended\n";
        assert_eq!((ran.code, fixture.read("forge").as_str()), (Some(75), asked), "{ran:#?}");
        assert_eq!(fixture.read("signals"), "TERM\n", "a second one would end it at once");
        assert_eq!(ran.stderr.contains("warning: shutdown timed out\n"), !is_reported, "{ran:#?}");
    }
}

#[test]
fn a_registration_that_is_used_up_without_a_job_is_replaced() {
    let (fixture, ran) = SupervisorFixture::github(
        "ready
        echo x >>$ROOT/starts
        case $(wc -l <$ROOT/starts) in
          1) exit 0 ;;
          2) begin a 41 1; finish a Succeeded ;;
          3) trap 'exit 0' INT; rest 60 ;;
        esac",
    )
    .set("single", false)
    .set("several", true)
    .set("idle", 700)
    .run();
    let expected =
        ["ready", "ready", "job_started job=a", "job_ended job=a success=true", "ready", "terminated reason=timeout:0"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    // The old one first, whose name the new one has.
    let asked = "delete 1 when it has ended\nregister 2 when it has ended\nregister 3 when it has ended\n\
        delete 3 while the program runs\n";
    assert_eq!(fixture.read("forge"), asked, "{ran:#?}");
}

#[test]
fn a_runner_that_was_ready_once_and_is_removed_ends_well() {
    let (_, ran) = SupervisorFixture::github(
        "echo x >>$ROOT/starts
        [ $(wc -l <$ROOT/starts) = 1 ] && { ready; exit 2; }
        echo 'Failed to create a session. The runner registration has been deleted from the server, please re-configure.' >&2
        exit 1",
    )
    .run();
    let expected = ["ready", "terminated reason=removed"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
}

#[test]
fn a_listener_that_falls_back_to_another_configuration_is_left_alone() {
    let (_, ran) = SupervisorFixture::github(
        "echo 'Failed to create a session. The runner registration has been deleted from the server, please re-configure.' >&2
        rest 0.5; ready; begin a 1 1; finish a Succeeded",
    )
    .run();
    let expected = ["ready", "job_started job=a", "job_ended job=a success=true", "terminated reason=single job"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
}

#[test]
fn a_job_that_the_listener_cancelled_for_want_of_the_forge_runs_again_and_a_users_does_not() {
    for (result, canceled, asked) in [
        ("Canceled", "", "rerun 41 when it has ended\ndelete 1 when it has ended\n"),
        ("Canceled", "41", "delete 1 when it has ended\n"),
        ("Succeeded", "", "delete 1 when it has ended\n"),
        ("Failed", "", "delete 1 when it has ended\n"),
    ] {
        let fixture = SupervisorFixture::github(&format!("ready; begin a 41 1; rest 0.2; finish a {result}; exit 2"));
        std::fs::write(fixture.path("canceled"), canceled).unwrap();
        let (fixture, ran) = fixture.run();
        assert_eq!((ran.code, fixture.read("forge").as_str()), (Some(0), asked), "{result} {canceled}: {ran:#?}");
    }
}

/// A Docker that records what it is asked, and finds a container and a network.
const DOCKER: &str = r#"echo "$*" >>"$ROOT/docker"; case "$*" in ps*) echo 0a1b2c ;; *' ls '*) echo 3d4e5f ;; esac"#;

/// What it is asked where both are removed that a filter finds.
fn removals(filter: &str) -> String {
    format!(
        "ps --all --quiet --filter {filter}\nrm --force --volumes 0a1b2c\n\
         network ls --quiet --filter {filter}\nnetwork rm 3d4e5f\n"
    )
}

/// A configuration for the listener, with the files that it keeps.
fn jit() -> String {
    let files = serde_json::json!({ ".runner": STANDARD.encode("{\"AgentId\":7,\"Ephemeral\":true}"),
        ".credentials": STANDARD.encode("{\"scheme\":\"OAuth\"}"), ".credentials_rsaparams": STANDARD.encode("{}") });
    STANDARD.encode(files.to_string())
}

/// Real: the supervisor. Standing in: the listener, which leaves a container when it is interrupted, as the real one does, and
/// Docker, which records what it is asked.
#[test]
fn containers_of_an_interrupted_job_are_removed_by_their_label() {
    for (end, removed) in [("INT", true), ("", false)] {
        let script = if removed { "begin a 41 1; rest 60" } else { "begin a 41 1; finish a Succeeded; removed" };
        let own = "files; cp .runner $ROOT/settings";
        let mut fixture = SupervisorFixture::github(&format!("trap 'interrupted a' INT; {own}; ready; {script}"));
        fixture.program("path/docker", &format!("#!/bin/sh\n{DOCKER}\n"));
        let path = format!("{}:{}", fixture.path("path").display(), std::env::var("PATH").unwrap());
        fixture.env.push(("PATH".into(), path));
        let running = fixture.set("jit", jit()).start();
        if removed {
            running.until_busy();
            running.signal(end);
        }
        let (fixture, ran) = running.end();
        let asked = fixture.read("docker");
        if !removed {
            assert_eq!(asked, "", "{ran:#?}");
            continue;
        }
        // As the listener makes it of its file (`DockerCommandManager.cs`).
        let label = cml::digest::hash(fixture.read("settings").to_lowercase().as_bytes());
        assert_eq!(asked, removals(&format!("label={}", &label[..6])), "{ran:#?}");
    }
}

/// Bitbucket's runner in its container, whose lines have words that nobody knows: only the forge says how it is.
#[test]
fn a_runner_of_bitbucket_with_other_words_is_ready_busy_and_idle_as_the_forge_sees_it() {
    let (fixture, ran) = SupervisorFixture::bitbucket(
        r#"[ "$2" = run ] || exit 0
        trap 'echo "$(cat "$ROOT/state")" >"$ROOT/stopped"; exit 143' TERM
        log() { printf '{"time":"2027-01-31","message":"%s"}\n' "$1"; }
        rest() { n=$1; while [ "$n" -gt 0 ]; do sleep 0.1; n=$((n - 1)); done; }
        echo offline >"$ROOT/state"; log 'The runner begins'; rest 5
        echo idle >"$ROOT/state"; log 'The runner is connected'; rest 12
        echo busy >"$ROOT/state"; log 'A step was assigned'; rest 15
        echo idle >"$ROOT/state"; log 'The step is done'
        while :; do sleep 0.1; done"#,
    )
    .run();
    let expected = ["ready", "job_started", "job_ended", "terminated reason=single job"];
    assert_eq!((ran.code, events(&ran)), (Some(0), expected.map(str::to_owned).into()), "{ran:#?}");
    assert_eq!(fixture.read("stopped"), "idle\n", "it was asked to end in the middle of its step");
}

/// What Bitbucket's documents name for proxies and mirrors, and what the user names.
#[test]
fn variables_of_proxies_and_mirrors_reach_bitbuckets_container() {
    let mut fixture = SupervisorFixture::bitbucket(
        r#"[ "$2" = run ] || exit 0
        shift 6; cp "$1" "$ROOT/variables"
        printf '[2026-01-31 12:00:00,001] Updating runner status to "ONLINE"\n'; exit 0"#,
    );
    for (name, value) in [
        ("https_proxy", "http://user:secret@proxy.example:3128"),
        ("HTTP_PROXY", "http://127.0.0.1:3128"),
        ("NO_PROXY", "localhost,.example"),
        ("PAUSE_IMAGE", "mirror.example/pause:latest"),
        ("OTHER", "not asked for"),
    ] {
        fixture.env.push((name.into(), value.into()));
    }
    let (fixture, ran) = fixture.run();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let variables = fixture.read("variables");
    let ours = variables.split_once("RUNTIME_PREREQUISITES_ENABLED=true\n").unwrap().1;
    let root = fixture.folder.path().display();
    let expected = format!(
        "HTTPS_PROXY=http://user:secret@proxy.example:3128\nNO_PROXY=localhost,.example\n\
         PAUSE_IMAGE=mirror.example/pause:latest\nPIDS={root}/pids\nROOT={root}\n"
    );
    assert_eq!(ours, expected, "a proxy of this machine's own address is not the container's");
}

/// Real: supervisor and guard. Standing in: Docker, whose client ends without its container when it is killed.
#[test]
fn containers_of_a_killed_step_of_bitbucket_are_removed() {
    for signal in ["TERM", "KILL"] {
        let step = r#"trap 'exit 143' TERM
            log() { printf '[2026-01-31 12:00:00,001] %s\n' "$1"; }
            log 'Updating runner status to "ONLINE" and checking for new steps'
            log 'Getting step StepId{accountUuid={1}, repositoryUuid={2}, pipelineUuid={p}, stepUuid={s}}.'
            while :; do sleep 0.1; done"#;
        let running =
            SupervisorFixture::bitbucket(&format!("[ \"$2\" = run ] || {{ {DOCKER}; exit 0; }}\n{step}")).start();
        running.until_said("job_started");
        running.signal(signal);
        let stop = "container stop --time 30 cml-runner-r1\n";
        running.until("containers", |fixture| {
            let asked = fixture.read("docker");
            asked.contains(stop) && asked.contains(&removals("name=1"))
        });
        running.until("files", |fixture| !fixture.path("private").exists());
    }
}

/// The line announces the report; the container must live until that is done, which takes a second here.
#[test]
fn a_step_of_bitbucket_is_reported_before_its_runner_is_stopped() {
    let (fixture, ran) = SupervisorFixture::bitbucket(
        r#"[ "$2" = run ] || exit 0
        trap '[ -e "$ROOT/reported" ] || echo lost >"$ROOT/reported"; exit 143' TERM
        log() { printf '[2026-01-31 12:00:00,001] %s\n' "$1"; }
        log 'Updating runner status to "ONLINE" and checking for new steps assigned to the runner after 0 seconds'
        log 'Getting step StepId{accountUuid={1}, repositoryUuid={2}, pipelineUuid={p}, stepUuid={s}}.'
        log 'Completing step with result Result{status=PASSED, error=None}.'
        n=8; while [ "$n" -gt 0 ]; do sleep 0.1; n=$((n - 1)); done
        echo done >"$ROOT/reported"
        while :; do sleep 0.1; done"#,
    )
    .set("linger", 4000)
    .run();
    assert_eq!((ran.code, fixture.read("reported").as_str()), (Some(0), "done\n"), "{ran:#?}");
}

#[test]
fn one_job_in_bitbuckets_container() {
    let (fixture, ran) = SupervisorFixture::bitbucket(
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
    assert_eq!(fixture.read("docker").lines().count(), 1, "it ended by itself when asked to");
}

/// The listener of a folder that stays, with what the real one keeps of a registration, and its log.
const WITH_FILES: &str = "ls -A >$ROOT/found
    files; cp -p .runner .credentials .credentials_rsaparams $ROOT; echo x >.runner_migrated
    mkdir -p _diag; echo 'the reason' >_diag/Worker_2.log
    ready; begin a 41 1";

fn folder_of_the_user(fixture: &SupervisorFixture) {
    std::fs::create_dir(fixture.path("program/_diag")).unwrap();
    std::fs::write(fixture.path("program/_diag/Worker_1.log"), "old").unwrap();
}

fn left(fixture: &SupervisorFixture) -> Vec<String> {
    let files = |name: &str| std::fs::read_dir(fixture.path(name)).unwrap().map(|entry| entry.unwrap().path());
    let all = files("program").chain(files("program/_diag"));
    let mut names: Vec<_> = all.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_users_own_folder_is_left_as_it_was() {
    for signal in ["", "KILL"] {
        let script =
            if signal.is_empty() { "finish a Succeeded; removed" } else { "trap 'interrupted a' INT; rest 60" };
        let fixture =
            SupervisorFixture::github(&format!("{WITH_FILES}\n{script}")).set("runner_path", true).set("jit", jit());
        folder_of_the_user(&fixture);
        // Of a runner of cml that could not remove it.
        std::fs::write(fixture.path("program/.runner_migrated"), "x").unwrap();
        std::fs::write(fixture.path("program/.runner"), "{\"ephemeral\":true}").unwrap();
        let running = fixture.start();
        if signal.is_empty() {
            let (fixture, ran) = running.end();
            assert_eq!((ran.code, fixture.read("found").as_str()), (Some(0), "_diag\nbin\n"), "{ran:#?}");
            assert_eq!(left(&fixture), ["Worker_1.log", "_diag", "bin"]);
            assert!(fixture.read(".runner").contains("\"ephemeral\":true"), "{:?}", fixture.read(".runner"));
        } else {
            running.until_busy();
            running.signal(signal);
            running.until("files", |fixture| !fixture.path("program/.credentials").exists());
            running.until("files", |fixture| !fixture.path("program/.runner").exists());
            running.until("logs", |fixture| left(fixture) == ["Worker_1.log", "_diag", "bin"]);
        }
    }
}

#[test]
fn folders_with_another_registration_or_hook_are_refused_and_not_touched() {
    for (name, text, error, hint) in [
        (
            ".runner",
            "{\"AgentId\":7}",
            "the runner of --runner-path is registered already (*/program/.runner)",
            "give a folder with *",
        ),
        (
            ".env",
            "ACTIONS_RUNNER_HOOK_JOB_STARTED=/mine.sh\n",
            "*/program/.env sets ACTIONS_RUNNER_HOOK_JOB_STARTED, which cml needs itself",
            "remove the line, *--pass-env ACTIONS_RUNNER_HOOK_JOB_STARTED*",
        ),
    ] {
        let fixture = SupervisorFixture::github("echo x >$ROOT/started; ready").set("runner_path", true);
        std::fs::write(fixture.path("program").join(name), text).unwrap();
        std::fs::write(fixture.path("program/.credentials"), "theirs").unwrap();
        let (fixture, ran) = fixture.run();
        ran.fails(3, error, hint);
        assert_eq!(
            (fixture.read("program/.credentials").as_str(), fixture.read(&format!("program/{name}")).as_str()),
            ("theirs", text)
        );
        assert!(!fixture.path("started").exists());
        assert_eq!(fixture.read("forge"), "delete 1 when it has ended\n");
    }
}

#[test]
fn the_users_own_hook_is_called_after_ours() {
    let mut fixture = SupervisorFixture::github("ready; begin a 41 1; rest 60");
    fixture.program("mine.sh", "echo \"$GITHUB_RUN_ID\" >$ROOT/mine\n");
    fixture.env.push(("ACTIONS_RUNNER_HOOK_JOB_STARTED".into(), fixture.path("mine.sh").display().to_string()));
    let running = fixture.start();
    running.until_busy();
    running.until("hook", |fixture| fixture.read("mine") == "41\n");
    running.signal("INT");
    let (fixture, ran) = running.end();
    assert_eq!(
        (ran.code, fixture.read("forge").as_str()),
        (Some(75), "rerun 41 when it has ended\ndelete 1 when it has ended\n")
    );
}

#[test]
fn logs_of_the_program_are_kept_where_that_is_asked_for() {
    for keeps in [true, false] {
        let fixture = SupervisorFixture::github(&format!(
            "{WITH_FILES}\nln -s /etc/passwd _diag/other.log; finish a Succeeded; exit 1"
        ));
        folder_of_the_user(&fixture);
        let folder = fixture.path("logs").display().to_string();
        let (fixture, ran) = if keeps { fixture.set("keep_logs", folder).run() } else { fixture.run() };
        assert_eq!(fixture.read("logs/r1/Worker_2.log"), if keeps { "the reason\n" } else { "" }, "{ran:#?}");
        assert_eq!(ran.stderr.contains("the runner program's logs are in "), keeps);
        assert!(!fixture.path("logs/r1/other.log").exists() && !fixture.path("logs/r1/Worker_1.log").exists());
        is_clean(&fixture);
    }
}

#[test]
fn a_machine_without_libicu_is_told_what_is_missing() {
    let script =
        "echo \"Process terminated. Couldn't find a valid ICU package installed on the system.\" >&2; kill -ABRT $$";
    let (_, ran) = SupervisorFixture::github(script).run();
    let hint = "install it (*libicu*), or do without it: set DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 *";
    ran.fails(3, "the runner program cannot find libicu on this computer", hint);
}

#[test]
fn a_program_that_is_not_there() {
    let fixture = SupervisorFixture::github("");
    std::fs::remove_file(fixture.path("program/bin/Runner.Listener")).unwrap();
    let (fixture, ran) = fixture.run();
    let error =
        format!("cannot start the runner program {}/program/bin/Runner.Listener (*)", fixture.folder.path().display());
    ran.fails(3, &error, "check that it exists and is built for this operating system and architecture");
    assert_eq!(fixture.read("forge"), "delete 1 when it has ended\n");
    is_clean(&fixture);
}
