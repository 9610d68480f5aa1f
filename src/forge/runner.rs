//! Runners: machines of the user's own that run the forge's jobs.
//!
//! [`Registration`] is what travels: plain data, so that a machine in a cloud can be given one. What its fields mean
//! is known to the forge's own file, which makes an [`Agent`] of it (`docs/adr/0005-runners.md`).

use crate::env::Secret;
use crate::error::{Error, Result};
use crate::host::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A runner as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The forge's identity of it, opaque outside the forge's file.
    pub id: String,
    /// Its place in the order of registration: of two of one name the smaller is the older one.
    pub order: u64,
    /// Its name.
    pub name: String,
    /// Its labels (GitLab: tags), in lower case. GitLab's listings do not tell them: those that were asked for.
    pub labels: Vec<String>,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job; `None` where an old GitLab says so only in [`super::Forge::get_runner`].
    pub busy: Option<bool>,
}

impl Runner {
    /// Whether it has all of some labels; their case does not matter.
    pub fn has(&self, labels: &[String]) -> bool {
        labels.iter().all(|wanted| self.labels.iter().any(|label| label.eq_ignore_ascii_case(wanted)))
    }
}

/// How the forge sees a registered runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerState {
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job; `None` where the forge does not say.
    pub busy: Option<bool>,
}

/// What a new runner is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRunner {
    /// Its name.
    pub name: String,
    /// The user's labels; the forge's file adds what the forge itself expects.
    pub labels: Vec<String>,
    /// The group on GitHub that may use it; the default one otherwise.
    pub group: Option<String>,
    /// Whether it ends after one job.
    pub single: bool,
    /// Longest time of a job, where the forge enforces one.
    pub job_timeout: Option<Duration>,
    /// What it runs on: `linux` or `macos`, and `x86_64` or `aarch64`.
    pub platform: crate::host::Platform,
}

/// A runner that the forge knows, and what its program connects with: a credential that is good for it alone.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The name of the forge's row in [`super::FORGES`].
    pub driver: String,
    /// The runner's identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The credential, in the words of the forge's file.
    pub credential: BTreeMap<String, Secret>,
    /// What else its program needs and is no secret, such as an address: nothing to blot out of a log.
    pub settings: BTreeMap<String, String>,
}

/// A runner program to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Where it is.
    pub url: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// What the download needs besides, as a bearer's token.
    pub token: Option<Secret>,
    /// Whether it is a `tar.gz` to unpack, or the program itself under this name.
    pub content: PackageContent,
}

/// What a [`Package`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageContent {
    /// A compressed archive.
    TarGz,
    /// The program itself, to be saved under this name.
    Program(String),
}

/// What the machine says of itself to the forge's file.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where the runner program was unpacked to; a copy for this runner alone.
    pub program: PathBuf,
    /// Where jobs work.
    pub work: PathBuf,
    /// Whether it ends after one job.
    pub single: bool,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// Volumes for containers of jobs, in Docker's form.
    pub docker_volumes: Vec<String>,
    /// Image for jobs that name none, where the forge's runner starts containers.
    pub docker_image: Option<String>,
    /// Whether containers get the machine's GPUs.
    pub gpu: bool,
    /// A private folder for what the runner calls around each job, where it has hooks: see [`Agent::hook`].
    pub hooks: PathBuf,
}

impl Place {
    /// The file that hooks append to, a line an event.
    pub fn journal(&self) -> PathBuf {
        self.hooks.join("jobs")
    }
}

/// A hook for a POSIX shell, to be one of [`Agent::files`] in [`Place::hooks`]: it appends one line to the journal,
/// `word` and the values of the variables with tabs between them, and never fails, as that would fail the job.
/// `PATH` may be anybody's: it uses what the shell itself can do. What is appended to the script is run after that.
pub fn hook_script(journal: &Path, word: &str, variables: &[&str]) -> String {
    let journal = journal.display().to_string().replace('\'', r"'\''");
    let format = r"\t%s".repeat(variables.len());
    let values: String = variables.iter().map(|name| format!(" \"${{{name}-}}\"")).collect();
    format!("{{ printf '{word}{format}\\n'{values} >>'{journal}'; }} 2>/dev/null || :\n")
}

