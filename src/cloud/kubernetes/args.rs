//! The options that only Kubernetes has.

use crate::cloud::key_value;
use clap::Args;
use std::path::PathBuf;

/// The options that only Kubernetes has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud")]
pub struct KubernetesOptions {
    /// Kubernetes node label, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub cloud_kubernetes_node_selector: Vec<(String, Option<String>)>,
    /// Kubernetes: file with changes of the pod's template, such as volumes, in YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub cloud_kubernetes_pod: Option<PathBuf>,
}

impl KubernetesOptions {
    /// Returns the file with the changes of the pod's template.
    pub fn pod(&self) -> Option<&PathBuf> {
        self.cloud_kubernetes_pod.as_ref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns the names of the options, each with whether it is given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 2] {
        [
            ("--cloud-kubernetes-node-selector", !self.cloud_kubernetes_node_selector.is_empty()),
            ("--cloud-kubernetes-pod", self.pod().is_some()),
        ]
    }
}
