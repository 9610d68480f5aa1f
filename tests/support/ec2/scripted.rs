//! EC2 inside of this process, on a clock that the test moves: what a launch, its rollback and `cml runner reap` ask of it, in one zone for
//! each letter.
//!
//! Facts: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html>, as of November 2026; what is made is unknown for a while to
//! other requests (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>), and an instance goes from `pending` by
//! `running` and `shutting-down` to `terminated`, as which it stays for an hour
//! (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>). What no launch asks is refused.

use super::{Machine, answered, refusal};
use crate::support::fake::http::Response;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The fields of a request.
type Fields = BTreeMap<String, String>;

/// How long an instance is `pending`, and how long `shutting-down`.
const BOOT: Duration = Duration::from_secs(6);
const END: Duration = Duration::from_secs(20);
/// How long one that is gone is told.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
const ZONES: [&str; 3] = ["a", "b", "c"];
const GROUP: &str = "sg-0a000000000000001";

/// A template.
struct Template {
    made: Duration,
    /// Whether instances terminate where they power off.
    terminates: bool,
    tags: BTreeMap<String, String>,
}

/// An instance.
struct Instance {
    machine: Machine,
    zone: String,
    is_spot: bool,
    terminates: bool,
    made: Duration,
    /// Since when it is in its state.
    since: Duration,
    reason: &'static str,
}

/// An account, in one region.
pub struct Scripted {
    region: &'static str,
    clock: Duration,
    /// How long what is made is unknown to other requests.
    lag: Duration,
    group: Option<Duration>,
    templates: BTreeMap<String, Template>,
    instances: Vec<Instance>,
}

impl Scripted {
    pub fn new(region: &'static str) -> Scripted {
        Scripted {
            region,
            clock: Duration::ZERO,
            lag: Duration::ZERO,
            group: None,
            templates: BTreeMap::new(),
            instances: Vec::new(),
        }
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        self.clock += time;
        let now = self.clock;
        for one in &mut self.instances {
            let (after, next) = match one.machine.state.as_str() {
                "pending" => (BOOT, "running"),
                "shutting-down" => (END, "terminated"),
                _ => continue,
            };
            if now >= one.since + after {
                (one.machine.state, one.since) = (next.to_owned(), one.since + after);
            }
        }
        self.instances.retain(|one| one.machine.state != "terminated" || now < one.since + REMEMBERED);
    }

    /// What is made is unknown to other requests for so long.
    pub fn lags(&mut self, time: Duration) {
        self.lag = time;
    }

    /// Those that run power themselves off, and do what their template says.
    pub fn power_off(&mut self) {
        let now = self.clock;
        for one in self.instances.iter_mut().filter(|one| one.works()) {
            let state = if one.terminates { "shutting-down" } else { "stopped" };
            one.goes(state, "Client.InstanceInitiatedShutdown: Instance initiated shutdown", now);
        }
    }

    /// Those of spot capacity that run are taken back.
    pub fn preempt(&mut self) {
        let now = self.clock;
        for one in self.instances.iter_mut().filter(|one| one.is_spot && one.works()) {
            one.goes("shutting-down", "Server.SpotInstanceTermination: Spot instance termination", now);
        }
    }

    /// All instances, also those of which requests do not know yet.
    pub fn machines(&self) -> Vec<Machine> {
        self.instances.iter().map(|one| one.machine.clone()).collect()
    }

