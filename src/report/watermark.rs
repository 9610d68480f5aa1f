//! The invisible image by which a comment is known again. The form is CML's, so that both programs find
//! each other's comments: `![](https://cml.dev/watermark.png#<sha> "CML watermark <title>")`, after a blank
//! line at the end of the body. Nobody requests that image: it is a mark, not a picture.
//!
//! In the title CML escapes `_ * [ <` with a backslash; forges and CML's own serialiser take some of those
//! backslashes away again, so titles are compared without them. CML takes a title's white space as it is, line breaks included;
//! titles are compared with single blanks.
//!
//! A mark counts only as a comment's last block, a paragraph of its own outside of quotes, code and HTML: people quote comments.
//! A quote may also be a `<blockquote>` or GitLab's `>>>` that is still open. Other elements are not looked at: CML leaves what a
//! report opens, such as `<details>`, open before its mark.

use super::isolate::leaves_quotation_open;
use super::{dialect, flatten};
use crate::error::{Error, Result};
use pulldown_cmark::{Event, Parser, Tag};
use std::ops::Range;

const OPENING: &str = "![](https://cml.dev/watermark.png#";
const LABEL: &str = "CML watermark";
/// The longest title, in characters: longer than the names of workflows and jobs, and little of what a comment may hold.
const LONGEST: usize = 1000;

/// What marks the comments of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    title: String,
}

impl Watermark {
    /// Returns a mark with a title; `{workflow}` and `{run}` stand for what the CI says.
    pub fn new(title: &str, workflow: Option<&str>, run: Option<&str>) -> Self {
        let title =
            title.replace("{workflow}", workflow.unwrap_or("undefined")).replace("{run}", run.unwrap_or("undefined"));
        Watermark { title: title.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// Refuses a title that is too long for a comment to hold.
    pub fn check(&self) -> Result<()> {
        let length = self.title.chars().count();
        if length <= LONGEST {
            return Ok(());
        }
        Err(Error::usage(format!(
            "the title of the watermark has {length} characters, more than the limit of {LONGEST}"
        ))
        .hint("use a shorter --watermark-title (for a check: --title)"))
    }

    /// Returns the mark in Markdown, for a comment about a commit. `part` counts from 1; the first part of a long
    /// report carries the plain mark, so that CML finds it.
    pub fn mark(&self, commit: Option<&str>, part: usize) -> String {
        let commit = commit.filter(|sha| !sha.is_empty() && sha.bytes().all(|b| b.is_ascii_hexdigit()));
        let title = escape(&self.label(part));
        // CML only recognises a mark with a hexadecimal fragment.
        format!("{OPENING}{} \"{title}\")", commit.unwrap_or("0000000"))
    }

    fn label(&self, part: usize) -> String {
        let title = &self.title;
        let space = if title.is_empty() { "" } else { " " };
        match part {
            0 | 1 => format!("{LABEL}{space}{title}"),
            _ => format!("{LABEL}{space}{title} (continued {part})"),
        }
    }

    /// Returns which part of this report a comment is: 1 for the first, `None` when it carries another mark or none.
    pub fn part_of(&self, body: &str) -> Option<usize> {
        self.part(&body[last(body)?.label])
    }

    fn part(&self, label: &str) -> Option<usize> {
        let label = plain(label);
        let first = plain(&self.label(1));
        if label == first {
            return Some(1);
        }
        let part = label.strip_prefix(&first)?.strip_prefix(" (continued ")?.strip_suffix(')')?.parse().ok()?;
        (part > 1).then_some(part)
    }

    /// Returns the body without this report's mark and the white space before it.
    pub fn strip<'a>(&self, body: &'a str) -> &'a str {
        match last(body) {
            Some(mark) if self.part(&body[mark.label.clone()]).is_some() => body[..mark.start].trim_end(),
            _ => body,
        }
    }
}

/// A mark in a body.
struct Mark {
    start: usize,
    label: Range<usize>,
}

/// Returns the mark with which a body ends, of whatever title.
fn last(body: &str) -> Option<Mark> {
    let text = body.trim_end();
    let inner = text.strip_suffix("\")")?;
    let start = inner.rmatch_indices(OPENING).map(|(at, _)| at).find(|at| *at == 0 || inner[..*at].ends_with('\n'))?;
    let rest = &inner[start + OPENING.len()..];
    let hash = rest.find(|c: char| !c.is_ascii_hexdigit())?;
    let label = rest[hash..].strip_prefix(" \"")?;
    // CML only recognises a mark with a hexadecimal fragment. A blank line ends a paragraph.
    let is_mark = label.starts_with(LABEL) && label.lines().all(|line| !line.trim().is_empty());
    let is_ours = is_mark && ends_in_paragraph(text, start) && !leaves_quotation_open(&text[..start]);
    is_ours.then(|| Mark { start, label: inner.len() - label.len()..inner.len() })
}

/// Returns whether the last block of a text is a paragraph that begins at a place.
fn ends_in_paragraph(text: &str, start: usize) -> bool {
    let (mut depth, mut last) = (0usize, false);
    for (event, range) in Parser::new_ext(&flatten(text), dialect()).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    last = tag == Tag::Paragraph && range.start == start;
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ if depth == 0 => last = false,
            _ => {}
        }
    }
    last
}

fn escape(title: &str) -> String {
    title.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '_' | '*' | '[' | '<' | '"') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

