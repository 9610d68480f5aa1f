//! Kubernetes.

use super::{Fake, MACHINE, Refusal, Strained};
use crate::campaign::rng::Rng;
use crate::support::fake::http::{Request, Response};
use crate::support::kubernetes::{Kubernetes, PodFate, refusal};
use serde_json::Value;
use std::time::Duration;

pub fn start() -> Fake {
    Box::new(Kubernetes::start())
}

impl Strained for Kubernetes {
    fn makes_instance(&self, request: &Request) -> bool {
        request.method == "POST" && request.target.ends_with("/jobs")
    }

    fn pass(&self, time: Duration) {
        Kubernetes::pass(self, time);
    }

    fn instances(&self) -> Vec<String> {
        self.objects("jobs").into_keys().collect()
    }

    /// The pod of a Job whose launcher was killed before it made the Secret waits some minutes for it, and ends.
    fn good_instances(&self) -> usize {
        let secrets = self.objects("secrets");
        self.instances().iter().filter(|name| secrets.contains_key(*name)).count()
    }

    fn power_off(&self) {
        self.objects("jobs").keys().for_each(|job| self.end_pod(job, 1, "Error"));
    }

    fn monthly_cost(&self) -> f64 {
        self.billed().len() as f64 * MACHINE
    }

    fn lacks(&self) -> Option<String> {
        let good = |one: &Value| {
            one["metadata"]["labels"]["cml-managed"] == "true"
                && one["metadata"]["annotations"]["cml-deadline"].is_string()
                && one["spec"]["activeDeadlineSeconds"].is_u64()
                && one["spec"]["ttlSecondsAfterFinished"].is_u64()
        };
        // It goes with its Job.
        let is_owned = |one: &Value| one["metadata"]["ownerReferences"][0]["kind"] == "Job";
        let jobs = self.objects("jobs").into_values().filter(|one| !good(one));
        let secrets = self.objects("secrets").into_values().filter(|one| !is_owned(one));
        jobs.chain(secrets).next().map(|one| one.to_string())
    }

    fn ends_by_itself(&self) -> bool {
        true
    }

    fn refusal(&self, why: Refusal) -> Response {
        let quota = "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1";
        let right = "jobs.batch is forbidden: User \"ci\" cannot create resource \"jobs\" in API group \"batch\"";
        match why {
            Refusal::Capacity | Refusal::Quota => refusal(403, "Forbidden", quota),
            Refusal::Throttled => refusal(429, "TooManyRequests", "too many requests"),
            Refusal::Denied => refusal(403, "Forbidden", right),
        }
    }

    fn is_strained(&self, rng: &mut Rng) -> u8 {
        // As many draws as the others.
        rng.below(6);
        let quota = "Error creating: pods \"x\" is forbidden: exceeded quota: q, requested: pods=1";
        let (fate, exit) = match rng.below(4) {
            0 => (PodFate::Unschedulable("0/3 nodes are available: 3 Insufficient cpu."), 11),
            1 => (PodFate::Wait("ImagePullBackOff", "Back-off pulling image"), 12),
            2 => (PodFate::None(quota), 11),
            _ => (PodFate::End(1), 12),
        };
        self.pods_go(fate);
        exit
    }
}
