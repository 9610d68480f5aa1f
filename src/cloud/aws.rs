//! Amazon EC2: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html>.
//!
//! An instance is a fleet of one, of type instant (`CreateFleet`): EC2 chooses among several instance types in several zones
//! the cheapest that is likely to stay. The launch template and the security group hold no secrets, cost nothing and are
//! reused. The instance terminates itself by powering off.

use super::labels::MANAGED;
use super::sizes::{self, Arch, TypeRequest};
use super::{
    Bootstrap, Cloud, Driver, Instance, InstanceRequest, InstanceState, Labels, LaunchPlan, Leftover, Location,
    LocationOptions, PlanSummary, console_end, vm,
};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Http;
use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceLifecycleType, InstanceStateName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use explain::explained;
use futures_util::future::{join, try_join};
use futures_util::lock::Mutex;
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

pub mod args;
mod client;
mod explain;
mod fleet;
mod images;
mod instance_types;
mod interruption;
mod network;
mod preflight;
mod sign;
mod ssm;
mod sts;
mod tags;

/// The driver of this cloud.
pub const DRIVER: Driver = Driver {
    name: "aws",
    title: "AWS",
    is_offered: true,
    is_machine: true,
    downloads_binary: true,
    has_regions: true,
    connect,
    wait_for_interruption: interruption::wait_for_interruption,
    has_identity: interruption::has_identity,
};

/// The maximum size of user data before it is encoded, in bytes:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>.
const MAX_USER_DATA: usize = 16 * 1024;
/// How often the deletion of an instance that EC2 does not know is repeated, and the first of the growing pauses. EC2 may not know a new one
/// yet: <https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>.
const MAX_UNKNOWN: u32 = 3;
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// EC2 in one region.
struct Aws {
    app: App,
    region: String,
    /// The zone, if the user names one.
    zone: Option<String>,
    connection: OnceCell<Result<client::Connection>>,
    /// Held while it connects: of several requests at the same time, one does, and the others share its failure.
    connecting: Mutex<()>,
    /// The number of the account.
    account: OnceCell<String>,
}

/// An instance that can be launched.
struct AwsPlan<'a> {
    aws: &'a Aws,
    wanted: InstanceRequest,
    planned: Planned,
    summary: PlanSummary,
}

/// What is looked up before an instance is created.
struct Planned {
    instance_types: Vec<String>,
    image: images::Image,
    subnets: Vec<network::Subnet>,
    group: network::Group,
}

/// CML's names of regions.
const REGIONS: &[(&str, &str)] =
    &[("us-east", "us-east-1"), ("us-west", "us-west-1"), ("eu-north", "eu-north-1"), ("eu-west", "eu-west-1")];

fn connect(app: &App, region: &str, _: &LocationOptions) -> Result<Rc<dyn Cloud>> {
    let (region, zone) = parse_location(region)?;
    Ok(Rc::new(Aws {
        app: app.clone(),
        region,
        zone,
        connection: OnceCell::new(),
        connecting: Mutex::default(),
        account: OnceCell::new(),
    }))
}

/// Parses a region, or a zone such as `eu-west-1a`, which ends in a letter.
fn parse_location(name: &str) -> Result<(String, Option<String>)> {
    let name = REGIONS.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| *theirs);
    let region = name.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let well_formed = |text: &str| {
        text.split('-').count() >= 3
            && text.ends_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !well_formed(region) || name.len() > region.len() + 1 {
        return Err(Error::usage(format!("{name} is not an AWS region")).hint(
            "use us-east, us-west, eu-west or eu-north, a region such as eu-central-1, or a zone such as eu-central-1a",
        ));
    }
    Ok((region.to_owned(), (name != region).then(|| name.to_owned())))
}

impl Aws {
    fn app(&self) -> &App {
        &self.app
    }

    fn http(&self) -> &Http {
        &self.app.http
    }

    /// Returns the connection, which is established at its first use.
    async fn connection(&self) -> Result<&client::Connection> {
        let _one_at_a_time = self.connecting.lock().await;
        let connection = match self.connection.get() {
            Some(connection) => connection,
            None => {
                let connection = client::connect(self.app(), &self.region).await;
                self.connection.get_or_init(|| connection)
            }
        };
        connection.as_ref().map_err(Clone::clone)
    }

    async fn client(&self) -> Result<&Client> {
        Ok(&self.connection().await?.client)
    }

