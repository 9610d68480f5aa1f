//! Pipelines of CML's users on Bitbucket, unchanged but for the image.

mod examples;

use super::{boot, cloud_variables, is_awaited};
use crate::support::ec2::Ec2;
use crate::support::fake::{Proxy, PullRequest, Target, Vendor};
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
    for (name, value) in cloud_variables(ec2) {
        repository.variables.insert(name.to_owned(), value);
    }
    Some(repository)
}

/// Runs the pipeline of a push; machines that it starts boot at once.
fn run(repository: &Repository, ec2: &Ec2) -> String {
    run_named(repository, ec2, "default")
}

fn run_named(repository: &Repository, ec2: &Ec2, name: &str) -> String {
    let mut pipeline = repository.start_named(name);
    let end = Instant::now() + PATIENCE;
    while !pipeline.is_over() && Instant::now() < end {
        boot(&repository.forge, BITBUCKET, is_awaited(ec2));
        std::thread::sleep(Duration::from_millis(50));
    }
    let (code, log) = pipeline.end();
    assert_eq!(code, Some(0), "{log}\n{}", repository.forge.transcript());
    log
}

/// The pull requests of `cml pr`, oldest first.
fn opened(repository: &Repository) -> Vec<PullRequest> {
    repository
        .forge
        .repo(BITBUCKET, BITBUCKET.slug(), |repo| repo.pulls.values().filter(|pull| pull.number > 7).cloned().collect())
}

/// git in the repository on Bitbucket.
fn there(repository: &Repository, args: &[&str]) -> String {
    repository.clone.git(&[&["--git-dir", repository.bare().to_str().unwrap()], args].concat())
}

/// What the DVC remote has for an output in the `dvc.lock` of a commit.
fn stored(repository: &Repository, commit: &str, output: &str) -> Vec<u8> {
    let lock = there(repository, &["show", &format!("{commit}:dvc.lock")]);
    let mut lines = lock.lines().skip_while(|line| line.trim() != format!("- path: {output}"));
    let md5 = lines.find_map(|line| line.trim().strip_prefix("md5: ")).unwrap_or_else(|| panic!("{output}: {lock}"));
    let path = repository.volume().join("store/files/md5").join(&md5[..2]).join(&md5[2..]);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The results of a run about a commit are a pull request, its report with the picture a comment on it.
fn has_results(repository: &Repository, pull: &PullRequest, trigger: &str) {
    let commit = &pull.head_sha;
    assert_eq!(pull.title.as_deref(), Some(&*format!("CML PR for main {}", &trigger[..8])));
    assert_eq!(there(repository, &["rev-parse", &format!("{commit}^")]), trigger);
    let changed = there(repository, &["show", "--format=", "--name-only", commit]);
    assert_eq!(changed, "dvc.lock\nmodel/metrics.txt");
    let comments = repository.forge.live_comments(BITBUCKET, &Target::Pull(pull.number));
    assert_eq!(comments.len(), 1, "{}", repository.forge.transcript());
    let body = &comments[0].body;
    let metrics = there(repository, &["show", &format!("{commit}:model/metrics.txt")]);
    assert!(metrics.starts_with("R2: 0.9") && body.starts_with(&metrics), "{body}");
    let picture = stored(repository, commit, "model/fit.png");
    let published = repository.forge.files(BITBUCKET).into_iter().find(|file| file.body == picture).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && body.contains(&format!("/{})", published.name)), "{body}");
    assert!(String::from_utf8(stored(repository, commit, "model/line.json")).unwrap().starts_with("{\"slope\": 2.0"));
}

#[test]
fn the_tutorial_trains_on_a_machine_and_opens_a_pull_request_with_its_report() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let ec2 = Ec2::over(Arc::new(moto), "us-west-1").unwrap();
    let Some(repository) = tutorial(&ec2) else { return };
    let first = repository.push();
    let log = run(&repository, &ec2);
    let machines = ec2.alive();
    assert!(machines.len() == 1 && machines[0].kind.ends_with(".2xlarge"), "{machines:?} {log}");
    let runners = repository.forge.runners(BITBUCKET, BITBUCKET.slug());
    assert_eq!(
        runners.iter().map(|runner| runner.labels.join(" ")).collect::<Vec<_>>(),
        ["self.hosted linux cml.runner"]
    );
    let pulls = opened(&repository);
    assert_eq!(pulls.len(), 1, "{}", repository.forge.transcript());
    has_results(&repository, &pulls[0], &first);
    // Again, with other data: the runner is there, and idle.
    let points: String = (0..60).map(|x| format!("{x},{}\n", 2 * x + 1 + x % 5)).collect();
    repository.clone.file("data/points.csv", points);
    repository.script("git config --global --add safe.directory '*'; dvc add -q data/points.csv && dvc push -q").ok();
    let second = repository.push();
    let log = run(&repository, &ec2);
    assert!(log.contains("Found matching idle runner."), "{log}");
    assert_eq!(ec2.machines(), machines, "{log}");
    let pulls = opened(&repository);
    assert_eq!(pulls.len(), 2, "{}", repository.forge.transcript());
    has_results(&repository, &pulls[1], &second);
    assert!(!log.contains("bPxRfiCYEXAMPLEKEY"), "{log}");
}

