//! Finds images: by id, by an SSM parameter, or the newest of an owner by name. The owner is always given: anybody can
//! publish an image under any name.

use super::explain::explained;
use super::{Arch, Aws, filter};
use crate::error::{Error, Result};

/// Canonical's images and its accounts, of which GovCloud and China have others:
/// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>.
const UBUNTU: &str = "{owner}:ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-*";
const CANONICAL: &[(&str, &str)] = &[("us-gov-", "513442679011"), ("cn-", "837727238323"), ("", "099720109477")];
/// Amazon's images with NVIDIA's drivers:
/// <https://docs.aws.amazon.com/dlami/latest/devguide/aws-deep-learning-base-gpu-ami-ubuntu-24-04.html>.
const DRIVERS: &str = "amazon:Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) ????????";
const DRIVERS_ARM: &str = "amazon:Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) ????????";

/// An image.
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// The device name of its root disk.
    pub root: String,
    /// The size of its root disk in gigabytes: an instance's cannot be smaller.
    pub size: i32,
    /// The names and sizes of its further disks, which would outlive an instance unless the image says otherwise.
    pub disks: Vec<(String, Option<i32>)>,
}

/// Returns whether an instance type has a GPU that the open driver of Amazon's images does not know: those before Turing, such as K80, M60 and
/// V100 (<https://docs.aws.amazon.com/dlami/latest/devguide/important-changes.html>).
fn is_old_gpu(instance_type: &str) -> bool {
    ["p2.", "p3.", "p3dn.", "g2.", "g3.", "g3s."].iter().any(|family| instance_type.starts_with(family))
}

impl Aws {
    /// Finds the image of `--cloud-image` for an architecture.
    pub(super) async fn image(
        &self,
        wanted: Option<&str>,
        instance_types: &[String],
        arch: Arch,
        gpu: bool,
    ) -> Result<Image> {
        if let (None, Some(old)) = (wanted, instance_types.iter().find(|instance_type| is_old_gpu(instance_type))) {
            return Err(Error::usage(format!("the default image has no driver for the GPU of {old}"))
                .hint("use a --cloud-image with NVIDIA's older proprietary driver, or a newer GPU such as --cloud-gpu t4 or l4"));
        }
        let default = match (gpu, arch) {
            (false, Arch::X86_64) => UBUNTU.replace("{arch}", "amd64"),
            (false, Arch::Arm64) => UBUNTU.replace("{arch}", "arm64"),
            (true, Arch::X86_64) => DRIVERS.to_owned(),
            (true, Arch::Arm64) => DRIVERS_ARM.to_owned(),
        };
        let owner = CANONICAL.iter().find(|(regions, _)| self.region.starts_with(regions)).map_or("", |(_, id)| id);
        let default = default.replace("{owner}", owner);
        let wanted = wanted.unwrap_or(&default);
        let request = self.client().await?.describe_images().include_deprecated(false);
        let of_arch = filter("architecture", [if arch == Arch::Arm64 { "arm64" } else { "x86_64" }]);
        let request = if wanted.starts_with("ami-") {
            request.image_ids(wanted)
        } else if let Some(path) = wanted.strip_prefix("ssm:") {
            request.image_ids(self.parameter(path).await?)
        } else {
            // Without an owner, the account's own.
            let (owner, name) = wanted.split_once(':').unwrap_or(("self", wanted));
            let available = filter("state", ["available"]);
            request.owners(owner).filters(filter("name", [name])).filters(available).filters(of_arch)
        };
        let found = request.send().await.map_err(|error| explained("ec2:DescribeImages", error))?;
        let newest = found.images().iter().max_by_key(|image| image.creation_date().unwrap_or_default().to_owned());
        let missing = || {
            Error::not_found(format!("no image {wanted} for {} in {}", arch.name(), self.region)).hint(
                "--cloud-image takes ami-…, ssm:/path/of/a/parameter or owner:name, where the owner is an account id, self or amazon",
            )
        };
        let image = newest.ok_or_else(missing)?;
        let runs = image.architecture().map(|arch| arch.as_str().to_owned()).unwrap_or_default();
        let same = matches!((runs.as_str(), arch), ("x86_64", Arch::X86_64) | ("arm64", Arch::Arm64));
        if !same {
            return Err(Error::config(format!(
                "the image {wanted} is for {runs}, but the instance is {}",
                arch.name()
            ))
            .hint("use a matching image or --cloud-arch"));
        }
        let root = image.root_device_name().unwrap_or("/dev/sda1").to_owned();
        let volumes = image.block_device_mappings().iter();
        let volumes: Vec<_> = volumes.filter_map(|disk| Some((disk.device_name()?, disk.ebs()?))).collect();
        let disk = volumes.iter().find(|(name, _)| *name == root).map(|(_, disk)| disk);
        let disks = volumes.iter().filter(|(name, _)| *name != root);
        let disks = disks.map(|(name, disk)| ((*name).to_owned(), disk.volume_size())).collect();
        Ok(Image {
            id: image.image_id().ok_or_else(missing)?.to_owned(),
            name: image.name().unwrap_or(wanted).to_owned(),
            disks,
            root,
            size: disk.and_then(|disk| disk.volume_size()).unwrap_or_default(),
        })
    }
}
