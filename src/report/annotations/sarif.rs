//! SARIF 2.1.0, of which only results with a place are of interest.

use super::{Annotation, Annotations, Level, Problem, annotation, level, place, problem};
use serde_json::{Map, Value};
use std::path::Path;

const NONE: &Vec<Value> = &Vec::new();

/// Reads a whole log.
pub fn read(log: &Map<String, Value>, root: &Path) -> Result<Annotations, Problem> {
    match log.get("version").and_then(Value::as_str) {
        Some(version) if version.starts_with("2.1") => {}
        Some(version) => return problem(None, format!("SARIF {version} is not supported, only 2.1.0 is")),
        None => return problem(None, "a SARIF file without its version"),
    }
    let Some(runs) = log.get("runs").and_then(Value::as_array) else {
        return problem(None, "the runs of the SARIF file are not a list");
    };
    let mut annotations = Annotations::default();
    for run in runs {
        // Results that were judged to be none.
        let counts = |result: &&Value| {
            let suppressed = list(result, "suppressions").iter().any(|s| s["status"].as_str() != Some("rejected"));
            let kind = result["kind"].as_str().unwrap_or("fail");
            !suppressed && matches!(kind, "fail" | "review" | "open" | "informational")
        };
        for result in list(run, "results").iter().filter(counts) {
            match one(run, result, root) {
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

/// A result; `None` when it says nothing or has no place in the repository.
fn one(run: &Value, result: &Value, root: &Path) -> Option<Annotation> {
    let physical = &result["locations"][0]["physicalLocation"];
    let path = path(run, &physical["artifactLocation"], root)?;
    let region = &physical["region"];
    let rule = rule(run, result);
    let start = number(&region["startLine"]).unwrap_or(1);
    let end = number(&region["endLine"]).unwrap_or(start).max(start);
    // SARIF's last column is the one after the text.
    let last = number(&region["endColumn"]).and_then(|n| n.checked_sub(1)).filter(|n| *n > 0);
    let found = result["level"].as_str().or_else(|| rule?.pointer("/defaultConfiguration/level")?.as_str());
    let found = match result["kind"].as_str() {
        Some("informational") => Level::Note,
        _ => found.and_then(level).unwrap_or(Level::Warning),
    };
    let title = result["ruleId"].as_str().or_else(|| rule?.get("id")?.as_str()).map(str::to_owned);
    let message = message(result, rule).or_else(|| title.clone())?;
    Some(annotation(path, (start, end), (number(&region["startColumn"]), last), found, title, message))
}

/// The rule of a result, of the tool itself.
fn rule<'a>(run: &'a Value, result: &Value) -> Option<&'a Value> {
    let rules = run.pointer("/tool/driver/rules")?.as_array()?;
    let index = result["ruleIndex"].as_u64().or_else(|| result.pointer("/rule/index")?.as_u64());
    let by_index = index.and_then(|index| rules.get(usize::try_from(index).ok()?));
    let id = result["ruleId"].as_str();
    by_index.or_else(|| rules.iter().find(|rule| id.is_some() && rule["id"].as_str() == id))
}

/// The message's text: its own, or one of the rule's with its arguments.
fn message(result: &Value, rule: Option<&Value>) -> Option<String> {
    let message = &result["message"];
    let own = || {
        let id = message["id"].as_str()?;
        rule?.get("messageStrings")?.get(id)?.get("text")?.as_str()
    };
    let text = message["text"].as_str().or_else(own)?;
    let arguments = list(message, "arguments").iter().filter_map(Value::as_str).enumerate();
    let text = arguments.fold(text.to_owned(), |text, (n, value)| text.replace(&format!("{{{n}}}"), value));
    (!text.trim().is_empty()).then_some(text)
}

/// The file of a location. A relative address is below the folder that `uriBaseId` names, which is the
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
        if let Some(folder) = named["uri"].as_str().filter(|_| !uri.contains("://") && !uri.starts_with('/')) {
            uri = format!("{}/{uri}", folder.trim_end_matches('/'));
        }
        base = named["uriBaseId"].as_str();
    }
    // `in_repository` decodes addresses; a relative one is encoded as well.
    let uri = if uri.contains("://") { uri } else { place::decoded(&uri) };
    place::in_repository(&uri, root)
}
