//! YAML 1.2 as DVC reads it, with ruamel.yaml's safe loader: one document, keys once, anchors, aliases and merge keys.
//!
//! Dates stay the text that they are, where that loader makes dates of them, which DVC then cannot show.

use super::Value;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

pub mod lines;
mod scalar;

/// Deeper lists and tables are an error.
const MAX_DEPTH: usize = 400;
/// So many values a file may have, aliases included: a few lines can ask for billions.
const MAX_VALUES: usize = 500_000;
const CORE: &str = "tag:yaml.org,2002:";

/// Parses a document.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut directives = text.lines().take_while(|line| *line != "---");
    if let Some(version) = directives.find_map(|line| line.strip_prefix("%YAML ")).filter(|text| text.trim() != "1.2") {
        return Err(format!("YAML {} is not supported", version.trim()));
    }
    let mut composer = Composer::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| place(&error))?;
        let (line, column) = (span.start.line(), span.start.col() + 1);
        composer.take(event).map_err(|what| format!("{what} at line {line} column {column}"))?;
    }
    Ok(composer.document.unwrap_or(Value::Null))
}

fn place(error: &ScanError) -> String {
    format!("{} at line {} column {}", error.info(), error.marker().line(), error.marker().col() + 1)
}

/// A list or table that is being read.
enum Open {
    List { anchor: usize, items: Vec<Value> },
    Map { anchor: usize, map: Map },
}

/// A table that is being read.
#[derive(Default)]
struct Map {
    /// The key whose value comes next.
    key: Option<Key>,
    entries: Vec<(String, Value)>,
    known: HashSet<String>,
    /// What `<<` merges in.
    merged: Option<Vec<(String, Value)>>,
}

enum Key {
    Plain(String),
    Merge,
}

#[derive(Default)]
struct Composer {
    document: Option<Value>,
    has_ended: bool,
    open: Vec<Open>,
    /// Values with an anchor, and how many values each is.
    anchors: HashMap<usize, (Value, usize)>,
    count: usize,
}

impl Composer {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.has_ended => return Err("a second document".to_owned()),
            Event::DocumentEnd => self.has_ended = true,
            Event::Scalar(text, style, anchor, tag) => {
                if self.is_merge(&text, style, tag.as_deref()) {
                    return Ok(());
                }
                let value = typed(text, style, tag.as_deref())?;
                self.add(value, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                must_be(tag, "seq")?;
                self.push(Open::List { anchor, items: Vec::new() })?;
            }
            Event::MappingStart(anchor, tag) => {
                must_be(tag, "map")?;
                self.push(Open::Map { anchor, map: Map::default() })?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { anchor, items }) => self.add(Value::List(items), anchor)?,
                Some(Open::Map { anchor, map }) => self.add(Value::Map(map.close()), anchor)?,
                None => {}
            },
            Event::Alias(anchor) => {
                let (value, size) = self.anchors.get(&anchor).ok_or("an alias of what contains it")?;
                self.count += size;
                let value = if self.count > MAX_VALUES { Value::Null } else { value.clone() };
                self.add(value, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, open: Open) -> Result<(), String> {
        if let Some(Open::Map { map: Map { key: None, .. }, .. }) = self.open.last() {
            return Err("a key that is a list or a table".to_owned());
        }
        self.open.push(open);
        if self.open.len() > MAX_DEPTH { Err("too many nested lists and tables".to_owned()) } else { Ok(()) }
    }

    /// Takes a key `<<`.
    fn is_merge(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
        let Some(Open::Map { map, .. }) = self.open.last_mut() else { return false };
        let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none() && map.key.is_none();
        if is_merge {
            map.key = Some(Key::Merge);
        }
        is_merge
    }

    /// Adds a value to what it is in.
    fn add(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.count += 1;
        if self.count > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size(&value)));
        }
        match self.open.last_mut() {
            None => self.document = Some(value),
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Map { map, .. }) => map.add(value)?,
        }
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

impl Map {
    /// Adds a key or the value of the key before.
    fn add(&mut self, value: Value) -> Result<(), String> {
        match self.key.take() {
            None if matches!(value, Value::List(_) | Value::Map(_)) => {
                return Err("a key that is a list or a table".to_owned());
            }
            None => {
                let key = value.to_python();
                if !self.known.insert(key.clone()) {
                    return Err(format!("the key {key} is there twice"));
                }
                self.key = Some(Key::Plain(key));
            }
            Some(Key::Plain(key)) => self.entries.push((key, value)),
            Some(Key::Merge) if self.merged.is_some() => return Err("the key << is there twice".to_owned()),
            Some(Key::Merge) => self.merged = Some(merged(value)?),
        }
        Ok(())
    }

