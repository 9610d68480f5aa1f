//! `--cloud` and its related options.

use super::idle;
use crate::app::App;
use crate::cloud::{self, CLOUDS, Cloud as Connected, CloudOptions, LocationOptions, sizes::Arch};
use crate::digest::Sha256Digest;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::runner::state::READY_TIMEOUT;
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
pub enum CloudName {
    /// Amazon EC2
    Aws,
    /// Azure
    Azure,
    /// Google Compute Engine
    Gcp,
    /// A Kubernetes cluster
    Kubernetes,
    /// Processes of this host, for tests
    #[cfg(debug_assertions)]
    Dummy,
}

impl ValueEnum for CloudName {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            CloudName::Aws,
            CloudName::Azure,
            CloudName::Gcp,
            CloudName::Kubernetes,
            #[cfg(debug_assertions)]
            CloudName::Dummy,
        ]
    }

    /// Returns the name that CML takes; hidden from help where this build cannot launch there.
    fn to_possible_value(&self) -> Option<PossibleValue> {
        let name = match self {
            CloudName::Aws => "aws",
            CloudName::Azure => "azure",
            CloudName::Gcp => "gcp",
            CloudName::Kubernetes => "kubernetes",
            #[cfg(debug_assertions)]
            CloudName::Dummy => "dummy",
        };
        let is_offered = CLOUDS.iter().any(|driver| driver.name == name && driver.is_offered);
        Some(PossibleValue::new(name).hide(!is_offered))
    }
}

/// A cloud and a region.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud")]
pub struct CloudLocation {
    /// Cloud to use; without one, launch turns this machine into the runner
    #[arg(long, value_name = "CLOUD", value_enum)]
    pub cloud: Option<CloudName>,
    /// Region: us-east, us-west, eu-west, eu-north, or the cloud's own name; a zone on Google Cloud; none on Kubernetes [default: us-west]
    #[arg(long, value_name = "REGION")]
    pub cloud_region: Option<String>,
    /// What only some clouds have.
    #[command(flatten)]
    pub options: LocationOptions,
}

/// A cloud's driver, and the connection to it.
pub type ConnectedCloud = (&'static cloud::Driver, Rc<dyn Connected>);

impl CloudLocation {
    /// Returns the cloud's name.
    pub fn name(&self) -> String {
        self.cloud.and_then(|name| Some(name.to_possible_value()?.get_name().to_owned())).unwrap_or_default()
    }

    /// Connects to the cloud; `None` when none is named.
    ///
    /// # Errors
    /// This build does not support the cloud, or the region is invalid.
    pub fn connect(&self, app: &App) -> Result<Option<ConnectedCloud>, Error> {
        if self.cloud.is_none() {
            return Ok(None);
        }
        let name = self.name();
        let driver = CLOUDS.iter().find(|driver| driver.name == name).ok_or_else(|| {
            let known: Vec<_> = CLOUDS.iter().filter(|driver| driver.is_offered).map(|driver| driver.name).collect();
            Error::unsupported(format!("this build of cml does not support --cloud {name}")).hint(match known[..] {
                [] => "it was built without clouds: use a release, or build it with the feature aws".to_owned(),
                _ => format!(
                    "use --cloud {}, or run this without --cloud on the machine that should be the runner",
                    known.join(" or ")
                ),
            })
        })?;
        let region = self.cloud_region.as_deref().filter(|region| !region.is_empty());
        if let Some(region) = region.filter(|_| !driver.has_regions) {
            app.log.warn(&format!("--cloud-region {region} has no effect on {}", driver.title));
        }
        let region = region.unwrap_or("us-west");
        Ok(Some((driver, (driver.connect)(app, region, &self.options)?)))
    }
}

/// The maximum lifetime of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Duration);

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let limits = Duration::from_secs(60)..=Duration::from_secs(35 * 24 * 60 * 60);
        let time = idle::parse_duration(text).flatten().filter(|time| limits.contains(time));
        time.map(Lifetime).ok_or_else(|| {
            Error::usage(format!("--cloud-max-lifetime {text} is not a duration between one minute and 35 days"))
                .hint("give seconds, or a duration such as \"6 hours\" or 1h30m; there is no unlimited lifetime")
        })
    }
}

