//! Types of machines: which are asked for, and what Amazon says of them.

use super::explain::explained;
use super::{Arch, Aws, InstanceSpec, Wanted, filter, sizes};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::{ArchitectureType, InstanceType};

impl Aws {
    /// The types that will do, in the order of preference; what they run; and whether they have GPUs.
    pub(super) async fn kinds(&self, spec: &InstanceSpec) -> Result<(Vec<String>, Arch, bool)> {
        let names = match sizes::aws(&spec.types, spec.gpu.as_deref(), spec.arch)? {
            // The table knows them; those that the region lacks drop out with its zones' offerings.
            Wanted::Class(kinds, arch, gpu) => {
                return Ok((kinds.iter().map(|kind| (*kind).to_owned()).collect(), arch, gpu.is_some()));
            }
            Wanted::Native(names) => names,
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
                .find(|kind| kind.instance_type() == Some(&InstanceType::from(name.as_str())));
            let found = found.ok_or_else(|| {
                Error::not_found(format!("{} has no machines of the type {name}", self.region))
                    .hint("check --cloud-type and --cloud-region: newer types are not everywhere")
            })?;
            gpu |= found.gpu_info().is_some();
            let runs = found.processor_info().map(|info| info.supported_architectures()).unwrap_or_default();
            archs.push(if runs.contains(&ArchitectureType::Arm64) { Arch::Arm64 } else { Arch::X86_64 });
        }
        let arch = archs[0];
        if archs.iter().any(|other| *other != arch) || spec.arch.is_some_and(|wanted| wanted != arch) {
            return Err(Error::usage(format!(
                "the types {} do not all run {}",
                names.join(", "),
                spec.arch.unwrap_or(arch).name()
            ))
            .hint("give types of one architecture: one image starts on all of them"));
        }
        if spec.gpu.as_deref().is_some_and(|gpu| gpu != "nogpu") && !gpu {
            return Err(Error::usage(format!("{} has no GPU", names.join(", ")))
                .hint("give a size with --cloud-gpu, such as --cloud-type m --cloud-gpu l4, or a type with a GPU"));
        }
        Ok((names, arch, gpu))
    }
}
