//! What is made of the command line's declaration: pages of `docs/`, the inputs of GitLab's components and Bitbucket's pipe,
//! manual pages.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it writes files and tells of it

mod commands;
mod component;
mod inputs;
mod made;
mod pipe;

use clap::Command;
use clap_mangen::Man;
use std::io::Write;
use std::path::{Path, PathBuf};

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let tree = cml::cli::command(false);
    match args[..] {
        ["pages"] => {
            let pages = pages(&tree, Path::new("."))?;
            pages.into_iter().try_for_each(|(path, _, made)| write(&path, made.as_bytes()))
        }
        ["man", folder] => {
            std::fs::create_dir_all(folder).map_err(|e| format!("{folder}: {e}"))?;
            manual(&tree, &[], Path::new(folder))
        }
        _ => Err("docs pages | man FOLDER".to_owned()),
    }
}

/// What is made, and parts of which are: path, what is there, and what should be.
fn pages(tree: &Command, root: &Path) -> Result<Vec<(PathBuf, String, String)>, String> {
    let mut pages = component::templates(tree, root)?;
    pages.extend(pipe::files(tree, root)?);
    for (name, page) in [("commands", commands::page(tree)), ("inputs", inputs::page(tree, root)?)] {
        let path = root.join(format!("docs/{name}.md"));
        pages.push((path.clone(), std::fs::read_to_string(path).unwrap_or_default(), page));
    }
    Ok(pages)
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
    fn what_is_made_is_fresh() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let pages = super::pages(&cml::cli::command(false), &root).unwrap();
        assert_eq!(pages.len(), 13);
        for (path, found, made) in pages {
            assert!(found == made, "{} is stale: run `cargo xtask docs`", path.display());
        }
    }
}
