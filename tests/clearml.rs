//! `cml clearml`: the program against a fake of ClearML's server, which checks the keys of its requests; what it reads was written by
//! the real SDK where that is installed, else by the test. The forges are scripted.

use crate::support::clearml::{Call, ClearMl, KEY, SECRET, TOKEN, Wrong};
use crate::support::fake::http::Response;
use crate::support::fake::{Forge, HEAD, Target, Vendor};
use crate::support::net::get;
use crate::support::{Cml, Ran, VENDORS, png};
use serde_json::{Value, json};

mod agent;
mod check;
mod compare;
mod sdk;

const REPORT: [&str; 4] = ["clearml", "report", "--project", "Lab/CI"];

/// A program with the keys of a server, on a forge or without one.
pub fn with_keys(mut cml: Cml, server: &ClearMl) -> Cml {
    cml.set("CLEARML_API_HOST", &server.url()).set("CLEARML_FILES_HOST", &server.url());
    cml.set("CLEARML_WEB_HOST", "https://app.example.org/");
    cml.set("CLEARML_API_ACCESS_KEY", KEY).set("CLEARML_API_SECRET_KEY", SECRET);
    cml
}

/// A server with one task, which ran the head of the pull request, and its identity.
fn with_task(fields: Value) -> (ClearMl, String) {
    let server = ClearMl::start();
    let project = server.project("Lab/CI");
    let id = server.task(json!({ "project": project, "name": "dummy|task", "script": { "version_num": HEAD } }));
    server.change(&id, fields);
    (server, id)
}

pub fn scalar(task: &str, name: (&str, &str), iter: i64, value: impl Into<Value>) -> Value {
    json!({ "type": "training_stats_scalar", "task": task, "metric": name.0, "variant": name.1, "iter": iter, "value": value.into() })
}

/// The comments of the pull request.
fn bodies(forge: &Forge, vendor: Vendor) -> Vec<String> {
    forge.live_comments(vendor, &Target::Pull(7)).into_iter().map(|comment| comment.body).collect()
}

/// Runs, and holds the run and its requests to what is always so: no secret is shown, keys only log in, everything is a `POST`.
fn run(cml: &Cml, server: &ClearMl, args: &[&str]) -> Ran {
    let ran = cml.run(args);
    for secret in [KEY, SECRET, TOKEN, "eyJ"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{ran:#?}");
    }
    assert!(!args.iter().any(|arg| [KEY, SECRET, TOKEN].contains(arg)));
    for Call { method, endpoint, authorization, client, .. } in
        server.calls().iter().filter(|call| call.client.starts_with("cml-"))
    {
        assert_eq!((method.as_str(), client.as_str()), ("POST", concat!("cml-", env!("CARGO_PKG_VERSION"))));
        assert!(endpoint == "auth.login" || authorization.starts_with("Bearer eyJ"), "{endpoint}: {authorization}");
    }
    ran
}

#[test]
fn the_task_of_a_commit_is_found_on_every_forge() {
    let (server, id) = with_task(json!({}));
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = with_keys(Cml::on(&forge, vendor), &server);
        let outputs = cml.file("outputs", "");
        cml.set(if vendor == Vendor::GitHub { "GITHUB_OUTPUT" } else { "CML_DOTENV" }, &outputs.display().to_string());
        let project = &server.read(&id)["project"];
        let url = format!("https://app.example.org/projects/{}/tasks/{id}/output/log", project.as_str().unwrap());
        let found = run(&cml, &server, &["clearml", "find", "--project", "Lab/CI", "--name", "dummy|task"]).ok();
        assert_eq!(found, format!("{id} {url}\n"));
        let outputs = cml.read("outputs");
        assert!(outputs.contains(&id) && outputs.contains(&url) && outputs.contains("completed"), "{outputs}");
        let found: Value = serde_json::from_str(&run(&cml, &server, &["clearml", "find", "--json"]).ok()).unwrap();
        assert_eq!((&found["kind"], &found["tasks"][0]["id"]), (&json!("found"), &json!(id)));
        assert_eq!(forge.requests().len(), 0, "a search takes no forge");
    }
    let calls = server.calls();
    let search = calls.iter().find(|call| call.endpoint == "tasks.get_all").unwrap();
    assert_eq!(search.version, "v2.34");
    assert_eq!(search.body["_all_"], json!({ "fields": ["script.version_num"], "pattern": format!("^{HEAD}$") }));
    assert_eq!(search.body["name"], r"^dummy\|task$");
}

