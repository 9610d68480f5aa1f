//! Tables of changes in Markdown: DVC's, byte for byte, and ours.
//!
//! DVC lays its tables out with tabulate's format `github`: <https://pypi.org/project/tabulate/>.

use super::compare::{Change, FileChanges};
use super::{Value, json, python};
use crate::report::escape::escape;
use unicode_width::UnicodeWidthStr;

/// What stands for a value that is not there.
const NOTHING: &str = "-";
/// So many decimals DVC rounds metrics to, and so many significant digits ours have.
pub const PRECISION: usize = 5;

/// What a table is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Metrics: rounded, with a column of differences.
    Metrics,
    /// Parameters, as they are.
    Params,
}

/// How a table looks.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// What it is of.
    pub subject: Subject,
    /// The name of the old version; `None` where the new one is not compared, and only its values are shown.
    pub old: Option<&'a str>,
    /// The name of the new version.
    pub new: &'a str,
    /// Whether the files are named.
    pub has_paths: bool,
    /// Decimals of DVC's table, significant digits of ours.
    pub precision: usize,
}

impl Layout<'_> {
    fn header(&self, path: &str, name: &str, change: &str) -> Vec<String> {
        self.row(path.to_owned(), [name, self.old.unwrap_or_default(), self.new, change].map(str::to_owned))
    }

    /// Returns those of the cells that the table has.
    fn row(&self, path: String, [name, old, new, change]: [String; 4]) -> Vec<String> {
        let has_change = self.old.is_some() && self.subject == Subject::Metrics;
        let cells =
            [(self.has_paths, path), (true, name), (self.old.is_some(), old), (true, new), (has_change, change)];
        cells.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, cell)| cell).collect()
    }

    /// Returns the rows, with the values as a function writes them.
    fn rows(
        &self,
        files: &[FileChanges],
        path: fn(&str) -> String,
        cells: impl Fn(&Change) -> [String; 4],
    ) -> Vec<Vec<String>> {
        let changes = files.iter().flat_map(|file| file.changes.iter().map(|change| (&file.path, change)));
        changes.map(|(name, change)| self.row(path(name), cells(change))).collect()
    }
}

/// Returns the table that `dvc metrics diff --md` or `dvc params diff --md` prints, with the empty line after it.
pub fn dvc(files: &[FileChanges], layout: &Layout<'_>) -> String {
    let name = if layout.subject == Subject::Metrics { "Metric" } else { "Param" };
    let rows = layout.rows(files, str::to_owned, |change| {
        let shown = |value: &Value| dvc_cell(value, layout);
        let difference = change.difference.as_ref().map_or_else(|| NOTHING.to_owned(), shown);
        [change.name.clone(), shown(&change.old), shown(&change.new), difference]
    });
    lay_out(&layout.header("Path", name, "Change"), &rows) + "\n"
}

fn dvc_cell(value: &Value, layout: &Layout<'_>) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::Float(number) if layout.subject == Subject::Metrics => {
            python::float(python::round(*number, layout.precision))
        }
        value => value.to_python(),
    }
}

/// Returns our table: significant digits, so that small numbers do not become 0, differences with their sign, and texts that mean
/// nothing to Markdown.
pub fn markdown(files: &[FileChanges], layout: &Layout<'_>) -> String {
    let name = if layout.subject == Subject::Metrics { "Metric" } else { "Parameter" };
    let rows = layout.rows(files, escape, |change| {
        let shown = |value: &Value| escape(&cell(value, layout));
        let difference =
            change.difference.as_ref().map_or_else(|| NOTHING.to_owned(), |value| signed(&cell(value, layout)));
        [escape(&change.name), shown(&change.old), shown(&change.new), difference]
    });
    lay_out(&layout.header("Path", name, "Change"), &rows)
}

fn cell(value: &Value, layout: &Layout<'_>) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Float(number) if layout.subject == Subject::Metrics => python::significant(*number, layout.precision),
        value => value.to_python(),
    }
}

/// Returns a number with its sign.
pub fn signed(number: &str) -> String {
    let has_sign = number.starts_with('-') || number == "0" || number == "nan";
    if has_sign { number.to_owned() } else { format!("+{number}") }
}

