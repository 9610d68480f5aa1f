//! `setup`, `train` and `runner`, and the component's own pipeline.

use super::{GITLAB, RELEASE, TRAIN, only, said};
use crate::support::ec2::Ec2;
use crate::support::fake::{Forge, Target};
use crate::support::gitlab_ci::Project;
use crate::support::ignored::skipped;
use crate::support::png;

#[test]
fn jobs_that_extend_the_set_up_have_every_name_on_path() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    let job = "\
report:
  extends: .cml
  script:
    - for name in cml cml-send-comment cml-send-github-check cml-publish cml-tensorboard-dev cml-runner cml-pr; do command -v $name; done
    - cml-send-comment report.md
";
    project.includes("setup", RELEASE, job);
    let told = project.merge_request().ok();
    assert_eq!(told.lines().filter(|line| line.contains("> /") && line.contains("/cml")).count(), 7, "{told}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Report"), "{}", forge.transcript());
}

#[test]
fn a_job_with_preparations_of_its_own_keeps_those_of_the_set_up() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    let job = "\
report:
  extends: .cml
  before_script:
    - !reference [.cml, before_script]
    - mkdir deep && cd deep
  script: [cml comment update ../report.md]
link:
  stage: .post
  needs: [report]
  script: ['echo \"it is at $COMMENT_URL\"']
";
    project.includes("setup", RELEASE, job);
    let told = project.merge_request().ok();
    assert!(told.contains(&format!("it is at {}/group/model/-/merge_requests/7\n", forge.url())), "{told}");
}

#[test]
fn an_image_that_has_cml_downloads_nothing() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    project.program("cml", "echo \"cml 9.9.9 was called: $*\"\n");
    project.includes("report", "", "");
    let told = project.merge_request().ok();
    assert!(told.contains("cml 9.9.9 was called: --version is in the image"), "{told}");
    assert!(told.contains("cml 9.9.9 was called: comment update -- report.md"), "{told}");
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

/// Plays DVC: says how it was called, and what it sees of the key.
const DVC: &str = r#"
echo "dvc $* with $(cat "$GOOGLE_APPLICATION_CREDENTIALS"), $(stat -c '%a' "$GOOGLE_APPLICATION_CREDENTIALS")"
echo "$GOOGLE_APPLICATION_CREDENTIALS" > "$OUT"
printf '# Trained\n' > report.md
"#;

#[test]
fn the_key_is_in_a_file_that_only_the_training_can_read() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    project.program("dvc", DVC);
    let out = project.path("out");
    project.set("OUT", &out.display().to_string()).set("KEY", "eyJhIjogMX0=");
    let second = "  - component: $CI_SERVER_FQDN/org/cml/report@1\n    inputs: { native-url: RELEASE/ }\n";
    project.includes("train", "key: KEY\ninstall: 'true'\n", second);
    let told = project.merge_request().ok();
    assert!(told.contains("dvc repro --pull with {\"a\": 1}, 600"), "{told}");
    let key = std::fs::read_to_string(&out).unwrap();
    assert!(key.starts_with('/') && !std::path::Path::new(key.trim()).exists(), "it is gone with the job: {key}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Trained"), "{}", forge.transcript());

    project.set("KEY", "{\"a\": 1}");
    let ran = project.merge_request();
    assert!(ran.code != Some(0) && said(&ran).contains("error: the variable KEY is not base64"), "{ran:#?}");
    assert!(said(&ran).contains("hint: make its value with: base64 -w 0 key.json"), "{ran:#?}");
}

#[test]
fn the_component_tests_itself_and_releases_what_is_tagged() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    project.set("CML_NATIVE_URL", &format!("{}/release", forge.url())).unset("REPO_TOKEN");
    let told = project.own(&[("CI_COMMIT_TAG", "1.2.3")]).ok();
    for job in ["cml-train", "cml-report", "every-name-is-there", "the-result-is-handed-on", "create-release"] {
        assert!(told.contains(&format!("PASS  {job}")), "{job}: {told}");
    }
    let told = project.own(&[]).ok();
    assert!(!told.contains("create-release"), "{told}");
}

#[test]
fn the_runner_is_launched_first_and_jobs_are_bound_to_its_label() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    project.program("cml", "echo \"cml $*: $CML_RUNNER_CLOUD, $CML_RUNNER_LABELS, $CML_RUNNER_CLOUD_TYPE, $CML_RUNNER_REUSE_IDLE, $CML_RUNNER_CLOUD_METADATA\"\n");
    let inputs =
        "cloud: aws\nlabels: gpu\ncloud-type: g5.xlarge\nreuse-idle: true\ncloud-metadata: [team=a, 'b=c d']\n";
    project.includes("runner", inputs, &TRAIN.replace("  script", "  extends: .cml-on-runner\n  script"));
    let preview = project.preview().ok();
    let train = preview.split("\ntrain:\n").nth(1).unwrap_or_default();
    assert!(train.contains("tags:\n    - gpu\n"), "{preview}");
    // Both or none: a job that waits for a machine that nobody launches would wait for a day.
    let ran = project.push_with(&[("CI_OPEN_MERGE_REQUESTS", "group/model!7")]);
    assert!(!said(&ran).contains("cml runner launch") && !said(&ran).contains("echo trained"), "{ran:#?}");
    let told = project.push().ok();
    let launched = "cml runner launch: aws, gpu, g5.xlarge, true, [\"team=a\",\"b=c d\"]";
    assert!(told.find(launched) < told.find("echo trained") && told.contains(launched), "{told}");
    assert_eq!(forge.comments(GITLAB, &Target::Pull(7)).len(), 0);
}

