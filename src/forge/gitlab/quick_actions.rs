//! GitLab's quick actions (<https://docs.gitlab.com/user/project/quick_actions/>): a line such as `/merge` in a note or a
//! description is carried out with the rights of the token's user, and taken out of the text. A report may hold what a
//! stranger wrote, so what this program sends never holds such a line.
//!
//! What counts was read in GitLab's source (`lib/gitlab/quick_actions/extractor.rb`, `lib/banzai/filter/quick_action_filter.rb`,
//! `lib/banzai/filter/front_matter_filter.rb`): carriage returns are taken out first; then each line of a paragraph that begins,
//! without white space, with `/`, the name of an action in either case, and a blank or the line's end. Lines of code and HTML blocks
//! do not count, and neither do lines after `-` or `>`, which begin with something else. Lines that lazily continue a quote or an
//! item did until GitLab 15.9 and are escaped too; so is every name, as later versions have more of them.
//!
//! GitLab finds paragraphs by line numbers after it has made front matter a block of code, which moves the lines below it: a
//! paragraph further down then stands for lines of code. Front matter is therefore sent as the block of code that GitLab shows.
//!
//! GitHub has no such lines: `Fixes #1` closes an issue from a pull request's description or a commit's message, which are the
//! user's own, and from no comment (<https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue>).
//! Bitbucket Cloud has none either; Jira's smart commits are read from commit messages only.

use crate::report::readings::{Line, Reading, Scan};
use crate::report::{dialect, flatten};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// Returns the text with each line that GitLab might carry out escaped, so that it shows the same. Every other byte stays.
///
/// Where engines differ about whether a line is code or HTML, it is taken for text and gets a blank, which text and HTML do not show.
pub fn escape(text: &str) -> Cow<'_, str> {
    let seen = Seen::new(text);
    let lines: Vec<usize> = seen.actions().collect();
    if lines.is_empty() {
        return Cow::Borrowed(text);
    }
    let blocks = Blocks::new(&seen.text);
    if lines.iter().any(|at| blocks.is_verbatim(*at))
        && let Some(shown) = front_matter_as_code(&seen.text)
    {
        return Cow::Owned(escape(&shown).into_owned());
    }
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    for at in lines.into_iter().filter(|at| !blocks.is_verbatim(*at)) {
        let slash = seen.source(at);
        match text[..slash].rfind('\n').filter(|end| blocks.is_code_span(at) && !ends_with_marker(&text[..*end])) {
            // The end of a line is a blank there.
            Some(end) => edits.push((end..end + 1, " ")),
            // Only text knows the backslash; elsewhere white space before a line means nothing.
            None => edits.push((slash..slash, if blocks.texts.contains(&at) { "\\" } else { " " })),
        }
    }
    for at in blocks.positions(&seen.text) {
        // A reference is the same character in text, and another name in a tag; a tag is one only with a name of plain letters.
        let is_tag = is_within(&blocks.html, at);
        let (range, with) = if is_tag { (at + 5..at + 5, "no-") } else { (at + 12..at + 13, "&#111;") };
        edits.push((seen.source(range.start)..seen.source(range.start) + range.len(), with));
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut escaped = String::with_capacity(text.len() + edits.len());
    let mut from = 0;
    for (range, with) in edits {
        escaped.push_str(&text[from..range.start]);
        escaped.push_str(with);
        from = range.end;
    }
    escaped.push_str(&text[from..]);
    Cow::Owned(escaped)
}

/// Returns a text as GitLab gives it back.
pub fn stored(text: &str) -> String {
    escape(text).replace('\r', "").trim_end().to_owned()
}

/// A text as GitLab looks at it.
struct Seen<'a> {
    /// Without carriage returns.
    text: Cow<'a, str>,
    /// Where in the source a carriage return stands.
    returns: Vec<usize>,
}

impl<'a> Seen<'a> {
    fn new(source: &'a str) -> Self {
        let returns: Vec<usize> = source.match_indices('\r').map(|(at, _)| at).collect();
        let text = if returns.is_empty() { Cow::Borrowed(source) } else { Cow::Owned(source.replace('\r', "")) };
        Seen { text, returns }
    }

    /// Returns where the lines begin that have the form of an action.
    fn actions(&self) -> impl Iterator<Item = usize> {
        let mut at = 0;
        self.text.split_inclusive('\n').filter_map(move |line| {
            let start = at;
            at += line.len();
            is_action(line).then_some(start)
        })
    }

