//! `cml pr create` with real git over HTTP: what is committed, pushed and opened, and what stays as it was.

use crate::support::VENDORS;
use crate::support::clone::Clone;
use crate::support::fake::{Forge, Kind, PullRequest, PullState, Target, Vendor};

mod contents;
mod merging;
mod transfer;

fn pulls(clone: &Clone) -> Vec<PullRequest> {
    clone.forge.repo(clone.vendor, clone.vendor.slug(), |repo| {
        repo.pulls.values().filter(|pull| pull.number > 7).cloned().collect()
    })
}

#[test]
fn a_report_goes_to_the_pull_request_that_was_opened_before_it() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.forge.add_commit(vendor, &clone.trigger);
        clone.cml.file("model.json", "{\"a\": 1}\n");
        let comment = ["comment", "update", "--target=pr", "report.md"];
        let ran = clone.cml.run(&comment);
        assert!(ran.code == Some(5) && ran.stderr.contains("no open pull request contains commit"), "{ran:#?}");
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        let number = pulls(&clone)[0].number;
        for _ in 0..2 {
            clone.cml.run(&comment).ok();
        }
        let comments = clone.forge.live_comments(vendor, &Target::Pull(number));
        assert_eq!(comments.len(), 1, "{vendor:?} {}", clone.forge.transcript());
        // Without being asked for, it is not taken, nor looked for.
        let before = clone.forge.requests().len();
        clone.cml.run(&["comment", "create", "report.md"]).ok();
        let requests = &clone.forge.requests()[before..];
        assert!(requests.iter().all(|request| !request.path.contains("cml-pr")), "{requests:#?}");
        let trigger = Target::Commit(clone.trigger.clone());
        assert_eq!(clone.forge.live_comments(vendor, &trigger).len(), 1, "{vendor:?} {}", clone.forge.transcript());
    }
}

#[test]
fn changed_files_become_a_pull_request_and_nothing_else_changes() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "{\"a\": 1}\n");
        clone.cml.file("new/.hidden/deep.json", "{}\n");
        clone.cml.file("data/old.csv", "2\n");
        clone.cml.git(&["add", "data/old.csv"]);
        let before = clone.state();
        clone.calls();
        let printed = clone.cml.run(&["pr", "create", "**/*.json"]).ok();
        let calls = clone.calls();
        assert!(calls.len() <= 9, "{calls:#?}");
        let encoded = ["x-access-token:good", "oauth2:good", "x-token-auth:good"].map(|pair| {
            use base64::Engine as _;
            base64::prelude::BASE64_STANDARD.encode(pair)
        });
        assert!(
            calls.iter().all(|call| !call.contains("good") && !encoded.iter().any(|e| call.contains(e))),
            "{calls:#?}"
        );
        assert_eq!(clone.state(), before, "{vendor:?}");

        let pulls = pulls(&clone);
        assert_eq!(pulls.len(), 1, "{}", clone.forge.transcript());
        assert!(
            printed.starts_with(clone.forge.url()) && printed.trim().ends_with(&pulls[0].number.to_string()),
            "{printed}"
        );
        assert_eq!((pulls[0].branch.as_str(), pulls[0].base.as_str()), (clone.branch().as_str(), "main"));
        assert_eq!(clone.changes(&clone.branch()), "M model.json\nA new/.hidden/deep.json");
        let message = clone.there(&["log", "-1", "--format=%s|%P", &clone.branch()]);
        assert_eq!(message, format!("CML PR for {} [skip ci]|{}", &clone.trigger[..8], clone.trigger));
        assert_eq!(clone.forge.api_requests().len(), 1);
        insta::assert_snapshot!(format!("pr_{vendor:?}"), clone.forge.transcript());
    }
}

#[test]
fn a_header_left_by_the_checkout_is_replaced_and_not_doubled() {
    for (vendor, user) in [(Vendor::GitHub, ""), (Vendor::GitLab, "gitlab-ci-token:bad@")] {
        let clone = Clone::on(vendor);
        let url = clone.forge.url().to_owned();
        let with = url.replace("://", &format!("://{user}"));
        clone.cml.git(&["remote", "set-url", "origin", &format!("{with}/{}.git", vendor.slug())]);
        // As actions/checkout leaves it; the token is another one.
        clone.cml.git(&["config", &format!("http.{url}/.extraheader"), "AUTHORIZATION: basic YmFkOmJhZA=="]);
        clone.cml.file("model.json", "1\n");
        let before = clone.state();
        clone.cml.run(&["pr", "create", "."]).ok();
        assert_eq!(clone.state(), before);
        for request in clone.forge.requests() {
            let headers: Vec<_> = request.headers.iter().filter(|(name, _)| name == "authorization").collect();
            assert!(headers.len() <= 1 && request.status < 400, "{request:#?}");
        }
    }
}

