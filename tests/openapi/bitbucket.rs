//! Bitbucket Cloud.

use super::desk::{Desk, runners_of};
use crate::support::fake::{Doing, HEAD, Kind, Phase, Proxy, PullRequest, Run, Target, Vendor};
use crate::support::png;
use cml::connect::connect_runners;
use cml::forge::runner::NewRunner;
use cml::host::Platform;
use serde_json::json;

const PULL: Target = Target::Pull(7);

fn desk(name: &str) -> Option<Desk> {
    Desk::new(Vendor::Bitbucket, name)
}

fn comment(desk: &Desk, verb: &str, target: &str, text: &str) -> String {
    desk.cml.file("report.md", text);
    desk.cml.run(&["comment", verb, "--target", target, "report.md"]).ok()
}

#[test]
fn a_comment_is_created_updated_and_found_among_others() {
    let Some(desk) = desk("comment") else { return };
    let made = comment(&desk, "create", "pr", "first");
    for n in 0..70 {
        let body = json!({ "content": { "raw": format!("comment {n}") } });
        let answer = desk.send("POST", "/pullrequests/7/comments", &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    assert_eq!(comment(&desk, "update", "pr", "second"), made);
    assert_eq!(desk.count("GET", "&page=2&sort=-created_on"), 1);
    let bodies = desk.bodies(&PULL);
    assert!(bodies.len() == 71 && bodies[0].starts_with("second\n"), "{}", bodies[0]);
}

#[test]
fn update_makes_the_comment_where_there_is_none_whatever_it_is_on() {
    for (n, target) in ["pr/7", "issue/3", &format!("commit/{HEAD}")].into_iter().enumerate() {
        let Some(desk) = desk(&format!("update-{n}")) else { return };
        assert_eq!(comment(&desk, "update", target, "first"), comment(&desk, "update", target, "second"), "{target}");
        let on = [PULL, Target::Issue(3), Target::Commit(HEAD.into())];
        assert_eq!(desk.comments(&on[n]).len(), 1, "{target}");
    }
}

#[test]
fn a_split_report_that_becomes_shorter_deletes_what_is_left_over() {
    for target in ["pr/7".to_owned(), format!("commit/{HEAD}")] {
        let Some(desk) = desk(&format!("split-{}", &target[..2])) else { return };
        for (words, comments) in [(14_000, 3), (2, 1)] {
            desk.cml.file("report.md", "words and\n\n".repeat(words / 2));
            let options = ["comment", "update", "--overflow", "split", "--target", &target, "report.md"];
            desk.cml.run(&options).ok();
            let on = if target == "pr/7" { PULL } else { Target::Commit(HEAD.into()) };
            assert_eq!(desk.comments(&on).len(), comments);
        }
        desk.cml.run(&["comment", "create", "--delete-previous", "--target", &target, "report.md"]).ok();
    }
}

#[test]
fn images_are_published_to_the_downloads() {
    let Some(desk) = desk("images") else { return };
    for seed in [200, 201, 200] {
        let image = png(seed);
        desk.cml.file("plot.png", &image);
        comment(&desk, "update", "pr", "![plot](plot.png)");
        // The checker takes texts only: what comes out behind it is what went in.
        assert!(desk.repo(|repo| repo.files.iter().any(|file| file.body == image)));
        assert!(desk.bodies(&PULL)[0].contains(&format!("/{}/downloads/cml-", desk.slug)));
    }
    assert_eq!(desk.repo(|repo| repo.files.len()), 2);
}

#[test]
fn the_pull_request_of_a_push_is_found_by_its_branch() {
    let commit = "1".repeat(40);
    let Some(desk) = desk("by-branch") else { return };
    let desk = desk.pushed(&commit, "a/b c");
    desk.repo(|repo| {
        repo.commits.insert(commit.clone());
        repo.add_pull(PullRequest::open(11, &commit, "a/b c"));
    });
    desk.cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(desk.comments(&Target::Pull(11)).len(), 1);
    let mut desk = desk.pushed(&commit, "main");
    desk.cml.run(&["comment", "create", "--target", "pr", "report.md"]).fails(5, "no open pull request*", "*");
    desk.cml.unset("BITBUCKET_BRANCH").run(&["comment", "create", "report.md"]).ok();
}

#[test]
fn a_check_is_a_report_with_annotations_and_a_build_status() {
    let Some(desk) = desk("check") else { return };
    let long = "m".repeat(600);
    let remark = |n: u32| format!("{{\"path\":\"a.py\",\"line\":{n},\"message\":\"{long}\",\"title\":\"t\"}}\n");
    desk.cml.file("notes.jsonl", (1..=120).map(remark).collect::<String>());
    desk.cml.file("report.md", "ten chars\n\n".repeat(300));
    let figures = ["a=0.5", "b=12%", "c=true", "d=text", "e=https://example.org/x", "f=.5", "g=150%", "h=+1"];
    let figures: Vec<&str> = figures.into_iter().flat_map(|figure| ["--data", figure]).collect();
    for (state, result, build) in [
        (["--status", "in_progress"], "PENDING", "INPROGRESS"),
        (["--conclusion", "success"], "PASSED", "SUCCESSFUL"),
        (["--conclusion", "timed_out"], "FAILED", "FAILED"),
        (["--conclusion", "cancelled"], "FAILED", "STOPPED"),
    ] {
        let options = ["check", "create", "report.md", "--annotations", "notes.jsonl"];
        desk.cml.run(&[&options[..], &figures, &state].concat()).ok();
        let (reports, builds) = desk.repo(|repo| (repo.insights.clone(), repo.builds.clone()));
        let (report, status) = (reports.values().next().unwrap(), builds.values().next().unwrap());
        assert_eq!((reports.len(), builds.len(), report.annotations.len()), (1, 1, 120));
        assert_eq!((report.report["result"].as_str(), status["state"].as_str()), (Some(result), Some(build)));
    }
}

#[test]
fn the_proxy_of_a_pipeline_makes_the_same_without_a_token() {
    let Some(mut desk) = desk("proxy") else { return };
    let proxy = Proxy::start_signing();
    desk.cml.unset("REPO_TOKEN").set("CML_BITBUCKET_PROXY", &proxy.url());
    desk.cml.file("notes.jsonl", "{\"path\":\"a.py\",\"line\":1,\"message\":\"m\"}\n");
    desk.cml.run(&["check", "create", "report.md", "--annotations", "notes.jsonl"]).ok();
    let ran = desk.cml.run(&["doctor"]);
    assert!(ran.stdout.contains("answers: checks need no token"), "{ran:#?}");
    let (reports, end) = (desk.count("GET", "/reports?pagelen=1"), desk.count("POST", "/annotations"));
    assert_eq!((reports, end), (1, 1));
}

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    for (option, strategy) in [("--merge", "merge_commit"), ("--rebase", "fast_forward"), ("--squash", "squash")] {
        let Some(desk) = desk(&format!("pull{option}")) else { return };
        let desk = desk.cloned();
        desk.cml.file("model.json", "2");
        let opened = desk.cml.run(&["pr", "create", "model.json"]).ok();
        desk.cml.file("model.json", "3");
        assert_eq!(desk.cml.run(&["pr", "create", "model.json", option]).ok(), opened);
        assert_eq!((desk.count("POST", "/pullrequests"), desk.count("POST", "/merge")), (1, 1));
        let merged =
            desk.repo(|repo| repo.pulls.values().filter_map(|pull| pull.auto_merge.clone()).collect::<Vec<_>>());
        assert_eq!(merged, [strategy]);
        let none = ["pr", "create", "model.json", "--target-branch", "none"];
        desk.cml.run(&none).fails(5, "there is no branch none*", "*");
    }
}

#[test]
fn a_pull_request_without_commits_is_refused() {
    let Some(desk) = desk("pull-empty") else { return };
    let desk = desk.cloned();
    let says = json!({ "type": "error", "error": { "message": "There are no changes to be pulled" } });
    desk.fault("POST", "/pullrequests", 400, &says);
    desk.cml.file("model.json", "2");
    let hint = "there is nothing to merge: give other files, or another --target-branch";
    desk.cml.run(&["pr", "create", "model.json"]).fails(
        6,
        "main-cml-pr-* has no commits that main does not have",
        hint,
    );
}

#[test]
fn a_merge_that_takes_long_is_followed() {
    let Some(desk) = desk("pull-long") else { return };
    let desk = desk.cloned();
    let place = format!("/bitbucket/2.0/repositories/{}/pullrequests/*/merge", desk.slug);
    let task = format!("{}{}/task-status/x-1", desk.checked.forge.url(), place.replace('*', "8"));
    let forge = &desk.checked.forge;
    forge.fault(&format!("POST {place}"), 1, Kind::answer(202, &[("Location", &task)], ""));
    let links = json!({ "self": { "href": task } });
    for state in ["PENDING", "SUCCESS"] {
        let answer = json!({ "task_status": state, "links": links }).to_string();
        forge.fault(&format!("GET {place}/task-status/x-1"), 1, Kind::answer(200, &[], &answer));
    }
    desk.cml.file("model.json", "2");
    desk.cml.run(&["pr", "create", "model.json", "--squash"]).ok();
    assert_eq!(desk.count("GET", "/merge/task-status/x-1"), 2);
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
        let Some(desk) = desk(&format!("rerun-{n}")) else { return };
        let uuid = run.uuid();
        desk.repo(|repo| repo.runs.insert(5, run));
        for id in ["5", &uuid] {
            desk.cml.run(&["workflow", "rerun", "--id", id]).ok();
        }
        assert_eq!(desk.repo(|repo| repo.runs.len()), 3);
        desk.cml.run(&["workflow", "rerun", "--id", "404"]).fails(5, "there is no pipeline 404*", "*");
    }
}

