//! JSON as Python's `json` reads and writes it: `NaN` and `Infinity` are numbers, and whole numbers have any size.
//! <https://docs.python.org/3/library/json.html>

use super::{Integer, Value, python};
use std::fmt::Write;

/// Deeper lists and tables are an error, as in Python, whose stack ends at about twice of it.
const MAX_DEPTH: usize = 400;

/// Parses a document.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() { Err(reader.wrong("expected the end of the file")) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, what: &str) -> String {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{what} at line {line} column {column}")
    }

    fn skip_space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        self.at += if is_next { token.len() } else { 0 };
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("too many nested lists and objects"));
        }
        self.skip_space();
        match self.rest().bytes().next() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.text().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
        ];
        let found = words.into_iter().find(|(word, _)| self.take(word));
        found.map(|(_, value)| value).ok_or_else(|| self.wrong("expected a value"))
    }

    fn number(&mut self) -> Result<Value, String> {
        if self.take("-Infinity") {
            return Ok(Value::Float(f64::NEG_INFINITY));
        }
        let start = self.at;
        self.take("-");
        let whole = self.digits();
        if whole == 0 {
            return Err(self.wrong("expected a digit"));
        }
        if whole > 1 && self.text[self.at - whole..].starts_with('0') {
            self.at -= whole - 1;
            return Err(self.wrong("a number must not begin with 0"));
        }
        let mut is_whole = true;
        // A point without digits after it belongs to what follows, which is an error then.
        let point = self.at;
        if self.take(".") {
            is_whole = self.digits() == 0;
            self.at = if is_whole { point } else { self.at };
        }
        let exponent = self.at;
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            let has_digits = self.digits() > 0;
            is_whole &= !has_digits;
            self.at = if has_digits { self.at } else { exponent };
        }
        let text = &self.text[start..self.at];
        let whole = if is_whole { Integer::parse(text, 10).map(Value::Int) } else { None };
        whole.or_else(|| text.parse().ok().map(Value::Float)).ok_or_else(|| self.wrong("expected a number"))
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take("]") {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take("]") {
                return Ok(Value::List(items));
            }
            if !self.take(",") {
                return Err(self.wrong("expected , or ]"));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut known = std::collections::HashMap::new();
        self.skip_space();
        if self.take("}") {
            return Ok(Value::Map(entries));
        }
        loop {
            self.skip_space();
            if !self.rest().starts_with('"') {
                return Err(self.wrong("expected a key in quotation marks"));
            }
            let key = self.text()?;
            self.skip_space();
            if !self.take(":") {
                return Err(self.wrong("expected :"));
            }
            let value = self.value(depth + 1)?;
            // The last of a key counts, at the place of the first.
            match known.get(&key).and_then(|at: &usize| entries.get_mut(*at)) {
                Some(entry) => entry.1 = value,
                None => {
                    known.insert(key.clone(), entries.len());
                    entries.push((key, value));
                }
            }
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Map(entries));
            }
            if !self.take(",") {
                return Err(self.wrong("expected , or }"));
            }
        }
    }

    fn text(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err(self.wrong("a text has no end")) };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => out.push(self.escape()?),
                '\0'..='\x1f' => return Err(self.wrong("a control character in a text")),
                c => {
                    self.at += c.len_utf8();
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let simple =
            [('"', '"'), ('\\', '\\'), ('/', '/'), ('b', '\x08'), ('f', '\x0c'), ('n', '\n'), ('r', '\r'), ('t', '\t')];
        let name = self.rest().chars().nth(1);
        if let Some((_, c)) = simple.iter().find(|(escape, _)| Some(*escape) == name) {
            self.at += 2;
            return Ok(*c);
        }
        let first = self.code().ok_or_else(|| self.wrong("unknown escape"))?;
        self.at += 6;
        let second = if (0xd800..0xdc00).contains(&first) { self.code() } else { None };
        if let Some(low) = second.filter(|low| (0xdc00..0xe000).contains(low)) {
            self.at += 6;
            let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        // Half of a pair is not a character.
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Returns the number in `\u00e9`.
    fn code(&self) -> Option<u32> {
        let digits = self.rest().strip_prefix("\\u")?.get(..4)?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

/// Writes a value on one line, as `json.dumps` does.
pub fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Int(whole) => {
            let _ = write!(out, "{whole}");
        }
        Value::Float(number) => out.push_str(&match number {
            number if number.is_nan() => "NaN".to_owned(),
            number if number.is_infinite() => if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
            number => python::float(*number),
        }),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_text(key, out);
                out.push_str(": ");
                write(value, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_what_they_are() {
        let text = r#"{"a": [1, -0, 1.0, 1e5, 1E-300, 123456789012345678901234567890], "b": [NaN, Infinity, -Infinity, true, null]}"#;
        let value = parse(text).unwrap();
        assert_eq!(
            value.repr(),
            "{'a': [1, 0, 1.0, 100000.0, 1e-300, 123456789012345678901234567890], 'b': [nan, inf, -inf, True, None]}"
        );
    }

    #[test]
    fn the_last_of_a_key_counts() {
        assert_eq!(parse(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap().repr(), "{'a': 3, 'b': 2}");
    }

    #[test]
    fn escapes_are_read() {
        assert_eq!(parse(r#""\u00e9\ud83d\ude00\n\/\ud800""#), Ok(Value::from("é😀\n/\u{fffd}")));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("", "expected a value at line 1 column 1"),
            ("{\"a\": 1,\n \"ä\": x}", "expected a value at line 2 column 7"),
            ("[1 2]", "expected , or ] at line 1 column 4"),
            ("{\"a\": 01}", "a number must not begin with 0 at line 1 column 8"),
            ("1.", "expected the end of the file at line 1 column 2"),
            ("\"a\nb\"", "a control character in a text at line 1 column 3"),
            ("\"\\x\"", "unknown escape at line 1 column 2"),
            ("{a: 1}", "expected a key in quotation marks at line 1 column 2"),
            ("\u{feff}1", "expected a value at line 1 column 1"),
            ("\"a", "a text has no end at line 1 column 3"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().starts_with("too many nested"));
    }

    /// The same value of another crate's.
    fn theirs(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => (*yes).into(),
            Value::Int(whole) => whole.to_string().parse::<i64>().unwrap().into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(theirs).collect::<Vec<_>>().into(),
            Value::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|(key, value)| (key.clone(), theirs(value))).collect())
            }
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has finite numbers", |number| number.is_finite()).prop_map(Value::Float),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Map(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in values()) {
            let mut text = String::new();
            write(&value, &mut text);
            prop_assert_eq!(parse(&text), Ok(value.clone()));
            // serde_json rounds some numbers without its feature `float_roundtrip`.
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.as_object().map(|map| map.len()), theirs(&value).as_object().map(|map| map.len()));
        }

        #[test]
        fn no_text_is_more_than_an_error(text in "[\\[\\]{}\",:\\\\0-9eE.+\\-tfnuNaI \\n\u{e4}]{0,40}") {
            let ours = parse(&text);
            if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert!(ours.is_ok(), "{} {}", text, theirs);
            } else if !text.contains('N') && !text.contains('I') && !text.contains("\\ud") && !text.contains(['e', 'E']) {
                prop_assert!(ours.is_err(), "{}: {:?}", text, ours);
            }
        }
    }
}
