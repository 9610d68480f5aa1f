//! Kubernetes: the option that CML has for it. There is no driver.

use super::key_value;
use clap::Args;

/// The options that only Kubernetes has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud")]
pub struct KubernetesOptions {
    /// Kubernetes node label, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = key_value)]
    pub cloud_kubernetes_node_selector: Vec<(String, Option<String>)>,
}

impl KubernetesOptions {
    /// Returns the names of the options, each with whether it is given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 1] {
        [("--cloud-kubernetes-node-selector", !self.cloud_kubernetes_node_selector.is_empty())]
    }
}
