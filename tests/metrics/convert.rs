//! `cml metrics convert`, with files that real tools wrote: `tests/evaluations/README.md` has their versions.

use super::rows;
use crate::support::Cml;

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
