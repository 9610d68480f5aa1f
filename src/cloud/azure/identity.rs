//! The identity with which a machine deletes itself:
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview>.

use super::access::{Permission, TO_ASSIGN_ROLE, TO_ATTACH_IDENTITY, is_allowed};
use super::api::{Arm, version};
use super::state::Machine;
use super::{Azure, body};
use crate::cloud::InstanceRequest;
use crate::cloud::rest::Failure;
use crate::digest::uuid;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The identity that an administrator creates once, in the resource group.
const NAME: &str = "cml-runner";
/// The script with which a machine asks to be deleted.
const DELETE: &str = include_str!("delete.sh");

/// The role of a machine's own identity, on the machine alone: Virtual Machine Contributor, which every subscription has.
/// <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/compute#virtual-machine-contributor>
const ROLE: &str = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c";
/// How often a machine asks to be deleted, ten seconds apart, with a role that it had before: the identity's token may take a minute.
const ATTEMPTS: u32 = 8;
/// The same with a role that was assigned after its creation, which takes effect within minutes:
/// <https://learn.microsoft.com/azure/role-based-access-control/troubleshooting#symptom---role-assignment-changes-are-not-being-detected>.
const ATTEMPTS_WITH_NEW_ROLE: u32 = 90;

/// The identity with which a machine deletes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineIdentity {
    /// One that exists, and others for its jobs.
    Existing {
        /// Their resource ids; the first one may delete the machine.
        ids: Vec<String>,
        /// The client id of the first, where it is known.
        client: Option<String>,
    },
    /// The machine's own, which gets a role after the machine was created.
    Own,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    properties: FoundProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundProperties {
    client_id: String,
}

impl Azure {
    /// Finds the identity that the machine gets: the user's own, else the group's `cml-runner`. `None` if neither exists.
    pub(super) async fn find_identity(&self, request: &InstanceRequest) -> Result<Option<MachineIdentity>> {
        if let Some(asked) = &request.identity {
            let ids: Vec<String> =
                asked.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
            if ids.is_empty() || !ids.iter().all(|id| is_identity(id)) {
                return Err(Error::usage(format!("--cloud-permission-set {asked} is not an identity of Azure"))
                    .hint("use its id: az identity show --resource-group GROUP --name NAME --query id"));
            }
            return Ok(Some(MachineIdentity::Existing { ids, client: None }));
        }
        let target =
            self.in_group(&format!("Microsoft.ManagedIdentity/userAssignedIdentities/{NAME}"), version::IDENTITY);
        let found: Option<Found> = self.arm.find(&target).await?;
        let existing =
            |found: Found| MachineIdentity::Existing { ids: vec![found.id], client: Some(found.properties.client_id) };
        Ok(found.map(existing))
    }

    /// Returns the machine's own identity, where the launcher may assign a role to it.
    ///
    /// # Errors
    /// It may not: a machine that cannot delete itself would cost its full price after it has powered off.
    pub(super) fn own_identity(&self, permissions: Option<&[Permission]>) -> Result<MachineIdentity> {
        match permissions {
            Some(permissions) if is_allowed(permissions, TO_ASSIGN_ROLE) => Ok(MachineIdentity::Own),
            _ => Err(self.no_identity()),
        }
    }

