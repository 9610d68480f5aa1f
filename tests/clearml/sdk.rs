//! The real SDK writes into the fake server, and the program reads it.

use super::{run, with_keys};
use crate::support::Cml;
use crate::support::clearml::{ClearMl, KEY, SECRET};
use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::skipped;
use crate::support::net::get;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the script with the SDK in a folder, where there is one.
fn sdk(server: &ClearMl, folder: &Path) -> bool {
    let Some(python) = std::env::var_os("CML_TEST_CLEARML") else {
        skipped("Python with ClearML's SDK", "set CML_TEST_CLEARML");
        return false;
    };
    let url = server.url();
    let mut command = Command::new("timeout");
    command.arg("60").arg(python).arg("train.py").current_dir(folder).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder).env("NO_PROXY", "*");
    command
        .env("CLEARML_API_HOST", &url)
        .env("CLEARML_FILES_HOST", &url)
        .env("CLEARML_WEB_HOST", "http://127.0.0.1:8080");
    command.env("CLEARML_API_ACCESS_KEY", KEY).env("CLEARML_API_SECRET_KEY", SECRET);
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let asked: Vec<String> = server.calls().iter().map(|call| format!("{} {}\n", call.endpoint, call.body)).collect();
    assert!(output.status.success() && said.contains("all is written"), "{said}\n{}", asked.concat());
    true
}

/// Judges the program's requests and the fake's answers by the descriptions of ClearML's API that the SDK has. The SDK knows the API up to
/// version 2.23; the endpoints of newer ones are named.
#[test]
fn requests_and_answers_are_those_that_the_sdk_describes() {
    let Some(python) = std::env::var_os("CML_TEST_CLEARML") else {
        return skipped("Python with ClearML's SDK", "set CML_TEST_CLEARML");
    };
    let mut calls = Vec::new();
    // A report, a gate and a promotion.
    let (server, id) = super::with_task(json!({}));
    let other = server.task(json!({ "project": server.project("Lab/CI"), "name": "other", "tags": ["best"] }));
    server.model("new", &id, &[]);
    server.model("old", &other, &["live"]);
    for (task, value) in [(&id, 0.95), (&other, 0.9)] {
        server.event(super::scalar(task, ("acc", "val"), 0, value / 2.0));
        server.event(super::scalar(task, ("acc", "val"), 1, value));
    }
    server.event(json!({ "type": "log", "task": id, "level": "info", "worker": "vm", "timestamp": 1, "msg": "hello" }));
    let plot = json!({ "data": [{ "type": "heatmap", "z": [[1, 2], [3, 4]] }], "layout": {} });
    server.event(
        json!({ "type": "plot", "task": id, "metric": "m", "variant": "v", "iter": 1, "plot_str": plot.to_string() }),
    );
    let forge = Forge::start();
    let mut cml = with_keys(Cml::on(&forge, Vendor::GitLab), &server);
    cml.set("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
    run(&cml, &server, &["clearml", "find"]).ok();
    let report = ["clearml", "report", "--project", "Lab/**", "--baseline", "tag:best", "--plots", "--log-lines", "9"];
    run(&cml, &server, &report).ok();
    run(&cml, &server, &["clearml", "compare", "--metric", "acc/val"]).ok();
    run(&cml, &server, &["clearml", "compare", "--metric", "acc/val", "--baseline", "base-branch"]).ok();
    cml.unset("CI_MERGE_REQUEST_IID").set("CI_COMMIT_REF_NAME", "main").set("CI_DEFAULT_BRANCH", "main");
    let promote = ["clearml", "promote", "--metric", "acc/val", "--baseline", "tag:best"];
    run(&cml, &server, &[&promote[..], &["--publish-task", "--model-tag", "live"]].concat()).ok();
    calls.extend(server.calls());
    // Tasks on agents: a check, which stops its task, and a clone of a template.
    let (server, cml, _) = super::check::lab();
    let launch = ["--queue", "default", "--project", "New", "--arg", "lr=1"];
    let check = [&["clearml", "check", "--script", "train.py", "--queue-timeout", "1"], &launch[..]].concat();
    assert_eq!(run(&cml, &server, &check).code, Some(11));
    let template = server.task(json!({ "hyperparams": { "Args": {} } }));
    run(&cml, &server, &[&["clearml", "run", "--template", &template], &launch[..]].concat()).ok();
    calls.extend(server.calls());
    let mut child = Command::new(python);
    child.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clearml_schemas.py"));
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for call in calls.iter().filter(|call| call.answer.is_some()) {
        let line = json!({ "endpoint": call.endpoint, "body": call.body, "envelope": call.answer });
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    let [newer, held] = lines[..] else { panic!("{said}") };
    assert_eq!(newer, "not described: models.update_tags, tasks.update_tags");
    assert!(held.trim_start_matches("held: ").parse::<usize>().unwrap() > 50, "{held}");
}

#[test]
fn what_the_sdk_has_written_is_reported() {
    let server = ClearMl::start();
    let forge = Forge::start();
    let cml = with_keys(Cml::on(&forge, Vendor::GitHub), &server);
    cml.git(&["init", "-q"]);
    cml.git(&["remote", "add", "origin", "https://github.com/lab/ci.git"]);
    let script = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clearml_task.py")).unwrap();
    cml.file("train.py", script);
    cml.git(&["add", "train.py"]);
    cml.git(&["commit", "-qm", "train"]);
    if !sdk(&server, cml.path()) {
        return;
    }
    let tasks = server.tasks();
    let id = tasks[0]["id"].as_str().unwrap();
    assert_eq!((tasks.len(), &tasks[0]["status"]), (1, &json!("completed")), "{tasks:?}");
    let ran = run(
        &cml,
        &server,
        &["clearml", "report", "--task", id, "--plots", "--params", "all", "--artifacts", "--log-lines", "20"],
    );
    let text = ran.ok();
    for row in [
        "| Performance Metric | Series 1 | 0.95 | 0.5 (0) | 0.95 (2) |",
        // NaN was reported: the SDK sends 0.
        "| loss | train | 0 | 0 (3) | 2 (0) |",
        "\n> loss/train is exactly 0, which ClearML also records for NaN and infinite values.\n",
        "| Summary | final\\_acc | 0.7 | 0.7 | 0.7 |",
        "| Args/lr | 0.1 |",
        "- data: ",
        "hello from the task",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    // What the SDK recorded for NaN is no best value of the next task.
    let next = server.task(json!({ "project": tasks[0]["project"] }));
    server.event(super::scalar(&next, ("loss", "train"), 0, 0.5));
    server.event(super::scalar(&next, ("Performance Metric", "Series 1"), 0, 0.9));
    let compare = |rule: &str| run(&cml, &server, &["clearml", "compare", "--task", &next, "--rule", rule]);
    let told = compare("Performance Metric/Series 1: higher, drop 5%");
    assert!(
        told.stderr.contains("fell from 0.95 to 0.9 (a drop of 5% is allowed)") && told.code == Some(1),
        "{told:#?}"
    );
    assert!(compare("loss/train: lower").ok().contains("no other task has a value of loss/train"));
    let urls: Vec<_> = text.split("](http://127").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let found: Vec<_> = urls.iter().map(|rest| get(&format!("http://127{rest}"))).collect();
    assert!(found.iter().all(|answer| answer.status == 200), "{text}");
    let is_drawn = |what: &str| found.iter().any(|answer| answer.text().contains(what));
    assert!(is_drawn("<title>loss</title>") && is_drawn("<title>confusion/val</title>"), "{text}");
    assert!(found.iter().any(|answer| !answer.body.starts_with(b"<svg")), "the debug image: {text}");
}
