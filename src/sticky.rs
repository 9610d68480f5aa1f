//! Comments that stay: found again by their watermark, updated in place, in several parts when they are long,
//! and in sections when several jobs write them. Written once, over [`Forge`].

use crate::error::{Error, Kind, Result};
use crate::forge::{Comment, Forge, Target, create_comment_once};
use crate::http::{Http, Repeat};
use crate::log::Log;
use crate::report::section::{self, Sections};
use crate::report::watermark::Watermark;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
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

impl Sticky<'_> {
    /// All comments that carry the mark, oldest first.
    pub async fn find(&self) -> Result<Vec<Comment>> {
        match self.watermark {
            Some(mark) => self.forge.list_comments(self.target, &|c| mark.part_of(&c.body).is_some()).await,
            None => Ok(Vec::new()),
        }
    }

    /// The length that marks and part numbers need.
    pub fn overhead(&self) -> usize {
        let mark = self.watermark.map_or(0, |mark| mark.mark(self.commit, 100).encode_utf16().count());
        mark + "\n\n(100/100)\n\n".len()
    }

    fn body(&self, text: &str, part: usize) -> String {
        match self.watermark {
            Some(mark) => format!("{text}\n\n{}", mark.mark(self.commit, part)),
            None => text.to_owned(),
        }
    }

    /// The parts of a report, numbered when there are several.
    fn numbered(parts: &[String]) -> Vec<String> {
        match parts {
            [one] => vec![one.clone()],
            _ => (1..).zip(parts).map(|(n, part)| format!("{}\n\n({n}/{})", part.trim_end(), parts.len())).collect(),
        }
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
        for (n, text) in (1..).zip(Self::numbered(parts)) {
            let done = match newest.remove(&n) {
                // Other jobs write this comment too, or may have begun to while images were published.
                Some(home) if n == 1 && (stale || self.is_shared(&home)) => self.replace_text(&home, &text).await,
                Some(old) => {
                    let body = self.body(&text, n);
                    match old.body == self.forge.stored(&body) {
                        true => Ok(old),
                        false => self.forge.update_comment(self.target, &old.id, &body, Repeat::Safe).await,
                    }
                }
                None => self.make(&self.body(&text, n)).await,
            };
            let done = match done {
                // Somebody deleted it meanwhile.
                Err(error) if error.kind() == Kind::NotFound => self.make(&self.body(&text, n)).await?,
                outcome => outcome?,
            };
            posted.push(done);
        }
        let left = newest.into_values().map(|comment| async move { self.delete(&comment).await });
        try_join_all(left).await?;
        if existing.is_empty() {
            return self.fold(posted).await;
        }
        posted.into_iter().next().ok_or_else(nothing)
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
            let mut parts = self.watermark.map(|mark| sections(mark, &now)).unwrap_or_default();
            parts.text = section::normal(text);
            let body = if parts.is_empty() { self.body(text, 1) } else { self.body(&parts.compose(), 1) };
            if now.body == self.forge.stored(&body) {
                return Ok(now);
            }
            match self.forge.update_comment(self.target, &now.id, &body, Repeat::Once).await {
                Err(error) if error.again_after().is_some() && round < ROUNDS => {
                    let pause = error.again_after().unwrap_or(SETTLE);
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
                self.delete(own).await?;
            }
            return Ok(oldest.clone());
        }
        let mut merged = sections(mark, newest);
        for (name, text) in firsts(mark, &all).flat_map(|comment| sections(mark, comment).named) {
            merged.named.entry(name).or_insert(text);
        }
        let text = if merged.is_empty() { mark.strip(&newest.body).to_owned() } else { merged.compose() };
        let kept = self.forge.update_comment(self.target, &oldest.id, &self.body(&text, 1), Repeat::Safe).await?;
        let stays = |comment: &&Comment| comment.id == kept.id || made[1..].iter().any(|own| own.id == comment.id);
        for comment in all.iter().filter(|comment| !stays(comment)) {
            self.delete(comment).await?;
        }
        Ok(kept)
    }

    async fn delete(&self, comment: &Comment) -> Result<()> {
        self.forge.delete_comment(self.target, &comment.id).await
    }

    /// Hides or deletes the comments of earlier runs.
    pub async fn retire(&self, comments: &[Comment], how: Retire) -> Result<()> {
        for comment in comments {
            match how {
                Retire::Hide => self.forge.hide_comment(self.target, &comment.id).await?,
                Retire::Delete => self.delete(comment).await?,
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
    pub async fn section(&self, name: &str, text: &str, limit: usize) -> Result<Comment> {
        let Some(mark) = self.watermark else {
            return Err(Error::usage("--section needs the watermark: leave --rm-watermark out"));
        };
        let text = section::normal(&self.forge.stored(text));
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut all = self.find().await?;
        let mut home = self.home(mark, &all, &mut seen);
        let mut own: Vec<String> = Vec::new();
        let mut last = None;
        for round in 0..ROUNDS {
            let started = self.http.mark();
            let written = self.write_section(mark, home.take(), (name, &text), &mut seen, limit).await;
            let (id, made) = match written {
                Ok(written) => written,
                // What was read is out of date, or it is not known what happened: read again.
                Err(error) if error.again_after().is_some() || error.kind() == Kind::NotFound => {
                    let pause = error.again_after().unwrap_or(SETTLE);
                    self.log.debug(&format!("section {name}: {error}; reading again"));
                    self.http.pause(pause, 0).await.map_err(|_| error.clone())?;
                    last = Some(error);
                    all = self.find().await?;
                    home = self.home(mark, &all, &mut seen);
                    continue;
                }
                Err(error) => return Err(error),
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
                all = self.find().await?;
                home = self.home(mark, &all, &mut seen);
            }
            if let Some(home) = home.take_if(|home| holds(mark, home, name, &text)) {
                self.clean_up(mark, &all, &home, &own).await?;
                return Ok(home);
            }
            self.log.debug(&format!("section {name} was overwritten: writing it again"));
        }
        Err(last.unwrap_or_else(|| {
            Error::new(Kind::Conflict, format!("section {name} was overwritten by other jobs {ROUNDS} times"))
                .hint("run fewer jobs at once, or give each its own --watermark-title")
        }))
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
        let mut merged = home.as_ref().map(|home| sections(mark, home)).unwrap_or_default();
        for (other, text) in seen.iter() {
            merged.named.entry(other.clone()).or_insert_with(|| text.clone());
        }
        merged.named.insert(name.to_owned(), text.to_owned());
        *seen = merged.named.clone();
        seen.remove(name);
        let body = self.body(&merged.compose(), 1);
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
                self.forge.update_comment(self.target, &home.id, &body, Repeat::Once).await?;
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
                self.delete(comment).await?;
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