#[test]
fn near_misses_are_told_with_their_reasons() {
    let (server, dirty) = with_task(json!({ "script": { "diff": "--- a/t\n+++ b/t\n-a\n+b\n+c\n" } }));
    let project = server.project("Lab/CI");
    let add = |name: &str, fields: Value| {
        let id = server.task(json!({ "project": project, "name": name, "script": { "version_num": HEAD } }));
        server.change(&id, fields);
        id
    };
    let failed = add("crashed", json!({ "status": "failed", "status_reason": "worker execution exit code 1" }));
    let archived = add("old", json!({ "system_tags": ["archived"] }));
    let forge = Forge::start();
    let cml = with_keys(Cml::on(&forge, Vendor::GitHub), &server);
    let error = format!("no completed ClearML task ran exactly {}", &HEAD[..7]);
    let hint = format!(
        "nearest: old ({archived}) is archived; crashed ({failed}) is failed: worker execution exit code 1; \
         dummy|task ({dirty}) is with 3 changed lines uncommitted"
    );
    for verb in ["find", "report"] {
        run(&cml, &server, &["clearml", verb]).fails(5, &error, &hint);
        let ran = run(&cml, &server, &["clearml", verb, "--json"]);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (ran.code, &told["kind"], told["near_misses"].as_array().unwrap().len()),
            (Some(5), &json!("no_matching_task"), 3)
        );
        assert_eq!(run(&cml, &server, &["clearml", verb, "--missing", "neutral"]).code, Some(0));
    }
    // The comment says so too, and the run still fails.
    let ran = run(&cml, &server, &["clearml", "report", "--publish"]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    let comment = bodies(&forge, Vendor::GitHub).pop().unwrap();
    assert!(comment.contains("No completed ClearML task ran exactly"), "{comment}");
    assert!(
        comment.contains(", with 3 changed lines uncommitted\n")
            && comment.contains(&format!("/tasks/{dirty}/output/log"))
    );
    // What counts can be widened.
    for (option, id) in [("--allow-diff", &dirty), ("--include-archived", &archived), ("--status=failed", &failed)] {
        assert!(run(&cml, &server, &["clearml", "find", option]).ok().starts_with(id.as_str()), "{option}");
    }
    server.project("Other");
    let ran = run(&cml, &server, &["clearml", "find", "--project", "Other"]);
    assert!(ran.stderr.contains("is in another project or under another name"), "{ran:#?}");
    run(&cml, &server, &["clearml", "find", "--project", "Lab/C"]).fails(
        5,
        "no ClearML project is called Lab/C",
        "check --project; the nearest name is 'Lab/CI'",
    );
    let below = server.project("Lab/CI/deep");
    let deep = add("deep", json!({ "project": below }));
    assert_eq!(run(&cml, &server, &["clearml", "find", "--project", "Lab/CI", "--name", "deep"]).code, Some(5));
    assert!(
        run(&cml, &server, &["clearml", "find", "--project", "Lab/CI/**", "--name", "deep"]).ok().starts_with(&deep)
    );
}

