//! The ways in which options arrive, made into one command line for clap.
//!
//! Pure. The order is: command line, then the global environment name (`CML_DRIVER`), then the command's
//! (`CML_COMMENT_DRIVER`), then the default. Spellings that CML's parser took are made into ours: old command
//! names, `--camelCase`, `--no-option`, and `--option true`. The inputs of the GitHub Action and the
//! variables of a Bitbucket pipe become a command line first ([`action`], [`pipe`]).

use crate::env::{Env, vars};
use crate::log::{Level, Verbosity};
use clap::{Arg, ArgAction, Command};
use serde_json::Value;
use std::collections::HashSet;

pub mod action;
pub mod pipe;
pub mod platform;

/// CML's older names of commands. Each is a program `cml-…` too, except [`ONLY_COMMANDS`].
const LEGACY: &[(&str, &[&str])] = &[
    ("send-comment", &["comment", "create"]),
    ("send-github-check", &["check", "create"]),
    ("publish", &["asset", "publish"]),
    ("tensorboard-dev", &["tensorboard", "connect"]),
    ("ci", &["repo", "prepare"]),
    ("rerun-workflow", &["workflow", "rerun"]),
];
/// Those of them that CML has no program for.
const ONLY_COMMANDS: &[&str] = &["ci", "rerun-workflow"];
/// CML's programs whose names are still those of commands.
const PROGRAMS: &[&str] = &["runner", "pr"];
/// CML's older prefixes of variables, by command.
const LEGACY_PREFIXES: &[(&str, &str)] = &[
    ("asset", "CML_PUBLISH_"),
    ("check", "CML_SEND_GITHUB_CHECK_"),
    ("comment", "CML_SEND_COMMENT_"),
    ("repo", "CML_CI_"),
    ("tensorboard", "CML_TENSORBOARD_DEV_"),
    ("workflow", "CML_RERUN_WORKFLOW_"),
];

/// CML's oldest variables, by command: prefix, and the options that had one.
const OLDEST: &[(&str, &str, &[&str])] =
    &[("runner", "RUNNER_", &["IDLE_TIMEOUT", "LABELS", "SINGLE", "REUSE", "NO_RETRY", "DRIVER", "REPO", "PATH"])];

/// The word that asks for help, as in git and cargo.
const HELP: &str = "help";

/// What came out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The command line, with the program's name.
    pub argv: Vec<String>,
    /// What the user should know about how it came about.
    pub warnings: Vec<String>,
}

/// Prepares a command line. `command` is the whole tree, built.
pub fn prepare(command: &Command, argv: Vec<String>, env: &Env) -> Prepared {
    let mut warnings = Vec::new();
    let mut tokens = by_old_name(command, argv, &mut warnings).into_iter();
    let mut walk = Walk { path: vec![command], out: tokens.next().into_iter().collect(), given: HashSet::new() };
    let mut tokens = tokens.peekable();
    let mut rest = Vec::new();
    while let Some(token) = tokens.next() {
        if token == "--" {
            rest.push(token);
            rest.extend(tokens.by_ref());
        } else {
            walk.token(token, &mut tokens);
        }
    }
    let Walk { path, mut out, given } = walk;
    out.extend(from_env(&path, &given, env, &mut warnings));
    out.extend(rest);
    Prepared { argv: out, warnings }
}

/// CML's older names of commands and programs.
fn old_names() -> impl Iterator<Item = &'static str> {
    LEGACY.iter().map(|(old, _)| *old).chain(PROGRAMS.iter().copied())
}

/// Returns the names of CML's older programs, without `cml-`.
pub fn programs() -> impl Iterator<Item = &'static str> {
    old_names().filter(|old| !ONLY_COMMANDS.contains(old))
}

/// `cml foo …` as `cml-foo …`, a program of somebody else's, where foo is no command of ours, present or past.
pub fn external(command: &Command, argv: &[String]) -> Option<Vec<String>> {
    let (name, args) = argv.get(1..)?.split_first()?;
    let word = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let ours = name == HELP || command.find_subcommand(name).is_some() || old_names().any(|old| old == name);
    (word && !ours).then(|| std::iter::once(format!("cml-{name}")).chain(args.iter().cloned()).collect())
}

