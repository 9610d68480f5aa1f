//! A forge, a cluster, and a launcher in a pipeline.

use crate::cloud::fixture::Launch;
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::kubernetes::{Kubernetes, TOKEN};
use crate::support::{Cml, Ran, eventually};
use serde_json::Value;

pub struct ClusterFixture {
    pub vendor: Vendor,
    pub forge: Forge,
    pub cluster: Kubernetes,
    pub cml: Cml,
}

impl ClusterFixture {
    pub fn new(vendor: Vendor) -> ClusterFixture {
        let cluster = Kubernetes::start();
        let (forge, cml) = launcher(vendor, &cluster.kubeconfig());
        ClusterFixture { vendor, forge, cluster, cml }
    }

    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        checked(self.cml.run(&[&["runner"], args].concat()))
    }

    /// Starts a launch.
    pub fn start(&self, args: &[&str]) -> Launch {
        Launch::start(&self.cml, &[&["runner", "launch"], args].concat())
    }

    /// Runs a launch to its end, in which the runner comes online as soon as its pod runs.
    pub fn launch(&self, args: &[&str]) -> Ran {
        let launch = self.start(args);
        self.until("the launch to end", || {
            let runs = self.cluster.objects("pods").values().any(|pod| pod["status"]["phase"] == "Running");
            if let Some(runner) = self.runners().iter().find(|runner| runs && runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            launch.is_over()
        });
        checked(launch.end())
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        let actions = || self.cluster.calls().into_iter().map(|call| call.action).collect::<Vec<_>>();
        eventually(what, there, || format!("{:?} {}", actions(), self.cml.read("log")));
    }

    /// The only Job.
    pub fn job(&self) -> Value {
        let jobs = self.cluster.objects("jobs");
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.into_values().next().unwrap()
    }

    /// The actions that had an effect.
    pub fn effects(&self) -> Vec<String> {
        self.cluster.effects()
    }

    /// Nothing is left, at the forge or in the cluster.
    pub fn is_clean(&self) {
        for kind in ["jobs", "pods", "secrets"] {
            assert!(self.cluster.objects(kind).is_empty(), "{kind} {}", self.cml.read("log"));
        }
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }
}

/// A forge, and a launcher in its CI.
pub fn launcher(vendor: Vendor, kubeconfig: &str) -> (Forge, Cml) {
    let forge = Forge::start();
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    forge.offer_download("actions-runner-linux-arm64-2.336.0.tar.gz", b"a runner for ARM");
    forge.offer_download("v1.2.3/binaries/gitlab-runner-linux-amd64", b"a runner");
    let mut cml = Cml::on(&forge, vendor);
    cml.set("KUBERNETES_CONFIGURATION", kubeconfig).set("CML_RUNNER_CLOUD", "kubernetes");
    cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
    cml.set("GITHUB_JOB", "launch").set("BITBUCKET_STEP_UUID", "{step}");
    (forge, cml)
}

/// Shows no secret.
fn checked(ran: Ran) -> Ran {
    assert!(!ran.stderr.contains(TOKEN) && !ran.stdout.contains(TOKEN), "{ran:#?}");
    ran
}
