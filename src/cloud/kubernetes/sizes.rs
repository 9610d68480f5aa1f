//! The sizes of pods, and the selection of their nodes.
//!
//! A size stands for a node of that size, but asks for less than all of it: the system's own pods and reservations take part of every
//! node, and a pod that asks for eight processors never fits one with eight
//! (<https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/>). Processors have no limit, so that a job gets
//! what nobody else uses.

use crate::cloud::sizes::Arch;
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};

/// The name of NVIDIA's device plugin for GPUs: <https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/>.
pub const GPU: &str = "nvidia.com/gpu";
/// The label that every kubelet gives its node: <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch>.
pub const ARCH: &str = "kubernetes.io/arch";
/// Any model of a GPU.
const ANY: &str = "any";
/// What CML's Terraform provider replaces by the model of the GPU.
const INFER: &str = "infer";

/// What a pod asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Processors, as a quantity: `6800m`.
    pub cpu: String,
    /// Memory that is reserved, as a quantity.
    pub memory: String,
    /// Memory at which its processes are killed, as a quantity.
    pub max_memory: String,
    /// The number of GPUs.
    pub gpus: u32,
    /// The model of the GPU; `None` for any.
    pub model: Option<String>,
}

/// A row of the table: the node's processors, and its memory in GiB, without and with a GPU; the number of GPUs.
struct Size {
    class: &'static str,
    plain: Option<(u32, u32)>,
    gpu: Option<(u32, u32, u32)>,
}

#[rustfmt::skip]
const SIZES: [Size; 4] = [
    Size { class: "s", plain: Some((1, 1)), gpu: None },
    Size { class: "m", plain: Some((8, 32)), gpu: Some((4, 16, 1)) },
    Size { class: "l", plain: Some((32, 128)), gpu: Some((32, 128, 4)) },
    Size { class: "xl", plain: Some((64, 256)), gpu: Some((64, 256, 8)) },
];

/// Parses `--cloud-type` and `--cloud-gpu`.
///
/// # Errors
/// The size does not exist, or not with a GPU: the GPU is never ignored.
pub fn parse(types: &str, gpu: Option<&str>) -> Result<Resources> {
    let gpu = gpu.map(|gpu| gpu.trim().to_ascii_lowercase()).filter(|gpu| gpu != "nogpu" && !gpu.is_empty());
    let text = types.trim();
    if text.contains(',') {
        return Err(Error::usage(format!("--cloud-type {types} names several types"))
            .hint("on Kubernetes give one size: s, m, l, xl, or processors and memory such as 4-16Gi"));
    }
    match SIZES.iter().find(|size| size.class == text) {
        Some(size) => class(size, gpu),
        None => exact(text, gpu).ok_or_else(|| {
            Error::usage(format!("{types} is not a size of a pod"))
                .hint("use s, m, l, xl, or processors and memory, such as 4-16Gi, 500m-2Gi, or 4-16Gi+any*1 with a GPU")
        }),
    }
}

fn class(size: &Size, gpu: Option<String>) -> Result<Resources> {
    let (cpu, memory, gpus) = match (&gpu, size.plain, size.gpu) {
        (None, Some((cpu, memory)), _) => (cpu, memory, 0),
        (Some(_), _, Some(with)) => with,
        _ => {
            return Err(Error::usage(format!("there is no size {} with a GPU", size.class))
                .hint("GPUs are available in the sizes m, l, xl: 1, 4 and 8 of them"));
        }
    };
    // The rest is for the node's own pods and reservations.
    let (cpu, mebibytes) = (cpu * 850, memory * 768);
    let reserved = if mebibytes % 1024 == 0 { format!("{}Gi", mebibytes / 1024) } else { format!("{mebibytes}Mi") };
    Ok(Resources {
        cpu: format!("{cpu}m"),
        memory: reserved,
        max_memory: format!("{memory}Gi"),
        gpus,
        model: gpu.filter(|gpu| gpu != ANY),
    })
}

