//! Where the keys of a YAML or JSON document are.

use saphyr_parser::{Event, Parser};
use std::collections::BTreeMap;

/// A list or table that is being read.
enum Open {
    List(String),
    Map(String, Option<String>),
}

/// Returns the lines of all keys, from 1, by the keys on the way to them, joined by dots. Keys in a list have the list's name before
/// them. Of a document that is broken, the keys before.
pub fn of_keys(text: &str) -> BTreeMap<String, usize> {
    let (mut lines, mut open) = (BTreeMap::new(), Vec::<Open>::new());
    let mut parser = Parser::new_from_str(text);
    while let Some(Ok((event, span))) = parser.next_event() {
        let path = match open.last() {
            None => String::new(),
            Some(Open::List(path)) | Some(Open::Map(path, None)) => path.clone(),
            Some(Open::Map(path, Some(key))) if path.is_empty() => key.clone(),
            Some(Open::Map(path, Some(key))) => format!("{path}.{key}"),
        };
        match event {
            Event::MappingStart(..) => open.push(Open::Map(path, None)),
            Event::SequenceStart(..) => open.push(Open::List(path)),
            Event::Scalar(..) | Event::Alias(_) | Event::MappingEnd | Event::SequenceEnd => {
                if matches!(event, Event::MappingEnd | Event::SequenceEnd) {
                    open.pop();
                }
                let Some(Open::Map(path, key)) = open.last_mut() else { continue };
                *key = match (key.take(), event) {
                    (None, Event::Scalar(text, ..)) => {
                        let name = if path.is_empty() { text.to_string() } else { format!("{path}.{text}") };
                        lines.entry(name).or_insert(span.start.line());
                        Some(text.into_owned())
                    }
                    _ => None,
                };
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_lines() {
        let found = of_keys("{\n\t\"a\": {\n\"b\": 1e-7, \"c.d\": [1, {\"e\": NaN}]},\n  \"f\": null\n}\n");
        let expected = [("a", 2), ("a.b", 3), ("a.c.d", 3), ("a.c.d.e", 3), ("f", 4)];
        assert_eq!(found.iter().map(|(key, line)| (key.as_str(), *line)).collect::<Vec<_>>(), expected);
        assert_eq!(of_keys("a: 1\nb: [\n").get("a"), Some(&1));
        assert_eq!(of_keys("0.93").len(), 0);
    }
}
