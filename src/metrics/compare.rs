//! What differs between two versions of a file.

use super::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The leaves of a file by name: the keys on the way to them, joined by dots.
pub type Leaves = BTreeMap<String, Value>;

/// Whose rules hold where the rules of DVC leave something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// DVC's: of a file that is one value, such as `0.93`, nothing is shown when it is new or gone.
    Dvc,
    /// Everything is shown.
    Whole,
}

/// A value that is not the same in both versions, or one of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its name; empty for a file that is one value.
    pub name: String,
    /// The old value; [`Value::Null`] where there is none.
    pub old: Value,
    /// The new value; [`Value::Null`] where there is none.
    pub new: Value,
    /// New minus old, where both are numbers.
    pub difference: Option<Value>,
}

/// The changes in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileChanges {
    /// Its path.
    pub path: String,
    /// What changed, sorted by name.
    pub changes: Vec<Change>,
}

/// What stands for a version that is one value where the other is a table.
const NOT_A_TABLE: &str = "unable to parse";

/// Compares two versions of a file; `None` for one in which there is no such file. With `all`, what is equal is returned too.
///
/// # Errors
/// The name that two values have: `a.b` and `b` in `a`.
pub fn compare(old: Option<&Value>, new: Option<&Value>, rules: Rules, all: bool) -> Result<Vec<Change>, String> {
    let (old, new) = (old.map(prepare), new.map(prepare));
    let is_table = |value: &Value| matches!(value, Value::Map(_));
    let empty = || Value::Map(Vec::new());
    match (old, new) {
        (Some(old), Some(new)) if !is_table(&old) && !is_table(&new) => Ok(one(&old, &new, all).into_iter().collect()),
        (Some(only), None) if !is_table(&only) && rules == Rules::Whole => {
            Ok(one(&only, &Value::Null, all).into_iter().collect())
        }
        (None, Some(only)) if !is_table(&only) && rules == Rules::Whole => {
            Ok(one(&Value::Null, &only, all).into_iter().collect())
        }
        (old, new) => tables(&old.unwrap_or_else(empty), &new.unwrap_or_else(empty), all),
    }
}

/// Returns a version in the form in which DVC compares it: lists in tables are texts, and a text or list as a whole is what it says
/// as JSON.
fn prepare(value: &Value) -> Value {
    match flat_lists(value) {
        Value::Text(text) => json::parse(&text).unwrap_or(Value::Text(text)),
        other => other,
    }
}

fn flat_lists(value: &Value) -> Value {
    match value {
        Value::List(_) => Value::Text(value.repr()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), flat_lists(value))).collect())
        }
        other => other.clone(),
    }
}

fn one(old: &Value, new: &Value, all: bool) -> Option<Change> {
    change(String::new(), old, new, all)
}

fn change(name: String, old: &Value, new: &Value, all: bool) -> Option<Change> {
    if let (Value::List(old), Value::List(new)) = (old, new)
        && let ([old], [new]) = (&old[..], &new[..])
    {
        return change(name, old, new, all);
    }
    let is_kept = all || !old.is_equal(new);
    is_kept.then(|| Change { name, old: old.clone(), new: new.clone(), difference: new.minus(old) })
}

