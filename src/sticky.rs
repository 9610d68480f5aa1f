//! Sticky comments: found by their watermark, updated in place, split into parts if they are long, and into sections if
//! several jobs write them. Implemented once, over [`Comments`].

use crate::error::{Error, Kind, Result};
use crate::forge::Target;
use crate::forge::comments::{self, Comment, Comments, HideComments, Viewer};
use crate::http::{Http, RetryPolicy};
use crate::log::Log;
use crate::report::isolate::closed;
use crate::report::section::{self, Sections};
use crate::report::source::joined;
use crate::report::watermark::Watermark;
use futures_util::future::try_join_all;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[cfg(all(test, not(target_arch = "wasm32")))]
mod race;
mod sections;
mod settle;

pub use sections::SectionMode;

/// How long after writing a section other jobs may still write what they had read before.
const SETTLE_DELAY: Duration = Duration::from_millis(800);
/// A comment that was read longer ago is read again before it is overwritten.
const MAX_READ_AGE: Duration = Duration::from_millis(500);
/// How often a report is written anew because a comment was deleted meanwhile.
const MAX_REWRITES: u32 = 4;
/// Maximum number of times a section is written.
const MAX_ROUNDS: u32 = 40;

/// The comments of one report on one target.
pub struct Sticky<'a> {
    /// The forge's comments.
    pub comments: &'a dyn Comments,
    /// The client, for pauses within the time budget.
    pub http: &'a Http,
    /// The log.
    pub log: &'a Log,
    /// What the comments are on.
    pub target: &'a Target,
    /// Their watermark; `None` with `--rm-watermark`.
    pub watermark: Option<&'a Watermark>,
    /// The commit that they are about.
    pub commit: Option<&'a str>,
}

/// The comments of a report that was written, one a part.
struct Written {
    comments: Vec<Comment>,
    /// Whether one of them was created.
    is_new: bool,
    /// Whether the token is not allowed to change the comments of earlier runs.
    is_refused: bool,
}

/// What to do with the comments of earlier runs.
#[derive(Clone, Copy)]
pub enum Retire<'a> {
    /// Collapse them as outdated.
    Hide(&'a dyn HideComments),
    /// Delete them.
    Delete,
}

