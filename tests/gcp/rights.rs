//! The role in docs/gcp.md is what a launch, its undoing, list, stop and reap ask for.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use std::collections::BTreeSet;

/// The permissions of the role in the documentation.
fn documented() -> BTreeSet<String> {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gcp.md")).unwrap();
    let role = docs.split("```yaml\n").find(|part| part.contains("includedPermissions:")).expect("a role");
    let role = role.split("```").next().unwrap();
    let lines = role.lines().filter_map(|line| line.trim().strip_prefix("- "));
    lines.map(|line| line.split('#').next().unwrap().trim().to_owned()).collect()
}

#[test]
fn the_documentation_has_the_role() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    fixture.cloud.grants(documented());
    assert_eq!(fixture.launch(&["--cloud-gpu", "t4"]).code, Some(0));
    fixture.run(&["list"]).ok();
    assert_eq!(fixture.run(&["reap", "--recheck-after", "0"]).code, Some(0));
    let ran = fixture.start(&["--name", "other", "--cloud-boot-timeout", "0"]).end();
    assert_eq!(ran.code, Some(12), "{ran:#?}");
    assert_eq!(fixture.cloud.used(), documented());
}

#[test]
fn a_permission_that_is_missing_is_named_before_anything_is_created() {
    let without = |permission: &str| {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.cloud.grants(documented().into_iter().filter(|one| one != permission));
        fixture
    };
    for permission in ["compute.instances.create", "compute.machineTypes.list", "compute.subnetworks.useExternalIp"] {
        let fixture = without(permission);
        fixture.run(&["launch"]).fails(
            4,
            &format!("Google Cloud does not allow {permission} in the project ml-project"),
            "grant the launcher's account the role of docs/gcp.md in the project",
        );
        assert!(fixture.cloud.effects().is_empty() && fixture.runners().is_empty());
    }
    // With an identity one more is needed.
    let fixture = without("");
    let ran = fixture.run(&["launch", "--cloud-permission-set", "x@ml-project.iam.gserviceaccount.com"]);
    ran.fails(4, "Google Cloud does not allow compute.instances.setServiceAccount in the project*", "*");
    // Where the rule exists already, nobody needs to make it.
    let fixture = without("");
    assert_eq!(fixture.launch(&[]).code, Some(0));
    fixture.cloud.grants(documented().into_iter().filter(|one| one != "compute.firewalls.create"));
    assert_eq!(fixture.launch(&["--name", "other"]).code, Some(0));
    // Where nobody can be asked for the permissions, the launch itself tells.
    let fixture = without("compute.instances.create");
    let asks = "/v1/projects/ml-project:testIamPermissions";
    fixture.cloud.fails(asks, 1, crate::support::recorder::Wrong::Refused(403, "accessNotConfigured", "x"));
    fixture.run(&["launch"]).fails(
        4,
        "Google Cloud does not allow compute.instances.create: Required 'compute.instances.create' permission for*",
        "add compute.instances.create to the role of the account; docs/gcp.md has the whole role",
    );
    fixture.is_clean();
}
