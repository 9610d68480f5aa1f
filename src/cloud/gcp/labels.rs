//! Labels of instances: <https://cloud.google.com/compute/docs/labeling-resources#requirements>. Google's hold neither an address nor a
//! capital letter. So they are for selection only; the exact values are a JSON object in the instance's description, which nobody
//! changes after its creation, and which the instance itself cannot read.

use crate::cloud::Labels;
use crate::cloud::labels::MANAGED;
use crate::digest::hash;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest key or value of a label, and the longest name of an instance.
const MAX_LABEL: usize = 63;
/// How many labels an instance may have.
const MAX_LABELS: usize = 64;
/// The longest description.
const MAX_DESCRIPTION: usize = 2048;

/// The labels of an instance as Google Cloud has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// For selection.
    pub labels: Map<String, Value>,
    /// The exact ones.
    pub description: String,
}

fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    text.len() <= MAX_LABEL && text.bytes().all(is_plain)
}

/// Returns a text as far as a label can hold it.
fn as_label(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.trim_matches(['{', '}']).chars().map(plain).take(MAX_LABEL).collect()
}

/// Encodes our labels and the user's. Ours win: a user's label of the same name must not hide an instance from `cml runner reap`.
///
/// # Errors
/// One of the user's cannot be a label of Google Cloud's: none is changed silently.
pub fn encode(ours: &Labels, user_labels: &[(String, String)]) -> Result<Encoded> {
    let mut labels = Map::new();
    let mut exact = Map::new();
    for (key, value) in user_labels {
        let is_key = is_label(key) && key.starts_with(|c: char| c.is_ascii_lowercase());
        if !is_key || !is_label(value) {
            return Err(Error::usage(format!("--cloud-metadata {key}={value} cannot be a label of Google Cloud")).hint(
                "use lower-case letters, digits, - and _, at most 63 each in the key and the value; a key begins with a letter",
            ));
        }
        labels.insert(key.clone(), Value::from(value.clone()));
        exact.insert(key.clone(), Value::from(value.clone()));
    }
    for (key, value) in ours.pairs() {
        let label = if key == "cml-repo" { hash(value.as_bytes())[..20].to_owned() } else { as_label(&value) };
        labels.insert(key.to_owned(), Value::from(label));
        exact.insert(key.to_owned(), Value::from(value));
    }
    let description = Value::Object(exact).to_string();
    if labels.len() > MAX_LABELS || description.chars().count() > MAX_DESCRIPTION {
        return Err(Error::usage("--cloud-metadata has too many labels for Google Cloud").hint(format!(
            "an instance takes {MAX_LABELS} labels, cml's included, of {MAX_DESCRIPTION} characters in all"
        )));
    }
    Ok(Encoded { labels, description })
}

/// Reads the labels of an instance, or `None` if it is not ours.
pub fn decode(instance: &Value) -> Option<Labels> {
    if instance["labels"][MANAGED] != "true" {
        return None;
    }
    let exact: BTreeMap<String, String> = serde_json::from_str(instance["description"].as_str()?).ok()?;
    Labels::read(&exact)
}

/// Returns the name of an instance: the runner's, where that can be one, and a part that follows from its registration, so that a stopped
/// one is in nobody's way. All begin with `cml-`, so that a role can be limited to them.
pub fn instance_name(ours: &Labels) -> String {
    let name = &ours.name;
    let is_name = name.starts_with("cml-") && name.len() <= MAX_LABEL - 7 && is_label(name) && !name.contains('_');
    let name = if is_name { name.clone() } else { format!("cml-{}", &hash(name.as_bytes())[..20]) };
    let runner = ours.runner.as_deref().unwrap_or_default();
    format!("{name}-{}", &hash(runner.as_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Labels {
        Labels {
            name: "cml-gcp-0123abcd-0123456789ab".into(),
            repository: "https://gitlab.example/Größe/of a group/r".into(),
            run: Some("99".into()),
            deadline: 1_800_000_000,
            forge: "bitbucket".into(),
            runner: Some("{6F1f3b52-0000-4000-8000-000000000000}".into()),
        }
    }

    #[test]
    fn labels_survive_a_round_trip_whatever_the_user_adds() {
        let user = [("cml-managed", "no"), ("team", "ml")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let Encoded { labels, description } = encode(&ours(), &user).unwrap();
        for (key, value) in
            [("cml-managed", "true"), ("team", "ml"), ("cml-runner-id", "6f1f3b52-0000-4000-8000-000000000000")]
        {
            assert_eq!(labels[key], value);
        }
        assert!(labels.values().all(|value| is_label(value.as_str().unwrap())), "{labels:?}");
        let instance = serde_json::json!({ "labels": labels, "description": description });
        assert_eq!(decode(&instance), Some(ours()));
        let exact: Value = serde_json::from_str(&description).unwrap();
        assert_eq!((&exact["team"], &exact["cml-repo"]), (&"ml".into(), &ours().repository.into()));
        assert_eq!(decode(&serde_json::json!({ "labels": { "cml-managed": "true" }, "description": "mine" })), None);
    }

    #[test]
    fn what_google_does_not_take_is_refused() {
        for (key, value) in
            [("Team", "ml"), ("team", "ML"), ("1st", "x"), ("a b", "x"), ("team", &*"x".repeat(64)), ("", "x")]
        {
            let error = encode(&ours(), &[(key.to_owned(), value.to_owned())]).unwrap_err();
            assert_eq!(error.to_string(), format!("--cloud-metadata {key}={value} cannot be a label of Google Cloud"));
        }
        let many: Vec<_> = (0..60).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(encode(&ours(), &many).unwrap_err().to_string().contains("too many labels"));
    }

    #[test]
    fn every_instance_has_a_name_that_google_takes() {
        let name = |text: &str, runner: &str| {
            instance_name(&Labels { name: text.to_owned(), runner: Some(runner.to_owned()), ..Labels::default() })
        };
        let generated = name("cml-gcp-0123abcd-0123456789ab", "1");
        assert!(generated.starts_with("cml-gcp-0123abcd-0123456789ab-") && generated.len() == 36, "{generated}");
        assert_ne!(generated, name("cml-gcp-0123abcd-0123456789ab", "2"));
        for other in ["mine", "cml-A", "cml-a_b", &format!("cml-{}", "x".repeat(60))] {
            let made = name(other, "1");
            assert!(made.starts_with("cml-") && made.len() == 31, "{made}");
        }
    }
}
