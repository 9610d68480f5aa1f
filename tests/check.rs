//! `cml check create` on every forge, with the HTTP transcript of each in `snapshots/`.

use crate::support::fake::{CheckRun, Forge, HEAD, Kind, Proxy, Target, Vendor};
use crate::support::{Cml, VENDORS, png};
use serde_json::{Value, json};

const CREATE: &[&str] = &["check", "create", "report.md"];

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    (forge, cml)
}

fn runs(forge: &Forge) -> Vec<CheckRun> {
    forge.repo(Vendor::GitHub, "octo/model", |repo| repo.checks.clone())
}

/// GitLab's statuses: state and description.
fn statuses(forge: &Forge) -> Vec<(String, String)> {
    let statuses = forge.repo(Vendor::GitLab, "group/model", |repo| repo.statuses.clone());
    statuses.into_iter().map(|status| (status.state, status.description.unwrap_or_default())).collect()
}

/// Bitbucket's one report, how many annotations it has, and its build status.
fn insight(forge: &Forge) -> (Value, usize, Value) {
    forge.repo(Vendor::Bitbucket, "team/model", |repo| {
        assert!(repo.insights.len() == 1 && repo.builds.len() <= 1);
        let insight = repo.insights.values().next().unwrap();
        (insight.report.clone(), insight.annotations.len(), repo.builds.values().next().cloned().unwrap_or_default())
    })
}

/// The requests without the times in them.
fn transcript(forge: &Forge) -> String {
    let time = |line: &str| match line.split_once("ed_at\": \"") {
        Some((before, _)) => format!("{before}ed_at\": \"TIME\",\n"),
        None => format!("{line}\n"),
    };
    forge.transcript().lines().map(time).collect()
}

/// Lines of JSON with so many annotations.
fn remarks(n: usize) -> String {
    (1..=n)
        .map(|n| format!("{}\n", json!({ "path": "train.py", "line": n, "message": format!("remark {n}") })))
        .collect()
}

#[test]
fn a_report_becomes_a_check_on_every_forge() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        cml.file("out.env", "");
        cml.set("CML_DOTENV", "out.env")
            .set("CI_JOB_URL", "https://gitlab.example/job/99")
            .set("CI_PIPELINE_ID", "500");
        let lines = [
            json!({ "path": "train.py", "line": 3, "column": 2, "end_column": 5, "message": "unused", "title": "F401" }),
            json!({ "path": "eval.py", "line": 1, "end_line": 2, "message": "slow", "level": "error" }),
        ];
        cml.file("notes.jsonl", lines.map(|line| format!("{line}\n")).concat());
        let printed = cml
            .run(&[
                "check",
                "create",
                "report.md",
                "--annotations=notes.jsonl",
                "--data=Accuracy=99.5%",
                "--data",
                "Epochs=3",
            ])
            .ok();
        assert_eq!(printed.lines().count(), 1, "nothing else on stdout");
        assert!(printed.starts_with(forge.url()), "{printed}");
        assert!(cml.read("out.env").contains(&format!("CHECK_URL={printed}")), "{}", cml.read("out.env"));
        insta::assert_snapshot!(format!("check_{vendor:?}"), transcript(&forge));
    }
}

#[test]
fn conclusions_are_said_in_each_forges_words() {
    for (conclusion, gitlab, result, build) in [
        ("success", "success", "PASSED", "SUCCESSFUL"),
        ("failure", "failed", "FAILED", "FAILED"),
        ("neutral", "success", "PASSED", "SUCCESSFUL"),
        ("cancelled", "canceled", "FAILED", "STOPPED"),
        ("skipped", "skipped", "PASSED", "SUCCESSFUL"),
        ("timed_out", "failed", "FAILED", "FAILED"),
    ] {
        let made = |vendor| {
            let (forge, cml) = start(vendor);
            cml.run(&[CREATE, &["--conclusion", conclusion]].concat()).ok();
            forge
        };
        let run = runs(&made(Vendor::GitHub)).remove(0);
        assert_eq!((run.status.as_str(), run.conclusion.as_deref()), ("completed", Some(conclusion)));
        assert_eq!(statuses(&made(Vendor::GitLab))[0].0, gitlab);
        let (report, _, status) = insight(&made(Vendor::Bitbucket));
        assert_eq!((&report["result"], &status["state"]), (&json!(result), &json!(build)));
    }
}

