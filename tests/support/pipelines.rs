//! A repository on Bitbucket whose pipeline is run by an emulator, in containers:
//! <https://pypi.org/project/bitbucket-pipeline-runner/>; `pipelines.py` says what is added to it.
//!
//! `CML_TEST_PIPELINE_RUNNER` names a Python with it; there must be a Docker daemon. Without them the tests say so and
//! pass, except in CI.

use super::docker::Docker;
use super::fake::{Forge, Vendor};
use super::ignored::skipped;
use super::prism::Prism;
use super::{Cml, Ran};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BITBUCKET: Vendor = Vendor::Bitbucket;

/// `team/model`: a clone, what it was cloned from, and the repository's settings.
pub struct Repository {
    pub forge: Forge,
    /// What is before it: whatever is against Bitbucket's description is refused.
    prism: Prism,
    /// The clone of a person.
    pub clone: Cml,
    /// The variables of the repository's settings.
    pub variables: BTreeMap<String, String>,
    /// How long a step waits for a runner.
    pub patience: Duration,
    docker: Docker,
    python: PathBuf,
    outside: tempfile::TempDir,
}

impl Repository {
    /// With these files, and `main` pushed.
    pub fn of(files: &Path) -> Option<Repository> {
        let docker = Docker::find()?;
        let Some(python) = std::env::var_os("CML_TEST_PIPELINE_RUNNER") else {
            skipped("bitbucket-pipeline-runner", "set CML_TEST_PIPELINE_RUNNER");
            return None;
        };
        let forge = Forge::start();
        let prism = Prism::guarding(BITBUCKET, &forge)?;
        let variables = [
            ("REPO_TOKEN", "good"),
            ("BITBUCKET_API_URL", &prism.api()),
            ("BITBUCKET_GIT_HTTP_ORIGIN", &forge.repo_url(BITBUCKET)),
            ("BITBUCKET_REPO_FULL_NAME", BITBUCKET.slug()),
            // It is not at bitbucket.org.
            ("CML_REPO", &forge.repo_url(BITBUCKET)),
            ("CML_DRIVER", "bitbucket"),
            ("BITBUCKET_STEP_RUN_NUMBER", "1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let outside = tempfile::tempdir().unwrap();
        let (clone, python, patience) = (Cml::alone(), python.into(), Duration::from_secs(30));
        let repository = Repository { forge, prism, clone, variables, patience, docker, python, outside };
        repository.fill(files);
        Some(repository)
    }

    fn fill(&self, files: &Path) {
        let clone = &self.clone;
        for file in std::fs::read_dir(files).unwrap().map(Result::unwrap) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            clone.file(file.file_name().to_str().unwrap(), self.with_images(&text));
        }
        clone.file(".gitignore", "/report.md\n/.config\n");
        let bare = self.bare();
        clone.git(&["init", "-q"]);
        clone.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
        clone.git(&["remote", "add", "origin", bare.to_str().unwrap()]);
        self.forge.serve_git(BITBUCKET, &bare);
    }

    /// The repository on Bitbucket.
    pub fn bare(&self) -> PathBuf {
        self.outside.path().join("model.git")
    }

    /// A folder that is mounted in every step, at the same path.
    pub fn volume(&self) -> PathBuf {
        let folder = self.outside.path().join("volume");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Runs a script in the clone, in the image that steps have.
    pub fn script(&self, script: &str) -> Ran {
        let mount = |path: &Path| format!("--volume={0}:{0}", path.display());
        let mut command = self.docker.command(&["run", "--rm", "--network", "host", "--entrypoint", "sh"]);
        command.args([&mount(self.clone.path()), &mount(&self.volume())]).arg("--workdir").arg(self.clone.path());
        Ran::of(command.arg(self.docker.image("train")).args(["-ec", script]))
    }

    /// The volumes by which a step runs pipes.
    fn for_pipes(&self) -> Vec<String> {
        let socket = self.docker.environment().map(|(_, host)| host);
        let socket = socket.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
        vec![
            format!("{}:/usr/local/bin/docker:ro", self.docker.client.display()),
            format!("{socket}:/var/run/docker.sock"),
        ]
    }

    /// A file as the engine can run it: with images that are here.
    pub fn with_images(&self, text: &str) -> String {
        let pipe = format!("docker://org/cml-pipe:{}", env!("CARGO_PKG_VERSION"));
        self.docker
            .in_place_of_cmls(text)
            .replace("python:3.13", &self.docker.image("train"))
            .replace("org/cml:1-dvc3", &self.docker.image("train"))
            .replace(&pipe, &format!("docker://{}", self.docker.image("pipe")))
    }

    /// Commits everything to `main`, and pushes it. Gives the commit.
    pub fn push(&self) -> String {
        self.clone.git(&["add", "-A"]);
        self.clone.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
        self.clone.git(&["push", "-q", "origin", "HEAD:main"]);
        let sha = self.clone.git(&["rev-parse", "HEAD"]);
        self.forge.add_commit(BITBUCKET, &sha);
        sha
    }

    /// Starts the pipeline of a push. What it says goes into a file.
    pub fn start(&self) -> Pipeline {
        self.start_named("default")
    }

    /// Starts a pipeline: `pull-requests.**`.
    pub fn start_named(&self, name: &str) -> Pipeline {
        let settings = self.outside.path().join("settings.env");
        let lines = self.variables.iter().map(|(name, value)| format!("{name}='{value}'\n"));
        std::fs::write(&settings, lines.collect::<String>()).unwrap();
        let log = self.outside.path().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(&self.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/pipelines.py"));
        command.arg(self.clone.path()).arg(name).arg(settings).arg(self.docker.image("train"));
        command.arg(self.volume()).args(self.for_pipes());
        command.env_clear().envs(self.docker.environment());
        command.env("HOME", self.outside.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CLONE_TOKEN", "good");
        command.env("WAIT_FOR_RUNNER", self.patience.as_secs().to_string());
        command.current_dir(self.outside.path()).stdin(Stdio::null());
        Pipeline { child: command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap(), log }
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.prism.violations(BITBUCKET.slug()), [""; 0]);
        }
    }
}

/// A pipeline that runs.
pub struct Pipeline {
    child: Child,
    log: PathBuf,
}

impl Pipeline {
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// How it ended, and what it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        (status.code(), std::fs::read_to_string(&self.log).unwrap())
    }
}

impl Drop for Pipeline {
    /// It takes its containers away.
    fn drop(&mut self) {
        if !self.is_over() {
            let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
            let _ = self.child.wait();
        }
    }
}
