//! Jobs with root that try to keep their machine: each time it is off soon after. What such a job does is done by the test, as root on the
//! machine. Shorter than usual: the lease, and how often it is looked at. Not shown: a clock that is set and a kernel that
//! hangs, as a container has those of its host.

use super::fixture::{CloudFixture, Launch};
use super::rehearsal::{boot, power_off, until_doing};
use super::vm::Vm;
use crate::launch::fixture::begin_job;
use crate::support::fake::{Doing, Vendor};
use std::time::Duration;

/// The agent is gone, and its unit does nothing about that.
const KILL_AGENT: &str = "
    mkdir /etc/systemd/system/cml-agent.service.d
    printf '[Unit]\\nSuccessAction=none\\nFailureAction=none\\n' >/etc/systemd/system/cml-agent.service.d/keep.conf
    systemctl daemon-reload
    systemctl kill --signal=KILL cml-agent.service
    until systemctl is-failed --quiet cml-agent.service; do sleep 0.1; done
    echo failed";
/// Masks everything, and stops what could end it. To stop a check that runs would end the machine at once.
const MASK: &str = "
    for unit in /etc/systemd/system.control/cml-*; do systemctl mask ${unit##*/}; done
    systemctl stop cml-lease.timer cml-deadline.timer
    systemctl daemon-reload";
/// Removes the units as only a job does that knows them.
const REMOVE_UNITS: &str = "
    rm -r /etc/systemd/system.control
    systemctl daemon-reload
    systemctl stop cml-lease.timer cml-deadline.timer";
/// Ends the process that is in no unit.
const KILL_PROCESS: &str = "pkill -KILL -f '[s]ysrq-trigger'";

/// A machine whose job runs, with a lease of so many seconds.
fn busy(region: &'static str, lease: u32) -> Option<(CloudFixture, Vm, Launch)> {
    let soon = move |data: String| {
        assert!(data.contains("OnActiveSec=60\nOnUnitActiveSec=60\n") && data.contains("sleep 60; done"), "{data}");
        let data = data.replace("OnActiveSec=60\nOnUnitActiveSec=60\n", "OnActiveSec=1\nOnUnitActiveSec=1\n");
        let file = "--lease-file /run/cml/lease";
        data.replace("sleep 60; done", "sleep 1; done").replace(file, &format!("{file} --lease {lease}"))
    };
    let (fixture, vm, launch) = boot(Vendor::GitLab, region, &[], soon)?;
    until_doing(&fixture, &vm, Doing::Idle);
    begin_job(Vendor::GitLab, &fixture.forge, &vm.job());
    until_doing(&fixture, &vm, Doing::Busy);
    vm.until_agent("running a job: active");
    Some((fixture, vm, launch))
}

/// Does things as root; then it is off.
fn attack(region: &'static str, lease: u32, scripts: &[&str]) -> Option<(Vm, String)> {
    let (fixture, mut vm, launch) = busy(region, lease)?;
    let said = vm.as_root(&scripts.join("\n"));
    assert!(said.starts_with("failed\n"), "the agent is not gone: {said} {}", vm.console());
    vm.until_off();
    power_off(&fixture);
    drop(launch);
    Some((vm, said))
}

#[test]
fn a_job_that_masks_and_stops_units_and_kills_processes_loses_its_machine() {
    // A lease that is not cml's is not believed.
    let lease = "echo 99999999999 >/run/cml/lease; systemctl is-active cml-lease.timer cml-deadline.timer";
    let Some((_, said)) = attack("ca-central-1", 20, &[KILL_AGENT, KILL_PROCESS, MASK, lease]) else { return };
    assert_eq!(said.matches("Operation refused, unit cml-lease.timer may be requested").count(), 1, "{said}");
    assert!(said.starts_with("failed\nactive\nactive\n"), "{said}");
}

#[test]
fn a_job_that_removes_units_and_kills_the_agent_loses_its_machine() {
    let state = "systemctl is-active cml-lease.timer";
    let Some((_, said)) = attack("sa-east-1", 20, &[KILL_AGENT, REMOVE_UNITS, state]) else { return };
    assert!(!said.starts_with("failed\nactive\n"), "{said}");
}

#[test]
fn a_lease_is_renewed_while_the_job_runs_and_not_by_an_agent_that_hangs() {
    let Some((fixture, mut vm, launch)) = busy("ap-northeast-1", 10) else { return };
    assert_eq!(launch.end().code, Some(0));
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(vm.agent(), "running a job: active");
    vm.as_root("systemctl kill --kill-who=main --signal=STOP cml-agent.service");
    vm.until_off();
    power_off(&fixture);
}

#[test]
fn a_job_that_restarts_its_machine_loses_it() {
    let restart = "systemctl reboot --force --force";
    for (region, scripts) in
        [("ap-northeast-2", [KILL_AGENT, MASK, restart]), ("ap-northeast-3", [KILL_AGENT, REMOVE_UNITS, restart])]
    {
        let Some((vm, said)) = attack(region, 60, &scripts) else { return };
        let console = String::from_utf8_lossy(&std::fs::read(vm.path().join("console")).unwrap()).into_owned();
        assert_eq!(console.matches("Welcome to").count(), 2, "{said} {console}");
    }
}
