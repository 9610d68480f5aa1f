//! What is made of the command line's declaration: `docs/commands.md`, the inputs of GitLab's components, manual pages.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it writes files and tells of it

mod commands;
mod component;
mod made;

use clap::Command;
use clap_mangen::Man;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let tree = cml::cli::command(false);
    match args[..] {
        ["pages"] => {
            write(Path::new("docs/commands.md"), commands::page(&tree).as_bytes())?;
            let templates = component::templates(&tree, Path::new("."))?;
            templates.into_iter().try_for_each(|(path, _, made)| write(&path, made.as_bytes()))
        }
        ["man", folder] => {
            std::fs::create_dir_all(folder).map_err(|e| format!("{folder}: {e}"))?;
            manual(&tree, &[], Path::new(folder))
        }
        _ => Err("docs pages | man FOLDER".to_owned()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}

/// `cml.1`, `cml-comment.1`, `cml-comment-create.1`, …
fn manual(command: &Command, above: &[&str], folder: &Path) -> Result<(), String> {
    let words: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
    let name = words.join("-");
    let source = command.render_version();
    let man = Man::new(command.clone().display_name(&name)).title(name.to_uppercase()).source(source.trim());
    let mut text = Vec::new();
    let sections = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    let rest = command.has_subcommands().then_some(Man::render_subcommands_section as fn(&Man, &mut dyn Write) -> _);
    let sections = sections.into_iter().chain(rest);
    sections.into_iter().try_for_each(|section| section(&man, &mut text)).map_err(|e| e.to_string())?;
    text.extend(examples(command).bytes());
    write(&folder.join(format!("{name}.1")), &text)?;
    command.get_subcommands().try_for_each(|command| manual(command, &words, folder))
}

/// What stands below the options, line by line: the tool would fill the lines up.
fn examples(command: &Command) -> String {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return String::new() };
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace("\n.", "\n\\&.").replace("\n'", "\n\\&'");
    let (heading, text) = match text.strip_prefix("Examples:\n") {
        Some(text) => ("EXAMPLES", text),
        None => ("NOTES", &*text),
    };
    format!(".SH {heading}\n.nf\n{text}\n.fi\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_made_parts_of_the_components_are_fresh() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let templates = super::component::templates(&cml::cli::command(false), &root).unwrap();
        assert!(!templates.is_empty());
        for (path, found, made) in templates {
            assert!(found == made, "{} is stale: run `cargo xtask docs`", path.display());
        }
    }

    #[test]
    fn the_page_of_commands_is_fresh() {
        let page = super::commands::page(&cml::cli::command(false));
        let found = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md"));
        assert!(found.is_ok_and(|found| found == page), "docs/commands.md is stale: run `cargo xtask docs`");
    }
}
