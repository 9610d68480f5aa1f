//! Sizes, and the machine types and GPUs behind them, in the order in which they are preferred:
//! <https://cloud.google.com/compute/docs/machine-resource> and <https://cloud.google.com/compute/docs/gpus>.

use crate::cloud::sizes::Arch;
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fmt;

/// A machine type, with the GPUs that are attached to it; those of the newer types are built in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The machine type.
    pub name: String,
    /// The kind of the attached GPUs, and how many.
    pub accelerator: Option<(String, u32)>,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.accelerator {
            Some((kind, count)) => write!(f, "+{kind}*{count}"),
            None => Ok(()),
        }
    }
}

struct Size {
    class: &'static str,
    gpu: &'static str,
    arch: Arch,
    /// As [`Machine`] is displayed.
    machines: &'static [&'static str],
}

const fn size(class: &'static str, gpu: &'static str, machines: &'static [&'static str]) -> Size {
    Size { class, gpu, arch: Arch::X86_64, machines }
}

const fn arm(class: &'static str, machines: &'static [&'static str]) -> Size {
    Size { class, gpu: "", arch: Arch::Arm64, machines }
}

#[rustfmt::skip]
const SIZES: &[Size] = &[
    size("s", "", &["e2-small"]),
    size("m", "", &["n2-standard-8", "n2d-standard-8", "e2-standard-8", "n4-standard-8"]),
    size("l", "", &["n2-standard-32", "n2d-standard-32", "e2-standard-32", "n4-standard-32"]),
    size("xl", "", &["n2-standard-64", "n2d-standard-64", "n4-standard-64"]),
    arm("m", &["t2a-standard-8", "c4a-standard-8"]),
    arm("l", &["t2a-standard-32", "c4a-standard-32"]),
    arm("xl", &["c4a-standard-64"]),
    size("m", "t4", &["n1-standard-4+nvidia-tesla-t4*1"]),
    size("l", "t4", &["n1-standard-32+nvidia-tesla-t4*4"]),
    size("m", "l4", &["g2-standard-4", "g2-standard-8"]),
    size("l", "l4", &["g2-standard-48"]),
    size("xl", "l4", &["g2-standard-96"]),
    size("m", "a100", &["a2-highgpu-1g", "a2-ultragpu-1g"]),
    size("l", "a100", &["a2-highgpu-4g", "a2-ultragpu-4g"]),
    size("xl", "a100", &["a2-highgpu-8g", "a2-ultragpu-8g"]),
    size("m", "h100", &["a3-highgpu-1g"]),
    size("xl", "h100", &["a3-highgpu-8g", "a3-megagpu-8g"]),
    size("xl", "h200", &["a3-ultragpu-8g"]),
    size("xl", "b200", &["a4-highgpu-8g"]),
    size("m", "rtxpro6000", &["g4-standard-48"]),
    size("m", "v100", &["n1-standard-8+nvidia-tesla-v100*1"]),
    size("l", "v100", &["n1-standard-32+nvidia-tesla-v100*4"]),
    size("xl", "v100", &["n1-standard-96+nvidia-tesla-v100*8"]),
];

/// GPUs that can be attached to a machine type of the family N1, by CML's names.
const ATTACHED: [(&str, &str); 4] = [
    ("t4", "nvidia-tesla-t4"),
    ("v100", "nvidia-tesla-v100"),
    ("p4", "nvidia-tesla-p4"),
    ("p100", "nvidia-tesla-p100"),
];

/// Resolves `--cloud-type`, `--cloud-gpu` and `--cloud-arch`.
///
/// # Errors
/// The size does not exist with that GPU or architecture, or a type is malformed: a GPU is never ignored.
pub fn parse(types: &str, gpu: Option<&str>, arch: Option<Arch>) -> Result<Vec<Machine>> {
    let gpu = gpu.map(str::to_ascii_lowercase);
    let gpu = gpu.as_deref().filter(|gpu| *gpu != "nogpu").unwrap_or_default();
    let names: Vec<&str> = types.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if gpu == "k80" || names.iter().any(|name| name.contains("k80")) {
        return Err(Error::usage("Google Cloud has no K80 GPUs any more").hint("use --cloud-gpu t4 or l4"));
    }
    let is_class = |name: &str| SIZES.iter().any(|size| size.class == name);
    match names[..] {
        [] => {
            Err(Error::usage("--cloud-type is empty").hint("use s, m, l, xl or machine types, such as n2-standard-8"))
        }
        [one] if is_class(one) => {
            let size = class(one, gpu, arch)?;
            size.machines.iter().map(|text| machine(text, "")).collect()
        }
        _ if names.iter().any(|name| is_class(name)) => {
            Err(Error::usage(format!("--cloud-type {types} mixes sizes and machine types"))
                .hint("use one of s, m, l, xl, or machine types such as n2-standard-8,e2-standard-8"))
        }
        _ => names.iter().map(|name| machine(name, gpu)).collect(),
    }
}

fn class(name: &str, gpu: &str, arch: Option<Arch>) -> Result<&'static Size> {
    let of_gpu = |size: &&Size| size.gpu == gpu;
    let right = |size: &&Size| size.class == name && arch.is_none_or(|arch| arch == size.arch);
    if let Some(size) = SIZES.iter().filter(of_gpu).find(right) {
        return Ok(size);
    }
    let others: BTreeSet<_> = SIZES
        .iter()
        .filter(of_gpu)
        .filter(|size| arch.is_none_or(|arch| arch == size.arch))
        .map(|size| size.class)
        .collect();
    let what = if gpu.is_empty() { String::new() } else { format!(" with the GPU {gpu}") };
    let of_arch = arch.map_or(String::new(), |arch| format!(" for {}", arch.name()));
    let error = Error::usage(format!("Google Cloud has no size {name}{what}{of_arch}"));
    Err(if others.is_empty() {
        let gpus: BTreeSet<_> = SIZES.iter().map(|size| size.gpu).filter(|gpu| !gpu.is_empty()).collect();
        let gpus = gpus.into_iter().collect::<Vec<_>>().join(", ");
        error.hint(format!(
            "known GPUs, on x86_64: {gpus}; for others use a machine type, such as --cloud-type g2-standard-4"
        ))
    } else {
        error.hint(format!("it is available in the sizes {}", others.into_iter().collect::<Vec<_>>().join(", ")))
    })
}

