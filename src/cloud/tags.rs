//! The tags that every instance has from its creation: the only state.

use std::collections::BTreeMap;

/// The tag that all our instances have.
pub const MANAGED: &str = "cml-managed";
const NAME: &str = "cml-name";
const REPOSITORY: &str = "cml-repo";
const RUN: &str = "cml-run";
const DEADLINE: &str = "cml-deadline";
const FORGE: &str = "cml-forge";
const RUNNER: &str = "cml-runner-id";

/// The values of the tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
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

impl Tags {
    /// Returns the tags as names and values.
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

    /// Reads an instance's tags; `None` when it is not ours. An invalid deadline counts as passed: such an instance must not
    /// live for ever.
    pub fn read(tags: &BTreeMap<String, String>) -> Option<Tags> {
        let get = |name: &str| tags.get(name).cloned();
        (get(MANAGED).as_deref() == Some("true")).then(|| Tags {
            name: get(NAME).unwrap_or_default(),
            repository: get(REPOSITORY).unwrap_or_default(),
            run: get(RUN),
            deadline: get(DEADLINE).and_then(|text| text.parse().ok()).unwrap_or_default(),
            forge: get(FORGE).unwrap_or_default(),
            runner: get(RUNNER),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_what_they_were_made_of() {
        let tags = Tags {
            name: "cml-0123456789".into(),
            repository: "https://github.com/o/r".into(),
            run: Some("17".into()),
            deadline: 1_800_000_000,
            forge: "github".into(),
            runner: Some("23".into()),
        };
        let pairs: BTreeMap<String, String> = tags.pairs().into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        assert_eq!(Tags::read(&pairs), Some(tags));
    }

    #[test]
    fn a_machine_of_somebody_else_is_not_ours_and_one_without_a_deadline_is_overdue() {
        let tag = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(Tags::read(&tag("Name", "x")), None);
        assert_eq!(Tags::read(&tag(MANAGED, "false")), None);
        assert_eq!(Tags::read(&tag(MANAGED, "true")).unwrap().deadline, 0);
    }
}
