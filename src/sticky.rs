//! Comments that stay: found again by their watermark, updated in place, in several parts when they are long,
//! and in sections when several jobs write them. Written once, over [`Forge`].

use crate::error::{Error, Kind, Result};
use crate::forge::{Comment, Forge, Target, Viewer, create_comment_once};
use crate::http::{Http, RetryPolicy};
use crate::log::Log;
use crate::report::isolate::closed;
use crate::report::section::{self, Sections};
use crate::report::source::joined;
use crate::report::watermark::Watermark;
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After writing a section, so long others may still write what they had read before.
const SETTLE: Duration = Duration::from_millis(800);
/// What was read longer ago is read again before it is written over.
const STALE: Duration = Duration::from_millis(500);
/// Comments older than this are not being made by somebody right now.
const ABANDONED: i64 = 120;
const ROUNDS: u32 = 40;

/// The comments of one report on one target.
pub struct Sticky<'a> {
    /// The forge.
    pub forge: &'a dyn Forge,
    /// The client, for pauses within the time budget.
    pub http: &'a Http,
    /// The log.
    pub log: &'a Log,
    /// What the comments stand on.
    pub target: &'a Target,
    /// Their mark; `None` with `--rm-watermark`.
    pub watermark: Option<&'a Watermark>,
    /// The commit that they are about.
    pub commit: Option<&'a str>,
}

/// What to do with the comments of earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retire {
    /// Collapse them as out of date.
    Hide,
    /// Delete them.
    Delete,
}

/// How a section is written.
#[derive(Debug, Clone, Copy)]
pub struct SectionMode {
    /// UTF-16 code units that a comment may have.
    pub limit: usize,
    /// Below what the section says already, instead of in its place.
    pub append: bool,
    /// Not at all where it says the same already, whichever the commit.
    pub skip_unchanged: bool,
}

