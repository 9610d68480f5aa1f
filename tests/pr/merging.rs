//! Pull requests that are merged, at once or later, and refusals to do so.

use super::pulls;
use crate::support::VENDORS;
use crate::support::clone::Clone;
use crate::support::fake::{Kind, PullState, Vendor};

#[test]
fn merging_waits_where_the_forge_can_and_happens_at_once_where_it_cannot() {
    for (vendor, option, how) in [
        (Vendor::GitHub, "--merge", "MERGE"),
        (Vendor::GitHub, "--rebase", "REBASE"),
        (Vendor::GitHub, "--squash", "SQUASH"),
        (Vendor::GitLab, "--merge", "MERGE"),
        (Vendor::GitLab, "--squash", "SQUASH"),
        (Vendor::Bitbucket, "--merge", "merge_commit"),
        (Vendor::Bitbucket, "--rebase", "fast_forward"),
        (Vendor::Bitbucket, "--squash", "squash"),
    ] {
        let clone = Clone::on(vendor);
        clone.forge.configure(|switches| switches.auto_merge = true);
        clone.cml.file("model.json", "1\n");
        clone.cml.run(&["pr", "create", option, "."]).ok();
        let pull = &pulls(&clone)[0];
        assert_eq!(pull.auto_merge.as_deref(), Some(how), "{vendor:?}");
        assert_eq!(pull.state == PullState::Merged, vendor == Vendor::Bitbucket);
        assert!(clone.forge.api_requests().len() <= 4);
        if option == "--squash" {
            insta::assert_snapshot!(format!("pr_squash_{vendor:?}"), clone.forge.transcript());
        }
    }
}

#[test]
fn github_merges_at_once_where_there_is_nothing_to_wait_for() {
    for says in [
        "Auto merge is not allowed for this repository",
        "Pull request Pull request is in clean status",
        "Pull request Pull request is in unstable status",
        "Can't enable auto-merge for this pull request",
        "Pull request Protected branch rules not configured for this branch",
    ] {
        let clone = Clone::on(Vendor::GitHub);
        let answer = serde_json::json!({ "data": null, "errors": [{ "type": "UNPROCESSABLE", "message": says }] });
        clone.forge.fault("POST /github/graphql", 1, Kind::answer(200, &[], &answer.to_string()));
        clone.cml.file("model.json", "1\n");
        clone.cml.run(&["pr", "create", "--squash", "."]).ok();
        assert_eq!(pulls(&clone)[0].state, PullState::Merged, "{says}");
        assert!(clone.forge.api_requests().len() <= 4);
    }
}

