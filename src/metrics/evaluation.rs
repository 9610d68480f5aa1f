//! What evaluation tools write: metrics with their direction and standard error, and which examples passed.
//!
//! A tool is known by what is in its file ([`read`]); a file of no tool is one of metrics, whose numbers are the measures.

use super::gate::Goal;
use super::source::{self, Problem, Row};
use super::{Value, compare, json};

mod benchmark;
mod deepeval;
mod junit;
mod lm_eval;
mod promptfoo;

/// The name of the share of examples that passed.
pub const PASS_RATE: &str = "pass_rate";
/// More letters of why an example failed are not kept.
const MAX_DETAIL: usize = 500;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, YAML, TOML, CSV or TSV with metrics.
    Metrics,
    /// `results_*.json` of the LM Evaluation Harness.
    LmEval,
    /// The output of `promptfoo eval` in JSON.
    Promptfoo,
    /// `.deepeval/.latest_run_full.json`.
    DeepEval,
    /// JUnit's XML, which most test runners write.
    JUnit,
    /// The list of `github-action-benchmark`'s tools `customSmallerIsBetter` and `customBiggerIsBetter`.
    ActionBenchmark,
    /// Bencher Metric Format.
    Bencher,
}

impl Format {
    /// Returns the name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Format::Metrics => "metrics",
            Format::LmEval => "LM Evaluation Harness",
            Format::Promptfoo => "promptfoo",
            Format::DeepEval => "DeepEval",
            Format::JUnit => "JUnit",
            Format::ActionBenchmark => "github-action-benchmark",
            Format::Bencher => "Bencher",
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The format.
    pub format: Format,
    /// The metrics, in the order of the file.
    pub measures: Vec<Measure>,
}

/// A metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measure {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The standard error of the value, over the examples.
    pub standard_error: Option<f64>,
    /// The number of examples.
    pub count: Option<usize>,
    /// Which values are better, if the tool knows.
    pub goal: Option<Goal>,
    /// The unit, if there is one.
    pub unit: Option<String>,
    /// The examples, where the metric is the share of those that passed.
    pub examples: Vec<Example>,
}

/// An example, or a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Example {
    /// What it is called; no two of a metric have the same name.
    pub id: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why it did not, in the words of the tool.
    pub detail: String,
}

impl Measure {
    fn new(name: impl Into<String>, value: f64) -> Self {
        Measure { name: name.into(), value, ..Measure::default() }
    }

    fn with_goal(self, goal: Goal) -> Self {
        Measure { goal: Some(goal), ..self }
    }

    fn with_unit(self, unit: &str) -> Self {
        Measure { unit: Some(unit.to_owned()), ..self }
    }

    /// Returns the share of examples that passed; `None` if there are none.
    fn pass_rate(name: String, mut examples: Vec<Example>) -> Option<Self> {
        number_repeated(&mut examples);
        let count = Some(examples.len()).filter(|count| *count > 0)?;
        let passed = examples.iter().filter(|example| example.passed).count();
        let measure = Measure::new(name, passed as f64 / count as f64).with_goal(Goal::Higher);
        Some(Measure { count: Some(count), examples, ..measure })
    }

    /// Returns the mean of scores with its standard error; `None` if there are none.
    fn mean(name: String, scores: &[f64]) -> Option<Self> {
        let count = Some(scores.len()).filter(|count| *count > 0)?;
        let mean = scores.iter().sum::<f64>() / count as f64;
        let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
        let standard_error = (count > 1).then(|| (squares / (count - 1) as f64 / count as f64).sqrt());
        Some(Measure { standard_error, count: Some(count), ..Measure::new(name, mean) })
    }
}

impl Example {
    fn new(id: String, passed: bool, detail: &str) -> Self {
        let detail = if passed { "" } else { detail.trim() };
        let end = detail.char_indices().nth(MAX_DETAIL).map_or(detail.len(), |(at, _)| at);
        Example { id, passed, detail: detail[..end].to_owned() }
    }
}

/// Numbers examples that have the same name: `adds`, `adds (2)`.
fn number_repeated(examples: &mut [Example]) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for example in examples {
        let count = seen.entry(example.id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            example.id = format!("{} ({count})", example.id);
        }
    }
}

/// Returns the metrics of a file if a tool wrote it.
type Reader = fn(&Value) -> Option<Vec<Measure>>;

/// Reads a file, whose tool is known by what is in it.
///
/// # Errors
/// It is not what the ending of its name says, or two of its metrics have the same name.
pub fn read(path: &str, bytes: &[u8], row: &Row) -> Result<Evaluation, Problem> {
    if path.to_ascii_lowercase().ends_with(".xml") {
        let wrong = |what| Problem::Malformed { format: Format::JUnit.title(), what };
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|error| wrong(format!("byte {} is not UTF-8", error.valid_up_to())))?;
        return junit::read(text).map(|measures| Evaluation { format: Format::JUnit, measures }).map_err(wrong);
    }
    if path.to_ascii_lowercase().ends_with(".jsonl")
        && let Some(measures) = lm_eval::read_samples(path, &lines(bytes)?)
    {
        return Ok(Evaluation { format: Format::LmEval, measures });
    }
    of_value(source::parse(path, bytes, row)?)
}

/// Reads JSON Lines.
fn lines(bytes: &[u8]) -> Result<Vec<Value>, Problem> {
    let text = String::from_utf8_lossy(bytes);
    let filled = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let values = filled.map(|(at, line)| json::parse(line).map_err(|what| format!("line {}: {what}", at + 1)));
    values.collect::<Result<_, _>>().map_err(|what| Problem::Malformed { format: "JSON Lines", what })
}

/// Returns what the value of a file says.
///
/// # Errors
/// Two of its metrics have the same name.
pub fn of_value(value: Value) -> Result<Evaluation, Problem> {
    let readers: [(Format, Reader); 5] = [
        (Format::LmEval, lm_eval::read),
        (Format::Promptfoo, promptfoo::read),
        (Format::DeepEval, deepeval::read),
        (Format::ActionBenchmark, benchmark::read_list),
        (Format::Bencher, benchmark::read_bencher),
    ];
    let found = readers.iter().find_map(|(format, read)| Some(Evaluation { format: *format, measures: read(&value)? }));
    match found {
        Some(evaluation) => Ok(evaluation),
        None => Ok(Evaluation { format: Format::Metrics, measures: numbers(value)? }),
    }
}

fn numbers(value: Value) -> Result<Vec<Measure>, Problem> {
    let twice = |name| Problem::Malformed { format: "metrics", what: format!("two values have the name {name}") };
    let leaves = compare::leaves(&source::metrics(value)).map_err(twice)?;
    Ok(leaves.into_iter().filter_map(|(name, value)| Some(Measure::new(name, value.to_f64()?))).collect())
}

/// Returns a number of a table.
fn number(value: &Value, key: &str) -> Option<f64> {
    match value.get(key)? {
        Value::Bool(_) => None,
        value => value.to_f64(),
    }
}

/// Returns a text of a table; empty if there is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::text).unwrap_or_default()
}

/// Returns the items of a list of a table.
fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::items).unwrap_or_default()
}

#[cfg(test)]
mod tests;
