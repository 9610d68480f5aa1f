//! Google Cloud.

use super::{Fake, MACHINE, Refusal, Strained};
use crate::campaign::rng::Rng;
use crate::support::fake::http::{Request, Response};
use crate::support::gce::{Gce, refusal};
use crate::support::recorder::Wrong;
use serde_json::Value;
use std::time::Duration;

/// A balanced disk of 35 GB, at 0.10 US dollars a GB and month: <https://cloud.google.com/compute/disks-image-pricing>, November 2026.
const DISK: f64 = 35.0 * 0.10;

pub fn start() -> Fake {
    Box::new(Gce::start())
}

impl Strained for Gce {
    fn makes_instance(&self, request: &Request) -> bool {
        request.method == "POST" && request.path().ends_with("/instances")
    }

    fn pass(&self, time: Duration) {
        Gce::pass(self, time);
    }

    fn instances(&self) -> Vec<String> {
        self.billed()
    }

    fn power_off(&self) {
        Gce::power_off(self);
    }

    fn preempt(&self) {
        Gce::preempt(self);
    }

    fn monthly_cost(&self) -> f64 {
        let cost = |one: &Value| if one["status"] == "TERMINATED" { DISK } else { MACHINE };
        self.instances().iter().map(cost).sum()
    }

    fn lacks(&self) -> Option<String> {
        let good = |one: &Value| {
            let (labels, plan) = (&one["labels"], &one["scheduling"]);
            labels["cml-managed"] == "true"
                && labels["cml-deadline"].is_string()
                && plan["maxRunDuration"]["seconds"].is_string()
                && plan["instanceTerminationAction"] == "DELETE"
        };
        self.instances().into_iter().find(|one| !good(one)).map(|one| one.to_string())
    }

    fn ends_by_itself(&self) -> bool {
        self.instances().iter().all(|one| one["status"] == "RUNNING")
    }

    fn refusal(&self, why: Refusal) -> Response {
        match why {
            Refusal::Capacity => refusal(503, "insufficientCapacity", "not enough resources"),
            Refusal::Quota => refusal(403, "quotaExceeded", "Quota 'CPUS' exceeded."),
            Refusal::Throttled => refusal(403, "rateLimitExceeded", "Rate Limit Exceeded"),
            Refusal::Denied => refusal(403, "forbidden", "Required 'compute.x.y' permission for 'z'"),
        }
    }

    fn is_strained(&self, rng: &mut Rng) -> u8 {
        let times = 1 + rng.below(6) as usize;
        self.looks(rng.below(60) as u32);
        for zone in ["us-west1-a", "us-west1-b", "us-west1-c"] {
            for model in ["SPOT", "STANDARD"] {
                if rng.happens(50) {
                    self.is_full(zone, model);
                }
            }
        }
        let (code, exit) =
            rng.one_of(&[("ZONE_RESOURCE_POOL_EXHAUSTED", 11), ("QUOTA_EXCEEDED", 11), ("INTERNAL_ERROR", 9)]);
        self.fails("compute.instances.create", times, Wrong::Fails(code, "It failed."));
        exit
    }
}