#[test]
fn a_check_in_progress_is_completed_and_not_made_again() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        // CML's default conclusion would complete it at once.
        let first = cml.run(&[CREATE, &["--status", "queued"]].concat()).ok();
        cml.run(&[CREATE, &["--status", "in_progress"]].concat()).ok();
        cml.run(&[CREATE, &["--status", "in_progress"]].concat()).ok();
        match vendor {
            Vendor::GitHub => {
                assert_eq!((runs(&forge)[0].status.as_str(), &runs(&forge)[0].conclusion), ("in_progress", &None))
            }
            Vendor::GitLab => assert_eq!(statuses(&forge)[0].0, "running"),
            Vendor::Bitbucket => assert_eq!(insight(&forge).0["result"], "PENDING"),
        }
        let last = cml.run(&[CREATE, &["--conclusion", "failure"]].concat()).ok();
        assert_eq!(first, last, "{vendor:?}");
        match vendor {
            Vendor::GitHub => {
                let found = runs(&forge);
                assert_eq!((found.len(), found[0].conclusion.as_deref()), (1, Some("failure")));
                // A check that has ended is not touched any more.
                assert_ne!(cml.run(CREATE).ok(), last);
            }
            Vendor::GitLab => assert_eq!(statuses(&forge).iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["failed"]),
            Vendor::Bitbucket => assert_eq!(insight(&forge).0["result"], "FAILED"),
        }
    }
}

#[test]
fn a_job_of_the_same_name_is_left_alone_and_an_id_is_obeyed() {
    let (forge, mut cml) = start(Vendor::GitHub);
    cml.file("out.env", "");
    cml.set("CML_DOTENV", "out.env");
    cml.run(&[CREATE, &["--status", "in_progress", "--title", "one"]].concat()).ok();
    let id = runs(&forge)[0].id.to_string();
    assert_eq!(cml.read("out.env"), format!("CHECK_URL={}/octo/model/runs/{id}\nCHECK_ID={id}\n", forge.url()));
    forge.repo(Vendor::GitHub, "octo/model", |repo| {
        let job = CheckRun {
            id: 900_000,
            name: "CML Report".into(),
            external_id: Some("uuid".into()),
            ..repo.checks[0].clone()
        };
        repo.checks.push(job);
    });
    cml.run(CREATE).ok();
    assert_eq!(
        runs(&forge).iter().map(|run| run.status.as_str()).collect::<Vec<_>>(),
        ["in_progress", "in_progress", "completed"]
    );
    cml.run(&[CREATE, &["--check-id", &id, "--title", "renamed"]].concat()).ok();
    assert_eq!((runs(&forge)[0].name.as_str(), runs(&forge)[0].status.as_str()), ("renamed", "completed"));
    forge.clear_requests();
    let hint =
        "set --check-id to the output check-id of the step that created it, or omit it to find the check by its title";
    cml.run(&[CREATE, &["--check-id", "4711"]].concat()).fails(5, "check 4711 not found in octo/model", hint);
    cml.run(&[CREATE, &["--check-id", "../x"]].concat()).fails(5, "check ../x not found in octo/model", hint);
    assert_eq!(forge.requests().len(), 1, "{}", forge.transcript());
}

#[test]
fn long_reports_and_many_annotations_keep_to_the_limits() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.file("report.md", "# Long\n\n".to_owned() + &"ten chars\n\n".repeat(70_000 / 11));
        cml.file("notes.jsonl", remarks(120));
        cml.run(&[CREATE, &["--annotations", "notes.jsonl"]].concat()).ok();
        match vendor {
            Vendor::GitHub => {
                let run = runs(&forge).remove(0);
                let (summary, text) = (run.summary.unwrap(), run.text.unwrap());
                assert!(summary.starts_with("# Long") && summary.len() > 60_000 && text.len() > 4000, "{}", text.len());
                let lines: Vec<u64> = run.annotations.iter().map(|a| a["start_line"].as_u64().unwrap()).collect();
                assert_eq!(lines, (1..=120).collect::<Vec<_>>());
            }
            Vendor::GitLab => assert!(statuses(&forge)[0].1.ends_with('…')),
            Vendor::Bitbucket => assert_eq!(insight(&forge).1, 120),
        }
    }
    let (forge, cml) = start(Vendor::GitHub);
    cml.file("report.md", "ten chars\n\n".repeat(20_000));
    cml.run(CREATE).ok();
    let run = runs(&forge).remove(0);
    let text = run.text.unwrap();
    assert!(run.summary.unwrap().len() > 60_000 && text.len() > 60_000 && text.len() <= 65_535);
    assert!(text.contains("*The report was cut here.* [Read the whole report](http"), "{}", &text[text.len() - 200..]);
}