/// Parses a machine type: `n1-standard-4`, `n1-standard-4+nvidia-tesla-t4*2`. A GPU beside it is attached once, where it can be.
fn machine(text: &str, gpu: &str) -> Result<Machine> {
    let wrong = || {
        Error::usage(format!("{text} is not a Google Cloud machine type"))
            .hint("use a type such as n2-standard-8, or with GPUs n1-standard-8+nvidia-tesla-t4*2")
    };
    let (name, accelerator) = match text.split_once('+') {
        Some((name, rest)) => {
            let (kind, count) = rest.split_once('*').unwrap_or((rest, "1"));
            let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
            (name.trim(), Some((kind.trim().to_owned(), count)))
        }
        None => (text, attached(text, gpu)?.map(|kind| (kind, 1))),
    };
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let kind = accelerator.as_ref().map_or("x", |(kind, _)| kind);
    if !name.contains('-') || !is_plain(name) || !is_plain(kind) {
        return Err(wrong());
    }
    Ok(Machine { name: name.to_owned(), accelerator })
}

/// Returns the kind of GPU to attach to a machine type, or `None` if none was asked for or the type has its own.
fn attached(name: &str, gpu: &str) -> Result<Option<String>> {
    if gpu.is_empty() {
        return Ok(None);
    }
    if family(name) != "n1" {
        let has_own = ["a2", "a3", "a4", "a4x", "g2", "g4"].contains(&family(name));
        let error = || {
            Error::usage(format!("no GPU can be attached to the machine type {name}"))
                .hint("use n1-standard-4 with t4 or v100, or a type with its own GPUs, such as g2-standard-4")
        };
        return if has_own { Ok(None) } else { Err(error()) };
    }
    let known = ATTACHED.iter().find(|(ours, _)| *ours == gpu).map(|(_, theirs)| *theirs);
    Ok(Some(known.unwrap_or(gpu).to_owned()))
}

