//! `cml metrics gate`. The program and git are real; the forges are the fakes.

use super::{base, repository, rows};
use crate::support::fake::{Forge, HEAD, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS};
use serde_json::{Value, json};

const OLD: &str = "{\n  \"accuracy\": 0.9,\n  \"loss\": 1\n}\n";
const NEW: &str = "{\n  \"accuracy\": 0.85,\n  \"loss\": 0.5\n}\n";

pub fn gate(cml: &Cml, args: &[&str]) -> Ran {
    cml.run(&[&["metrics", "gate"], args].concat())
}

/// What `--format json` says, whatever the verdict.
fn metrics(cml: &Cml, args: &[&str]) -> Vec<Value> {
    let ran = gate(cml, &[args, &["--format", "json", "--report-only"]].concat());
    let told: Value = serde_json::from_str(&ran.ok()).unwrap();
    told["metrics"].as_array().unwrap().clone()
}

fn changed() -> Cml {
    repository(&[("metrics.json", OLD)], &[("metrics.json", NEW)])
}

#[test]
fn a_metric_that_is_worse_fails() {
    let cml = changed();
    let sha = cml.git(&["rev-parse", "--short=7", "HEAD"]);
    let ran = gate(&cml, &["--rule", "accuracy: higher, drop 0.01", "--rule", "loss: lower"]);
    let reason = "accuracy fell from 0.9 to 0.85 (a drop of 0.01 is allowed)";
    let hint = "to accept it, end a commit's message with the line `Metrics-Accepted: accuracy`";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), format!("error: {reason}\nhint: {hint}\n").as_str()));
    let start = format!(
        "### Metrics ✘\n\n> [!CAUTION]\n> {reason}\n\n**1 metric worse, 1 better**, compared with HEAD ({sha}, "
    );
    assert!(ran.stdout.starts_with(&start), "{ran:#?}");
    let expected = [
        ["accuracy", "0.85", "0.9", "▼ -0.05", "-5.56 %", "higher, drop 0.01", "✘ worse"],
        ["loss", "0.5", "1", "▲ -0.5", "-50 %", "lower", "✔ better"],
    ];
    assert_eq!(rows(&ran.stdout), expected, "{ran:#?}");
    assert_eq!(gate(&cml, &["--rule", "accuracy: higher", "--report-only"]).code, Some(0));
    let ran = gate(&cml, &["--rule", "accuracy: higher, warn"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("⚠ worse |"), "{ran:#?}");
    assert!(ran.stdout.starts_with("### Metrics ⚠\n\n> [!WARNING]\n> accuracy fell"), "{ran:#?}");
    assert_eq!(gate(&cml, &["--rule", "accuracy: higher, drop 6%"]).code, Some(0));
    gate(&cml, &["--rule", "accuracy >= 0.9", "--file", "out.md"]).fails(1, "accuracy is 0.85, less than 0.9", hint);
    assert!(cml.read("out.md").starts_with("### Metrics ✘\n"));
}

#[test]
fn json_is_what_programs_read() {
    let cml = changed();
    let mut told = metrics(&cml, &["--rule", "accuracy: higher", "--rule", "loss <= 1", "--rule", "f1: higher"]);
    let diff = told[0]["diff"].take();
    assert!((diff.as_f64().unwrap() + 0.05).abs() < 1e-12, "{diff}");
    let expected = json!([
        { "file": "metrics.json", "metric": "accuracy", "verdict": "worse", "old": 0.9, "new": 0.85, "diff": null,
          "low": null, "high": null, "p": null, "test": "tolerance" },
        { "file": "metrics.json", "metric": "loss", "verdict": "not_told_apart", "old": 1.0, "new": 0.5, "diff": -0.5,
          "low": null, "high": null, "p": null, "test": null },
        { "file": null, "metric": "f1", "verdict": "not_enough_data", "old": null, "new": null, "diff": null,
          "low": null, "high": null, "p": null, "test": null },
    ]);
    assert_eq!(Value::from(told), expected);
    assert_eq!(gate(&cml, &["--rule", "accuracy: higher", "--format", "json"]).code, Some(1));
    gate(&cml, &["--rule", "accuracy: higher", "--format", "json", "--publish"]).fails(
        2,
        "--format json does not publish",
        "run the command twice: with --format json, and with --publish or --check",
    );
}

