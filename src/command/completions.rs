//! `cml completions`: a script with which a shell completes commands and options.

use crate::app::App;
use crate::error::{Error, Result};
use clap::{Args, ValueEnum};

/// Shells that have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Elvish
    Elvish,
    /// Fish
    Fish,
    /// PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// Zsh
    Zsh,
}

/// Options of `cml completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # Bash: for this session, and permanently\n  \
    source <(cml completions bash)\n  \
    cml completions bash > ~/.local/share/bash-completion/completions/cml\n\n  \
    # Zsh: in a folder of $fpath\n  cml completions zsh > ~/.zfunc/_cml\n\n  \
    # Fish\n  cml completions fish > ~/.config/fish/completions/cml.fish\n\n  \
    # PowerShell: in $PROFILE\n  cml completions powershell | Out-String | Invoke-Expression")]
pub struct Completions {
    /// Shell to generate the script for
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Prints the script for a command tree.
pub fn run(app: &App, args: &Completions, tree: &clap::Command) -> Result<()> {
    app.print(&script(args.shell, tree)?)
}

#[cfg(target_arch = "wasm32")]
fn script(_: Shell, _: &clap::Command) -> Result<String> {
    Err(Error::unsupported("this build of cml cannot generate completions")
        .hint("use the native program, which also starts faster"))
}

#[cfg(not(target_arch = "wasm32"))]
fn script(shell: Shell, tree: &clap::Command) -> Result<String> {
    use clap_complete::Shell as Known;
    let known = match shell {
        Shell::Bash => Known::Bash,
        Shell::Elvish => Known::Elvish,
        Shell::Fish => Known::Fish,
        Shell::PowerShell => Known::PowerShell,
        Shell::Zsh => Known::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(known, &mut shown(tree), "cml", &mut text);
    String::from_utf8(text).map_err(|e| Error::internal("the script is not UTF-8").source(e))
}

/// Returns the command tree without hidden options and commands, which a shell would otherwise offer.
#[cfg(not(target_arch = "wasm32"))]
fn shown(command: &clap::Command) -> clap::Command {
    let copy = clap::Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true);
    copy.args(command.get_arguments().filter(|arg| !arg.is_hide_set()))
        .subcommands(command.get_subcommands().filter(|command| !command.is_hide_set()).map(shown))
}
