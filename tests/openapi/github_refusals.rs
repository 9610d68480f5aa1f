//! What GitHub refuses, and what the checker does.

use super::fixture::{ApiFixture, caught};
use crate::support::fake::{HEAD, Vendor};
use crate::support::png;
use serde_json::{Value, json};

#[test]
fn refusals_are_as_described_and_understood() {
    for (token, target, code, says) in [
        ("bad", "pr/7", 4, "error: GitHub does not accept the token"),
        ("readonly", "pr/7", 4, "permissions: { pull-requests: write }"),
        ("good", "pr/404", 5, "pull request"),
        ("good", "issue/404", 5, "issue"),
        ("good", "commit/4040404", 5, "commit"),
    ] {
        let Some(mut fixture) =
            ApiFixture::new(Vendor::GitHub, &format!("refused-{code}-{}", target.replace('/', "-")))
        else {
            return;
        };
        fixture.cml.set("REPO_TOKEN", token);
        for verb in ["create", "update"] {
            let ran = fixture.cml.run(&["comment", verb, "--target", target, "report.md"]);
            assert_eq!(ran.code, Some(code), "{ran:#?}");
            assert!(ran.stderr.contains(says), "{ran:#?}");
        }
    }
    let Some(mut fixture) = ApiFixture::new(Vendor::GitHub, "refused-contents") else { return };
    fixture.cml.set("REPO_TOKEN", "nocontents").file("plot.png", png(1));
    fixture.cml.file("report.md", "![plot](plot.png)");
    let ran = fixture.cml.run(&["comment", "create", "report.md"]);
    assert!(ran.stderr.contains("contents: write"), "{ran:#?}");
    let Some(mut fixture) = ApiFixture::new(Vendor::GitHub, "refused-repository") else { return };
    fixture.cml.set("GITHUB_REPOSITORY", "octo/none").unset("GITHUB_EVENT_PATH");
    let ran = fixture.cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
}

#[test]
fn the_fake_refuses_as_described() {
    let Some(fixture) = ApiFixture::new(Vendor::GitHub, "fake") else { return };
    let main = fixture.repo(|repo| repo.git.refs["refs/heads/main"].clone());
    let orphan = json!({ "message": "x", "tree": fixture.repo(|repo| repo.git.tree_of(&main).unwrap()) });
    let orphan: Value = serde_json::from_slice(&fixture.send("POST", "/git/commits", &orphan).body).unwrap();
    let (unknown, long) = ("0".repeat(40), json!({ "body": "x".repeat(65_537) }));
    for (method, path, body, status) in [
        ("POST", "/issues/7/comments", &long, 422),
        ("POST", &format!("/commits/{HEAD}/comments"), &json!({ "body": " " }), 422),
        ("PATCH", "/issues/comments/404", &json!({ "body": "x" }), 404),
        ("DELETE", "/comments/404", &Value::Null, 404),
        ("POST", "/git/refs", &json!({ "ref": "refs/heads/main", "sha": main }), 422),
        ("PATCH", "/git/refs/heads/main", &json!({ "sha": orphan["sha"] }), 422),
        ("PATCH", "/git/refs/heads/none", &json!({ "sha": main }), 422),
        ("POST", "/git/trees", &json!({ "base_tree": unknown, "tree": [] }), 422),
        ("POST", "/git/commits", &json!({ "message": "x", "tree": unknown }), 422),
        ("GET", &format!("/git/commits/{unknown}"), &Value::Null, 404),
        ("GET", &format!("/git/trees/{unknown}"), &Value::Null, 404),
        ("GET", &format!("/commits/{unknown}/pulls"), &Value::Null, 422),
    ] {
        let answer = fixture.send(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
}

#[test]
fn forbidden_requests_are_caught() {
    for (n, (path, body, problem)) in [
        ("/issues/7/comments", json!({ "body": 1 }), "Request body property body must be string"),
        ("/issues/7/comments", json!({ "bdy": "x" }), "Request body must have required property 'body'"),
        ("/git/blobs", json!({ "content": "x", "encodnig": "utf-8" }), "must NOT have additional properties"),
        ("/issues/seven/comments", json!({ "body": "x" }), "must be integer"),
        ("/issues/7/comment", json!({ "body": "x" }), "Route not resolved"),
        ("/issues/7/comments?perpage=1", json!({ "body": "x" }), "no query has a parameter perpage"),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = |fixture: &ApiFixture| {
            assert_eq!(fixture.send("POST", path, &body).status, 400);
        };
        let Some(found) = caught(Vendor::GitHub, &format!("forbidden-{n}"), sent) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{found:#?}");
    }
}

#[test]
fn forbidden_answers_are_caught() {
    for (n, (status, answer, problem)) in [
        (201, json!({ "id": 1, "html_url": "https://github.com" }), "Response body must have required property"),
        (200, json!({}), "Unable to match the returned status code"),
        (404, json!({ "error": "not found" }), "must have required property 'message'"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = |fixture: &ApiFixture| {
            fixture.fault("POST", "/issues/7/comments", status, &answer);
            assert_ne!(fixture.cml.run(&["comment", "create", "report.md"]).code, Some(0));
        };
        let Some(found) = caught(Vendor::GitHub, &format!("answer-{n}"), run) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{found:#?}");
    }
}
