//! Launches that fail: the exit code, what is said, and that nothing is left.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;

#[test]
fn without_capacity_every_zone_is_tried_and_nothing_is_left() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    for zone in ["us-west1-a", "us-west1-b", "us-west1-c"] {
        fixture.cloud.is_full(zone, "STANDARD");
    }
    fixture.run(&["launch", "--cloud-type", "n2-standard-8"]).fails(
        11,
        "no capacity for n2-standard-8 in us-west1-b, us-west1-a, us-west1-c: The zone 'us-west1-c' does not have enough resources*",
        "try another --cloud-region, or more instance types with --cloud-type, separated by commas",
    );
    fixture.is_clean();
    let quota = Wrong::Fails("QUOTA_EXCEEDED", "Quota 'N2_CPUS' exceeded.  Limit: 8.0 in region us-west1.");
    fixture.cloud.fails("compute.instances.create", 1, quota);
    fixture.run(&["launch", "--cloud-type", "n2-standard-8"]).fails(
        11,
        "no capacity for n2-standard-8 in us-west1-b: the project has reached its quota: Quota 'N2_CPUS' exceeded.  Limit: 8.0 in region us-west1 (QUOTA_EXCEEDED)",
        "request more under IAM & Admin, Quotas*",
    );
    fixture.is_clean();
}

#[test]
fn a_refusal_is_explained_and_undone() {
    let actor = "The user does not have access to service account 'x'.  User: 'y'.  Ask a project owner to grant you the iam.serviceAccountUser role on the service account: 'iam.serviceAccounts.actAs'";
    let address = "Constraint constraints/compute.vmExternalIpAccess violated for project 1234.";
    for (wrong, code, says, hint) in [
        (
            Wrong::Refused(400, "invalid", actor),
            3,
            "Google Cloud rejected the request: The user does not have access*",
            "",
        ),
        (
            Wrong::Refused(403, "forbidden", actor),
            4,
            "Google Cloud does not allow iam.serviceAccounts.actAs: *",
            "grant the launcher the role roles/iam.serviceAccountUser*",
        ),
        (
            Wrong::Refused(403, "accessNotConfigured", "x"),
            4,
            "the Compute Engine API is off in the project",
            "turn it on: gcloud services enable compute.googleapis.com",
        ),
        (
            Wrong::Fails("CONDITION_NOT_MET", address),
            4,
            "the organization forbids instances with public addresses: *",
            "give a subnetwork that reaches the internet through Cloud NAT*",
        ),
        (
            Wrong::Fails("IP_SPACE_EXHAUSTED", "IP space of 'default' is exhausted."),
            11,
            "IP space of 'default' is exhausted (IP_SPACE_EXHAUSTED)",
            "give another subnetwork*",
        ),
        (
            Wrong::Refused(409, "alreadyExists", "The resource 'x' already exists"),
            6,
            "The resource 'x' already exists (alreadyExists)",
            "",
        ),
    ] {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.cloud.fails("compute.instances.create", 1, wrong.clone());
        let ran = fixture.run(&["launch"]);
        if hint.is_empty() {
            assert!(ran.code == Some(code) && ran.stderr.contains(says.trim_end_matches('*')), "{wrong:?}: {ran:#?}");
        } else {
            ran.fails(code, says, hint);
        }
        assert_eq!(fixture.attempts().len(), 1, "{wrong:?}");
        fixture.is_clean();
    }
}

#[test]
fn an_answer_that_is_lost_makes_one_instance() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    fixture.cloud.fails("compute.instances.create", 2, Wrong::LostAnswer);
    assert_eq!(fixture.launch(&[]).code, Some(0));
    assert_eq!(fixture.cloud.billed().len(), 1);
    let ids: std::collections::BTreeSet<String> =
        fixture.cloud.of("compute.instances.create").into_iter().map(|call| call.query[0].1.clone()).collect();
    assert_eq!(ids.len(), 1, "one request, three times");
    // No answer ever: what may have been made is found by its labels, and deleted.
    let fixture = GcpFixture::new(Vendor::GitHub);
    fixture.cloud.fails("compute.instances.create", 99, Wrong::LostAnswer);
    let ran = fixture.run(&["launch", "--timeout", "20"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    assert!(ran.stderr.contains("terminated instance us-west1-b/cml-gcp-"), "{ran:#?}");
    fixture.is_clean();
}

/// What the cloud says later, of the same request or of its operation, is not about the first answer, which was lost.
#[test]
fn a_refusal_after_a_lost_answer_makes_no_second_instance() {
    for (action, lost, refused) in [
        ("compute.instances.create", 1, Wrong::Refused(403, "quotaExceeded", "Quota 'N2_CPUS' exceeded.")),
        ("compute.zoneOperations.get", 0, Wrong::Refused(403, "quotaExceeded", "Quota 'Reads' exceeded.")),
    ] {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.cloud.fails(action, lost, Wrong::LostAnswer);
        fixture.cloud.fails(action, 1, refused);
        let ran = fixture.launch(&[]);
        assert_eq!((ran.code, fixture.cloud.billed().len()), (Some(0), 1), "{action}: {ran:#?}");
    }
}

/// At each request from the first that has an effect on.
#[test]
fn a_signal_undoes_everything() {
    for action in
        ["compute.firewalls.create", "compute.instances.create", "compute.zoneOperations.get", "compute.instances.get"]
    {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.cloud.looks(1);
        let launch = fixture.start(&[]);
        fixture.until(action, || !fixture.cloud.of(action).is_empty());
        launch.signal("TERM");
        let ran = launch.end();
        assert_eq!(ran.code, Some(143), "{action}: {ran:#?}");
        fixture.is_clean();
    }
}

#[test]
fn an_instance_that_ends_before_its_runner_is_online_is_shown_and_deleted() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    let launch = fixture.start(&[]);
    fixture.until("an instance that runs", || fixture.cloud.instances().iter().any(|one| one["status"] == "RUNNING"));
    fixture.cloud.fill_console(&fixture.cloud.billed()[0], "cml: this instance cannot become a runner (1)\r\n");
    fixture.cloud.power_off();
    let ran = launch.end();
    ran.fails(12, "instance us-west1-b/*ended before its runner was online: its status is TERMINATED", "");
    assert!(ran.stderr.contains("console: cml: this instance cannot become a runner (1)"), "{ran:#?}");
    fixture.is_clean();
}
