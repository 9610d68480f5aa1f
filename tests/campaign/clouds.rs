//! The fakes of the clouds, as the campaign sees them: what there is, what it costs, and what ends it.

use super::rng::Rng;
#[cfg(feature = "azure")]
use crate::support::azure::{self, Azure};
use crate::support::ec2::{self, Ec2};
use crate::support::fake::http::{Request, Response};
#[cfg(feature = "gcp")]
use crate::support::gce::{self, Gce};
#[cfg(feature = "kubernetes")]
use crate::support::kubernetes::{self, Kubernetes, PodFate};
use crate::support::recorder::Wrong;
use serde_json::Value;
use std::time::Duration;

/// What a machine costs a month, at one US dollar an hour.
const MACHINE: f64 = 730.0;
/// A public address, at 0.005 US dollars an hour: <https://azure.microsoft.com/pricing/details/ip-addresses/>, November 2026.
#[cfg(feature = "azure")]
const AZURE_ADDRESS: f64 = 0.005 * 730.0;
/// A balanced disk of 35 GB, at 0.10 US dollars a GB and month: <https://cloud.google.com/compute/disks-image-pricing>, November 2026.
#[cfg(feature = "gcp")]
const GCP_DISK: f64 = 35.0 * 0.10;

/// A cloud, by the name that `--cloud` takes.
#[derive(Clone, Copy)]
pub enum Kind {
    #[cfg_attr(not(feature = "aws"), allow(dead_code))]
    Aws,
    #[cfg(feature = "azure")]
    Azure,
    #[cfg(feature = "gcp")]
    Gcp,
    #[cfg(feature = "kubernetes")]
    Kubernetes,
}

/// All clouds, or that of `CML_TEST_CLOUD`.
pub fn kinds() -> Vec<Kind> {
    let kinds = [
        #[cfg(feature = "aws")]
        Kind::Aws,
        #[cfg(feature = "azure")]
        Kind::Azure,
        #[cfg(feature = "gcp")]
        Kind::Gcp,
        #[cfg(feature = "kubernetes")]
        Kind::Kubernetes,
    ];
    let wanted = std::env::var("CML_TEST_CLOUD").ok();
    kinds.into_iter().filter(|kind| wanted.as_ref().is_none_or(|name| name == kind.name())).collect()
}

impl Kind {
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Aws => "aws",
            #[cfg(feature = "azure")]
            Kind::Azure => "azure",
            #[cfg(feature = "gcp")]
            Kind::Gcp => "gcp",
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes => "kubernetes",
        }
    }

    /// The region of its launches; empty where it has none.
    pub fn region(&self) -> &'static str {
        match self {
            Kind::Aws => "eu-west-3",
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes => "",
            _ => "us-west",
        }
    }

    /// Whether its instances have Docker, which Bitbucket's runner needs.
    pub fn has_docker(&self) -> bool {
        self.name() != "kubernetes"
    }

    pub fn start(&self) -> Fake {
        match self {
            Kind::Aws => Fake::Aws(Ec2::scripted(self.region())),
            #[cfg(feature = "azure")]
            Kind::Azure => Fake::Azure(Azure::start()),
            #[cfg(feature = "gcp")]
            Kind::Gcp => Fake::Gcp(Gce::start()),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes => Fake::Kubernetes(Kubernetes::start()),
        }
    }
}

/// A fake of a cloud.
pub enum Fake {
    Aws(Ec2),
    #[cfg(feature = "azure")]
    Azure(Azure),
    #[cfg(feature = "gcp")]
    Gcp(Gce),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Kubernetes),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Capacity,
    Quota,
    Throttled,
    Denied,
}

