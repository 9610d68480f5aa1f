//! CML's sizes on Azure, and which sizes a subscription can use:
//! <https://learn.microsoft.com/azure/virtual-machines/sizes/overview> (checked 2026-11).

use super::api::{Arm, Target, version};
use crate::cloud::InstanceRequest;
use crate::cloud::sizes::{Arch, Sizes, TypeRequest, arm, size};
use crate::error::{Error, Kind, Result};
use serde::Deserialize;

/// What all names of sizes begin with.
const PREFIX: &str = "Standard_";

#[rustfmt::skip]
const SIZES: Sizes = Sizes { example: "Standard_D8s_v5", gpu_example: "Standard_NC8as_T4_v3", rows: &[
    size("s", "", &["Standard_B2als_v2", "Standard_B2s"]),
    size("m", "", &["Standard_D8as_v5", "Standard_D8s_v5", "Standard_D8ads_v6", "Standard_D8ds_v6", "Standard_F8s_v2"]),
    size("l", "", &["Standard_D32as_v5", "Standard_D32s_v5", "Standard_D32ads_v6", "Standard_F32s_v2"]),
    size("xl", "", &["Standard_D64as_v5", "Standard_D64s_v5", "Standard_D64ads_v6", "Standard_F64s_v2"]),
    arm("m", "", &["Standard_D8ps_v6", "Standard_D8ps_v5"]),
    arm("l", "", &["Standard_D32ps_v6"]),
    arm("xl", "", &["Standard_D64ps_v6"]),
    size("m", "t4", &["Standard_NC4as_T4_v3", "Standard_NC8as_T4_v3"]),
    size("l", "t4", &["Standard_NC64as_T4_v3"]),
    size("m", "a100", &["Standard_NC24ads_A100_v4"]),
    size("l", "a100", &["Standard_NC96ads_A100_v4"]),
    size("xl", "a100", &["Standard_ND96asr_v4", "Standard_ND96amsr_A100_v4"]),
    size("m", "h100", &["Standard_NC40ads_H100_v5"]),
    size("xl", "h100", &["Standard_ND96isr_H100_v5"]),
    size("xl", "h200", &["Standard_ND96isr_H200_v5"]),
] };

/// A size as the subscription may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsableSize {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// Whether it has GPUs.
    pub gpu: bool,
    /// Whether the region has it in zones.
    pub has_zones: bool,
    /// Whether it can be a spot machine.
    pub spot: bool,
    /// Whether it can have Trusted Launch.
    pub trusted_launch: bool,
}

/// What Azure lists: <https://learn.microsoft.com/rest/api/compute/resource-skus/list>.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sku {
    resource_type: Option<String>,
    name: Option<String>,
    #[serde(default)]
    location_info: Vec<LocationInfo>,
    #[serde(default)]
    restrictions: Vec<Restriction>,
    #[serde(default)]
    capabilities: Vec<Capability>,
}

