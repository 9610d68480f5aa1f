//! The clouds: one trait, its domain types, and the table of those that there are.
//!
//! A cloud is one file: its wire format, its types of machines, its errors and its variables. It knows nothing of
//! forges. State is tags on the machines: there is no other.

use crate::app::App;
use crate::env::Secret;
use crate::error::Result;
use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;

#[cfg(feature = "aws")]
pub mod aws;
pub mod sizes;
pub mod tags;

/// A row of [`CLOUDS`].
pub struct Driver {
    /// The name that `--cloud` takes.
    pub name: &'static str,
    /// The name people use.
    pub title: &'static str,
    /// Connects with the credentials that are at hand to a region, by CML's name or the cloud's own.
    pub connect: for<'a> fn(&'a App, region: &'a str) -> Result<Rc<dyn Cloud>>,
    /// On one of its machines: resolves when the cloud takes it back.
    pub taken_back: for<'a> fn(&'a App) -> LocalBoxFuture<'a, ()>,
    /// On one of its machines: returns whether the machine has an identity, with which a job could act in the cloud.
    pub has_identity: for<'a> fn(&'a App) -> LocalBoxFuture<'a, bool>,
}

/// The clouds.
pub const CLOUDS: &[Driver] = &[
    #[cfg(feature = "aws")]
    aws::DRIVER,
];

/// What a machine is to be.
#[derive(Debug, Clone)]
pub struct InstanceSpec {
    /// Its name, which is also what makes two launches of it one.
    pub name: String,
    /// `s`, `m`, `l`, `xl`, or the cloud's own types with commas between.
    pub types: String,
    /// The kind of GPU, for a size.
    pub gpu: Option<String>,
    /// The architecture, for a size.
    pub arch: Option<sizes::Arch>,
    /// The image, in the cloud's own words; its usual Ubuntu otherwise.
    pub image: Option<String>,
    /// Size of the disk in gigabytes.
    pub disk: u32,
    /// Whether the cloud may take it back at any time, for a lower price.
    pub spot: bool,
    /// Highest price an hour in US dollars for that; the market's otherwise.
    pub spot_price: Option<f64>,
    /// Whether a machine at the full price will do where there is none of those.
    pub or_on_demand: bool,
    /// Who the machine is to the cloud; nobody otherwise.
    pub permission_set: Option<String>,
    /// Security group by id or name; one without any inbound rule otherwise.
    pub security_group: Option<String>,
    /// Subnets by id; those of the default network otherwise.
    pub subnets: Vec<String>,
    /// Public part of a key to log in with; none otherwise.
    pub ssh_key: Option<String>,
    /// The user's own tags.
    pub metadata: Vec<(String, String)>,
    /// Our own, by which the machine is found again.
    pub tags: tags::Tags,
}

/// What is going to be made, after everything has been looked up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Lines for people: what, where, from which image, at which price.
    pub lines: Vec<(String, String)>,
    /// The architecture of the machine.
    pub arch: sizes::Arch,
    /// Whether it has GPUs.
    pub gpu: bool,
    /// The longest start-up script that the cloud takes, in bytes.
    pub script_limit: usize,
}

/// Whether a machine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being made, or boots.
    Starting,
    /// It runs.
    Running,
    /// It is stopped, and still costs its disk.
    Stopped,
    /// It is ending, or has ended.
    Gone,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The cloud's identity of it.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The zone that it is in.
    pub zone: Option<String>,
    /// Whether it is there.
    pub state: State,
    /// Why it is not.
    pub reason: Option<String>,
    /// Whether the cloud may take it back.
    pub spot: bool,
    /// Its address, the public one if it has one.
    pub address: Option<String>,
    /// When it was launched, in seconds since 1970.
    pub launched: Option<i64>,
    /// Our tags on it.
    pub tags: tags::Tags,
}

/// A cloud, connected to one region.
#[async_trait(?Send)]
pub trait Cloud {
    /// The region that it is connected to, by the cloud's own name.
    fn region(&self) -> &str;

    /// Looks everything up that a machine needs and tries whether it may be made, without making anything.
    ///
    /// # Errors
    /// What is missing, the permission by its name included.
    async fn plan(&self, spec: &InstanceSpec) -> Result<Plan>;

    /// Makes the machine that was planned; the same name twice makes one. `script` runs at its first boot.
    ///
    /// # Errors
    /// [`crate::error::Kind::NoCapacity`] when no type in any zone is to be had; [`crate::error::Error::is_ambiguous`] when it is not known
    /// whether there is a machine: [`Cloud::list_instances`] says.
    async fn create_instance(&self, spec: &InstanceSpec, script: &Secret) -> Result<Instance>;

    /// A machine as it is now; `None` when the cloud does not know it (any more).
    async fn get_instance(&self, id: &str) -> Result<Option<Instance>>;

    /// All machines that carry our tags and are not gone.
    async fn list_instances(&self) -> Result<Vec<Instance>>;

    /// Ends a machine with all that belongs to it; one that is gone already is fine.
    async fn delete_instance(&self, id: &str) -> Result<()>;

    /// Returns what launches of other versions of the program share and no machine needs, by id and name.
    async fn list_outdated(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    /// Deletes one of [`Cloud::list_outdated`]; one that is gone already is fine.
    async fn delete_outdated(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    /// The end of what the machine wrote to its console.
    async fn instance_logs(&self, id: &str) -> Result<String>;
}
