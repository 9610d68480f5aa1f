//! The Role in docs/kubernetes.md is what a launch, its undoing and reap ask for.

use super::fixture::ClusterFixture;
use crate::support::api_server::documented_role;
use crate::support::fake::Vendor;
use crate::support::kubernetes::PodFate;
use std::collections::BTreeSet;

/// The rights of the Role in the documentation.
pub fn documented() -> BTreeSet<String> {
    let role: serde_json::Value = serde_saphyr::from_str(&documented_role()).unwrap();
    let texts = |value: &serde_json::Value| {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let rules = role["rules"].as_array().unwrap().iter();
    rules
        .flat_map(|rule| {
            let verbs = texts(&rule["verbs"]);
            let resources = texts(&rule["resources"]);
            let pairs = resources
                .into_iter()
                .flat_map(move |resource| verbs.clone().into_iter().map(move |verb| format!("{verb} {resource}")));
            pairs.collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_documentation_has_the_role() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cloud.allows(documented());
    assert_eq!(fixture.run(&["launch", "--dry-run"]).code, Some(0));
    assert_eq!(fixture.launch(&[]).code, Some(0));
    fixture.run(&["list"]).ok();
    fixture.run(&["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]).ok();
    // One that fails shows the log, and one without a pod its events.
    for fate in [PodFate::End(1), PodFate::None("Error creating: no")] {
        fixture.cloud.pods_go(fate);
        assert_eq!(fixture.start(&["--name", "other"]).end().code, Some(12));
    }
    let used = fixture.cloud.calls().into_iter().map(|call| call.action.replace("dry-run ", "create "));
    let used: BTreeSet<String> = used.filter(|action| !action.contains("selfsubjectaccessreviews")).collect();
    assert_eq!(used, documented());
}
