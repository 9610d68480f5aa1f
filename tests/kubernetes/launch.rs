//! Launches that succeed, and what becomes of them.

use super::fixture::ClusterFixture;
use crate::cloud::fixture::last_line;
use crate::support::fake::{Doing, Vendor};
use crate::support::kubernetes::{NAMESPACE, TOKEN};
use serde_json::json;
use std::time::Duration;

/// Real: the program. Scripted: the cluster and the forge.
#[test]
fn a_pod_becomes_a_runner() {
    for vendor in [Vendor::GitHub, Vendor::GitLab] {
        let fixture = ClusterFixture::new(vendor);
        let ran = fixture.launch(&[
            "--cloud-metadata",
            "team=ml",
            "--cloud-permission-set",
            "trainer",
            "--cloud-hdd-size",
            "50",
        ]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let (job, runner) = (fixture.job(), fixture.runners().remove(0));
        let name = job["metadata"]["name"].as_str().unwrap();
        let line = last_line(&ran);
        assert_eq!((&line["instanceId"], &line["id"]), (&json!(name), &json!(runner.name)));
        assert_eq!(
            (&line["cloud"], &line["region"], &line["instanceIp"]),
            (&json!("kubernetes"), &json!("test-cluster"), &json!("10.0.0.7"))
        );
        assert_eq!(fixture.cloud.effects(), ["create jobs", "create secrets"]);
        assert_eq!(job["metadata"]["annotations"]["cml-runner-id"], runner.id.to_string());
        assert_eq!((&job["metadata"]["labels"]["team"], &job["spec"]["backoffLimit"]), (&json!("ml"), &json!(0)));
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "trainer");
        assert_eq!(pod["containers"][0]["resources"]["limits"]["ephemeral-storage"], "50G");
        // The credential is in the Secret, which the Job owns, and nowhere else.
        let secret = fixture.cloud.objects("secrets")[name].clone();
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"]);
        let config: serde_json::Value =
            serde_json::from_str(secret["stringData"]["launch.json"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&config["cloud"], &config["identity"], &config["name"]),
            (&json!("kubernetes"), &json!(true), &json!(runner.name))
        );
        let credential =
            config["registration"]["credential"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        assert!(!job.to_string().contains(credential) && !ran.stderr.contains(credential));
        assert!(fixture.cloud.calls().iter().all(|call| !call.query.contains(TOKEN)));
        // It ends by itself, and the cluster removes it.
        fixture.cloud.end_pod(name, 0, "Completed");
        fixture.cloud.pass(Duration::from_secs(601));
        assert!(fixture.cloud.objects("jobs").is_empty() && fixture.cloud.objects("secrets").is_empty());
    }
}

#[test]
fn a_launch_needs_few_requests_one_after_the_other() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let actions: Vec<String> = fixture.cloud.calls().into_iter().map(|call| call.action).collect();
    // Then it waits, with two at the same time.
    let is_wait = |action: &&String| ["get jobs", "list pods"].contains(&action.as_str());
    let first: Vec<&String> = actions.iter().take_while(|action| !is_wait(action)).collect();
    // Nine at the same time, then two.
    assert_eq!(first.len(), 11, "{actions:?}");
    assert_eq!(&first[9..], ["create jobs", "create secrets"]);
    let reviews = first.iter().filter(|action| action.contains("selfsubjectaccessreviews")).count();
    assert_eq!(reviews, 7, "{actions:?}");
}

#[test]
fn pods_are_listed_stopped_and_reaped() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.make_foreign("somebodys");
    fixture.cloud.pages(1);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    let listed = fixture.run(&["list"]).ok();
    assert!(
        listed.contains(&runner.name) && listed.contains("6800m-24Gi") && !listed.contains("somebodys"),
        "{listed}"
    );
    fixture.run(&["stop", &runner.name]).ok();
    assert_eq!(fixture.cloud.objects("jobs").into_keys().collect::<Vec<_>>(), ["somebodys"]);
    assert!(fixture.cloud.objects("secrets").is_empty() && fixture.runners().is_empty());

    // A launcher that is killed after both objects were made: its runner never comes.
    let launch = fixture.start(&[]);
    fixture.until("a Secret", || !fixture.cloud.objects("secrets").is_empty());
    launch.kill_now();
    let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
    assert!(ran.stdout.contains("its runner is offline"), "{ran:#?}");
    assert_eq!(fixture.cloud.objects("jobs").into_keys().collect::<Vec<_>>(), ["somebodys"]);
    assert!(fixture.runners().is_empty(), "{ran:#?}");
}

/// Killed at each request: what is left ends by itself, and reap removes it at once.
#[test]
fn what_a_killed_launcher_leaves_ends_by_itself() {
    let full = ClusterFixture::new(Vendor::GitHub);
    assert_eq!(full.launch(&[]).code, Some(0));
    let count = full.cloud.calls().len();
    for number in (1..=count.min(14)).filter(|number| *number >= 8) {
        let fixture = ClusterFixture::new(Vendor::GitHub);
        let launch = std::sync::Arc::new(std::sync::OnceLock::<u32>::new());
        let pid = std::sync::Arc::clone(&launch);
        fixture.cloud.after_each(move |at| {
            if at == number {
                crate::cloud::fixture::kill(*pid.wait());
            }
        });
        let running = fixture.start(&["--cloud-max-lifetime", "1 hour"]);
        launch.set(running.id()).unwrap();
        fixture.until("its end", || running.is_over());
        fixture.cloud.forget();
        // Without its Secret the pod gives up; with it, it is the agent's.
        let has_secret = !fixture.cloud.objects("secrets").is_empty();
        fixture.cloud.pass(Duration::from_secs(301));
        assert!(has_secret || fixture.cloud.billed().is_empty(), "at {number}: {:?}", fixture.cloud.billed());
        fixture.cloud.pass(Duration::from_secs(3600));
        assert_eq!(fixture.cloud.billed(), [""; 0], "at {number}");
        fixture.cloud.pass(Duration::from_secs(601));
        assert!(fixture.cloud.objects("jobs").is_empty() && fixture.cloud.objects("secrets").is_empty(), "at {number}");
        fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
        fixture.is_clean();
    }
}

#[test]
fn a_runner_that_is_there_is_reused_without_asking_the_cluster() {
    let fixture = ClusterFixture::new(Vendor::GitLab);
    assert_eq!(fixture.launch(&["--reuse"]).code, Some(0));
    fixture.forge.set_runner(&fixture.runners()[0].name, Doing::Idle);
    fixture.cloud.forget();
    let ran = fixture.run(&["launch", "--reuse"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(fixture.cloud.calls().is_empty() && fixture.cloud.objects("jobs").len() == 1);
    assert_eq!(fixture.job()["metadata"]["namespace"], NAMESPACE);
}
