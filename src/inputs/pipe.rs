//! The variables of a pipe of Bitbucket's, made into a command line.

use super::platform::{self, Given, Platform};
use crate::env::Env;
use crate::error::{Error, Result};
use clap::Command;
use std::collections::BTreeSet;

const PIPE: Platform = Platform {
    noun: "variable",
    owner: "the pipe",
    spelled: variable,
    example: "COMMAND: comment update",
    watch: "the pipe would never end: run `cml comment update --watch report.md &`, or `cml tensorboard connect --watch … &`, in the script of a step whose image has cml",
    here: "the pipe cannot become a runner: run `cml runner launch` on the machine, or name a cloud with CLOUD",
    token: "REPO_TOKEN",
};

/// Returns the variable of an option: `CLOUD_REGION`.
pub fn variable(option: &str) -> String {
    super::upper(option)
}

/// Returns the command line that the variables ask for, with the program's name; `None` when there is no `COMMAND`.
/// What no command knows is not looked at: a pipe has Bitbucket's default variables, too.
///
/// # Errors
/// The command is none, or has not all of the options, or a list is not whole.
pub fn command_line(tree: &Command, env: &Env) -> Result<Option<Vec<String>>> {
    let words = env.named(&variable("command")).unwrap_or_default();
    let mut names = BTreeSet::new();
    collect(tree, &mut names);
    let given = names.into_iter().filter_map(|name| given(name, env).transpose()).collect::<Result<_>>()?;
    PIPE.command_line(tree, words, given)
}

/// The options of all commands that are there to be seen.
fn collect<'a>(command: &'a Command, names: &mut BTreeSet<&'a str>) {
    let of_command = command.get_arguments().filter_map(platform::name);
    names.extend(of_command.filter(|name| !platform::is_for_people(name)));
    command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|command| collect(command, names));
}

/// Returns the values of an option. A list comes as `NAME_COUNT`, `NAME_0`, `NAME_1`, …:
/// <https://support.atlassian.com/bitbucket-cloud/docs/advanced-techniques-for-writing-pipes/>.
fn given<'a>(name: &str, env: &'a Env) -> Result<Option<Given<'a>>> {
    let variable = variable(name);
    let Some(count) = env.named(&format!("{variable}_COUNT")) else {
        return Ok(env.named(&variable).map(|value| (name.to_owned(), vec![value])));
    };
    let items = count.parse().ok().and_then(|count: usize| {
        (0..count.min(1000)).map(|at| env.named(&format!("{variable}_{at}"))).collect::<Option<Vec<_>>>()
    });
    let items = items.ok_or_else(|| {
        Error::usage(format!("{variable}_COUNT is {count}, but some of {variable}_0, {variable}_1, … are missing"))
            .hint(format!("use a list such as {variable}: ['first', 'second'], without empty values"))
    })?;
    Ok((!items.is_empty()).then(|| (name.to_owned(), items)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let env = variables.iter().copied().collect();
        let line = command_line(&crate::cli::command(false), &env);
        line.map(|line| line.map(|words| words.join("|"))).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_become_options_of_the_command() {
        for (variables, expected) in [
            (&[("BITBUCKET_BRANCH", "b"), ("SHELL", "/bin/sh"), ("DEBUG", "true"), ("SECTION", "")][..], None),
            (&[("COMMAND", "comment update"), ("REPORT", "r.md")], Some("cml|comment|update|--|r.md")),
            (
                &[
                    ("COMMAND", "check create"),
                    ("REPORT", "r.md"),
                    ("DATA_COUNT", "2"),
                    ("DATA_0", "a=1"),
                    ("DATA_1", "b=2"),
                ],
                Some("cml|check|create|--data=a=1|--data=b=2|--|r.md"),
            ),
            (&[("COMMAND", "check create"), ("REPORT", "r.md"), ("DATA_COUNT", "0")], Some("cml|check|create|--|r.md")),
            (
                &[("COMMAND", "pr create"), ("GLOB_COUNT", "2"), ("GLOB_0", "a b"), ("GLOB_1", "c")],
                Some("cml|pr|create|--|a b|c"),
            ),
            (
                &[("COMMAND", "runner launch"), ("CLOUD_REGION", "eu-west"), ("REUSE_IDLE", "true")],
                Some("cml|runner|launch|--cloud-region=eu-west|--reuse-idle=true"),
            ),
        ] {
            assert_eq!(line(variables), Ok(expected.map(str::to_owned)), "{variables:?}");
        }
    }

    #[test]
    fn variables_that_make_no_sense_are_refused() {
        for (variables, message) in [
            (&[("REPORT", "r.md")][..], "the variable REPORT is set without a command"),
            (&[("COMMAND", "comment"), ("REPORT", "r.md")], "the variable COMMAND is incomplete: cml comment"),
            (
                &[("COMMAND", "doctor"), ("CLOUD_REGION", "x")],
                "the variable CLOUD_REGION is not an option of cml doctor",
            ),
            (&[("COMMAND", "comment create"), ("WATCH", "true")], "unknown variable WATCH for the pipe"),
            (&[("COMMAND", "comment create"), ("DRIVER_TOKEN", "t")], "unknown variable DRIVER_TOKEN for the pipe"),
            (
                &[("COMMAND", "comment create"), ("TARGET_COUNT", "2"), ("TARGET_0", "pr"), ("TARGET_1", "commit")],
                "the variable TARGET takes one value",
            ),
            (
                &[("COMMAND", "check create"), ("DATA_COUNT", "2"), ("DATA_0", "a=1")],
                "DATA_COUNT is 2, but some of DATA_0, DATA_1, … are missing",
            ),
            (
                &[("COMMAND", "check create"), ("DATA_COUNT", "two")],
                "DATA_COUNT is two, but some of DATA_0, DATA_1, … are missing",
            ),
        ] {
            assert_eq!(line(variables), Err(message.to_owned()), "{variables:?}");
        }
    }
}
