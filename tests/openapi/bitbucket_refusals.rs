//! What Bitbucket refuses, and what the checker does.

use super::fixture::{ApiFixture, caught};
use crate::support::fake::{HEAD, Vendor};
use crate::support::png;
use serde_json::{Value, json};

const COMMENTS: &str = "/pullrequests/7/comments";

fn fixture(name: &str) -> Option<ApiFixture> {
    ApiFixture::new(Vendor::Bitbucket, name)
}

#[test]
fn refusals_are_as_described_and_understood() {
    for (token, target, code, says) in [
        ("bad", "pr/7", 4, "error: Bitbucket does not accept the token"),
        ("readonly", "pr/7", 4, "needs pullrequest:write"),
        ("good", "pr/404", 5, "pull request"),
        ("good", "issue/404", 5, "Bitbucket has removed its issue tracker"),
        ("good", "commit/4040404", 5, "commit"),
    ] {
        let Some(mut fixture) = fixture(&format!("refused-{}-{code}", target.replace('/', "-"))) else { return };
        fixture.cml.set("REPO_TOKEN", token);
        for verb in ["create", "update"] {
            let ran = fixture.cml.run(&["comment", verb, "--target", target, "report.md"]);
            assert!(ran.code == Some(code) && ran.stderr.contains(says), "{ran:#?}");
        }
    }
    let Some(mut fixture) = fixture("refused-contents") else { return };
    fixture.cml.set("REPO_TOKEN", "nocontents").file("plot.png", png(1));
    fixture.cml.file("report.md", "![plot](plot.png)");
    let ran = fixture.cml.run(&["comment", "create", "report.md"]);
    assert!(ran.stderr.contains("repository:write"), "{ran:#?}");
    fixture.cml.set("BITBUCKET_REPO_FULL_NAME", "team/none").unset("CML_REPO");
    let ran = fixture.cml.run(&["comment", "create", "report.md"]);
    assert_eq!(ran.code, Some(5), "{ran:#?}");
    assert_eq!(fixture.checked.prism.violations("team/none"), [""; 0]);
}

#[test]
fn the_fake_refuses_as_described() {
    let Some(fixture) = fixture("fake") else { return };
    let commit = format!("/commit/{HEAD}");
    let runner = |labels: Value| json!({ "name": "r", "labels": labels });
    for (method, path, body, status) in [
        ("POST", COMMENTS, &json!({ "content": { "raw": " " } }), 400),
        ("PUT", "/pullrequests/7/comments/404", &json!({ "content": { "raw": "x" } }), 404),
        ("GET", "/pullrequests/7/comments/404", &Value::Null, 404),
        ("DELETE", &format!("{commit}/comments/404"), &Value::Null, 404),
        ("GET", "/pullrequests?q=state", &Value::Null, 400),
        ("POST", "/pullrequests", &json!({ "title": "t", "source": { "branch": { "name": "none" } } }), 400),
        ("POST", "/pullrequests/404/merge", &json!({ "type": "x", "merge_strategy": "squash" }), 404),
        ("PUT", &format!("{commit}/reports/r"), &json!({ "title": "t" }), 400),
        ("POST", &format!("{commit}/reports/none/annotations"), &json!([{ "summary": "s" }]), 404),
        ("POST", &format!("{commit}/statuses/build"), &json!({ "key": "k".repeat(41), "state": "FAILED" }), 400),
        ("GET", "/commit/4040404/comments", &Value::Null, 404),
        ("POST", "/pipelines", &json!({ "target": {} }), 400),
        ("GET", "/pipelines/404", &Value::Null, 404),
        ("GET", "/pipelines-config/runners/%7Bx%7D", &Value::Null, 404),
        ("POST", "/pipelines-config/runners", &runner(json!(["gpu"])), 400),
    ] {
        let answer = fixture.send(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
}

#[test]
fn forbidden_requests_are_caught() {
    let report = format!("/commit/{HEAD}/reports/r");
    for (n, (method, path, body, problem)) in [
        ("POST", COMMENTS, json!({ "content": { "raw": 1 } }), "property content.raw must be string"),
        ("POST", COMMENTS, json!({ "content": { "row": "x" } }), "found 'row'"),
        ("POST", COMMENTS, json!({ "contents": { "raw": "x" } }), "found 'contents'"),
        ("POST", "/pullrequests/7/comment", json!({}), "Route not resolved"),
        (
            "POST",
            "/pullrequests/7/comments?per_page=1",
            json!({ "content": { "raw": "x" } }),
            "no query has a parameter",
        ),
        ("GET", "/pullrequests/7/comments?pagelen=101", Value::Null, "pagelen must be <= 100"),
        ("POST", "/pullrequests", json!({ "title": "t", "source": { "branch": "b" } }), "source.branch must be object"),
        ("POST", "/pullrequests/7/merge", json!({ "type": "x", "merge_strategy": "rebase" }), "merge_strategy must be"),
        ("PUT", &report, json!({ "report_type": "CML" }), "report_type must be equal to one of"),
        (
            "PUT",
            &report,
            json!({ "data": [{ "title": "t", "type": "NUMBER", "value": ".5" }] }),
            "value must be number",
        ),
        ("POST", &format!("{report}/annotations"), json!([{ "severity": "high" }]), "severity must be equal to one of"),
        ("POST", &format!("{report}/annotations"), json!([{ "start_line": 1 }]), "found 'start_line'"),
        ("POST", &format!("{report}/annotations"), json!([]), "must NOT have fewer than 1 items"),
        ("POST", "/pipelines", json!({ "variable": [] }), "found 'variable'"),
        ("POST", "/pipelines-config/runners", json!({ "name": "r", "labels": ["a-b"] }), "must match pattern"),
        ("POST", "/downloads", json!({ "files": "x" }), "upported"),
    ]
    .into_iter()
    .enumerate()
    {
        let sent = |fixture: &ApiFixture| assert_eq!(fixture.send(method, path, &body).status, 400);
        let Some(found) = caught(Vendor::Bitbucket, &format!("forbidden-{n}"), sent) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{path} {found:#?}");
    }
}

#[test]
fn forbidden_answers_are_caught() {
    for (n, (status, answer, problem)) in [
        (201, json!({ "id": 1, "content": { "raw": "x" } }), "must have required property 'type'"),
        (201, json!({ "type": "x", "id": "1" }), "property id must be integer"),
        (201, json!({ "type": "x", "links": { "page": {} } }), "found 'page'"),
        (200, json!({ "type": "x" }), "Unable to match the returned status code"),
        (404, json!({ "message": "not found" }), "must have required property 'type'"),
        (400, json!({ "type": "error", "error": { "messages": [] } }), "must have required property 'message'"),
    ]
    .into_iter()
    .enumerate()
    {
        let run = |fixture: &ApiFixture| {
            fixture.fault("POST", COMMENTS, status, &answer);
            assert_ne!(fixture.cml.run(&["comment", "create", "report.md"]).code, Some(0));
        };
        let Some(found) = caught(Vendor::Bitbucket, &format!("answer-{n}"), run) else { return };
        assert!(found.len() == 1 && found[0].contains(problem), "{found:#?}");
    }
}
