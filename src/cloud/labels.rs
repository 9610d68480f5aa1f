//! The labels that every instance has from its creation: the only state. Each cloud encodes them as it can: as tags, labels or
//! annotations.

use crate::digest::hash;
use std::collections::BTreeMap;

/// The label that all our instances have.
pub const MANAGED: &str = "cml-managed";
const NAME: &str = "cml-name";
const REPOSITORY: &str = "cml-repo";
const RUN: &str = "cml-run";
const DEADLINE: &str = "cml-deadline";
const FORGE: &str = "cml-forge";
const RUNNER: &str = "cml-runner-id";

/// How long the readable part of an object's name may be: pods get a suffix of six characters, and a label holds the whole.
const MAX_NAME: usize = 44;

/// The values of the labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The runner's name.
    pub name: String,
    /// The repository, organisation, group or workspace that the runner serves: its address.
    pub repository: String,
    /// The run of the CI that launched it.
    pub run: Option<String>,
    /// When it must be terminated at the latest, in seconds since 1970.
    pub deadline: i64,
    /// The forge.
    pub forge: String,
    /// The forge's id of the runner.
    pub runner: Option<String>,
}

impl Labels {
    /// Returns the labels as names and values.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let known = [
            (MANAGED, Some("true".to_owned())),
            (NAME, Some(self.name.clone())),
            (REPOSITORY, Some(self.repository.clone())),
            (FORGE, Some(self.forge.clone())),
            (DEADLINE, Some(self.deadline.to_string())),
            (RUN, self.run.clone()),
            (RUNNER, self.runner.clone()),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Reads an instance's labels; `None` when it is not ours. An invalid deadline counts as passed: such an instance must not
    /// live for ever.
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Labels> {
        let get = |name: &str| labels.get(name).cloned();
        (get(MANAGED).as_deref() == Some("true")).then(|| Labels {
            name: get(NAME).unwrap_or_default(),
            repository: get(REPOSITORY).unwrap_or_default(),
            run: get(RUN),
            deadline: get(DEADLINE).and_then(|text| text.parse().ok()).unwrap_or_default(),
            forge: get(FORGE).unwrap_or_default(),
            runner: get(RUNNER),
        })
    }
}

/// Returns the name of the objects of a runner. The same runner has the same name, and no other has.
pub fn object_name(labels: &Labels) -> String {
    let unique = hash(format!("{}\n{}", labels.name, labels.runner.as_deref().unwrap_or_default()).as_bytes());
    let readable = dns(&labels.name, MAX_NAME);
    let readable = if readable.starts_with("cml") { readable } else { format!("cml-{readable}") };
    format!("{}-{}", readable.trim_end_matches('-'), &unique[..8])
}

/// Returns a text in the characters of a DNS label, at most `most` of them.
pub fn dns(text: &str, most: usize) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.chars().map(safe).collect();
    text.trim_matches('-').chars().take(most).collect::<String>().trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_a_round_trip() {
        let labels = Labels {
            name: "cml-0123456789".into(),
            repository: "https://github.com/o/r".into(),
            run: Some("17".into()),
            deadline: 1_800_000_000,
            forge: "github".into(),
            runner: Some("23".into()),
        };
        let pairs: BTreeMap<String, String> = labels.pairs().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        assert_eq!(Labels::read(&pairs), Some(labels));
    }

    #[test]
    fn a_machine_of_somebody_else_is_not_ours_and_one_without_a_deadline_is_overdue() {
        let label = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(Labels::read(&label("Name", "x")), None);
        assert_eq!(Labels::read(&label(MANAGED, "false")), None);
        assert_eq!(Labels::read(&label(MANAGED, "true")).unwrap().deadline, 0);
    }
}