/// Returns the changes in the shape of `dvc metrics diff --json`, on one line.
pub fn json(files: &[FileChanges]) -> String {
    let change = |change: &Change| {
        let fixed = [("old", change.old.clone()), ("new", change.new.clone())];
        let difference = change.difference.clone().map(|value| ("diff", value));
        let entries = fixed.into_iter().chain(difference).map(|(key, value)| (key.to_owned(), value));
        (change.name.clone(), Value::Map(entries.collect()))
    };
    let file = |file: &FileChanges| (file.path.clone(), Value::Map(file.changes.iter().map(change).collect()));
    let mut text = String::new();
    json::write(&Value::Map(files.iter().filter(|file| !file.changes.is_empty()).map(file).collect()), &mut text);
    text + "\n"
}

/// Lays a table out: left aligned, as wide as the longest cell, and two more than the header.
pub fn lay_out(header: &[String], rows: &[Vec<String>]) -> String {
    let is_break = |c: char| matches!(c, '\n' | '\r');
    let has_breaks = header.iter().chain(rows.iter().flatten()).any(|cell| cell.contains(is_break));
    let rows: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.trim_matches(is_python_space)).collect()).collect();
    let widths: Vec<isize> = (0..header.len())
        .map(|at| {
            let title = header[at].split(is_break).map(width).max().unwrap_or_default() + 2;
            let cells = rows.iter().filter_map(|row| row.get(at));
            let lines = cells.flat_map(|cell| if has_breaks { cell.split(is_break).collect() } else { vec![*cell] });
            lines.map(width).chain([title]).max().unwrap_or(title)
        })
        .collect();
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let titles = header.iter().zip(&widths).map(|(title, width)| pad(title, *width)).collect();
    let dashes: Vec<String> =
        widths.iter().map(|width| "-".repeat(usize::try_from(width + 2).unwrap_or_default())).collect();
    let mut text = line(titles) + &format!("|{}|\n", dashes.join("|"));
    for row in &rows {
        let cells: Vec<Vec<&str>> =
            row.iter().map(|cell| if has_breaks { python_lines(cell) } else { vec![*cell] }).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default();
        for at in 0..height {
            let piece = |(lines, width): (&Vec<&str>, &isize)| pad(lines.get(at).unwrap_or(&""), *width);
            text += &line(cells.iter().zip(&widths).map(piece).collect());
        }
    }
    text
}

fn pad(text: &str, wanted: isize) -> String {
    let missing = usize::try_from(wanted - width(text)).unwrap_or_default();
    format!("{text}{}", " ".repeat(missing))
}

/// Returns how many columns of a terminal a text takes; -1 with control characters, as the function `wcswidth` says.
fn width(text: &str) -> isize {
    if text.chars().any(|c| c.is_control() && c != '\0') {
        return -1;
    }
    isize::try_from(text.replace('\0', "").width()).unwrap_or(isize::MAX)
}

