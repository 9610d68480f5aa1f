//! What a run is about, where the variables of the CI are about something else: GitHub's variables are about the default branch
//! in runs for comments, checks and statuses, and lists of pull requests name those into other repositories too. The
//! events are cut down from recorded ones; the forge is the fake.

use crate::support::Cml;
use crate::support::clone::Clone;
use crate::support::fake::{Forge, HEAD, PullRequest, PullState, Target, Vendor};
use serde_json::{Value, json};

/// The head of the default branch, which the variables name.
const MAIN: &str = "0123456789012345678901234567890123456789";

/// A job of an event.
fn on(forge: &Forge, event: &Value) -> Cml {
    let mut cml = Cml::on(forge, Vendor::GitHub);
    cml.file("event.json", event.to_string());
    cml.set("GITHUB_REF", "refs/heads/main").set("GITHUB_SHA", MAIN);
    forge.add_commit(Vendor::GitHub, MAIN);
    cml
}

/// A pull request as events list it, into a repository.
fn listed(number: u64, base: &str) -> Value {
    let url = format!("https://api.github.com/repos/{base}");
    json!({ "number": number, "head": { "ref": "feature", "sha": HEAD }, "base": { "ref": "main", "repo": { "url": url } } })
}

fn commented_on(number: u64) -> Value {
    json!({ "action": "created", "issue": { "number": number, "pull_request": { "url": "x" } }, "comment": { "body": "/train" } })
}

/// Events about pull request 7, or its commit.
fn events(pulls: &[Value]) -> Vec<Value> {
    let suite = json!({ "head_branch": "feature", "head_sha": HEAD, "pull_requests": pulls });
    vec![
        json!({ "check_run": { "head_sha": HEAD, "check_suite": suite, "pull_requests": pulls } }),
        json!({ "check_suite": suite }),
        json!({ "workflow_run": { "head_sha": HEAD, "head_branch": "feature", "pull_requests": pulls,
            "head_repository": { "full_name": "octo/model" } } }),
        json!({ "sha": HEAD, "state": "success", "context": "ci", "branches": [{ "name": "feature" }] }),
    ]
}

#[test]
fn a_check_is_about_the_commit_of_the_event() {
    for event in [&[commented_on(7)][..], &events(&[]), &events(&[listed(7, "octo/model")])].concat() {
        let forge = Forge::start();
        on(&forge, &event).run(&["check", "create", "--comment", "report.md"]).ok();
        let commits: Vec<String> = forge
            .repo(Vendor::GitHub, "octo/model", |repo| repo.checks.iter().map(|check| check.sha.clone()).collect());
        assert_eq!(commits, [HEAD], "{event}\n{}", forge.transcript());
        let comments = forge.live_comments(Vendor::GitHub, &Target::Pull(7));
        assert_eq!(comments.len(), 1, "{event}\n{}", forge.transcript());
        assert!(!forge.transcript().contains(MAIN), "{}", forge.transcript());
        let forge = Forge::start();
        on(&forge, &event).run(&["comment", "create", "--target", "commit", "report.md"]).ok();
        let comments = forge.live_comments(Vendor::GitHub, &Target::Commit(HEAD.to_owned()));
        assert!(comments[0].body.contains(&format!("#{HEAD}")), "{event}\n{}", forge.transcript());
    }
}

#[test]
fn a_comment_names_the_commit_of_the_pull_request_it_is_on() {
    let forge = Forge::start();
    on(&forge, &commented_on(7)).run(&["comment", "update", "report.md"]).ok();
    let comments = forge.live_comments(Vendor::GitHub, &Target::Pull(7));
    assert!(comments[0].body.contains(&format!("#{HEAD}")), "{}", comments[0].body);
    // One that does not exist is named.
    on(&forge, &commented_on(77)).run(&["check", "create", "report.md"]).fails(
        5,
        "pull request 77 not found in octo/model",
        "check the number in --target, or omit --target to use the event's",
    );
    // On an issue nothing is looked up.
    let issue = json!({ "issue": { "number": 3 }, "comment": { "body": "/train" } });
    forge.clear_requests();
    on(&forge, &issue).run(&["comment", "create", "--target", "issue", "report.md"]).ok();
    assert_eq!(forge.api_requests().len(), 1, "{}", forge.transcript());
}

