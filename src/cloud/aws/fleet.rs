//! The machine itself: a fleet of one, made at once.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>.

use super::explain::{code, explained, is_capacity, refusal};
use super::{Aws, InstanceSpec, MANAGED, Planned, filter};
use crate::cloud::Instance;
use crate::error::{Error, Kind, Result};
use crate::forge::hash;
use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType as Market, FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest,
    FleetLaunchTemplateSpecificationRequest, FleetOnDemandAllocationStrategy, FleetType, InstanceType,
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataEndpointState,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    OnDemandOptionsRequest, RequestLaunchTemplateData, ResourceType, ShutdownBehavior, SpotAllocationStrategy,
    SpotInstanceInterruptionBehavior, SpotOptionsRequest, Tag, TagSpecification, TargetCapacitySpecificationRequest,
    VolumeType,
};
use std::time::Duration;

/// How often a fleet is asked for whose template or group EC2 does not know, and the first of the growing pauses.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// The tag of what all launches share, and its value.
const SHARED: &str = "shared";
/// The tag with the version of the program that made a template.
const VERSION: &str = "cml-version";

impl Aws {
    /// Returns the templates that other versions of the program made, by id and name.
    pub(super) async fn old_templates(&self) -> Result<Vec<(String, String)>> {
        let client = self.client().await?;
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let request = client.describe_launch_templates().filters(filter(&format!("tag:{MANAGED}"), [SHARED]));
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| explained("ec2:DescribeLaunchTemplates", error))?;
            let is_old = |tags: &[Tag]| {
                let made_by = tags.iter().find(|tag| tag.key() == Some(VERSION)).and_then(|tag| tag.value());
                made_by != Some(env!("CARGO_PKG_VERSION"))
            };
            let old = page.launch_templates().iter().filter(|template| is_old(template.tags()));
            found.extend(old.filter_map(|old| {
                Some((old.launch_template_id()?.to_owned(), old.launch_template_name()?.to_owned()))
            }));
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes a template; one that is gone already is fine.
    pub(super) async fn delete_template(&self, id: &str) -> Result<()> {
        match self.client().await?.delete_launch_template().launch_template_id(id).send().await {
            Err(error) if code(&error).is_some_and(|code| code.ends_with("NotFoundException")) => Ok(()),
            ended => ended.map(drop).map_err(|error| explained("ec2:DeleteLaunchTemplate", error)),
        }
    }

    /// Makes the machine: with spot prices first, where asked for. What makes it has a token that follows from the
    /// runner's registration and the market, so that a repeated request makes no second one.
    pub(super) async fn launch(&self, spec: &InstanceSpec, planned: &Planned, script: &str) -> Result<Instance> {
        let group = self.ready_group(planned).await?;
        if spec.spot {
            match self.fleet_of_known(spec, planned, &group, script, Market::Spot).await {
                Err(error) if error.kind() == Kind::NoCapacity && spec.or_on_demand => {
                    self.app()
                        .log
                        .warn(&format!("no spot machine is to be had ({error}); taking one at the full price"));
                }
                made => return made,
            }
        }
        self.fleet_of_known(spec, planned, &group, script, Market::OnDemand).await
    }

    /// Makes the machine from the template. A template or group that was made a moment ago, EC2 may not know yet; a
    /// template may have been deleted by another version of the program.
    async fn fleet_of_known(
        &self,
        spec: &InstanceSpec,
        planned: &Planned,
        group: &str,
        script: &str,
        market: Market,
    ) -> Result<Instance> {
        let mut attempt = 0;
        loop {
            let template = self.template(spec, planned, group).await?;
            match self.fleet(spec, planned, &template, script, (market.clone(), attempt)).await {
                Err(error)
                    if error.kind() == Kind::NotFound
                        && attempt < ATTEMPTS
                        && self.http().pause(PAUSE, attempt).await.is_ok() =>
                {
                    self.app().log.info(&format!("{error}; retrying"));
                    attempt += 1;
                }
                made => return made,
            }
        }
    }

