//! Self-hosted runners: the trait, its domain types, and a registration that happens exactly once.
//!
//! [`Registration`] is plain data, so that it can be sent to an instance in a cloud. What its fields mean is known to the
//! forge's own file, which makes a [`RunnerProcess`] of it (`docs/adr/0005-runners.md`).

use crate::env::{Secret, exposed};
use crate::error::{Error, Kind, Result};
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::host::{Platform, Signal};
use crate::http::Http;
use crate::log::Log;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runners of the repository, or of the organisation, group or workspace that owns repositories.
#[async_trait(?Send)]
pub trait Runners {
    /// Returns the runners that have all of some labels; all runners without.
    async fn list(&self, labels: &[String]) -> Result<Vec<Runner>>;

    /// Returns a runner as it is now; `None` if none has that id.
    async fn get(&self, id: &str) -> Result<Option<Runner>>;

    /// Registers a runner. A name that is taken is a [`Kind::Conflict`], where the forge refuses it. When it is not
    /// known whether that worked, the error [`Error::is_ambiguous`].
    async fn register(&self, new: &NewRunner) -> Result<Registration>;

    /// Removes a runner; one that is gone already is fine, one that runs a job is a [`Kind::Conflict`].
    async fn delete(&self, id: &str) -> Result<()>;

    /// Returns how the forge sees a registered runner; `None` when it does not know it, or not its credential.
    async fn check(&self, registration: &Registration) -> Result<Option<RunnerStatus>> {
        let runner = self.get(&registration.id).await?;
        Ok(runner.map(|runner| RunnerStatus { online: runner.online, busy: runner.busy }))
    }

    /// Removes a runner by its own credential where the forge accepts that, so that no other token is needed; otherwise
    /// as [`Runners::delete`] does.
    async fn unregister(&self, registration: &Registration) -> Result<()> {
        self.delete(&registration.id).await
    }

    /// Returns whether [`Runners::check`] and [`Runners::unregister`] need nothing but the runner's own credential.
    fn is_credential_enough(&self) -> bool {
        false
    }

    /// Returns whether a registration is good for one job only, so that ending after one is the default.
    fn one_job_each(&self) -> bool {
        false
    }

    /// Returns whether the runner program writes logs of its own: [`RunnerProcess::logs`].
    fn has_logs(&self) -> bool {
        false
    }

    /// Returns the image of jobs that name none; `None` where the runner does not start containers for jobs.
    fn job_image(&self, _gpu: bool) -> Option<&'static str> {
        None
    }

    /// Returns the runner program for a platform; `None` where it comes as an image.
    async fn package(&self, platform: &Platform) -> Result<Option<Package>>;

    /// Returns the image that the runner program comes as, where it does.
    fn program_image(&self) -> Option<&str> {
        None
    }
}

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
    /// Whether it runs a job; `None` where an old GitLab says so only in [`Runners::get`].
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
    pub platform: Platform,
}

/// A registered runner, and what its program connects with: a credential that is good for it alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registration {
    /// The name of the forge's driver in [`crate::forge::FORGES`].
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
    /// How it reacts to signals, and what the forge knows of it.
    pub behavior: Behavior,
    /// Docker's filter for the containers and networks that an interrupted job leaves behind, such as `label=…`.
    pub containers: Option<String>,
    /// The env file of a program in a container.
    pub env_file: Option<EnvFile>,
    /// A command to run in addition to the signals, such as `docker stop`.
    pub stop: Option<Vec<String>>,
}

/// How a forge's runner program ends and what it says, as far as its supervision has to know.
#[derive(Debug, Clone, Copy)]
pub struct Behavior {
    /// The signal that asks it to end without taking another job, after the current one.
    pub drain: Signal,
    /// The signal that asks it to end and to cancel its job.
    pub interrupt: Signal,
    /// How long it may take to report an interrupted job before it is killed.
    pub grace: Duration,
    /// How long it may take to end after [`Behavior::drain`] when it has no job.
    pub drain_grace: Duration,
    /// How long it may take to report a job that has ended, before it is asked to end.
    pub linger: Duration,
    /// The pause after which [`Behavior::interrupt`] is sent a second time when no job runs, so that it ends at once.
    pub second_interrupt: Option<Duration>,
    /// The time after [`Event::Ready`] when the forge is asked, where that event only means that the program has started.
    pub confirm_after: Option<Duration>,
    /// Whether it never runs two jobs at once, so that a new job means that the previous one is over.
    pub one_at_a_time: bool,
    /// How often the forge is asked whether the runner is connected and has a job, where the program's lines are not known
    /// from its source.
    pub poll: Option<Duration>,
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
    /// What [`super::runs::Runs::rerun`] takes to rerun it: the run, the pipeline or the job.
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

/// Registers a runner exactly once. A runner whose credential was lost with the answer is of no use: it is removed and
/// registered again. `before` are the runners that there were before, which are none of ours.
pub async fn register_once(
    runners: &dyn Runners,
    http: &Http,
    log: &Log,
    new: &NewRunner,
    before: &[Runner],
) -> Result<Registration> {
    let lost_before = Cell::new(false);
    let send = async || {
        let made = runners.register(new).await.map_err(|error| match error.kind() {
            // Ours, which the listing did not show yet.
            Kind::Conflict if lost_before.get() => error.ambiguous(),
            _ => error,
        });
        made.inspect_err(|error| {
            if error.is_ambiguous() {
                lost_before.set(true);
                log.info(&format!("{error}; checking whether runner {} is registered", new.name));
            }
        })
    };
    let look = async || {
        let known = |runner: &Runner| before.iter().any(|old| old.id == runner.id);
        let lost = |runner: &Runner| runner.name == new.name && !runner.online && !known(runner);
        for runner in runners.list(&[]).await?.into_iter().filter(lost) {
            log.info(&format!("the credential of runner {} was lost; removing the runner", runner.name));
            runners.delete(&runner.id).await?;
        }
        Ok(None)
    };
    let messages = OutcomeMessages {
        done: format!("runner {} was registered", new.name),
        unknown: format!("check the list of runners, remove {} if it is there, and run this again", new.name),
        not_done: "no runner was registered",
    };
    exactly_once(http, &messages, send, look).await
}
