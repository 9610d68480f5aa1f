//! Bitbucket Cloud.

use super::fixture::{ApiFixture, runners_of};
use crate::support::fake::{Doing, HEAD, Kind, Phase, Proxy, PullRequest, Run, Target, Vendor};
use crate::support::png;
use cml::connect::connect_runners;
use cml::forge::runners::NewRunner;
use cml::host::Platform;
use serde_json::json;

const PULL: Target = Target::Pull(7);

fn fixture(name: &str) -> Option<ApiFixture> {
    ApiFixture::new(Vendor::Bitbucket, name)
}

fn comment(fixture: &ApiFixture, verb: &str, target: &str, text: &str) -> String {
    fixture.cml.file("report.md", text);
    fixture.cml.run(&["comment", verb, "--target", target, "report.md"]).ok()
}

#[test]
fn a_comment_is_created_updated_and_found_among_others() {
    let Some(fixture) = fixture("comment") else { return };
    let made = comment(&fixture, "create", "pr", "first");
    for n in 0..70 {
        let body = json!({ "content": { "raw": format!("comment {n}") } });
        let answer = fixture.send("POST", "/pullrequests/7/comments", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(comment(&fixture, "update", "pr", "second"), made);
    assert_eq!(fixture.count("GET", "&page=2&sort=-created_on"), 1);
    let bodies = fixture.bodies(&PULL);
    assert!(bodies.len() == 71 && bodies[0].starts_with("second\n"), "{}", bodies[0]);
}

#[test]
fn update_makes_the_comment_where_there_is_none_whatever_it_is_on() {
    for (n, target) in ["pr/7", "issue/3", &format!("commit/{HEAD}")].into_iter().enumerate() {
        let Some(fixture) = fixture(&format!("update-{n}")) else { return };
        assert_eq!(
            comment(&fixture, "update", target, "first"),
            comment(&fixture, "update", target, "second"),
            "{target}"
        );
        let on = [PULL, Target::Issue(3), Target::Commit(HEAD.into())];
        assert_eq!(fixture.comments(&on[n]).len(), 1, "{target}");
    }
}

#[test]
fn a_split_report_that_becomes_shorter_deletes_what_is_left_over() {
    for target in ["pr/7".to_owned(), format!("commit/{HEAD}")] {
        let Some(fixture) = fixture(&format!("split-{}", &target[..2])) else { return };
        for (words, comments) in [(14_000, 3), (2, 1)] {
            fixture.cml.file("report.md", "words and\n\n".repeat(words / 2));
            let options = ["comment", "update", "--overflow", "split", "--target", &target, "report.md"];
            fixture.cml.run(&options).ok();
            let on = if target == "pr/7" { PULL } else { Target::Commit(HEAD.into()) };
            assert_eq!(fixture.comments(&on).len(), comments);
        }
        fixture.cml.run(&["comment", "create", "--delete-previous", "--target", &target, "report.md"]).ok();
    }
}

#[test]
fn images_are_published_to_the_downloads() {
    let Some(fixture) = fixture("images") else { return };
    for seed in [200, 201, 200] {
        let image = png(seed);
        fixture.cml.file("plot.png", &image);
        comment(&fixture, "update", "pr", "![plot](plot.png)");
        // The checker takes texts only: what comes out behind it is what went in.
        assert!(fixture.repo(|repo| repo.files.iter().any(|file| file.body == image)));
        assert!(fixture.bodies(&PULL)[0].contains(&format!("/{}/downloads/cml-", fixture.slug)));
    }
    assert_eq!(fixture.repo(|repo| repo.files.len()), 2);
}

#[test]
fn the_pull_request_of_a_push_is_found_by_its_branch() {
    let commit = "1".repeat(40);
    let Some(fixture) = fixture("by-branch") else { return };
    let fixture = fixture.pushed(&commit, "a/b c");
    fixture.repo(|repo| {
        repo.commits.insert(commit.clone());
        repo.add_pull(PullRequest::open(11, &commit, "a/b c"));
    });
    fixture.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(fixture.comments(&Target::Pull(11)).len(), 1);
    let mut fixture = fixture.pushed(&commit, "main");
    fixture.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    fixture.cml.unset("BITBUCKET_BRANCH").run(&["comment", "create", "report.md"]).ok();
}

#[test]
fn a_check_is_a_report_with_annotations_and_a_build_status() {
    let Some(fixture) = fixture("check") else { return };
    let long = "m".repeat(600);
    let remark = |n: u32| format!("{{\"path\":\"a.py\",\"line\":{n},\"message\":\"{long}\",\"title\":\"t\"}}\n");
    fixture.cml.file("notes.jsonl", (1..=120).map(remark).collect::<String>());
    fixture.cml.file("report.md", "ten chars\n\n".repeat(300));
    let figures = ["a=0.5", "b=12%", "c=true", "d=text", "e=https://example.org/x", "f=.5", "g=150%", "h=+1"];
    let figures: Vec<&str> = figures.into_iter().flat_map(|figure| ["--data", figure]).collect();
    for (state, result, build) in [
        (["--status", "in_progress"], "PENDING", "INPROGRESS"),
        (["--conclusion", "success"], "PASSED", "SUCCESSFUL"),
        (["--conclusion", "timed_out"], "FAILED", "FAILED"),
        (["--conclusion", "cancelled"], "FAILED", "STOPPED"),
    ] {
        let options = ["check", "create", "report.md", "--annotations", "notes.jsonl"];
        fixture.cml.run(&[&options[..], &figures, &state].concat()).ok();
        let (reports, builds) = fixture.repo(|repo| (repo.insights.clone(), repo.builds.clone()));
        let (report, status) = (reports.values().next().unwrap(), builds.values().next().unwrap());
        assert_eq!((reports.len(), builds.len(), report.annotations.len()), (1, 1, 120));
        assert_eq!((report.report["result"].as_str(), status["state"].as_str()), (Some(result), Some(build)));
    }
}

#[test]
fn the_proxy_of_a_pipeline_makes_the_same_without_a_token() {
    let Some(mut fixture) = fixture("proxy") else { return };
    let proxy = Proxy::start_signing();
    fixture.cml.unset("REPO_TOKEN").set("CML_BITBUCKET_PROXY", &proxy.url());
    fixture.cml.file("notes.jsonl", "{\"path\":\"a.py\",\"line\":1,\"message\":\"m\"}\n");
    fixture.cml.run(&["check", "create", "report.md", "--annotations", "notes.jsonl"]).ok();
    let ran = fixture.cml.run(&["doctor"]);
    assert!(ran.stdout.contains("answers: checks need no token"), "{ran:#?}");
    let (reports, end) = (fixture.count("GET", "/reports?pagelen=1"), fixture.count("POST", "/annotations"));
    assert_eq!((reports, end), (1, 1));
}

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    for (option, strategy) in [("--merge", "merge_commit"), ("--rebase", "fast_forward"), ("--squash", "squash")] {
        let Some(fixture) = fixture(&format!("pull{option}")) else { return };
        let fixture = fixture.cloned();
        fixture.cml.file("model.json", "2");
        let opened = fixture.cml.run(&["pr", "create", "model.json"]).ok();
        fixture.cml.file("model.json", "3");
        assert_eq!(fixture.cml.run(&["pr", "create", "model.json", option]).ok(), opened);
        assert_eq!((fixture.count("POST", "/pullrequests"), fixture.count("POST", "/merge")), (1, 1));
        let merged =
            fixture.repo(|repo| repo.pulls.values().filter_map(|pull| pull.auto_merge.clone()).collect::<Vec<_>>());
        assert_eq!(merged, [strategy]);
        let none = ["pr", "create", "model.json", "--target-branch", "none"];
        fixture.cml.run(&none).fails(5, "branch none not found*", "*");
    }
}

#[test]
fn a_pull_request_without_commits_is_refused() {
    let Some(fixture) = fixture("pull-empty") else { return };
    let fixture = fixture.cloned();
    let says = json!({ "type": "error", "error": { "message": "There are no changes to be pulled" } });
    fixture.fault("POST", "/pullrequests", 400, &says);
    fixture.cml.file("model.json", "2");
    let hint = "there is nothing to merge: pass other files, or another --target-branch";
    fixture.cml.run(&["pr", "create", "model.json"]).fails(
        6,
        "main-cml-pr-* has no commits that main does not have",
        hint,
    );
}

#[test]
fn a_merge_that_takes_long_is_followed() {
    let Some(fixture) = fixture("pull-long") else { return };
    let fixture = fixture.cloned();
    let place = format!("/bitbucket/2.0/repositories/{}/pullrequests/*/merge", fixture.slug);
    let task = format!("{}{}/task-status/x-1", fixture.checked.forge.url(), place.replace('*', "8"));
    let forge = &fixture.checked.forge;
    forge.fault(&format!("POST {place}"), 1, Kind::answer(202, &[("Location", &task)], ""));
    let links = json!({ "self": { "href": task } });
    for state in ["PENDING", "SUCCESS"] {
        let answer = json!({ "task_status": state, "links": links }).to_string();
        forge.fault(&format!("GET {place}/task-status/x-1"), 1, Kind::answer(200, &[], &answer));
    }
    fixture.cml.file("model.json", "2");
    fixture.cml.run(&["pr", "create", "model.json", "--squash"]).ok();
    assert_eq!(fixture.count("GET", "/merge/task-status/x-1"), 2);
}

#[test]
fn a_pipeline_starts_again() {
    let pull = json!({ "type": "pipeline_pullrequest_target", "source": "feature", "destination": "main",
        "commit": { "type": "commit", "hash": HEAD }, "pullrequest": { "type": "pullrequest", "id": 7, "title": "t" },
        "selector": { "type": "pull-requests", "pattern": "**" } });
    let plain = Run::new(5, Phase::Failed);
    let variables = vec![("KEY".to_owned(), Some("value".to_owned())), ("SECRET".to_owned(), None)];
    for (n, run) in
        [Run { target: pull, ..plain.clone() }, Run { variables, ..plain.clone() }, plain].into_iter().enumerate()
    {
        let Some(fixture) = fixture(&format!("rerun-{n}")) else { return };
        let uuid = run.uuid();
        fixture.repo(|repo| repo.runs.insert(5, run));
        for id in ["5", &uuid] {
            fixture.cml.run(&["workflow", "rerun", "--id", id]).ok();
        }
        assert_eq!(fixture.repo(|repo| repo.runs.len()), 3);
        fixture.cml.run(&["workflow", "rerun", "--id", "404"]).fails(5, "pipeline 404 not found*", "*");
    }
}

#[test]
fn jobs_write_their_sections_of_one_comment() {
    let Some(fixture) = fixture("sections") else { return };
    for job in ["one", "two", "one"] {
        fixture.cml.file("report.md", format!("of job {job}"));
        fixture.cml.run(&["comment", "update", "--section", job, "report.md"]).ok();
    }
    let bodies = fixture.bodies(&PULL);
    assert!(bodies.len() == 1 && ["one", "two"].iter().all(|job| bodies[0].contains(&format!("of job {job}"))));
}

#[test]
fn a_doctor_asks_as_described_and_makes_nothing() {
    // A repository of the token's name would have a secret in its address.
    for (name, token, code) in [("full", "good", 0), ("person", "me@example.org:good", 0), ("reader", "readonly", 4)] {
        let Some(mut fixture) = fixture(&format!("doctor-{name}")) else { return };
        let before = fixture.repo(|repo| format!("{repo:?}"));
        let ran = fixture.cml.set("REPO_TOKEN", token).run(&["doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:#?}");
        assert_eq!(before, fixture.repo(|repo| format!("{repo:?}")));
    }
}

#[test]
fn runners_are_those_of_a_repository_or_a_workspace() {
    let Some(fixture) = fixture("runners") else { return };
    for place in [fixture.slug.as_str(), "team"] {
        let (library, global) = runners_of(&fixture.checked, Vendor::Bitbucket, place);
        let platform = Platform { os: "linux".into(), arch: "x86_64".into() };
        let name = format!("cml-{place}");
        let new = NewRunner {
            name: name.clone(),
            labels: vec!["gpu".into(), "of.openapi".into()],
            group: None,
            single: true,
            platform,
        };
        library.run(async {
            let connected = connect_runners(&library.app, &global).await.unwrap();
            let runners = connected.runners().unwrap();
            let made = runners.register(&new).await.unwrap();
            assert!(!runners.get(&made.id).await.unwrap().unwrap().online);
            fixture.checked.forge.set_runner(&name, Doing::Idle);
            let found = runners.list(&new.labels).await.unwrap();
            assert!(found.len() == 1 && found[0].online, "{found:#?}");
            runners.delete(&made.id).await.unwrap();
            assert!(runners.get(&made.id).await.unwrap().is_none());
        });
    }
    // The checker takes the first two segments for a repository.
    for slug in ["team/pipelines-config", "team"] {
        assert_eq!(fixture.checked.prism.violations(slug), [""; 0]);
    }
}
