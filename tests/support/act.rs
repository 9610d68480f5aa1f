//! A repository whose workflow uses the action, run by a real engine: <https://nektosact.com>, without containers
//! but for jobs that ask for one.
//!
//! `CML_TEST_ACT` names the program, else `act` is looked for on PATH. Without it (or without Node 24) the tests
//! that need it say so and pass, except in CI.

use super::docker::Docker;
use super::executable;
use super::fake::{Forge, HEAD, Vendor};
use super::ignored::skipped;
use super::node::{action, node};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The token that a job gets, `${{ github.token }}`, unless a test says otherwise: it may do everything.
const TOKEN: &str = "good";

/// The engine knows this one: it is a copy of the repository.
const CHECKOUT: &str = "      - uses: actions/checkout@v5\n";

/// A repository that uses the action, with one workflow.
pub struct Consumer {
    folder: tempfile::TempDir,
    act: PathBuf,
    /// The variables that every step sees.
    pub env: BTreeMap<String, String>,
    /// `${{ secrets.GITHUB_TOKEN }}`, `${{ github.token }}` and `${{ secrets.RUNNER_TOKEN }}`.
    pub token: String,
    /// Further secrets of the repository.
    secrets: BTreeMap<String, String>,
    /// Other actions that the workflow uses, by `owner/name@ref`.
    pub actions: BTreeMap<String, PathBuf>,
    /// What runs the containers of its jobs, if they have any.
    pub docker: Option<Docker>,
    offline: bool,
}

impl Consumer {
    /// With a report, on no forge.
    pub fn new() -> Option<Consumer> {
        let act = PathBuf::from(std::env::var_os("CML_TEST_ACT").unwrap_or("act".into()));
        if !Command::new(&act).arg("--version").output().is_ok_and(|output| output.status.success()) {
            skipped("act", "set CML_TEST_ACT");
            return None;
        }
        node()?;
        let folder = tempfile::tempdir().unwrap();
        action(&folder.path().join("action"));
        let actions = BTreeMap::from([("org/setup-cml-rs@v1".to_owned(), folder.path().join("action"))]);
        let (env, token, secrets) = (BTreeMap::new(), TOKEN.to_owned(), BTreeMap::new());
        let mut consumer = Consumer { folder, act, env, token, secrets, actions, docker: None, offline: false };
        std::fs::create_dir(consumer.path("out")).unwrap();
        let out = consumer.path("out").display().to_string();
        consumer.set("OUT", &out);
        consumer.git(&["init", "-q", "-b", "feature"]);
        consumer.file("report.md", "# Report\n\nAccuracy: **0.99**\n");
        Some(consumer)
    }

    /// As `octo/model` on a forge.
    pub fn on(forge: &Forge) -> Option<Consumer> {
        let mut consumer = Consumer::new()?;
        consumer.set("GITHUB_REPOSITORY", Vendor::GitHub.slug()).set("GITHUB_SERVER_URL", forge.url());
        consumer.api(&forge.api(Vendor::GitHub));
        Some(consumer)
    }

    /// Where the forge's API is.
    pub fn api(&mut self, url: &str) -> &mut Self {
        self.set("GITHUB_API_URL", url).set("GITHUB_GRAPHQL_URL", &format!("{url}/graphql"))
    }

    /// Sets a variable of every step.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Adds a secret of the repository.
    pub fn secret(&mut self, name: &str, value: &str) -> &mut Self {
        self.secrets.insert(name.into(), value.into());
        self
    }

    /// From now on the engine and all that it starts have no network interface, where this machine can do that.
    pub fn go_offline(&mut self) -> bool {
        let unshare = Command::new("unshare").args(["-rn", "true"]).stderr(Stdio::null()).status();
        self.offline = unshare.is_ok_and(|status| status.success());
        self.offline
    }

    /// Something beside the repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the repository.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("repository").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Puts a program of the test's own on PATH: a shell script.
    pub fn program(&self, name: &str, script: &str) {
        executable(&self.path("bin").join(name), format!("#!/bin/sh\n{script}"));
    }

