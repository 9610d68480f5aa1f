//! Jobs that write a report's comments at the same moment: in the end one whole report is left.
//!
//! No forge changes a comment on condition, so each job looks at what became of its own comments after its last write, and ends only
//! when it sees a whole report, its own or another's. Whoever writes last looks last, so what is left is whole.

use super::{Sticky, first_parts, missing_parts, sections};
use crate::error::{Kind, Result};
use crate::forge::comments::Comment;
use crate::report::section::Sections;
use crate::report::watermark::Watermark;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of looks.
const MAX_LOOKS: u32 = 40;
/// How often to look again, for each comment of the report, before the unfinished report of another job is written over.
const WAITS_PER_PART: usize = 3;

/// The report's comments as they are now: for each part its comments, oldest first.
type ByPart = BTreeMap<usize, Vec<Comment>>;

impl Sticky<'_> {
    /// Looks at what became of the comments that this job wrote until one whole report is left: its own or another job's. The oldest
    /// comment of each part stays, with the newest text and all sections. The job with the newest first comment writes and deletes; the
    /// others delete what they wrote. Parts that are not written yet are. Returns the first comment of the report.
    pub(super) async fn settle(&self, found: &[Comment], parts: &[String], written: Vec<Comment>) -> Result<Comment> {
        let Some(mark) = self.watermark else { return written.into_iter().next().ok_or_else(missing_parts) };
        let mut earlier = self.earlier(mark, found);
        earlier.retain(|id| written.iter().all(|comment| comment.id != *id));
        let bodies = (1..).zip(Self::numbered(parts)).map(|(n, text)| self.body(&text, n)).collect();
        let mut report = Report { mark, bodies, written };
        let mut waits = 0;
        for look in 0..MAX_LOOKS {
            let mut all = self.find().await?;
            all.retain(|comment| !earlier.contains(&comment.id.as_str()));
            if all.is_empty() {
                // A list may be older than what was written.
                break;
            }
            let now = by_part(mark, all);
            if report.is_all_of(&now) || !report.is_in(&now) && is_whole(mark, &now) {
                return first(now);
            }
            let newest = now.get(&1).and_then(|first| first.last());
            let other = newest.filter(|newest| !report.has(1, newest));
            if look == 0 && other.is_some() {
                self.log.info("other jobs write this comment at the same time; merging them into the oldest");
            }
            let superseded = report.superseded(&now);
            let is_done = match other {
                Some(_) if !superseded.is_empty() => self.discard_unchanged(superseded).await?,
                Some(_) if waits < WAITS_PER_PART * parts.len() => {
                    waits += 1;
                    true
                }
                // Written over what this job had created, by one that does not look.
                Some(newest) if count(mark, newest) == 1 => {
                    let (bodies, written) = (vec![newest.body.clone()], vec![newest.clone()]);
                    self.write(&mut Report { mark, bodies, written }, &now).await?
                }
                _ => self.write(&mut report, &now).await?,
            };
            if !is_done {
                break;
            }
        }
        report.written.into_iter().next().ok_or_else(missing_parts)
    }

    /// Returns the comments of reports that stay as they are, by their ids: `comment create` made several, of which `comment update` writes
    /// the last.
    fn earlier<'a>(&self, mark: &Watermark, found: &'a [Comment]) -> BTreeSet<&'a str> {
        if first_parts(mark, found).count() < 2 {
            return BTreeSet::new();
        }
        let newest: BTreeSet<String> = self.newest_by_part(found).into_values().map(|comment| comment.id).collect();
        found.iter().map(|comment| comment.id.as_str()).filter(|id| !newest.contains(*id)).collect()
    }

    /// Writes a report over the oldest comments, and deletes all others. Returns whether that was allowed.
    async fn write(&self, report: &mut Report<'_>, now: &ByPart) -> Result<bool> {
        let mut kept = BTreeSet::new();
        let mut written = Vec::new();
        for (n, body) in (1..).zip(&report.bodies) {
            let present = now.get(&n).map_or(&[][..], Vec::as_slice);
            written.push(match present.first() {
                None => self.create_missing(report.written.get(n - 1), body).await?,
                Some(oldest) => {
                    kept.insert(&oldest.id);
                    let body = if n == 1 { self.with_all_sections(report, body, present) } else { body.clone() };
                    match self.replace(oldest, &body).await {
                        // The next look tells.
                        Err(error) if error.kind() == Kind::NotFound => Comment { body, ..oldest.clone() },
                        outcome => outcome?,
                    }
                }
            });
        }
        report.written = written;
        let surplus = now.values().flatten().filter(|comment| !kept.contains(&comment.id)).cloned().collect();
        self.discard_unchanged(surplus).await
    }

    /// Creates a comment, unless the one that was written is there: a list may be older.
    async fn create_missing(&self, written: Option<&Comment>, body: &str) -> Result<Comment> {
        if let Some(written) = written {
            match self.comments.get(self.target, &written.id).await {
                Ok(now) if now.body == written.body => return Ok(now),
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        self.create_comment(body).await
    }

    /// Returns the body of a report's first comment, with the sections of all first comments.
    fn with_all_sections(&self, report: &Report<'_>, body: &str, first: &[Comment]) -> String {
        let mark = report.mark;
        let text = first.iter().rev().find(|comment| report.has(1, comment)).map_or(body, |comment| &comment.body);
        let mut merged = parse(mark, text);
        for (name, text) in first.iter().flat_map(|comment| sections(mark, comment).named) {
            merged.named.entry(name).or_insert(text);
        }
        if merged.is_empty() { text.to_owned() } else { self.marked(&merged.compose(), 1) }
    }

    /// Deletes comments that nobody has written over since they were read. Returns whether that was allowed.
    async fn discard_unchanged(&self, comments: Vec<Comment>) -> Result<bool> {
        for comment in comments {
            match self.comments.get(self.target, &comment.id).await {
                Ok(now) if now.body == comment.body => {
                    if !self.discard(&comment).await? {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() != Kind::NotFound => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(true)
    }
}

/// A report as one job writes it: a comment a part.
struct Report<'a> {
    mark: &'a Watermark,
    /// What the comments are to say.
    bodies: Vec<String>,
    /// The first of them, as they were written.
    written: Vec<Comment>,
}

impl Report<'_> {
    /// Returns whether a comment says what this report says in a part, whatever its sections.
    fn has(&self, part: usize, comment: &Comment) -> bool {
        let said = |body: &str| parse(self.mark, body).text;
        let is_same = |body: &str| body == comment.body || said(body) == said(&comment.body);
        self.written.get(part - 1).is_some_and(|written| is_same(&written.body))
            || self.bodies.get(part - 1).is_some_and(|body| is_same(body))
    }

    fn is_all_of(&self, now: &ByPart) -> bool {
        now.len() == self.bodies.len()
            && now.iter().all(|(part, comments)| matches!(&comments[..], [one] if self.has(*part, one)))
    }

    /// Returns whether a comment is one that this job wrote, as it was written. Several jobs may say the same.
    fn is_own(&self, part: usize, comment: &Comment) -> bool {
        self.has(part, comment) && self.written.get(part - 1).is_some_and(|written| written.id == comment.id)
    }

    fn is_in(&self, now: &ByPart) -> bool {
        now.iter().any(|(part, comments)| comments.iter().any(|comment| self.is_own(*part, comment)))
    }

    /// Returns what this job wrote, without the oldest first comment, to which another job moves its own text.
    fn superseded(&self, now: &ByPart) -> Vec<Comment> {
        let own = |(part, comments): (&usize, &Vec<Comment>)| {
            let skipped = usize::from(*part == 1);
            comments.iter().skip(skipped).filter(|comment| self.is_own(*part, comment)).cloned().collect::<Vec<_>>()
        };
        now.iter().flat_map(own).collect()
    }
}

fn by_part(mark: &Watermark, comments: Vec<Comment>) -> ByPart {
    let mut parts = ByPart::new();
    for comment in comments {
        parts.entry(mark.part_of(&comment.body).unwrap_or(1)).or_default().push(comment);
    }
    parts
}

/// Returns whether there is one comment for each part of one report.
fn is_whole(mark: &Watermark, now: &ByPart) -> bool {
    let total = now.get(&1).and_then(|comments| comments.first()).map_or(0, |first| count(mark, first));
    now.keys().copied().eq(1..=total) && now.values().all(|comments| comments.len() == 1)
}

fn parse(mark: &Watermark, body: &str) -> Sections {
    Sections::parse(mark.strip(body))
}

/// Returns how many comments a report has, as its first one says.
fn count(mark: &Watermark, first: &Comment) -> usize {
    let said = sections(mark, first).text;
    let count = said.trim_end().rsplit_once("\n\n(1/").and_then(|(_, rest)| rest.strip_suffix(')')?.parse().ok());
    count.unwrap_or(1)
}

fn first(now: ByPart) -> Result<Comment> {
    now.into_values().flatten().next().ok_or_else(missing_parts)
}
