//! `PullRequests`: opened, found and merged. The server is scripted; pushes with a real git are in `crate::pr`.

use super::rows::each;
use crate::support::fake::HEAD;
use cml::error::Kind;
use cml::forge::Capability;
use cml::forge::pull_requests::{Merge, Merged, NewPullRequest};

#[test]
fn a_pull_request_is_opened_found_and_merged() {
    each(async |row| {
        if !row.has(row.forge.pull_requests(), Capability::PullRequests) {
            return;
        }
        let pulls = row.forge.pull_requests().unwrap();
        let new = NewPullRequest {
            title: "T".to_owned(),
            body: "B".to_owned(),
            source: "work".to_owned(),
            target: "main".to_owned(),
        };
        let push_config = pulls.push_config();
        assert!(push_config.credential.is_some_and(|own| !own.user.is_empty() && own.password.expose() == "good"));
        assert!(push_config.author.is_none_or(|author| !author.name.is_empty() && author.email.contains('@')));
        assert!(!push_config.merges.is_empty() && push_config.noun.ends_with("Request"));

        assert_eq!(pulls.find("work", "main").await.unwrap(), None);
        let pull = pulls.create(&new).await.unwrap();
        assert!(pull.open && pull.is_at(HEAD), "{pull:?}");
        row.page_is_ours(&pull.url);
        assert_eq!(pulls.find("work", "main").await.unwrap().as_ref(), Some(&pull));
        assert_eq!(pulls.find("work", "other").await.unwrap(), None);
        let listed = pulls.list(HEAD, Some("work")).await.unwrap();
        assert!(listed.iter().any(|pull| pull.open), "{listed:?}");
        let missing = NewPullRequest { source: "nowhere".to_owned(), ..new };
        let missing = pulls.create(&missing).await.unwrap_err();
        assert!(!missing.is_ambiguous() && missing.kind() != Kind::Internal, "{missing}");

        let (fake, vendor) = row.fake.as_ref().unwrap();
        fake.configure(|switches| switches.auto_merge = true);
        let merged = pulls.merge(&pull, Merge::Squash).await.unwrap();
        let found = pulls.find("work", "main").await.unwrap().unwrap();
        assert_eq!((found.number, found.open), (pull.number, merged == Merged::Later), "{vendor:?}");
        if !found.open {
            assert!(found.is_at(HEAD), "{found:?}");
        }
    });
}
