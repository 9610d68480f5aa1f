//! The command line: the only declaration of every option, its environment name and its help.
//!
//! An option `--foo-bar` of `cml comment` is also `CML_COMMENT_FOO_BAR`, and a global one `CML_FOO_BAR`:
//! [`crate::inputs`] derives them from here.

use crate::command::{asset, check, comment, pr, repo, runner, tensorboard, workflow};
use crate::connect::Global;
use clap::builder::{Styles, styling::AnsiColor};
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Publish machine-learning reports to pull requests on GitHub, GitLab and Bitbucket
#[derive(Debug, Parser)]
#[command(name = "cml", version, styles = STYLES, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Every option has an environment name: --watermark-title of `cml comment` is \
    CML_COMMENT_WATERMARK_TITLE.\nOutside of CI and without a token, reports become a local preview page.")]
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
    /// Publish files
    #[command(subcommand)]
    Asset(asset::Command),
    /// Publish a report as a comment
    #[command(subcommand)]
    Comment(comment::Command),
    /// Publish a report as a check of a commit
    #[command(subcommand)]
    Check(check::Command),
    /// Open a pull request with changed files
    #[command(subcommand)]
    Pr(pr::Command),
    /// Prepare the working copy
    #[command(subcommand)]
    Repo(repo::Command),
    /// Launch and manage self-hosted runners
    #[command(subcommand)]
    Runner(runner::Command),
    /// Show training logs
    #[command(subcommand)]
    Tensorboard(tensorboard::Command),
    /// Run workflows again
    #[command(subcommand)]
    Workflow(workflow::Command),
}

/// The whole tree. A yes-or-no option takes the forms of CML: `--x`, `--x=true`, `--x=false`. With `slashes`,
/// paths are taken in the form of Windows where the program's own has only `/`, as in WebAssembly.
pub fn command(slashes: bool) -> clap::Command {
    let mut command = switches(Cli::command());
    if slashes {
        command = with_slashes(command);
    }
    command.build();
    command
}

fn with_slashes(command: clap::Command) -> clap::Command {
    let arg = |arg: clap::Arg| match arg.get_value_parser().type_id() == std::any::TypeId::of::<PathBuf>() {
        true => {
            arg.value_parser(|path: &str| Ok::<_, std::convert::Infallible>(PathBuf::from(path.replace('\\', "/"))))
        }
        false => arg,
    };
    command.mut_args(arg).mut_subcommands(with_slashes)
}

fn switches(command: clap::Command) -> clap::Command {
    let switch = |arg: clap::Arg| match arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>() {
        true if matches!(arg.get_action(), ArgAction::Set) => {
            let arg = arg.value_parser(yes_or_no).num_args(0..=1).require_equals(true).default_missing_value("true");
            let is_off = arg.get_default_values().first().is_some_and(|value| value == "false");
            arg.hide_default_value(is_off).value_name("BOOL")
        }
        _ => arg,
    };
    command.mut_args(switch).mut_subcommands(switches)
}

/// A yes or no in the forms that users of CML write.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}
