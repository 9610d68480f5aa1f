//! The one GraphQL mutation that hiding old comments needs: GitHub's `minimizeComment`, one or many in a document.

use serde_json::{Map, Value, json};

use super::super::auth::Access;
use super::super::http::{Request, Response};
use super::super::state::{State, Vendor};
use super::shapes::node_id;

/// The reasons that GitHub knows.
const CLASSIFIERS: [&str; 7] = ["ABUSE", "DUPLICATE", "LOW_QUALITY", "OFF_TOPIC", "OUTDATED", "RESOLVED", "SPAM"];

/// One call of the mutation in a document.
struct Minimize {
    /// The field's name in the answer.
    alias: String,
    subject: Option<String>,
    classifier: Option<String>,
}

pub fn answer(state: &mut State, request: &Request, access: Access) -> Response {
    let document = request.json();
    if document["query"].as_str().is_some_and(|query| query.contains("enablePullRequestAutoMerge")) {
        return super::pull_requests::auto_merge(state, &document["variables"], access);
    }
    let calls = parse(document["query"].as_str().unwrap_or_default(), &document["variables"]);
    if calls.is_empty() {
        let error = json!({"message": "the fake forge knows only the mutation minimizeComment"});
        return Response::json(200, &json!({"errors": [error]}));
    }
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for call in calls {
        let result = minimize(state, &call, access);
        let value = result.unwrap_or_else(|(kind, message)| {
            let locations = json!([{"line": 1, "column": 1}]);
            let path = json!([call.alias]);
            errors.push(json!({"type": kind, "path": path, "locations": locations, "message": message}));
            Value::Null
        });
        data.insert(call.alias, value);
    }
    let mut answer = json!({"data": data});
    if !errors.is_empty() {
        answer["errors"] = Value::from(errors);
    }
    Response::json(200, &answer)
}

fn minimize(state: &mut State, call: &Minimize, access: Access) -> Result<Value, (&'static str, String)> {
    if access == Access::ReadOnly {
        return Err(("FORBIDDEN", "Resource not accessible by integration".to_owned()));
    }
    let subject = call.subject.as_deref().unwrap_or_default();
    let classifier = call.classifier.as_deref().unwrap_or_default();
    if !CLASSIFIERS.contains(&classifier) {
        return Err(("INVALID", format!("'{classifier}' is not a valid ReportedContentClassifiers")));
    }
    let repos = state.repos.values_mut().filter(|repo| repo.vendor == Vendor::GitHub);
    let mut comments = repos.flat_map(|repo| repo.comments.iter_mut());
    let Some(comment) = comments.find(|comment| !comment.deleted && node_id(comment) == subject) else {
        return Err(("NOT_FOUND", format!("Could not resolve to a node with the global id of '{subject}'")));
    };
    comment.minimized = Some(classifier.to_owned());
    let reason = classifier.to_ascii_lowercase().replace('_', "-");
    Ok(json!({"minimizedComment": {"isMinimized": true, "minimizedReason": reason, "id": subject}}))
}

/// Finds each `alias: minimizeComment(input: {subjectId: …, classifier: …})`, whether its values are literals,
/// variables, or one variable for the whole input.
fn parse(query: &str, variables: &Value) -> Vec<Minimize> {
    const NAME: &str = "minimizeComment";
    let mut found = Vec::new();
    for (at, _) in query.match_indices(NAME) {
        let rest = query[at + NAME.len()..].trim_start();
        let Some(arguments) = rest.strip_prefix('(').and_then(|rest| rest.split(')').next()) else { continue };
        let before = query[..at].trim_end();
        let alias = before.strip_suffix(':').map_or(NAME, |before| {
            let start = before.trim_end().rfind(|c: char| !is_name(c)).map_or(0, |at| at + 1);
            before[start..].trim_end()
        });
        let argument = |name: &str| {
            let direct = value(arguments, name, variables);
            direct.or_else(|| variable(arguments, "input", variables)?.get(name).cloned())
        };
        let text = |name: &str| argument(name).and_then(|value| value.as_str().map(str::to_owned));
        found.push(Minimize { alias: alias.to_owned(), subject: text("subjectId"), classifier: text("classifier") });
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What follows `name:` in the arguments.
fn after<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = arguments.split_once(name)?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// An argument: a string, an enum's name, or a variable.
fn value(arguments: &str, name: &str, variables: &Value) -> Option<Value> {
    let rest = after(arguments, name)?;
    if let Some(text) = rest.strip_prefix('"') {
        return text.split('"').next().map(Value::from);
    }
    if rest.starts_with('$') {
        return variable(arguments, name, variables);
    }
    rest.split(|c| !is_name(c)).next().map(Value::from)
}

fn variable(arguments: &str, name: &str, variables: &Value) -> Option<Value> {
    let rest = after(arguments, name)?.strip_prefix('$')?;
    variables.get(rest.split(|c| !is_name(c)).next()?).cloned()
}