#[test]
fn refusals_to_merge_are_explained_after_the_address_is_printed() {
    let graphql = |says: &str| serde_json::json!({ "errors": [{ "message": says }] }).to_string();
    for (vendor, option, path, status, body, code, says, hint) in [
        (
            Vendor::GitHub,
            "--merge",
            "POST /github/graphql",
            200,
            graphql("Pull request is in dirty status"),
            6,
            "pull request 8 was not merged",
            "conflict",
        ),
        (
            Vendor::GitHub,
            "--merge",
            "POST /github/graphql",
            200,
            graphql("Resource not accessible by integration"),
            4,
            "is not allowed to merge pull request 8",
            "contents: write",
        ),
        (
            Vendor::GitHub,
            "--merge",
            "PUT *merge",
            405,
            r#"{"message": "Merge commits are not allowed on this repository."}"#.into(),
            6,
            "not merged",
            "use another of --merge",
        ),
        (
            Vendor::GitHub,
            "--merge",
            "PUT *merge",
            405,
            r#"{"message": "At least 1 approving review is required"}"#.into(),
            6,
            "approving review",
            "allow auto-merge",
        ),
        (
            Vendor::GitLab,
            "--merge",
            "PUT *merge",
            401,
            r#"{"message": "401 Unauthorized"}"#.into(),
            4,
            "is not allowed to merge merge request 8",
            "Protected branches",
        ),
        (
            Vendor::GitLab,
            "--merge",
            "PUT *merge",
            406,
            r#"{"message": "Branch cannot be merged"}"#.into(),
            6,
            "merge request 8 was not merged",
            "conflicts",
        ),
        (
            Vendor::GitLab,
            "--merge",
            "",
            405,
            String::new(),
            6,
            "merge request 8 was not merged: GitLab answered 405",
            "pipeline",
        ),
        (
            Vendor::Bitbucket,
            "--rebase",
            "POST *merge",
            409,
            r#"{"error": {"message": "not a fast-forward"}}"#.into(),
            6,
            "pull request 8 was not merged",
            "merge checks",
        ),
    ] {
        let clone = Clone::on(vendor);
        if !path.is_empty() {
            clone.forge.fault(path, 1, Kind::answer(status, &[], &body));
        }
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&["pr", "create", option, "."]);
        assert_eq!(ran.code, Some(code), "{vendor:?} {says}: {ran:#?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains(hint), "{ran:#?}");
        assert!(ran.stdout.starts_with("http"), "{ran:#?}");
        assert_eq!(pulls(&clone).len(), 1);
        assert!(clone.forge.api_requests().len() <= 4, "{}", clone.forge.transcript());
    }
}

#[test]
fn a_merge_request_that_gitlab_still_looks_at_is_merged_a_little_later() {
    let clone = Clone::on(Vendor::GitLab);
    clone.forge.configure(|switches| switches.auto_merge = true);
    clone.forge.fault("PUT *merge", 1, Kind::answer(405, &[], r#"{"message": "405 Method Not Allowed"}"#));
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "--merge", "."]).ok();
    assert_eq!(pulls(&clone)[0].auto_merge.as_deref(), Some("MERGE"));
    assert!(clone.forge.api_requests().len() <= 4);
}

#[test]
fn a_merge_that_bitbucket_takes_its_time_for_is_followed() {
    for (status, body, code, says) in [
        (200, r#"{"task_status": "SUCCESS"}"#, 0, "merged the pull request"),
        (
            409,
            r#"{"error": {"message": "conflicts"}}"#,
            6,
            "pull request 8 was not merged: Bitbucket answered 409: conflicts",
        ),
    ] {
        let clone = Clone::on(Vendor::Bitbucket);
        let task =
            format!("{}/repositories/team/model/pullrequests/8/merge/task-status/1", clone.forge.api(clone.vendor));
        clone.forge.fault("POST *merge", 1, Kind::answer(202, &[("Location", &task)], ""));
        clone.forge.fault("GET *task-status/1", 1, Kind::answer(200, &[], r#"{"task_status": "PENDING"}"#));
        clone.forge.fault("GET *task-status/1", 1, Kind::answer(status, &[], body));
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&["pr", "create", "--merge", "."]);
        assert!(ran.code == Some(code) && ran.stderr.contains(says), "{ran:#?}");
        assert!(clone.forge.api_requests().len() <= 4);
    }
}

#[test]
fn a_forge_that_is_never_ready_is_asked_four_times_at_most() {
    let busy = r#"{"message": "Base branch was modified. Review and try the merge again."}"#;
    let unknown = r#"{"errors": [{"message": "Pull request is in unknown status"}]}"#;
    for (vendor, path, status, body, code) in [
        (Vendor::GitHub, "PUT *merge", 405, busy, 6),
        (Vendor::GitHub, "POST /github/graphql", 200, unknown, 6),
        (Vendor::GitLab, "PUT *merge", 422, r#"{"message": "Branch cannot be merged"}"#, 6),
        (Vendor::Bitbucket, "GET *task-status/1", 200, r#"{"task_status": "PENDING"}"#, 0),
    ] {
        // With a branch that is there already, which takes a request to look for its pull request.
        for again in [false, true] {
            let clone = Clone::on(vendor);
            clone.forge.fault(path, 9, Kind::answer(status, &[], body));
            let task =
                format!("{}/repositories/team/model/pullrequests/8/merge/task-status/1", clone.forge.api(vendor));
            clone.forge.fault("POST /bitbucket/*merge", 1, Kind::answer(202, &[("Location", &task)], ""));
            if again {
                clone.there(&["branch", &clone.branch(), "main"]);
            }
            clone.cml.file("model.json", "1\n");
            clone.calls();
            let ran = clone.cml.run(&["pr", "create", "--merge", "."]);
            assert_eq!(ran.code, Some(code), "{ran:#?}");
            assert!(ran.stdout.starts_with("http"), "{ran:#?}");
            let (requests, calls) = (clone.forge.api_requests().len(), clone.calls().len());
            assert!((3..=4).contains(&requests) && calls <= 8, "{vendor:?}: {calls}, {}", clone.forge.transcript());
        }
    }
}

#[test]
fn a_lost_answer_does_not_keep_it_from_merging() {
    for vendor in VENDORS {
        for kind in [Kind::DropAfter, Kind::DropBefore] {
            let clone = Clone::on(vendor);
            clone.forge.configure(|switches| switches.auto_merge = vendor == Vendor::GitLab);
            for create in ["POST *pulls$", "POST *merge_requests$", "POST *pullrequests$"] {
                clone.forge.fault(create, 2, kind.clone());
            }
            clone.cml.file("model.json", "1\n");
            clone.cml.run(&["pr", "create", "--squash", "."]).ok();
            let pull = &pulls(&clone)[0];
            assert!(pull.state == PullState::Merged || pull.auto_merge.is_some(), "{vendor:?}");
        }
    }
}
