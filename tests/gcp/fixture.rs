//! A forge, a Compute Engine, and a launcher in a pipeline.

use crate::cloud::fixture::Launch;
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::gce::Gce;
use crate::support::{Cml, Ran, eventually};
use serde_json::Value;

pub struct GcpFixture {
    pub vendor: Vendor,
    pub forge: Forge,
    pub gce: Gce,
    pub cml: Cml,
}

impl GcpFixture {
    /// With the key of a service account.
    pub fn new(vendor: Vendor) -> GcpFixture {
        let mut fixture = GcpFixture::without_credentials(vendor);
        fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS_DATA", &Gce::key());
        fixture
    }

    pub fn without_credentials(vendor: Vendor) -> GcpFixture {
        let gce = Gce::start();
        let forge = Forge::start();
        forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
        forge.offer_download("actions-runner-linux-arm64-2.336.0.tar.gz", b"a runner for ARM");
        forge.offer_download("v1.2.3/binaries/gitlab-runner-linux-amd64", b"a runner");
        let mut cml = Cml::on(&forge, vendor);
        for (name, value) in gce.variables() {
            cml.set(name, &value);
        }
        cml.set("CML_RUNNER_CLOUD", "gcp").set("CML_RUNNER_CLOUD_REGION", "us-west");
        cml.set("CML_RUNNER_BOOTSTRAP_URL", "https://mirror.example/cml-linux-x86_64");
        cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &"5e".repeat(32));
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        cml.set("GITHUB_JOB", "launch").set("BITBUCKET_STEP_UUID", "{step}");
        GcpFixture { vendor, forge, gce, cml }
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

    /// Runs a launch to its end, in which the runner comes online as soon as its instance runs.
    pub fn launch(&self, args: &[&str]) -> Ran {
        let launch = self.start(args);
        self.until("the launch to end", || {
            let runs = self.gce.instances().iter().any(|one| one["status"] == "RUNNING");
            if let Some(runner) = self.runners().iter().find(|runner| runs && runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            launch.is_over()
        });
        checked(launch.end())
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        let actions = || self.gce.calls().into_iter().map(|call| call.action).collect::<Vec<_>>();
        eventually(what, there, || format!("{:?} {}", actions(), self.cml.read("log")));
    }

    /// The only instance.
    pub fn instance(&self) -> Value {
        let found = self.gce.instances();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    /// The zones and models of all attempts.
    pub fn attempts(&self) -> Vec<String> {
        let inserts = self.gce.of("compute.instances.create").into_iter();
        let attempt = |body: Value| {
            let machine = body["machineType"].as_str().unwrap().replace("zones/", "").replace("machineTypes/", "");
            format!("{machine} {}", body["scheduling"]["provisioningModel"].as_str().unwrap())
        };
        inserts.map(|call| attempt(call.body)).collect()
    }

    /// Nothing is left, at the forge or in the cloud.
    pub fn is_clean(&self) {
        assert_eq!(self.gce.billed(), [""; 0], "{}", self.cml.read("log"));
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }
}

/// Shows neither a key nor a token.
fn checked(ran: Ran) -> Ran {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let of_key = crate::support::gce::KEY.lines().nth(3).unwrap();
    assert!(!all.contains("PRIVATE KEY") && !all.contains(of_key) && !all.contains("ya29."), "{ran:#?}");
    assert!(!all.contains("eyJhbGciOiJSUzI1NiI"), "{ran:#?}");
    ran
}
