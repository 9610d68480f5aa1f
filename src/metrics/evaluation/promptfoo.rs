//! promptfoo: <https://www.promptfoo.dev/docs/configuration/outputs/>.
//!
//! Each test is tried with each prompt and provider, which are columns. Their scores are sums over the tests.

use super::{Example, Goal, Measure, PASS_RATE, Value, number, text};
use std::collections::BTreeMap;

pub fn read(value: &Value) -> Option<Vec<Measure>> {
    value.get("evalId")?;
    let results = value.get("results")?;
    let columns = results.get("prompts")?.items()?;
    let tried = results.get("results")?.items()?;
    let mut measures = Vec::new();
    for ((at, column), name) in columns.iter().enumerate().zip(names(columns)) {
        let of_column = |result: &&Value| number(result, "promptIdx") == Some(at as f64);
        let examples: Vec<Example> = tried.iter().filter(of_column).map(example).collect();
        let count = examples.len() as f64;
        measures.extend(Measure::pass_rate(format!("{name}{PASS_RATE}"), examples));
        let Some(metrics) = column.get("metrics") else { continue };
        let mean = |key: &str| Some(number(metrics, key)? / count).filter(|mean| mean.is_finite());
        measures.extend(mean("score").map(|mean| Measure::new(format!("{name}score"), mean).with_goal(Goal::Higher)));
        for (key, score) in metrics.get("namedScores").and_then(Value::entries).unwrap_or_default() {
            let of = metrics.get("namedScoresCount").and_then(|counts| number(counts, key)).unwrap_or(count);
            let score = score.to_f64().map(|score| score / of).filter(|score| score.is_finite());
            measures.extend(score.map(|score| Measure::new(format!("{name}{key}"), score).with_goal(Goal::Higher)));
        }
        let latency = mean("totalLatencyMs");
        measures.extend(
            latency.map(|mean| Measure::new(format!("{name}latency"), mean).with_goal(Goal::Lower).with_unit("ms")),
        );
        let cost = number(metrics, "cost");
        measures
            .extend(cost.map(|cost| Measure::new(format!("{name}cost"), cost).with_goal(Goal::Lower).with_unit("USD")));
    }
    Some(measures)
}

/// Returns what stands before the metrics of each column: nothing for the only one, else its provider and, if several prompts have that
/// provider, its prompt.
fn names(columns: &[Value]) -> Vec<String> {
    let mut count = BTreeMap::<&str, usize>::new();
    for column in columns {
        *count.entry(text(column, "provider")).or_default() += 1;
    }
    let name = |column: &Value| {
        let provider = text(column, "provider");
        match count.get(provider) {
            _ if columns.len() == 1 => String::new(),
            Some(1) => format!("{provider}/"),
            _ => format!("{provider}/{}/", text(column, "label")),
        }
    };
    columns.iter().map(name).collect()
}

fn example(result: &Value) -> Example {
    let described = result.get("testCase").map(|case| text(case, "description")).filter(|text| !text.is_empty());
    let variables = || {
        let all = result.get("vars").and_then(Value::entries).unwrap_or_default();
        let one = |(key, value): &(String, Value)| format!("{key}={}", value.to_python());
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let reason = result.get("gradingResult").map(|graded| text(graded, "reason")).unwrap_or_default();
    let reason = if reason.is_empty() { text(result, "error") } else { reason };
    let passed = result.get("success") == Some(&Value::Bool(true));
    Example::new(described.map_or_else(variables, str::to_owned), passed, reason)
}
