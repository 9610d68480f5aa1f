//! The command line: the only declaration of every option, its environment name and its help.
//!
//! An option `--foo-bar` of `cml comment` is also `CML_COMMENT_FOO_BAR`, and a global one `CML_FOO_BAR`:
//! [`crate::inputs`] derives them from here.

use crate::command::{
    asset, check, clearml, comment, completions, doctor, metrics, params, plots, pr, repo, report, runner, tensorboard,
    workflow,
};
use crate::connect::Global;
use crate::inputs;
use clap::builder::{Styles, styling::AnsiColor};
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// The version; in a released program and one that was installed from git, with the commit and its date.
pub const VERSION: &str = env!("CML_VERSION");

/// Publish machine-learning reports to pull requests on GitHub, GitLab and Bitbucket
#[derive(Debug, Parser)]
#[command(name = "cml", version = VERSION, propagate_version = true, styles = STYLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
#[command(after_help = concat!("Examples:\n  \
    # Keep one comment of the pull request up to date\n  cml comment update report.md\n\n  \
    # Preview it on your machine\n  cml comment update --open report.md\n\n  \
    # Add a plot to a report\n  cml asset publish plot.png --md >> report.md\n\n\
    Every option can also be set by an environment variable:\n\
    --section of `cml comment` by CML_COMMENT_SECTION.\n\
    `cml help COMMAND` describes a command and its options.\n\
    Documentation: ", env!("CARGO_PKG_REPOSITORY"), "/tree/main/docs"))]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The subcommand to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish a report as a comment
    #[command(subcommand)]
    Comment(comment::Command),
    /// Publish a report as a check of a commit
    #[command(subcommand)]
    Check(check::Command),
    /// Publish files
    #[command(subcommand)]
    Asset(asset::Command),
    /// Compare metrics with those of another commit
    #[command(subcommand)]
    Metrics(metrics::Command),
    /// Compare parameters with those of another commit
    #[command(subcommand)]
    Params(params::Command),
    /// Draw plots of two commits
    #[command(subcommand)]
    Plots(plots::Command),
    /// Write a report of what a change does
    #[command(subcommand)]
    Report(report::Command),
    /// Draw TensorBoard logs
    #[command(subcommand)]
    Tensorboard(tensorboard::Command),
    /// Report and run ClearML tasks
    #[command(subcommand)]
    Clearml(clearml::Command),
    /// Open a pull request with changed files
    #[command(subcommand)]
    Pr(pr::Command),
    /// Prepare the working copy for later git commands
    #[command(subcommand)]
    Repo(repo::Command),
    /// Launch and manage self-hosted runners
    #[command(subcommand)]
    Runner(runner::Command),
    /// Rerun workflows
    #[command(subcommand)]
    Workflow(workflow::Command),
    /// Show what was detected and what the token is allowed to do
    Doctor(doctor::Doctor),
    /// Print a shell completion script
    Completions(completions::Completions),
}

/// Returns the whole command tree. A yes-or-no option takes the forms of CML: `--x`, `--x=true`, `--x=false`. With
/// `slashes`, Windows paths are accepted by a build whose own paths have only `/`, as in WebAssembly.
pub fn command(slashes: bool) -> clap::Command {
    describe_variables(hide_repetition(build(style_help(Cli::command()), slashes)), "")
}

/// Returns the tree for parsing a command line, which is made sooner: it lacks what only help shows, and commands that the line does not
/// begin with have no options in it.
pub fn parser(slashes: bool, argv: &[String]) -> clap::Command {
    let command = Cli::command();
    let [program, first, ..] = argv else { return build(command, slashes) };
    let named = command.find_subcommand(first).map(|found| found.get_name().to_owned());
    // A program `cml-…` is a command itself, and a bare `pr` is looked up by the name of another.
    let is_old = program.rsplit(['/', '\\']).next().is_some_and(|file| file.starts_with("cml-"));
    let Some(named) = named.filter(|name| name != "pr" && !is_old) else { return build(command, slashes) };
    let only = |other: clap::Command| {
        if other.get_name() == named { other } else { clap::Command::new(other.get_name().to_owned()) }
    };
    build(command.mut_subcommands(only), slashes)
}

fn build(command: clap::Command, slashes: bool) -> clap::Command {
    let mut command = accept_switch_forms(command).args([help(), version()]);
    if slashes {
        command = accept_backslashes(command);
    }
    command.build();
    command
}

