//! The action as the runner starts it: the files of a release in Node 24.
//!
//! `CML_TEST_NODE` names the program, else `node` is looked for on PATH. Without a Node 24 the tests that need it
//! are ignored, except in CI.

use super::Ran;
use super::ignored::skipped;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Node 24.
pub fn node() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let program = std::env::var_os("CML_TEST_NODE").unwrap_or("node".into());
        // The path itself: on PATH there may be a shim, which needs more of an environment than the tests give.
        let output = Command::new(&program).args(["-p", "process.version + ' ' + process.execPath"]).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (version, path) = said.split_once(' ')?;
        version.starts_with("v24.").then(|| path.into())
    };
    let found = FOUND.get_or_init(find).as_deref();
    if found.is_none() {
        skipped("Node 24", "set CML_TEST_NODE");
    }
    found
}

/// Puts what a release has of the action into a folder.
pub fn action(folder: &Path) {
    let (from, to) = (Path::new(ROOT).join("dist"), folder.join("dist"));
    std::fs::create_dir_all(&to).unwrap();
    std::fs::copy(Path::new(ROOT).join("action.yml"), folder.join("action.yml")).unwrap();
    let files = std::fs::read_dir(&from).unwrap_or_else(|e| panic!("{}: {e}: run cargo xtask dist", from.display()));
    for file in files.map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// One job of a runner: its folders, and the environment that its steps share.
pub struct Runner {
    folder: tempfile::TempDir,
    pub action: PathBuf,
    pub temp: PathBuf,
    pub env: BTreeMap<String, String>,
}

impl Runner {
    pub fn new() -> Option<Runner> {
        Runner::named("action", "temp")
    }

    /// The same with names of one's own for the action's folder and the runner's temporary one.
    pub fn named(action_folder: &str, temp_folder: &str) -> Option<Runner> {
        node()?;
        let folder = tempfile::tempdir().unwrap();
        let (action_folder, temp) = (folder.path().join(action_folder), folder.path().join(temp_folder));
        action(&action_folder);
        let mut runner = Runner { folder, action: action_folder, temp, env: BTreeMap::new() };
        for name in ["cache", "work"] {
            std::fs::create_dir(runner.path(name)).unwrap();
        }
        std::fs::create_dir_all(&runner.temp).unwrap();
        for file in ["GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
            std::fs::write(runner.path(file), "").unwrap();
            let path = runner.path(file).display().to_string();
            runner.set(file, &path);
        }
        let (temp, cache) = (runner.temp.display().to_string(), runner.path("cache").display().to_string());
        runner.set("RUNNER_TEMP", &temp).set("RUNNER_TOOL_CACHE", &cache);
        runner.set("GITHUB_ACTIONS", "true").set("CI", "true").set("GITHUB_REPOSITORY", "octo/model");
        runner.set("PATH", &std::env::var("PATH").unwrap_or_default());
        Some(runner)
    }

    /// Sets a variable of all steps.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Something in the job's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a file there says.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The step `uses: org/setup-cml-rs@v1` with inputs, ready to start.
    pub fn step(&self, with: &[(&str, &str)]) -> Command {
        let mut command = Command::new(node().unwrap());
        command.arg(self.action.join("dist/index.js"));
        let inputs = with.iter().map(|(name, value)| (format!("INPUT_{}", name.to_ascii_uppercase()), value));
        let mut command = self.prepared(command);
        command.envs(inputs).current_dir(self.path("work"));
        command
    }

    /// That step, run.
    pub fn uses(&self, with: &[(&str, &str)]) -> Ran {
        Ran::of(&mut self.step(with))
    }

    /// The step `run: …`, ready to start: PATH begins with what the steps before it added.
    pub fn script(&self, text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-e", "-c", text]);
        let added: Vec<String> = self.read("GITHUB_PATH").lines().rev().map(|folder| format!("{folder}:")).collect();
        let path = format!("{}{}", added.concat(), self.env["PATH"]);
        let mut command = self.prepared(command);
        command.current_dir(self.path("work")).env("PATH", path);
        command
    }

    /// That step, run.
    pub fn run(&self, text: &str) -> Ran {
        Ran::of(&mut self.script(text))
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }
}
