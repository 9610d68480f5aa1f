//! Every body is judged by the schemas of Kubernetes: `pip install kubernetes-validate`, named by `CML_TEST_KUBERNETES_VALIDATE`.

use super::fixture::ClusterFixture;
use crate::support::fake::Vendor;
use crate::support::ignored::skipped;
use crate::support::kubernetes::PodFate;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest version that is supported, and the newest that the judge knows.
const VERSIONS: [&str; 2] = ["1.33", "1.37"];

fn judge() -> Option<PathBuf> {
    let judge = std::env::var_os("CML_TEST_KUBERNETES_VALIDATE").map(PathBuf::from);
    if judge.is_none() {
        skipped("kubernetes-validate", "pip install kubernetes-validate, and name it in CML_TEST_KUBERNETES_VALIDATE");
    }
    judge
}

/// What the judge finds wrong.
fn judged(judge: &Path, files: &[PathBuf], version: &str) -> Result<(), String> {
    let output = Command::new(judge).args(["--strict", "--quiet", "-k", version]).args(files).output().unwrap();
    let says = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&says).into_owned()) }
}

/// Real: the program and the judge. Scripted: the cluster.
#[test]
fn every_body_is_valid() {
    let Some(judge) = judge() else { return };
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cml.file(
        "pod.yaml",
        "spec:\n  tolerations: [{key: spot, operator: Exists}]\n  imagePullSecrets: [{name: registry}]\n",
    );
    let all =
        ["--cloud-gpu", "any", "--cloud-permission-set", "trainer", "--cloud-hdd-size", "50", "--cloud-arch", "arm64"];
    let more = [
        "--cloud-kubernetes-node-selector",
        "pool=ml",
        "--cloud-metadata",
        "team=ml",
        "--cloud-kubernetes-pod",
        "pod.yaml",
    ];
    assert_eq!(fixture.launch(&[&all[..], &more[..]].concat()).code, Some(0));
    fixture.cloud.pods_go(PodFate::End(1));
    assert_eq!(fixture.start(&["--name", "other"]).end().code, Some(12));
    let calls = fixture.cloud.calls();
    let bodies: Vec<_> =
        calls.iter().filter(|call| call.body.is_object() && call.body["kind"] != "DeleteOptions").collect();
    assert!(bodies.len() > 20, "{}", bodies.len());
    let shown = fixture.run(&["launch", "--dry-run"]).ok();
    for (n, document) in shown.split("---\n").skip(1).enumerate() {
        fixture.cml.file(&format!("bodies/shown{n}.yaml"), document);
    }
    for (n, call) in bodies.iter().enumerate() {
        fixture.cml.file(&format!("bodies/{n}.json"), call.body.to_string());
    }
    let bodies = std::fs::read_dir(fixture.cml.path().join("bodies")).unwrap();
    let bodies: Vec<PathBuf> = bodies.map(|file| file.unwrap().path()).collect();
    for version in VERSIONS {
        assert_eq!(judged(&judge, &bodies, version), Ok(()), "{version}");
    }
    // The judge itself: a field that Kubernetes does not know.
    let mut wrong = fixture.job();
    wrong.as_object_mut().unwrap().remove("status");
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always".into();
    let file = fixture.cml.file("wrong.json", wrong.to_string());
    assert!(judged(&judge, &[file], VERSIONS[1]).unwrap_err().contains("imagePullPolice"));
}
