//! Our labels as those of a Kubernetes object.
//!
//! A label's value has at most 63 characters, of `[A-Za-z0-9._-]`
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>): no address of a repository fits. The exact values are
//! annotations; labels are for `kubectl get jobs -l` and for lists, and are shortened.

use crate::cloud::Labels;
use crate::cloud::labels::{MANAGED, dns};
use crate::error::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The longest value of a label, and the longest name of its key.
const MAX_LENGTH: usize = 63;
/// The longest prefix of a key.
const MAX_PREFIX: usize = 253;

/// The labels and annotations of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// The labels.
    pub labels: Map<String, Value>,
    /// The annotations.
    pub annotations: Map<String, Value>,
}

/// Encodes our labels and the user's own; where both have a name, ours counts.
///
/// # Errors
/// A name of the user's is none of Kubernetes.
pub fn encode(ours: &Labels, user: &[(String, String)]) -> Result<Marks> {
    let mut marks = Marks { labels: Map::new(), annotations: Map::new() };
    for (key, value) in user {
        if !is_key(key) {
            return Err(Error::usage(format!("{key} cannot be the name of a Kubernetes annotation"))
                .hint("--cloud-metadata takes letters, digits, dots, dashes and underscores, at most 63, after a prefix such as example.com/"));
        }
        if is_value(value) {
            marks.labels.insert(key.clone(), json!(value));
        }
        marks.annotations.insert(key.clone(), json!(value));
    }
    for (key, value) in ours.pairs() {
        marks.labels.insert(key.to_owned(), json!(shorten(&value)));
        marks.annotations.insert(key.to_owned(), json!(value));
    }
    Ok(marks)
}

/// Reads an object's labels; `None` when it is not ours.
pub fn decode(metadata: &Value) -> Option<Labels> {
    if metadata["labels"][MANAGED] != "true" {
        return None;
    }
    let annotations = metadata["annotations"].as_object()?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Labels::read(&annotations.iter().filter_map(text).collect::<BTreeMap<_, _>>())
}

/// Returns the part of a value that a label can hold.
fn shorten(value: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let is_edge = |c: char| !c.is_ascii_alphanumeric();
    let plain = value.split_once("://").map_or(value, |(_, rest)| rest);
    let text: String = plain.chars().map(safe).collect();
    let text: String = text.trim_matches(is_edge).chars().take(MAX_LENGTH).collect();
    text.trim_end_matches(is_edge).to_owned()
}

fn is_value(value: &str) -> bool {
    shorten(value) == value
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_prefix = |prefix: &str| {
        let part = |part: &str| !part.is_empty() && dns(part, MAX_LENGTH) == part;
        prefix.len() <= MAX_PREFIX && prefix.split('.').all(part)
    };
    !name.is_empty() && is_value(name) && prefix.is_none_or(is_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::labels::object_name;
    use proptest::prelude::*;

    fn metadata(marks: &Marks) -> Value {
        json!({ "labels": marks.labels, "annotations": marks.annotations })
    }

    #[test]
    fn labels_are_short_and_annotations_exact() {
        let ours = Labels {
            name: "cml-kubernetes-0123abcd-0123456789ab".into(),
            repository: "https://gitlab.example/Größe/sub-group/r".into(),
            run: Some("17".into()),
            deadline: 4_000_000_000,
            forge: "gitlab".into(),
            runner: Some("{1}".into()),
        };
        let user = [
            ("team".to_owned(), "ml".to_owned()),
            ("note".to_owned(), "two words".to_owned()),
            ("cml-managed".to_owned(), "no".to_owned()),
        ];
        let marks = encode(&ours, &user).unwrap();
        assert_eq!(marks.labels["cml-repo"], "gitlab.example-Gr--e-sub-group-r");
        assert_eq!((&marks.labels["cml-managed"], &marks.labels["team"]), (&json!("true"), &json!("ml")));
        assert_eq!((marks.labels.get("note"), &marks.annotations["note"]), (None, &json!("two words")));
        assert_eq!(decode(&metadata(&marks)), Some(ours));
        assert_eq!(decode(&json!({"labels": {"app": "x"}})), None);
        assert_eq!(decode(&json!({"labels": {"cml-managed": "true"}})), None);
        for wrong in ["", "a b", "-a", "/a", "a/", "Ex.com/a", &"a".repeat(64)] {
            assert!(encode(&Labels::default(), &[(wrong.to_owned(), String::new())]).is_err(), "{wrong}");
        }
        assert!(encode(&Labels::default(), &[("example.com/cost.center_1".to_owned(), String::new())]).is_ok());
    }

    #[test]
    fn another_runner_has_another_name() {
        let named = |name: &str, runner: &str| {
            object_name(&Labels { name: name.into(), runner: Some(runner.into()), ..Labels::default() })
        };
        assert_eq!(named("cml-a", "1"), named("cml-a", "1"));
        assert_ne!(named("cml-a", "1"), named("cml-a", "2"));
        assert_ne!(named("My Runner", "1"), named("my-runner", "1"));
        assert!(named("My Runner!", "1").starts_with("cml-my-runner-"));
    }

    proptest! {
        #[test]
        fn whatever_a_name_and_a_repository_are_kubernetes_takes_them(name in "\\PC{0,80}", repository in "\\PC{0,120}", runner in proptest::option::of("\\PC{0,40}")) {
            let ours = Labels { name, repository, runner, forge: "gitlab".into(), ..Labels::default() };
            let object = object_name(&ours);
            prop_assert!(object.len() <= 63 - 6, "{}", object);
            prop_assert!(object.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(object.starts_with("cml"));
            let marks = encode(&ours, &[]).unwrap();
            prop_assert!(marks.labels.values().all(|value| is_value(value.as_str().unwrap()) && value.as_str().unwrap().len() <= 63));
            prop_assert_eq!(decode(&metadata(&marks)), Some(ours));
        }
    }
}
