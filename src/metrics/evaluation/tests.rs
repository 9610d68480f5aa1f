use super::*;
use proptest::prelude::*;

/// What a file says, a line a metric: name, value, standard error, count, direction.
fn lines(path: &str, text: &str) -> (Format, Vec<String>) {
    let evaluation = read(path, text.as_bytes(), &Row::Last).unwrap();
    let line = |measure: &Measure| {
        let error = measure.standard_error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
        let count = measure.count.map(|count| format!(" of {count}")).unwrap_or_default();
        let goal = measure.goal.map(|goal| format!(" {goal:?}")).unwrap_or_default();
        let unit = measure.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!("{} {:.4}{unit}{error}{count}{goal}", measure.name, measure.value)
    };
    (evaluation.format, evaluation.measures.iter().map(line).collect())
}

/// The examples of the first metric that has some, and why they failed.
fn examples(path: &str, text: &str) -> Vec<(String, bool, String)> {
    let evaluation = read(path, text.as_bytes(), &Row::Last).unwrap();
    let measure = evaluation.measures.into_iter().find(|measure| !measure.examples.is_empty()).unwrap();
    measure.examples.into_iter().map(|example| (example.id, example.passed, example.detail)).collect()
}

#[test]
fn lm_eval_has_standard_errors_and_directions() {
    let (format, lines) = lines("results_1.json", include_str!("../../../tests/evaluations/lm_eval.json"));
    assert_eq!(format, Format::LmEval);
    assert_eq!(lines, ["tiny_sum/acc 0.7000 ± 0.1051 of 20 Higher", "tiny_sum/acc_norm 0.6500 ± 0.1094 of 20 Higher"]);
    let (_, lines) = self::lines(
        "r.json",
        r#"{"results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": "N/A"},
            "wikitext": {"word_perplexity,none": 12.5}}, "configs": {}, "higher_is_better": {"wikitext": {"word_perplexity": false}}}"#,
    );
    assert_eq!(lines, ["gsm8k/exact_match,strict-match 0.5000", "wikitext/word_perplexity 12.5000 Lower"]);
}

#[test]
fn lm_eval_has_the_examples_of_its_samples() {
    let path = "out/samples_tiny_sum_2026-11-29T10-09-51.039991.jsonl";
    let text = include_str!("../../../tests/evaluations/samples_tiny_sum_2026-11-29T10-09-51.039991.jsonl");
    let (format, found) = lines(path, text);
    assert_eq!(format, Format::LmEval);
    assert_eq!(found, ["tiny_sum/acc 0.7000 of 20 Higher", "tiny_sum/acc_norm 0.6500 of 20 Higher"]);
    let examples = examples(path, text);
    assert_eq!((examples.len(), examples[0].0.as_str()), (20, "0"));
    let failed = examples.iter().find(|(_, passed, _)| !passed).unwrap();
    assert!(failed.2.starts_with("expected 0, got [["), "{failed:?}");
    let line = |id: u32, score: &str| {
        format!("{{\"doc_id\": {id}, \"filter\": \"strict\", \"metrics\": [\"f1\"], \"f1\": {score}}}\n")
    };
    let (_, found) = lines("s.jsonl", &(line(0, "0.5") + &line(1, "1")));
    assert_eq!(found, ["f1,strict 0.7500 ± 0.2500 of 2"]);
}

#[test]
fn promptfoo_has_a_pass_rate_a_column() {
    let text = include_str!("../../../tests/evaluations/promptfoo.json");
    let (format, lines) = lines("out.json", text);
    assert_eq!(format, Format::Promptfoo);
    assert_eq!(
        lines[..3],
        [
            "echo-p/Say {{word}}/pass_rate 0.5000 of 2 Higher",
            "echo-p/Say {{word}}/score 0.5000 Higher",
            "echo-p/Say {{word}}/exact 0.0000 Higher"
        ]
    );
    assert!(lines[3].starts_with("echo-p/Say {{word}}/latency ") && lines[3].ends_with(" ms Lower"), "{lines:?}");
    assert!(lines[4] == "echo-p/Say {{word}}/cost 0.0200 USD Lower" && lines.len() == 10, "{lines:?}");
    let examples = examples("out.json", text);
    assert_eq!(examples[0], ("word=hello".to_owned(), true, String::new()));
    assert!(examples[1].0 == "has a name" && !examples[1].1 && examples[1].2.contains("nothing"), "{examples:?}");
}

