//! `cml metrics convert`, with files that real tools wrote: `tests/evaluations/README.md` has their versions.

use super::rows;
use crate::support::Cml;
use std::process::Command;

const JUNIT: &str = include_str!("../evaluations/pytest.xml");
const LM_EVAL: &str = include_str!("../evaluations/lm_eval.json");

#[test]
fn an_evaluation_becomes_a_table_or_metrics() {
    let cml = Cml::alone();
    cml.file("results.json", LM_EVAL);
    let table = cml.run(&["metrics", "convert", "results.json"]).ok();
    let header: Vec<&str> = table.lines().next().unwrap().split('|').map(str::trim).collect();
    assert_eq!(header, ["", "Metric", "Value", "Standard error", "Examples", "Better", ""], "{table}");
    assert_eq!(rows(&table)[0], ["tiny\\_sum/acc", "0.7", "0.10513", "20", "higher"], "{table}");
    cml.run(&["metrics", "convert", "results.json", "--format", "metrics", "--file", "metrics.json"]).ok();
    let metrics: serde_json::Value = serde_json::from_str(&cml.read("metrics.json")).unwrap();
    assert_eq!(metrics, serde_json::json!({"tiny_sum/acc": 0.7, "tiny_sum/acc_norm": 0.65}));
    // What it wrote is a file of metrics.
    let plain = cml.run(&["metrics", "convert", "metrics.json"]).ok();
    assert_eq!(rows(&plain)[0], ["tiny\\_sum/acc", "0.7"], "{plain}");
}

#[test]
fn failed_examples_are_in_the_json_with_their_reason() {
    let cml = Cml::alone();
    cml.file("junit.xml", JUNIT);
    let json: serde_json::Value =
        serde_json::from_str(&cml.run(&["metrics", "convert", "junit.xml", "--format", "json"]).ok()).unwrap();
    assert_eq!((&json["format"], &json["metrics"][0]["metric"]), (&"JUnit".into(), &"pass_rate".into()), "{json}");
    assert_eq!(json["metrics"][0]["failed"][0]["id"], "test_x::test_n[3]", "{json}");
}

#[test]
fn a_file_that_is_missing_or_broken_is_named() {
    let cml = Cml::alone();
    cml.file("junit.xml", "<html>");
    let ran = cml.run(&["metrics", "convert", "junit.xml"]);
    assert_eq!(ran.code, Some(3), "{ran:#?}");
    assert!(
        ran.stderr.contains("error: junit.xml of the working copy is not valid JUnit: there is no <testsuite>"),
        "{ran:#?}"
    );
    let ran = cml.run(&["metrics", "convert", "none.json"]);
    assert!(ran.code == Some(3) && ran.stderr.contains("error: cannot read none.json ("), "{ran:#?}");
}

/// A folder and a database that MLflow wrote, with two runs and a deleted one.
#[test]
fn the_runs_of_mlflow_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evaluations");
    let cml = Cml::alone();
    cml.git(&["init", "-q"]);
    let copied = Command::new("cp").args(["-r", "mlruns", "mlflow.db"]).arg(cml.path()).current_dir(folder).status();
    assert!(copied.unwrap().success());
    for store in ["mlruns", "mlflow.db"] {
        let table = cml.run(&["metrics", "convert", store]).ok();
        let found = rows(&table);
        let expected = [["seed=0/epochs", "3"], ["seed=0/loss", "0.33333"], ["seed=1/val/acc", "0.91"]];
        assert_eq!(
            [&found[1], &found[2], &found[9]],
            expected.each_ref().map(|row| row.to_vec()).each_ref(),
            "{table}"
        );
        assert_eq!(found.len(), 10, "{table}");
    }
    cml.git(&["add", "."]);
    cml.git(&["commit", "-q", "-m", "first"]);
    let run = std::fs::read_dir(cml.path().join("mlruns/0")).unwrap().map(|run| run.unwrap().path());
    let first = run
        .filter(|run| run.is_dir())
        .find(|run| std::fs::read_to_string(run.join("meta.yaml")).unwrap().contains("run_name: seed 0"));
    std::fs::write(first.unwrap().join("metrics/loss"), "1 0.5 1\n2 0.25 9\n3 0.75 8\n").unwrap();
    let diff = cml.run(&["metrics", "diff", "HEAD", "mlruns"]).ok();
    // What is not a number differs from itself.
    assert_eq!(rows(&diff)[1][..4], ["mlruns/seed=0", "loss", "0.33333", "0.25"], "{diff}");
    assert_eq!(rows(&diff).iter().map(|row| row[1]).collect::<Vec<_>>(), ["broken", "loss", "broken"], "{diff}");
    // Both log the same parameters but for the seed: they are runs of the same metrics.
    for store in ["mlruns", "mlflow.db"] {
        let gate = cml.run(&["metrics", "gate", store, "--rule", "loss: lower, max 0.5", "--baseline", "HEAD"]).ok();
        assert_eq!(rows(&gate).len(), 1, "{gate}");
        assert!(gate.contains("(sign-flip test of 2 seeds, p = "), "{gate}");
    }
    cml.file("other.db", "SQLite format 3\0");
    cml.run(&["metrics", "convert", "other.db"]).fails(
        3,
        "other.db of the working copy is not valid MLflow: the file is cut short or broken",
        "check the step that writes it",
    );
    std::fs::create_dir(cml.path().join("empty")).unwrap();
    cml.run(&["metrics", "convert", "empty"]).fails(3, "empty does not exist in the working copy", "check the path*");
}