#[test]
fn published_tasks_count_and_the_newest_is_taken() {
    let (server, older) = with_task(json!({}));
    let newer = server.task(json!({ "name": "again", "status": "published", "script": { "version_num": HEAD } }));
    let cml = with_keys(Cml::alone(), &server);
    assert!(run(&cml, &server, &["clearml", "find", "--commit", HEAD]).ok().starts_with(&newer));
    let all = run(&cml, &server, &["clearml", "find", "--commit", HEAD, "--pick", "all"]).ok();
    assert_eq!(all.lines().map(|line| &line[..32]).collect::<Vec<_>>(), [newer.as_str(), older.as_str()]);
    let tagged = ["clearml", "find", "--commit", HEAD, "--tag", "x"];
    assert!(run(&cml, &server, &tagged).stderr.contains("is without the tag x"));
}

#[test]
fn the_head_of_a_merged_pull_request_is_found() {
    let server = ClearMl::start();
    let cml = with_keys(Cml::alone(), &server);
    cml.git(&["init", "-q"]);
    cml.git(&["add", "report.md"]);
    cml.git(&["commit", "-qm", "base"]);
    cml.git(&["checkout", "-qb", "feature"]);
    cml.git(&["commit", "-qm", "trained", "--allow-empty"]);
    let head = cml.git(&["rev-parse", "HEAD"]);
    cml.git(&["checkout", "-q", "main"]);
    cml.git(&["merge", "-q", "--no-ff", "-m", "merge", "feature"]);
    let id = server.task(json!({ "script": { "version_num": head } }));
    assert!(run(&cml, &server, &["clearml", "find"]).ok().starts_with(&id));
    assert!(run(&cml, &server, &["clearml", "find", "--commit", "feature"]).ok().starts_with(&id));
    run(&cml, &server, &["clearml", "find", "--commit", "nowhere"]).fails(
        5,
        "unknown commit 'nowhere'",
        "pass all 40 digits, *",
    );
}

#[test]
fn scalars_become_a_table_without_a_forge() {
    let (server, id) = with_task(json!({ "last_worker": "gpu-3" }));
    for (iter, value) in [(0, 0.5), (3, 0.95)] {
        server.event(scalar(&id, ("Performance Metric", "Series 1"), iter, value));
    }
    server.event(scalar(&id, ("loss", "<b>@octocat|"), 1, 2.5));
    server.event(scalar(&id, ("loss", "<b>@octocat|"), 2, 0.0));
    server.event(scalar(&id, ("nan", "a"), 1, "__NaN__"));
    server.event(scalar(&id, ("Summary", "acc"), -2_147_483_648, 0.7));
    server.event(scalar(&id, (":monitor:gpu", "gpu_0_mem"), 1, 1.0));
    let cml = with_keys(Cml::alone(), &server);
    let args = ["clearml", "report", "--commit", HEAD];
    let text = run(&cml, &server, &args).ok();
    let project = server.project("Lab/CI");
    let expected = format!(
        "### ClearML: dummy\\|task\n\n\
         [task](https://app.example.org/projects/{project}/tasks/{id}/output/log) · commit {} · completed · 4 min 12 s on gpu-3 · no uncommitted changes\n\n\
         | Metric | Series | Last | Min (iteration) | Max (iteration) |\n| --- | --- | --: | --: | --: |\n\
         | Performance Metric | Series 1 | 0.95 | 0.5 (0) | 0.95 (3) |\n\
         | Summary | acc | 0.7 | 0.7 | 0.7 |\n\
         | loss | \\<b\\>\\@\u{200b}octocat\\| | 0 | 0 (2) | 2.5 (1) |\n\
         | nan | a | – | – | – |\n\n\
         > loss/\\<b\\>\\@\u{200b}octocat\\| is exactly 0, which ClearML also records for NaN and infinite values.\n",
        &HEAD[..7]
    );
    assert_eq!(text, expected);
    let narrowed = run(&cml, &server, &[&args[..], &["--metric", "Perf*", "--file", "out.md"]].concat());
    assert_eq!((narrowed.ok().as_str(), cml.read("out.md").matches("\n| ").count()), ("", 3));
    run(&cml, &server, &[&args[..], &["--metric", "performance/*"]].concat()).fails(
        5,
        "the ClearML task dummy|task has no scalar 'performance/*'",
        "it has 'Performance Metric/Series 1', *",
    );
    let told: Value = serde_json::from_str(&run(&cml, &server, &[&args[..], &["--json"]].concat()).ok()).unwrap();
    assert_eq!(told[0]["scalars"][0]["max_iteration"], 3);
    assert_eq!((&told[0]["scalars"][3]["metric"], &told[0]["scalars"][3]["last"]), (&json!("nan"), &Value::Null));
    // By its identity, without any search.
    let before = server.calls().len();
    assert!(run(&cml, &server, &["clearml", "report", "--task", &id]).ok().starts_with("### ClearML: dummy"));
    let endpoints: Vec<String> = server.calls()[before..].iter().map(|call| call.endpoint.clone()).collect();
    assert_eq!(endpoints, ["auth.login", "tasks.get_by_id"]);
    let unknown = "0".repeat(32);
    run(&cml, &server, &["clearml", "report", "--task", &unknown]).fails(
        5,
        "ClearML refused tasks.get_by_id (message 400/101)",
        "",
    );
}

