//! Launches that succeed, and what becomes of them.

use super::fixture::{AzureFixture, DELETE, WRITE};
use crate::cloud::fixture::{kill, last_line};
use crate::support::azure::{Azure, GROUP, SUBSCRIPTION, now};
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// Real: the program. Scripted: Azure and the forge.
#[test]
fn a_machine_becomes_a_runner() {
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let fixture = AzureFixture::new(vendor);
        let ran = fixture.launch(&["--cloud-metadata", "team=ml", "--cloud-hdd-size", "50"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let ((name, machine), runner) = (fixture.machine(), fixture.runners().remove(0));
        let line = last_line(&ran);
        assert_eq!((&line["instanceId"], &line["id"]), (&json!(name), &json!(runner.name)));
        assert_eq!(
            (&line["cloud"], &line["region"], &line["instanceIp"], &line["instanceType"]),
            (&json!("azure"), &json!("westus2"), &json!("203.0.113.7"), &json!("Standard_D8as_v5"))
        );
        assert_eq!(fixture.cloud.effects(), [WRITE]);
        let (tags, properties) = (&machine["tags"], &machine["properties"]);
        assert_eq!((&tags["team"], &tags["cml-runner-id"]), (&json!("ml"), &json!(runner.id.to_string())));
        assert_eq!(
            (&tags["cml-managed"], &machine["placement"]["zonePlacementPolicy"]),
            (&json!("true"), &json!("Any"))
        );
        assert_eq!(properties["storageProfile"]["osDisk"]["diskSizeGB"], 50);
        assert_eq!(properties["storageProfile"]["imageReference"]["version"], "24.4.202611200");
        let identity = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/cml-runner"
        );
        assert!(machine["identity"]["userAssignedIdentities"][&identity].is_object(), "{machine}");
        // It has the runner's credential, and no key of the cloud.
        let script = fixture.cloud.custom_data(&name);
        assert!(
            script.contains(&format!("\"name\":\"{}\"", runner.name)) && !script.contains("client-secret"),
            "{script}"
        );
        // At its end it asks to be deleted, with all that it had.
        fixture.cloud.power_off(&name);
        fixture.cloud.run_deletion(&name);
        assert_eq!(fixture.cloud.billed(), [""; 0]);
    }
}

#[test]
fn a_launch_needs_few_requests_one_after_the_other() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let all = fixture.cloud.actions();
    let actions: Vec<&str> = all.iter().map(String::as_str).take_while(|action| *action != WRITE).collect();
    // A token, five at the same time, the newest image and at the same time the price, the image. Then the machine, and at the same time
    // a look for stopped ones.
    let actions: Vec<&str> =
        actions.into_iter().filter(|action| *action != "Microsoft.Compute/virtualMachines/read").collect();
    assert_eq!(actions.len(), 9, "{actions:?}");
    assert_eq!(actions[0], "POST login.microsoftonline.com");
    assert_eq!(fixture.cloud.of("POST login.microsoftonline.com").len(), 1);
}

#[test]
fn a_dry_run_shows_the_price_and_has_no_effect() {
    let fixture = AzureFixture::without_network(Vendor::GitHub);
    let shown = fixture.run(&["launch", "--dry-run", "--cloud-spot"]).ok();
    for (name, value) in [
        ("region", "westus2"),
        ("network", "cml-westus2, which will be created; no inbound connections"),
        ("market", "spot, with fallback to on demand"),
        ("image", "Canonical:ubuntu-24_04-lts:server:24.4.202611200"),
        ("identity", "cml-runner, with which it deletes itself"),
        ("price", "currently 0.0768 US dollars per hour (Standard_D8as_v5, spot)"),
    ] {
        let is_there = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value);
        assert!(shown.lines().any(is_there), "{name} {value}: {shown}");
    }
    let others = fixture.cloud.calls().into_iter().filter(|call| call.method != "GET").map(|call| call.action);
    assert_eq!(others.collect::<Vec<_>>(), ["POST login.microsoftonline.com"]);
}

