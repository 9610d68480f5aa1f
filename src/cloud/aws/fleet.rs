//! Creates the instance: a fleet of one, of type instant.
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>.

use super::explain::{code, explained, is_capacity, refusal};
use super::{Aws, InstanceRequest, MANAGED, Planned, filter, tags};
use crate::cloud::{Instance, Leftover};
use crate::digest::hash;
use crate::error::{Error, Kind, Result};
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

/// How often a fleet is requested when EC2 does not know its template or group yet, and the first of the growing pauses.
const MAX_ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The value of [`MANAGED`] on what all launches share.
const SHARED: &str = "shared";
/// The tag with the version of the program that created a template.
const VERSION: &str = "cml-version";

/// One of several attempts to create a fleet.
struct FleetAttempt {
    market: Market,
    /// Counted from 0.
    attempt: u32,
}

impl Aws {
    /// Lists the templates that other versions of the program created.
    pub(super) async fn list_outdated_templates(&self) -> Result<Vec<Leftover>> {
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
                Some(Leftover {
                    id: old.launch_template_id()?.to_owned(),
                    name: old.launch_template_name()?.to_owned(),
                    what: "template",
                    why: "it was created by another version of cml",
                })
            }));
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes a template; does nothing when it is gone.
    pub(super) async fn delete_template(&self, id: &str) -> Result<()> {
        match self.client().await?.delete_launch_template().launch_template_id(id).send().await {
            Err(error) if code(&error).is_some_and(|code| code.ends_with("NotFoundException")) => Ok(()),
            ended => ended.map(drop).map_err(|error| explained("ec2:DeleteLaunchTemplate", error)),
        }
    }

    /// Creates the instance, a spot one first if asked for. Its client token follows from the runner's registration and the
    /// market, so that a repeated request creates no second one.
    pub(super) async fn launch(&self, wanted: &InstanceRequest, planned: &Planned, script: &str) -> Result<Instance> {
        let group = self.ensure_group(planned).await?;
        if wanted.spot {
            match self.launch_with_retries(wanted, planned, &group, script, Market::Spot).await {
                Err(error)
                    if error.kind() == Kind::NoCapacity && !error.is_ambiguous() && wanted.on_demand_fallback =>
                {
                    self.app().log.warn(&format!("no spot capacity ({error}); falling back to on-demand"));
                }
                made => return made,
            }
        }
        self.launch_with_retries(wanted, planned, &group, script, Market::OnDemand).await
    }

    /// Creates the instance from the template, with retries: EC2 may not know a new template or group yet, and another
    /// version of the program may have deleted the template.
    async fn launch_with_retries(
        &self,
        wanted: &InstanceRequest,
        planned: &Planned,
        group: &str,
        script: &str,
        market: Market,
    ) -> Result<Instance> {
        let mut attempt = 0;
        loop {
            let template = self.ensure_template(wanted, planned, group).await?;
            match self
                .create_fleet(wanted, planned, &template, script, FleetAttempt { market: market.clone(), attempt })
                .await
            {
                Err(error)
                    if error.kind() == Kind::NotFound
                        && attempt < MAX_ATTEMPTS
                        && self.http().pause(RETRY_PAUSE, attempt).await.is_ok() =>
                {
                    self.app().log.info(&format!("{error}; retrying"));
                    attempt += 1;
                }
                made => return made,
            }
        }
    }

    async fn create_fleet(
        &self,
        wanted: &InstanceRequest,
        planned: &Planned,
        template: &str,
        script: &str,
        FleetAttempt { market, attempt }: FleetAttempt,
    ) -> Result<Instance> {
        // A refused request is refused again with the same token.
        let token = hash(
            format!("{}\n{:?}\n{}\n{attempt}", wanted.labels.name, wanted.labels.runner, market.as_str()).as_bytes(),
        );
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
            .set_tag_specifications(Some(tags(wanted)));
        let request = match market {
            Market::Spot => request.spot_options(
                SpotOptionsRequest::builder()
                    .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                    .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
                    .set_max_total_price(wanted.spot_price.map(|price| format!("{price:.5}")))
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
                // A refused request created nothing; one whose answer was lost may have.
                return Err(if known || error.kind() == Kind::Internal { error } else { error.ambiguous() });
            }
        };
        match answer.instances().iter().find_map(|made| made.instance_ids().first()) {
            Some(id) => Ok(launched_instance(&answer, id, wanted, market == Market::Spot)),
            None => Err(no_instance_error(&answer, planned)),
        }
    }

    /// Creates the template with everything but the start-up script, unless it exists, and returns its [`template_name`].
    async fn ensure_template(&self, wanted: &InstanceRequest, planned: &Planned, group: &str) -> Result<String> {
        let name = template_name(wanted, planned, group);
        let data = template_data(wanted, planned, group);
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

/// A name that follows from all in which two templates can differ: whatever [`template_data`] takes, and what it makes of it, which
/// stays the same within a version of the program.
fn template_name(wanted: &InstanceRequest, planned: &Planned, group: &str) -> String {
    let Planned { image, .. } = planned;
    let disks = (&image.id, &image.root, disk(wanted, planned), &wanted.identity);
    let made_of = (env!("CARGO_PKG_VERSION"), disks, &image.disks, group, public_address(planned));
    format!("cml-{}", &hash(format!("{made_of:?}").as_bytes())[..20])
}

/// Returns the size of the disk in gigabytes.
pub(super) fn disk(wanted: &InstanceRequest, planned: &Planned) -> i32 {
    i32::try_from(wanted.disk).unwrap_or(i32::MAX).max(planned.image.size)
}

/// Returns whether the instance gets a public address: as the subnets say, if they agree; otherwise `None`, and EC2 follows
/// the instance's own subnet.
pub(super) fn public_address(planned: &Planned) -> Option<bool> {
    let public = planned.subnets.first()?.public;
    planned.subnets.iter().all(|subnet| subnet.public == public).then_some(public)
}

/// Returns the hop limit of the metadata service. Jobs get the credentials of an instance with an identity there, also in
/// containers, which are one hop further away.
pub(super) fn metadata_hops(wanted: &InstanceRequest) -> i32 {
    if wanted.identity.is_some() { 2 } else { 1 }
}

/// Returns the template's data: encrypted disks that are deleted with the instance, IMDSv2 only, no log-in, and termination
/// by powering off.
fn template_data(wanted: &InstanceRequest, planned: &Planned, group: &str) -> RequestLaunchTemplateData {
    let disk = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(disk(wanted, planned))
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
        .http_put_response_hop_limit(metadata_hops(wanted))
        .build();
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
        .device_index(0)
        .set_associate_public_ip_address(public_address(planned))
        .delete_on_termination(true)
        .groups(group)
        .build();
    let profile = wanted.identity.as_deref().map(|profile| {
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
        .build()
}

/// Returns the overrides: each instance type in each subnet whose zone offers it.
fn overrides(planned: &Planned) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let each = |(priority, instance_type): (usize, &String)| {
        let places = planned.subnets.iter().filter(|subnet| subnet.instance_types.contains(instance_type));
        let instance_type = InstanceType::from(instance_type.as_str());
        places
            .map(|subnet| {
                FleetLaunchTemplateOverridesRequest::builder()
                    .instance_type(instance_type.clone())
                    .subnet_id(&subnet.id)
                    .priority(priority as f64)
                    .build()
            })
            .collect::<Vec<_>>()
    };
    planned.instance_types.iter().enumerate().flat_map(each).collect()
}

/// Returns the tags of everything that is created.
pub(super) fn tags(wanted: &InstanceRequest) -> Vec<TagSpecification> {
    let tags = tags::encode(&wanted.labels, &wanted.user_labels);
    [ResourceType::Fleet, ResourceType::Instance, ResourceType::Volume]
        .map(|kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.clone())).build())
        .into()
}