#[test]
fn annotations_of_an_earlier_run_do_not_stay_on_bitbucket() {
    let (forge, cml) = start(Vendor::Bitbucket);
    for (n, there) in [(1100, 1000), (2, 2)] {
        cml.file("notes.jsonl", remarks(n));
        cml.run(&[CREATE, &["--annotations", "notes.jsonl"]].concat()).ok();
        assert_eq!(insight(&forge).1, there);
    }
}

#[test]
fn a_lost_answer_makes_no_second_check_and_no_second_annotation() {
    for (vendor, fault) in [
        (Vendor::GitHub, "POST /github/repos/octo/model/check-runs"),
        (Vendor::GitHub, "PATCH /github/repos/octo/model/check-runs/*"),
        (Vendor::GitLab, "POST /gitlab/api/v4/projects/group%2Fmodel/statuses/*"),
        (Vendor::Bitbucket, "PUT /bitbucket/2.0/repositories/team/model/commit/*"),
        (Vendor::Bitbucket, "POST /bitbucket/2.0/repositories/team/model/commit/*"),
    ] {
        for kind in [Kind::DropAfter, Kind::DropBefore, Kind::answer_after(502, &[], "<h1>502</h1>")] {
            let (forge, cml) = start(vendor);
            cml.file("notes.jsonl", remarks(70));
            forge.fault(fault, 1, kind);
            cml.run(&[CREATE, &["--annotations", "notes.jsonl"]].concat()).ok();
            assert_eq!(forge.unused_faults(), [""; 0], "{fault}");
            match vendor {
                Vendor::GitHub => {
                    assert_eq!((runs(&forge).len(), runs(&forge)[0].annotations.len()), (1, 70), "{fault}")
                }
                Vendor::GitLab => assert_eq!(statuses(&forge).len(), 1),
                Vendor::Bitbucket => assert_eq!(insight(&forge).1, 70),
            }
        }
    }
}

#[test]
fn images_are_published_where_the_report_shows_them() {
    let (forge, cml) = start(Vendor::GitHub);
    cml.file("plot.png", png(1));
    cml.file("report.md", "![plot](plot.png)");
    cml.run(CREATE).ok();
    assert!(runs(&forge)[0].summary.as_ref().unwrap().contains("/octo/model/raw/"));
    let (forge, cml) = start(Vendor::GitLab);
    cml.file("plot.png", png(1));
    cml.file("report.md", "![plot](plot.png)");
    cml.run(CREATE).ok();
    assert!(forge.files(Vendor::GitLab).is_empty(), "a status shows no images");
    cml.run(&[CREATE, &["--comment"]].concat()).ok();
    assert_eq!(forge.files(Vendor::GitLab).len(), 1);
    let (forge, cml) = start(Vendor::Bitbucket);
    cml.file("report.md", "![plot](plot.png)");
    cml.run(CREATE).ok();
    assert_eq!(insight(&forge).0["details"], "CML Report", "there is a text, whatever the report has");
}

#[test]
fn the_report_is_also_a_comment_when_asked_for() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.run(&["comment", "create", "report.md"]).ok();
        for text in ["one", "two"] {
            cml.file("report.md", text);
            cml.run(&[CREATE, &["--comment", "--data", "a=1"]].concat()).ok();
        }
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert_eq!(comments.len(), 2, "the check has a comment of its own");
        assert!(comments[0].body.contains("Accuracy") && comments[1].body.contains("| a | 1 |\n\ntwo"), "{comments:?}");
        assert!(comments[1].body.contains("CML watermark check CML Report"));
        cml.run(&[CREATE, &["--comment", "--commit-sha", HEAD]].concat()).ok();
        assert_eq!(forge.live_comments(vendor, &Target::Commit(HEAD.into())).len(), 1);
    }
}

#[test]
fn gitlab_takes_another_pipelines_commit_and_a_skip_of_what_runs() {
    let (forge, mut cml) = start(Vendor::GitLab);
    let merged = "2222222222222222222222222222222222222222";
    cml.set("CI_PIPELINE_ID", "77").set("CI_COMMIT_REF_NAME", "feature");
    cml.run(CREATE).ok();
    cml.set("CI_COMMIT_SHA", merged).set("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", HEAD);
    cml.run(CREATE).ok();
    let found = forge.repo(Vendor::GitLab, "group/model", |repo| repo.statuses.clone());
    assert_eq!(
        found.iter().map(|s| (s.pipeline, s.branch.as_deref())).collect::<Vec<_>>(),
        [(None, None), (None, Some("feature"))]
    );
    cml.run(&[CREATE, &["--status", "in_progress", "--title", "t"]].concat()).ok();
    let ran = cml.run(&[CREATE, &["--conclusion", "skipped", "--title", "t"]].concat());
    assert!(ran.stderr.contains("GitLab cannot skip a status that is running; it was set to success"), "{ran:?}");
    assert_eq!(
        statuses(&forge).last().unwrap(),
        &("success".to_owned(), "skipped: Report · Accuracy: 0.99".to_owned())
    );
}