#[test]
fn nothing_to_do_says_why_and_prints_nothing() {
    let clone = Clone::on(Vendor::GitHub);
    clone.cml.file("work.tmp", "x");
    for (globs, why) in [
        (&["model.json"][..], "no matching file has changed"),
        (&["*.tmp"], "git ignores all matching files"),
        (&["work.tmp"], "git ignores all matching files"),
        (&["nothing/**", "*.none"], "no file matches; check the globs"),
        (&[".", "!**/*.json"], "no matching file has changed"),
    ] {
        let ran = clone.cml.run(&[&["pr", "create"], globs].concat());
        assert!(ran.stderr.contains(why), "{globs:?}: {ran:#?}");
        assert_eq!(ran.ok(), "");
    }
    assert_eq!(clone.forge.requests().len(), 0);
}

#[test]
fn globs_mean_what_they_meant_for_cml() {
    for (folder, globs, expected) in [
        (".", &["."][..], "A .dot\nD data/old.csv\nA data/sub/a.csv\nA data/sub/b.txt\nM model.json\nA odd[1].json"),
        (".", &["*"], "A .dot\nM model.json\nA odd[1].json"),
        (".", &["data"], "D data/old.csv\nA data/sub/a.csv\nA data/sub/b.txt"),
        (".", &["data/*"], "D data/old.csv"),
        (".", &["**/*.csv"], "D data/old.csv\nA data/sub/a.csv"),
        (".", &["data/**", "!**/*.txt"], "D data/old.csv\nA data/sub/a.csv"),
        (".", &["odd[1].json", ".d*"], "A .dot\nA odd[1].json"),
        (".", &["**/*.{csv,txt}", "*.none"], "D data/old.csv\nA data/sub/a.csv\nA data/sub/b.txt"),
        ("data", &["**"], "D data/old.csv\nA data/sub/a.csv\nA data/sub/b.txt"),
        ("data/sub", &["../../model.json", "*.csv"], "A data/sub/a.csv\nM model.json"),
    ] {
        let clone = Clone::on(Vendor::GitHub);
        for (name, text) in
            [("model.json", "1"), (".dot", "1"), ("odd[1].json", "1"), ("data/sub/a.csv", "1"), ("data/sub/b.txt", "1")]
        {
            clone.cml.file(name, text);
        }
        std::fs::remove_file(clone.cml.path().join("data/old.csv")).unwrap();
        let before = clone.state();
        let mut command = clone.cml.command(&[&["pr", "create"], globs].concat());
        let ran = crate::support::Ran::of(command.current_dir(clone.cml.path().join(folder)));
        ran.ok();
        assert_eq!(clone.changes(&clone.branch()), expected, "{folder} {globs:?}");
        assert_eq!(clone.state(), before);
    }
}

#[test]
fn a_branch_that_exists_gets_the_new_commits() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "1\n");
        let first = clone.cml.run(&["pr", "create", "."]).ok();
        // The same again: a job that is run once more.
        let tip = clone.there(&["rev-parse", &clone.branch()]);
        clone.calls();
        assert_eq!(clone.cml.run(&["pr", "create", "."]).ok(), first);
        assert_eq!(clone.there(&["rev-parse", &clone.branch()]), tip);
        // Other files, and one that is gone.
        clone.cml.file("more.json", "2\n");
        std::fs::remove_file(clone.cml.path().join("data/old.csv")).unwrap();
        clone.calls();
        clone.forge.clear_requests();
        assert_eq!(clone.cml.run(&["pr", "create", "more.json"]).ok(), first);
        assert!(clone.calls().len() <= 9);
        assert_eq!(clone.changes(&clone.branch()), "A more.json");
        for expected in ["D data/old.csv", "D data/old.csv"] {
            assert_eq!(clone.cml.run(&["pr", "create", "."]).ok(), first);
            assert_eq!(clone.changes(&clone.branch()), expected);
        }
        assert_eq!(clone.there(&["rev-parse", &format!("{}~2", clone.branch())]), tip);
        assert_eq!(pulls(&clone).len(), 1);
        assert!(clone.forge.api_requests().len() <= 4);
        // Without an open pull request a new one is opened.
        clone.forge.repo(vendor, vendor.slug(), |repo| {
            repo.pulls.values_mut().for_each(|pull| pull.state = PullState::Closed);
        });
        assert_ne!(clone.cml.run(&["pr", "create", "."]).ok(), first);
        assert_eq!(pulls(&clone).len(), 2);
    }
}

