//! What a file of metrics or parameters says, by the ending of its name, as DVC does it: JSON, TOML, and YAML for everything else.
//! CSV and TSV are tables here, which DVC reads as one text.

use super::{Value, csv, json, toml, yaml};

pub use super::csv::Row;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It is not what the ending of its name says.
    Malformed {
        /// The format that it should have.
        format: &'static str,
        /// What is wrong, and where.
        what: String,
    },
    /// It is Python, which would have to be run.
    Python,
}

/// Reads a text in one format.
type Reader = fn(&str, &Row) -> Result<Value, String>;

/// Parses a file. What is empty, 0 or false as a whole is an empty table, as in DVC.
///
/// # Errors
/// It is not what its name says.
pub fn parse(path: &str, bytes: &[u8], row: &Row) -> Result<Value, Problem> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let (format, read): (_, Reader) = match ending.as_str() {
        "json" => ("JSON", |text, _| json::parse(text)),
        "toml" => ("TOML", |text, _| toml::parse(text)),
        "csv" => ("CSV", |text, row| csv::parse(text, b',', row)),
        "tsv" => ("TSV", |text, row| csv::parse(text, b'\t', row)),
        "py" => return Err(Problem::Python),
        _ => ("YAML", |text, _| yaml::parse(text)),
    };
    let text = std::str::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()));
    let value = text.and_then(|text| read(text, row)).map_err(|what| Problem::Malformed { format, what })?;
    Ok(if value.is_falsy() { Value::Map(Vec::new()) } else { value })
}

/// Parses a file with the data of plots: of CSV and TSV all rows, as a list.
///
/// # Errors
/// It is not what its name says.
pub fn table(path: &str, bytes: &[u8], has_header: bool) -> Result<Value, Problem> {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let (format, delimiter) = match ending.as_str() {
        "csv" => ("CSV", b','),
        "tsv" => ("TSV", b'\t'),
        _ => return parse(path, bytes, &Row::Last),
    };
    let text = std::str::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()));
    let rows = text.and_then(|text| csv::rows(text, delimiter, has_header));
    rows.map(Value::List).map_err(|what| Problem::Malformed { format, what })
}

/// Returns what of a file is a metric: numbers, texts, true and false, in tables. Lists, and what is empty, are not.
pub fn metrics(value: Value) -> Value {
    extract(value).filter(|value| !value.is_falsy()).unwrap_or(Value::Map(Vec::new()))
}

fn extract(value: Value) -> Option<Value> {
    match value {
        Value::Null | Value::List(_) => None,
        Value::Map(entries) => {
            let kept = entries.into_iter().filter_map(|(key, value)| Some((key, extract(value)?)));
            Some(Value::Map(
                kept.filter(|(_, value)| !matches!(value, Value::Map(inner) if inner.is_empty())).collect(),
            ))
        }
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(path: &str, text: &str) -> Result<String, Problem> {
        parse(path, text.as_bytes(), &Row::Last).map(|value| value.repr())
    }

    #[test]
    fn the_ending_decides() {
        for (path, text, expected) in [
            ("a/m.JSON", "{\"a\": 1}", "{'a': 1}"),
            ("m.toml", "a = 1", "{'a': 1}"),
            ("m.yml", "a: 1", "{'a': 1}"),
            ("acc.txt", "0.93\n", "0.93"),
            ("a.b/acc", "0.93\n", "0.93"),
            ("m.csv", "a,b\n1,2\n", "{'a': 1, 'b': 2}"),
            ("m.tsv", "a\tb\n1\t2\n", "{'a': 1, 'b': 2}"),
            ("m.json", "0", "{}"),
            ("m.yaml", "", "{}"),
        ] {
            assert_eq!(repr(path, text), Ok(expected.to_owned()), "{path}");
        }
        assert_eq!(repr("params.py", "a = 1"), Err(Problem::Python));
        let what = "byte 1 is not UTF-8".to_owned();
        assert_eq!(parse("m.yaml", b"a\xff", &Row::Last), Err(Problem::Malformed { format: "YAML", what }));
    }

    #[test]
    fn metrics_are_leaves_that_are_no_lists() {
        let value =
            json::parse(r#"{"a": {"b": 1, "c": [1], "d": null}, "e": {}, "f": {"g": []}, "h": "", "i": false}"#)
                .unwrap();
        assert_eq!(metrics(value).repr(), "{'a': {'b': 1}, 'h': '', 'i': False}");
        assert_eq!(metrics(Value::from(0.93)).repr(), "0.93");
        assert_eq!(metrics(Value::List(vec![Value::from(1)])).repr(), "{}");
    }
}
