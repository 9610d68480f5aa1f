//! The clouds: one trait, its domain types, and the table of drivers.
//!
//! A cloud is one module: its wire format, its instance types, its errors and its variables. It knows nothing of forges.
//! The only state is the tags of the instances.

use crate::app::App;
use crate::env::Secret;
use crate::error::Result;
use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

#[cfg(feature = "aws")]
pub mod aws;
mod bootstrap;
mod location;
pub mod sizes;
pub mod tags;
pub mod vm;

pub use bootstrap::{Bootstrap, BootstrapBinary, Lifetime};
pub use location::Location;

/// A driver in [`CLOUDS`].
pub struct Driver {
    /// The name that `--cloud` takes.
    pub name: &'static str,
    /// The name people use.
    pub title: &'static str,
    /// Connects to a region, by CML's name or the cloud's own, with the credentials of the environment.
    pub connect: for<'a> fn(&'a App, region: &'a str) -> Result<Rc<dyn Cloud>>,
    /// Waits, on one of its instances, until the cloud announces an interruption.
    pub wait_for_interruption: for<'a> fn(&'a App) -> LocalBoxFuture<'a, ()>,
    /// Returns, on one of its instances, whether the instance has an identity, with which a job could act in the cloud.
    pub has_identity: for<'a> fn(&'a App) -> LocalBoxFuture<'a, bool>,
}

/// The clouds.
pub const CLOUDS: &[Driver] = &[
    #[cfg(feature = "aws")]
    aws::DRIVER,
];

/// The specification of an instance.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// Its name, which also makes a repeated launch idempotent.
    pub name: String,
    /// `s`, `m`, `l`, `xl`, or the cloud's own instance types, separated by commas.
    pub types: String,
    /// The model of the GPU, for a size.
    pub gpu: Option<String>,
    /// The architecture, for a size.
    pub arch: Option<sizes::Arch>,
    /// The image, as the cloud names it; `None` for its usual Ubuntu.
    pub image: Option<String>,
    /// The size of the disk in gigabytes.
    pub disk: u32,
    /// Whether it is a spot instance.
    pub spot: bool,
    /// The maximum spot price per hour in US dollars; `None` for the market price.
    pub spot_price: Option<f64>,
    /// Whether to fall back to an on-demand instance when there is no spot capacity.
    pub on_demand_fallback: bool,
    /// The identity that its jobs may use; `None` for no identity.
    pub identity: Option<String>,
    /// The security group by id or name; `None` for one without inbound rules.
    pub security_group: Option<String>,
    /// The subnets by id; empty for those of the default network.
    pub subnets: Vec<String>,
    /// The user's own tags.
    pub user_tags: Vec<(String, String)>,
    /// Our own tags, by which the instance is found again.
    pub tags: tags::Tags,
}

/// The plan of a launch, after everything has been looked up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its properties for people: region, instance types, image, price.
    pub lines: Vec<(String, String)>,
    /// The architecture of the instance.
    pub arch: sizes::Arch,
    /// Whether it has GPUs.
    pub gpu: bool,
    /// The maximum size of the start-up script in bytes.
    pub script_limit: usize,
}

/// The lifecycle state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being created, or boots.
    Starting,
    /// It is running.
    Running,
    /// It is stopped; its disk is still billed.
    Stopped,
    /// It is being terminated, or is terminated.
    Gone,
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
    /// Our tags on it.
    pub tags: tags::Tags,
}

/// A cloud, connected to one region.
#[async_trait(?Send)]
pub trait Cloud {
    /// Returns the region that it is connected to, by the cloud's own name.
    fn region(&self) -> &str;

    /// Returns its location, which may need one request.
    ///
    /// # Errors
    /// The credentials do not work, or the cloud does not answer.
    async fn location(&self) -> Result<Location>;

    /// Looks up everything that an instance needs and checks the permissions, without creating anything.
    ///
    /// # Errors
    /// What is missing, the permission by its name included.
    async fn plan(&self, spec: &InstanceSpec) -> Result<Plan>;

    /// Creates the planned instance; a repeated call with the same name creates no second one. `script` runs at its first
    /// boot.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoCapacity`] when no zone has capacity for any instance type;
    /// [`crate::error::Error::is_ambiguous`] when it is unknown whether there is an instance: see [`Cloud::list_instances`].
    async fn create_instance(&self, spec: &InstanceSpec, script: &Secret) -> Result<Instance>;

    /// Fetches an instance; `None` when the cloud does not know it (any more).
    async fn get_instance(&self, id: &str) -> Result<Option<Instance>>;

    /// Lists all instances that carry our tags and are not gone.
    async fn list_instances(&self) -> Result<Vec<Instance>>;

    /// Terminates an instance with all that belongs to it; does nothing when it is gone.
    async fn delete_instance(&self, id: &str) -> Result<()>;

    /// Lists templates of other versions of the program, by id and name.
    async fn list_outdated(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    /// Deletes one of [`Cloud::list_outdated`]; does nothing when it is gone.
    async fn delete_outdated(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    /// Fetches the end of the instance's console output.
    async fn instance_logs(&self, id: &str) -> Result<String>;
}