impl Sticky<'_> {
    /// Returns all comments that have the watermark and are not another person's, oldest first.
    pub async fn find(&self) -> Result<Vec<Comment>> {
        let Some(mark) = self.watermark else { return Ok(Vec::new()) };
        let found = self.comments.list(self.target, &|c| mark.part_of(&c.body).is_some()).await?;
        self.own(found).await
    }

    /// Returns the comments of the token's user or, without any, those of programs, such as that of an earlier token. The
    /// user is not requested as long as one program has written all of them. See `docs/adr/0008-comment-ownership.md`.
    async fn own(&self, found: Vec<Comment>) -> Result<Vec<Comment>> {
        let is_person = |comment: &Comment| comment.author.as_ref().is_some_and(|author| !author.is_bot);
        let authors: BTreeSet<&str> = found.iter().filter_map(|c| Some(c.author.as_ref()?.id.as_str())).collect();
        if authors.len() < 2 && !found.iter().any(is_person) {
            return Ok(found);
        }
        let (all, viewer) = (found.len(), self.comments.viewer().await?);
        let is_own = |comment: &Comment, id: &str| comment.author.as_ref().is_none_or(|author| author.id == id);
        let kept: Vec<Comment> = match &viewer {
            Viewer::Unknown => return Ok(found),
            Viewer::User(id) if found.iter().any(|comment| is_own(comment, id)) => {
                found.into_iter().filter(|comment| is_own(comment, id)).collect()
            }
            Viewer::User(_) | Viewer::Bot => found.into_iter().filter(|comment| !is_person(comment)).collect(),
        };
        if kept.len() < all {
            let others = all - kept.len();
            self.log.debug(&format!("ignoring {others} comment(s) of other users with this report's watermark"));
        }
        Ok(kept)
    }

    /// Returns the length that watermarks and part numbers need.
    pub fn overhead(&self) -> usize {
        let mark = self.watermark.map_or(0, |mark| mark.mark(self.commit, 100).encode_utf16().count());
        mark + "\n\n(100/100)\n\n".len()
    }

    fn body(&self, text: &str, part: usize) -> String {
        // What the report leaves open must not swallow the mark.
        let text = if self.watermark.is_some() { closed(text) } else { text.into() };
        self.marked(&text, part)
    }

    fn marked(&self, text: &str, part: usize) -> String {
        match self.watermark {
            Some(mark) => format!("{text}\n\n{}", mark.mark(self.commit, part)),
            None => text.to_owned(),
        }
    }

    /// Returns the body of the first comment, with its sections.
    fn with_sections(&self, mut parts: Sections, text: &str) -> String {
        if parts.is_empty() {
            return self.body(text, 1);
        }
        parts.text = section::alone("", text);
        self.marked(&parts.compose(), 1)
    }

    /// Returns the parts of a report, numbered if there are several.
    fn numbered(parts: &[String]) -> Vec<String> {
        match parts {
            [one] => vec![one.clone()],
            _ => (1..).zip(parts).map(|(n, part)| format!("{}\n\n({n}/{})", part.trim_end(), parts.len())).collect(),
        }
    }

    /// Returns what the newest comment says outside of its sections, with its continuations, and the text below it.
    pub fn appended(&self, existing: &[Comment], text: &str) -> String {
        let Some(mark) = self.watermark else { return text.to_owned() };
        let earlier = self.newest_by_part(existing);
        let count = earlier.len();
        let said = earlier.iter().map(|(part, comment)| {
            let said = sections(mark, comment).text;
            let number = format!("\n\n({part}/{count})");
            closed(said.strip_suffix(&number).unwrap_or(&said)).into_owned()
        });
        let said: Vec<String> = said.chain([text.to_owned()]).filter(|text| !text.trim().is_empty()).collect();
        joined(said.iter().map(String::as_str))
    }

    /// Returns the first of the newest comments if they say the same as these parts, whichever the commit.
    pub fn find_unchanged(&self, existing: &[Comment], parts: &[String]) -> Option<Comment> {
        let mark = self.watermark?;
        let mut newest = self.newest_by_part(existing);
        let said = |body: &str| Sections::parse(mark.strip(body)).text;
        let is_same = newest.len() == parts.len()
            && (1..).zip(Self::numbered(parts)).all(|(n, text)| {
                let body = self.comments.stored(&self.body(&text, n));
                newest.get(&n).is_some_and(|old| said(&old.body) == said(&body))
            });
        newest.remove(&1).filter(|_| is_same)
    }

    /// Creates new comments and returns the first.
    pub async fn create(&self, parts: &[String]) -> Result<Comment> {
        let mut first = None;
        for (n, text) in (1..).zip(Self::numbered(parts)) {
            let made = self.create_comment(&self.body(&text, n)).await?;
            first.get_or_insert(made);
        }
        first.ok_or_else(missing_parts)
    }

    async fn create_comment(&self, body: &str) -> Result<Comment> {
        comments::create_once(self.comments, self.http, self.target, body).await
    }

    /// Replaces the newest comment among `found`, which had been read at `read`, and its continuations;
    /// creates missing ones and deletes surplus ones. Sections in the comment are kept.
    pub async fn update(&self, found: &[Comment], read: Duration, parts: &[String]) -> Result<Comment> {
        let mut existing = Cow::Borrowed(found);
        let mut is_stale = self.http.mark().saturating_sub(read) > MAX_READ_AGE;
        if self.watermark.is_some() && parts.len() > 1 && self.newest_by_part(found).is_empty() {
            // The others follow if no other job has created a newer one.
            let first = self.create_comment(&self.body(&Self::numbered(parts)[0], 1)).await?;
            return self.settle(found, parts, vec![first]).await;
        }
        for _ in 0..MAX_REWRITES {
            let Some(written) = self.write_parts(&existing, is_stale, parts).await? else {
                (existing, is_stale) = (Cow::Owned(self.find().await?), false);
                continue;
            };
            // One comment that is replaced by one request is whole, whoever writes it at the same moment.
            if (written.is_new || parts.len() > 1) && !written.is_refused {
                return self.settle(found, parts, written.comments).await;
            }
            return written.comments.into_iter().next().ok_or_else(missing_parts);
        }
        self.create(parts).await
    }

    /// Writes each part over the newest comment of that part, or creates one. Returns `None` when such a comment was deleted in the
    /// meantime: another job may have moved its text.
    async fn write_parts(&self, existing: &[Comment], is_stale: bool, parts: &[String]) -> Result<Option<Written>> {
        let mut newest = self.newest_by_part(existing);
        let mut written = Written { comments: Vec::new(), is_new: false, is_refused: false };
        for (n, text) in (1..).zip(Self::numbered(parts)) {
            let Some(old) = newest.remove(&n) else {
                written.comments.push(self.create_comment(&self.body(&text, n)).await?);
                written.is_new = true;
                continue;
            };
            // Other jobs write this comment too, or may have begun to while images were published.
            let done = if n == 1 && (is_stale || self.is_shared(&old)) {
                self.replace_text(&old, &text).await
            } else {
                self.replace(&old, &self.body(&text, n)).await
            };
            written.comments.push(match done {
                Err(error) if error.kind() == Kind::NotFound => return Ok(None),
                Err(error) if error.kind() == Kind::Auth => {
                    written.is_refused = true;
                    self.create_instead(&old, &text, n, &error).await?
                }
                outcome => outcome?,
            });
        }
        let left = newest.into_values().map(|comment| async move { self.discard(&comment).await });
        try_join_all(left).await?;
        Ok(Some(written))
    }

    async fn replace(&self, old: &Comment, body: &str) -> Result<Comment> {
        if old.body == self.comments.stored(body) {
            return Ok(old.clone());
        }
        self.comments.update(self.target, &old.id, body, RetryPolicy::Idempotent).await
    }

    /// Creates a comment in place of one that the token is not allowed to change, with that comment's sections.
    async fn create_instead(&self, old: &Comment, text: &str, part: usize, why: &Error) -> Result<Comment> {
        let shared = self.watermark.map(|mark| sections(mark, old)).filter(|_| part == 1).unwrap_or_default();
        let body = if part == 1 { self.with_sections(shared, text) } else { self.body(text, part) };
        let made = self.create_comment(&body).await?;
        self.warn_not_changed(old, why);
        Ok(made)
    }

    fn warn_not_changed(&self, old: &Comment, why: &Error) {
        let message =
            format!("the token is not allowed to change the earlier comment {} ({why}); creating a new one", old.url);
        self.log.warn_with_hint(
            &message,
            "it was written by another user or an earlier token; delete it with an account that is allowed to",
        );
    }

    fn is_shared(&self, comment: &Comment) -> bool {
        self.watermark.is_some_and(|mark| !sections(mark, comment).is_empty())
    }

    /// Replaces the text outside the sections, and keeps the sections as they are now. As for a section, the write is
    /// not repeated with what was read before.
    async fn replace_text(&self, canonical: &Comment, text: &str) -> Result<Comment> {
        let mut round = 0;
        loop {
            let now = self.comments.get(self.target, &canonical.id).await?;
            let parts = self.watermark.map(|mark| sections(mark, &now)).unwrap_or_default();
            let body = self.with_sections(parts, text);
            if now.body == self.comments.stored(&body) {
                return Ok(now);
            }
            match self.comments.update(self.target, &now.id, &body, RetryPolicy::Never).await {
                Err(error) if error.retry_after().is_some() && round < MAX_ROUNDS => {
                    let pause = error.retry_after().unwrap_or(SETTLE_DELAY);
                    self.log.info(&format!("{error}; reading the comment again"));
                    self.http.pause_at_least(pause, SETTLE_DELAY).await.map_err(|_| error)?;
                    round += 1;
                }
                outcome => return outcome,
            }
        }
    }

    fn newest_by_part(&self, comments: &[Comment]) -> BTreeMap<usize, Comment> {
        let part = |comment: &Comment| self.watermark.and_then(|mark| mark.part_of(&comment.body));
        // Later ones replace earlier ones.
        comments.iter().filter_map(|comment| Some((part(comment)?, comment.clone()))).collect()
    }

    /// Deletes a comment. Warns if the token is not allowed to, and returns whether it is.
    async fn discard(&self, comment: &Comment) -> Result<bool> {
        let deleted = self.comments.delete(self.target, &comment.id).await;
        self.allow_refusal(deleted, "delete", comment)
    }

    fn allow_refusal(&self, outcome: Result<()>, verb: &str, comment: &Comment) -> Result<bool> {
        match outcome {
            Err(error) if error.kind() == Kind::Auth => {
                let message =
                    format!("the token is not allowed to {verb} the earlier comment {} ({error})", comment.url);
                self.log.warn_with_hint(
                    &message,
                    "it was written by another user or an earlier token; delete it with an account that is allowed to",
                );
                Ok(false)
            }
            outcome => outcome.map(|()| true),
        }
    }

    /// Hides or deletes the comments of earlier runs. Warns about those that the token is not allowed to change.
    pub async fn retire(&self, comments: &[Comment], how: Retire<'_>) -> Result<()> {
        for comment in comments {
            match how {
                Retire::Hide(hiding) => {
                    let hidden = hiding.hide(self.target, &comment.id).await;
                    self.allow_refusal(hidden, "hide", comment)?;
                }
                Retire::Delete => {
                    self.discard(comment).await?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the error for a report without parts, which cannot happen.
fn missing_parts() -> Error {
    Error::internal("a report without parts")
}

/// Parses the sections of a comment, without its watermark.
fn sections(mark: &Watermark, comment: &Comment) -> Sections {
    Sections::parse(mark.strip(&comment.body))
}

/// Returns the comments that are a report's first part, oldest first.
fn first_parts<'a>(mark: &'a Watermark, comments: &'a [Comment]) -> impl DoubleEndedIterator<Item = &'a Comment> {
    comments.iter().filter(|comment| mark.part_of(&comment.body) == Some(1))
}
