//! `cml metrics diff` and `cml params diff`. The program and git are real, and where it is named, DVC; the forges are the fakes.

mod accepted;
mod artifact;
mod base;
mod convert;
pub mod dvc;
mod gate;
mod history;
mod remote;
mod report;

use crate::support::Cml;
use crate::support::fake::{Forge, Target, Vendor};
use crate::support::{Ran, VENDORS};

/// A repository without a remote, in which `main` has these files and the working copy others.
fn repository(committed: &[(&str, &str)], changed: &[(&str, &str)]) -> Cml {
    let cml = Cml::alone();
    cml.git(&["init", "-q"]);
    for (name, text) in committed {
        cml.file(name, text);
    }
    cml.file(".gitignore", "report.md\n.dvc/cache\n*.cached\n");
    cml.git(&["add", "."]);
    cml.git(&["commit", "-q", "-m", "first"]);
    for (name, text) in changed {
        cml.file(name, text);
    }
    cml
}

/// The cells of a Markdown table, without the header.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let cells = |line| str::trim_matches(line, '|').split(" | ").map(str::trim).collect();
    table.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

const OLD: &str = r#"{"accuracy": 0.9123456, "train": {"loss": 1e-7}, "epochs": 3, "same": 1}"#;
const NEW: &str = r#"{"accuracy": 0.93, "train": {"loss": 1.2e-7}, "epochs": 3.0, "new": true, "same": 1}"#;

#[test]
fn a_table_shows_what_changed() {
    let cml = repository(&[("metrics.json", OLD)], &[("metrics.json", NEW)]);
    let table = cml.run(&["metrics", "diff"]).ok();
    let sha = cml.git(&["rev-parse", "--short=7", "HEAD"]);
    let header = format!("| Path         | Metric     | HEAD ({sha}, just now)");
    assert!(table.starts_with(&header), "{table}");
    let expected = [
        ["metrics.json", "accuracy", "0.91235", "0.93", "+0.017654"],
        ["metrics.json", "new", "-", "true", "-"],
        ["metrics.json", "train.loss", "1e-07", "1.2e-07", "+2e-08"],
    ];
    assert_eq!(rows(&table), expected, "{table}");
    let all = cml.run(&["metrics", "diff", "main", "--all", "--no-path", "--precision", "2", "--md"]).ok();
    assert_eq!(rows(&all)[0], ["accuracy", "0.91", "0.93", "+0.018"], "{all}");
    assert!(rows(&all).len() == 5 && all.contains("| main ("), "{all}");
    let dvc = cml.run(&["metrics", "diff", "HEAD", "--format", "dvc"]).ok();
    assert_eq!(rows(&dvc)[2], ["metrics.json", "train.loss", "0.0", "0.0", "0.0"], "{dvc}");
    let json: serde_json::Value = serde_json::from_str(&cml.run(&["metrics", "diff", "--json"]).ok()).unwrap();
    assert_eq!(json["metrics.json"]["new"], serde_json::json!({"old": null, "new": true}));
    cml.file("metrics.json", OLD);
    let none = cml.run(&["metrics", "diff", "main"]).ok();
    assert!(none.starts_with("No metric changed between main (") && none.ends_with(" and workspace.\n"), "{none}");
}

#[test]
fn a_table_becomes_a_comment_on_every_forge() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.git(&["init", "-q"]);
        cml.file("metrics.json", OLD);
        cml.git(&["add", "."]);
        cml.git(&["commit", "-q", "-m", "first"]);
        cml.file("metrics.json", NEW);
        let ran = cml.run(&["metrics", "diff", "--base", "HEAD", "--file", "metrics.md"]);
        assert_eq!(ran.ok(), "");
        assert_eq!(forge.requests().len(), 0);
        cml.run(&["comment", "update", "metrics.md"]).ok();
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.contains("| accuracy "), "{comments:#?}");
    }
}

