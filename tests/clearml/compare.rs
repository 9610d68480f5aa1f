//! `cml clearml compare` and `promote`: the program against the fake server, which checks the keys of each request.

use super::{bodies, run, scalar, with_keys, with_task};
use crate::support::clearml::{ClearMl, Wrong};
use crate::support::fake::{Forge, HEAD, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::{Cml, VENDORS};
use serde_json::{Value, json};

const COMPARE: [&str; 6] = ["clearml", "compare", "--commit", HEAD, "--project", "Lab/CI"];
const ACC: (&str, &str) = ("acc", "val");
const LOSS: (&str, &str) = ("loss", "val");

/// A server with the task of the commit, and another one of the same project; the accuracies and losses of both.
fn with_two(new: (f64, f64), old: (f64, f64)) -> (ClearMl, String, String) {
    let (server, id) = with_task(json!({}));
    let other = server.task(json!({ "project": server.project("Lab/CI"), "name": "other", "tags": ["best"] }));
    for (task, (acc, loss)) in [(&id, new), (&other, old)] {
        server.event(scalar(task, ACC, 3, acc));
        server.event(scalar(task, LOSS, 3, loss));
    }
    (server, id, other)
}

/// The program in the pipeline of a push to a branch of a repository whose default branch is `main`.
fn on_push(forge: &Forge, vendor: Vendor, server: &ClearMl, branch: &str) -> Cml {
    let mut cml = with_keys(Cml::on(forge, vendor), server);
    match vendor {
        Vendor::GitHub => {
            let event = json!({ "ref": format!("refs/heads/{branch}"), "repository": { "default_branch": "main" } });
            cml.file("event.json", event.to_string());
            cml.set("GITHUB_REF", &format!("refs/heads/{branch}")).set("GITHUB_EVENT_NAME", "push");
            cml.set("GITHUB_SHA", HEAD);
        }
        Vendor::GitLab => {
            cml.unset("CI_MERGE_REQUEST_IID").set("CI_COMMIT_REF_NAME", branch).set("CI_DEFAULT_BRANCH", "main");
        }
        Vendor::Bitbucket => {
            cml.unset("BITBUCKET_PR_ID").set("BITBUCKET_BRANCH", branch);
        }
    }
    cml
}

fn tags(server: &ClearMl, id: &str) -> Value {
    server.read(id)["tags"].clone()
}

/// The calls that change something.
fn writes(server: &ClearMl) -> Vec<(String, Value)> {
    let calls = server.calls().into_iter().filter(|call| call.endpoint.contains("update"));
    calls.map(|call| (call.endpoint, call.body)).collect()
}

#[test]
fn a_regression_is_exit_code_1_and_says_what_is_worse() {
    let (server, id, other) = with_two((0.95, 2.0), (0.9, 1.0));
    let cml = with_keys(Cml::alone(), &server);
    let gate = |more: &[&str]| run(&cml, &server, &[&COMPARE[..], more].concat());
    let text = gate(&["--metric", "acc/val", "--baseline", "tag:best"]).ok();
    let project = server.project("Lab/CI");
    let page = |id: &str| format!("https://app.example.org/projects/{project}/tasks/{id}/output/log");
    let pages = format!("https://app.example.org/projects/*/compare-tasks;ids={other},{id}/scalars/max-values");
    let expected = format!(
        "### ClearML: dummy\\|task ✔\n\n\
         [task]({}) · [compare]({pages}) · commit {} · completed · 4 min 12 s on gpu-3 · no uncommitted changes\n\n\
         | Metric | Value | Baseline | Δ | Δ % | Rule | Verdict |\n| --- | --: | --: | --: | --: | --- | --- |\n\
         | acc/val | 0.95 | 0.9 | ▲ +0.05 | +5.56 % | higher | ✔ better |\n\n\
         Baseline: [other]({}), tagged best\n",
        page(&id),
        &HEAD[..7],
        page(&other)
    );
    assert_eq!(text, expected);
    let ran = gate(&["--metric", "acc/val", "--rule", "loss/val: lower, rise 2%", "--baseline", "tag:best"]);
    let reason = "loss/val rose from 1 to 2 (a rise of 2% is allowed)";
    assert_eq!(ran.stderr, format!("error: {reason}\nhint: compare the tasks in ClearML: {pages}\n"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.starts_with("### ClearML: dummy\\|task ✘\n"), "{ran:#?}");
    assert!(ran.stdout.contains(&format!("\n> [!CAUTION]\n> {reason}\n\n| Metric")), "{ran:#?}");
    assert!(ran.stdout.contains("| loss/val | 2 | 1 | ▼ +1 | +100 % | lower, rise 2% | ✘ worse |"), "{ran:#?}");
    // Both are told, and all of them have to be worse where that is asked for.
    let two = ["--rule", "acc/val >= 0.99", "--rule", "loss/val: lower"];
    let ran = gate(&two);
    let both = "2 metrics are worse: acc/val is 0.95, less than 0.99; loss/val rose from 1 to 2 (no rise is allowed)";
    assert!(ran.code == Some(1) && ran.stderr.contains(both), "{ran:#?}");
    assert_eq!(gate(&[&two[..], &["--fail-on", "all"]].concat()).code, Some(1));
    assert_eq!(gate(&["--metric", "acc/val", "--rule", "loss/val: lower", "--fail-on", "all"]).code, Some(0));
    // A warning does not fail.
    let ran = gate(&["--rule", "loss/val: lower, warn"]);
    assert!(ran.stdout.contains("\n> [!WARNING]\n> loss/val rose from 1 to 2") && ran.code == Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("| lower, warn | ⚠ worse |"), "{ran:#?}");
    assert_eq!(
        gate(&["--rule", "loss/val: lower", "--log", "json"]).stderr.lines().next().map(kind),
        Some(json!("regression"))
    );
    assert_eq!(writes(&server), []);
}

fn kind(line: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()["kind"].clone()
}

#[test]
fn outputs_and_json_have_the_verdict() {
    let (server, id, other) = with_two((0.95, 2.0), (0.9, 1.0));
    let mut cml = with_keys(Cml::alone(), &server);
    let outputs = cml.file("outputs", "");
    cml.set("CML_DOTENV", &outputs.display().to_string());
    let gate = |more: &[&str]| run(&cml, &server, &[&COMPARE[..], &["--json"], more].concat());
    let told: Value = serde_json::from_str(&gate(&["--metric", "acc/val"]).ok()).unwrap();
    let comparison = &told["comparisons"][0];
    assert_eq!((&told["kind"], &told["verdict"]), (&json!("pass"), &json!("better")));
    assert_eq!((&comparison["task"]["id"], &comparison["baseline"]["id"]), (&json!(id), &json!(other)));
    let metric = json!({ "name": "acc/val", "value": 0.95, "baseline": 0.9, "rule": "higher", "verdict": "better", "fails": false });
    assert_eq!(comparison["metrics"], json!([metric]));
    let lines = cml.read("outputs");
    for line in [format!("TASK_ID={id}"), "VERDICT=better".into(), "METRIC=0.95".into(), "BASELINE=0.9".into()] {
        assert!(lines.contains(&format!("{line}\n")), "{lines}");
    }
    let ran = gate(&["--metric", "loss/val", "--goal", "min", "--tolerance", "3%"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &told["kind"], &told["verdict"]), (Some(1), &json!("regression"), &json!("worse")));
    assert!(cml.read("outputs").contains("VERDICT=worse\n"));
}

#[test]
fn tolerances_are_right_for_negative_values() {
    let (server, ..) = with_two((-1.1, 1.0), (-1.0, 1.0));
    let cml = with_keys(Cml::alone(), &server);
    for (tolerance, code) in [("9%", 1), ("10%", 0), ("0.05", 1), ("0.1", 0)] {
        let ran = run(&cml, &server, &[&COMPARE[..], &["--metric", "acc/val", "--tolerance", tolerance]].concat());
        assert_eq!(ran.code, Some(code), "{tolerance} {ran:#?}");
        let shown = if code == 0 { "≈ not told apart" } else { "✘ worse" };
        assert!(ran.stdout.contains(shown) && ran.stdout.contains("| ▼ -0.1 | -10 % |"), "{ran:#?}");
    }
}

#[test]
fn the_best_task_is_found_by_the_server() {
    let (server, id, _) = with_two((0.95, 0.5), (0.9, 1.0));
    let project = server.project("Lab/CI");
    let add = |name: &str, fields: Value, acc: f64, loss: f64| {
        let id = server.task(json!({ "project": project, "name": name }));
        server.change(&id, fields);
        server.event(scalar(&id, ACC, 3, acc));
        server.event(scalar(&id, LOSS, 2, loss + 1.0));
        server.event(scalar(&id, LOSS, 3, loss));
        id
    };
    add("best", json!({ "status": "published" }), 0.97, 0.4);
    add("archived", json!({ "system_tags": ["archived"] }), 0.99, 0.1);
    add("failed", json!({ "status": "failed" }), 0.99, 0.1);
    add("elsewhere", json!({ "project": server.project("Other") }), 0.99, 0.1);
    // The SDK sends 0 for NaN: the least loss of all would be that of a training that diverged.
    add("diverged", json!({}), 0.1, 0.0);
    let cml = with_keys(Cml::alone(), &server);
    let best = |verb: &str, more: &[&str]| {
        run(&cml, &server, &[&["clearml", verb, "--task", &id, "--baseline", "best"][..], more].concat()).stdout
    };
    let text = best("compare", &["--metric", "acc/val"]);
    assert!(text.contains("\nBaseline: [best](") && text.contains("), best acc/val\n"), "{text}");
    let search = server.calls().into_iter().rev().find(|call| call.endpoint == "tasks.get_all").unwrap().body;
    let key = |name: &str| cml::digest::hash(name.as_bytes())[..32].to_owned();
    let field = format!("last_metrics.{}.{}", key("acc"), key("val"));
    assert_eq!(search["order_by"], json!([format!("-{field}.value")]));
    assert_eq!((&search["system_tags"], &search["page_size"]), (&json!(["-archived"]), &json!(50)));
    assert!(search["only_fields"].as_array().unwrap().contains(&json!(field)));
    let text = best("compare", &["--rule", "loss/val: lower"]);
    assert!(text.contains("\nBaseline: [best]("), "{text}");
    let text = best("compare", &["--metric", "loss/val:max", "--goal", "min"]);
    assert!(text.contains("| loss/val:max | 0.5 |") && text.contains("\nBaseline: [other]("), "{text}");
    let text = best("report", &["--metric", "loss/*", "--goal", "min"]);
    assert!(text.contains("| loss | val | 0.5 | 0.4 |"), "{text}");
    let ran = run(&cml, &server, &["clearml", "report", "--task", &id, "--baseline", "best"]);
    ran.fails(2, "--baseline best needs a metric", "name one with --metric, such as accuracy/val");
}

#[test]
fn the_base_branch_is_that_of_the_pull_request() {
    let (server, _, main) = with_two((0.95, 0.5), (0.9, 1.0));
    server.change(&main, json!({ "script": { "branch": "main" } }));
    let add = |name: &str, branch: &str, diff: &str| {
        let fields =
            json!({ "project": server.project("Lab/CI"), "name": name, "script": { "branch": branch, "diff": diff } });
        server.event(scalar(&server.task(fields), ACC, 3, 0.99));
    };
    add("changed", "main", "+a");
    add("elsewhere", "main2", "");
    let forge = Forge::start();
    let gate = ["clearml", "compare", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "base-branch"];
    for vendor in VENDORS {
        let mut cml = with_keys(Cml::on(&forge, vendor), &server);
        match vendor {
            Vendor::GitHub => cml.set("GITHUB_BASE_REF", "main"),
            Vendor::GitLab => cml.set("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
            Vendor::Bitbucket => cml.set("BITBUCKET_PR_DESTINATION_BRANCH", "main"),
        };
        let text = run(&cml, &server, &gate).ok();
        assert!(text.contains("\nBaseline: [other](") && text.contains("), last on main\n"), "{text}");
        if vendor == Vendor::GitHub {
            cml.set("GITHUB_BASE_REF", "release");
            let text = run(&cml, &server, &gate).ok();
            let none =
                "\n*There is no baseline yet: no other task ran the branch release without uncommitted changes.*\n";
            assert!(text.contains(none) && text.contains("| ? not enough data |"), "{text}");
        }
    }
    // Without a pull request it is the default branch, as far as that can be known.
    let cml = with_keys(Cml::alone(), &server);
    let ran = run(&cml, &server, &[&gate[..], &["--commit", HEAD]].concat());
    ran.fails(3, "cannot determine the base branch", "run in a pull request or in a clone with a remote, or *");
}

#[test]
fn without_a_baseline_the_gate_passes_unless_one_is_required() {
    let (server, id) = with_task(json!({}));
    server.event(scalar(&id, ACC, 3, 0.5));
    let cml = with_keys(Cml::alone(), &server);
    let gate = |more: &[&str]| run(&cml, &server, &[&COMPARE[..], more].concat());
    for baseline in ["best", "tag:best"] {
        let text = gate(&["--metric", "acc/val", "--baseline", baseline]).ok();
        assert!(
            text.starts_with("### ClearML: dummy\\|task ?\n")
                && text.contains("*There is no baseline yet: no other task has ")
        );
    }
    gate(&["--metric", "acc", "--require-baseline"]).fails(
        5,
        "there is no baseline for the ClearML task dummy|task: no other task has a value of acc/val",
        "tag a task, or omit --require-baseline to pass without one",
    );
    // Limits need none.
    let text = gate(&["--rule", "acc/* >= 0.5", "--require-baseline"]).ok();
    assert!(text.contains("| min 0.5 | ✔ within limits |") && !text.contains("baseline yet"), "{text}");
    assert_eq!(gate(&["--rule", "acc/val >= 0.51"]).code, Some(1));
}

#[test]
fn what_cannot_be_compared_has_another_exit_code() {
    let (server, id, _) = with_two((0.95, 2.0), (0.9, 1.0));
    server.event(scalar(&id, ("loss", "train"), 1, 1.0));
    server.event(scalar(&id, ("nan", "a"), 1, "__NaN__"));
    let cml = with_keys(Cml::alone(), &server);
    let fails = |more: &[&str], code: i32, error: &str, hint: &str| {
        run(&cml, &server, &[&COMPARE[..], more].concat()).fails(code, error, hint);
    };
    fails(&["--metric", "acc/vla"], 5, "the ClearML task dummy|task has no scalar 'acc/vla'", "it has 'acc/val', *");
    fails(
        &["--metric", "acc/vla:max"],
        5,
        "the ClearML task dummy|task has no scalar 'acc/vla'",
        "it has 'acc/val', *",
    );
    fails(
        &["--metric", "loss"],
        2,
        "'loss' means several scalars of the ClearML task dummy|task: 'train' of 'loss', 'val' of 'loss'",
        "name one of them as TITLE/SERIES, or all of them with a rule for 'TITLE/*'",
    );
    fails(
        &["--rule", "nan/a: lower"],
        5,
        "nan/a of the ClearML task dummy|task is not a finite number",
        "the training may have diverged: look at its curves, or judge another value, such as :min",
    );
    fails(&["--metric", "acc/val", "--baseline", "task:1"], 5, "ClearML refused tasks.get_by_id (message 400/101)", "");
    for (rule, more, kind) in [
        ("acc/vla: higher", None, "no_metric"),
        ("nan/a: lower", None, "not_finite"),
        ("loss/train: lower", Some("--require-baseline"), "no_baseline"),
    ] {
        let args = [&COMPARE[..], &["--json", "--rule", rule], more.as_slice()].concat();
        let ran = run(&cml, &server, &args);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&told["kind"], ran.code), (&json!(kind), Some(5)), "{ran:#?}");
        assert!(ran.stderr.contains(told["message"].as_str().unwrap()), "{ran:#?}");
    }
    let before = server.calls().len();
    fails(&[], 2, "nothing to compare", "name a scalar with --metric accuracy/val, or *");
    for (option, value, message) in [
        ("--rule", "acc", "'acc' is not a rule"),
        ("--rule", "acc: higher, drop 2se", "the tolerance '2se' needs the standard error of a metric"),
        ("--tolerance", "-1", "'-1' is not a tolerance"),
        ("--baseline", "worst:x", "'worst:x' does not name a task"),
    ] {
        let ran = run(&cml, &server, &[&COMPARE[..], &[&format!("{option}={value}")]].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{ran:#?}");
    }
    let find = ["clearml", "find", "--commit", HEAD, "--pick", "best"];
    run(&cml, &server, &find).fails(
        2,
        "--pick best needs a metric with a direction",
        "use `cml clearml compare --pick best *",
    );
    let pick = ["--rule", "acc/val >= 0", "--pick", "best"];
    assert_eq!(server.calls().len(), before, "none of that is sent");
    fails(&pick, 2, "--pick best needs a metric with a direction", "write a rule such as 'accuracy/val: higher'");
    // No task: as `find` and `report`.
    let ran = run(&cml, &server, &["clearml", "compare", "--commit", &"1".repeat(40), "--metric", "acc/val"]);
    ran.fails(5, "no completed ClearML task ran exactly 1111111", "run it at least once *");
}

#[test]
fn several_tasks_of_a_commit_are_seeds() {
    let (server, first, _) = with_two((0.8, 1.0), (0.85, 1.0));
    let again = |acc: f64| {
        let fields = json!({ "project": server.project("Lab/CI"), "name": "seed", "script": { "version_num": HEAD } });
        let id = server.task(fields);
        server.event(scalar(&id, ACC, 3, acc));
        id
    };
    let (good, last) = (again(0.9), again(0.7));
    let cml = with_keys(Cml::alone(), &server);
    let gate = |pick: &str| {
        run(
            &cml,
            &server,
            &[&COMPARE[..], &["--metric", "acc/val", "--baseline", "tag:best", "--pick", pick, "--json"]].concat(),
        )
    };
    let ids = |pick: &str| {
        let told: Value = serde_json::from_str(&gate(pick).stdout).unwrap();
        let each = told["comparisons"].as_array().unwrap().iter();
        each.map(|comparison| comparison["task"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids("newest"), gate("newest").code), (vec![last.clone()], Some(1)));
    assert_eq!((ids("best"), gate("best").code), (vec![good.clone()], Some(0)));
    assert_eq!((ids("all"), gate("all").code), (vec![last, good, first], Some(1)));
}

#[test]
fn a_task_of_the_same_files_counts_where_that_is_asked_for() {
    let (server, id) = with_task(json!({}));
    let cml = with_keys(Cml::alone(), &server);
    cml.git(&["init", "-q"]);
    cml.git(&["add", "report.md"]);
    cml.git(&["commit", "-qm", "trained"]);
    server.change(&id, json!({ "script": { "version_num": cml.git(&["rev-parse", "HEAD"]) } }));
    cml.git(&["branch", "trained"]);
    cml.git(&["commit", "-q", "--amend", "-m", "rebased", "--reset-author", "--date", "2001-01-01T00:00:00"]);
    assert_eq!(run(&cml, &server, &["clearml", "find"]).code, Some(5));
    assert!(run(&cml, &server, &["clearml", "find", "--same-tree"]).ok().starts_with(&id));
    cml.file("report.md", "changed");
    cml.git(&["commit", "-qam", "changed"]);
    assert_eq!(run(&cml, &server, &["clearml", "find", "--same-tree"]).code, Some(5));
}

#[test]
fn a_gate_has_its_own_comment_on_every_forge() {
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = with_keys(Cml::on(&forge, vendor), &server);
        let gate = ["clearml", "compare", "--project", "Lab/CI", "--rule", "loss/val: lower", "--publish"];
        for _ in 0..2 {
            let ran = run(&cml, &server, &gate);
            assert!(ran.code == Some(1) && ran.stdout.starts_with("http"), "{ran:#?}");
        }
        run(&cml, &server, &["clearml", "report", "--project", "Lab/CI", "--publish"]).ok();
        let comments = bodies(&forge, vendor);
        assert_eq!(comments.len(), 2, "{comments:?}");
        assert!(comments[0].contains("✘ worse") && !comments[1].contains("Verdict"), "{comments:?}");
    }
}

#[test]
fn a_check_ends_as_the_gate_does() {
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    let (lower, acc) = ("loss/val: lower", "acc/val: higher");
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let forge = Forge::start();
        let cml = with_keys(Cml::on(&forge, vendor), &server);
        let ends = |more: &[&str]| {
            let args = ["clearml", "compare", "--project", "Lab/CI", "--check", "gate"];
            let ran = run(&cml, &server, &[&args[..], more].concat());
            assert!(ran.stdout.lines().count() == 1 && ran.stdout.starts_with("http"), "{ran:#?}");
            let state = if vendor == Vendor::GitHub {
                let all = forge.repo(vendor, "octo/model", |repo| repo.checks.clone());
                let check = all.last().unwrap().clone();
                assert!(
                    check.name == "gate" && check.summary.as_deref().unwrap_or_default().contains("| Verdict |"),
                    "{check:?}"
                );
                check.conclusion.unwrap_or_default()
            } else {
                forge.repo(vendor, "group/model", |repo| repo.statuses.last().unwrap().state.clone())
            };
            (ran.code, state)
        };
        let failed = if vendor == Vendor::GitHub { "failure" } else { "failed" };
        assert_eq!(ends(&["--rule", acc]), (Some(0), "success".to_owned()));
        assert_eq!(ends(&["--rule", acc, "--rule", lower]), (Some(1), failed.to_owned()));
        if vendor == Vendor::GitHub {
            assert_eq!(ends(&["--rule", acc, "--baseline", "tag:none"]), (Some(0), "neutral".to_owned()));
        }
    }
}

#[test]
fn the_pipe_takes_the_options() {
    if is_native_only() {
        return;
    }
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    let forge = Forge::start();
    let mut cml = with_keys(Cml::on(&forge, Vendor::Bitbucket), &server);
    cml.set("COMMAND", "clearml compare").set("PROJECT", "Lab/CI");
    cml.set("RULE_COUNT", "2").set("RULE_0", "acc/val: higher, drop 2%").set("RULE_1", "loss/val: lower");
    let ran = run(&cml, &server, &["pipe"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("loss/val rose from 1 to 2 (no rise is allowed)"), "{ran:#?}");
}

#[test]
fn variables_are_options() {
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    let forge = Forge::start();
    let mut cml = with_keys(Cml::on(&forge, Vendor::GitLab), &server);
    cml.set("CML_CLEARML_METRIC", "acc/val").set("CML_CLEARML_BASELINE", "tag:best");
    let text = run(&cml, &server, &["clearml", "compare"]).ok();
    assert!(text.contains("| acc/val | 0.95 | 0.9 |") && text.contains("), tagged best\n"), "{text}");
}

#[test]
fn promotion_moves_one_tag_on_the_default_branch() {
    for vendor in VENDORS {
        let (server, id, other) = with_two((0.95, 2.0), (0.9, 1.0));
        server.change(&id, json!({ "tags": ["mine"] }));
        server.change(&other, json!({ "tags": ["best", "kept"] }));
        let (updated, forge) = (server.read(&other)["last_update"].clone(), Forge::start());
        let mut cml = on_push(&forge, vendor, &server, "main");
        let outputs = cml.file("outputs", "");
        cml.set(if vendor == Vendor::GitHub { "GITHUB_OUTPUT" } else { "CML_DOTENV" }, &outputs.display().to_string());
        let promote = ["clearml", "promote", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "tag:best"];
        // Bitbucket does not say which branch is the default one.
        let branch: &[&str] = if vendor == Vendor::Bitbucket { &["--branch", "main"] } else { &[] };
        let text = run(&cml, &server, &[&promote[..], branch].concat()).ok();
        assert!(text.ends_with(&format!("\n*Moved the tag best here from other ({other}).*\n")), "{text}");
        assert_eq!((tags(&server, &id), tags(&server, &other)), (json!(["mine", "best"]), json!(["kept"])));
        assert_eq!(server.read(&other)["last_update"], updated);
        let expected = [
            ("tasks.update_tags".to_owned(), json!({ "ids": [id], "add_tags": ["best"] })),
            ("tasks.update_tags".to_owned(), json!({ "ids": [other], "remove_tags": ["best"] })),
        ];
        assert_eq!(writes(&server), expected);
        let outputs = cml.read("outputs");
        assert!(outputs.to_lowercase().contains("promoted") && outputs.contains("true"), "{outputs}");
        // Once more changes nothing.
        let text = run(&cml, &server, &[&promote[..], branch].concat()).ok();
        assert!(text.ends_with("\n*The task has the tag best already.*\n"), "{text}");
        assert_eq!(writes(&server).len(), 2);
    }
}

/// The last column of the table in docs/clearml.md that compares with ClearML's own actions. The other columns were seen when those ran on
/// the same tasks.
#[test]
fn the_table_of_the_documentation_is_right() {
    let clean = json!({});
    let best = json!({ "tags": ["best"], "script": { "version_num": "0" } });
    let states = [
        (
            vec![(clean.clone(), vec![0.5, 0.97, 0.95]), (best.clone(), vec![0.5, 0.9])],
            "0%",
            "0.95 | 0.5 (0) | 0.97 (1)",
            Ok("better"),
        ),
        (
            vec![(clean.clone(), vec![0.95]), (json!({ "script": { "diff": "+x" } }), vec![0.1])],
            "0%",
            "0.95 |",
            Ok("not enough"),
        ),
        (
            vec![(clean.clone(), vec![0.95]), (json!({ "status": "failed" }), vec![0.1])],
            "0%",
            "0.95 |",
            Ok("not enough"),
        ),
        (vec![(json!({ "status": "published" }), vec![0.95])], "0%", "0.95 |", Ok("not enough")),
        (vec![(json!({ "system_tags": ["archived"] }), vec![0.95])], "0%", "", Err(5)),
        (
            vec![(clean.clone(), vec![0.95]), (json!({ "project": "other" }), vec![0.1])],
            "0%",
            "0.95 |",
            Ok("not enough"),
        ),
        (vec![(clean.clone(), vec![0.5, 0.85]), (best.clone(), vec![0.5, 0.9])], "0%", "0.85 |", Err(1)),
        (vec![(clean.clone(), vec![-1.02]), (best.clone(), vec![-1.0])], "5%", "-1.02 |", Ok("not told apart")),
        (vec![(clean, vec![]), (best, vec![0.9])], "0%", "", Err(5)),
    ];
    for (at, (tasks, tolerance, row, verdict)) in states.into_iter().enumerate() {
        let server = ClearMl::start();
        for (fields, values) in tasks {
            let script = json!({ "version_num": HEAD, "diff": "" });
            let project = server.project("Lab/CI");
            let id = server.task(json!({ "project": project, "name": "dummy_task", "script": script }));
            server.change(&id, fields);
            for (iteration, value) in values.into_iter().enumerate() {
                server.event(scalar(&id, ACC, iteration as i64, value));
            }
        }
        let before = server.tasks();
        let forge = Forge::start();
        let cml = with_keys(Cml::on(&forge, Vendor::GitHub), &server);
        let on = ["--project", "Lab/CI", "--name", "dummy_task"];
        let report = run(&cml, &server, &[&["clearml", "report"], &on[..]].concat());
        assert!(report.stdout.contains(row), "{at}: {report:#?}");
        let gate = ["--metric", "acc/val:max", "--baseline", "tag:best", "--tolerance", tolerance];
        let ran = run(&cml, &server, &[&["clearml", "compare"], &on[..], &gate].concat());
        match verdict {
            Ok(word) => assert!(ran.code == Some(0) && ran.stdout.contains(word), "{at}: {ran:#?}"),
            Err(code) => assert_eq!(ran.code, Some(code), "{at}: {ran:#?}"),
        }
        assert_eq!(server.tasks(), before, "{at}: neither changes a task");
    }
}

#[test]
fn promotion_publishes_the_task_and_tags_its_models() {
    let (server, id, other) = with_two((0.95, 2.0), (0.9, 1.0));
    server.model("new", &id, &["mine"]);
    server.model("old", &other, &["live", "kept"]);
    let third = server.task(json!({ "project": server.project("Lab/CI"), "name": "third" }));
    server.model("third", &third, &["live"]);
    let forge = Forge::start();
    let cml = on_push(&forge, Vendor::GitLab, &server, "main");
    let promote = ["clearml", "promote", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "tag:best"];
    let promote = [&promote[..], &["--publish-task", "--model-tag", "live"]].concat();
    let model_tags = || ["new", "old", "third"].map(|model| server.read_model(model)["tags"].clone());
    for done in ["Moved the tag best here from other", "The task has the tag best already"] {
        let text = run(&cml, &server, &promote).ok();
        assert!(text.contains(&format!("\n*{done}")), "{text}");
        assert!(text.ends_with("; the tag live is on its 1 model; published it.*\n"), "{text}");
        assert_eq!(server.read(&id)["status"], "published");
        assert_eq!(model_tags(), [json!(["mine", "live"]), json!(["kept"]), json!([])]);
    }
    // A regression does neither, nor does a task that only was not worse.
    let (server, id, other) = with_two((0.85, 2.0), (0.9, 1.0));
    server.model("new", &id, &[]);
    server.model("old", &other, &["live"]);
    let cml = on_push(&forge, Vendor::GitLab, &server, "main");
    assert_eq!(run(&cml, &server, &promote).code, Some(1));
    run(&cml, &server, &[&promote[..], &["--tolerance", "10%"]].concat()).ok();
    assert_eq!((server.read(&id)["status"].clone(), writes(&server)), (json!("completed"), vec![]));
    // With a name, models of tasks with other names keep the tag.
    server.change(&id, json!({ "name": "small" }));
    let named = [&promote[..], &["--name", "small", "--tolerance", "10%"]].concat();
    run(&cml, &server, &named).ok();
    assert_eq!(server.read_model("new")["tags"], json!(["live"]));
    assert_eq!(server.read_model("old")["tags"], json!(["live"]));
    // Without a model there is nothing to tag, which is told.
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    let cml = on_push(&forge, Vendor::GitLab, &server, "main");
    let ran = run(&cml, &server, &promote);
    assert!(ran.stderr.contains("has made no model to tag\nhint: let it save one with OutputModel"), "{ran:#?}");
    ran.ok();
}

#[test]
fn a_regression_keeps_the_tag_where_it_is() {
    let (server, id, other) = with_two((0.85, 2.0), (0.9, 1.0));
    let forge = Forge::start();
    let cml = on_push(&forge, Vendor::GitLab, &server, "main");
    let promote = ["clearml", "promote", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "tag:best"];
    let ran = run(&cml, &server, &promote);
    assert!(ran.stderr.contains("error: acc/val fell from 0.9 to 0.85 (no drop is allowed)\n"), "{ran:#?}");
    assert_eq!((ran.code, writes(&server)), (Some(1), vec![]));
    // Within the tolerance the gate passes, but many small steps must not lead down.
    let outputs = cml.file("outputs", "").display().to_string();
    let mut cml = cml;
    cml.set("CML_DOTENV", &outputs);
    let text = run(&cml, &server, &[&promote[..], &["--tolerance", "10%"]].concat()).ok();
    let stays =
        "\n*Within the tolerance, but acc/val of 0.85 is not better than 0.9: the tag best stays where it is.*\n";
    assert!(text.ends_with(stays), "{text}");
    assert_eq!((writes(&server), cml.read("outputs").contains("PROMOTED=false")), (vec![], true));
    // The first metric decides; another one may fall by its tolerance.
    let rules = ["--rule", "loss/val: lower", "--rule", "acc/val: higher, drop 10%"];
    let promote = [&["clearml", "promote", "--project", "Lab/CI", "--baseline", "tag:best"], &rules[..]].concat();
    server.event(scalar(&id, LOSS, 4, 0.5));
    run(&cml, &server, &promote).ok();
    assert_eq!((tags(&server, &id), tags(&server, &other)), (json!(["best"]), json!([])));
}

#[test]
fn nothing_is_promoted_elsewhere() {
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    let forge = Forge::start();
    let promote = ["clearml", "promote", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "tag:best"];
    let stays = |cml: &Cml, more: &[&str], reason: &str| {
        let ran = run(cml, &server, &[&promote[..], more].concat());
        assert_eq!(ran.stderr, format!("{reason}: the ClearML tag best stays where it is\n"), "{ran:#?}");
        assert_eq!(ran.ok(), "");
    };
    for vendor in VENDORS {
        stays(&with_keys(Cml::on(&forge, vendor), &server), &[], "this is a pull request");
        let cml = on_push(&forge, vendor, &server, "feature");
        stays(&cml, &["--branch", "main"], "this is the branch feature, not main");
    }
    let mut cml = on_push(&forge, Vendor::GitHub, &server, "gh-readonly-queue/main/pr-7-abc");
    let event = json!({ "merge_group": { "base_ref": "refs/heads/main", "head_sha": HEAD }, "repository": { "default_branch": "main" } });
    cml.file("event.json", event.to_string());
    cml.set("GITHUB_EVENT_NAME", "merge_group");
    stays(&cml, &[], "this is a pull request");
    // A run after one of a fork, whose branch has the same name.
    let event = json!({ "workflow_run": { "head_branch": "main", "head_sha": HEAD, "head_repository": { "full_name": "stranger/model" } },
        "repository": { "default_branch": "main" } });
    cml.file("event.json", event.to_string());
    stays(&cml, &[], "this is a pull request");
    assert_eq!(server.calls().len(), 0);
    let cml = on_push(&forge, Vendor::Bitbucket, &server, "main");
    run(&cml, &server, &promote).fails(3, "cannot determine the default branch", "pass --branch NAME: *");
    run(&cml, &server, &["clearml", "promote", "--metric", "acc/val"]).fails(
        2,
        "promote moves a tag",
        "name it: --baseline tag:best",
    );
    run(&cml, &server, &[&promote[..], &["--pick", "all"]].concat()).fails(
        2,
        "a tag moves to one task",
        "use --pick newest or --pick best",
    );
    let mut cml = on_push(&forge, Vendor::GitLab, &server, "main");
    cml.set("CML_CLEARML_READ_ONLY", "1");
    run(&cml, &server, &promote).fails(
        3,
        "not calling ClearML's tasks.update_tags: CML_CLEARML_READ_ONLY is set",
        "unset it for jobs that may change something in ClearML",
    );
    assert_eq!(writes(&server), []);
}

#[test]
fn an_old_server_gets_all_tags_of_a_task() {
    let (server, id, other) = with_two((0.95, 2.0), (0.9, 1.0));
    server.change(&other, json!({ "tags": ["best", "kept"] }));
    server.fails("tasks.update_tags", 9, Wrong::Refused(404, 0));
    let forge = Forge::start();
    let cml = on_push(&forge, Vendor::GitLab, &server, "main");
    let ran = run(&cml, &server, &["clearml", "promote", "--metric", "acc/val", "--baseline", "tag:best"]);
    assert!(
        ran.stderr
            .contains(&format!("warning: this ClearML server cannot change one tag: all tags of {id} are written\n"))
    );
    ran.ok();
    assert_eq!((tags(&server, &id), tags(&server, &other)), (json!(["best"]), json!(["kept"])));
}

#[test]
fn promotions_at_the_same_time_leave_the_tag_on_one_task() {
    for round in 0..3 {
        let (server, _, old) = with_two((0.9, 1.0), (0.5, 1.0));
        let forge = Forge::start();
        let project = server.project("Lab/CI");
        let tasks: Vec<String> = (0..3)
            .map(|n| {
                let id = server.task(json!({ "project": project, "name": format!("run {n}") }));
                server.event(scalar(&id, ACC, 3, 0.9 + 0.01 * f64::from((n + round) % 3)));
                id
            })
            .collect();
        let cml = on_push(&forge, Vendor::GitLab, &server, "main");
        let children: Vec<_> = tasks
            .iter()
            .map(|id| {
                let args = [
                    "clearml",
                    "promote",
                    "--task",
                    id,
                    "--metric",
                    "acc/val",
                    "--baseline",
                    "tag:best",
                    "--tolerance",
                    "50%",
                ];
                let mut command = cml.command(&args);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let holders: Vec<&String> = tasks.iter().filter(|id| tags(&server, id) == json!(["best"])).collect();
        assert_eq!((holders.len(), tags(&server, &old)), (1, json!([])), "{:?}", writes(&server));
    }
}

#[test]
fn a_run_that_gets_the_tag_meanwhile_keeps_it_if_it_is_better() {
    for (acc, is_kept) in [(0.99, true), (0.91, false)] {
        let (server, id, _) = with_two((0.95, 2.0), (0.9, 1.0));
        let rival = server.task(json!({ "project": server.project("Lab/CI"), "name": "rival" }));
        server.event(scalar(&rival, ACC, 3, acc));
        let (at, name) = (std::cell::Cell::new(0), rival.clone());
        server.before_each(move |tasks, endpoint| {
            at.set(at.get() + usize::from(endpoint == "tasks.update_tags"));
            let rival = tasks.iter_mut().find(|task| task["id"] == name.as_str()).unwrap();
            if endpoint == "tasks.update_tags" && at.get() == 1 {
                rival["tags"] = json!(["best"]);
            }
        });
        let forge = Forge::start();
        let cml = on_push(&forge, Vendor::GitLab, &server, "main");
        let promote = ["clearml", "promote", "--project", "Lab/CI", "--metric", "acc/val", "--baseline", "tag:best"];
        let text = run(&cml, &server, &promote).ok();
        let (winner, loser) = if is_kept { (&rival, &id) } else { (&id, &rival) };
        assert_eq!((tags(&server, winner), tags(&server, loser)), (json!(["best"]), json!([])), "{text}");
        assert_eq!(text.contains(&format!("Another run has moved the tag best to rival ({rival})")), is_kept, "{text}");
    }
}

/// The lines of docs/clearml.md that run the program, in code of its own or in a workflow.
#[test]
fn the_commands_of_the_documentation_are_understood() {
    let (server, ..) = with_two((0.95, 2.0), (0.9, 1.0));
    for task in server.tasks() {
        let id = task["id"].as_str().unwrap();
        server.event(scalar(id, ("accuracy", "val"), 3, 0.9));
    }
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clearml.md")).unwrap();
    let code = page.split("```").skip(1).step_by(2).flat_map(str::lines);
    let lines = code.filter_map(|line| Some(&line[line.find("cml clearml ")?..]));
    // Those of `check` and `run` are in their own tests.
    let is_here = |line: &&str| !["check ", "run "].iter().any(|verb| line[12..].starts_with(verb));
    let lines: Vec<&str> = lines.filter(is_here).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    for line in lines {
        let line = line.trim_end_matches("] }").replace("$VERB", "compare");
        let line = match line.split_once("${{") {
            Some((start, rest)) => format!("{start}promote{}", rest.split_once("}}").unwrap().1),
            None => line,
        };
        let forge = Forge::start();
        let cml = on_push(&forge, Vendor::GitHub, &server, "main");
        let words = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
        let words = String::from_utf8(words.stdout).unwrap();
        let ran = run(&cml, &server, &words.lines().skip(1).collect::<Vec<_>>());
        assert!(matches!(ran.code, Some(0 | 1)), "{line}: {ran:#?}");
    }
}
