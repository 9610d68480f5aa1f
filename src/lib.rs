//! `cml`: machine-learning reports on GitHub, GitLab and Bitbucket. The ten-minute tour:
//!
//! [`run`] reads the command line ([`cli`], after [`inputs`] has made one of everything that CI systems and
//! CML's users write), and starts a [`command`]. A command reads a report ([`report`], pure), finds the forge
//! and what to comment on ([`connect`]), puts the report's files somewhere ([`publish`]), and keeps a comment
//! up to date ([`sticky`]) over one of the [`forge`]s; or it makes a commit and pushes it ([`git`]), or a
//! runner ([`runner`]) of this machine or of an instance in a [`cloud`], whose credentials [`auth`] finds. What the CI system says
//! about the run, and the files that it takes, are in [`ci`]: a CI is not a forge. Metrics and parameters ([`metrics`], pure) are those that
//! a project of DVC's declares ([`dvc`], pure), compared between two commits. Forges and clouds speak through one HTTP client
//! ([`http`]), and everything outside the process is behind one trait ([`host`]). A signal is an error that travels ([`shutdown`]).
//! [`env`], [`error`] and [`log`] are at the bottom: the environment as a value with secrets that hide, errors with exit codes and
//! hints, and a log that blots secrets out.
//!
//! The step of a GitHub workflow ([`action`]) and the pipe of a Bitbucket pipeline ([`pipe`]) make a command line of what they
//! are given first; GitLab's component calls the program as anybody does.
//!
//! Dependencies only point downwards: command → connect, publish, sticky, git, runner → forge, cloud → auth → ci → http → host → env, error.

pub mod action;
pub mod app;
mod auth;
pub mod charts;
pub mod ci;
pub mod clearml;
pub mod cli;
pub mod cloud;
pub mod command;
pub mod connect;
pub mod digest;
mod dvc;
pub mod env;
pub mod error;
pub mod files;
pub mod forge;
mod git;
pub mod host;
pub mod http;
pub mod inputs;
pub mod log;
pub mod messages;
pub mod metrics;
pub mod outputs;
pub mod pipe;
mod publish;
pub mod release;
pub mod report;
mod repository;
pub mod runner;
mod shutdown;
mod sticky;
pub mod tensorboard;

use app::App;
use clap::FromArgMatches;
use error::{Error, Result};
use futures_util::future::{Either, select};
use host::{Command, Host};
use http::Http;
use log::{Log, Style};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Runs a command line (with the program's name first) in WebAssembly, or without one the step of a GitHub workflow.
/// Returns the exit code.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub async fn start(argv: Vec<String>) -> u8 {
    let host = Rc::new(host::node::Node::default());
    match argv.first().map(String::as_str) {
        None => action::run(host).await,
        Some(action::VEGA) => action::run_vega(host, &argv[1..]).await,
        Some(_) => run(host, argv).await,
    }
}

/// Runs one command line (with the program's name first) and returns the exit code. Results go to the host's
/// standard output, everything else to its log.
pub async fn run(host: Rc<dyn Host>, argv: Vec<String>) -> u8 {
    run_as(host, argv, Style::Plain).await
}

/// Prints that the program cannot start. Returns the exit code.
pub fn cannot_start(host: Rc<dyn Host>, error: &std::io::Error) -> u8 {
    let error = Error::config(format!("cannot start ({error})"))
        .hint("check the limits of this process, such as that of open files: ulimit -n");
    print_error(&Log::new(host, log::Level::Info), &error)
}

/// Runs one command line with a log in another style.
async fn run_as(host: Rc<dyn Host>, argv: Vec<String>, style: Style) -> u8 {
    let slashes = cfg!(target_arch = "wasm32") && host.platform().os == "windows";
    let command = cli::parser(slashes, &argv);
    let other = inputs::external(&command, &argv);
    let prepared = inputs::prepare(&command, argv, host.env());
    let verbosity = inputs::verbosity(&prepared.argv, host.env());
    let parse = |command: clap::Command| {
        let matches = command.try_get_matches_from(&prepared.argv)?;
        cli::Cli::from_arg_matches(&matches)
    };
    // Help and mistakes are explained by the whole tree.
    let parsed = parse(command).or_else(|_| parse(cli::command(slashes)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let other = other.filter(|_| style.is_plain()).unwrap_or_default();
            return match host.hand_over(&Command { trusted: true, ..Command::new(other) }).await {
                Ok(code) => code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
                Err(_) => refuse(&host, &error, &Log::new(host.clone(), verbosity).style(style)),
            };
        }
    };
    let log = Log::new(host.clone(), cli.global.verbosity()).style(style);
    for warning in prepared.warnings {
        log.warn(&warning);
    }
    match select(pin!(execute(host.clone(), log.clone(), &cli)), host.terminated()).await {
        Either::Left((Ok(()), _)) => 0,
        Either::Left((Err(error), _)) => print_error(&log, &error),
        // Dropping the future cleans up.
        Either::Right((signal, _)) => signal.exit_code(),
    }
}

