//! Pipelines of CML's users on Bitbucket, unchanged but for the image.

use crate::support::ec2::Ec2;
use crate::support::fake::{Doing, Target, Vendor};
use crate::support::moto::Moto;
use crate::support::pipelines::Repository;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BITBUCKET: Vendor = Vendor::Bitbucket;
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/bitbucket/tutorial");
/// A step that needs a runner waits for half a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// The tutorial's project: its data is in a DVC remote, not in git.
fn tutorial(ec2: &Ec2) -> Option<Repository> {
    let mut repository = Repository::of(Path::new(FILES))?;
    let points: String = (0..40).map(|x| format!("{x},{}\n", 2 * x + 1 + x % 3)).collect();
    repository.clone.file("data/points.csv", points);
    let script = format!(
        "git config --global --add safe.directory '*'\n\
         dvc init -q && dvc config core.analytics false\n\
         dvc remote add -d store {}/store && dvc add -q data/points.csv && dvc push -q\n\
         rm -r data/points.csv .dvc/cache",
        repository.volume().display()
    );
    repository.script(&script).ok();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("AWS_ENDPOINT_URL", &ec2.url()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("CML_RUNNER_AGENT_URL", "https://mirror.example/cml-linux-x86_64"),
        ("CML_RUNNER_AGENT_SHA256", &"5e".repeat(32)),
    ] {
        repository.variables.insert(name.to_owned(), value.to_owned());
    }
    Some(repository)
}

/// Runs the pipeline; machines that it starts boot at once.
fn run(repository: &Repository, ec2: &Ec2) -> String {
    let mut pipeline = repository.start();
    let end = Instant::now() + PATIENCE;
    while !pipeline.is_over() && Instant::now() < end {
        let boots = !ec2.of("DescribeInstances").is_empty();
        let runners = repository.forge.runners(BITBUCKET, BITBUCKET.slug());
        if let Some(runner) = runners.iter().find(|runner| boots && runner.doing == Doing::Offline) {
            repository.forge.set_runner(&runner.name, Doing::Idle);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, log) = pipeline.end();
    assert_eq!(code, Some(0), "{log}\n{}", repository.forge.transcript());
    log
}

#[test]
fn the_tutorial_trains_on_a_machine_and_opens_a_pull_request_with_its_report() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let ec2 = Ec2::over(Arc::new(moto), "us-west-1").unwrap();
    let Some(repository) = tutorial(&ec2) else { return };
    repository.push();
    let log = run(&repository, &ec2);
    println!("{log}\n{}", repository.forge.transcript());
    assert_eq!(ec2.alive().len(), 1, "{log}");
    let _ = Target::Pull(7);
    panic!("see");
}