#[test]
fn commits_that_the_user_made_are_kept() {
    // iterative/cml #1203 and #1290
    for changed in [false, true] {
        let clone = Clone::on(Vendor::GitHub);
        clone.cml.file("model.json", "1\n");
        clone.cml.git(&["commit", "-q", "-a", "-m", "my own"]);
        if changed {
            clone.cml.file("metrics.json", "2\n");
        }
        let before = clone.state();
        clone.calls();
        let printed = clone.cml.run(&["pr", "create", "."]).ok();
        assert!(clone.calls().len() <= 9);
        assert_eq!(clone.state(), before);
        let subjects = clone.there(&["log", "--format=%s", &format!("main..{}", clone.branch())]);
        let cmls = format!("CML PR for {} [skip ci]\n", &clone.trigger[..8]);
        assert_eq!(subjects, format!("{}my own", if changed { &cmls } else { "" }));
        // A later run makes other commits of the same changes: the branch stays, and is said to.
        clone.cml.git(&["commit", "-q", "--amend", "-m", "my own again"]);
        let ran = clone.cml.run(&["pr", "create", "."]);
        assert!(ran.stderr.contains("already has other commits and was not changed"), "{ran:#?}");
        assert_eq!(ran.ok(), printed);
    }
}

#[test]
fn a_test_merge_is_not_part_of_the_pull_request() {
    for (vendor, shallow) in
        [(Vendor::GitHub, false), (Vendor::GitHub, true), (Vendor::GitLab, true), (Vendor::Bitbucket, false)]
    {
        let mut clone = Clone::on(vendor);
        clone.cml.git(&["checkout", "-q", "-b", "feature"]);
        clone.cml.file("work.txt", "1\n");
        clone.cml.git(&["add", "."]);
        clone.cml.git(&["commit", "-q", "-m", "work"]);
        let head = clone.cml.git(&["rev-parse", "HEAD"]);
        clone.cml.git(&["checkout", "-q", "main"]);
        clone.cml.file("elsewhere.txt", "1\n");
        clone.cml.git(&["add", "elsewhere.txt"]);
        clone.cml.git(&["commit", "-q", "-m", "elsewhere"]);
        let main = clone.cml.git(&["rev-parse", "HEAD"]);
        let (first, second) = if vendor == Vendor::Bitbucket { (&head, &main) } else { (&main, &head) };
        clone.cml.git(&["checkout", "-q", "--detach", first]);
        clone.cml.git(&["merge", "-q", "--no-ff", "-m", "test merge", second]);
        let merge = clone.cml.git(&["rev-parse", "HEAD"]);
        let bare = clone.bare().display().to_string();
        clone.cml.git(&["push", "-q", &bare, "main", "feature", "HEAD:refs/pull/9/merge"]);
        clone.about(&head, "feature");
        let event = serde_json::json!({ "pull_request": { "number": 9, "head": { "sha": head, "repo": { "full_name": "octo/model" } } } });
        let event = clone.cml.file("event.json", event.to_string());
        for (name, value) in [
            ("GITHUB_EVENT_PATH", event.to_str().unwrap()),
            ("GITHUB_SHA", &merge),
            ("GITHUB_REF", "refs/pull/9/merge"),
            ("GITHUB_HEAD_REF", "feature"),
            ("CI_MERGE_REQUEST_IID", "9"),
            ("CI_COMMIT_SHA", &merge),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", &head),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "feature"),
            ("BITBUCKET_PR_ID", "9"),
        ] {
            clone.cml.set(name, value);
        }
        if shallow {
            let git = clone.cml.path().join(".git");
            std::fs::remove_dir_all(&git).unwrap();
            clone.cml.git(&["init", "-q"]);
            clone.cml.git(&["remote", "add", "origin", &format!("{}.git", clone.forge.repo_url(vendor))]);
            clone.cml.git(&["fetch", "-q", "--depth=1", &format!("file://{bare}"), "refs/pull/9/merge"]);
            clone.cml.git(&["checkout", "-q", "-f", "FETCH_HEAD"]);
        }
        clone.cml.file("model.json", "1\n");
        let before = clone.state();
        clone.calls();
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        let calls = clone.calls();
        assert!(calls.len() <= 9, "{vendor:?} {calls:#?}");
        assert_eq!(clone.state(), before);
        let branch = format!("feature-cml-pr-{}", &head[..8]);
        assert_eq!(clone.there(&["rev-parse", &format!("{branch}^")]), head, "{vendor:?}");
        assert_eq!(clone.changes(&branch), "M model.json");
        assert_eq!(pulls(&clone)[0].base, "feature");
        clone.calls();
        clone.cml.file("model.json", "2\n");
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        assert!(clone.calls().len() <= 9, "{vendor:?}");
        assert_eq!(clone.there(&["rev-parse", &format!("{branch}^^")]), head);
        // Once more, and with it files that are gone: one that the branch has, and one that it does not.
        for (gone, expected) in [("data/old.csv", "D data/old.csv\nM model.json"), ("elsewhere.txt", "M model.json")] {
            let _ = std::fs::remove_file(clone.cml.path().join(gone));
            clone.cml.file("model.json", format!("{gone}\n"));
            clone.calls();
            clone.forge.clear_requests();
            clone.cml.run(&["pr", "create", "."]).ok();
            let calls = clone.calls();
            assert!(calls.len() <= 9, "{vendor:?} {calls:#?}");
            assert!(clone.forge.api_requests().len() <= 4);
            assert_eq!(clone.changes(&branch), expected, "{vendor:?}");
        }
    }
}

