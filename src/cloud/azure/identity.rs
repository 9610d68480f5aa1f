//! The identity with which a machine deletes itself:
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview>.

use super::api::{Arm, version};
use super::{Azure, body};
use crate::cloud::InstanceRequest;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The identity that an administrator creates once, in the resource group.
const NAME: &str = "cml-runner";
/// The script with which a machine asks to be deleted.
const DELETE: &str = include_str!("delete.sh");

/// The identities of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineIdentity {
    /// Their resource ids; the first one may delete the machine.
    ids: Vec<String>,
    /// The client id of the first, where it is known.
    client: Option<String>,
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
    /// Finds the identity that the machine gets: the user's own, else the group's `cml-runner`.
    ///
    /// # Errors
    /// There is none: a machine that cannot delete itself would cost its full price after it has powered off.
    pub(super) async fn identity(&self, request: &InstanceRequest) -> Result<MachineIdentity> {
        if let Some(asked) = &request.identity {
            let ids: Vec<String> =
                asked.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect();
            if ids.is_empty() || !ids.iter().all(|id| is_identity(id)) {
                return Err(Error::usage(format!("--cloud-permission-set {asked} is not an identity of Azure"))
                    .hint("use its id: az identity show --resource-group GROUP --name NAME --query id"));
            }
            return Ok(MachineIdentity { ids, client: None });
        }
        let target =
            self.in_group(&format!("Microsoft.ManagedIdentity/userAssignedIdentities/{NAME}"), version::IDENTITY);
        let found: Option<Found> = self.arm.find(&target).await?;
        let Found { id, properties } = found.ok_or_else(|| self.no_identity())?;
        Ok(MachineIdentity { ids: vec![id], client: Some(properties.client_id) })
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
        let ids: BTreeMap<String, body::Empty> = self.ids.iter().map(|id| (id.clone(), body::Empty {})).collect();
        body::Identity { kind: "UserAssigned", user_assigned_identities: ids }
    }

    /// Renders the script with which the machine asks to be deleted.
    pub fn delete_script(&self, arm: &Arm) -> String {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let first = self.ids.first().map(String::as_str).unwrap_or_default();
        let identity = match &self.client {
            Some(client) => format!("client_id={}", encoded(client)),
            None => format!("msi_res_id={}", encoded(first)),
        };
        DELETE
            .replace("@RESOURCE@", &encoded(&format!("{}/", arm.base())))
            .replace("@IDENTITY@", &identity)
            .replace("@MANAGEMENT@", arm.base())
            .replace("@VERSION@", version::COMPUTE)
    }

    /// Returns the names of the identities, for people.
    pub fn names(&self) -> String {
        let name = |id: &String| id.rsplit('/').next().unwrap_or_default().to_owned();
        self.ids.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Returns whether a text is the id of an identity.
fn is_identity(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    id.starts_with("/subscriptions/")
        && id.contains("/providers/microsoft.managedidentity/userassignedidentities/")
        && id.bytes().all(|b| b.is_ascii_graphic() && !b"'\"\\`$".contains(&b))
}
