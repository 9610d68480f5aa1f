//! What every command works with: the host, the log and the HTTP client.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::git::{self, Checkout, named_folder};
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
        self.host.out(text).map_err(|error| unwritable_output(&error))
    }

    /// Writes a command's result to standard output. If that fails, logs it.
    pub fn print_result(&self, text: &str) -> Result<()> {
        self.host.out(text).map_err(|error| {
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

    /// Returns what opens the files that are posted or published.
    pub fn files(&self) -> Result<Files> {
        let files = Files::new(self.host.clone(), self.working_copy()?);
        Ok(match named_folder(self) {
            Some(folder) => files.wary_of(folder),
            None => files,
        })
    }

    /// Returns the folder whose files may be published: the working copy around the current directory, or else the
    /// current directory; symbolic links resolved. It is never above the folder that the CI names, nor another user's.
    pub fn working_copy(&self) -> Result<PathBuf> {
        let here = self.here()?;
        let found = Checkout::around(self, &here).filter(|checkout| checkout.named || !checkout.is_foreign(self));
        Ok(found.map_or(here, |checkout| checkout.top))
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

    /// Asks git about the working copy, with all locked that could run or reach anything else (see
    /// [`crate::git::Access::Read`]). Returns what it prints, without the white space around it; `None` when it fails or
    /// prints nothing.
    pub async fn query_git(&self, args: &[&str]) -> Option<String> {
        let output = git::query(self, args).await.ok().filter(|output| output.code == Some(0))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// Returns the error for a standard output that cannot be written.
pub fn unwritable_output(error: &std::io::Error) -> Error {
    Error::config(format!("cannot write to standard output ({error})"))
        .hint("check what standard output is connected to")
}
