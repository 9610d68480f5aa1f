//! The role in docs/azure.md is what a launch, its undoing and reap ask for.

use super::fixture::{AzureFixture, WRITE};
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;
use serde_json::Value;
use std::collections::BTreeSet;

/// The actions of the roles in the documentation.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/azure.md")).unwrap();
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let roles = blocks.map(|block| serde_json::from_str::<Value>(block).unwrap());
    let actions = roles.flat_map(|role| role["Actions"].as_array().unwrap().clone());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_documentation_has_the_roles() {
    let fixture = AzureFixture::without_network(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    fixture.run(&["list"]).ok();
    fixture.run(&["stop", &fixture.runners()[0].name]).ok();
    // One that fails shows its console.
    let launch = fixture.start(&["--name", "other"]);
    fixture.until("a machine", || !fixture.cloud.machines().is_empty());
    fixture.cloud.power_off(&fixture.machine().0);
    assert_eq!(launch.end().code, Some(12));
    // And an attempt that leaves parts.
    fixture.cloud.fails(WRITE, 1, Wrong::LostAnswer);
    assert_eq!(fixture.launch(&["--name", "third"]).code, Some(0));
    let (name, _) = fixture.machine();
    fixture.cloud.evict(&name);
    for kind in ["Microsoft.Network/networkInterfaces", "Microsoft.Compute/disks"] {
        fixture.cloud.edit(kind, &name, |part| {
            part["managedBy"] = Value::Null;
            part["properties"] = serde_json::json!({});
        });
    }
    fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]).ok();
    // And one whose machine gets a role.
    let assigning = AzureFixture::new(Vendor::GitHub);
    assigning.cloud.has_no_identity();
    assigning.cloud.may_assign(0);
    assert_eq!(assigning.launch(&[]).code, Some(0));
    assert_eq!(fixture.cloud.used().union(&assigning.cloud.used()).cloned().collect::<BTreeSet<_>>(), documented());
}
