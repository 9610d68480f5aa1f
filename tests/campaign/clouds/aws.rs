//! AWS.

use super::{Fake, MACHINE, Refusal, Strained};
use crate::campaign::rng::Rng;
use crate::support::ec2::{Ec2, Machine, refusal};
use crate::support::fake::http::{Request, Response};
use crate::support::recorder::Wrong;
use std::time::Duration;

pub fn start() -> Fake {
    Box::new(Ec2::scripted("eu-west-3"))
}

fn does(request: &Request, action: &str) -> bool {
    String::from_utf8_lossy(&request.body).contains(&format!("Action={action}"))
}

impl Strained for Ec2 {
    fn has_effect(&self, request: &Request) -> bool {
        does(request, "Create") || does(request, "Terminate")
    }

    fn makes_instance(&self, request: &Request) -> bool {
        does(request, "CreateFleet")
    }

    fn pass(&self, time: Duration) {
        self.script().pass(time);
    }

    fn instances(&self) -> Vec<String> {
        self.alive().into_iter().map(|machine| machine.id).collect()
    }

    fn power_off(&self) {
        self.script().power_off();
    }

    fn preempt(&self) {
        let fleet = self.of("CreateFleet").pop().unwrap().fields;
        assert_eq!(fleet["SpotOptions.InstanceInterruptionBehavior"], "terminate");
        self.script().preempt();
    }

    fn monthly_cost(&self) -> f64 {
        self.alive().len() as f64 * MACHINE
    }

    fn lacks(&self) -> Option<String> {
        let is_marked = |machine: &Machine| {
            machine.tags.get("cml-managed").is_some_and(|value| value == "true")
                && machine.tags.contains_key("cml-deadline")
        };
        let unmarked = self.alive().into_iter().find(|machine| !is_marked(machine));
        let templates = self.of("CreateLaunchTemplate");
        let stays = templates.iter().any(|call| {
            call.fields.get("LaunchTemplateData.InstanceInitiatedShutdownBehavior").map(String::as_str)
                != Some("terminate")
        });
        unmarked.map(|machine| format!("{machine:?}")).or_else(|| stays.then(|| format!("{templates:?}")))
    }

    fn refusal(&self, why: Refusal) -> Response {
        match why {
            Refusal::Capacity => refusal(500, "InsufficientInstanceCapacity", "There is none."),
            Refusal::Quota => refusal(400, "VcpuLimitExceeded", "You have requested more vCPU capacity."),
            Refusal::Throttled => refusal(503, "RequestLimitExceeded", "Request limit exceeded."),
            Refusal::Denied => refusal(403, "UnauthorizedOperation", "You are not authorized."),
        }
    }

    fn is_strained(&self, rng: &mut Rng) -> u8 {
        self.script().lags(Duration::from_millis(rng.below(3000)));
        let code = rng.one_of(&[
            "InsufficientInstanceCapacity",
            "SpotMaxPriceTooLow",
            "MaxSpotInstanceCountExceeded",
            "VcpuLimitExceeded",
        ]);
        let times = if rng.happens(50) { 1 + rng.below(6) as usize } else { 0 };
        self.fails("CreateFleet", times, Wrong::Fails(code, "There is none."));
        11
    }
}
