//! Where a machine is attached: subnets, and a security group that lets nothing in.

use super::explain::{code, explained};
use super::{Aws, Planned, filter};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::{LocationType, ResourceType, Tag, TagSpecification};
use futures_util::future::join;
use std::collections::BTreeSet;

/// The group that we make, once a VPC: <https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html>
/// (a new one lets nothing in and everything out).
const NO_INBOUND: &str = "cml-no-inbound";

/// A subnet with room.
#[derive(Debug, Clone)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    /// The types of ours that the zone has, in our order.
    pub kinds: Vec<String>,
    /// Whether machines get a public address by themselves.
    pub public: bool,
}

/// A security group.
#[derive(Debug, Clone)]
pub enum Group {
    /// It is there.
    Known(String),
    /// Ours, to be made in this VPC.
    Missing(String),
}

impl Aws {
    /// The subnets that a machine of one of `kinds` can be in: the user's, or those of the default network.
    pub(super) async fn subnets(&self, wanted: &[String], kinds: &[String]) -> Result<Vec<Subnet>> {
        let client = self.client().await?;
        let request = client.describe_subnets();
        let request = match wanted {
            [] => request.filters(filter("default-for-az", ["true"])),
            ids => request.set_subnet_ids(Some(ids.to_vec())),
        };
        let offered = client.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
        let offered = offered.filters(filter("instance-type", kinds.to_vec()));
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
            let here = || kinds.iter().filter(|kind| offers.contains(&(zone.as_str(), kind.as_str())));
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
                kinds: here().cloned().collect(),
                public: subnet.map_public_ip_on_launch().unwrap_or_default(),
                zone,
            });
        }
        found.sort_by(|one, other| one.zone.cmp(&other.zone));
        if found.is_empty() {
            return Err(self.no_subnet(answer.subnets().is_empty(), full, wanted, kinds));
        }
        Ok(found)
    }

    fn no_subnet(&self, none: bool, full: bool, wanted: &[String], kinds: &[String]) -> Error {
        let place = self.zone.as_ref().unwrap_or(&self.region);
        match (none, full) {
            (true, _) if wanted.is_empty() => Error::not_found(format!("{place} has no default network"))
                .hint("name a subnet with --cloud-aws-subnet, or make a default VPC: aws ec2 create-default-vpc"),
            (_, true) => Error::config(format!("the subnets in {place} have no free addresses"))
                .hint("give others with --cloud-aws-subnet"),
            _ => Error::not_found(format!("no subnet in {place} is in a zone that has {}", kinds.join(", ")))
                .hint("choose another --cloud-region or --cloud-type; with --cloud-aws-subnet, one in another zone"),
        }
    }

    /// The security group that the user names, by id or name, or ours.
    pub(super) async fn group(&self, wanted: Option<&str>, subnets: &[Subnet]) -> Result<Group> {
        let vpcs: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.vpc.as_str()).collect();
        let [vpc] = vpcs.into_iter().collect::<Vec<_>>()[..] else {
            return Err(Error::usage("the subnets are in more than one network (VPC)")
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
                Some(name) => Err(Error::not_found(format!("there is no security group {name} in {vpc}")).hint(
                    "check --cloud-aws-security-group: an id (sg-…), or the name of a group in the subnet's VPC",
                )),
                None => Ok(Group::Missing(vpc.to_owned())),
            };
        };
        if group.vpc_id() != Some(vpc) {
            return Err(Error::usage(format!("the security group {} is not in {vpc}", wanted.unwrap_or_default()))
                .hint("give a security group and a subnet of the same VPC"));
        }
        // Somebody may have opened ours.
        if wanted.is_none() && !group.ip_permissions().is_empty() {
            return Err(Error::config(format!("the security group {NO_INBOUND} in {vpc} lets something in"))
                .hint("remove its inbound rules, or name a group of your own with --cloud-aws-security-group"));
        }
        Ok(Group::Known(group.group_id().unwrap_or_default().to_owned()))
    }

    /// The group's identity, made first where it is missing.
    pub(super) async fn ready_group(&self, planned: &Planned) -> Result<String> {
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
            // Somebody else made it at the same moment, or an answer was lost.
            Err(error) if code(&error) == Some("InvalidGroup.Duplicate") => {
                match self.group(None, &planned.subnets).await? {
                    Group::Known(id) => Ok(id),
                    Group::Missing(_) => Err(Error::remote(format!("the security group {NO_INBOUND} comes and goes"))),
                }
            }
            Err(error) => Err(explained("ec2:CreateSecurityGroup", error)),
        }
    }
}
