//! Azure.

use super::{Fake, MACHINE, Refusal, Strained};
use crate::campaign::rng::Rng;
use crate::support::azure::{Azure, refusal};
use crate::support::fake::http::{Request, Response};
use crate::support::recorder::Wrong;
use serde_json::Value;

/// A public address, at 0.005 US dollars an hour: <https://azure.microsoft.com/pricing/details/ip-addresses/>, November 2026.
const ADDRESS: f64 = 0.005 * 730.0;

pub fn start() -> Fake {
    Box::new(Azure::start())
}

impl Strained for Azure {
    fn makes_instance(&self, request: &Request) -> bool {
        request.method == "PUT" && request.target.contains("/virtualMachines/")
    }

    fn instances(&self) -> Vec<String> {
        self.machines().into_keys().collect()
    }

    fn good_instances(&self) -> usize {
        self.machines().values().filter(|one| one["properties"]["provisioningState"] != "Failed").count()
    }

    fn power_off(&self) {
        self.machines().keys().for_each(|name| self.power_off(name));
    }

    fn end(&self, may_delete: bool) {
        for name in self.machines().keys() {
            self.power_off(name);
            if may_delete {
                self.run_deletion(name);
            }
        }
    }

    fn preempt(&self) {
        for (name, machine) in self.machines() {
            assert_eq!(machine["properties"]["evictionPolicy"], "Delete");
            self.evict(&name);
        }
    }

    /// A machine costs the same while it is off. With one that it takes back, Azure deletes the disk.
    fn monthly_cost(&self) -> f64 {
        let addresses = self.resources("Microsoft.Network/publicIPAddresses").len();
        self.machines().len() as f64 * MACHINE + addresses as f64 * ADDRESS
    }

    fn lacks(&self) -> Option<String> {
        let ends = |name: &str, machine: &Value| {
            machine["identity"]["userAssignedIdentities"].as_object().is_some_and(|all| !all.is_empty())
                && self.custom_data(name).contains("CML_DELETE")
        };
        let is_marked = |tags: &Value| tags["cml-managed"] == "true" && tags["cml-deadline"].is_string();
        let bad = self.machines().into_iter().find(|(name, one)| !is_marked(&one["tags"]) || !ends(name, one));
        bad.map(|(name, one)| format!("{name}: {one}"))
    }

    fn refusal(&self, why: Refusal) -> Response {
        match why {
            Refusal::Capacity => refusal(409, "AllocationFailed", "Allocation failed."),
            Refusal::Quota => refusal(409, "QuotaExceeded", "exceeding approved Cores quota."),
            Refusal::Throttled => refusal(429, "TooManyRequests", "Too many requests."),
            Refusal::Denied => refusal(403, "AuthorizationFailed", "no authorization to perform action 'x'"),
        }
    }

    fn is_strained(&self, rng: &mut Rng) -> u8 {
        let times = 1 + rng.below(6) as usize;
        let (code, exit) = rng.one_of(&[
            ("AllocationFailed", 11),
            ("SkuNotAvailable", 11),
            ("QuotaExceeded", 11),
            ("RetryableError", 9),
            ("InternalExecutionError", 9),
        ]);
        self.looks(rng.below(60) as u32);
        self.fails("Microsoft.Compute/virtualMachines/write", times, Wrong::Fails(code, "It failed."));
        exit
    }
}
