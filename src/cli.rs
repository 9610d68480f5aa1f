//! The command line: the only declaration of every option, its environment name and its help.
//!
//! An option `--foo-bar` of `cml comment` is also `CML_COMMENT_FOO_BAR`, and a global one `CML_FOO_BAR`:
//! [`crate::inputs`] derives them from here.

use crate::command::{asset, check, comment, completions, doctor, pr, repo, runner, tensorboard, workflow};
use crate::connect::Global;
use clap::builder::{Styles, styling::AnsiColor};
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Publish machine-learning reports to pull requests on GitHub, GitLab and Bitbucket
#[derive(Debug, Parser)]
#[command(name = "cml", version, propagate_version = true, styles = STYLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
#[command(after_help = "Examples:\n  \
    # Keep one comment of the pull request up to date\n  cml comment update report.md\n\n  \
    # The same on your machine: a page that looks like it\n  cml comment update --open report.md\n\n  \
    # Add a plot to a report\n  cml asset publish plot.png --md >> report.md\n\n\
    Every option has a variable: --section of `cml comment` is CML_COMMENT_SECTION.\n\
    Documentation: https://github.com/org/setup-cml-rs/tree/main/docs")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
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
    /// Show training logs
    #[command(subcommand)]
    Tensorboard(tensorboard::Command),
    /// Open a pull request with changed files
    #[command(subcommand)]
    Pr(pr::Command),
    /// Prepare the working copy
    #[command(subcommand)]
    Repo(repo::Command),
    /// Launch and manage self-hosted runners
    #[command(subcommand)]
    Runner(runner::Command),
    /// Run workflows again
    #[command(subcommand)]
    Workflow(workflow::Command),
    /// Say what was found, and what the token may do
    Doctor(doctor::Doctor),
    /// Print a script with which a shell completes commands and options
    Completions(completions::Completions),
}

/// The whole tree. A yes-or-no option takes the forms of CML: `--x`, `--x=true`, `--x=false`. With `slashes`,
/// paths are taken in the form of Windows where the program's own has only `/`, as in WebAssembly.
pub fn command(slashes: bool) -> clap::Command {
    let mut command = dressed(switches(Cli::command())).args([help(), version()]);
    if slashes {
        command = with_slashes(command);
    }
    command.build();
    command
}

const GLOBAL: &str = "Global options";

/// `-h` and `--help` say the same: a line an option. What options are for at length is in docs/.
fn help() -> Arg {
    let arg = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
    arg.help("Print help").help_heading(GLOBAL).global(true)
}

fn version() -> Arg {
    let arg = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    arg.help("Print version").help_heading(GLOBAL).global(true)
}

/// The looks of help: arguments under their own heading, examples with one, the version that of the program.
fn dressed(command: clap::Command) -> clap::Command {
    let arg = |arg: Arg| if arg.is_positional() { arg.help_heading(None::<&str>) } else { arg };
    let heading = STYLES.get_header();
    let examples = command.get_after_help().map(ToString::to_string);
    let command = match examples {
        Some(text) => command.after_help(text.replacen("Examples:", &format!("{heading}Examples:{heading:#}"), 1)),
        None => command,
    };
    command.display_name("cml").mut_args(arg).mut_subcommands(dressed)
}

fn with_slashes(command: clap::Command) -> clap::Command {
    let arg = |arg: Arg| match arg.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>() {
        true => {
            arg.value_parser(|path: &str| Ok::<_, std::convert::Infallible>(PathBuf::from(path.replace('\\', "/"))))
        }
        false => arg,
    };
    command.mut_args(arg).mut_subcommands(with_slashes)
}

fn switches(command: clap::Command) -> clap::Command {
    let switch = |arg: Arg| match arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>() {
        true if matches!(arg.get_action(), ArgAction::Set) => {
            let is_off = arg.get_default_values().first().is_some_and(|value| value == "false");
            match is_off {
                // What follows the name is made into this by `inputs`.
                true => arg.action(ArgAction::SetTrue).default_value(None::<&str>),
                false => {
                    let arg = arg.value_parser(yes_or_no).num_args(0..=1).require_equals(true);
                    arg.default_missing_value("true").value_name("BOOL")
                }
            }
        }
        _ => arg,
    };
    command.mut_args(switch).mut_subcommands(switches)
}

/// A yes or no in the forms that users of CML write.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}
