//! A forge, a Compute Engine, and a launcher in a pipeline.

use crate::cloud::fixture::Fixture;
use crate::support::fake::Vendor;
use crate::support::gce::Gce;
use serde_json::Value;

pub type GcpFixture = Fixture<Gce>;

impl Fixture<Gce> {
    /// With the key of a service account.
    pub fn new(vendor: Vendor) -> GcpFixture {
        Fixture::of(vendor, Gce::start())
    }

    pub fn without_credentials(vendor: Vendor) -> GcpFixture {
        let mut fixture = GcpFixture::new(vendor);
        fixture.cml.unset("GOOGLE_APPLICATION_CREDENTIALS_DATA");
        fixture
    }

    /// The only instance.
    pub fn instance(&self) -> Value {
        let found = self.cloud.instances();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    /// The zones and models of all attempts.
    pub fn attempts(&self) -> Vec<String> {
        let inserts = self.cloud.of("compute.instances.create").into_iter();
        let attempt = |body: Value| {
            let machine = body["machineType"].as_str().unwrap().replace("zones/", "").replace("machineTypes/", "");
            format!("{machine} {}", body["scheduling"]["provisioningModel"].as_str().unwrap())
        };
        inserts.map(|call| attempt(call.body)).collect()
    }
}
