//! The contract of `cml comment` that every forge keeps, with the HTTP transcript of each in `snapshots/`.

use crate::support::fake::{Forge, HEAD, Target, Vendor};
use crate::support::{Cml, VENDORS};

fn mark(title: &str) -> String {
    format!(
        "![](https://cml.dev/watermark.png#{HEAD} \"CML watermark{}{title}\")",
        if title.is_empty() { "" } else { " " }
    )
}

#[test]
fn a_report_becomes_a_comment_in_one_request() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let printed = cml.run(&["comment", "create", "report.md"]).ok();
        let comments = forge.comments(vendor, &Target::Pull(7));
        assert_eq!(comments.len(), 1);
        assert_eq!(comments[0].body, format!("# Report\n\nAccuracy: **0.99**\n\n\n{}", mark("")));
        assert!(printed.starts_with(forge.url()) && printed.trim().ends_with(&comments[0].id.to_string()), "{printed}");
        assert_eq!(printed.lines().count(), 1, "nothing else on stdout");
        assert_eq!(forge.requests().len(), 1, "{}", forge.transcript());
        insta::assert_snapshot!(format!("create_{vendor:?}"), forge.transcript());
    }
}

#[test]
fn update_finds_its_comment_among_a_thousand_in_three_round_trips() {
    for vendor in VENDORS {
        for position in [0, 500, 1000] {
            let forge = Forge::start();
            forge.seed_comments(vendor, &Target::Pull(7), position);
            let id = forge.seed_comment(vendor, &Target::Pull(7), "cml-bot", &format!("old\n\n{}", mark("")));
            forge.seed_comments(vendor, &Target::Pull(7), 1000 - position);
            // Long enough that a busy machine does not make a chain of what is sent at the same time.
            forge.latency(std::time::Duration::from_millis(400));
            let cml = Cml::on(&forge, vendor);
            let printed = cml.run(&["comment", "update", "report.md"]).ok();
            assert!(printed.trim().ends_with(&id.to_string()), "{vendor:?} {position}: {printed}");
            let comments = forge.comments(vendor, &Target::Pull(7));
            assert_eq!(comments.len(), 1001, "none was added");
            assert!(comments.iter().any(|c| c.id == id && c.body.contains("Accuracy")));
            // GitHub and GitLab send 100 comments a page, Bitbucket 50.
            assert!(forge.round_trips() <= 3, "{vendor:?}: {} round trips", forge.round_trips());
            assert!(forge.max_concurrent() <= 20);
        }
    }
}

#[test]
fn update_makes_the_comment_when_there_is_none_and_keeps_to_it() {
    for vendor in VENDORS {
        for target in ["pr/7", &format!("commit/{HEAD}"), "issue/3"] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            let first = cml.run(&["comment", "update", "--target", target, "report.md"]).ok();
            cml.file("report.md", "second");
            let second = cml.run(&["comment", "update", "--target", target, "report.md"]).ok();
            cml.file("report.md", "third");
            let third = cml.run(&["comment", "create", "--update", "--target", target, "report.md"]).ok();
            assert_eq!((&first, &first), (&second, &third), "{vendor:?} {target}");
            let on = match target {
                "pr/7" => Target::Pull(7),
                "issue/3" => Target::Issue(3),
                _ => Target::Commit(HEAD.into()),
            };
            let comments = forge.comments(vendor, &on);
            assert_eq!(comments.len(), 1, "{vendor:?} {target}");
            assert_eq!(comments[0].body, format!("third\n\n{}", mark("")));
            if target == "pr/7" {
                insta::assert_snapshot!(format!("update_{vendor:?}"), forge.transcript());
            }
        }
    }
}

#[test]
fn the_newest_of_several_is_updated_everywhere() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let on = Target::Pull(7);
        let old = forge.seed_comment(vendor, &on, "cml-bot", &format!("one\n\n{}", mark("")));
        let new = forge.seed_comment(vendor, &on, "cml-bot", &format!("two\n\n{}", mark("")));
        Cml::on(&forge, vendor).run(&["comment", "update", "report.md"]).ok();
        let body = |id| forge.comments(vendor, &on).into_iter().find(|c| c.id == id).unwrap().body;
        assert!(body(old).starts_with("one"), "{vendor:?}");
        assert!(body(new).starts_with("# Report"), "{vendor:?}");
    }
}