#[test]
fn options_name_everything_and_skip_marks_follow_the_mode() {
    let skip = " [skip ci]";
    for (options, subject) in [
        (&["--message", "my text"][..], "my text"),
        (&["--message", "my text", "--skip-ci"], "my text [skip ci]"),
        (&["--merge"], "CML PR for SHA"),
        (&["--auto-merge", "--skip-ci"], "CML PR for SHA [skip ci]"),
        (&["--title", "T", "--body", "B"], "CML PR for SHA [skip ci]"),
    ] {
        for vendor in VENDORS {
            let clone = Clone::on(vendor);
            clone.forge.configure(|switches| switches.auto_merge = true);
            clone.there(&["branch", "stable", "main"]);
            clone.note_options();
            clone.cml.file("model.json", "1\n");
            let names =
                ["--branch=mine", "--target-branch=stable", "--user-name=Me", "--user-email=me@example.org", "--md"];
            let printed = clone.cml.run(&[&["pr", "create", "."], &names[..], options].concat()).ok();
            let noun = if vendor == Vendor::GitLab { "Merge" } else { "Pull" };
            assert!(printed.starts_with(&format!("[CML's {noun} Request](http")), "{printed}");
            let log = clone.there(&["log", "-1", "--format=%s|%an <%ae>|%cn <%ce>", "mine"]);
            let me = "Me <me@example.org>";
            assert_eq!(log, format!("{}|{me}|{me}", subject.replace("SHA", &clone.trigger[..8])));
            let pull = &pulls(&clone)[0];
            assert_eq!((pull.branch.as_str(), pull.base.as_str()), ("mine", "stable"));
            let title = pull.title.clone().unwrap();
            match options {
                ["--title", ..] => assert_eq!((title.as_str(), pull.body.as_deref()), ("T", Some("B"))),
                _ => assert_eq!(title, format!("CML PR for stable {}", &clone.trigger[..8])),
            }
            let pushed = std::fs::read_to_string(clone.bare().join("options")).unwrap();
            let marked = vendor == Vendor::GitLab && subject.ends_with(skip);
            assert_eq!(pushed.trim(), if marked { "ci.skip" } else { "" }, "{vendor:?} {options:?}");
        }
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_done() {
    let clone = Clone::on(Vendor::GitLab);
    clone.cml.file("model.json", "1\n");
    let fails = |args: &[&str], code, error: &str, hint: &str| {
        clone.cml.run(&[&["pr", "create", "."], args].concat()).fails(code, error, hint);
    };
    fails(
        &["--rebase"],
        7,
        "GitLab does not support --rebase for a single merge request",
        "use --merge or --squash; *",
    );
    fails(&["--branch", "main"], 2, "--branch main is the branch to merge into", "omit --branch, *");
    fails(&["--branch", "a:b"], 2, "--branch a:b is not a valid branch name", "use letters, digits, *");
    fails(&["--remote", "nowhere"], 3, "git fetch failed: unknown remote*", "check --remote: *");
    fails(
        &["../outside"],
        3,
        "git status failed: a file is outside of the repository*",
        "only files of the working copy*",
    );
    assert_eq!(clone.cml.run(&["pr", "create", ".", "--merge", "--squash"]).code, Some(2));
    assert!(clone.forge.requests().is_empty() && clone.there(&["branch", "--format=%(refname:short)"]) == "main");
    let mut cml = clone.cml.clone();
    cml.unset("CI_COMMIT_REF_NAME");
    cml.run(&["pr", "create", "."]).fails(
        3,
        "cannot determine the target branch of the pull request",
        "pass --target-branch, *",
    );
}

#[test]
fn a_dry_run_shows_what_would_be_sent_and_sends_nothing() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "1\n");
        clone.cml.file("data/new.csv", "1\n");
        let args = ["--title", "Tune", "--body", "Better.", "--merge", "--dry-run"];
        let shown = clone.cml.run(&[&["pr", "create", "."], &args[..]].concat()).ok();
        let source = format!("main-cml-pr-{}", &clone.trigger[..8]);
        assert_eq!(
            shown,
            format!(
                "title: Tune\nfrom:  {source}\ninto:  main\nfile:  data/new.csv\nfile:  model.json\nmerge: merge\n\nBetter.\n"
            )
        );
        assert!(clone.forge.requests().is_empty() && clone.there(&["branch", "--format=%(refname:short)"]) == "main");
    }
}