fn tables(old: &Value, new: &Value, all: bool) -> Result<Vec<Change>, String> {
    let side = |value: &Value| match value {
        Value::Map(_) => Ok((leaves(value)?, Value::Null)),
        value if value.is_falsy() => Ok((Leaves::new(), Value::Null)),
        _ => Ok::<_, String>((Leaves::new(), Value::from(NOT_A_TABLE))),
    };
    let ((old, no_old), (new, no_new)) = (side(old)?, side(new)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of =
        |name: &String| change(name.clone(), old.get(name).unwrap_or(&no_old), new.get(name).unwrap_or(&no_new), all);
    Ok(names.into_iter().filter_map(of).collect())
}

/// Returns the leaves of a table. Tables that are empty have none.
///
/// # Errors
/// The name that two of them have.
pub fn leaves(value: &Value) -> Result<Leaves, String> {
    let mut found = Leaves::new();
    collect(value, None, &mut found)?;
    Ok(found)
}

fn collect(value: &Value, name: Option<&str>, found: &mut Leaves) -> Result<(), String> {
    let Value::Map(entries) = value else {
        let name = name.unwrap_or_default().to_owned();
        return match found.insert(name.clone(), value.clone()) {
            Some(_) => Err(name),
            None => Ok(()),
        };
    };
    for (key, value) in entries {
        let name = name.map_or_else(|| key.clone(), |name| format!("{name}.{key}"));
        collect(value, Some(&name), found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(old: &str, new: &str, all: bool) -> Vec<String> {
        let value = |text: &str| (!text.is_empty()).then(|| json::parse(text).unwrap());
        let changes = compare(value(old).as_ref(), value(new).as_ref(), Rules::Dvc, all).unwrap();
        let row = |change: Change| {
            let difference = change.difference.map_or("-".to_owned(), |value| value.repr());
            format!("{}: {} {} {difference}", change.name, change.old.repr(), change.new.repr())
        };
        changes.into_iter().map(row).collect()
    }

    #[test]
    fn changes_are_those_of_dvc() {
        for (old, new, expected) in [
            (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {"b": 1.5, "c": 2}}"#, &["a.b: 1 1.5 0.5"][..]),
            (r#"{"a": 1}"#, r#"{"b": true}"#, &["a: 1 None -", "b: None True -"]),
            (r#"{"a": true}"#, r#"{"a": false}"#, &["a: True False -1"]),
            (r#"{"a": 1}"#, r#"{"a": true}"#, &[]),
            (r#"{"a": NaN}"#, r#"{"a": NaN}"#, &["a: nan nan nan"]),
            (r#"{"a": [1]}"#, r#"{"a": [2, "x"]}"#, &["a: '[1]' \"[2, 'x']\" -"]),
            (r#"{"a": {}}"#, r#"{"a": {"b": 1}}"#, &["a.b: None 1 -"]),
            ("0.5", "0.75", &[": 0.5 0.75 0.25"]),
            ("[1]", "[2]", &[": 1 2 1"]),
            ("\"7\"", "8", &[": 7 8 1"]),
            ("0.5", "", &[]),
            ("", "0.5", &[]),
            ("0.5", r#"{"a": 1}"#, &["a: 'unable to parse' 1 -"]),
            ("", r#"{"a": 1}"#, &["a: None 1 -"]),
        ] {
            assert_eq!(rows(old, new, false), expected, "{old} {new}");
        }
        assert_eq!(rows(r#"{"a": 1}"#, r#"{"a": 1}"#, true), ["a: 1 1 0"]);
    }

    #[test]
    fn a_value_that_is_new_is_shown_where_everything_is() {
        let value = Value::from(0.5);
        let changes = compare(None, Some(&value), Rules::Whole, false).unwrap();
        assert_eq!(changes, [Change { name: String::new(), old: Value::Null, new: value.clone(), difference: None }]);
        assert_eq!(compare(Some(&value), None, Rules::Whole, false).unwrap().len(), 1);
    }

    #[test]
    fn a_name_of_two_values_is_an_error() {
        let value = json::parse(r#"{"a.b": 1, "a": {"b": 2}}"#).unwrap();
        assert_eq!(compare(Some(&value), None, Rules::Dvc, false), Err("a.b".to_owned()));
    }

    proptest! {
        #[test]
        fn what_is_the_same_does_not_change(map in proptest::collection::btree_map("[a-c]{1,2}", any::<i64>(), 0..6)) {
            let value = Value::Map(map.iter().map(|(key, number)| (key.clone(), Value::from(*number))).collect());
            prop_assert_eq!(compare(Some(&value), Some(&value), Rules::Dvc, false), Ok(Vec::new()));
            prop_assert_eq!(compare(Some(&value), None, Rules::Dvc, false).unwrap().len(), map.len());
            prop_assert_eq!(compare(Some(&value), Some(&value), Rules::Dvc, true).unwrap().len(), map.len());
        }

        #[test]
        fn differences_turn_round(old in any::<i64>(), new in any::<f64>()) {
            let (old, new) = (Value::from(old), Value::from(new));
            let there = compare(Some(&old), Some(&new), Rules::Dvc, true).unwrap();
            let back = compare(Some(&new), Some(&old), Rules::Dvc, true).unwrap();
            let number = |changes: &[Change]| changes[0].difference.as_ref().and_then(Value::to_f64).unwrap();
            prop_assert!(number(&there) == -number(&back) || number(&there).is_nan());
        }
    }
}