    /// Lists all instances that some filters find.
    async fn describe_instances(&self, filters: Vec<Filter>) -> Result<Vec<Instance>> {
        let client = self.client().await?;
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let request = client.describe_instances().set_filters(Some(filters.clone())).set_next_token(next);
            let page = request.send().await.map_err(|error| explained("ec2:DescribeInstances", error))?;
            found.extend(page.reservations().iter().flat_map(|group| group.instances()).map(instance));
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn instance(found: &aws_sdk_ec2::types::Instance) -> Instance {
    let state = found.state().and_then(|state| state.name());
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let reason = found.state_reason();
    let why = text(reason.and_then(|reason| reason.message().or(reason.code())).or(found.state_transition_reason()));
    Instance {
        id: found.instance_id().unwrap_or_default().to_owned(),
        instance_type: found.instance_type().map(|name| name.as_str().to_owned()).unwrap_or_default(),
        zone: text(found.placement().and_then(|placement| placement.availability_zone())),
        state: match state {
            Some(InstanceStateName::Pending) | None => InstanceState::Pending,
            Some(InstanceStateName::Running) => InstanceState::Running,
            Some(InstanceStateName::Stopping | InstanceStateName::Stopped) => InstanceState::Stopped,
            Some(_) => InstanceState::Terminated,
        },
        reason: why.map(|why| explain::ended(reason.and_then(|reason| reason.code()), why)),
        spot: found.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        address: text(found.public_ip_address()).or_else(|| text(found.private_ip_address())),
        launched: found.launch_time().map(|time| time.secs()),
        labels: tags::decode(found.tags()).unwrap_or_default(),
    }
}

#[async_trait(?Send)]
impl Cloud for Aws {
    fn region(&self) -> &str {
        &self.region
    }

    async fn location(&self) -> Result<Location> {
        let account = match self.account.get() {
            Some(account) => account.clone(),
            None => self.account().await?,
        };
        let _ = self.account.set(account.clone());
        Ok(Location { cloud: DRIVER.name, scope: vec![account, self.region.clone()] })
    }

    async fn plan<'a>(&'a self, wanted: &InstanceRequest) -> Result<Box<dyn LaunchPlan + 'a>> {
        let options = &wanted.options.aws;
        let (instance_types, arch, gpu) = self.instance_types(wanted).await?;
        let image = self.image(wanted.image.as_deref(), &instance_types, arch, gpu);
        let (image, subnets) = try_join(image, self.subnets(&options.subnets(), &instance_types)).await?;
        let group = self.group(options.security_group(), &subnets).await?;
        let planned = Planned { instance_types, image, subnets, group };
        let (tried, lines) = join(self.dry_run(wanted, &planned), self.summarize(wanted, &planned)).await;
        tried?;
        let summary = PlanSummary { lines, arch, gpu, manifest: None };
        Ok(Box::new(AwsPlan { aws: self, wanted: wanted.clone(), planned, summary }))
    }

    async fn get(&self, id: &str) -> Result<Option<Instance>> {
        Ok(self.describe_instances(vec![filter("instance-id", [id])]).await?.pop())
    }

    async fn list(&self) -> Result<Vec<Instance>> {
        let there = ["pending", "running", "stopping", "stopped"];
        let mut found = self
            .describe_instances(vec![filter(&format!("tag:{MANAGED}"), ["true"]), filter("instance-state-name", there)])
            .await?;
        found.sort_by(|one, other| (one.launched, &one.id).cmp(&(other.launched, &other.id)));
        Ok(found)
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let client = self.client().await?;
        let mut attempt = 0;
        loop {
            match client.terminate_instances().instance_ids(id).send().await {
                Err(error) if explain::code(&error) == Some("InvalidInstanceID.NotFound") => {
                    if attempt == MAX_UNKNOWN {
                        return Ok(());
                    }
                    self.http().pause(UNKNOWN_PAUSE, attempt).await?;
                }
                ended => return ended.map(drop).map_err(|error| explained("ec2:TerminateInstances", error)),
            }
            attempt += 1;
        }
    }

    async fn list_leftovers(&self) -> Result<Vec<Leftover>> {
        self.list_outdated_templates().await
    }

    async fn delete_leftover(&self, id: &str) -> Result<()> {
        self.delete_template(id).await
    }

    async fn console_log(&self, id: &str) -> Result<String> {
        let client = self.client().await?;
        // Only newer instance types return the latest output; the others that of the first minutes.
        let output = match client.get_console_output().instance_id(id).latest(true).send().await {
            Err(error) if explain::code(&error) == Some("UnsupportedOperation") => {
                client.get_console_output().instance_id(id).send().await
            }
            output => output,
        };
        let output = output.map_err(|error| explained("ec2:GetConsoleOutput", error))?;
        let text = STANDARD.decode(output.output().unwrap_or_default()).unwrap_or_default();
        Ok(console_end(&String::from_utf8_lossy(&text).replace('\r', "")).to_owned())
    }
}

#[async_trait(?Send)]
impl LaunchPlan for AwsPlan<'_> {
    fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    async fn launch(self: Box<Self>, labels: &Labels, bootstrap: &Bootstrap) -> Result<Instance> {
        let script = vm::render(bootstrap, MAX_USER_DATA)?;
        let wanted = InstanceRequest { labels: labels.clone(), ..self.wanted };
        self.aws.launch(&wanted, &self.planned, &STANDARD.encode(script.expose())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_cmls_names_and_amazons() {
        let is = |name: &str, region: &str, zone: Option<&str>| {
            assert_eq!(parse_location(name).unwrap(), (region.to_owned(), zone.map(str::to_owned)), "{name}");
        };
        is("us-west", "us-west-1", None);
        is("eu-central-1", "eu-central-1", None);
        is("eu-west-1a", "eu-west-1", Some("eu-west-1a"));
        is("us-gov-east-1", "us-gov-east-1", None);
        for wrong in ["", "moon", "eu-west-1ab", "europe-west1-d", "eu west-1", "eu-west-"] {
            assert!(parse_location(wrong).is_err(), "{wrong}");
        }
    }
}