    async fn fleet(
        &self,
        spec: &InstanceSpec,
        planned: &Planned,
        template: &str,
        script: &str,
        (market, attempt): (Market, u32),
    ) -> Result<Instance> {
        // What was refused is refused again under the same token.
        let token = hash(format!("{}\n{:?}\n{}\n{attempt}", spec.name, spec.tags.runner, market.as_str()).as_bytes());
        let specification = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_name(template)
            .version("1")
            .launch_template_specification_user_data(script)
            .build();
        let config = FleetLaunchTemplateConfigRequest::builder()
            .launch_template_specification(specification)
            .set_overrides(Some(overrides(planned)))
            .build();
        let capacity = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(1)
            .default_target_capacity_type(market.clone())
            .build();
        let request = self
            .client()
            .await?
            .create_fleet()
            .r#type(FleetType::Instant)
            .client_token(token)
            .launch_template_configs(config)
            .target_capacity_specification(capacity)
            .set_tag_specifications(Some(tags(spec)));
        let request = match market {
            Market::Spot => request.spot_options(
                SpotOptionsRequest::builder()
                    .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                    .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
                    .set_max_total_price(spec.spot_price.map(|price| format!("{price:.5}")))
                    .build(),
            ),
            _ => request.on_demand_options(
                OnDemandOptionsRequest::builder()
                    .allocation_strategy(FleetOnDemandAllocationStrategy::Prioritized)
                    .build(),
            ),
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let known = code(&error).is_some();
                let error = explained("ec2:CreateFleet", error);
                // Refused, it made nothing. With the answer lost, it may have.
                return Err(if known || error.kind() == Kind::Internal { error } else { error.ambiguous() });
            }
        };
        match answer.instances().iter().find_map(|made| made.instance_ids().first()) {
            Some(id) => Ok(made(&answer, id, spec, market == Market::Spot)),
            None => Err(none(&answer, planned)),
        }
    }

    /// The template with everything but the start-up script, by its [`template_name`].
    async fn template(&self, spec: &InstanceSpec, planned: &Planned, group: &str) -> Result<String> {
        let name = template_name(spec, planned, group);
        let data = data(spec, planned, group);
        let client = self.client().await?;
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::LaunchTemplate)
            .tags(tag(MANAGED, SHARED))
            .tags(tag(VERSION, env!("CARGO_PKG_VERSION")))
            .build();
        let request = client.create_launch_template().launch_template_name(&name).launch_template_data(data);
        match request.client_token(&name).tag_specifications(tags).send().await {
            Ok(_) => Ok(name),
            Err(error) if code(&error) == Some("InvalidLaunchTemplateName.AlreadyExistsException") => Ok(name),
            Err(error) => Err(explained("ec2:CreateLaunchTemplate", error)),
        }
    }
}

/// A name that follows from all in which two templates can differ: whatever [`data`] takes, and what it makes of it, which
/// stays the same within a version of the program.
fn template_name(spec: &InstanceSpec, planned: &Planned, group: &str) -> String {
    let Planned { image, .. } = planned;
    let machine = (&image.id, &image.root, disk(spec, planned), &spec.permission_set, &spec.ssh_key);
    let made_of = (env!("CARGO_PKG_VERSION"), machine, &image.disks, group, public_address(planned));
    format!("cml-{}", &hash(format!("{made_of:?}").as_bytes())[..20])
}

/// The size of the disk in gigabytes.
pub(super) fn disk(spec: &InstanceSpec, planned: &Planned) -> i32 {
    i32::try_from(spec.disk).unwrap_or(i32::MAX).max(planned.image.size)
}

/// Returns whether the machine gets a public address: as the subnets say, where they agree; otherwise `None`, and EC2 does
/// as the machine's own subnet says.
pub(super) fn public_address(planned: &Planned) -> Option<bool> {
    let public = planned.subnets.first()?.public;
    planned.subnets.iter().all(|subnet| subnet.public == public).then_some(public)
}

/// Returns how many hops the metadata service's answers go. Jobs get the keys of a machine with an identity there, also in
/// containers, which are one hop further away.
pub(super) fn metadata_hops(spec: &InstanceSpec) -> i32 {
    if spec.permission_set.is_some() { 2 } else { 1 }
}

