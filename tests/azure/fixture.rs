//! A forge, Azure, and a launcher in a pipeline.

use crate::cloud::fixture::Fixture;
use crate::support::azure::Azure;
use crate::support::fake::Vendor;
use serde_json::Value;

pub const WRITE: &str = "Microsoft.Compute/virtualMachines/write";
pub const DELETE: &str = "Microsoft.Compute/virtualMachines/delete";

pub type AzureFixture = Fixture<Azure>;

impl Fixture<Azure> {
    /// With the network that an earlier launch has made.
    pub fn new(vendor: Vendor) -> AzureFixture {
        let fixture = AzureFixture::without_network(vendor);
        fixture.cloud.make_network("westus2");
        fixture
    }

    pub fn without_network(vendor: Vendor) -> AzureFixture {
        let mut fixture = Fixture::of(vendor, Azure::start());
        // The usual one.
        fixture.cml.unset("CML_RUNNER_CLOUD_REGION");
        fixture
    }

    /// The only machine.
    pub fn machine(&self) -> (String, Value) {
        let machines = self.cloud.machines();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines.into_iter().next().unwrap()
    }
}
