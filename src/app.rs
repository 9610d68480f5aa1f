//! What every command works with: the host, the log and the HTTP client.

use crate::env::{Env, vars};
use crate::error::{Error, Result};
use crate::host::{Host, Output};
use crate::http::Http;
use crate::log::Log;
use std::path::{Path, PathBuf};
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

    /// Runs git with settings, which come after those that the environment gives it, and variables.
    ///
    /// In a job it trusts the checkout, which often belongs to another user than the container's.
    /// <https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory>
    pub async fn run_git(
        &self,
        args: &[&str],
        settings: &[(String, String)],
        env: &[(&str, &str)],
    ) -> std::io::Result<Output> {
        let trusted = self.env().get(vars::CI).and_then(|_| self.working_copy().ok());
        let trusted = trusted.map(|top| ("safe.directory".to_owned(), slashes(&top)));
        let given: usize =
            self.env().named("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or_default();
        let mut all = Vec::new();
        for (at, (key, value)) in (given..).zip(trusted.iter().chain(settings)) {
            all.push((format!("GIT_CONFIG_KEY_{at}"), key.clone()));
            all.push((format!("GIT_CONFIG_VALUE_{at}"), value.clone()));
        }
        all.push(("GIT_CONFIG_COUNT".to_owned(), (given + all.len() / 2).to_string()));
        let all = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(env.iter().copied());
        let argv: Vec<&str> = std::iter::once("git").chain(args.iter().copied()).collect();
        self.host.run(&argv, &all.collect::<Vec<_>>()).await
    }

    /// What a git command prints, without the white space around it; `None` when it fails or prints nothing.
    pub async fn git(&self, args: &[&str]) -> Option<String> {
        let output = self.run_git(args, &[], &[]).await.ok().filter(|output| output.code == Some(0))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// A path as git writes it.
pub fn slashes(path: &Path) -> String {
    let text = path.display().to_string();
    if cfg!(windows) { text.trim_start_matches(r"\\?\").replace('\\', "/") } else { text }
}
