//! Rules in a file, `.cml.yaml`, that is reviewed with the code: [`parse`] reads it, [`changes`] says what a change does to it, and
//! [`suggest`] writes one for metrics with well-known names.

use super::super::{Value, yaml};
use super::Rule;
use crate::error::Error;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The name of the file.
pub const FILE: &str = ".cml.yaml";
/// What `metrics` may have.
pub const KEYS: [&str; 4] = ["files", "baseline", "accept_label", "rules"];
/// The label that accepts what is worse, unless the file names another.
pub const LABEL: &str = "metrics-accepted";
/// What a rule may have.
pub const RULE_KEYS: [&str; 8] = ["better", "min", "max", "drop", "rise", "sigma", "level", "optional"];
/// What the names of metrics contain whose higher values are better.
const HIGHER: [&str; 14] = [
    "accuracy",
    "acc",
    "f1",
    "precision",
    "recall",
    "auc",
    "map",
    "bleu",
    "rouge",
    "r2",
    "score",
    "pass_rate",
    "iou",
    "throughput",
];
/// What the names of metrics contain whose lower values are better, and how much they may rise.
const LOWER: [(&str, &str); 14] = [
    ("loss", "2%"),
    ("error", "2%"),
    ("rmse", "2%"),
    ("mse", "2%"),
    ("mae", "2%"),
    ("perplexity", "2%"),
    ("ppl", "2%"),
    ("wer", "2%"),
    ("cer", "2%"),
    ("latency", "10%"),
    ("time", "10%"),
    ("duration", "10%"),
    ("cost", "10%"),
    ("memory", "10%"),
];

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Files of metrics, or patterns.
    pub files: Vec<String>,
    /// What to compare with.
    pub baseline: Option<String>,
    /// The label that accepts what is worse.
    pub accept_label: Option<String>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// What is wrong with the file.
#[derive(Debug)]
pub struct Problem {
    /// The line, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what would be right.
    pub error: Error,
}

/// Reads the file.
///
/// # Errors
/// It is not YAML, has an unknown key, or a rule that is none.
pub fn parse(text: &str) -> Result<Config, Problem> {
    let value = yaml::parse(text).map_err(|what| Problem { line: None, error: Error::config(what) })?;
    let reader = Reader { lines: yaml::lines::of_keys(text) };
    let mut config = Config::default();
    for (_, metrics) in reader.table(&value, "", &["metrics"])? {
        for (key, value) in reader.table(metrics, "metrics", &KEYS)? {
            let path = format!("metrics.{key}");
            match key.as_str() {
                "files" => config.files = reader.texts(value, &path)?,
                "baseline" => config.baseline = Some(reader.text(value, &path)?),
                "accept_label" => config.accept_label = Some(reader.text(value, &path)?),
                _ => config.rules = reader.rules(value, &path)?,
            }
        }
    }
    Ok(config)
}

struct Reader {
    lines: BTreeMap<String, usize>,
}

impl Reader {
    fn problem<T>(&self, path: &str, error: Error) -> Result<T, Problem> {
        Err(Problem { line: self.lines.get(path).copied(), error })
    }

