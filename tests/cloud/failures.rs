//! What is said and undone where it goes wrong.

use super::fixture::{CloudFixture, last_line};
use crate::support::fake::Vendor;
use crate::support::moto::Moto;
use crate::support::recorder::Wrong;

#[test]
fn a_permission_that_is_missing_is_named_before_anything_is_made() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-northeast-1") else { return };
    fixture.cloud.fails("RunInstances", 1, Wrong::Refused(403, "UnauthorizedOperation", "You are not authorized to perform this operation. User: x is not authorized to perform: ec2:RunInstances on resource: y"));
    fixture.run(&["launch"]).fails(4, "AWS does not allow ec2:RunInstances*", "allow ec2:RunInstances in the policy*");
    assert!(fixture.forge.requests().iter().all(|request| request.method != "POST"));
    fixture.is_clean();
}

#[test]
fn where_there_is_no_spot_capacity_the_full_price_is_paid_unless_that_is_not_wanted() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-northeast-2") else { return };
    fixture.cloud.fails("CreateFleet", 1, Wrong::Fails("InsufficientInstanceCapacity", "There is none."));
    let ran = fixture.start(&["--cloud-spot", "--cloud-on-demand-fallback=false"]).end();
    ran.fails(
        11,
        "no capacity for *m7i.2xlarge* in *There is none. (InsufficientInstanceCapacity)",
        "try again later*",
    );
    fixture.is_clean();

    fixture.cloud.fails("CreateFleet", 1, Wrong::Fails("UnfulfillableCapacity", "There is none."));
    let ran = fixture.launch(&["--cloud-spot"]);
    assert_eq!(last_line(&ran)["spot"], false, "{ran:#?}");
    let tokens: Vec<_> =
        fixture.cloud.of("CreateFleet").into_iter().map(|call| call.fields["ClientToken"].clone()).collect();
    assert!(tokens.len() == 3 && tokens[1] != tokens[2], "{tokens:?}");
}

#[test]
fn a_lost_answer_makes_no_second_machine() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-northeast-3") else { return };
    for action in ["CreateFleet", "CreateLaunchTemplate", "CreateSecurityGroup"] {
        fixture.cloud.fails(action, 1, Wrong::LostAnswer);
    }
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(fixture.machine().id, last_line(&ran)["instanceId"]);
    assert_eq!(fixture.cloud.of("CreateFleet").len(), 2);
}

#[test]
fn a_machine_of_which_the_answer_never_comes_is_found_by_its_tags_and_ended() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-south-1") else { return };
    fixture.cloud.fails("CreateFleet", 99, Wrong::LostAnswer);
    let ran = fixture.cml.run(&["runner", "launch", "--timeout", "30"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    assert_eq!(fixture.cloud.machines().len(), 1);
    fixture.is_clean();
}

#[test]
fn a_refusal_after_a_lost_answer_leaves_no_machine() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-southeast-4") else { return };
    fixture.cloud.fails("CreateFleet", 1, Wrong::LostAnswer);
    fixture.cloud.fails("CreateFleet", 1, Wrong::Refused(400, "VcpuLimitExceeded", "You have requested more vCPU."));
    let ran = fixture.cml.run(&["runner", "launch", "--cloud-spot"]);
    assert_eq!(ran.code, Some(11), "{ran:#?}");
    assert_eq!(fixture.cloud.machines().len(), 1);
    fixture.is_clean();
}

/// Real: the program. Scripted: what EC2 says of a thing that was made a moment ago, at the request and in a fleet's answer.
#[test]
fn what_was_made_a_moment_ago_is_asked_for_again() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "me-central-1") else { return };
    let missing = "The specified launch template, with template name cml-x, does not exist.";
    fixture.cloud.fails("CreateFleet", 1, Wrong::Refused(400, "InvalidLaunchTemplateName.NotFoundException", missing));
    fixture.cloud.fails("CreateFleet", 1, Wrong::Fails("InvalidGroup.NotFound", "There is none."));
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let tokens: std::collections::BTreeSet<String> =
        fixture.cloud.of("CreateFleet").into_iter().map(|call| call.fields["ClientToken"].clone()).collect();
    assert_eq!(tokens.len(), 3, "another one each time");
    fixture.machine();
}

/// Real: the program. Scripted: EC2 does not know the machine yet, which it has just made.
#[test]
fn a_machine_that_ec2_does_not_know_yet_is_ended_all_the_same() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "me-central-1") else { return };
    let unknown = Wrong::Refused(400, "InvalidInstanceID.NotFound", "The instance ID does not exist");
    fixture.cloud.fails("TerminateInstances", 2, unknown);
    let launch = fixture.start(&[]);
    fixture.until("a machine", || !fixture.cloud.alive().is_empty());
    launch.signal("TERM");
    assert_eq!(launch.end().code, Some(143));
    assert_eq!(fixture.cloud.of("TerminateInstances").len(), 3);
    fixture.is_clean();
}

/// Real: the program. Scripted: EC2's refusal, with the status of a passing fault.
#[test]
fn a_refusal_for_want_of_capacity_is_taken_at_once() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "me-south-1") else { return };
    let says = "We currently do not have sufficient capacity.";
    fixture.cloud.fails("CreateFleet", 2, Wrong::Refused(500, "InsufficientInstanceCapacity", says));
    let says = "We currently do not have sufficient capacity (InsufficientInstanceCapacity)";
    fixture.run(&["launch"]).fails(11, says, "");
    assert_eq!(fixture.cloud.of("CreateFleet").len(), 1);
    fixture.is_clean();
}

