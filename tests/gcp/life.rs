//! After its time an instance costs nothing, whatever happened: <https://cloud.google.com/compute/docs/instances/limit-vm-runtime>.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Killed at each request. A running instance is deleted by Google after its lifetime, and `reap` removes it at once.
#[test]
fn what_a_killed_launcher_leaves_ends_by_itself() {
    let full = GcpFixture::new(Vendor::GitHub);
    assert_eq!(full.launch(&[]).code, Some(0));
    let calls = full.cloud.calls();
    let begins = calls.iter().position(|call| call.action == "compute.firewalls.create").unwrap();
    let last = calls.iter().position(|call| call.action == "compute.instances.get").unwrap() + 1;
    let mut left = 0;
    for number in begins + 1..=last {
        let fixture = GcpFixture::new(Vendor::GitHub);
        let launch = Arc::new(OnceLock::<u32>::new());
        let pid = Arc::clone(&launch);
        fixture.cloud.after_each(move |at| {
            if at == number {
                crate::cloud::fixture::kill(*pid.wait());
            }
        });
        let running = fixture.start(&["--cloud-max-lifetime", "1 hour"]);
        launch.set(running.id()).unwrap();
        fixture.until("its end", || running.is_over());
        fixture.cloud.forget();
        left += fixture.cloud.billed().len();
        for one in fixture.cloud.instances() {
            assert_eq!(
                (&one["labels"]["cml-managed"], &one["scheduling"]["maxRunDuration"]["seconds"]),
                (&"true".into(), &"3600".into()),
                "at {number}"
            );
        }
        // It is found by its labels, and its registration by its name.
        let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        fixture.is_clean();
    }
    assert!(left > 0, "an instance was left at one of them");
}

#[test]
fn google_deletes_an_instance_that_runs_for_too_long() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-max-lifetime", "1 hour"]).code, Some(0));
    fixture.cloud.pass(Duration::from_secs(3590));
    assert_eq!(fixture.cloud.billed().len(), 1);
    fixture.cloud.pass(Duration::from_secs(20));
    assert_eq!(fixture.cloud.billed(), [""; 0]);
}

/// One that has powered off is stopped, and Google's limit does not count any more: its disk costs something until the next launch of the
/// repository, or `reap`.
#[test]
fn a_stopped_instance_is_deleted_by_the_next_launch_and_by_reap() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-max-lifetime", "1 hour"]).code, Some(0));
    let first = fixture.cloud.billed().remove(0);
    fixture.cloud.power_off();
    fixture.cloud.pass(Duration::from_secs(7200));
    assert_eq!(fixture.cloud.billed(), [first.as_str()], "the disk");
    // A new one may have a launcher that still waits for it.
    assert_eq!(fixture.launch(&["--name", "other"]).code, Some(0));
    assert!(fixture.cloud.billed().contains(&first));
    fixture.cloud.age();
    assert_eq!(fixture.launch(&["--name", "second"]).code, Some(0));
    assert!(
        fixture.cloud.billed().len() == 2 && !fixture.cloud.billed().contains(&first),
        "{:?}",
        fixture.cloud.billed()
    );

    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    fixture.cloud.power_off();
    fixture.forge.configure_runners(|runners| runners.all.clear());
    let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
    assert!(ran.stdout.contains("the forge does not know its runner"), "{ran:#?}");
    fixture.is_clean();
}
