//! What may remain of a machine that is gone: its network interface, address and disk. An eviction, or a creation that failed, may
//! leave them, and they cost something.

use super::Azure;
use super::api::version;
use super::body::Tags;
use crate::cloud::{Labels, Leftover};
use crate::error::{Error, Result};
use futures_util::future::try_join3;
use serde::Deserialize;
use serde_json::Value;

/// A kind of resource that belongs to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A network interface.
    Interface,
    /// A public address, which the interface uses.
    Address,
    /// A disk.
    Disk,
}

/// In the order in which they can be deleted.
const PARTS: [Part; 3] = [Part::Interface, Part::Address, Part::Disk];

impl Part {
    /// Returns the resource type.
    pub fn kind(self) -> &'static str {
        match self {
            Part::Interface => "Microsoft.Network/networkInterfaces",
            Part::Address => "Microsoft.Network/publicIPAddresses",
            Part::Disk => "Microsoft.Compute/disks",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Part::Interface => "network interface",
            Part::Address => "public address",
            Part::Disk => "disk",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Part::Interface | Part::Address => version::NETWORK,
            Part::Disk => version::COMPUTE,
        }
    }
}

/// A resource, as Azure lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    tags: Tags,
    /// The machine of a disk.
    managed_by: Option<String>,
    #[serde(default)]
    properties: Value,
}

impl Listed {
    /// Returns whether a machine uses it. The address of an interface goes with that.
    fn is_used(&self) -> bool {
        self.managed_by.as_ref().is_some_and(|id| !id.is_empty()) || self.properties["virtualMachine"].is_object()
    }
}

impl Azure {
    /// Lists the resources of the region with our tags whose machine is gone, by path. Those of a machine that is being created have
    /// their machine in the list, which is fetched after them.
    pub(super) async fn find_leftovers(&self) -> Result<Vec<Leftover>> {
        let [interfaces, addresses, disks] = PARTS.map(|part| self.list_parts(part));
        let (interfaces, addresses, disks) = try_join3(interfaces, addresses, disks).await?;
        if interfaces.is_empty() && addresses.is_empty() && disks.is_empty() {
            return Ok(Vec::new());
        }
        let machines = self.list_machines().await?;
        let is_left = |(_, one): &(Part, Listed)| !machines.iter().any(|machine| machine.name == one.name);
        let all = interfaces.into_iter().chain(addresses).chain(disks).filter(is_left);
        let leftover = |(part, one): (Part, Listed)| Leftover {
            id: format!("{}/{}", part.kind(), one.name),
            name: one.name,
            what: part.name(),
            why: "its instance is gone",
        };
        Ok(all.map(leftover).collect())
    }

    async fn list_parts(&self, part: Part) -> Result<Vec<(Part, Listed)>> {
        let found: Vec<Listed> = match self.arm.list(&self.in_group(part.kind(), part.version())).await {
            Err(failure) if failure.is_missing() => Vec::new(),
            found => found?,
        };
        let is_ours = |one: &Listed| {
            Labels::read(&one.tags).is_some() && one.location.eq_ignore_ascii_case(&self.region) && !one.is_used()
        };
        Ok(found.into_iter().filter(is_ours).map(|one| (part, one)).collect())
    }

    /// Deletes one of [`Azure::find_leftovers`].
    pub(super) async fn delete_part(&self, id: &str) -> Result<()> {
        let part = PARTS.into_iter().find(|part| id.starts_with(part.kind()));
        let part = part.ok_or_else(|| Error::internal(format!("{id} is not part of an instance")))?;
        self.arm.delete(&self.in_group(id, part.version())).await
    }
}
