//! The inputs of a step of GitHub's, made into a command line.

use super::by_old_name;
use crate::env::Env;
use crate::error::{Error, Result};
use clap::{Arg, ArgAction, Command};

/// Options that are no inputs of the action, and what to do instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("driver-token", "the input is called token"),
    ("watch", WATCH),
    ("trigger-file", WATCH),
    ("open", "a runner has no browser"),
    ("shell", "completions are for the shell of a person"),
    ("runner-path", HERE),
    ("pass-env", HERE),
];
const WATCH: &str = "the step would not end: set cml up, and run `cml comment update --watch report.md &`, or `cml tensorboard connect --watch … &`, in a later step";

const HERE: &str =
    "the step cannot become a runner: set cml up with native: true, and run `cml runner launch` in a later step";

/// Whether an option is no input of the action.
pub fn is_elsewhere(name: &str) -> bool {
    ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name)
}

/// The variable in which GitHub's runner hands an input over: upper case, spaces made `_`, hyphens as they are.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs>
pub fn variable(input: &str) -> String {
    format!("INPUT_{}", input.to_ascii_uppercase().replace(' ', "_"))
}

/// The name of an option as an input: its long name, or that of a file or other argument.
pub fn name(arg: &Arg) -> Option<&str> {
    match arg.get_long() {
        Some("help" | "version") => None,
        Some(long) => Some(long),
        None => Some(arg.get_id().as_str()).filter(|_| arg.is_positional()),
    }
}

/// The command line that the inputs ask for, with the program's name; `None` when they name no command. `own` are
/// the inputs that are not options. Inputs that no command has are left to the runner, which warns of them.
pub fn command_line(tree: &Command, own: &[&str], env: &Env) -> Result<Option<Vec<String>>> {
    let given = given(tree, own, env);
    let words = env.named(&variable("command")).unwrap_or_default().trim();
    if words.is_empty() {
        return match given.first() {
            Some((name, _)) => Err(Error::usage(format!("the input {name} is given without a command"))
                .hint("say what to do with it, for instance command: comment update, or leave it out")),
            None => Ok(None),
        };
    }
    let words = shlex::split(words).ok_or_else(|| {
        Error::usage(format!("the input command has a quote without its end: {words}")).hint("quotes come in pairs")
    })?;
    let mut argv = vec!["cml".to_owned()];
    argv.extend(words.into_iter().skip_while(|word| word == "cml"));
    if argv.iter().any(|word| matches!(word.as_str(), "--watch" | "--watch=true")) {
        return Err(Error::usage("--watch is not for the action's own step").hint(WATCH));
    }
    let path = path(tree, &argv);
    if let Some(family) = path.last().filter(|command| command.has_subcommands()) {
        // With other words in it there is a misspelt name, or `--help`: the parser knows best.
        return if argv.len() == path.len() { Err(half(family, &argv)) } else { Ok(Some(argv)) };
    }
    let mut files = Vec::new();
    for (name, value) in given {
        let arg = find(&path, &name)?;
        let values: Vec<&str> = match arg.get_action() {
            ArgAction::Append => value.lines().map(str::trim).filter(|line| !line.is_empty()).collect(),
            _ => vec![value.trim_end_matches('\n')],
        };
        match arg.get_long() {
            Some(long) => argv.extend(values.iter().map(|value| format!("--{long}={value}"))),
            None => files.extend(values.into_iter().map(str::to_owned)),
        }
    }
    if !files.is_empty() {
        argv.push("--".to_owned());
        argv.extend(files);
    }
    Ok(Some(argv))
}

/// The inputs that are options of any command, with their values.
fn given<'a>(tree: &Command, own: &[&str], env: &'a Env) -> Vec<(String, &'a str)> {
    let input = |variable: &str| Some(variable.strip_prefix("INPUT_")?.to_ascii_lowercase());
    let inputs = env.names().filter_map(|variable| Some((input(variable)?, env.named(variable)?)));
    inputs.filter(|(name, _)| !own.contains(&name.as_str()) && knows(tree, name)).collect()
}