#[test]
fn everything_that_is_declared_is_found() {
    let committed = [
        (
            "dvc.yaml",
            "vars: [{out: eval}]\nmetrics: ['${out}/m.yaml']\nparams: [conf.toml]\nstages:\n  train:\n    cmd: x\n    params: [lr]\n    metrics: [{t.json: {cache: false}}]\n",
        ),
        ("eval/m.yaml", "auc: 0.8\n"),
        ("t.json", "{\"a\": 1}"),
        ("conf.toml", "seed = 1\n"),
        ("params.yaml", "lr: 0.1\nother: 1\n"),
        (
            "sub/dvc.yaml",
            "stages:\n  train:\n    wdir: src\n    cmd: x\n    params: [depth]\n    metrics: [{../s.json: {cache: false}}]\n",
        ),
        ("sub/s.json", "{\"b\": 1}"),
        ("sub/src/params.yaml", "depth: 2\nwidth: 3\n"),
        // Nobody declares it.
        ("metrics.json", "{\"x\": 1}"),
    ];
    let changed = [
        ("eval/m.yaml", "auc: 0.85\n"),
        ("t.json", "{\"a\": 2}"),
        ("conf.toml", "seed = 2\n"),
        ("params.yaml", "lr: 0.2\nother: 2\n"),
        ("sub/s.json", "{\"b\": 2}"),
        ("sub/src/params.yaml", "depth: 3\nwidth: 4\n"),
        ("metrics.json", "{\"x\": 2}"),
    ];
    let cml = repository(&committed, &changed);
    let of =
        |args: &[&str]| -> Vec<String> { rows(&cml.run(args).ok()).iter().map(|row| row[..2].join(" ")).collect() };
    assert_eq!(of(&["metrics", "diff"]), ["eval/m.yaml auc", "sub/s.json b", "t.json a"]);
    let params = ["conf.toml seed", "params.yaml lr", "params.yaml other", "sub/src/params.yaml depth"];
    assert_eq!(of(&["params", "diff"]), params);
    assert_eq!(of(&["params", "diff", "--deps"]), ["params.yaml lr", "sub/src/params.yaml depth"]);
    assert_eq!(of(&["metrics", "diff", "main", "--targets", "metrics.json", "t.json"]), ["metrics.json x", "t.json a"]);
    // Of a folder everything is compared that is in it.
    let both = ["metrics.json x", "sub/s.json b", "sub/src/params.yaml depth", "sub/src/params.yaml width", "t.json a"];
    assert_eq!(of(&["metrics", "diff", "*.json", "sub"]), both);
    // The paths are those from the current directory.
    let mut command = cml.command(&["metrics", "diff", "HEAD", "--format", "dvc"]);
    let table = Ran::of(command.current_dir(cml.path().join("sub"))).ok();
    let paths: Vec<&str> = rows(&table).iter().map(|row| row[0]).collect();
    assert_eq!(paths, ["../eval/m.yaml", "s.json", "../t.json"]);
}

#[test]
fn tables_of_steps_give_one_row() {
    let cml = repository(&[("log.csv", "step,acc\n0,0.5\n1,0.7\n")], &[("log.csv", "step,acc\n0,0.9\n1,0.8\n")]);
    let last = cml.run(&["metrics", "diff", "log.csv"]).ok();
    assert_eq!(rows(&last), [["log.csv", "acc", "0.7", "0.8", "+0.1"]]);
    let best = cml.run(&["metrics", "diff", "log.csv", "--row", "max:acc"]).ok();
    assert_eq!(rows(&best)[0], ["log.csv", "acc", "0.7", "0.9", "+0.2"]);
    let ran = cml.run(&["metrics", "diff", "log.csv", "--row", "max:f1"]);
    ran.fails(
        3,
        "log.csv of the working copy is not valid CSV: there is no column f1",
        "check the step that writes it",
    );
}

#[test]
fn a_file_from_elsewhere_can_be_the_base() {
    let cml = repository(&[("metrics.json", OLD)], &[("metrics.json", NEW)]);
    let base = tempfile::tempdir().unwrap();
    let base = base.path().join("best.yaml");
    std::fs::write(&base, "accuracy: 0.95\n").unwrap();
    let table = cml.run(&["metrics", "diff", "--base", base.to_str().unwrap(), "--no-path"]).ok();
    assert_eq!(rows(&table)[0], ["accuracy", "0.95", "0.93", "-0.02"], "{table}");
    cml.file("other.json", "{}");
    let ran = cml.run(&["metrics", "diff", "metrics.json", "other.json", "--base", base.to_str().unwrap()]);
    ran.fails(
        2,
        "--base * is a file, but 2 files are compared with it",
        "name one file to compare, or a revision as the base",
    );
}