#[test]
fn titles_tell_comments_apart_and_cmls_own_are_found() {
    for title in ["my_model", "say \"hi\"", "a`b", "a_b*c", "[x] <y>", "{workflow} {run}"] {
        let forge = Forge::start();
        let on = Target::Pull(7);
        // As CML posts it: its serialiser takes backslashes inside of words away.
        let cmls = title.replace("{workflow} {run}", "train 99").replace('[', "\\[").replace('<', "\\<");
        let id = forge.seed_comment(Vendor::GitHub, &on, "cml-bot", &format!("x\n\n{}\n", mark(&cmls)));
        let other = forge.seed_comment(Vendor::GitHub, &on, "cml-bot", &format!("other\n\n{}", mark("")));
        let cml = Cml::on(&forge, Vendor::GitHub);
        for round in 0..2 {
            cml.file("report.md", format!("round {round}"));
            let printed = cml.run(&["comment", "update", "--watermark-title", title, "report.md"]).ok();
            assert!(printed.trim().ends_with(&id.to_string()), "{title}: {printed}");
        }
        let comments = forge.comments(Vendor::GitHub, &on);
        assert_eq!(comments.len(), 2, "{title}");
        assert!(comments.iter().any(|c| c.id == other && c.body.starts_with("other")));
    }
}

#[test]
fn without_a_watermark_nothing_is_marked_and_nothing_updated() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.run(&["comment", "create", "--rm-watermark", "report.md"]).ok();
    assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(7))[0].body, "# Report\n\nAccuracy: **0.99**\n");
    let ran = cml.run(&["comment", "update", "--rm-watermark", "report.md"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("watermarks are mandatory for updatable comments"), "{}", ran.stderr);
    assert_eq!(forge.requests().len(), 1, "a wrong command line costs no request");
}

#[test]
fn auto_finds_the_pull_request_of_a_push() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        for name in ["GITHUB_EVENT_PATH", "CI_MERGE_REQUEST_IID", "BITBUCKET_PR_ID"] {
            cml.unset(name);
        }
        for (name, value) in [
            ("GITHUB_SHA", HEAD),
            ("GITHUB_REF", "refs/heads/feature"),
            ("CI_COMMIT_REF_NAME", "feature"),
            ("BITBUCKET_BRANCH", "feature"),
        ] {
            cml.set(name, value);
        }
        cml.run(&["comment", "create", "report.md"]).ok();
        assert_eq!(forge.comments(vendor, &Target::Pull(7)).len(), 1, "{vendor:?}\n{}", forge.transcript());
        assert!(forge.requests().len() <= 2, "{}", forge.transcript());
    }
}

#[test]
fn auto_comments_on_the_commit_when_no_pull_request_has_it() {
    let lonely = "1111111111111111111111111111111111111111";
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.add_commit(vendor, lonely);
        let mut cml = Cml::on(&forge, vendor);
        for name in ["GITHUB_EVENT_PATH", "CI_MERGE_REQUEST_IID", "BITBUCKET_PR_ID"] {
            cml.unset(name);
        }
        for (name, value) in [
            ("GITHUB_SHA", lonely),
            ("CI_COMMIT_SHA", lonely),
            ("BITBUCKET_COMMIT", lonely),
            ("GITHUB_REF", "refs/heads/main"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("BITBUCKET_BRANCH", "main"),
        ] {
            cml.set(name, value);
        }
        cml.run(&["comment", "create", "report.md"]).ok();
        let comments = forge.comments(vendor, &Target::Commit(lonely.into()));
        assert_eq!(comments.len(), 1, "{vendor:?}\n{}", forge.transcript());
        assert!(comments[0].body.contains(lonely));
        let ran = cml.run(&["comment", "create", "--target", "pr", "report.md"]);
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert!(ran.stderr.contains(&format!("no open pull request contains commit {lonely}")), "{}", ran.stderr);
    }
}

#[test]
fn a_test_merge_and_a_commit_made_in_the_job_lead_to_the_pull_request() {
    // iterative/cml #880: the checkout is the merge of the pull request, of which the forge knows nothing.
    // iterative/cml #991, #1418: a step of the job commits, and opens a pull request with it.
    for made_in_job in [false, true] {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, Vendor::GitHub);
        cml.unset("GITHUB_EVENT_PATH").set("GITHUB_REF", "refs/heads/main");
        cml.git(&["init", "-q"]);
        cml.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
        cml.git(&["checkout", "-q", "-b", "feature"]);
        cml.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
        let head = cml.git(&["rev-parse", "HEAD"]);
        if !made_in_job {
            cml.git(&["checkout", "-q", "main"]);
            cml.git(&["merge", "-q", "--no-ff", "-m", "merge", "feature"]);
        }
        forge.add_pull_request(Vendor::GitHub, crate::support::fake::PullRequest::open(11, &head, "other"));
        cml.run(&["comment", "create", "--target", "pr", "report.md"]).ok();
        assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(11)).len(), 1, "{}", forge.transcript());
    }
}

