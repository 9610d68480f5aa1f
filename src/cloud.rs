//! The clouds: one trait, its domain types, and the table of drivers.
//!
//! A cloud is one module: its wire format, its instance types, its options, its errors and its variables. It knows nothing of
//! forges, and renders a [`Bootstrap`], which is data, in its own way: [`vm`] does so for those with virtual machines.
//! A launch has three steps: [`Cloud::plan`], [`LaunchPlan::launch`], and the [`Instance`] (`docs/adr/0013-clouds.md`). The only
//! state is the labels of the instances.

use crate::app::App;
use crate::error::{Kind, Result};
use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

#[cfg(feature = "aws")]
pub mod aws;
/// Without the driver: only the options, which every build takes.
#[cfg(not(feature = "aws"))]
pub mod aws {
    pub mod args;
}
mod args;
pub mod attempts;
#[cfg(feature = "azure")]
pub mod azure;
/// Without the driver: only the options, which every build takes.
#[cfg(not(feature = "azure"))]
pub mod azure {
    pub mod args;
}
mod bootstrap;
#[cfg(debug_assertions)]
mod dummy;
#[cfg(feature = "gcp")]
pub mod gcp;
/// Without the driver: only the options, which every build takes.
#[cfg(not(feature = "gcp"))]
pub mod gcp {
    pub mod args;
}
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
/// Without the driver: only the options, which every build takes.
#[cfg(not(feature = "kubernetes"))]
pub mod kubernetes {
    pub mod args;
}
pub mod labels;
mod location;
pub mod rest;
pub mod sizes;
pub mod stopped;
pub mod vm;

pub use args::{CloudOptions, LocationOptions, key_value};
pub use bootstrap::{Bootstrap, BootstrapBinary, Lifetime};
pub use labels::Labels;
pub use location::Location;

/// A driver in [`CLOUDS`].
pub struct Driver {
    /// The name that `--cloud` takes.
    pub name: &'static str,
    /// The name people use.
    pub title: &'static str,
    /// Whether help and hints name it.
    pub is_offered: bool,
    /// Whether its instances are virtual machines, which `cml runner bootstrap` prepares as root: a user for jobs, Docker, a packet
    /// filter. Elsewhere, such as in a container, it runs as it is, and the instance ends with it.
    pub is_machine: bool,
    /// Whether its instances download the program; elsewhere it comes with an image.
    pub downloads_binary: bool,
    /// Whether `--cloud-region` chooses where it launches.
    pub has_regions: bool,
    /// Connects to a region, by CML's name or the cloud's own, with the credentials of the environment.
    pub connect: for<'a> fn(&'a App, region: &'a str, options: &'a LocationOptions) -> Result<Rc<dyn Cloud>>,
    /// Waits, on one of its instances, until the cloud announces an interruption.
    pub wait_for_interruption: for<'a> fn(&'a App) -> LocalBoxFuture<'a, ()>,
    /// Returns, on one of its instances, whether the instance has an identity, with which a job could act in the cloud.
    pub has_identity: for<'a> fn(&'a App) -> LocalBoxFuture<'a, bool>,
}

/// The clouds.
pub const CLOUDS: &[Driver] = &[
    #[cfg(feature = "aws")]
    aws::DRIVER,
    #[cfg(feature = "azure")]
    azure::DRIVER,
    #[cfg(feature = "gcp")]
    gcp::DRIVER,
    #[cfg(feature = "kubernetes")]
    kubernetes::DRIVER,
    #[cfg(debug_assertions)]
    dummy::DRIVER,
];

/// A request for an instance.
#[derive(Debug, Clone)]
pub struct InstanceRequest {
    /// `s`, `m`, `l`, `xl`, or the cloud's own instance types, separated by commas.
    pub types: String,
    /// The model of the GPU, for a size.
    pub gpu: Option<String>,
    /// The architecture, for a size.
    pub arch: Option<sizes::Arch>,
    /// The image, as the cloud names it; `None` for its usual one.
    pub image: Option<String>,
    /// The size of the disk in gigabytes.
    pub disk: u32,
    /// Whether the user asked for that size.
    pub is_disk_given: bool,
    /// Whether it is a spot instance.
    pub spot: bool,
    /// The maximum spot price per hour in US dollars; `None` for the market price.
    pub spot_price: Option<f64>,
    /// Whether to fall back to an on-demand instance when there is no spot capacity.
    pub on_demand_fallback: bool,
    /// The identity that its jobs may use; `None` for no identity.
    pub identity: Option<String>,
    /// How long it may live.
    pub lifetime: Lifetime,
    /// What only some clouds have.
    pub options: CloudOptions,
    /// The user's own labels.
    pub user_labels: Vec<(String, String)>,
    /// Our own labels, as far as they are known before the runner is registered.
    pub labels: Labels,
}

