//! GitHub's own description of its API, <https://github.com/github/rest-api-description>, cut down to the operations
//! that the program uses (the whole would take a checker half a minute to read), and stricter where it says too little
//! for a check.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const REPO: &str = "/repos/{owner}/{repo}";
/// What `src/forge/github*` calls of a repository, or where it says so of an organisation. Anything else is refused by the checker, as a path that is not described.
const USED: [(&str, &[&str]); 34] = [
    ("", &["get"]),
    ("/issues/{issue_number}/comments", &["get", "post"]),
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
    ("/actions/runs/{run_id}", &["get"]),
    ("/actions/runs/{run_id}/cancel", &["post"]),
    ("/actions/runs/{run_id}/jobs", &["get"]),
    ("/actions/runs/{run_id}/rerun", &["post"]),
    ("/actions/runs/{run_id}/rerun-failed-jobs", &["post"]),
    ("/actions/runners", &["get"]),
    ("/actions/runners/downloads", &["get"]),
    ("/actions/runners/generate-jitconfig", &["post"]),
    ("/actions/runners/{runner_id}", &["get", "delete"]),
    ("/orgs/{org}/actions/runners", &["get"]),
    ("/orgs/{org}/actions/runners/downloads", &["get"]),
    ("/orgs/{org}/actions/runners/generate-jitconfig", &["post"]),
    ("/orgs/{org}/actions/runners/{runner_id}", &["get", "delete"]),
    ("/orgs/{org}/actions/runner-groups", &["get"]),
];
/// What any operation may answer, described with it or not: what such an answer looks like is described.
/// <https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api>
const REFUSALS: [(&str, &str); 5] = [
    ("401", "requires_authentication"),
    ("403", "forbidden"),
    ("404", "not_found"),
    ("409", "conflict"),
    ("422", "validation_failed"),
];
/// A ref such as `heads/a/b` is one parameter, with its slashes as they are; checkers know no such thing.
const MOST_SEGMENTS: usize = 4;

/// The part of a description that is about the program.
pub struct Description {
    pub document: Value,
    /// The names of all parameters of queries.
    pub query: BTreeSet<String>,
}

/// Cuts it out of the whole.
pub fn cut(whole: &Value) -> Description {
    let mut paths = Map::new();
    let mut components = json!({});
    for (path, methods) in USED {
        let path = if path.starts_with("/orgs/") { path.to_owned() } else { format!("{REPO}{path}") };
        let described = &whole["paths"][&path];
        let operation = |method: &&str| {
            let mut operation = described[method].clone();
            assert!(operation.is_object(), "GitHub does not describe {method} {path}");
            strict(&mut operation["requestBody"]["content"]["application/json"]["schema"]);
            for (status, answer) in REFUSALS {
                let responses = operation["responses"].as_object_mut().unwrap();
                let answer = json!({ "$ref": format!("#/components/responses/{answer}") });
                responses.entry(status).or_insert(answer);
            }
            if operation["requestBody"]["required"].is_null() {
                operation.as_object_mut().unwrap().remove("requestBody");
            }
            ((*method).to_owned(), operation)
        };
        let operations: Map<String, Value> = methods.iter().map(operation).collect();
        follow(&Value::from(operations.clone()), whole, &mut components);
        for segments in 1..=if path.ends_with("{ref}") { MOST_SEGMENTS } else { 1 } {
            let (path, operations) = with_segments(&path, &operations, segments);
            paths.insert(path, operations);
        }
    }
    for error in ["basic-error", "validation-error"] {
        components["schemas"][error]["required"] = json!(["message", "documentation_url"]);
    }
    let mut query = BTreeSet::new();
    for found in [&Value::from(paths.clone()), &components["parameters"]] {
        query_names(found, &mut query);
    }
    let info = json!({ "title": "What the program uses of GitHub", "version": whole["info"]["version"] });
    let servers = whole["servers"].clone();
    let document = json!({ "openapi": whole["openapi"], "info": info, "servers": servers, "paths": paths, "components": components });
    Description { document, query }
}

/// A request has the fields that are described and no others: a misspelt one would be ignored.
fn strict(schema: &mut Value) {
    if schema["properties"].is_object() && schema["additionalProperties"].is_null() {
        schema["additionalProperties"] = json!(false);
    }
    for inner in schema["properties"].as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        strict(inner);
    }
    if schema["items"].is_object() {
        strict(&mut schema["items"]);
    }
}

/// Copies what a value refers to, and what that refers to.
fn follow(value: &Value, whole: &Value, components: &mut Value) {
    if let Some(name) = value.get("$ref").and_then(Value::as_str) {
        let [_, _, kind, name] = name.split('/').collect::<Vec<_>>()[..] else { panic!("{name} is no component") };
        if components[kind][name].is_null() {
            let component = &whole["components"][kind][name];
            assert!(component.is_object(), "{kind}/{name} is not described");
            components[kind][name] = component.clone();
            follow(component, whole, components);
        }
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|inner| follow(inner, whole, components)),
        Value::Array(items) => items.iter().for_each(|inner| follow(inner, whole, components)),
        _ => {}
    }
}

/// A path whose last parameter has so many segments, with its operations.
fn with_segments(path: &str, operations: &Map<String, Value>, segments: usize) -> (String, Value) {
    let (mut path, mut operations) = (path.to_owned(), operations.clone());
    for n in 2..=segments {
        path.push_str(&format!("/{{ref_{n}}}"));
        let segment =
            json!({ "name": format!("ref_{n}"), "in": "path", "required": true, "schema": { "type": "string" } });
        for operation in operations.values_mut() {
            operation["parameters"].as_array_mut().unwrap().push(segment.clone());
        }
    }
    (path, operations.into())
}

fn query_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if fields.get("in").is_some_and(|place| place == "query") => {
            names.extend(fields["name"].as_str().map(str::to_owned));
        }
        Value::Object(fields) => fields.values().for_each(|inner| query_names(inner, names)),
        Value::Array(items) => items.iter().for_each(|inner| query_names(inner, names)),
        _ => {}
    }
}
