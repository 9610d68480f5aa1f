//! `--cloud` and what belongs to it.

use super::options::secret;
use crate::env::Secret;
use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Amazon EC2
    Aws,
    /// Azure
    Azure,
    /// Google Compute Engine
    Gcp,
    /// A Kubernetes cluster
    Kubernetes,
}

/// Options of a launch in a cloud.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud")]
pub struct Cloud {
    /// Launch a new machine in this cloud, instead of making this one a runner
    #[arg(long, value_name = "CLOUD", value_enum)]
    pub cloud: Option<Name>,
    /// Region: us-east, us-west, eu-west, eu-north, or the cloud's own name; us-west otherwise
    #[arg(long, value_name = "REGION")]
    pub cloud_region: Option<String>,
    /// Size: s, m, l, xl, or the cloud's own name; m otherwise
    #[arg(long, value_name = "TYPE")]
    pub cloud_type: Option<String>,
    /// GPU: t4, v100, k80, or the cloud's own name; nogpu for none
    #[arg(long, value_name = "GPU")]
    pub cloud_gpu: Option<String>,
    /// Size of the disk in GB; 35 otherwise
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub cloud_hdd_size: Option<u32>,
    /// Image to start: the cloud's own name
    #[arg(long, value_name = "IMAGE")]
    pub cloud_image: Option<String>,
    /// Identity that the machine has: AWS instance profile, GCP service account, Azure identity
    #[arg(long, value_name = "IDENTITY")]
    pub cloud_permission_set: Option<String>,
    /// Tag of the machine, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = pair)]
    pub cloud_metadata: Vec<(String, Option<String>)>,
    /// Take spare capacity at a lower price, which the cloud may take back
    #[arg(long, action = Set, default_value_t = false)]
    pub cloud_spot: bool,
    /// Highest price of spare capacity in USD an hour; -1 for the market's
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub cloud_spot_price: Option<f64>,
    /// Shell script that the machine runs before the runner, in base64
    #[arg(long, value_name = "BASE64", value_parser = script)]
    pub cloud_startup_script: Option<String>,
    /// Private key for SSH; none otherwise
    #[arg(long, value_name = "PEM", allow_hyphen_values = true, value_parser = secret)]
    pub cloud_ssh_private: Option<Secret>,
    /// Security group on AWS: its id or name
    #[arg(long, value_name = "GROUP")]
    pub cloud_aws_security_group: Option<String>,
    /// Subnet on AWS
    #[arg(long, alias = "cloud-aws-subnet-id", value_name = "SUBNET")]
    pub cloud_aws_subnet: Option<String>,
    /// Label of the nodes on Kubernetes, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = pair)]
    pub cloud_kubernetes_node_selector: Vec<(String, Option<String>)>,
}

/// `key=value`; without `=` there is no value, as in CML.
fn pair(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
    match key.trim() {
        "" => Err("it has no key".to_owned()),
        key => Ok((key.to_owned(), value)),
    }
}

/// The text of a script in base64.
fn script(text: &str) -> Result<String, Error> {
    let wrong = || {
        Error::usage("--cloud-startup-script is not a script in base64").hint("make it with: base64 --wrap=0 script.sh")
    };
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = BASE64_STANDARD.decode(packed).map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl Cloud {
    /// The names of those that are given, but for `--cloud` itself.
    pub fn given(&self) -> Vec<&'static str> {
        let text = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        let given = [
            ("--cloud-region", text(&self.cloud_region)),
            ("--cloud-type", text(&self.cloud_type)),
            ("--cloud-gpu", text(&self.cloud_gpu)),
            ("--cloud-hdd-size", self.cloud_hdd_size.is_some()),
            ("--cloud-image", text(&self.cloud_image)),
            ("--cloud-permission-set", text(&self.cloud_permission_set)),
            ("--cloud-metadata", !self.cloud_metadata.is_empty()),
            ("--cloud-spot", self.cloud_spot),
            ("--cloud-spot-price", self.cloud_spot_price.is_some()),
            ("--cloud-startup-script", self.cloud_startup_script.is_some()),
            ("--cloud-ssh-private", self.cloud_ssh_private.is_some()),
            ("--cloud-aws-security-group", text(&self.cloud_aws_security_group)),
            ("--cloud-aws-subnet", text(&self.cloud_aws_subnet)),
            ("--cloud-kubernetes-node-selector", !self.cloud_kubernetes_node_selector.is_empty()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}