/// Parses CML's `cpus-memory[+model*count]`; memory without a unit is in megabytes, as there.
fn exact(text: &str, gpu: Option<String>) -> Option<Resources> {
    let (size, accelerator) = text.split_once('+').map_or((text, None), |(size, rest)| (size, Some(rest)));
    let (cpu, memory) = size.split_once('-')?;
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(|number| number > 0.0 && number.is_finite());
    let is_plain = |text: &str| is_number(text) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_plain(cpu.strip_suffix('m').unwrap_or(cpu)) {
        return None;
    }
    let unit = memory.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !is_plain(memory.strip_suffix(unit)?) || !["", "M", "G", "T", "Mi", "Gi", "Ti"].contains(&unit) {
        return None;
    }
    let memory = if unit.is_empty() { format!("{memory}M") } else { memory.to_owned() };
    let (model, gpus) = match accelerator {
        Some(accelerator) => {
            let (model, count) = accelerator.split_once('*').unwrap_or((accelerator, "1"));
            let count = count.parse().ok().filter(|count| (1..=64).contains(count))?;
            (Some(model.to_ascii_lowercase()).filter(|model| !model.is_empty())?, count)
        }
        None => (gpu.clone().unwrap_or_default(), u32::from(gpu.is_some())),
    };
    let model = Some(model).filter(|model| !model.is_empty() && model != ANY);
    Some(Resources { cpu: cpu.to_owned(), max_memory: memory.clone(), memory, gpus, model })
}

impl Resources {
    /// Returns the size as `--cloud-type` takes it: `6800m-24Gi`, `4-16Gi+any*1`.
    pub fn name(&self) -> String {
        let model = self.model.as_deref().unwrap_or(ANY);
        let gpus = if self.gpus == 0 { String::new() } else { format!("+{model}*{}", self.gpus) };
        format!("{}-{}{gpus}", self.cpu, self.memory)
    }

    /// Renders the container's `resources`. `disk` is in gigabytes; `None` for what the node has.
    pub fn render(&self, disk: Option<u32>) -> Value {
        let mut requests = json!({ "cpu": self.cpu, "memory": self.memory });
        let mut limits = json!({ "memory": self.max_memory });
        for map in [&mut requests, &mut limits] {
            if let Some(disk) = disk {
                map["ephemeral-storage"] = json!(format!("{disk}G"));
            }
            if self.gpus > 0 {
                map[GPU] = json!(self.gpus.to_string());
            }
        }
        json!({ "requests": requests, "limits": limits })
    }
}

/// The nodes that a pod may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    /// The user's labels, as they are.
    pub selector: Map<String, Value>,
    /// The architecture.
    pub arch: Arch,
}

