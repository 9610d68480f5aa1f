//! The workflows of `examples/github` and of the documentation, as they are. What they use of others is played: the
//! actions for artifacts and Python, and the training.

use super::super::{booting, cloud_variables, dvc_project, is_awaited, read};
use super::{GITHUB, only};
use crate::support::act::{Consumer, pull_request};
use crate::support::ec2::Ec2;
use crate::support::fake::{Forge, HEAD, PullRequest, Target};
use crate::support::ignored::skipped;
#[cfg(feature = "kubernetes")]
use crate::support::kubernetes::{Kubernetes, TOKEN};
use crate::support::moto::Moto;
use crate::support::png;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Plays the actions that a workflow uses besides ours and the engine's own.
fn play(consumer: &mut Consumer, workflow: &str) {
    let used = workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
    for name in used.map(|line| line.split(' ').next().unwrap()) {
        let (inputs, script): (&[&str], _) = match name.split('@').next().unwrap() {
            "org/setup-cml-rs" | "actions/checkout" => continue,
            "actions/setup-python" => {
                (&["python-version"], "echo \"PYTHON=${{ inputs.python-version }}\" >> $GITHUB_ENV")
            }
            "actions/upload-artifact" => (&["name", "path"], "cp -r ${{ inputs.path }} $OUT/${{ inputs.name }}"),
            "actions/download-artifact" => (
                &["name", "path", "run-id", "github-token"],
                "test ${{ inputs.run-id }} = 41 && mkdir ${{ inputs.path }} && cp $OUT/${{ inputs.name }}/* ${{ inputs.path }}",
            ),
            other => panic!("nobody plays {other}"),
        };
        consumer.action(name, inputs, script);
    }
}

/// A repository with an example as its workflow and a training, which is a shell script here.
fn example(forge: &Forge, workflow: &str, train: &str) -> Option<Consumer> {
    let mut consumer = Consumer::on(forge)?;
    consumer.program("python", "exec sh \"$@\"\n");
    consumer.file("train.py", train);
    consumer.file("plot.png", png(1));
    play(&mut consumer, workflow);
    consumer.workflow(workflow);
    Some(consumer)
}

