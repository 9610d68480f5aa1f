//! The commit to compare with, in clones as CI systems make them. The forge's git server is real, over HTTP; the forges are the fakes.

use super::rows;
use crate::support::clone::Clone;
use crate::support::fake::Vendor;
use crate::support::{Cml, VENDORS};
use serde_json::json;

/// What `accuracy` is in a commit.
fn write(cml: &Cml, accuracy: &str) {
    cml.file("metrics.json", format!("{{\"accuracy\": {accuracy}}}"));
}

fn commit(cml: &Cml, accuracy: &str) -> String {
    write(cml, accuracy);
    cml.git(&["add", "metrics.json"]);
    cml.git(&["commit", "-q", "-m", accuracy]);
    cml.git(&["rev-parse", "HEAD"])
}

/// A history: 0.1 and 0.2 on `main`, from which `feature` starts with 0.3 and more, and then 0.9 on `main`.
pub struct History {
    pub clone: Clone,
    pub start: String,
    pub head: String,
    tip: String,
}

pub fn history(vendor: Vendor) -> History {
    let clone = Clone::on(vendor);
    let cml = &clone.cml;
    cml.git(&["checkout", "-q", "main"]);
    commit(cml, "0.1");
    let start = commit(cml, "0.2");
    cml.git(&["checkout", "-q", "-b", "feature"]);
    let mut head = String::new();
    for at in 0..60 {
        head = commit(cml, &format!("0.3{at:02}"));
    }
    cml.git(&["checkout", "-q", "main"]);
    let tip = commit(cml, "0.9");
    cml.git(&["push", "-q", clone.bare().to_str().unwrap(), "main", "feature"]);
    History { clone, start, head, tip }
}

impl History {
    /// Makes the working copy one with a single commit.
    pub fn shallow(&self, commit: &str) {
        let cml = &self.clone.cml;
        let url = cml.git(&["remote", "get-url", "origin"]);
        std::fs::remove_dir_all(cml.path().join(".git")).unwrap();
        cml.git(&["init", "-q"]);
        cml.git(&["remote", "add", "origin", &url]);
        let bare = format!("file://{}", self.clone.bare().display());
        cml.git(&["fetch", "-q", "--depth=1", "--no-tags", &bare, commit]);
        cml.git(&["checkout", "-q", "--detach", "--force", commit]);
        assert_eq!(cml.git(&["rev-list", "--count", "HEAD"]), "1");
        self.clone.calls();
    }

    /// The pipeline of a pull request of `feature` into `main`.
    pub fn pull_request(&mut self) {
        let (head, vendor) = (self.head.clone(), self.clone.vendor);
        self.clone.about(&head, "feature");
        let cml = &mut self.clone.cml;
        match vendor {
            Vendor::GitHub => {
                let event = json!({ "pull_request": { "number": 7, "head": { "sha": head, "ref": "feature",
                    "repo": { "full_name": "octo/model" } }, "base": { "ref": "main" } } });
                let path = cml.file("event.json", event.to_string());
                cml.set("GITHUB_EVENT_PATH", path.to_str().unwrap()).set("GITHUB_REF", "refs/pull/7/merge");
            }
            Vendor::GitLab => {
                cml.set("CI_MERGE_REQUEST_IID", "7").set("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
            }
            Vendor::Bitbucket => {
                cml.set("BITBUCKET_PR_ID", "7").set("BITBUCKET_PR_DESTINATION_BRANCH", "main");
            }
        }
    }

    fn table(&self) -> String {
        self.clone.cml.run(&["metrics", "diff"]).ok()
    }
}

/// What a deeper clone has as before: settings, HEAD, branches, index and files. Only objects come along.
fn settings(history: &History) -> String {
    let state = format!("{:?}", history.clone.state());
    state.split(", files: ").next().unwrap().to_owned()
}

#[test]
fn a_pull_request_is_compared_with_where_it_started() {
    for vendor in VENDORS {
        let mut history = history(vendor);
        history.pull_request();
        history.shallow(&history.head);
        write(&history.clone.cml, "0.5");
        let before = settings(&history);
        let table = history.table();
        assert_eq!(rows(&table)[0], ["metrics.json", "accuracy", "0.2", "0.5", "+0.3"], "{vendor:?} {table}");
        assert!(table.contains(&format!("| main ({}, ", &history.start[..7])), "{table}");
        assert_eq!(before, settings(&history), "{vendor:?}");
        // It is there now: nothing more is fetched.
        history.clone.calls();
        assert_eq!(history.table(), table);
        let calls = history.clone.calls();
        assert!(calls.iter().all(|call| !call.contains(" fetch ")), "{calls:#?}");
    }
}

#[test]
fn a_test_merge_is_compared_with_where_the_branch_started() {
    let mut history = history(Vendor::GitHub);
    let cml = &history.clone.cml;
    cml.git(&["checkout", "-q", "--detach", &history.tip]);
    cml.git(&["merge", "-q", "-s", "ours", "-m", "merge", &history.head]);
    let merge = cml.git(&["rev-parse", "HEAD"]);
    cml.git(&["push", "-q", history.clone.bare().to_str().unwrap(), "HEAD:refs/pull/7/merge"]);
    history.pull_request();
    history.clone.cml.set("GITHUB_SHA", &merge);
    history.shallow(&merge);
    write(&history.clone.cml, "0.5");
    let table = history.table();
    assert!(table.contains(&format!("| main ({}, ", &history.start[..7])), "{table}");
}

#[test]
fn a_push_to_the_default_branch_is_compared_with_the_commit_before() {
    for vendor in VENDORS {
        let mut history = history(vendor);
        let tip = history.tip.clone();
        history.clone.about(&tip, "main");
        history.clone.cml.set("CI_DEFAULT_BRANCH", "main");
        history.shallow(&tip);
        history.clone.cml.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        let table = history.table();
        assert_eq!(rows(&table)[0], ["metrics.json", "accuracy", "0.2", "0.9", "+0.7"], "{vendor:?} {table}");
        assert!(table.contains(&format!("| main\\~1 ({}, ", &history.start[..7])), "{table}");
        // Not more than the one commit came along.
        assert_eq!(history.clone.cml.git(&["rev-list", "--count", &history.start]), "1");
    }
}

#[test]
fn a_branch_of_the_remote_is_fetched() {
    let mut history = history(Vendor::GitHub);
    history.pull_request();
    history.shallow(&history.head);
    let table = history.clone.cml.run(&["metrics", "diff", "main"]).ok();
    assert_eq!(rows(&table)[0], ["metrics.json", "accuracy", "0.9", "0.359", "-0.541"], "{table}");
    let two = history.clone.cml.run(&["metrics", "diff", "main", "feature"]).ok();
    assert!(two.contains("| feature "), "{two}");
    let unknown = history.clone.cml.run(&["metrics", "diff", "no-such-branch"]);
    unknown.fails(5, "unknown revision 'no-such-branch'", "*fetch-depth*");
}

/// The table of a run that has no clone, or none that is of use.
fn asks_the_forge(history: &History) -> String {
    history.clone.forge.clear_requests();
    let table = history.table();
    let asked = history.clone.forge.api_requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.method == "GET"), "{asked:#?}");
    table
}