    /// Returns the entries: those merged in come first, and their values last.
    fn close(self) -> Vec<(String, Value)> {
        let mut entries = self.merged.unwrap_or_default();
        for (key, value) in self.entries {
            match entries.iter_mut().find(|(found, _)| *found == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        entries
    }
}

/// Returns what a merge key brings in: of several tables the first counts.
fn merged(value: Value) -> Result<Vec<(String, Value)>, String> {
    let tables = match value {
        Value::List(items) => items,
        one => vec![one],
    };
    let mut entries: Vec<(String, Value)> = Vec::new();
    for table in tables {
        let Value::Map(more) = table else { return Err("the key << takes tables".to_owned()) };
        let new = more.into_iter().filter(|(key, _)| !entries.iter().any(|(found, _)| found == key));
        let new: Vec<_> = new.collect();
        entries.extend(new);
    }
    Ok(entries)
}

fn must_be(tag: Option<Cow<'_, Tag>>, core: &str) -> Result<(), String> {
    match tag {
        Some(tag) if !(tag.handle == CORE && tag.suffix == core) => Err(unknown(&tag)),
        _ => Ok(()),
    }
}

fn unknown(tag: &Tag) -> String {
    format!("unknown tag {}{}", tag.handle, tag.suffix)
}

/// Returns a scalar as its tag, or its form, makes it.
fn typed(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let is_plain = style == ScalarStyle::Plain;
    let Some(tag) = tag else {
        return if is_plain { scalar::plain(&text) } else { Ok(Value::Text(text.into_owned())) };
    };
    if tag.handle.is_empty() && tag.suffix == "!" {
        return Ok(Value::Text(text.into_owned()));
    }
    if tag.handle != CORE {
        return Err(unknown(tag));
    }
    match tag.suffix.as_str() {
        "str" => Ok(Value::Text(text.into_owned())),
        "null" => Ok(Value::Null),
        "bool" => scalar::bool_of_tag(&text),
        "int" => scalar::integer(&text),
        "float" => scalar::float(&text),
        _ => Err(unknown(tag)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repr(text: &str) -> Result<String, String> {
        parse(text).map(|value| value.repr())
    }

    #[test]
    fn documents_are_read_as_dvc_does() {
        for (text, expected) in [
            ("", "None"),
            ("# nothing\n", "None"),
            ("0.93\n", "0.93"),
            ("a,b\n1,2\n", "'a,b 1,2'"),
            ("a: 1\nb:\n  - x\n  - {c: .nan}\n", "{'a': 1, 'b': ['x', {'c': nan}]}"),
            (
                "a: yes\nb: 'true'\nc: True\nd: ~\ne:\nf: \"\"",
                "{'a': 'yes', 'b': 'true', 'c': True, 'd': None, 'e': None, 'f': ''}",
            ),
            ("1: a\n1.5: b\ntrue: c\nnull: d", "{'1': 'a', '1.5': 'b', 'True': 'c', 'None': 'd'}"),
            ("a: !!str 1\nb: !!float 1\nc: !!int '3'\nd: ! 1", "{'a': '1', 'b': 1.0, 'c': 3, 'd': '1'}"),
            ("a: 2020-01-02\n", "{'a': '2020-01-02'}"),
            ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", "{'a': {'b': 1, 'c': 2}, 'd': {'b': 1, 'c': 3}}"),
            (
                "a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne:\n  f: 0\n  <<: [*x, *y]\n",
                "{'a': {'b': 1}, 'c': {'b': 2, 'd': 3}, 'e': {'b': 1, 'd': 3, 'f': 0}}",
            ),
            ("a: |\n  one\n  two\nb: >-\n  one\n  two\n", "{'a': 'one\\ntwo\\n', 'b': 'one two'}"),
            ("%YAML 1.2\n---\na: 1\n...\n", "{'a': 1}"),
            ("\u{feff}a: 1", "{'a': 1}"),
        ] {
            assert_eq!(repr(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("a: 1\na: 2\n", "the key a is there twice at line 2 column 1"),
            ("a: 1\n---\nb: 2\n", "a second document at line 2 column 1"),
            ("? [a, b]\n: 1\n", "a key that is a list or a table at line 1 column 3"),
            ("a: !new 1\n", "unknown tag !new at line 1 column 4"),
            ("%YAML 1.1\n---\na: yes\n", "YAML 1.1 is not supported"),
            ("a: &x [*x]\n", "an alias of what contains it at line 1 column 8"),
            ("a: {<<: 1}\n", "the key << takes tables at line 1 column 9"),
        ] {
            assert_eq!(repr(text), Err(expected.to_owned()), "{text}");
        }
        assert!(repr("a: [1, 2\nb: 3").unwrap_err().contains(" at line "));
        assert!(repr("a: b: c").unwrap_err().contains(" at line 1 "));
        assert!(repr(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn aliases_do_not_multiply_without_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{before}]\n");
        }
        assert!(repr(&text).unwrap_err().starts_with("more than 500000 values"), "bounded");
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_an_error(text in "[ab0-9:{}\\[\\],&*!|>'\"#%@`\\-? \\n.~<e+_]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn json_is_yaml(numbers in proptest::collection::vec(any::<i32>(), 0..5), words in proptest::collection::btree_map("[a-zé]{1,8}", any::<bool>(), 0..5)) {
            let list = Value::List(numbers.into_iter().map(|number| Value::from(i64::from(number))).collect());
            let mut entries: Vec<_> = words.into_iter().map(|(key, yes)| (key, Value::Bool(yes))).collect();
            entries.push(("0list".to_owned(), list));
            let value = Value::Map(entries);
            let mut text = String::new();
            super::super::json::write(&value, &mut text);
            prop_assert_eq!(parse(&text), Ok(value));
        }
    }
}
