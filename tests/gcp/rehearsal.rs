//! The whole life of a runner on Google Cloud: launch → the instance boots → Google's own script runner starts it → a job → it deletes itself.
//!
//! Real: the launcher, Google's guest agent and script runner as Debian packages them, the start-up script, the agent, systemd, the packet
//! filter. Scripted: the metadata server, Compute Engine, the forge and its runner program. The machine is a container (`cloud/vm.rs`).

use super::fixture::GcpFixture;
use crate::cloud::fixture::{Launch, last_line};
use crate::cloud::rehearsal::offer;
use crate::cloud::vm::Vm;
use crate::launch::fixture::begin_job;
use crate::support::fake::{Doing, Vendor};
use crate::support::gce::{WORKER, WORKER_TOKEN};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Asks the metadata server on both of its addresses, for the status of each answer.
const ASK: &str = "for host in 169.254.169.254 '[fd20:ce::254]'; do curl -sS -m 5 -o /dev/null -w '%{http_code} ' -H 'Metadata-Flavor: Google' \
    \"http://$host/computeMetadata/v1/instance/service-accounts/default/token\" 2>/dev/null; done";
/// What only the document of a launch has, in which the credential is.
const DOCUMENT: &str = "\"registration\":{";
/// Google's images have no cloud-init, or leave the start-up script to Google's programs.
const SERVICES: &str =
    "[Unit]\nWants=google-guest-agent.service google-startup-scripts.service google-shutdown-scripts.service\n";

/// A launch whose instance boots.
fn boot(vendor: Vendor, args: &[&str]) -> Option<(GcpFixture, Vm, Launch)> {
    let mut vm = Vm::bare()?;
    vm.put("root/etc/cloud/cloud-init.disabled", "", 0o644);
    vm.put("root/etc/systemd/system/multi-user.target.d/google.conf", SERVICES, 0o644);
    vm.put("root/etc/hosts", "127.0.0.1 localhost\n169.254.169.254 metadata.google.internal metadata\n", 0o644);
    let fixture = GcpFixture::new(vendor);
    let usual = offer(vendor, &fixture.forge, &vm, &format!("{{ {ASK}; }} >\"$ROOT/asked\"\n"));
    let launch = fixture.start(&[&usual.each_ref().map(String::as_str), args].concat());
    fixture.until("an instance", || fixture.cloud.instances().iter().any(|one| one["status"] == "RUNNING"));
    let server = fixture.cloud.address();
    for place in ["169.254.169.254:80", "[fd20:ce::254]:80", &server.to_string()] {
        vm.route(place, server);
    }
    vm.turn_on(&fixture.forge.address());
    Some((fixture, vm, launch))
}

fn until_doing(fixture: &GcpFixture, vm: &Vm, doing: Doing) {
    vm.until(&format!("{doing:?}"), || fixture.runners().iter().any(|runner| runner.doing == doing));
}

/// From its launch to the end of a job, and powered off.
fn live(vendor: Vendor, args: &[&str]) -> Option<(GcpFixture, Vm)> {
    let script = STANDARD.encode("#!/bin/sh\necho the start-up script ran\n");
    let (fixture, mut vm, launch) = boot(vendor, &[args, &["--cloud-startup-script", &script]].concat())?;
    let ran = launch.end();
    assert_eq!(ran.code, Some(0), "{ran:#?} {}", vm.console());
    let (instance, runner) = (fixture.instance(), fixture.runners().remove(0));
    assert_eq!(last_line(&ran)["id"], runner.name, "{ran:#?}");
    vm.until_agent("waiting for jobs: active");
    // Google's programs are still there, and nothing that they keep has the runner's credential; neither has the metadata any more.
    let state = vm.as_root("systemctl is-active google-guest-agent.service google-startup-scripts.service");
    assert_eq!(state, "active\nactive\n");
    let kept = vm.as_root(&format!(
        "grep -rlF -e '{}' -e '{DOCUMENT}' /tmp /run /var/log /var/lib/google /etc /usr/local",
        runner.credential
    ));
    assert!(!kept.contains('/'), "{kept}");
    assert!(!instance.to_string().contains("startup-script"), "{instance}");
    assert!(fixture.cloud.startup_script().contains(DOCUMENT));
    assert_eq!(vm.as_root(ASK), if args.is_empty() { "404 404 " } else { "200 200 " }, "root asks");

    begin_job(vendor, &fixture.forge, &vm.job());
    until_doing(&fixture, &vm, Doing::Busy);
    std::fs::write(vm.job().join("end"), "").unwrap();
    assert_eq!(vm.until_off(), Some(0), "{}", vm.console());
    for secret in [&*runner.credential, DOCUMENT, WORKER_TOKEN] {
        assert!(!vm.console().contains(secret), "{}", vm.console());
        assert_eq!(vm.files_with(secret), "", "{secret}");
    }
    assert!(vm.journal().contains("the start-up script ran\n"), "{}", vm.journal());
    Some((fixture, vm))
}

