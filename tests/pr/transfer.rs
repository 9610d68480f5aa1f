//! git's transfers over a bad line: real git over HTTP, and a server whose faults are scripted.

use super::pulls;
use crate::support::VENDORS;
use crate::support::clone::Clone;
use crate::support::fake::{Kind, Vendor};

#[test]
fn what_passes_is_tried_again() {
    for (vendor, pattern) in VENDORS.into_iter().zip(["GET *info/refs", "POST *git-receive-pack", "GET *info/refs"]) {
        for kind in [Kind::answer(502, &[], "bad"), Kind::answer(429, &[], "slow"), Kind::DropBefore, Kind::DropAfter] {
            let clone = Clone::on(vendor);
            clone.cml.file("model.json", "1\n");
            clone.forge.fault(pattern, 2, kind.clone());
            let ran = clone.cml.run(&["pr", "create", "."]);
            assert!(ran.stderr.contains("; retrying") || kind.name().contains("dropped"), "{kind:?} {ran:#?}");
            ran.ok();
            assert_eq!(pulls(&clone).len(), 1, "{vendor:?} {kind:?}");
            assert_eq!(clone.changes(&clone.branch()), "M model.json");
        }
    }
    let clone = Clone::on(Vendor::GitHub);
    clone.forge.fault("GET *info/refs", 2, Kind::answer(503, &[], "bad"));
    clone.cml.run(&["repo", "prepare", "--fetch-depth=2"]).ok();
}

#[test]
fn what_lasts_ends_with_the_code_of_the_api() {
    for (status, code, error) in [
        (502, 9, "git fetch failed: the server failed (*"),
        (429, 8, "git fetch failed: the server limits the rate of requests (*"),
    ] {
        let clone = Clone::on(Vendor::GitHub);
        clone.cml.file("model.json", "1\n");
        clone.forge.fault("GET *info/refs", 100, Kind::answer(status, &[], "bad"));
        clone.cml.run(&["pr", "create", ".", "--timeout=4"]).fails(code, error, "*");
    }
    // A proxy that refuses, and a refusal, which is not tried again.
    let mut clone = Clone::on(Vendor::GitHub);
    clone.cml.file("model.json", "1\n");
    clone.forge.fault("GET *info/refs", 1, Kind::answer(403, &[], "no"));
    let ran = clone.cml.run(&["pr", "create", "."]);
    assert!(ran.code == Some(4) && !ran.stderr.contains("retrying"), "{ran:#?}");
    clone.cml.git(&["config", "http.proxy", "http://127.0.0.1:9"]);
    clone.cml.set("no_proxy", "");
    let ran = clone.cml.run(&["pr", "create", "."]);
    assert!(ran.stderr.matches("; retrying").count() == 3, "{ran:#?}");
    ran.fails(9, "git fetch failed: the server cannot be reached (*", "check the network*");
}

#[test]
fn a_push_whose_answer_was_lost_is_found() {
    for vendor in VENDORS {
        for kind in [Kind::DropAfter, Kind::answer_after(502, &[], "bad"), Kind::answer_after(504, &[], "late")] {
            let clone = Clone::on(vendor);
            clone.cml.file("model.json", "1\n");
            clone.forge.fault("POST *git-receive-pack", 1, kind.clone());
            clone.cml.run(&["pr", "create", "."]).ok();
            assert_eq!(pulls(&clone).len(), 1, "{vendor:?} {kind:?}");
            assert_eq!(clone.there(&["rev-list", "--count", &format!("main..{}", clone.branch())]), "1");
        }
    }
}
