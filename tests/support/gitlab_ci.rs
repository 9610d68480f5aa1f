//! A project on GitLab whose pipeline includes the component, run by a real engine, <https://github.com/firecow/gitlab-ci-local>,
//! without network, and without containers unless they are asked for: its git server is a folder, its GitLab the fake.
//!
//! `CML_TEST_GITLAB_CI` names the engine's entry, for Node 24; it needs rsync. Without them the tests say so and pass,
//! except in CI.

use super::docker::Docker;
use super::fake::{Forge, Kind, PullRequest, Vendor};
use super::ignored::skipped;
use super::node::node;
use super::{Ran, executable};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VENDOR: Vendor = Vendor::GitLab;

/// A project with a pipeline, and the component's own project beside it.
pub struct Project {
    folder: tempfile::TempDir,
    engine: PathBuf,
    url: String,
    /// The project's variables, as in its settings.
    variables: Vec<(String, String)>,
    /// What runs its jobs in their images, where that is asked for.
    pub docker: Option<Docker>,
}

impl Project {
    /// `group/model` on a forge, from which the native program comes too: one that calls the program under test.
    pub fn on(forge: &Forge) -> Option<Project> {
        let Some(engine) = std::env::var_os("CML_TEST_GITLAB_CI") else {
            skipped("gitlab-ci-local", "set CML_TEST_GITLAB_CI");
            return None;
        };
        if !Command::new("rsync").arg("--version").output().is_ok_and(|output| output.status.success()) {
            skipped("rsync, which gitlab-ci-local copies with", "apt-get install rsync");
            return None;
        }
        node()?;
        let folder = tempfile::tempdir().unwrap();
        let url = forge.url().to_owned();
        let mut project = Project { folder, engine: engine.into(), url, variables: Vec::new(), docker: None };
        project.set("REPO_TOKEN", "good");
        std::fs::create_dir(project.path("home")).unwrap();
        forge.fault("GET /release/cml-linux-x86_64$", 100, Kind::answer(200, &[], &program()));
        project.component(&hex(&program()));
        project.git("model", &["init", "-q", "-b", "feature"]);
        project.git("model", &["remote", "add", "origin", &format!("{}/group/model.git", project.url)]);
        project.file("report.md", "# Report\n\nAccuracy: **0.99**\n");
        Some(project)
    }

