//! `--base artifact:NAME`: what the last successful run of the base branch has kept. git is real, the forges are the fakes.

use super::gate::gate;
use super::{base, rows};
use crate::support::fake::{Forge, Kept, Kind, Vendor};
use crate::support::zip::zip;
use crate::support::{Cml, VENDORS};

const KEEPERS: [Vendor; 2] = [Vendor::GitHub, Vendor::GitLab];
const COMMIT: &str = "1111111111111111111111111111111111111111";

fn keep(forge: &Forge, vendor: Vendor, kept: Kept) {
    forge.repo(vendor, vendor.slug(), |repo| repo.artifacts.push(kept));
}

/// The pipeline of a pull request into `main`, and what `main` has kept as `metrics`.
fn pull_request(vendor: Vendor, files: &[(&str, &str)]) -> base::History {
    let mut history = base::history(vendor);
    history.pull_request();
    keep(&history.clone.forge, vendor, Kept::new("metrics", "main", COMMIT, &zip(files)));
    history
}

const RULE: [&str; 4] = ["--rule", "accuracy: higher", "--baseline", "artifact:metrics"];

#[test]
fn a_pull_request_is_compared_with_what_its_target_has_kept() {
    for vendor in KEEPERS {
        let history = pull_request(vendor, &[("metrics.json", "{\"accuracy\": 0.8}"), ("model.bin", "\u{0}")]);
        let cml = &history.clone.cml;
        cml.file("metrics.json", "{\"accuracy\": 0.75}");
        let table = cml.run(&["metrics", "diff", "--base", "artifact:metrics"]).ok();
        assert_eq!(rows(&table)[0][..4], ["metrics.json", "accuracy", "0.8", "0.75"], "{vendor:?} {table}");
        assert!(table.contains("artifact:metrics (1111111, "), "{table}");
        let ran = gate(cml, &RULE);
        assert!(ran.code == Some(1) && ran.stdout.contains("compared with artifact:metrics (1111111, "), "{ran:#?}");
        assert!(ran.stderr.contains("accuracy fell from 0.8 to 0.75 (no drop is allowed)"), "{ran:#?}");
        // A newer one of another branch is not it; one of `main` is.
        let other = zip(&[("metrics.json", "{\"accuracy\": 0.5}")]);
        keep(&history.clone.forge, vendor, Kept::new("metrics", "feature", COMMIT, &other));
        assert_eq!(gate(cml, &RULE).code, Some(1), "{vendor:?}");
        keep(&history.clone.forge, vendor, Kept::new("metrics", "main", COMMIT, &other));
        assert_eq!(gate(cml, &RULE).code, Some(0), "{vendor:?}");
    }
}

#[test]
fn folders_that_all_files_are_in_may_be_left_out() {
    for vendor in KEEPERS {
        let old = |value: &str| format!("{{\"accuracy\": {value}}}");
        let seeds: Vec<(String, String)> =
            (11..17).map(|at| (format!("seed-{at}/m.json"), old(&format!("0.9{at}")))).collect();
        let files: Vec<(&str, &str)> = seeds.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let history = pull_request(vendor, &files);
        let cml = &history.clone.cml;
        for at in 1..7 {
            cml.file(&format!("out/runs/seed-{at}/m.json"), old(&format!("0.8{at}")));
        }
        let ran = gate(cml, &[&["out/runs/seed-*/m.json"], &RULE[..]].concat());
        assert!(ran.code == Some(1) && ran.stderr.contains("Welch's t test of 6 and 6 runs"), "{vendor:?} {ran:#?}");
        let table = cml.run(&["metrics", "diff", "--base", "artifact:metrics", "out/runs/seed-*/m.json"]).ok();
        assert_eq!(rows(&table).len(), 12, "{table}");
    }
}

#[test]
fn what_is_missing_is_said() {
    for vendor in KEEPERS {
        let history = pull_request(vendor, &[("a.json", "{}"), ("b.json", "{}")]);
        let (forge, cml) = (&history.clone.forge, &history.clone.cml);
        let diff = |name: &str| cml.run(&["metrics", "diff", "--base", &format!("artifact:{name}")]);
        diff("none").fails(
            5,
            "no successful run of main has an artifact named none",
            "keep the metrics of main with actions/upload-artifact; on GitLab, *",
        );
        diff("").fails(2, "--base artifact: names no artifact", "write artifact:NAME");
        diff("metrics").fails(
            5,
            "artifact:metrics (1111111) has none of the files that are compared: it has a.json, b.json",
            "keep the same files in the artifact, or name them on the command line",
        );
        keep(forge, vendor, Kept { is_expired: true, ..Kept::new("old", "main", COMMIT, b"") });
        diff("old").fails(
            5,
            "the artifact old of main has expired",
            "run the job of the base branch again, and let it keep the artifact for longer",
        );
        keep(forge, vendor, Kept::new("broken", "main", COMMIT, b"no zip file"));
        let hint = "check the step that keeps the artifact";
        diff("broken").fails(9, "the artifact broken of main cannot be read: it is not a zip file", hint);
        keep(forge, vendor, Kept::new("text", "main", COMMIT, &zip(&[("metrics.json", "{")])));
        diff("text").fails(3, "metrics.json of artifact:text (1111111) is not valid JSON: *", "*");
        let mut zip = zip(&[("metrics.json", "{\"accuracy\": 0.5}")]);
        zip[45] ^= 1;
        keep(forge, vendor, Kept::new("cut", "main", COMMIT, &zip));
        diff("cut").fails(3, "cannot read metrics.json of artifact:cut (1111111): its archive is broken", hint);
        let report = cml.run(&["report", "create", "--base", "artifact:metrics"]);
        report.fails(2, "--base artifact:metrics is not a revision", "pass a commit, a branch or a tag; *");
    }
}

#[test]
fn a_token_that_may_not_read_artifacts_is_told_what_it_needs() {
    let history = pull_request(Vendor::GitHub, &[]);
    let refusal = "{\"message\":\"Resource not accessible by integration\"}";
    let needed = [("X-Accepted-GitHub-Permissions", "actions=read"), ("Content-Type", "application/json")];
    for headers in [&needed[..], &needed[1..]] {
        history.clone.forge.fault(
            "GET /github/repos/octo/model/actions/artifacts",
            1,
            Kind::answer(403, headers, refusal),
        );
        gate(&history.clone.cml, &RULE).fails(
            4,
            "cannot read the artifact metrics of main: the token is not allowed to do this (GitHub says: *",
            "add to the job: permissions: { actions: read }",
        );
    }
    let mut history = pull_request(Vendor::GitLab, &[]);
    history.clone.cml.unset("REPO_TOKEN").set("CI_JOB_TOKEN", "good");
    gate(&history.clone.cml, &RULE).fails(
        4,
        "cannot read the artifact metrics of main: the job's own token (CI_JOB_TOKEN) is not allowed to do this *",
        "create a project access token *",
    );
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        history.pull_request();
        history.clone.cml.unset("REPO_TOKEN");
        gate(&history.clone.cml, &RULE).fails(4, "no token found for *", "*");
    }
}

#[test]
fn bitbucket_has_no_artifacts_to_read() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::Bitbucket);
    cml.git(&["init", "-q"]);
    cml.file("metrics.json", "{\"accuracy\": 0.5}");
    gate(&cml, &[&["metrics.json"], &RULE[..]].concat()).fails(
        7,
        "Bitbucket does not support reading the artifacts of earlier runs",
        "compare with last, max:METRIC or min:METRIC instead: `cml metrics record` on the default branch keeps its metrics",
    );
}
