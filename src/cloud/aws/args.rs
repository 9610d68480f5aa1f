//! The options that only AWS has.

use clap::Args;

/// The options that only AWS has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Cloud")]
pub struct AwsOptions {
    /// AWS security group, by id or name [default: cml-no-inbound, which is created]
    #[arg(long, value_name = "GROUP")]
    pub cloud_aws_security_group: Option<String>,
    /// AWS subnets, separated by commas [default: those of the default VPC]
    #[arg(long, alias = "cloud-aws-subnet-id", value_name = "SUBNET", value_delimiter = ',')]
    pub cloud_aws_subnet: Vec<String>,
}

impl AwsOptions {
    /// Returns the security group by id or name; `None` for one without inbound rules.
    pub fn security_group(&self) -> Option<&str> {
        self.cloud_aws_security_group.as_deref().filter(|group| !group.is_empty())
    }

    /// Returns the subnets by id; empty for those of the default network.
    pub fn subnets(&self) -> Vec<String> {
        let ids = self.cloud_aws_subnet.iter().map(|id| id.trim());
        ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
    }

    /// Returns the names of the options, each with whether it is given.
    pub(crate) fn given(&self) -> [(&'static str, bool); 2] {
        [
            ("--cloud-aws-security-group", self.security_group().is_some()),
            ("--cloud-aws-subnet", self.cloud_aws_subnet.iter().any(|id| !id.is_empty())),
        ]
    }
}
