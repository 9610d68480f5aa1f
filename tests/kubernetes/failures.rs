//! What is said and undone where it goes wrong.

use super::fixture::ClusterFixture;
use crate::support::fake::Vendor;
use crate::support::kubernetes::PodFate;
use crate::support::recorder::Wrong;
use std::time::Duration;

/// The request for a registration, which comes after all that is checked.
fn registered_nothing(fixture: &ClusterFixture) {
    assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
    assert_eq!(fixture.cloud.effects(), [""; 0]);
}

#[test]
fn rights_that_are_missing_are_named_before_anything_is_made() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.denies("create secrets");
    fixture.cloud.denies("get pods/log");
    let says = "the cluster does not allow in namespace ml: create secrets, get pods/log";
    fixture.run(&["launch"]).fails(4, says, "bind the Role of docs/kubernetes.md *");
    registered_nothing(&fixture);
}

#[test]
fn what_the_cluster_would_refuse_is_found_before_anything_is_made() {
    for (status, says, code, error, hint) in [
        (
            403,
            "pods \"cml-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
            11,
            "*exceeded quota: q, requested: pods=1*",
            "ask for less with --cloud-type*",
        ),
        (
            403,
            "pods \"cml-x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
            3,
            "*violates PodSecurity*",
            "the namespace enforces a Pod Security Standard*",
        ),
        (
            403,
            "pods \"cml-x\" is forbidden: maximum cpu usage per Container is 2, but request is 6800m",
            3,
            "*maximum cpu usage*",
            "the namespace's LimitRange*",
        ),
        (
            422,
            "Pod \"cml-x\" is invalid: spec.containers[0].image: Required value",
            3,
            "the cluster refuses the pod: *Required value",
            "check --cloud-kubernetes-pod*",
        ),
    ] {
        let fixture = ClusterFixture::new(Vendor::GitHub);
        fixture.cloud.refuses_pods(status, says);
        fixture.run(&["launch"]).fails(code, error, hint);
        registered_nothing(&fixture);
    }
}

#[test]
fn a_cluster_that_cannot_try_pods_is_no_obstacle() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.denies("create pods");
    fixture.cloud.fails(
        "dry-run jobs",
        1,
        Wrong::Refused(400, "BadRequest", "admission webhook \"x\" does not support dry run"),
    );
    fixture.cloud.warns("unknown field \"spec.x\"");
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.stderr.matches("the cluster says: unknown field").count(), 1, "{ran:#?}");
}

#[test]
fn wrong_credentials_are_named_and_not_shown() {
    let mut fixture = ClusterFixture::new(Vendor::GitHub);
    let config = fixture.cloud.kubeconfig_with("another-token-that-is-wrong");
    fixture.cml.set("KUBERNETES_CONFIGURATION", &config);
    let ran = fixture.run(&["launch"]);
    ran.fails(
        4,
        "the cluster 127.0.0.1 rejected the credentials of the context Test Cluster",
        "check that the token *",
    );
    assert!(!ran.stderr.contains("another-token"), "{ran:#?}");
    registered_nothing(&fixture);
}

#[test]
fn a_refusal_after_a_lost_answer_leaves_no_job() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.fails("create jobs", 1, Wrong::LostAnswer);
    let quota = "jobs.batch \"x\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1";
    fixture.cloud.fails("create jobs", 1, Wrong::Refused(403, "Forbidden", quota));
    let ran = fixture.start(&[]).end();
    ran.fails(11, "*exceeded quota: q*", "ask for less with --cloud-type*");
    assert!(ran.stderr.contains("terminated instance cml-"), "{ran:#?}");
    fixture.is_clean();
}

#[test]
fn a_pod_that_cannot_start_fails_at_once_and_is_removed() {
    let (image, less) = ("check --cloud-image*", "ask for less with --cloud-type*");
    let pulling =
        "instance cml-* failed: the image the-image does not start: ImagePullBackOff: Back-off pulling image*";
    let ended = "instance cml-* ended before its runner was online: its container runner ended with 3";
    for (fate, code, says, hint) in [
        (PodFate::Wait("ImagePullBackOff", "Back-off pulling image \"org/nothing\""), 12, pulling, image),
        (
            PodFate::Wait("CreateContainerConfigError", "secret \"x\" not found"),
            12,
            "*CreateContainerConfigError: secret \"x\" not found",
            image,
        ),
        (PodFate::None("Error creating: pods \"x\" is forbidden: exceeded quota: q"), 11, "*exceeded quota: q", less),
        (
            PodFate::None("Error creating: admission webhook \"p\" denied the request: no"),
            12,
            "*denied the request: no",
            image,
        ),
        (PodFate::End(3), 12, ended, ""),
    ] {
        let fixture = ClusterFixture::new(Vendor::GitHub);
        fixture.cloud.pods_go(fate);
        fixture.start(&[]).end().fails(code, says, hint);
        assert_eq!(fixture.cloud.effects(), ["create jobs", "create secrets", "delete jobs"]);
        fixture.is_clean();
    }
}