/// `cml-send-comment …` and `cml send-comment …` as `cml comment create …`.
fn by_old_name(command: &Command, argv: Vec<String>, warnings: &mut Vec<String>) -> Vec<String> {
    let mut argv = argv.into_iter();
    let program = argv.next().unwrap_or_else(|| "cml".to_owned());
    let file = program.rsplit(['/', '\\']).next().unwrap_or_default();
    // Only CML's own names count: a file may be called cml-linux-x86_64.
    let old = file.trim_end_matches(".exe").strip_prefix("cml-").filter(|name| programs().any(|old| old == *name));
    let mut rest: Vec<String> = old.map(str::to_owned).into_iter().collect();
    rest.extend(argv);
    // `cml help comment create` is `cml comment create --help`.
    if let Some(help) = first_word(&[command], &rest).filter(|&at| rest[at] == HELP) {
        rest.remove(help);
        rest.push("--help".to_owned());
    }
    let at = first_word(&[command], &rest);
    let old = at.and_then(|at| LEGACY.iter().find(|(old, _)| *old == rest[at]));
    if let (Some(at), Some((old, new))) = (at, old) {
        warnings.push(format!("\"cml {old}\" is deprecated, please use \"cml {}\"", new.join(" ")));
        rest.splice(at..=at, new.iter().map(|&word| word.to_owned()));
    }
    let bare = at.filter(|&at| rest[at] == "pr" && is_bare_pr(command, &rest[at + 1..]));
    if let Some(at) = bare {
        warnings.push("\"cml pr\" is deprecated, please use \"cml pr create\"".to_owned());
        rest.insert(at + 1, "create".to_owned());
    }
    // CML asked for an option anywhere.
    let option = |token: &&String| token.starts_with('-') && !asks_for_text(token);
    let launches = |at: usize| match rest.get(at + 1) {
        Some(next) => option(&next),
        None => rest[..at].iter().find(option).is_some(),
    };
    if let Some(at) = at.filter(|&at| rest[at] == "runner" && launches(at)) {
        warnings.push("\"cml runner\" is deprecated, please use \"cml runner launch\"".to_owned());
        rest.insert(at + 1, "launch".to_owned());
    }
    std::iter::once(program).chain(rest).collect()
}

/// Returns whether an option asks for the help or the version, which any command has.
fn asks_for_text(token: &str) -> bool {
    ["--help", "-h", "--version", "-V"].contains(&token)
}

/// Returns whether what follows `pr` has no verb: a file may stand where it does now.
fn is_bare_pr(command: &Command, rest: &[String]) -> bool {
    let create = command.find_subcommand("pr").and_then(|pr| pr.find_subcommand("create"));
    let path: Vec<&Command> = std::iter::once(command).chain(create).collect();
    let verb = first_word(&path, rest).filter(|&at| rest[at] == "create");
    rest.first().is_some_and(|first| !asks_for_text(first)) && verb.is_none()
}

/// Returns the first token that is neither an option of these commands nor the value of one.
fn first_word(path: &[&Command], tokens: &[String]) -> Option<usize> {
    let takes = |token: &String| match token.strip_prefix("--") {
        Some(long) => find(path, &kebab(long)).is_some_and(|arg| arg.get_action().takes_values() && !is_switch(arg)),
        None => match token.strip_prefix('-').map(|rest| rest.chars().collect::<Vec<_>>()).as_deref() {
            Some(&[short]) => find_short(path, short).is_some_and(|arg| arg.get_action().takes_values()),
            _ => false,
        },
    };
    let mut at = 0;
    while let Some(token) = tokens.get(at).filter(|token| token.starts_with('-') && *token != "--") {
        at += if takes(token) { 2 } else { 1 };
    }
    tokens.get(at).filter(|token| *token != "--").map(|_| at)
}

fn find_short<'a>(path: &[&'a Command], short: char) -> Option<&'a Arg> {
    let mut args = path.iter().rev().flat_map(|command| command.get_arguments());
    args.find(|arg| arg.get_short() == Some(short))
}

fn find<'a>(path: &[&'a Command], name: &str) -> Option<&'a Arg> {
    path.iter().rev().flat_map(|command| command.get_arguments()).find(|arg| names(arg).any(|n| n == name))
}

/// Whether an argument can also come from a variable or an input. The others only ask about the program, or say with a
/// letter what another option says.
pub fn is_setting(arg: &Arg) -> bool {
    !matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version | ArgAction::Count
    )
}

/// Parses a yes or no in the forms that users of CML write.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Returns what a prepared command line says about the log, for what is wrong with that line itself.
pub fn verbosity(argv: &[String], env: &Env) -> Verbosity {
    let options = || argv.iter().take_while(|token| *token != "--").map(String::as_str);
    let letter = options().find_map(|option| match option {
        "-v" | "-vv" | "--verbose" => Some("debug"),
        "-q" | "--quiet" => Some("warn"),
        "-qq" => Some("error"),
        _ => None,
    });
    let last = options().filter_map(|option| option.strip_prefix("--log=")).last();
    last.or(letter).or(env.named("CML_LOG")).and_then(Verbosity::parse).unwrap_or(Level::Info.into())
}

