//! Whole lives on the cloud `dummy`, whose instance is a process of this machine: launch, agent, job, end.
//!
//! Real: the program, on both sides, and its processes. Scripted: the forge, and the forges' runner programs
//! (`launch/fixture.rs`). Not there: a machine, its start script and systemd, for which there is `rehearsal.rs`.

use super::fixture::last_line;
use crate::launch::fixture::{begin_job, program};
use crate::support::fake::{Doing, Forge, Vendor};
use crate::support::ignored::{ignored, is_native_only};
use crate::support::{Cml, Ran, eventually, executable};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cml::digest::hash;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program as Cargo builds it with the tests: as it is released, it has no such cloud.
const PROGRAM: &str = env!("CARGO_BIN_EXE_cml");

pub struct Life {
    pub vendor: Vendor,
    pub forge: Forge,
    pub cml: Cml,
    /// The cloud: a folder with a folder for each instance.
    pub region: PathBuf,
    /// What the runner program and the job leave.
    pub job: PathBuf,
}

impl Life {
    /// `None` where the program has no such cloud.
    pub fn new(vendor: Vendor) -> Option<Life> {
        Life::started_by(vendor, "exec")
    }

    /// The same, in which a command of the shell starts the program on the instance.
    pub fn started_by(vendor: Vendor, start: &str) -> Option<Life> {
        if is_native_only() {
            return None;
        }
        if !cfg!(debug_assertions) {
            ignored("builds with debug assertions only");
            return None;
        }
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let (region, job) = (cml.path().join("region"), cml.path().join("job"));
        for folder in [&region, &job] {
            std::fs::create_dir(folder).unwrap();
        }
        // The program that the instance downloads stands for the real one, which is too large to be sent each time.
        let binary = format!("#!/bin/sh\n{start} '{PROGRAM}' \"$@\"\n");
        forge.offer_download("cml", binary.as_bytes());
        offer_runner(&forge, vendor, cml.path(), &job);
        cml.set("CML_RUNNER_CLOUD", "dummy").set("CML_RUNNER_CLOUD_REGION", &region.display().to_string());
        cml.set("CML_RUNNER_BOOTSTRAP_URL", &format!("{}/cml", forge.downloads_url()));
        cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &hash(binary.as_bytes()));
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        Some(Life { vendor, forge, cml, region, job })
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("runner").args(args).current_dir(self.cml.path()).env_clear().envs(&self.cml.env);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// What the only instance has written.
    pub fn of_instance(&self, name: &str) -> String {
        let folders = std::fs::read_dir(&self.region).unwrap().map(|folder| folder.unwrap().path());
        folders.map(|folder| std::fs::read_to_string(folder.join(name)).unwrap_or_default()).collect()
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || {
            format!("{:?} {}", self.forge.runners(self.vendor, self.vendor.slug()), self.of_instance("console"))
        });
    }

    pub fn until_doing(&self, doing: Doing) {
        let runners = || self.forge.runners(self.vendor, self.vendor.slug());
        self.until(&format!("{doing:?}"), || runners().iter().any(|runner| runner.doing == doing));
    }
}

/// Offers the forge's runner program to an instance, which gets nothing of the launcher's environment: what it needs is written into it. It
/// and its job leave files in the folder `job`.
pub fn offer_runner(forge: &Forge, vendor: Vendor, folder: &Path, job: &Path) {
    let known = format!("#!/bin/sh\nTELL='{}'; ROOT='{}'; LAUNCHED=1\n", forge.tell_url(), job.display());
    let text = program(vendor).replacen("#!/bin/sh\n", &known, 1);
    let arm = cfg!(target_arch = "aarch64");
    let package = package(folder, &text);
    let arch = if arm { "arm64" } else { "x64" };
    forge.offer_download(&format!("actions-runner-linux-{arch}-2.336.0.tar.gz"), &package);
    let arch = if arm { "arm64" } else { "amd64" };
    forge.offer_download(&format!("v1.2.3/binaries/gitlab-runner-linux-{arch}"), text.as_bytes());
}

/// GitHub's package.
fn package(folder: &Path, text: &str) -> Vec<u8> {
    executable(&folder.join("package/bin/Runner.Listener"), text);
    let tar = Command::new("tar").args(["-czf", "p.tar.gz", "-C", "package", "bin"]).current_dir(folder).status();
    assert!(tar.unwrap().success());
    std::fs::read(folder.join("p.tar.gz")).unwrap()
}

