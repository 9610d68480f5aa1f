//! The options that only Google Cloud has.

use clap::Args;

/// The options that only Google Cloud has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud")]
pub struct GcpOptions {
    /// Google Cloud network, by name or path [default: default]
    #[arg(long, value_name = "NETWORK")]
    pub cloud_gcp_network: Option<String>,
    /// Google Cloud subnetwork in the region, by name or path [default: the network's own]
    #[arg(long, value_name = "SUBNETWORK")]
    pub cloud_gcp_subnetwork: Option<String>,
}

impl GcpOptions {
    /// Returns the network by name or path; `None` for the default one.
    pub fn network(&self) -> Option<&str> {
        self.cloud_gcp_network.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    /// Returns the subnetwork by name or path; `None` for the network's own.
    pub fn subnetwork(&self) -> Option<&str> {
        self.cloud_gcp_subnetwork.as_deref().map(str::trim).filter(|name| !name.is_empty())
    }

    /// Returns the names of the options, each with whether it is given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 2] {
        [("--cloud-gcp-network", self.network().is_some()), ("--cloud-gcp-subnetwork", self.subnetwork().is_some())]
    }
}
