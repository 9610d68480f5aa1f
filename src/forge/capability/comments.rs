//! Comments on pull requests, commits and issues. What is the same on every forge is in [`crate::sticky`].

use crate::error::{Error, Result};
use crate::forge::Target;
use crate::forge::once::{OutcomeMessages, exactly_once};
use crate::http::{Http, RetryPolicy};
use async_trait::async_trait;
use futures_util::StreamExt;
use std::collections::HashSet;

/// Comments of a repository.
#[async_trait(?Send)]
pub trait Comments {
    /// Returns the length of the longest comment, in UTF-16 units (never fewer than characters).
    fn max_length(&self) -> usize;

    /// Returns the token's user. Asked only where comments of several users are in question.
    async fn viewer(&self) -> Result<Viewer> {
        Ok(Viewer::Unknown)
    }

    /// Returns all comments on a target that `keep` accepts, oldest first.
    async fn list(&self, target: &Target, keep: Keep<'_>) -> Result<Vec<Comment>>;

    /// Returns one comment as it is now.
    async fn get(&self, target: &Target, id: &str) -> Result<Comment>;

    /// Creates a comment. When it is not known whether that worked, the error [`Error::is_ambiguous`].
    async fn create(&self, target: &Target, body: &str) -> Result<Comment>;

    /// Replaces a comment's body.
    async fn update(&self, target: &Target, id: &str, body: &str, repeat: RetryPolicy) -> Result<Comment>;

    /// Deletes a comment; one that is gone already is fine.
    async fn delete(&self, target: &Target, id: &str) -> Result<()>;

    /// Returns a body as the forge gives it back, which may store it in another form than it was sent in.
    fn stored(&self, body: &str) -> String {
        body.to_owned()
    }

    /// Returns a body as it is sent, where the forge would read parts of it as commands.
    fn sent(&self, body: &str) -> String {
        body.to_owned()
    }

    /// Returns the way to hide comments.
    fn hiding(&self) -> Option<&dyn HideComments> {
        None
    }

    /// Is told when `--watch` begins and ends, for a page that has to look for news meanwhile.
    fn set_watched(&self, _is_watched: bool) -> Result<()> {
        Ok(())
    }
}

/// Hiding comments.
#[async_trait(?Send)]
pub trait HideComments {
    /// Collapses a comment as outdated.
    async fn hide(&self, target: &Target, id: &str) -> Result<()>;
}

/// Keeps the comments that a caller is interested in, so that the others need no memory.
pub type Keep<'a> = &'a dyn Fn(&Comment) -> bool;

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The forge's identity of it, opaque outside the forge's file.
    pub id: String,
    /// Its Markdown.
    pub body: String,
    /// Its page, for people.
    pub url: String,
    /// When it was created, in seconds since 1970 by the forge's clock.
    pub created: i64,
    /// Its place in the order of creation.
    pub order: u64,
    /// Who wrote it; `None` where that is not told.
    pub author: Option<Author>,
}

/// Who wrote a comment, as the forge tells with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The forge's identity of the user.
    pub id: String,
    /// Whether it is a program's account.
    pub is_bot: bool,
}

/// The user of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// By [`Author::id`].
    User(String),
    /// A program whose identity the forge does not tell; never a person.
    Bot,
    /// The forge does not tell.
    Unknown,
}

/// Returns whether a name has `bot` as a word: the account of a project's or group's access token on GitLab
/// (`project_42_bot_0123…`), and what people call such an account of their own.
pub(in crate::forge) fn is_named_bot(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.eq_ignore_ascii_case("bot"))
}

/// Creates a comment exactly once.
pub async fn create_once(comments: &dyn Comments, http: &Http, target: &Target, body: &str) -> Result<Comment> {
    let started = http.mark();
    let send = async || comments.create(target, body).await;
    let look = async || {
        let stored = comments.stored(body);
        let mut found = comments.list(target, &|comment| same_text(&comment.body, &stored)).await?;
        let since = http.server_time_at(started) - 5;
        found.retain(|comment| comment.created >= since);
        Ok(found.pop())
    };
    let messages = OutcomeMessages {
        done: "the comment was created".to_owned(),
        unknown: format!("check {target} before you run this again; cml comment update does not create a second one"),
        not_done: "the comment was not created",
    };
    exactly_once(http, &messages, send, look).await
}

/// Forges trim bodies and change line ends.
fn same_text(one: &str, other: &str) -> bool {
    one.trim().lines().map(str::trim_end).eq(other.trim().lines().map(str::trim_end))
}

/// How many requests of one listing are under way at once: enough for 1,000 comments in one go.
const AT_ONCE: usize = 20;
/// Maximum number of pages of a list, of 50 to 100 comments. GitHub takes 2,500 on one issue, GitLab 5,000:
/// <https://docs.gitlab.com/administration/instance_limits/#number-of-comments-per-issue-merge-request-or-commit>.
const MAX_PAGES: u32 = 200;

/// Watches over a list of comments that is read page by page, so that it ends.
pub(in crate::forge) struct PageGuard {
    forge: &'static str,
    read: u32,
    seen: HashSet<u64>,
}

impl PageGuard {
    pub fn new(forge: &'static str) -> Self {
        PageGuard { forge, read: 0, seen: HashSet::new() }
    }

    /// Counts a page. Fails when it brings nothing but what was there before, or one too many.
    pub fn take(&mut self, page: &[Comment]) -> Result<()> {
        self.read += 1;
        let new = page.iter().filter(|comment| self.seen.insert(comment.order)).count();
        if !page.is_empty() && new == 0 {
            return Err(self.endless("the same page was sent again"));
        }
        self.check(self.read)
    }

    /// Refuses a number of pages that is too large to be read.
    pub fn check(&self, pages: u32) -> Result<()> {
        if pages > MAX_PAGES { Err(self.endless(&format!("more than {MAX_PAGES} pages"))) } else { Ok(()) }
    }

    pub fn endless(&self, why: &str) -> Error {
        Error::remote(format!("the list of comments on {} does not end ({why})", self.forge))
            .hint("this is a fault of the server or of a proxy; try again later")
    }
}

/// Fetches the pages after the first, several at once, and keeps what `keep` accepts, oldest first.
pub(in crate::forge) async fn all_pages<F, P>(first: Vec<Comment>, rest: F, keep: Keep<'_>) -> Result<Vec<Comment>>
where
    F: IntoIterator<Item = P>,
    P: Future<Output = Result<Vec<Comment>>>,
{
    let mut kept: Vec<Comment> = first.into_iter().filter(|comment| keep(comment)).collect();
    let mut pages = futures_util::stream::iter(rest).buffer_unordered(AT_ONCE);
    while let Some(page) = pages.next().await {
        kept.extend(page?.into_iter().filter(|comment| keep(comment)));
    }
    kept.sort_by_key(|comment| comment.order);
    kept.dedup_by_key(|comment| comment.order);
    Ok(kept)
}
