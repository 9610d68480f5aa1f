//! The inputs of a step of GitHub's, made into a command line.

use super::platform::{Given, Platform, knows};
use crate::env::Env;
use crate::error::Result;
use clap::Command;

const ACTION: Platform = Platform {
    noun: "input",
    owner: "the action",
    spelled: str::to_owned,
    example: "command: comment update",
    watch: "the step would never end: set cml up, and run `cml comment update --watch report.md &`, or `cml tensorboard connect --watch … &`, in a later step",
    here: "the step cannot become a runner: set cml up with native: true, and run `cml runner launch` in a later step",
    token: "token",
};

/// Returns the value of an input of the action; `None` when it is not given.
pub fn value<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.named(&variable(name)).map(str::trim).filter(|value| !value.is_empty())
}

/// Returns the variable in which GitHub's runner hands an input over: upper case, spaces made `_`, hyphens as they
/// are.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs>
pub fn variable(input: &str) -> String {
    format!("INPUT_{}", input.to_ascii_uppercase().replace(' ', "_"))
}

/// Returns the command line that the inputs ask for, with the program's name; `None` when they name no command. `own`
/// are the inputs that are not options. Inputs that no command has are left to the runner, which warns of them.
pub fn command_line(tree: &Command, own: &[&str], env: &Env) -> Result<Option<Vec<String>>> {
    let words = env.named(&variable("command")).unwrap_or_default();
    ACTION.command_line(tree, words, given(tree, own, env))
}

/// Returns the inputs that are options of any command, with their values.
fn given<'a>(tree: &Command, own: &[&str], env: &'a Env) -> Vec<Given<'a>> {
    let input = |variable: &str| Some(variable.strip_prefix("INPUT_")?.to_ascii_lowercase());
    let inputs = env.names().filter_map(|variable| Some((input(variable)?, vec![env.named(variable)?])));
    inputs.filter(|(name, _)| !own.contains(&name.as_str()) && knows(tree, name)).collect()
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
            (&[("report", "r.md")][..], "the input report is set without a command"),
            (&[("command", "comment"), ("report", "r.md")], "the input command is incomplete: cml comment"),
            (&[("command", "comment 'create")], "the input command has an unclosed quote: comment 'create"),
            (&[("command", "comment create"), ("watch", "true")], "unknown input watch for the action"),
            (&[("command", "comment create --watch")], "--watch is not supported in the action's own step"),
            (&[("command", "comment create"), ("driver-token", "t")], "unknown input driver-token for the action"),
        ] {
            assert_eq!(line(inputs), Err(message.to_owned()), "{inputs:?}");
        }
    }
}
