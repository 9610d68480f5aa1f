//! A fixture for the supervisor: it runs in a process of its own (this test program, started again), over a forge that is
//! a few files, with the real agents, and a program that a test writes.

use crate::support::{Ran, TIMEOUT, eventually, executable};
use async_trait::async_trait;
use cml::app::App;
use cml::env::Secret;
use cml::error::{Error, Result};
use cml::forge::runners::{
    ExitDisposition, JobResult, NewRunner, Package, Registration, Runner, RunnerConfig, RunnerProcess, RunnerStatus,
    Runners,
};
use cml::forge::runs::{Rerun, Runs};
use cml::forge::{Context, Driver, FORGES};
use cml::host::Platform;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use cml::runner::{Supervised, supervise};
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A credential, in the forms in which it could be seen.
pub const SECRET: &str = "a-credential-that-nobody-may-see";

/// The fixture.
pub struct SupervisorFixture {
    pub folder: tempfile::TempDir,
    settings: Value,
    pub env: Vec<(String, String)>,
}

impl SupervisorFixture {
    /// GitHub's listener, as a script that begins as the shared part does.
    pub fn github(script: &str) -> SupervisorFixture {
        let fixture = SupervisorFixture::new("github");
        fixture.program(
            "program/bin/Runner.Listener",
            &format!("{}{script}", include_str!("../support/runners/listener.sh")),
        );
        fixture
    }

    /// GitLab's runner.
    pub fn gitlab(script: &str) -> SupervisorFixture {
        let fixture = SupervisorFixture::new("gitlab");
        fixture.program("program/gitlab-runner", &format!("#!/bin/sh\n{script}"));
        fixture
    }

    /// Docker, for Bitbucket's.
    pub fn bitbucket(script: &str) -> SupervisorFixture {
        let mut fixture = SupervisorFixture::new("bitbucket");
        fixture.program("path/docker", &format!("#!/bin/sh\n{script}"));
        let path = format!("{}:{}", fixture.path("path").display(), std::env::var("PATH").unwrap());
        fixture.env.push(("PATH".into(), path));
        fixture
    }

