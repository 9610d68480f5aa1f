//! A command and its options as a platform hands them over, each by its own name, made into a command line.

use super::by_old_name;
use crate::error::{Error, Result};
use clap::{Arg, ArgAction, Command};

/// What differs between the platforms.
pub struct Platform {
    /// What it calls an option.
    pub noun: &'static str,
    /// Who has the options.
    pub owner: &'static str,
    /// How an option is called there.
    pub spelled: fn(&str) -> String,
    /// How a command is asked for there.
    pub example: &'static str,
    /// What to do instead of following a report, which has no end.
    pub watch: &'static str,
    /// What to do instead of becoming a runner.
    pub here: &'static str,
    /// How the token is called there.
    pub token: &'static str,
}

/// An option that is given: its name, and one or several values.
pub type Given<'a> = (String, Vec<&'a str>);

/// Why an option is on no platform.
enum Unsupported {
    Token,
    Watch,
    Browser,
    Person,
    Here,
}

/// Options that are on no platform.
const ELSEWHERE: &[(&str, Unsupported)] = &[
    ("driver-token", Unsupported::Token),
    ("watch", Unsupported::Watch),
    ("trigger-file", Unsupported::Watch),
    ("open", Unsupported::Browser),
    ("shell", Unsupported::Person),
    ("runner-path", Unsupported::Here),
    ("pass-env", Unsupported::Here),
];

/// Returns whether an option is on no platform.
pub fn is_elsewhere(name: &str) -> bool {
    ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name)
}

/// Returns whether an option is for a person's shell only. Elsewhere a variable of that name, such as `SHELL`, means
/// something else.
pub fn is_for_people(name: &str) -> bool {
    ELSEWHERE.iter().any(|(elsewhere, why)| *elsewhere == name && matches!(why, Unsupported::Person))
}

/// Returns the name of an option: its long name, or that of a file or other argument.
pub fn name(arg: &Arg) -> Option<&str> {
    match arg.get_long() {
        Some(_) if !super::is_setting(arg) => None,
        Some(long) => Some(long),
        None => Some(arg.get_id().as_str()).filter(|_| arg.is_positional()),
    }
}

/// Returns whether any command has that option.
pub fn knows(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|arg| name(arg) == Some(option))
        || command.get_subcommands().any(|command| knows(command, option))
}

impl Platform {
    /// Returns the command line, with the program's name; `None` when there are no `words` that name a command.
    ///
    /// # Errors
    /// The words are no command, or the command has not all of the options.
    pub fn command_line(&self, tree: &Command, words: &str, given: Vec<Given>) -> Result<Option<Vec<String>>> {
        let (noun, command) = (self.noun, (self.spelled)("command"));
        if words.trim().is_empty() {
            return match given.first() {
                Some((name, _)) => {
                    Err(Error::usage(format!("the {noun} {} is set without a command", (self.spelled)(name)))
                        .hint(format!("add a command, for instance {}, or remove it", self.example)))
                }
                None => Ok(None),
            };
        }
        let words = shlex::split(words.trim()).ok_or_else(|| {
            Error::usage(format!("the {noun} {command} has an unclosed quote: {}", words.trim()))
                .hint("close the quote")
        })?;
        let mut argv = vec!["cml".to_owned()];
        argv.extend(words.into_iter().skip_while(|word| word == "cml"));
        if argv.iter().any(|word| matches!(word.as_str(), "--watch" | "--watch=true")) {
            return Err(Error::usage(format!("--watch is not supported in {}'s own step", self.owner)).hint(self.watch));
        }
        let path = path(tree, &argv);
        if let Some(family) = path.last().filter(|command| command.has_subcommands()) {
            // With other words in it there is a misspelt name, or `--help`: the parser knows best.
            return if argv.len() == path.len() { Err(self.half(family, &argv)) } else { Ok(Some(argv)) };
        }
        let mut files = Vec::new();
        for (name, given) in given {
            let arg = self.find(&path, &name)?;
            let values = match given[..] {
                [one] => super::values(arg, one.trim_end_matches('\n')),
                ref many if matches!(arg.get_action(), ArgAction::Append) => {
                    many.iter().map(|&value| value.to_owned()).collect()
                }
                _ => {
                    return Err(Error::usage(format!("the {noun} {} takes one value", (self.spelled)(&name)))
                        .hint("pass a string, not a list"));
                }
            };
            match arg.get_long() {
                Some(long) => argv.extend(values.iter().map(|value| format!("--{long}={value}"))),
                None => files.extend(values),
            }
        }
        if !files.is_empty() {
            argv.push("--".to_owned());
            argv.extend(files);
        }
        Ok(Some(argv))
    }

    /// Returns what is wrong with a command that is only the beginning of one.
    fn half(&self, family: &Command, argv: &[String]) -> Error {
        let names: Vec<_> = family.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
        let (noun, command) = (self.noun, (self.spelled)("command"));
        Error::usage(format!("the {noun} {command} is incomplete: {}", argv.join(" ")))
            .hint(format!("add one of: {}", names.join(" or ")))
    }

    /// Returns the option of that name.
    fn find<'a>(&self, path: &[&'a Command], option: &str) -> Result<&'a Arg> {
        let spelled = (self.spelled)(option);
        if let Some((_, why)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == option) {
            let hint = match why {
                Unsupported::Token => format!("the {} is called {}", self.noun, self.token),
                Unsupported::Watch => self.watch.to_owned(),
                Unsupported::Browser => "a runner has no browser".to_owned(),
                Unsupported::Person => "completions are for interactive shells".to_owned(),
                Unsupported::Here => self.here.to_owned(),
            };
            return Err(Error::usage(format!("unknown {} {spelled} for {}", self.noun, self.owner)).hint(hint));
        }
        let mut args = path.iter().rev().flat_map(|command| command.get_arguments());
        args.find(|arg| name(arg) == Some(option)).ok_or_else(|| {
            let command = path.iter().map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
            Error::usage(format!("the {} {spelled} is not an option of {command}", self.noun))
                .hint(format!("see `{command} --help`, or remove it"))
        })
    }
}

/// Returns the commands that the words name, from the root on.
fn path<'a>(tree: &'a Command, argv: &[String]) -> Vec<&'a Command> {
    let words = by_old_name(tree, argv.to_vec(), &mut Vec::new());
    words.iter().skip(1).fold(vec![tree], |mut path, word| {
        path.extend(path.last().and_then(|command| command.find_subcommand(word)));
        path
    })
}
