//! DeepEval, which writes `.deepeval/.latest_run_full.json`: <https://deepeval.com/docs/evaluation-introduction>.

use super::{Example, Goal, Measure, PASS_RATE, Value, items, number, text};

pub fn read(value: &Value) -> Option<Vec<Measure>> {
    let scores = value.get("metricsScores")?.items()?;
    value.get("testPassed")?;
    let cases = items(value, "testCases").iter().chain(items(value, "conversationalTestCases"));
    let examples = cases.map(|case| {
        let failed =
            items(case, "metricsData").iter().filter(|metric| metric.get("success") == Some(&Value::Bool(false)));
        let reason = |metric: &Value| format!("{}: {}", text(metric, "name"), text(metric, "reason"));
        let reasons: Vec<String> = failed.map(reason).collect();
        let passed = case.get("success") == Some(&Value::Bool(true));
        Example::new(text(case, "name").to_owned(), passed, &reasons.join("; "))
    });
    let mut measures: Vec<Measure> = Measure::pass_rate(PASS_RATE.to_owned(), examples.collect()).into_iter().collect();
    for metric in scores {
        let scores: Vec<f64> = items(metric, "scores").iter().filter_map(Value::to_f64).collect();
        let mean = Measure::mean(text(metric, "metric").to_owned(), &scores);
        measures.extend(mean.map(|mean| mean.with_goal(Goal::Higher)));
    }
    let cost = number(value, "evaluationCost");
    measures.extend(cost.map(|cost| Measure::new("cost", cost).with_goal(Goal::Lower).with_unit("USD")));
    let time = number(value, "runDuration");
    measures.extend(time.map(|time| Measure::new("duration", time).with_goal(Goal::Lower).with_unit("s")));
    Some(measures)
}