/// Returns the label without the backslashes that forges and serialisers add and take away, and with single blanks.
fn plain(label: &str) -> String {
    let mut text = String::with_capacity(label.len());
    let mut chars = label.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' || !chars.peek().is_some_and(char::is_ascii_punctuation) {
            text.push(c);
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_cmls_form_byte_for_byte() {
        let sha = Some("abcdef0123");
        assert_eq!(
            Watermark::new("", None, None).mark(sha, 1),
            "![](https://cml.dev/watermark.png#abcdef0123 \"CML watermark\")"
        );
        assert_eq!(
            Watermark::new("m_a*b[c<d {workflow}/{run}", Some("w f"), Some("9")).mark(sha, 1),
            "![](https://cml.dev/watermark.png#abcdef0123 \"CML watermark m\\_a\\*b\\[c\\<d w f/9\")"
        );
    }

    #[test]
    fn finds_its_own_and_cmls_marks_only() {
        for title in ["", "my_model", "say \"hi\"", "a`b", "a_b*c", "x\\y", "(continued 2)", "æ ]) \") !"] {
            let mark = Watermark::new(title, None, None);
            for part in [1, 2, 12] {
                let body = format!("text\n\n{}", mark.mark(Some("ff"), part));
                assert_eq!(mark.part_of(&body), Some(part), "{title} {part}");
                assert_eq!(mark.strip(&body), "text");
            }
            let other = Watermark::new("other", None, None);
            assert_eq!(mark.part_of(&other.mark(None, 1)), None, "{title}");
            assert_eq!(other.part_of(&mark.mark(None, 1)), None, "{title}");
        }
        let posted = "![](https://cml.dev/watermark.png#ff \"CML watermark my_model\")\n";
        assert_eq!(Watermark::new("my_model", None, None).part_of(posted), Some(1));
        assert_eq!(
            Watermark::new("", None, None).part_of("![](https://cml.dev/watermark.png#HEAD \"CML watermark\")"),
            None
        );
    }

    #[test]
    fn a_mark_counts_only_as_the_last_block() {
        let mark = Watermark::new("", None, None);
        let image = mark.mark(Some("ff"), 1);
        for body in [
            format!("text\n\n{image}"),
            format!("{image}\n\n"),
            format!("- item\n\n{image}\r\n"),
            format!("> quote\n\n{image}"),
            format!("| a |\n|---|\n| 1 |\n\n{image}"),
            format!("<details>\n\nx\n\n{image}"),
            format!("<div>\n\nx\n\n{image}"),
            format!("<blockquote>\n\nx\n\n</blockquote>\n\n{image}"),
            format!(">>>\nx\n>>>\n\n{image}"),
            format!("```\n>>>\n<blockquote>\n```\n\n{image}"),
            format!("n[^1]\n\n[^1]: note\n\n{image}"),
            format!("[cml-section]: # \"end a\"\n\n{image}"),
            format!("quoted `{image}`\n\n{image}"),
        ] {
            assert_eq!(mark.part_of(&body), Some(1), "{body}");
            assert!(!mark.strip(&body).ends_with(&image), "{body}");
        }
        for body in [
            format!("> {image}\n\nI disagree"),
            format!("> old\n>\n> {image}"),
            format!("> > {image}"),
            format!("> text\n{image}"),
            format!("- {image}"),
            format!("- a\n\n  {image}"),
            format!("text {image}"),
            format!("text\n{image}"),
            format!("```\n{image}\n```"),
            format!("```\n\n{image}"),
            format!("    {image}"),
            format!("`{image}`"),
            format!("<!--\n\n{image}"),
            format!("<pre>\n\n{image}"),
            format!("<div>\n{image}"),
            format!("<blockquote>\n\n{image}"),
            format!("a\n<BLOCKQUOTE cite=x>\n\nx\n\n{image}"),
            format!("text <blockquote>x\n\n{image}"),
            format!("<details><blockquote>\n\n{image}"),
            format!(">>>\n\n{image}"),
            format!("  >>>>\n\nx\n>>>\n\n{image}"),
            format!("{image}\n\nmore"),
            format!("{image} more"),
            format!("{image}\n---\n"),
            format!("{image}\n===\n"),
        ] {
            assert_eq!(mark.part_of(&body), None, "{body}");
            assert_eq!(mark.strip(&body), body);
        }
    }

    #[test]
    fn white_space_in_a_title_tells_no_titles_apart() {
        for posted in ["a  b", "  a b", "a\tb", "a\u{a0}b", "a\nb", "a b ", "a\r\nb"] {
            let body = format!("x\n\n![](https://cml.dev/watermark.png#ff \"CML watermark {posted}\")");
            for title in ["a b", posted] {
                let mark = Watermark::new(title, None, None);
                assert_eq!((mark.part_of(&body), mark.strip(&body)), (Some(1), "x"), "{posted:?}");
            }
        }
        assert_eq!(
            Watermark::new("ab", None, None).part_of("![](https://cml.dev/watermark.png#ff \"CML watermark a b\")"),
            None
        );
    }

    #[test]
    fn a_title_that_no_comment_could_hold_is_refused() {
        assert!(Watermark::new(&"x".repeat(1000), None, None).check().is_ok());
        let error = Watermark::new(&"x".repeat(120_000), None, None).check().unwrap_err();
        assert!(error.to_string().contains("120000 characters"), "{error}");
    }
}
