//! The policy in docs/runners.md is what a launch, its undoing and reap ask for.

use super::fixture::CloudFixture;
use crate::support::fake::Vendor;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Actions that EC2 checks for a `CreateFleet` of type instant besides that one itself:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-prerequisites.html>.
const OF_A_FLEET: [&str; 2] = ["ec2:RunInstances", "ec2:CreateTags"];
/// What everybody may ask: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>.
const FREE: &str = "GetCallerIdentity";
/// What only those with our tag may be done to.
const OURS: &str = "ec2:TerminateInstances";

fn policy(actions: &BTreeSet<String>) -> String {
    let all: Vec<&String> = actions.iter().filter(|action| *action != OURS).collect();
    let own = json!({ "StringEquals": { "aws:ResourceTag/cml-managed": "true" } });
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": all, "Resource": "*" },
        { "Effect": "Allow", "Action": [OURS], "Resource": "*", "Condition": own },
    ] });
    serde_json::to_string_pretty(&policy).unwrap()
}

#[test]
fn the_documentation_has_the_policy() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-east-2") else { return };
    let ran = fixture.run(&["launch", "--dry-run", "--cloud-spot", "--cloud-type", "m5.2xlarge"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let ran = fixture.launch(&["--cloud-spot"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let again = fixture.start(&["--name", "other", "--cloud-spot", "--cloud-boot-timeout", "0"]).end();
    assert_eq!(again.code, Some(12), "{again:#?}");
    let asked = fixture.cloud.actions().into_iter().filter(|action| action != FREE);
    let asked = asked.map(|action| format!("ec2:{action}"));
    let others = OF_A_FLEET.map(str::to_owned);
    let actions: BTreeSet<String> = asked.chain(others).collect();
    assert!(actions.contains(OURS) && actions.contains("ec2:GetConsoleOutput"), "{actions:?}");
    let expected = policy(&actions);
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runners.md")).unwrap();
    let found = docs.split("```json\n").find_map(|part| {
        let text = part.split("\n```").next()?;
        serde_json::from_str::<Value>(text).ok().filter(|json| json["Statement"].is_array()).map(|_| text)
    });
    assert!(found == Some(expected.as_str()), "the policy in docs/runners.md should be:\n{expected}\n");
}