#[test]
fn a_metric_that_is_nowhere_cannot_be_judged() {
    let mut cml = changed();
    let outputs = cml.file("outputs", "");
    cml.set("CML_DOTENV", outputs.to_str().unwrap());
    let ran = gate(&cml, &["--rule", "acuracy: higher"]);
    let error = "error: no file has the metric acuracy\n\
                 hint: there are accuracy, loss; add `optional` to a rule whose metric may be missing\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(13), error));
    assert!(
        ran.stdout.contains("> [!CAUTION]\n> no file has the metric acuracy\n\nNo metric was judged, compared"),
        "{ran:#?}"
    );
    assert_eq!(gate(&cml, &["--rule", "acuracy: higher, optional"]).code, Some(0));
    assert_eq!(gate(&cml, &["--rule", "acuracy: higher", "--report-only"]).code, Some(0));
    // What is worse goes before it, and a metric that is new has nothing to be worse than.
    assert_eq!(gate(&cml, &["--rule", "acuracy: higher", "--rule", "accuracy: higher"]).code, Some(1));
    cml.file("metrics.json", r#"{"accuracy": 0.9, "f1": 0.5}"#);
    let ran = gate(&cml, &["--rule", "f1: higher"]);
    assert!(ran.code == Some(0) && ran.stdout.contains("\n- there is no baseline for f1\n"), "{ran:#?}");
    assert!(
        cml.read("outputs").ends_with("VERDICT=not_enough_data\nMETRIC=0.5\nBASELINE=\n"),
        "{}",
        cml.read("outputs")
    );
}

#[test]
fn rules_of_a_file_are_reviewed_with_the_code() {
    let rules = |drop: &str| {
        format!(
            "metrics:\n  files: m.json\n  rules:\n    accuracy: {{ better: higher, drop: {drop} }}\n    '*': {{ better: lower }}\n"
        )
    };
    let (old, new) = (rules("1%"), rules("10%"));
    let cml = repository(&[("m.json", OLD), (".cml.yaml", &old)], &[("m.json", NEW), (".cml.yaml", &new)]);
    let text = gate(&cml, &[]).ok();
    let change = "\n⚠ This change changes the rule for accuracy: higher, drop 1% → higher, drop 10%.\n";
    assert!(text.ends_with(change), "{text}");
    // The pattern is not about what has a rule of its own.
    assert_eq!(rows(&text).iter().map(|row| row[0]).collect::<Vec<_>>(), ["accuracy", "loss"]);
    // The command line goes before the file.
    assert_eq!(gate(&cml, &["--rule", "accuracy: higher"]).code, Some(1));
    cml.file("other.yaml", "metrics:\n  baseline: nowhere\n  rules:\n    loss: { better: lower }\n");
    gate(&cml, &["--config", "other.yaml", "m.json"]).fails(5, "unknown revision 'nowhere'", "*");
    assert_eq!(gate(&cml, &["--config", "other.yaml", "--baseline", "main", "m.json"]).code, Some(0));
    cml.file(".cml.yaml", "metrics:\n  rules:\n    loss:\n      bettr: lower\n");
    gate(&cml, &[]).fails(
        3,
        ".cml.yaml, line 4: unknown key 'bettr'",
        "known are: better, min, max, drop, rise, sigma, level, optional",
    );
    gate(&cml, &["--config", "gone.yaml"]).fails(3, "cannot read gone.yaml*", "*");
    cml.file("limit.yaml", "metrics:\n  rules:\n    accuracy:\n      min: 0.9\n      sigma: history\n");
    let hint = "add `higher` or `lower`: limits are not compared with the runs of earlier commits";
    let error = "limit.yaml, line 5: the rule for accuracy has `sigma history` and no direction";
    gate(&cml, &["--config", "limit.yaml"]).fails(3, error, hint);
    let error = "the rule for accuracy has `sigma history` and no direction";
    gate(&cml, &["--rule", "accuracy: min 0.9, sigma history"]).fails(2, error, hint);
}

#[test]
fn rules_to_begin_with_are_written_once() {
    let cml = repository(&[("metrics.json", r#"{"accuracy": 0.9, "val": {"loss": 1}, "epochs": 3}"#)], &[]);
    gate(&cml, &[]).fails(
        2,
        "there is no rule to judge metrics by",
        "write a --rule 'accuracy: higher, drop 0.005', or `cml metrics gate --init` to begin a .cml.yaml",
    );
    assert_eq!(gate(&cml, &["--init"]).ok(), ".cml.yaml\n");
    let text = cml.read(".cml.yaml");
    assert!(text.contains("    val.loss: { better: lower, rise: 2% }\n") && text.contains("    # epochs: {"), "{text}");
    assert_eq!(gate(&cml, &[]).code, Some(0));
    gate(&cml, &["--init"]).fails(3, ".cml.yaml exists already", "edit it, or name another file with --config");
    let empty = repository(&[("a.txt", "x")], &[]);
    gate(&empty, &["--init"]).fails(3, "there are no metrics to write rules for", "run the step that writes them, *");
}

/// A repository with runs of `accuracy` in files `seed-*/metrics.json`.
fn seeds(old: &[(u32, f64)], new: &[(u32, f64)]) -> Cml {
    let files = |runs: &[(u32, f64)]| -> Vec<(String, String)> {
        let file = |(seed, value): &(u32, f64)| {
            (format!("seed-{seed}/metrics.json"), format!("{{\"accuracy\": {value}, \"size\": 1}}"))
        };
        runs.iter().map(file).collect()
    };
    let (old, new) = (files(old), files(new));
    let as_str = |files: &'_ [(String, String)]| -> Vec<(&'static str, &'static str)> {
        files.iter().map(|(path, text)| (&*path.clone().leak(), &*text.clone().leak())).collect()
    };
    let cml = repository(&as_str(&old), &[]);
    for (path, _) in &old {
        std::fs::remove_file(cml.path().join(path)).unwrap();
    }
    for (path, text) in &new {
        cml.file(path, text);
    }
    cml
}

#[test]
fn runs_are_told_apart_by_tests() {
    let rule = ["seed-*/metrics.json", "--rule", "accuracy: higher, drop 0"];
    let old: Vec<(u32, f64)> = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95].into_iter().zip(1..).map(|(v, s)| (s, v)).collect();
    // The same seeds, each a little worse: 2 of 64 ways to flip the signs.
    let new: Vec<(u32, f64)> = old.iter().map(|(seed, value)| (*seed, value - 0.01 - f64::from(*seed) / 1e4)).collect();
    let told = metrics(&seeds(&old, &new), &rule);
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (&told["file"], &told["test"], &told["verdict"]),
        (&json!("seed-*/metrics.json"), &json!("sign_flip"), &json!("worse"))
    );
    assert_eq!(told["p"], json!(0.03125));
    assert!(told["low"].as_f64() < told["diff"].as_f64() && told["high"].as_f64() < Some(0.0), "{told}");
    // Other seeds: the same values are not told apart.
    let others: Vec<(u32, f64)> = new.iter().map(|(seed, value)| (seed + 10, *value)).collect();
    let cml = seeds(&old, &others);
    let told = &metrics(&cml, &rule)[0];
    assert_eq!((&told["test"], &told["verdict"]), (&json!("welch"), &json!("not_told_apart")));
    let text = gate(&cml, &rule).ok();
    let row = rows(&text)[0].join(" | ");
    assert!(
        row.starts_with("accuracy | 0.91465 | 0.925 | ▼ -0.01035 | -0.0")
            && row.ends_with(" | higher | ≈ not told apart"),
        "{text}"
    );
    assert!(
        text.contains("\n- the difference of accuracy may be chance (Welch's t test of 6 and 6 runs, p = 0."),
        "{text}"
    );
    let clear: Vec<(u32, f64)> = others.iter().map(|(seed, value)| (*seed, value - 0.1)).collect();
    let ran = gate(&seeds(&old, &clear), &rule);
    assert!(
        ran.code == Some(1)
            && ran.stderr.contains("(no drop is allowed; Welch's t test of 6 and 6 runs, p = 0.0001 at most)"),
        "{ran:#?}"
    );
    // Two seeds cannot be told apart, whatever their values.
    let ran = gate(&seeds(&old[..2], &new[..2]), &rule);
    assert!(ran.code == Some(0) && ran.stdout.contains("p is at least 0.5"), "{ran:#?}");
    // One run each: by the tolerance.
    assert_eq!(metrics(&seeds(&old[..1], &new[..1]), &rule)[0]["test"], "tolerance");
    let ran = gate(&cml, &["--rule", "accuracy: higher", "--significance", "1"]);
    let error = "error: invalid value '1' for '--significance <P>': expected a number between 0 and 1\n";
    assert!(ran.code == Some(2) && ran.stderr.starts_with(error), "{ran:#?}");
}

/// The pipeline of a pull request whose accuracy fell from 0.2 to 0.1.
fn pull_request(vendor: Vendor) -> base::History {
    let mut history = base::history(vendor);
    history.pull_request();
    history.clone.cml.file("metrics.json", "{\n  \"accuracy\": 0.1\n}\n");
    history
}

/// The pipeline of pull request 7, with a file to compare with, in which the accuracy is 0.2, and a token.
pub fn with_best(forge: &Forge, vendor: Vendor) -> Cml {
    let cml = Cml::on(forge, vendor);
    cml.git(&["init", "-q"]);
    cml.file("best.json", "{\"accuracy\": 0.2}");
    cml.file("metrics.json", "{\n  \"accuracy\": 0.1\n}\n");
    cml
}

pub const PUBLISH: [&str; 8] =
    ["metrics.json", "--baseline", "best.json", "--rule", "accuracy: higher", "--publish", "--check", "gate"];

/// What the forge shows of the check: how it ended, the figure, and the remark at the metric's line, of which GitLab's statuses have none.
fn check(forge: &Forge, vendor: Vendor) -> Value {
    forge.repo(vendor, vendor.slug(), |repo| match vendor {
        Vendor::GitHub => {
            let check = &repo.checks[0];
            let remark = &check.annotations[0];
            let has_figure = check.summary.as_ref().is_some_and(|text| text.contains("| accuracy | 0.1 |"));
            json!([check.conclusion, has_figure, remark["path"], remark["start_line"], remark["message"]])
        }
        Vendor::GitLab => json!([repo.statuses[0].state, repo.statuses[0].description]),
        Vendor::Bitbucket => {
            let insight = repo.insights.values().next().unwrap();
            let remark = insight.annotations.values().next().unwrap();
            let state = &repo.builds.values().next().unwrap()["state"];
            json!([state, insight.report["data"], remark["path"], remark["line"], remark["summary"]])
        }
    })
}

fn expected_check(vendor: Vendor) -> Value {
    let reason = "accuracy fell from 0.2 to 0.1 (no drop is allowed)";
    match vendor {
        Vendor::GitHub => json!(["failure", true, "metrics.json", 2, reason]),
        Vendor::GitLab => json!(["failed", "accuracy: 0.1"]),
        Vendor::Bitbucket => {
            let data = json!([{ "title": "accuracy", "type": "NUMBER", "value": 0.1 }]);
            json!(["FAILED", data, "metrics.json", 2, format!("accuracy: {reason}")])
        }
    }
}

#[test]
fn the_verdict_is_a_comment_and_a_check_on_every_forge() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = with_best(&forge, vendor);
        let ran = gate(&cml, &PUBLISH);
        let error = "error: accuracy fell from 0.2 to 0.1";
        assert!(ran.code == Some(1) && ran.stderr.contains(error), "{vendor:?} {ran:#?}");
        assert_eq!(ran.stdout.lines().count(), 2, "{ran:#?}");
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.contains("> [!CAUTION]\n> accuracy fell"), "{comments:#?}");
        assert_eq!(check(&forge, vendor), expected_check(vendor), "{vendor:?}");
        // It is better now: the comment is updated.
        cml.file("metrics.json", "{\"accuracy\": 0.3}");
        gate(&cml, &PUBLISH).ok();
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.starts_with("### Metrics ✔"), "{comments:#?}");
    }
}