/// Returns whether Python's `str.strip` takes a character away.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Returns the lines of a text as `str.splitlines` does.
fn python_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_end = |c: char| matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let end = rest.find(is_end).unwrap_or(rest.len());
        lines.push(&rest[..end]);
        rest = &rest[end..];
        let length = if rest.starts_with("\r\n") { 2 } else { rest.chars().next().map_or(0, char::len_utf8) };
        rest = &rest[length..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::compare::{Rules, compare};
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str, old: &str, new: &str) -> FileChanges {
        let (old, new) = (json::parse(old).unwrap(), json::parse(new).unwrap());
        FileChanges { path: path.to_owned(), changes: compare(Some(&old), Some(&new), Rules::Dvc, false).unwrap() }
    }

    fn layout(subject: Subject) -> Layout<'static> {
        Layout { subject, old: Some("main"), new: "workspace", has_paths: true, precision: PRECISION }
    }

    fn files() -> Vec<FileChanges> {
        let old = r#"{"accuracy": 0.9123456, "label": "a", "ok": true, "tiny": 1e-7}"#;
        let new = r#"{"accuracy": 0.93, "label": "b", "ok": false, "tiny": 1.2e-7, "new": 3}"#;
        vec![file("eval/m.yaml", r#"{"auc": 0.8}"#, r#"{"auc": 0.85}"#), file("metrics.json", old, new)]
    }

    #[test]
    fn the_table_is_that_of_dvc() {
        let expected = "\
| Path         | Metric   | main    | workspace   | Change   |
|--------------|----------|---------|-------------|----------|
| eval/m.yaml  | auc      | 0.8     | 0.85        | 0.05     |
| metrics.json | accuracy | 0.91235 | 0.93        | 0.01765  |
| metrics.json | label    | a       | b           | -        |
| metrics.json | new      | -       | 3           | -        |
| metrics.json | ok       | True    | False       | -1       |
| metrics.json | tiny     | 0.0     | 0.0         | 0.0      |

";
        assert_eq!(dvc(&files(), &layout(Subject::Metrics)), expected);
        let empty = "| Path   | Param   | main   | workspace   |\n|--------|---------|--------|-------------|\n\n";
        assert_eq!(dvc(&[], &layout(Subject::Params)), empty);
    }

    #[test]
    fn ours_shows_small_numbers_and_is_safe() {
        let expected = "\
| Path         | Metric   | main    | workspace   | Change    |
|--------------|----------|---------|-------------|-----------|
| eval/m.yaml  | auc      | 0.8     | 0.85        | +0.05     |
| metrics.json | accuracy | 0.91235 | 0.93        | +0.017654 |
| metrics.json | label    | a       | b           | -         |
| metrics.json | new      | -       | 3           | -         |
| metrics.json | ok       | true    | false       | -1        |
| metrics.json | tiny     | 1e-07   | 1.2e-07     | +2e-08    |
";
        assert_eq!(markdown(&files(), &layout(Subject::Metrics)), expected);
        let table = markdown(&[file("p.yaml", "{}", r#"{"a|b": "<x> @me\nline"}"#)], &layout(Subject::Params));
        assert!(table.contains(r"a\|b") && table.contains("\\<x\\> \\@\u{200b}me line"), "{table}");
        assert_eq!(table.lines().count(), 3);
    }

    #[test]
    fn values_that_are_not_compared_have_one_column() {
        let expected = "\
| Path        | Metric   | workspace   |
|-------------|----------|-------------|
| eval/m.yaml | auc      | 0.85        |
";
        let alone = Layout { old: None, ..layout(Subject::Metrics) };
        assert_eq!(markdown(&files()[..1], &alone), expected);
    }

    #[test]
    fn wide_characters_and_lines_keep_the_columns() {
        let params = [file("p.yaml", r#"{"精度": "a\nlonger  ", "e": "x"}"#, r#"{"精度": "b", "e": "y"}"#)];
        let expected = "\
| Path   | Param   | main   | workspace   |
|--------|---------|--------|-------------|
| p.yaml | e       | x      | y           |
| p.yaml | 精度    | a      | b           |
|        |         | longer |             |

";
        assert_eq!(dvc(&params, &layout(Subject::Params)), expected);
    }

    #[test]
    fn json_has_the_shape_of_dvc() {
        let files =
            [file("m.json", r#"{"a": 1, "b": "x"}"#, r#"{"a": NaN, "c": null, "b": "y"}"#), file("n.json", "{}", "{}")];
        let expected = "{\"m.json\": {\"a\": {\"old\": 1, \"new\": NaN, \"diff\": NaN}, \"b\": {\"old\": \"x\", \"new\": \"y\"}}}\n";
        assert_eq!(json(&files), expected);
    }

    proptest! {
        #[test]
        fn every_line_has_the_same_columns(values in proptest::collection::vec("[a-zé精 ]{0,12}", 1..6)) {
            let change = |text: &String| Change { name: text.clone(), old: Value::Null, new: Value::Text(text.clone()), difference: None };
            let files = [FileChanges { path: "a".to_owned(), changes: values.iter().map(change).collect() }];
            let table = dvc(&files, &layout(Subject::Metrics));
            let widths: Vec<isize> = table.trim_end().lines().map(width).collect();
            prop_assert!(widths.iter().all(|width| *width == widths[0]), "{}", table);
        }
    }
}
