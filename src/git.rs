//! git, through [`Host::run`](crate::host::Host::run), and what it says in words that help.
//!
//! Everything that a command needs is given to it in its environment: credentials as a header
//! (`http.<address>.extraHeader`), settings as `GIT_CONFIG_COUNT`, files of its own as `GIT_INDEX_FILE`. The
//! repository's configuration, index, branches and files, and the user's configuration, stay as they are.
//! <https://git-scm.com/docs/git#_environment_variables>

use crate::app::{App, slashes};
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use crate::forge::Repository;
use crate::forge::pull::Pushing;
use crate::host::Output;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::path::{Path, PathBuf};

mod bundle;
mod explain;
mod scratch;
mod status;

use bundle::Bundle;
pub use scratch::Scratch;
pub use status::{Status, pathspecs};

/// git in the working copy around the current directory.
pub struct Git<'a> {
    app: &'a App,
    env: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    /// The authorities that it trusts, where those are more than usual.
    bundle: Option<Bundle<'a>>,
}

impl<'a> Git<'a> {
    /// git that asks nobody anything, speaks English, and does not tidy up behind our back.
    pub fn new(app: &'a App) -> Self {
        let fixed = [("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0"), ("GIT_ASKPASS", ""), ("GIT_OPTIONAL_LOCKS", "0")];
        let env = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let mut git = Git { app, env, settings: Vec::new(), bundle: None };
        git.set("gc.auto", "0");
        git.set("maintenance.auto", "false");
        // An index of our own is one whole file in the plain form, which `Scratch` reads.
        for (key, value) in [("index.version", "2"), ("index.sparse", "false"), ("core.splitIndex", "false")] {
            git.set(key, value);
        }
        git
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Lets it reach, read and write a repository as its forge asks for it.
    #[must_use]
    pub fn pushing(mut self, repository: &Repository, pushing: &Pushing) -> Self {
        self.settings.extend(pushing.settings.iter().cloned());
        match &pushing.credential {
            Some(credential) => self.with_credential(repository, credential),
            None => self,
        }
    }

    /// Lets it read and write a repository over HTTP. The header goes to this repository only, in place of those
    /// that the configuration has for it (`actions/checkout` leaves one there) and of the credentials in an
    /// address: of several settings the one with the longest fitting address counts, and an empty value takes back
    /// what came before. <https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpexpandExtraHeader>
    fn with_credential(mut self, repository: &Repository, credential: &(&str, Secret)) -> Self {
        let (user, password) = credential;
        let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        self.app.log.hide(&Secret::new(&encoded));
        for ending in ["", ".git"] {
            let key = format!("http.{}{ending}.extraHeader", repository.url());
            self.set(&key, "");
            self.set(&key, &format!("Authorization: Basic {encoded}"));
        }
        // Where the header is refused nobody else's credentials are tried, or forgotten for being refused.
        self.set(&format!("credential.{}.helper", repository.server.as_str().trim_end_matches('/')), "");
        self
    }

    /// Trusts the authorities of a PEM file too, besides those that git trusts: libcurl takes one file.
    /// <https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpsslCAInfo>
    pub fn trusting(mut self, file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else { return Ok(self) };
        let bundle = Bundle::new(self.app, file)?;
        self.env.push((vars::GIT_SSL_CAINFO.name.to_owned(), bundle.path()));
        self.bundle = Some(bundle);
        Ok(self)
    }

    /// Runs a command with a few variables more, and returns how it ended.
    async fn output(&self, args: &[&str], more: &[(&str, &str)]) -> Result<Output> {
        self.app.log.debug(&format!("git {}", args.join(" ")));
        let env = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied());
        self.app.run_git(args, &self.settings, &env.collect::<Vec<_>>()).await.map_err(|error| {
            Error::config(format!("git cannot be run ({error})")).hint("install git, and have it on PATH")
        })
    }

