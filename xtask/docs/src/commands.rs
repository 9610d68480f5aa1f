//! `docs/commands.md`.

use clap::{Arg, Command};
use cml::env::vars;
use cml::inputs;
use cml::inputs::is_setting;

const BEGINNING: &str = "\
# Commands

<!-- Made of the declaration of the command line by `cargo xtask docs`. -->

What `cml … --help` tells, on one page. Each option can be given on the command line or as a variable; the command line
goes first. A yes-or-no option is on with `--x` or `--x=true` and off with `--no-x` or `--x=false`. Messages and exit codes:
[errors.md](errors.md).

| command | |
| --- | --- |
";

/// The whole page.
pub fn page(tree: &Command) -> String {
    let mut leaves = Vec::new();
    collect(tree, &mut Vec::new(), &mut leaves);
    let row = |(words, command): &(Vec<&str>, &Command)| {
        let name = words.join(" ");
        format!("| [`{name}`](#{}) | {} |\n", name.replace(' ', "-"), about(command))
    };
    let mut page = BEGINNING.to_owned() + &leaves.iter().map(row).collect::<String>() + "\n";
    for (at, (words, command)) in leaves.iter().enumerate() {
        let same =
            leaves[..at].iter().find(|(other, earlier)| other[..2] == words[..2] && ids(earlier) == ids(command));
        page += &section(words, command, same.map(|(words, _)| words.join(" ")));
    }
    page += "## Options of every command\n\n";
    page += &tables(&tree.get_arguments().filter(|arg| arg.is_global_set() && is_setting(arg)).collect::<Vec<_>>(), "");
    page += "## Other variables\n\nWhat else the program reads of its environment.\n\n| variable | |\n| --- | --- |\n";
    page += &vars::ALL.iter().map(|var| format!("| `{}` | {} |\n", var.name, cell(var.doc))).collect::<String>();
    page
}

/// The commands that do something.
fn collect<'a>(command: &'a Command, above: &mut Vec<&'a str>, found: &mut Vec<(Vec<&'a str>, &'a Command)>) {
    above.push(command.get_name());
    if command.has_subcommands() {
        command.get_subcommands().filter(|c| !c.is_hide_set()).for_each(|c| collect(c, above, found))
    } else {
        found.push((above.clone(), command))
    }
    above.pop();
}

fn own(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_global_set())
}

fn ids(command: &Command) -> Vec<&str> {
    own(command).map(|arg| arg.get_id().as_str()).collect()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(words: &[&str], command: &Command, same: Option<String>) -> String {
    let (name, family) = (words.join(" "), words[1]);
    let usage = command.clone().render_usage().to_string();
    let mut text = format!("## {name}\n\n{}.\n\n```\n{}\n```\n\n", about(command), usage.trim_start_matches("Usage: "));
    if let Some(old) = inputs::old_name(&words[1..]) {
        text += &format!("CML's older name, which works too: `cml {old}`.\n\n");
    }
    if let Some(same) = same {
        return text + &format!("The options are those of [`{same}`](#{}).\n\n", same.replace(' ', "-"));
    }
    let (arguments, options): (Vec<_>, Vec<_>) = own(command).partition(|arg| arg.is_positional());
    for arg in arguments {
        text += &format!("- `{arg}` – {}.{}\n\n", help(arg), values(arg));
    }
    let (hidden, options): (Vec<_>, Vec<_>) = options.into_iter().partition(|arg| arg.is_hide_set());
    text += &tables(&options, family);
    let old = |arg: &&Arg| {
        let aliases =
            arg.get_all_aliases().unwrap_or_default().iter().map(|alias| format!("`--{alias}`")).collect::<Vec<_>>();
        (!aliases.is_empty())
            .then(|| format!("| {} | `--{}` |\n", aliases.join(", "), arg.get_long().unwrap_or_default()))
    };
    let aliases: String = options.iter().chain(&hidden).filter_map(old).collect();
    let rows: String =
        hidden.iter().map(|arg| format!("| `--{}` | {} |\n", arg.get_long().unwrap_or_default(), help(arg))).collect();
    if !(aliases.is_empty() && rows.is_empty()) {
        text += &format!("**CML's older spellings**\n\n| option | |\n| --- | --- |\n{rows}{aliases}\n");
    }
    if let [_, old] = &inputs::prefixes(family)[..] {
        text += &format!("Variables may also begin with CML's older `{old}`.\n\n");
    }
    text + &examples(command)
}

fn examples(command: &Command) -> String {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some(text) = text.strip_prefix("Examples:\n") else { return String::new() };
    let (indented, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.is_empty() || line.starts_with("  "));
    let code = indented.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n");
    let rest = if rest.is_empty() { String::new() } else { format!("{}\n\n", rest.join("\n")) };
    format!("**Examples**\n\n```sh\n{}\n```\n\n{rest}", code.trim_end())
}

/// A table a heading of the help. `family` is the command's first word.
fn tables(options: &[&Arg], family: &str) -> String {
    let mut headings: Vec<&str> = Vec::new();
    for heading in options.iter().map(|arg| arg.get_help_heading().unwrap_or("Options")) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let mut text = String::new();
    for heading in headings {
        text += &format!("**{heading}**\n\n| option | variable | |\n| --- | --- | --- |\n");
        for arg in options.iter().filter(|arg| arg.get_help_heading().unwrap_or("Options") == heading) {
            text += &row(arg, family);
        }
        text += "\n";
    }
    text
}

fn row(arg: &Arg, family: &str) -> String {
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let variables = inputs::variables(family, arg);
    let variable = variables.first().map(|name| format!("`{name}`")).unwrap_or_default();
    let name = arg.to_string().replace('|', "\\|");
    format!("| {short}`{name}` | {variable} | {}.{} |\n", help(arg), values(arg))
}

fn help(arg: &Arg) -> String {
    cell(&arg.get_help().map(ToString::to_string).unwrap_or_default())
}

/// What it takes, and what it has when it is not given.
fn values(arg: &Arg) -> String {
    let mut text = String::new();
    let possible = arg.get_possible_values();
    let shown: Vec<_> = possible.iter().filter(|value| !value.is_hide_set()).collect();
    let is_switch =
        arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>() || !arg.get_action().takes_values();
    if !shown.is_empty() && !is_switch {
        let one = |value: &&clap::builder::PossibleValue| match value.get_help() {
            Some(help) if help.to_string().to_lowercase() != value.get_name() => {
                format!("`{}` ({})", value.get_name(), cell(&lower(&help.to_string())))
            }
            _ => format!("`{}`", value.get_name()),
        };
        text += &format!(" One of {}.", shown.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    let default = arg.get_default_values().first().and_then(|value| value.to_str());
    if let Some(default) = default.filter(|_| arg.get_action().takes_values() && !arg.is_hide_default_value_set()) {
        text += &format!(" Default: `{default}`.");
    }
    text
}

/// A sentence within another.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    let second = text.chars().nth(1).is_some_and(char::is_uppercase);
    match chars.next() {
        Some(first) if !second => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