#[test]
fn deepeval_has_means_of_its_metrics() {
    let text = include_str!("../../../tests/evaluations/deepeval.json");
    let (format, lines) = lines(".latest_run_full.json", text);
    assert_eq!(format, Format::DeepEval);
    assert_eq!(lines[..2], ["pass_rate 0.5000 of 4 Higher", "Length 0.5000 ± 0.1291 of 4 Higher"]);
    assert!(lines[2].starts_with("duration ") && lines.len() == 3, "{lines:?}");
    assert_eq!(examples("x.json", text)[0], ("case 1".to_owned(), false, "Length: 2 letters".to_owned()));
}

#[test]
fn junit_leaves_out_skipped_tests() {
    let text = include_str!("../../../tests/evaluations/pytest.xml");
    let (format, lines) = lines("a/TEST.XML", text);
    assert_eq!(format, Format::JUnit);
    assert_eq!(lines[0], "pass_rate 0.6000 of 5 Higher");
    assert!(lines[1].starts_with("duration ") && lines.len() == 2, "{lines:?}");
    let found = examples("t.xml", text);
    assert_eq!(found[2].0, "test_x::test_n[3]");
    assert!(found[2].2.starts_with("AssertionError: too <large> & \"so\""), "{found:?}");
    assert!(!found[4].1, "an error is no pass: {found:?}");
    let jest = examples("t.xml", include_str!("../../../tests/evaluations/jest.xml"));
    assert_eq!(jest.len(), 2);
    assert_eq!(jest[1].2, "Error: expect(received).toBe(expected) // Object.is equality");
}

#[test]
fn repeated_names_are_numbered_and_no_test_is_no_rate() {
    let suite = |cases: &str| format!("<testsuite>{cases}</testsuite>");
    let case = "<testcase name='a' time='1,000.5'/>";
    let found = examples("t.xml", &suite(&format!("{case}{case}")));
    assert_eq!(found.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(), ["a", "a (2)"]);
    assert_eq!(lines("t.xml", &suite("")).1, ["duration 0.0000 s Lower"]);
    assert_eq!(lines("t.xml", &suite(case)).1[1], "duration 1000.5000 s Lower");
}

#[test]
fn benchmarks_have_units() {
    let (format, found) = lines("b.json", r#"[{"name": "load", "unit": "ms", "value": 12.5, "range": "± 3"}]"#);
    assert_eq!((format, found), (Format::ActionBenchmark, vec!["load 12.5000 ms".to_owned()]));
    let (format, found) =
        lines("b.json", r#"{"bench::load": {"latency": {"value": 88.0, "lower_value": 87}, "size": {"value": 2}}}"#);
    let expected = ["bench::load/latency 88.0000 ns Lower", "bench::load/size 2.0000"].map(str::to_owned);
    assert_eq!((format, found), (Format::Bencher, expected.to_vec()));
}

#[test]
fn other_files_are_metrics() {
    let (format, found) = lines("m.json", r#"{"train": {"loss": 0.5, "name": "x"}, "ok": true}"#);
    assert_eq!((format, found), (Format::Metrics, vec!["ok 1.0000".to_owned(), "train.loss 0.5000".to_owned()]));
    assert_eq!(lines("m.csv", "step,acc\n1,0.5\n2,0.75\n").1, ["acc 0.7500", "step 2.0000"]);
}

#[test]
fn what_is_broken_is_named_with_its_line() {
    let what = |path: &str, text: &str| match read(path, text.as_bytes(), &Row::Last) {
        Err(Problem::Malformed { format, what }) => format!("{format}: {what}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(what("t.xml", "<html/>"), "JUnit: there is no <testsuite>");
    assert_eq!(what("t.xml", ""), "JUnit: there is no <testsuite>");
    let broken = what("t.xml", "<testsuite>\n<testcase name='a'></testsuite>");
    assert!(broken.starts_with("JUnit: ") && broken.ends_with(" at line 2"), "{broken}");
    assert!(what("s.jsonl", "{}\n{").starts_with("JSON Lines: line 2: "), "{}", what("s.jsonl", "{}\n{"));
    assert_eq!(what("m.json", r#"{"a": {"b": 1}, "a.b": 2}"#), "metrics: two values have the name a.b");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        for path in ["a.xml", "a.json", "a.yaml"] {
            let _ = read(path, text.as_bytes(), &Row::Last);
        }
    }

    #[test]
    fn any_tags_are_read_or_refused(tags in proptest::collection::vec("</?(testsuite|testcase|failure|skipped)( name='[a&;<]*')?/?>|x", 0..12)) {
        let _ = read("a.xml", tags.concat().as_bytes(), &Row::Last);
    }
}
