//! A working copy as a CI makes it, of a real repository that the fake forge serves over HTTP, with a git that writes
//! down how it is called.

use super::fake::{Forge, Vendor};
use super::{Cml, executable};
use std::path::{Path, PathBuf};

/// The clone, the repository that it is of, and what is watched.
pub struct Clone {
    pub forge: Forge,
    pub cml: Cml,
    pub vendor: Vendor,
    /// The commit that the pipeline is about.
    pub trigger: String,
    outside: tempfile::TempDir,
}

/// What must be the same afterwards.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    config: String,
    global: String,
    head: String,
    branches: String,
    index: Vec<u8>,
    status: String,
    files: Vec<String>,
}

impl Clone {
    /// In the pipeline of a push to `main`, detached, as CI systems check out.
    pub fn on(vendor: Vendor) -> Clone {
        Clone::of(Forge::start(), vendor)
    }

    /// The same with a forge.
    pub fn of(forge: Forge, vendor: Vendor) -> Clone {
        let cml = Cml::on(&forge, vendor);
        let outside = tempfile::tempdir().unwrap();
        let mut clone = Clone { forge, cml, vendor, trigger: String::new(), outside };
        clone.surround();
        let cml = &clone.cml;
        cml.file("model.json", "{}\n");
        cml.file("data/old.csv", "1\n");
        cml.file(".gitignore", "*.tmp\nevent.json\nreport.md\n");
        cml.git(&["init", "-q"]);
        cml.git(&["add", "."]);
        cml.git(&["commit", "-q", "-m", "first"]);
        let bare = clone.bare();
        cml.git(&["init", "-q", "--bare", bare.to_str().unwrap()]);
        for (key, value) in [("receive.advertisePushOptions", "true"), ("uploadpack.allowAnySHA1InWant", "true")] {
            cml.git(&["--git-dir", bare.to_str().unwrap(), "config", key, value]);
        }
        cml.git(&["push", "-q", bare.to_str().unwrap(), "main"]);
        clone.forge.serve_git(vendor, &bare);
        cml.git(&["remote", "add", "origin", &format!("{}.git", clone.forge.repo_url(vendor))]);
        cml.git(&["checkout", "-q", "--detach"]);
        let trigger = cml.git(&["rev-parse", "HEAD"]);
        clone.about(&trigger, "main");
        clone
    }

    /// Its home, its times, and a git before the real one.
    fn surround(&mut self) {
        let outside = self.outside.path().to_path_buf();
        let real = std::env::var_os("PATH").unwrap_or_default();
        let real = std::env::split_paths(&real).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
        let script = outside.join("bin/git");
        let log = outside.join("log");
        let text = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", log.display(), real.display());
        executable(&script, text);
        std::fs::write(outside.join(".gitconfig"), "[core]\n\tautocrlf = false\n").unwrap();
        let home = outside.display().to_string();
        self.cml.set("HOME", &home).set("GIT_CONFIG_NOSYSTEM", "1");
        self.cml.set("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z").set("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        let path = self.cml.env["PATH"].clone();
        self.cml.set("PATH", &format!("{home}/bin:{path}"));
    }

    /// The pipeline is about a commit of a branch.
    pub fn about(&mut self, commit: &str, branch: &str) {
        self.trigger = commit.to_owned();
        for name in ["GITHUB_EVENT_PATH", "CI_MERGE_REQUEST_IID", "BITBUCKET_PR_ID"] {
            self.cml.unset(name);
        }
        for name in ["GITHUB_SHA", "CI_COMMIT_SHA", "BITBUCKET_COMMIT"] {
            self.cml.set(name, commit);
        }
        self.cml.set("GITHUB_REF", &format!("refs/heads/{branch}"));
        self.cml.set("CI_COMMIT_REF_NAME", branch).set("BITBUCKET_BRANCH", branch);
    }

    /// The branch that is made unless another is asked for.
    pub fn branch(&self) -> String {
        format!("main-cml-pr-{}", &self.trigger[..8])
    }

    pub fn bare(&self) -> PathBuf {
        self.outside.path().join("model.git")
    }

    /// git in the repository on the forge.
    pub fn there(&self, args: &[&str]) -> String {
        self.cml.git(&[&["--git-dir", self.bare().to_str().unwrap()], args].concat())
    }

    /// The files that a commit of the forge's changed, with the letter of the change.
    pub fn changes(&self, commit: &str) -> String {
        self.there(&["show", "--format=", "--name-status", "--no-renames", commit]).replace('\t', " ")
    }

    /// How git was called since the last time this was asked, one call a line.
    pub fn calls(&self) -> Vec<String> {
        let log = self.outside.path().join("log");
        let calls = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(log);
        calls.lines().map(str::to_owned).collect()
    }

    /// Lets the server refuse each push with a text.
    pub fn refuse(&self, text: &str) {
        self.hook(&format!("echo '{text}' >&2\nexit 1\n"));
    }

    /// Lets the server write the options of each push to the file `options`.
    pub fn note_options(&self) {
        self.hook(&format!("echo \"$GIT_PUSH_OPTION_0\" > {}/options\n", self.bare().display()));
    }

    fn hook(&self, script: &str) {
        executable(&self.bare().join("hooks/pre-receive"), format!("#!/bin/sh\n{script}"));
    }

    /// Everything that may not change.
    pub fn state(&self) -> State {
        let read = |path: &Path| std::fs::read(path).unwrap_or_default();
        let folder = self.cml.path().join(".git");
        let index = read(&folder.join("index"));
        let mut files: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        State {
            config: String::from_utf8(read(&folder.join("config"))).unwrap(),
            global: String::from_utf8(read(&self.outside.path().join(".gitconfig"))).unwrap(),
            head: String::from_utf8(read(&folder.join("HEAD"))).unwrap(),
            branches: self.cml.git(&["for-each-ref", "refs/heads", "refs/tags"]),
            index,
            status: self.cml.git(&["--no-optional-locks", "status", "--porcelain"]),
            files,
        }
    }
}
