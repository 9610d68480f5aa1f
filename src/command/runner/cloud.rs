//! `--cloud` and what belongs to it.

use super::idle;
use super::options::secret;
use crate::app::App;
use crate::cloud::{self, CLOUDS, Cloud as Connected, sizes::Arch};
use crate::env::Secret;
use crate::error::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ArgAction::Set;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        &[Name::Aws, Name::Azure, Name::Gcp, Name::Kubernetes]
    }

    /// Returns the name that CML takes; hidden from help where this build cannot launch there.
    fn to_possible_value(&self) -> Option<PossibleValue> {
        let name = match self {
            Name::Aws => "aws",
            Name::Azure => "azure",
            Name::Gcp => "gcp",
            Name::Kubernetes => "kubernetes",
        };
        let is_built = CLOUDS.iter().any(|driver| driver.name == name);
        Some(PossibleValue::new(name).hide(!is_built))
    }
}

/// Which cloud, and where in it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud")]
pub struct Place {
    /// Cloud of the runners' machines; without one, launch makes this machine the runner
    #[arg(long, value_name = "CLOUD", value_enum)]
    pub cloud: Option<Name>,
    /// Region: us-east, us-west, eu-west, eu-north, or the cloud's own name; us-west otherwise
    #[arg(long, value_name = "REGION")]
    pub cloud_region: Option<String>,
}

/// A cloud's row, and the connection to it.
pub type Found = (&'static cloud::Driver, Rc<dyn Connected>);

impl Place {
    /// The cloud's name.
    pub fn name(&self) -> String {
        self.cloud.and_then(|name| Some(name.to_possible_value()?.get_name().to_owned())).unwrap_or_default()
    }

    /// Connects to the cloud; `None` when none is named.
    ///
    /// # Errors
    /// This version does not know the cloud, or the region is none.
    pub fn connect(&self, app: &App) -> Result<Option<Found>, Error> {
        if self.cloud.is_none() {
            return Ok(None);
        }
        let name = self.name();
        let driver = CLOUDS.iter().find(|driver| driver.name == name).ok_or_else(|| {
            let known: Vec<_> = CLOUDS.iter().map(|driver| driver.name).collect();
            Error::unsupported(format!("this version of cml cannot launch machines in {name}")).hint(match known[..] {
                [] => "it was built without clouds: take a release, or build it with the feature aws".to_owned(),
                _ => format!(
                    "give --cloud {}, or leave it out and run this on the machine that is to be the runner",
                    known.join(" or ")
                ),
            })
        })?;
        let region = self.cloud_region.as_deref().filter(|region| !region.is_empty()).unwrap_or("us-west");
        Ok(Some((driver, (driver.connect)(app, region)?)))
    }
}

/// How long a machine lives at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Duration);

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let limits = Duration::from_secs(60)..=Duration::from_secs(35 * 24 * 60 * 60);
        let time = idle::read(text).flatten().filter(|time| limits.contains(time));
        time.map(Lifetime).ok_or_else(|| {
            Error::usage(format!("--cloud-max-lifetime {text} is not a time from a minute to 35 days"))
                .hint("it takes seconds, or a time such as \"6 hours\" or 1h30m; every machine has an end")
        })
    }
}

/// Options of a launch in a cloud.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud")]
pub struct Cloud {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Size: s, m, l, xl, or the cloud's own name; m otherwise
    #[arg(long, value_name = "TYPE")]
    pub cloud_type: Option<String>,
    /// Architecture, for a size: x86_64 or arm64
    #[arg(long, value_name = "ARCH", value_enum, hide_possible_values = true)]
    pub cloud_arch: Option<Arch>,
    /// GPU: t4, a10g, l4, l40s, v100, a100, h100 and others; nogpu for none
    #[arg(long, value_name = "GPU")]
    pub cloud_gpu: Option<String>,
    /// Size of the disk in GB; 35 otherwise
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub cloud_hdd_size: Option<u32>,
    /// Image to start: ami-…, ssm:/path or owner:name on AWS; its newest Ubuntu otherwise
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
    /// Take a machine at the full price where there is no spare capacity
    #[arg(long, action = Set, default_value_t = true, value_name = "YES")]
    pub cloud_on_demand_fallback: bool,
    /// Time after which the machine ends whatever it does: seconds, "6 hours" or 1h30m
    #[arg(long, value_name = "TIME", default_value = "35 days")]
    pub cloud_max_lifetime: Lifetime,
    /// Seconds that a machine may take until its runner is online
    #[arg(long, value_name = "SECONDS", default_value_t = BOOT, value_parser = clap::value_parser!(u64).range(0..=7200))]
    pub cloud_boot_timeout: u64,
    /// Shell script that the machine runs before the runner, in base64
    #[arg(long, value_name = "BASE64", value_parser = script)]
    pub cloud_startup_script: Option<String>,
    /// Private key for SSH; refused on AWS, where machines let nothing in
    #[arg(long, value_name = "PEM", allow_hyphen_values = true, value_parser = secret)]
    pub cloud_ssh_private: Option<Secret>,
    /// Security group on AWS: its id or name
    #[arg(long, value_name = "GROUP")]
    pub cloud_aws_security_group: Option<String>,
    /// Subnets on AWS, separated by commas; those of the default network otherwise
    #[arg(long, alias = "cloud-aws-subnet-id", value_name = "SUBNET", value_delimiter = ',')]
    pub cloud_aws_subnet: Vec<String>,
    /// Label of the nodes on Kubernetes, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = pair)]
    pub cloud_kubernetes_node_selector: Vec<(String, Option<String>)>,
    /// Address of the program that the machine runs: cml itself, static, for Linux; the release's otherwise
    #[arg(long, value_name = "URL", requires = "agent_sha256")]
    pub agent_url: Option<String>,
    /// SHA-256 of that program, in hexadecimal
    #[arg(long, value_name = "DIGEST", requires = "agent_url", value_parser = digest)]
    pub agent_sha256: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long, action = Set, default_value_t = false)]
    pub dry_run: bool,
}

/// Until then a machine should be a runner, with the user's own script.
pub const BOOT: u64 = 600;

/// SHA-256 in hexadecimal.
fn digest(text: &str) -> Result<String, Error> {
    let text = text.trim().to_ascii_lowercase();
    match text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(text),
        false => Err(Error::usage(format!("--agent-sha256 {text} is no SHA-256 in hexadecimal"))
            .hint("it is the first word that sha256sum prints")),
    }
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
            ("--cloud-region", text(&self.place.cloud_region)),
            ("--cloud-type", text(&self.cloud_type)),
            ("--cloud-arch", self.cloud_arch.is_some()),
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
            ("--cloud-aws-subnet", self.cloud_aws_subnet.iter().any(|id| !id.is_empty())),
            ("--cloud-kubernetes-node-selector", !self.cloud_kubernetes_node_selector.is_empty()),
            ("--agent-url", self.agent_url.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}
