//! `Artifacts`: the newest one that a successful run of a branch has kept. The servers are scripted.

use super::rows::each;
use crate::support::fake::{Kept, Phase};
use cml::forge::Capability;
use cml::forge::artifacts::LARGEST;

const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";

#[test]
fn the_newest_artifact_of_a_successful_run_is_found() {
    each(async |row| {
        if !row.has(row.forge.artifacts(), Capability::Artifacts) {
            return;
        }
        let artifacts = row.forge.artifacts().unwrap();
        let find = async |except| artifacts.find("a b", "main", except).await.unwrap();
        assert_eq!(find(None).await, None);
        row.repo(|repo| {
            let expired = Kept { is_expired: true, ..Kept::new("a b", "main", OLD, b"expired") };
            repo.artifacts.push(expired);
        });
        let found = find(None).await.unwrap();
        assert!(found.is_expired && found.commit == OLD, "{found:?}");
        row.repo(|repo| {
            let kept =
                |name: &str, branch: &str, commit: &str, text: &str| Kept::new(name, branch, commit, text.as_bytes());
            repo.artifacts.push(kept("a b", "main", OLD, "old"));
            // More than a page.
            repo.artifacts.extend((0..100).map(|_| kept("a b", "other", NEW, "other branch")));
            repo.artifacts.push(kept("a b", "main", NEW, "new"));
            repo.artifacts.push(Kept { of_fork: true, ..kept("a b", "main", NEW, "of a fork") });
            for phase in [Phase::Failed, Phase::Running] {
                repo.artifacts.push(Kept { phase, ..kept("a b", "main", NEW, "not successful") });
            }
            repo.artifacts.push(kept("ab", "main", NEW, "other name"));
            repo.artifacts.push(Kept { is_expired: true, ..kept("a b", "main", NEW, "expired") });
        });
        for (except, commit, text) in [(None, NEW, "new"), (Some(NEW), OLD, "old"), (Some(OLD), NEW, "new")] {
            let found = find(except).await.unwrap();
            assert_eq!((found.commit.as_str(), found.time, found.is_expired), (commit, 1_767_225_600, false));
            assert_eq!(found.size, text.len() as u64);
            assert_eq!(artifacts.download(&found).await.unwrap(), text.as_bytes());
        }
    });
}

#[test]
fn what_cannot_be_opened_is_not_downloaded() {
    each(async |row| {
        let Some(artifacts) = row.forge.artifacts() else { return };
        row.repo(|repo| repo.artifacts.push(Kept::new("m", "main", OLD, b"no zip file")));
        let found = artifacts.find("m", "main", None).await.unwrap().unwrap();
        let open = async |found| cml::forge::artifacts::open(artifacts, found, "the artifact m").await.err().unwrap();
        assert_eq!(open(&found).await.to_string(), "the artifact m cannot be read: it is not a zip file");
        let requests = row.http.requests();
        let large = cml::forge::artifacts::Artifact { size: LARGEST + (1 << 20), ..found.clone() };
        let error = open(&large).await;
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            ("the artifact m has 65 MiB, and the limit is 64", 10)
        );
        let expired = cml::forge::artifacts::Artifact { is_expired: true, ..found.clone() };
        let error = open(&expired).await;
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("the artifact m has expired", 5));
        assert_eq!(row.http.requests(), requests);
    });
}
