//! What is said and undone where it goes wrong.

use super::fixture::{AzureFixture, DELETE, WRITE};
use crate::cloud::fixture::signal;
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Nothing was registered or made.
fn made_nothing(fixture: &AzureFixture) {
    assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
    assert_eq!(fixture.cloud.effects(), [""; 0]);
}

#[test]
fn without_an_identity_to_delete_itself_nothing_is_launched() {
    for is_new in [true, false] {
        let fixture = AzureFixture::new(Vendor::GitHub);
        if is_new {
            fixture.cloud.is_new()
        } else {
            fixture.cloud.has_no_identity()
        }
        let ran = fixture.run(&["launch"]);
        assert_eq!(ran.code, Some(3), "{ran:#?}");
        assert!(ran.stderr.contains("has no identity cml-runner, with which an instance deletes itself"), "{ran:#?}");
        for line in ["az group create --name cml-runners", "az identity create ", "az role assignment create "] {
            assert!(ran.stderr.contains(line), "{line}: {ran:#?}");
        }
        made_nothing(&fixture);
    }
    // The user's own is taken to be able to.
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.has_no_identity();
    let id = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/ml/providers/Microsoft.ManagedIdentity/userAssignedIdentities/train";
    assert_eq!(fixture.launch(&["--cloud-permission-set", id]).code, Some(0));
    let (name, machine) = fixture.machine();
    assert!(machine["identity"]["userAssignedIdentities"][id].is_object(), "{machine}");
    fixture.cloud.run_deletion(&name);
    assert_eq!(fixture.cloud.billed(), [""; 0]);
}

#[test]
fn a_group_that_is_not_there_is_made() {
    let fixture = AzureFixture::without_network(Vendor::GitHub);
    fixture.cloud.is_new();
    let id = "/subscriptions/s/resourceGroups/ml/providers/Microsoft.ManagedIdentity/userAssignedIdentities/train";
    let ran = fixture.launch(&["--cloud-permission-set", id, "--cloud-azure-resource-group", "training"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(fixture.cloud.effects()[0], "Microsoft.Resources/subscriptions/resourceGroups/write");
    let listed = fixture.run(&["list", "--cloud-azure-resource-group", "training"]).ok();
    assert!(listed.contains("Standard_D8as_v5"), "{listed}");
}

#[test]
fn permissions_that_are_missing_are_named_before_anything_is_made() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.denies("Microsoft.Compute/virtualMachines/delete");
    fixture.cloud.denies("Microsoft.Network/publicIPAddresses/write");
    let says = "Azure does not allow this application in cml-runners: Microsoft.Compute/virtualMachines/delete, Microsoft.Network/publicIPAddresses/write";
    fixture.run(&["launch"]).fails(4, says, "assign the role of docs/azure.md *");
    made_nothing(&fixture);

    // Where that may not be asked, Azure's own refusal names the action and the scope.
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.hides_permissions();
    fixture.cloud.denies("Microsoft.Network/virtualNetworks/subnets/join/action");
    let ran = fixture.run(&["launch"]);
    let says = "Azure does not allow it: *'Microsoft.Network/virtualNetworks/subnets/join/action' over scope *";
    ran.fails(4, says, "assign the role of docs/azure.md *");
    fixture.is_clean();
}

/// The machine whose answer was lost uses up the quota, or nobody may look at the operation that makes it.
#[test]
fn a_refusal_after_a_lost_answer_makes_no_second_machine() {
    let denied = Wrong::Refused(403, "AuthorizationFailed", "no authorization to perform action 'x'");
    let quota = Wrong::Refused(409, "QuotaExceeded", "exceeding approved Cores quota.");
    for (action, lost, refused) in [(WRITE, 1, quota), ("", 0, denied)] {
        let fixture = AzureFixture::new(Vendor::GitHub);
        fixture.cloud.fails(action, lost, Wrong::LostAnswer);
        fixture.cloud.fails(action, 1, refused);
        let ran = fixture.launch(&[]);
        assert_eq!((ran.code, fixture.cloud.machines().len()), (Some(0), 1), "{action}: {ran:#?}");
    }
}

#[test]
fn without_capacity_nothing_is_left() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.fails(WRITE, 3, Wrong::Fails("ZonalAllocationFailed", "Allocation failed in zone 2."));
    let ran = fixture.run(&["launch"]);
    let says = "no capacity for Standard_D8as_v5, Standard_D8s_v5, Standard_F8s_v2 in westus2: Allocation failed in zone 2 (ZonalAllocationFailed)";
    ran.fails(11, says, "try another --cloud-region*");
    fixture.is_clean();

    fixture.cloud.forget();
    let quota = "Operation could not be completed as it results in exceeding approved standardDASv5Family Cores quota.";
    fixture.cloud.fails(WRITE, 1, Wrong::Refused(409, "OperationNotAllowed", quota));
    let ran = fixture.run(&["launch", "--cloud-type", "D8as_v5"]);
    ran.fails(
        11,
        "no capacity for Standard_D8as_v5 in westus2: the subscription has reached its limit: *",
        "request an increase *",
    );
    fixture.is_clean();
}

