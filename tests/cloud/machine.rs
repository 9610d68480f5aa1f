//! How a machine's life ends, besides with its job (`rehearsal.rs`): each time it is off, and each time it is said why.

use super::rehearsal::{boot, boot_on, power_off, until_doing};
use super::vm::Vm;
use crate::launch::fixture::begin_job;
use crate::support::Cml;
use crate::support::fake::{Doing, Vendor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[test]
fn a_start_up_script_that_fails_ends_the_machine_and_the_launch() {
    let script = STANDARD.encode("#!/bin/sh\necho \"$HOME $USER\"; echo no such driver\nexit 3\n");
    let args = ["--cloud-startup-script", script.as_str()];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, "us-west-1", &args, |data| data) else { return };
    assert_eq!(vm.until_off(), Some(3));
    // A service has no home, and git and pip want one.
    let says = "/root root\nno such driver\nerror: the start-up script failed (exit code 3)\nhint: see --cloud-startup-script\n";
    assert!(vm.journal().contains(says), "{}", vm.journal());
    power_off(&fixture);
    let ran = launch.end();
    assert_eq!(ran.code, Some(12), "{ran:#?}");
    fixture.is_clean();
}

#[test]
fn a_runner_program_that_is_not_what_its_digest_says_ends_the_machine() {
    let other = |data: String| {
        let (before, rest) = data.rsplit_once("\"sha256\":\"").unwrap();
        format!("{before}\"sha256\":\"{}{}", "0".repeat(64), &rest[64..])
    };
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, "ap-south-1", &[], other) else { return };
    assert_eq!(vm.until_off(), Some(9), "{}", vm.console());
    let says = format!(", expected {}\n", "0".repeat(64));
    assert!(vm.journal().contains(&says), "{}", vm.journal());
    assert!(!vm.job().join("env").exists(), "it was run");
    power_off(&fixture);
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();
}

#[test]
fn a_runner_that_comes_as_an_image_needs_docker() {
    let Some((fixture, mut vm, launch)) = boot(Vendor::Bitbucket, "ap-south-2", &[], |data| {
        data.replacen("set -eu", "set -eu\nprintf '#!/bin/sh\\nexit 100\\n' >/usr/local/sbin/apt-get", 1)
    }) else {
        return;
    };
    assert_eq!(vm.until_off(), Some(3), "{}", vm.console());
    let says = "error: the runner is a Docker image, but Docker is not running on this instance\n\
        hint: use a --cloud-image with Docker, or install it in --cloud-startup-script\n";
    assert!(vm.journal().contains(&format!("installing Docker\n{says}")), "{}", vm.journal());
    power_off(&fixture);
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();
}

#[test]
fn jobs_that_are_to_run_in_a_container_do_not_run_outside_of_one() {
    let args = ["--docker-image", "python:3"];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, "eu-south-2", &args, |data| {
        data.replacen("set -eu", "set -eu\nprintf '#!/bin/sh\\nexit 100\\n' >/usr/local/sbin/apt-get", 1)
    }) else {
        return;
    };
    assert_eq!(vm.until_off(), Some(3), "{}", vm.console());
    let says = "error: --docker-image needs Docker, which is not running on this instance\n";
    assert!(vm.journal().contains(says), "{}", vm.journal());
    assert!(!vm.job().join("env").exists(), "the runner was started");
    power_off(&fixture);
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();
}

