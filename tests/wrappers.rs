//! `action.yml` says what the program takes and gives: names, descriptions and defaults, one by one. So do the templates of
//! `gitlab-component/`, each for its commands, and `bitbucket-pipe/`.

mod component;
mod pipe;

use cml::action::INPUTS;
use cml::{cli, inputs, outputs};
use std::collections::BTreeMap;

/// `text` as a YAML string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Every option and argument that a user of the action may give, with its help; where commands differ, with all.
fn options(command: &clap::Command, found: &mut BTreeMap<String, Vec<String>>) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(name) = inputs::platform::name(arg).filter(|name| !inputs::platform::is_elsewhere(name)) else {
            continue;
        };
        let help = arg.get_help().unwrap_or_else(|| panic!("{name} has no help")).to_string();
        let helps = found.entry(name.to_owned()).or_default();
        if !helps.contains(&help) {
            helps.push(help);
        }
    }
    command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|command| options(command, found));
}

fn section(action: &str, name: &str) -> String {
    let start = action.find(&format!("\n{name}:\n")).unwrap_or_else(|| panic!("action.yml has no {name}")) + 1;
    let rest = &action[start..];
    let end =
        rest.match_indices('\n').find(|(at, _)| !rest[at + 1..].starts_with([' ', '\n'])).map_or(rest.len(), |m| m.0);
    format!("{}\n", rest[..end].trim_end())
}

fn the_same(name: &str, expected: &str) {
    let action = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/action.yml")).unwrap();
    let found = section(&action, name);
    assert!(found == expected, "the section {name} of action.yml should be:\n{expected}");
}

#[test]
fn inputs_are_the_options() {
    let mut expected = "inputs:\n".to_owned();
    for input in INPUTS {
        expected += &format!("  {}:\n    description: {}\n", input.name, quoted(input.help));
        if !input.default.is_empty() {
            expected += &format!("    default: {}\n", quoted(input.default));
        }
    }
    let mut found = BTreeMap::new();
    options(&cli::command(false), &mut found);
    for (name, help) in found {
        assert!(INPUTS.iter().all(|input| input.name != name), "{name} is an option and about the action");
        expected += &format!("  {name}:\n    description: {}\n", quoted(&help.join(" / ")));
    }
    the_same("inputs", &expected);
}

#[test]
fn outputs_are_the_results() {
    let mut expected = "outputs:\n".to_owned();
    for (name, help) in outputs::NAMES {
        expected += &format!("  {name}:\n    description: {}\n", quoted(help));
    }
    the_same("outputs", &expected);
}
