//! The vendors' own descriptions of their APIs, cut down to the operations that the program uses (the whole would take a
//! checker half a minute to read), and stricter where they say too little for a check.

pub mod bitbucket;
pub mod github;

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Operations: a path and its methods.
pub type Used = [(&'static str, &'static [&'static str])];

/// A vendor's description: where it is, and what the program uses of it.
pub struct Source {
    pub title: &'static str,
    /// The variable that names the folder of its descriptions, and the one of the vendor's own service there.
    pub variable: &'static str,
    pub file: &'static str,
    /// The path of a repository.
    pub repository: &'static str,
    /// What the program calls below that, and elsewhere. Anything else is refused by the checker, as a path that is not
    /// described.
    pub used: &'static Used,
    pub elsewhere: &'static Used,
    /// What any operation may answer, described with it or not: the name of the answer that is described.
    pub refusals: &'static [(&'static str, &'static str)],
    /// A parameter at a path's end that has slashes, as `{ref}` in `heads/a/b`; checkers know no such thing.
    pub long: &'static str,
    /// Says what the description says too little, or wrongly.
    pub mend: fn(&mut Value),
}

/// The segments of such a parameter.
const MOST_SEGMENTS: usize = 4;

/// The part of a description that is about the program.
pub struct Description {
    pub document: Value,
    /// The names of all parameters of queries.
    pub query: BTreeSet<String>,
}

/// Cuts it out of the whole.
pub fn cut(source: &Source, mut whole: Value) -> Description {
    (source.mend)(&mut whole);
    let whole = &whole;
    let mut paths = Map::new();
    let mut components = json!({});
    let of_repository = source.used.iter().map(|(path, methods)| (format!("{}{path}", source.repository), *methods));
    let elsewhere = source.elsewhere.iter().map(|(path, methods)| ((*path).to_owned(), *methods));
    for (path, methods) in of_repository.chain(elsewhere) {
        let described = &whole["paths"][&path];
        let mut operations: Map<String, Value> =
            methods.iter().map(|method| ((*method).to_owned(), operation(source, &path, method, described))).collect();
        if described["parameters"].is_array() {
            operations.insert("parameters".into(), described["parameters"].clone());
        }
        follow(&Value::from(operations.clone()), whole, &mut components);
        for segments in 1..=if !source.long.is_empty() && path.ends_with(source.long) { MOST_SEGMENTS } else { 1 } {
            let (path, operations) = with_segments(&path, &operations, segments);
            paths.insert(path, operations);
        }
    }
    let mut query = BTreeSet::new();
    for found in [&Value::from(paths.clone()), &components["parameters"]] {
        query_names(found, &mut query);
    }
    let info =
        json!({ "title": format!("What the program uses of {}", source.title), "version": whole["info"]["version"] });
    let servers = whole["servers"].clone();
    let document = json!({ "openapi": whole["openapi"], "info": info, "servers": servers, "paths": paths, "components": components });
    Description { document, query }
}

/// An operation as it is described, with all that it may answer.
fn operation(source: &Source, path: &str, method: &str, described: &Value) -> Value {
    let mut operation = described[method].clone();
    assert!(operation.is_object(), "{} does not describe {method} {path}", source.title);
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
        strict(schema);
    }
    for (status, answer) in source.refusals {
        let responses = operation["responses"].as_object_mut().unwrap();
        let answer = json!({ "$ref": format!("#/components/responses/{answer}") });
        responses.entry(*status).or_insert(answer);
    }
    operation
}

/// A request has the fields that are described and no others: a misspelt one would be ignored.
fn strict(schema: &mut Value) {
    if schema["properties"].is_object() && schema["additionalProperties"].is_null() {
        schema["additionalProperties"] = json!(false);
    }
    for inner in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        strict(inner);
    }
    if let Some(items) = schema.get_mut("items").filter(|items| items.is_object()) {
        strict(items);
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
