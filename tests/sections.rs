//! Jobs of a matrix that write the same comment at the same moment, as processes against a server that
//! interleaves them on purpose: nobody's section is lost.

use crate::support::fake::{Forge, HEAD, Kind, Target, Vendor};
use crate::support::{Cml, VENDORS};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Starts one job that writes its section.
fn job(forge: &Forge, vendor: Vendor, name: &str, text: &str) -> (Child, Cml) {
    let cml = Cml::on(forge, vendor);
    cml.file("report.md", text);
    let mut command = cml.command(&["comment", "update", "--section", name, "report.md"]);
    (command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), cml)
}

fn all_succeed(jobs: Vec<(Child, Cml)>) {
    for (mut child, _folder) in jobs {
        assert!(child.wait().unwrap().success());
    }
}

/// The one comment that is left.
fn only(forge: &Forge, vendor: Vendor) -> String {
    let mut live = forge.live_comments(vendor, &Target::Pull(7));
    assert_eq!(live.len(), 1, "{vendor:?}: {live:#?}");
    live.remove(0).body
}

/// Writers that all read before any of them writes, so that all but one of them are overwritten, again and
/// again until the last one is through.
fn many_writers_lose_no_section(vendor: Vendor, there_before: bool) {
    const WRITERS: usize = 8;
    let forge = Forge::start();
    if there_before {
        all_succeed(vec![job(&forge, vendor, "an earlier one", "stays")]);
    }
    forge.latency(Duration::from_millis(20));
    for writes in ["PATCH *", "PUT *", "POST *"] {
        forge.barrier(writes, WRITERS);
    }
    let text = |n: usize| format!("| job | score |\n|---|--:|\n| {n} | 0.9{n} |");
    all_succeed((0..WRITERS).map(|n| job(&forge, vendor, &format!("py3.{}", n + 5), &text(n))).collect());
    let body = only(&forge, vendor);
    let places: Vec<_> = (0..WRITERS).map(|n| body.find(&text(n))).collect();
    assert!(places.iter().all(Option::is_some), "{vendor:?} {there_before}: {body}");
    assert!(places.is_sorted(), "sections stand in their natural order: {body}");
    assert_eq!(body.contains("stays"), there_before);
    assert_eq!(body.matches("watermark.png").count(), 1);
}

#[test]
fn many_writers_of_a_new_comment_lose_no_section_on_github() {
    many_writers_lose_no_section(Vendor::GitHub, false);
}

#[test]
fn many_writers_of_an_old_comment_lose_no_section_on_github() {
    many_writers_lose_no_section(Vendor::GitHub, true);
}

#[test]
fn many_writers_of_a_new_comment_lose_no_section_on_gitlab() {
    many_writers_lose_no_section(Vendor::GitLab, false);
}

#[test]
fn many_writers_of_a_new_comment_lose_no_section_on_bitbucket() {
    many_writers_lose_no_section(Vendor::Bitbucket, false);
}

#[test]
fn jobs_that_happen_to_meet_lose_no_section() {
    let forge = Forge::start();
    forge.latency(Duration::from_millis(50));
    let jobs = (0..20).map(|n| job(&forge, Vendor::GitHub, &n.to_string(), &format!("text of {n}."))).collect();
    all_succeed(jobs);
    let body = only(&forge, Vendor::GitHub);
    assert!((0..20).all(|n| body.contains(&format!("text of {n}."))), "{body}");
}

#[test]
fn a_section_is_replaced_and_the_rest_stays() {
    for vendor in VENDORS {
        let forge = Forge::start();
        for (name, text) in [("linux", "one"), ("windows", "two"), ("linux", "three")] {
            all_succeed(vec![job(&forge, vendor, name, text)]);
        }
        let cml = Cml::on(&forge, vendor);
        cml.file("report.md", "Over all jobs");
        cml.run(&["comment", "update", "report.md"]).ok();
        let body = only(&forge, vendor);
        let expected = format!(
            "Over all jobs\n\n[cml-section]: # \"begin linux\"\n\nthree\n\n[cml-section]: # \"end linux\"\n\n\
             [cml-section]: # \"begin windows\"\n\ntwo\n\n[cml-section]: # \"end windows\"\n\n\
             ![](https://cml.dev/watermark.png#{HEAD} \"CML watermark\")"
        );
        assert_eq!(body, expected, "{vendor:?}");
    }
}

