//! Which parameters of a file are tracked: all, or those that stages name.

use crate::metrics::Value;
use std::collections::BTreeMap;

/// Files of parameters with the keys that count; without keys all of them do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracked {
    files: BTreeMap<String, Vec<String>>,
}

impl Tracked {
    /// Adds keys of a file, or with none the whole file, whatever else names keys of it.
    pub fn add(&mut self, file: &str, keys: &[String]) {
        match self.files.get_mut(file) {
            Some(known) if !known.is_empty() && !keys.is_empty() => known.extend_from_slice(keys),
            Some(known) => known.clear(),
            None => drop(self.files.insert(file.to_owned(), keys.to_vec())),
        }
    }

    /// Adds what another names.
    pub fn extend(&mut self, other: &Tracked) {
        other.files.iter().for_each(|(file, keys)| self.add(file, keys));
    }

    /// Returns the files with their keys.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.files.iter().map(|(file, keys)| (file.as_str(), keys.as_slice()))
    }
}

/// Returns the part of a file that keys name, such as `train.lr` or `train.*`; without keys all of it.
pub fn select(value: Value, keys: &[String]) -> Value {
    if keys.is_empty() {
        return value;
    }
    let parts = keys.iter().filter_map(|key| part(&value, &key.split('.').collect::<Vec<_>>()));
    parts.fold(Value::Map(Vec::new()), merge)
}

fn part(value: &Value, keys: &[&str]) -> Option<Value> {
    let Some((first, rest)) = keys.split_first() else { return Some(value.clone()) };
    let fits = |key: &str| key == *first || (first.contains(['*', '?', '[']) && fast_glob::glob_match(first, key));
    let found = value.entries()?.iter().filter(|(key, _)| fits(key));
    let parts: Vec<_> = found.filter_map(|(key, value)| Some((key.clone(), part(value, rest)?))).collect();
    (!parts.is_empty()).then_some(Value::Map(parts))
}

/// Returns a table with what another has: tables in both are merged, else the other's value counts.
pub fn merge(one: Value, other: Value) -> Value {
    let (Value::Map(mut entries), Value::Map(more)) = (one, other.clone()) else { return other };
    for (key, value) in more {
        match entries.iter_mut().find(|(found, _)| *found == key) {
            Some(entry) => entry.1 = merge(std::mem::replace(&mut entry.1, Value::Null), value),
            None => entries.push((key, value)),
        }
    }
    Value::Map(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;

    #[test]
    fn a_whole_file_counts_more_than_keys() {
        let mut tracked = Tracked::default();
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        tracked.add("a.yaml", &keys(&["x"]));
        tracked.add("a.yaml", &keys(&["y"]));
        tracked.add("b.yaml", &keys(&["x"]));
        tracked.add("b.yaml", &[]);
        tracked.add("b.yaml", &keys(&["z"]));
        let found: Vec<_> = tracked.files().map(|(file, keys)| (file, keys.join(" "))).collect();
        assert_eq!(found, [("a.yaml", "x y".to_owned()), ("b.yaml", String::new())]);
    }

    #[test]
    fn keys_select_what_they_name() {
        let value = || yaml::parse("train: {lr: 1, net: {depth: 2, width: 3}}\nseed: 4\nname: x\n").unwrap();
        for (keys, expected) in [
            (&[][..], "{'train': {'lr': 1, 'net': {'depth': 2, 'width': 3}}, 'seed': 4, 'name': 'x'}"),
            (&["seed", "train.net.depth"], "{'seed': 4, 'train': {'net': {'depth': 2}}}"),
            (&["train.net.depth", "train.lr"], "{'train': {'net': {'depth': 2}, 'lr': 1}}"),
            (&["train.net.*"], "{'train': {'net': {'depth': 2, 'width': 3}}}"),
            (&["train"], "{'train': {'lr': 1, 'net': {'depth': 2, 'width': 3}}}"),
            (&["missing", "seed.x"], "{}"),
        ] {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(select(value(), &keys).repr(), expected, "{keys:?}");
        }
    }
}
