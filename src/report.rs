//! A Markdown report: which files it shows, and the same report with other addresses for them.
//!
//! Pure. [`references`] finds the bytes of each address with the byte ranges of a real parser (GitHub's
//! dialect), [`rewrite`] replaces those bytes and leaves every other byte as it was: no re-serialisation, so
//! tables, task lists, alerts, footnotes and formulas stay what the user wrote.

use percent_encoding::percent_decode_str;
use pulldown_cmark::{Event, LinkType, OffsetIter, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;
use std::ops::Range;

pub mod annotations;
pub mod decode;
pub mod escape;
pub mod html;
pub mod isolate;
pub mod mistakes;
mod nesting;
pub mod plain;
pub mod readings;
pub mod section;
pub mod source;
pub mod split;
pub mod watermark;

pub use nesting::flatten;

/// Returns the dialect of the forges: tables, task lists, strike-through, footnotes, alerts, formulas.
pub fn dialect() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH
}

/// Whether an address is shown in place or only linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// `[text](address)`, `<a href>`.
    Linked,
    /// `![alt](address)`, `<img>`, `<video>`, `<audio>`, `<source>`.
    Shown,
}

/// An address in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The bytes of the address in the report.
    pub range: Range<usize>,
    /// The address with Markdown's and HTML's escapes undone.
    pub address: String,
    /// How it is used.
    pub used: Use,
}

impl Reference {
    /// Returns the line it stands on, counted from 1.
    pub fn line(&self, markdown: &str) -> usize {
        markdown.as_bytes()[..self.range.start.min(markdown.len())].iter().filter(|b| **b == b'\n').count() + 1
    }
}

/// Returns all addresses in a report, in order.
pub fn references(markdown: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut by_label: HashMap<String, Use> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    let flat = flatten(markdown);
    let mut events = Parser::new_ext(&flat, dialect()).into_offset_iter();
    for (event, range) in events.by_ref() {
        match event {
            Event::Start(Tag::Image { link_type, dest_url, .. }) => {
                open.push(Open::new(link_type, dest_url.to_string(), Use::Shown, &range, 2));
                continue;
            }
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                open.push(Open::new(link_type, dest_url.to_string(), Use::Linked, &range, 1));
                continue;
            }
            Event::End(TagEnd::Image | TagEnd::Link) => {
                if let Some(link) = open.pop() {
                    link.close(markdown, &range, &mut found, &mut by_label);
                }
            }
            Event::Start(Tag::HtmlBlock) => html::addresses(markdown, range.clone(), &mut found),
            Event::InlineHtml(_) => html::addresses(markdown, range.clone(), &mut found),
            _ => {}
        }
        if let Some(link) = open.last_mut() {
            link.text_end = link.text_end.max(range.end);
        }
    }
    definitions(markdown, &events, &by_label, &mut found);
    found.sort_by_key(|r| (r.range.start, r.range.end));
    found.dedup_by(|a, b| a.range == b.range);
    found
}

/// A link or image whose end the parser has not reached.
struct Open {
    kind: LinkType,
    address: String,
    used: Use,
    /// Where its text ends, as far as known.
    text_end: usize,
}

impl Open {
    fn new(kind: LinkType, address: String, used: Use, range: &Range<usize>, opening: usize) -> Self {
        Open { kind, address, used, text_end: range.start + opening }
    }

    fn close(self, source: &str, range: &Range<usize>, found: &mut Vec<Reference>, labels: &mut HashMap<String, Use>) {
        match self.kind {
            LinkType::Inline => {
                if let Some(place) = inline_address(source, self.text_end..range.end, &self.address) {
                    found.push(Reference { range: place, address: self.address, used: self.used });
                }
            }
            LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => {
                let used = labels.entry(self.address).or_insert(self.used);
                *used = (*used).max(self.used);
            }
            _ => {}
        }
    }
}

/// Returns the bytes of the address in `](address "title")`.
fn inline_address(source: &str, within: Range<usize>, address: &str) -> Option<Range<usize>> {
    let text = source.get(within.clone())?;
    let open = within.start + text.find("](")? + 2;
    let start = open + (source[open..within.end].len() - source[open..within.end].trim_start().len());
    let place = address_at(source, start, within.end)?;
    plausible(&source[place.clone()], address).then_some(place)
}

