//! The pipelines of `examples/gitlab`, as they are. The component is this repository's; Python is played, except in the image to
//! train in.

use super::super::{booting, cloud_variables, dvc_project, is_awaited, read};
use super::{GITLAB, only, said};
use crate::support::docker::Docker;
use crate::support::ec2::Ec2;
use crate::support::fake::{Forge, Target};
use crate::support::gitlab_ci::Project;
#[cfg(feature = "kubernetes")]
use crate::support::kubernetes::{Kubernetes, TOKEN};
use crate::support::moto::Moto;
use crate::support::png;
use std::sync::Arc;

/// A project with an example as its pipeline and a training, which is a shell script here.
fn example(forge: &Forge, pipeline: &str, train: &str) -> Option<Project> {
    let mut project = Project::on(forge)?;
    for name in ["python", "python3"] {
        project.program(name, "exec sh \"$@\"\n");
    }
    project.file("train.py", train);
    project.file("plot.png", png(1));
    project.file(".gitlab-ci.yml", pipeline);
    project.set("CML_NATIVE_URL", &format!("{}/release", forge.url()));
    Some(project)
}

#[test]
fn one_report() {
    let forge = Forge::start();
    let train = "mkdir plots && cp plot.png plots && printf '# Trained\\n\\n![](plots/plot.png)\\n' > report.md";
    let Some(project) = example(&forge, &read("examples/gitlab/report.yml"), train) else { return };
    for _ in 0..2 {
        project.merge_request().ok();
    }
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Trained\n\n![](") && body.contains("/uploads/"), "{body}");
}

#[test]
fn a_matrix() {
    let forge = Forge::start();
    let train = "echo \"Trained with $PYTHON\" > report.md";
    let Some(project) = example(&forge, &read("examples/gitlab/matrix.yml"), train) else { return };
    project.merge_request().ok();
    let body = only(&forge, &Target::Pull(7));
    let places = ["3.12", "3.13", "3.14"].map(|python| body.find(&format!("Trained with {python}")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{body}");
}

/// DVC and the program that draws are real, in the image to train in.
#[test]
fn a_project_of_dvcs() {
    let forge = Forge::start();
    let Some(docker) = Docker::find() else { return };
    let pipeline = read("examples/gitlab/dvc.yml").replace("org/cml:1-dvc3", &docker.image("train"));
    let Some(mut project) = example(&forge, &pipeline, "") else { return };
    for (name, text) in dvc_project() {
        project.file(name, text);
    }
    std::fs::create_dir_all(project.path("store")).unwrap();
    project.docker = Some(docker);
    project.merge_request().ok();
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("## Training\n") && body.contains("| metrics.json | 0.9"), "{body}");
    assert!(body.contains("![Loss by epoch](") && body.contains("/uploads/"), "{body}");
}

/// EC2 is emulated; its machine's job runs here.
#[test]
fn a_training_on_a_launched_machine() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let (ec2, forge) = (Ec2::over(Arc::new(moto), "eu-west-1").unwrap(), Forge::start());
    let train = "echo '# Trained there' > report.md";
    let Some(mut project) = example(&forge, &read("examples/gitlab/cloud.yml"), train) else { return };
    forge.offer_download("v19.3.0/binaries/gitlab-runner-linux-amd64", b"a runner");
    project.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url());
    for (name, value) in cloud_variables(&ec2) {
        project.set(name, &value);
    }
    let ran = booting(&forge, GITLAB, || is_awaited(&ec2), || project.merge_request());
    assert_eq!(ran.code, Some(0), "{}\n{}", said(&ran), forge.transcript());
    let machines = ec2.alive();
    assert!(machines.len() == 1 && machines[0].kind.starts_with("g4dn."), "{machines:?} {ran:#?}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Trained there\n"), "{ran:#?}");
    assert!(!said(&ran).contains("bPxRfiCYEXAMPLEKEY"), "{ran:#?}");
}

/// The cluster is scripted; its pod's job runs here.
#[cfg(feature = "kubernetes")]
#[test]
fn a_training_in_a_pod() {
    let (cluster, forge) = (Kubernetes::start(), Forge::start());
    let train = "echo '# Trained there' > report.md";
    let Some(mut project) = example(&forge, &read("examples/gitlab/kubernetes.yml"), train) else { return };
    forge.offer_download("v19.3.0/binaries/gitlab-runner-linux-amd64", b"a runner");
    project.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url());
    // As GitLab leaves a variable of the type File.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("KUBECONFIG");
    std::fs::write(&file, cluster.kubeconfig()).unwrap();
    project.set("KUBECONFIG", &file.display().to_string());
    let runs = || cluster.objects("pods").values().any(|pod| pod["status"]["phase"] == "Running");
    let ran = booting(&forge, GITLAB, runs, || project.merge_request());
    assert_eq!(ran.code, Some(0), "{}\n{}", said(&ran), forge.transcript());
    assert_eq!(cluster.billed().len(), 1, "{ran:#?}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Trained there\n"), "{ran:#?}");
    assert!(!said(&ran).contains(TOKEN), "{ran:#?}");
}
