//! What the program uses of GitHub: <https://github.com/github/rest-api-description>, in `@octokit/openapi`.

use super::Source;
use serde_json::{Value, json};

pub const SOURCE: Source = Source {
    title: "GitHub",
    variable: "CML_TEST_OPENAPI",
    file: "api.github.com.json",
    repository: "/repos/{owner}/{repo}",
    used: &USED,
    elsewhere: &ELSEWHERE,
    refusals: &REFUSALS,
    long: "{ref}",
    mend,
};

/// What `src/forge/github*` calls of a repository.
const USED: [(&str, &[&str]); 33] = [
    ("", &["get"]),
    ("/issues/{issue_number}/comments", &["get", "post"]),
    ("/issues/{issue_number}/labels", &["get"]),
    ("/issues/{issue_number}/timeline", &["get"]),
    ("/issues/comments/{comment_id}", &["get", "patch", "delete"]),
    ("/commits/{commit_sha}/comments", &["get", "post"]),
    ("/comments/{comment_id}", &["get", "patch", "delete"]),
    ("/commits/{commit_sha}/pulls", &["get"]),
    ("/commits/{ref}/check-runs", &["get"]),
    ("/check-runs", &["post"]),
    ("/check-runs/{check_run_id}", &["get", "patch"]),
    ("/check-runs/{check_run_id}/annotations", &["get"]),
    ("/pulls", &["get", "post"]),
    ("/pulls/{pull_number}/merge", &["put"]),
    ("/git/ref/{ref}", &["get"]),
    ("/git/refs", &["post"]),
    ("/git/refs/{ref}", &["patch"]),
    ("/git/commits", &["post"]),
    ("/git/commits/{commit_sha}", &["get"]),
    ("/git/trees", &["post"]),
    ("/git/trees/{tree_sha}", &["get"]),
    ("/git/blobs", &["post"]),
    ("/actions/workflows/{workflow_id}/dispatches", &["post"]),
    ("/rulesets/rule-suites", &["get"]),
    ("/actions/runs/{run_id}", &["get"]),
    ("/actions/runs/{run_id}/cancel", &["post"]),
    ("/actions/runs/{run_id}/jobs", &["get"]),
    ("/actions/runs/{run_id}/rerun", &["post"]),
    ("/actions/runs/{run_id}/rerun-failed-jobs", &["post"]),
    ("/actions/runners", &["get"]),
    ("/actions/runners/downloads", &["get"]),
    ("/actions/runners/generate-jitconfig", &["post"]),
    ("/actions/runners/{runner_id}", &["get", "delete"]),
];
/// The same elsewhere.
const ELSEWHERE: [(&str, &[&str]); 5] = [
    ("/orgs/{org}/actions/runners", &["get"]),
    ("/orgs/{org}/actions/runners/downloads", &["get"]),
    ("/orgs/{org}/actions/runners/generate-jitconfig", &["post"]),
    ("/orgs/{org}/actions/runners/{runner_id}", &["get", "delete"]),
    ("/orgs/{org}/actions/runner-groups", &["get"]),
];
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
const REFUSALS: [(&str, &str); 5] = [
    ("401", "requires_authentication"),
    ("403", "forbidden"),
    ("404", "not_found"),
    ("409", "conflict"),
    ("422", "validation_failed"),
];

/// Refusals are described without saying what they always have.
fn mend(whole: &mut Value) {
    for error in ["basic-error", "validation-error"] {
        whole["components"]["schemas"][error]["required"] = json!(["message", "documentation_url"]);
    }
}
