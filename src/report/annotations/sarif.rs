//! SARIF 2.1.0, of which only results with a place are of interest.

use super::rules::{Rule, Rules};
use super::{Annotation, Annotations, Level, Problem, annotation, level, place, problem};
use serde_json::{Map, Value};
use std::path::Path;

const NONE: &Vec<Value> = &Vec::new();

/// Reads a whole log.
pub fn read(log: &Map<String, Value>, root: &Path) -> Result<Annotations, Problem> {
    match log.get("version").and_then(Value::as_str) {
        Some(version) if version.starts_with("2.1") => {}
        Some(version) => return problem(None, format!("SARIF {version} is not supported, only 2.1.0")),
        None => return problem(None, "a SARIF file without a version"),
    }
    let Some(runs) = log.get("runs").and_then(Value::as_array) else {
        return problem(None, "the runs of the SARIF file are not a list");
    };
    let mut annotations = Annotations::default();
    for run in runs {
        let rules = Rules::new(run);
        // Results that were judged to be none, or that are not there any more.
        let counts = |result: &&Value| {
            let suppressed = list(result, "suppressions").iter().any(|s| s["status"].as_str() != Some("rejected"));
            let kind = result["kind"].as_str().unwrap_or("fail");
            let is_gone = result["baselineState"].as_str() == Some("absent");
            !suppressed && !is_gone && matches!(kind, "fail" | "review" | "open" | "informational")
        };
        for result in list(run, "results").iter().filter(counts) {
            match one(run, &rules, result, root) {
                Some(found) => annotations.found.push(found),
                None => annotations.elsewhere += 1,
            }
        }
    }
    Ok(annotations)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or(NONE)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
}

/// Returns a result; `None` when it says nothing or has no place in the repository.
fn one(run: &Value, rules: &Rules<'_>, result: &Value, root: &Path) -> Option<Annotation> {
    let physical = &result["locations"][0]["physicalLocation"];
    let path = path(run, &physical["artifactLocation"], root)?;
    let region = &physical["region"];
    let rule = rules.of_result(result);
    let start = number(&region["startLine"]).unwrap_or(1);
    let end = number(&region["endLine"]).unwrap_or(start).max(start);
    // SARIF's last column is the one after the text.
    let last = number(&region["endColumn"]).and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
    let found = result["level"].as_str().or_else(|| rule?.level());
    let found = match result["kind"].as_str() {
        Some("informational") => Level::Note,
        _ => found.and_then(level).unwrap_or(Level::Warning),
    };
    let id = result["ruleId"].as_str().or_else(|| result["rule"]["id"].as_str());
    let title = id.or_else(|| rule?.id()).map(str::to_owned);
    let message = message(result, rule).or_else(|| title.clone())?;
    Some(annotation(path, (start, end), (number(&region["startColumn"]), last), found, title, message))
}

/// Returns the message's text: its own, or one of the rule's, with its arguments and without the targets of its
/// links.
fn message(result: &Value, rule: Option<Rule<'_>>) -> Option<String> {
    let message = &result["message"];
    let named = || rule?.message(message["id"].as_str()?);
    let text = message["text"].as_str().or_else(named).or_else(|| message["markdown"].as_str())?;
    let arguments: Vec<&str> = list(message, "arguments").iter().map(|value| value.as_str().unwrap_or("")).collect();
    let text = without_targets(&with_arguments(text, &arguments));
    (!text.trim().is_empty()).then_some(text)
}

/// Returns a text with `{0}` and the like replaced, each once: what an argument says is not looked at again. Braces
/// are written twice where there are arguments.
fn with_arguments(text: &str, arguments: &[&str]) -> String {
    if arguments.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let argument = rest[..digits].parse().ok().and_then(|n: usize| arguments.get(n));
        match argument.filter(|_| brace == "{" && rest[digits..].starts_with('}')) {
            Some(argument) => {
                out.push_str(argument);
                rest = &rest[digits + 1..];
            }
            None => {
                out.push_str(brace);
                rest = rest.strip_prefix(brace).unwrap_or(rest);
            }
        }
    }
    out + rest
}

/// Returns a text whose links to other places of the result, `[word](1)`, are their words.
fn without_targets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("](") {
        let target = &rest[at + 2..];
        let digits = target.bytes().take_while(u8::is_ascii_digit).count();
        let word = rest[..at].rfind('[').filter(|_| digits > 0 && target[digits..].starts_with(')'));
        match word {
            Some(open) => {
                out.push_str(&rest[..open]);
                out.push_str(&rest[open + 1..at]);
                rest = &target[digits + 1..];
            }
            None => {
                out.push_str(&rest[..at + 2]);
                rest = target;
            }
        }
    }
    out + rest
}

/// Returns the file of a location. A relative address is below the folder that `uriBaseId` names, which is the
/// repository's root where the file does not say where it is.
fn path(run: &Value, location: &Value, root: &Path) -> Option<String> {
    let of_list = || {
        let index = usize::try_from(location["index"].as_u64()?).ok()?;
        Some(&run["artifacts"].get(index)?["location"])
    };
    let location = if location["uri"].is_string() { location } else { of_list()? };
    let mut uri = location["uri"].as_str()?.to_owned();
    let mut base = location["uriBaseId"].as_str();
    // A base may stand on another; a circle ends.
    for _ in 0..8 {
        let Some(named) = base.and_then(|name| run["originalUriBaseIds"].get(name)) else { break };
        // Tools that do not know where they run name the root of everything.
        let folder = named["uri"].as_str().filter(|folder| !matches!(*folder, "file:///" | "file:/" | "/"));
        if let Some(folder) = folder.filter(|_| !is_absolute(&uri)) {
            uri = format!("{}/{uri}", folder.trim_end_matches('/'));
        }
        base = named["uriBaseId"].as_str();
    }
    // `in_repository` decodes addresses; a relative one is encoded as well.
    match place::scheme(&uri) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => place::in_repository(&uri, root),
        Some(_) => None,
        None => place::in_repository(&place::decoded(&uri), root),
    }
}

fn is_absolute(uri: &str) -> bool {
    uri.starts_with('/') || place::scheme(uri).is_some()
}
