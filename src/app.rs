//! What every command works with: the host, the log and the HTTP client.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::host::{Command, Host, Output};
use crate::http::Http;
use crate::log::Log;
use std::path::PathBuf;
use std::rc::Rc;

/// What every command works with.
#[derive(Clone)]
pub struct App {
    /// The operating system and the network.
    pub host: Rc<dyn Host>,
    /// The log.
    pub log: Log,
    /// The HTTP client.
    pub http: Http,
}

impl App {
    /// Returns the environment.
    pub fn env(&self) -> &Env {
        self.host.env()
    }

    /// Writes to standard output.
    pub fn print(&self, text: &str) -> Result<()> {
        self.print_bytes(text.as_bytes())
    }

    /// Writes bytes to standard output.
    pub fn print_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.host.out(bytes).map_err(|error| unwritable_output(&error))
    }

    /// Writes a command's result to standard output. If that fails, logs it.
    pub fn print_result(&self, text: &str) -> Result<()> {
        self.host.out(text.as_bytes()).map_err(|error| {
            let line = text.trim_end();
            let what = if line.contains('\n') { "the result" } else { line };
            if what != line {
                self.log.info(line);
            }
            Error::config(format!("cannot write {what} to standard output ({error})"))
                .hint("check what standard output is connected to; everything else was done")
        })
    }

    /// Prints a result, such as an address from a forge, as one line on standard output. If that fails, the error contains it.
    pub fn print_line(&self, text: &str) -> Result<()> {
        self.print_result(&format!("{}\n", self.log.line(text)))
    }

    /// Returns the current directory; symbolic links resolved.
    pub fn here(&self) -> Result<PathBuf> {
        let unreadable = |e: std::io::Error| Error::config(format!("cannot determine the current directory ({e})"));
        let here = self.host.current_dir().map_err(unreadable)?;
        self.host.canonicalize(&here).map_err(unreadable)
    }

    /// Runs a command of the system within the time that is left.
    pub async fn run(&self, argv: &[&str]) -> std::io::Result<Output> {
        let limit = Some(self.http.time_left());
        self.host.execute(&Command { limit, ..Command::new(argv.iter().copied()) }).await
    }
}

/// Returns the error for a standard output that cannot be written.
pub fn unwritable_output(error: &std::io::Error) -> Error {
    Error::config(format!("cannot write to standard output ({error})"))
        .hint("check what standard output is connected to")
}
