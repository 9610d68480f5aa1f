//! What `cml runner launch --cloud=aws` costs until the launch is accepted: requests, sequential round trips and time, against
//! moto as the EC2 and the fake GitHub of the tests, with no latency and with 50 ms added to each request of both.
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
use support::ec2::Ec2;
use support::fake::{Forge, Vendor};
use support::moto::Moto;

const LATENCY: Duration = Duration::from_millis(50);
const RUNS: usize = 5;
const REGION: &str = "eu-west-3";

fn main() {
    // All launches meet in one account: what the first one makes (its template, its group) is there for the others.
    let Some(moto) = Moto::with_machines(REGION) else { return };
    let mut rows = Vec::new();
    for (case, args) in
        [("on demand", &[][..]), ("spot, or on demand", &["--cloud-spot"]), ("of one type", &["--cloud-type=t3.micro"])]
    {
        let at_once = median(&moto, args, Duration::ZERO);
        let slow = median(&moto, args, LATENCY);
        // What latency adds is the number of requests that waited for each other.
        let round_trips = (slow.wall - at_once.wall).as_secs_f64() / LATENCY.as_secs_f64();
        rows.push((case, at_once, slow, round_trips));
    }
    println!("| launch | requests to EC2 | to the forge | sequential round trips | ms at once | ms at 50 ms | ratio |");
    println!("| :--- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (case, at_once, slow, round_trips) in &rows {
        let (fast, late) = (at_once.wall.as_secs_f64() * 1000.0, slow.wall.as_secs_f64() * 1000.0);
        let Run { cloud, forge, .. } = at_once;
        println!(
            "| {case} | {} | {forge} | {round_trips:.1} | {fast:.0} | {late:.0} | {:.1} |",
            cloud.values().sum::<usize>(),
            late / fast
        );
    }
    for (case, at_once, ..) in &rows {
        println!("\n{case}: {:?}", at_once.cloud);
    }
}

/// A launch until it was accepted.
struct Run {
    wall: Duration,
    /// Requests, by action.
    cloud: BTreeMap<String, usize>,
    forge: usize,
}

fn median(moto: &Arc<Moto>, args: &[&str], latency: Duration) -> Run {
    let mut runs: Vec<Run> = (0..RUNS).map(|_| launch(moto, args, latency)).collect();
    runs.sort_by_key(|run| run.wall);
    runs.swap_remove(RUNS / 2)
}

/// The program is killed once its launch was accepted; moto ends with this process.
fn launch(moto: &Arc<Moto>, args: &[&str], latency: Duration) -> Run {
    let ec2 = Ec2::over(Arc::clone(moto), REGION).expect("moto");
    let forge = Forge::start();
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", "secret");
    cml.set("AWS_ENDPOINT_URL", &ec2.url()).set("AWS_EC2_METADATA_DISABLED", "true");
    let digest = "5e".repeat(32);
    forge.latency(latency);
    ec2.latency(latency);
    let named = std::env::var_os("CML_BENCH_BIN").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from);
    let mut command = Command::new(named);
    command.current_dir(cml.path()).env_clear().envs(&cml.env).args(["runner", "launch", "--cloud=aws"]);
    command.args([
        "--cloud-region=eu-west-3",
        "--bootstrap-url=https://mirror.example/cml",
        "--bootstrap-sha256",
        &digest,
    ]);
    let started = Instant::now();
    let mut child = command.args(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    let accepted = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).any(|line| {
        said.push(line.clone());
        line.contains(" accepted after ")
    });
    let wall = started.elapsed();
    let (calls, forge) = (ec2.actions(), forge.requests().len());
    let _ = child.kill();
    let _ = child.wait();
    assert!(accepted, "{}", said.join("\n"));
    let mut cloud = BTreeMap::new();
    calls.into_iter().for_each(|action| *cloud.entry(action).or_default() += 1);
    Run { wall, cloud, forge }
}