#[test]
fn one_report() {
    let forge = Forge::start();
    let train = "printf '# Trained\\n\\n![](plot.png)\\n' > report.md";
    let Some(consumer) = example(&forge, &read("examples/github/report.yml"), train) else { return };
    for _ in 0..2 {
        let done = consumer.pull_request().ok();
        assert_eq!(done.annotations(), [], "{done}");
        let id = forge.comments(GITHUB, &Target::Pull(7))[0].id;
        let told = format!("The report is at {}/octo/model/pull/7#issuecomment-{id}", forge.url());
        assert!(done.to_string().contains(&told), "{done}");
    }
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Trained\n\n![](http://"), "{body}");
}

#[test]
fn a_matrix() {
    let forge = Forge::start();
    let train = "echo \"Trained with $PYTHON\" > report.md";
    let Some(consumer) = example(&forge, &read("examples/github/matrix.yml"), train) else { return };
    let done = consumer.pull_request().ok();
    assert_eq!((done.jobs(""), done.annotations()), (3, vec![]), "{done}");
    let body = only(&forge, &Target::Pull(7));
    let places = ["3.12", "3.13", "3.14"].map(|python| body.find(&format!("Trained with {python}")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{body}");
}

#[test]
fn a_training_that_is_watched() {
    let forge = Forge::start();
    // What it wrote last is there too, although nobody had the time to look.
    let train = "for n in 1 2; do echo \"Epoch $n\" >> report.md; sleep 1; done; echo Done >> report.md";
    let Some(consumer) = example(&forge, &read("examples/github/setup.yml"), train) else { return };
    let done = consumer.pull_request().ok();
    assert_eq!(done.annotations(), [], "{done}");
    assert!(only(&forge, &Target::Pull(7)).contains("Epoch 2\nDone"), "{done}");
}

#[test]
fn two_workflows_for_forks() {
    let first = read("examples/github/fork-train.yml");
    let page = read("docs/forks.md");
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for second in [&read("examples/github/fork-report.yml"), shown] {
        let forge = Forge::start();
        let sha = "2222222222222222222222222222222222222222";
        let pull = PullRequest { fork: Some("visitor/model".into()), ..PullRequest::open(12, sha, "patch") };
        forge.add_pull_request(GITHUB, pull);
        let train = "mkdir report && echo '# From a fork' > report/report.md";
        let Some(mut consumer) = example(&forge, &first, train) else { return };
        consumer.token = "readonly".into();
        consumer.run("pull_request", &pull_request("visitor/model")).ok();
        assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
        play(&mut consumer, second);
        consumer.token = "good".into();
        consumer.workflow(second);
        let run = json!({ "id": 41, "name": "train", "head_sha": sha, "head_branch": "patch", "pull_requests": [],
            "head_repository": { "full_name": "visitor/model" } });
        consumer.run("workflow_run", &json!({ "action": "completed", "workflow_run": run })).ok();
        assert!(only(&forge, &Target::Pull(12)).starts_with("# From a fork"), "{}", forge.transcript());
        let elsewhere = [Target::Pull(7), Target::Commit(HEAD.into()), Target::Commit(sha.into())];
        assert!(elsewhere.iter().all(|target| forge.comments(GITHUB, target).is_empty()), "{}", forge.transcript());
    }
}

/// DVC is real; the program that draws is played.
#[test]
fn a_project_of_dvcs() {
    let forge = Forge::start();
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    let Some(consumer) = example(&forge, &read("examples/github/dvc.yml"), "") else { return };
    let python = Path::new(&python).display();
    consumer.program("python", &format!("exec '{python}' \"$@\"\n"));
    consumer.program("dvc", &format!("exec '{python}' -m dvc \"$@\"\n"));
    consumer.program("pip", "echo \"pip $*\"\n");
    consumer.program("vl2png", "grep -q vega-lite \"$1\" && cp plot.png \"$2\"\n");
    for (name, text) in dvc_project() {
        consumer.file(name, text);
    }
    let done = consumer.pull_request().ok();
    assert_eq!(done.annotations(), [], "{done}");
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("## Training\n") && body.contains("| metrics.json | 0.9"), "{body}");
    assert!(body.contains("![Loss by epoch](http"), "{body}");
}

/// EC2 is emulated; its machine's job runs here.
#[test]
fn a_training_on_a_launched_machine() {
    let Some(moto) = Moto::start_with_machines() else { return };
    let (ec2, forge) = (Ec2::over(Arc::new(moto), "eu-west-1").unwrap(), Forge::start());
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    let train = "echo '# Trained there' > report.md";
    let Some(mut consumer) = example(&forge, &read("examples/github/cloud.yml"), train) else { return };
    consumer.program("python3", "exec sh \"$@\"\n");
    for (name, value) in cloud_variables(&ec2) {
        consumer.set(name, &value);
    }
    let done = booting(&forge, GITHUB, || is_awaited(&ec2), || consumer.pull_request()).ok();
    let machines = ec2.alive();
    assert!(machines.len() == 1 && machines[0].kind.starts_with("g4dn."), "{machines:?} {done}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Trained there\n"), "{done}");
    // A fork's run has no tokens: nothing is launched, and nothing waits for a machine.
    let done = consumer.run("pull_request", &pull_request("visitor/model"));
    assert!(done.code == Some(0) && ec2.alive() == machines, "{done}");
}

/// The cluster is scripted; its pod's job runs here.
#[cfg(feature = "kubernetes")]
#[test]
fn a_training_in_a_pod() {
    let (cluster, forge) = (Kubernetes::start(), Forge::start());
    forge.offer_download("actions-runner-linux-x64-2.336.0.tar.gz", b"a runner");
    let train = "echo '# Trained there' > report.md";
    let Some(mut consumer) = example(&forge, &read("examples/github/kubernetes.yml"), train) else { return };
    consumer.program("python3", "exec sh \"$@\"\n");
    consumer.secret("KUBECONFIG", &cluster.kubeconfig());
    let runs = || cluster.objects("pods").values().any(|pod| pod["status"]["phase"] == "Running");
    let done = booting(&forge, GITHUB, runs, || consumer.pull_request()).ok();
    let pods = cluster.objects("pods");
    let gpus = pods.values().map(|pod| &pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]);
    assert_eq!(gpus.collect::<Vec<_>>(), ["1"], "{done}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Trained there\n"), "{done}");
    done.hides(TOKEN);
    // A fork's run has no tokens: nothing is launched, and nothing waits for a pod.
    let done = consumer.run("pull_request", &pull_request("visitor/model"));
    assert!(done.code == Some(0) && cluster.objects("pods").len() == 1, "{done}");
}
