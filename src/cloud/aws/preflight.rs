//! What is known before anything is made: permissions, and what the machine will be.

use super::explain::{code, explained};
use super::network::Group;
use super::{Aws, InstanceSpec, Planned, fleet};
use crate::error::{Error, Result};
use aws_sdk_ec2::types::builders::EbsBlockDeviceBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification, InstanceInterruptionBehavior,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType, ShutdownBehavior, SpotInstanceType,
    SpotMarketOptions, VolumeType,
};

impl Aws {
    /// Asks EC2 whether the very machine that the template and the fleet make might be made, with `DryRun`:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>.
    pub(super) async fn try_out(&self, spec: &InstanceSpec, planned: &Planned) -> Result<()> {
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
        let kind = subnet.kinds.first().map_or("", String::as_str);
        let tags = fleet::tags(spec).into_iter().filter(|tags| tags.resource_type() != Some(&ResourceType::Fleet));
        let profile = spec.permission_set.as_deref().map(|profile| {
            let builder = IamInstanceProfileSpecification::builder();
            if profile.starts_with("arn:") { builder.arn(profile).build() } else { builder.name(profile).build() }
        });
        let tried = client
            .run_instances()
            .dry_run(true)
            .image_id(&planned.image.id)
            .instance_type(InstanceType::from(kind))
            .min_count(1)
            .max_count(1)
            .network_interfaces(interface.build())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .set_block_device_mappings(Some(disks(spec, planned)))
            .metadata_options(metadata(spec))
            .set_instance_market_options(spec.spot.then(|| market(spec)))
            .set_tag_specifications(Some(tags.collect()))
            .set_iam_instance_profile(profile)
            .set_key_name(spec.ssh_key.clone())
            .send()
            .await;
        match tried {
            Err(error) if code(&error) == Some("DryRunOperation") => Ok(()),
            Err(error) => Err(explained("ec2:RunInstances", error)),
            Ok(made) => {
                // Some emulators ignore DryRun; nothing must stay.
                for made in made.instances() {
                    let _ = client
                        .terminate_instances()
                        .set_instance_ids(made.instance_id().map(|id| vec![id.to_owned()]))
                        .send()
                        .await;
                }
                Err(Error::remote("EC2 made a machine although it was only asked whether it would; it was ended again"))
            }
        }
    }

    /// The plan in words.
    pub(super) async fn describe(&self, spec: &InstanceSpec, planned: &Planned) -> Vec<(String, String)> {
        let zones: Vec<&str> = planned.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
        let disk = spec.disk.max(u32::try_from(planned.image.size).unwrap_or(0));
        let market = match (spec.spot, spec.or_on_demand) {
            (true, true) => "spot, else on demand",
            (true, false) => "spot",
            (false, _) => "on demand",
        };
        let group = match &planned.group {
            Group::Known(id) => id.clone(),
            Group::Missing(vpc) => format!("a new one in {vpc} that lets nothing in"),
        };
        let mut lines = vec![
            ("region", self.region.clone()),
            ("zones", zones.join(", ")),
            ("types", planned.kinds.join(", ")),
            ("market", market.to_owned()),
            ("image", format!("{} ({})", planned.image.id, planned.image.name)),
            ("disk", format!("{disk} GB, encrypted")),
            ("security group", group),
        ];
        lines.push(("internet", internet(planned)));
        if let Some(price) = self.price(spec, planned).await {
            lines.push(("price", price));
        }
        lines.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Today's spot prices; what a machine costs on demand, EC2 itself does not tell.
    async fn price(&self, spec: &InstanceSpec, planned: &Planned) -> Option<String> {
        if !spec.spot {
            return None;
        }
        let client = self.client().await.ok()?;
        let kinds = planned.kinds.iter().map(|kind| InstanceType::from(kind.as_str())).collect();
        let now = aws_sdk_ec2::primitives::DateTime::from_secs(self.http().server_now());
        let request = client.describe_spot_price_history().set_instance_types(Some(kinds));
        let answer = request.product_descriptions("Linux/UNIX").start_time(now).send().await.ok()?;
        let prices = answer.spot_price_history().iter().filter_map(|row| {
            let zone = row.availability_zone()?;
            let ours = planned.subnets.iter().any(|subnet| subnet.zone == zone);
            let price: f64 = row.spot_price()?.parse().ok()?;
            ours.then(|| (price, row.instance_type().map_or("", |kind| kind.as_str()), zone))
        });
        let (price, kind, zone) = prices.min_by(|one, other| one.0.total_cmp(&other.0))?;
        Some(format!("from {price:.4} US dollars an hour now ({kind} in {zone})"))
    }
}

/// The disks of the template.
fn disks(spec: &InstanceSpec, planned: &Planned) -> Vec<BlockDeviceMapping> {
    let disk = || EbsBlockDevice::builder().encrypted(true).delete_on_termination(true);
    let mapping = |name: &str, disk: EbsBlockDeviceBuilder| {
        BlockDeviceMapping::builder().device_name(name).ebs(disk.build()).build()
    };
    let root = disk().volume_size(fleet::disk(spec, planned)).volume_type(VolumeType::Gp3);
    let further = planned.image.disks.iter().map(|(name, size)| mapping(name, disk().set_volume_size(*size)));
    std::iter::once(mapping(&planned.image.root, root)).chain(further).collect()
}

/// The metadata service of the template.
fn metadata(spec: &InstanceSpec) -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(fleet::metadata_hops(spec))
        .build()
}

/// The market that the fleet asks first.
fn market(spec: &InstanceSpec) -> InstanceMarketOptionsRequest {
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .set_max_price(spec.spot_price.map(|price| format!("{price:.5}")));
    InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build()
}

/// Whether the machine reaches the internet, as far as its subnets tell.
fn internet(planned: &Planned) -> String {
    let private: Vec<&str> =
        planned.subnets.iter().filter(|subnet| !subnet.public).map(|subnet| subnet.id.as_str()).collect();
    match fleet::public_address(planned) {
        Some(true) => "through a public address of the machine; nothing comes in".to_owned(),
        Some(false) => "no public address: only if the subnets route to a NAT gateway".to_owned(),
        None => {
            format!("through a public address, but for {}: only if they route to a NAT gateway", private.join(", "))
        }
    }
}