    /// Returns the place in the source of the character at a place in the text.
    fn source(&self, at: usize) -> usize {
        // The n-th carriage return stands, in the text, after as many bytes as precede it less those before it.
        let before = |n: usize, at: usize| self.returns[n] - n <= at;
        let (mut low, mut high) = (0, self.returns.len());
        while low < high {
            let middle = (low + high) / 2;
            if before(middle, at) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        at + low
    }
}

/// Returns whether a line has the form `/name` or `/name arguments`. GitLab compares names without case, and so finds
/// `ss` in `ß`.
fn is_action(line: &str) -> bool {
    let Some(rest) = line.strip_prefix('/') else { return false };
    let name = rest.split(char::is_whitespace).next().unwrap_or_default();
    name.starts_with(char::is_alphabetic) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// Returns whether the last line would begin an item if it went on: without text it interrupts no paragraph.
fn ends_with_marker(text: &str) -> bool {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let marker = line.trim_matches(|c: char| c.is_whitespace() || c == '>').trim_start_matches('0');
    matches!(marker, "*" | "+" | "-" | "1." | "1)" | ":")
}

/// What Markdown makes of a text, as far as it matters here.
#[derive(Default)]
struct Blocks {
    /// Blocks of code and HTML, in order.
    verbatim: Vec<Range<usize>>,
    /// Blocks of code and code spans, in order.
    code: Vec<Range<usize>>,
    /// Code spans, in order.
    spans: Vec<Range<usize>>,
    /// HTML in blocks and in text, in order.
    html: Vec<Range<usize>>,
    /// Where text begins that knows escapes.
    texts: HashSet<usize>,
    /// What each line may be to one engine or another.
    lines: Vec<Seeming>,
}

/// A line, and whether some engine takes it for what it says.
struct Seeming {
    start: usize,
    text: bool,
    html: bool,
    nested: bool,
}

impl Blocks {
    fn new(text: &str) -> Self {
        let mut blocks = Blocks { lines: seemings(text), ..Blocks::default() };
        let mut depth = 0usize;
        for (event, range) in Parser::new_ext(&flatten(text), dialect()).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(_)) => {
                    depth += 1;
                    blocks.verbatim.push(range.clone());
                    blocks.code.push(range);
                }
                Event::Start(Tag::HtmlBlock) => {
                    depth += 1;
                    blocks.verbatim.push(range.clone());
                    blocks.html.push(range);
                }
                Event::End(TagEnd::CodeBlock | TagEnd::HtmlBlock) => depth = depth.saturating_sub(1),
                Event::Code(_) => {
                    blocks.spans.push(range.clone());
                    blocks.code.push(range);
                }
                Event::InlineHtml(_) => blocks.html.push(range),
                Event::Text(_) if depth == 0 => {
                    blocks.texts.insert(range.start);
                }
                _ => {}
            }
        }
        blocks
    }

    /// Returns whether a line that begins here is code or HTML to every engine.
    fn is_verbatim(&self, at: usize) -> bool {
        is_within(&self.verbatim, at) && !self.line(at).is_some_and(|line| line.text)
    }

    fn is_code_span(&self, at: usize) -> bool {
        is_within(&self.spans, at)
    }

    /// Returns whether a place is code to every engine.
    fn is_code(&self, at: usize, has_quotations: bool) -> bool {
        let is_span = self.is_code_span(at);
        let is_other = |line: &Seeming| line.html || (line.text && !is_span) || (line.nested && has_quotations);
        is_within(&self.code, at) && !self.line(at).is_some_and(is_other)
    }

    fn line(&self, at: usize) -> Option<&Seeming> {
        self.lines[..self.lines.partition_point(|line| line.start <= at)].last()
    }

    /// Returns where a tag may hold the attribute from which GitLab learns what lines a paragraph has.
    fn positions(&self, text: &str) -> Vec<usize> {
        let lower = text.to_ascii_lowercase();
        if !lower.contains("<p") {
            return Vec::new();
        }
        let has_quotations = text.contains(">>>");
        // The end of a line may be in between, and with it the mark of a quote.
        let has_value =
            |at: usize| lower[at..].trim_start_matches(|c: char| c == '>' || c.is_whitespace()).starts_with('=');
        let places = lower.match_indices(POSITION).map(|(at, _)| at);
        places.filter(|at| has_value(at + POSITION.len()) && !self.is_code(*at, has_quotations)).collect()
    }
}

const POSITION: &str = "data-sourcepos";

/// Returns what each line is to the engines.
fn seemings(text: &str) -> Vec<Seeming> {
    let mut scans: Vec<Scan> = Reading::all().map(Scan::new).collect();
    let mut at = 0;
    let lines = text.split_inclusive('\n').map(|source| {
        let mut line = Seeming { start: at, text: false, html: false, nested: false };
        at += source.len();
        let source = source.strip_suffix('\n').unwrap_or(source);
        for scan in &mut scans {
            match scan.line(source) {
                Line::Text => line.text = true,
                Line::Html => line.html = true,
                Line::Nested => line.nested = true,
                Line::Code => {}
            }
        }
        line
    });
    lines.collect()
}

/// Returns whether a place is in one of several ranges, which are in order and apart.
fn is_within(ranges: &[Range<usize>], at: usize) -> bool {
    let next = ranges.partition_point(|range| range.start <= at);
    next > 0 && at < ranges[next - 1].end
}

/// Returns a text that begins with front matter as GitLab shows it: with a block of code in its place.
fn front_matter_as_code(text: &str) -> Option<String> {
    let start = text.trim_start_matches('\u{feff}');
    let (first, below) = start.split_once('\n')?;
    let start = if first.contains("coding:") { below } else { start }.trim_start();
    let (mark, language) =
        [("---", "yaml"), ("+++", "toml"), (";;;", "json")].into_iter().find(|(mark, _)| start.starts_with(mark))?;
    let (opening, below) = start.split_once('\n')?;
    let named = opening[mark.len()..].trim();
    let language = if named.is_empty() { language } else { named };
    let below = &format!("\n{below}");
    let end = below.find(&format!("\n{mark}"))?;
    let (matter, after) = (below[..end].trim(), below[end + 1 + mark.len()..].trim_start());
    Some(format!("```{language}\n{matter}\n```\n\n{after}"))
}

#[cfg(test)]
mod tests;