    /// Adds an action of the test's own: a shell script.
    pub fn action(&mut self, name: &str, inputs: &[&str], script: &str) {
        let folder = self.path(&name.replace('/', "-"));
        std::fs::create_dir_all(&folder).unwrap();
        let inputs: Value = inputs.iter().map(|input| ((*input).to_owned(), json!({ "description": "" }))).collect();
        let step = json!({ "shell": "sh", "run": script });
        let text = json!({ "name": name, "description": "", "inputs": inputs,
            "runs": { "using": "composite", "steps": [step] } });
        std::fs::write(folder.join("action.yml"), text.to_string()).unwrap();
        self.actions.insert(name.into(), folder);
    }

    /// The repository's workflow `train`: one job that checks the repository out and does these steps.
    pub fn steps(&self, steps: &str) {
        self.job("", steps);
    }

    /// The same with more keys of the job.
    pub fn job(&self, keys: &str, steps: &str) {
        let indented = |by: &str, text: &str| -> String {
            text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{by}{line}\n")).collect()
        };
        let (keys, steps) = (indented("    ", keys), indented("      ", steps));
        let events = "on: [pull_request, push, workflow_run]";
        let job = format!("  train:\n    runs-on: ubuntu-latest\n{keys}    steps:\n{CHECKOUT}{steps}");
        self.workflow(&format!("name: train\n{events}\njobs:\n{job}"));
    }

    /// The repository's workflow.
    pub fn workflow(&self, text: &str) {
        self.file(".github/workflows/train.yml", text);
    }