#[test]
fn events_name_what_they_are_about() {
    let forge = Forge::start();
    let on = |event: serde_json::Value, env: &[(&str, &str)]| {
        let mut cml = Cml::on(&forge, Vendor::GitHub);
        cml.file("event.json", event.to_string());
        for (name, value) in env {
            cml.set(name, value);
        }
        cml.run(&["comment", "create", "report.md", "--rm-watermark"]).ok()
    };
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let pull = format!("{}/octo/model/pull/7#issuecomment-", forge.url());
    let comment = on(
        json(r#"{"issue": {"number": 7, "pull_request": {"url": "x"}}}"#),
        &[("GITHUB_EVENT_NAME", "issue_comment")],
    );
    assert!(comment.starts_with(&pull), "{comment}");
    let queue = on(json("{}"), &[("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-7-0123")]);
    assert!(queue.starts_with(&pull), "{queue}");
    let merge = on(json("{}"), &[("GITHUB_REF", "refs/pull/7/merge")]);
    assert!(merge.starts_with(&pull), "{merge}");
    let second = format!(
        r#"{{"workflow_run": {{"head_sha": "{HEAD}", "head_branch": "feature", "pull_requests": [], "head_repository": {{"full_name": "octo/model"}}}}}}"#
    );
    assert!(on(json(&second), &[]).starts_with(&pull));
}

#[test]
fn a_pull_request_of_a_fork_is_found_by_its_branch() {
    let forge = Forge::start();
    let sha = "2222222222222222222222222222222222222222";
    let pull = crate::support::fake::PullRequest {
        fork: Some("visitor".into()),
        ..crate::support::fake::PullRequest::open(12, sha, "patch")
    };
    forge.add_pull_request(Vendor::GitHub, pull);
    let cml = Cml::on(&forge, Vendor::GitHub);
    let event = format!(
        r#"{{"workflow_run": {{"head_sha": "{sha}", "head_branch": "patch", "pull_requests": [], "head_repository": {{"full_name": "visitor/model"}}}}}}"#
    );
    cml.file("event.json", event);
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(12)).len(), 1, "{}", forge.transcript());
}

#[test]
fn options_come_from_flags_environment_and_old_spellings() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("CML_COMMENT_WATERMARK_TITLE", "from env").set("CML_COMMENT_TARGET", "issue/3");
    cml.run(&["comment", "create", "report.md"]).ok();
    assert!(forge.comments(Vendor::GitHub, &Target::Issue(3))[0].body.contains("CML watermark from env"));
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    let ran = cml.run(&["send-comment", "--pr", "--update", "--publish", "report.md"]);
    assert!(
        ran.stderr.contains("\"cml send-comment\" is deprecated, please use \"cml comment create\""),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--pr is deprecated, please use --target=pr"));
    ran.ok();
    cml.run(&["comment", "create", "--head-sha", HEAD, "report.md"]).ok();
    assert_eq!(forge.comments(Vendor::GitHub, &Target::Commit(HEAD.into())).len(), 1);
    // `--repo owner/name`, which CML refuses.
    cml.unset("GITHUB_REPOSITORY").set("GITHUB_REPOSITORY", "octo/other");
    cml.run(&["comment", "create", "--repo", "octo/model", "--target", "pr/7", "report.md"]).ok();
    assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(7)).len(), 2);
}

#[test]
fn earlier_comments_are_hidden_or_deleted() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let on = Target::Pull(7);
        forge.seed_comment(vendor, &on, "cml-bot", &format!("one\n\n{}", mark("")));
        forge.seed_comment(vendor, &on, "octocat", "a person's");
        let cml = Cml::on(&forge, vendor);
        cml.run(&["comment", "create", "--delete-previous", "report.md"]).ok();
        let live = forge.live_comments(vendor, &on);
        assert_eq!(live.len(), 2, "{vendor:?}");
        assert!(live[0].body == "a person's" && live[1].body.starts_with("# Report"));
        let ran = cml.run(&["comment", "create", "--hide-previous", "report.md"]);
        if vendor == Vendor::GitHub {
            ran.ok();
            assert!(
                forge
                    .comments(vendor, &on)
                    .iter()
                    .any(|c| c.minimized.as_deref().is_some_and(|r| r.eq_ignore_ascii_case("outdated")))
            );
        } else {
            assert_eq!(ran.code, Some(7), "{ran:?}");
            assert_eq!(forge.live_comments(vendor, &on).len(), 2, "{vendor:?}: nothing half done");
            assert!(ran.stderr.contains("--delete-previous"), "{}", ran.stderr);
        }
    }
}

