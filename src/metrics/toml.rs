//! TOML. Dates are the text that Python's `str` makes of them.

use super::Value;

/// Parses a document.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(text: &str) -> Result<Value, String> {
    let table: ::toml::Table = text.parse().map_err(|error: ::toml::de::Error| place(text, &error))?;
    Ok(value(::toml::Value::Table(table)))
}

fn place(text: &str, error: &::toml::de::Error) -> String {
    let what = error.message().lines().collect::<Vec<_>>().join("; ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return what };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{what} at line {line} column {column}")
}

fn value(read: ::toml::Value) -> Value {
    match read {
        ::toml::Value::Boolean(yes) => Value::Bool(yes),
        ::toml::Value::Integer(whole) => Value::from(whole),
        ::toml::Value::Float(number) => Value::Float(number),
        ::toml::Value::String(text) => Value::Text(text),
        ::toml::Value::Datetime(date) => Value::Text(date.to_string().replace('T', " ").replace('Z', "+00:00")),
        ::toml::Value::Array(items) => Value::List(items.into_iter().map(value).collect()),
        ::toml::Value::Table(table) => Value::Map(table.into_iter().map(|(key, inner)| (key, value(inner))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_in_their_order() {
        let text = "b = 1\na = [1.0, inf, -nan, true]\n[t.u]\nx = \"ä\"\nd = 2020-01-02T03:04:05Z\ne = 2020-01-02\n";
        assert_eq!(
            parse(text).unwrap().repr(),
            "{'b': 1, 'a': [1.0, inf, nan, True], 't': {'u': {'x': 'ä', 'd': '2020-01-02 03:04:05+00:00', 'e': '2020-01-02'}}}"
        );
        let error = parse("a = 1\nb = ?\n").unwrap_err();
        assert!(error.ends_with(" at line 2 column 5"), "{error}");
        assert!(parse("a = 1\na = 2\n").is_err());
    }
}
