//! `cml metrics record` and `trend`, and baselines from the history. git is real, over HTTP and with a folder as the remote; the forges are
//! the fakes.

use super::rows;
use crate::support::clone::Clone;
use crate::support::fake::{Kind, Vendor};
use crate::support::{Cml, Ran, VENDORS, eventually, executable};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const HIDDEN: &str = "refs/cml/metrics";

/// A commit of `main` on the forge, which the pipeline is about from now on, with metrics in the working copy only.
fn measure(clone: &mut Clone, accuracy: &str) -> String {
    clone.cml.file(".gitignore", "metrics.json\nseed-*\nevent.json\nreport.md\n");
    clone.cml.git(&["checkout", "-q", "main"]);
    clone.cml.git(&["add", ".gitignore"]);
    // A minute later than the one before.
    let minute = clone.cml.git(&["rev-list", "--count", "HEAD"]);
    clone.cml.set("GIT_COMMITTER_DATE", &format!("2026-01-01T00:{minute:0>2}:00Z"));
    clone.cml.git(&["commit", "-q", "--allow-empty", "-m", accuracy]);
    clone.cml.git(&["push", "-q", clone.bare().to_str().unwrap(), "main"]);
    let commit = clone.cml.git(&["rev-parse", "HEAD"]);
    clone.cml.file("metrics.json", format!("{{\"accuracy\": {accuracy}}}"));
    clone.about(&commit, "main");
    commit
}

fn record(clone: &Clone) -> String {
    let ran = clone.cml.run(&["metrics", "record"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    ran.stderr
}

fn files(clone: &Clone, name: &str) -> Vec<String> {
    let listed = clone.there(&["ls-tree", "-r", "--name-only", name]);
    listed.lines().map(str::to_owned).collect()
}

/// How many commits the history is of.
fn length(clone: &Clone) -> String {
    clone.there(&["rev-list", "--count", HIDDEN])
}

#[test]
fn metrics_are_recorded_once_and_are_baselines() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        let best = measure(&mut clone, "0.9");
        let said = record(&clone);
        let expected = format!("recorded the metrics of {}; the history has 1 record", &best[..7]);
        assert!(said.contains(&expected), "{vendor:?} {said}");
        assert_eq!(files(&clone, HIDDEN), [format!("{}/{}.json", &best[..2], &best[2..])]);
        let before = clone.state();
        assert!(record(&clone).contains("the history already has these metrics"));
        assert_eq!((length(&clone).as_str(), clone.state()), ("1", before), "{vendor:?}");

        clone.cml.git(&["tag", "-a", "-m", "x", "v1", &best]);
        clone.cml.git(&["push", "-q", clone.bare().to_str().unwrap(), "v1"]);
        clone.cml.git(&["tag", "-d", "v1"]);
        let worst = measure(&mut clone, "0.5");
        record(&clone);
        let last = measure(&mut clone, "0.7");
        record(&clone);
        measure(&mut clone, "0.75");
        for (base, commit, old) in [
            ("last", &last, "0.7"),
            ("max:accuracy", &best, "0.9"),
            ("min:accuracy", &worst, "0.5"),
            ("tag:v1", &best, "0.9"),
        ] {
            let table = clone.cml.run(&["metrics", "diff", "--base", base]).ok();
            assert_eq!(rows(&table)[0][..4], ["metrics.json", "accuracy", old, "0.75"], "{vendor:?} {table}");
            assert!(table.contains(&format!("{base} ({}, ", &commit[..7])), "{table}");
        }
        for (baseline, code) in [("last", 0), ("max:accuracy", 1)] {
            let gate = ["metrics", "gate", "--rule", "accuracy: higher", "--baseline", baseline];
            let ran = clone.cml.run(&gate);
            assert!(ran.code == Some(code) && ran.stdout.contains(&format!("{baseline} (")), "{vendor:?} {ran:#?}");
        }
        // The record of the run's own commit is not its baseline.
        record(&clone);
        let table = clone.cml.run(&["metrics", "diff", "--base", "last"]).ok();
        assert_eq!(rows(&table)[0][..4], ["metrics.json", "accuracy", "0.7", "0.75"], "{vendor:?} {table}");
        let trend = clone.cml.run(&["metrics", "trend", "accuracy", "--format", "text"]).ok();
        assert_eq!(trend, "accuracy █▁▄▆ 0.75 (4 commits, usually 0.3821 to 1.0429)\n", "{vendor:?}");
    }
}

