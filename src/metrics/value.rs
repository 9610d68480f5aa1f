//! A value as Python's readers of JSON, YAML and TOML return it.

use super::Integer;
use super::python;
use std::cmp::Ordering;

/// What stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, nothing.
    Null,
    /// `true` or `false`; also a number, 1 or 0.
    Bool(bool),
    /// A whole number of any size.
    Int(Integer),
    /// A floating-point number, which may be NaN or infinite.
    Float(f64),
    /// Text; dates too, as they are written.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A table: keys, in their order, with values.
    Map(Vec<(String, Value)>),
}

/// A whole or floating-point number.
#[derive(Debug, Clone, PartialEq)]
enum Number {
    Int(Integer),
    Float(f64),
}

impl Number {
    fn to_f64(&self) -> f64 {
        match self {
            Number::Int(whole) => whole.to_f64(),
            Number::Float(number) => *number,
        }
    }
}

impl Value {
    /// Returns the value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries()?.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// Returns the keys and values, if this is a table.
    pub fn entries(&self) -> Option<&[(String, Value)]> {
        if let Value::Map(entries) = self { Some(entries) } else { None }
    }

    /// Returns the items, if this is a list.
    pub fn items(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// Returns the text, if this is one.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// Returns it as JSON's types have it: what is not finite is null, and whole numbers of more than 64 bits are rounded.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => (*yes).into(),
            Value::Int(whole) => serde_json::from_str(&whole.to_string()).unwrap_or_default(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect(),
        }
    }

    /// Returns whether Python takes it for false: `None`, `False`, 0, and what is empty.
    pub fn is_falsy(&self) -> bool {
        match self {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => false,
            Value::Int(whole) => *whole == Integer::from(0),
            Value::Float(number) => *number == 0.0,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    fn number(&self) -> Option<Number> {
        match self {
            Value::Bool(yes) => Some(Number::Int(Integer::from(i64::from(*yes)))),
            Value::Int(whole) => Some(Number::Int(whole.clone())),
            Value::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }

    /// Returns it as a floating-point number, if it is a number.
    pub fn to_f64(&self) -> Option<f64> {
        self.number().map(|number| number.to_f64())
    }

    /// Returns whether Python takes two values for equal: 1 is 1.0 and `True`, and NaN is not NaN.
    pub fn is_equal(&self, other: &Value) -> bool {
        if let (Some(one), Some(two)) = (self.number(), other.number()) {
            return match (one, two) {
                (Number::Int(one), Number::Int(two)) => one == two,
                (Number::Float(one), Number::Float(two)) => one == two,
                (Number::Int(whole), Number::Float(number)) | (Number::Float(number), Number::Int(whole)) => {
                    whole.compare_to_f64(number) == Some(Ordering::Equal)
                }
            };
        }
        match (self, other) {
            (Value::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_equal(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                let is_same =
                    |(key, value): &(String, Value)| other.get(key).is_some_and(|other| value.is_equal(other));
                one.len() == two.len() && one.iter().all(is_same)
            }
            _ => self == other,
        }
    }

    /// Returns the difference to an earlier value, if both are numbers: a whole number if both are whole.
    pub fn minus(&self, earlier: &Value) -> Option<Value> {
        Some(match (self.number()?, earlier.number()?) {
            (Number::Int(new), Number::Int(old)) => Value::Int(new.minus(&old)),
            (new, old) => Value::Float(new.to_f64() - old.to_f64()),
        })
    }

    /// Returns it as Python's `str` writes it.
    pub fn to_python(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            other => other.repr(),
        }
    }

    /// Returns it as Python's `repr` writes it.
    pub fn repr(&self) -> String {
        match self {
            Value::Null => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(whole) => whole.to_string(),
            Value::Float(number) => python::float(*number),
            Value::Text(text) => python::quoted(text),
            Value::List(items) => format!("[{}]", items.iter().map(Value::repr).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let pair = |(key, value): &(String, Value)| format!("{}: {}", python::quoted(key), value.repr());
                format!("{{{}}}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}

impl From<i64> for Value {
    fn from(whole: i64) -> Self {
        Value::Int(whole.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Value {
        Value::Int(Integer::parse(text, 10).unwrap())
    }

    #[test]
    fn numbers_are_equal_as_in_python() {
        assert!(Value::from(1).is_equal(&Value::Bool(true)) && Value::from(1.0).is_equal(&Value::Bool(true)));
        assert!(
            Value::from(0.0).is_equal(&Value::from(-0.0)) && !Value::from(f64::NAN).is_equal(&Value::from(f64::NAN))
        );
        assert!(!Value::from(1).is_equal(&Value::from("1")) && !Value::Null.is_equal(&Value::Bool(false)));
        // As floating-point numbers they are the same.
        assert!(!int("9007199254740993").is_equal(&Value::from(9_007_199_254_740_992.0)));
        assert!(int("9007199254740992").is_equal(&Value::from(9_007_199_254_740_992.0)));
        let map = |keys: &[&str]| Value::Map(keys.iter().map(|key| ((*key).to_owned(), Value::Null)).collect());
        assert!(map(&["a", "b"]).is_equal(&map(&["b", "a"])) && !map(&["a"]).is_equal(&map(&["b"])));
    }

    #[test]
    fn differences_are_whole_where_both_are() {
        for (new, old, expected) in [
            (Value::from(3), Value::from(1), Some(Value::from(2))),
            (Value::Bool(false), Value::Bool(true), Some(Value::from(-1))),
            (Value::from(0.5), Value::Bool(true), Some(Value::from(-0.5))),
            (int("100000000000000000000"), Value::from(1), Some(int("99999999999999999999"))),
            (Value::from("b"), Value::from(1), None),
            (Value::Null, Value::Null, None),
        ] {
            assert_eq!(new.minus(&old), expected, "{new:?} - {old:?}");
        }
    }

    #[test]
    fn values_are_written_as_python_does() {
        let list = Value::List(vec![Value::from("it's"), Value::Null, Value::from(1e-7), Value::Bool(true)]);
        assert_eq!(list.to_python(), "[\"it's\", None, 1e-07, True]");
        assert_eq!(Value::Map(vec![("ä\n".into(), Value::from(-1))]).to_python(), "{'ä\\n': -1}");
        assert_eq!(Value::from("plain 'text'").to_python(), "plain 'text'");
    }
}
