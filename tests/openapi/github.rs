//! GitHub, and an Enterprise Server.

use super::fixture::{ApiFixture, Checked, runners_of};
use crate::support::fake::{Doing, Forge, HEAD, Phase, PullRequest, Run, Target, Vendor};
use crate::support::png;
use crate::support::prism::Prism;
use cml::connect::connect_runners;
use cml::forge::runners::NewRunner;
use cml::host::Platform;
use serde_json::{Value, json};
use std::sync::Arc;

const PULL: Target = Target::Pull(7);

fn of_push(name: &str, commit: &str, branch: &str) -> Option<ApiFixture> {
    Some(ApiFixture::new(Vendor::GitHub, name)?.pushed(commit, branch))
}

#[test]
fn a_comment_is_created_updated_and_found_among_others() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "comment") else { return };
    let comment = |verb: &str, text: &str| {
        fixture.cml.file("report.md", text);
        fixture.cml.run(&["comment", verb, "report.md"]).ok()
    };
    let made = comment("create", "first");
    for n in 0..150 {
        let answer = fixture.send("POST", "/issues/7/comments", &json!({ "body": format!("comment {n}") }));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(comment("update", "second"), made);
    assert_eq!(fixture.count("GET", "page=2"), 1);
    let bodies = fixture.bodies(&PULL);
    assert_eq!(bodies.len(), 151);
    assert!(bodies[0].starts_with("second\n"), "{}", bodies[0]);
}

#[test]
fn update_makes_the_comment_where_there_is_none_whatever_it_is_on() {
    for (n, target) in ["pr/7", "issue/3", &format!("commit/{HEAD}")].into_iter().enumerate() {
        let Some(fixture) = ApiFixture::new(Vendor::GitHub, &format!("update-{n}")) else { return };
        let update = |text: &str| {
            fixture.cml.file("report.md", text);
            fixture.cml.run(&["comment", "update", "--target", target, "report.md"]).ok()
        };
        assert_eq!(update("first"), update("second"), "{target}");
        let on = [PULL, Target::Issue(3), Target::Commit(HEAD.into())];
        assert_eq!(fixture.comments(&on[n]).len(), 1, "{target}");
    }
}

#[test]
fn images_are_published_once_to_the_hidden_ref() {
    publishes_once("hidden", &[], "refs/cml/assets", 2);
}

#[test]
fn images_are_published_once_to_a_branch() {
    publishes_once("branch", &["--publish-branch", "cml/of/main"], "refs/heads/cml/of/main", 5);
}

/// `files` is how many the ref shows at the end.
fn publishes_once(repository: &str, options: &[&str], name: &str, files: usize) {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, repository) else { return };
    let run = |images: std::ops::Range<u8>| {
        let line = |n: u8| {
            fixture.cml.file(&format!("{n}.png"), png(n));
            format!("![plot]({n}.png)\n\n")
        };
        fixture.cml.file("report.md", images.map(line).collect::<String>());
        fixture.cml.run(&[&["comment", "update", "report.md"], options].concat()).ok();
        let head = fixture.repo(|repo| repo.git.refs.get(name).cloned()).unwrap();
        let files = fixture.repo(|repo| repo.git.list(&repo.git.tree_of(&head).unwrap(), false)).len();
        (head, files, fixture.count("POST", "/git/blobs"))
    };
    let first = run(0..3);
    assert_eq!((first.1, first.2), (3, 3));
    assert_eq!(run(0..3), first, "nothing is published again");
    let more = run(1..5);
    assert_eq!((more.1, more.2), (files, 5));
    assert!(fixture.bodies(&PULL)[0].contains(&more.0));
}

#[test]
fn a_split_report_that_becomes_shorter_deletes_what_is_left_over() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "split") else { return };
    for (words, comments) in [(30_000, 3), (2, 1)] {
        fixture.cml.file("report.md", "words and\n\n".repeat(words / 2));
        fixture.cml.run(&["comment", "update", "--overflow", "split", "report.md"]).ok();
        assert_eq!(fixture.comments(&PULL).len(), comments);
    }
    assert_eq!(fixture.repo(|repo| repo.thread(&PULL).len()), 3);
}

#[test]
fn earlier_comments_are_deleted_or_hidden() {
    for on in ["pr/7", &format!("commit/{HEAD}")] {
        let Some(fixture) = ApiFixture::new(Vendor::GitHub, &on.replace('/', "-")) else { return };
        let target = if on == "pr/7" { PULL } else { Target::Commit(HEAD.into()) };
        for option in ["--hide-previous", "--delete-previous"] {
            fixture.cml.run(&["comment", "create", "--target", on, "report.md"]).ok();
            fixture.cml.run(&["comment", "create", "--target", on, option, "report.md"]).ok();
        }
        let all = fixture.repo(|repo| repo.thread(&target).into_iter().cloned().collect::<Vec<_>>());
        assert!(all[0].minimized.is_some());
        assert_eq!(all.iter().map(|comment| comment.deleted).collect::<Vec<_>>(), [true, true, true, false]);
    }
}

