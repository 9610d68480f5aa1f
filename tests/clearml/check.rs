//! `cml clearml check` and `run` against the fake server, whose worker is scripted; git and its remote are real.

use super::{bodies, run, scalar, with_keys};
use crate::support::clearml::{ClearMl, Wrong};
use crate::support::fake::http::Response;
use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::node::Runner;
use crate::support::{Cml, Ran, VENDORS, eventually};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const CHECK: [&str; 8] = ["clearml", "check", "--queue", "default", "--script", "train.py", "--poll", "1"];

/// A server with a queue that is watched, and a clone whose only commit is on the branch main of its remote.
pub fn lab() -> (ClearMl, Cml, String) {
    let server = ClearMl::start();
    server.queue("default", true);
    let cml = with_keys(Cml::alone(), &server);
    cml.git(&["init", "-q"]);
    cml.file("train.py", "print('training')\n");
    cml.git(&["add", "train.py"]);
    cml.git(&["commit", "-qm", "train"]);
    cml.git(&["clone", "-q", "--bare", ".", "remote.git"]);
    cml.git(&["remote", "add", "origin", &remote(&cml)]);
    let head = cml.git(&["rev-parse", "HEAD"]);
    (server, cml, head)
}

fn remote(cml: &Cml) -> String {
    format!("file://{}/remote.git", cml.path().display())
}

/// The worker does one step before each look at the last task.
fn works(server: &ClearMl, steps: Vec<Value>) {
    let done = AtomicUsize::new(0);
    server.before_each(move |tasks, endpoint| {
        if endpoint == "tasks.get_all" {
            advance(tasks, steps.get(done.fetch_add(1, Ordering::SeqCst)));
        }
    });
}

fn advance(tasks: &mut [Value], step: Option<&Value>) {
    if let (Some(task), Some(step)) = (tasks.last_mut(), step) {
        for (key, value) in step.as_object().unwrap() {
            task[key] = value.clone();
        }
    }
}

fn running() -> Value {
    json!({ "status": "in_progress", "last_worker": "vm:default" })
}

fn alive() -> Value {
    json!({ "status": "in_progress", "last_worker": "vm:default", "last_iteration": 3 })
}

/// No task waits or runs, and all are archived.
#[track_caller]
fn nothing_is_left(server: &ClearMl) {
    for task in server.tasks() {
        let status = task["status"].as_str().unwrap();
        assert!(!["queued", "in_progress"].contains(&status), "{task:#}");
        assert_eq!(task["system_tags"], json!(["archived"]), "{task:#}");
    }
}

fn check(cml: &Cml, server: &ClearMl, more: &[&str]) -> Ran {
    run(cml, server, &[&CHECK[..], more].concat())
}

#[test]
fn a_commit_that_runs_passes_and_leaves_nothing() {
    let (server, mut cml, head) = lab();
    let outputs = cml.file("outputs", "").display().to_string();
    cml.set("CML_DOTENV", &outputs);
    works(&server, vec![json!({}), running(), alive()]);
    let ran =
        check(&cml, &server, &["--project", "Lab/CI", "--arg", "lr=0.1", "--docker", "python:3.11", "--tag", "ci"]);
    let task = server.tasks().pop().unwrap();
    let (id, project) = (task["id"].as_str().unwrap(), server.project("Lab/CI"));
    let url = format!("https://app.example.org/projects/{project}/tasks/{id}/output/log");
    assert!(ran.stderr.contains("the task reported iteration 3 on vm:default"), "{ran:#?}");
    assert_eq!(ran.ok(), format!("{id} {url}\n"));
    nothing_is_left(&server);
    assert_eq!(
        server.endpoints(),
        [
            "auth.login",
            "queues.get_all",
            "workers.get_all",
            "projects.get_all",
            "projects.create",
            "tasks.create",
            "tasks.enqueue",
            "tasks.get_all",
            "queues.get_all",
            "tasks.get_all",
            "tasks.get_all",
            "tasks.get_all",
            "tasks.stop",
            "tasks.get_all",
            "tasks.archive",
        ]
    );
    let calls = server.calls();
    let body = |endpoint: &str| calls.iter().find(|call| call.endpoint == endpoint).unwrap().body.clone();
    let mut created = body("tasks.create");
    let comment = created["comment"].take();
    assert_eq!(
        created,
        json!({ "name": format!("cml check {}", &head[..7]), "type": "training", "tags": ["ci", "cml-check"], "comment": null,
            "project": project, "container": { "image": "python:3.11", "arguments": "", "setup_shell_script": "" },
            "hyperparams": { "Args": { "lr": { "section": "Args", "name": "lr", "value": "0.1", "type": "str", "description": "" } } },
            "script": { "repository": remote(&cml), "version_num": head, "branch": "main", "diff": "",
                "binary": "python", "working_dir": ".", "entry_point": "train.py" } })
    );
    assert!(comment.as_str().unwrap().contains("If it still runs, the check was killed"), "{comment}");
    let queue = body("tasks.enqueue")["queue"].clone();
    assert_eq!(body("tasks.enqueue"), json!({ "task": id, "queue": queue, "verify_watched_queue": true }));
    let outputs = cml.read("outputs");
    assert!(outputs.contains(&format!("TASK_ID={id}\n")) && outputs.contains(&url), "{outputs}");
}