/// The way through the tree of commands.
struct Walk<'a> {
    path: Vec<&'a Command>,
    out: Vec<String>,
    given: HashSet<String>,
}

impl<'a> Walk<'a> {
    fn token(&mut self, token: String, next: &mut std::iter::Peekable<impl Iterator<Item = String>>) {
        let Some(long) = token.strip_prefix("--") else {
            // `-t x` counts as given: the environment must not give it again.
            let short = token.strip_prefix('-').and_then(|rest| rest.chars().next());
            if let Some(arg) = short.and_then(|short| find_short(&self.path, short)) {
                self.given.insert(arg.get_id().to_string());
                let alone = token.len() == 2 && arg.get_action().takes_values();
                self.out.push(token);
                return self.out.extend(alone.then(|| next.next()).flatten());
            }
            if !token.starts_with('-')
                && let Some(command) = self.path.last().and_then(|command| command.find_subcommand(&token))
            {
                self.path.push(command);
            }
            return self.out.push(token);
        };
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value.to_owned())));
        let name = kebab(name);
        if let Some(arg) = find(&self.path, &name) {
            let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1);
            let arg = (arg.get_id().to_string(), is_switch(arg), arg.get_action().takes_values(), is_flag(arg));
            self.given.insert(arg.0);
            if many {
                return self.out.extend(all_values(&name, value, next));
            }
            let value = match value {
                None if arg.1 => next.next_if(|next| matches!(next.as_str(), "true" | "false")),
                None if arg.2 => next.next(),
                value => value,
            };
            return self.out.extend(option(&name, value, arg.3));
        }
        if let Some(arg) = name.strip_prefix("no-").and_then(|name| find(&self.path, name)).filter(|arg| is_switch(arg))
        {
            self.given.insert(arg.get_id().to_string());
            let name = name.trim_start_matches("no-");
            return self.out.extend(option(name, Some("false".to_owned()), is_flag(arg)));
        }
        self.out.push(token);
    }
}

/// Returns every value of an option that takes many: as in CML, everything up to the next option.
fn all_values(
    name: &str,
    first: Option<String>,
    next: &mut std::iter::Peekable<impl Iterator<Item = String>>,
) -> Vec<String> {
    let first = first.or_else(|| next.next());
    let rest = std::iter::from_fn(|| next.next_if(|next| !next.starts_with('-')));
    first.into_iter().chain(rest).map(|value| format!("--{name}={value}")).collect()
}

fn names(arg: &Arg) -> impl Iterator<Item = &str> {
    arg.get_long().into_iter().chain(arg.get_all_aliases().unwrap_or_default())
}

/// Returns a yes-or-no option, which may stand without its value.
fn is_switch(arg: &Arg) -> bool {
    is_flag(arg)
        || matches!(arg.get_action(), ArgAction::Set) && arg.get_num_args().is_some_and(|n| n.min_values() == 0)
}

/// One that is off by default: to the parser it is there or not.
fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Returns an option as the parser takes it; a flag that is off is none.
fn option(name: &str, value: Option<String>, is_flag: bool) -> Option<String> {
    match value.as_deref().map(parse_bool) {
        Some(Ok(is_on)) if is_flag => is_on.then(|| format!("--{name}")),
        _ => Some(value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}"))),
    }
}

fn kebab(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}

/// Returns the options that the environment gives and the command line does not.
fn from_env(path: &[&Command], given: &HashSet<String>, env: &Env, warnings: &mut Vec<String>) -> Vec<String> {
    let Some(family) = path.get(1).map(|command| command.get_name()) else { return Vec::new() };
    let prefixes = prefixes(family);
    let mut known = HashSet::new();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for arg in path.iter().rev().flat_map(|command| command.get_arguments()) {
        let Some(long) = arg.get_long().filter(|_| is_setting(arg) && seen.insert(arg.get_id())) else { continue };
        let candidates = variables(family, arg);
        let value = candidates.iter().find_map(|name| env.named(name));
        // -v and -q say what --log says.
        let letters: &[&str] = if long == "log" { &["verbose", "quiet"] } else { &[] };
        let is_given = given.contains(arg.get_id().as_str()) || letters.iter().any(|id| given.contains(*id));
        let oldest = || from_oldest(family, arg, env).filter(|_| !is_given);
        let value = value.or_else(|| {
            let (value, warning) = oldest()?;
            warnings.push(warning);
            Some(value)
        });
        if let Some(value) = value.filter(|_| !is_given) {
            found.extend(values(arg, value).into_iter().filter_map(|value| option(long, Some(value), is_flag(arg))));
        }
        known.extend(candidates);
    }
    warnings.extend(env.names().filter(|name| !known.contains(*name)).filter_map(|name| {
        let is_of_command = prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        let meant = || known.iter().find(|known| is_typo(name, known)).cloned();
        if is_of_command {
            let ask = meant().map(|known| format!("; did you mean {known}?")).unwrap_or_default();
            return Some(format!("{name} is not a variable of `cml {family}` and has no effect{ask}"));
        }
        // Others' variables may begin like ours: only what is almost one of them is a mistake.
        let meant = name.starts_with("CML_").then(meant).flatten().filter(|_| !is_known(path, name))?;
        Some(format!("{name} is not a variable of cml and has no effect; did you mean {meant}?"))
    }));
    found
}

