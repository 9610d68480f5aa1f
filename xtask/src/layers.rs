//! Arrows only point downwards: a module of `src/` uses only modules that stand before it in [`LAYERS`].

use crate::shell::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate, from the bottom up. `lib.rs` and `main.rs` are above all.
const LAYERS: [&str; 28] = [
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
    "files",
    "tensorboard",
    "app",
    "auth",
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

/// Fails with every use of a higher module by a lower one.
pub fn check() -> Result {
    let mut wrong = Vec::new();
    for (place, module) in LAYERS.iter().enumerate() {
        for file in sources(module)? {
            let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            wrong.extend(
                upward(&text, place).map(|(line, used)| format!("{}:{line}: {module} uses {used}", file.display())),
            );
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\na module uses only those before it (xtask/src/layers.rs)", wrong.join("\n")))
}

/// The files of a module, without those of tests.
fn sources(module: &str) -> Result<Vec<PathBuf>> {
    let file = PathBuf::from(format!("src/{module}.rs"));
    if !file.is_file() {
        return Err(format!("{} does not exist: bring xtask/src/layers.rs up to date", file.display()));
    }
    let mut found = vec![file];
    let mut folders = vec![PathBuf::from(format!("src/{module}"))];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with(Path::new("tests.rs"))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
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
