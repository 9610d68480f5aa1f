//! What the action costs on Node 24, beside the native program: setting up, the launcher, a comment.
//!
//! `cargo xtask bench` runs it; `CML_BENCH_BIN` names the native program, `CML_TEST_NODE` Node, and
//! `CML_BENCH_OTHER` another program whose `--version` is to be compared, such as CML's. Times are shown and
//! compared with goals, but nothing fails because of them: the machine may be busy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

#[allow(dead_code)] // made for tests, which need more
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::Cml;
use support::fake::{Forge, Vendor};

const RUNS: usize = 20;

fn main() {
    let node = std::env::var_os("CML_TEST_NODE").map_or("node".into(), PathBuf::from);
    let native = std::env::var_os("CML_BENCH_BIN").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from);
    let native = native.canonicalize().expect("the program to measure");
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    let step = dist.join("index.js");

    let mut cml = Cml::alone();
    for (name, file) in [("RUNNER_TEMP", "temp"), ("GITHUB_PATH", "path"), ("GITHUB_OUTPUT", "output")] {
        let path = cml.path().join(file).display().to_string();
        cml.set(name, &path);
    }
    let setup = median(|| time(&cml, &node, &[step.to_str().unwrap()]));
    let launcher = PathBuf::from(cml.read("path").lines().next().unwrap()).join("cml");
    let empty = median(|| time(&cml, &node, &["--eval", "0"]));
    let version = median(|| time(&cml, &launcher, &["--version"]));
    let native_version = median(|| time(&cml, &native, &["--version"]));
    let create = ["comment", "create", "report.md"];
    let native_create = median(|| on_forge(|cml| time(cml, &native, &create)));
    let launcher_create = median(|| on_forge(|cml| time(cml, &launcher, &create)));
    let step_create = median(|| {
        on_forge(|cml| {
            let mut cml = cml.clone();
            cml.set("INPUT_COMMAND", "comment create").set("INPUT_REPORT", "report.md");
            time(&cml, &node, &[step.to_str().unwrap()])
        })
    });
    println!("| case | wall median ms | × native |\n| :--- | ---: | ---: |");
    for (case, time, of) in [
        ("node, an empty script", empty, native_version),
        ("native, --version", native_version, native_version),
        ("launcher, --version", version, native_version),
        ("step that sets up", setup, native_version),
        ("native, comment create", native_create, native_create),
        ("launcher, comment create", launcher_create, native_create),
        ("step with command: comment create", step_create, native_create),
    ] {
        println!("| {case} | {time:.1} | {:.1} |", time / of);
    }
    let size = size(&dist);
    println!();
    for (goal, found, reached) in [
        ("the launcher's --version takes less than 120 ms", version, version < 120.0),
        ("setting up takes less than 300 ms", setup, setup < 300.0),
        ("dist/ is smaller than 2 MB", size, size < 2.0),
    ] {
        println!("{:6} {goal}: {found:.2}", if reached { "ok" } else { "MISSED" });
    }
    if let Some(other) = std::env::var_os("CML_BENCH_OTHER").map(PathBuf::from) {
        let other = median(|| time(&cml, &other, &["--version"]));
        println!("the other's --version: {other:.1} ms, {:.1} × the launcher's", other / version);
    }
}

fn median(mut once: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<f64> = (0..RUNS).map(|_| once().as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

/// A run in a pipeline of GitHub, against the fake forge without latency.
fn on_forge(run: impl Fn(&Cml) -> Duration) -> Duration {
    let forge = Forge::start();
    run(&Cml::on(&forge, Vendor::GitHub))
}

fn time(cml: &Cml, program: &Path, args: &[&str]) -> Duration {
    let mut command = Command::new(program);
    command.args(args).current_dir(cml.path()).env_clear().envs(&cml.env).stdin(Stdio::null());
    let started = Instant::now();
    let output = command.output().unwrap();
    let took = started.elapsed();
    assert!(output.status.success(), "{program:?} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

/// The size of the files, in megabytes.
fn size(dist: &Path) -> f64 {
    let files = std::fs::read_dir(dist).unwrap();
    files.map(|entry| entry.unwrap().metadata().unwrap().len() as f64 / 1e6).sum()
}
