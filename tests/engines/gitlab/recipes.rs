//! The pipelines of `docs/gates.md`, as they are. The component is this repository's; the training is played, git is real.

use super::super::recipe;
use super::{GITLAB, only, said};
use crate::support::fake::{Forge, Target};
use crate::support::gitlab_ci::Project;

/// A project with a recipe as its pipeline. `main` has these files, and is at the forge too.
fn project(forge: &Forge, heading: &str, files: &[(&str, &str)]) -> Option<Project> {
    let mut project = Project::on(forge)?;
    project.program("python", "exec sh \"$@\"\n");
    project.file(".gitlab-ci.yml", recipe(heading, "GitLab"));
    project.set("CML_NATIVE_URL", &format!("{}/release", forge.url()));
    project.branch("main");
    files.iter().for_each(|(name, text)| project.file(name, text));
    let main = project.known(forge);
    let bare = project.path("model.git");
    project.call("git", &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    forge.serve_git(GITLAB, &bare);
    project.set("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main").set("CI_MERGE_REQUEST_DIFF_BASE_SHA", &main);
    project.branch("feature");
    Some(project)
}

#[test]
fn an_accuracy_that_falls_fails_the_job() {
    let forge = Forge::start();
    let train = |accuracy: &str| format!("echo '{{\"accuracy\": {accuracy}}}' > metrics.json\n");
    let files = [("train.py", &*train("0.92")), ("metrics.json", "{\"accuracy\": 0.92}\n")];
    let Some(project) = project(&forge, "Accuracy gate", &files) else { return };
    project.file("train.py", train("0.91"));
    let ran = project.merge_request();
    let reason = "accuracy fell from 0.92 to 0.91 (a drop of 0.005 is allowed)";
    assert!(ran.code != Some(0) && said(&ran).contains(&format!("error: {reason}")), "{}", said(&ran));
    assert!(only(&forge, &Target::Pull(7)).contains(&format!("> {reason}\n")));
}

#[test]
fn a_benchmark_is_run_for_both_versions() {
    let forge = Forge::start();
    let bench = |latency: &str| format!("echo '{{\"latency_ms\": {latency}}}'\n");
    let Some(project) = project(&forge, "Benchmark", &[("bench.py", &*bench("10"))]) else { return };
    project.file("bench.py", bench("12"));
    let ran = project.merge_request();
    let reason = "latency_ms rose from 10 to 12 (a rise of 10% is allowed)";
    assert!(ran.code != Some(0) && said(&ran).contains(&format!("error: {reason}")), "{}", said(&ran));
    assert!(only(&forge, &Target::Pull(7)).contains(&format!("> {}\n", reason.replace('_', "\\_"))));
}
