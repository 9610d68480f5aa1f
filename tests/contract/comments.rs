//! `Comments`, on pull requests, commits and issues. The server is scripted.

use super::rows::each;
use crate::support::fake::HEAD;
use cml::error::Kind;
use cml::forge::comments::create_once;
use cml::forge::{Capability, Target};
use cml::http::RetryPolicy;

#[test]
fn comments_are_created_read_changed_and_deleted() {
    each(async |row| {
        let comments = row.forge.comments();
        assert!(comments.max_length() >= 32_768);
        for target in [Target::PullRequest(7), Target::Commit(HEAD.to_owned()), Target::Issue(3)] {
            let one = comments.create(&target, "one\n\n*ä* |`x`|").await.unwrap();
            let two = comments.create(&target, "two").await.unwrap();
            assert!(one.order < two.order && one.id != two.id && one.created > 1_700_000_000);
            assert_eq!(comments.get(&target, &one.id).await.unwrap().body, "one\n\n*ä* |`x`|");
            let all = comments.list(&target, &|_| true).await.unwrap();
            let at = |id: &str| all.iter().position(|comment| comment.id == id).unwrap();
            assert!(at(&one.id) < at(&two.id), "the oldest first");
            let kept = comments.list(&target, &|comment| comment.body == "two").await.unwrap();
            assert_eq!(kept, std::slice::from_ref(&two));
            let changed = comments.update(&target, &one.id, "three", RetryPolicy::Idempotent).await.unwrap();
            assert_eq!((&changed.id, changed.order, changed.url == one.url), (&one.id, one.order, true));
            assert_eq!(comments.get(&target, &one.id).await.unwrap().body, "three");
            for id in [&one.id, &one.id, &two.id] {
                comments.delete(&target, id).await.unwrap();
            }
            row.explains(&comments.get(&target, &one.id).await.unwrap_err(), Kind::NotFound);
            assert!(comments.list(&target, &|comment| comment.id == one.id).await.unwrap().is_empty());
        }
    });
}

#[test]
fn comments_are_hidden_where_the_forge_hides_them() {
    each(async |row| {
        let (comments, on) = (row.forge.comments(), Target::PullRequest(7));
        if !row.has(comments.hiding(), Capability::HideComments) {
            return;
        }
        let comment = comments.create(&on, "one").await.unwrap();
        comments.hiding().unwrap().hide(&on, &comment.id).await.unwrap();
    });
}

/// What is sent twice is the same, and what comes back is what was to be expected: sticky comments compare by it.
#[test]
fn a_body_comes_back_as_it_is_expected() {
    each(async |row| {
        let (comments, on) = (row.forge.comments(), Target::PullRequest(7));
        for body in ["plain", "trailing\n\n", "one\r\ntwo", "/merge\n\ntext", "```\n/close\n```"] {
            let made = comments.create(&on, body).await.unwrap();
            let now = comments.get(&on, &made.id).await.unwrap();
            assert_eq!(now.body, comments.stored(body), "{}: {body:?}", row.driver.title);
            assert_eq!(comments.sent(&comments.sent(body)), comments.sent(body), "{}: {body:?}", row.driver.title);
        }
    });
}

/// The answer to the first request is lost: there is one comment, and it is found.
#[test]
fn a_lost_answer_creates_one_comment() {
    use crate::support::fake::Kind as Fault;
    each(async |row| {
        let Some((fake, vendor)) = &row.fake else { return };
        let on = Target::PullRequest(7);
        fake.fault(&format!("POST {}", vendor.api()), 1, Fault::DropAfter);
        let made = create_once(row.forge.comments(), &row.http, &on, "only one").await.unwrap();
        let all = row.forge.comments().list(&on, &|comment| comment.body == "only one").await.unwrap();
        assert_eq!(all, [made], "{}", row.driver.title);
        assert!(fake.unused_faults().is_empty());
    });
}