#[test]
fn an_idle_machine_ends_and_what_its_runner_leaves_is_reaped() {
    for (vendor, region) in [(Vendor::GitHub, "us-west-2"), (Vendor::GitLab, "eu-north-1")] {
        // Longer than the launch, which looks every two seconds, takes to see it. The identity is as with --cloud-permission-set.
        let known = |data: String| data.replace("\"identity\":false", "\"identity\":true");
        let Some((fixture, mut vm, launch)) = boot(vendor, region, &["--idle-timeout", "6"], known) else { return };
        assert_eq!(launch.end().code, Some(0), "{}", vm.console());
        assert_eq!(vm.until_off(), Some(0), "{}", vm.console());
        assert!(vm.journal().contains("\"reason\":\"timeout:6\""), "{}", vm.journal());
        // Jobs act as the machine: they reach its metadata.
        let user = std::fs::read_to_string(vm.job().join("user")).unwrap();
        assert!(user.ends_with("session"), "{user}");
        power_off(&fixture);
        // Only GitHub's runner has nothing to unregister with.
        assert_eq!(fixture.runners().len(), usize::from(vendor == Vendor::GitHub));
        let ran = fixture.run(&["reap", "--recheck-after", "0", "--cloud-boot-timeout", "0"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        fixture.is_clean();
    }
}

/// The packet filter's programs fail, as the machine may not change its network.
#[test]
fn without_rules_a_machine_with_an_identity_takes_no_job() {
    let Some(mut vm) = Vm::new() else { return };
    vm.has_filter = false;
    vm.give_identity();
    let Some((fixture, mut vm, launch)) = boot_on(vm, Vendor::GitLab, "eu-south-1", &[], |data| data) else { return };
    assert_eq!(vm.until_off(), Some(3), "{}", vm.console());
    let says =
        "error: jobs could use this instance's identity: cannot set up its packet filter\nhint: use a --cloud-image ";
    assert!(vm.journal().contains(says), "{}", vm.journal());
    assert!(!vm.job().join("env").exists(), "the runner was started");
    power_off(&fixture);
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();

    // Without an identity there is nothing but the runner's own credential to be read.
    let mut vm = Vm::new().unwrap();
    vm.has_filter = false;
    let idle = ["--idle-timeout", "2"];
    let Some((fixture, mut vm, launch)) = boot_on(vm, Vendor::GitLab, "eu-south-1", &idle, |data| data) else { return };
    assert_eq!(launch.end().code, Some(0), "{}", vm.console());
    assert_eq!(vm.until_off(), Some(0), "{}", vm.console());
    assert!(vm.journal().contains("warning: jobs can read this instance's metadata"), "{}", vm.journal());
    power_off(&fixture);
    fixture.is_clean();
}

#[test]
fn a_machine_that_the_cloud_takes_back_interrupts_its_job() {
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, "us-east-1", &[], |data| data) else { return };
    assert_eq!(launch.end().code, Some(0));
    let job = begin_job(Vendor::GitLab, &fixture.forge, &vm.job()).unwrap();
    until_doing(&fixture, &vm, Doing::Busy);
    vm.take_back();
    assert_eq!(vm.until_off(), Some(75), "{}", vm.console());
    assert!(vm.journal().contains("warning: aws is reclaiming this spot instance: stopping\n"), "{}", vm.journal());
    let job = fixture.forge.job(job);
    assert_eq!((&*job.status, job.reason.as_deref()), ("failed", Some("runner_interrupted")), "it was reported");
    power_off(&fixture);
    fixture.is_clean();
}

#[test]
fn a_machine_ends_in_time() {
    let soon = |data: String| {
        let end = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 60;
        let (before, rest) = data.split_once("\"deadline\":").unwrap();
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}\"deadline\":{end}{after}")
    };
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, "us-east-2", &[], soon) else { return };
    assert_eq!(launch.end().code, Some(0));
    assert_eq!(vm.until_off(), Some(0), "{}", vm.console());
    assert!(
        vm.journal().contains("warning: the instance has reached its maximum lifetime: stopping\n"),
        "{}",
        vm.journal()
    );
    power_off(&fixture);
    fixture.is_clean();
}

#[test]
fn a_machine_that_is_stopped_before_its_runner_begins_says_so() {
    let script = STANDARD.encode("#!/bin/sh\necho installing\nexec sleep 60\n");
    let args = ["--cloud-startup-script", script.as_str()];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitHub, "eu-west-3", &args, |data| data) else { return };
    vm.until("the script", || vm.console().contains("installing\n"));
    vm.as_root("systemctl kill --kill-who=main cml-agent.service");
    assert_eq!(vm.until_off(), Some(75));
    assert!(vm.journal().contains("error: interrupted before the runner was started\n"), "{}", vm.journal());
    power_off(&fixture);
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();
}

#[test]
fn a_machine_is_told_once() {
    if crate::support::is_wasm() {
        return Cml::alone().run(&["runner", "bootstrap", "--launch-file", "x"]).fails(
            7,
            "cml runner bootstrap needs the native program on Linux",
            "to turn this machine into a runner, use: cml runner launch",
        );
    }
    let cml = Cml::alone();
    let hint = "an instance becomes a runner only once: launch another one";
    let args = ["runner", "bootstrap", "--launch-file", "launch.json"];
    cml.run(&args).fails(3, "cannot read the bootstrap configuration launch.json (*", hint);
    cml.file("launch.json", "{\"v\":1,\"token\":\"glrt-1\"}");
    let hint = "it must be written by cml runner launch --cloud of the same version";
    cml.run(&args).fails(3, "invalid bootstrap configuration (version Some(1) instead of 2)", hint);
}
