//! Remarks on lines of files, as a check shows them: read from SARIF 2.1.0
//! (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>) or from lines of JSON. Pure.

use super::decode::clean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::path::Path;

mod place;
mod rules;
mod sarif;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// A remark.
    Note,
}

/// A remark on lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The file, from the root of the repository, with `/`.
    pub path: String,
    /// The first line, from 1.
    pub start_line: u32,
    /// The last line.
    pub end_line: u32,
    /// The first and the last column, from 1; only where the lines are one.
    pub columns: Option<(u32, u32)>,
    /// How bad it is.
    pub level: Level,
    /// The rule, or a short name.
    pub title: Option<String>,
    /// What to tell.
    pub message: String,
}

/// What a file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Those that belong to a file of the repository, in the order of the file.
    pub found: Vec<Annotation>,
    /// How many do not.
    pub elsewhere: usize,
}

/// Why a file cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1, where one is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

fn problem<T>(line: Option<usize>, text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem { line, text: text.into() })
}

/// Reads either form; the content decides. `root` is the folder of the repository, for absolute paths.
pub fn parse(text: &str, root: &Path) -> Result<Annotations, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(log)) if log.contains_key("runs") => sarif::read(&log, root),
        Ok(Value::Object(log)) if log.contains_key("$schema") => problem(None, "a SARIF file without runs"),
        Err(error) if first_line(text).is_none_or(|line| serde_json::from_str::<Value>(line).is_err()) => {
            match first_line(text) {
                None => Ok(Annotations::default()),
                Some(_) => problem(Some(error.line()), format!("not JSON ({error})")),
            }
        }
        _ => lines(text, root),
    }
}

fn first_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find(|line| !line.is_empty())
}

/// One object a line.
fn lines(text: &str, root: &Path) -> Result<Annotations, Problem> {
    let mut annotations = Annotations::default();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in lines {
        let value = match serde_json::from_str(line) {
            Ok(Value::Object(value)) => value,
            Ok(_) => return problem(Some(number), "not an object such as {\"path\": …, \"line\": …, \"message\": …}"),
            Err(error) => return problem(Some(number), format!("not JSON ({error})")),
        };
        match one(&value, root) {
            Ok(Some(found)) => annotations.found.push(found),
            Ok(None) => annotations.elsewhere += 1,
            Err(text) => return problem(Some(number), text),
        }
    }
    Ok(annotations)
}

/// The fields of such a line, each under any of its names.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        names.iter().find_map(|name| Some((*name, self.0.get(*name).filter(|value| !value.is_null())?)))
    }

    fn text(&self, names: &[&'static str]) -> Result<Option<String>, String> {
        match self.first(names) {
            None => Ok(None),
            Some((_, Value::String(text))) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some((name, _)) => Err(format!("{name} is not a string")),
        }
    }

    fn number(&self, names: &[&'static str]) -> Result<Option<u32>, String> {
        let Some((name, found)) = self.first(names) else { return Ok(None) };
        let number = found.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        number.map(Some).ok_or_else(|| format!("{name} is not a positive integer"))
    }
}

/// Returns an object of such a line; `None` when its file is not of the repository.
fn one(value: &Map<String, Value>, root: &Path) -> Result<Option<Annotation>, String> {
    let fields = Fields(value);
    let path = fields.text(&["path", "file"])?.ok_or("path is missing")?;
    let message = fields.text(&["message"])?.ok_or("message is missing")?;
    let level = match fields.text(&["level", "severity", "annotation_level"])? {
        None => Level::Warning,
        Some(name) => level(&name).ok_or_else(|| format!("unknown level '{name}', expected error, warning or note"))?,
    };
    let start = fields.number(&["line", "start_line"])?.unwrap_or(1);
    let lines = (start, fields.number(&["end_line"])?.unwrap_or(start));
    if lines.1 < lines.0 {
        return Err("end_line is before line".to_owned());
    }
    let columns = (fields.number(&["column", "start_column"])?, fields.number(&["end_column"])?);
    let title = fields.text(&["title", "rule"])?;
    let Some(path) = place::in_repository(&path, root) else { return Ok(None) };
    Ok(Some(annotation(path, lines, columns, level, title, message)))
}

/// Returns the level in any tool's word.
fn level(name: &str) -> Option<Level> {
    match name.to_ascii_lowercase().as_str() {
        "error" | "failure" | "fatal" => Some(Level::Error),
        "warning" | "warn" => Some(Level::Warning),
        "note" | "notice" | "info" | "none" => Some(Level::Note),
        _ => None,
    }
}

fn annotation(
    path: String,
    (start_line, end_line): (u32, u32),
    columns: (Option<u32>, Option<u32>),
    level: Level,
    title: Option<String>,
    message: String,
) -> Annotation {
    let columns = match columns {
        (Some(start), end) if start_line == end_line => Some((start, end.unwrap_or(start).max(start))),
        _ => None,
    };
    // JSON can hold characters that no forge takes.
    let (title, message) = (title.map(|title| clean(&title).into_owned()), clean(&message).into_owned());
    Annotation { path, start_line, end_line, columns, level, title, message }
}

#[cfg(test)]
mod tests;
