//! Reports the tests that could not run here as ignored: the harness counts them as passed (`tests/support/ignored.rs`).

use crate::shell::{self, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The file to which tests add their name and the reason.
const VARIABLE: &str = "CML_TEST_IGNORED";

/// All runs of the tests that one command starts.
pub struct Report {
    file: PathBuf,
    /// Names of tests, of all runs so far, by reason.
    ignored: BTreeMap<String, BTreeSet<String>>,
}

impl Report {
    /// Returns one without runs.
    pub fn new() -> Result<Report> {
        let file = std::path::absolute("target/ignored.txt").map_err(|e| e.to_string())?;
        Ok(Report { file, ignored: BTreeMap::new() })
    }

    /// Runs tests, which must pass, and passes on what they print.
    pub fn run(&mut self, command: &mut Command) -> Result {
        fs::create_dir_all("target").and_then(|()| fs::write(&self.file, "")).map_err(|e| e.to_string())?;
        shell::show(command);
        let mut child = command.env(VARIABLE, &self.file).stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let mut count = 0;
        for line in child
            .stdout
            .take()
            .into_iter()
            .flat_map(|stdout| BufReader::new(stdout).lines())
            .map_while(|line| line.ok())
        {
            let line = match ignored_test(&line).and_then(|name| read(&self.file).remove(name)) {
                Some(reason) => {
                    count += 1;
                    line.replacen("... ok", &format!("... ignored, {reason}"), 1)
                }
                None if line.starts_with("test result: ") => recounted(&line, std::mem::take(&mut count)),
                None => line,
            };
            writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())?;
        }
        for (name, reason) in read(&self.file) {
            self.ignored.entry(reason).or_default().insert(name);
        }
        shell::ended(command, child.wait())
    }

    /// Prints which tests did not run, by reason, and how many.
    pub fn print(&self) {
        for (reason, names) in &self.ignored {
            let (count, names) = (names.len(), names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
            println!("{count} ignored, {reason}\n    {names}");
        }
    }
}

/// The test that a line says has passed.
fn ignored_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")
}

/// The reasons, by the names of the tests.
fn read(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once('\t')).map(|(name, reason)| (name.into(), reason.into())).collect()
}

/// The harness's summary with so many tests moved from passed to ignored.
fn recounted(summary: &str, count: usize) -> String {
    let counted = |part: &str, change: &dyn Fn(usize) -> usize| {
        let (before, number) = part.rsplit_once(' ').unwrap_or(("", part));
        let number = number.parse().map_or(number.to_owned(), |number| change(number).to_string());
        if before.is_empty() { number } else { format!("{before} {number}") }
    };
    let moved = |name: &str, change: &dyn Fn(usize) -> usize, text: String| match text.split_once(name) {
        Some((before, after)) => format!("{}{name}{after}", counted(before, change)),
        None => text,
    };
    let text = moved(" passed;", &|passed| passed.saturating_sub(count), summary.to_owned());
    moved(" ignored;", &|ignored| ignored + count, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_could_not_run_is_not_counted_as_passed() {
        let summary =
            "test result: ok. 553 passed; 0 failed; 1 ignored; 0 measured; 20 filtered out; finished in 1.20s";
        let expected =
            "test result: ok. 513 passed; 0 failed; 41 ignored; 0 measured; 20 filtered out; finished in 1.20s";
        assert_eq!(recounted(summary, 40), expected);
        assert_eq!(ignored_test("test a::b ... ok"), Some("a::b"));
    }
}
