//! A forge, a cloud, and a launcher in a pipeline.

pub use crate::support::ec2::SECRET;

use crate::support::clouds::FakeCloud;
use crate::support::ec2::{Ec2, Machine};
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::{Cml, Ran, TIMEOUT, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub struct Fixture<C> {
    pub vendor: Vendor,
    pub forge: Forge,
    pub cloud: C,
    pub cml: Cml,
}

/// On AWS.
pub type CloudFixture = Fixture<Ec2>;

impl Fixture<Ec2> {
    /// `None` where there is no moto.
    pub fn new(vendor: Vendor, region: &'static str) -> Option<CloudFixture> {
        Some(Fixture::of(vendor, Ec2::start(region)?))
    }

    /// The only machine.
    pub fn machine(&self) -> Machine {
        let machines = self.cloud.alive();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines.into_iter().next().unwrap()
    }
}

impl<C: FakeCloud> Fixture<C> {
    pub fn of(vendor: Vendor, cloud: C) -> Fixture<C> {
        let forge = Forge::start();
        let cml = launcher(&forge, vendor, &cloud);
        Fixture { vendor, forge, cloud, cml }
    }

    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.checked(self.cml.run(&[&["runner"], args].concat()))
    }

    /// Starts a launch.
    pub fn start(&self, args: &[&str]) -> Launch {
        Launch::start(&self.cml, &[&["runner", "launch"], args].concat())
    }

    /// Runs a launch to its end, in which the runner comes online as soon as its instance runs.
    pub fn launch(&self, args: &[&str]) -> Ran {
        let launch = self.start(args);
        self.until("the launch to end", || {
            let offline = self.runners().into_iter().find(|runner| runner.doing == Doing::Offline);
            if let Some(runner) = offline.filter(|_| self.cloud.runs()) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            launch.is_over()
        });
        self.checked(launch.end())
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || format!("{:?} {}", self.cloud.actions(), self.cml.read("log")));
    }

    /// Nothing is left, at the forge or in the cloud.
    pub fn is_clean(&self) {
        assert_eq!(self.cloud.left(), [""; 0], "{}", self.cml.read("log"));
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }

    /// Shows no secret.
    fn checked(&self, ran: Ran) -> Ran {
        for secret in self.cloud.secrets() {
            assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{ran:#?}");
        }
        ran
    }
}

/// A launcher in a forge's pipeline, for a cloud.
pub fn launcher(forge: &Forge, vendor: Vendor, cloud: &dyn FakeCloud) -> Cml {
    let mut cml = launcher_without_cloud(forge, vendor);
    for (name, value) in cloud.environment() {
        cml.set(name, &value);
    }
    cml.set("CML_RUNNER_CLOUD", cloud.name()).set("CML_RUNNER_CLOUD_REGION", cloud.region());
    if cloud.name() != "kubernetes" {
        cml.set("CML_RUNNER_BOOTSTRAP_URL", "https://mirror.example/cml-linux-x86_64");
        cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &"5e".repeat(32));
    }
    cml
}

/// A launcher in a forge's pipeline, which offers the programs of runners.
pub fn launcher_without_cloud(forge: &Forge, vendor: Vendor) -> Cml {
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    forge.offer_download("actions-runner-linux-arm64-2.336.0.tar.gz", b"a runner for ARM");
    forge.offer_download("v1.2.3/binaries/gitlab-runner-linux-amd64", b"a runner");
    let mut cml = Cml::on(forge, vendor);
    cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
    cml.set("GITHUB_JOB", "launch").set("BITBUCKET_STEP_UUID", "{step}");
    cml
}

/// Ends with its test.
pub struct Launch {
    child: Child,
    folder: std::path::PathBuf,
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Launch {
    pub fn start(cml: &Cml, args: &[&str]) -> Launch {
        let mut command = cml.command(args);
        let log = cml.path().join("log");
        let out = std::fs::File::create(cml.path().join("out")).unwrap();
        let child = command.stdout(out).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Launch { child, folder: cml.path().to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    /// Whether it has ended; it stays a zombie.
    pub fn is_over(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    }

    pub fn kill_now(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn end(mut self) -> Ran {
        let end = Instant::now() + TIMEOUT;
        let read = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let ran = Ran { code: status.code(), stdout: read("out"), stderr: read("log") };
                assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET), "{ran:#?}");
                return ran;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                panic!("it does not end: {}", read("log"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What EC2 was given for the machine's first boot.
pub fn user_data(fixture: &CloudFixture) -> String {
    let fleets = fixture.cloud.of("CreateFleet");
    let mut fields = fleets.iter().flat_map(|call| &call.fields);
    let data = fields.find(|(name, _)| name.ends_with("LaunchTemplateSpecificationUserData")).unwrap().1;
    String::from_utf8(STANDARD.decode(data).unwrap()).unwrap()
}

/// Ends a process that may be gone already.
pub fn kill(pid: u32) {
    signal(pid, "KILL");
}

/// Sends a signal to a process that may be gone already.
pub fn signal(pid: u32, name: &str) {
    let args = [format!("-{name}"), pid.to_string()];
    let _ = std::process::Command::new("kill").args(args).stderr(Stdio::null()).status();
}

/// The last line, which is for scripts.
pub fn last_line(ran: &Ran) -> Value {
    let line = ran.stderr.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {ran:#?}"))
}
