//! The whole life of a runner in a cloud: launch → the machine boots → its program registers → a job → its end → powered off
//! → nothing is left.
//!
//! The launcher, the start script, the agent, systemd and cloud-init are real; EC2 is moto, the forge and its runner program are the
//! tests' own, and the machine is a container (`vm.rs`), which the test boots with the user data that EC2 got and terminates
//! in moto when it is off, as EC2 does with `InstanceInitiatedShutdownBehavior=terminate`.

use super::fixture::{CloudFixture, Launch, SECRET, last_line, user_data};
use super::vm::Vm;
use crate::launch::fixture;
use crate::support::ec2::Ec2;
use crate::support::fake::{Doing, Forge, Vendor};
use crate::support::moto::Moto;
use crate::support::native;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::process::Command;

/// What jobs look for on EC2: what the machine was told, and its metadata service.
const LOOK: &str = "ls /run/cml/launch.json /var/lib/cloud/instances/i-1/scripts/part-001 >>\"$ROOT/user\" 2>/dev/null
curl -sS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token >>\"$ROOT/user\" 2>/dev/null
";

/// The program and the runner's package are to be had; before its own work that looks for something. The options of a launch that uses them,
/// for one job.
pub fn offer(vendor: Vendor, forge: &Forge, vm: &Vm, look: &str) -> [String; 7] {
    let cml = std::fs::read(native()).unwrap();
    let digest: String = Sha256::digest(&cml).iter().map(|byte| format!("{byte:02x}")).collect();
    forge.offer_download("cml", &cml);
    // A machine's jobs get nothing of the launcher's environment: what the fake program needs is written into it.
    let known = format!(
        "#!/bin/sh\nTELL='{}'; ROOT='{}'; LAUNCHED=1\n\
        id -un >\"$ROOT/user\"; id -Gn >>\"$ROOT/user\"; cat /proc/self/oom_score_adj >>\"$ROOT/user\"; pwd >>\"$ROOT/user\"\n",
        forge.tell_url(),
        vm.job().display()
    );
    let text = fixture::program(vendor).replacen("#!/bin/sh\n", &(known + look), 1);
    vm.put("package/bin/Runner.Listener", &text, 0o755);
    if vendor == Vendor::Bitbucket {
        // Docker lets in who is in its group, and answers to some other words than the runner's.
        let daemon = "#!/bin/sh\n\
            case \" $(id -Gn) \" in *' root '*|*' docker '*) ;; *) echo 'permission denied' >&2; exit 1 ;; esac\n\
            if [ \"$1\" = version ]; then exit 0; fi\n";
        vm.put("root/root/docker", &text.replacen("#!/bin/sh\n", daemon, 1), 0o755);
    }
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let tar = Command::new("tar").args(["-czf", "p.tar.gz", "-C", "package", "bin"]).current_dir(vm.path()).status();
    assert!(tar.unwrap().success());
    let package = std::fs::read(vm.path().join("p.tar.gz")).unwrap();
    forge.offer_download(&format!("actions-runner-linux-{arch}-2.336.0.tar.gz"), &package);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    forge.offer_download(&format!("v1.2.3/binaries/gitlab-runner-linux-{arch}"), text.as_bytes());
    let (url, arch) = (format!("{}/cml", forge.downloads_url()), if arch == "arm64" { arch } else { "x86_64" });
    ["--bootstrap-url", &url, "--bootstrap-sha256", &digest, "--cloud-arch", arch, "--single"].map(str::to_owned)
}

/// A launch whose machine boots, with user data that EC2 got, and a test changed.
pub fn boot(
    vendor: Vendor,
    region: &'static str,
    args: &[&str],
    change: impl Fn(String) -> String,
) -> Option<(CloudFixture, Vm, Launch)> {
    boot_on(Vm::new()?, vendor, region, args, change)
}

/// The same on a certain machine.
pub fn boot_on(
    mut vm: Vm,
    vendor: Vendor,
    region: &'static str,
    args: &[&str],
    change: impl Fn(String) -> String,
) -> Option<(CloudFixture, Vm, Launch)> {
    let moto = Moto::with_machines(region)?;
    let fixture = CloudFixture::of(vendor, Ec2::over(moto, region)?);
    let usual = offer(vendor, &fixture.forge, &vm, LOOK);
    let launch = fixture.start(&[&usual.each_ref().map(String::as_str), args].concat());
    fixture.until("a machine", || !fixture.cloud.alive().is_empty());
    vm.boot(&change(user_data(&fixture)), &fixture.forge.address());
    Some((fixture, vm, launch))
}

