//! The preflight: permissions, and a summary of the plan, before anything is created.

use super::explain::{code, explained};
use super::network::Group;
use super::{Aws, InstanceRequest, Planned, fleet};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::builders::EbsBlockDeviceBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType, ShutdownBehavior, SpotInstanceType,
    SpotMarketOptions, VolumeType,
};

impl Aws {
    /// Checks with `DryRun` whether EC2 would create the instance of the template and the fleet:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>.
    pub(super) async fn dry_run(&self, wanted: &InstanceRequest, planned: &Planned) -> Result<()> {
        let client = self.client().await?;
        let subnet = planned.subnets.first().ok_or_else(|| Error::internal("a plan without a subnet"))?;
        let mut interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&subnet.id)
            .set_associate_public_ip_address(fleet::public_address(planned))
            .delete_on_termination(true);
        if let Group::Known(group) = &planned.group {
            interface = interface.groups(group);
        }
        let instance_type = subnet.instance_types.first().map_or("", String::as_str);
        let tags = fleet::tags(wanted).into_iter().filter(|tags| tags.resource_type() != Some(&ResourceType::Fleet));
        let profile = wanted.identity.as_deref().map(|profile| {
            let builder = IamInstanceProfileSpecification::builder();
            if profile.starts_with("arn:") { builder.arn(profile).build() } else { builder.name(profile).build() }
        });
        let tried = client
            .run_instances()
            .dry_run(true)
            .image_id(&planned.image.id)
            .instance_type(InstanceType::from(instance_type))
            .min_count(1)
            .max_count(1)
            .network_interfaces(interface.build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_block_device_mappings(Some(disks(wanted, planned)))
            .metadata_options(metadata(wanted))
            .set_instance_market_options(wanted.spot.then(|| market(wanted)))
            .set_tag_specifications(Some(tags.collect()))
            .set_iam_instance_profile(profile)
            .send()
            .await;
        match tried {
            Err(error) if code(&error) == Some("DryRunOperation") => Ok(()),
            Err(error) => Err(explained("ec2:RunInstances", error)),
            Ok(made) => {
                // Some emulators ignore DryRun; nothing must be left.
                for made in made.instances() {
                    let _ = client
                        .terminate_instances()
                        .set_instance_ids(made.instance_id().map(|id| vec![id.to_owned()]))
                        .send()
                        .await;
                }
                Err(Error::remote("EC2 created an instance in spite of DryRun; it was terminated"))
            }
        }
    }

    /// Summarizes the plan for people.
    pub(super) async fn summarize(&self, wanted: &InstanceRequest, planned: &Planned) -> Vec<(String, String)> {
        let zones: Vec<&str> = planned.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
        let disk = wanted.disk.max(u32::try_from(planned.image.size).unwrap_or(0));
        let market = match (wanted.spot, wanted.on_demand_fallback) {
            (true, true) => "spot, with fallback to on demand",
            (true, false) => "spot",
            (false, _) => "on demand",
        };
        let group = match &planned.group {
            Group::Known(id) => id.clone(),
            Group::Missing(vpc) => format!("a new one in {vpc} without inbound rules"),
        };
        let mut lines = vec![
            ("region", self.region.clone()),
            ("zones", zones.join(", ")),
            ("types", planned.instance_types.join(", ")),
            ("market", market.to_owned()),
            ("image", format!("{} ({})", planned.image.id, planned.image.name)),
            ("disk", format!("{disk} GB, encrypted")),
            ("security group", group),
        ];
        lines.push(("internet", internet(planned)));
        if let Some(price) = self.price(wanted, planned).await {
            lines.push(("price", price));
        }
        lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the current spot price; EC2's API does not tell on-demand prices.
    async fn price(&self, wanted: &InstanceRequest, planned: &Planned) -> Option<String> {
        if !wanted.spot {
            return None;
        }
        let client = self.client().await.ok()?;
        let instance_types =
            planned.instance_types.iter().map(|instance_type| InstanceType::from(instance_type.as_str())).collect();
        let now = aws_sdk_ec2::primitives::DateTime::from_secs(self.http().server_now());
        let request = client.describe_spot_price_history().set_instance_types(Some(instance_types));
        let answer = request.product_descriptions("Linux/UNIX").start_time(now).send().await.ok()?;
        let prices = answer.spot_price_history().iter().filter_map(|row| {
            let zone = row.availability_zone()?;
            let ours = planned.subnets.iter().any(|subnet| subnet.zone == zone);
            let price: f64 = row.spot_price()?.parse().ok()?;
            ours.then(|| (price, row.instance_type().map_or("", |instance_type| instance_type.as_str()), zone))
        });
        let (price, instance_type, zone) = prices.min_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(format!("currently from {price:.4} US dollars per hour ({instance_type} in {zone})"))
    }
}

/// Returns the disks of the template.
fn disks(wanted: &InstanceRequest, planned: &Planned) -> Vec<BlockDeviceMapping> {
    let disk = || EbsBlockDevice::builder().encrypted(true).delete_on_termination(true);
    let mapping = |name: &str, disk: EbsBlockDeviceBuilder| {
        BlockDeviceMapping::builder().device_name(name).ebs(disk.build()).build()
    };
    let root = disk().volume_size(fleet::disk(wanted, planned)).volume_type(VolumeType::Gp3);
    let further = planned.image.disks.iter().map(|(name, size)| mapping(name, disk().set_volume_size(*size)));
    std::iter::once(mapping(&planned.image.root, root)).chain(further).collect()
}

/// Returns the metadata options of the template.
fn metadata(wanted: &InstanceRequest) -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(fleet::metadata_hops(wanted))
        .build()
}

/// Returns the market options of a spot instance.
fn market(wanted: &InstanceRequest) -> InstanceMarketOptionsRequest {
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .set_max_price(wanted.spot_price.map(|price| format!("{price:.5}")));
    InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build()
}

/// Describes how the instance reaches the internet, as far as its subnets tell.
fn internet(planned: &Planned) -> String {
    let private: Vec<&str> =
        planned.subnets.iter().filter(|subnet| !subnet.public).map(|subnet| subnet.id.as_str()).collect();
    match fleet::public_address(planned) {
        Some(true) => "through a public address of the instance; no inbound connections".to_owned(),
        Some(false) => "no public address: the subnets must route to a NAT gateway".to_owned(),
        None => {
            format!("through a public address, except in {}, which must route to a NAT gateway", private.join(", "))
        }
    }
}
