//! What a launch has to be allowed to do, evaluated before anything is created:
//! <https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group>.

use crate::error::{Error, Kind};
use serde::Deserialize;

/// What is allowed by one role.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// Actions that it grants, with `*` for any text.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Actions that it does not grant, although the others say so.
    #[serde(default)]
    pub not_actions: Vec<String>,
}

/// The actions on the resource group without which no launch can be made and undone. docs/azure.md has the role.
pub const ON_GROUP: [&str; 12] = [
    "Microsoft.Compute/virtualMachines/read",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.Compute/virtualMachines/delete",
    "Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action",
    "Microsoft.Compute/disks/write",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/networkInterfaces/delete",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/publicIPAddresses/delete",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
];

/// That with which a machine gets an identity that exists.
pub const TO_ATTACH_IDENTITY: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";

/// That with which a machine's own identity gets a role.
pub const TO_ASSIGN_ROLE: &str = "Microsoft.Authorization/roleAssignments/write";

/// Those that a launch needs besides where the network does not exist yet.
pub const TO_CREATE_NETWORK: [&str; 3] = [
    "Microsoft.Network/networkSecurityGroups/write",
    "Microsoft.Network/networkSecurityGroups/join/action",
    "Microsoft.Network/virtualNetworks/write",
];

/// That where the resource group does not exist yet.
pub const TO_CREATE_GROUP: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";

/// Returns whether permissions allow an action. What one role takes away another one may grant.
pub fn is_allowed(permissions: &[Permission], action: &str) -> bool {
    let matches = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, action));
    permissions.iter().any(|one| matches(&one.actions) && !matches(&one.not_actions))
}

/// Returns whether an action fits a pattern, in which `*` stands for any text; letters count in either case.
fn fits(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Returns the error that names the actions that are missing.
pub fn missing(actions: &[&str], scope: &str) -> Error {
    Error::new(Kind::Auth, format!("Azure does not allow this application in {scope}: {}", actions.join(", ")))
        .hint("assign the role of docs/azure.md to it, on that resource group")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(actions: &[&str], not_actions: &[&str]) -> Permission {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Permission { actions: texts(actions), not_actions: texts(not_actions) }
    }

    #[test]
    fn patterns_are_those_of_azures_roles() {
        let action = "Microsoft.Compute/virtualMachines/delete";
        for (pattern, expected) in [
            ("*", true),
            ("*/delete", true),
            ("Microsoft.Compute/*", true),
            ("microsoft.compute/virtualmachines/delete", true),
            ("Microsoft.Compute/*/delete", true),
            ("*/read", false),
            ("Microsoft.Compute/virtualMachines", false),
            ("Microsoft.Compute/virtualMachines/delete/*", false),
            ("Microsoft.Network/*", false),
            ("Microsoft.Compute/virtualMachines/delete*", true),
        ] {
            assert_eq!(is_allowed(&[permission(&[pattern], &[])], action), expected, "{pattern}");
        }
    }

    #[test]
    fn what_one_role_takes_away_another_may_grant() {
        let contributor = permission(&["*"], &["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"]);
        assert!(!is_allowed(std::slice::from_ref(&contributor), TO_ASSIGN_ROLE));
        assert!(ON_GROUP.iter().all(|action| is_allowed(std::slice::from_ref(&contributor), action)));
        let both = [contributor, permission(&["Microsoft.Authorization/roleAssignments/*"], &[])];
        assert!(is_allowed(&both, TO_ASSIGN_ROLE));
        assert!(!is_allowed(&[], "Microsoft.Compute/disks/write"));
        assert_eq!(missing(&["a/b", "c/d"], "cml-runners").exit_code(), 4);
    }
}