#[test]
fn comments_made_at_the_same_moment_become_one() {
    for (vendor, is_first) in VENDORS.into_iter().flat_map(|vendor| [(vendor, true), (vendor, false)]) {
        let forge = Forge::start();
        if !is_first {
            // It grows by parts.
            let cml = Cml::on(&forge, vendor);
            cml.file("report.md", "short");
            cml.run(&["comment", "update", "report.md"]).ok();
        }
        // All look for the comment before any writes it. In which orders they may go on is tested in `sticky::race`.
        forge.start_line("GET *comments?*", 4);
        forge.start_line("GET *notes?*", 4);
        forge.barrier("POST *comments", 4);
        forge.barrier("POST *notes", 4);
        let runs: Vec<_> = (0..4)
            .map(|n| {
                let cml = Cml::on(&forge, vendor);
                // On GitHub and Bitbucket these are several comments.
                cml.file("report.md", format!("writer {n}\n\n{}", "word ".repeat(16_000)));
                (
                    cml.command(&["comment", "update", "report.md"])
                        .stdout(std::process::Stdio::null())
                        .spawn()
                        .unwrap(),
                    cml,
                )
            })
            .collect();
        for (mut child, _folder) in runs {
            assert!(child.wait().unwrap().success());
        }
        let live = forge.live_comments(vendor, &Target::Pull(7));
        let parts = match vendor {
            Vendor::GitHub => 2,
            Vendor::GitLab => 1,
            Vendor::Bitbucket => 3,
        };
        let starts: Vec<_> = live.iter().map(|c| c.body.chars().take(9).collect::<String>()).collect();
        assert_eq!(live.len(), parts, "{vendor:?}: {starts:?}");
        assert!(starts[0].starts_with("writer "), "{starts:?}");
    }
}

/// The forge is scripted; the program is real.
#[test]
fn print_shows_what_would_be_sent_and_sends_nothing() {
    for vendor in VENDORS {
        for verb in ["create", "update"] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            cml.file("plot.png", crate::support::png(1));
            cml.file("report.md", "# Report\n\n/close\n\n![plot](plot.png)\n");
            let printed = cml.run(&["comment", verb, "--print", "report.md"]).ok();
            assert!(forge.requests().iter().all(|request| request.method == "GET"), "{}", forge.transcript());
            assert!(forge.comments(vendor, &Target::Pull(7)).is_empty());
            assert!(
                printed.contains("![plot](plot.png)") && printed.ends_with(&format!("{}\n", mark(""))),
                "{printed}"
            );
            cml.run(&["comment", verb, "--publish=false", "report.md"]).ok();
            let sent = forge.requests().iter().rev().find(|request| request.method == "POST").unwrap().json();
            let sent = sent["body"].as_str().or_else(|| sent["content"]["raw"].as_str()).unwrap();
            assert_eq!(printed, format!("{sent}\n"), "{vendor:?}");
        }
    }
}

#[test]
fn print_shows_every_part_and_the_sections_of_others() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("report.md", "a paragraph of some length\n\n".repeat(4000));
    let printed = cml.run(&["comment", "create", "--print", "report.md"]).ok();
    assert!(printed.starts_with("<!-- comment 1 of 2 -->\n") && printed.contains("\n<!-- comment 2 of 2 -->\n"));
    assert_eq!(printed.matches("cml.dev/watermark.png").count(), 2);
    let other = "[cml-section]: # \"begin a\"\n\none\n\n[cml-section]: # \"end a\"";
    forge.seed_comment(Vendor::GitHub, &Target::Pull(7), "cml-bot", &format!("{other}\n\n{}", mark("")));
    cml.file("report.md", "two");
    let printed = cml.run(&["comment", "update", "--print", "--section", "b", "report.md"]).ok();
    assert!(printed.starts_with(other) && printed.contains("\n\ntwo\n\n"), "{printed}");
    assert!(!forge.comments(Vendor::GitHub, &Target::Pull(7))[0].body.contains("two"));
    assert!(forge.requests().iter().all(|request| request.method == "GET"));
    // What stays as it is is shown, too.
    let created = cml.run(&["comment", "create", "--watermark-title", "c", "report.md"]);
    created.ok();
    let printed = cml.run(&["comment", "update", "--print", "--watermark-title", "c", "report.md"]).ok();
    assert_eq!(printed, format!("two\n\n{}\n", mark("c")));
    // There is no address to open, and no end to a watch.
    for option in ["--open", "--watch"] {
        assert_eq!(cml.run(&["comment", "update", "--print", option, "report.md"]).code, Some(2));
    }
}
