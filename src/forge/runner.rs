//! Self-hosted runners.
//!
//! [`Registration`] is plain data, so that it can be sent to an instance in a cloud. What its fields mean is known to the
//! forge's own file, which makes a [`RunnerProcess`] of it (`docs/adr/0005-runners.md`).

use crate::env::{Secret, exposed};
use crate::error::{Error, Result};
use crate::host::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A runner as the forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The forge's id of it, opaque outside the forge's file.
    pub id: String,
    /// Its position in the order of registration: of two of one name the smaller is the older one.
    pub order: u64,
    /// Its name.
    pub name: String,
    /// Its labels (GitLab: tags), in lower case. GitLab's listings do not include them: here those that were asked for.
    pub labels: Vec<String>,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job; `None` where an old GitLab says so only in [`super::Forge::get_runner`].
    pub busy: Option<bool>,
}

impl Runner {
    /// Returns whether it has all the given labels, in any case.
    pub fn has(&self, labels: &[String]) -> bool {
        labels.iter().all(|wanted| self.labels.iter().any(|label| label.eq_ignore_ascii_case(wanted)))
    }
}

/// How the forge sees a registered runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerStatus {
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job; `None` where the forge does not say.
    pub busy: Option<bool>,
}

/// The settings of a runner to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRunner {
    /// Its name.
    pub name: String,
    /// The user's labels; the forge's file adds what the forge itself expects.
    pub labels: Vec<String>,
    /// Its runner group on GitHub; `None` for the default group.
    pub group: Option<String>,
    /// Whether it ends after one job.
    pub single: bool,
    /// What it runs on: `linux` or `macos`, and `x86_64` or `aarch64`.
    pub platform: crate::host::Platform,
}

/// A registered runner, and what its program connects with: a credential that is good for it alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The name of the forge's driver in [`super::FORGES`].
    pub driver: String,
    /// The runner's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The credential, by names that the forge's file knows.
    #[serde(serialize_with = "exposed::map")]
    pub credential: BTreeMap<String, Secret>,
    /// What else its program needs and is not secret, such as an address: nothing to mask in a log.
    pub settings: BTreeMap<String, String>,
}

/// A runner program to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its URL.
    pub url: String,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The bearer token that the download needs.
    #[serde(serialize_with = "exposed::optional")]
    pub token: Option<Secret>,
    /// Whether it is a `tar.gz` to unpack, or the program itself under this name.
    pub content: PackageContent,
}

/// The content of a [`Package`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageContent {
    /// A compressed archive.
    TarGz,
    /// The program itself, to be saved under this name.
    Program(String),
}

/// The folders and options of a runner on its host.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// The folder with the runner program, a copy for this runner alone.
    pub program: PathBuf,
    /// The working directory of jobs.
    pub work: PathBuf,
    /// Whether it ends after one job.
    pub single: bool,
    /// Time without a job after which it ends.
    pub idle: Option<Duration>,
    /// Volumes for containers of jobs, in Docker's form.
    pub docker_volumes: Vec<String>,
    /// Image for jobs that name none, where the forge's runner starts containers.
    pub docker_image: Option<String>,
    /// Whether containers get the host's GPUs.
    pub gpu: bool,
    /// A private folder for the scripts that the runner calls around each job: see [`RunnerProcess::parse_hook_line`].
    pub hooks: PathBuf,
}

impl RunnerConfig {
    /// Returns the file that hooks append to, one line per event.
    pub fn hook_log(&self) -> PathBuf {
        self.hooks.join("jobs")
    }
}

/// Returns a hook for a POSIX shell, to be one of [`RunnerProcess::files`] in [`RunnerConfig::hooks`]. It appends one line to
/// the hook log, `event` and the values of the variables separated by tabs, and never fails, as that would fail the job.
/// It uses shell builtins only, as a job may control `PATH`. What is appended to the script runs after that.
pub fn hook_script(hook_log: &Path, event: &str, variables: &[&str]) -> String {
    let hook_log = hook_log.display().to_string().replace('\'', r"'\''");
    let format = r"\t%s".repeat(variables.len());
    let values: String = variables.iter().map(|name| format!(" \"${{{name}-}}\"")).collect();
    format!("{{ printf '{event}{format}\\n'{values} >>'{hook_log}'; }} 2>/dev/null || :\n")
}

