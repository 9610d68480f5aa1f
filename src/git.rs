//! git, through [`Host::run`](crate::host::Host::run), and what it says in words that help.
//!
//! Everything that a command needs is given to it in its environment: credentials as a header
//! (`http.<address>.extraHeader`), settings as `GIT_CONFIG_COUNT`, files of its own as `GIT_INDEX_FILE`. The
//! repository's configuration, index, branches and files, and the user's configuration, stay as they are.
//! <https://git-scm.com/docs/git#_environment_variables>
//!
//! A command looks, writes or transfers ([`Access`]): that decides what may run and who gets the token. Which repository
//! it is about is decided by [`Checkout`], never by the folder of a file.

use crate::app::App;
use crate::env::{Secret, vars};
use crate::error::{Error, Kind, Result};
use crate::forge::pull_requests::{Author, GitCredential, PushConfig};
use crate::host::Output;
use crate::host::proxy::Proxies;
use crate::repository::Repository;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

mod access;
mod bundle;
mod checkout;
mod explain;
mod lfs;
mod nested;
mod remote;
mod scratch;
mod status;
mod store;
mod tree;

use Access::{Read, Transfer, Write};
pub use access::Access;
use access::Call;
use bundle::Bundle;
pub use checkout::Checkout;
pub use remote::Reach;
pub use scratch::Scratch;
pub use status::{Status, pathspecs};
pub use store::Moved;
pub use tree::Commit;

/// The pause before a failed transfer is tried again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(300);

/// The author of a commit; git's own settings fill what is missing.
pub struct CommitAuthor {
    /// Their name.
    pub name: Option<String>,
    /// Their e-mail address.
    pub email: Option<String>,
}

impl CommitAuthor {
    /// Returns the author that the user names, completed by the forge's.
    pub fn new(name: Option<&str>, email: Option<&str>, default: Option<&Author>) -> Self {
        CommitAuthor {
            name: name.or(default.map(|author| author.name.as_str())).map(str::to_owned),
            email: email.or(default.map(|author| author.email.as_str())).map(str::to_owned),
        }
    }

    /// Returns the variables by which git takes the author.
    fn env(&self) -> Vec<(&'static str, &str)> {
        let names = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|variable| (variable, self.name.as_deref()));
        let addresses = ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|variable| (variable, self.email.as_deref()));
        names.into_iter().chain(addresses).filter_map(|(variable, value)| Some((variable, value?))).collect()
    }
}

