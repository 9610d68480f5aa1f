//! Jobs of GitHub's with `container:`, which act runs in a real Docker daemon: in the image that takes the place of CML's, as users of
//! CML have it; and with the action. GitHub is scripted.

use super::only;
use crate::support::act::Consumer;
use crate::support::docker::Docker;
use crate::support::fake::{Forge, Target};
use crate::support::node::node;
use crate::support::png;

const WORKFLOW: &str = "
name: CML
on: pull_request
jobs:
  run:
    runs-on: ubuntu-latest
    container: iterativeai/cml:0-dvc2-base1
    steps:
      - uses: actions/checkout@v5
      - name: Train model
        env:
          REPO_TOKEN: ${{ secrets.GITHUB_TOKEN }}
        run: |
          pip install -r requirements.txt
          dvc repro
          dvc metrics show --md >> report.md
          echo '![](./plot.png)' >> report.md
          cml comment update report.md
";
const STAGES: &str = "
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    metrics: [metrics.json]
";

#[test]
fn a_job_in_cmls_image_runs_in_the_one_that_takes_its_place() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    let Some(docker) = Docker::find() else { return };
    consumer.workflow(&docker.in_place_of_cmls(WORKFLOW));
    consumer.docker = Some(docker);
    consumer.file("requirements.txt", "dvc\n");
    consumer.file("dvc.yaml", STAGES);
    consumer.file("train.py", "open('metrics.json', 'w').write('{\"accuracy\": 0.75}')");
    consumer.file("report.md", "# Trained\n\n");
    consumer.file("plot.png", png(1));
    consumer.file(".dvc/config", "[core]\n    analytics = false\n");
    for _ in 0..2 {
        let done = consumer.pull_request().ok();
        assert_eq!(done.annotations(), [], "{done}");
    }
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Trained\n\n") && body.contains("| metrics.json | 0.75"), "{body}");
    assert!(body.contains("![](http"), "{body}");
}

/// GitHub's runner brings its Node.js into a job's container; here a volume does.
#[test]
fn the_action_works_in_a_container() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    let Some(docker) = Docker::find() else { return };
    let image = docker.image("train");
    let volume = format!("{}:/usr/local/bin/node:ro", node().unwrap().display());
    consumer.docker = Some(docker);
    consumer.job(
        &format!("container: {{ image: '{image}', volumes: ['{volume}'] }}"),
        r#"
- uses: org/setup-cml-rs@v1
  with: { command: comment update, report: report.md }
- uses: org/setup-cml-rs@v1
- id: names
  run: for name in cml cml-send-comment; do command -v $name && $name --version; done
"#,
    );
    let done = consumer.pull_request().ok();
    assert_eq!(done.annotations(), [], "{done}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Report"), "{done}");
    let names = done.said("names");
    let lines: Vec<&str> = names.lines().collect();
    assert!(lines.len() == 4 && lines[0].contains("/setup-cml-rs/") && lines[2].contains("/setup-cml-rs/"), "{names}");
    assert!([lines[1], lines[3]].iter().all(|line| *line == concat!("cml ", env!("CARGO_PKG_VERSION"))), "{names}");
}
