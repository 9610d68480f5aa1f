//! The pipelines of `examples/bitbucket`, as they are but for images, which are those of this machine. The trainings are the test's
//! own, except DVC's.

use super::super::{cloud_variables, dvc_project, read};
use super::{BITBUCKET, FILES, run_named};
use crate::support::ec2::Ec2;
use crate::support::fake::Target;
use crate::support::moto::Moto;
use crate::support::pipelines::Repository;
use crate::support::png;
use std::path::Path;
use std::sync::Arc;

const PULL_REQUEST: &str = "pull-requests.**";

/// A repository with an example as its pipeline, and a training.
fn example(pipeline: &str, train: &str) -> Option<Repository> {
    let mut repository = Repository::of(Path::new(FILES))?;
    repository.clone.file("bitbucket-pipelines.yml", repository.with_images(pipeline));
    repository.clone.file("train.py", train);
    repository.clone.file("plot.png", png(1));
    repository.variables.insert("BITBUCKET_PR_ID".to_owned(), "7".to_owned());
    Some(repository)
}

/// Runs the pipeline of the pull request.
#[track_caller]
fn run(repository: &Repository) {
    repository.push();
    let (code, log) = repository.start_named(PULL_REQUEST).end();
    assert_eq!(code, Some(0), "{log}\n{}", repository.forge.transcript());
}

/// The body of the only comment.
#[track_caller]
fn only(repository: &Repository) -> String {
    let mut comments = repository.forge.live_comments(BITBUCKET, &Target::Pull(7));
    assert_eq!(comments.len(), 1, "{}", repository.forge.transcript());
    comments.remove(0).body
}

#[test]
fn one_report() {
    let train = "open('report.md', 'w').write('# Trained\\n\\n![](plot.png)\\n')\n";
    let Some(repository) = example(&read("examples/bitbucket/report.yml"), train) else { return };
    run(&repository);
    run(&repository);
    let body = only(&repository);
    assert!(body.starts_with("# Trained\n\n![](http"), "{body}");
}

#[test]
fn a_matrix() {
    let train = "import sys\nopen('report.md', 'w').write(f'Trained: {sys.argv[1]}\\n')\n";
    let Some(repository) = example(&read("examples/bitbucket/matrix.yml"), train) else { return };
    run(&repository);
    let body = only(&repository);
    assert!(["linear", "forest"].iter().all(|model| body.contains(&format!("Trained: {model}"))), "{body}");
}

/// DVC and the program that draws are real.
#[test]
fn a_project_of_dvcs() {
    let Some(repository) = example(&read("examples/bitbucket/dvc.yml"), "") else { return };
    for (name, text) in dvc_project() {
        repository.clone.file(name, text);
    }
    run(&repository);
    let body = only(&repository);
    assert!(body.starts_with("## Training\n") && body.contains("| metrics.json | 0.9"), "{body}");
    assert!(body.contains("![Loss by epoch](http"), "{body}");
}

/// EC2 is emulated; its machine's step runs here.
#[test]
fn a_training_on_a_launched_machine() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let ec2 = Ec2::over(Arc::new(moto), "eu-west-1").unwrap();
    let keys = cloud_variables(&ec2).map(|(name, _)| format!("                {name}: ${name}\n"));
    let pipeline = read("examples/bitbucket/cloud.yml");
    let role = "                AWS_ROLE_ARN: $AWS_ROLE_ARN\n";
    assert!(pipeline.contains(role), "{pipeline}");
    let train = "open('report.md', 'w').write('# Trained there\\n')\n";
    // Bitbucket's default image is not here.
    let pipeline = format!("image: python:3.13\n{}", pipeline.replace(role, &keys.concat()));
    let Some(mut repository) = example(&pipeline, train) else { return };
    repository.variables.extend(cloud_variables(&ec2).map(|(name, value)| (name.to_owned(), value)));
    repository.push();
    let log = run_named(&repository, &ec2, PULL_REQUEST);
    let machines = ec2.alive();
    assert!(machines.len() == 1 && machines[0].kind.starts_with("g4dn."), "{machines:?} {log}");
    assert!(only(&repository).starts_with("# Trained there\n"), "{log}");
    assert!(!log.contains("bPxRfiCYEXAMPLEKEY"), "{log}");
}
