//! The plan of a launch: what is looked up before anything is created.

use super::access::{self, Permission};
use super::api::{Target, version};
use super::identity::MachineIdentity;
use super::images::{self, Image};
use super::network::Found;
use super::sizes::{self, UsableSize};
use super::{Azure, price};
use crate::cloud::attempts::Model;
use crate::cloud::{InstanceRequest, PlanSummary};
use crate::error::{Error, Result};
use futures_util::future::{join, try_join, try_join4};

/// An instance that can be launched.
pub struct AzurePlan<'a> {
    pub(super) azure: &'a Azure,
    pub(super) request: InstanceRequest,
    pub(super) sizes: Vec<UsableSize>,
    pub(super) image: Image,
    pub(super) identity: MachineIdentity,
    /// Whether the network exists.
    pub(super) has_network: bool,
    /// Whether the resource group exists.
    pub(super) has_group: bool,
    pub(super) summary: PlanSummary,
}

/// Plans an instance.
pub async fn plan<'a>(azure: &'a Azure, request: &InstanceRequest) -> Result<AzurePlan<'a>> {
    check_labels(request)?;
    let asked = sizes::asked(request)?;
    let (skus, (has_group, has_network), permissions, identity) = try_join4(
        sizes::fetch(&azure.arm, &azure.region),
        try_join(azure.has_group(), azure.has_subnet()),
        azure.permissions(),
        azure.find_identity(request),
    )
    .await?;
    let identity = identity.map_or_else(|| azure.own_identity(permissions.as_deref()), Ok)?;
    if let Some(permissions) = permissions {
        azure.check_permissions(&permissions, &identity, has_group, has_network)?;
    }
    let sizes = sizes::usable(&skus, &asked, request, &azure.region)?;
    let first = sizes.first().ok_or_else(|| Error::internal("a plan without a size"))?;
    let image = images::find(&azure.arm, &azure.region, request.image.as_deref(), first);
    let (image, price) = join(image, price::describe(&azure.app, &azure.region, &first.name, request.spot)).await;
    let image = image?;
    let (arch, gpu) = (first.arch, first.gpu);
    let mut plan = AzurePlan {
        azure,
        request: request.clone(),
        sizes,
        image,
        identity,
        has_network,
        has_group,
        summary: PlanSummary { lines: Vec::new(), arch, gpu, manifest: None },
    };
    plan.summary.lines = plan.lines(price);
    Ok(plan)
}

/// <https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations>
fn check_labels(request: &InstanceRequest) -> Result<()> {
    for (name, value) in &request.user_labels {
        if name.is_empty()
            || name.len() > 512
            || name.contains(['<', '>', '%', '&', '\\', '?', '/'])
            || value.len() > 256
        {
            return Err(Error::usage(format!("{name} cannot be a tag of Azure"))
                .hint("--cloud-metadata takes names of at most 512 characters without < > % & \\ ? /, and values of at most 256"));
        }
    }
    // Ours are eight.
    if request.user_labels.len() > 40 {
        return Err(Error::usage("more than 40 tags in --cloud-metadata").hint("Azure allows 50, and cml needs some"));
    }
    Ok(())
}

impl Azure {
    async fn has_group(&self) -> Result<bool> {
        Ok(self.arm.find::<Found>(&self.group_target()).await?.is_some())
    }

    /// Fetches what this application may do in the resource group, or in the subscription before there is a group. `None` if it may not
    /// ask that.
    async fn permissions(&self) -> Result<Option<Vec<Permission>>> {
        let path = "Microsoft.Authorization/permissions";
        let in_group = self.arm.list(&self.in_group(path, version::AUTHORIZATION)).await;
        let found = match in_group {
            Err(failure) if failure.is_missing() => {
                self.arm.list(&Target::new(format!("/providers/{path}"), version::AUTHORIZATION)).await
            }
            found => found,
        };
        match found {
            Err(failure) if failure.code() == "AuthorizationFailed" => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    fn check_permissions(
        &self,
        permissions: &[Permission],
        identity: &MachineIdentity,
        has_group: bool,
        has_network: bool,
    ) -> Result<()> {
        let network = access::TO_CREATE_NETWORK.into_iter().filter(|_| !has_network);
        let group = std::iter::once(access::TO_CREATE_GROUP).filter(|_| !has_group);
        let needed = access::ON_GROUP.into_iter().chain([identity.needs()]).chain(network).chain(group);
        let missing: Vec<&str> = needed.filter(|action| !access::is_allowed(permissions, action)).collect();
        let scope = if has_group { &self.group } else { "the subscription" };
        if missing.is_empty() { Ok(()) } else { Err(access::missing(&missing, scope)) }
    }
}

impl AzurePlan<'_> {
    /// Returns the size of the disk in gigabytes.
    pub(super) fn disk(&self) -> u32 {
        self.request.disk.max(self.image.disk)
    }

    fn lines(&self, price: String) -> Vec<(String, String)> {
        let Azure { region, group, .. } = self.azure;
        let sizes: Vec<&str> = self.sizes.iter().map(|size| size.name.as_str()).collect();
        let state = |exists: bool| if exists { "" } else { ", which will be created" };
        let lines = [
            ("region", region.clone()),
            ("resource group", format!("{group}{}", state(self.has_group))),
            ("network", format!("cml-{region}{}; no inbound connections", state(self.has_network))),
            ("types", sizes.join(", ")),
            ("market", Model::describe(self.request.spot, self.request.on_demand_fallback).to_owned()),
            ("image", self.image.name.clone()),
            ("disk", format!("{} GB", self.disk())),
            ("identity", self.identity.describe()),
            ("price", price),
        ];
        lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
