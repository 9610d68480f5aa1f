//! The whole life of a runner on Azure: launch → the machine boots → cloud-init starts it from the custom data → a job → it deletes itself.
//!
//! Real: the launcher, cloud-init with its Azure datasource and its DHCP client, the start script, the agent, systemd, the packet filter.
//! Scripted: the DHCP server, the metadata service, the wire server, the Resource Manager, the forge and its runner program. The machine is
//! a container (`cloud/vm.rs`): what its firmware says is put into cloud-init, and what would be its DVD is a folder. Not there: Azure's
//! Linux agent, which Debian's images have besides cloud-init.

use super::fixture::{AzureFixture, DELETE};
use crate::cloud::fixture::{Launch, last_line};
use crate::cloud::rehearsal::offer;
use crate::cloud::vm::{CLOUD_INIT, Vm};
use crate::launch::fixture::begin_job;
use crate::support::azure::TOKEN;
use crate::support::fake::{Doing, Vendor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Asks the metadata service, and the wire server on both of its ports, for the status of each answer.
const ASK: &str = "for place in 169.254.169.254/metadata/scheduledevents?api-version=2020-07-01 168.63.129.16/machine/?comp=goalstate \
    168.63.129.16:32526/machine/?comp=goalstate; do curl -sS -m 5 -o /dev/null -w '%{http_code} ' -H 'Metadata: true' \"http://$place\" \
    2>/dev/null; done";
/// What only the document of a launch has, in which the credential is.
const DOCUMENT: &str = "\"registration\":{";
const SETTINGS: &str = "datasource_list: [Azure]\ndatasource: {Azure: {apply_network_config: false}}\n";
/// A machine of Azure has this id, and the mark that all machines of Azure have.
const FIRMWARE: &str = r#"

def read_dmi_data(key):
    return {
        "system-uuid": "527c2691-029f-fe4c-b1f4-a4da7ebac2cf",
        "chassis-asset-tag": "7783-7084-3265-9085-8269-3286-77",
    }.get(key)
"#;
const NETWORK: &str = "
  ip link add eth0 type veth peer name veth-azure
  ip addr add 10.0.0.1/24 dev veth-azure
  ip link set veth-azure up
  python3 dhcp.py &
";

/// What a machine reads from its DVD.
fn ovf_env(name: &str, custom_data: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<ovf:Environment xmlns:ovf="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
  <wa:ProvisioningSection><wa:Version>1.0</wa:Version>
    <wa:LinuxProvisioningConfigurationSet>
      <wa:ConfigurationSetType>LinuxProvisioningConfiguration</wa:ConfigurationSetType>
      <wa:HostName>{name}</wa:HostName><wa:UserName>cml</wa:UserName>
      <wa:DisableSshPasswordAuthentication>true</wa:DisableSshPasswordAuthentication>
      <wa:CustomData>{}</wa:CustomData>
    </wa:LinuxProvisioningConfigurationSet>
  </wa:ProvisioningSection>
  <wa:PlatformSettingsSection><wa:Version>1.0</wa:Version>
    <wa:PlatformSettings><wa:ProvisionGuestAgent>true</wa:ProvisionGuestAgent></wa:PlatformSettings>
  </wa:PlatformSettingsSection>
</ovf:Environment>
"#,
        STANDARD.encode(custom_data)
    )
}

/// A launch whose machine boots.
fn boot(vendor: Vendor, args: &[&str]) -> Option<(AzureFixture, Vm, Launch)> {
    let mut vm = Vm::bare()?;
    let fixture = AzureFixture::new(vendor);
    let usual = offer(vendor, &fixture.forge, &vm, &format!("{{ {ASK}; }} >\"$ROOT/asked\"\n"));
    let launch = fixture.start(&[&usual.each_ref().map(String::as_str), args].concat());
    fixture.until("a machine", || !fixture.cloud.machines().is_empty());
    let name = fixture.machine().0;
    vm.put("root/etc/cloud/cloud.cfg.d/99_test.cfg", &format!("{SETTINGS}{CLOUD_INIT}"), 0o644);
    vm.put("root/etc/hosts", "127.0.0.1 localhost\n127.0.0.2 management.azure.com\n", 0o644);
    vm.append("usr/lib/python3/dist-packages/cloudinit/dmi.py", FIRMWARE);
    vm.append("etc/ssl/certs/ca-certificates.crt", &std::fs::read_to_string(fixture.cloud.ca()).unwrap());
    vm.put("dvd/ovf-env.xml", &ovf_env(&name, &fixture.cloud.custom_data(&name)), 0o600);
    vm.disc = Some(("dvd", "/var/lib/cloud/seed/azure"));
    vm.put("dhcp.py", include_str!("dhcp.py"), 0o644);
    vm.network = NETWORK;
    let (manager, others) = fixture.cloud.addresses();
    vm.route("127.0.0.2:443", manager);
    for place in ["169.254.169.254:80", "168.63.129.16:80", "168.63.129.16:32526"] {
        vm.route(place, others);
    }
    vm.turn_on(&fixture.forge.address());
    Some((fixture, vm, launch))
}

