//! The images of `image/Dockerfile` in a real Docker daemon.
//!
//! `cargo xtask test` builds them of the program as it is released, names the client with `CML_TEST_DOCKER`, and the daemon
//! with `DOCKER_HOST`. Without them the tests that need one are ignored; in CI only where it says, with no name, that there is no
//! daemon.

use super::ignored::{ignored, skipped};
use super::{Cml, Ran};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A client.
pub struct Docker {
    /// Its path.
    pub client: PathBuf,
}

impl Docker {
    /// The one that is named.
    pub fn find() -> Option<Docker> {
        let client = std::env::var_os("CML_TEST_DOCKER");
        if client.is_none() {
            skipped("Docker daemon with the images", "set CML_TEST_DOCKER");
        }
        let client = PathBuf::from(client?);
        if client.as_os_str().is_empty() {
            ignored("no Docker daemon, and none can be started: apt-get install docker.io debootstrap");
            return None;
        }
        Some(Docker { client })
    }

    /// The image of a target: `cml`, `pipe` or `train`.
    pub fn image(&self, target: &str) -> String {
        format!("cml-test:{target}")
    }

    /// What a user of CML wrote, with the image to train in in the place of CML's.
    pub fn in_place_of_cmls(&self, text: &str) -> String {
        text.replace("iterativeai/cml:0-dvc2-base1", &self.image("train"))
    }

    /// What leads other programs to the daemon.
    pub fn environment(&self) -> Option<(&'static str, String)> {
        std::env::var("DOCKER_HOST").ok().map(|host| ("DOCKER_HOST", host))
    }

    /// The client, with arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command.args(args).env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
        command
    }

    /// A line that a user would type, with the client as `docker`.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-euc").arg(format!("docker() {{ \"$CML_TEST_DOCKER\" \"$@\"; }}\n{line}")).stdin(Stdio::null());
        command
    }

    /// Tells gitlab-ci-local, which is `command`, to run jobs in this machine's network and with a folder at the same place.
    pub fn serve(&self, command: &mut Command, folder: &Path) {
        command.arg("--container-executable").arg(&self.client).args(["--network", "host"]);
        command.arg("--volume").arg(format!("{0}:{0}", folder.display()));
        // For its own chores it would pull one.
        command.args(["--helper-image", &self.image("train")]);
        command.envs(self.environment());
    }

    /// What a client's command prints.
    pub fn says(&self, args: &[&str]) -> String {
        Ran::of(&mut self.command(args)).ok().trim().to_owned()
    }

    /// Runs an image in the working copy of `cml`, with its environment and this machine's network. No value is an argument.
    pub fn run(&self, target: &str, cml: &Cml, options: &[&str], args: &[&str]) -> Ran {
        let mut command = self.command(&["run", "--rm", "--network", "host"]);
        let folder = cml.path().display().to_string();
        command.args(["--volume", &format!("{folder}:{folder}"), "--workdir", &folder]);
        // Its home and its programs are the image's own.
        for (name, value) in cml.env.iter().filter(|(name, _)| !["HOME", "PATH"].contains(&name.as_str())) {
            command.args(["--env", name]).env(name, value);
        }
        Ran::of(command.args(options).arg(self.image(target)).args(args))
    }

    /// The files of an image, without its folders and what the daemon puts into each container.
    pub fn files(&self, target: &str, folder: &Path) -> Vec<String> {
        let container = self.says(&["create", &self.image(target), "none"]);
        let tar = folder.join("image.tar");
        self.says(&["export", "--output", tar.to_str().unwrap(), &container]);
        self.says(&["rm", &container]);
        let listed = Ran::of(Command::new("tar").arg("-tf").arg(tar)).ok();
        let daemons =
            ["dev/", "proc/", "sys/", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", ".dockerenv"];
        let files = listed.lines().filter(|file| !file.ends_with('/'));
        files.filter(|file| !daemons.iter().any(|theirs| file.starts_with(theirs))).map(str::to_owned).collect()
    }
}