#[test]
fn pull_requests_into_other_repositories_are_left_alone() {
    for event in events(&[listed(5, "upstream/model"), listed(6, "octo/model-zoo"), listed(8, "OCTO/Model")]) {
        if event.get("sha").is_some() {
            continue;
        }
        let forge = Forge::start();
        forge.add_pull_request(Vendor::GitHub, PullRequest::open(8, HEAD, "feature"));
        on(&forge, &event).run(&["comment", "create", "report.md"]).ok();
        assert_eq!(forge.live_comments(Vendor::GitHub, &Target::Pull(8)).len(), 1, "{}", forge.transcript());
    }
    // Where only others are listed, ours is looked for.
    for event in events(&[listed(5, "upstream/model")]) {
        let forge = Forge::start();
        on(&forge, &event).run(&["comment", "create", "report.md"]).ok();
        assert_eq!(forge.live_comments(Vendor::GitHub, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
    }
    // The list of GitLab too has those into other projects.
    let forge = Forge::start();
    forge.add_pull_request(Vendor::GitLab, PullRequest::open(8, HEAD, "feature"));
    let mut cml = Cml::on(&forge, Vendor::GitLab);
    cml.unset("CI_MERGE_REQUEST_IID").set("CI_PROJECT_PATH", "group/model");
    cml.set("CI_OPEN_MERGE_REQUESTS", "model!5,other/model!6,group/model!8");
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(forge.live_comments(Vendor::GitLab, &Target::Pull(8)).len(), 1, "{}", forge.transcript());
}

/// The pull requests that the program opened.
fn opened(clone: &Clone) -> Vec<PullRequest> {
    clone.forge.repo(Vendor::GitHub, "octo/model", |repo| {
        repo.pulls.values().filter(|pull| pull.number > 9).cloned().collect()
    })
}

/// A clone of `main` with a branch `feature`, which is pull request 9 of a repository, in the run of an event.
fn clone(event: &Value, fork: Option<&str>) -> (Clone, String) {
    let mut clone = Clone::on(Vendor::GitHub);
    let bare = clone.bare().display().to_string();
    clone.cml.git(&["checkout", "-q", "-b", "feature"]);
    clone.cml.file("elsewhere.txt", "1\n");
    clone.cml.git(&["add", "elsewhere.txt"]);
    clone.cml.git(&["commit", "-q", "-m", "elsewhere"]);
    let head = clone.cml.git(&["rev-parse", "HEAD"]);
    clone.cml.git(&["push", "-q", &bare, "feature"]);
    let pull = PullRequest { fork: fork.map(str::to_owned), ..PullRequest::open(9, &head, "feature") };
    clone.forge.add_pull_request(Vendor::GitHub, pull);
    let event = clone.cml.file("event.json", event.to_string().replace(HEAD, &head));
    clone.cml.set("GITHUB_EVENT_PATH", event.to_str().unwrap());
    (clone, head)
}

#[test]
fn changes_go_to_the_branch_of_the_pull_request_that_was_commented_on() {
    // With the default branch checked out, and with the pull request's.
    for checkout in ["main", "feature"] {
        let (clone, head) = clone(&commented_on(9), None);
        clone.cml.git(&["checkout", "-q", "--detach", checkout]);
        clone.cml.file("model.json", "1\n");
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        let pulls = opened(&clone);
        assert_eq!((pulls.len(), pulls[0].base.as_str()), (1, "feature"), "{}", clone.forge.transcript());
        let branch = format!("feature-cml-pr-{}", &head[..8]);
        assert_eq!(clone.there(&["rev-parse", &format!("{branch}^")]), head);
        assert_eq!(clone.changes(&branch), "M model.json");
    }
    let (clone, _) = clone(&commented_on(9), Some("visitor/model"));
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "model.json"]).fails(
        7,
        "this run is for a branch of a fork, not of this repository",
        "run this for the repository's own branches only, or pass --target-branch",
    );
}

#[test]
fn changes_in_a_merge_queue_go_to_the_branch_that_it_merges_into() {
    let group = json!({ "merge_group": { "base_ref": "refs/heads/main", "head_sha": HEAD,
        "head_ref": "refs/heads/gh-readonly-queue/main/pr-9-0123" } });
    let (mut clone, head) = clone(&group, None);
    clone.cml.set("GITHUB_SHA", &head).set("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-9-0123");
    clone.cml.git(&["checkout", "-q", "--detach", "feature"]);
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "model.json"]).ok();
    let pulls = opened(&clone);
    assert_eq!((pulls.len(), pulls[0].base.as_str()), (1, "main"), "{}", clone.forge.transcript());
    assert!(pulls.iter().all(|pull| pull.state == PullState::Open));
}

#[test]
fn doctor_says_that_the_head_is_the_pull_requests() {
    let forge = Forge::start();
    let ran = on(&forge, &commented_on(7)).run(&["doctor"]);
    let line = "  commit        the head of pull request 7  (from the event in GITHUB_EVENT_PATH)\n";
    assert!(ran.stdout.contains(line) && !ran.stdout.contains(MAIN), "{ran:#?}");
}
