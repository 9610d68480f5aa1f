//! Tables of metrics over time, as loggers write them: CSV and TSV. One row counts, the last unless another is asked for.

use super::{Integer, Value};
use std::fmt;
use std::str::FromStr;

/// Which row of a table counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Row {
    /// The last one.
    #[default]
    Last,
    /// The one with the largest number in a column.
    Max(String),
    /// The one with the smallest.
    Min(String),
}

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "last" => Ok(Row::Last),
            Some(("max" | "best", column)) if !column.is_empty() => Ok(Row::Max(column.to_owned())),
            Some(("min", column)) if !column.is_empty() => Ok(Row::Min(column.to_owned())),
            _ => Err("expected last, max:COLUMN or min:COLUMN".to_owned()),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Last => f.write_str("last"),
            Row::Max(column) => write!(f, "max:{column}"),
            Row::Min(column) => write!(f, "min:{column}"),
        }
    }
}

/// Parses a table and returns one row: names of columns with their values. A table without rows has none.
///
/// # Errors
/// What is wrong, with the line; or the column that is missing.
pub fn parse(text: &str, delimiter: u8, wanted: &Row) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    if let Some(name) = names.iter().enumerate().find_map(|(at, name)| names.iter().take(at).find(|n| *n == name)) {
        return Err(format!("two columns are named {name}"));
    }
    let by = match wanted {
        Row::Last => None,
        Row::Max(name) | Row::Min(name) => {
            Some(names.iter().position(|found| found == name).ok_or_else(|| format!("there is no column {name}"))?)
        }
    };
    let mut best: Option<(::csv::StringRecord, f64)> = None;
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        let number = match by {
            None => 0.0,
            // What is not a number is not the best.
            Some(at) => match typed(row.get(at).unwrap_or_default()).to_f64().filter(|number| !number.is_nan()) {
                Some(number) => number,
                None => continue,
            },
        };
        let is_better = |best: f64| match wanted {
            Row::Last => true,
            Row::Max(_) => number > best,
            Row::Min(_) => number < best,
        };
        if best.as_ref().is_none_or(|(_, best)| is_better(*best)) {
            best = Some((row, number));
        }
    }
    match best {
        Some((row, _)) => Ok(Value::Map(names.iter().map(str::to_owned).zip(row.iter().map(typed)).collect())),
        None if by.is_some() => Err(format!("no row has a number for {wanted}")),
        None => Ok(Value::Map(Vec::new())),
    }
}

/// Parses a table and returns all rows, whose cells are texts, as DVC's plots take them. Without a header the columns are numbered from 0.
///
/// # Errors
/// What is wrong, with the line.
pub fn rows(text: &str, delimiter: u8, has_header: bool) -> Result<Vec<Value>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        ::csv::ReaderBuilder::new().delimiter(delimiter).has_headers(has_header).from_reader(text.as_bytes());
    let mut names: Vec<String> = Vec::new();
    if has_header {
        names.extend(reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_owned));
    }
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        (names.len()..row.len()).for_each(|at| names.push(at.to_string()));
        rows.push(Value::Map(names.iter().cloned().zip(row.iter().map(Value::from)).collect()));
    }
    Ok(rows)
}

/// Returns a cell as a number where it is one, in the spellings of Python and pandas.
fn typed(cell: &str) -> Value {
    let text = cell.trim();
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    let is_word = |text: &str| ["nan", "inf", "-inf"].contains(&text.to_ascii_lowercase().as_str());
    match text {
        "" => Value::Null,
        "True" | "true" => Value::Bool(true),
        "False" | "false" => Value::Bool(false),
        _ => {
            let whole = Integer::parse(text, 10).map(Value::Int);
            let float = || text.parse().ok().filter(|_| is_number || is_word(text)).map(Value::Float);
            whole.or_else(float).unwrap_or_else(|| Value::Text(cell.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_counts() {
        let text = "step,acc,loss,note\n0,0.5,1e-1,\"a,\nb\"\n1,0.9,nan,x\n2,0.7,0.05,\n";
        for (row, expected) in [
            ("last", "{'step': 2, 'acc': 0.7, 'loss': 0.05, 'note': None}"),
            ("max:acc", "{'step': 1, 'acc': 0.9, 'loss': nan, 'note': 'x'}"),
            ("best:step", "{'step': 2, 'acc': 0.7, 'loss': 0.05, 'note': None}"),
            ("min:acc", "{'step': 0, 'acc': 0.5, 'loss': 0.1, 'note': 'a,\\nb'}"),
        ] {
            let row = row.parse().unwrap();
            assert_eq!(parse(text, b',', &row).unwrap().repr(), expected, "{row}");
        }
        assert_eq!(parse("a\tb\n1\t2\n", b'\t', &Row::Last).unwrap().repr(), "{'a': 1, 'b': 2}");
        assert_eq!(parse("a,b\n", b',', &Row::Last).unwrap().repr(), "{}");
        assert_eq!(parse("", b',', &Row::Last).unwrap().repr(), "{}");
    }

    #[test]
    fn all_rows_are_texts() {
        let repr = |rows: Vec<Value>| rows.iter().map(Value::repr).collect::<Vec<_>>().join(" ");
        let text = "\u{feff}step,acc\n0,0.50\n1,\n";
        assert_eq!(repr(rows(text, b',', true).unwrap()), "{'step': '0', 'acc': '0.50'} {'step': '1', 'acc': ''}");
        assert_eq!(repr(rows("1\t2\n", b'\t', false).unwrap()), "{'0': '1', '1': '2'}");
        assert!(rows("a,b\n1,2\n3\n", b',', true).unwrap_err().contains("line: 3"));
    }

    proptest::proptest! {
        #[test]
        fn any_table_has_as_many_rows_as_lines(cells in proptest::collection::vec(("[^\"]{0,6}", "[^\"]{0,6}"), 0..6)) {
            let line = |(a, b): &(String, String)| format!("\"{a}\",\"{b}\"\n");
            let text = format!("x,y\n{}", cells.iter().map(line).collect::<String>());
            let found = rows(&text, b',', true).unwrap();
            proptest::prop_assert_eq!(found.len(), cells.len());
            for (row, (a, b)) in found.iter().zip(&cells) {
                proptest::prop_assert_eq!((row.get("x").and_then(Value::text), row.get("y").and_then(Value::text)), (Some(a.as_str()), Some(b.as_str())));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text: String, has_header: bool) {
            let _ = rows(&text, b',', has_header);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let max: Row = "max:f1".parse().unwrap();
        assert_eq!(parse("a,b\n1,2\n", b',', &max), Err("there is no column f1".to_owned()));
        assert_eq!(parse("f1\nx\n", b',', &max), Err("no row has a number for max:f1".to_owned()));
        assert_eq!(parse("a,b,a\n", b',', &Row::Last), Err("two columns are named a".to_owned()));
        assert!(parse("a,b\n1,2\n3\n", b',', &Row::Last).unwrap_err().contains("line: 3"));
        for text in ["first", "max", "max:", ""] {
            assert!(text.parse::<Row>().is_err(), "{text}");
        }
    }
}