#[test]
fn without_a_clone_the_forge_has_the_base() {
    for vendor in VENDORS {
        let mut history = history(vendor);
        let cml = &history.clone.cml;
        // A project of DVC's, in a folder that needs escaping, and more files than fit a page.
        cml.git(&["checkout", "-q", "feature"]);
        history.pull_request();
        let cml = &history.clone.cml;
        std::fs::remove_dir_all(cml.path().join(".git")).unwrap();
        write(cml, "0.5");
        let table = asks_the_forge(&history);
        assert_eq!(rows(&table), [["metrics.json", "accuracy", "0.2", "0.5", "+0.3"]], "{vendor:?} {table}");
        assert!(table.contains(&format!("| main ({}, ", &history.start[..7])), "{table}");
        let cml = &history.clone.cml;
        let named = cml.run(&["metrics", "diff", "main", "feature"]).ok();
        assert_eq!(rows(&named)[0], ["metrics.json", "accuracy", "0.9", "0.359", "-0.541"], "{vendor:?} {named}");
        cml.run(&["metrics", "diff", "no-such"]).fails(5, "unknown revision 'no-such'", "*");
        let report = cml.run(&["report", "create"]).ok();
        assert!(report.contains("**1 metric changed** compared with main ("), "{report}");
        // A push to the default branch.
        let tip = history.tip.clone();
        history.clone.about(&tip, "main");
        history.clone.cml.set("CI_DEFAULT_BRANCH", "main");
        let table = asks_the_forge(&history);
        assert_eq!(rows(&table)[0], ["metrics.json", "accuracy", "0.2", "0.5", "+0.3"], "{vendor:?} {table}");
        assert!(table.contains("| main\\~1 (") || vendor != Vendor::GitLab, "{table}");
        // Nobody to ask.
        history.clone.cml.unset("REPO_TOKEN");
        let ran = history.clone.cml.run(&["metrics", "diff"]);
        ran.fails(3, "not a git repository, and no token for a forge to ask instead", "*set REPO_TOKEN*");
    }
}

#[test]
fn a_clone_that_cannot_be_deepened_says_what_to_do() {
    for vendor in VENDORS {
        let mut history = history(vendor);
        history.pull_request();
        history.shallow(&history.head);
        write(&history.clone.cml, "0.5");
        history.clone.cml.git(&["remote", "set-url", "origin", "/no/such/folder"]);
        // The forge has what git cannot fetch.
        let table = asks_the_forge(&history);
        assert_eq!(rows(&table), [["metrics.json", "accuracy", "0.2", "0.5", "+0.3"]], "{vendor:?} {table}");
        history.clone.cml.unset("REPO_TOKEN");
        let ran = history.clone.cml.run(&["metrics", "diff"]);
        let error = "cannot find the commit that this branch started from on main: *";
        assert!(ran.stderr.contains("fetch-depth") || ran.stderr.contains("--remote"), "{ran:?}");
        let says = crate::support::fits(&format!("*error: {error}*"), &ran.stderr);
        assert!(ran.code != Some(0) && ran.stdout.is_empty() && says, "{ran:?}");
    }
}

/// Once for the files of the working copy, once for those of the base, and once for all contents with the commit; in a pull request once
/// more for the merge base.
#[test]
fn git_is_started_three_or_four_times() {
    let mut history = history(Vendor::GitHub);
    history.pull_request();
    let cml = &history.clone.cml;
    cml.git(&["checkout", "-q", "main"]);
    cml.file("dvc.yaml", "metrics: [metrics.json, eval/a.json]\n");
    cml.file("eval/a.json", "{}");
    cml.git(&["add", "."]);
    cml.git(&["commit", "-q", "-m", "dvc"]);
    cml.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    write(cml, "0.5");
    history.clone.calls();
    let named = cml.run(&["metrics", "diff", "main"]).ok();
    let calls = history.clone.calls();
    assert!(rows(&named).len() == 1 && calls.len() == 3, "{calls:#?}");
    let found = cml.run(&["metrics", "diff"]).ok();
    let calls = history.clone.calls();
    assert!(calls.len() == 4, "{calls:#?}");
    assert!(found.contains(" ago)") && !found.contains("years"), "{found}");
}