#[test]
fn the_pull_request_of_a_push_is_found_by_commit_and_by_branch() {
    let Some(fixture) = of_push("by-commit", HEAD, "feature") else { return };
    fixture.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!((fixture.comments(&PULL).len(), fixture.count("GET", "/pulls?per_page=100")), (1, 1));

    let commit = "1".repeat(40);
    let Some(fixture) = of_push("by-branch", &commit, "a/b c") else { return };
    fixture.repo(|repo| repo.add_pull(PullRequest::open(11, &commit, "a/b c")));
    fixture.fault("GET", "/commits/*/pulls", 200, &json!([])); // as GitHub does for a fork's commits
    fixture.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!((fixture.comments(&Target::Pull(11)).len(), fixture.count("GET", "head=octo%3Aa%2Fb+c")), (1, 1));

    let Some(fixture) = of_push("by-nothing", &commit, "main") else { return };
    fixture.repo(|repo| repo.commits.insert(commit.clone()));
    fixture.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    fixture.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(fixture.comments(&Target::Commit(commit)).len(), 1);
}

#[test]
fn a_check_is_made_completed_and_annotated() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "check") else { return };
    let remark = |n: u32| {
        format!("{{\"path\":\"a.py\",\"line\":{n},\"column\":2,\"end_column\":3,\"message\":\"m\",\"title\":\"t\"}}\n")
    };
    fixture.cml.file("notes.jsonl", (1..=120).map(remark).collect::<String>());
    fixture.cml.file("report.md", "ten chars\n\n".repeat(7000));
    let check = |args: &[&str]| fixture.cml.run(&[&["check", "create", "report.md"], args].concat());
    let first = check(&["--status", "in_progress", "--annotations", "notes.jsonl"]).ok();
    assert_eq!(check(&["--conclusion", "timed_out"]).ok(), first);
    let id = first.trim().rsplit('/').next().unwrap();
    check(&["--check-id", id, "--conclusion", "skipped"]).ok();
    let made = fixture.repo(|repo| repo.checks.clone());
    assert_eq!((made.len(), made[0].annotations.len(), made[0].conclusion.as_deref()), (1, 120, Some("skipped")));
    assert_eq!((fixture.count("POST", "/check-runs"), fixture.count("PATCH", &format!("/check-runs/{id}"))), (1, 4));
    check(&["--check-id", "4711"]).fails(5, "check 4711 not found in *", "*");
    let Some(mut fixture) = ApiFixture::new(Vendor::GitHub, "check-refused") else { return };
    fixture.cml.set("REPO_TOKEN", "readonly");
    let hint = "add to the job: permissions: { checks: write }";
    fixture.cml.run(&["check", "create", "report.md"]).fails(4, "the token is not allowed to do this *", hint);
}

#[test]
fn jobs_write_their_sections_of_one_comment() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "sections") else { return };
    for job in ["one", "two", "one"] {
        fixture.cml.file("report.md", format!("of job {job}"));
        fixture.cml.run(&["comment", "update", "--section", job, "report.md"]).ok();
    }
    let bodies = fixture.bodies(&PULL);
    assert_eq!(bodies.len(), 1);
    assert!(["one", "two"].iter().all(|job| bodies[0].contains(&format!("of job {job}"))), "{}", bodies[0]);
}

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    for (n, option) in ["--merge", "--rebase", "--squash"].into_iter().enumerate() {
        let Some(fixture) = ApiFixture::new(Vendor::GitHub, &format!("pull-{n}")) else { return };
        let fixture = fixture.cloned();
        fixture.cml.file("model.json", "2");
        let opened = fixture.cml.run(&["pr", "create", "model.json"]).ok();
        fixture.cml.file("model.json", "3");
        assert_eq!(fixture.cml.run(&["pr", "create", "model.json", option]).ok(), opened);
        assert_eq!((fixture.count("POST", "/pulls"), fixture.count("PUT", "/merge")), (1, 1));
        fixture.cml.run(&["pr", "create", "model.json", "--target-branch", "none"]).fails(
            5,
            "branch none not found*",
            "*",
        );
    }
}

#[test]
fn runs_are_cancelled_and_start_again() {
    for (name, phase, starts) in [
        ("run-running", Phase::Running, "rerun-failed-jobs"),
        ("run-failed", Phase::Failed, "rerun-failed-jobs"),
        ("run-passed", Phase::Passed, "rerun"),
    ] {
        let Some(fixture) = ApiFixture::new(Vendor::GitHub, name) else { return };
        fixture.repo(|repo| repo.runs.insert(5, Run::new(5, phase)));
        fixture.cml.run(&["workflow", "rerun", "--id", "5"]).ok();
        assert_eq!(fixture.repo(|repo| repo.runs[&5].starts.clone()), [starts]);
        assert_eq!(fixture.send("POST", "/actions/runs/5/rerun", &Value::Null).status, 403);
        fixture.repo(|repo| repo.runs.insert(6, Run::new(6, Phase::Passed)));
        assert_eq!(fixture.send("POST", "/actions/runs/6/cancel", &Value::Null).status, 409);
        fixture.cml.run(&["workflow", "rerun", "--id", "404"]).fails(5, "workflow run 404 not found*", "*");
    }
}

