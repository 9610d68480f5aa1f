//! A forge, a cluster, and a launcher in a pipeline.

use crate::cloud::fixture::Fixture;
use crate::support::fake::Vendor;
use crate::support::kubernetes::Kubernetes;
use serde_json::Value;

pub type ClusterFixture = Fixture<Kubernetes>;

impl Fixture<Kubernetes> {
    pub fn new(vendor: Vendor) -> ClusterFixture {
        Fixture::of(vendor, Kubernetes::start())
    }

    /// The only Job.
    pub fn job(&self) -> Value {
        let jobs = self.cloud.objects("jobs");
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.into_values().next().unwrap()
    }
}
