//! Options, the dry run, and what is refused.

use super::fixture::ClusterFixture;
use crate::support::fake::Vendor;

/// The documents, and nothing else, on standard output.
#[test]
fn a_dry_run_prints_what_would_be_applied_and_creates_nothing() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    let pod = "spec:\n  runtimeClassName: nvidia\n  volumes:\n  - {name: data, emptyDir: {}}\n";
    fixture.cml.file("pod.yaml", pod);
    let args = [
        "launch",
        "--dry-run",
        "-o",
        "yaml",
        "--cloud-gpu",
        "any",
        "--cloud-kubernetes-pod",
        "pod.yaml",
        "--cloud-max-lifetime",
        "1 hour",
    ];
    let ran = fixture.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let documents: Vec<serde_json::Value> =
        ran.stdout.split("---\n").skip(1).map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let [job, secret] = &documents[..] else { panic!("{ran:#?}") };
    assert_eq!((&job["kind"], &secret["kind"]), (&"Job".into(), &"Secret".into()));
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!((&pod["runtimeClassName"], &pod["volumes"][4]["name"]), (&"nvidia".into(), &"data".into()));
    assert_eq!(pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], "1");
    let deadline = job["spec"]["activeDeadlineSeconds"].as_u64().unwrap();
    assert!((3590..=3600).contains(&deadline), "{deadline}");
    assert!(ran.stdout.starts_with("---\n"), "{ran:#?}");
    assert_eq!(fixture.cloud.effects(), [""; 0]);
    let actions = fixture.cloud.calls().into_iter().map(|call| call.action);
    assert!(
        actions.into_iter().all(|action| action.starts_with("dry-run ") || action == "create selfsubjectaccessreviews")
    );
    assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
    assert_eq!(fixture.run(&["launch", "--dry-run"]).code, Some(0));
}

#[test]
fn what_cannot_work_in_a_pod_is_refused_with_the_way_out() {
    let fixture = ClusterFixture::new(Vendor::Bitbucket);
    let says = "the runner of Bitbucket is a Docker image, which cannot run on Kubernetes";
    fixture.run(&["launch"]).fails(7, says, "use a cloud with virtual machines*");
    assert!(fixture.cloud.calls().is_empty());
    let fixture = ClusterFixture::new(Vendor::GitLab);
    let ran = fixture.run(&["launch", "--docker-image", "python:3"]);
    ran.fails(
        2,
        "--docker-image and --docker-volumes have no effect on Kubernetes*",
        "name the image that jobs run in with --cloud-image*",
    );
    assert!(fixture.cloud.calls().is_empty());
    let fixture = ClusterFixture::new(Vendor::GitHub);
    let ran = fixture.run(&["launch", "--dry-run", "--cloud-spot", "--cloud-region", "us-east"]);
    for says in
        ["--cloud-spot has no effect", "--cloud-region us-east has no effect on Kubernetes", "container: or services:"]
    {
        assert!(ran.stderr.contains(says), "{says} {ran:#?}");
    }
}

#[test]
fn wrong_options_are_named_before_the_cluster_is_asked() {
    for (args, code, says) in [
        (&["--cloud-type", "g5.xlarge"][..], 2, "g5.xlarge is not a size of a pod"),
        (&["--cloud-gpu", "l4"], 2, "it is unknown which nodes of the cluster have the GPU l4"),
        (&["--cloud-image", "https://x"], 2, "--cloud-image https://x is not a container image"),
        (&["--cloud-metadata", "a b=c"], 2, "a b cannot be the name of a Kubernetes annotation"),
        (&["--cloud-kubernetes-pod", "missing.yaml"], 3, "*missing.yaml*"),
    ] {
        let fixture = ClusterFixture::new(Vendor::GitHub);
        fixture.run(&[&["launch"], args].concat()).fails(code, says, "*");
        assert!(fixture.cloud.calls().is_empty(), "{args:?}");
    }
}

#[test]
fn the_address_of_a_program_is_taken_and_not_needed() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    let digest = "5e".repeat(32);
    let ran =
        fixture.run(&["launch", "--dry-run", "--agent-url", "https://mirror.example/cml", "--agent-sha256", &digest]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stdout.contains("docker.io/org/cml:latest"), "{ran:#?}");
}

#[test]
fn the_documented_changes_of_a_pod_are_taken() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kubernetes.md")).unwrap();
    let blocks = docs.split("```yaml\n").skip(1).map(|part| part.split("```").next().unwrap());
    let patch = blocks.into_iter().find(|block| block.starts_with("spec:")).expect("a patch");
    let user = docs.split('`').find(|text| text.starts_with("securityContext: {")).expect("OpenShift's");
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cml.file("pod.yaml", format!("{patch}\n  {user}\n"));
    let shown = fixture.run(&["launch", "--dry-run", "--cloud-kubernetes-pod", "pod.yaml"]).ok();
    let job: serde_json::Value = serde_saphyr::from_str(shown.split("---\n").nth(1).unwrap()).unwrap();
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    assert!(pod["containers"][0]["volumeMounts"].as_array().unwrap().iter().any(|mount| mount["mountPath"] == "/data"));
    assert_eq!(
        (&pod["imagePullSecrets"][0]["name"], &pod["tolerations"][0]["key"]),
        (&"registry".into(), &"spot".into())
    );
    let context = pod["securityContext"].as_object().unwrap();
    assert_eq!(context.keys().collect::<Vec<_>>(), ["runAsNonRoot", "seccompProfile"]);
}
