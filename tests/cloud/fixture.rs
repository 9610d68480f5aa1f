//! A forge, a cloud, and a launcher in a pipeline.

use crate::support::ec2::{Ec2, Machine};
use crate::support::fake::{Doing, Forge, Runner, Vendor};
use crate::support::{Cml, Ran, TIMEOUT, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

pub struct CloudFixture {
    pub vendor: Vendor,
    pub forge: Forge,
    pub ec2: Ec2,
    pub cml: Cml,
}

impl CloudFixture {
    /// `None` where there is no moto.
    pub fn new(vendor: Vendor, region: &'static str) -> Option<CloudFixture> {
        Some(CloudFixture::of(vendor, Ec2::start(region)?))
    }

    /// The same on another EC2.
    pub fn of(vendor: Vendor, ec2: Ec2) -> CloudFixture {
        let region = ec2.region;
        let forge = Forge::start();
        forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
        forge.offer_download("actions-runner-linux-arm64-2.336.0.tar.gz", b"a runner for ARM");
        forge.offer_download("v1.2.3/binaries/gitlab-runner-linux-amd64", b"a runner");
        let mut cml = Cml::on(&forge, vendor);
        cml.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", SECRET);
        cml.set("AWS_ENDPOINT_URL", &ec2.url()).set("CML_RUNNER_CLOUD", "aws").set("CML_RUNNER_CLOUD_REGION", region);
        cml.set("CML_RUNNER_BOOTSTRAP_URL", "https://mirror.example/cml-linux-x86_64");
        cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &"5e".repeat(32));
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        cml.set("AWS_EC2_METADATA_DISABLED", "true").set("GITHUB_JOB", "launch").set("BITBUCKET_STEP_UUID", "{step}");
        CloudFixture { vendor, forge, ec2, cml }
    }

    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    /// Runs a verb to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.cml.run(&[&["runner"], args].concat())
    }

    /// Starts a launch.
    pub fn start(&self, args: &[&str]) -> Launch {
        Launch::start(&self.cml, &[&["runner", "launch"], args].concat())
    }

    /// Runs a launch to its end, in which the machine boots at once.
    pub fn launch(&self, args: &[&str]) -> Ran {
        let mut launch = self.start(args);
        let end = Instant::now() + TIMEOUT;
        while launch.child.try_wait().unwrap().is_none() && Instant::now() < end {
            let boots = !self.ec2.of("DescribeInstances").is_empty();
            if let Some(runner) = self.runners().iter().find(|runner| boots && runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        launch.end()
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || format!("{:?} {}", self.ec2.actions(), self.cml.read("log")));
    }

    /// The only machine.
    pub fn machine(&self) -> Machine {
        let machines = self.ec2.alive();
        assert_eq!(machines.len(), 1, "{machines:?}");
        machines.into_iter().next().unwrap()
    }

    /// Nothing is left, at the forge or in the cloud.
    pub fn is_clean(&self) {
        assert_eq!(self.ec2.alive(), [], "{}", self.cml.read("log"));
        assert!(self.runners().is_empty(), "{:?} {}", self.runners(), self.cml.read("log"));
    }
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
    let fleets = fixture.ec2.of("CreateFleet");
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
