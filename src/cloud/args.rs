//! The options that only some clouds have, each declared by its cloud.

use super::{aws, azure, gcp, kubernetes};
use clap::Args;

/// The options of all clouds, of which each reads its own.
#[derive(Debug, Clone, Default, Args)]
pub struct CloudOptions {
    /// Those of AWS.
    #[command(flatten)]
    pub aws: aws::args::AwsOptions,
    /// Those of Google Cloud.
    #[command(flatten)]
    pub gcp: gcp::args::GcpOptions,
    /// Those of Kubernetes.
    #[command(flatten)]
    pub kubernetes: kubernetes::args::KubernetesOptions,
}

impl CloudOptions {
    /// Returns the names of the options that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = self.aws.given().into_iter().chain(self.gcp.given()).chain(self.kubernetes.given());
        given.filter(|(_, given)| *given).map(|(name, _)| name)
    }
}

/// What names the location, besides the region, on those clouds that have it: a launch, `list`, `stop` and `reap` need it.
#[derive(Debug, Clone, Default, Args)]
pub struct LocationOptions {
    /// Those of Azure.
    #[command(flatten)]
    pub azure: azure::args::AzureOptions,
}

impl LocationOptions {
    /// Returns the names of the options that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        self.azure.group().map(|_| "--cloud-azure-resource-group").into_iter()
    }
}

/// Parses `key=value`; without `=` there is no value, as in CML.
pub fn key_value(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
    match key.trim() {
        "" => Err("the key is missing".to_owned()),
        key => Ok((key.to_owned(), value)),
    }
}