#[test]
fn all_inputs_of_the_runner_at_once_are_what_the_program_takes() {
    let Some(ec2) = Ec2::start("eu-west-3") else { return };
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    project.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", "of-the-job");
    project.set("AWS_ENDPOINT_URL", &ec2.url()).set("AWS_EC2_METADATA_DISABLED", "true");
    let program = format!("bootstrap-url: https://mirror.example/cml\nbootstrap-sha256: '{}'\n", "5e".repeat(32));
    let inputs = "cloud: aws\ncloud-region: eu-west-3\ncloud-metadata: [team=a, 'b=c d']\ndry-run: true\n";
    project.includes("runner", &format!("{RELEASE}{program}{inputs}"), TRAIN);
    let ran = project.push();
    let text = said(&ran);
    assert_eq!(ran.code, Some(0), "{text}");
    assert!(text.contains("> region          eu-west-3\n") && text.contains("> market          on demand\n"), "{text}");
    assert!(!text.contains("warning:") && !text.contains("of-the-job"), "{text}");
    assert_eq!(ec2.alive(), []);
    assert!(forge.requests().iter().all(|request| request.method == "GET"), "{}", forge.transcript());
}

const STAGES: &str = "\
stages:
  train:
    cmd: sh train.sh
    deps: [data.csv, train.sh]
    outs: [model.txt]
    metrics:
      - metrics.json: { cache: false }
";
const TRAIN_SH: &str = r#"
lines=$(grep -c . data.csv)
cp data.csv model.txt
echo "{\"lines\": $lines}" > metrics.json
printf '# Trained\n\nOn %s lines, with the key %s.\n' "$lines" "$(cat "$GOOGLE_APPLICATION_CREDENTIALS")" > report.md
"#;

/// Real DVC: a stage, and data that are in a remote only.
pub fn with_data(project: &Project, python: &std::ffi::OsStr) {
    project.program("dvc", &format!("exec '{}' -m dvc \"$@\"\n", std::path::Path::new(python).display()));
    project.file("data.csv", "1\n2\n3\n");
    project.file("dvc.yaml", STAGES);
    project.file("train.sh", TRAIN_SH);
    let store = project.path("store").display().to_string();
    for args in [
        &["init", "-q"][..],
        &["config", "core.analytics", "false"],
        &["remote", "add", "-q", "-d", "store", &store],
        &["add", "-q", "data.csv"],
        &["push", "-q"],
    ] {
        project.call("dvc", args);
    }
}

#[test]
fn real_dvc_pulls_trains_and_is_reported() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    with_data(&project, &python);
    // The job has what is in git, and its data from the remote.
    project.set("GOOGLE_KEY", "c2VzYW1l");
    project.includes(
        "train",
        "install: dvc --version\nkey: GOOGLE_KEY\n",
        "  - component: $CI_SERVER_FQDN/org/cml/report@1\n    inputs: { native-url: RELEASE/ }\n",
    );
    let told = project.merge_request().ok();
    assert!(told.contains("Running stage 'train'"), "{told}");
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Trained\n\nOn 3 lines, with the key sesame.\n"), "{body}");
}

#[test]
fn the_examples_of_the_readme_work_as_they_are() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    let readme = std::fs::read_to_string(project.path("component/README.md")).unwrap();
    let examples = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<_> = examples.filter(|example| example.starts_with("include:")).collect();
    assert_eq!(examples.len(), 4);
    project.program("pip", "echo \"pip $*\"\n");
    project.program("python", "printf '# Trained\\n' > report.md\n");
    project.program("dvc", "printf '# Trained with DVC\\n' > report.md\n");
    project.file("plot.png", png(1));
    project.file("requirements.txt", "dvc\n");
    project.set("CML_NATIVE_URL", &format!("{}/release", forge.url()));
    for example in examples {
        project.file(".gitlab-ci.yml", example);
        // What the engine does not: a job without rules is in no merge request's pipeline, and one that is the first and the last
        // is none. <https://docs.gitlab.com/ci/jobs/job_rules/>
        let preview = project.preview().ok();
        if !example.contains("/setup@1") {
            let train = preview.split("\ntrain:\n").nth(1).map(|rest| rest.split("\n\n").next().unwrap());
            assert!(train.is_none_or(|train| train.contains("  rules:\n")), "{preview}");
        }
        if example.contains("/runner@1") {
            assert!(preview.contains("CML_RUNNER_CLOUD_TYPE: g5.xlarge") && preview.contains("- gpu\n"), "{preview}");
            continue;
        }
        let told = project.merge_request().ok();
        let body = only(&forge, &Target::Pull(7));
        let (title, shows) = match example {
            _ if example.contains("/train@1") => ("# Trained with DVC\n", ""),
            _ if example.contains("/setup@1") => ("# Report\n", "/uploads/"),
            _ => ("# Trained\n", ""),
        };
        assert!(body.starts_with(title) && body.contains(shows), "{body}\n{told}");
    }
}