#[test]
fn a_doctor_asks_as_described_and_makes_nothing() {
    for (token, code) in [("good", 0), ("ghs_nocontents", 0), ("ghp_good", 0), ("ghs_readonly", 4)] {
        let Some(mut fixture) = ApiFixture::new(Vendor::GitHub, &format!("doctor-{}", token.replace('_', "-"))) else {
            return;
        };
        let before = fixture.repo(|repo| format!("{repo:?}"));
        let ran = fixture.cml.set("REPO_TOKEN", token).run(&["doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:#?}");
        assert_eq!(before, fixture.repo(|repo| format!("{repo:?}")));
    }
}

#[test]
fn jobs_that_were_lost_run_again() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "run-lost") else { return };
    let reason = Some("The self-hosted runner: cml-1 lost communication with the server.".to_owned());
    let run = Run { runner: "cml-1".into(), reason, ..Run::new(5, Phase::Failed) };
    fixture.repo(|repo| repo.runs.insert(5, run));
    fixture.cml.run(&["runner", "retry", "--run", "5"]).ok();
    assert_eq!(fixture.repo(|repo| repo.runs[&5].starts.clone()), ["rerun-failed-jobs"]);
}

/// Registers a runner, looks at it, and removes it, busy or not.
fn runs_a_runner(checked: &Checked, place: &str, group: Option<&str>) {
    let (library, global) = runners_of(checked, Vendor::GitHub, place);
    let platform = Platform { os: "linux".into(), arch: "aarch64".into() };
    let (name, labels, group) = (format!("cml-{place}"), vec!["gpu".to_owned()], group.map(str::to_owned));
    let new = NewRunner { name: name.clone(), labels, group, single: true, platform: platform.clone() };
    library.run(async {
        let connected = connect_runners(&library.app, &global).await.unwrap();
        let runners = connected.runners().unwrap();
        let made = runners.register(&new).await.unwrap();
        assert_eq!(runners.register(&new).await.unwrap_err().kind(), cml::error::Kind::Conflict);
        assert_eq!(runners.list(&new.labels).await.unwrap().len(), 1);
        checked.forge.set_runner(&name, Doing::Busy);
        assert_eq!(runners.get(&made.id).await.unwrap().unwrap().busy, Some(true));
        assert_eq!(runners.delete(&made.id).await.unwrap_err().kind(), cml::error::Kind::Conflict);
        checked.forge.set_runner(&name, Doing::Idle);
        runners.delete(&made.id).await.unwrap();
        assert!(runners.get(&made.id).await.unwrap().is_none());
        assert!(runners.package(&platform).await.unwrap().is_some());
    });
}

#[test]
fn runners_are_those_of_a_repository_or_an_organisation() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "runners") else { return };
    runs_a_runner(&fixture.checked, &fixture.slug, None);
    runs_a_runner(&fixture.checked, "octo", Some("Big GPUs"));
    // The checker takes the first two segments for a repository.
    let violations = fixture.checked.prism.violations("octo/actions");
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn an_old_enterprise_server_takes_the_same() {
    let forge = Forge::start();
    let Some(prism) = Prism::with(Vendor::GitHub, "ghes-3.17.json", &forge) else { return };
    let checked = Arc::new(Checked { prism, forge });
    let (pull, commit) = (ApiFixture::at(checked.clone(), Vendor::GitHub, "pull"), format!("commit/{HEAD}"));
    pull.cml.file("plot.png", png(1));
    for text in ["![plot](plot.png)", "other\n\n![plot](plot.png)", "![data](data.png)"] {
        pull.cml.file("data.png", png(2));
        pull.cml.file("report.md", text);
        pull.cml.run(&["comment", "update", "report.md"]).ok();
        pull.cml.run(&["comment", "update", "--target", &commit, "report.md"]).ok();
    }
    // Small files go up before it is known whether they are there.
    assert_eq!((pull.comments(&PULL).len(), pull.count("POST", "/git/blobs")), (1, 4));
    for option in ["--hide-previous", "--delete-previous"] {
        pull.cml.run(&["comment", "create", option, "report.md"]).ok();
        pull.cml.run(&["comment", "create", option, "--target", &commit, "report.md"]).ok();
    }
    let push = ApiFixture::at(checked, Vendor::GitHub, "push").pushed(&"1".repeat(40), "main");
    push.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    runs_a_runner(&push.checked, &push.slug, None);
}

#[test]
fn a_label_is_read_with_who_set_it() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "label") else { return };
    fixture.repo(|repo| repo.set_label(7, "metrics-accepted", "ada", true));
    fixture.cml.git(&["init", "-q"]);
    fixture.cml.file("best.json", "{\"accuracy\": 0.2}");
    fixture.cml.file("metrics.json", "{\"accuracy\": 0.1}");
    let gate = ["metrics", "gate", "metrics.json", "--baseline", "best.json", "--rule", "accuracy: higher"];
    let report = fixture.cml.run(&gate).ok();
    assert!(report.contains("ada accepted what is worse by the label metrics-accepted on 2026-01-02."), "{report}");
}
