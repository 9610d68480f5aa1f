//! Where a cloud's instances are: what its connection lists, and nothing else.

use crate::digest::hash;

/// The location that a connection launches and lists instances in. Two connections with the same location see the same
/// instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The cloud's [`super::Driver::name`].
    pub cloud: &'static str,
    /// The rest, from the widest part to the narrowest: account and region on AWS.
    pub scope: Vec<String>,
}

impl Location {
    /// Returns a name for the location, which fits into the name of a runner and discloses no account: `aws-0123abcd`.
    pub fn tag(&self) -> String {
        format!("{}-{}", self.cloud, &hash(self.scope.join("\n").as_bytes())[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_location_is_in_its_tag() {
        let tag = |cloud, scope: &[&str]| {
            Location { cloud, scope: scope.iter().map(|part| (*part).to_owned()).collect() }.tag()
        };
        let one = tag("aws", &["123456789012", "eu-west-1"]);
        assert_eq!(one, tag("aws", &["123456789012", "eu-west-1"]));
        assert!(one.starts_with("aws-") && one.len() == 12, "{one}");
        for (cloud, scope) in [
            ("gcp", ["123456789012", "eu-west-1"]),
            ("aws", ["210987654321", "eu-west-1"]),
            ("aws", ["123456789012", "eu-west-2"]),
        ] {
            assert_ne!(one, tag(cloud, &scope), "{cloud} {scope:?}");
        }
    }
}
