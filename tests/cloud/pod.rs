//! What an agent does where there is no machine to prepare, as in a pod: on the cloud `dummy`, whose instance is a process.
//!
//! Real: the program and its processes. Scripted: the forge, its runner programs, and `nvidia-smi`.

use super::life::Life;
use crate::launch::fixture::begin_job;
use crate::support::executable;
use crate::support::fake::{Doing, Vendor};
use crate::support::ignored::{ignored, is_native_only};
use crate::support::{Cml, Ran};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// The process of the agent: what runs `runner bootstrap` in the instance's folder.
fn agent(life: &Life) -> u32 {
    let folder = std::fs::read_dir(&life.region).unwrap().next().unwrap().unwrap().path().canonicalize().unwrap();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_agent = |id: &u32| {
        let argv = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let argv: Vec<&str> = argv.split('\0').collect();
        let here = std::fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        argv.get(1..3) == Some(&["runner", "bootstrap"]) && here == folder
    };
    processes.into_iter().find(is_agent).expect("an agent")
}

fn lease(life: &Life) -> PathBuf {
    std::fs::read_dir(&life.region).unwrap().next().unwrap().unwrap().path().join("lease")
}

/// What a pod's liveness probe runs.
fn probe(life: &Life) -> Ran {
    life.run(&["lease", "--lease-file", lease(life).to_str().unwrap()])
}

/// A pod that is to go gets SIGTERM: the job is aborted, GitLab gets the runner's word, by which `cml runner retry` knows it, and
/// nothing is left.
fn is_interrupted(life: Option<Life>) {
    let Some(life) = life else { return };
    let vendor = life.vendor;
    life.run(&["launch", "--single"]).ok();
    let job = begin_job(vendor, &life.forge, &life.job);
    life.until_doing(Doing::Busy);
    life.until("the job", || life.of_instance("console").contains("job_started"));
    assert_eq!(probe(&life).code, Some(0), "it has a lease");
    let kill = Command::new("kill").args(["-TERM", &agent(&life).to_string()]).status();
    assert!(kill.unwrap().success());
    life.until("an end", || !life.of_instance("code").is_empty());
    let console = life.of_instance("console");
    assert_eq!(life.of_instance("code"), "75\n", "{console}");
    assert!(console.contains("\"reason\":\"SIGTERM\"") && console.matches("job_started").count() == 1, "{console}");
    if let Some(job) = job {
        let job = life.forge.job(job);
        assert_eq!((&*job.status, job.reason.as_deref()), ("failed", Some("runner_interrupted")), "{console}");
    }
    let left: Vec<_> =
        std::fs::read_dir(lease(&life).with_file_name("cml")).unwrap().map(|one| one.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_pod_that_is_to_go_interrupts_its_job_of_github() {
    is_interrupted(Life::new(Vendor::GitHub));
}

#[test]
fn a_pod_that_is_to_go_hands_its_job_back_to_gitlab() {
    is_interrupted(Life::new(Vendor::GitLab));
}

/// What the image and the user have set in a container is for jobs.
#[test]
fn jobs_in_a_container_have_its_environment() {
    let Some(life) = Life::started_by(Vendor::GitHub, "exec env TRAINING_DATA=/data") else { return };
    life.run(&["launch", "--single"]).ok();
    let env = std::fs::read_to_string(life.job.join("env")).unwrap();
    assert!(env.lines().any(|line| line == "TRAINING_DATA=/data"), "{env}");
}

/// As in a pod that meets the profile *restricted*: the first process of its container, of a user without any right or a name, whom the
/// kernel gives only those signals that it handles. Real: namespaces and capabilities.
#[test]
fn an_agent_needs_no_rights_and_may_be_the_first_process() {
    let restricted = "chown -R 12345:12345 . && exec unshare --pid --fork --mount-proc --kill-child \
        setpriv --reuid=12345 --regid=12345 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all";
    let can = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "setpriv", "--bounding-set=-all", "true"])
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        return ignored("no root who may make namespaces");
    }
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let life = Life::started_by(vendor, restricted);
        if let Some(life) = &life {
            for (folder, mode) in [(life.cml.path(), 0o755), (&*life.job, 0o777)] {
                std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        is_interrupted(life);
    }
}

/// A hung agent: the liveness probe ends what does not renew its lease.
#[test]
fn a_lease_that_is_over_missing_or_not_ours_fails_the_probe() {
    if is_native_only() {
        return;
    }
    let cml = Cml::alone();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let now: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let probe = |content: &str| {
        let file = cml.file("lease", content).display().to_string();
        cml.run(&["runner", "lease", "--lease-file", &file])
    };
    let ran = probe(&format!("{}\n", now + 100));
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(0), "", ""), "{ran:#?}");
    probe(&format!("{}\n", now.saturating_sub(100))).fails(12, "the instance's lease is over (for * seconds)", "");
    probe(&format!("{}\n", now + 100_000)).fails(12, "the instance's lease is over (it would last for *)", "");
    probe("soon").fails(12, "the instance's lease is over (invalid file)", "");
    let ran = cml.run(&["runner", "lease", "--lease-file", "/nowhere/lease"]);
    ran.fails(12, "the instance's lease is over (No such file *)", "");
}

/// A job that waits for a GPU in vain is worse than an instance that says why there is none.
#[test]
fn a_gpu_without_its_driver_is_said_before_the_runner_is_online() {
    let Some(mut life) = Life::new(Vendor::GitLab) else { return };
    let path = life.cml.env["PATH"].clone();
    let bin = life.cml.path().join("bin");
    for (script, why) in [
        (None, "nvidia-smi not found"),
        (
            Some("echo 'NVIDIA-SMI has failed because it could not reach the driver.' >&2; exit 9"),
            "nvidia-smi failed: NVIDIA-SMI has failed because it could not reach the driver.",
        ),
        (Some("echo 'No devices were found'"), "nvidia-smi failed: No devices were found"),
    ] {
        if let Some(script) = script {
            executable(&bin.join("nvidia-smi"), format!("#!/bin/sh\n{script}\n"));
        }
        life.cml.set("PATH", &format!("{}:{path}", bin.display()));
        let ran = life.run(&["launch", "--cloud-gpu", "any"]);
        let expected = format!("a GPU was asked for, but its NVIDIA driver is missing in the container ({why})");
        assert!(ran.code == Some(12) && ran.stderr.contains(&expected), "{ran:#?}");
        assert_eq!(life.forge.runners(Vendor::GitLab, Vendor::GitLab.slug()).len(), 0);
    }
    executable(
        &bin.join("nvidia-smi"),
        "#!/bin/sh\n[ \"$1\" = --list-gpus ] && echo 'GPU 0: Tesla T4 (UUID: GPU-1)'\n",
    );
    life.run(&["launch", "--cloud-gpu", "any"]).ok();
    assert!(
        life.of_instance("console").contains("found GPU 0: Tesla T4 (UUID: GPU-1)"),
        "{}",
        life.of_instance("console")
    );
}