#[test]
fn a_push_that_is_refused_is_explained() {
    for (vendor, text, says) in [
        (Vendor::GitHub, "error: GH006: Protected branch update failed for refs/heads/x.", "the branch is protected"),
        (
            Vendor::GitHub,
            "error: GH013: Repository rule violations found for refs/heads/x.",
            "a rule of the repository",
        ),
        (
            Vendor::GitLab,
            "GitLab: You are not allowed to push code to protected branches on this project.",
            "the branch is protected",
        ),
        (Vendor::Bitbucket, "Permission denied to create branch x", "the token is not allowed to create this branch"),
    ] {
        let clone = Clone::on(vendor);
        clone.refuse(text);
        clone.cml.file("model.json", "1\n");
        let before = clone.state();
        let ran = clone.cml.run(&["pr", "create", "."]);
        assert_eq!(ran.code, Some(4), "{ran:#?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains("--branch"), "{ran:#?}");
        assert_eq!(clone.state(), before);
        assert!(clone.forge.api_requests().is_empty());
    }
    for vendor in VENDORS {
        for (token, says) in [("nocontents", "the token is not allowed to push"), ("unknown-token", "git fetch failed")]
        {
            let mut clone = Clone::on(vendor);
            clone.cml.set("REPO_TOKEN", token).file("model.json", "1\n");
            let ran = clone.cml.run(&["pr", "create", "."]);
            assert_eq!(ran.code, Some(4), "{ran:#?}");
            assert!(ran.stderr.contains(says), "{ran:#?}");
        }
    }
}

#[test]
fn github_says_which_setting_lets_actions_open_pull_requests() {
    let clone = Clone::on(Vendor::GitHub);
    let text = r#"{"message": "GitHub Actions is not permitted to create or approve pull requests.", "status": "403"}"#;
    clone.forge.fault("POST *pulls", 1, Kind::answer(403, &[], text));
    clone.cml.file("model.json", "1\n");
    let ran = clone.cml.run(&["pr", "create", "."]);
    ran.fails(4, "GitHub Actions is not allowed to open pull requests in this repository", "allow it in Settings*");
    // The branch is there now, and is used once that is allowed.
    clone.cml.run(&["pr", "create", "."]).ok();
}

#[test]
fn a_lost_answer_does_not_open_two() {
    for vendor in VENDORS {
        for kind in [Kind::DropAfter, Kind::DropBefore] {
            let clone = Clone::on(vendor);
            clone.forge.fault("POST *pulls", 1, kind.clone());
            clone.forge.fault("POST *merge_requests", 1, kind.clone());
            clone.forge.fault("POST *pullrequests", 1, kind);
            clone.cml.file("model.json", "1\n");
            let printed = clone.cml.run(&["pr", "create", "."]).ok();
            assert!(printed.trim().ends_with('8'), "{printed}");
            assert_eq!(pulls(&clone).len(), 1, "{vendor:?}");
        }
    }
}

#[test]
fn a_remote_by_path_and_old_spellings_work() {
    let mut clone = Clone::on(Vendor::GitHub);
    let bare = clone.bare().display().to_string();
    clone.cml.git(&["remote", "add", "copy", &bare]);
    let output = clone.cml.path().join(".git/output");
    clone.cml.set("CML_PR_REMOTE", "copy").set("GITHUB_OUTPUT", output.to_str().unwrap());
    clone.cml.file("model.json", "1\n");
    let ran = clone.cml.run(&["pr", "model.json", "--md"]);
    assert!(ran.stderr.contains("\"cml pr\" is deprecated, please use \"cml pr create\""), "{ran:#?}");
    let printed = ran.ok();
    assert!(printed.starts_with("[CML's Pull Request](http"), "{printed}");
    assert!(clone.forge.requests().len() == 1 && std::fs::read_to_string(output).unwrap().starts_with("pr-url<<"));
}

#[test]
fn a_run_that_is_started_again_after_the_merge_prints_the_same_address() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "1\n");
        let first = clone.cml.run(&["pr", "create", "."]).ok();
        // The branch was not deleted.
        clone.there(&["update-ref", "refs/heads/main", &clone.branch()]);
        clone.forge.repo(vendor, vendor.slug(), |repo| {
            let pull = repo.pulls.values_mut().find(|pull| pull.number == 8).unwrap();
            let head = clone.there(&["rev-parse", &clone.branch()]);
            (pull.state, pull.head_sha, pull.merge_sha) = (PullState::Merged, head.clone(), Some(head));
        });
        clone.forge.clear_requests();
        let ran = clone.cml.run(&["pr", "create", "--merge", "."]);
        assert!(ran.stderr.contains("they were already merged into main"), "{ran:#?}");
        assert_eq!(ran.ok(), first);
        assert_eq!(clone.forge.api_requests().len(), 1, "{}", clone.forge.transcript());
        // What is new needs another one.
        clone.cml.file("model.json", "2\n");
        assert_ne!(clone.cml.run(&["pr", "create", "."]).ok(), first);
    }
}