#[test]
fn throttling_is_waited_for() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-southeast-1") else { return };
    fixture.cloud.fails("CreateFleet", 2, Wrong::Refused(503, "RequestLimitExceeded", "Request limit exceeded."));
    let ran = fixture.launch(&[]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.machine();
}

#[test]
fn expired_credentials_are_told_from_wrong_ones() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-southeast-2") else { return };
    fixture.cloud.fails(
        "DescribeImages",
        1,
        Wrong::Refused(400, "ExpiredToken", "The security token included in the request is expired"),
    );
    fixture.run(&["launch"]).fails(4, "the AWS credentials have expired", "get new ones in the same job*");
    fixture.cloud.fails("DescribeImages", 1, Wrong::Refused(401, "AuthFailure", "AWS was not able to validate"));
    fixture.run(&["launch"]).fails(
        4,
        "AWS rejected the credentials (AuthFailure)",
        "check the keys, that the region is enabled for the account, *",
    );
    fixture.is_clean();
}

#[test]
fn a_machine_that_dies_is_explained_at_once() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ca-central-1") else { return };
    let launch = fixture.start(&[]);
    fixture.until("a machine", || !fixture.cloud.alive().is_empty());
    let id = fixture.machine().id;
    fixture.cloud.ask(&format!("Action=TerminateInstances&InstanceId.1={id}"));
    let ran = launch.end();
    ran.fails(12, &format!("instance {id} (*) ended before its runner was online: *"), "");
    fixture.is_clean();
}

#[test]
fn a_runner_that_never_comes_online_is_given_up() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "eu-south-1") else { return };
    let ran = fixture.start(&["--cloud-boot-timeout", "3"]).end();
    ran.fails(
        12,
        "the runner of instance *i-* did not come online within 3 seconds",
        "its console is above: check that the instance can reach the internet*",
    );
    fixture.is_clean();
}

#[test]
fn a_signal_undoes_what_was_made() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "sa-east-1") else { return };
    // While it waits for the runner; a second signal does not keep it from undoing.
    let launch = fixture.start(&[]);
    fixture.until("a machine", || !fixture.cloud.of("DescribeInstances").is_empty());
    launch.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(50));
    launch.signal("TERM");
    launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
    fixture.is_clean();
    // While the machine is being made.
    fixture.cloud.forget();
    fixture.cloud.fails("CreateFleet", 1, Wrong::Slow(std::time::Duration::from_secs(2)));
    let launch = fixture.start(&[]);
    fixture.until("a fleet", || !fixture.cloud.of("CreateFleet").is_empty());
    launch.signal("INT");
    launch.end().fails(130, "the launch was interrupted by SIGINT", "");
    assert_eq!(fixture.cloud.machines().len(), 2);
    fixture.is_clean();
    // Before anything is made.
    fixture.cloud.forget();
    fixture.cloud.fails("DescribeImages", 1, Wrong::Slow(std::time::Duration::from_secs(2)));
    let launch = fixture.start(&[]);
    fixture.until("a question", || !fixture.cloud.calls().is_empty());
    launch.signal("TERM");
    launch.end().fails(143, "the launch was interrupted by SIGTERM", "");
    fixture.is_clean();
}

#[test]
fn amazons_own_judgement_of_a_policy_is_understood() {
    let Some(mut fixture) = CloudFixture::new(Vendor::GitHub, "us-gov-west-1") else { return };
    // Signatures are checked, too: nothing is in between.
    let moto = Moto::start_with_machines().unwrap();
    let allowed =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;
    let (id, secret) = moto.guard(allowed);
    fixture.cml.set("AWS_ENDPOINT_URL", &moto.url).set("AWS_ACCESS_KEY_ID", &id).set("AWS_SECRET_ACCESS_KEY", &secret);
    fixture.cml.set("CML_RUNNER_CLOUD_REGION", "us-east-1");
    fixture.run(&["launch"]).fails(4, "AWS does not allow ec2:RunInstances*", "allow ec2:RunInstances in the policy*");
    fixture.cml.set("AWS_SECRET_ACCESS_KEY", "another-one-that-is-wrong");
    fixture.run(&["launch"]).fails(4, "AWS rejected the credentials (*)", "check the keys*");
}

/// Real: the program. Scripted: the refusal, as STS words it; then there is no STS.
#[test]
fn without_the_account_nothing_is_launched() {
    let Some(mut fixture) = CloudFixture::new(Vendor::GitHub, "ca-west-1") else { return };
    let says = "The security token included in the request is invalid.";
    fixture.cloud.fails("GetCallerIdentity", 1, Wrong::Refused(403, "InvalidClientTokenId", says));
    fixture.run(&["launch"]).fails(
        4,
        "cannot determine the AWS account: AWS rejected the credentials (InvalidClientTokenId)",
        "check the keys, *",
    );
    fixture.cml.set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    let ran = fixture.run(&["launch", "--timeout", "3"]);
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    assert!(ran.stderr.contains("error: cannot determine the AWS account: cannot "), "{ran:#?}");
    assert!(ran.stderr.contains("hint: "), "{ran:#?}");
    assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
    fixture.is_clean();
}