#[test]
fn a_comment_is_kept_up_to_date_and_a_matrix_shares_one() {
    let (server, id) = with_task(json!({}));
    server.event(scalar(&id, ("acc", "val"), 1, 0.5));
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = with_keys(Cml::on(&forge, vendor), &server);
        let first = run(&cml, &server, &[&REPORT[..], &["--publish"]].concat()).ok();
        let second = run(&cml, &server, &[&REPORT[..], &["--publish"]].concat()).ok();
        assert!(first.starts_with("http") && first == second, "{first} {second}");
        let comments = bodies(&forge, vendor);
        assert!(comments.len() == 1 && comments[0].contains("| acc | val | 0.5 |"), "{comments:?}");
        for section in ["a", "b"] {
            run(&cml, &server, &[&REPORT[..], &["--publish", "--section", section]].concat()).ok();
        }
        let comments = bodies(&forge, vendor);
        assert_eq!(comments.len(), 2, "{comments:?}");
        assert_eq!(comments[1].matches("### ClearML: dummy").count(), 2, "{}", comments[1]);
    }
}

#[test]
fn a_baseline_adds_differences_and_changed_parameters() {
    let args = |lr: &str| json!({ "Args": { "lr": { "value": lr }, "seed": { "value": "1" } } });
    let (server, id) = with_task(json!({ "hyperparams": args("0.1") }));
    let project = server.project("Lab/CI");
    let cml = with_keys(Cml::alone(), &server);
    let report =
        |more: &[&str]| run(&cml, &server, &[&["clearml", "report", "--commit", HEAD][..], more].concat()).ok();
    assert!(report(&["--baseline", "tag:best"]).contains("\n*There is no baseline yet: no other task has the tag.*\n"));
    let best = server.task(json!({ "project": project, "tags": ["best"], "hyperparams": args("0.01") }));
    let archived = server.task(json!({ "project": project, "tags": ["best"], "system_tags": ["archived"] }));
    server.event(scalar(&id, ("acc", "val"), 1, 0.95));
    server.event(scalar(&best, ("acc", "val"), 1, 0.9));
    server.event(scalar(&id, ("new", "x"), 1, 1.0));
    for baseline in ["tag:best", &format!("task:{best}"), &best] {
        let text = report(&["--baseline", baseline]);
        let rows = "| Metric | Series | Last | Baseline | Δ | Δ % |\n| --- | --- | --: | --: | --: | --: |\n\
                    | acc | val | 0.95 | 0.9 | +0.05 | +5.56 % |\n| new | x | 1 | – | – | – |\n";
        assert!(text.contains(rows), "{text}");
        assert!(
            text.contains("\n| Parameter | Value | Baseline |\n| --- | --- | --- |\n| Args/lr | 0.1 | 0.01 |\n"),
            "{text}"
        );
        assert!(!text.contains("Args/seed") && !text.contains(&archived), "{text}");
        assert!(text.contains(&format!(
            "[compare](https://app.example.org/projects/*/compare-tasks;ids={best},{id}/scalars/max-values)"
        )));
    }
    assert!(
        report(&["--params", "all"])
            .contains("| Parameter | Value |\n| --- | --- |\n| Args/lr | 0.1 |\n| Args/seed | 1 |\n")
    );
    assert_eq!(run(&cml, &server, &["clearml", "report", "--baseline", "worst:x"]).code, Some(2));
}