    /// Commits what has changed; returns the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        if !self.git(&["status", "--porcelain"]).is_empty() {
            self.git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "work"]);
        }
        self.git(&["rev-parse", "HEAD"])
    }

    /// Goes to a branch.
    pub fn branch(&self, name: &str) {
        self.git(&["checkout", "-q", "-B", name]);
    }

    /// git in the repository.
    pub fn git(&self, args: &[&str]) -> String {
        let folder = self.path("repository");
        std::fs::create_dir_all(&folder).unwrap();
        let output = self.clean("git").args(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A program that sees nothing of this machine's settings, and Node 24 before any other.
    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let folders = [self.path("bin"), node().unwrap().parent().unwrap().to_owned()];
        let path =
            format!("{}:{}:{}", folders[0].display(), folders[1].display(), std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", self.path("home")).env("XDG_CACHE_HOME", self.path("cache"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs the workflow for an event, after a commit of everything.
    pub fn run(&self, name: &str, event: &Value) -> Done {
        self.commit();
        std::fs::write(self.path("event.json"), event.to_string()).unwrap();
        let mut command = if self.offline { self.clean("unshare") } else { self.clean(&self.act) };
        if self.offline {
            command.arg("-rn").arg(&self.act);
        }
        command.args([name, "--json", "--no-cache-server", "--pull=false", "-P", "ubuntu-latest=-self-hosted"]);
        command.args(["-P", "self-hosted=-self-hosted"]);
        command.arg("--eventpath").arg(self.path("event.json")).current_dir(self.path("repository"));
        for (name, value) in &self.env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        for (name, folder) in &self.actions {
            command.arg("--local-repository").arg(format!("{name}={}", folder.display()));
        }
        if let Some(docker) = &self.docker {
            // They get this machine's network, and no way to the daemon.
            command.args(["--container-daemon-socket", "-"]).envs(docker.environment());
        }
        // In a file: steps see the engine's environment, and the list of processes its arguments.
        let mut secrets = format!("GITHUB_TOKEN={0}\nRUNNER_TOKEN={0}\n", self.token);
        secrets.extend(self.secrets.iter().map(|(name, value)| format!("{name}={value:?}\n")));
        std::fs::write(self.path("secrets"), secrets).unwrap();
        command.arg("--secret-file").arg(self.path("secrets"));
        let output = command.output().unwrap();
        let lines = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let records = lines.concat().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let done = Done { code: output.status.code(), records, errors: lines[1].clone() };
        done.hides(&self.token);
        done
    }

    /// A run for pull request 7, from a repository, that fails and says why. The engine loses the last lines of a step that fails, now and then on a busy machine: then it runs
    /// again, twice at most.
    #[track_caller]
    pub fn refused(&self, repository: &str) -> Done {
        let run = || self.run("pull_request", &pull_request(repository)).failed();
        let mut done = run();
        for _ in 0..2 {
            if done.annotations().is_empty() {
                done = run();
            }
        }
        done
    }

    /// Runs it for pull request 7.
    pub fn pull_request(&self) -> Done {
        self.run("pull_request", &pull_request(Vendor::GitHub.slug()))
    }

    /// What a step wrote to `$OUT/<name>`.
    pub fn out(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("out").join(name)).unwrap_or_default()
    }
}

/// The event of pull request 7 whose branch is in a repository.
pub fn pull_request(repository: &str) -> Value {
    let head = json!({ "ref": "feature", "sha": HEAD, "repo": { "full_name": repository } });
    json!({ "action": "synchronize", "number": 7, "pull_request": { "number": 7, "head": head } })
}

/// A warning or error of a run, with the place that it is about.
#[derive(Debug, PartialEq)]
pub struct Annotation {
    pub kind: String,
    /// `file=…,line=…`, sorted.
    pub about: String,
    pub text: String,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    /// The engine's log.
    records: Vec<Value>,
    errors: String,
}

impl Done {
    /// A run all of whose jobs succeeded.
    #[track_caller]
    pub fn ok(self) -> Done {
        assert_eq!((self.code, self.jobs("success")), (Some(0), self.jobs("")), "{self}");
        self
    }

    /// A run that failed.
    #[track_caller]
    pub fn failed(self) -> Done {
        assert_eq!((self.code, self.jobs("failure")), (Some(1), 1), "{self}");
        self
    }

    /// How many jobs ended so; all for no text.
    pub fn jobs(&self, result: &str) -> usize {
        let results = self.records.iter().filter_map(|record| record["jobResult"].as_str());
        results.filter(|found| result.is_empty() || *found == result).count()
    }

    /// How a step ended; empty when it did not run.
    pub fn step(&self, id: &str) -> &str {
        let mut of_step = self.records.iter().filter(|record| record["stepID"][0] == id);
        of_step.find_map(|record| record["stepResult"].as_str()).unwrap_or_default()
    }

    /// What a step printed, workflow commands aside.
    pub fn said(&self, id: &str) -> String {
        let of_step = self.records.iter().filter(|r| r["stepID"][0] == id && r["raw_output"] == true);
        of_step.filter_map(|record| record["msg"].as_str()).collect()
    }

    /// The workflow commands of a step that the engine carried out.
    pub fn commands(&self, id: &str) -> Vec<&str> {
        let of_step = self.records.iter().filter(|record| record["stepID"][0] == id);
        of_step.filter_map(|record| record["command"].as_str()).collect()
    }

    /// What a step added to the job's page.
    pub fn summary(&self, id: &str) -> String {
        let of_step = self.records.iter().filter(|r| r["stepID"][0] == id && r["command"] == "summary");
        of_step.filter_map(|record| record["content"].as_str()).collect()
    }

    /// The warnings and errors that the run's page shows.
    pub fn annotations(&self) -> Vec<Annotation> {
        let told = self.records.iter().filter(|r| matches!(r["command"].as_str(), Some("warning" | "error")));
        told.map(|record| {
            let pairs: BTreeMap<String, String> = serde_json::from_value(record["kvPairs"].clone()).unwrap_or_default();
            let about: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            Annotation { kind: text("command"), about: about.join(","), text: text("arg") }
        })
        .collect()
    }

    /// The only annotation.
    #[track_caller]
    pub fn annotation(&self) -> (String, String, String) {
        let mut all = self.annotations();
        assert_eq!(all.len(), 1, "{self}");
        let Annotation { kind, about, text } = all.remove(0);
        (kind, about, text)
    }

    /// Whether a secret is nowhere in the log. The engine's own record of a mask has it in a field that its
    /// readable log does not show.
    #[track_caller]
    pub fn hides(&self, secret: &str) {
        let shown = |record: &&Value| {
            let is_mask = record["command"] == "add-mask";
            record["msg"].as_str().is_some_and(|text| text.contains(secret))
                || (!is_mask && record.to_string().contains(secret))
        };
        assert!(
            !self.errors.contains(secret) && self.records.iter().find(shown).is_none(),
            "{secret} is shown: {self}"
        );
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.records.iter().filter_map(|record| record["msg"].as_str());
        writeln!(f, "exit code {:?}", self.code)?;
        lines.map(str::trim_end).try_for_each(|line| writeln!(f, "{line}"))?;
        f.write_str(&self.errors)
    }
}