#[test]
fn a_section_written_while_another_job_publishes_images_stays() {
    for vendor in VENDORS {
        let forge = Forge::start();
        all_succeed(vec![job(&forge, vendor, "before", "one")]);
        // The uploads take long enough for the other job to write and to be sure of it.
        for upload in ["POST *git/blobs", "POST *uploads", "POST *downloads"] {
            forge.fault(upload, 1, Kind::Slow(Duration::from_secs(6)));
        }
        let cml = Cml::on(&forge, vendor);
        cml.file("report.md", "![plot](plot.png)");
        cml.file("plot.png", crate::support::png(1));
        let slow = cml.command(&["comment", "update", "report.md"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        all_succeed(vec![job(&forge, vendor, "during", "two"), (slow, cml)]);
        let body = only(&forge, vendor);
        assert!(["![plot](", "one", "two"].iter().all(|text| body.contains(text)), "{vendor:?}: {body}");
    }
}

#[test]
fn a_write_whose_answer_is_lost_is_not_repeated_with_what_was_read_before() {
    for vendor in VENDORS {
        for kind in [
            Kind::DropAfter,
            Kind::DropBefore,
            Kind::answer_after(502, &[], ""),
            Kind::answer(429, &[("Retry-After", "1")], ""),
        ] {
            let forge = Forge::start();
            all_succeed(vec![job(&forge, vendor, "a", "first")]);
            forge.clear_requests();
            forge.fault("P", 1, kind);
            all_succeed(vec![job(&forge, vendor, "b", "second")]);
            let body = only(&forge, vendor);
            assert!(body.contains("first") && body.contains("second"), "{body}");
            let verbs: String = forge.requests().iter().map(|r| if r.method == "GET" { 'r' } else { 'w' }).collect();
            assert!(!verbs.contains("ww"), "a write follows a read: {verbs}");
        }
    }
}

#[test]
fn a_plain_update_of_a_shared_comment_is_not_repeated_with_what_was_read_before() {
    for vendor in VENDORS {
        for kind in [Kind::DropAfter, Kind::DropBefore, Kind::answer(503, &[], "")] {
            let forge = Forge::start();
            all_succeed(vec![job(&forge, vendor, "a", "first")]);
            forge.clear_requests();
            forge.fault("P", 1, kind);
            let cml = Cml::on(&forge, vendor);
            cml.file("report.md", "over all jobs");
            cml.run(&["comment", "update", "report.md"]).ok();
            let body = only(&forge, vendor);
            assert!(body.starts_with("over all jobs") && body.contains("first"), "{body}");
            let verbs: String = forge.requests().iter().map(|r| if r.method == "GET" { 'r' } else { 'w' }).collect();
            assert!(!verbs.contains("ww"), "a write follows a read: {verbs}");
        }
    }
}

#[test]
fn what_a_dead_job_left_behind_is_folded() {
    let forge = Forge::start();
    let on = Target::Pull(7);
    let section = |name: &str, text: &str| {
        format!(
            "[cml-section]: # \"begin {name}\"\n\n{text}\n\n[cml-section]: # \"end {name}\"\n\n![](https://cml.dev/watermark.png#ab \"CML watermark\")"
        )
    };
    forge.seed_comment(Vendor::GitHub, &on, "cml-bot", &section("a", "of a"));
    forge.seed_comment(Vendor::GitHub, &on, "cml-bot", &section("b", "of b"));
    all_succeed(vec![job(&forge, Vendor::GitHub, "c", "of c")]);
    let body = only(&forge, Vendor::GitHub);
    assert!(["of a", "of b", "of c"].iter().all(|text| body.contains(text)), "{body}");
}

#[test]
fn wrong_sections_are_refused_before_anything_happens() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let ran = cml.run(&["comment", "create", "--section", " ", "report.md"]);
    assert_eq!((ran.code, ran.stderr.contains("--section needs a name")), (Some(2), true), "{ran:?}");
    cml.file("report.md", "x\n[cml-section]: # \"end other\"\n");
    let ran = cml.run(&["comment", "update", "--section", "a", "report.md"]);
    assert_eq!((ran.code, ran.stderr.contains("line 2 of the report")), (Some(2), true), "{ran:?}");
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
    cml.file("report.md", "word ".repeat(14_000));
    let ran = cml.run(&["comment", "update", "--section", "a", "report.md"]);
    assert_eq!((ran.code, ran.stderr.contains("with section a the comment would have")), (Some(10), true), "{ran:?}");
    assert_eq!(forge.comments(Vendor::GitHub, &Target::Pull(7)).len(), 0);
}