/// Prints the error, its causes at the level debug, and its hint. Returns the exit code.
fn print_error(log: &Log, error: &Error) -> u8 {
    // Before the error, which is the last line.
    for cause in error::chain(error).skip(1) {
        log.debug(&format!("caused by: {cause}"));
    }
    log.error(error);
    error.exit_code()
}

async fn execute(host: Rc<dyn Host>, log: Log, cli: &cli::Cli) -> Result<()> {
    let global = &cli.global;
    hide_secrets(&*host, &log, global);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(global.timeout));
    let app = App { host, log, http };
    if let Some(path) = &global.ca_cert {
        let wrong = |why: String| {
            Error::config(format!("cannot use --ca-cert {} ({why})", path.display()))
                .hint("the file must be in PEM format; certificates begin with -----BEGIN CERTIFICATE-----")
        };
        let pem = app.files()?.named(path).and_then(|file| file.read(files::LARGEST_REPORT));
        let pem = pem.map_err(|refusal| wrong(refusal.to_string()))?;
        app.host.trust(&pem).map_err(wrong)?;
    }
    match &cli.command {
        cli::Command::Check(command) => command::check::run(&app, global, command).await,
        cli::Command::Asset(command) => command::asset::run(&app, global, command).await,
        cli::Command::Clearml(command) => command::clearml::run(&app, global, command).await,
        cli::Command::Completions(args) => command::completions::run(&app, args, &cli::command(false)),
        cli::Command::Comment(command) => command::comment::run(&app, global, command).await,
        cli::Command::Doctor(_) => command::doctor::run(&app, global).await,
        cli::Command::Metrics(command) => command::metrics::run(&app, global, command).await,
        cli::Command::Params(command) => command::params::run(&app, global, command).await,
        cli::Command::Plots(command) => command::plots::run(&app, global, command).await,
        cli::Command::Pr(command) => command::pr::run(&app, global, command).await,
        cli::Command::Repo(command) => command::repo::run(&app, global, command).await,
        cli::Command::Report(command) => command::report::run(&app, global, command).await,
        cli::Command::Runner(command) => command::runner::run(&app, global, command).await,
        cli::Command::Tensorboard(command) => command::tensorboard::run(&app, global, command).await,
        cli::Command::Workflow(command) => command::workflow::run(&app, global, command).await,
    }
}

/// Hides the tokens, and the environment's other secrets, in the log.
fn hide_secrets(host: &dyn Host, log: &Log, global: &connect::Global) {
    let tokens = forge::FORGES.iter().flat_map(|driver| driver.token_vars).chain(connect::TOKEN_VARS);
    for var in tokens.chain([&env::vars::AWS_SECRET_ACCESS_KEY, &env::vars::AWS_SESSION_TOKEN]) {
        if let Some(token) = host.env().get(*var).filter(|value| !env::is_reference(value)) {
            log.hide(var.name, &env::Secret::new(token));
        }
    }
    if let Some(token) = &global.token {
        log.hide("--token (or CML_TOKEN)", token);
    }
    log.hide_environment();
}

/// Prints help and version to standard output, or a wrong command line to the log. Returns the exit code.
fn refuse(host: &Rc<dyn Host>, error: &clap::Error, log: &Log) -> u8 {
    // A value that our own parser refused: it has its own message.
    if let Some(ours) = Error::from_chain(error) {
        return print_error(log, ours);
    }
    let (text, coloured) = (error.render().to_string(), error.render().ansi().to_string());
    if error.use_stderr() {
        log.refusal(text.trim_end(), coloured.trim_end());
        return error::Kind::Usage.exit_code();
    }
    let is_coloured = log::colours::wanted(host.env(), host.is_terminal(host::Stream::Output));
    match host.out(if is_coloured { coloured.as_bytes() } else { text.as_bytes() }) {
        Ok(()) => 0,
        Err(error) => print_error(log, &app::unwritable_output(&error)),
    }
}
