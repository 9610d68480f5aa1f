//! Azure: <https://learn.microsoft.com/rest/api/compute/virtual-machines>.
//!
//! An instance is one request: a virtual machine with its network interface, address and disk, which Azure deletes with it. All are in one
//! resource group, and share the network of their region, which is created once and kept. A machine that has powered off is billed in full, so
//! that each has an identity with which it deletes itself (`docs/adr/0023-azure.md`).

use super::rest::Failure;
use super::{
    Cloud, Driver, Instance, InstanceRequest, InstanceState, LaunchPlan, Leftover, Location, LocationOptions,
    console_end,
};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::http::request;
use api::{Arm, Target, version};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Method;
use leftovers::Part;
use serde::Deserialize;
use state::Machine;
use std::rc::Rc;
use url::Url;

mod access;
mod api;
pub mod args;
mod body;
mod explain;
mod identity;
mod images;
mod interruption;
mod launch;
mod leftovers;
mod network;
mod plan;
mod price;
mod sizes;
mod state;

/// The driver of this cloud.
pub const DRIVER: Driver = Driver {
    name: "azure",
    title: "Azure",
    is_offered: true,
    is_machine: true,
    downloads_binary: true,
    has_regions: true,
    connect,
    wait_for_interruption: interruption::wait_for_interruption,
    // Without one it could not delete itself.
    has_identity: |_| Box::pin(std::future::ready(true)),
};

/// The resource group, unless the user names one.
const GROUP: &str = "cml-runners";

/// CML's names of regions.
const REGIONS: &[(&str, &str)] =
    &[("us-east", "eastus"), ("us-west", "westus2"), ("eu-north", "northeurope"), ("eu-west", "westeurope")];

/// One resource group, and one region.
struct Azure {
    app: App,
    arm: Arm,
    region: String,
    group: String,
}

fn connect(app: &App, region: &str, options: &LocationOptions) -> Result<Rc<dyn Cloud>> {
    let region = parse_region(region)?;
    let group = options.azure.group().unwrap_or(GROUP);
    let is_name =
        group.len() <= 90 && !group.ends_with('.') && group.chars().all(|c| c.is_alphanumeric() || "_-.()".contains(c));
    if !is_name {
        return Err(Error::usage(format!("{group} is not the name of a resource group"))
            .hint("it has letters, digits, and the characters _ - . ( ), at most 90"));
    }
    Ok(Rc::new(Azure { app: app.clone(), arm: Arm::new(app)?, region, group: group.to_owned() }))
}

/// Parses a region: `westeurope`, or as Azure shows it, `West Europe`.
fn parse_region(name: &str) -> Result<String> {
    let known = REGIONS.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs);
    let region = known.map_or_else(|| name.to_ascii_lowercase().replace(' ', ""), str::to_owned);
    if region.is_empty() || !region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err(Error::usage(format!("{name} is not an Azure region")).hint(
            "use us-east, us-west, eu-west or eu-north, or a region such as germanywestcentral; Azure chooses the zone",
        ));
    }
    Ok(region)
}

/// The address of a console's text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BootDiagnostics {
    serial_console_log_blob_uri: Option<String>,
}

/// A public address.
#[derive(Deserialize)]
struct PublicAddress {
    properties: PublicAddressProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicAddressProperties {
    ip_address: Option<String>,
}

impl Azure {
    /// Returns the path of the resource group below the subscription.
    fn group_path(&self) -> String {
        format!("/resourceGroups/{}", self.group)
    }

    fn group_target(&self) -> Target {
        Target::new(self.group_path(), version::RESOURCES)
    }

    /// Returns the target of a resource in the group, by its type and name.
    fn in_group(&self, resource: &str, version: &'static str) -> Target {
        Target::new(format!("{}/providers/{resource}", self.group_path()), version)
    }

    /// Returns the target of a machine, or of all; `rest` is its name and an action on it.
    fn machine(&self, rest: &str) -> Target {
        // A name of ours needs no encoding, and one that does is nobody's.
        let rest: String = url::form_urlencoded::byte_serialize(rest.as_bytes()).collect();
        self.in_group(&format!("Microsoft.Compute/virtualMachines{}", rest.replace("%2F", "/")), version::COMPUTE)
    }

    /// Fetches a machine with its state, or `None` if no machine has this name.
    async fn find_machine(&self, id: &str) -> Result<Option<Machine>, Failure> {
        self.arm.find(&self.machine(&format!("/{id}")).with("$expand", "instanceView")).await
    }

