//! ClearML's own programs against the same fake: what `clearml-task` creates, and an agent that runs what `check` has created.

use super::check::lab;
use super::{run, with_keys};
use crate::support::clearml::{ClearMl, KEY, SECRET};
use crate::support::ignored::skipped;
use crate::support::{Cml, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Returns a program of ClearML's that is installed beside Python.
fn program(name: &str) -> Option<PathBuf> {
    let variable = "CML_TEST_CLEARML";
    let found =
        std::env::var_os(variable).map(|python| Path::new(&python).with_file_name(name)).filter(|path| path.exists());
    if found.is_none() {
        skipped(name, &format!("set {variable}"));
    }
    found
}

/// Returns a command in an environment of its own.
fn command(program: &Path, server: &ClearMl, folder: &Path) -> Command {
    let url = server.url();
    let mut command = Command::new("timeout");
    command.arg("120").arg(program).current_dir(folder).env_clear().env("HOME", folder).env("NO_PROXY", "*");
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("CLEARML_API_HOST", &url)
        .env("CLEARML_FILES_HOST", &url)
        .env("CLEARML_WEB_HOST", "http://127.0.0.1:8080");
    command.env("CLEARML_API_ACCESS_KEY", KEY).env("CLEARML_API_SECRET_KEY", SECRET);
    command
}

/// What a server keeps of a task for the agent.
fn parts(task: &Value) -> Value {
    let mut script = task["script"].clone();
    let fields = script.as_object_mut().unwrap();
    fields.retain(|_, value| !matches!(value, Value::Null) && value != "");
    json!({ "type": task["type"], "project": task["project"], "script": script, "container": task["container"], "hyperparams": task["hyperparams"] })
}

#[test]
fn a_check_creates_what_clearml_task_creates() {
    let Some(clearml_task) = program("clearml-task") else { return };
    let (server, cml, head) = lab();
    cml.file("packages.txt", "numpy==1.26.4\n");
    let repository = format!("file://{}/remote.git", cml.path().display());
    let folder = tempfile::tempdir().unwrap();
    cml.file("setup.sh", "#!/bin/sh\nuptime");
    for (theirs, ours) in [
        ("--script train.py", "--script train.py"),
        (
            "--script ./train.py --cwd . --binary python3.11 --packages tqdm>=4 --docker python:3.11 --docker_args=--ipc=host \
             --docker_bash_setup_script uptime",
            "--script ./train.py --cwd . --binary python3.11 --package tqdm>=4 --docker python:3.11 --docker-args=--ipc=host \
             --setup-script setup.sh",
        ),
        (
            "--script train.py --args lr=0.1 seed=7 --requirements packages.txt --task-type testing",
            "--script train.py --arg lr=0.1 --arg seed=7 --requirements packages.txt --type testing",
        ),
        ("--module train", "--module train"),
    ] {
        let before = server.tasks().len();
        let mut command = command(&clearml_task, &server, folder.path());
        std::fs::copy(cml.path().join("packages.txt"), folder.path().join("packages.txt")).unwrap();
        command.args("--project Lab/CI --name theirs --skip-task-init --queue default".split(' '));
        command.args(["--repo", &repository, "--commit", &head]);
        let output = command.args(theirs.split_whitespace()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let asked: Vec<String> =
            server.calls().iter().map(|call| format!("{} {}\n", call.endpoint, call.body)).collect();
        assert!(output.status.success(), "{said}\n{}", asked.concat());
        let fixed =
            "clearml check --queue default --project Lab/CI --queue-timeout 1 --commit".split(' ').chain([&head[..]]);
        let args: Vec<&str> = fixed.chain(ours.split_whitespace()).collect();
        assert_eq!(run(&cml, &server, &args).code, Some(11));
        let tasks = server.tasks();
        let (theirs, mine) = (parts(&tasks[before]), parts(&tasks[before + 1]));
        let mut mine_without_branch = mine.clone();
        // Their program refuses `--branch` with `--commit`; an agent takes both.
        mine_without_branch["script"].as_object_mut().unwrap().remove("branch");
        assert_eq!(mine_without_branch, theirs, "{said}");
    }
}

/// A running agent, below a `timeout` that leads a process group.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // SIGINT does not end the agent before the `timeout` does.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_agent_runs_what_a_check_creates() {
    let Some(agent) = program("clearml-agent") else { return };
    let python = agent.with_file_name("python");
    let server = ClearMl::start();
    server.queue("default", false);
    let cml = with_keys(Cml::alone(), &server);
    cml.git(&["init", "-q"]);
    let script = "from clearml import Task\ntask = Task.init(auto_connect_frameworks=False, auto_resource_monitoring=False)\n\
        for step in range(600):\n    task.get_logger().report_scalar('acc', 'val', step / 600, step)\n    task.get_logger().flush()\n\
        \x20   import time; time.sleep(0.5)\n";
    cml.file("train.py", script);
    cml.git(&["add", "train.py"]);
    cml.git(&["commit", "-qm", "train"]);
    cml.git(&["clone", "-q", "--bare", ".", "remote.git"]);
    cml.git(&["remote", "add", "origin", &format!("file://{}/remote.git", cml.path().display())]);
    let home = tempfile::tempdir().unwrap();
    let log = std::fs::File::create(home.path().join("agent.log")).unwrap();
    let mut command = command(&agent, &server, home.path());
    command.env("CLEARML_AGENT_SKIP_PIP_VENV_INSTALL", python).env("CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL", "1");
    command.env("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC", "1");
    command
        .args(["daemon", "--queue", "default", "--foreground", "--cpu-only"])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null());
    let mut running = Agent(command.spawn().unwrap());
    let told = || std::fs::read_to_string(home.path().join("agent.log")).unwrap_or_default();
    eventually("the agent registers", || server.endpoints().iter().any(|name| name == "workers.register"), told);
    let check = [
        "clearml",
        "check",
        "--queue",
        "default",
        "--script",
        "train.py",
        "--require-worker",
        "--poll",
        "1",
        "--timeout",
        "100",
    ];
    let ran = run(&cml, &server, &check);
    let task = server.tasks().pop().unwrap();
    assert!(ran.code == Some(0) && ran.stderr.contains("the task reported iteration "), "{ran:#?}\n{}", told());
    let end = (&task["status"], &task["system_tags"]);
    assert_eq!(end, (&json!("stopped"), &json!(["archived"])), "{task:#}");
    let _ = running.0.try_wait();
}