#[derive(Debug, Deserialize)]
struct LocationInfo {
    #[serde(default)]
    zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restriction {
    #[serde(rename = "type")]
    kind: Option<String>,
    reason_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Capability {
    name: String,
    value: String,
}

impl Sku {
    fn capability(&self, name: &str) -> Option<&str> {
        self.capabilities.iter().find(|one| one.name == name).map(|one| one.value.as_str())
    }

    /// Returns why the subscription cannot use it in the region.
    fn restriction(&self) -> Option<&str> {
        let of_region = self.restrictions.iter().find(|one| one.kind.as_deref() == Some("Location"))?;
        Some(of_region.reason_code.as_deref().unwrap_or("NotAvailable"))
    }

    fn usable(&self, name: &str) -> UsableSize {
        let is = |capability: &str, value: &str| {
            self.capability(capability).is_some_and(|is| is.eq_ignore_ascii_case(value))
        };
        let generations = self.capability("HyperVGenerations").unwrap_or_default();
        UsableSize {
            name: name.to_owned(),
            arch: if is("CpuArchitectureType", "Arm64") { Arch::Arm64 } else { Arch::X86_64 },
            gpu: self.capability("GPUs").is_some_and(|count| count != "0"),
            has_zones: self.location_info.iter().any(|info| !info.zones.is_empty()),
            spot: is("LowPriorityCapable", "True"),
            trusted_launch: generations.contains("V2") && !is("TrustedLaunchDisabled", "True"),
        }
    }
}

/// Fetches the sizes of a region.
pub async fn fetch(arm: &Arm, region: &str) -> Result<Vec<Sku>> {
    let target = Target::new("/providers/Microsoft.Compute/skus", version::SKUS);
    let found: Vec<Sku> = arm.list(&target.with("$filter", &format!("location eq '{region}'"))).await?;
    let is_machine = |sku: &Sku| sku.resource_type.as_deref() == Some("virtualMachines");
    let found: Vec<Sku> = found.into_iter().filter(is_machine).collect();
    if found.is_empty() {
        return Err(Error::usage(format!("Azure has no sizes in a region '{region}'"))
            .hint("az account list-locations --query [].name lists the regions"));
    }
    Ok(found)
}

/// Returns the names that are asked for, and the architecture where a size of CML's says it.
///
/// # Errors
/// A size of CML's does not exist with that GPU, or a GPU is added to a size, as on Google Cloud.
pub fn asked(wanted: &InstanceRequest) -> Result<Vec<String>> {
    if wanted.types.contains('+') {
        return Err(Error::usage(format!("--cloud-type {} is not a size of Azure", wanted.types)).hint(
            "a size has its GPUs already: use one such as Standard_NC8as_T4_v3, or --cloud-type m --cloud-gpu t4",
        ));
    }
    match SIZES.resolve(&wanted.types, wanted.gpu.as_deref(), wanted.arch) {
        Ok(TypeRequest::Class(names, ..)) => Ok(names.iter().map(|name| (*name).to_owned()).collect()),
        Ok(TypeRequest::Native(names)) => Ok(names.into_iter().map(with_prefix).collect()),
        Err(error) if wanted.gpu.as_deref().is_some_and(is_retired) => {
            Err(error.hint("Azure has retired its sizes with that GPU: use t4 or a100"))
        }
        Err(error) => Err(error),
    }
}

/// <https://learn.microsoft.com/azure/virtual-machines/sizes/previous-gen-sizes-list>.
fn is_retired(gpu: &str) -> bool {
    ["k80", "v100", "p100", "p40", "m60"].contains(&gpu.to_ascii_lowercase().as_str())
}

fn with_prefix(name: String) -> String {
    if name.to_ascii_lowercase().starts_with("standard_") { name } else { format!("{PREFIX}{name}") }
}

/// Returns those of the sizes that are asked for that the subscription may use, in their order.
///
/// # Errors
/// There is none, or they have different architectures.
pub fn usable(skus: &[Sku], asked: &[String], wanted: &InstanceRequest, region: &str) -> Result<Vec<UsableSize>> {
    let only_spot = wanted.spot && !wanted.on_demand_fallback;
    let (mut found, mut why) = (Vec::new(), Vec::new());
    for name in asked {
        let Some(sku) = skus.iter().find(|sku| sku.name.as_deref().is_some_and(|one| one.eq_ignore_ascii_case(name)))
        else {
            why.push(format!("{name} does not exist there"));
            continue;
        };
        let size = sku.usable(sku.name.as_deref().unwrap_or(name));
        match sku.restriction() {
            Some(reason) => why.push(format!("{name} is not available to this subscription ({reason})")),
            None if only_spot && !size.spot => why.push(format!("{name} cannot be a spot instance")),
            None => found.push(size),
        }
    }
    let Some(first) = found.first() else {
        let error = Error::new(Kind::NoCapacity, format!("no usable size in {region}: {}", why.join("; ")));
        return Err(
            error.hint("use another --cloud-region or --cloud-type; az vm list-skus --location REGION lists the sizes")
        );
    };
    if found.iter().any(|size| (size.arch, size.gpu) != (first.arch, first.gpu)) {
        return Err(Error::usage(format!("the sizes in --cloud-type {} need different images", wanted.types))
            .hint("use sizes of one architecture, all with a GPU or all without"));
    }
    if wanted.arch.is_some_and(|arch| arch != first.arch) {
        return Err(Error::usage(format!("{} does not have the architecture of --cloud-arch", first.name))
            .hint("leave out --cloud-arch: the size decides"));
    }
    Ok(found)
}