/// How to run and understand a vendor's runner program: pure data and functions, from the forge's file.
pub struct RunnerProcess {
    /// The program and its arguments. No secrets: every user of the host can read them.
    pub argv: Vec<String>,
    /// Variables added to its environment, secret ones too.
    pub env: Vec<(String, Secret)>,
    /// Files that are written before it starts, readable by its user alone, and removed after its end.
    pub files: Vec<(PathBuf, Secret)>,
    /// Files that it writes beside itself: removed before it starts and after its end, as its folder may be the user's.
    pub own_files: Vec<PathBuf>,
    /// Files that may be in its folder already, with their checks.
    pub checked_files: Vec<CheckedFile>,
    /// The folder of its own logs, if it has one.
    pub logs: Option<PathBuf>,
    /// Parses a line of its output.
    pub parse_line: fn(&str) -> Option<Event>,
    /// Parses a line that a hook appended to [`RunnerConfig::hook_log`]: see [`hook_script`].
    pub parse_hook_line: Option<fn(&str) -> Option<Event>>,
    /// Interprets its exit code (`None`: a signal ended it); `last` is how the last job of the registration ended, if any
    /// did.
    pub interpret_exit: fn(code: Option<i32>, last: Option<JobResult>) -> ExitDisposition,
    /// The signal that asks it to end without taking another job, after the current one.
    pub drain: Signal,
    /// The signal that asks it to end and to cancel its job.
    pub interrupt: Signal,
    /// How long it may take to report an interrupted job before it is killed.
    pub grace: Duration,
    /// How long it may take to end after [`RunnerProcess::drain`] when it has no job.
    pub drain_grace: Duration,
    /// How long it may take to report a job that has ended, before it is asked to end.
    pub linger: Duration,
    /// The pause after which [`RunnerProcess::interrupt`] is sent a second time when no job runs, so that it ends at once.
    pub second_interrupt: Option<Duration>,
    /// The time after [`Event::Ready`] when the forge is asked, where that event only means that the program has started.
    pub confirm_after: Option<Duration>,
    /// Whether it never runs two jobs at once, so that a new job means that the previous one is over.
    pub one_at_a_time: bool,
    /// How often the forge is asked whether the runner is connected and has a job, where the program's lines are not known
    /// from its source.
    pub poll: Option<Duration>,
    /// Docker's filter for the containers and networks that an interrupted job leaves behind, such as `label=…`.
    pub containers: Option<String>,
    /// The env file of a program in a container.
    pub env_file: Option<EnvFile>,
    /// A command to run in addition to the signals, such as `docker stop`.
    pub stop: Option<Vec<String>>,
    /// Whether each registration is good for one job only, so that another job needs another one.
    pub one_job_each: bool,
    /// Whether the forge refuses to remove a busy runner, so that removing an idle one before it is asked to end loses no
    /// job; otherwise it is removed when it has ended.
    pub delete_first: bool,
}

/// A file that may be in the program's folder before it starts.
pub struct CheckedFile {
    /// The file.
    pub path: PathBuf,
    /// Checks its content.
    pub check: fn(&Path, &str) -> Result<()>,
}

/// An env file of a container, one of [`RunnerProcess::files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// The file.
    pub path: PathBuf,
    /// Variables that are passed on in it, in addition to those that the user names.
    pub names: &'static [&'static str],
}

/// What a line of a runner program means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is connected and waits for jobs.
    Ready,
    /// A job begins.
    Started(Job),
    /// A job ended.
    Ended {
        /// The job's id, if the line has it.
        job: Option<String>,
        /// How it ended.
        result: JobResult,
    },
    /// The forge does not know the registration any more.
    Deregistered,
    /// The forge refused the credential, maybe only for now.
    Refused(String),
    /// Something that the user should read: a refused connection, a version that is too old.
    Trouble(String),
    /// It cannot run on this host: the message and hint for when it has failed.
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
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// A user, or the runner program itself, cancelled it.
    Canceled,
}

/// A job that a runner runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// The forge's id of it.
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// What [`super::Forge::rerun`] takes to rerun it: the run, the pipeline or the job.
    pub rerun: Option<String>,
    /// The pipeline, for CML's event lines.
    pub pipeline: Option<String>,
    /// How often it has been started, from 1 on, if the runner reports it.
    pub attempt: Option<u32>,
    /// Whether a user may have cancelled it: the forge is asked before it is rerun.
    pub maybe_canceled: bool,
}

/// What the exit of a runner program means.
#[derive(Debug, Clone)]
pub enum ExitDisposition {
    /// It did what it was asked to.
    Completed,
    /// It ended by itself and interrupted its last job, unless a user cancelled that at the same time.
    JobLost,
    /// It must be restarted after a pause: an update, or a temporary failure.
    Restart(Duration),
    /// It cannot go on.
    Failed(Error),
}

/// A CI run that has not succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedRun {
    /// How often it has been started, from 1 on.
    pub attempt: u64,
    /// Its failed jobs on runners that the caller asked about.
    pub jobs: Vec<FailedJob>,
    /// How many other jobs failed.
    pub others: usize,
}

/// A job that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedJob {
    /// Its name.
    pub name: String,
    /// The name of its runner.
    pub runner: String,
    /// The forge's reason, if the job failed because its runner did.
    pub lost: Option<String>,
}

/// Returns the error of the trait's default methods.
pub(super) fn unsupported<T>() -> Result<T> {
    Err(Error::unsupported("the local preview has no runners")
        .hint("give --repo and a token in REPO_TOKEN, or run this in a pipeline"))
}