/// The summary of a plan.
#[derive(Debug, Clone)]
pub struct PlanSummary {
    /// Its properties for people: region, instance types, image, price.
    pub lines: Vec<(String, String)>,
    /// The architecture of the instance.
    pub arch: sizes::Arch,
    /// Whether it has GPUs.
    pub gpu: bool,
    /// The documents that would be applied, in YAML, where a launch is documents.
    pub manifest: Option<String>,
}

/// The lifecycle state of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being created, or boots.
    Pending,
    /// It waits for capacity, which may still come: a cluster may grow by a node.
    Waiting {
        /// What the cloud says about it.
        message: String,
    },
    /// It is running.
    Running,
    /// It is stopped; at least its disk is still billed.
    Stopped,
    /// It is being terminated, or is terminated: it costs nothing any more.
    Terminated,
    /// It will never run, such as for want of its image or of capacity, and may cost something until it is deleted.
    Failed {
        /// The class of the failure.
        kind: Kind,
        /// What the cloud says about it.
        message: String,
    },
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The cloud's id of it.
    pub id: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: Option<String>,
    /// Its lifecycle state.
    pub state: InstanceState,
    /// Why it ended.
    pub reason: Option<String>,
    /// Whether it is a spot instance.
    pub spot: bool,
    /// Its IP address, the public one if it has one.
    pub address: Option<String>,
    /// When it was launched, in seconds since 1970.
    pub launched: Option<i64>,
    /// Our labels on it.
    pub labels: Labels,
}

/// The most bytes of an instance's console that are kept.
pub const MAX_CONSOLE: usize = 64 * 1024;

/// A cloud, connected to one region.
#[async_trait(?Send)]
pub trait Cloud {
    /// Returns the name of the region, by the cloud's own name.
    fn region(&self) -> &str;

    /// Returns the location, which may need one request.
    ///
    /// # Errors
    /// The credentials do not work, or the cloud does not answer.
    async fn location(&self) -> Result<Location>;

    /// Looks up everything that an instance needs and checks the permissions, without any effect.
    ///
    /// # Errors
    /// What is missing, the permission by its name included.
    async fn plan<'a>(&'a self, request: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>>;

    /// Fetches an instance; `None` when the cloud does not know it (any more).
    async fn get(&self, id: &str) -> Result<Option<Instance>>;

    /// Returns the id of the instance with these labels, where a launch chooses it: [`Cloud::get`] then finds it at once, also when it has
    /// ended.
    fn chosen_id(&self, _labels: &Labels) -> Option<String> {
        None
    }

    /// Lists all instances of the location that carry our labels and are not terminated.
    async fn list(&self) -> Result<Vec<Instance>>;

    /// Deletes an instance with all that belongs to it, whatever its state; does nothing when it is gone.
    async fn delete(&self, id: &str) -> Result<()>;

    /// Fetches the end of the instance's console, [`MAX_CONSOLE`] bytes at most; empty before its first output.
    async fn console_log(&self, id: &str) -> Result<String>;

    /// Removes the bootstrap, which holds the runner's credential, from where the cloud keeps it: the instance has read it.
    async fn forget_bootstrap(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    /// Lists what belongs to no instance any more.
    async fn list_leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(Vec::new())
    }

    /// Deletes one of [`Cloud::list_leftovers`] by its id; does nothing when it is gone.
    async fn delete_leftover(&self, _id: &str) -> Result<()> {
        Ok(())
    }
}

/// Something of ours in the cloud that belongs to no instance any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The cloud's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is, such as `template`.
    pub what: &'static str,
    /// Why nobody needs it.
    pub why: &'static str,
}

/// An instance that can be launched: everything is looked up, and nothing exists yet.
#[async_trait(?Send)]
pub trait LaunchPlan {
    /// Returns what is planned.
    fn summary(&self) -> &PlanSummary;

    /// Launches the instance, and returns when the cloud has granted the capacity. It is deleted by the cloud, or deletes
    /// itself, when the bootstrap's lifetime is over, and costs nothing from then on. Launching once more with the same name
    /// and runner in the labels creates no second instance.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`] when no zone has capacity for any instance type; [`Kind::TooLarge`] when the bootstrap is too long;
    /// [`crate::error::Error::is_ambiguous`] when it is unknown whether there is an instance: [`Cloud::chosen_id`] and
    /// [`Cloud::list`] find it.
    async fn launch(self: Box<Self>, labels: &Labels, bootstrap: &Bootstrap) -> Result<Instance>;
}

/// Returns the end of a console's text, as long as is kept.
pub fn console_end(text: &str) -> &str {
    let start = text.len().saturating_sub(MAX_CONSOLE);
    let start = (start..=text.len()).find(|start| text.is_char_boundary(*start));
    start.and_then(|start| text.get(start..)).unwrap_or_default()
}