fn until_doing(fixture: &AzureFixture, vm: &Vm, doing: Doing) {
    vm.until(&format!("{doing:?}"), || fixture.runners().iter().any(|runner| runner.doing == doing));
}

#[test]
fn a_machine_lives_for_a_job_and_deletes_itself() {
    // It installs the driver of its GPU.
    let script = "#!/bin/sh\nprintf '#!/bin/sh\\necho \"GPU 0: Tesla T4 (UUID: GPU-1)\"\\n' >/usr/local/bin/nvidia-smi\n\
        chmod 0755 /usr/local/bin/nvidia-smi; mount -t tmpfs tmpfs /sys/bus/pci/devices 2>/dev/null || :\n";
    let (script, is_arm) = (STANDARD.encode(script), cfg!(target_arch = "aarch64"));
    let gpu = if is_arm { "nogpu" } else { "t4" };
    let args = ["--cloud-startup-script", &script, "--cloud-gpu", gpu];
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitHub, &args) else { return };
    let ran = launch.end();
    assert_eq!(ran.code, Some(0), "{ran:#?} {}", vm.console());
    let ((name, _), runner) = (fixture.machine(), fixture.runners().remove(0));
    assert_eq!((last_line(&ran)["instanceId"].as_str(), runner.doing), (Some(&*name), Doing::Idle), "{ran:#?}");
    vm.until_agent("waiting for jobs: active");
    assert!(fixture.cloud.is_ready(), "cloud-init has told it");
    // cloud-init keeps the file of the DVD, and more, until the agent removes that.
    let kept =
        vm.as_root("ls /var/lib/waagent /var/lib/cloud/instance/scripts; cat /var/lib/cloud/data/previous-datasource");
    assert!(kept.contains("DataSourceAzure") && !kept.contains("ovf-env.xml") && !kept.contains("part-001"), "{kept}");
    let custom_data = fixture.cloud.custom_data(&name);
    let encoded = STANDARD.encode(&custom_data);
    assert!(custom_data.contains(DOCUMENT));

    // Root gets answers, jobs do not.
    assert_eq!(vm.as_root(ASK), "200 200 200 ");
    assert_eq!(std::fs::read_to_string(vm.job().join("asked")).unwrap(), "000 000 000 ");

    begin_job(Vendor::GitHub, &fixture.forge, &vm.job());
    until_doing(&fixture, &vm, Doing::Busy);
    std::fs::write(vm.job().join("end"), "").unwrap();
    assert_eq!(vm.until_off(), Some(0), "{}", vm.console());
    fixture.is_clean();
    assert_eq!(fixture.cloud.of(DELETE).len(), 1);
    for secret in [&*runner.credential, DOCUMENT, &encoded[encoded.len() - 400..encoded.len() - 300], TOKEN] {
        assert!(!vm.console().contains(secret), "{}", vm.console());
        assert_eq!(vm.files_with(secret), "", "{secret}");
    }
    assert!(is_arm || vm.journal().contains("found GPU 0: Tesla T4 (UUID: GPU-1)\n"), "{}", vm.journal());
}

/// The job has half a minute to end.
#[test]
fn a_machine_that_is_preempted_interrupts_its_job() {
    let Some((fixture, mut vm, launch)) = boot(Vendor::GitLab, &["--cloud-spot"]) else { return };
    assert_eq!(launch.end().code, Some(0), "{}", vm.console());
    let job = begin_job(Vendor::GitLab, &fixture.forge, &vm.job()).unwrap();
    until_doing(&fixture, &vm, Doing::Busy);
    fixture.cloud.announces("Preempt", &fixture.machine().0);
    assert_eq!(vm.until_off(), Some(75), "{}", vm.console());
    assert!(vm.journal().contains("warning: azure is reclaiming this spot instance: stopping\n"), "{}", vm.journal());
    let job = fixture.forge.job(job);
    assert_eq!((&*job.status, job.reason.as_deref()), ("failed", Some("runner_interrupted")));
    fixture.is_clean();
}
