//! A fault campaign: launches in the clouds, each with faults, signals and kills that follow from a seed, and after each no instance was
//! launched twice, none is left without its labels and an end, and the exit code is one that is documented for what went wrong.
//! `killed` and `clearml` end commands at each place where they wait.
//!
//! The program's code is real, and runs inside of this process, on a machine whose clock moves when everybody waits (`campaign/host.rs`).
//! The forge and the clouds are those of the other tests, and an EC2 that is scripted (`support/ec2/scripted.rs`).
//!
//! `CML_TEST_SEED` chooses the seed, `CML_TEST_CLOUD` a cloud, and `CML_TEST_RUNS` the number of launches of the long one, which is ignored
//! by default:
//! `cargo test --test main campaign:: -- --ignored --nocapture`.

mod afterwards;
mod clearml;
mod clouds;
mod host;
mod killed;
mod launch;
mod rng;
mod round_trips;

use clouds::{Kind, kinds};
use std::collections::BTreeMap;

/// Launches of each cloud in every run of the tests.
const FEW: u64 = 20;
/// Launches in the long campaign, of all clouds together.
const MANY: u64 = 10_000;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Launches so often in a cloud, and says how it went.
fn campaign(kind: &Kind, seed: u64, runs: u64) -> String {
    let (mut codes, mut faults, mut left) = (BTreeMap::<String, u64>::new(), 0, 0);
    let mut wrong = Vec::new();
    for run in 0..runs {
        match launch::launch(kind, seed.wrapping_mul(1_000_003).wrapping_add(run)) {
            Ok(outcome) => {
                let code = outcome.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
                *codes.entry(code).or_default() += 1;
                faults += outcome.faults;
                left += if outcome.code == Some(0) { 0 } else { outcome.left };
            }
            Err(what) => wrong.push(what),
        }
    }
    let codes: Vec<String> = codes.into_iter().map(|(code, times)| format!("{code}: {times}")).collect();
    let wrongs = wrong.len();
    wrong.truncate(5);
    assert!(wrong.is_empty(), "seed {seed}, {wrongs} of {runs} launches went wrong:\n\n{}", wrong.join("\n\n"));
    format!(
        "{}: {runs} launches, {faults} faults, exit codes {}; {left} instances outlived their launch, all with labels and an end, 0 launched twice",
        kind.name(),
        codes.join(", ")
    )
}

#[test]
#[allow(clippy::disallowed_macros)] // for whoever runs it
fn no_fault_makes_two_instances_or_leaves_one_without_an_end() {
    let seed = number("CML_TEST_SEED", 7);
    for kind in kinds() {
        println!("seed {seed}, {}", campaign(&kind, seed, FEW));
    }
}

#[test]
#[ignore = "takes minutes"]
#[allow(clippy::disallowed_macros)] // for whoever runs it
fn thousands_of_launches() {
    let (seed, runs) = (number("CML_TEST_SEED", 7), number("CML_TEST_RUNS", MANY));
    let kinds = kinds();
    for kind in &kinds {
        println!("seed {seed}, {}", campaign(kind, seed, runs.div_ceil(kinds.len() as u64)));
    }
}