    fn new(driver: &str) -> SupervisorFixture {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pids", "program", "path"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let root = folder.path().display().to_string();
        let settings = json!({ "driver": driver, "folder": root, "single": true, "retry": 3, "grace": 20_000 });
        let env = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", root.clone()),
            ("LC_ALL", "C.UTF-8".into()),
            ("PIDS", folder.path().join("pids").display().to_string()),
            ("ROOT", root),
            ("REPO_TOKEN", "token-of-the-launcher".into()),
            ("AWS_SECRET_ACCESS_KEY", "key-of-the-launcher".into()),
            ("GITHUB_RUN_ID", "99".into()),
            ("CI_JOB_TOKEN", "job-of-the-launcher".into()),
        ];
        SupervisorFixture { folder, settings, env: env.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    pub fn set(mut self, name: &str, value: impl Into<Value>) -> SupervisorFixture {
        self.settings[name] = value.into();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn program(&self, name: &str, text: &str) {
        executable(&self.path(name), text);
    }

    /// Raises the curtain.
    pub fn start(self) -> Play {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "runner::fixture::the_supervisor", "--ignored", "--nocapture", "--quiet"]);
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("CML_TEST_STAGE", self.settings.to_string()).stdin(Stdio::null());
        // A file, so that what survives cannot keep us waiting.
        let log = std::fs::File::create(self.path("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Play { fixture: self, child: Running(child) }
    }

    /// The whole running.
    pub fn run(self) -> (SupervisorFixture, Ran) {
        self.start().end()
    }
}

/// A running under way.
pub struct Play {
    pub fixture: SupervisorFixture,
    child: Running,
}

/// Ended with its test.
struct Running(Child);

impl Play {
    pub fn signal(&self, name: &str) {
        kill(name, self.child.0.id());
    }

    /// Waits for something.
    pub fn until(&self, what: &str, there: impl Fn(&SupervisorFixture) -> bool) {
        eventually(what, || there(&self.fixture), || self.fixture.read("log"));
    }

    /// Waits for a word in what the supervisor says.
    pub fn until_said(&self, word: &str) {
        self.until(word, |fixture| fixture.read("log").contains(word));
    }

    /// Waits until a job runs of which a hook has told.
    pub fn until_busy(&self) {
        self.until_said("job_started");
        self.until("hook", |fixture| fixture.read("private/jobs").ends_with('\n'));
    }

    /// The process that a program wrote down.
    pub fn pid(&self, name: &str) -> u32 {
        let file = format!("pids/{name}");
        self.until(&file, |fixture| fixture.read(&file).ends_with('\n'));
        self.fixture.read(&file).trim().parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub fn until_gone(&self, pid: u32) {
        self.until(&format!("end of {pid}"), |_| !is_alive(pid));
    }

    pub fn end(mut self) -> (SupervisorFixture, Ran) {
        let end = Instant::now() + TIMEOUT;
        let status = loop {
            match self.child.0.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => panic!("it does not end: {}", self.fixture.read("log")),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let ran = Ran { code: status.code(), stdout: String::new(), stderr: self.fixture.read("log") };
        (self.fixture, ran)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap().success());
}

/// Whether a process runs; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/stat")) else { return false };
    let mut stat = String::new();
    file.read_to_string(&mut stat).is_ok()
        && stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// What the supervisor says of the runner: the status lines without their date.
pub fn events(ran: &Ran) -> Vec<String> {
    let parse = |line: &str| serde_json::from_str::<Value>(line).ok();
    let without_date = |mut line: Value| {
        let date = line.as_object_mut().unwrap().remove("date").unwrap();
        assert!(date.as_str().unwrap().ends_with('Z'), "{date}");
        assert_eq!((&line["level"], &line["message"]), (&json!("info"), &json!("runner status")));
        assert_eq!(line["repo"], "https://forge.example/octo/model");
        let words =
            ["job", "pipeline", "reason", "success"].into_iter().filter_map(|name| Some((name, line.get(name)?)));
        let words: String =
            words.map(|(name, value)| format!(" {name}={}", value.to_string().trim_matches('"'))).collect();
        format!("{}{words}", line["status"].as_str().unwrap())
    };
    ran.stderr.lines().filter_map(parse).map(without_date).collect()
}

// From here on: inside of the supervisor's process.

fn settings() -> Value {
    serde_json::from_str(&std::env::var("CML_TEST_STAGE").unwrap_or_default()).unwrap_or_default()
}

/// The real runner, with shorter times.
fn runner_process(registration: &Registration, config: &RunnerConfig) -> Result<RunnerProcess> {
    let driver = FORGES.iter().find(|driver| driver.name == registration.driver).unwrap();
    let mut runner = (driver.runner_process.unwrap())(registration, config)?;
    runner.behavior.grace = Duration::from_millis(settings()["grace"].as_u64().unwrap());
    runner.behavior.drain_grace = runner.behavior.grace;
    runner.behavior.poll = runner.behavior.poll.map(|_| Duration::from_millis(200));
    runner.behavior.confirm_after = runner.behavior.confirm_after.map(|_| Duration::from_millis(300));
    let linger = if driver.name == "bitbucket" { Some(1500) } else { None };
    if let Some(linger) = settings()["linger"].as_u64().or(linger) {
        runner.behavior.linger = Duration::from_millis(linger);
    }
    runner.interpret_exit = if driver.name == "github" { ends } else { runner.interpret_exit };
    Ok(runner)
}

fn ends(code: Option<i32>, last: Option<JobResult>) -> ExitDisposition {
    let driver = FORGES.iter().find(|driver| driver.name == "github").unwrap();
    let registration = registration("github", 1);
    let real = (driver.runner_process.unwrap())(&registration, &config(&json!({ "folder": "/" }))).unwrap();
    match (real.interpret_exit)(code, last) {
        ExitDisposition::Restart(_) => ExitDisposition::Restart(Duration::from_millis(50)),
        ending => ending,
    }
}

static DRIVER: Driver = Driver {
    name: "fixture",
    title: "SupervisorFixture",
    is_preview: false,
    hosts: &[],
    token_vars: &[],
    token_hint: "",
    own_token_hint: "",
    api_candidates: |_, _, _| Vec::new(),
    connect: |_| Err(Error::internal("nobody connects here")),
    commit_path: "",
    has_details: true,
    runner_process: Some(runner_process),
};

fn registration(driver: &str, number: u64) -> Registration {
    let secret = |name: &str| (name.to_owned(), Secret::new(format!("{SECRET}-{name}")));
    let jit = match settings()["jit"].as_str() {
        Some(jit) => ("jit".to_owned(), Secret::new(jit)),
        None => secret("jit"),
    };
    let settings =
        ["url", "account_uuid", "repository_uuid", "image"].map(|name| (name.to_owned(), format!("a-{name}")));
    Registration {
        driver: driver.into(),
        id: number.to_string(),
        name: format!("r{number}"),
        credential: ["token", "oauth_client_id", "oauth_client_secret"].map(secret).into_iter().chain([jit]).collect(),
        settings: settings.into(),
    }
}

fn config(settings: &Value) -> RunnerConfig {
    let folder = Path::new(settings["folder"].as_str().unwrap());
    RunnerConfig {
        program: folder.join("program"),
        work: folder.join("work"),
        single: settings["single"].as_bool().unwrap_or(true),
        idle: settings["idle"].as_u64().map(Duration::from_millis),
        docker_volumes: Vec::new(),
        docker_image: None,
        gpu: false,
        hooks: folder.join("private"),
    }
}

/// A forge that writes down what it is asked.
struct FakeForge {
    folder: PathBuf,
}

impl FakeForge {
    fn note(&self, line: &str) {
        let listener = std::fs::read_to_string(self.folder.join("pids/listener")).unwrap_or_default();
        let runs = listener.trim().parse().is_ok_and(is_alive);
        let state = if runs { "while the program runs" } else { "when it has ended" };
        let path = self.folder.join("forge");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{before}{line} {state}\n")).unwrap();
    }
}

fn none<T>() -> Result<T> {
    Err(Error::internal("not supported by this fixture"))
}

#[async_trait(?Send)]
impl Runs for FakeForge {
    async fn rerun(&self, id: Option<&str>, _: &Context, _: &Http) -> Result<Rerun> {
        self.note(&format!("rerun {}", id.unwrap_or("-")));
        Ok(Rerun { url: "https://forge.example/run".into(), note: None })
    }

    async fn is_canceled(&self, run: &str) -> Result<bool> {
        Ok(std::fs::read_to_string(self.folder.join("canceled")).is_ok_and(|text| text.trim() == run))
    }
}

#[async_trait(?Send)]
impl Runners for FakeForge {
    async fn list(&self, _: &[String]) -> Result<Vec<Runner>> {
        none()
    }
    async fn get(&self, _: &str) -> Result<Option<Runner>> {
        none()
    }
    async fn register(&self, _: &NewRunner) -> Result<Registration> {
        none()
    }
    async fn package(&self, _: &Platform) -> Result<Option<Package>> {
        none()
    }

    async fn check(&self, _: &Registration) -> Result<Option<RunnerStatus>> {
        // What a test says that the forge sees: nothing of jobs, unless it says so.
        let state = std::fs::read_to_string(self.folder.join("state")).unwrap_or_default();
        let busy = match state.trim() {
            "busy" => Some(true),
            "idle" => Some(false),
            _ => None,
        };
        let online = state.trim() != "offline";
        Ok((!self.folder.join("gone").exists()).then_some(RunnerStatus { online, busy }))
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let busy = self.folder.join("busy");
        if std::fs::remove_file(busy).is_ok() {
            self.note(&format!("delete {id}: busy"));
            return Err(Error::conflict("it runs a job"));
        }
        self.note(&format!("delete {id}"));
        Ok(())
    }
}

/// Not a test: the supervisor, in a process of its own.
#[test]
#[ignore = "started by the other tests"]
fn the_supervisor() {
    let settings = settings();
    if settings.is_null() {
        return;
    }
    let host = Rc::new(Native::default().guarded_by(crate::support::native()));
    let level = if settings["debug"].as_bool().unwrap_or(false) { Level::Debug } else { Level::Info };
    let log = Log::new(host.clone(), level);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(30));
    let app = App { host, log, http };
    let folder = PathBuf::from(settings["folder"].as_str().unwrap());
    let forge = FakeForge { folder: folder.clone() };
    let driver = settings["driver"].as_str().unwrap().to_owned();
    let number = Cell::new(1);
    let next = || -> futures_util::future::LocalBoxFuture<'_, Result<Registration>> {
        number.set(number.get() + 1);
        forge.note(&format!("register {}", number.get()));
        let registration = registration(&driver, number.get());
        let slow = Duration::from_millis(settings["slow"].as_u64().unwrap_or(0));
        Box::pin(async move {
            tokio::time::sleep(slow).await;
            Ok(registration)
        })
    };
    let it = Supervised {
        app: &app,
        runners: Some(&forge),
        runs: Some(&forge),
        driver: &DRIVER,
        repo: "https://forge.example/octo/model".into(),
        registration: registration(&driver, 1),
        renew: settings["several"].as_bool().unwrap_or(false).then_some(&next),
        config: config(&settings),
        pass_env: vec!["PIDS".into(), "ROOT".into(), "ACTIONS_RUNNER_HOOK_JOB_STARTED".into()],
        env: Vec::new(),
        retry: settings["retry"].as_u64().map(|most| most as u32),
        keep_logs: settings["keep_logs"].as_str().map(PathBuf::from),
        remove: if settings["runner_path"].as_bool().unwrap_or(false) {
            Vec::new()
        } else {
            vec![folder.join("program")]
        },
        user: None,
        shutdown_triggers: Vec::new(),
        on_status: None,
        lease: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let code = match runtime.block_on(supervise(it)) {
        Ok(()) => 0,
        Err(error) => {
            app.log.error(&error);
            error.kind().exit_code()
        }
    };
    std::process::exit(code.into());
}