/// What EC2 does with a machine that powers off.
pub fn power_off(fixture: &CloudFixture) {
    fixture.cloud.ask(&format!("Action=TerminateInstances&InstanceId.1={}", fixture.machine().id));
}

/// Waits until the forge says that its runner is online, or busy.
pub fn until_doing(fixture: &CloudFixture, vm: &Vm, doing: Doing) {
    vm.until(&format!("{doing:?}"), || fixture.runners().iter().any(|runner| runner.doing == doing));
}

fn rehearse(vendor: Vendor, region: &'static str) {
    let script = STANDARD.encode("#!/bin/sh\nid -un\necho \"$HOME $USER\"\necho the start-up script ran\n");
    let args = ["--cloud-startup-script", script.as_str()];
    let Some((fixture, mut vm, launch)) = boot(vendor, region, &args, |data| data) else { return };
    // The launcher sees it online, and says so.
    until_doing(&fixture, &vm, Doing::Idle);
    let ran = launch.end();
    assert_eq!(ran.code, Some(0), "{ran:#?} {}", vm.console());
    let (machine, runner) = (fixture.machine(), fixture.runners().remove(0));
    assert_eq!(last_line(&ran)["instanceId"], machine.id, "{ran:#?}");
    vm.until_agent("waiting for jobs: active");
    let timers = vm.as_root("systemctl list-timers --no-legend cml-deadline.timer; nft list ruleset");
    assert!(timers.contains("cml-deadline.service") && timers.contains("table inet cml"), "{timers}");
    let arguments = vm.arguments();
    assert!(
        arguments.contains("runner bootstrap --launch-file") && !arguments.contains(&runner.credential),
        "{arguments}"
    );

    // The runner is a user without rights, as likely to be killed as any other, and finds nothing of what the machine was told.
    let user = std::fs::read_to_string(vm.job().join("user")).unwrap();
    let groups = if vendor == Vendor::Bitbucket { "ci docker" } else { "ci" };
    assert!(user.starts_with(&format!("ci\n{groups}\n0\n/var/lib/cml/runner/")), "{user}");
    assert_eq!(user.lines().count(), 4, "{user}");
    let environment = std::fs::read_to_string(vm.job().join("env")).unwrap();
    for name in ["NOTIFY_SOCKET", "AWS_", "REPO_TOKEN", "CML_"] {
        assert!(!environment.contains(name), "{environment}");
    }
    assert!(environment.contains("HOME=/home/ci\n"), "{environment}");

    // A job.
    fixture::begin_job(vendor, &fixture.forge, &vm.job());
    until_doing(&fixture, &vm, Doing::Busy);
    vm.until_agent("running a job: active");
    std::fs::write(vm.job().join("end"), "").unwrap();
    assert_eq!(vm.until_off(), Some(0), "{}", vm.console());

    // The machine is off: EC2 terminates it, and nothing is left anywhere.
    power_off(&fixture);
    assert_eq!(fixture.cloud.alive(), []);
    if vendor == Vendor::Bitbucket {
        // Its runner has nothing to unregister with: it stays, offline, until it is reaped.
        assert_eq!(fixture.runners().len(), 1);
        fixture.run(&["reap", "--recheck-after", "0", "--cloud-boot-timeout", "0"]).ok();
    }
    fixture.is_clean();
    let console = vm.console();
    assert!(console.contains("root\n/root root\nthe start-up script ran\n"), "{console}");
    for secret in [runner.credential.as_str(), SECRET] {
        assert!(!console.contains(secret) && !ran.stderr.contains(secret), "{secret}: {console}");
        assert_eq!(vm.files_with(secret), "", "{secret}");
    }
    let ran = fixture.run(&["reap", "--recheck-after", "0"]);
    assert!(ran.code == Some(0) && fixture.cloud.of("TerminateInstances").is_empty(), "{ran:#?}");
}

#[test]
fn a_machine_lives_for_a_job_of_github() {
    rehearse(Vendor::GitHub, "eu-west-1");
}

#[test]
fn a_machine_lives_for_a_job_of_gitlab() {
    rehearse(Vendor::GitLab, "eu-west-2");
}

/// Its runner is an image: Docker is a stub, which lets in root and who is in Docker's group.
#[test]
fn a_machine_lives_for_a_step_of_bitbucket() {
    rehearse(Vendor::Bitbucket, "eu-west-3");
}