/// Returns whether the names differ by at most two letters.
fn is_typo(name: &str, known: &str) -> bool {
    name.len().abs_diff(known.len()) <= 2 && strsim::osa_distance(name, known) <= 2
}

/// Returns whether any command reads a variable of that name.
fn is_known(path: &[&Command], name: &str) -> bool {
    let other = vars::ALL.iter().any(|var| var.name == name);
    let mut families = path.first().into_iter().flat_map(|root| root.get_subcommands());
    other || families.any(|family| prefixes(family.get_name()).iter().any(|prefix| name.starts_with(prefix.as_str())))
}

/// Returns the values of a variable: an option that can be repeated has one value per line, or those of a JSON array,
/// which is how GitLab expands an array in a string.
fn values(arg: &Arg, text: &str) -> Vec<String> {
    if !matches!(arg.get_action(), ArgAction::Append) {
        return vec![text.to_owned()];
    }
    let item = |item: Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    match serde_json::from_str::<Vec<Value>>(text) {
        Ok(items) if arg.get_value_delimiter().is_none() => items.into_iter().map(item).collect(),
        _ => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
    }
}

/// Returns the beginnings of a command's variables, the oldest last.
pub fn prefixes(family: &str) -> Vec<String> {
    let old = LEGACY_PREFIXES.iter().filter(|(command, _)| *command == family).map(|(_, prefix)| (*prefix).to_owned());
    std::iter::once(format!("CML_{}_", upper(family))).chain(old).collect()
}

/// Returns the variables of an option, the one that goes first first.
pub fn variables(family: &str, arg: &Arg) -> Vec<String> {
    let global = arg.is_global_set().then(|| "CML_".to_owned());
    let prefixes = global.into_iter().chain(prefixes(family));
    prefixes.flat_map(|prefix| names(arg).map(move |name| format!("{prefix}{}", upper(name)))).collect()
}

/// CML's older name of a command.
pub fn old_name(words: &[&str]) -> Option<&'static str> {
    LEGACY.iter().find(|(_, new)| *new == words).map(|(old, _)| *old)
}

/// Returns the value of one of CML's oldest variables, and what to use instead.
fn from_oldest<'a>(family: &str, arg: &Arg, env: &'a Env) -> Option<(&'a str, String)> {
    let (_, prefix, options) = OLDEST.iter().find(|(command, ..)| *command == family)?;
    let option = options.iter().find(|option| names(arg).any(|name| upper(name) == **option))?;
    let old = format!("{prefix}{option}");
    Some((env.named(&old)?, format!("{old} is deprecated, please use CML_{}_{option}", upper(family))))
}

