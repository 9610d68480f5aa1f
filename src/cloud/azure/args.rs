//! The options that only Azure has.

use clap::Args;

/// The options that only Azure has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud")]
pub struct AzureOptions {
    /// Azure resource group of the instances [default: cml-runners, which is created]
    #[arg(long, value_name = "GROUP")]
    pub cloud_azure_resource_group: Option<String>,
}

impl AzureOptions {
    /// Returns the resource group that the user names.
    pub fn group(&self) -> Option<&str> {
        self.cloud_azure_resource_group.as_deref().filter(|group| !group.is_empty())
    }
}