    /// What a command prints; its failure is explained.
    async fn run(&self, args: &[&str], more: &[(&str, &str)]) -> Result<Vec<u8>> {
        let output = self.output(args, more).await?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(explain::explain(args, &output)),
        }
    }

    async fn text(&self, args: &[&str], more: &[(&str, &str)]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run(args, more).await?).trim().to_owned())
    }

    /// HEAD and what differs from it among some files, given as pathspecs.
    pub async fn status(&self, pathspecs: &[String]) -> Result<Status> {
        let fixed = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--no-renames", "--"];
        let args: Vec<&str> = fixed.into_iter().chain(pathspecs.iter().map(String::as_str)).collect();
        Status::parse(&self.run(&args, &[]).await?)
    }

    /// Whether any file fits the pathspecs, and whether git has it: for saying why nothing changed.
    pub async fn fitting(&self, pathspecs: &[String]) -> Result<(bool, bool)> {
        let fixed = ["ls-files", "-t", "-z", "--cached", "--others", "--"];
        let args: Vec<&str> = fixed.into_iter().chain(pathspecs.iter().map(String::as_str)).collect();
        let found = self.run(&args, &[]).await?;
        let mut entries = found.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).peekable();
        Ok((entries.peek().is_some(), entries.any(|entry| !entry.starts_with(b"?"))))
    }

    /// The commits on the way from one to another, newest first, each with its parents; none where the first is not
    /// an ancestor of the second, or is unknown.
    pub async fn between(&self, from: &str, to: &str) -> Result<Vec<Vec<String>>> {
        let range = format!("{from}..{to}");
        let args = ["rev-list", "--ancestry-path", "--parents", "--max-count=2", &range, "--"];
        let output = self.output(&args, &[]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
    }

    /// Gets a remote's branch without touching any of ours. Returns its commit, if there is such a branch.
    pub async fn fetch_branch(&self, remote: &str, branch: &str) -> Result<Option<String>> {
        let (name, host) = (format!("refs/heads/{branch}"), &self.app.host);
        // Where git writes down what it got: <https://git-scm.com/docs/git-fetch#_output>.
        let note = folder(self.app, &self.app.working_copy()?)?.join("FETCH_HEAD");
        let before = host.read(&note).ok();
        let fixed = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--refmap=", "--"];
        let args: Vec<&str> = fixed.into_iter().chain([remote, &name]).collect();
        let output = self.output(&args, &[]).await?;
        let got = host.read(&note).unwrap_or_default();
        let _ = match before {
            Some(before) => host.write(&note, &before),
            None => host.remove(&note),
        };
        match output.code {
            Some(0) => Ok(String::from_utf8_lossy(&got).split_whitespace().next().map(str::to_owned)),
            _ if String::from_utf8_lossy(&output.stderr).contains("couldn't find remote ref") => Ok(None),
            _ => Err(explain::explain(&args, &output)),
        }
    }

    /// Gets commits without touching any branch.
    pub async fn fetch(&self, remote: &str, commits: &[&str]) -> Result<()> {
        let fixed = ["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules"];
        let args: Vec<&str> = fixed.into_iter().chain(["--", remote]).chain(commits.iter().copied()).collect();
        self.run(&args, &[]).await.map(drop)
    }

    /// Makes a commit of changed files on top of a parent, by a name and an e-mail address or those that git knows;
    /// `None` when that would be no change.
    pub async fn commit(
        &self,
        parent: &str,
        status: &Status,
        message: &str,
        (name, email): (Option<String>, Option<String>),
    ) -> Result<Option<String>> {
        let top = self.app.working_copy()?;
        let scratch = Scratch::new(self.app, &top)?;
        let (here, index) = (slashes(&top), scratch.index());
        let own = [("GIT_INDEX_FILE", index.as_str()), ("GIT_LITERAL_PATHSPECS", "1")];
        self.run(&["-C", &here, "read-tree", parent], &own).await?;
        // git refuses to take a file away that the parent does not have.
        let gone = scratch.known(&status.deleted, status.head.len() / 2)?;
        let paths = [status.changed.as_slice(), &gone].concat();
        if paths.is_empty() {
            return Ok(None);
        }
        let from = format!("--pathspec-from-file={}", scratch.list(&paths)?);
        let add = ["-C", &here, "add", "--all", "--force", "--verbose", &from, "--pathspec-file-nul"];
        // It names the files that were not so already.
        if self.run(&add, &own).await?.is_empty() {
            return Ok(None);
        }
        let tree = self.text(&["-C", &here, "write-tree"], &own).await?;
        let names = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|variable| (variable, name.as_deref()));
        let addresses = ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|variable| (variable, email.as_deref()));
        let given = names.into_iter().chain(addresses).filter_map(|(variable, value)| Some((variable, value?)));
        let people: Vec<(&str, &str)> = given.collect();
        self.text(&["commit-tree", &tree, "-p", parent, "-m", message], &people).await.map(Some)
    }

    /// Makes a commit the one of a remote's branch, which must be an ancestor of it.
    pub async fn push(&self, remote: &str, commit: &str, branch: &str, options: &[&str]) -> Result<()> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        let options: Vec<String> = options.iter().map(|option| format!("--push-option={option}")).collect();
        let args: Vec<&str> = ["push", "--quiet"]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .chain(["--", remote, &refspec])
            .collect();
        self.run(&args, &[]).await.map(drop)
    }

    /// Runs a command for what it does.
    pub async fn act(&self, args: &[&str]) -> Result<()> {
        self.run(args, &[]).await.map(drop)
    }

    /// What a command prints, without the white space around it.
    pub async fn ask(&self, args: &[&str]) -> Result<String> {
        self.text(args, &[]).await
    }
}

/// The folder in which git keeps what belongs to a working copy: `.git`, or what the file of that name says.
fn folder(app: &App, top: &Path) -> Result<PathBuf> {
    let dot = top.join(".git");
    match app.host.stat(&dot) {
        Ok(stat) if stat.is_file => {
            let text =
                app.host.read(&dot).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            Ok(top.join(text.trim().trim_start_matches("gitdir: ")))
        }
        Ok(_) => Ok(dot),
        Err(_) => Err(Error::config("this is no git repository").hint("run this inside the clone of the repository")),
    }
}
