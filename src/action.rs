//! The step of a GitHub workflow: `uses: org/setup-cml-rs@v1`.
//!
//! Inputs → with `command` one command line, carried out here and now; without it launchers on PATH, through
//! which the later steps find this same program. Setting up needs no network, unless the native program or
//! the Vega tools are asked for.

use crate::app::App;
use crate::ci::github_actions::COMMANDS;
use crate::env::{Env, vars};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::Http;
use crate::inputs;
use crate::log::{Level, Log, Style};
use std::rc::Rc;
use std::time::Duration;

mod launcher;
mod setup;
mod vega;

/// Time for a download, retries included.
const DOWNLOAD: Duration = Duration::from_secs(300);

/// An input that is about the action itself. All others are options of the command.
pub struct Input {
    /// Its name in `with:`.
    pub name: &'static str,
    /// What it is for; `action.yml` says the same.
    pub help: &'static str,
    /// Its value when it is not given.
    pub default: &'static str,
}

/// The inputs of the action itself.
pub const INPUTS: &[Input] = &[
    Input {
        name: "command",
        help: "Command to run in this step, such as comment update [default: set cml up for later steps]",
        default: "",
    },
    Input {
        name: "token",
        help: "Token for the command; REPO_TOKEN in the environment takes precedence. Not visible to later steps",
        default: "${{ github.token }}",
    },
    Input {
        name: "native",
        help: "true: set up the native program of this version, checked against its recorded digest; auto: if available",
        default: "false",
    },
    Input {
        name: "native-url",
        help: "Folder to download the native program from instead of the release, such as a mirror",
        default: "",
    },
    Input {
        name: "vega",
        help: "true: install vl2png, vl2svg and vg2png now; false: never [default: when one is first called]",
        default: "auto",
    },
    Input { name: "version", help: "Has no effect; the version is the one after @ in uses:", default: "" },
];

/// Runs the step and returns its exit code.
pub async fn run(host: Rc<dyn Host>) -> u8 {
    let tree = crate::cli::command(false);
    let debug = host.env().get(vars::RUNNER_DEBUG) == Some("1");
    let log = Log::new(host.clone(), if debug { Level::Debug } else { Level::Info }).style(Style::Commands(&COMMANDS));
    let own: Vec<&str> = INPUTS.iter().map(|input| input.name).collect();
    let line = inputs::action::command_line(&tree, &own, host.env());
    match line.and_then(|line| only_the_command(host.env(), line)) {
        Err(error) => crate::print_error(&log, &error),
        Ok(Some(mut argv)) => {
            if debug && !argv.iter().any(|word| word.starts_with("--log")) {
                argv.insert(1, "--log=debug".to_owned());
            }
            crate::run_as(host, argv, Style::Commands(&COMMANDS)).await
        }
        Ok(None) => match setup::run(&app(host, log.clone())).await {
            Ok(()) => 0,
            Err(error) => crate::print_error(&log, &error),
        },
    }
}

/// Returns what is for later steps is refused in a step that has a command of its own: it would be done for nobody.
fn only_the_command(env: &Env, line: Option<Vec<String>>) -> Result<Option<Vec<String>>> {
    for name in ["native", "vega"].into_iter().filter(|_| line.is_some()) {
        let value = env.named(&inputs::action::variable(name)).unwrap_or_default();
        let default = INPUTS.iter().any(|input| input.name == name && input.default == value);
        if !default && !matches!(value, "" | "false") {
            return Err(Error::usage(format!("the input {name} is for later steps, but this step has a command"))
                .hint("use two steps: one that sets cml up and one with run: cml …"));
        }
    }
    Ok(line)
}

/// What a launcher of a Vega tool calls the program with.
pub const VEGA: &str = "vega";

/// Runs a Vega tool: the arguments are the folder with what installs vl-convert, the tool's name and its own arguments. Installs vl-convert
/// if there is only the folder. Returns the exit code.
pub async fn run_vega(host: Rc<dyn Host>, args: &[String]) -> u8 {
    let log = Log::new(host.clone(), Level::Info);
    match vega::run(&app(host, log.clone()), args).await {
        Ok(code) => code,
        Err(error) => crate::print_error(&log, &error),
    }
}

fn app(host: Rc<dyn Host>, log: Log) -> App {
    let http = Http::new(host.clone(), log.clone(), DOWNLOAD);
    App { host, log, http }
}

/// Returns an input that may also be `auto`: `None` then.
fn yes_no_auto(app: &App, name: &str, default: Option<bool>) -> Result<Option<bool>> {
    match inputs::action::value(app.env(), name).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(default),
        Some("true" | "yes" | "on" | "1") => Ok(Some(true)),
        Some("false" | "no" | "off" | "0") => Ok(Some(false)),
        Some("auto") => Ok(None),
        Some(other) => Err(Error::usage(format!("the input {name} is {other}")).hint("it takes true, false or auto")),
    }
}