/// Disks that are encrypted and go with the machine; no old metadata service; no log-in; an end by powering off.
fn data(spec: &InstanceSpec, planned: &Planned, group: &str) -> RequestLaunchTemplateData {
    let disk = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(disk(spec, planned))
        .volume_type(VolumeType::Gp3)
        .encrypted(true)
        .delete_on_termination(true)
        .build();
    let further = planned.image.disks.iter().map(|(name, size)| {
        let disk = LaunchTemplateEbsBlockDeviceRequest::builder().set_volume_size(*size);
        let disk = disk.encrypted(true).delete_on_termination(true).build();
        LaunchTemplateBlockDeviceMappingRequest::builder().device_name(name).ebs(disk).build()
    });
    let root = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(&planned.image.root).ebs(disk).build();
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_endpoint(LaunchTemplateInstanceMetadataEndpointState::Enabled)
        .http_tokens(LaunchTemplateHttpTokensState::Required)
        .http_put_response_hop_limit(metadata_hops(spec))
        .build();
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .set_associate_public_ip_address(public_address(planned))
        .delete_on_termination(true)
        .groups(group)
        .build();
    let profile = spec.permission_set.as_deref().map(|profile| {
        let builder = LaunchTemplateIamInstanceProfileSpecificationRequest::builder();
        if profile.starts_with("arn:") { builder.arn(profile).build() } else { builder.name(profile).build() }
    });
    RequestLaunchTemplateData::builder()
        .image_id(&planned.image.id)
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .set_block_device_mappings(Some(std::iter::once(root).chain(further).collect()))
        .metadata_options(metadata)
        .network_interfaces(interface)
        .set_iam_instance_profile(profile)
        .set_key_name(spec.ssh_key.clone())
        .build()
}

/// Each type in each subnet whose zone has it.
fn overrides(planned: &Planned) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let each = |(priority, kind): (usize, &String)| {
        let places = planned.subnets.iter().filter(|subnet| subnet.kinds.contains(kind));
        let kind = InstanceType::from(kind.as_str());
        places
            .map(|subnet| {
                FleetLaunchTemplateOverridesRequest::builder()
                    .instance_type(kind.clone())
                    .subnet_id(&subnet.id)
                    .priority(priority as f64)
                    .build()
            })
            .collect::<Vec<_>>()
    };
    planned.kinds.iter().enumerate().flat_map(each).collect()
}

/// Everything that is made carries the tags from its first moment on.
pub(super) fn tags(spec: &InstanceSpec) -> Vec<TagSpecification> {
    let ours = spec.tags.pairs();
    let named = std::iter::once(("Name".to_owned(), spec.name.clone()));
    let user = spec.metadata.iter().cloned();
    let ours = ours.into_iter().map(|(key, value)| (key.to_owned(), value));
    // Ours come last: a user's tag of the same name must not hide a machine from its reaper.
    let all: std::collections::BTreeMap<String, String> = named.chain(user).chain(ours).collect();
    let tags: Vec<Tag> = all.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    [ResourceType::Fleet, ResourceType::Instance, ResourceType::Volume]
        .map(|kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.clone())).build())
        .into()
}

fn made(answer: &CreateFleetOutput, id: &str, spec: &InstanceSpec, spot: bool) -> Instance {
    let of = answer.instances().first();
    let chosen = of.and_then(|made| made.launch_template_and_overrides()).and_then(|both| both.overrides());
    let zone = of.and_then(|made| made.availability_zone()).or(chosen.and_then(|chosen| chosen.availability_zone()));
    Instance {
        id: id.to_owned(),
        kind: of.and_then(|made| made.instance_type()).map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        zone: zone.map(str::to_owned),
        state: crate::cloud::State::Starting,
        reason: None,
        spot,
        address: None,
        launched: None,
        tags: spec.tags.clone(),
    }
}

/// Why a fleet has no machine: its answer is a success all the same, with an error for each type and place.
fn none(answer: &CreateFleetOutput, planned: &Planned) -> Error {
    let mut reasons: Vec<(&str, &str)> = answer
        .errors()
        .iter()
        .map(|error| (error.error_code().unwrap_or_default(), error.error_message().unwrap_or_default()))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    // What another type or place would not mend counts more.
    if let Some((code, says)) = reasons.iter().find(|(code, _)| !is_capacity(code)) {
        return refusal("ec2:RunInstances", code, says);
    }
    let zones: Vec<&str> = planned.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
    let why: Vec<String> = reasons.iter().map(|(code, says)| format!("{says} ({code})")).collect();
    let why = if why.is_empty() { "EC2 gives no reason".to_owned() } else { why.join("; ") };
    Error::new(Kind::NoCapacity, format!("no {} is to be had in {}: {why}", planned.kinds.join(", "), zones.join(", ")))
        .hint("try again later, in another --cloud-region, with more types in --cloud-type, or without --cloud-spot")
}