#[test]
fn curves_matrices_and_images_are_published() {
    let (server, id) = with_task(json!({}));
    for iter in 0..3 {
        server.event(scalar(&id, ("loss", "train"), iter, 1.0 / (1.0 + iter as f64)));
    }
    server.event(scalar(&id, ("loss", "val"), 0, "__NaN__"));
    let figure =
        json!({ "data": [{ "type": "heatmap", "z": [[7, 1], [2, 8]], "x": ["cat", "dog"], "y": ["cat", "dog"] }] });
    server.event(
        json!({ "type": "plot", "task": id, "metric": "confusion", "variant": "val", "plot_str": figure.to_string() }),
    );
    server.event(json!({ "type": "plot", "task": id, "metric": "pr", "variant": "", "plot_str": "{\"data\":[{\"type\":\"scatter\"}]}" }));
    let image = server.file("Lab/a b.png", "image/png", &png(7)).replace(' ', "%20");
    let script = server.file("Lab/x.png", "image/png", b"#!/bin/sh\n");
    for (variant, url) in
        [("a", image.as_str()), ("b", &script), ("c", "http://127.0.0.1:9/internal"), ("d", "s3://bucket/x.png")]
    {
        server.event(
            json!({ "type": "training_debug_image", "task": id, "metric": "samples", "variant": variant, "url": url }),
        );
    }
    let forge = Forge::start();
    let cml = with_keys(Cml::on(&forge, Vendor::GitHub), &server);
    let ran = run(&cml, &server, &[&REPORT[..], &["--plots"]].concat());
    assert!(ran.stderr.contains("cannot show the image samples/c: it is not on ClearML's file server"), "{ran:#?}");
    let text = ran.ok();
    let pictures: Vec<_> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|url| url.starts_with("http://"))
        .collect();
    let bodies: Vec<_> = pictures.iter().map(|url| get(url)).collect();
    assert_eq!(bodies.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200; 3], "{text}");
    let [curve, matrix, shown] = &bodies[..] else { panic!("{text}") };
    assert!(curve.text().contains("<title>loss</title>") && curve.text().contains(">val</text>"));
    assert!(matrix.text().contains(">8</text>") && matrix.text().contains(">dog</text>"));
    assert_eq!(shown.body, png(7));
    assert!(
        text.contains("\nsamples/a\n\n![samples/a](") && text.contains("\n*the image samples/b is not an image.*\n"),
        "{text}"
    );
    assert!(
        text.contains("\n*the image samples/d cannot be shown here.*\n") && text.contains("[1 other plot in ClearML]("),
        "{text}"
    );
}