#[test]
fn an_instance_with_an_identity_lives_for_a_job_and_deletes_itself() {
    let Some((fixture, vm)) = live(Vendor::GitHub, &["--cloud-permission-set", WORKER]) else { return };
    // With the identity, which is for jobs too.
    fixture.is_clean();
    assert_eq!(fixture.cloud.of("compute.instances.delete").len(), 1);
    assert_eq!(std::fs::read_to_string(vm.job().join("asked")).unwrap(), "200 200 ");
}

#[test]
fn an_instance_without_an_identity_keeps_its_jobs_from_the_metadata_and_powers_off() {
    let Some((fixture, vm)) = live(Vendor::GitLab, &[]) else { return };
    assert_eq!(std::fs::read_to_string(vm.job().join("asked")).unwrap(), "000 000 ");
    // Its disk stays, until the next launch or this.
    fixture.cloud.power_off();
    assert_eq!(fixture.cloud.billed().len(), 1);
    assert_eq!(fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]).code, Some(0));
    fixture.is_clean();
}

/// Google's script runner runs the start-up script at every boot, and it is in the metadata until the runner is online.
#[test]
fn an_instance_that_restarts_before_its_runner_is_online_ends() {
    let script = STANDARD.encode("#!/bin/sh\necho booted >>/root/boots\nsystemctl reboot -ff\nexec sleep 600\n");
    let args = ["--cloud-permission-set", WORKER, "--cloud-startup-script", &script];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitHub, &args) else { return };
    vm.until_off();
    // Whichever comes first: the agent's service, or the script.
    let said = vm.everything_printed();
    let either = ["an instance becomes a runner only once", "cml: this instance was restarted: it ends"];
    assert!(either.iter().any(|says| said.contains(says)), "{said}");
    assert_eq!(std::fs::read_to_string(vm.path().join("root/root/boots")).unwrap(), "booted\n", "one agent began");
    assert!(!vm.job().join("user").exists(), "no runner began");
    let ran = launch.end();
    assert_eq!(ran.code, Some(12), "{ran:#?}");
    fixture.is_clean();
}

/// The job has two minutes to end.
#[test]
fn an_instance_that_is_preempted_interrupts_its_job() {
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, &["--cloud-spot", "--cloud-permission-set", WORKER])
    else {
        return;
    };
    assert_eq!(launch.end().code, Some(0), "{}", vm.console());
    let job = begin_job(Vendor::GitLab, &fixture.forge, &vm.job()).unwrap();
    until_doing(&fixture, &vm, Doing::Busy);
    fixture.cloud.tells("instance/preempted", "TRUE");
    assert_eq!(vm.until_off(), Some(75), "{}", vm.console());
    assert!(vm.journal().contains("warning: gcp is reclaiming this spot instance: stopping\n"), "{}", vm.journal());
    let job = fixture.forge.job(job);
    assert_eq!((&*job.status, job.reason.as_deref()), ("failed", Some("runner_interrupted")));
    fixture.is_clean();
}

/// The driver is there only where the image, or the start-up script, brings it.
#[test]
#[cfg(target_arch = "x86_64")]
fn an_instance_whose_gpu_does_not_work_takes_no_job() {
    let script = STANDARD.encode("#!/bin/sh\n# The devices of this machine are not the instance's.\nmount -t tmpfs tmpfs /sys/bus/pci/devices 2>/dev/null || :\n");
    let args = ["--cloud-gpu", "t4", "--cloud-permission-set", WORKER, "--cloud-startup-script", &script];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, &args) else { return };
    assert_eq!(vm.until_off(), Some(3), "{}", vm.console());
    let says = "error: this instance has a GPU, but its NVIDIA driver does not work (nvidia-smi not found)\n\
        hint: use a --cloud-image with the driver, or install it in --cloud-startup-script\n";
    assert!(vm.journal().contains(says), "{}", vm.journal());
    assert!(!vm.job().join("user").exists(), "no runner began");
    assert_eq!(launch.end().code, Some(12));
    fixture.is_clean();
}
