//! The image of an instance: <https://learn.microsoft.com/azure/virtual-machines/linux/cli-ps-findimage>.

use super::api::{Arm, Target, version};
use super::body::{ImageReference, SecurityProfile, UefiSettings};
use super::sizes::UsableSize;
use crate::cloud::sizes::Arch;
use crate::error::{Error, Kind, Result};
use serde::Deserialize;

/// The newest Ubuntu with long-term support that the runners of the forges support.
const X86_64: &str = "Canonical:ubuntu-24_04-lts:server:latest";
const ARM64: &str = "Canonical:ubuntu-24_04-lts:server-arm64:latest";
/// Ubuntu with NVIDIA's driver, CUDA, Docker and NVIDIA's toolkit: <https://learn.microsoft.com/azure/virtual-machines/azure-hpc-vm-images>.
const GPU: &str = "microsoft-dsvm:ubuntu-hpc:2404:latest";
/// That image leaves little room on its own disk of 64 GB.
const MIN_GPU_DISK: u32 = 128;

/// The image of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image, with its exact version.
    pub reference: ImageReference,
    /// Its name, for people.
    pub name: String,
    /// The least size of a disk for it in gigabytes; 0 where nobody says.
    pub disk: u32,
    /// What its machine checks at boot.
    security: ImageSecurity,
}

/// What an image says about Trusted Launch: <https://learn.microsoft.com/azure/virtual-machines/trusted-launch>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImageSecurity {
    Required,
    Supported,
    Unsupported,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    properties: VersionProperties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionProperties {
    os_disk_image: Option<OsDiskImage>,
    architecture: Option<String>,
    plan: Option<serde_json::Value>,
    #[serde(default)]
    features: Vec<Feature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OsDiskImage {
    size_in_gb: Option<u32>,
}

#[derive(Deserialize)]
struct Feature {
    name: String,
    value: String,
}

/// Looks up the image that is asked for, else the usual one.
///
/// # Errors
/// It does not exist in the region, has another architecture, or has terms to accept.
pub async fn find(arm: &Arm, region: &str, asked: Option<&str>, size: &UsableSize) -> Result<Image> {
    let usual = match (size.gpu, size.arch) {
        (true, _) => GPU,
        (false, Arch::X86_64) => X86_64,
        (false, Arch::Arm64) => ARM64,
    };
    // CML's Terraform provider has the user before it.
    let name = asked.unwrap_or(usual);
    let name = name.split_once('@').map_or(name, |(_, image)| image);
    if name.starts_with("/subscriptions/") || name.starts_with("/CommunityGalleries/") {
        let reference = ImageReference::Own { id: name.to_owned() };
        return Ok(Image { reference, name: name.to_owned(), disk: 0, security: ImageSecurity::Unsupported });
    }
    let parts: Vec<&str> = name.split(':').collect();
    let is_part =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let [publisher, offer, sku, version] = parts[..] else { return Err(wrong_name(name)) };
    if !parts.iter().all(is_part) {
        return Err(wrong_name(name));
    }
    let path = format!(
        "/providers/Microsoft.Compute/locations/{region}/publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions"
    );
    let missing = || {
        Error::not_found(format!("there is no image {name} in {region}"))
            .hint("az vm image list --all --publisher PUBLISHER --location REGION lists images")
    };
    let version = if version == "latest" {
        let newest = Target::new(&path, self::version::COMPUTE).with("$top", "1").with("$orderby", "name desc");
        // A bare list, without pages.
        let found: Option<Vec<Listed>> = arm.find(&newest).await?;
        found.and_then(|found| found.into_iter().next()).ok_or_else(missing)?.name
    } else {
        version.to_owned()
    };
    let found: Option<Version> = arm.find(&Target::new(format!("{path}/{version}"), self::version::COMPUTE)).await?;
    let VersionProperties { os_disk_image, architecture, plan, features } = found.ok_or_else(missing)?.properties;
    if plan.is_some_and(|plan| !plan.is_null()) {
        return Err(Error::unsupported(format!(
            "the image {name} has terms that must be accepted, which cml does not"
        ))
        .hint("use an image without a purchase plan, or a copy of it in a gallery of your own"));
    }
    let is_arm = architecture.is_some_and(|name| name.eq_ignore_ascii_case("arm64"));
    if is_arm != (size.arch == Arch::Arm64) {
        return Err(Error::usage(format!("the image {name} is not for the architecture of {}", size.name))
            .hint("use another --cloud-image or --cloud-type"));
    }
    let security = features.iter().find(|feature| feature.name == "SecurityType").map(|feature| feature.value.as_str());
    let disk = os_disk_image.and_then(|disk| disk.size_in_gb).unwrap_or(0);
    Ok(Image {
        name: format!("{publisher}:{offer}:{sku}:{version}"),
        reference: ImageReference::Published {
            publisher: publisher.to_owned(),
            offer: offer.to_owned(),
            sku: sku.to_owned(),
            version,
        },
        disk: if size.gpu { disk.max(MIN_GPU_DISK) } else { disk },
        security: match security {
            Some("TrustedLaunch") => ImageSecurity::Required,
            Some(text) if text.contains("TrustedLaunch") => ImageSecurity::Supported,
            _ => ImageSecurity::Unsupported,
        },
    })
}

impl Image {
    /// Returns what a machine of a size checks at boot, or `None` to leave that to Azure. With a GPU Secure Boot is off, as it refuses NVIDIA's
    /// modules, which a subscription may have turned on for all.
    pub fn security(&self, size: &UsableSize) -> Option<SecurityProfile> {
        let is_needed = match self.security {
            ImageSecurity::Required => true,
            ImageSecurity::Supported => size.gpu && size.trusted_launch,
            ImageSecurity::Unsupported => false,
        };
        is_needed.then_some(SecurityProfile {
            security_type: "TrustedLaunch",
            uefi_settings: UefiSettings { secure_boot_enabled: !size.gpu, v_tpm_enabled: true },
        })
    }
}

fn wrong_name(name: &str) -> Error {
    Error::new(Kind::Usage, format!("--cloud-image {name} is not an image of Azure"))
        .hint("use publisher:offer:sku:version, such as Canonical:ubuntu-24_04-lts:server:latest, or the id of an image of your own, /subscriptions/…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_boot_is_off_where_it_would_refuse_the_driver() {
        let image = |security| Image {
            reference: ImageReference::Own { id: "/x".into() },
            name: String::new(),
            disk: 0,
            security,
        };
        let size = |gpu, trusted_launch| UsableSize {
            name: "Standard_X".into(),
            arch: Arch::X86_64,
            gpu,
            has_zones: true,
            spot: true,
            trusted_launch,
        };
        let boot = |security, gpu, trusted| {
            image(security).security(&size(gpu, trusted)).map(|profile| profile.uefi_settings.secure_boot_enabled)
        };
        assert_eq!(boot(ImageSecurity::Required, false, true), Some(true));
        assert_eq!(boot(ImageSecurity::Required, true, true), Some(false));
        assert_eq!(boot(ImageSecurity::Supported, true, true), Some(false));
        assert_eq!(boot(ImageSecurity::Supported, true, false), None);
        assert_eq!(boot(ImageSecurity::Supported, false, true), None);
        assert_eq!(boot(ImageSecurity::Unsupported, true, true), None);
    }
}