/// Whether any command has that input.
fn knows(command: &Command, input: &str) -> bool {
    command.get_arguments().any(|arg| name(arg) == Some(input))
        || command.get_subcommands().any(|command| knows(command, input))
}

/// The commands that the words name, from the root on.
fn path<'a>(tree: &'a Command, argv: &[String]) -> Vec<&'a Command> {
    let words = by_old_name(tree, argv.to_vec(), &mut Vec::new());
    words.iter().skip(1).fold(vec![tree], |mut path, word| {
        path.extend(path.last().and_then(|command| command.find_subcommand(word)));
        path
    })
}

/// What is wrong with a command that is only the beginning of one.
fn half(family: &Command, argv: &[String]) -> Error {
    let names: Vec<_> = family.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
    Error::usage(format!("the input command is not a whole command: {}", argv.join(" ")))
        .hint(format!("it takes one more word: {}", names.join(" or ")))
}

/// The option of an input.
fn find<'a>(path: &[&'a Command], input: &str) -> Result<&'a Arg> {
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == input) {
        return Err(Error::usage(format!("{input} is no input of the action")).hint(*instead));
    }
    let mut args = path.iter().rev().flat_map(|command| command.get_arguments());
    args.find(|arg| name(arg) == Some(input)).ok_or_else(|| {
        let command = path.iter().map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
        Error::usage(format!("the input {input} is no option of {command}"))
            .hint(format!("`{command} --help` lists them; leave it out"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(inputs: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = inputs.iter().map(|(name, value)| (variable(name), *value)).collect();
        let line = command_line(&crate::cli::command(false), &["command", "token"], &env);
        line.map(|line| line.map(|words| words.join("|"))).map_err(|error| error.to_string())
    }

    #[test]
    fn inputs_become_options_of_the_command() {
        for (inputs, expected) in [
            (&[("token", "t"), ("section", ""), ("something", "x")][..], None),
            (&[("command", " \n"), ("native", "true")], None),
            (&[("command", "comment update"), ("report", "-r.md")], Some("cml|comment|update|--|-r.md")),
            (&[("command", "cml comment create 'a b.md' --strict")], Some("cml|comment|create|a b.md|--strict")),
            (
                &[("command", "send-comment"), ("report", "r.md"), ("watermark-title", "a b"), ("ca-cert", "c.pem")],
                Some("cml|send-comment|--ca-cert=c.pem|--watermark-title=a b|--|r.md"),
            ),
            (&[("command", "comment create r.md"), ("update", "true")], Some("cml|comment|create|r.md|--update=true")),
            (&[("command", "doctor"), ("repo", "o/r")], Some("cml|doctor|--repo=o/r")),
            // The parser refuses this, and knows what was meant.
            (&[("command", "coment update"), ("report", "r.md")], Some("cml|coment|update")),
            (&[("command", "cml --version")], Some("cml|--version")),
        ] {
            assert_eq!(line(inputs), Ok(expected.map(str::to_owned)), "{inputs:?}");
        }
    }

    #[test]
    fn inputs_that_make_no_sense_are_refused() {
        for (inputs, message) in [
            (&[("report", "r.md")][..], "the input report is given without a command"),
            (&[("command", "comment"), ("report", "r.md")], "the input command is not a whole command: cml comment"),
            (&[("command", "comment 'create")], "the input command has a quote without its end: comment 'create"),
            (&[("command", "comment create"), ("watch", "true")], "watch is no input of the action"),
            (&[("command", "comment create --watch")], "--watch is not for the action's own step"),
            (&[("command", "comment create"), ("driver-token", "t")], "driver-token is no input of the action"),
        ] {
            assert_eq!(line(inputs), Err(message.to_owned()), "{inputs:?}");
        }
    }
}
