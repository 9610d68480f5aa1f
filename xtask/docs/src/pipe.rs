//! The parts of `bitbucket-pipe/` that the command line's declaration decides: its variables.

use crate::made;
use clap::Command;
use cml::inputs::{pipe, platform};
use cml::messages::OWNER;
use cml::pipe::VARIABLES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files, and those that only name the pipe's image, which has no tag that moves.
const FILES: [&str; 7] = [
    "bitbucket-pipe/pipe.yml",
    "bitbucket-pipe/README.md",
    "README.md",
    "docs/migrating-from-cml.md",
    "examples/bitbucket/report.yml",
    "examples/bitbucket/matrix.yml",
    "examples/bitbucket/cloud.yml",
];
const IMAGE: &str = "/cml-pipe:";

/// The options of all commands that a platform may give, with their help; where commands differ, with all.
pub fn options(tree: &Command) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    collect(tree, &mut found);
    found
}

fn collect(command: &Command, found: &mut BTreeMap<String, Vec<String>>) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(name) = platform::name(arg).filter(|name| !platform::is_elsewhere(name)) else { continue };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let helps = found.entry(name.to_owned()).or_default();
        if !helps.contains(&help) {
            helps.push(help);
        }
    }
    command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|command| collect(command, found));
}

/// Every file as it should be, with its path below `root`.
pub fn files(tree: &Command, root: &Path) -> Result<Vec<(PathBuf, String, String)>, String> {
    let version = tree.get_version().unwrap_or_default();
    let one = |name: &str| {
        let path = root.join(name);
        let found = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let made = made::renew(&found, |kind, _| match kind {
            "variables" => Ok(declared(tree)),
            "definition" => Ok(definition(version)),
            "table" => Ok(table(tree)),
            other => Err(format!("{}: nothing is known of {other}", path.display())),
        })?;
        Ok((path, found, of_version(&made, version)))
    };
    FILES.into_iter().map(one).collect()
}

/// The text with each name of the pipe's image having the version.
fn of_version(text: &str, version: &str) -> String {
    let mut parts = text.split(IMAGE);
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        made += IMAGE;
        made += version;
        made += part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    made
}

/// `variables:` of pipe.yml.
fn declared(tree: &Command) -> String {
    let row = |name: &str, default: &str| match default {
        "" => format!("  - name: {name}\n"),
        _ => format!("  - name: {name}\n    default: '{default}'\n"),
    };
    let own: String = VARIABLES.iter().map(|variable| row(variable.name, variable.default)).collect();
    let options: String = options(tree).keys().map(|name| row(&pipe::variable(name), "")).collect();
    format!("variables:\n{own}{options}")
}

/// The YAML of a step. Of the options only those of the commonest command are shown.
fn definition(version: &str) -> String {
    let shown = ["REPORT", "WATERMARK_TITLE", "SECTION"];
    let own = VARIABLES.iter().map(|variable| (variable.name, variable.required));
    let line = |(name, required): (&str, bool)| {
        if required {
            format!("      {name}: '<string>'\n")
        } else {
            format!("      # {name}: '<string>' # Optional.\n")
        }
    };
    let lines: String = own.chain(shown.map(|name| (name, false))).map(line).collect();
    format!("```yaml\nscript:\n  - pipe: docker://{OWNER}{IMAGE}{version}\n    variables:\n{lines}```\n")
}

/// The table of variables.
fn table(tree: &Command) -> String {
    let mut text = "| Variable | Usage |\n| --- | --- |\n".to_owned();
    for variable in VARIABLES {
        let mark = if variable.required { " (\\*)" } else { "" };
        let default =
            if variable.default.is_empty() { String::new() } else { format!(" Default: `{}`.", variable.default) };
        text += &format!("| {}{mark} | {}.{default} |\n", variable.name, cell(variable.help));
    }
    for (name, helps) in options(tree) {
        text += &format!("| {} | {}. |\n", pipe::variable(&name), cell(&helps.join(" / ")));
    }
    text + "\n_(\\*) = required variable._\n"
}

/// Text in a cell of a table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pipe_is_named_by_the_version_that_is_built() {
        let made = super::of_version("a docker://org/cml-pipe:0.9.12`, docker://org/cml-pipe:1.0.0\nb\n", "1.2.3");
        assert_eq!(made, "a docker://org/cml-pipe:1.2.3`, docker://org/cml-pipe:1.2.3\nb\n");
    }
}
