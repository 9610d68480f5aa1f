//! The network of an instance: subnets, and a security group without inbound rules.

use super::explain::{code, explained};
use super::{Aws, Planned, filter};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::{LocationType, ResourceType, Tag, TagSpecification};
use futures_util::future::join;
use std::collections::BTreeSet;

/// The security group that we create, one per VPC:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html> (a new one allows no inbound and all
/// outbound traffic).
const NO_INBOUND: &str = "cml-no-inbound";

/// A subnet with free addresses.
#[derive(Debug, Clone)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    /// The requested instance types that the zone offers, in our order.
    pub instance_types: Vec<String>,
    /// Whether instances get a public address by default.
    pub public: bool,
}

/// A security group.
#[derive(Debug, Clone)]
pub enum Group {
    /// An existing one, by id.
    Known(String),
    /// Ours, to be created in this VPC.
    Missing(String),
}

impl Aws {
    /// Finds the subnets in which an instance of one of the types can be: the user's, or those of the default network.
    pub(super) async fn subnets(&self, wanted: &[String], instance_types: &[String]) -> Result<Vec<Subnet>> {
        let client = self.client().await?;
        let request = client.describe_subnets();
        let request = match wanted {
            [] => request.filters(filter("default-for-az", ["true"])),
            ids => request.set_subnet_ids(Some(ids.to_vec())),
        };
        let offered = client.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
        let offered = offered.filters(filter("instance-type", instance_types.to_vec()));
        let (answer, offered) = join(request.send(), offered.send()).await;
        let answer = answer.map_err(|error| explained("ec2:DescribeSubnets", error))?;
        let offered = offered.map_err(|error| explained("ec2:DescribeInstanceTypeOfferings", error))?;
        let offers: BTreeSet<(&str, &str)> = offered
            .instance_type_offerings()
            .iter()
            .filter_map(|offer| Some((offer.location()?, offer.instance_type()?.as_str())))
            .collect();
        let mut full = false;
        let mut found: Vec<Subnet> = Vec::new();
        for subnet in answer.subnets() {
            let zone = subnet.availability_zone().unwrap_or_default().to_owned();
            let here = || {
                instance_types.iter().filter(|instance_type| offers.contains(&(zone.as_str(), instance_type.as_str())))
            };
            if self.zone.as_ref().is_some_and(|only| *only != zone) || here().next().is_none() {
                continue;
            }
            if subnet.available_ip_address_count().unwrap_or(0) < 1 {
                full = true;
                continue;
            }
            found.push(Subnet {
                id: subnet.subnet_id().unwrap_or_default().to_owned(),
                vpc: subnet.vpc_id().unwrap_or_default().to_owned(),
                instance_types: here().cloned().collect(),
                public: subnet.map_public_ip_on_launch().unwrap_or_default(),
                zone,
            });
        }
        found.sort_by(|one, other| one.zone.cmp(&other.zone));
        if found.is_empty() {
            return Err(self.no_subnet(answer.subnets().is_empty(), full, wanted, instance_types));
        }
        Ok(found)
    }

    fn no_subnet(&self, none: bool, full: bool, wanted: &[String], instance_types: &[String]) -> Error {
        let place = self.zone.as_ref().unwrap_or(&self.region);
        match (none, full) {
            (true, _) if wanted.is_empty() => Error::not_found(format!("{place} has no default VPC"))
                .hint("give a subnet with --cloud-aws-subnet, or create a default VPC: aws ec2 create-default-vpc"),
            (_, true) => Error::config(format!("the subnets in {place} have no free addresses"))
                .hint("give others with --cloud-aws-subnet"),
            _ => {
                Error::not_found(format!("no subnet in {place} is in a zone that offers {}", instance_types.join(", ")))
                    .hint("use another --cloud-region or --cloud-type, or a --cloud-aws-subnet in another zone")
            }
        }
    }

    /// Finds the security group of the user, by id or name, or ours.
    pub(super) async fn group(&self, wanted: Option<&str>, subnets: &[Subnet]) -> Result<Group> {
        let vpcs: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.vpc.as_str()).collect();
        let [vpc] = vpcs.into_iter().collect::<Vec<_>>()[..] else {
            return Err(Error::usage("the subnets are in more than one VPC")
                .hint("give subnets of one VPC with --cloud-aws-subnet"));
        };
        let request = self.client().await?.describe_security_groups();
        let request = match wanted {
            Some(id) if id.starts_with("sg-") => request.group_ids(id),
            name => {
                request.filters(filter("group-name", [name.unwrap_or(NO_INBOUND)])).filters(filter("vpc-id", [vpc]))
            }
        };
        let found = request.send().await.map_err(|error| explained("ec2:DescribeSecurityGroups", error))?;
        let Some(group) = found.security_groups().first() else {
            return match wanted {
                Some(name) => Err(Error::not_found(format!("no security group {name} in {vpc}")).hint(
                    "check --cloud-aws-security-group: an id (sg-…), or the name of a group in the subnet's VPC",
                )),
                None => Ok(Group::Missing(vpc.to_owned())),
            };
        };
        if group.vpc_id() != Some(vpc) {
            return Err(Error::usage(format!("the security group {} is not in {vpc}", wanted.unwrap_or_default()))
                .hint("use a security group and a subnet of the same VPC"));
        }
        // Ours may have been changed.
        if wanted.is_none() && !group.ip_permissions().is_empty() {
            return Err(Error::config(format!("the security group {NO_INBOUND} in {vpc} has inbound rules"))
                .hint("remove them, or use your own group with --cloud-aws-security-group"));
        }
        Ok(Group::Known(group.group_id().unwrap_or_default().to_owned()))
    }

    /// Returns the id of the group, which is created first if it is missing.
    pub(super) async fn ensure_group(&self, planned: &Planned) -> Result<String> {
        let vpc = match &planned.group {
            Group::Known(id) => return Ok(id.clone()),
            Group::Missing(vpc) => vpc,
        };
        let tag = Tag::builder().key(super::MANAGED).value("shared").build();
        let tags = TagSpecification::builder().resource_type(ResourceType::SecurityGroup).tags(tag).build();
        let request = self.client().await?.create_security_group().group_name(NO_INBOUND).vpc_id(vpc);
        let request = request.description("Runners of cml: nothing comes in").tag_specifications(tags);
        match request.send().await {
            Ok(made) => Ok(made.group_id().unwrap_or_default().to_owned()),
            // Another launch created it at the same moment, or an answer was lost.
            Err(error) if code(&error) == Some("InvalidGroup.Duplicate") => {
                match self.group(None, &planned.subnets).await? {
                    Group::Known(id) => Ok(id),
                    Group::Missing(_) => {
                        Err(Error::remote(format!("cannot find the security group {NO_INBOUND}, although it exists")))
                    }
                }
            }
            Err(error) => Err(explained("ec2:CreateSecurityGroup", error)),
        }
    }
}
