//! `Labels`: whether a pull request has one, and who set it. The servers are scripted.

use super::rows::each;
use crate::support::fake::Vendor;
use cml::forge::Capability;
use cml::forge::labels::SetLabel;

#[test]
fn a_label_is_found_with_who_set_it_last() {
    each(async |row| {
        if !row.has(row.forge.labels(), Capability::Labels) {
            return;
        }
        let labels = row.forge.labels().unwrap();
        assert_eq!(labels.label(7, "ok").await.unwrap(), None);
        row.repo(|repo| {
            repo.set_label(7, "ok", "eve", true);
            // The entry about Ada is on the second page.
            for at in 0..60 {
                repo.set_label(7, "other", "bob", at % 2 == 0);
                repo.set_label(7, "ok", "bob", at % 2 == 1);
            }
            repo.set_label(7, "ok", "ada", true);
            repo.set_label(7, "gone", "ada", true);
            repo.set_label(7, "gone", "bob", false);
            repo.members.insert("ada".to_owned(), 30);
        });
        let set = |by: &str, is_trusted| {
            Some(SetLabel { by: Some(by.to_owned()), day: Some("2026-01-02".to_owned()), is_trusted })
        };
        assert_eq!(labels.label(7, "ok").await.unwrap(), set("ada", true));
        assert_eq!(labels.label(7, "gone").await.unwrap(), None);
        assert_eq!(labels.label(5, "ok").await.unwrap(), None, "another pull request");
        // GitHub takes labels from those with a role only. On GitLab a reporter may set them, too.
        let is_github = row.fake.as_ref().unwrap().1 == Vendor::GitHub;
        for level in [None, Some(20)] {
            row.repo(|repo| {
                repo.set_label(7, "ok", "eve", true);
                repo.members.extend(level.map(|level| ("eve".to_owned(), level)));
            });
            assert_eq!(labels.label(7, "ok").await.unwrap(), set("eve", is_github), "{level:?}");
        }
    });
}