#[test]
fn a_pipeline_of_bitbucket_needs_no_token() {
    let (forge, mut cml) = start(Vendor::Bitbucket);
    let proxy = Proxy::start_signing();
    cml.unset("REPO_TOKEN").set("CML_BITBUCKET_PROXY", &proxy.url());
    cml.file("notes.jsonl", remarks(1));
    let ran = cml.run(&[CREATE, &["--annotations", "notes.jsonl"]].concat());
    assert!(ran.stderr.contains("no build status without a token, except the pipeline's own"), "{ran:?}");
    ran.ok();
    let (report, annotations, build) = insight(&forge);
    assert_eq!((&report["result"], annotations, build), (&json!("PASSED"), 1, Value::Null));
    assert_eq!(proxy.targets().len(), 3, "{:?}", proxy.targets());
    let hint = "save a repository access token with the scope repository:write as the secured variable REPO_TOKEN";
    cml.set("CML_BITBUCKET_PROXY", "http://127.0.0.1:1");
    cml.run(CREATE).fails(9, "the pipeline's proxy did not create the check: cannot connect to *", hint);
    cml.unset("BITBUCKET_PIPELINE_UUID");
    cml.run(CREATE).fails(4, "no token found for Bitbucket", "*");
    // With a token the proxy is not asked.
    let asked = proxy.targets().len();
    cml.set("REPO_TOKEN", "good").set("BITBUCKET_PIPELINE_UUID", "train").run(CREATE).ok();
    assert_eq!(proxy.targets().len(), asked);
}