    /// Returns the entries of a table that may have some keys only.
    fn table<'a>(&self, value: &'a Value, path: &str, keys: &[&str]) -> Result<&'a [(String, Value)], Problem> {
        let entries = self.entries(value, path)?;
        let Some((key, _)) = entries.iter().find(|(key, _)| !keys.contains(&key.as_str())) else { return Ok(entries) };
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        self.problem(
            &path,
            Error::config(format!("unknown key '{key}'")).hint(format!("known are: {}", keys.join(", "))),
        )
    }

    fn entries<'a>(&self, value: &'a Value, path: &str) -> Result<&'a [(String, Value)], Problem> {
        match value {
            Value::Null => Ok(&[]),
            Value::Map(entries) => Ok(entries),
            _ => {
                let what = if path.is_empty() { "the file" } else { path };
                self.problem(path, Error::config(format!("{what} is not a table of keys and values")))
            }
        }
    }

    fn text(&self, value: &Value, path: &str) -> Result<String, Problem> {
        match value {
            Value::Text(text) => Ok(text.clone()),
            _ => self.problem(path, Error::config(format!("{path} is not a text"))),
        }
    }

    fn texts(&self, value: &Value, path: &str) -> Result<Vec<String>, Problem> {
        match value {
            Value::List(items) => items.iter().map(|item| self.text(item, path)).collect(),
            one => Ok(vec![self.text(one, path)?]),
        }
    }

    fn rules(&self, value: &Value, path: &str) -> Result<Vec<Rule>, Problem> {
        let mut rules = Vec::new();
        for (name, conditions) in self.entries(value, path)? {
            let path = format!("{path}.{name}");
            let mut rule = Rule::without_conditions(name);
            for (key, value) in self.table(conditions, &path, &RULE_KEYS)? {
                let added = rule.add(&format!("{key} {}", value.to_python()));
                added.or_else(|error| self.problem(&format!("{path}.{key}"), error))?;
            }
            if rule.is_empty() {
                let error = Error::config(format!("the rule for {name} has neither a direction nor a limit"));
                return self
                    .problem(&path, error.hint("write `better: higher`, `better: lower`, `min: 0.9` or `max: 2`"));
            }
            rule.check_history().or_else(|error| self.problem(&format!("{path}.sigma"), error))?;
            rules.push(rule);
        }
        Ok(rules)
    }
}