fn launched_instance(answer: &CreateFleetOutput, id: &str, wanted: &InstanceRequest, spot: bool) -> Instance {
    let of = answer.instances().first();
    let chosen = of.and_then(|made| made.launch_template_and_overrides()).and_then(|both| both.overrides());
    let zone = of.and_then(|made| made.availability_zone()).or(chosen.and_then(|chosen| chosen.availability_zone()));
    Instance {
        id: id.to_owned(),
        instance_type: of
            .and_then(|made| made.instance_type())
            .map(|name| name.as_str().to_owned())
            .unwrap_or_default(),
        zone: zone.map(str::to_owned),
        state: crate::cloud::InstanceState::Pending,
        reason: None,
        spot,
        address: None,
        launched: None,
        labels: wanted.labels.clone(),
    }
}

/// Returns why a fleet has no instance: its answer is a success with an error for each type and zone.
fn no_instance_error(answer: &CreateFleetOutput, planned: &Planned) -> Error {
    let mut reasons: Vec<(&str, &str)> = answer
        .errors()
        .iter()
        .map(|error| (error.error_code().unwrap_or_default(), error.error_message().unwrap_or_default()))
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    // What another type or zone would not fix takes precedence.
    if let Some((code, says)) = reasons.iter().find(|(code, _)| !is_capacity(code)) {
        return refusal("ec2:RunInstances", code, says);
    }
    let zones: Vec<&str> = planned.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
    let why: Vec<String> = reasons.iter().map(|(code, says)| format!("{says} ({code})")).collect();
    let why = if why.is_empty() { "EC2 gave no reason".to_owned() } else { why.join("; ") };
    Error::new(
        Kind::NoCapacity,
        format!("no capacity for {} in {}: {why}", planned.instance_types.join(", "), zones.join(", ")),
    )
    .hint("try again later, or use another --cloud-region, more types in --cloud-type, or no --cloud-spot")
}
