//! What a container of each image costs: `docker run … --version`, beside the program without a container.
//!
//! `cargo xtask bench` runs it where it finds a Docker daemon; `CML_BENCH_BIN` names the program. Times are shown and compared
//! with a goal, but nothing fails because of them: the machine may be busy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

#[allow(dead_code)] // made for tests, which need more
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::time::Instant;
use support::Ran;
use support::docker::Docker;

const RUNS: usize = 20;

fn main() {
    let Some(docker) = Docker::find() else { return };
    let native = std::env::var_os("CML_BENCH_BIN").unwrap_or(env!("CARGO_BIN_EXE_cml").into());
    let alone = median(|| Command::new(&native).arg("--version").output().map(drop).unwrap());
    println!("| case | wall median ms | × native |\n| :--- | ---: | ---: |\n| native | {alone:.1} | 1.0 |");
    let mut scratch = 0.0;
    for target in ["cml", "pipe", "train"] {
        let image = docker.image(target);
        let took = median(|| {
            let arguments =
                ["run", "--rm", "--network", "host", "--entrypoint", "/usr/local/bin/cml", &image, "--version"];
            drop(Ran::of(&mut docker.command(&arguments)).ok());
        });
        println!("| {image} | {took:.1} | {:.1} |", took / alone);
        scratch = if target == "cml" { took } else { scratch };
    }
    let reached = if scratch < 400.0 { "ok" } else { "MISSED" };
    println!("\n{reached:6} a container of the program alone says its version in less than 400 ms: {scratch:.0}");
}

fn median(mut once: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            once();
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}