impl App {
    /// Asks git about the working copy, with all locked that could run or reach anything else (see
    /// [`Access::Read`]). Returns what it prints, without the white space around it; `None` when it fails or
    /// prints nothing.
    pub async fn query_git(&self, args: &[&str]) -> Option<String> {
        let output = query(self, args).await.ok().filter(|output| output.code == Some(0))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// Asks git about the working copy, at its top.
pub async fn query(app: &App, args: &[&str]) -> io::Result<Output> {
    let checkout = Checkout::for_reading(app).ok_or(io::ErrorKind::NotFound)?;
    query_in(app, &checkout, args).await
}

async fn query_in(app: &App, checkout: &Checkout, args: &[&str]) -> io::Result<Output> {
    let call = Call { access: Read, checkout: Some(checkout), at_top: true, settings: &[], env: Vec::new() };
    app.host.execute(&call.command(app, args)).await
}

/// What a file is to the repository of the working copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is in it, or may come to be.
    Kept,
    /// git keeps it out.
    Ignored,
    /// It is in another repository, or in none.
    Elsewhere,
}

/// Returns what a file is to the repository of the working copy; links in its path are resolved. Fails, with what git
/// says, when git cannot tell.
pub async fn standing(app: &App, file: &Path) -> Result<Standing, String> {
    let nearest = checkout::nearest(app, file);
    let Some(checkout) = Checkout::for_reading(app).filter(|checkout| nearest.as_ref() == Some(&checkout.top)) else {
        return Ok(Standing::Elsewhere);
    };
    match query_in(app, &checkout, &["check-ignore", "--quiet", "--", &slashes(file)]).await {
        Ok(output) if output.code == Some(0) => Ok(Standing::Ignored),
        Ok(output) if output.code == Some(1) => Ok(Standing::Kept),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// git in the working copy around the current directory.
pub struct Git<'a> {
    app: &'a App,
    /// The working copy; its absence is an error of the first command.
    checkout: Option<Checkout>,
    env: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    /// Settings with which only a command that talks to the remote starts.
    credentials: Vec<(String, String)>,
    /// The authorities that it trusts, where those are more than usual.
    bundle: Option<Bundle<'a>>,
    /// Whether the settings of a repository that the CI does not name have been looked at.
    is_checked: Cell<bool>,
    /// The files to read along with the next commit.
    expected: RefCell<Vec<String>>,
    /// What was read along with the last one.
    kept: RefCell<tree::Kept>,
}

impl<'a> Git<'a> {
    /// git that asks nobody anything, speaks English, and does not tidy up behind our back.
    pub fn new(app: &'a App) -> Self {
        let fixed = [
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", ""),
            ("GIT_OPTIONAL_LOCKS", "0"),
            // Not from the terminal, which belongs to the user's own programs.
            ("SSH_ASKPASS_REQUIRE", "force"),
        ];
        let env = fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let checkout = app.here().ok().and_then(|here| Checkout::around(app, &here));
        let mut git = Git {
            app,
            checkout,
            env,
            settings: Vec::new(),
            credentials: Vec::new(),
            bundle: None,
            is_checked: Cell::new(false),
            expected: RefCell::default(),
            kept: RefCell::default(),
        };
        git.set("gc.auto", "0");
        git.set("maintenance.auto", "false");
        // An index of our own is one whole file in the plain form, which `Scratch` reads.
        for (key, value) in [("index.version", "2"), ("index.sparse", "false"), ("core.splitIndex", "false")] {
            git.set(key, value);
        }
        if let Ok(folder) = git.checkout().and_then(|checkout| folder(app, &checkout.top)) {
            scratch::tidy(app, &folder);
        }
        git
    }

    /// Returns whether there is a working copy at all.
    pub fn has_checkout(&self) -> bool {
        self.checkout.is_some()
    }

    fn checkout(&self) -> Result<&Checkout> {
        self.checkout.as_ref().ok_or_else(no_repository)
    }

    fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Lets it reach, read and write a repository as its forge asks for it.
    #[must_use]
    pub fn with_push_config(mut self, repository: &Repository, push_config: &PushConfig) -> Self {
        // git knows fewer forms of `no_proxy`.
        let proxies = Proxies::from_env(self.app.env()).unwrap_or_default();
        if Url::parse(&repository.url()).is_ok_and(|url| proxies.is_exception(&url)) {
            self.credentials.push(("http.proxy".to_owned(), String::new()));
        }
        self.credentials.extend(push_config.settings.iter().cloned());
        match &push_config.credential {
            Some(credential) => self.with_credential(repository, credential),
            None => self,
        }
    }

    /// Lets it read and write a repository over HTTP. The header goes to this repository only, in place of those
    /// that the configuration has for it (`actions/checkout` leaves one there) and of the credentials in an
    /// address: of several settings the one with the longest fitting address counts, and an empty value takes back
    /// what came before. <https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpexpandExtraHeader>
    fn with_credential(mut self, repository: &Repository, credential: &GitCredential) -> Self {
        let GitCredential { user, password } = credential;
        let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
        self.app.log.hide("the credential for git", &Secret::new(&encoded));
        for ending in ["", ".git"] {
            let key = format!("http.{}{ending}.extraHeader", repository.url());
            self.credentials.push((key.clone(), String::new()));
            self.credentials.push((key, format!("Authorization: Basic {encoded}")));
        }
        // Where the header is refused nobody else's credentials are tried, or forgotten for being refused.
        let helper = format!("credential.{}.helper", repository.server.as_str().trim_end_matches('/'));
        self.credentials.push((helper, String::new()));
        self
    }

    /// Takes the credentials away where a remote is not reached over HTTP: nothing else needs them, and they would be in the
    /// environment of a program that its settings name.
    pub async fn reaching(mut self, remote: &str) -> Result<Self> {
        let address = self.text(Read, &["ls-remote", "--get-url", "--", remote], &[]).await?;
        if !address.starts_with("https://") && !address.starts_with("http://") {
            self.credentials.clear();
        }
        Ok(self)
    }

    /// Trusts the authorities of a PEM file too, besides those that git trusts: libcurl takes one file.
    /// <https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpsslCAInfo>
    pub fn trusting(mut self, file: Option<&Path>) -> Result<Self> {
        // Without a working copy nothing is transferred.
        let Some(file) = file.filter(|_| self.has_checkout()) else { return Ok(self) };
        let bundle = Bundle::new(self.app, &self.checkout()?.top, file)?;
        self.env.push((vars::GIT_SSL_CAINFO.name.to_owned(), bundle.path()));
        self.bundle = Some(bundle);
        Ok(self)
    }

    /// Runs a command with a few variables more, and returns how it ended.
    async fn output(&self, access: Access, args: &[&str], more: &[(&str, &str)]) -> Result<Output> {
        let mut attempt = 0;
        let mut output = self.once(access, args, more).await?;
        while access == Transfer && output.code != Some(0) && attempt + 1 < explain::attempts(&output) {
            // The error is what git said, not that there is no time to try again.
            if self.pause(args, &output, attempt).await.is_err() {
                break;
            }
            match self.once(access, args, more).await {
                Ok(next) => output = next,
                Err(_) => break,
            }
            attempt += 1;
        }
        Ok(output)
    }

    /// Waits before the same is tried again.
    async fn pause(&self, args: &[&str], output: &Output, attempt: u32) -> Result<()> {
        self.app.log.info(&format!("{}; retrying", explain::explain(args, output)));
        self.app.http.pause(FIRST_PAUSE, attempt).await
    }

    async fn once(&self, access: Access, args: &[&str], more: &[(&str, &str)]) -> Result<Output> {
        self.feed(access, args, more, &[]).await
    }

    /// Runs a command once, with what it reads on standard input.
    async fn feed(&self, access: Access, args: &[&str], more: &[(&str, &str)], input: &[u8]) -> Result<Output> {
        let checkout = self.checkout()?;
        if !self.is_checked.replace(true) && checkout.is_nested(self.app) {
            nested::check(self.app, checkout).await?;
        }
        self.app.log.debug(&format!("git {}", args.join(" ")));
        let credentials = if access == Transfer { &self.credentials[..] } else { &[] };
        let settings = [&self.settings[..], credentials].concat();
        let env = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied());
        let call = Call { access, checkout: Some(checkout), at_top: false, settings: &settings, env: env.collect() };
        let command = crate::host::Command { input: input.to_vec(), ..call.command(self.app, args) };
        let ended = self.app.host.execute(&command).await;
        ended.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => self.app.http.out_of_time().context(explain::failed(args)),
            _ => {
                Error::config(format!("cannot run git ({error})")).hint("install git, and make sure that it is on PATH")
            }
        })
    }

    /// Returns what a command prints; its failure is explained.
    async fn run(&self, access: Access, args: &[&str], more: &[(&str, &str)]) -> Result<Vec<u8>> {
        let output = self.output(access, args, more).await?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(explain::explain(args, &output)),
        }
    }

    async fn text(&self, access: Access, args: &[&str], more: &[(&str, &str)]) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run(access, args, more).await?).trim().to_owned())
    }

    /// HEAD and what differs from it among some files, given as pathspecs.
    pub async fn status(&self, pathspecs: &[String]) -> Result<Status> {
        let fixed = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--no-renames",
            // What is in a submodule is its own affair, and git is not run in it.
            "--ignore-submodules=dirty",
            "--",
        ];
        let args: Vec<&str> = fixed.into_iter().chain(pathspecs.iter().map(String::as_str)).collect();
        Status::parse(&self.run(Read, &args, &[]).await?)
    }

    /// Returns whether any file fits the pathspecs, and whether git has it: for saying why nothing changed.
    pub async fn fitting(&self, pathspecs: &[String]) -> Result<(bool, bool)> {
        let fixed = ["ls-files", "-t", "-z", "--cached", "--others", "--"];
        let args: Vec<&str> = fixed.into_iter().chain(pathspecs.iter().map(String::as_str)).collect();
        let found = self.run(Read, &args, &[]).await?;
        let mut entries = found.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).peekable();
        Ok((entries.peek().is_some(), entries.any(|entry| !entry.starts_with(b"?"))))
    }

    /// Returns the commits on the way from one to another, newest first, each with its parents; none where the first
    /// is not an ancestor of the second, or is unknown.
    pub async fn between(&self, from: &str, to: &str) -> Result<Vec<Vec<String>>> {
        let range = format!("{from}..{to}");
        let args = ["rev-list", "--ancestry-path", "--parents", "--max-count=2", &range, "--"];
        let output = self.output(Read, &args, &[]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect())
    }

    /// Gets a remote's branch without touching any of ours. Returns its commit, if there is such a branch.
    pub async fn fetch_branch(&self, remote: &str, branch: &str) -> Result<Option<String>> {
        let (name, host) = (format!("refs/heads/{branch}"), &self.app.host);
        // Where git writes down what it got: <https://git-scm.com/docs/git-fetch#_output>.
        let note = folder(self.app, &self.checkout()?.top)?.join("FETCH_HEAD");
        let before = host.read(&note).ok();
        let fixed = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--refmap=", "--"];
        let args: Vec<&str> = fixed.into_iter().chain([remote, &name]).collect();
        let output = self.output(Transfer, &args, &[]).await;
        let got = host.read(&note).unwrap_or_default();
        let _ = match before {
            Some(before) => host.write(&note, &before),
            None => host.remove(&note),
        };
        let output = output?;
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
        self.run(Transfer, &args, &[]).await.map(drop)
    }

    /// Makes a commit of changed files on top of a parent; `None` when that would be no change.
    pub async fn commit(
        &self,
        parent: &str,
        status: &Status,
        message: &str,
        author: CommitAuthor,
    ) -> Result<Option<String>> {
        let top = self.checkout()?.top.clone();
        let scratch = Scratch::new(self.app, &top)?;
        let (here, index) = (slashes(&top), scratch.index());
        let own = [("GIT_INDEX_FILE", index.as_str()), ("GIT_LITERAL_PATHSPECS", "1")];
        // A clone may have to fetch parts of it.
        self.run(Transfer, &["-C", &here, "read-tree", parent], &own).await?;
        // git refuses to take a file away that the parent does not have.
        let gone = scratch.known(&status.deleted, status.head.len() / 2)?;
        let paths = [status.changed.as_slice(), &gone].concat();
        if paths.is_empty() {
            return Ok(None);
        }
        let from = format!("--pathspec-from-file={}", scratch.list(&paths)?);
        let add = ["-C", &here, "add", "--all", "--force", "--verbose", &from, "--pathspec-file-nul"];
        // It names the files that were not so already.
        if self.run(Write, &add, &own).await?.is_empty() {
            return Ok(None);
        }
        let tree = self.text(Write, &["-C", &here, "write-tree"], &own).await?;
        self.text(Write, &["commit-tree", &tree, "-p", parent, "-m", message], &author.env()).await.map(Some)
    }

    /// Makes a commit the one of a remote's branch, which must be an ancestor of it.
    pub async fn push(
        &self,
        remote: &str,
        commit: &str,
        branch: &str,
        options: &[&str],
        status: &Status,
    ) -> Result<()> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        let options: Vec<String> = options.iter().map(|option| format!("--push-option={option}")).collect();
        let args: Vec<&str> = ["push", "--quiet", "--no-recurse-submodules"]
            .into_iter()
            .chain(options.iter().map(String::as_str))
            .chain(["--", remote, &refspec])
            .collect();
        self.push_large_files(remote, commit, status).await?;
        match self.run(Transfer, &args, &[]).await {
            // The answer to an attempt that succeeded may have been lost.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Remote | Kind::RateLimited) => {
                match self.branch(remote, branch).await {
                    Ok(Some(tip)) if tip == commit => Ok(()),
                    _ => Err(error),
                }
            }
            pushed => pushed.map(drop),
        }
    }

    /// Returns the commit of a remote's branch, if there is such a branch.
    pub async fn branch(&self, remote: &str, branch: &str) -> Result<Option<String>> {
        let name = format!("refs/heads/{branch}");
        let found = self.text(Transfer, &["ls-remote", "--quiet", "--", remote, &name], &[]).await?;
        let line = found.lines().find_map(|line| line.split_once('\t').filter(|(_, found)| *found == name));
        Ok(line.map(|(commit, _)| commit.to_owned()))
    }

    /// Changes a setting of the repository.
    pub async fn configure(&self, args: &[&str]) -> Result<()> {
        self.run(Write, &[&["config"], args].concat(), &[]).await.map(drop)
    }

    /// Runs a command that talks to the remote.
    pub async fn transfer(&self, args: &[&str]) -> Result<()> {
        self.run(Transfer, args, &[]).await.map(drop)
    }

    /// Returns what a command prints, without the white space around it.
    pub async fn query(&self, args: &[&str]) -> Result<String> {
        self.text(Read, args, &[]).await
    }
}

/// Returns a path as git writes it.
fn slashes(path: &Path) -> String {
    let text = path.display().to_string();
    if cfg!(windows) { text.trim_start_matches(r"\\?\").replace('\\', "/") } else { text }
}

fn no_repository() -> Error {
    Error::config("not a git repository").hint("run this inside the clone of the repository")
}

/// Returns the folder in which git keeps what belongs to a working copy: `.git`, or what the file of that name says.
fn folder(app: &App, top: &Path) -> Result<PathBuf> {
    let dot = top.join(".git");
    match app.host.stat(&dot) {
        Ok(stat) if stat.is_file => {
            let text =
                app.host.read(&dot).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            Ok(top.join(text.trim().trim_start_matches("gitdir: ")))
        }
        Ok(_) => Ok(dot),
        Err(_) => Err(no_repository()),
    }
}
