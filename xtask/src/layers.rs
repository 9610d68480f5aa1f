//! Arrows only point downwards: a module of `src/` uses only modules that stand before it in [`LAYERS`].

use crate::language::{files, read};
use crate::shell::Result;
use std::path::Path;

/// The modules of the crate, from the bottom up. `lib.rs` and `main.rs` are above all.
const LAYERS: [&str; 33] = [
    "error",
    "env",
    "digest",
    "repository",
    "messages",
    "host",
    "log",
    "http",
    "ci",
    "report",
    "metrics",
    "dvc",
    "files",
    "charts",
    "tensorboard",
    "app",
    "shutdown",
    "auth",
    "clearml",
    "cloud",
    "forge",
    "git",
    "runner",
    "sticky",
    "publish",
    "outputs",
    "connect",
    "inputs",
    "release",
    "command",
    "cli",
    "pipe",
    "action",
];

/// Fails with every use of a higher module by a lower one, and for a module that has no place.
pub fn check() -> Result {
    let mut wrong = Vec::new();
    for file in files(Path::new("src"), "rs")? {
        let module = file.components().nth(1).map(|part| part.as_os_str().to_string_lossy().replace(".rs", ""));
        let module = module.unwrap_or_default();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let place = LAYERS.iter().position(|layer| *layer == module);
        let place = place.ok_or(format!("{}: {module} has no place in xtask/src/layers.rs", file.display()))?;
        let text = read(&file)?;
        let found = upward(&text, place).map(|(line, used)| format!("{}:{line}: {module} uses {used}", file.display()));
        wrong.extend(found);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\na module uses only those before it (xtask/src/layers.rs)", wrong.join("\n")))
}

/// The modules at or above a place that a source uses, outside of comments and of its tests, with the lines.
fn upward(text: &str, place: usize) -> impl Iterator<Item = (usize, &str)> {
    let is_test = |line: &str| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
    let code = text.lines().take_while(move |line| !is_test(line)).enumerate();
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let uses = code.flat_map(|(at, line)| line.split("crate::").skip(1).map(move |rest| (at + 1, rest)));
    let named = uses.map(|(line, rest)| {
        (line, rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default())
    });
    named.filter(move |(_, used)| LAYERS.iter().position(|layer| layer == used).is_some_and(|other| other > place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_upwards_is_found_with_its_line() {
        let text = "use crate::error::Error;\n// crate::command\nuse crate::forge::hash;\n#[cfg(test)]\nmod t { use crate::cli::x; }";
        let report = LAYERS.iter().position(|layer| *layer == "report").unwrap();
        assert_eq!(upward(text, report).collect::<Vec<_>>(), [(3, "forge")]);
    }
}
