//! CML's names of instance sizes, and the clouds' own instance types behind them: here Amazon's.
//!
//! `m`, `l` and `xl` are CML's; with a GPU they stand for one, four and eight of it. The types are in the order in
//! which they are preferred; all that a cloud can launch are offered to it, so that one that is short today does not
//! stop a job. Facts: <https://aws.amazon.com/ec2/instance-types/> and
//! <https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html> (checked 2026-11).

use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Arch {
    /// 64-bit Intel and AMD.
    #[value(name = "x86_64", aliases = ["amd64", "x64"])]
    X86_64,
    /// 64-bit ARM.
    #[value(name = "arm64", aliases = ["aarch64"])]
    Arm64,
}

impl Arch {
    /// Returns the name that compilers and `uname` use.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Arm64 => "aarch64",
        }
    }
}

/// A row of a cloud's table.
pub struct Size {
    class: &'static str,
    gpu: Option<&'static str>,
    arch: Arch,
    types: &'static [&'static str],
}

/// Creates a row for x86-64; `gpu` is empty for a size without one.
pub const fn size(class: &'static str, gpu: &'static str, types: &'static [&'static str]) -> Size {
    Size { class, gpu: if gpu.is_empty() { None } else { Some(gpu) }, arch: Arch::X86_64, types }
}

/// Creates a row for ARM.
pub const fn arm(class: &'static str, gpu: &'static str, types: &'static [&'static str]) -> Size {
    Size { arch: Arch::Arm64, ..size(class, gpu, types) }
}

#[rustfmt::skip]
const AWS: &[Size] = &[
    size("s", "", &["t3.small", "t3a.small"]),
    size("m", "", &["m8i.2xlarge", "m7i.2xlarge", "m7a.2xlarge", "m6i.2xlarge", "m6a.2xlarge", "m5.2xlarge"]),
    size("l", "", &["m8i.8xlarge", "m7i.8xlarge", "m7a.8xlarge", "m6i.8xlarge", "m6a.8xlarge", "m5.8xlarge"]),
    size("xl", "", &["m8i.16xlarge", "m7i.16xlarge", "m7a.16xlarge", "m6i.16xlarge", "m6a.16xlarge", "m5.16xlarge"]),
    arm("s", "", &["t4g.small"]),
    arm("m", "", &["m8g.2xlarge", "m7g.2xlarge", "m6g.2xlarge"]),
    arm("l", "", &["m8g.8xlarge", "m7g.8xlarge", "m6g.8xlarge"]),
    arm("xl", "", &["m8g.16xlarge", "m7g.16xlarge", "m6g.16xlarge"]),
    size("m", "t4", &["g4dn.xlarge", "g4dn.2xlarge"]),
    size("l", "t4", &["g4dn.12xlarge"]),
    size("xl", "t4", &["g4dn.metal"]),
    size("m", "a10g", &["g5.xlarge", "g5.2xlarge"]),
    size("l", "a10g", &["g5.12xlarge", "g5.24xlarge"]),
    size("xl", "a10g", &["g5.48xlarge"]),
    size("m", "l4", &["g6.xlarge", "g6.2xlarge"]),
    size("l", "l4", &["g6.12xlarge", "g6.24xlarge"]),
    size("xl", "l4", &["g6.48xlarge"]),
    size("m", "l40s", &["g6e.xlarge", "g6e.2xlarge"]),
    size("l", "l40s", &["g6e.12xlarge", "g6e.24xlarge"]),
    size("xl", "l40s", &["g6e.48xlarge"]),
    size("xl", "a100", &["p4d.24xlarge", "p4de.24xlarge"]),
    size("m", "h100", &["p5.4xlarge"]),
    size("xl", "h100", &["p5.48xlarge"]),
    size("xl", "h200", &["p5en.48xlarge", "p5e.48xlarge"]),
    size("xl", "b200", &["p6-b200.48xlarge"]),
    size("m", "v100", &["p3.2xlarge"]),
    size("l", "v100", &["p3.8xlarge"]),
    size("xl", "v100", &["p3.16xlarge"]),
    size("m", "k80", &["p2.xlarge"]),
    size("l", "k80", &["p2.8xlarge"]),
    size("xl", "k80", &["p2.16xlarge"]),
    arm("m", "t4g", &["g5g.xlarge", "g5g.2xlarge"]),
    arm("l", "t4g", &["g5g.16xlarge"]),
];

/// The instance types that a user asks for: one of CML's sizes, or a cloud's own types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeRequest {
    /// Types from the table, which all run on this architecture.
    Class(&'static [&'static str], Arch, Option<&'static str>),
    /// The cloud's own names.
    Native(Vec<String>),
}

/// The sizes of a cloud.
pub struct Sizes {
    /// The table.
    pub rows: &'static [Size],
    /// One of the cloud's own types, for hints.
    pub example: &'static str,
    /// One with a GPU.
    pub gpu_example: &'static str,
}

