//! Labels as tags: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>. Ours fit as they are.

use crate::cloud::Labels;
use aws_sdk_ec2::types::Tag;
use std::collections::BTreeMap;

/// Returns the tags of an instance. Ours come last: a user's tag of the same name must not hide an instance from `cml runner reap`.
pub fn encode(labels: &Labels, user_labels: &[(String, String)]) -> Vec<Tag> {
    let named = std::iter::once(("Name".to_owned(), labels.name.clone()));
    let ours = labels.pairs().into_iter().map(|(key, value)| (key.to_owned(), value));
    let all: BTreeMap<String, String> = named.chain(user_labels.iter().cloned()).chain(ours).collect();
    all.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

/// Returns the labels of an instance; `None` when it is not ours.
pub fn decode(tags: &[Tag]) -> Option<Labels> {
    let pairs = tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
    Labels::read(&pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_survive_a_round_trip_whatever_the_user_adds() {
        let labels = Labels {
            name: "cml-aws-0123abcd-0123456789ab".into(),
            repository: "https://gitlab.example/Größe/of a group/r".into(),
            run: None,
            deadline: 1_800_000_000,
            forge: "bitbucket".into(),
            runner: Some("{6f1f3b52-0000-4000-8000-000000000000}".into()),
        };
        let user = [("cml-managed", "false"), ("cml-run", "17"), ("Name", "mine"), ("team", "ml")];
        let user = user.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags = encode(&labels, &user);
        // A run that nobody knows is the user's word.
        assert_eq!(decode(&tags), Some(Labels { run: Some("17".into()), ..labels }));
        let value = |key: &str| tags.iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value());
        assert_eq!((value("Name"), value("team"), value("cml-managed")), (Some("mine"), Some("ml"), Some("true")));
        assert_eq!(decode(&[Tag::builder().key("Name").value("x").build()]), None);
    }
}