impl Sticky<'_> {
    /// All comments that carry the mark and are not another person's, oldest first.
    pub async fn find(&self) -> Result<Vec<Comment>> {
        let Some(mark) = self.watermark else { return Ok(Vec::new()) };
        let found = self.forge.list_comments(self.target, &|c| mark.part_of(&c.body).is_some()).await?;
        self.own(found).await
    }

    /// The comments of the token's user; where there are none, those of programs, such as that of an earlier token. Nobody asks
    /// who that user is as long as one program has written all of them. See `docs/adr/0008-comment-ownership.md`.
    async fn own(&self, found: Vec<Comment>) -> Result<Vec<Comment>> {
        let is_person = |comment: &Comment| comment.author.as_ref().is_some_and(|author| !author.is_bot);
        let authors: BTreeSet<&str> = found.iter().filter_map(|c| Some(c.author.as_ref()?.id.as_str())).collect();
        if authors.len() < 2 && !found.iter().any(is_person) {
            return Ok(found);
        }
        let (all, viewer) = (found.len(), self.forge.viewer().await?);
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
            self.log.debug(&format!(
                "{others} comment(s) with the watermark of this report are other users': they stay as they are"
            ));
        }
        Ok(kept)
    }

    /// The length that marks and part numbers need.
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

    /// The body of the first comment, with the sections that are in it.
    fn with_sections(&self, mut parts: Sections, text: &str) -> String {
        if parts.is_empty() {
            return self.body(text, 1);
        }
        parts.text = section::alone("", text);
        self.marked(&parts.compose(), 1)
    }

    /// The parts of a report, numbered when there are several.
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
                let body = self.forge.stored(&self.body(&text, n));
                newest.get(&n).is_some_and(|old| said(&old.body) == said(&body))
            });
        newest.remove(&1).filter(|_| is_same)
    }

    /// Makes new comments; returns the first.
    pub async fn create(&self, parts: &[String]) -> Result<Comment> {
        let mut first = None;
        for (n, text) in (1..).zip(Self::numbered(parts)) {
            let made = self.make(&self.body(&text, n)).await?;
            first.get_or_insert(made);
        }
        first.ok_or_else(nothing)
    }

    async fn make(&self, body: &str) -> Result<Comment> {
        create_comment_once(self.forge, self.http, self.target, body).await
    }

    /// Replaces the newest comment among `existing`, which had been read at `read`, and its continuations; makes
    /// those that are missing and deletes those that are left over. Sections in the comment stay.
    pub async fn update(&self, existing: &[Comment], read: Duration, parts: &[String]) -> Result<Comment> {
        let mut newest = self.newest_by_part(existing);
        let stale = self.http.mark().saturating_sub(read) > STALE;
        let mut posted = Vec::new();
        let (mut is_new, mut is_refused) = (false, false);
        for (n, text) in (1..).zip(Self::numbered(parts)) {
            let Some(old) = newest.remove(&n) else {
                is_new = true;
                posted.push(self.make(&self.body(&text, n)).await?);
                continue;
            };
            // Other jobs write this comment too, or may have begun to while images were published.
            let done = if n == 1 && (stale || self.is_shared(&old)) {
                self.replace_text(&old, &text).await
            } else {
                self.replace(&old, &self.body(&text, n)).await
            };
            posted.push(match done {
                // Somebody deleted it meanwhile.
                Err(error) if error.kind() == Kind::NotFound => self.make(&self.body(&text, n)).await?,
                Err(error) if error.kind() == Kind::Auth => {
                    is_refused = true;
                    self.make_instead(&old, &text, n, &error).await?
                }
                outcome => outcome?,
            });
        }
        let left = newest.into_values().map(|comment| async move { self.discard(&comment).await });
        try_join_all(left).await?;
        if is_new && !is_refused {
            return self.fold(posted).await;
        }
        posted.into_iter().next().ok_or_else(nothing)
    }

    async fn replace(&self, old: &Comment, body: &str) -> Result<Comment> {
        if old.body == self.forge.stored(body) {
            return Ok(old.clone());
        }
        self.forge.update_comment(self.target, &old.id, body, RetryPolicy::Idempotent).await
    }

    /// Makes a comment in place of one that the token may not change, with the sections that are in that.
    async fn make_instead(&self, old: &Comment, text: &str, part: usize, why: &Error) -> Result<Comment> {
        let shared = self.watermark.map(|mark| sections(mark, old)).filter(|_| part == 1).unwrap_or_default();
        let body = if part == 1 { self.with_sections(shared, text) } else { self.body(text, part) };
        let made = self.make(&body).await?;
        self.warn_not_changed(old, why);
        Ok(made)
    }

    fn warn_not_changed(&self, old: &Comment, why: &Error) {
        let message =
            format!("the token may not change the earlier comment {} ({why}): a new one takes its place", old.url);
        self.log.warn_with_hint(&message, "another user or an earlier token wrote it; whoever may can delete it");
    }

    fn is_shared(&self, comment: &Comment) -> bool {
        self.watermark.is_some_and(|mark| !sections(mark, comment).is_empty())
    }

    /// Replaces what stands outside of the sections, as they are right now. Like a section's, the write is not
    /// repeated with what was read before.
    async fn replace_text(&self, home: &Comment, text: &str) -> Result<Comment> {
        let mut round = 0;
        loop {
            let now = self.forge.get_comment(self.target, &home.id).await?;
            let parts = self.watermark.map(|mark| sections(mark, &now)).unwrap_or_default();
            let body = self.with_sections(parts, text);
            if now.body == self.forge.stored(&body) {
                return Ok(now);
            }
            match self.forge.update_comment(self.target, &now.id, &body, RetryPolicy::Never).await {
                Err(error) if error.retry_after().is_some() && round < ROUNDS => {
                    let pause = error.retry_after().unwrap_or(SETTLE);
                    self.log.info(&format!("{error}; reading the comment again"));
                    self.http.pause_at_least(pause, SETTLE).await.map_err(|_| error)?;
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

    /// After making the first comments: another job may have done the same at the same moment. The oldest
    /// comment stays, with the newest text and all sections; the others go. Whose text is the newest does it,
    /// the others take back what they made.
    async fn fold(&self, made: Vec<Comment>) -> Result<Comment> {
        let all = self.find().await?;
        let Some(mark) = self.watermark else { return made.into_iter().next().ok_or_else(nothing) };
        let (Some(oldest), Some(newest)) = (firsts(mark, &all).next(), firsts(mark, &all).next_back()) else {
            return made.into_iter().next().ok_or_else(nothing);
        };
        let mine = |comment: &Comment| made.iter().any(|own| own.id == comment.id);
        let untouched = made.first().is_some_and(|first| first.id == newest.id && first.body == newest.body);
        if untouched && all.iter().all(mine) {
            return Ok(newest.clone());
        }
        self.log.info("other jobs made this comment at the same time: folding them into the oldest");
        if !untouched {
            for own in made.iter().filter(|own| own.id != oldest.id) {
                self.discard(own).await?;
            }
            return Ok(oldest.clone());
        }
        let mut merged = sections(mark, newest);
        for (name, text) in firsts(mark, &all).flat_map(|comment| sections(mark, comment).named) {
            merged.named.entry(name).or_insert(text);
        }
        let text = if merged.is_empty() { mark.strip(&newest.body).to_owned() } else { merged.compose() };
        let kept =
            self.forge.update_comment(self.target, &oldest.id, &self.marked(&text, 1), RetryPolicy::Idempotent).await?;
        let stays = |comment: &&Comment| comment.id == kept.id || made[1..].iter().any(|own| own.id == comment.id);
        for comment in all.iter().filter(|comment| !stays(comment)) {
            self.discard(comment).await?;
        }
        Ok(kept)
    }

    /// Deletes a comment; one that the token may not delete stays, with a warning.
    async fn discard(&self, comment: &Comment) -> Result<()> {
        let deleted = self.forge.delete_comment(self.target, &comment.id).await;
        self.allow_refusal(deleted, "delete", comment)
    }

    fn allow_refusal(&self, outcome: Result<()>, verb: &str, comment: &Comment) -> Result<()> {
        match outcome {
            Err(error) if error.kind() == Kind::Auth => {
                let message = format!("the token may not {verb} the earlier comment {} ({error})", comment.url);
                self.log
                    .warn_with_hint(&message, "another user or an earlier token wrote it; whoever may can delete it");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Hides or deletes the comments of earlier runs. Those that the token may not touch stay, with a warning.
    pub async fn retire(&self, comments: &[Comment], how: Retire) -> Result<()> {
        for comment in comments {
            match how {
                Retire::Hide => {
                    let hidden = self.forge.hide_comment(self.target, &comment.id).await;
                    self.allow_refusal(hidden, "hide", comment)?;
                }
                Retire::Delete => self.discard(comment).await?,
            }
        }
        Ok(())
    }

    /// Writes one section of the comment and makes sure that it stays there while others write theirs.
    ///
    /// No forge offers a conditional update of a comment, so writers may overwrite each other with what they
    /// had read before. Each writer therefore sends what it read within the same moment, never repeats a
    /// write blindly, and looks again after the time that a write of another can be under way; when its
    /// section is gone it writes again, with the sections of others that it has seen.
    pub async fn section(&self, name: &str, text: &str, mode: SectionMode) -> Result<Comment> {
        let Some(mark) = self.watermark else {
            return Err(Error::usage("--section needs the watermark: leave --rm-watermark out"));
        };
        // In the form in which it comes back.
        let as_stored = |text: &str| section::alone(name, &self.forge.stored(&section::alone(name, text)));
        let mut text = as_stored(text);
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut refused: BTreeSet<String> = BTreeSet::new();
        let mut all = self.find().await?;
        // The report of a run without sections, which the first section replaces.
        let whole = self.home(mark, &all, &mut seen).filter(|home| sections(mark, home).is_empty());
        let mut home = self.home(mark, &all, &mut seen);
        if let Some(home) = home.take_if(|home| mode.skip_unchanged && holds(mark, home, name, &text)) {
            self.log.info(&format!("section {name} has not changed: the comment stays as it is"));
            return Ok(home);
        }
        if let Some(earlier) = home.as_ref().and_then(|home| sections(mark, home).named.remove(name))
            && mode.append
        {
            text = as_stored(&joined([earlier.as_str(), &text]));
        }
        let mut own: Vec<String> = Vec::new();
        let mut last = None;
        for round in 0..ROUNDS {
            let started = self.http.mark();
            let before = home.clone();
            let written = self.write_section(mark, home.take(), (name, &text), &mut seen, mode.limit).await;
            let (id, made) = match written {
                Ok(written) => written,
                // What was read is out of date, or it is not known what happened: read again.
                Err(error) if error.retry_after().is_some() || error.kind() == Kind::NotFound => {
                    let pause = error.retry_after().unwrap_or(SETTLE);
                    self.log.debug(&format!("section {name}: {error}; reading again"));
                    self.http.pause(pause, 0).await.map_err(|_| error.clone())?;
                    last = Some(error);
                    all = self.find_except(&refused).await?;
                    home = self.home(mark, &all, &mut seen);
                    continue;
                }
                Err(error) => match before.filter(|_| error.kind() == Kind::Auth) {
                    Some(old) => {
                        self.warn_not_changed(&old, &error);
                        seen.extend(sections(mark, &old).named.into_iter().filter(|(other, _)| other != name));
                        refused.insert(old.id);
                        all.retain(|comment| !refused.contains(&comment.id));
                        home = self.home(mark, &all, &mut seen);
                        continue;
                    }
                    None => return Err(error),
                },
            };
            if made {
                own.push(id.clone());
            }
            let took = self.http.mark().saturating_sub(started);
            // Writers that keep losing spread out further.
            self.http.pause_at_least(SETTLE + took * 2, SETTLE * (1 << round.min(3))).await?;
            home = match own.is_empty() {
                true => match self.forge.get_comment(self.target, &id).await {
                    Err(error) if error.kind() == Kind::NotFound => None,
                    found => Some(found?),
                },
                false => None,
            };
            if home.is_none() {
                all = self.find_except(&refused).await?;
                home = self.home(mark, &all, &mut seen);
            }
            if let Some(home) = home.take_if(|home| holds(mark, home, name, &text)) {
                self.clean_up(mark, &all, &home, &own).await?;
                if whole.is_some_and(|whole| whole.id == home.id) {
                    for rest in all.iter().filter(|comment| mark.part_of(&comment.body).is_some_and(|part| part > 1)) {
                        self.discard(rest).await?;
                    }
                }
                return Ok(home);
            }
            self.log.debug(&format!("section {name} was overwritten: writing it again"));
        }
        Err(last.unwrap_or_else(|| {
            Error::new(Kind::Conflict, format!("section {name} was overwritten by other jobs {ROUNDS} times"))
                .hint("run fewer jobs at once, or give each its own --watermark-title")
        }))
    }

    async fn find_except(&self, refused: &BTreeSet<String>) -> Result<Vec<Comment>> {
        let mut found = self.find().await?;
        found.retain(|comment| !refused.contains(&comment.id));
        Ok(found)
    }

    /// The comment that all writers of sections agree on: the oldest that has sections, else the newest.
    fn home(&self, mark: &Watermark, all: &[Comment], seen: &mut BTreeMap<String, String>) -> Option<Comment> {
        let mut home: Option<&Comment> = None;
        for comment in firsts(mark, all) {
            let found = sections(mark, comment);
            match home {
                _ if found.is_empty() => {}
                None => home = Some(comment),
                // A comment made at the same time: what it holds belongs into the oldest.
                Some(_) => found.named.into_iter().for_each(|(name, text)| {
                    seen.entry(name).or_insert(text);
                }),
            }
        }
        home.or(firsts(mark, all).next_back()).cloned()
    }

    /// One round: the identity of the comment that has our section, and whether it was made now.
    async fn write_section(
        &self,
        mark: &Watermark,
        home: Option<Comment>,
        (name, text): (&str, &str),
        seen: &mut BTreeMap<String, String>,
        limit: usize,
    ) -> Result<(String, bool)> {
        // A comment without sections is the report of an earlier run as a whole.
        let mut merged =
            home.as_ref().map(|home| sections(mark, home)).filter(|found| !found.is_empty()).unwrap_or_default();
        for (other, text) in seen.iter() {
            merged.named.entry(other.clone()).or_insert_with(|| text.clone());
        }
        merged.named.insert(name.to_owned(), text.to_owned());
        *seen = merged.named.clone();
        seen.remove(name);
        let body = self.marked(&merged.compose(), 1);
        let length = crate::report::split::length(&body);
        if length > limit {
            return Err(Error::too_large(format!(
                "with section {name} the comment would have {length} characters, {limit} are allowed"
            ))
            .hint("make the sections shorter, or give some of them another --watermark-title"));
        }
        match home {
            Some(home) if home.body == self.forge.stored(&body) => Ok((home.id, false)),
            Some(home) => {
                self.forge.update_comment(self.target, &home.id, &body, RetryPolicy::Never).await?;
                Ok((home.id, false))
            }
            None => Ok((self.make(&body).await?.id, true)),
        }
    }

    /// Deletes our own comments that lost against an older one, and those that their makers left behind.
    async fn clean_up(&self, mark: &Watermark, all: &[Comment], home: &Comment, own: &[String]) -> Result<()> {
        let now = self.http.server_now();
        let kept = sections(mark, home).named;
        for comment in firsts(mark, all).filter(|comment| comment.id != home.id) {
            let found = sections(mark, comment).named;
            let folded = !found.is_empty() && found.keys().all(|name| kept.contains_key(name));
            if folded && (own.contains(&comment.id) || now - comment.created > ABANDONED) {
                self.discard(comment).await?;
            }
        }
        Ok(())
    }
}

/// A report has one part at least.
fn nothing() -> Error {
    Error::internal("a report without parts")
}

fn holds(mark: &Watermark, comment: &Comment, name: &str, text: &str) -> bool {
    sections(mark, comment).named.get(name).is_some_and(|found| found == text)
}

/// A comment taken apart, without its mark.
fn sections(mark: &Watermark, comment: &Comment) -> Sections {
    Sections::parse(mark.strip(&comment.body))
}

/// The comments that are a report's first part, oldest first.
fn firsts<'a>(mark: &'a Watermark, comments: &'a [Comment]) -> impl DoubleEndedIterator<Item = &'a Comment> {
    comments.iter().filter(|comment| mark.part_of(&comment.body) == Some(1))
}