    /// Lets a machine delete itself, with its own identity. The role goes with the machine. Once more has no other effect.
    pub(super) async fn allow_deletion(&self, machine: &str) -> Result<(), Failure> {
        let found = self.find_machine(machine).await?;
        let principal = found.as_ref().and_then(Machine::principal);
        let principal = principal.ok_or_else(|| Error::remote(format!("Azure has given {machine} no identity")))?;
        let path = format!("Microsoft.Compute/virtualMachines/{machine}");
        // The name must be another one for another machine of the same name.
        let name = uuid(&[&self.arm.id(&self.group_path()), &path, principal]);
        let path = format!("{path}/providers/Microsoft.Authorization/roleAssignments/{name}");
        let role = self.arm.id(&format!("/providers/Microsoft.Authorization/roleDefinitions/{ROLE}"));
        let properties = body::RoleAssignmentProperties {
            role_definition_id: role,
            principal_id: principal,
            // Without it Azure looks the identity up, which it may not know everywhere yet.
            principal_type: "ServicePrincipal",
        };
        let assigned =
            self.arm.put(&self.in_group(&path, version::AUTHORIZATION), &body::RoleAssignment { properties }).await;
        match assigned {
            Err(failure) if failure.code() == "RoleAssignmentExists" => Ok(()),
            outcome => outcome,
        }
    }

    fn no_identity(&self) -> Error {
        let Azure { group, region, .. } = self;
        let scope = self.arm.id(&self.group_path());
        Error::config(format!(
            "the resource group {group} has no identity {NAME}, with which an instance deletes itself: Azure bills one that is only off in full"
        ))
        .hint(format!(
            "create it once, as an administrator:\n  \
            az group create --name {group} --location {region}\n  \
            az identity create --resource-group {group} --name {NAME}\n  \
            az role assignment create --role 'Virtual Machine Contributor' --scope {scope} --assignee-principal-type ServicePrincipal --assignee-object-id \"$(az identity show --resource-group {group} --name {NAME} --query principalId --output tsv)\""
        ))
    }
}

impl MachineIdentity {
    /// Returns what a machine's body has of it.
    pub fn body(&self) -> body::Identity {
        match self {
            MachineIdentity::Existing { ids, .. } => body::Identity {
                kind: "UserAssigned",
                user_assigned_identities: ids.iter().map(|id| (id.clone(), body::Empty {})).collect(),
            },
            MachineIdentity::Own => {
                body::Identity { kind: "SystemAssigned", user_assigned_identities: BTreeMap::new() }
            }
        }
    }

    /// Returns what the launcher must be allowed to do for it.
    pub fn needs(&self) -> &'static str {
        match self {
            MachineIdentity::Existing { .. } => TO_ATTACH_IDENTITY,
            MachineIdentity::Own => TO_ASSIGN_ROLE,
        }
    }

    /// Renders the script with which the machine asks to be deleted.
    pub fn delete_script(&self, arm: &Arm) -> String {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (identity, attempts) = match self {
            MachineIdentity::Existing { client: Some(client), .. } => {
                (format!("&client_id={}", encoded(client)), ATTEMPTS)
            }
            MachineIdentity::Existing { ids, client: None } => {
                let first = ids.first().map(String::as_str).unwrap_or_default();
                (format!("&msi_res_id={}", encoded(first)), ATTEMPTS)
            }
            MachineIdentity::Own => (String::new(), ATTEMPTS_WITH_NEW_ROLE),
        };
        DELETE
            .replace("@RESOURCE@", &encoded(&format!("{}/", arm.base())))
            .replace("@IDENTITY@", &identity)
            .replace("@ATTEMPTS@", &attempts.to_string())
            .replace("@MANAGEMENT@", arm.base())
            .replace("@VERSION@", version::COMPUTE)
    }

    /// Describes it for people.
    pub fn describe(&self) -> String {
        match self {
            MachineIdentity::Existing { ids, .. } => {
                let names: Vec<&str> = ids.iter().map(|id| id.rsplit('/').next().unwrap_or_default()).collect();
                format!("{}, with which it deletes itself", names.join(", "))
            }
            MachineIdentity::Own => {
                "its own, which gets the role Virtual Machine Contributor on it alone, to delete itself".to_owned()
            }
        }
    }
}

/// Returns whether a text is the id of an identity.
fn is_identity(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    id.starts_with("/subscriptions/")
        && id.contains("/providers/microsoft.managedidentity/userassignedidentities/")
        && id.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\`$".contains(&b))
}