#[test]
fn a_node_may_still_come_until_the_boot_time_is_over() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    let says = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.";
    fixture.cloud.pods_go(PodFate::Unschedulable(says));
    let ran = fixture.start(&["--cloud-boot-timeout", "5"]).end();
    ran.fails(
        11,
        &format!("instance cml-* found no capacity within 5 seconds: Unschedulable: {says}"),
        "check the size *",
    );
    assert_eq!(ran.stderr.matches("waits for capacity").count(), 1, "{ran:#?}");
    fixture.is_clean();

    // An autoscaler adds one.
    let launch = fixture.start(&[]);
    fixture.until("a pod", || fixture.cloud.of("get jobs").len() > 1 && !fixture.cloud.billed().is_empty());
    fixture.cloud.pods_go(PodFate::Run);
    let name = fixture.runners().remove(0).name;
    fixture.forge.set_runner(&name, crate::support::fake::Doing::Idle);
    assert_eq!(launch.end().code, Some(0));
}

#[test]
fn a_lost_answer_makes_no_second_pod() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    for action in ["dry-run jobs", "create jobs", "create secrets"] {
        fixture.cloud.fails(action, 1, Wrong::LostAnswer);
    }
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!((fixture.cloud.of("create jobs").len(), fixture.cloud.of("create secrets").len()), (2, 2));
    assert_eq!(fixture.cloud.billed().len(), 1);
}

#[test]
fn a_job_of_which_the_answer_never_comes_is_found_by_its_labels_and_ended() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.fails("create jobs", 99, Wrong::LostAnswer);
    let ran = fixture.run(&["launch", "--timeout", "30"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    fixture.is_clean();
}

#[test]
fn a_pod_without_its_secret_is_not_left_behind() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    let says = "secrets is forbidden: User \"ci\" cannot create resource \"secrets\" in API group \"\" in the namespace \"ml\"";
    fixture.cloud.fails("create secrets", 1, Wrong::Refused(403, "Forbidden", says));
    fixture.run(&["launch"]).fails(4, says, "bind the Role*");
    fixture.is_clean();
}

#[test]
fn a_pod_that_ended_before_its_secret_came_is_not_left_behind() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.pods_go(PodFate::End(1));
    // Longer than the whole launch may take.
    fixture.cloud.fails("create secrets", 9, Wrong::Slow(Duration::from_secs(3)));
    let ran = fixture.run(&["launch", "--timeout", "2"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    fixture.is_clean();
}

#[test]
fn throttling_and_a_server_that_restarts_are_waited_for() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.fails("create jobs", 1, Wrong::Refused(429, "TooManyRequests", "too many requests"));
    fixture.cloud.fails("create secrets", 2, Wrong::Refused(500, "InternalError", "etcdserver: leader changed"));
    fixture.cloud.fails("get jobs", 1, Wrong::Refused(503, "ServiceUnavailable", "apiserver is shutting down"));
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(fixture.cloud.billed().len(), 1);
}

#[test]
fn a_signal_undoes_what_was_made() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    // While it waits for the runner; a second signal does not keep it from undoing.
    let launch = fixture.start(&[]);
    fixture.until("a look", || !fixture.cloud.of("get jobs").is_empty());
    launch.signal("TERM");
    launch.signal("TERM");
    launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
    fixture.is_clean();
    // While the Job is being made, and before.
    for action in ["create jobs", "create secrets", "dry-run pods"] {
        fixture.cloud.forget();
        fixture.cloud.fails(action, 1, Wrong::Slow(Duration::from_secs(2)));
        let launch = fixture.start(&[]);
        fixture.until(action, || !fixture.cloud.of(action).is_empty());
        launch.signal("TERM");
        launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
        fixture.is_clean();
    }
}