#[test]
fn the_log_is_shown_without_secrets_and_configuration() {
    let (server, id) = with_task(json!({}));
    for msg in [
        "Current configuration (clearml_agent v3.0.3, location: /tmp/x):\n----\nagent.git_pass = hunter2hunter2\n",
        "Executing task id [1]:\nrepository = https://github.com/lab/ci\n",
        &format!("CLEARML_API_ACCESS_KEY=OTHERKEY123 then {KEY} and {SECRET}\n"),
        "10%\r20%\r```done```\u{1b}[0m\n",
    ] {
        server.event(json!({ "type": "log", "task": id, "level": "info", "worker": "vm", "msg": msg }));
    }
    let cml = with_keys(Cml::alone(), &server);
    let ran = run(&cml, &server, &["clearml", "report", "--task", &id, "--log-lines", "50"]);
    let text = ran.ok();
    let log = "\n<details><summary>Last 4 lines of the log</summary>\n\n````text\nExecuting task id [1]:\nrepository = https://github.com/lab/ci\n\
               CLEARML_API_ACCESS_KEY=*** then *** and ***\n```done```\n````\n\n</details>\n";
    assert!(text.ends_with(log) && !text.contains("hunter2"), "{text}");
}

#[test]
fn five_hundred_and_one_tasks_are_two_pages() {
    let (server, _) = with_task(json!({ "status": "failed" }));
    for _ in 0..500 {
        server.task(json!({ "status": "failed", "script": { "version_num": HEAD } }));
    }
    let cml = with_keys(Cml::alone(), &server);
    let ran = run(&cml, &server, &["clearml", "find", "--commit", HEAD, "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["near_misses"].as_array().unwrap().len(), 501);
    assert_eq!(server.endpoints(), ["auth.login", "tasks.get_all", "tasks.get_all"]);
}

#[test]
fn waiting_ends_with_the_task_or_with_the_time() {
    let (server, id) = with_task(json!({ "status": "in_progress" }));
    let cml = with_keys(Cml::alone(), &server);
    let find = ["clearml", "find", "--commit", HEAD];
    let ran = run(&cml, &server, &[&find[..], &["--wait", "1s"]].concat());
    ran.fails(
        5,
        &format!("no completed ClearML task ran exactly {} in the time of --wait", &HEAD[..7]),
        &format!("nearest: dummy|task ({id}) is running"),
    );
    let ran = run(&cml, &server, &[&find[..], &["--wait", "1s", "--json"]].concat());
    assert!(ran.stdout.contains("\"kind\": \"timeout\""), "{ran:#?}");
    // The last look is after the pause.
    let seen = std::cell::Cell::new(0);
    server.before_each(move |tasks, endpoint| {
        seen.set(seen.get() + usize::from(endpoint == "tasks.get_all"));
        if seen.get() == 2 {
            tasks[0]["status"] = json!("completed");
        }
    });
    assert!(run(&cml, &server, &[&find[..], &["--wait", "2s"]].concat()).ok().starts_with(&id));
    // What has failed is not waited for.
    let (server, _) = with_task(json!({ "status": "failed" }));
    let cml = with_keys(cml, &server);
    let start = std::time::Instant::now();
    assert_eq!(run(&cml, &server, &[&find[..], &["--wait", "10m"]].concat()).code, Some(5));
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn credentials_come_from_variables_and_files() {
    let (server, id) = with_task(json!({}));
    let find = ["clearml", "find", "--commit", HEAD];
    let url = server.url();
    let file = format!(
        "api {{\n  web_server: \"https://app.example.org\"\n  api_server: {url}\n  credentials {{ \"access_key\" = \"{KEY}\", \"secret_key\": \"{SECRET}\" }}\n}}\n"
    );
    // The usual file, and one that a variable names.
    let cml = Cml::alone();
    cml.file("clearml.conf", &file);
    assert!(run(&cml, &server, &find).ok().contains("https://app.example.org/projects/"));
    let mut cml = Cml::alone();
    cml.file("clearml.conf", "api.credentials.access_key = wrong");
    cml.file("ci/x.conf", &file);
    cml.set("CLEARML_CONFIG_FILE", "~/ci/x.conf").set("CLEARML_API_ACCESS_KEY", "  ");
    assert!(run(&cml, &server, &find).ok().starts_with(&id));
    cml.set("CLEARML_CONFIG_FILE", "missing.conf");
    cml.run(&find).fails(3, "cannot read missing.conf, the file of CLEARML_CONFIG_FILE (*)", "correct its path, *");
    // The old spellings, below the new ones.
    let mut cml = Cml::alone();
    cml.set("TRAINS_API_HOST", &url).set("TRAINS_API_ACCESS_KEY", KEY).set("TRAINS_API_SECRET_KEY", SECRET);
    assert!(run(&cml, &server, &find).ok().starts_with(&id));
    // A token wins over keys, and is exchanged.
    cml.set("CLEARML_AUTH_TOKEN", TOKEN).set("CLEARML_API_ACCESS_KEY", "wrong");
    let before = server.calls().len();
    assert!(run(&cml, &server, &find).ok().starts_with(&id));
    assert_eq!(server.calls()[before].authorization, format!("Bearer {TOKEN}"));
}

#[test]
fn wrong_settings_say_what_to_do() {
    let (server, _) = with_task(json!({}));
    let find = ["clearml", "find", "--commit", HEAD];
    let fails = |settings: &[(&str, &str)], code: i32, error: &str, hint: &str| {
        let mut cml = with_keys(Cml::alone(), &server);
        for (name, value) in settings {
            cml.set(name, value);
        }
        run(&cml, &server, &find).fails(code, error, hint);
    };
    let before = server.calls().len();
    fails(&[("CLEARML_API_SECRET_KEY", "")], 4, "no ClearML credentials found", "set CLEARML_API_ACCESS_KEY and *");
    fails(
        &[("CLEARML_API_HOST", "http://192.0.2.1:8008")],
        3,
        "not sending ClearML credentials unencrypted to http://192.0.2.1:8008/",
        "use https, or pass --insecure-http in a network that you trust",
    );
    fails(
        &[("CLEARML_API_HOST", "https://app.clear.ml")],
        3,
        "CLEARML_API_HOST has the address of ClearML's web pages, https://app.clear.ml/",
        "set it to that of the API: https://api.clear.ml/",
    );
    fails(
        &[("CLEARML_API_HOST_VERIFY_CERT", "ca.pem")],
        3,
        "cannot use ca.pem, the file of CLEARML_API_HOST_VERIFY_CERT (*)",
        "",
    );
    assert_eq!(server.calls().len(), before, "none of that is sent");
    fails(
        &[("CLEARML_API_SECRET_KEY", "another-secret-1234567890")],
        4,
        "ClearML does not accept the credentials (message 401/22)",
        "check CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY; *",
    );
    server.fails("auth.login", 1, Wrong::Answered(Response::bytes(200, "text/html", "<!doctype html>")));
    fails(
        &[],
        3,
        "the answer (status 200) is not one of ClearML's API",
        "set CLEARML_API_HOST to the address of the API, *",
    );
    server.fails(
        "auth.login",
        1,
        Wrong::Answered(Response::json(200, &json!({ "meta": { "result_code": 200 }, "data": {} }))),
    );
    fails(&[], 3, "http://127.0.0.1:*/ did not answer a login with a token", "check CLEARML_API_HOST: *");
    server.api_version("2.2");
    fails(&[], 7, "the API of http://127.0.0.1:*/ has version 2.2", "update the ClearML server: *");
}

#[test]
fn certificates_are_checked_whatever_the_setting() {
    let (server, id) = with_task(json!({}));
    let mut cml = with_keys(Cml::alone(), &server);
    cml.set("CLEARML_API_HOST_VERIFY_CERT", "False");
    let ran = run(&cml, &server, &["clearml", "find", "--commit", HEAD]);
    assert!(
        ran.stderr.contains("warning: CLEARML_API_HOST_VERIFY_CERT turns the check of certificates off"),
        "{ran:#?}"
    );
    assert!(ran.ok().starts_with(&id));
    cml.file("ca.pem", "nonsense");
    cml.set("CLEARML_API_HOST_VERIFY_CERT", "ca.pem");
    run(&cml, &server, &["clearml", "find"]).fails(
        3,
        "cannot use ca.pem, the file of CLEARML_API_HOST_VERIFY_CERT (*)",
        "",
    );
}

#[test]
fn a_fork_without_secrets_has_nothing_to_do() {
    let (server, _) = with_task(json!({}));
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    let fork =
        json!({ "pull_request": { "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "stranger/model" } } } });
    cml.file("event.json", fork.to_string());
    cml.set("CLEARML_API_HOST", &server.url());
    for verb in ["find", "report"] {
        let ran = cml.run(&["clearml", verb]);
        assert!(ran.stderr.contains("pull requests from forks get no secrets: ClearML was not asked"), "{ran:#?}");
        assert_eq!(ran.ok(), "");
    }
    assert_eq!((server.calls().len(), forge.requests().len()), (0, 0));
}

#[test]
fn passing_faults_are_overcome_and_others_have_their_codes() {
    let (server, id) = with_task(json!({}));
    let cml = with_keys(Cml::alone(), &server);
    let find = ["clearml", "find", "--commit", HEAD];
    let unavailable = Wrong::Answered(Response::bytes(503, "text/html", "busy"));
    for (times, wrong) in
        [(3, unavailable), (1, Wrong::Refused(401, 31)), (1, Wrong::Dropped), (1, Wrong::Refused(500, 102))]
    {
        server.fails("tasks.get_all", times, wrong.clone());
        assert!(run(&cml, &server, &find).ok().starts_with(&id), "{wrong:?}");
    }
    let logins = |before: usize| server.endpoints()[before..].iter().filter(|name| *name == "auth.login").count();
    let before = server.calls().len();
    server.fails("tasks.get_all", 2, Wrong::Refused(401, 30));
    run(&cml, &server, &find).fails(
        4,
        "ClearML does not accept the token (message 401/30)",
        "create another CLEARML_AUTH_TOKEN, *",
    );
    assert_eq!(logins(before), 2, "the token is renewed once");
    for (code, subcode, exit) in [(403, 20, 4), (401, 1, 4), (400, 12, 70), (400, 121, 6), (404, 0, 7), (410, 1, 7)] {
        server.fails("tasks.get_all", 1, Wrong::Refused(code, subcode));
        assert_eq!(run(&cml, &server, &find).code, Some(exit), "{code}/{subcode}");
    }
    // A full disk does not pass.
    let before = server.calls().len();
    server.fails("tasks.get_all", 9, Wrong::Refused(500, 4));
    run(&cml, &server, &find).fails(
        9,
        "the disk of the ClearML server is full (message 500/4)",
        "free space on the server",
    );
    let tries = server.endpoints()[before..].iter().filter(|name| *name == "tasks.get_all").count();
    assert_eq!(tries, 1);
}

#[test]
fn a_short_token_is_renewed_before_it_ends() {
    let (server, id) = with_task(json!({ "status": "in_progress" }));
    server.lifetime(1);
    let cml = with_keys(Cml::alone(), &server);
    let ran = run(&cml, &server, &["clearml", "find", "--commit", HEAD, "--wait", "2s"]);
    assert!(ran.stderr.contains(&format!("({id}) is running")), "{ran:#?}");
    let logins = server.endpoints().iter().filter(|name| *name == "auth.login").count();
    assert!(logins >= 2, "{:?}", server.endpoints());
}

#[test]
fn a_redirect_to_another_server_gets_no_credentials() {
    let (server, _) = with_task(json!({}));
    let other = ClearMl::start();
    let moved = Response::empty(307).header("Location", format!("{}/auth.login", other.url()));
    server.fails("auth.login", 1, Wrong::Answered(moved));
    let cml = with_keys(Cml::alone(), &server);
    assert_eq!(run(&cml, &server, &["clearml", "find", "--commit", HEAD]).code, Some(3));
    assert_eq!(other.calls().len(), 0);
}
