//! Reads `clearml.conf`, which is HOCON: <https://github.com/lightbend/config/blob/main/HOCON.md>.
//!
//! Of that, what people write into this file: nested objects, dotted keys, `=`, `:` or neither, quoted and bare keys and values,
//! comments, optional commas, and `${NAME}` of the environment. Arrays and `include` are skipped: none of our settings has one.

use std::collections::BTreeMap;

/// Objects nested deeper than this are not read.
const MAX_DEPTH: usize = 32;

/// Returns the texts, numbers and words of a file by their dotted paths; later ones win. `env` looks up `${NAME}`; a value that needs a
/// missing variable is left out, and white space at the end of a value is dropped. What cannot be read is skipped.
pub fn read(text: &str, env: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut reader = Reader { rest: text, env, found: BTreeMap::new() };
    reader.skip_space();
    if reader.rest.starts_with('{') {
        reader.take(1);
    }
    while !reader.rest.is_empty() {
        reader.members("", 0);
        // A brace too many.
        reader.take(1);
    }
    reader.found
}

struct Reader<'a> {
    rest: &'a str,
    env: &'a dyn Fn(&str) -> Option<String>,
    found: BTreeMap<String, String>,
}

impl Reader<'_> {
    /// Takes so many bytes, or all that are left.
    fn take(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Skips white space, commas and comments.
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == '\u{feff}');
            if !self.rest.starts_with('#') && !self.rest.starts_with("//") {
                return;
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// Reads the members of an object up to its brace, which stays.
    fn members(&mut self, path: &str, depth: usize) {
        loop {
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return;
            }
            let key = self.key();
            let path = if path.is_empty() { key } else { format!("{path}.{key}") };
            self.rest = self.rest.trim_start();
            self.rest = self.rest.strip_prefix("+=").unwrap_or(self.rest);
            self.rest = self.rest.strip_prefix(['=', ':']).unwrap_or(self.rest);
            self.value(path, depth);
        }
    }

    /// Reads a key, which may be a path of several.
    fn key(&mut self) -> String {
        let mut key = String::new();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => key.push_str(&self.quoted()),
                '=' | ':' | '{' | '}' | '[' | ']' | '\n' | ',' => break,
                '+' if self.rest.starts_with("+=") => break,
                c => {
                    key.push(c);
                    self.take(c.len_utf8());
                }
            }
        }
        // What cannot begin a key must not stop the reader.
        if key.is_empty() && !self.rest.starts_with(['=', ':', '{', '}', '+']) {
            self.take(1);
        }
        key.split('.').map(str::trim).collect::<Vec<_>>().join(".")
    }

    fn value(&mut self, path: String, depth: usize) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
        // The value of `key =` may begin on the next line only if it is an object or an array.
        let below = self.rest.trim_start();
        if below.starts_with(['{', '[']) {
            self.rest = below;
        }
        match self.rest.chars().next() {
            Some('{') if depth < MAX_DEPTH => {
                self.take(1);
                self.members(&path, depth + 1);
                self.take(1);
            }
            Some('{' | '[') => self.skip_brackets(),
            _ => {
                if let Some(text) = self.scalar() {
                    self.found.insert(path, text);
                }
            }
        }
    }

    /// Skips an array or object with all that is in it.
    fn skip_brackets(&mut self) {
        let mut open = 0usize;
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => drop(self.quoted()),
                '[' | '{' => open += 1,
                ']' | '}' => open -= 1,
                _ => {}
            }
            if c != '"' {
                self.take(c.len_utf8());
            }
            if open == 0 {
                return;
            }
        }
    }

    /// Reads a value up to the end of the line, a comma, a brace or a comment.
    fn scalar(&mut self) -> Option<String> {
        let (mut text, mut is_complete) = (String::new(), true);
        while let Some(c) = self.rest.chars().next() {
            let is_comment = self.rest.starts_with('#') || self.rest.starts_with("//");
            match c {
                '\n' | ',' | '}' | ']' => break,
                // Addresses have slashes too.
                _ if is_comment && (text.is_empty() || text.ends_with([' ', '\t'])) => break,
                '"' => text.push_str(&self.quoted()),
                '$' if self.rest.starts_with("${") => {
                    let end = self.rest.find('}').unwrap_or(self.rest.len());
                    let name = self.rest.get(2..end).unwrap_or_default().trim_start_matches('?').trim();
                    match (self.env)(name) {
                        Some(value) => text.push_str(&value),
                        None => is_complete = false,
                    }
                    self.take(end + 1);
                }
                c => {
                    text.push(c);
                    self.take(c.len_utf8());
                }
            }
        }
        is_complete.then(|| text.trim_end().to_owned())
    }

    /// Reads a text in quotation marks, one or three.
    fn quoted(&mut self) -> String {
        if let Some(inner) = self.rest.strip_prefix("\"\"\"") {
            let end = inner.find("\"\"\"").unwrap_or(inner.len());
            let text = inner[..end].to_owned();
            self.take(end + 6);
            return text;
        }
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.take(at + 1);
                    return text;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, c)) => text.push(c),
                    None => {}
                },
                c => text.push(c),
            }
        }
        self.take(self.rest.len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<(String, String)> {
        read(text, &|name| (name == "KEY").then(|| "from env".to_owned())).into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
    }

    /// The form that `clearml-init` writes, and what people make of it.
    #[test]
    fn the_usual_forms_are_read() {
        let text = r#"
# ClearML SDK configuration file
api {
    # Notice: 'host' is the api server
    web_server: https://app.clear.ml/   // the pages
    api_server = "https://api.clear.ml"
    files_server: http://files:8081
    "credentials" {"access_key": "AK#1//", "secret_key" = S=3:4 , }
    http { retries = [1, {a: 2}, "]"]
      default_method: post }
}
sdk.storage.cache { default_base_dir: "~/.clearml/cache" }
api.verify_certificate = false
"#;
        let expected = pairs(&[
            ("api.api_server", "https://api.clear.ml"),
            ("api.credentials.access_key", "AK#1//"),
            ("api.credentials.secret_key", "S=3:4"),
            ("api.files_server", "http://files:8081"),
            ("api.http.default_method", "post"),
            ("api.verify_certificate", "false"),
            ("api.web_server", "https://app.clear.ml/"),
            ("sdk.storage.cache.default_base_dir", "~/.clearml/cache"),
        ]);
        assert_eq!(all(text), expected);
    }

    #[test]
    fn variables_braces_and_text_blocks_are_read() {
        let text = "{ a.b : ${KEY}, c = \"x-\"${?KEY}\n d=${NONE}\n e = \"\"\"two\nlines\"\"\"\n f\n{\n g = \"q\\\"\\n\" } }\n} h=1";
        let expected =
            pairs(&[("a.b", "from env"), ("c", "x-from env"), ("e", "two\nlines"), ("f.g", "q\""), ("h", "1")]);
        assert_eq!(all(text), expected);
    }

    proptest! {
        #[test]
        fn anything_can_be_read(text in any::<String>()) {
            all(&text);
        }

        #[test]
        fn anything_of_its_characters_can_be_read(text in "[ab={}\\[\\]:\",.#/\n$+ \\\\]{0,60}") {
            all(&text);
        }

        #[test]
        fn a_quoted_value_is_what_was_written(value in "[^\"\\\\]*") {
            prop_assert_eq!(all(&format!("a.b = \"{value}\"")), pairs(&[("a.b", value.trim_end())]));
        }
    }
}