#[test]
fn the_place_in_the_queue_is_told_where_it_changes() {
    let (server, cml, _) = lab();
    for _ in 0..2 {
        run(&cml, &server, &["clearml", "run", "--queue", "default", "--script", "train.py"]).ok();
    }
    works(&server, vec![json!({}), json!({}), running(), alive()]);
    let ran = check(&cml, &server, &[]);
    assert_eq!(ran.stderr.matches("2 tasks are before it in the queue default\n").count(), 1, "{ran:#?}");
    ran.ok();
    works(&server, vec![]);
    let late = check(&cml, &server, &["--queue-timeout", "1"]);
    let error = "no worker took the task from the ClearML queue default in 1 s; 2 tasks are before it";
    late.fails(11, error, "start another agent for the queue, or allow more time with --queue-timeout");
}

#[test]
fn every_sign_of_life_counts() {
    let value = json!({ "m": { "v": { "metric": "acc", "variant": "val", "value": 0.5 } } });
    let monitor = json!({ "m": { "v": { "metric": ":monitor:gpu", "variant": "mem", "value": 1 } } });
    let completed = json!({ "status": "completed", "last_iteration": 0 });
    for (until, last, message) in [
        ("iteration", json!({ "last_metrics": value }), "the task reported a scalar"),
        ("iteration", completed.clone(), "the task completed"),
        ("completed", completed.clone(), "the task completed"),
        ("started", running(), "vm:default took the task"),
        ("log:epoch * done", json!({}), "the task wrote what --until names"),
    ] {
        let (server, cml, _) = lab();
        works(&server, vec![running(), json!({ "last_metrics": monitor }), last]);
        let id = format!("{:032x}", 0xa000);
        server.event(json!({ "type": "log", "task": id, "msg": "start\nepoch 1 done\n" }));
        let ran = check(&cml, &server, &["--until", until]);
        assert!(ran.code == Some(0) && ran.stderr.contains(message), "{until}: {ran:#?}");
        nothing_is_left(&server);
    }
    let (server, cml, _) = lab();
    works(&server, vec![running(), completed]);
    check(&cml, &server, &["--until", "log:never"]).fails(
        12,
        "the ClearML task completed without writing what --until names",
        "* stands for anything in log:TEXT",
    );
    check(&cml, &server, &["--until", "soon"]).fails(
        2,
        "'soon' is not something to wait for",
        "write iteration, started, completed or log:TEXT",
    );
}

#[test]
fn a_failure_is_told_with_its_reason_and_without_secrets() {
    let (server, cml, _) = lab();
    let id = format!("{:032x}", 0xa000);
    for msg in [
        "Current configuration (clearml_agent v3.0.3, location: /tmp/x):\n----\nagent.git_pass = hunter2hunter2\n",
        "Executing task id [1]:\nrepository = https://github.com/lab/ci\n",
        "CLEARML_API_ACCESS_KEY=OTHERKEY123 https://bot:hunter3hunter3@host/r\n",
        "ModuleNotFoundError: No module named 'torch'\nProcess failed, exit code 1\n",
    ] {
        server.event(json!({ "type": "log", "task": id, "msg": msg }));
    }
    works(&server, vec![running(), json!({ "status": "failed", "status_reason": "worker execution exit code 1" })]);
    let ran = check(&cml, &server, &["--follow"]);
    ran.fails(
        12,
        "the ClearML task failed on vm:default: worker execution exit code 1; ModuleNotFoundError: No module named 'torch'",
        "the end of its log is above",
    );
    assert!(ran.stderr.contains("Process failed, exit code 1") && !ran.stderr.contains("hunter"), "{ran:#?}");
    assert!(ran.stderr.contains("CLEARML_API_ACCESS_KEY=***"), "{ran:#?}");
    nothing_is_left(&server);
    // As JSON, with the hint of an agent that cannot fetch the commit.
    let (server, cml, head) = lab();
    server.event(json!({ "type": "log", "task": id, "msg": "fatal: unable to read tree 1\nMake sure you pushed the requested commit\n" }));
    works(&server, vec![json!({ "status": "failed", "status_reason": "worker execution exit code 1" })]);
    let ran = check(&cml, &server, &["--json"]);
    assert!(ran.stderr.ends_with("hint: push the commit to a branch that the agent can fetch, and give the agent git credentials for private repositories\n"), "{ran:#?}");
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &told["kind"], &told["commit"], &told["status"]),
        (Some(12), &json!("task_failed"), &json!(head), &json!("failed"))
    );
    // Somebody else ends it.
    for (step, error) in [
        (
            json!({ "status": "stopped", "status_reason": "by hand" }),
            "the ClearML task was stopped on the agent: by hand",
        ),
        (json!({ "status": "created" }), "the ClearML task was taken out of the queue"),
    ] {
        let (server, cml, _) = lab();
        works(&server, vec![step]);
        let ran = check(&cml, &server, &[]);
        assert!(ran.code == Some(12) && ran.stderr.contains(error), "{ran:#?}");
        nothing_is_left(&server);
    }
}

