//! Launches that succeed, and what becomes of them.

use super::fixture::GcpFixture;
use crate::cloud::fixture::last_line;
use crate::support::fake::{Doing, Vendor};
use crate::support::gce::{PROJECT, WORKER};
use crate::support::recorder::Wrong;
use serde_json::{Value, json};

/// Real: the program. Scripted: Compute Engine and the forge.
#[test]
fn an_instance_becomes_a_runner() {
    for vendor in [Vendor::GitHub, Vendor::GitLab, Vendor::Bitbucket] {
        let fixture = GcpFixture::new(vendor);
        let identity = format!("{WORKER},scopes=storage-ro");
        let args = [
            "--cloud-spot",
            "--cloud-metadata",
            "team=ml",
            "--cloud-hdd-size",
            "50",
            "--cloud-permission-set",
            &identity,
        ];
        let ran = fixture.launch(&args);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let (one, runner) = (fixture.instance(), fixture.runners().remove(0));
        let line = last_line(&ran);
        let id = format!("us-west1-b/{}", one["name"].as_str().unwrap());
        assert_eq!((&line["instanceId"], &line["id"]), (&json!(id), &json!(runner.name)));
        assert_eq!(
            (&line["cloud"], &line["instanceIp"], &line["instanceType"], &line["spot"]),
            (&json!("gcp"), &json!("203.0.113.9"), &json!("n2-standard-8"), &json!(true))
        );
        // Exact tags in the description, others for selection.
        let tags: Value = serde_json::from_str(one["description"].as_str().unwrap()).unwrap();
        assert_eq!((&tags["cml-name"], &tags["team"]), (&json!(runner.name), &json!("ml")));
        assert!(tags["cml-repo"].as_str().unwrap().starts_with("http"), "{tags}");
        assert_eq!((&one["labels"]["cml-managed"], &one["labels"]["team"]), (&json!("true"), &json!("ml")));
        let scheduling = &one["scheduling"];
        assert_eq!(scheduling["maxRunDuration"]["seconds"], (35 * 24 * 3600).to_string());
        assert_eq!(
            (&scheduling["instanceTerminationAction"], &scheduling["preemptionNoticeDuration"]["seconds"]),
            (&json!("DELETE"), &json!("120"))
        );
        assert_eq!(one["disks"][0]["initializeParams"]["diskSizeGb"], "50");
        assert_eq!(one["serviceAccounts"][0]["scopes"][0], "https://www.googleapis.com/auth/devstorage.read_only");
        assert_eq!(one["tags"]["items"], json!(["cml-no-inbound"]));
        // The script is given to the instance, and is gone from its metadata when the runner is online.
        let body = fixture.cloud.of("compute.instances.create").remove(0).body;
        let script = body["metadata"]["items"][0]["value"].as_str().unwrap();
        assert!(script.starts_with("#!/bin/sh\n") && script.contains("\"cloud\":\"gcp\""), "{script}");
        assert!(script.contains("ExecStop=/usr/local/sbin/cml-delete\n"), "with an identity it deletes itself");
        let keys: Vec<&Value> = one["metadata"]["items"].as_array().unwrap().iter().map(|item| &item["key"]).collect();
        assert_eq!(keys, ["block-project-ssh-keys", "serial-port-enable"]);
    }
}

#[test]
fn a_launch_needs_few_requests_one_after_the_other() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let actions: Vec<String> = fixture.cloud.calls().into_iter().map(|call| call.action).collect();
    let is_wait = |action: &&String| *action == "compute.instances.get";
    let mut first: Vec<&str> = actions.iter().take_while(|action| !is_wait(action)).map(String::as_str).collect();
    // Three at the same time, the image; the rule, once; the instance, and at the same time a look for stopped ones.
    first[..3].sort_unstable();
    assert_eq!(
        first[..3],
        [&*format!("/v1/projects/{PROJECT}:testIamPermissions"), "compute.firewalls.get", "compute.machineTypes.list"]
    );
    assert_eq!(first[4..6], ["compute.firewalls.create", "compute.globalOperations.get"]);
    assert_eq!(first.len(), 9, "{actions:?}");
    // The next one finds the rule.
    fixture.cloud.forget();
    assert_eq!(fixture.launch(&["--name", "second"]).code, Some(0));
    assert!(fixture.cloud.of("compute.firewalls.create").is_empty());
    assert_eq!(fixture.cloud.firewalls().into_iter().collect::<Vec<_>>(), ["cml-no-inbound"]);
}

#[test]
fn instances_are_listed_stopped_and_reaped() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    fixture.cloud.make_foreign("us-west1-a");
    fixture.cloud.pages(5);
    // Operations that take their time.
    fixture.cloud.looks(1);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    let listed = fixture.run(&["list"]).ok();
    assert!(
        listed.contains(&runner.name) && listed.contains("n2-standard-8") && !listed.contains("somebodys"),
        "{listed}"
    );
    fixture.run(&["stop", &runner.name]).ok();
    fixture.is_clean();

    // A launcher that is killed: its runner never comes.
    let launch = fixture.start(&[]);
    fixture.until("an instance", || !fixture.cloud.billed().is_empty());
    launch.kill_now();
    let ran = fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
    assert!(ran.stdout.contains("its runner is offline"), "{ran:#?}");
    fixture.is_clean();
    assert_eq!(fixture.cloud.instances().len(), 1, "somebody else's");
}