/// Returns the address that starts at a byte: in angle brackets, or up to white space or the closing parenthesis.
fn address_at(source: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let bytes = source.as_bytes();
    if bytes.get(start) == Some(&b'<') {
        let mut at = start + 1;
        while at < end && bytes[at] != b'>' {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        return (at < end).then_some(start + 1..at);
    }
    let (mut at, mut depth) = (start, 0usize);
    while at < end {
        match bytes[at] {
            b'\\' if bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) => at += 1,
            b'(' => depth += 1,
            b')' if depth == 0 => break,
            b')' => depth -= 1,
            byte if byte.is_ascii_whitespace() || byte.is_ascii_control() => break,
            _ => {}
        }
        at += 1;
    }
    Some(start..at.min(end))
}

/// Guards against having found other bytes than the parser did: where nothing is escaped they are equal.
fn plausible(raw: &str, address: &str) -> bool {
    !raw.is_empty() && (raw == address || raw.contains(['\\', '&', '\0']))
}

/// Adds the addresses of `[label]: address` for the labels that are used.
fn definitions(source: &str, events: &OffsetIter<'_>, used: &HashMap<String, Use>, found: &mut Vec<Reference>) {
    for (_, definition) in events.reference_definitions().iter() {
        let address = definition.dest.to_string();
        let Some(used) = used.get(&address) else { continue };
        let Some(text) = source.get(definition.span.clone()) else { continue };
        let Some(colon) = label_end(text) else { continue };
        let after = &text[colon..];
        let start = definition.span.start + colon + (after.len() - after.trim_start_matches(in_definition_gap).len());
        if let Some(place) = address_at(source, start, definition.span.end)
            && plausible(&source[place.clone()], &address)
        {
            found.push(Reference { range: place, address, used: *used });
        }
    }
}

/// Between a label and its address: white space, and the marks of the quotation it stands in.
fn in_definition_gap(c: char) -> bool {
    c.is_whitespace() || c == '>'
}

/// Returns the byte after `[label]:`.
fn label_end(definition: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in definition.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' if definition[at..].starts_with("]:") => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Returns the report with the addresses at some ranges replaced, every other byte kept. Ranges come from
/// [`references`]; overlapping ones after the first are left out.
pub fn rewrite(markdown: &str, replacements: &[(Range<usize>, String)]) -> String {
    let mut sorted: Vec<_> = replacements.iter().collect();
    sorted.sort_by_key(|(range, _)| range.start);
    let mut text = String::with_capacity(markdown.len() + sorted.len() * 64);
    let mut at = 0;
    for (range, address) in sorted {
        if range.start < at {
            continue;
        }
        text.push_str(&markdown[at..range.start]);
        text.push_str(&harmless(address));
        at = range.end;
    }
    text.push_str(&markdown[at..]);
    text
}

/// Returns an address whose characters end neither a Markdown destination nor an HTML attribute.
fn harmless(address: &str) -> String {
    let mut text = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            ' ' | '"' | '\'' | '<' | '>' | '(' | ')' | '\\' | '`' => text.push_str(&format!("%{:02X}", c as u32)),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

/// Returns whether an address can be a file: not another scheme, host or a place in the page.
pub fn is_local(address: &str) -> bool {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme).filter(|s| {
        s.len() > 1
            && s.starts_with(|c: char| c.is_ascii_alphabetic())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    });
    !address.is_empty() && scheme.is_none() && !address.starts_with("//") && !address.starts_with('#')
}

/// Returns the file names that an address can mean, the likeliest first: as it stands, with `%20` and the like
/// undone, and without `?query` and `#fragment`.
pub fn file_names(address: &str) -> Vec<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for text in [address, path] {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        for name in [text, decoded.as_ref()] {
            if !name.is_empty() && !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Returns what of an address must follow a file to its new place: the fragment, which selects a page or GitHub's
/// light or dark picture.
pub fn fragment(address: &str) -> &str {
    address.find('#').map_or("", |at| &address[at..])
}

#[cfg(test)]
mod tests;
