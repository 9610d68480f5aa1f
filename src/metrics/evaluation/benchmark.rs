//! Benchmarks: the list of github-action-benchmark (<https://github.com/benchmark-action/github-action-benchmark#tool-required>), and
//! Bencher Metric Format (<https://bencher.dev/docs/reference/bencher-metric-format/>).

use super::{Goal, Measure, Value, number};

/// `[{"name": "throughput", "unit": "samples/s", "value": 512}]`. Whether less is better, the file does not say.
pub fn read_list(value: &Value) -> Option<Vec<Measure>> {
    let list = value.items().filter(|list| !list.is_empty())?;
    let measure = |item: &Value| {
        let name = item.get("name")?.text()?;
        let value = Measure::new(name, number(item, "value")?);
        Some(value.with_unit(item.get("unit")?.text()?))
    };
    list.iter().map(measure).collect()
}

/// `{"benchmark": {"latency": {"value": 88.0, "lower_value": 87.5, "upper_value": 88.5}}}`.
pub fn read_bencher(value: &Value) -> Option<Vec<Measure>> {
    const KEYS: [&str; 3] = ["value", "lower_value", "upper_value"];
    let mut measures = Vec::new();
    for (benchmark, found) in value.entries().filter(|entries| !entries.is_empty())? {
        for (measure, metric) in found.entries().filter(|entries| !entries.is_empty())? {
            if metric.entries()?.iter().any(|(key, _)| !KEYS.contains(&key.as_str())) {
                return None;
            }
            // The two measures that Bencher itself defines.
            let (goal, unit) = match measure.as_str() {
                "latency" => (Some(Goal::Lower), Some("ns")),
                "throughput" => (Some(Goal::Higher), Some("ops/s")),
                _ => (None, None),
            };
            let value = Measure::new(format!("{benchmark}/{measure}"), number(metric, "value")?);
            measures.push(Measure { goal, unit: unit.map(str::to_owned), ..value });
        }
    }
    Some(measures)
}
