//! Images: by id, by a parameter of SSM, or the newest of an owner's by name. The owner is always named: anybody
//! can publish an image under any name.

use super::explain::explained;
use super::{Arch, Aws, filter};
use crate::error::{Error, Result};

/// Canonical's account: <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>.
const UBUNTU: &str = "099720109477:ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-*";
/// Amazon's images with NVIDIA's drivers:
/// <https://docs.aws.amazon.com/dlami/latest/devguide/aws-deep-learning-base-gpu-ami-ubuntu-24-04.html>.
const DRIVERS: &str = "amazon:Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) ????????";
const DRIVERS_ARM: &str = "amazon:Deep Learning ARM64 Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) ????????";

/// An image.
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The name of its first disk.
    pub root: String,
    /// The size of that in gigabytes: a machine's can't be smaller.
    pub size: i32,
}

impl Aws {
    /// The image that `--cloud-image` means on an architecture.
    pub(super) async fn image(&self, wanted: Option<&str>, arch: Arch, gpu: bool) -> Result<Image> {
        let usual = match (gpu, arch) {
            (false, Arch::X86_64) => UBUNTU.replace("{arch}", "amd64"),
            (false, Arch::Arm64) => UBUNTU.replace("{arch}", "arm64"),
            (true, Arch::X86_64) => DRIVERS.to_owned(),
            (true, Arch::Arm64) => DRIVERS_ARM.to_owned(),
        };
        let wanted = wanted.unwrap_or(&usual);
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
            Error::not_found(format!("there is no image {wanted} for {} in {}", arch.name(), self.region)).hint(
                "--cloud-image takes ami-…, ssm:/path/of/a/parameter or owner:name, the owner being an account's number, self or amazon",
            )
        };
        let image = newest.ok_or_else(missing)?;
        let runs = image.architecture().map(|arch| arch.as_str().to_owned()).unwrap_or_default();
        let same = matches!((runs.as_str(), arch), ("x86_64", Arch::X86_64) | ("arm64", Arch::Arm64));
        if !same {
            return Err(Error::config(format!("the image {wanted} is for {runs}, the machine is {}", arch.name()))
                .hint("give an image or --cloud-arch that fits"));
        }
        let root = image.root_device_name().unwrap_or("/dev/sda1").to_owned();
        let disks = image.block_device_mappings().iter();
        let disk = disks.filter(|disk| disk.device_name() == Some(&root)).find_map(|disk| disk.ebs());
        Ok(Image {
            id: image.image_id().ok_or_else(missing)?.to_owned(),
            name: image.name().unwrap_or(wanted).to_owned(),
            root,
            size: disk.and_then(|disk| disk.volume_size()).unwrap_or_default(),
        })
    }
}
