//! Regions and zones, by CML's names and Google's.

use crate::error::{Error, Result};

/// CML's names of regions, with the zone that CML used there.
const REGIONS: [(&str, &str, char); 4] = [
    ("us-east", "us-east1", 'c'),
    ("us-west", "us-west1", 'b'),
    ("eu-north", "europe-north1", 'a'),
    ("eu-west", "europe-west1", 'd'),
];

/// Where instances are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// The only zone, if the user names one.
    pub zone: Option<String>,
    /// The zone that is tried first.
    first: Option<String>,
}

impl Region {
    /// Parses a region, or a zone such as `europe-west4-a`.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Region> {
        if let Some((_, name, zone)) = REGIONS.iter().find(|(ours, ..)| *ours == text) {
            return Ok(Region { name: (*name).to_owned(), zone: None, first: Some(format!("{name}-{zone}")) });
        }
        let parts: Vec<&str> = text.split('-').collect();
        let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_numbered = |part: &str| {
            let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
            is_word(word) && word.len() < part.len()
        };
        let (name, zone) = match parts[..] {
            [area, place] if is_word(area) && is_numbered(place) => (text.to_owned(), None),
            [area, place, zone] if is_word(area) && is_numbered(place) && is_word(zone) && zone.len() == 1 => {
                (format!("{area}-{place}"), Some(text.to_owned()))
            }
            _ => {
                return Err(Error::usage(format!("{text} is not a Google Cloud region")).hint(
                    "use us-east, us-west, eu-west or eu-north, a region such as europe-west4, or a zone such as europe-west4-a",
                ));
            }
        };
        Ok(Region { name, zone, first: None })
    }

    /// Returns whether a zone is one of the region.
    pub fn has(&self, zone: &str) -> bool {
        zone.rsplit_once('-').is_some_and(|(region, _)| region == self.name)
    }

    /// Returns whether an instance may be launched in a zone.
    pub fn allows(&self, zone: &str) -> bool {
        self.has(zone) && self.zone.as_deref().is_none_or(|only| only == zone)
    }

    /// Sorts zones: CML's first, then by name.
    pub fn sort(&self, zones: &mut [String]) {
        zones.sort_by_key(|zone| (self.first.as_ref() != Some(zone), zone.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_cmls_names_and_googles() {
        let parsed = |text: &str| Region::parse(text).unwrap();
        assert_eq!((parsed("us-west").name.as_str(), parsed("us-west").zone), ("us-west1", None));
        assert_eq!(parsed("europe-west4").name, "europe-west4");
        let pinned = parsed("northamerica-northeast1-b");
        assert_eq!(
            (pinned.name.as_str(), pinned.allows("northamerica-northeast1-b")),
            ("northamerica-northeast1", true)
        );
        assert!(pinned.has("northamerica-northeast1-a") && !pinned.allows("northamerica-northeast1-a"));
        assert!(!parsed("europe-west1").has("europe-west12-a"));
        for wrong in ["", "moon", "eu-west-1a", "us-central1-ab", "us-central1-A", "us central1", "us--a"] {
            assert!(Region::parse(wrong).is_err(), "{wrong}");
        }
        let mut zones = ["us-west1-a", "us-west1-b", "us-west1-c"].map(str::to_owned);
        parsed("us-west").sort(&mut zones);
        assert_eq!(zones, ["us-west1-b", "us-west1-a", "us-west1-c"]);
    }
}
