//! What `cml runner launch` costs until the launch is accepted: requests, sequential round trips and time, against moto as the EC2, the
//! scripted Azure, Compute Engine or API server of Kubernetes, and the fake GitHub of the tests, with no latency and with 50 ms added to
//! each request of both. Azure's has the network of an earlier launch, Compute Engine's not its firewall rule.
//!
//! `cargo xtask bench` runs it on the program that users get; `CML_BENCH_BIN` names another one. Nothing fails because of
//! times: the machine may be busy, and moto takes its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

#[allow(dead_code)] // made for tests, which need more
#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::Cml;
#[cfg(feature = "azure")]
use support::azure::Azure;
use support::clouds::FakeCloud;
use support::ec2::Ec2;
use support::fake::{Forge, Vendor};
#[cfg(feature = "gcp")]
use support::gce::Gce;
use support::kubernetes::Kubernetes;
use support::moto::Moto;

const LATENCY: Duration = Duration::from_millis(50);
const RUNS: usize = 5;
const REGION: &str = "eu-west-3";

fn main() {
    let mut rows = vec![
        measured("Kubernetes", &launch_pod),
        #[cfg(feature = "azure")]
        measured("Azure", &launch_on_azure),
        #[cfg(feature = "gcp")]
        measured("Google Cloud", &launch_on_gcp),
    ];
    // All launches meet in one account: what the first one makes (its template, its group) is there for the others.
    if let Some(moto) = Moto::with_machines(REGION) {
        for (case, args) in [
            ("AWS, on demand", &[][..]),
            ("AWS, spot, or on demand", &["--cloud-spot"]),
            ("AWS, of one type", &["--cloud-type=t3.micro"]),
        ] {
            rows.push(measured(case, &|latency| launch_machine(&moto, args, latency)));
        }
    }
    println!(
        "| launch | requests to the cloud | to the forge | sequential round trips | ms at once | ms at 50 ms | ratio |"
    );
    println!("| :--- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for Row { case, at_once, slow, round_trips } in &rows {
        let (fast, late) = (at_once.wall.as_secs_f64() * 1000.0, slow.wall.as_secs_f64() * 1000.0);
        let Run { cloud, forge, .. } = at_once;
        println!(
            "| {case} | {} | {forge} | {round_trips:.1} | {fast:.0} | {late:.0} | {:.1} |",
            cloud.values().sum::<usize>(),
            late / fast
        );
    }
    for Row { case, at_once, .. } in &rows {
        println!("\n{case}: {:?}", at_once.cloud);
    }
}

/// A case.
struct Row {
    case: &'static str,
    at_once: Run,
    slow: Run,
    round_trips: f64,
}

fn measured(case: &'static str, launch: &dyn Fn(Duration) -> Run) -> Row {
    let median = |latency| {
        let mut runs: Vec<Run> = (0..RUNS).map(|_| launch(latency)).collect();
        runs.sort_by_key(|run| run.wall);
        runs.swap_remove(RUNS / 2)
    };
    let (at_once, slow) = (median(Duration::ZERO), median(LATENCY));
    // What latency adds is the number of requests that waited for each other.
    let round_trips = (slow.wall.as_secs_f64() - at_once.wall.as_secs_f64()) / LATENCY.as_secs_f64();
    Row { case, at_once, slow, round_trips }
}

/// A launch until it was accepted.
struct Run {
    wall: Duration,
    /// Requests, by action.
    cloud: BTreeMap<String, usize>,
    forge: usize,
}

/// moto ends with this process.
fn launch_machine(moto: &Arc<Moto>, args: &[&str], latency: Duration) -> Run {
    let ec2 = Ec2::over(Arc::clone(moto), REGION).expect("moto");
    ec2.latency(latency);
    launch(&ec2, args, latency)
}

#[cfg(feature = "azure")]
fn launch_on_azure(latency: Duration) -> Run {
    let azure = Azure::start();
    azure.make_network("westus2");
    azure.latency(latency);
    launch(&azure, &[], latency)
}

#[cfg(feature = "gcp")]
fn launch_on_gcp(latency: Duration) -> Run {
    let gce = Gce::start();
    gce.latency(latency);
    launch(&gce, &[], latency)
}

fn launch_pod(latency: Duration) -> Run {
    let cluster = Kubernetes::start();
    cluster.latency(latency);
    launch(&cluster, &[], latency)
}

/// The program is killed once its launch was accepted.
fn launch(cloud: &dyn FakeCloud, args: &[&str], latency: Duration) -> Run {
    let forge = Forge::start();
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    forge.latency(latency);
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("CML_RUNNER_BOOTSTRAP_URL", "https://mirror.example/cml");
    cml.set("CML_RUNNER_BOOTSTRAP_SHA256", &"5e".repeat(32));
    cml.set("CML_RUNNER_CLOUD", cloud.name()).set("CML_RUNNER_CLOUD_REGION", cloud.region());
    for (name, value) in cloud.environment() {
        cml.set(name, &value);
    }
    let named = std::env::var_os("CML_BENCH_BIN").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from);
    let mut command = Command::new(named);
    command.current_dir(cml.path()).env_clear().envs(&cml.env).args(["runner", "launch"]).args(args);
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let accepted = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|line| {
        said.push(line.clone());
        line.contains(" accepted after ")
    });
    let wall = started.elapsed();
    let (calls, forge) = (cloud.actions(), forge.requests().len());
    let _ = child.kill();
    let _ = child.wait();
    assert!(accepted, "{}", said.join("\n"));
    let mut counts = BTreeMap::new();
    calls.into_iter().for_each(|action| *counts.entry(action).or_default() += 1);
    Run { wall, cloud: counts, forge }
}
