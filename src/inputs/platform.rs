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
enum Why {
    Token,
    Watch,
    Browser,
    Person,
    Here,
}

/// Options that are on no platform.
const ELSEWHERE: &[(&str, Why)] = &[
    ("driver-token", Why::Token),
    ("watch", Why::Watch),
    ("trigger-file", Why::Watch),
    ("open", Why::Browser),
    ("shell", Why::Person),
    ("runner-path", Why::Here),
    ("pass-env", Why::Here),
];

/// Whether an option is on no platform.
pub fn is_elsewhere(name: &str) -> bool {
    ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name)
}

/// Whether an option is for the shell of a person. Its name is no option's elsewhere: a variable `SHELL` is about
/// something else.
pub fn is_for_people(name: &str) -> bool {
    ELSEWHERE.iter().any(|(elsewhere, why)| *elsewhere == name && matches!(why, Why::Person))
}

/// The name of an option: its long name, or that of a file or other argument.
pub fn name(arg: &Arg) -> Option<&str> {
    match arg.get_long() {
        Some(_) if !crate::cli::is_setting(arg) => None,
        Some(long) => Some(long),
        None => Some(arg.get_id().as_str()).filter(|_| arg.is_positional()),
    }
}

/// Whether any command has that option.
pub fn knows(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|arg| name(arg) == Some(option))
        || command.get_subcommands().any(|command| knows(command, option))
}

impl Platform {
    /// The command line, with the program's name; `None` when there are no `words` that name a command.
    ///
    /// # Errors
    /// The words are no command, or the command has not all of the options.
    pub fn command_line(&self, tree: &Command, words: &str, given: Vec<Given>) -> Result<Option<Vec<String>>> {
        let (noun, command) = (self.noun, (self.spelled)("command"));
        if words.trim().is_empty() {
            return match given.first() {
                Some((name, _)) => {
                    Err(Error::usage(format!("the {noun} {} is given without a command", (self.spelled)(name)))
                        .hint(format!("say what to do with it, for instance {}, or leave it out", self.example)))
                }
                None => Ok(None),
            };
        }
        let words = shlex::split(words.trim()).ok_or_else(|| {
            Error::usage(format!("the {noun} {command} has a quote without its end: {}", words.trim()))
                .hint("quotes come in pairs")
        })?;
        let mut argv = vec!["cml".to_owned()];
        argv.extend(words.into_iter().skip_while(|word| word == "cml"));
        if argv.iter().any(|word| matches!(word.as_str(), "--watch" | "--watch=true")) {
            return Err(Error::usage(format!("--watch is not for {}'s own step", self.owner)).hint(self.watch));
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
                        .hint("give it as text, not as a list"));
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

    /// What is wrong with a command that is only the beginning of one.
    fn half(&self, family: &Command, argv: &[String]) -> Error {
        let names: Vec<_> = family.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
        let (noun, command) = (self.noun, (self.spelled)("command"));
        Error::usage(format!("the {noun} {command} is not a whole command: {}", argv.join(" ")))
            .hint(format!("it takes one more word: {}", names.join(" or ")))
    }

    /// The option of that name.
    fn find<'a>(&self, path: &[&'a Command], option: &str) -> Result<&'a Arg> {
        let spelled = (self.spelled)(option);
        if let Some((_, why)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == option) {
            let hint = match why {
                Why::Token => format!("the {} is called {}", self.noun, self.token),
                Why::Watch => self.watch.to_owned(),
                Why::Browser => "a runner has no browser".to_owned(),
                Why::Person => "completions are for the shell of a person".to_owned(),
                Why::Here => self.here.to_owned(),
            };
            return Err(Error::usage(format!("{spelled} is no {} of {}", self.noun, self.owner)).hint(hint));
        }
        let mut args = path.iter().rev().flat_map(|command| command.get_arguments());
        args.find(|arg| name(arg) == Some(option)).ok_or_else(|| {
            let command = path.iter().map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
            Error::usage(format!("the {} {spelled} is no option of {command}", self.noun))
                .hint(format!("`{command} --help` lists them; leave it out"))
        })
    }
}

/// The commands that the words name, from the root on.
fn path<'a>(tree: &'a Command, argv: &[String]) -> Vec<&'a Command> {
    let words = by_old_name(tree, argv.to_vec(), &mut Vec::new());
    words.iter().skip(1).fold(vec![tree], |mut path, word| {
        path.extend(path.last().and_then(|command| command.find_subcommand(word)));
        path
    })
}