    /// Lists the machines of the group that have our tags, without their state. Without a group there are none.
    async fn list_machines(&self) -> Result<Vec<Machine>> {
        let found = match self.arm.list::<Machine>(&self.machine("")).await {
            Err(failure) if failure.is_missing() => Vec::new(),
            found => found?,
        };
        Ok(found.into_iter().filter(|one| one.labels().is_some()).collect())
    }

    /// Fetches machines with their states, which a list does not have.
    async fn look_at(&self, machines: impl Iterator<Item = Machine>) -> Result<Vec<Instance>> {
        let looks = machines.map(|machine| async move { self.find_machine(&machine.name).await });
        let found = try_join_all(looks).await?;
        Ok(found.iter().flatten().filter_map(Machine::instance).collect())
    }

    /// Finds the instances of a repository, in all regions, with their states.
    async fn find_of_repository(&self, repository: &str) -> Result<Vec<Instance>> {
        let is_of = |one: &Machine| one.labels().is_some_and(|labels| labels.repository == repository);
        self.look_at(self.list_machines().await?.into_iter().filter(is_of)).await
    }

    /// Fetches the public address of a machine, or `None` before Azure has given it one.
    async fn address(&self, id: &str) -> Result<Option<String>> {
        let target = self.in_group(&format!("{}/{id}", Part::Address.kind()), version::NETWORK);
        let found: Option<PublicAddress> = self.arm.find(&target).await?;
        Ok(found.and_then(|found| found.properties.ip_address))
    }

    /// Fetches a text at an address that needs no token: a signature is part of it.
    async fn fetch_signed(&self, address: &str) -> Result<String> {
        let wrong = || Error::remote("Azure sent an invalid address of the console");
        let url = Url::parse(address).map_err(|_| wrong())?;
        let request = request(Method::GET, &url, Bytes::new()).map_err(|_| wrong())?;
        match self.app.http.send(request).await {
            Ok(answer) => Ok(String::from_utf8_lossy(answer.body()).into_owned()),
            // There is nothing before its first output.
            Err(error) if error.kind() == Kind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        }
    }
}

#[async_trait(?Send)]
impl Cloud for Azure {
    fn region(&self) -> &str {
        &self.region
    }

    async fn location(&self) -> Result<Location> {
        let subscription = self.arm.subscription().to_ascii_lowercase();
        let scope = vec![subscription, self.group.to_ascii_lowercase(), self.region.clone()];
        Ok(Location { cloud: DRIVER.name, scope })
    }

    async fn plan<'a>(&'a self, request: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>> {
        Ok(Box::new(plan::plan(self, request).await?))
    }

    async fn get(&self, id: &str) -> Result<Option<Instance>> {
        let machine = self.find_machine(id).await?;
        let Some(mut instance) = machine.as_ref().and_then(Machine::instance) else { return Ok(None) };
        if instance.state == InstanceState::Running {
            instance.address = self.address(id).await?;
        }
        Ok(Some(instance))
    }

    async fn list(&self) -> Result<Vec<Instance>> {
        let machines = self.list_machines().await?;
        let is_here = |one: &Machine| one.location.eq_ignore_ascii_case(&self.region);
        let mut instances = self.look_at(machines.into_iter().filter(is_here)).await?;
        instances.retain(|instance| instance.state != InstanceState::Terminated);
        instances.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(instances)
    }

    async fn delete(&self, id: &str) -> Result<()> {
        self.arm.delete(&self.machine(&format!("/{id}")).with("forceDeletion", "true")).await
    }

    async fn console_log(&self, id: &str) -> Result<String> {
        let target = self.machine(&format!("/{id}/retrieveBootDiagnosticsData"));
        let found = self.arm.post::<BootDiagnostics>(&target.with("sasUriExpirationTimeInMinutes", "5")).await;
        let address = match found {
            // The machine has just been created.
            Err(failure) if matches!(failure.error.kind(), Kind::NotFound | Kind::Conflict) => None,
            found => found?.serial_console_log_blob_uri,
        };
        let Some(address) = address else { return Ok(String::new()) };
        let text = self.fetch_signed(&address).await?;
        Ok(console_end(&text.replace('\r', "")).to_owned())
    }

    async fn list_leftovers(&self) -> Result<Vec<Leftover>> {
        self.find_leftovers().await
    }

    async fn delete_leftover(&self, id: &str) -> Result<()> {
        self.delete_part(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_cmls_names_and_azures() {
        for (name, region) in
            [("us-west", "westus2"), ("westeurope", "westeurope"), ("Germany West Central", "germanywestcentral")]
        {
            assert_eq!(parse_region(name).unwrap(), region, "{name}");
        }
        for wrong in ["", "eu-west-1", "west/europe"] {
            assert_eq!(parse_region(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