#[test]
fn a_trend_shows_the_pull_request_beside_the_default_branch() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        for accuracy in ["0.1", "0.2", "0.3"] {
            measure(&mut clone, accuracy);
            record(&clone);
        }
        let commit = measure(&mut clone, "0.9");
        clone.about(&commit, "feature");
        let ran = clone.cml.run(&["metrics", "record"]);
        let said = "not recorded: this run is for feature, not for main, and the history is of the default branch";
        assert!(ran.stderr.contains(said), "{ran:#?}");
        ran.ok();
        clone.cml.run(&["metrics", "trend", "accuracy", "--last", "2", "--file", "trend.md"]).ok();
        let report = clone.cml.read("trend.md");
        assert!(report.starts_with("![Trend of accuracy](http"), "{report}");
        assert!(report.ends_with("\n\naccuracy ▁█ 0.3 (2 commits); this run: 0.9\n"), "{report}");
        let svg = clone.cml.run(&["metrics", "trend", "accuracy", "--format", "svg"]).ok();
        assert_eq!((svg.matches("<circle").count(), svg.matches("fill-opacity").count()), (1, 1), "{svg}");
    }
}

#[test]
fn a_gate_knows_from_the_history_how_much_runs_vary() {
    let mut clone = Clone::on(Vendor::GitLab);
    let gate = |clone: &Clone, baseline: &str| {
        let rule = "accuracy: higher, sigma history";
        clone.cml.run(&["metrics", "gate", "--rule", rule, "--baseline", baseline])
    };
    for accuracy in ["0.9", "0.91", "0.9", "0.92", "0.91", "0.9", "0.91"] {
        measure(&mut clone, accuracy);
        record(&clone);
    }
    measure(&mut clone, "0.5");
    let ran = gate(&clone, "last");
    let short = "\n- the history has runs of accuracy for 7 earlier commits: 8 are the least\n";
    assert!(ran.code == Some(0) && ran.stdout.contains(short), "{ran:#?}");
    measure(&mut clone, "0.91");
    record(&clone);
    measure(&mut clone, "0.5");
    let ran = gate(&clone, "last");
    let reason = "accuracy fell from 0.91 to 0.5 (no drop is allowed; t test by the runs of 8 earlier commits, p = 0.0001 at most)";
    assert!(ran.code == Some(1) && ran.stderr.contains(reason), "{ran:#?}");
    assert_eq!(rows(&ran.stdout)[0][6], "████████▁", "{ran:#?}");
    clone.cml.file("metrics.json", "{\"accuracy\": 0.9}");
    let ran = gate(&clone, "last");
    let chance = "\n- the difference of accuracy may be chance (t test by the runs of 8 earlier commits, p = 0.";
    assert!(ran.code == Some(0) && ran.stdout.contains(chance), "{ran:#?}");
    clone.cml.file("before.json", "{\"accuracy\": 0.92}");
    clone.cml.git(&["remote", "remove", "origin"]);
    let ran = gate(&clone, "before.json");
    let warning = "warning: cannot read the history of metrics: this clone has no remote named origin; `sigma history` has nothing to go by\n";
    assert!(ran.code == Some(0) && ran.stderr.contains(warning), "{ran:#?}");
    assert!(ran.stdout.contains("for 0 earlier commits: 8 are the least"), "{ran:#?}");
}