#[test]
fn a_full_zone_is_followed_by_the_one_that_google_recommends_and_spot_by_standard() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    for zone in ["us-west1-a", "us-west1-b", "us-west1-c"] {
        fixture.cloud.is_full(zone, "SPOT");
    }
    fixture.cloud.is_full("us-west1-b", "STANDARD");
    fixture.cloud.recommends("us-west1-c");
    let ran = fixture.launch(&["--cloud-spot", "--cloud-type", "n2-standard-8,e2-standard-8"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let attempts = fixture.attempts();
    let of = |machine: &str, model: &str| ["b", "c", "a"].map(|letter| format!("us-west1-{letter}/{machine} {model}"));
    assert_eq!(attempts[..3], of("n2-standard-8", "SPOT"));
    assert_eq!(attempts[3..6], of("e2-standard-8", "SPOT"));
    assert_eq!(attempts[6..], of("n2-standard-8", "STANDARD")[..2]);
    assert!(ran.stderr.contains("no spot capacity") && ran.stderr.contains("falling back to on-demand"), "{ran:#?}");
    // Each attempt is a request of its own.
    let ids = fixture.cloud.of("compute.instances.create").into_iter().map(|call| call.query[0].1.clone());
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), attempts.len());
}

#[test]
fn a_quota_is_not_asked_about_in_other_zones() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    let quota = Wrong::Fails("QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded.  Limit: 8.0 in region us-west1.");
    fixture.cloud.fails("compute.instances.create", 1, quota);
    assert_eq!(fixture.launch(&["--cloud-type", "n2-standard-8,e2-standard-8"]).code, Some(0));
    assert_eq!(fixture.attempts(), ["us-west1-b/n2-standard-8 STANDARD", "us-west1-b/e2-standard-8 STANDARD"]);
}

#[test]
fn gpus_are_attached_or_built_in_and_neither_migrates() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-gpu", "t4"]).code, Some(0));
    let one = fixture.instance();
    assert_eq!(
        one["guestAccelerators"],
        json!([{ "acceleratorType": "zones/us-west1-b/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 1 }])
    );
    assert_eq!(one["scheduling"]["onHostMaintenance"], "TERMINATE");
    assert_eq!(one["disks"][0]["initializeParams"]["diskSizeGb"], "60", "the image's");
    assert_eq!(fixture.attempts(), ["us-west1-b/n1-standard-4 STANDARD"], "the only zone with it");
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-gpu", "l4"]).code, Some(0));
    let one = fixture.instance();
    assert_eq!((one.get("guestAccelerators"), &one["scheduling"]["onHostMaintenance"]), (None, &json!("TERMINATE")));
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-arch", "arm64", "--cloud-region", "us-west1-a"]).code, Some(0));
    let one = fixture.instance();
    assert!(one["machineType"].as_str().unwrap().ends_with("us-west1-a/machineTypes/c4a-standard-8"), "{one}");
    assert!(one["disks"][0]["initializeParams"]["diskType"].as_str().unwrap().ends_with("hyperdisk-balanced"), "{one}");
}

/// Google refuses a part of the request that is not needed: it is left out.
#[test]
fn what_is_refused_and_not_needed_is_left_out() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    let says = "Invalid value for field 'resource.scheduling.preemptionNoticeDuration'";
    fixture.cloud.fails("compute.instances.create", 1, Wrong::Refused(400, "invalid", says));
    assert_eq!(fixture.launch(&["--cloud-spot"]).code, Some(0));
    assert_eq!(fixture.instance()["scheduling"].get("preemptionNoticeDuration"), None);
    let fixture = GcpFixture::new(Vendor::GitHub);
    let address = "Constraint constraints/compute.vmExternalIpAccess violated for project 1234.";
    fixture.cloud.fails("compute.instances.create", 1, Wrong::Fails("CONDITION_NOT_MET", address));
    let ran = fixture.launch(&["--cloud-gcp-network", "ml", "--cloud-gcp-subnetwork", "private"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(ran.stderr.contains("must reach the internet through Cloud NAT"), "{ran:#?}");
    let interface = &fixture.instance()["networkInterfaces"][0];
    assert_eq!((&interface["network"], interface.get("accessConfigs")), (&json!("global/networks/ml"), None));
    assert_eq!(interface["subnetwork"], "regions/us-west1/subnetworks/private");
    assert!(fixture.cloud.firewalls().iter().all(|name| name.starts_with("cml-no-inbound-")));
}

#[test]
fn a_runner_that_is_there_is_reused_without_asking_the_cloud() {
    let fixture = GcpFixture::new(Vendor::GitLab);
    assert_eq!(fixture.launch(&["--reuse"]).code, Some(0));
    fixture.forge.set_runner(&fixture.runners()[0].name, Doing::Idle);
    fixture.cloud.forget();
    assert_eq!(fixture.run(&["launch", "--reuse"]).code, Some(0));
    assert!(fixture.cloud.calls().is_empty() && fixture.cloud.instances().len() == 1);
}