#[test]
fn a_fork_that_may_not_write_has_the_verdict_all_the_same() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = with_best(&forge, vendor);
        let head = json!({ "sha": HEAD, "repo": { "full_name": "visitor/model" } });
        cml.file("event.json", json!({ "pull_request": { "number": 7, "head": head } }).to_string());
        let project = forge.repo_url(Vendor::GitLab);
        cml.set("CI_MERGE_REQUEST_PROJECT_URL", &project)
            .set("CI_PROJECT_URL", &format!("{}/visitor/model", forge.url()));
        let (summary, outputs) = (cml.file("summary.md", ""), cml.file("outputs", ""));
        cml.set("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()).set("CML_DOTENV", outputs.to_str().unwrap());
        cml.set("REPO_TOKEN", "readonly");
        let ran = gate(&cml, &PUBLISH);
        assert!(ran.code == Some(1) && ran.stderr.contains("warning: the verdict is not published: "), "{ran:#?}");
        assert!(ran.stdout.starts_with("### Metrics ✘\n"), "{ran:#?}");
        let summary = cml.read("summary.md");
        assert!(vendor != Vendor::GitHub || summary.starts_with("### Metrics ✘\n"), "{summary}");
        assert!(cml.read("outputs").ends_with("VERDICT=worse\nMETRIC=0.1\nBASELINE=0.2\n"), "{}", cml.read("outputs"));
        assert_eq!(forge.live_comments(vendor, &Target::Pull(7)).len(), 0);
        cml.file("metrics.json", "{\"accuracy\": 0.3}");
        // Bitbucket does not say that a pull request is of a fork: there the token is the error.
        assert_eq!(gate(&cml, &PUBLISH).code == Some(0), vendor != Vendor::Bitbucket, "{vendor:?}");
    }
}