#[test]
fn several_runs_are_judged_by_those_of_earlier_commits() {
    let mut clone = Clone::on(Vendor::GitLab);
    // Each commit has seeds of its own.
    let train = |clone: &Clone, commit: usize, centre: f64| {
        for seed in 0..5 {
            let _ = std::fs::remove_dir_all(clone.cml.path().join(format!("seed-{}-{seed}", commit.saturating_sub(1))));
            let value = centre + 0.01 * seed as f64;
            clone.cml.file(&format!("seed-{commit}-{seed}/m.json"), format!("{{\"accuracy\": {value}}}"));
        }
    };
    let runs = |clone: &Clone, args: &[&str]| clone.cml.run(&[&["metrics"], args, &["seed-*/m.json"]].concat());
    for at in 0..8 {
        measure(&mut clone, "0");
        train(&clone, at, 0.9 - 0.05 * at as f64);
        runs(&clone, &["record"]).ok();
    }
    measure(&mut clone, "0");
    train(&clone, 8, 0.525);
    let gate = |rule: &str| runs(&clone, &["gate", "--baseline", "last", "--rule", rule]);
    let ran = gate("accuracy: higher, sigma history");
    let reason =
        "accuracy fell from 0.57 to 0.545 (no drop is allowed; t test by the runs of 8 earlier commits, p = 0.018)";
    assert!(ran.code == Some(1) && ran.stderr.contains(reason), "{ran:#?}");
    let ran = gate("accuracy: higher");
    let reason = "accuracy fell from 0.57 to 0.545 (no drop is allowed; Welch's t test of 5 and 5 runs, p = 0.037)";
    assert!(ran.code == Some(1) && ran.stderr.contains(reason), "{ran:#?}");
}

#[test]
fn a_gate_reads_the_history_once() {
    let mut clone = Clone::on(Vendor::GitHub);
    measure(&mut clone, "0.9");
    record(&clone);
    measure(&mut clone, "0.9");
    clone.calls();
    for baseline in ["last", "auto"] {
        let rule = "accuracy: higher, sigma history, optional";
        clone.cml.run(&["metrics", "gate", "metrics.json", "--rule", rule, "--baseline", baseline]).ok();
        let calls = clone.calls();
        let asked = calls.iter().filter(|call| call.contains("refs/cml/metrics")).count();
        assert_eq!(asked, 1, "{baseline} {calls:#?}");
    }
}

#[test]
fn a_pull_request_is_not_recorded() {
    let mut clone = Clone::on(Vendor::GitLab);
    measure(&mut clone, "0.1");
    clone.cml.set("CI_MERGE_REQUEST_IID", "7");
    let ran = clone.cml.run(&["metrics", "record"]);
    assert!(ran.stderr.contains("not recorded: this run is for pull request 7"), "{ran:#?}");
    assert_eq!((ran.code, clone.there(&["for-each-ref", "refs/cml"]).as_str()), (Some(0), ""));
}

#[test]
fn files_of_several_jobs_are_one_record_and_seeds_one_value() {
    let mut clone = Clone::on(Vendor::GitHub);
    let commit = measure(&mut clone, "0.1");
    record(&clone);
    clone.cml.file("seed-1/m.json", "{\"loss\": 1}");
    clone.cml.file("seed-2/m.json", "{\"loss\": 2}");
    clone.cml.run(&["metrics", "record", "seed-*/m.json"]).ok();
    assert_eq!(files(&clone, HIDDEN).len(), 1);
    let text = clone.there(&["show", &format!("{HIDDEN}:{}/{}.json", &commit[..2], &commit[2..])]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["metrics"]["seed-2/m.json"]["loss"], 2, "{text}");
    assert_eq!(value["metrics"]["metrics.json"]["accuracy"], 0.1, "{text}");
    let trend = clone.cml.run(&["metrics", "trend", "loss", "--format", "text"]).ok();
    assert_eq!(trend, "loss ▄ 1.5 (1 commit)\n");
}

#[test]
fn old_records_go_when_asked() {
    let mut clone = Clone::on(Vendor::GitHub);
    let mut last = String::new();
    for accuracy in ["0.1", "0.2", "0.3"] {
        last = measure(&mut clone, accuracy);
        record(&clone);
    }
    let ran = clone.cml.run(&["metrics", "record", "--keep", "1"]);
    assert!(ran.stderr.contains("the history has 1 record"), "{ran:#?}");
    assert_eq!(files(&clone, HIDDEN), [format!("{}/{}.json", &last[..2], &last[2..])]);
}