#[test]
fn mistakes_are_named_and_nothing_is_left_out() {
    let declares = ("dvc.yaml", "metrics: [m.json]\n");
    let old = ("m.json", "{\"a\": 1}");
    let cml = repository(&[declares, old], &[("m.json", "{\"a\": }")]);
    let run = |args: &[&str]| cml.run(&[&["metrics", "diff"], args].concat());
    let broken = "m.json of the working copy is not valid JSON: expected a value at line 1 column 7";
    run(&[]).fails(3, broken, "check the step that writes it");
    std::fs::remove_file(cml.path().join("m.json")).unwrap();
    let missing = "m.json, which dvc.yaml declares, does not exist in the working copy";
    run(&[]).fails(3, missing, "run the step that writes it, or `dvc pull m.json`");
    run(&["gone.json"]).fails(
        3,
        "gone.json does not exist in the working copy",
        "check the path, and the step that writes it",
    );
    run(&["no-such-branch"]).fails(
        5,
        "unknown revision 'no-such-branch'",
        "name a commit, a branch or a tag, or a file that exists; *fetch-depth*",
    );
    run(&["--base", "HEAD~7"]).fails(5, "unknown revision 'HEAD~7'", "*");
    run(&["x/*.json"]).fails(
        3,
        "no file matches x/*.json",
        "check the pattern: it is relative to the current directory",
    );
    run(&["../m.json"]).fails(2, "../m.json is outside of *", "*");
    cml.file("m.json", "{\"a\": 1, \"b.c\": 1, \"b\": {\"c\": 2}}");
    run(&[]).fails(3, "two values of m.json are named b.c", "rename one: *");
    cml.file("dvc.yaml", "metrics: ['${x}']\n");
    let template = "cannot read dvc.yaml of the working copy: metrics: cannot resolve ${x}";
    run(&[]).fails(3, template, "`dvc stage list` shows what DVC makes of it; or name the files to compare");
    cml.file("params.py", "lr = 1\n");
    let ran = cml.run(&["params", "diff", "params.py"]);
    ran.fails(
        7,
        "params.py of the working copy is Python, which cml does not run",
        "keep parameters in YAML, JSON or TOML",
    );
    let outside = Cml::alone();
    outside.run(&["metrics", "diff"]).fails(3, "not a git repository*", "*");
}

#[test]
fn a_file_that_the_base_lacks_is_an_error_or_new() {
    // It was declared there, and never committed.
    let cml = repository(&[("dvc.yaml", "metrics: [m.json]\n")], &[("m.json", "{\"a\": 1}")]);
    let error = "m.json, which dvc.yaml declares, does not exist in HEAD (*)";
    cml.run(&["metrics", "diff"]).fails(
        3,
        error,
        "commit it, or run `dvc repro` and `dvc push` there, and `dvc pull m.json` here",
    );
    let ran = cml.run(&["metrics", "diff", "m.json"]);
    assert!(
        ran.stderr.contains("m.json does not exist in HEAD (") && ran.stderr.contains("all of it is new"),
        "{ran:?}"
    );
    assert_eq!(rows(&ran.ok()), [["m.json", "a", "-", "1", "-"]]);
}

#[test]
fn files_that_dvc_keeps_come_from_its_cache() {
    let lock = |md5: &str| {
        format!(
            "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: m.cached\n      hash: md5\n      md5: {md5}\n      size: 9\n"
        )
    };
    let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let declares = ("dvc.yaml", "stages:\n  train:\n    cmd: x\n    metrics: [m.cached]\n");
    let (old_lock, new_lock) = (lock(old), lock(new));
    let cml = repository(&[declares, ("dvc.lock", &old_lock), (".dvc/config", "")], &[("dvc.lock", &new_lock)]);
    let error = "m.cached of the working copy is in neither git nor DVC's cache (*/.dvc/cache/files/md5/fe/dcba9876543210fedcba9876543210)";
    cml.run(&["metrics", "diff"]).fails(3, error, "run `dvc pull m.cached` first");
    cml.file(".dvc/cache/files/md5/fe/dcba9876543210fedcba9876543210", "a: 2\n");
    let error = "m.cached of HEAD (*) is in neither git nor DVC's cache (*)";
    cml.run(&["metrics", "diff"]).fails(3, error, "run `dvc fetch --all-commits m.cached` first; *dvc pull*");
    cml.file(".dvc/cache/files/md5/01/23456789abcdef0123456789abcdef", "a: 1\n");
    assert_eq!(rows(&cml.run(&["metrics", "diff"]).ok()), [["m.cached", "a", "1", "2", "+1"]]);
    // The file itself goes before the cache.
    cml.file("m.cached", "a: 5\n");
    assert_eq!(rows(&cml.run(&["metrics", "diff"]).ok())[0][3], "5");
}

#[test]
fn texts_of_others_are_no_markdown() {
    let cml = repository(&[("m.json", "{}")], &[("m.json", r#"{"<img src=x>": "@octocat | `x`\n# y"}"#)]);
    let table = cml.run(&["metrics", "diff", "m.json"]).ok();
    let row = table.lines().nth(2).unwrap();
    assert!(row.contains("\\<img src=x\\>") && row.contains("\\@\u{200b}octocat \\| \\`x\\` \\# y"), "{table}");
    assert_eq!(table.lines().count(), 3);
}

#[test]
fn the_token_is_only_for_the_forge() {
    let forge = Forge::start();
    let mut cml = repository(&[("metrics.json", OLD)], &[("metrics.json", NEW)]);
    cml.set("REPO_TOKEN", "secret-token-0123").set("CML_REPO", &forge.repo_url(Vendor::GitHub));
    // `run` looks for the token in all that is printed.
    cml.run(&["metrics", "diff", "--log", "debug"]).ok();
    assert_eq!(forge.requests().len(), 0);
}