#[test]
fn cmls_spellings_are_taken() {
    for (args, name, value) in [
        (&["--cloud-region", "us-east"][..], "region", "eastus"),
        (&["--cloud-region", "us-west"], "region", "westus2"),
        (&["--cloud-region", "eu-west"], "region", "westeurope"),
        (&["--cloud-region", "eu-north"], "region", "northeurope"),
        (&["--cloud-region", "West Europe"], "region", "westeurope"),
        (&["--cloud-type", "D8s_v5", "--cloud-gpu", "nogpu"], "types", "Standard_D8s_v5"),
        (&["--cloud-type", "m", "--cloud-gpu", "T4"], "types", "Standard_NC4as_T4_v3"),
        (
            &["--cloud-image", "ubuntu@Canonical:ubuntu-24_04-lts:server:latest"],
            "image",
            "Canonical:ubuntu-24_04-lts:server:24.4.202611200",
        ),
    ] {
        let fixture = AzureFixture::without_network(Vendor::GitHub);
        let shown = fixture.run(&[&["launch", "--dry-run"], args].concat()).ok();
        let is_there = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value);
        assert!(shown.lines().any(is_there) && shown.contains("\nprice "), "{args:?}: {shown}");
    }
}

#[test]
fn the_network_is_made_once_and_kept() {
    let fixture = AzureFixture::without_network(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let made = ["Microsoft.Network/networkSecurityGroups/write", "Microsoft.Network/virtualNetworks/write", WRITE];
    assert_eq!(fixture.cloud.effects(), made);
    fixture.cloud.forget();
    assert_eq!(fixture.launch(&["--name", "other"]).code, Some(0));
    assert_eq!(fixture.cloud.effects(), [WRITE]);

    // Somebody else's network of that name stays as it is.
    let fixture = AzureFixture::without_network(Vendor::GitHub);
    fixture.cloud.make_network("westus2");
    fixture.cloud.edit("Microsoft.Network/virtualNetworks", "cml-westus2", |network| {
        *network = json!({"name": "cml-westus2", "tags": {}, "properties": {"subnets": []}});
    });
    let ran = fixture.run(&["launch"]);
    ran.fails(6, "the virtual network cml-westus2 in cml-runners is not one of cml's", "rename or delete it*");
    fixture.is_clean();
}

#[test]
fn machines_are_listed_stopped_and_reaped() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.make_foreign("somebodys");
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    let listed = fixture.run(&["list"]).ok();
    assert!(listed.contains(&runner.name) && listed.contains("Standard_D8as_v5"), "{listed}");
    assert!(!listed.contains("somebodys"), "{listed}");
    fixture.run(&["stop", &runner.name]).ok();
    assert_eq!(fixture.cloud.billed(), ["somebodys"]);

    // A launcher that is killed while its machine boots.
    let launch = fixture.start(&[]);
    fixture.until("a machine", || fixture.cloud.machines().len() == 2);
    launch.kill_now();
    let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
    assert!(ran.stdout.contains("its runner is offline"), "{ran:#?}");
    assert_eq!(fixture.cloud.billed(), ["somebodys"]);
    assert!(fixture.runners().is_empty(), "{ran:#?}");
}

#[test]
fn what_an_eviction_leaves_is_reaped() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-spot"]).code, Some(0));
    let (name, machine) = fixture.machine();
    let properties = &machine["properties"];
    assert_eq!((&properties["priority"], &properties["billingProfile"]["maxPrice"]), (&json!("Spot"), &json!(-1.0)));
    fixture.cloud.evict(&name);
    for kind in ["Microsoft.Network/networkInterfaces", "Microsoft.Compute/disks"] {
        fixture.cloud.edit(kind, &name, |part| {
            part["managedBy"] = json!(null);
            part["properties"] = json!({});
        });
    }
    let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0", "--dry-run"]);
    assert_eq!((ran.code, ran.stdout.matches("its instance is gone").count()), (Some(0), 3), "{ran:#?}");
    assert!(!fixture.cloud.billed().is_empty());
    fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]).ok();
    assert_eq!(fixture.cloud.billed(), [""; 0]);
    assert!(fixture.cloud.resources("Microsoft.Network/networkInterfaces").is_empty());
}