#[test]
fn what_is_wrong_with_an_option_is_said_before_anything_is_made() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    for (args, code, error, hint) in [
        (&["--cloud-region", "eu-west-1"][..], 2, "eu-west-1 is not an Azure region", "use us-east*"),
        (&["--cloud-region", "moon"], 2, "Azure has no sizes in a region 'moon'", "az account list-locations*"),
        (
            &["--cloud-gpu", "k80"],
            2,
            "there is no size m with the GPU k80",
            "Azure has retired its sizes with that GPU*",
        ),
        (&["--cloud-gpu", "l4"], 2, "there is no size m with the GPU l4", "known GPUs: a100, h100, h200, t4*"),
        (
            &["--cloud-type", "n1-standard-8+nvidia-tesla-t4*2"],
            2,
            "--cloud-type n1-standard-8+nvidia-tesla-t4*2 is not a size of Azure",
            "a size has its GPUs already: *",
        ),
        (&["--cloud-type", "D9"], 11, "no usable size in westus2: Standard_D9 does not exist there", "use another*"),
        (
            &["--cloud-type", "D8s_v5,D8ps_v5"],
            2,
            "the sizes in --cloud-type * need different images",
            "use sizes of one*",
        ),
        (&["--cloud-image", "ubuntu"], 2, "--cloud-image ubuntu is not an image of Azure", "use publisher:*"),
        (
            &["--cloud-image", "Canonical:none:x:latest"],
            5,
            "there is no image Canonical:none:x:latest in westus2",
            "az vm image list*",
        ),
        (
            &["--cloud-image", "vendor:paid:x:latest"],
            7,
            "the image vendor:paid:x:latest has terms that must be accepted*",
            "use an image without*",
        ),
        (
            &["--cloud-permission-set", "trainer"],
            2,
            "--cloud-permission-set trainer is not an identity of Azure",
            "use its id*",
        ),
        (&["--cloud-azure-resource-group", "a/b"], 2, "a/b is not the name of a resource group", "it has letters*"),
        (&["--cloud-metadata", "a/b=c"], 2, "a/b cannot be a tag of Azure", "--cloud-metadata takes*"),
    ] {
        let ran = fixture.run(&[&["launch"], args].concat());
        ran.fails(code, error, hint);
        made_nothing(&fixture);
    }
}

#[test]
fn a_lost_answer_makes_no_second_machine() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.fails(WRITE, 1, Wrong::LostAnswer);
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!((fixture.cloud.of(WRITE).len(), fixture.cloud.machines().len()), (2, 1));

    // When none ever comes, it is found by its tags and deleted.
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.fails(WRITE, 99, Wrong::LostAnswer);
    let ran = fixture.run(&["launch", "--timeout", "20"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    fixture.is_clean();
}

#[test]
fn throttling_and_operations_at_the_same_time_are_waited_for() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.fails(WRITE, 1, Wrong::Refused(429, "TooManyRequests", "slow down"));
    let busy = Wrong::Refused(409, "AnotherOperationInProgress", "Another operation is in progress.");
    fixture.cloud.fails(DELETE, 1, busy);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    fixture.run(&["stop", &fixture.runners()[0].name]).ok();
    assert_eq!(fixture.cloud.billed(), [""; 0]);
}

#[test]
fn a_machine_that_fails_to_boot_is_deleted_and_its_console_shown() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    let launch = fixture.start(&[]);
    fixture.until("a machine", || !fixture.cloud.machines().is_empty());
    let (name, _) = fixture.machine();
    fixture.cloud.fill_console(&name, "cml: this instance cannot become a runner (1)\r\n");
    fixture.cloud.power_off(&name);
    let ran = launch.end();
    let says = "instance cml-* ended before its runner was online: it has powered off*";
    ran.fails(12, says, "");
    assert!(ran.stderr.contains("console: cml: this instance cannot become a runner (1)"), "{ran:#?}");
    fixture.is_clean();
}

/// Interrupted at each request: machines, those whose creation failed included, go with their interface, address and disk.
#[test]
fn a_signal_at_any_request_leaves_nothing() {
    let fixture = || {
        let fixture = AzureFixture::without_network(Vendor::GitHub);
        fixture.cloud.has_no_identity();
        fixture.cloud.may_assign(0);
        fixture.cloud.fails(WRITE, 1, Wrong::Fails("AllocationFailed", "Allocation failed."));
        fixture
    };
    let whole = fixture();
    assert_eq!(whole.launch(&[]).code, Some(0));
    let count = whole.cloud.actions().iter().position(|action| action.ends_with("/roleAssignments/write")).unwrap() + 3;
    for number in 1..=count {
        let fixture = fixture();
        let launch = Arc::new(OnceLock::<u32>::new());
        let pid = Arc::clone(&launch);
        fixture.cloud.after_each(move |at| {
            if at == number {
                signal(*pid.wait(), "TERM");
            }
        });
        let running = fixture.start(&[]);
        launch.set(running.id()).unwrap();
        let ran = running.end();
        assert_eq!(ran.code, Some(143), "{number}: {ran:#?}");
        fixture.is_clean();
    }
}

#[test]
fn a_signal_undoes_what_was_made() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    // While it waits for the runner; a second signal does not keep it from undoing.
    let launch = fixture.start(&[]);
    fixture.until("a look", || fixture.cloud.calls().iter().any(|call| call.is_look()));
    launch.signal("TERM");
    launch.signal("TERM");
    launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
    fixture.is_clean();
    // While the machine is being made, and before.
    for action in [WRITE, "Microsoft.Compute/skus/read"] {
        fixture.cloud.forget();
        fixture.cloud.fails(action, 1, Wrong::Slow(Duration::from_secs(2)));
        let launch = fixture.start(&[]);
        fixture.until(action, || !fixture.cloud.of(action).is_empty());
        launch.signal("TERM");
        launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
        fixture.is_clean();
    }
}
