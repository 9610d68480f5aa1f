//! The pipe of Bitbucket Pipelines: `pipe: org/cml:1.2.3`.
//!
//! Variables → one command line, carried out in the working copy that is mounted. Results for later steps go into the
//! folder that pipes share ([`crate::outputs`]).

use crate::error::Error;
use crate::host::Host;
use crate::inputs;
use crate::log::{Level, Log};
use std::rc::Rc;

/// What the image calls the program with.
pub const SUBCOMMAND: &str = "pipe";

/// A variable that is about the pipe itself. All others are options of the command.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Its value when it is not given; of the pipeline where it begins with `$`.
    pub default: &'static str,
    /// Whether it must have a value.
    pub required: bool,
}

/// The variables of the pipe itself.
pub const VARIABLES: &[Variable] = &[
    Variable { name: "COMMAND", help: "Command to run, such as comment update", default: "", required: true },
    Variable {
        name: "REPO_TOKEN",
        help: "Token: an access token of the repository, project or workspace, or email:api-token of a user",
        default: "$REPO_TOKEN",
        required: false,
    },
    Variable { name: DEBUG, help: "true: log everything", default: "false", required: false },
];

const DEBUG: &str = "DEBUG";

/// Runs the pipe and returns its exit code.
pub async fn run(host: Rc<dyn Host>) -> u8 {
    let debug = host.env().named(DEBUG).is_some_and(|value| inputs::parse_bool(value) == Ok(true));
    let log = Log::new(host.clone(), if debug { Level::Debug } else { Level::Info });
    match inputs::pipe::command_line(&crate::cli::command(false), host.env()) {
        Ok(Some(mut argv)) => {
            if debug && !argv.iter().any(|word| word == "--log" || word.starts_with("--log=")) {
                argv.insert(1, "--log=debug".to_owned());
            }
            crate::run(host, argv).await
        }
        Ok(None) => crate::print_error(
            &log,
            &Error::usage("the variable COMMAND is required").hint("set it, for instance COMMAND: comment update"),
        ),
        Err(error) => crate::print_error(&log, &error),
    }
}
