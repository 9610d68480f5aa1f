//! A machine, a forge, and runner programs that print the real lines and tell the forge what they do.

use crate::support::fake::{Forge, Runner, Vendor};
use crate::support::{Cml, Ran, executable};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the scripts share. `tell` says to the forge what the runner does: before its line, as a runner's session with
/// the forge begins before it says so, and a test that waits for the line may ask the forge at once.
const COMMON: &str = r#"#!/bin/sh
tell() { curl -sS -o /dev/null -X POST --data-binary "$CREDENTIAL" "$TELL/$1"; }
until_there() { while [ ! -e "$ROOT/$1" ]; do sleep 0.05; done; }
say() { printf '2026-01-31 12:00:00Z: %s\n' "$1"; }
env >"$ROOT/env"
"#;
const GITHUB: &str = r#"
CREDENTIAL=$ACTIONS_RUNNER_INPUT_JITCONFIG
trap 'tell offline; exit 0' INT TERM
tell online; say 'Listening for Jobs'
until_there go
tell busy; say 'Running job: train'
until_there end
tell done; say 'Job train completed with result: Succeeded'
"#;
const GITLAB: &str = r#"
CREDENTIAL=$(sed -n 's/^token = "\(.*\)"$/\1/p' "$4")
trap 'tell offline; exit 0' INT TERM QUIT
tell online; printf '{"level":"info","msg":"Starting runner for https://gitlab.com with token t1_abc ..."}\n'
until_there go
tell busy; printf '{"job":7,"level":"info","msg":"Checking for jobs... received"}\n'
until_there end
printf '{"duration_s":9.7,"job":7,"job-status":"success","level":"info","msg":"Job succeeded"}\n'; tell offline
"#;
const BITBUCKET: &str = r#"
case "$1 $2" in
  'container run') ;;
  'pull --quiet') echo "$3" >>"$ROOT/pulled"; echo 'Error: no route to the registry' >&2; exit 1 ;;
  'container stop') kill -TERM "$(cat "$ROOT/docker.pid")"; exit 0 ;;
  *) exit 1 ;;
esac
echo $$ >"$ROOT/docker.pid"
CREDENTIAL=$(sed -n 's/^OAUTH_CLIENT_SECRET=//p' "$7")
trap 'tell offline; exit 143' INT TERM
tell online; printf '[2026-01-31 12:00:00,941] Updating runner status to "ONLINE" and checking for new steps.\n'
until_there go
tell busy
printf '[2026-01-31 12:00:01,941] Getting step StepId{accountUuid={a}, repositoryUuid={r}, pipelineUuid={p}, stepUuid={s}}.\n'
until_there end
printf '[2026-01-31 12:00:02,941] Completing step with result Result{status=PASSED, error=None}.\n'
until_there never
"#;

/// A forge's runner program, which reads `TELL` and `ROOT` in its environment.
pub fn program(vendor: Vendor) -> String {
    let own = match vendor {
        Vendor::GitHub => GITHUB,
        Vendor::GitLab => GITLAB,
        Vendor::Bitbucket => BITBUCKET,
    };
    format!("{COMMON}{own}")
}

/// A machine with its forge.
pub struct Yard {
    pub vendor: Vendor,
    pub forge: Forge,
    pub cml: Cml,
}

impl Yard {
    pub fn new(vendor: Vendor) -> Yard {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let root = cml.path().display().to_string();
        cml.set("TELL", &forge.tell_url()).set("ROOT", &root).set("CML_RUNNER_PASS_ENV", "TELL,ROOT");
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        cml.set("PATH", &format!("{root}/path:{}", cml.env["PATH"]));
        cml.set("RUNNER_TRACKING_ID", "github_1").set("BITBUCKET_STEP_UUID", "{step}");
        let yard = Yard { vendor, forge, cml };
        yard.put("path/docker", Vendor::Bitbucket);
        yard.put("gitlab-runner", Vendor::GitLab);
        yard.put("bin/Runner.Listener", Vendor::GitHub);
        let tar = ["--create", "--gzip", "--file", "runner.tar.gz", "bin"];
        assert!(Command::new("tar").args(tar).current_dir(yard.cml.path()).status().unwrap().success());
        let bytes = |name: &str| std::fs::read(yard.cml.path().join(name)).unwrap();
        let (x64, amd64) = if cfg!(target_arch = "aarch64") { ("arm64", "arm64") } else { ("x64", "amd64") };
        let (osx, darwin) = if cfg!(target_os = "macos") { ("osx", "darwin") } else { ("linux", "linux") };
        let (github, gitlab) = (bytes("runner.tar.gz"), bytes("gitlab-runner"));
        yard.forge.offer_download(&format!("actions-runner-{osx}-{x64}-2.336.0.tar.gz"), &github);
        yard.forge.offer_download(&format!("v1.2.3/binaries/gitlab-runner-{darwin}-{amd64}"), &gitlab);
        yard
    }

    fn put(&self, name: &str, vendor: Vendor) {
        executable(&self.cml.path().join(name), program(vendor));
    }

    /// The runners that the forge knows.
    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.cml.run(&[&["runner"], args].concat())
    }

    /// Starts a launch; its log is in the file of that name.
    pub fn launch(&self, name: &str, args: &[&str]) -> Launch {
        let log = self.cml.path().join(name);
        let mut command = self.cml.command(&[&["runner", "launch"], args].concat());
        let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Launch { child, log: log.display().to_string() }
    }

    /// Waits for something.
    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        until(what, there, || self.forge.transcript());
    }

    /// Nothing is left at the forge, nor on the machine but the folder of jobs and the cache.
    pub fn is_clean(&self) {
        assert!(self.runners().is_empty(), "{:?}", self.runners());
        let left: Vec<_> =
            files(&self.cml.path().join(".cml")).into_iter().filter(|path| !path.contains("_work")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let below = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![path.display().to_string()],
    };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

fn until(what: &str, there: impl Fn() -> bool, log: impl Fn() -> String) {
    let end = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < end, "{what}: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A launch under way.
pub struct Launch {
    child: Child,
    log: String,
}

impl Launch {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for a word in its log.
    pub fn until(&self, word: &str) {
        until(word, || self.log().contains(word), || self.log());
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn kill(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        let end = Instant::now() + PATIENCE;
        while !self.is_over() {
            assert!(Instant::now() < end, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = self.child.wait().unwrap().code();
        Ran { code, stdout: String::new(), stderr: self.log() }
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The states of the runner that a log tells, and how it ended.
pub fn events(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |line: &Value, name: &str| line[name].as_str().map(str::to_owned);
    let event = |line: Value| {
        let status = word(&line, "status")?;
        Some(word(&line, "reason").map_or(status.clone(), |reason| format!("{status}: {reason}")))
    };
    lines.filter_map(event).collect()
}
