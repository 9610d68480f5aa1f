//! A machine from a step of a workflow: with `command: runner launch` in the action's own step, and in a later step through
//! the launcher. Nothing is downloaded for it: what the machine runs is known by the digest that the action has on record.

use super::{SECRET, VERSION};
use crate::support::Ran;
use crate::support::ec2::Ec2;
use crate::support::fake::{Doing, Forge, Kind, Vendor};
use crate::support::moto::Moto;
use crate::support::node::Runner;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The digest of the release's program, as `dist/native.json` has it.
const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const NAME: &str = "cml-x86_64-linux";

/// A job on GitHub, with a cloud of its own.
struct Job {
    forge: Forge,
    ec2: Ec2,
    runner: Runner,
}

impl Job {
    fn new(region: &'static str) -> Option<Job> {
        let moto = Arc::new(Moto::start_with_machines()?);
        let (forge, ec2, mut runner) = (Forge::start(), Ec2::over(moto, region)?, Runner::new()?);
        forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
        forge.fault("HEAD /org/setup-cml-rs/releases/download", 9, Kind::answer(200, &[], ""));
        let record = json!({ "files": { "linux-x86_64": { "name": NAME, "sha256": DIGEST } } });
        std::fs::write(runner.action.join("dist/native.json"), record.to_string()).unwrap();
        runner.set("GITHUB_SERVER_URL", forge.url()).set("GITHUB_API_URL", &forge.api(Vendor::GitHub));
        runner.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", SECRET);
        runner.set("AWS_ENDPOINT_URL", &ec2.url()).set("GITHUB_JOB", "launch");
        Some(Job { forge, ec2, runner })
    }

    /// The address of the program in the release.
    fn release(&self) -> String {
        format!("{}/org/setup-cml-rs/releases/download/v{VERSION}/{NAME}", self.forge.url())
    }

