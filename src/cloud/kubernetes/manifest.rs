//! Manifests in YAML, as people keep them and `kubectl apply` reads them.

use serde_json::Value;
use std::fmt::Write as _;

/// Words that readers of YAML 1.1 or 1.2 take for something else than text.
const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// Renders documents in YAML, each below a line `---`.
pub fn documents(all: &[Value]) -> String {
    let mut out = String::new();
    for one in all {
        out.push_str("---");
        write(one, 0, &mut out);
    }
    out
}

/// Writes a value behind what introduces it: its key, or the `-` of a list.
fn write(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (n, (key, value)) in fields.iter().enumerate() {
                start_line(n, indent, out);
                let _ = write!(out, "{}:", scalar(key));
                write(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                start_line(n, indent, out);
                out.push('-');
                write(item, indent + 2, out);
            }
        }
        Value::String(text) if is_block(text) => {
            let chomp = if text.ends_with('\n') { "" } else { "-" };
            let _ = writeln!(out, " |{chomp}");
            for line in text.lines() {
                let width = if line.is_empty() { 0 } else { indent };
                let _ = writeln!(out, "{:width$}{line}", "");
            }
        }
        Value::String(text) => {
            let _ = writeln!(out, " {}", scalar(text));
        }
        other => {
            let _ = writeln!(out, " {other}");
        }
    }
}

/// Begins an entry: the first one of a list's item stands beside the `-`.
fn start_line(n: usize, indent: usize, out: &mut String) {
    if n == 0 && out.ends_with('-') && !out.ends_with("---") {
        out.push(' ');
        return;
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    let _ = write!(out, "{:indent$}", "");
}

/// Returns a text in one line, in quotation marks if it might be something else without.
fn scalar(text: &str) -> String {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@=-".contains(&byte);
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.bytes().all(is_safe)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    // JSON's texts are YAML's.
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// Returns whether a text comes back from a block of its lines.
fn is_block(text: &str) -> bool {
    let is_printable = |c: char| c == '\n' || c == '\t' || (' '..='~').contains(&c);
    text.trim_end_matches('\n').contains('\n')
        && text.chars().all(is_printable)
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_manifest_is_written_as_people_write_it() {
        let script = "set -eu\n  exec cml\n\ndone\n";
        let job = json!({
            "kind": "Job",
            "metadata": {"labels": {"cml.dev/v": "1", "on": "true"}, "annotations": {}},
            "spec": {"args": ["-c", script, "a\nb"], "containers": [{"image": "ghcr.io/org/cml:1", "ports": [80]}], "matrix": [[1, null], []]},
        });
        let shown = "---\nkind: Job\nmetadata:\n  annotations: {}\n  labels:\n    cml.dev/v: \"1\"\n    \"on\": \"true\"\n\
                     spec:\n  args:\n    - \"-c\"\n    - |\n      set -eu\n        exec cml\n\n      done\n    - |-\n      a\n      b\n  \
                     containers:\n    - image: ghcr.io/org/cml:1\n      ports:\n        - 80\n  matrix:\n    - - 1\n      - null\n    - []\n";
        assert_eq!(documents(std::slice::from_ref(&job)), shown);
        assert_eq!(documents(&[job, json!("x")]), format!("{shown}--- x\n"));
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[-:#a-z|>&*! \n\t'\"{}\\[\\],?%@`~.0-9]{0,12}", "\\PC{0,6}", "(?s).{0,6}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
            proptest::sample::select(&WORDS[..]).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map("[-a-z:# ./]{0,6}", inner, 0..5)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in values()) {
            let text = documents(std::slice::from_ref(&value));
            prop_assert_eq!(yaml::parse(&text).map(|read| read.to_json()), Ok(value), "{}", text);
        }
    }
}