    /// The component's project as a release has it: with the digest of the native program.
    fn component(&self, digest: &str) {
        let from = Path::new(ROOT).join("gitlab-component");
        let to = self.path("component");
        copy(&from, &to);
        for file in std::fs::read_dir(to.join("templates")).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let row = format!("'Linux on x86_64') cml_file=cml-linux-x86_64 cml_sha256={digest} ;;\n");
            let made = text.lines().map(|line| match line.trim_start().strip_prefix("*) cml_file=''") {
                Some(_) => format!("{}{row}{line}\n", &line[..line.len() - line.trim_start().len()]),
                None => format!("{line}\n"),
            });
            std::fs::write(&path, made.collect::<String>()).unwrap();
        }
        self.git("component", &["init", "-q", "-b", "main"]);
        // Not served: git itself would say where it is served from.
        self.git("component", &["remote", "add", "origin", &format!("{}/org/own.git", self.url)]);
        self.commit("component");
        self.git("component", &["tag", "1.2.3"]);
        // As the engine asks for it.
        let served = format!("url.file://{}.insteadOf", to.display());
        for url in ["/org/cml", "/org/cml.git"] {
            self.git("component", &["config", "--global", "--add", &served, &format!("{}{url}", self.url)]);
        }
    }

    /// Something beside the repository.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the repository.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("model").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Sets a variable of the project.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.unset(name).variables.push((name.into(), value.into()));
        self
    }

    /// Puts a program of the test's own on PATH: a shell script.
    pub fn program(&self, name: &str, script: &str) {
        executable(&self.path("bin").join(name), format!("#!/bin/sh\n{script}"));
    }

    /// Takes one away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// Writes the pipeline: it includes a template with these inputs, given as YAML, one a line.
    pub fn includes(&self, template: &str, inputs: &str, rest: &str) {
        let url = &self.url;
        let inputs: String = inputs.lines().map(|line| format!("      {line}\n")).collect();
        let inputs = if inputs.is_empty() { inputs } else { format!("    inputs:\n{inputs}") };
        let component = format!("include:\n  - component: $CI_SERVER_FQDN/org/cml/{template}@1\n{inputs}");
        self.file(".gitlab-ci.yml", format!("{component}{rest}").replace("RELEASE", &format!("{url}/release")));
    }

    fn git(&self, name: &str, args: &[&str]) -> String {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let ran = Ran::of(self.clean("git").args(identity).args(args).current_dir(folder));
        ran.ok().trim().to_owned()
    }

    /// Runs a program in the repository.
    pub fn call(&self, program: &str, args: &[&str]) {
        Ran::of(self.clean(program).args(args).current_dir(self.path("model"))).ok();
    }

    fn commit(&self, name: &str) -> String {
        self.git(name, &["add", "-A"]);
        if !self.git(name, &["status", "--porcelain"]).is_empty() {
            self.git(name, &["commit", "-q", "-m", "work"]);
        }
        self.git(name, &["rev-parse", "HEAD"])
    }

    /// Goes to a branch.
    pub fn branch(&self, name: &str) {
        self.git("model", &["checkout", "-q", "-B", name]);
    }

    /// A program that sees nothing of this machine's settings.
    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let node = node().unwrap().parent().unwrap().display();
        let path = format!("{}:{node}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", self.path("home")).stdin(Stdio::null());
        command
    }

    fn run(&self, name: &str, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = self.clean(node().unwrap());
        command.arg(&self.engine).current_dir(self.path(name)).args(args);
        command.args(["--no-artifacts-to-source", "--no-color"]);
        match &self.docker {
            Some(docker) => docker.serve(&mut command, &self.path("store")),
            None => drop(command.args(["--force-shell-executor", "--shell-isolation"])),
        }
        let own = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(variables.iter().copied()) {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        Ran::of(command.arg("--ignore-predefined-vars").arg("CI_PIPELINE_SOURCE"))
    }

    /// Runs the pipeline of merge request 7, whose head is the repository's commit.
    pub fn merge_request(&self) -> Ran {
        self.commit("model");
        let variables = [("CI_PIPELINE_SOURCE", "merge_request_event"), ("CI_MERGE_REQUEST_IID", "7")];
        self.run("model", &["--unset-variable", "CI_COMMIT_BRANCH"], &variables)
    }

    /// Runs the pipeline of a push to the branch.
    pub fn push(&self) -> Ran {
        self.push_with(&[])
    }

    /// The same with variables that GitLab gives it.
    pub fn push_with(&self, variables: &[(&str, &str)]) -> Ran {
        self.commit("model");
        self.run("model", &[], &[&[("CI_PIPELINE_SOURCE", "push")], variables].concat())
    }

    /// The jobs that a pipeline with some variables has.
    pub fn list(&self, args: &[&str], variables: &[(&str, &str)]) -> String {
        self.commit("model");
        self.run("model", &[&["--list"], args].concat(), variables).ok()
    }

    /// Runs the component's own pipeline.
    pub fn own(&self, variables: &[(&str, &str)]) -> Ran {
        self.run("component", &[], variables)
    }

    /// The pipeline of a push as the engine sees it, in YAML.
    pub fn preview(&self) -> Ran {
        self.commit("model");
        self.run("model", &["--preview"], &[])
    }

    /// The repository's commit, which the forge knows then.
    pub fn known(&self, forge: &Forge) -> String {
        let sha = self.commit("model");
        forge.add_commit(VENDOR, &sha);
        sha
    }

    /// Opens merge request `number` for the repository's commit.
    pub fn open(&self, forge: &Forge, number: u64) {
        let sha = self.known(forge);
        forge.add_pull_request(VENDOR, PullRequest::open(number, &sha, "feature"));
    }
}

/// The native program of the release: it calls the program under test.
fn program() -> String {
    let under_test = super::native();
    let under_test = under_test.display();
    let by_name = "name=${0##*/}\n[ \"$name\" = cml ] || set -- \"${name#cml-}\" \"$@\"";
    format!("#!/bin/sh\n{by_name}\nexec '{under_test}' \"$@\"\n")
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