#[test]
fn what_did_not_change_needs_no_comment() {
    for vendor in VENDORS {
        let history = pull_request(vendor);
        let (forge, cml) = (&history.clone.forge, &history.clone.cml);
        let args = ["--rule", "accuracy: higher", "--publish", "--skip-unchanged"];
        cml.file("metrics.json", "{\"accuracy\": 0.2}");
        let ran = gate(cml, &args);
        assert!(ran.stderr.contains("nothing changed: there is no comment") && ran.code == Some(0), "{ran:#?}");
        assert_eq!(forge.live_comments(vendor, &Target::Pull(7)).len(), 0);
        cml.file("metrics.json", "{\"accuracy\": 0.1}");
        assert_eq!(gate(cml, &args).code, Some(1));
        // The comment that says so is put right.
        cml.file("metrics.json", "{\"accuracy\": 0.2}");
        gate(cml, &args).ok();
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.contains("≈ not told apart"), "{comments:#?}");
    }
}

#[test]
fn without_a_base_limits_still_count() {
    let cml = Cml::alone();
    cml.file("metrics.json", OLD);
    cml.git(&["init", "-q"]);
    let ran = gate(&cml, &["--rule", "accuracy >= 0.95"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("nothing to compare with: "), "{ran:#?}");
    gate(&cml, &["--rule", "accuracy: higher"]).fails(3, "not a git repository with a commit", "*");
    let base = cml.file("best.json", r#"{"accuracy": 0.95}"#);
    let rule = ["metrics.json", "--rule", "accuracy: higher", "--baseline", base.to_str().unwrap()];
    assert_eq!(gate(&cml, &rule).code, Some(1));
    cml.file("more.json", "{}");
    gate(&cml, &[&rule[..], &["more.json"]].concat()).fails(
        2,
        "the baseline * is a file, but 2 files are compared with it",
        "name one file to judge, or a revision as the baseline",
    );
}

#[test]
fn examples_and_standard_errors_have_tests_of_their_own() {
    let junit = |broken: usize, of: usize| {
        let case = |at: usize| {
            let failure = if at < broken { "<failure message=\"x\"/>" } else { "" };
            format!("<testcase classname=\"t\" name=\"n{at}\">{failure}</testcase>")
        };
        format!("<testsuites><testsuite>{}</testsuite></testsuites>", (0..of).map(case).collect::<String>())
    };
    let cml = repository(&[("junit.xml", &junit(0, 20))], &[("junit.xml", &junit(8, 20))]);
    let rule = ["junit.xml", "--rule", "pass_rate: higher, drop 0"];
    let told = &metrics(&cml, &rule)[0];
    // 8 of 8 that flipped: 2 / 256.
    assert_eq!((&told["test"], &told["verdict"]), (&json!("mcnemar"), &json!("worse")));
    assert!((told["p"].as_f64().unwrap() - 2.0 / 256.0).abs() < 1e-12, "{told}");
    let ran = gate(&cml, &rule);
    let title =
        "\n<details><summary>8 examples of pass_rate flipped: 8 fail now</summary>\n\n- ✘ t::n0: x\n- ✘ t::n1: x\n";
    assert!(ran.stdout.contains(title), "{ran:#?}");
    cml.file("junit.xml", junit(8, 21));
    assert_eq!(metrics(&cml, &rule)[0]["test"], "fisher");
    let lm_eval = include_str!("../evaluations/lm_eval.json");
    let cml = repository(&[("results.json", lm_eval)], &[("results.json", lm_eval)]);
    let text = gate(&cml, &["results.json", "--rule", "tiny_sum/acc: higher, drop 2se"]).ok();
    assert!(text.contains("(z test, p = 1)") && text.contains("Another run, with another seed, may differ"), "{text}");
}