#[test]
fn time_in_the_queue_does_not_count() {
    let (server, cml, _) = lab();
    works(&server, vec![json!({}), json!({}), json!({}), alive()]);
    check(&cml, &server, &["--timeout", "1", "--queue-timeout", "1m"]).ok();
    let (server, cml, _) = lab();
    check(&cml, &server, &["--queue-timeout", "1s"]).fails(
        11,
        "no worker took the task from the ClearML queue default in 1 s",
        "start another agent for the queue, or allow more time with --queue-timeout",
    );
    nothing_is_left(&server);
    let (server, cml, _) = lab();
    works(&server, vec![running()]);
    let ran = check(&cml, &server, &["--timeout", "1"]);
    ran.fails(
        12,
        "the ClearML task reported no iteration and no scalar in 1 s on vm:default",
        "allow more time with --timeout *",
    );
    nothing_is_left(&server);
    let ran = check(&cml, &server, &["--json", "--queue-timeout", "1"]);
    assert!(ran.stdout.contains("\"kind\": \"timeout\""), "{ran:#?}");
    for wrong in [["--timeout", "0"], ["--poll", "x"], ["--queue-timeout", "1d"]] {
        assert_eq!(check(&cml, &server, &wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn what_cannot_run_is_refused_before_anything_is_created() {
    let (server, cml, head) = lab();
    server.queue("gpu", false);
    let queue = |name: &str| {
        run(&cml, &server, &["clearml", "check", "--script", "train.py", "--queue", name, "--require-worker"])
    };
    queue("defualt").fails(
        5,
        "no ClearML queue is called defualt",
        "check --queue; the nearest name is 'default'; there are default, gpu",
    );
    queue("gpu").fails(11, "no worker watches the ClearML queue gpu", "start one: clearml-agent daemon --queue gpu");
    let short = &head[..7];
    run(&cml, &server, &["clearml", "check", "--queue", "default", "--script", "nowhere.py"]).fails(
        5,
        &format!("the commit {short} has no nowhere.py"),
        "--script and --cwd are paths from the top of the repository",
    );
    run(&cml, &server, &["clearml", "check", "--queue", "default", "--module", "train", "--cwd", "src"]).fails(
        5,
        &format!("the commit {short} has no src/train.py"),
        "*",
    );
    // A commit that was not pushed, and one that only a pull request has.
    cml.git(&["commit", "-qm", "more", "--allow-empty"]);
    let new = cml.git(&["rev-parse", "HEAD"]);
    check(&cml, &server, &[]).fails(
        5,
        &format!("no branch or tag of {} has the commit {}", remote(&cml), &new[..7]),
        "push the commit to a branch: agents clone branches and tags, and nothing else",
    );
    cml.git(&["push", "-q", "origin", "HEAD:refs/pull/7/merge"]);
    check(&cml, &server, &[]).fails(
        5,
        &format!("agents cannot fetch {}: of {} only refs/pull/7/merge has it", &new[..7], remote(&cml)),
        "pass --commit with the head of the pull request, not its test merge; that of a fork needs --repo",
    );
    check(&cml, &server, &["--template", &"0".repeat(32)]).fails(5, "cannot use --template *", "");
    assert_eq!(server.tasks().len(), 0);
    assert!(!server.endpoints().iter().any(|name| name.starts_with("tasks.create") || name == "projects.create"));
    // One below the tip of a branch is fetched with it; the older commit is, too.
    cml.git(&["push", "-q", "origin", "HEAD:refs/heads/feature"]);
    cml.git(&["push", "-q", "origin", "HEAD:refs/heads/main"]);
    works(&server, vec![alive()]);
    check(&cml, &server, &["--commit", &head]).ok();
    assert_eq!(server.tasks()[0]["script"]["version_num"], head);
}

#[test]
fn no_secret_reaches_the_task() {
    let (server, mut cml, _) = lab();
    cml.set("DEPLOY_PASSWORD", "correct-horse-battery");
    let ran = check(&cml, &server, &["--arg", "pw=correct-horse-battery"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("DEPLOY_PASSWORD"), "{ran:#?}");
    assert_eq!(server.tasks().len(), 0);
    works(&server, vec![alive()]);
    let ran = check(&cml, &server, &["--repo", "https://ci:hunter2hunter2@127.0.0.1:9/lab/ci.git", "--branch", "main"]);
    assert_eq!(server.tasks()[0]["script"]["repository"], "https://127.0.0.1:9/lab/ci.git");
    assert!(ran.code == Some(0) && !ran.stderr.contains("hunter2"), "{ran:#?}");
}

#[test]
fn forks_and_read_only_runs_launch_nothing() {
    let (server, cml, _) = lab();
    let mut reading = cml.clone();
    reading.set("CML_CLEARML_READ_ONLY", "1");
    check(&reading, &server, &[]).fails(
        3,
        "cannot create the task: not calling ClearML's tasks.create: CML_CLEARML_READ_ONLY is set",
        "unset it for jobs that may change something in ClearML",
    );
    let forge = Forge::start();
    let mut cml = with_keys(Cml::on(&forge, Vendor::GitHub), &server);
    let head = json!({ "sha": "1".repeat(40), "repo": { "full_name": "stranger/model" } });
    cml.file("event.json", json!({ "pull_request": { "number": 7, "head": head } }).to_string());
    check(&cml, &server, &[]).fails(
        4,
        "not running the code of a pull request from a fork on ClearML agents",
        "review the code first, then pass --allow-fork and --repo with the fork's address",
    );
    check(&cml, &server, &["--allow-fork"]).fails(
        2,
        "--allow-fork needs --repo",
        "pass the address of the fork's repository",
    );
    cml.unset("CLEARML_API_SECRET_KEY");
    check(&cml, &server, &[]).ok();
    assert_eq!(server.tasks().len(), 0);
}

#[test]
fn faults_leave_no_task_and_create_none_twice() {
    let unavailable = || Wrong::Answered(Response::bytes(503, "text/html", "busy"));
    let page = || Wrong::Answered(Response::bytes(200, "text/html", "<!doctype html>"));
    for (endpoint, times, wrong, code) in [
        ("tasks.create", 1, Wrong::Lost, 0),
        ("tasks.create", 1, Wrong::Dropped, 0),
        ("tasks.create", 1, unavailable(), 0),
        ("tasks.create", 1, Wrong::Refused(401, 30), 0),
        ("tasks.create", 1, Wrong::Refused(403, 20), 4),
        ("tasks.create", 1, page(), 3),
        ("projects.create", 1, Wrong::Lost, 0),
        ("tasks.enqueue", 1, Wrong::Lost, 0),
        ("tasks.enqueue", 1, Wrong::Dropped, 0),
        ("tasks.enqueue", 1, Wrong::Refused(400, 701), 5),
        ("tasks.get_all", 3, unavailable(), 0),
        ("tasks.get_all", 1, Wrong::Refused(403, 1), 4),
        ("tasks.stop", 1, Wrong::Refused(400, 121), 0),
        ("tasks.stop", 1, Wrong::Lost, 0),
        ("tasks.archive", 1, unavailable(), 0),
        ("tasks.archive", 1, Wrong::Lost, 0),
    ] {
        let (server, cml, _) = lab();
        server.stop_polls(2);
        server.fails(endpoint, times, wrong.clone());
        server.before_each(|tasks, endpoint| {
            if endpoint == "tasks.get_all" && tasks.last().is_some_and(|task| task["status"] == "queued") {
                advance(tasks, Some(&alive()));
            }
        });
        let ran = check(&cml, &server, &["--project", "Lab/CI", "--queue-timeout", "9"]);
        assert_eq!(ran.code, Some(code), "{endpoint} {wrong:?}: {ran:#?}");
        assert!(server.tasks().len() <= 1, "{endpoint} {wrong:?}");
        nothing_is_left(&server);
    }
    // What cannot be cleaned up is named, by the check and by the doctor.
    let (server, cml, _) = lab();
    works(&server, vec![alive()]);
    server.fails("tasks.archive", 1, Wrong::Refused(403, 20));
    let ran = check(&cml, &server, &[]);
    let id = server.tasks()[0]["id"].as_str().unwrap().to_owned();
    assert!(ran.code == Some(4) && ran.stderr.contains("error: cannot stop the ClearML task cml check"), "{ran:#?}");
    assert!(cml.run(&["doctor"]).stdout.contains(&id));
}

/// Runs a check and sends it a signal at one of its requests. Returns `None` if it had ended by then.
fn interrupted(cml: &Cml, server: &ClearMl, signal: &'static str, at: usize) -> Option<Option<i32>> {
    let (pid, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicUsize::new(0)));
    let (target, count) = (Arc::clone(&pid), Arc::clone(&seen));
    server.before_each(move |tasks, endpoint| {
        if count.fetch_add(1, Ordering::SeqCst) == at {
            while target.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let pid = target.load(Ordering::SeqCst).to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        if endpoint == "tasks.get_all" && tasks.last().is_some_and(|task| task["status"] == "queued") {
            advance(tasks, Some(&alive()));
        }
    });
    let mut child = cml.command(&CHECK).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pid.store(child.id(), Ordering::SeqCst);
    let status = child.wait().unwrap();
    server.before_each(|_, _| {});
    (seen.load(Ordering::SeqCst) > at).then_some(status.code())
}

#[test]
fn a_signal_at_any_request_leaves_no_task() {
    let (server, cml, _) = lab();
    let mut at = 0;
    while let Some(code) = interrupted(&cml, &server, "-TERM", at) {
        assert_eq!(code, Some(143), "at request {at}");
        nothing_is_left(&server);
        at += 1;
    }
    assert!(at >= 9, "{at}: {:?}", server.endpoints());
}

#[test]
fn a_kill_at_any_request_leaves_a_task_that_the_doctor_names() {
    let (server, cml, _) = lab();
    let mut at = 0;
    let mut left = 0;
    while interrupted(&cml, &server, "-KILL", at).is_some() {
        let told = cml.run(&["doctor"]).stdout;
        for task in server.tasks().iter().filter(|task| task["system_tags"] != json!(["archived"])) {
            let (id, name) = (task["id"].as_str().unwrap(), task["name"].as_str().unwrap());
            assert!(told.contains(id) && told.contains(name) && told.contains("left by a check"), "{told}");
            assert!(
                task["tags"] == json!(["cml-check"])
                    && task["comment"].as_str().unwrap().contains("stop and archive it")
            );
            left += 1;
        }
        at += 1;
    }
    assert!(at >= 9 && left > 0, "{at} {left}");
}

#[test]
fn a_template_is_cloned_with_its_parameters() {
    let (server, cml, head) = lab();
    let args = json!({ "Args": { "lr": { "value": "1" }, "seed": { "value": "7" } } });
    let template = server.task(json!({ "hyperparams": args, "script": { "entry_point": "old.py", "diff": "+x", "requirements": { "pip": "torch" } } }));
    works(&server, vec![alive()]);
    let ran = run(&cml, &server, &["clearml", "check", "--queue", "default", "--template", &template, "--arg", "lr=2"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let task = server.tasks().pop().unwrap();
    assert_eq!(
        task["script"],
        json!({ "entry_point": "old.py", "diff": "", "requirements": { "pip": "torch" }, "branch": "main",
        "repository": remote(&cml), "version_num": head })
    );
    assert_eq!(
        (&task["hyperparams"]["Args"]["lr"]["value"], &task["hyperparams"]["Args"]["seed"]["value"]),
        (&json!("2"), &json!("7"))
    );
    assert_eq!(server.read(&template)["hyperparams"], args);
    nothing_is_left_but(&server, &template);
}

#[track_caller]
fn nothing_is_left_but(server: &ClearMl, id: &str) {
    let others = server.tasks().into_iter().filter(|task| task["id"] != id);
    assert!(others.into_iter().all(|task| task["system_tags"] == json!(["archived"])));
}

/// The same clone in the pipeline of a pull request.
fn in_pipeline(cml: &Cml, forge: &Forge, vendor: Vendor) -> Cml {
    let (mut inside, head) = (cml.clone(), cml.git(&["rev-parse", "HEAD"]));
    let env = Cml::on(forge, vendor).env;
    inside.env.extend(env.into_iter().filter(|(name, _)| !["HOME", "PATH"].contains(&name.as_str())));
    match vendor {
        Vendor::GitHub => {
            let event = json!({ "pull_request": { "number": 7, "head": { "sha": head, "ref": "main",
                "repo": { "full_name": "octo/model" } }, "base": { "ref": "main" } } });
            let path = inside.file("event.json", event.to_string()).display().to_string();
            inside.set("GITHUB_EVENT_PATH", &path).set("GITHUB_WORKSPACE", &cml.path().display().to_string());
        }
        Vendor::GitLab => {
            inside.set("CI_COMMIT_SHA", &head).set("CI_PROJECT_DIR", &cml.path().display().to_string());
        }
        Vendor::Bitbucket => {
            inside.set("BITBUCKET_COMMIT", &head).set("BITBUCKET_CLONE_DIR", &cml.path().display().to_string());
        }
    }
    inside
}

#[test]
fn a_check_comments_on_the_pull_request_of_every_forge() {
    for vendor in VENDORS {
        let (server, cml, head) = lab();
        let forge = Forge::start();
        let cml = in_pipeline(&cml, &forge, vendor);
        works(&server, vec![running(), alive()]);
        check(&cml, &server, &["--publish"]).ok();
        let comments = bodies(&forge, vendor);
        assert_eq!(comments.len(), 1, "{comments:?}");
        let start = "### ClearML check train.py ✔\n\n[task](https://app.example.org/projects/";
        assert!(comments[0].starts_with(start), "{comments:?}");
        let facts =
            format!(" · commit {} · queue default\n\nthe task reported iteration 3 on vm:default\n", &head[..7]);
        assert!(comments[0].contains(&facts), "{comments:?}");
        // The next run updates it.
        works(&server, vec![running(), json!({ "status": "failed", "status_reason": "exit code 3" })]);
        let ran = check(&cml, &server, &["--publish"]);
        assert_eq!(ran.code, Some(12), "{ran:#?}");
        let comments = bodies(&forge, vendor);
        assert_eq!(comments.len(), 1, "{comments:?}");
        let failure = "\n\nthe ClearML task failed on vm:default: exit code 3\n";
        assert!(comments[0].contains("train.py ✘") && comments[0].contains(failure), "{comments:?}");
    }
}

#[test]
fn a_run_goes_on_or_is_waited_for_and_reported() {
    let (server, cml, _) = lab();
    let launch = ["clearml", "run", "--queue", "default", "--script", "train.py", "--poll", "1", "--project", "Lab/CI"];
    let id = run(&cml, &server, &launch).ok().split(' ').next().unwrap().to_owned();
    let task = server.read(&id);
    assert_eq!((&task["status"], &task["tags"]), (&json!("queued"), &json!([])));
    assert!(!cml.run(&["doctor"]).stdout.contains("left by a check"));
    // Waited for.
    works(&server, vec![running(), json!({ "status": "completed" })]);
    let id = format!("{:032x}", 0xa001);
    let forge = Forge::start();
    let waiting = in_pipeline(&cml, &forge, Vendor::GitLab);
    let ran = run(&waiting, &server, &[&launch[..], &["--wait", "--publish"]].concat());
    assert!(ran.code == Some(0), "{ran:#?}");
    server.event(scalar(&id, ("acc", "val"), 1, 0.5));
    assert!(bodies(&forge, Vendor::GitLab)[0].contains("### ClearML: cml run"), "{ran:#?}");
    // Time is over, and the task does not stay on the worker.
    works(&server, vec![running()]);
    let ran = run(&cml, &server, &[&launch[..], &["--wait", "--timeout", "1"]].concat());
    ran.fails(12, "the ClearML task did not complete in 1 s on vm:default", "*");
    assert_eq!(server.tasks().pop().unwrap()["status"], "stopped");
}

/// As docs/clearml.md has it: somebody writes a comment, whose event is about the default branch, and the pull request is checked out.
#[test]
fn a_comment_on_a_pull_request_trains_its_head() {
    let (server, cml, head) = lab();
    server.queue("gpu", true);
    let forge = Forge::start();
    let mut cml = in_pipeline(&cml, &forge, Vendor::GitHub);
    let event = json!({ "issue": { "number": 7, "pull_request": { "url": "" } }, "comment": { "body": "/train" } });
    cml.file("event.json", event.to_string());
    cml.set("GITHUB_EVENT_NAME", "issue_comment").set("GITHUB_REF", "refs/heads/main");
    works(&server, vec![running(), json!({ "status": "completed" })]);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clearml.md")).unwrap();
    let line = page.lines().find_map(|line| line.trim().strip_prefix("- run: cml clearml run ")).unwrap();
    let line = format!("clearml run {line} --poll 1");
    run(&cml, &server, &line.split(' ').collect::<Vec<_>>()).ok();
    assert_eq!(server.tasks()[0]["script"]["version_num"], head);
    let comments = bodies(&forge, Vendor::GitHub);
    assert!(comments.len() == 1 && comments[0].contains("### ClearML: cml run"), "{comments:?}");
    // What a stranger has pushed to a fork is in no branch of the repository: agents do not get it.
    cml.git(&["commit", "-qm", "strange", "--allow-empty"]);
    cml.git(&["push", "-q", "origin", "HEAD:refs/pull/7/head"]);
    let ran = run(&cml, &server, &line.split(' ').collect::<Vec<_>>());
    assert!(ran.code == Some(5) && ran.stderr.contains("only refs/pull/7/head has it"), "{ran:#?}");
}

/// A worker completes every task that waits, with an accuracy.
fn trains(server: &ClearMl) {
    server.before_each(|tasks, endpoint| {
        let waiting = tasks.iter_mut().filter(|task| task["status"] == "queued" && endpoint == "tasks.get_all");
        for task in waiting {
            let acc = json!({ "metric": "acc", "variant": "val", "value": 0.9, "min_value": 0.9, "max_value": 0.9 });
            task["last_metrics"] = json!({ "m": { "v": acc } });
            task["status"] = json!("completed");
        }
    });
}

#[test]
fn a_commit_that_no_task_has_run_is_launched_where_that_is_asked_for() {
    let launch = ["--project", "Lab/CI", "--missing", "launch", "--queue", "default", "--script", "train.py"];
    let (server, cml, head) = lab();
    server.project("Lab/CI");
    trains(&server);
    let gate = ["clearml", "compare", "--rule", "acc/val >= 0.8", "--tag", "ci", "--name", "nightly"];
    for _ in 0..2 {
        // Once it is there, it is not launched again.
        let ran = run(&cml, &server, &[&gate[..], &launch].concat());
        assert!(ran.ok().contains("### ClearML: nightly ✔"));
        assert_eq!(server.tasks().len(), 1);
    }
    let task = server.tasks().pop().unwrap();
    assert_eq!((&task["script"]["version_num"], &task["tags"]), (&json!(head), &json!(["ci"])));
    assert_eq!(task["system_tags"].as_array().map_or(0, Vec::len), 0, "{task}");
    for verb in ["find", "report"] {
        let (server, cml, _) = lab();
        server.project("Lab/CI");
        trains(&server);
        let ran = run(&cml, &server, &[&["clearml", verb], &launch[..]].concat());
        let id = server.tasks()[0]["id"].as_str().unwrap().to_owned();
        assert!(ran.stderr.contains("the task completed on"), "{ran:#?}");
        assert!(ran.ok().contains(&id));
    }
    // One that fails, and one that takes too long, which is stopped.
    let (server, cml, _) = lab();
    server.project("Lab/CI");
    server.before_each(|tasks, _| {
        tasks.iter_mut().filter(|task| task["status"] == "queued").for_each(|task| task["status"] = json!("failed"));
    });
    let ran = run(&cml, &server, &[&gate[..], &launch].concat());
    ran.fails(12, "the ClearML task failed on the agent", "*");
    let (server, cml, _) = lab();
    server.project("Lab/CI");
    server.before_each(|tasks, _| {
        tasks
            .iter_mut()
            .filter(|task| task["status"] == "queued")
            .for_each(|task| task["status"] = json!("in_progress"));
    });
    let ran = run(&cml, &server, &[&gate[..], &launch, &["--wait", "1"]].concat());
    ran.fails(12, "the ClearML task did not complete in 1 s on the agent", "*");
    assert_eq!(server.tasks()[0]["status"], "stopped");
    // Mistakes.
    let find = |more: &[&str]| run(&cml, &server, &[&["clearml", "find"], more].concat());
    let hint = "--missing launch needs --queue, and --script or --template";
    find(&["--missing", "launch", "--queue", "default"]).fails(2, "nothing to launch", hint);
    let error = "--queue, --script and --template are for a commit that no task has run";
    find(&["--queue", "default"]).fails(2, error, "add --missing launch; *");
    find(&["--missing", "launch", "--queue", "defalt", "--script", "train.py"]).fails(
        5,
        "no ClearML queue is called defalt",
        "*",
    );
}

#[test]
fn the_doctor_shows_the_server_and_its_queues() {
    let (server, mut cml, _) = lab();
    server.queue("gpu", false);
    let shown = cml.run(&["doctor"]).stdout;
    for line in [
        "\nClearML\n",
        "(from CLEARML_API_HOST)\n",
        "given  (from CLEARML_API_ACCESS_KEY)\n",
        "2.3.0, API 2.34\n",
        "ci (user)\n",
        "default: 1 worker, 0 tasks waiting\n",
        "gpu: no worker, 0 tasks waiting\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(server.calls().iter().all(|call| call.method == "POST"));
    cml.set("CLEARML_API_SECRET_KEY", "wrong-secret-1234567");
    let ran = cml.run(&["doctor"]);
    assert!(ran.code != Some(0) && ran.stdout.contains("ClearML does not accept the credentials"), "{ran:#?}");
    assert!(!ran.stdout.contains("wrong-secret"));
}

#[test]
fn the_commands_of_the_documentation_pass() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clearml.md")).unwrap();
    let code = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    let lines: Vec<&str> = code.filter_map(|line| Some(&line[line.find("cml clearml check ")?..])).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        let (server, cml, _) = lab();
        works(&server, vec![alive()]);
        run(&cml, &server, &line.split(' ').skip(1).collect::<Vec<_>>()).ok();
    }
}

#[test]
fn variables_are_options() {
    let (server, mut cml, _) = lab();
    let given = [("CML_CLEARML_QUEUE", "default"), ("CML_CLEARML_SCRIPT", "train.py"), ("CML_CLEARML_TIMEOUT", "2m")];
    for (name, value) in given {
        cml.set(name, value);
    }
    works(&server, vec![alive()]);
    let ran = run(&cml, &server, &["clearml", "check"]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{ran:#?}");
}

#[test]
fn the_pipe_checks() {
    if is_native_only() {
        return;
    }
    let (server, mut cml, head) = lab();
    let here = cml.path().display().to_string();
    let shared = cml.path().join(".shared").display().to_string();
    std::fs::create_dir(&shared).unwrap();
    for (name, value) in [
        ("BITBUCKET_REPO_UUID", "{1}"),
        ("BITBUCKET_REPO_FULL_NAME", "team/model"),
        ("BITBUCKET_COMMIT", &head),
        ("BITBUCKET_BRANCH", "main"),
        ("BITBUCKET_CLONE_DIR", &here),
        ("BITBUCKET_PIPE_SHARED_STORAGE_DIR", &shared),
        ("COMMAND", "clearml check"),
        ("QUEUE", "default"),
        ("SCRIPT", "train.py"),
        ("ARG_COUNT", "1"),
        ("ARG_0", "lr=0.1"),
    ] {
        cml.set(name, value);
    }
    works(&server, vec![alive()]);
    let ran = cml.run(&["pipe"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let task = server.tasks().pop().unwrap();
    assert_eq!(task["hyperparams"]["Args"]["lr"]["value"], "0.1");
    assert!(cml.read(".shared/cml.env").contains("TASK_STATUS=in_progress"), "{ran:#?}");
    nothing_is_left(&server);
}

/// The WebAssembly of `dist/` in Node, as GitHub's runner starts it.
#[test]
fn the_action_checks_and_cleans_up_when_it_is_cancelled() {
    let Some(mut runner) = Runner::new() else { return };
    let (server, cml, head) = lab();
    for name in ["CLEARML_API_HOST", "CLEARML_WEB_HOST", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY"] {
        runner.set(name, &cml.env[name]);
    }
    let here = cml.path().display().to_string();
    runner.set("GITHUB_WORKSPACE", &here).set("GITHUB_SHA", &head).set("HOME", &here);
    let inputs = [("command", "clearml check"), ("queue", "default"), ("script", "train.py"), ("poll", "1")];
    works(&server, vec![alive()]);
    let ran = Ran::of(runner.step(&inputs).current_dir(cml.path()));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(runner.read("GITHUB_OUTPUT").contains("task-id<<"), "{ran:#?}");
    nothing_is_left(&server);
    // Nobody takes the next one, and the job is cancelled.
    let mut child = runner.step(&inputs).current_dir(cml.path()).stdout(Stdio::null()).spawn().unwrap();
    let is_queued = || server.tasks().last().is_some_and(|task| task["status"] == "queued");
    eventually("it is queued", is_queued, || format!("{:?}", server.endpoints()));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    nothing_is_left(&server);
}
