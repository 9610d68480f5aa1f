//! The network that all instances of a region share. It is created once and kept: it costs nothing, and has no way in.
//! <https://learn.microsoft.com/azure/virtual-network/virtual-networks-overview>

use super::Azure;
use super::api::{Target, version};
use super::body::{
    AddressSpace, Named, Network, Reference, Resource, ResourceGroup, SecurityGroup, SecurityRule, Subnet, Tags,
};
use crate::cloud::labels::MANAGED;
use crate::cloud::rest::Failure;
use crate::error::{Error, Result};
use serde::Deserialize;
use std::time::Duration;

/// The subnet's name.
const SUBNET: &str = "cml";
/// The addresses of the network, and of its one subnet.
const ADDRESSES: &str = "10.77.0.0/16";
/// How often it is looked whether another launch has created it, and the first of the growing pauses.
const MAX_LOOKS: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// What Azure knows about a resource.
#[derive(Debug, Default, Deserialize)]
pub struct Found {
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// The tags of what all launches share.
fn shared() -> Tags {
    [(MANAGED.to_owned(), "shared".to_owned())].into()
}

impl Azure {
    fn network_name(&self) -> String {
        format!("cml-{}", self.region)
    }

    /// Returns the target of the region's network, or of a part of it.
    fn network(&self, part: &str) -> Target {
        self.in_group(&format!("Microsoft.Network/virtualNetworks/{}{part}", self.network_name()), version::NETWORK)
    }

    /// Returns the target of the region's security group.
    fn security_group(&self) -> Target {
        self.in_group(&format!("Microsoft.Network/networkSecurityGroups/{}", self.network_name()), version::NETWORK)
    }

    /// Returns the id of the subnet.
    pub(super) fn subnet_id(&self) -> String {
        let network = self.network_name();
        self.arm.id(&format!(
            "{}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{SUBNET}",
            self.group_path()
        ))
    }

    /// Returns whether the subnet exists.
    pub(super) async fn has_subnet(&self) -> Result<bool> {
        let found: Option<Found> = self.arm.find(&self.network(&format!("/subnets/{SUBNET}"))).await?;
        Ok(found.is_some())
    }

    /// Creates the resource group, unless it exists.
    pub(super) async fn create_group(&self) -> Result<()> {
        let body = ResourceGroup { location: &self.region, tags: &shared() };
        Ok(self.arm.put(&self.group_target(), &body).await?)
    }

    /// Creates the network with its subnet, and the security group that lets nothing in. Another launch may do the same.
    pub(super) async fn create_network(&self) -> Result<()> {
        let deny = SecurityRule {
            priority: 4096,
            direction: "Inbound",
            access: "Deny",
            protocol: "*",
            source_address_prefix: "*",
            source_port_range: "*",
            destination_address_prefix: "*",
            destination_port_range: "*",
        };
        let rules = vec![Named { name: "cml-no-inbound".to_owned(), properties: deny }];
        self.ensure(self.security_group(), SecurityGroup { security_rules: rules }, "network security group").await?;
        let group =
            format!("{}/providers/Microsoft.Network/networkSecurityGroups/{}", self.group_path(), self.network_name());
        let subnet = Subnet {
            address_prefix: ADDRESSES,
            // A machine has an address of its own.
            default_outbound_access: false,
            network_security_group: Reference { id: self.arm.id(&group) },
        };
        let network = Network {
            address_space: AddressSpace { address_prefixes: vec![ADDRESSES] },
            subnets: vec![Named { name: SUBNET.to_owned(), properties: subnet }],
        };
        self.ensure(self.network(""), network, "virtual network").await
    }

    /// Creates one of the two, unless it is there. Somebody else's of that name stays as it is.
    async fn ensure<T: serde::Serialize>(&self, target: Target, properties: T, what: &str) -> Result<()> {
        let body = Resource { location: &self.region, tags: &shared(), properties };
        let mut look = 0;
        loop {
            if let Some(found) = self.arm.find::<Found>(&target).await? {
                if found.tags.contains_key(MANAGED) {
                    return Ok(());
                }
                let (name, group) = (self.network_name(), &self.group);
                return Err(Error::conflict(format!("the {what} {name} in {group} is not one of cml's"))
                    .hint("rename or delete it, or use another --cloud-azure-resource-group"));
            }
            match self.arm.put(&target, &body).await {
                Err(failure) if is_of_another(&failure) && look < MAX_LOOKS => {
                    self.app.http.pause(LOOK_PAUSE, look).await?;
                    look += 1;
                }
                outcome => return Ok(outcome?),
            }
        }
    }
}

/// Returns whether another launch is creating the same.
fn is_of_another(failure: &Failure) -> bool {
    super::explain::is_busy(failure) || failure.refused.as_ref().is_some_and(|refused| refused.status == 412)
}