#[test]
fn jobs_write_their_sections_of_one_comment() {
    let Some(desk) = desk("sections") else { return };
    for job in ["one", "two", "one"] {
        desk.cml.file("report.md", format!("of job {job}"));
        desk.cml.run(&["comment", "update", "--section", job, "report.md"]).ok();
    }
    let bodies = desk.bodies(&PULL);
    assert!(bodies.len() == 1 && ["one", "two"].iter().all(|job| bodies[0].contains(&format!("of job {job}"))));
}

#[test]
fn a_doctor_asks_as_described_and_makes_nothing() {
    // A repository of the token's name would have a secret in its address.
    for (name, token, code) in [("full", "good", 0), ("person", "me@example.org:good", 0), ("reader", "readonly", 4)] {
        let Some(mut desk) = desk(&format!("doctor-{name}")) else { return };
        let before = desk.repo(|repo| format!("{repo:?}"));
        let ran = desk.cml.set("REPO_TOKEN", token).run(&["doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:#?}");
        assert_eq!(before, desk.repo(|repo| format!("{repo:?}")));
    }
}

#[test]
fn runners_are_those_of_a_repository_or_a_workspace() {
    let Some(desk) = desk("runners") else { return };
    for place in [desk.slug.as_str(), "team"] {
        let (library, global) = runners_of(&desk.checked, Vendor::Bitbucket, place);
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
            let forge = connect_runners(&library.app, &global).await.unwrap().forge;
            let made = forge.register_runner(&new).await.unwrap();
            assert!(!forge.get_runner(&made.id).await.unwrap().unwrap().online);
            desk.checked.forge.set_runner(&name, Doing::Idle);
            let found = forge.list_runners(&new.labels).await.unwrap();
            assert!(found.len() == 1 && found[0].online, "{found:#?}");
            forge.delete_runner(&made.id).await.unwrap();
            assert!(forge.get_runner(&made.id).await.unwrap().is_none());
        });
    }
    // The checker takes the first two segments for a repository.
    for slug in ["team/pipelines-config", "team"] {
        assert_eq!(desk.checked.prism.violations(slug), [""; 0]);
    }
}
