//! Metrics that are worse and that somebody accepts, by a line in a commit's message or by a label. The program and git are real; the
//! forges are the fakes.

use super::base;
use super::gate::{PUBLISH, gate, with_best};
use super::repository;
use crate::support::fake::{Forge, Kind, Target, Vendor};

/// The forges that have labels.
const WITH_LABELS: [Vendor; 2] = [Vendor::GitHub, Vendor::GitLab];

fn set_label(forge: &Forge, vendor: Vendor, by: &str, level: Option<u64>) {
    forge.repo(vendor, vendor.slug(), |repo| {
        repo.set_label(7, "metrics-accepted", by, true);
        repo.members.extend(level.map(|level| (by.to_owned(), level)));
    });
}

/// The comment on the pull request.
fn comment(forge: &Forge, vendor: Vendor) -> String {
    forge.live_comments(vendor, &Target::Pull(7)).remove(0).body
}

#[test]
fn a_worse_metric_can_be_accepted_by_a_commit() {
    let mut history = base::history(Vendor::GitLab);
    history.pull_request();
    let cml = &history.clone.cml;
    cml.git(&["checkout", "-q", "feature"]);
    cml.git(&["commit", "-q", "--allow-empty", "-m", "smaller model\n\nMetrics-Accepted: accuracy"]);
    let head = cml.git(&["rev-parse", "HEAD"]);
    history.clone.about(&head, "feature");
    let cml = &mut history.clone.cml;
    cml.set("CI_MERGE_REQUEST_IID", "7").set("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
    cml.file("metrics.json", r#"{"accuracy": 0.1}"#);
    let text = gate(cml, &["--rule", "accuracy: higher"]).ok();
    assert!(text.starts_with("### Metrics ⚠\n") && text.contains("| ⚠ worse, accepted by t |"), "{text}");
    assert_eq!(gate(cml, &["--rule", "accuracy >= 0.2", "--rule", "accuracy: higher"]).code, Some(0));
}

#[test]
fn a_label_accepts_what_is_worse_and_the_report_says_who_set_it() {
    for vendor in WITH_LABELS {
        let forge = Forge::start();
        let cml = with_best(&forge, vendor);
        let ran = gate(&cml, &PUBLISH);
        let hint = "`Metrics-Accepted: accuracy`, or set the label metrics-accepted\n";
        assert!(ran.code == Some(1) && ran.stderr.ends_with(hint), "{vendor:?} {ran:#?}");
        set_label(&forge, vendor, "ada", Some(30));
        gate(&cml, &PUBLISH).ok();
        let body = comment(&forge, vendor);
        assert!(body.starts_with("### Metrics ⚠\n") && body.contains("| ⚠ worse, accepted by ada |"), "{body}");
        assert!(body.contains("\nada accepted what is worse by the label metrics-accepted on 2026-01-02.\n"), "{body}");
        // Another label does not, and none is not looked for.
        assert_eq!(gate(&cml, &[&PUBLISH[..], &["--accept-label", "ok"]].concat()).code, Some(1));
        forge.clear_requests();
        assert_eq!(gate(&cml, &[&PUBLISH[..], &["--accept-label", ""]].concat()).code, Some(1));
        let asked = |forge: &Forge| forge.requests().iter().any(|request| request.path.contains("label"));
        assert!(!asked(&forge), "{vendor:?}");
        // Nor is one where nothing is worse.
        cml.file("metrics.json", "{\"accuracy\": 0.3}");
        gate(&cml, &PUBLISH).ok();
        assert!(!asked(&forge), "{vendor:?}");
    }
}

#[test]
fn a_label_of_somebody_without_write_access_does_not_count() {
    let forge = Forge::start();
    let cml = with_best(&forge, Vendor::GitLab);
    for level in [None, Some(20)] {
        set_label(&forge, Vendor::GitLab, "eve", level);
        assert_eq!(gate(&cml, &PUBLISH).code, Some(1), "{level:?}");
        let body = comment(&forge, Vendor::GitLab);
        let note =
            "The label metrics-accepted does not count: eve, who set it on 2026-01-02, may not push to the repository.";
        assert!(body.starts_with("### Metrics ✘\n") && body.contains(note), "{body}");
    }
}

#[test]
fn a_label_that_cannot_be_read_is_as_if_there_were_none() {
    for (vendor, list) in WITH_LABELS.into_iter().zip(["GET /github/*/labels", "GET /gitlab/*/resource_label_events"]) {
        let forge = Forge::start();
        let cml = with_best(&forge, vendor);
        set_label(&forge, vendor, "ada", Some(40));
        let says = r#"{"message": "Resource not accessible by integration"}"#;
        forge.fault(list, 1, Kind::answer(403, &[], says));
        let ran = gate(&cml, &PUBLISH);
        let warning = "warning: cannot read the label metrics-accepted, so the verdict is without it: ";
        assert!(ran.code == Some(1) && ran.stderr.contains(warning), "{vendor:?} {ran:#?}");
        assert!(
            ran.stderr.contains("hint: let the token read the pull request: `pull-requests: read` on GitHub"),
            "{ran:#?}"
        );
        assert!(comment(&forge, vendor).contains("| ✘ worse |"), "{ran:#?}");
        assert_eq!(forge.unused_faults(), [""; 0]);
    }
}

#[test]
fn without_a_token_the_verdict_is_without_the_label() {
    let forge = Forge::start();
    let mut cml = with_best(&forge, Vendor::GitHub);
    cml.set("REPO_TOKEN", "");
    let ran = gate(&cml, &PUBLISH[..5]);
    let said = "without a token, the verdict is without the label metrics-accepted\n";
    assert!(ran.code == Some(1) && ran.stderr.contains(said), "{ran:#?}");
    assert_eq!(forge.requests().len(), 0);
}

#[test]
fn bitbucket_has_no_labels() {
    let forge = Forge::start();
    let cml = with_best(&forge, Vendor::Bitbucket);
    let ran = gate(&cml, &PUBLISH);
    assert!(ran.code == Some(1) && !ran.stderr.contains("label"), "{ran:#?}");
    let ran = gate(&cml, &[&PUBLISH[..], &["--accept-label", "ok"]].concat());
    let warning = "warning: Bitbucket does not support labels of pull requests\n\
                   hint: end the message of a commit with `Metrics-Accepted: NAME` to accept a metric instead\n";
    assert!(ran.code == Some(1) && ran.stderr.contains(warning), "{ran:#?}");
}

#[test]
fn a_change_of_the_label_is_shown() {
    let config =
        |label: &str| format!("metrics:\n  accept_label: {label}\n  rules:\n    accuracy: {{ better: higher }}\n");
    let (old, new) = (config("ok"), config("bug"));
    let metrics = ("metrics.json", "{\"accuracy\": 1}");
    let text = gate(&repository(&[metrics, (".cml.yaml", &old)], &[(".cml.yaml", &new)]), &[]).ok();
    assert!(text.ends_with("\n⚠ This change changes the label that accepts what is worse: ok → bug.\n"), "{text}");
}