impl Fake {
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            Fake::Aws(ec2) => vec![
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
                ("AWS_ENDPOINT_URL", ec2.url()),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ],
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => azure.variables(),
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => {
                let key = ("GOOGLE_APPLICATION_CREDENTIALS_DATA", Gce::key());
                gce.variables().into_iter().chain([key]).collect()
            }
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => vec![("KUBERNETES_CONFIGURATION", cluster.kubeconfig())],
        }
    }

    pub fn exchange(&self, request: &Request) -> Option<Response> {
        match self {
            Fake::Aws(ec2) => ec2.exchange(request),
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => azure.exchange(request),
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.exchange(request),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => cluster.exchange(request),
        }
    }

    /// Whether a request changes something.
    pub fn has_effect(&self, request: &Request) -> bool {
        match self {
            Fake::Aws(_) => {
                let body = String::from_utf8_lossy(&request.body);
                ["Action=Create", "Action=Terminate"].iter().any(|action| body.contains(action))
            }
            _ => {
                let asks =
                    ["testIamPermissions", "selfsubjectaccessreviews", "dryRun=All", "/token", "DiagnosticsData"];
                !request.is_read() && !asks.iter().any(|part| request.target.contains(part))
            }
        }
    }

    /// Whether a request makes an instance.
    pub fn makes_instance(&self, request: &Request) -> bool {
        match self {
            Fake::Aws(_) => String::from_utf8_lossy(&request.body).contains("Action=CreateFleet"),
            #[cfg(feature = "azure")]
            Fake::Azure(_) => request.method == "PUT" && request.target.contains("/virtualMachines/"),
            #[cfg(feature = "gcp")]
            Fake::Gcp(_) => request.method == "POST" && request.path().ends_with("/instances"),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(_) => request.method == "POST" && request.target.ends_with("/jobs"),
        }
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        match self {
            Fake::Aws(ec2) => ec2.script().pass(time),
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.pass(time),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => cluster.pass(time),
            _ => {}
        }
    }

    /// The instances that there are, in whatever state.
    pub fn instances(&self) -> Vec<String> {
        match self {
            Fake::Aws(ec2) => ec2.alive().into_iter().map(|machine| machine.id).collect(),
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => azure.machines().into_keys().collect(),
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.billed(),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => cluster.objects("jobs").into_keys().collect(),
        }
    }

    /// Those that a job could run on, now or soon: whose creation has not failed.
    pub fn good_instances(&self) -> usize {
        match self {
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                azure.machines().values().filter(|one| one["properties"]["provisioningState"] != "Failed").count()
            }
            _ => self.instances().len(),
        }
    }

    /// Whether one of them runs.
    pub fn runs(&self) -> bool {
        match self {
            Fake::Aws(ec2) => !ec2.alive().is_empty(),
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                let runs =
                    |one: &Value| one["properties"]["provisioningState"] == "Succeeded" && one["power"] == "running";
                azure.machines().values().any(runs)
            }
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.instances().iter().any(|one| one["status"] == "RUNNING"),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => {
                cluster.objects("pods").values().any(|pod| pod["status"]["phase"] == "Running")
            }
        }
    }

    /// Those that run power off, or end.
    pub fn power_off(&self) {
        match self {
            Fake::Aws(ec2) => ec2.script().power_off(),
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => azure.machines().keys().for_each(|name| azure.power_off(name)),
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.power_off(),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => {
                cluster.objects("jobs").keys().for_each(|job| cluster.end_pod(job, 1, "Error"));
            }
        }
    }

    /// The runner of those that run ends, and with it what the instance does at its end. `may_delete`: whether its identity, if it needs one,
    /// may delete it.
    pub fn end(&self, may_delete: bool) {
        match self {
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                for name in azure.machines().keys() {
                    azure.power_off(name);
                    if may_delete {
                        azure.run_deletion(name);
                    }
                }
            }
            _ => self.power_off(),
        }
    }

    /// The cloud takes those back that run.
    pub fn preempt(&self) {
        match self {
            Fake::Aws(ec2) => {
                let fleet = ec2.of("CreateFleet").pop().unwrap().fields;
                assert_eq!(fleet["SpotOptions.InstanceInterruptionBehavior"], "terminate");
                ec2.script().preempt();
            }
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                for (name, machine) in azure.machines() {
                    assert_eq!(machine["properties"]["evictionPolicy"], "Delete");
                    azure.evict(&name);
                }
            }
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.preempt(),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(_) => self.power_off(),
        }
    }

    /// What all that is there costs a month, in US dollars.
    pub fn monthly_cost(&self) -> f64 {
        match self {
            Fake::Aws(ec2) => ec2.alive().len() as f64 * MACHINE,
            // A machine costs the same while it is off. With one that it takes back, Azure deletes the disk.
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                let addresses = azure.resources("Microsoft.Network/publicIPAddresses").len();
                azure.machines().len() as f64 * MACHINE + addresses as f64 * AZURE_ADDRESS
            }
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => {
                let cost = |one: &Value| if one["status"] == "TERMINATED" { GCP_DISK } else { MACHINE };
                gce.instances().iter().map(cost).sum()
            }
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => cluster.billed().len() as f64 * MACHINE,
        }
    }

    /// Everything of ours that costs something or is in the way.
    pub fn left(&self) -> Vec<String> {
        match self {
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                let interfaces = azure.resources("Microsoft.Network/networkInterfaces").into_keys();
                azure.billed().into_iter().chain(interfaces).collect()
            }
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => {
                ["jobs", "pods", "secrets"].iter().flat_map(|kind| cluster.objects(kind).into_keys()).collect()
            }
            _ => self.instances(),
        }
    }

    /// What an instance lacks of our labels, and of what ends it whatever happens to the launcher.
    pub fn lacks(&self) -> Option<String> {
        match self {
            Fake::Aws(ec2) => {
                let is_marked = |machine: &ec2::Machine| {
                    machine.tags.get("cml-managed").is_some_and(|value| value == "true")
                        && machine.tags.contains_key("cml-deadline")
                };
                let unmarked = ec2.alive().into_iter().find(|machine| !is_marked(machine));
                let templates = ec2.of("CreateLaunchTemplate");
                let stays = templates.iter().any(|call| {
                    call.fields.get("LaunchTemplateData.InstanceInitiatedShutdownBehavior").map(String::as_str)
                        != Some("terminate")
                });
                unmarked.map(|machine| format!("{machine:?}")).or_else(|| stays.then(|| format!("{templates:?}")))
            }
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                let ends = |name: &str, machine: &Value| {
                    machine["identity"]["userAssignedIdentities"].as_object().is_some_and(|all| !all.is_empty())
                        && azure.custom_data(name).contains("CML_DELETE")
                };
                let good = |name: &str, one: &Value| is_marked(&one["tags"]) && ends(name, one);
                let bad = azure.machines().into_iter().find(|(name, one)| !good(name, one));
                bad.map(|(name, one)| format!("{name}: {one}"))
            }
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => {
                let good = |one: &Value| {
                    let plan = &one["scheduling"];
                    is_marked(&one["labels"])
                        && plan["maxRunDuration"]["seconds"].is_string()
                        && plan["instanceTerminationAction"] == "DELETE"
                };
                gce.instances().into_iter().find(|one| !good(one)).map(|one| one.to_string())
            }
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => {
                let good = |one: &Value| {
                    one["metadata"]["labels"]["cml-managed"] == "true"
                        && one["metadata"]["annotations"]["cml-deadline"].is_string()
                        && one["spec"]["activeDeadlineSeconds"].is_u64()
                        && one["spec"]["ttlSecondsAfterFinished"].is_u64()
                };
                cluster.objects("jobs").into_values().find(|one| !good(one)).map(|one| one.to_string())
            }
        }
    }

    /// Whether the cloud itself ends what is there when its time is over, without `reap`.
    pub fn ends_by_itself(&self) -> bool {
        match self {
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => gce.instances().iter().all(|one| one["status"] == "RUNNING"),
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(_) => true,
            _ => false,
        }
    }

    /// What such a refusal is.
    pub fn refusal(&self, why: Refusal) -> Response {
        match self {
            Fake::Aws(_) => match why {
                Refusal::Capacity => ec2::refusal(500, "InsufficientInstanceCapacity", "There is none."),
                Refusal::Quota => ec2::refusal(400, "VcpuLimitExceeded", "You have requested more vCPU capacity."),
                Refusal::Throttled => ec2::refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
                Refusal::Denied => ec2::refusal(403, "UnauthorizedOperation", "You are not authorized."),
            },
            #[cfg(feature = "azure")]
            Fake::Azure(_) => match why {
                Refusal::Capacity => azure::refusal(409, "AllocationFailed", "Allocation failed."),
                Refusal::Quota => azure::refusal(409, "QuotaExceeded", "exceeding approved Cores quota."),
                Refusal::Throttled => azure::refusal(429, "TooManyRequests", "Too many requests."),
                Refusal::Denied => azure::refusal(403, "AuthorizationFailed", "no authorization to perform action 'x'"),
            },
            #[cfg(feature = "gcp")]
            Fake::Gcp(_) => match why {
                Refusal::Capacity => gce::refusal(503, "insufficientCapacity", "not enough resources"),
                Refusal::Quota => gce::refusal(403, "quotaExceeded", "Quota 'CPUS' exceeded."),
                Refusal::Throttled => gce::refusal(403, "rateLimitExceeded", "Rate Limit Exceeded"),
                Refusal::Denied => gce::refusal(403, "forbidden", "Required 'compute.x.y' permission for 'z'"),
            },
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(_) => {
                let quota =
                    "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
                let right =
                    "jobs.batch is forbidden: User \"ci\" cannot create resource \"jobs\" in API group \"batch\"";
                match why {
                    Refusal::Capacity | Refusal::Quota => kubernetes::refusal(403, "Forbidden", quota),
                    Refusal::Throttled => kubernetes::refusal(429, "TooManyRequests", "too many requests"),
                    Refusal::Denied => kubernetes::refusal(403, "Forbidden", right),
                }
            }
        }
    }

    /// Something goes wrong or slowly in the cloud itself. Returns the exit code that it may lead to.
    pub fn is_strained(&self, rng: &mut Rng) -> u8 {
        let times = 1 + rng.below(6) as usize;
        match self {
            Fake::Aws(ec2) => {
                ec2.script().lags(Duration::from_millis(rng.below(3000)));
                let code = rng.one_of(&[
                    "InsufficientInstanceCapacity",
                    "SpotMaxPriceTooLow",
                    "MaxSpotInstanceCountExceeded",
                    "VcpuLimitExceeded",
                ]);
                let times = if rng.happens(50) { times } else { 0 };
                ec2.fails("CreateFleet", times, Wrong::Fails(code, "There is none."));
                11
            }
            #[cfg(feature = "azure")]
            Fake::Azure(azure) => {
                let (code, exit) = rng.one_of(&[
                    ("AllocationFailed", 11),
                    ("SkuNotAvailable", 11),
                    ("QuotaExceeded", 11),
                    ("RetryableError", 9),
                    ("InternalExecutionError", 9),
                ]);
                azure.looks(rng.below(60) as u32);
                azure.fails("Microsoft.Compute/virtualMachines/write", times, Wrong::Fails(code, "It failed."));
                exit
            }
            #[cfg(feature = "gcp")]
            Fake::Gcp(gce) => {
                gce.looks(rng.below(60) as u32);
                for zone in ["us-west1-a", "us-west1-b", "us-west1-c"] {
                    for model in ["SPOT", "STANDARD"] {
                        if rng.happens(50) {
                            gce.is_full(zone, model);
                        }
                    }
                }
                let (code, exit) =
                    rng.one_of(&[("ZONE_RESOURCE_POOL_EXHAUSTED", 11), ("QUOTA_EXCEEDED", 11), ("INTERNAL_ERROR", 9)]);
                gce.fails("compute.instances.create", times, Wrong::Fails(code, "It failed."));
                exit
            }
            #[cfg(feature = "kubernetes")]
            Fake::Kubernetes(cluster) => {
                let quota = "Error creating: pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
                let (fate, exit) = match rng.below(4) {
                    0 => (PodFate::Unschedulable("0/3 nodes are available: 3 Insufficient cpu."), 11),
                    1 => (PodFate::Wait("ImagePullBackOff", "Back-off pulling image"), 12),
                    2 => (PodFate::None(quota), 11),
                    _ => (PodFate::End(1), 12),
                };
                cluster.pods_go(fate);
                exit
            }
        }
    }
}

#[cfg(any(feature = "azure", feature = "gcp"))]
fn is_marked(labels: &Value) -> bool {
    labels["cml-managed"] == "true" && labels["cml-deadline"].is_string()
}
