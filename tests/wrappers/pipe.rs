//! The variables of `bitbucket-pipe/` are the pipe's own and the options of all commands.

use cml::pipe::VARIABLES;
use cml::{cli, inputs};
use std::collections::BTreeMap;

fn read(name: &str) -> String {
    let path = format!("{}/bitbucket-pipe/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn variables_are_the_options() {
    let mut options = BTreeMap::new();
    super::options(&cli::command(false), &mut options);
    let mut expected: Vec<String> = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    expected.extend(options.keys().map(|name| inputs::pipe::variable(name)));
    let (metadata, readme) = (read("pipe.yml"), read("README.md"));
    let declared: Vec<&str> = metadata.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect();
    assert_eq!(declared, expected);
    for (name, helps) in &options {
        let row = readme.lines().find(|line| line.starts_with(&format!("| {} | ", inputs::pipe::variable(name))));
        let row = row.unwrap_or_else(|| panic!("the README does not know {name}"));
        let told = |help: &String| row.contains(&help.replace('<', "&lt;").replace('*', "\\*").replace('|', "\\|"));
        assert!(helps.iter().all(told), "{row}");
    }
    // The pipe's own names are nobody else's.
    for variable in VARIABLES {
        assert!(options.keys().all(|name| inputs::pipe::variable(name) != variable.name), "{}", variable.name);
    }
}

#[test]
fn the_files_have_the_official_shape() {
    let (metadata, readme) = (read("pipe.yml"), read("README.md"));
    let keys: Vec<&str> = metadata
        .lines()
        .filter(|line| !line.starts_with([' ', '#']))
        .filter_map(|line| line.split(':').next())
        .collect();
    let official =
        ["name", "image", "description", "category", "repository", "vendor", "maintainer", "tags", "variables"];
    assert_eq!(keys, official);
    let image = format!("org/cml-pipe:{}", env!("CARGO_PKG_VERSION"));
    assert!(metadata.contains(&format!("\nimage: {image}\n")));
    assert!(readme.matches("pipe: docker://").count() == readme.matches(&format!("pipe: docker://{image}\n")).count());
    let sections: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, ["YAML Definition", "Variables", "Prerequisites", "Examples", "Support", "License"]);
    assert!(readme.contains("| COMMAND (\\*) | ") && readme.contains("_(\\*) = required variable._"));
    assert!(metadata.contains("  - name: DEBUG\n    default: 'false'\n"));
}