fn live_for_a_job(vendor: Vendor) {
    let Some(life) = Life::new(vendor) else { return };
    let ran = life.run(&["launch", "--single"]);
    assert_eq!(ran.code, Some(0), "{ran:#?} {}", life.of_instance("console"));
    let (line, runner) = (last_line(&ran), life.forge.runners(vendor, vendor.slug()).remove(0));
    assert_eq!((line["id"].as_str(), line["cloud"].as_str()), (Some(&*runner.name), Some("dummy")), "{ran:#?}");
    assert!(runner.name.starts_with("cml-dummy-"), "{runner:?}");
    assert!(!ran.stderr.contains(&runner.credential), "{ran:#?}");
    let list = life.run(&["list"]).ok();
    assert!(list.contains(&format!("\n{}  {}  process ", line["instanceId"].as_str().unwrap(), runner.name)), "{list}");
    // Its configuration is read once.
    assert_eq!(life.of_instance("launch.json"), "");

    begin_job(vendor, &life.forge, &life.job);
    life.until_doing(Doing::Busy);
    let ran = life.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
    assert_eq!((&*ran.stdout, ran.code), ("", Some(0)), "{ran:#?}");
    std::fs::write(life.job.join("end"), "").unwrap();
    life.until("an end", || !life.of_instance("code").is_empty());
    assert_eq!(life.of_instance("code"), "0\n", "{}", life.of_instance("console"));
    assert_eq!(life.forge.runners(vendor, vendor.slug()).len(), 0);
    let ran = life.run(&["list"]);
    assert!(ran.stderr.contains(&format!("it has no instances in {}\n", life.region.display())), "{ran:#?}");
}

#[test]
fn an_instance_lives_for_a_job_of_github() {
    live_for_a_job(Vendor::GitHub);
}

#[test]
fn an_instance_lives_for_a_job_of_gitlab() {
    live_for_a_job(Vendor::GitLab);
}

#[test]
fn an_instance_without_a_job_ends_and_what_is_left_is_reaped() {
    let Some(life) = Life::new(Vendor::GitHub) else { return };
    assert_eq!(life.run(&["launch", "--idle-timeout", "4"]).code, Some(0), "{}", life.of_instance("console"));
    life.until("an end", || !life.of_instance("code").is_empty());
    assert!(life.of_instance("console").contains("\"reason\":\"timeout:4\""), "{}", life.of_instance("console"));
    // Only GitHub's runner has nothing to unregister with. Its name says where it was launched.
    assert_eq!(life.forge.runners(Vendor::GitHub, Vendor::GitHub.slug()).len(), 1);
    let args = ["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"];
    let other = life.cml.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let ran = life.run(&[&args[..], &["--cloud-region", &other.display().to_string()]].concat());
    assert_eq!((&*ran.stdout, ran.code), ("", Some(0)), "another location: {ran:#?}");
    life.run(&args).ok();
    assert_eq!(life.forge.runners(Vendor::GitHub, Vendor::GitHub.slug()).len(), 0);
}

#[test]
fn an_instance_that_cannot_run_is_explained_and_deleted() {
    let Some(life) = Life::new(Vendor::GitLab) else { return };
    let ran = life.run(&["launch", "--cloud-image", "missing"]);
    ran.fails(3, "instance d-* (process) failed: there is no image missing", "check --cloud-image*");
    assert_eq!(life.forge.runners(Vendor::GitLab, Vendor::GitLab.slug()).len(), 0);
    assert_eq!(std::fs::read_dir(&life.region).unwrap().count(), 0);
}

/// A signal during the launch: nothing is left, no process either.
#[test]
fn an_interrupted_launch_leaves_no_process() {
    let Some(life) = Life::new(Vendor::GitLab) else { return };
    // It never comes online: its start-up script waits.
    let script = STANDARD.encode("sleep 60");
    let mut command = life.command(&["launch", "--cloud-startup-script", &script]);
    let mut launch: Child = command.stderr(Stdio::null()).spawn().unwrap();
    life.until("a process", || life.of_instance("console").contains("running the start-up script"));
    let pid: u32 = life.of_instance("pid").trim().parse().unwrap();
    let kill = Command::new("kill").args(["-TERM", &launch.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(launch.wait().unwrap().code(), Some(143));
    assert_eq!(std::fs::read_dir(&life.region).unwrap().count(), 0);
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    life.until("its end", || stat().rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z')));
    assert_eq!(life.forge.runners(Vendor::GitLab, Vendor::GitLab.slug()).len(), 0);
}