    /// Runs a step to its end, in which the machine boots at once.
    fn launch(&self, mut step: Command) -> Ran {
        let mut child = step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() && Instant::now() < end {
            let boots = !self.ec2.of("DescribeInstances").is_empty();
            let runners = self.forge.runners(Vendor::GitHub, Vendor::GitHub.slug());
            if let Some(runner) = runners.iter().find(|runner| boots && runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// A machine has been launched and told about; it gets the release's program. CML's line.
    fn has_launched(&self, ran: &Ran) -> Value {
        assert_eq!(ran.code, Some(0), "{ran:#?} {:?} {}", self.ec2.calls(), self.forge.transcript());
        let (machines, runners) = (self.ec2.alive(), self.forge.runners(Vendor::GitHub, Vendor::GitHub.slug()));
        assert_eq!((machines.len(), runners.len()), (1, 1), "{ran:#?}");
        let line: Value = serde_json::from_str(ran.stderr.lines().last().unwrap_or_default()).unwrap();
        assert_eq!((&line["instanceId"], &line["id"]), (&json!(machines[0].id), &json!(runners[0].name)), "{line}");
        let outputs = self.runner.read("GITHUB_OUTPUT");
        for (name, value) in [("runner-name", &runners[0].name), ("instance-id", &machines[0].id)] {
            let (_, rest) = outputs.split_once(&format!("{name}<<")).unwrap_or_else(|| panic!("{name}: {outputs}"));
            assert_eq!(rest.lines().nth(1), Some(value.as_str()), "{outputs}");
        }
        let script = self.script();
        assert!(script.contains(&self.release()) && script.contains(DIGEST), "{script}");
        // Neither the native program nor anything else.
        let got = |request: &&crate::support::fake::Recorded| {
            request.method == "GET" && !request.path.starts_with("/github/")
        };
        let downloads: Vec<_> = self.forge.requests().iter().filter(got).map(|request| request.path.clone()).collect();
        assert_eq!(downloads, Vec::<String>::new());
        line
    }

    /// What the machine runs first.
    fn script(&self) -> String {
        let fleet = &self.ec2.of("CreateFleet")[0].fields;
        let data = fleet.iter().find(|(name, _)| name.ends_with("LaunchTemplateSpecificationUserData")).unwrap().1;
        String::from_utf8(STANDARD.decode(data).unwrap()).unwrap()
    }
}

#[test]
fn a_step_launches_a_machine() {
    let Some(mut job) = Job::new("eu-central-2") else { return };
    job.runner.set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
    let inputs = [
        ("command", "runner launch"),
        ("cloud", "aws"),
        ("cloud-region", "eu-central-2"),
        ("cloud-spot", "true"),
        ("cloud-metadata", "team=ml\nstage=test\n"),
        ("labels", "gpu,big"),
        ("token", "good"),
    ];
    let ran = job.launch(job.runner.step(&inputs));
    let line = job.has_launched(&ran);
    for (name, value) in [
        ("labels", json!("gpu,big")),
        ("region", json!("eu-central-2")),
        ("spot", json!(true)),
        ("metadata", json!({ "team": "ml", "stage": "test" })),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    // The secret is in the line only that masks it.
    assert_eq!((ran.stdout.matches(SECRET).count(), ran.stderr.matches(SECRET).count()), (1, 0), "{ran:#?}");
}

#[test]
fn a_later_step_knows_whose_release_the_machine_gets() {
    let Some(mut job) = Job::new("af-south-1") else { return };
    job.runner.set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
    job.runner.uses(&[]).ok();
    // The runner says this to the steps of the action only, and to another action's step it says its own.
    for repository in [None, Some("another/action")] {
        job.runner.env.remove("GITHUB_ACTION_REPOSITORY");
        repository.map(|repository| job.runner.set("GITHUB_ACTION_REPOSITORY", repository));
        job.runner.set("REPO_TOKEN", "good");
        let ran = job.launch(job.runner.script("cml runner launch --cloud=aws --cloud-region=af-south-1"));
        job.has_launched(&ran);
        let stop = job.runner.run(&format!(
            "cml runner stop --cloud=aws --cloud-region=af-south-1 {}",
            job.forge.runners(Vendor::GitHub, Vendor::GitHub.slug())[0].name
        ));
        assert_eq!(stop.code, Some(0), "{stop:#?}");
        std::fs::write(job.runner.path("GITHUB_OUTPUT"), "").unwrap();
    }
}

#[test]
fn a_mirror_that_a_step_names_goes_before_what_an_earlier_one_noted() {
    let Some(mut job) = Job::new("ap-southeast-5") else { return };
    job.runner.set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
    job.runner.uses(&[]).ok();
    job.forge.fault("HEAD /store", 1, Kind::answer(200, &[], ""));
    let mirror = job.forge.store_url();
    let inputs = [
        ("command", "runner launch"),
        ("cloud", "aws"),
        ("cloud-region", "ap-southeast-5"),
        ("native-url", mirror.as_str()),
        ("token", "good"),
    ];
    let ran = job.launch(job.runner.step(&inputs));
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let script = job.script();
    assert!(script.contains(&format!("{mirror}/{NAME}")) && !script.contains(&job.release()), "{script}");
}

/// As the runner cancels a step: SIGINT, after 7.5 seconds SIGTERM, after 2.5 more its end.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-cancellation>
#[test]
fn a_cancelled_step_leaves_nothing() {
    let Some(mut job) = Job::new("ap-southeast-4") else { return };
    job.runner.set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
    let inputs =
        [("command", "runner launch"), ("cloud", "aws"), ("cloud-region", "ap-southeast-4"), ("token", "good")];
    let mut step = job.runner.step(&inputs);
    let child = step.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while job.ec2.of("DescribeInstances").is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let cancelled = Instant::now();
    for signal in ["-INT", "-TERM"] {
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(cancelled.elapsed() < Duration::from_secs(10), "{:?}", cancelled.elapsed());
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("::error::the launch was interrupted by SIGINT"), "{text}");
    assert_eq!(job.ec2.alive(), [], "{text}");
    assert!(job.forge.runners(Vendor::GitHub, Vendor::GitHub.slug()).is_empty(), "{text}");
}
