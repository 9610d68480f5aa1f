//! Lines of a report that GitLab would carry out as quick actions. The program is real; GitLab is the fake, which finds such
//! lines as GitLab does, carries them out and takes them out of the text.

use crate::support::Cml;
use crate::support::clone::Clone;
use crate::support::fake::{Forge, HEAD, PullState, Target, Vendor};

const ATTACK: &str =
    "# Report\n\n/merge\n/approve\n\nAccuracy\n/close\r\n/me\rrge\n> 0.9\n/target_branch x\n\n/MERGE\n";

fn actions(forge: &Forge) -> Vec<String> {
    forge.repo(Vendor::GitLab, Vendor::GitLab.slug(), |repo| repo.actions.clone())
}

#[test]
fn the_fake_carries_out_what_is_not_escaped() {
    // Without this the tests below would prove nothing.
    let forge = Forge::start();
    forge.repo(Vendor::GitLab, Vendor::GitLab.slug(), |repo| {
        let stored = repo.perform_actions(&Target::Pull(7), ATTACK);
        assert_eq!(repo.actions, ["/merge", "/approve", "/close", "/merge", "/target_branch x", "/MERGE"]);
        assert!(repo.pulls[&7].state == PullState::Merged && !stored.contains("/merge"), "{stored}");
    });
}

#[test]
fn no_report_acts_on_gitlab() {
    for target in ["pr/7", "issue/3", &format!("commit/{HEAD}")] {
        for args in [
            &["comment", "create"] as &[&str],
            &["comment", "update"],
            &["comment", "update", "--section", "a"],
            &["comment", "create", "--rm-watermark"],
        ] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, Vendor::GitLab);
            for (round, text) in [ATTACK.to_owned(), format!("/assign @evil\n{ATTACK}")].into_iter().enumerate() {
                cml.file("report.md", text);
                cml.run(&[args, &["--target", target, "report.md"]].concat()).ok();
                assert_eq!(actions(&forge), [""; 0], "{target} {args:?} {round}");
            }
        }
    }
}

#[test]
fn a_report_with_such_lines_is_found_again_and_not_sent_twice() {
    for section in [&[] as &[&str], &["--section", "a"]] {
        let forge = Forge::start();
        let cml = Cml::on(&forge, Vendor::GitLab);
        cml.file("report.md", ATTACK);
        let args = [&["comment", "update"], section, &["report.md"]].concat();
        let first = cml.run(&args).ok();
        forge.clear_requests();
        assert_eq!(cml.run(&args).ok(), first);
        assert!(forge.requests().iter().all(|request| request.method == "GET"), "{}", forge.transcript());
        let body = forge.live_comments(Vendor::GitLab, &Target::Pull(7)).remove(0).body;
        assert!(body.contains("\n\\/merge\n\\/approve\n\nAccuracy\n\\/close\n"), "{body}");
    }
}

#[test]
fn a_lost_answer_does_not_make_a_second_note() {
    let forge = Forge::start();
    forge.fault("POST *notes", 1, crate::support::fake::Kind::DropAfter);
    let cml = Cml::on(&forge, Vendor::GitLab);
    cml.file("report.md", ATTACK);
    cml.run(&["comment", "create", "report.md"]).ok();
    assert_eq!(forge.live_comments(Vendor::GitLab, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
}

#[test]
fn no_check_acts_on_gitlab() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitLab);
    cml.file("report.md", ATTACK);
    cml.run(&["check", "create", "--comment", "--data", "a=/merge", "report.md"]).ok();
    assert_eq!(actions(&forge), [""; 0]);
}

#[test]
fn no_description_acts_on_gitlab() {
    let clone = Clone::on(Vendor::GitLab);
    clone.cml.file("model.json", "{\"a\": 1}\n");
    clone.cml.run(&["pr", "create", "--body", ATTACK, "model.json"]).ok();
    assert_eq!(actions(&clone.forge), [""; 0]);
}

#[test]
fn other_forges_get_the_report_as_it_is() {
    for vendor in [Vendor::GitHub, Vendor::Bitbucket] {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("report.md", ATTACK);
        cml.run(&["comment", "create", "report.md"]).ok();
        let body = forge.comments(vendor, &Target::Pull(7)).remove(0).body;
        // A return by itself is the end of a line, in Markdown as for whoever reads the report.
        assert!(body.starts_with(&ATTACK.replace("/me\rrge", "/me\nrge")), "{vendor:?} {body:?}");
    }
}