/// The options of a launch in a cloud.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cloud")]
pub struct Cloud {
    /// The cloud and region.
    #[command(flatten)]
    pub location: CloudLocation,
    /// Size: s, m, l, xl, or the cloud's own instance types, separated by commas; n1-standard-8+nvidia-tesla-t4*2 on Google Cloud, 4-16Gi on Kubernetes [default: m]
    #[arg(long, value_name = "TYPE")]
    pub cloud_type: Option<String>,
    /// Architecture of a size: x86_64 or arm64
    #[arg(long, value_name = "ARCH", value_enum, hide_possible_values = true)]
    pub cloud_arch: Option<Arch>,
    /// GPU: t4, a10g, l4, l40s, v100, a100, h100 and others, any on Kubernetes, or nogpu
    #[arg(long, value_name = "GPU")]
    pub cloud_gpu: Option<String>,
    /// Size of the disk in GB [default: 35; on Kubernetes what the node has]
    #[arg(long, value_name = "GB", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub cloud_hdd_size: Option<u32>,
    /// Image: ami-…, ssm:/path or owner:name on AWS, publisher:offer:sku:version or an id on Azure, project/family on Google Cloud, a container image on Kubernetes [default: the newest Ubuntu; org/cml:1-dvc3]
    #[arg(long, value_name = "IMAGE")]
    pub cloud_image: Option<String>,
    /// Identity of the instance: AWS instance profile, id of an Azure identity, Google Cloud or Kubernetes service account
    #[arg(long, value_name = "IDENTITY")]
    pub cloud_permission_set: Option<String>,
    /// Tag of the instance, key=value; may be given several times
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = cloud::key_value)]
    pub cloud_metadata: Vec<(String, Option<String>)>,
    /// Use a spot instance: cheaper, but the cloud may reclaim it
    #[arg(long, action = Set, default_value_t = false)]
    pub cloud_spot: bool,
    /// Maximum spot price in USD per hour, not on Google Cloud; -1 for the market price
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    pub cloud_spot_price: Option<f64>,
    /// Fall back to on-demand when there is no spot capacity
    #[arg(long, action = Set, default_value_t = true, value_name = "YES")]
    pub cloud_on_demand_fallback: bool,
    /// Time after which the instance is terminated: seconds, "6 hours" or 1h30m
    #[arg(long, value_name = "TIME", default_value = "35 days")]
    pub cloud_max_lifetime: Lifetime,
    /// Seconds to wait for the runner of an instance to come online
    #[arg(long, value_name = "SECONDS", default_value_t = BOOT_TIMEOUT, value_parser = clap::value_parser!(u64).range(0..=7200))]
    pub cloud_boot_timeout: u64,
    /// Shell script to run before the runner, in base64
    #[arg(long, value_name = "BASE64", value_parser = script)]
    pub cloud_startup_script: Option<String>,
    /// SSH private key; not supported: instances accept no inbound connections
    #[arg(long, value_name = "PEM", allow_hyphen_values = true)]
    pub cloud_ssh_private: Option<Secret>,
    /// What only some clouds have.
    #[command(flatten)]
    pub options: CloudOptions,
    /// URL of the static cml binary for Linux that the instance downloads [default: this release's]
    #[arg(long, alias = "agent-url", value_name = "URL", requires = "bootstrap_sha256")]
    pub bootstrap_url: Option<String>,
    /// SHA-256 digest of that binary, in hexadecimal
    #[arg(long, alias = "agent-sha256", value_name = "DIGEST", requires = "bootstrap_url", value_parser = digest)]
    pub bootstrap_sha256: Option<Sha256Digest>,
    /// Show what would be done without doing it
    #[arg(long, action = Set, default_value_t = false)]
    pub dry_run: bool,
    /// Format of --dry-run on Kubernetes [default: yaml]
    #[arg(short = 'o', long, value_name = "FORMAT", value_enum, requires = "dry_run")]
    pub output: Option<OutputFormat>,
}

/// The format of a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Documents in YAML
    Yaml,
}

/// How many seconds an instance may take until its runner is online, the user's start-up script included.
pub const BOOT_TIMEOUT: u64 = READY_TIMEOUT.as_secs();

/// Parses `--bootstrap-sha256`.
fn digest(text: &str) -> Result<Sha256Digest, Error> {
    text.parse().map_err(|error: Error| error.context("--bootstrap-sha256"))
}

/// Decodes a script in base64.
fn script(text: &str) -> Result<String, Error> {
    let wrong = || {
        Error::usage("--cloud-startup-script is not base64").hint("encode the script with: base64 --wrap=0 script.sh")
    };
    let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = BASE64_STANDARD.decode(packed).map_err(|_| wrong())?;
    String::from_utf8(bytes).map_err(|_| wrong())
}

impl Cloud {
    /// Returns the names of the options that are given, except `--cloud` itself.
    pub fn given(&self) -> Vec<&'static str> {
        let text = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        let given = [
            ("--cloud-region", text(&self.location.cloud_region)),
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
        ];
        let given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        given
            .chain(self.location.options.given())
            .chain(self.options.given())
            .chain(self.bootstrap_url.as_ref().map(|_| "--bootstrap-url"))
            .collect()
    }
}