    /// Carries out an action.
    pub fn carry_out(&mut self, action: &str, fields: &Fields) -> Response {
        let region = self.region;
        let content = match action {
            "GetCallerIdentity" => Ok(element("GetCallerIdentityResult", &element("Account", "123456789012"))),
            "DescribeImages" => Ok(element(
                "imagesSet",
                &item(&[
                    ("imageId", "ami-0a000000000000002"),
                    ("name", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260901"),
                    ("architecture", "x86_64"),
                    ("rootDeviceName", "/dev/sda1"),
                    ("creationDate", "2026-09-01T00:00:00.000Z"),
                ]),
            )),
            "DescribeSubnets" => Ok(element("subnetSet", &ZONES.map(|zone| subnet(region, zone)).concat())),
            "DescribeInstanceTypeOfferings" => filtered(fields, &["instance-type"]).map(|filters| {
                let offered = |kind: &String| {
                    ZONES.map(|zone| item(&[("instanceType", kind), ("location", &format!("{region}{zone}"))])).concat()
                };
                element("instanceTypeOfferingSet", &filters["instance-type"].iter().map(offered).collect::<String>())
            }),
            "DescribeSpotPriceHistory" => Ok(element("spotPriceHistorySet", "")),
            "DescribeSecurityGroups" => Ok(self.describe_groups()),
            "CreateSecurityGroup" => self.create_group(),
            "CreateLaunchTemplate" => self.create_template(fields),
            "DescribeLaunchTemplates" => self.describe_templates(fields),
            "RunInstances" if fields.get("DryRun").is_some_and(|dry| dry == "true") => {
                Err(refusal(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."))
            }
            "CreateFleet" => self.create_fleet(fields),
            "DescribeInstances" => self.describe_instances(fields),
            "TerminateInstances" => self.terminate(&fields["InstanceId.1"]),
            "GetConsoleOutput" => self.known(&fields["InstanceId"]).map(|_| element("output", "")),
            _ => Err(refusal(400, "InvalidAction", &format!("The action {action} is not valid for this web service."))),
        };
        content.map_or_else(|refused| refused, |content| answered(action, &content))
    }

    fn is_known(&self, made: Duration) -> bool {
        self.clock >= made + self.lag
    }

    fn describe_groups(&self) -> String {
        let ours = self.group.filter(|made| self.is_known(*made));
        let ours = ours.map(|_| item(&[("groupId", GROUP), ("groupName", "cml-no-inbound"), ("vpcId", "vpc-1")]));
        element("securityGroupInfo", &ours.unwrap_or_default())
    }

    fn create_group(&mut self) -> Result<String, Response> {
        if self.group.is_some() {
            return Err(refusal(400, "InvalidGroup.Duplicate", "The security group already exists."));
        }
        self.group = Some(self.clock);
        Ok(element("groupId", GROUP))
    }

    fn create_template(&mut self, fields: &Fields) -> Result<String, Response> {
        let name = &fields["LaunchTemplateName"];
        if self.templates.contains_key(name) {
            let code = "InvalidLaunchTemplateName.AlreadyExistsException";
            return Err(refusal(400, code, "Launch template name already in use."));
        }
        // <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RequestLaunchTemplateData.html>: the default is `stop`.
        let behaviour = fields.get("LaunchTemplateData.InstanceInitiatedShutdownBehavior");
        let template = Template {
            made: self.clock,
            terminates: behaviour.is_some_and(|behaviour| behaviour == "terminate"),
            tags: tags(fields, "launch-template"),
        };
        self.templates.insert(name.clone(), template);
        Ok(element("launchTemplate", &element("launchTemplateName", name)))
    }

    fn describe_templates(&self, fields: &Fields) -> Result<String, Response> {
        let filters = filtered(fields, &["tag:"])?;
        let found = self.templates.iter().filter(|(_, one)| has_tags(&one.tags, &filters) && self.is_known(one.made));
        let told = found.map(|(name, one)| {
            let names = element("launchTemplateId", name) + &element("launchTemplateName", name);
            element("item", &(names + &tag_set(&one.tags)))
        });
        Ok(element("launchTemplates", &told.collect::<String>()))
    }

    /// A fleet of one: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>.
    fn create_fleet(&mut self, fields: &Fields) -> Result<String, Response> {
        let text = |name: &str| fields.get(name).map_or("", String::as_str);
        if (text("Type"), text("TargetCapacitySpecification.TotalTargetCapacity")) != ("instant", "1") {
            return Err(refusal(400, "InvalidParameterValue", "A launch makes one instance at once."));
        }
        let name = text("LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName");
        let Some(template) = self.templates.get(name).filter(|one| self.is_known(one.made)) else {
            let code = "InvalidLaunchTemplateName.NotFoundException";
            return Err(refusal(400, code, "The specified launch template does not exist."));
        };
        // It is accepted, and each of its attempts fails.
        if self.group.is_some_and(|made| !self.is_known(made)) {
            return Ok(super::no_instance("InvalidGroup.NotFound", "The security group does not exist"));
        }
        let first = "LaunchTemplateConfigs.1.Overrides.1";
        let (kind, subnet) = (text(&format!("{first}.InstanceType")), text(&format!("{first}.SubnetId")));
        let zone = subnet.strip_prefix("subnet-").filter(|zone| ZONES.contains(zone));
        let zone = zone.ok_or_else(|| refusal(400, "InvalidSubnetID.NotFound", "The subnet ID does not exist."))?;
        let is_spot = text("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot";
        let id = format!("i-{:017x}", self.instances.len() + 1);
        let made = [("instanceType", kind), ("lifecycle", if is_spot { "spot" } else { "on-demand" })];
        let made =
            made.map(|(name, text)| element(name, text)).concat() + &element("instanceIds", &element("item", &id));
        self.instances.push(Instance {
            machine: Machine { id, state: "pending".to_owned(), kind: kind.to_owned(), tags: tags(fields, "instance") },
            zone: format!("{}{zone}", self.region),
            is_spot,
            terminates: template.terminates,
            made: self.clock,
            since: self.clock,
            reason: "",
        });
        Ok(element("fleetId", "fleet-1") + &element("fleetInstanceSet", &element("item", &made)))
    }

    fn describe_instances(&self, fields: &Fields) -> Result<String, Response> {
        let filters = filtered(fields, &["instance-id", "instance-state-name", "tag:"])?;
        let is = |name: &str, value: &String| filters.get(name).is_none_or(|values| values.contains(value));
        let found = self.instances.iter().filter(|one| {
            let Machine { id, state, tags, .. } = &one.machine;
            self.is_known(one.made)
                && is("instance-id", id)
                && is("instance-state-name", state)
                && has_tags(tags, &filters)
        });
        let told = found.map(|one| element("item", &element("instancesSet", &self.told(one))));
        Ok(element("reservationSet", &told.collect::<String>()))
    }

    fn told(&self, one: &Instance) -> String {
        // Real time goes on beside the clock.
        let launched = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + one.made;
        let launched = chrono::DateTime::from_timestamp(launched.as_secs() as i64, 0).unwrap();
        let Machine { id, state, kind, tags } = &one.machine;
        let parts = [
            element("instanceId", id),
            element("instanceState", &element("name", state)),
            element("instanceType", kind),
            element("launchTime", &launched.format("%Y-%m-%dT%H:%M:%S.000Z").to_string()),
            element("placement", &element("availabilityZone", &one.zone)),
            if one.is_spot { element("instanceLifecycle", "spot") } else { String::new() },
            if one.reason.is_empty() { String::new() } else { element("stateReason", &element("message", one.reason)) },
            tag_set(tags),
        ];
        element("item", &parts.concat())
    }

    fn terminate(&mut self, id: &str) -> Result<String, Response> {
        let at = self.known(id)?;
        self.instances[at].goes("shutting-down", "Client.UserInitiatedShutdown: User initiated shutdown", self.clock);
        Ok(element("instancesSet", &item(&[("instanceId", id)])))
    }

    /// Where an instance is that requests know.
    fn known(&self, id: &str) -> Result<usize, Response> {
        let known = self.instances.iter().position(|one| one.machine.id == id && self.is_known(one.made));
        known.ok_or_else(|| {
            refusal(400, "InvalidInstanceID.NotFound", &format!("The instance ID '{id}' does not exist"))
        })
    }
}

impl Instance {
    fn works(&self) -> bool {
        matches!(self.machine.state.as_str(), "pending" | "running")
    }

    /// Goes to another state, unless it is ending.
    fn goes(&mut self, state: &str, reason: &'static str, now: Duration) {
        if !self.machine.is_over() {
            (self.machine.state, self.since, self.reason) = (state.to_owned(), now, reason);
        }
    }
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

fn item(fields: &[(&str, &str)]) -> String {
    element("item", &fields.iter().map(|(name, text)| element(name, text)).collect::<String>())
}

fn subnet(region: &str, zone: &str) -> String {
    item(&[
        ("subnetId", &format!("subnet-{zone}")),
        ("vpcId", "vpc-1"),
        ("availabilityZone", &format!("{region}{zone}")),
        ("availableIpAddressCount", "250"),
        ("mapPublicIpOnLaunch", "true"),
    ])
}

fn tag_set(tags: &BTreeMap<String, String>) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let tags = tags.iter().map(|(key, value)| item(&[("key", &escaped(key)), ("value", &escaped(value))]));
    element("tagSet", &tags.collect::<String>())
}

/// The tags that a request gives a kind of resource.
fn tags(fields: &Fields, kind: &str) -> BTreeMap<String, String> {
    let of_kind = fields.iter().find(|(name, value)| name.ends_with(".ResourceType") && *value == kind);
    let Some(start) = of_kind.and_then(|(name, _)| name.strip_suffix("ResourceType")) else { return BTreeMap::new() };
    let pair = |at: usize| {
        let field = |what: &str| fields.get(&format!("{start}Tag.{at}.{what}")).cloned();
        Some((field("Key")?, field("Value").unwrap_or_default()))
    };
    (1..).map_while(pair).collect()
}

/// The filters of a request; it is refused where one is unknown.
fn filtered(fields: &Fields, known: &[&str]) -> Result<BTreeMap<String, Vec<String>>, Response> {
    let filter = |at: usize| {
        let name = fields.get(&format!("Filter.{at}.Name"))?;
        let values = (1..).map_while(|value| fields.get(&format!("Filter.{at}.Value.{value}")).cloned());
        Some((name.clone(), values.collect()))
    };
    let filters: BTreeMap<String, Vec<String>> = (1..).map_while(filter).collect();
    let is_known = |name: &String| known.iter().any(|one| name == one || one.ends_with(':') && name.starts_with(one));
    match filters.keys().find(|name| !is_known(name)) {
        Some(name) => Err(refusal(400, "InvalidParameterValue", &format!("The filter '{name}' is invalid"))),
        None => Ok(filters),
    }
}

fn has_tags(tags: &BTreeMap<String, String>, filters: &BTreeMap<String, Vec<String>>) -> bool {
    let wanted = filters.iter().filter_map(|(name, values)| Some((name.strip_prefix("tag:")?, values)));
    wanted.into_iter().all(|(key, values)| tags.get(key).is_some_and(|value| values.contains(value)))
}