#[test]
fn refusals_say_what_to_do() {
    let (forge, mut cml) = start(Vendor::GitHub);
    let pat = "use the job's own token, env: { REPO_TOKEN: \"${{ secrets.GITHUB_TOKEN }}\" } with permissions: { checks: write }, or that of a GitHub App";
    for says in ["You must authenticate via a GitHub App.", "Resource not accessible by personal access token"] {
        let headers = [("x-accepted-github-permissions", "checks=write")];
        let body = json!({ "message": says }).to_string();
        forge.fault("POST /github/repos/octo/model/check-runs", 1, Kind::answer(403, &headers, &body));
        cml.run(CREATE).fails(4, &format!("personal access tokens cannot create checks (GitHub says: {says})"), pat);
    }
    cml.set("REPO_TOKEN", "readonly");
    cml.run(CREATE).fails(4, "the token is not allowed to do this *", "add to the job: permissions: { checks: write }");
    let (forge, mut cml) = start(Vendor::GitLab);
    let scope = "to create checks the token needs the scope api";
    cml.set("REPO_TOKEN", "readonly").run(CREATE).fails(4, "the token is not allowed to do this *", scope);
    let role = "to create checks the token's user needs at least the role Developer in the project, Maintainer on a protected branch, *";
    forge.fault("POST /gitlab/", 1, Kind::answer(403, &[], r#"{"message":"403 Forbidden"}"#));
    cml.set("REPO_TOKEN", "good").run(CREATE).fails(4, "GitLab answered 403: 403 Forbidden", role);
    cml.unset("REPO_TOKEN").set("CI_JOB_TOKEN", "good");
    let token = "create a project access token with the role Developer and the scope api, *";
    cml.run(CREATE).fails(4, "the job's own token (CI_JOB_TOKEN) is not allowed to do this *", token);
    let (_forge, mut cml) = start(Vendor::Bitbucket);
    cml.set("REPO_TOKEN", "readonly").run(CREATE).fails(
        4,
        "the token is not allowed to do this *",
        "the token lacks a scope: *",
    );
    for vendor in VENDORS {
        let (_forge, cml) = start(vendor);
        let ran = cml.run(&[CREATE, &["--commit-sha", "3333333333333333333333333333333333333333"]].concat());
        assert_eq!(ran.code, Some(5), "{vendor:?} {ran:#?}");
    }
}

#[test]
fn bad_input_costs_no_request() {
    let (forge, cml) = start(Vendor::GitHub);
    let fails =
        |args: &[&str], code: i32, error: &str, hint: &str| cml.run(&[CREATE, args].concat()).fails(code, error, hint);
    let form = "use SARIF 2.1.0, or one JSON object per line such as {\"path\": \"a.py\", \"line\": 3, \"message\": \"…\", \"level\": \"warning\"}";
    cml.file("bad.jsonl", "{\"path\":\"a\",\"line\":1,\"message\":\"m\"}\n{\"path\":\"a\"}\n");
    fails(&["--annotations=bad.jsonl"], 3, "cannot read the annotations bad.jsonl: line 2: message is missing", form);
    cml.file("bad.sarif", "{\n \"version\": \"2.1.0\",\n \"runs\": [\n");
    fails(&["--annotations=bad.sarif"], 3, "cannot read the annotations bad.sarif: line *: not JSON *", form);
    cml.file("old.sarif", "{\"version\": \"1.0.0\", \"runs\": []}");
    fails(
        &["--annotations=old.sarif"],
        3,
        "cannot read the annotations old.sarif: SARIF 1.0.0 is not supported*",
        form,
    );
    fails(
        &["--annotations=none"],
        3,
        "cannot read the annotations none (*",
        "check the path: it is relative to the current directory",
    );
    cml.file("latin", b"\xe9");
    let python = "write it as UTF-8, in Python: open(path, \"w\", encoding=\"utf-8\")";
    fails(&["--annotations=latin"], 3, "the annotations file latin is not UTF-8 (line 1)", python);
    fails(&["--title="], 2, "--title is empty", "omit it to use the default title, CML Report");
    fails(&["--commit-sha=a/b"], 2, "'a/b' is not a commit", "pass a full SHA, or a name that git can resolve");
    for wrong in ["--conclusion=good", "--status=done", "--data=x", "--data==1"] {
        let ran = cml.run(&[CREATE, &[wrong]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{wrong}");
    }
    cml.run(&["check", "create", "none.md"]).fails(3, "cannot read the report none.md *", "*");
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

#[test]
fn sarif_becomes_annotations_of_the_repositorys_files() {
    let (forge, cml) = start(Vendor::GitHub);
    let place = |uri: String| json!([{ "physicalLocation": { "artifactLocation": { "uri": uri }, "region": { "startLine": 4 } } }]);
    let inside = format!("file://{}/src/train%20me.py", cml.path().canonicalize().unwrap().display());
    let results = [inside, "src/b.py".into(), "file:///usr/lib/x.py".into()]
        .map(|uri| json!({ "ruleId": "E1", "level": "error", "message": { "text": "m" }, "locations": place(uri) }));
    cml.file("a.sarif", json!({ "version": "2.1.0", "runs": [{ "results": results }] }).to_string());
    let ran = cml.run(&[CREATE, &["--annotations=a.sarif"]].concat());
    assert!(ran.stderr.contains("skipped 1 annotation in a.sarif: not in a file of the repository"), "{ran:?}");
    let found = runs(&forge).remove(0).annotations;
    assert_eq!(found.iter().map(|a| a["path"].as_str().unwrap()).collect::<Vec<_>>(), ["src/train me.py", "src/b.py"]);
    assert_eq!(found[0]["annotation_level"], "failure");
}

#[test]
fn github_counts_the_bytes_of_a_check() {
    let (forge, cml) = start(Vendor::GitHub);
    let rows: String = (0..2600).map(|n| format!("| train step {n} | ✅ |\n")).collect();
    cml.file("report.md", format!("| test | ok |\n|---|---|\n{rows}"));
    cml.run(CREATE).ok();
    let run = runs(&forge).remove(0);
    let (summary, text) = (run.summary.unwrap(), run.text.unwrap());
    assert!(summary.len() <= 65_535 && summary.len() > 60_000 && text.len() <= 65_535, "{}", summary.len());
    assert!((0..2600).all(|n| format!("{summary}{text}").contains(&format!("| train step {n} | ✅ |"))));
}

#[test]
fn figures_and_annotations_mention_nobody() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        cml.file(
            "a.jsonl",
            r#"{"path": "a.py", "line": 1, "message": "ask @all", "title": "by @octocat", "level": "warning"}"#,
        );
        cml.run(&["check", "create", "--comment", "--data", "by=@all", "--annotations", "a.jsonl", "report.md"]).ok();
        let body = forge.live_comments(vendor, &Target::Pull(7)).remove(0).body;
        assert!(body.contains("| by | @\u{200b}all |"), "{vendor:?}: {body}");
        let sent: String =
            forge.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
        assert!(!sent.contains("ask @all") && !sent.contains("by @octocat"), "{vendor:?}: {sent}");
    }
}