/// Returns the family of a machine type, which shares its quotas: `n2` of `n2-standard-8`.
pub fn family(name: &str) -> &str {
    name.split('-').next().unwrap_or_default()
}

/// Returns the kind of disk that a machine type boots from:
/// <https://cloud.google.com/compute/docs/disks/hyperdisks#machine-type-support>.
pub fn disk_type(name: &str) -> &'static str {
    let is_hyper = ["c4", "c4a", "c4d", "n4", "n4a", "n4d", "g4", "a4", "a4x"].contains(&family(name));
    if is_hyper || name.starts_with("a3-ultragpu") { HYPERDISK } else { PERSISTENT_DISK }
}

/// The disk of newer machine types.
pub const HYPERDISK: &str = "hyperdisk-balanced";
/// The disk of the others.
pub const PERSISTENT_DISK: &str = "pd-balanced";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(types: &str, gpu: Option<&str>, arch: Option<Arch>) -> Vec<String> {
        parse(types, gpu, arch).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sizes_and_machine_types_are_taken() {
        assert_eq!(names("m", None, None)[0], "n2-standard-8");
        assert_eq!(names("m", Some("nogpu"), Some(Arch::Arm64)), ["t2a-standard-8", "c4a-standard-8"]);
        assert_eq!(names("m", Some("T4"), None), ["n1-standard-4+nvidia-tesla-t4*1"]);
        assert_eq!(names("n1-highmem-8 + nvidia-tesla-p4*2", None, None), ["n1-highmem-8+nvidia-tesla-p4*2"]);
        assert_eq!(names("n1-standard-4", Some("v100"), None), ["n1-standard-4+nvidia-tesla-v100*1"]);
        assert_eq!(names("n1-standard-4", Some("nvidia-tesla-p4"), None), ["n1-standard-4+nvidia-tesla-p4*1"]);
        assert_eq!(names("g2-standard-8,g2-standard-4", Some("l4"), None), ["g2-standard-8", "g2-standard-4"]);
        assert!(SIZES.iter().flat_map(|size| size.machines).all(|text| machine(text, "").is_ok()));
    }

    #[test]
    fn a_gpu_is_never_left_out_silently() {
        for (types, gpu, arch, says, hint) in [
            ("m", "k80", None, "Google Cloud has no K80 GPUs any more", "t4"),
            ("n1-standard-4+nvidia-tesla-k80*1", "", None, "no K80 GPUs", "t4"),
            ("s", "t4", None, "has no size s with the GPU t4", "available in the sizes l, m"),
            ("m", "rtx", None, "with the GPU rtx", "known GPUs, on x86_64: a100"),
            ("s", "", Some(Arch::Arm64), "no size s for aarch64", "available in the sizes l, m, xl"),
            ("n2-standard-8", "l4", None, "no GPU can be attached", "n1-standard-4"),
            ("m,n2-standard-8", "", None, "mixes sizes", "n2-standard-8"),
            ("n1-standard-4+t4*0", "", None, "is not a Google Cloud machine type", "nvidia-tesla-t4*2"),
            ("g5.xlarge", "", None, "g5.xlarge is not a Google Cloud machine type", "n2-standard-8"),
            (" ", "", None, "--cloud-type is empty", "s, m"),
        ] {
            let error = parse(types, Some(gpu).filter(|gpu| !gpu.is_empty()), arch).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
        }
    }

    #[test]
    fn newer_types_boot_from_newer_disks() {
        for (name, disk) in [
            ("n2-standard-8", PERSISTENT_DISK),
            ("n4-standard-8", HYPERDISK),
            ("c4a-standard-8", HYPERDISK),
            ("a3-highgpu-8g", PERSISTENT_DISK),
            ("a3-ultragpu-8g", HYPERDISK),
        ] {
            assert_eq!(disk_type(name), disk, "{name}");
        }
    }
}