/// How a runner program is run: pure data and functions, made by the forge's file.
pub struct Agent {
    /// The program and its arguments. No secrets: anybody on the machine can read them.
    pub argv: Vec<String>,
    /// Added to its environment; secrets too.
    pub env: Vec<(String, Secret)>,
    /// Written before it starts, for its user alone to read, and removed after its end.
    pub files: Vec<(PathBuf, Secret)>,
    /// What it writes beside itself: removed before it starts and after its end, as its folder may be the user's.
    pub own_files: Vec<PathBuf>,
    /// Files that may be in its folder already, and what is wrong with them if anything.
    pub checked_files: Vec<CheckedFile>,
    /// The folder of its own logs, where it has one.
    pub logs: Option<PathBuf>,
    /// What a complete line of its output means, if anything.
    pub reads: fn(&str) -> Option<Event>,
    /// What a line means that a hook appended to the file [`Place::journal`]: see [`hook_script`].
    pub hook: Option<fn(&str) -> Option<Event>>,
    /// What its exit code means (`None`: a signal ended it); `last` is how the last job of the registration ended, if any
    /// did.
    pub ends: fn(code: Option<i32>, last: Option<JobResult>) -> Ending,
    /// Asks it to end without taking another job; one that runs may end first.
    pub drain: Signal,
    /// Asks it to end, and so its job.
    pub interrupt: Signal,
    /// How long it takes at most to report an interrupted job, before it is killed.
    pub grace: Duration,
    /// How long it takes at most to end after [`Agent::drain`], when it has no job.
    pub drain_grace: Duration,
    /// How long it takes at most to report a job that has ended. One that does not end by itself is asked to only then.
    pub linger: Duration,
    /// The pause after which [`Agent::interrupt`] is sent a second time where no job runs, so that it ends at once.
    pub second_interrupt: Option<Duration>,
    /// The time after [`Event::Ready`] when the forge is asked, where that event only says that the program has begun.
    pub confirm_after: Option<Duration>,
    /// Whether it never runs two jobs at once, so that another one means that the one before is over.
    pub one_at_a_time: bool,
    /// How often the forge is asked whether the runner is connected and has a job, where the program's lines are not known
    /// from a source.
    pub poll: Option<Duration>,
    /// Docker's filter for the containers and networks that an interrupted job leaves behind, such as `label=…`.
    pub containers: Option<String>,
    /// The variables that a program in a container gets by a file.
    pub env_file: Option<EnvFile>,
    /// A command to run besides the signals, such as `docker stop`.
    pub stop: Option<Vec<String>>,
    /// Whether each registration is good for one job only, so that another job needs another one.
    pub one_job_each: bool,
    /// Whether the forge refuses to remove a runner that runs a job, so that removing an idle one before it is asked
    /// to end loses no job; otherwise it is removed when it has ended.
    pub delete_first: bool,
}

/// A file that may be there before the program is.
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// Returns the error that it means with its content, if any.
    pub check: fn(&Path, &str) -> Result<()>,
}

/// A file by which Docker gives a container variables, one of [`Agent::files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// The file.
    pub path: PathBuf,
    /// Variables that are passed on in it, besides those that the user names.
    pub names: &'static [&'static str],
}

/// What a runner program tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is connected and waits for jobs.
    Ready,
    /// A job begins.
    Started(Job),
    /// A job ended.
    Ended {
        /// The job, where the line says which.
        job: Option<String>,
        /// How.
        result: JobResult,
    },
    /// The forge does not know the registration any more.
    Deregistered,
    /// The forge refused the credential, which may pass.
    Refused(String),
    /// Something that the user should read: a refused connection, a version that is too old.
    Trouble(String),
    /// It cannot run on this machine: what is wrong, and what to do, for when it has failed.
    Unusable {
        /// What is wrong.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobResult {
    /// Well.
    Succeeded,
    /// It failed.
    Failed,
    /// Somebody, or the runner program itself, cancelled it.
    Canceled,
}

/// A job that a runner runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// The forge's identity of it.
    pub id: Option<String>,
    /// What it is called.
    pub name: Option<String>,
    /// What [`super::Forge::rerun`] takes to start it again: the run, the pipeline or the job.
    pub rerun: Option<String>,
    /// The pipeline, for CML's event lines.
    pub pipeline: Option<String>,
    /// How often it has been started, from 1 on, where the runner tells.
    pub attempt: Option<u32>,
    /// Whether a user may have cancelled it: the forge is asked before it is started again.
    pub maybe_canceled: bool,
}

/// What the end of a runner program means.
#[derive(Debug, Clone)]
pub enum Ending {
    /// It did what it was asked to.
    Done,
    /// It ended by itself and took its last job with it, unless somebody cancelled that at the same time.
    JobCut,
    /// It wants to be started again, after a pause: an update, or a failure that passes.
    Again(Duration),
    /// It cannot go on.
    Failed(Error),
}

/// A run of the CI whose end was no success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedRun {
    /// How often it has been started, from 1 on.
    pub attempt: u64,
    /// Its failed jobs on runners that the caller asked about.
    pub jobs: Vec<FailedJob>,
    /// How many others failed.
    pub others: usize,
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// What it is called.
    pub name: String,
    /// The name of its runner.
    pub runner: String,
    /// What the forge says, where the job failed because its runner did.
    pub lost: Option<String>,
}

/// What the default of the trait's methods says.
pub(super) fn none<T>() -> Result<T> {
    Err(Error::unsupported("the local preview has no runners")
        .hint("give --repo and a token in REPO_TOKEN, or run this in a pipeline"))
}