/// Parses `--cloud-kubernetes-node-selector` and `--cloud-arch`.
///
/// # Errors
/// A model of a GPU is asked for, and no label says which nodes have it: each vendor names it in its own way.
pub fn nodes(pairs: &[(String, Option<String>)], arch: Option<Arch>, resources: &Resources) -> Result<Nodes> {
    let mut selector = Map::new();
    for (key, value) in pairs {
        let value = match value.as_deref() {
            Some(INFER) => match &resources.model {
                Some(model) if model.starts_with("nvidia-") => model.clone(),
                Some(model) => format!("nvidia-tesla-{model}"),
                None => continue,
            },
            value => value.unwrap_or_default().to_owned(),
        };
        selector.insert(key.clone(), json!(value));
    }
    if let Some(model) = resources.model.as_ref().filter(|_| selector.keys().all(|key| key == ARCH)) {
        return Err(Error::usage(format!("it is unknown which nodes of the cluster have the GPU {model}")).hint(format!(
            "name their label with --cloud-kubernetes-node-selector, such as cloud.google.com/gke-accelerator=nvidia-{model} (GKE), nvidia.com/gpu.product=NVIDIA-{} (GPU operator) or karpenter.k8s.aws/instance-gpu-name={model} (Karpenter), or take any GPU with --cloud-gpu any",
            model.to_ascii_uppercase()
        )));
    }
    let selected = match selector.get(ARCH).and_then(Value::as_str) {
        Some("arm64") => Some(Arch::Arm64),
        Some("amd64") => Some(Arch::X86_64),
        _ => None,
    };
    if selected.is_some() && arch.is_some() && selected != arch {
        return Err(Error::usage(format!("--cloud-arch contradicts the node selector {ARCH}")).hint("give one of them"));
    }
    Ok(Nodes { selector, arch: selected.or(arch).unwrap_or(Arch::X86_64) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is(types: &str, gpu: Option<&str>, name: &str) {
        assert_eq!(parse(types, gpu).unwrap().name(), name, "{types} {gpu:?}");
    }

    #[test]
    fn a_size_leaves_room_for_the_nodes_own_pods() {
        is("s", None, "850m-768Mi");
        is("m", None, "6800m-24Gi");
        is("m", Some("nogpu"), "6800m-24Gi");
        is("m", Some("any"), "3400m-12Gi+any*1");
        is("l", Some("T4"), "27200m-96Gi+t4*4");
        is("xl", Some("h100"), "54400m-192Gi+h100*8");
        let resources = parse("m", Some("any")).unwrap().render(Some(50));
        assert_eq!(resources["limits"], json!({"memory": "16Gi", "ephemeral-storage": "50G", "nvidia.com/gpu": "1"}));
        assert_eq!(resources["requests"]["cpu"], "3400m");
        assert!(resources["limits"]["cpu"].is_null());
    }

    #[test]
    fn cmls_own_form_and_kubernetes_quantities_are_taken_exactly() {
        is("4-16000", None, "4-16000M");
        is("64-256000+nvidia-tesla-k80*1", None, "64-256000M+nvidia-tesla-k80*1");
        is("500m-2Gi", Some("any"), "500m-2Gi+any*1");
        is("1.5-0.5Gi", None, "1.5-0.5Gi");
        is("4-16Gi+any*2", None, "4-16Gi+any*2");
        for wrong in [
            "",
            "xxl",
            "4",
            "4-",
            "-4",
            "a-b",
            "4-16Xi",
            "4-16Gi+",
            "4-16Gi+t4*0",
            "4-16Gi+t4*x",
            "m,l",
            "1e3-4Gi",
            "inf-1Gi",
        ] {
            assert_eq!(parse(wrong, None).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert!(parse("s", Some("t4")).unwrap_err().to_string().contains("no size s with a GPU"));
    }

    #[test]
    fn node_selectors_are_as_given_and_a_model_needs_one() {
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        let any = parse("m", Some("any")).unwrap();
        assert_eq!(nodes(&[], None, &any).unwrap(), Nodes { selector: Map::new(), arch: Arch::X86_64 });
        let l4 = parse("m", Some("l4")).unwrap();
        let error = nodes(&[], None, &l4).unwrap_err();
        assert!(error.hint_text().unwrap().contains("cloud.google.com/gke-accelerator=nvidia-l4"), "{error:?}");
        assert!(nodes(&[pair(ARCH, "amd64")], None, &l4).is_err(), "the architecture is not the model");
        let given = [pair("cloud.google.com/gke-accelerator", "nvidia-l4"), ("spot".to_owned(), None)];
        let selector = nodes(&given, Some(Arch::Arm64), &l4).unwrap().selector;
        assert_eq!(Value::Object(selector), json!({"cloud.google.com/gke-accelerator": "nvidia-l4", "spot": ""}));
        // As CML's provider does.
        let inferred = nodes(&[pair("accelerator", "infer")], None, &parse("m", Some("v100")).unwrap()).unwrap();
        assert_eq!(inferred.selector["accelerator"], "nvidia-tesla-v100");
        assert!(nodes(&[pair("accelerator", "infer")], None, &any).unwrap().selector.is_empty());
        assert_eq!(nodes(&[pair(ARCH, "arm64")], None, &any).unwrap().arch, Arch::Arm64);
        assert!(nodes(&[pair(ARCH, "arm64")], Some(Arch::X86_64), &any).is_err());
    }

    proptest! {
        #[test]
        fn no_type_panics_and_what_is_taken_is_taken_again(types in "\\PC{0,24}|[0-9]{1,3}m?-[0-9]{1,4}(Gi|Mi|G)?(\\+[a-z0-9]{1,4}\\*[0-9]{1,2})?") {
            if let Ok(resources) = parse(&types, None) {
                prop_assume!(!["s", "m", "l", "xl"].contains(&types.trim()));
                prop_assert_eq!(parse(&resources.name(), None).unwrap(), resources);
            }
        }
    }
}
