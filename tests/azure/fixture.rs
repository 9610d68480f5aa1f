//! A forge, Azure, and a launcher in a pipeline.

use crate::cloud::fixture::Launch;
use crate::support::azure::{Azure, SECRET, TOKEN};
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::{Cml, Ran, eventually};
use serde_json::Value;

pub const WRITE: &str = "Microsoft.Compute/virtualMachines/write";
pub const DELETE: &str = "Microsoft.Compute/virtualMachines/delete";

pub struct AzureFixture {
    pub vendor: Vendor,
    pub forge: Forge,
    pub azure: Azure,
    pub cml: Cml,
}

impl AzureFixture {
    /// With the network that an earlier launch has made.
    pub fn new(vendor: Vendor) -> AzureFixture {
        let fixture = AzureFixture::without_network(vendor);
        fixture.azure.make_network("westus2");
        fixture
    }

    pub fn without_network(vendor: Vendor) -> AzureFixture {
        let azure = Azure::start();
        let forge = Forge::start();
        forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
        forge.offer_download("actions-runner-linux-arm64-2.336.0.tar.gz", b"a runner for ARM");
        forge.offer_download("v1.2.3/binaries/gitlab-runner-linux-amd64", b"a runner");
        let mut cml = Cml::on(&forge, vendor);
        for (name, value) in azure.variables() {
            cml.set(name, &value);
        }
        cml.set("CML_RUNNER_CLOUD", "azure");
        cml.set("CML_RUNNER_BOOTSTRAP_URL", "https://mirror.example/cml-linux-x86_64");
        cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &"5e".repeat(32));
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        cml.set("GITHUB_JOB", "launch").set("BITBUCKET_STEP_UUID", "{step}");
        AzureFixture { vendor, forge, azure, cml }
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

    /// Runs a launch to its end, in which the runner comes online as soon as its machine runs.
    pub fn launch(&self, args: &[&str]) -> Ran {
        let launch = self.start(args);
        self.until("the launch to end", || {
            let is_watched = self.azure.calls().iter().any(|call| call.is_look());
            if let Some(runner) = self.runners().iter().find(|runner| is_watched && runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            launch.is_over()
        });
        checked(launch.end())
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || format!("{:?} {}", self.actions(), self.cml.read("log")));
    }

    /// What was asked of the Resource Manager.
    pub fn actions(&self) -> Vec<String> {
        self.azure.actions()
    }

    /// The actions that had an effect.
    pub fn effects(&self) -> Vec<String> {
        self.azure.effects()
    }

    /// The only machine.
    pub fn machine(&self) -> (String, Value) {
        let machines = self.azure.machines();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines.into_iter().next().unwrap()
    }

    /// Nothing is left, at the forge or in Azure.
    pub fn is_clean(&self) {
        assert_eq!(self.azure.billed(), [""; 0], "{}", self.cml.read("log"));
        assert!(self.azure.resources("Microsoft.Network/networkInterfaces").is_empty(), "{}", self.cml.read("log"));
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }
}

/// Shows no secret.
fn checked(ran: Ran) -> Ran {
    for secret in [SECRET, TOKEN] {
        assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:#?}");
    }
    ran
}