#[test]
fn the_author_is_who_started_the_pipeline_where_gitlab_says_so() {
    let author = |clone: &Clone| clone.there(&["log", "-1", "--format=%an <%ae>", &clone.branch()]);
    let mut clone = Clone::on(Vendor::GitLab);
    clone.cml.set("GITLAB_USER_NAME", "Ada L").set("GITLAB_USER_EMAIL", "ada@example.org");
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "."]).ok();
    assert_eq!(author(&clone), "Ada L <ada@example.org>");
    // TestHost git knows, or says that it does not.
    let mut clone = Clone::on(Vendor::GitLab);
    clone.cml.unset("GITLAB_USER_NAME").unset("GITLAB_USER_EMAIL");
    clone.cml.file("model.json", "1\n");
    clone.cml.git(&["config", "user.useConfigOnly", "true"]);
    let ran = clone.cml.run(&["pr", "create", "."]);
    ran.fails(3, "git commit-tree failed: the author of the commit is unknown*", "pass --user-name and --user-email");
    clone.cml.git(&["config", "user.name", "Me"]);
    clone.cml.git(&["config", "user.email", "me@example.org"]);
    clone.cml.run(&["pr", "create", "."]).ok();
    assert_eq!(author(&clone), "Me <me@example.org>");
}

#[test]
fn the_pipeline_of_a_tag_is_of_no_branch() {
    let mut clone = Clone::on(Vendor::GitLab);
    clone.cml.set("CI_COMMIT_REF_NAME", "v1.0").set("CI_COMMIT_TAG", "v1.0");
    clone.cml.file("model.json", "1\n");
    let error = "cannot determine the target branch of the pull request";
    clone.cml.run(&["pr", "create", "."]).fails(3, error, "pass --target-branch, such as main");
    clone.cml.run(&["pr", "create", "--target-branch=main", "."]).ok();
}

#[test]
fn git_trusts_the_authority_that_the_program_was_told_to() {
    for vendor in VENDORS {
        let clone = Clone::of(Forge::start_tls(), vendor);
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, clone.forge.ca_pem()).unwrap();
        clone.cml.file("model.json", "1\n");
        let before = clone.state();
        let ran = clone.cml.run(&["pr", "create", "."]);
        assert!(ran.code == Some(9) && ran.stderr.contains("--ca-cert"), "{ran:#?}");
        let ca = format!("--ca-cert={}", ca.display());
        clone.cml.run(&["pr", "create", ".", &ca]).ok();
        assert_eq!((clone.state(), clone.changes(&clone.branch()).as_str()), (before, "M model.json"));
        clone.cml.run(&["repo", "prepare", "--fetch-depth=0", &ca]).ok();
    }
}
