//! The inputs of the templates are the options of their commands, and reach them.

use clap::{Arg, Command};
use cml::{cli, inputs};
use std::collections::{BTreeMap, BTreeSet};

/// The templates that call the program, their commands, and the options that they leave to it.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("report", &["comment update", "comment create", "check create"]),
    ("runner", &["runner launch"]),
    ("setup", &[]),
    ("train", &[]),
];
/// The inputs that are no options, by template: those of a job, and how it gets the program and its token.
const OWN: &[(&str, &[&str])] = &[
    ("report", &["stage", "job-name", "image", "rules", "token", "native-url", "command"]),
    ("runner", &["stage", "job-name", "on-runner-job-name", "image", "rules", "token", "native-url", "audience"]),
    ("setup", &["job-name", "token", "native-url"]),
    ("train", &["stage", "job-name", "image", "rules", "install", "command", "artifacts", "key", "key-file"]),
];

fn read(template: &str) -> (String, String) {
    let path = format!("{}/gitlab-component/templates/{template}.yml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (spec, job) = text.split_once("\n---\n").expect("a header and a job");
    (spec.to_owned(), job.to_owned())
}

/// The inputs of a header: name, and what is said of it.
fn declared(spec: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut name = String::new();
    for line in spec.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let (key, value) = line.trim().split_once(':').unwrap_or((line.trim(), ""));
        match indent {
            4 => name = key.to_owned(),
            6 => drop(found.entry(name.clone()).or_default().insert(key.to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    found
}

/// The options and arguments of a command, the global ones too.
fn options<'a>(tree: &'a Command, words: &str) -> impl Iterator<Item = (&'a str, &'a Arg)> {
    let find = |command: &'a Command, word| command.find_subcommand(word).expect("a command");
    let command = words.split(' ').fold(tree, find);
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| Some((inputs::platform::name(arg)?, arg)))
        .filter(|(name, _)| !inputs::platform::is_elsewhere(name))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn inputs_are_the_options_of_the_commands() {
    let tree = cli::command(false);
    for ((template, commands), (same, own)) in TEMPLATES.iter().zip(OWN) {
        assert_eq!(template, same);
        let (spec, job) = read(template);
        let mut declared = declared(&spec);
        for name in *own {
            let about = declared.remove(*name).unwrap_or_else(|| panic!("{template} has no input {name}"));
            assert!(
                about.contains_key("description") && about.contains_key("default"),
                "{template}: {name}: {about:?}"
            );
        }
        let mut helps: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for words in *commands {
            let family = words.split(' ').next().unwrap();
            for (name, arg) in options(&tree, words) {
                helps.entry(name).or_default().insert(arg.get_help().expect("a help").to_string());
                let Some(long) = arg.get_long() else { continue };
                let variable = inputs::variables(family, arg).remove(0);
                let line = job.lines().position(|line| line.trim().starts_with(&format!("{variable}: ")));
                let line = line.unwrap_or_else(|| panic!("{template} does not set {variable}"));
                let set: String = job.lines().skip(line).take(2).collect();
                assert!(set.contains(&format!("$[[ inputs.{long} ]]")), "{template}: {set}");
            }
        }
        let expected: Vec<&str> = helps.keys().copied().collect();
        assert_eq!(declared.keys().collect::<Vec<_>>(), expected, "the inputs of {template}");
        for (name, about) in &declared {
            let said = about["description"].as_str();
            assert!(said.len() <= 255, "{template}: {name}: {said}");
            let told = |help: &String| said.contains(quoted(help).trim_matches('\''));
            assert!(helps[name.as_str()].iter().all(told), "{template}: {name}: {said}");
        }
    }
}

#[test]
fn types_defaults_and_choices_are_those_of_the_options() {
    let tree = cli::command(false);
    for (template, commands) in TEMPLATES {
        let declared = declared(&read(template).0);
        for (name, arg) in
            commands.iter().flat_map(|words| options(&tree, words)).filter(|(_, arg)| arg.get_long().is_some())
        {
            let about = &declared[name];
            let say = |key: &str| about.get(key).map(String::as_str).unwrap_or_default();
            let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = default.join(",");
            match say("type") {
                "boolean" => assert_eq!(say("default"), if default == "true" { "true" } else { "false" }, "{name}"),
                "number" => assert_eq!(say("default"), default, "{name}"),
                "array" => assert_eq!(say("default"), "[]", "{name}"),
                "" if name == "cloud" => assert_eq!(say("default"), "", "which cloud it is has to be said"),
                "" => assert_eq!(say("default"), quoted(&default), "{template}: {name}"),
                other => panic!("{template}: {name}: {other}"),
            }
            let many = arg.get_possible_values();
            let choices = many.iter().filter(|value| !value.is_hide_set()).map(|value| quoted(value.get_name()));
            if say("type") != "boolean" {
                for choice in choices {
                    assert!(say("options").contains(&choice), "{template}: {name}: {choice}");
                }
            }
        }
    }
}