fn upper(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(line: &str, env: &[(&str, &str)]) -> Prepared {
        let command = crate::cli::command(false);
        let env = env.iter().copied().collect();
        prepare(&command, line.split(' ').map(str::to_owned).collect(), &env)
    }

    #[test]
    fn every_spelling_becomes_one() {
        for (line, expected) in [
            ("cml comment create r.md", "cml comment create r.md"),
            ("cml --log debug comment update r.md --pr", "cml --log=debug comment update r.md --pr"),
            ("cml comment create --publish false r.md", "cml comment create --publish=false r.md"),
            ("cml comment create --no-publish r.md", "cml comment create --publish=false r.md"),
            ("cml comment create --watermarkTitle x r.md", "cml comment create --watermark-title=x r.md"),
            ("cml comment create --watch r.md", "cml comment create --watch r.md"),
            ("cml comment create -- --pr", "cml comment create -- --pr"),
            ("cml send-comment r.md", "cml comment create r.md"),
            ("cml rerun-workflow --id 5", "cml workflow rerun --id=5"),
            ("cml --log debug send-comment r.md", "cml --log=debug comment create r.md"),
            ("cml --driver github send-comment r.md", "cml --driver=github comment create r.md"),
            ("cml --token=t --driverToken t publish a.png", "cml --token=t --driver-token=t asset publish a.png"),
            ("cml --driver ci comment create r.md", "cml --driver=ci comment create r.md"),
            ("cml --version send-comment", "cml --version comment create"),
            ("cml -- send-comment", "cml -- send-comment"),
            ("cml help", "cml --help"),
            ("cml help comment create", "cml comment create --help"),
            ("cml --log debug help send-comment", "cml --log=debug comment create --help"),
            ("cml comment -v create r.md", "cml comment -v create r.md"),
            ("cml pr .", "cml pr create ."),
            ("cml pr --title create .", "cml pr create --title=create ."),
            ("cml pr --log debug create .", "cml pr --log=debug create ."),
            ("cml pr --squash true .", "cml pr create --squash ."),
            ("cml pr --version", "cml pr --version"),
            ("cml comment create --update=true --pr=no r.md", "cml comment create --update r.md"),
            ("cml comment create --pr=maybe r.md", "cml comment create --pr=maybe r.md"),
            ("./cml-linux-x86_64 comment create r.md", "./cml-linux-x86_64 comment create r.md"),
            ("cml-windows-x86_64.exe runner --labels=gpu", "cml-windows-x86_64.exe runner launch --labels=gpu"),
            ("/opt/cml-send-comment --pr r.md", "/opt/cml-send-comment comment create --pr r.md"),
            ("cml comment create --unknown r.md", "cml comment create --unknown r.md"),
            ("cml runner launch --no-retry --single", "cml runner launch --no-retry --single"),
            ("cml runner --labels=gpu", "cml runner launch --labels=gpu"),
            ("cml --log=debug runner", "cml --log=debug runner launch"),
            ("cml-runner --idle-timeout -1", "cml-runner runner launch --idle-timeout=-1"),
            ("cml runner --help", "cml runner --help"),
            ("cml runner", "cml runner"),
            ("cml runner list --log debug", "cml runner list --log=debug"),
            ("cml runner launch --no-single", "cml runner launch --single=false"),
            (
                "cml runner launch --docker-volumes a:b c --labels d --cloud-metadata x=y z",
                "cml runner launch --docker-volumes=a:b --docker-volumes=c --labels=d --cloud-metadata=x=y --cloud-metadata=z",
            ),
        ] {
            assert_eq!(prepared(line, &[]).argv.join(" "), expected);
        }
    }

    #[test]
    fn a_variable_may_have_several_values() {
        for (variable, value, expected) in [
            ("CML_CHECK_DATA", "a=1", "--data=a=1"),
            ("CML_CHECK_DATA", " a=1\n\nb=[2]\n", "--data=a=1|--data=b=[2]"),
            ("CML_CHECK_DATA", "[\"a=1\", \"b= 2\"]\n", "--data=a=1|--data=b= 2"),
            ("CML_CHECK_DATA", "[]\n", ""),
            ("CML_CHECK_TITLE", "[\"a\"]", "--title=[\"a\"]"),
        ] {
            let argv = prepared("cml check create r.md", &[(variable, value)]).argv;
            assert_eq!(argv[4..].join("|"), expected, "{value}");
        }
        let argv = prepared("cml runner launch", &[("CML_RUNNER_LABELS", "a,b")]).argv;
        assert_eq!(argv[3..].join("|"), "--labels=a,b");
    }

    #[test]
    fn flag_beats_global_name_beats_command_name() {
        let env = [
            ("CML_COMMENT_DRIVER", "gitlab"),
            ("CML_DRIVER", "github"),
            ("CML_COMMENT_TARGET", "pr"),
            ("CML_TOKEN", "t"),
        ];
        let argv = prepared("cml comment create r.md --target commit", &env).argv.join(" ");
        assert!(
            argv.contains("--driver=github") && argv.contains("--target=commit") && argv.contains("--driver-token=t"),
            "{argv}"
        );
        assert!(!argv.contains("--target=pr"), "{argv}");
        let old = prepared(
            "cml comment create r.md",
            &[("CML_SEND_COMMENT_WATERMARK_TITLE", "a b"), ("CML_COMMENT_TARGTE", "x")],
        );
        assert!(old.argv.contains(&"--watermark-title=a b".to_owned()), "{old:?}");
        assert_eq!(
            old.warnings,
            [
                "CML_COMMENT_TARGTE is not a variable of `cml comment` and has no effect; did you mean CML_COMMENT_TARGET?"
            ]
        );
    }
}
