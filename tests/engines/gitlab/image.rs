//! A pipeline as users of CML have it, with the line of its image changed: gitlab-ci-local runs the job in a container of a
//! real Docker daemon; DVC is real, its remote a folder, GitLab scripted.

use super::GITLAB;
use super::components::with_data;
use crate::support::docker::Docker;
use crate::support::fake::{Forge, Target};
use crate::support::gitlab_ci::Project;
use crate::support::ignored::skipped;
use crate::support::png;

const PIPELINE: &str = r#"
stages: [cml_run]
cml:
  stage: cml_run
  image: iterativeai/cml:0-dvc2-base1
  script:
    - echo "$GOOGLE_KEY" | base64 --decode > "$HOME/key.json"
    - export GOOGLE_APPLICATION_CREDENTIALS="$HOME/key.json"
    - pip3 install -r requirements.txt
    - dvc repro --pull
    - dvc metrics show --md >> report.md
    - cml-publish plot.png --md >> report.md
    - cml-send-comment report.md
"#;

#[test]
fn a_pipeline_of_cml_runs_with_the_line_of_its_image_changed() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    let Some(docker) = Docker::find() else { return };
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    with_data(&project, &python);
    project.file("plot.png", png(1));
    project.file("requirements.txt", "dvc\n");
    project.file(".gitlab-ci.yml", docker.in_place_of_cmls(PIPELINE));
    project.docker = Some(docker);
    project.set("GOOGLE_KEY", "c2VzYW1l");
    for _ in 0..2 {
        let told = project.merge_request().ok();
        assert!(told.contains("Running stage 'train'"), "{told}");
    }
    let live = forge.live_comments(GITLAB, &Target::Pull(7));
    assert_eq!(live.len(), 2, "send-comment makes a new one each time: {}", forge.transcript());
    let body = &live[1].body;
    assert!(body.starts_with("# Trained\n\nOn 3 lines, with the key sesame.\n"), "{body}");
    assert!(body.contains("| metrics.json | 3") && body.contains("](http") && body.contains("/uploads/"), "{body}");
}
