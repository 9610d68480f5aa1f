//! `Checks`: created once, completed, and of commits that the forge knows. The server is scripted.

use super::rows::each;
use crate::support::fake::HEAD;
use cml::error::Kind;
use cml::forge::Capability;
use cml::forge::checks::{Check, CheckState, Conclusion};

#[test]
fn a_check_is_created_once_and_completed() {
    each(async |row| {
        if !row.has(row.forge.checks(), Capability::Checks) {
            return;
        }
        let checks = row.forge.checks().unwrap();
        let mut check = Check {
            commit: HEAD.to_owned(),
            title: "tests".to_owned(),
            state: CheckState::InProgress,
            report: vec!["# Report".to_owned()],
            annotations: Vec::new(),
            data: Vec::new(),
            id: None,
        };
        assert!(checks.report_limits().is_none_or(|limits| limits.parts > 0 && limits.part > 1000));
        let made = checks.create(&check).await.unwrap();
        check.state = CheckState::Completed(Conclusion::Failure);
        let completed = checks.create(&check).await.unwrap();
        assert_eq!((&completed.id, &completed.url), (&made.id, &made.url));
        row.page_is_ours(&made.url);
        if row.fake.is_none() {
            // The preview shows checks of any commit.
            return;
        }
        check.commit = "f".repeat(40);
        let unknown = checks.create(&check).await.unwrap_err();
        assert!(!unknown.is_ambiguous() && unknown.kind() != Kind::Internal, "{unknown}");
    });
}
