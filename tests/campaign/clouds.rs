//! The clouds, as the campaign sees them: what there is, what it costs, and what ends it.

use super::rng::Rng;
use crate::support::clouds::FakeCloud;
use crate::support::fake::http::{Request, Response};
use std::time::Duration;

#[cfg_attr(not(feature = "aws"), allow(dead_code))]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "kubernetes")]
mod kubernetes;

/// What a machine costs a month, at one US dollar an hour.
const MACHINE: f64 = 730.0;

/// A cloud.
#[derive(Clone, Copy)]
pub struct Kind {
    name: &'static str,
    start: fn() -> Fake,
}

const KINDS: &[Kind] = &[
    #[cfg(feature = "aws")]
    Kind { name: "aws", start: aws::start },
    #[cfg(feature = "azure")]
    Kind { name: "azure", start: azure::start },
    #[cfg(feature = "gcp")]
    Kind { name: "gcp", start: gcp::start },
    #[cfg(feature = "kubernetes")]
    Kind { name: "kubernetes", start: kubernetes::start },
];

/// All clouds, or that of `CML_TEST_CLOUD`.
pub fn kinds() -> Vec<Kind> {
    let wanted = std::env::var("CML_TEST_CLOUD").ok();
    KINDS.iter().copied().filter(|kind| wanted.as_ref().is_none_or(|name| name == kind.name)).collect()
}

impl Kind {
    /// The name that `--cloud` takes.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its instances have Docker, which Bitbucket's runner needs.
    pub fn has_docker(&self) -> bool {
        self.name != "kubernetes"
    }

    pub fn start(&self) -> Fake {
        (self.start)()
    }
}

/// A fake of a cloud.
pub type Fake = Box<dyn Strained>;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Capacity,
    Quota,
    Throttled,
    Denied,
}

/// A fake of a cloud in which much goes wrong.
pub trait Strained: FakeCloud {
    /// Whether a request changes something.
    fn has_effect(&self, request: &Request) -> bool {
        let asks = ["testIamPermissions", "selfsubjectaccessreviews", "dryRun=All", "/token", "DiagnosticsData"];
        !request.is_read() && !asks.iter().any(|part| request.target.contains(part))
    }

    /// Whether a request makes an instance.
    fn makes_instance(&self, request: &Request) -> bool;

    /// Time passes.
    fn pass(&self, _: Duration) {}

    /// The instances that there are, in whatever state.
    fn instances(&self) -> Vec<String>;

    /// Those that a job could run on, now or soon: whose creation has not failed.
    fn good_instances(&self) -> usize {
        self.instances().len()
    }

    /// Those that run power off, or end.
    fn power_off(&self);

    /// The runner of those that run ends, and with it what the instance does at its end. `may_delete`: whether its identity, if it needs one,
    /// may delete it.
    fn end(&self, _may_delete: bool) {
        self.power_off();
    }

    /// The cloud takes those back that run.
    fn preempt(&self) {
        self.power_off();
    }

    /// What all that is there costs a month, in US dollars.
    fn monthly_cost(&self) -> f64;

    /// What an instance lacks of our labels, and of what ends it whatever happens to the launcher.
    fn lacks(&self) -> Option<String>;

    /// Whether the cloud itself ends what is there when its time is over, without `reap`.
    fn ends_by_itself(&self) -> bool {
        false
    }

    /// What such a refusal is.
    fn refusal(&self, why: Refusal) -> Response;

    /// Something goes wrong or slowly in the cloud itself. Returns the exit code that it may lead to.
    fn is_strained(&self, rng: &mut Rng) -> u8;
}
