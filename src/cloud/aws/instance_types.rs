//! Resolves the requested instance types, and what Amazon knows about them.

use super::explain::explained;
use super::{Arch, Aws, InstanceRequest, TypeRequest, filter, sizes};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::{ArchitectureType, InstanceType};

impl Aws {
    /// Returns the possible types in the order of preference, their architecture, and whether they have GPUs.
    pub(super) async fn instance_types(&self, wanted: &InstanceRequest) -> Result<(Vec<String>, Arch, bool)> {
        let names = match sizes::aws(&wanted.types, wanted.gpu.as_deref(), wanted.arch)? {
            // From the table; those that the region lacks are dropped by its zones' offerings.
            TypeRequest::Class(instance_types, arch, gpu) => {
                return Ok((instance_types.iter().map(|name| (*name).to_owned()).collect(), arch, gpu.is_some()));
            }
            TypeRequest::Native(names) => names,
        };
        let client = self.client().await?;
        let request = client.describe_instance_types().filters(filter("instance-type", names.clone()));
        let answer = request.send().await.map_err(|error| explained("ec2:DescribeInstanceTypes", error))?;
        let mut gpu = false;
        let mut archs = Vec::new();
        for name in &names {
            let found = answer
                .instance_types()
                .iter()
                .find(|info| info.instance_type() == Some(&InstanceType::from(name.as_str())));
            let found = found.ok_or_else(|| {
                Error::not_found(format!("{} has no instance type {name}", self.region))
                    .hint("check --cloud-type and --cloud-region: newer types are not available everywhere")
            })?;
            gpu |= found.gpu_info().is_some();
            let runs = found.processor_info().map(|info| info.supported_architectures()).unwrap_or_default();
            archs.push(if runs.contains(&ArchitectureType::Arm64) { Arch::Arm64 } else { Arch::X86_64 });
        }
        let arch = archs[0];
        if archs.iter().any(|other| *other != arch) || wanted.arch.is_some_and(|asked| asked != arch) {
            return Err(Error::usage(format!(
                "the instance types {} are not all {}",
                names.join(", "),
                wanted.arch.unwrap_or(arch).name()
            ))
            .hint("use types of one architecture: they share one image"));
        }
        if wanted.gpu.as_deref().is_some_and(|gpu| gpu != "nogpu") && !gpu {
            return Err(Error::usage(format!("{} has no GPU", names.join(", "))).hint(
                "use a size with --cloud-gpu, such as --cloud-type m --cloud-gpu l4, or an instance type with a GPU",
            ));
        }
        Ok((names, arch, gpu))
    }
}
