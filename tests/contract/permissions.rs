//! `Permissions`: what a token may do, found out without an effect. The server is scripted.

use super::rows::each;
use cml::error::Kind;
use cml::forge::permissions::{PermissionState, Work};

#[test]
fn every_piece_of_work_is_diagnosed_and_nothing_is_changed() {
    each(async |row| {
        let Some(permissions) = row.forge.permissions() else {
            assert!(row.fake.is_none(), "{}: a forge with tokens says what they may do", row.driver.title);
            return;
        };
        let before = row.repo(|repo| format!("{repo:?}"));
        let diagnosis = permissions.diagnose().await.unwrap();
        let works: Vec<Work> = diagnosis.permissions.iter().map(|line| line.work).collect();
        assert_eq!(works, Work::ALL, "{}", row.driver.title);
        for line in &diagnosis.permissions {
            // Advice, where the work does not certainly succeed.
            let title = row.driver.title;
            assert!(line.state == PermissionState::Works || !line.needs.is_empty(), "{title}: {line:?}");
        }
        assert_eq!(before, row.repo(|repo| format!("{repo:?}")), "{}", row.driver.title);
        let other = row.other.as_ref().unwrap();
        row.explains(&other.permissions().unwrap().diagnose().await.unwrap_err(), Kind::NotFound);
    });
}
