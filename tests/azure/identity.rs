//! The identity with which a machine deletes itself, where nobody has made one: its own, if the launcher may assign a role to it.
//! Real: the program, and what the machine runs at its end. Scripted: Azure and the forge.

use super::fixture::{AzureFixture, DELETE, WRITE};
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;

const ASSIGN: &str = "Microsoft.Authorization/roleAssignments/write";

/// The launcher may assign roles, which take effect after so many requests, and there is no identity.
fn fixture(delay: usize) -> AzureFixture {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.has_no_identity();
    fixture.cloud.may_assign(delay);
    fixture
}

#[test]
fn a_machine_gets_an_identity_of_its_own_with_a_role_on_itself() {
    let fixture = fixture(20);
    let shown = fixture.run(&["launch", "--dry-run"]).ok();
    let says = "its own, which gets the role Virtual Machine Contributor on it alone, to delete itself";
    assert!(shown.lines().any(|line| line.strip_prefix("identity").is_some_and(|rest| rest.trim() == says)), "{shown}");
    assert_eq!(fixture.cloud.effects(), [""; 0]);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    assert_eq!(fixture.cloud.effects(), [WRITE, ASSIGN]);
    let (name, machine) = fixture.machine();
    assert!(machine["identity"].get("userAssignedIdentities").is_none(), "{machine}");
    // The role takes effect minutes later: until then it may not delete itself.
    fixture.cloud.power_off(&name);
    fixture.cloud.run_deletion(&name);
    assert_eq!(fixture.cloud.of(DELETE).len(), 21);
    assert_eq!((fixture.cloud.billed(), fixture.cloud.roles()), (Vec::new(), 0));
}

#[test]
fn an_identity_that_somebody_made_comes_first() {
    let fixture = AzureFixture::new(Vendor::GitHub);
    fixture.cloud.may_assign(0);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    assert_eq!(fixture.cloud.effects(), [WRITE]);
}

#[test]
fn a_new_identity_may_not_be_known_yet() {
    let fixture = fixture(0);
    let unknown = "Principal principal-1 does not exist in the directory.";
    fixture.cloud.fails(ASSIGN, 1, Wrong::Refused(400, "PrincipalNotFound", unknown));
    // Nor need its answer arrive.
    fixture.cloud.fails(ASSIGN, 1, Wrong::LostAnswer);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    assert_eq!((fixture.cloud.of(ASSIGN).len(), fixture.cloud.roles()), (3, 1));
}

#[test]
fn a_machine_that_gets_no_role_is_deleted() {
    let fixture = fixture(0);
    let says =
        "does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write' over scope '/x'";
    fixture.cloud.fails(ASSIGN, 1, Wrong::Refused(403, "AuthorizationFailed", says));
    let says = "Azure does not allow it: *'Microsoft.Authorization/roleAssignments/write' over scope *";
    fixture.run(&["launch"]).fails(4, says, "assign the role of docs/azure.md *");
    fixture.is_clean();
}