/// Off or deallocated, it costs something until the next launch of the repository.
#[test]
fn a_stopped_machine_is_deleted_by_the_next_launch() {
    let machines = "Microsoft.Compute/virtualMachines";
    // What happens to the first one, and whether it is left then.
    let is_left_after = |change: &dyn Fn(&Azure, &str)| {
        let fixture = AzureFixture::new(Vendor::GitHub);
        fixture.cloud.make_foreign("somebodys");
        fixture.cloud.power_off("somebodys");
        assert_eq!(fixture.launch(&["--name", "first"]).code, Some(0));
        let first = fixture.cloud.machines().into_keys().find(|name| name != "somebodys").unwrap();
        fixture.cloud.age(&first);
        change(&fixture.cloud, &first);
        fixture.cloud.forget();
        assert_eq!(fixture.launch(&["--name", "second"]).code, Some(0));
        let left = fixture.cloud.machines();
        assert!(left.contains_key("somebodys"));
        assert_eq!(left.len(), if left.contains_key(&first) { 3 } else { 2 });
        left.contains_key(&first)
    };
    assert!(!is_left_after(&Azure::power_off));
    assert!(!is_left_after(&Azure::deallocate));
    assert!(!is_left_after(&|azure, name| {
        azure.power_off(name);
        azure.edit(machines, name, |machine| machine["location"] = json!("westeurope"));
    }));
    // Not a new one, whose launcher may still wait for it, nor one that runs, nor another repository's, nor one that may not be deleted now, which is no failure.
    assert!(is_left_after(&|azure, name| {
        azure.power_off(name);
        azure.edit(machines, name, |machine| machine["properties"]["timeCreated"] = json!(now()));
    }));
    assert!(is_left_after(&|_, _| {}));
    assert!(is_left_after(&|azure, name| {
        azure.power_off(name);
        azure.edit(machines, name, |machine| machine["tags"]["cml-repo"] = json!("https://github.com/me/other"));
    }));
    assert!(is_left_after(&|azure, name| {
        azure.power_off(name);
        azure.fails(DELETE, 1, Wrong::Refused(403, "AuthorizationFailed", "no"));
    }));
}

/// Killed at each request: what is left has its labels, and reap removes it.
#[test]
fn what_a_killed_launcher_leaves_is_reaped() {
    let full = AzureFixture::without_network(Vendor::GitHub);
    assert_eq!(full.launch(&[]).code, Some(0));
    let count = full.cloud.actions().iter().position(|action| action == WRITE).unwrap() + 4;
    for number in 9..=count {
        let fixture = AzureFixture::without_network(Vendor::GitHub);
        let launch = Arc::new(OnceLock::<u32>::new());
        let pid = Arc::clone(&launch);
        fixture.cloud.after_each(move |at| {
            if at == number {
                kill(*pid.wait());
            }
        });
        let running = fixture.start(&[]);
        launch.set(running.id()).unwrap();
        fixture.until("its end", || running.is_over());
        fixture.cloud.forget();
        for (name, machine) in fixture.cloud.machines() {
            assert_eq!(machine["tags"]["cml-managed"], "true", "{name}");
            assert!(fixture.cloud.custom_data(&name).contains("OnBootSec="), "{name}");
        }
        fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
        fixture.is_clean();
    }
}

#[test]
fn a_size_without_capacity_is_followed_by_the_next_and_spot_by_on_demand() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.restricts("Standard_D8as_v5");
    // One is refused at once, one after it was accepted.
    fixture.cloud.fails(WRITE, 1, Wrong::Refused(409, "SkuNotAvailable", "not available"));
    fixture.cloud.fails(WRITE, 1, Wrong::Fails("AllocationFailed", "Allocation failed."));
    let ran = fixture.launch(&["--cloud-spot"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("falling back to on-demand"), "{ran:#?}");
    let tried = fixture.cloud.of(WRITE).into_iter().map(|call| {
        (call.body["properties"]["hardwareProfile"]["vmSize"].clone(), call.body["properties"]["priority"].clone())
    });
    let expected = [("Standard_D8s_v5", "Spot"), ("Standard_F8s_v2", "Spot"), ("Standard_D8s_v5", "Regular")];
    assert_eq!(tried.collect::<Vec<_>>(), expected.map(|(size, priority)| (json!(size), json!(priority))));
    // What failed was deleted before the next.
    assert_eq!(fixture.cloud.effects(), [WRITE, WRITE, DELETE, WRITE]);
    assert_eq!(fixture.cloud.billed().len(), 1);
}

#[test]
fn a_gpu_has_its_image_and_no_secure_boot() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-gpu", "t4"]).code, Some(0));
    let (_, machine) = fixture.machine();
    let properties = &machine["properties"];
    assert_eq!(properties["hardwareProfile"]["vmSize"], "Standard_NC4as_T4_v3");
    assert_eq!(properties["storageProfile"]["imageReference"]["offer"], "ubuntu-hpc");
    assert_eq!(properties["storageProfile"]["osDisk"]["diskSizeGB"], 128);
    let firmware = json!({"secureBootEnabled": false, "vTpmEnabled": true});
    assert_eq!(properties["securityProfile"], json!({"securityType": "TrustedLaunch", "uefiSettings": firmware}));
}