/// Runs ten jobs at the same moment, each for a commit of its own.
fn ten_at_once(cml: &Cml, commits: &[String]) {
    let start = |commit: &String| {
        let mut command = cml.command(&["metrics", "record"]);
        for name in ["GITHUB_SHA", "CI_COMMIT_SHA", "BITBUCKET_COMMIT", "CML_SHA"] {
            command.env(name, commit);
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let jobs: Vec<_> = commits.iter().map(start).collect();
    for job in jobs {
        let output = job.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn ten_jobs_that_record_at_the_same_moment_are_ten_records() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        let commits: Vec<String> = (0..10).map(|at| measure(&mut clone, &format!("0.{at}"))).collect();
        ten_at_once(&clone.cml, &commits);
        assert_eq!((files(&clone, HIDDEN).len(), length(&clone).as_str()), (10, "10"), "{vendor:?}");
    }
}

#[test]
fn ten_jobs_record_in_a_repository_without_a_forge() {
    let mut clone = Clone::on(Vendor::GitHub);
    let commits: Vec<String> = (0..10).map(|at| measure(&mut clone, &format!("0.{at}"))).collect();
    let mut cml = Cml::alone();
    cml.git(&["init", "-q"]);
    cml.git(&["remote", "add", "origin", clone.bare().to_str().unwrap()]);
    cml.git(&["fetch", "-q", "origin"]);
    cml.git(&["checkout", "-q", "--force", "main"]);
    cml.file("metrics.json", "{\"accuracy\": 1}");
    cml.set("CML_BRANCH", "main");
    ten_at_once(&cml, &commits);
    assert_eq!((files(&clone, HIDDEN).len(), length(&clone).as_str()), (10, "10"));
}

#[test]
fn faults_between_any_two_requests_lose_nothing_and_write_nothing_twice() {
    let kinds = [Kind::DropAfter, Kind::answer_after(502, &[], "bad"), Kind::DropBefore];
    for (vendor, kind) in VENDORS.into_iter().zip(kinds) {
        // Without a fault first, to count the requests.
        let mut count = 0;
        for at in 0.. {
            if at > count {
                break;
            }
            let mut clone = Clone::on(vendor);
            measure(&mut clone, "0.1");
            record(&clone);
            measure(&mut clone, "0.2");
            let before = clone.forge.requests().len();
            if at > 0 {
                clone.forge.fault_after(at - 1, "", 1, kind.clone());
            }
            record(&clone);
            count = count.max(if at == 0 { clone.forge.requests().len() - before } else { 0 });
            assert!(count > 3 && clone.forge.unused_faults().is_empty(), "{vendor:?} {at} of {count}");
            assert_eq!((files(&clone, HIDDEN).len(), length(&clone).as_str()), (2, "2"), "{vendor:?} {kind:?} {at}");
        }
    }
}

/// Killed with its git, before or after the request was carried out; then the step is run again.
#[test]
fn a_job_that_is_killed_at_any_request_loses_nothing_and_writes_nothing_twice() {
    let second = |vendor: Vendor| {
        let mut clone = Clone::on(vendor);
        measure(&mut clone, "0.1");
        record(&clone);
        measure(&mut clone, "0.2");
        clone.forge.clear_requests();
        clone
    };
    let late = Duration::from_secs(600);
    for (vendor, kind) in [(Vendor::GitHub, Kind::Stall(late)), (Vendor::GitLab, Kind::Slow(late))] {
        let whole = second(vendor);
        record(&whole);
        let count = whole.forge.requests().len();
        assert!(count > 3, "{vendor:?} {count}");
        for at in 0..count {
            let clone = second(vendor);
            clone.forge.fault_after(at, "", 1, kind.clone());
            let mut command = clone.cml.command(&["metrics", "record"]);
            let mut job = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let is_asked = || clone.forge.requests().len() > at;
            eventually(format!("{vendor:?} {at}"), is_asked, || format!("{:?}", clone.forge.requests()));
            let kill = Command::new("kill").args(["-KILL", "--", &format!("-{}", job.id())]).status();
            assert!(kill.unwrap().success() && !job.wait().unwrap().success(), "{vendor:?} {at}");
            record(&clone);
            assert_eq!((files(&clone, HIDDEN).len(), length(&clone).as_str()), (2, "2"), "{vendor:?} {kind:?} {at}");
        }
    }
}

/// Lets the server refuse all references that fit a pattern of the shell's.
fn refuse(clone: &Clone, pattern: &str) {
    let hook = format!(
        "#!/bin/sh\nwhile read old new name; do case $name in {pattern}) echo 'no such names here' >&2; exit 1;; esac; done\n"
    );
    executable(&clone.bare().join("hooks/pre-receive"), hook);
}

#[test]
fn where_hidden_references_are_refused_a_branch_has_the_history() {
    let mut clone = Clone::on(Vendor::Bitbucket);
    refuse(&clone, "refs/cml/*");
    measure(&mut clone, "0.1");
    record(&clone);
    measure(&mut clone, "0.2");
    record(&clone);
    assert_eq!(files(&clone, "cml-metrics").len(), 2);
    assert!(clone.there(&["log", "-1", "--format=%s", "cml-metrics"]).ends_with("[skip ci]"));
    let trend = clone.cml.run(&["metrics", "trend", "accuracy", "--format", "text"]).ok();
    assert_eq!(trend, "accuracy ▁█ 0.2 (2 commits)\n");

    let mut clone = Clone::on(Vendor::GitHub);
    refuse(&clone, "*");
    let bare = clone.bare().join("hooks/pre-receive");
    std::fs::rename(&bare, bare.with_extension("off")).unwrap();
    measure(&mut clone, "0.1");
    std::fs::rename(bare.with_extension("off"), &bare).unwrap();
    clone.cml.run(&["metrics", "record"]).fails(
        4,
        "cannot record the metrics: git push failed: the server's rules forbid this push (*",
        "let the token push to refs/cml/metrics, or else to the branch cml-metrics: *",
    );
}

#[test]
fn what_is_wrong_is_said() {
    let mut clone = Clone::on(Vendor::GitHub);
    measure(&mut clone, "0.1");
    let run = |args: &[&str]| -> Ran { clone.cml.run(args) };
    run(&["metrics", "trend", "accuracy"]).fails(5, "the history of metrics is empty", "check the name: *");
    run(&["metrics", "diff", "--base", "last"]).fails(
        5,
        "no record for --base last: the history has none of another commit",
        "record the metrics of the default branch with `cml metrics record`",
    );
    record(&clone);
    run(&["metrics", "trend", "f1"]).fails(5, "none of 1 records has the metric f1", "check the name: *");
    run(&["plots", "diff", "--base", "last"]).fails(5, "no record for --base last: *", "*");
    std::fs::remove_file(clone.cml.path().join("metrics.json")).unwrap();
    run(&["metrics", "record"]).fails(5, "no metrics to record", "name the files, or declare them in dvc.yaml");
    run(&["metrics", "record", "m.json"]).fails(3, "m.json does not exist in the working copy", "check the path*");
    measure(&mut clone, "0.2");
    let run = |args: &[&str]| -> Ran { clone.cml.run(args) };
    run(&["params", "diff", "--base", "last"]).fails(2, "--base last: the history has metrics only", "name a commit*");
    run(&["metrics", "diff", "--base", "max:f1"]).fails(
        5,
        "no record for --base max:f1: none of 1 records has the metric f1",
        "*",
    );
    clone.cml.git(&["remote", "remove", "origin"]);
    let ran = clone.cml.run(&["metrics", "trend", "accuracy"]);
    ran.fails(
        3,
        "cannot read the history of metrics: this clone has no remote named origin",
        "the remote repository keeps the history; *",
    );
}

#[test]
fn a_record_that_cannot_be_read_is_left_out() {
    let mut clone = Clone::on(Vendor::GitHub);
    measure(&mut clone, "0.1");
    record(&clone);
    let cml = &clone.cml;
    cml.git(&["fetch", "-q", clone.bare().to_str().unwrap(), HIDDEN]);
    cml.git(&["checkout", "-q", "FETCH_HEAD"]);
    cml.file("aa/broken.json", "{");
    cml.git(&["add", "-f", "aa/broken.json"]);
    cml.git(&["commit", "-q", "-m", "x"]);
    cml.git(&["push", "-q", clone.bare().to_str().unwrap(), &format!("HEAD:{HIDDEN}")]);
    cml.git(&["checkout", "-q", "main"]);
    let ran = cml.run(&["metrics", "trend", "accuracy", "--format", "text"]);
    assert!(ran.stderr.contains("left out the record aa/broken.json: "), "{ran:#?}");
    assert_eq!(ran.ok(), "accuracy ▄ 0.1 (1 commit)\n");
    measure(&mut clone, "0.2");
    record(&clone);
    assert_eq!(files(&clone, HIDDEN).len(), 3);
}
