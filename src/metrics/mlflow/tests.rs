use super::*;
use proptest::prelude::*;

const DATABASE: &[u8] = include_bytes!("../../../tests/evaluations/mlflow.db");

/// The files that files become, as text.
fn expanded(files: &[(&str, &[u8])]) -> Vec<(String, String)> {
    let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let found = expand(files).unwrap();
    found.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect()
}

const META: &[u8] = b"run_id: 'a1'\nrun_name: seed 1\nlifecycle_stage: active\n";

#[test]
fn a_database_becomes_a_file_a_run() {
    let run = |accuracy: &str| {
        format!(
            "{{\"broken\": .nan, \"epochs\": 3.0, \"loss\": 0.3333333333333333, \"tiny\": 1.0e-07, \"val/acc\": {accuracy}}}\n"
        )
    };
    let expected = [("out/mlflow.db/seed=0", run("0.9")), ("out/mlflow.db/seed=1", run("0.91"))];
    let found = expanded(&[("out/mlflow.db", DATABASE)]);
    assert_eq!(found, expected.map(|(path, text)| (path.to_owned(), text)));
    let value = source::parse(&found[0].0, found[0].1.as_bytes(), &Row::Last).unwrap();
    assert_eq!(value.get("tiny").and_then(Value::to_f64), Some(1e-7));
    assert!(value.get("broken").and_then(Value::to_f64).is_some_and(f64::is_nan));
}

#[test]
fn the_newest_value_of_a_metric_counts_and_the_only_run_has_the_path_of_the_store() {
    let files: &[(&str, &[u8])] = &[
        ("mlruns/0/meta.yaml", b"artifact_location: x\nexperiment_id: '0'\n"),
        ("mlruns/0/a1/meta.yaml", META),
        ("mlruns/0/a1/metrics/loss", b"1 0.5 0\n9 0.1 1\n2 0.25 2\n"),
        ("mlruns/0/a1/metrics/val/acc", b"1 0.9\n2 inf\n"),
        ("mlruns/0/a2/meta.yaml", b"run_id: a2\nrun_name: x\nlifecycle_stage: deleted\n"),
        ("mlruns/0/a2/metrics/loss", b"1 9 0\n"),
        ("m.json", b"{}"),
    ];
    let expected = [("m.json", "{}"), ("mlruns", "{\"loss\": 0.25, \"val/acc\": .inf}\n")];
    assert_eq!(expanded(files), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn runs_that_differ_in_a_seed_alone_are_seeds() {
    let paths = |runs: &[(&str, &[(&str, &str)])]| -> Vec<String> {
        let mut files = BTreeMap::new();
        for (at, (experiment, params)) in runs.iter().enumerate() {
            let folder = format!("s/{experiment}/id{at}");
            files.insert(format!("{folder}/meta.yaml"), format!("run_id: id{at}\nrun_name: run{at}\n").into_bytes());
            for (name, value) in *params {
                files.insert(format!("{folder}/params/{name}"), value.as_bytes().to_vec());
            }
        }
        expand(files).unwrap().into_keys().collect()
    };
    let rate = ("rate", "0.1");
    for name in ["seed", "random_seed", "random_state"] {
        assert_eq!(paths(&[("0", &[rate, (name, "7")]), ("0", &[rate, (name, "8")])]), ["s/seed=7", "s/seed=8"]);
    }
    let others = ["s/0/run0", "s/0/run1"];
    assert_eq!(paths(&[("0", &[("seed", "7")]), ("0", &[("seed", "7")])]), others, "the same seed");
    assert_eq!(paths(&[("0", &[("seed", "7")]), ("0", &[rate, ("seed", "8")])]), others, "another parameter");
    assert_eq!(paths(&[("0", &[("seed", "7")]), ("0", &[])]), others, "no seed");
    assert_eq!(paths(&[("0", &[("seed", "a/b")]), ("0", &[("seed", "8")])]), others, "not part of a path");
    assert_eq!(paths(&[("0", &[("seed", "7")]), ("1", &[("seed", "8")])]), ["s/0/run0", "s/1/run1"]);
    assert_eq!(paths(&[("0", &[("seed", "7")])]), ["s"]);
    for (path, expected) in [
        ("s/seed=7", Some(("s", "7"))),
        ("seed=7", None),
        ("out/seed=7/m.json", None),
        ("out/seed=7.json", None),
        ("s/seed=", None),
    ] {
        assert_eq!(split_seed(path), expected);
    }
}

#[test]
fn runs_with_the_same_name_have_their_id() {
    let named = |name: &str| format!("run_id: '{name}'\nrun_name: v1.csv\n").into_bytes();
    let (one, two) = (named("a1"), named("a2"));
    let found = expanded(&[("s/7/a1/meta.yaml", &one), ("s/7/a2/meta.yaml", &two)]);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["s/7/a2", "s/7/v1.csv.yaml"]);
}

#[test]
fn only_what_describes_runs_and_metrics_is_read() {
    let paths = |all: &[&str]| all.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let all = [
        "m/0/meta.yaml",
        "m/0/a/meta.yaml",
        "m/0/a/metrics/x/y",
        "m/0/a/params/seed",
        "m/0/a/tags/mlflow.user",
        "m/0/a/artifacts/model",
    ];
    assert_eq!(select(paths(&all)), paths(&all[..4]));
    let other = ["results/meta.yaml", "results/a.json"];
    assert_eq!(select(paths(&other)), paths(&other));
    // It is not MLflow's.
    let (path, text): (&str, &[u8]) = ("results/meta.yaml", b"experiment_id: 1\n");
    assert_eq!(expanded(&[(path, text)]), [(path.to_owned(), "experiment_id: 1\n".to_owned())]);
}

#[test]
fn what_is_broken_is_named() {
    let what = |path: &str, bytes: &[u8]| {
        let meta = ("m/0/a/meta.yaml".to_owned(), META.to_vec());
        match expand(BTreeMap::from([meta, (path.to_owned(), bytes.to_vec())])) {
            Err((path, Problem::Malformed { format: "MLflow", what })) => format!("{path}: {what}"),
            other => panic!("{other:?}"),
        }
    };
    let said = "m/0/a/metrics/x: 'one 2' is not a time, a value and a step";
    assert_eq!(what("m/0/a/metrics/x", b"1 1 1\none 2\n"), said);
    assert_eq!(what("x.db", &DATABASE[..50]), "x.db: the file is cut short or broken");
    assert_eq!(what("x.db", &DATABASE[..5_000]), "x.db: the file is cut short or broken");
    // Another program's.
    let mut other = DATABASE.to_vec();
    while let Some(at) = other.windows(14).position(|part| part == b"latest_metrics") {
        other[at] = b'L';
    }
    assert_eq!(what("x.db", &other), "x.db: there is no table latest_metrics");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(changes in proptest::collection::vec((0..DATABASE.len(), any::<u8>()), 1..40)) {
        let mut bytes = DATABASE.to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let _ = expand(BTreeMap::from([("x.db".to_owned(), bytes)]));
    }
}
