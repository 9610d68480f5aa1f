//! The tables of real DVC, on repositories of random metrics and parameters.

use crate::support::ignored::skipped;
use crate::support::{Cml, Ran};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// How many repositories are made; `CML_TEST_DVC_REPOSITORIES` asks for more.
const REPOSITORIES: usize = 40;

/// JSON of Python's, in which numbers may be NaN, and which has whole numbers of any size, with both as texts.
fn json(text: &str) -> Value {
    let mut quoted = String::new();
    let (mut is_text, mut is_escaped) = (false, false);
    let mut word = String::new();
    for c in text.chars() {
        let is_word = !is_text && (c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        if is_word {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            quoted += &format!("\"={}\"", std::mem::take(&mut word));
        }
        quoted.push(c);
        is_text ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    serde_json::from_str(&quoted).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[test]
fn tables_are_those_of_dvc() {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    let asked = std::env::var("CML_TEST_DVC_REPOSITORIES").ok().and_then(|count| count.parse().ok());
    let (count, seed) = (asked.unwrap_or(REPOSITORIES), std::env::var("CML_TEST_SEED").unwrap_or("7".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dvc_repositories.py");
    let output =
        Command::new(python).arg(script).arg(folder.path()).args([&count.to_string(), &seed]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cml = Cml::alone();
    let mut rows = 0;
    for number in 0..count {
        let tables = read(&folder.path().join(format!("{number}.json")));
        let what = format!("repository {number} of seed {seed}");
        rows += compare(&cml, &folder.path().join(number.to_string()), &tables, &what);
    }
    assert!(rows > 10 * count, "{rows}");
}

/// Fails unless our tables of a project are those of DVC. Returns how many rows those have.
pub fn compare(cml: &Cml, project: &Path, tables: &Value, what: &str) -> usize {
    let mut rows = 0;
    for table in tables.as_array().unwrap() {
        let args: Vec<&str> = table["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let run = |format: &str| {
            let mut command = cml.command(&[&args[..], &["--format", format]].concat());
            Ran::of(command.current_dir(project)).ok()
        };
        // What DVC cannot read is an error here.
        assert_eq!(table["errors"], "", "{what}");
        let (ours, theirs) = (run("dvc"), table["markdown"].as_str().unwrap());
        assert_eq!(ours, theirs, "{what}, {args:?}:\n{ours}\n{theirs}");
        assert_eq!(json(&run("json")), json(table["json"].as_str().unwrap()), "{what} {args:?}");
        rows += ours.lines().count() - 2;
    }
    rows
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