#[test]
fn the_example_of_the_pipe_runs_in_the_pipeline_of_a_pull_request() {
    let Some(mut repository) = Repository::of(Path::new(FILES)) else { return };
    let readme = include_str!("../../bitbucket-pipe/README.md");
    let example = readme.split("```yaml\n").find(|block| block.starts_with("pipelines:\n")).unwrap();
    let example = repository.with_images(example.split("```").next().unwrap());
    repository.clone.file("bitbucket-pipelines.yml", example);
    repository.clone.file("requirements.txt", "pip\n");
    repository.clone.file("train.py", "print('# Trained', file=open('report.md', 'w'))\n");
    repository.push();
    repository.variables.insert("BITBUCKET_PR_ID".to_owned(), "7".to_owned());
    for _ in 0..2 {
        let (code, log) = repository.start_named("pull-requests.**").end();
        assert_eq!(code, Some(0), "{log}");
    }
    let comments = repository.forge.live_comments(BITBUCKET, &Target::Pull(7));
    assert_eq!(comments.len(), 1, "{}", repository.forge.transcript());
    assert!(comments[0].body.starts_with("# Trained\n"), "{}", comments[0].body);
    // A variable that the pipeline does not have.
    repository.variables.remove("REPO_TOKEN");
    let (code, log) = repository.start_named("pull-requests.**").end();
    assert!(code == Some(4) && log.contains("no token found for Bitbucket"), "{log}");
}

#[test]
fn the_example_of_code_insights_needs_no_token_and_the_step_reads_its_address() {
    let Some(mut repository) = Repository::of(Path::new(FILES)) else { return };
    let proxy = Proxy::start_signing();
    let readme = include_str!("../../bitbucket-pipe/README.md");
    let example = readme.split("```yaml\n").find(|block| block.starts_with("script:\n  - python")).unwrap();
    let step: String = example.split("```").next().unwrap().lines().map(|line| format!("        {line}\n")).collect();
    let step = format!("pipelines:\n  default:\n    - step:\n        image: python:3.13\n{step}");
    repository.clone.file("bitbucket-pipelines.yml", repository.with_images(&step));
    repository.clone.file("train.py", "print('# Trained', file=open('report.md', 'w'))\n");
    repository.push();
    repository.variables.remove("REPO_TOKEN");
    repository.variables.insert("CML_BITBUCKET_PROXY".to_owned(), proxy.url());
    let (code, log) = repository.start_named("default").end();
    assert_eq!(code, Some(0), "{log}\n{}", repository.forge.transcript());
    assert!(log.lines().any(|line| line.contains("CHECK_URL=http")), "{log}");
}

/// The readme's, with keys instead of a role, as the engine gives no step an identity, and with a GPU that the emulated region
/// has.
#[test]
fn the_pipe_launches_the_machine_that_the_next_step_runs_on() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let ec2 = Ec2::over(Arc::new(moto), "eu-west-1").unwrap();
    let Some(repository) = tutorial(&ec2) else { return };
    let readme = include_str!("../../README.md");
    let example = readme.split("```yaml\n").find(|block| block.starts_with("pipelines:\n  default:\n")).unwrap();
    let keys = cloud_variables(&ec2).map(|(name, _)| format!("{name}: ${name}"));
    let example = example.split("```").next().unwrap().replace("AWS_ROLE_ARN: $AWS_ROLE_ARN", &keys.join(", "));
    let file = format!("image: python:3.13\n{example}").replace("CLOUD_GPU: l4", "CLOUD_GPU: t4");
    repository.clone.file("bitbucket-pipelines.yml", repository.with_images(&file));
    repository.clone.file("train.py", "print('trained on the machine')\n");
    repository.push();
    let log = run(&repository, &ec2);
    assert!(log.contains("trained on the machine"), "{log}");
    let machines = ec2.alive();
    assert!(machines.len() == 1 && machines[0].kind.starts_with("g4dn."), "{machines:?} {log}");
    assert!(!log.contains("bPxRfiCYEXAMPLEKEY"), "{log}");
}

#[test]
fn a_step_for_a_runner_is_not_run_without_one() {
    let Some(mut repository) = Repository::of(Path::new(FILES)) else { return };
    repository.patience = Duration::from_secs(1);
    let file = repository.clone.read("bitbucket-pipelines.yml");
    let (head, steps) = file.split_once("    - step:\n").unwrap();
    let (_, train) = steps.split_once("    - step:\n").unwrap();
    repository.clone.file("bitbucket-pipelines.yml", format!("{head}    - step:\n{train}"));
    repository.push();
    let (code, log) = repository.start().end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("no runner with the labels self.hosted, cml.runner is online"), "{log}");
    assert!(!log.contains("dvc repro") && opened(&repository).is_empty(), "{log}");
}
