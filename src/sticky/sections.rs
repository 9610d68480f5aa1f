//! Sections: parts of one comment that several jobs write at the same time.

use super::{MAX_ROUNDS, SETTLE_DELAY, Sticky, first_parts, sections};
use crate::error::{Error, Kind, Result};
use crate::forge::comments::Comment;
use crate::http::RetryPolicy;
use crate::report::section;
use crate::report::source::joined;
use crate::report::watermark::Watermark;
use std::collections::{BTreeMap, BTreeSet};

/// Comments older than this are not being created by another job right now.
const ABANDONED_AFTER_SECS: i64 = 120;

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

/// A section to write.
#[derive(Clone, Copy)]
struct Section<'a> {
    name: &'a str,
    text: &'a str,
}

impl Sticky<'_> {
    /// Writes one section of the comment, and makes sure that it is kept while other jobs write theirs.
    ///
    /// No forge offers a conditional update of a comment, so writers may overwrite each other with what they
    /// had read before. Each writer therefore sends what it read within the same moment, never repeats a
    /// write blindly, and reads the comment again after the time that another job's write may take; if its
    /// section was overwritten it writes again, with the sections of other jobs that it has seen.
    pub async fn section(&self, name: &str, text: &str, mode: SectionMode) -> Result<Comment> {
        let Some(mark) = self.watermark else {
            return Err(Error::usage("--section requires the watermark; omit --rm-watermark"));
        };
        // In the form in which the forge returns it.
        let as_stored = |text: &str| section::alone(name, &self.comments.stored(&section::alone(name, text)));
        let mut text = as_stored(text);
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut refused: BTreeSet<String> = BTreeSet::new();
        let mut all = self.find().await?;
        // The report of a run without sections, which the first section replaces.
        let whole =
            self.canonical_comment(mark, &all, &mut seen).filter(|canonical| sections(mark, canonical).is_empty());
        let mut canonical = self.canonical_comment(mark, &all, &mut seen);
        if let Some(canonical) =
            canonical.take_if(|canonical| mode.skip_unchanged && holds(mark, canonical, name, &text))
        {
            self.log.info(&format!("section {name} has not changed: the comment stays as it is"));
            return Ok(canonical);
        }
        if let Some(earlier) = canonical.as_ref().and_then(|canonical| sections(mark, canonical).named.remove(name))
            && mode.append
        {
            text = as_stored(&joined([earlier.as_str(), &text]));
        }
        let mut own: Vec<String> = Vec::new();
        let mut last = None;
        for round in 0..MAX_ROUNDS {
            let started = self.http.mark();
            let before = canonical.clone();
            let written =
                self.write_section(mark, canonical.take(), Section { name, text: &text }, &mut seen, mode.limit).await;
            let (id, made) = match written {
                Ok(written) => written,
                // What was read is outdated, or the outcome is unknown: read again.
                Err(error) if error.retry_after().is_some() || error.kind() == Kind::NotFound => {
                    let pause = error.retry_after().unwrap_or(SETTLE_DELAY);
                    self.log.debug(&format!("section {name}: {error}; reading again"));
                    self.http.pause(pause, 0).await.map_err(|_| error.clone())?;
                    last = Some(error);
                    all = self.find_except(&refused).await?;
                    canonical = self.canonical_comment(mark, &all, &mut seen);
                    continue;
                }
                Err(error) => match before.filter(|_| error.kind() == Kind::Auth) {
                    Some(old) => {
                        self.warn_not_changed(&old, &error);
                        seen.extend(sections(mark, &old).named.into_iter().filter(|(other, _)| other != name));
                        refused.insert(old.id);
                        all.retain(|comment| !refused.contains(&comment.id));
                        canonical = self.canonical_comment(mark, &all, &mut seen);
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
            self.http.pause_at_least(SETTLE_DELAY + took * 2, SETTLE_DELAY * (1 << round.min(3))).await?;
            canonical = if own.is_empty() { self.get_if_present(&id).await? } else { None };
            if canonical.is_none() {
                all = self.find_except(&refused).await?;
                canonical = self.canonical_comment(mark, &all, &mut seen);
            }
            if let Some(canonical) = canonical.take_if(|canonical| holds(mark, canonical, name, &text)) {
                self.clean_up(mark, &all, &canonical, &own).await?;
                if whole.is_some_and(|whole| whole.id == canonical.id) {
                    for rest in all.iter().filter(|comment| mark.part_of(&comment.body).is_some_and(|part| part > 1)) {
                        self.discard(rest).await?;
                    }
                }
                return Ok(canonical);
            }
            self.log.debug(&format!("section {name} was overwritten; writing it again"));
        }
        Err(last.unwrap_or_else(|| {
            Error::new(Kind::Conflict, format!("section {name} was overwritten by other jobs {MAX_ROUNDS} times"))
                .hint("run fewer jobs at once, or use a different --watermark-title for each")
        }))
    }

    /// Returns a comment, unless it was deleted.
    async fn get_if_present(&self, id: &str) -> Result<Option<Comment>> {
        match self.comments.get(self.target, id).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    async fn find_except(&self, refused: &BTreeSet<String>) -> Result<Vec<Comment>> {
        let mut found = self.find().await?;
        found.retain(|comment| !refused.contains(&comment.id));
        Ok(found)
    }

    /// Returns the comment that all writers of sections agree on: the oldest with sections, or else the newest.
    fn canonical_comment(
        &self,
        mark: &Watermark,
        all: &[Comment],
        seen: &mut BTreeMap<String, String>,
    ) -> Option<Comment> {
        let mut canonical: Option<&Comment> = None;
        for comment in first_parts(mark, all) {
            let found = sections(mark, comment);
            match canonical {
                _ if found.is_empty() => {}
                None => canonical = Some(comment),
                // A comment created at the same time: its sections belong into the oldest.
                Some(_) => found.named.into_iter().for_each(|(name, text)| {
                    seen.entry(name).or_insert(text);
                }),
            }
        }
        canonical.or(first_parts(mark, all).next_back()).cloned()
    }

    /// Writes the section once. Returns the ID of the comment that has it, and whether it was created now.
    async fn write_section(
        &self,
        mark: &Watermark,
        canonical: Option<Comment>,
        section: Section<'_>,
        seen: &mut BTreeMap<String, String>,
        limit: usize,
    ) -> Result<(String, bool)> {
        let Section { name, text } = section;
        // A comment without sections is the report of an earlier run as a whole.
        let mut merged = canonical
            .as_ref()
            .map(|canonical| sections(mark, canonical))
            .filter(|found| !found.is_empty())
            .unwrap_or_default();
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
                "with section {name} the comment would have {length} characters, more than the limit of {limit}"
            ))
            .hint("shorten the sections, or use another --watermark-title for some of them"));
        }
        match canonical {
            Some(canonical) if canonical.body == self.comments.stored(&body) => Ok((canonical.id, false)),
            Some(canonical) => {
                self.comments.update(self.target, &canonical.id, &body, RetryPolicy::Never).await?;
                Ok((canonical.id, false))
            }
            None => Ok((self.create_comment(&body).await?.id, true)),
        }
    }

    /// Deletes our own comments that lost against an older one, and abandoned ones of other jobs.
    async fn clean_up(&self, mark: &Watermark, all: &[Comment], canonical: &Comment, own: &[String]) -> Result<()> {
        let now = self.http.server_now();
        let kept = sections(mark, canonical).named;
        for comment in first_parts(mark, all).filter(|comment| comment.id != canonical.id) {
            let found = sections(mark, comment).named;
            let is_merged = !found.is_empty() && found.keys().all(|name| kept.contains_key(name));
            if is_merged && (own.contains(&comment.id) || now - comment.created > ABANDONED_AFTER_SECS) {
                self.discard(comment).await?;
            }
        }
        Ok(())
    }
}

fn holds(mark: &Watermark, comment: &Comment, name: &str, text: &str) -> bool {
    sections(mark, comment).named.get(name).is_some_and(|found| found == text)
}