const GLOBAL: &str = "Global options";

fn help() -> Arg {
    let arg = Arg::new("help").short('h').long("help").action(ArgAction::Help);
    arg.help("Print help; --help with more than -h").help_heading(GLOBAL).global(true)
}

fn version() -> Arg {
    let arg = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    arg.help("Print version").help_heading(GLOBAL).global(true)
}

/// Leaves the global options to the help of the program and of the commands that take them.
fn hide_repetition(command: clap::Command) -> clap::Command {
    let group = |group: clap::Command| {
        if group.has_subcommands() {
            group.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
        } else {
            group
        }
    };
    command.mut_subcommands(group)
}

/// Adds the variable of each option to what `--help` says of it. `family` is the first word of the command.
fn describe_variables(command: clap::Command, family: &str) -> clap::Command {
    let describe = |arg: Arg| {
        let variable = inputs::variables(family, &arg).into_iter().next();
        let is_option = arg.get_long().is_some() && inputs::is_setting(&arg) && !family.is_empty();
        match (arg.get_help().cloned(), variable) {
            (Some(help), Some(variable)) if is_option => arg.long_help(format!("{help}\n\n[env: {variable}]")),
            _ => arg,
        }
    };
    let nested = |nested: clap::Command| {
        let family = if family.is_empty() { nested.get_name().to_owned() } else { family.to_owned() };
        describe_variables(nested, &family)
    };
    command.mut_args(describe).mut_subcommands(nested)
}

/// Styles the help: arguments under their own heading, a heading above the examples, the program's version.
fn style_help(command: clap::Command) -> clap::Command {
    let arg = |arg: Arg| if arg.is_positional() { arg.help_heading(None::<&str>) } else { arg };
    let heading = STYLES.get_header();
    let examples = command.get_after_help().map(ToString::to_string);
    let command = match examples {
        Some(text) => command.after_help(text.replacen("Examples:", &format!("{heading}Examples:{heading:#}"), 1)),
        None => command,
    };
    command.display_name("cml").mut_args(arg).mut_subcommands(style_help)
}

fn accept_backslashes(command: clap::Command) -> clap::Command {
    let arg = |arg: Arg| {
        if arg.get_value_parser().type_id() != std::any::TypeId::of::<PathBuf>() {
            return arg;
        }
        arg.value_parser(|path: &str| Ok::<_, std::convert::Infallible>(PathBuf::from(path.replace('\\', "/"))))
    };
    command.mut_args(arg).mut_subcommands(accept_backslashes)
}

fn accept_switch_forms(command: clap::Command) -> clap::Command {
    let switch = |arg: Arg| {
        let is_bool = arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>();
        if !is_bool || !matches!(arg.get_action(), ArgAction::Set) {
            return arg;
        }
        if arg.get_default_values().first().is_some_and(|value| value == "false") {
            // `inputs` rewrites `--x=true` and `--x true` to this.
            return arg.action(ArgAction::SetTrue).default_value(None::<&str>);
        }
        let arg = arg.value_parser(inputs::parse_bool).num_args(0..=1).require_equals(true);
        arg.default_missing_value("true").value_name("BOOL")
    };
    command.mut_args(switch).mut_subcommands(accept_switch_forms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What parsing sees of a command's options, and of those of the commands below.
    fn options(command: &clap::Command) -> Vec<String> {
        let option = |arg: &Arg| {
            let names = (arg.get_id().to_string(), arg.get_long().map(str::to_owned), arg.get_short());
            format!("{} {names:?} {:?} {:?}", command.get_name(), arg.get_action(), arg.get_num_args())
        };
        command.get_arguments().map(option).chain(command.get_subcommands().flat_map(options)).collect()
    }

    #[test]
    fn the_tree_for_parsing_has_all_of_its_command() {
        let whole = command(false);
        for family in whole.get_subcommands() {
            let name = family.get_name();
            let tree = parser(false, &["cml".to_owned(), name.to_owned()]);
            assert_eq!(options(tree.find_subcommand(name).unwrap()), options(family));
            let names =
                |tree: &clap::Command| tree.get_subcommands().map(|c| c.get_name().to_owned()).collect::<Vec<_>>();
            assert_eq!(names(&tree), names(&whole));
        }
        for line in ["cml", "cml send-comment", "cml --quiet metrics", "/bin/cml-publish metrics"] {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(options(&parser(false, &argv)), options(&whole), "{line}");
        }
    }
}
