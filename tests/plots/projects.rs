//! Projects as people have them. Real DVC and DVCLive make them and print their tables, real vl_convert lays their plots out.

use super::{drawings, vega};
use crate::metrics::dvc;
use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::skipped;
use crate::support::{Cml, Ran};
use serde_json::Value;
use std::process::Command;

/// Compares tables, plots and the report of a project with what DVC makes of it. `data` are the files whose change the report tells.
fn compare(kind: &str, data: &[&str]) {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else { return skipped("DVC", "set CML_TEST_DVC") };
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let folder = cml.path().join("made");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/dvc_projects.py");
    Ran::of(Command::new(python).arg(script).arg(&folder).arg(kind)).ok();
    let made: Value = serde_json::from_slice(&std::fs::read(folder.join("made.json")).unwrap()).unwrap();
    let project = folder.join("repository");
    assert!(dvc::compare(&cml, &project, &made["tables"], kind) > 3);
    let run = |args: &[&str]| Ran::of(cml.command(args).current_dir(&project)).ok();
    let plots = drawings(&run(&["plots", "diff", "--base", "HEAD"]));
    let compared: usize =
        plots.iter().map(|(title, svg)| vega::compare_all(title, &made["plots"][title.replace('\\', "")], svg)).sum();
    assert_eq!((plots.len(), compared > 8), (made["plots"].as_object().unwrap().len(), true), "{kind}: {compared}");
    let report = run(&["report", "create", "--base", "HEAD"]);
    assert_eq!(drawings(&report).len(), plots.len(), "{report}");
    for file in data {
        assert!(report.contains(&format!("\n| {file} ")), "{file}: {report}");
    }
    let params = made["tables"][1]["markdown"].as_str().unwrap();
    // Each parameter that changed, under the lines of the header.
    for path in params.lines().skip(2).filter_map(|row| row.split('|').nth(1)) {
        assert!(report.contains(&format!("\n| {} ", path.trim())), "{path}: {report}");
    }
}

#[test]
fn three_pipelines_of_a_monorepo_are_one_report() {
    compare("monorepo", &["vision/model-cm.csv", "speech/model-cm.csv", "text/ranking/model-cm.csv"]);
}

#[test]
fn stages_of_foreach_and_matrix_are_read() {
    compare("foreach", &["eval/cnn-val-cm.csv", "eval/mlp-test-cm.csv"]);
}

#[test]
fn what_dvclive_wrote_is_read() {
    compare("dvclive", &[]);
}