/// Resolves `--cloud-type`, `--cloud-gpu` and `--cloud-arch` on AWS.
///
/// # Errors
/// The size does not exist with that GPU: the GPU is never ignored.
pub fn aws(types: &str, gpu: Option<&str>, arch: Option<Arch>) -> Result<TypeRequest> {
    Sizes { rows: AWS, example: "m7i.2xlarge", gpu_example: "g6.xlarge" }.resolve(types, gpu, arch)
}

impl Sizes {
    /// Resolves `--cloud-type`, `--cloud-gpu` and `--cloud-arch`.
    ///
    /// # Errors
    /// The size does not exist with that GPU: the GPU is never ignored.
    pub fn resolve(&self, types: &str, gpu: Option<&str>, arch: Option<Arch>) -> Result<TypeRequest> {
        let gpu = gpu.map(str::to_ascii_lowercase);
        let gpu = gpu.as_deref().filter(|gpu| *gpu != "nogpu");
        let names: Vec<&str> = types.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_class = |name: &str| self.rows.iter().any(|size| size.class == name);
        let example = self.example;
        match names.as_slice() {
            [] => Err(Error::usage("--cloud-type is empty")
                .hint(format!("use s, m, l, xl or the cloud's own instance types, such as {example}"))),
            [one] if is_class(one) => self.class(one, gpu, arch),
            several if several.iter().any(|name| is_class(name)) => {
                Err(Error::usage(format!("--cloud-type {types} mixes sizes and instance types"))
                    .hint(format!("use one of s, m, l, xl, or only instance types such as {example}")))
            }
            native => Ok(TypeRequest::Native(native.iter().map(|name| (*name).to_owned()).collect())),
        }
    }

    fn class(&self, name: &str, gpu: Option<&str>, arch: Option<Arch>) -> Result<TypeRequest> {
        let of_gpu = |size: &&Size| size.gpu == gpu;
        let right = |size: &&Size| size.class == name && arch.is_none_or(|arch| arch == size.arch);
        if let Some(size) = self.rows.iter().filter(of_gpu).find(right) {
            return Ok(TypeRequest::Class(size.types, size.arch, size.gpu));
        }
        let Some(gpu) = gpu else {
            return Err(Error::usage(format!("there is no size {name}")).hint("use s, m, l or xl"));
        };
        let others: BTreeSet<_> = self.rows.iter().filter(of_gpu).map(|size| size.class).collect();
        let error = Error::usage(format!("there is no size {name} with the GPU {gpu}"));
        Err(if others.is_empty() {
            let gpus: BTreeSet<_> = self.rows.iter().filter_map(|size| size.gpu).collect();
            error.hint(format!(
                "known GPUs: {}; for others use the cloud's own instance type, such as --cloud-type {}",
                gpus.into_iter().collect::<Vec<_>>().join(", "),
                self.gpu_example
            ))
        } else {
            let others: Vec<_> = others.into_iter().collect();
            error.hint(format!("{gpu} is available in the sizes {}", others.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_stands_for_several_types_of_one_architecture() {
        let TypeRequest::Class(types, arch, gpu) = aws("m", None, None).unwrap() else { panic!() };
        assert!(types.len() > 3 && types.contains(&"m5.2xlarge"), "CML's own type is among them");
        assert_eq!((arch, gpu), (Arch::X86_64, None));
        let TypeRequest::Class(types, arch, _) = aws("m", None, Some(Arch::Arm64)).unwrap() else { panic!() };
        assert!(types.contains(&"m7g.2xlarge") && arch == Arch::Arm64);
        let v100 = aws("m", Some("V100"), None).unwrap();
        assert_eq!(
            v100,
            TypeRequest::Class(&["p3.2xlarge"], Arch::X86_64, Some("v100")),
            "CML's p3.xlarge does not exist"
        );
        assert_eq!(aws("m", Some("nogpu"), None).unwrap(), aws("m", None, None).unwrap());
    }

    #[test]
    fn types_of_the_cloud_are_taken_as_they_are() {
        let native = aws(" g6.xlarge, g5.xlarge", Some("l4"), None).unwrap();
        assert_eq!(native, TypeRequest::Native(vec!["g6.xlarge".to_owned(), "g5.xlarge".to_owned()]));
    }

    #[test]
    fn a_gpu_is_never_left_out_silently() {
        for (types, gpu, says, hint) in [
            ("s", "t4", "no size s with the GPU t4", "t4 is available in the sizes l, m, xl"),
            ("m", "a100", "no size m with the GPU a100", "a100 is available in the sizes xl"),
            ("m", "rtx", "with the GPU rtx", "known GPUs: a100, a10g"),
        ] {
            let error = aws(types, Some(gpu), None).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
        }
        assert!(aws("m,g6.xlarge", None, None).is_err());
        assert!(aws(" ", None, None).is_err());
    }

    #[cfg(feature = "aws")]
    #[test]
    fn amazon_knows_every_type_of_the_table() {
        let known = aws_sdk_ec2::types::InstanceType::values();
        for name in AWS.iter().flat_map(|size| size.types) {
            assert!(known.contains(name), "{name}");
        }
    }
}