/// Returns what differs, of rules and of the label: what it is, how it was and how it is; `None` where there is no such rule.
pub fn changes(old: &Config, new: &Config) -> Vec<(String, Option<String>, Option<String>)> {
    let by_name = |config: &Config| -> BTreeMap<String, String> {
        let label = config.accept_label.as_deref().unwrap_or(LABEL).to_owned();
        let rules = config.rules.iter().map(|rule| (format!("the rule for {}", rule.name), rule.to_string()));
        rules.chain([("the label that accepts what is worse".to_owned(), label)]).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let each = names.into_iter().map(|name| (name.clone(), old.get(name).cloned(), new.get(name).cloned()));
    each.filter(|(_, old, new)| old != new).collect()
}

/// Returns a file for metrics with these names. Metrics whose direction is not known are comments.
pub fn suggest(files: &[String], names: &[String]) -> String {
    let quoted = |text: &String| {
        let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        if is_plain { text.clone() } else { serde_json::Value::from(text.as_str()).to_string() }
    };
    let mut text = String::from(
        "# What `cml metrics gate` asks of metrics. Review each line: these are suggestions by the names.\nmetrics:\n",
    );
    if !files.is_empty() {
        let _ = writeln!(text, "  files: [{}]", files.iter().map(quoted).collect::<Vec<_>>().join(", "));
    }
    text += "  rules:\n";
    for name in names {
        let _ = match suggestion(name) {
            Some(conditions) => writeln!(text, "    {}: {conditions}", quoted(name)),
            None => writeln!(text, "    # {}: {{ better: higher, drop: 1% }}", quoted(name)),
        };
    }
    text
}

fn suggestion(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |word: &str| words.contains(&word) || word.contains('_') && name.contains(word);
    let lower = LOWER.iter().find(|(word, _)| has(word));
    match lower {
        Some((_, "10%")) => Some("{ better: lower, rise: 10%, level: warn }".to_owned()),
        Some((_, rise)) => Some(format!("{{ better: lower, rise: {rise} }}")),
        None => HIGHER.into_iter().any(has).then(|| "{ better: higher, drop: 1% }".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let text = "metrics:\n  files: [metrics.json, 'seed-*/m.json']\n  baseline: main\n  accept_label: ok\n  rules:\n    accuracy: { better: higher, min: 0.90, drop: 0.005 }\n    loss: { better: lower, rise: 2% }\n    gsm8k/*: { better: higher, drop: 2se, sigma: history, optional: true }\n    latency_ms: { better: lower, rise: 10%, level: warn }\n";
        let config = parse(text).unwrap();
        let rules: Vec<String> = config.rules.iter().map(|rule| format!("{}: {rule}", rule.name)).collect();
        let expected = [
            "accuracy: higher, drop 0.005, min 0.9",
            "loss: lower, rise 2%",
            "gsm8k/*: higher, drop 2se, sigma history, optional",
            "latency_ms: lower, rise 10%, warn",
        ];
        assert_eq!(
            (rules, config.files.len(), config.baseline.as_deref(), config.accept_label.as_deref()),
            (expected.map(str::to_owned).to_vec(), 2, Some("main"), Some("ok"))
        );
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(parse("metrics:\n").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, line, message) in [
            ("metric:\n  rules: {}\n", Some(1), "unknown key 'metric'"),
            ("metrics:\n  rule:\n    a: 1\n", Some(2), "unknown key 'rule'"),
            ("metrics:\n  rules:\n    a:\n      better: higher\n      dropp: 1\n", Some(5), "unknown key 'dropp'"),
            ("metrics:\n  rules:\n    a: { better: best }\n", Some(3), "'better best' is not a condition of a rule"),
            ("metrics:\n  rules:\n    a: { better: higher, rise: 2% }\n", Some(3), "the rule for a has two directions"),
            ("metrics:\n  rules:\n    a: { drop: many }\n", Some(3), "'many' is not a tolerance"),
            (
                "metrics:\n  rules:\n    a: { level: warn }\n",
                Some(3),
                "the rule for a has neither a direction nor a limit",
            ),
            (
                "metrics:\n  rules:\n    a:\n      max: 2\n      sigma: history\n",
                Some(5),
                "the rule for a has `sigma history` and no direction",
            ),
            ("metrics:\n  rules:\n    a: 0.9\n", Some(3), "metrics.rules.a is not a table of keys and values"),
            ("metrics:\n  files: 3\n", Some(2), "metrics.files is not a text"),
            ("metrics:\n  files: a\n  accept_label: []\n", Some(3), "metrics.accept_label is not a text"),
            ("- a\n", None, "the file is not a table of keys and values"),
            ("a: b: c", None, ""),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.line, line, "{text}");
            assert!(message.is_empty() || problem.error.to_string() == message, "{text}: {}", problem.error);
        }
    }

    #[test]
    fn changes_are_told() {
        let config = |text: &str| parse(text).unwrap();
        let old = config("metrics: {rules: {a: {better: higher}, b: {min: 1}, same: {max: 2}}}");
        let new =
            config("metrics: {accept_label: ok, rules: {a: {better: higher, drop: 5%}, c: {min: 1}, same: {max: 2}}}");
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            ("the label that accepts what is worse".to_owned(), some("metrics-accepted"), some("ok")),
            ("the rule for a".to_owned(), some("higher"), some("higher, drop 5%")),
            ("the rule for b".to_owned(), some("min 1"), None),
            ("the rule for c".to_owned(), None, some("min 1")),
        ];
        assert_eq!(changes(&old, &new), expected);
    }

    #[test]
    fn suggestions_can_be_read() {
        let names = ["accuracy", "train.loss", "latency_ms", "epochs", "a b"].map(str::to_owned);
        let text = suggest(&["metrics.json".to_owned()], &names);
        let config = parse(&text).unwrap();
        assert_eq!(config.files, ["metrics.json"]);
        let rules: Vec<String> = config.rules.iter().map(|rule| format!("{}: {rule}", rule.name)).collect();
        assert_eq!(
            rules,
            ["accuracy: higher, drop 1%", "train.loss: lower, rise 2%", "latency_ms: lower, rise 10%, warn"]
        );
        assert!(text.contains("    # epochs: { better") && text.contains("    # \"a b\": {"), "{text}");
    }

    #[test]
    fn the_schema_has_the_same_keys() {
        let schema: serde_json::Value = serde_json::from_str(include_str!("../../../docs/cml.schema.json")).unwrap();
        let keys = |value: &serde_json::Value| -> Vec<String> {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let sorted = |keys: &[&str]| -> Vec<String> {
            let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            keys
        };
        let metrics = &schema["properties"]["metrics"]["properties"];
        assert_eq!(keys(metrics), sorted(&KEYS));
        assert_eq!(keys(&schema["$defs"]["rule"]["properties"]), sorted(&RULE_KEYS));
    }
}
