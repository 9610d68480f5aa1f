//! What every command works with: the host, the log and the HTTP client.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::http::Http;
use crate::log::Log;
use std::path::PathBuf;
use std::rc::Rc;

/// The surroundings of a command.
pub struct App {
    /// The outside.
    pub host: Rc<dyn Host>,
    /// The log.
    pub log: Log,
    /// The client.
    pub http: Http,
}

impl App {
    /// The environment.
    pub fn env(&self) -> &Env {
        self.host.env()
    }

    /// The folder whose files may be published: the git working copy around the current directory, else the
    /// current directory; symbolic links resolved.
    pub fn working_copy(&self) -> Result<PathBuf> {
        let unreadable = |e: std::io::Error| Error::config(format!("cannot find the current directory ({e})"));
        let here = self.host.current_dir().map_err(unreadable)?;
        let here = self.host.canonicalize(&here).map_err(unreadable)?;
        let top = here.ancestors().find(|folder| self.host.stat(&folder.join(".git")).is_ok());
        Ok(top.unwrap_or(&here).to_path_buf())
    }

    /// What a git command prints, without the white space around it; `None` when it fails or prints nothing.
    pub async fn git(&self, args: &[&str]) -> Option<String> {
        let argv: Vec<&str> = std::iter::once("git").chain(args.iter().copied()).collect();
        let output = self.host.run(&argv, &[]).await.ok().filter(|output| output.code == Some(0))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}
