//! The addresses in the HTML of a report: `<img>`, `<video>`, `<audio>`, `<source>` and `<a>`.
//!
//! A scanner of tags and attributes as the HTML standard tokenises them, as far as raw HTML in Markdown goes:
//! it needs the byte range of a value, which parsers that build trees do not keep.

use super::{Reference, Use};
use std::ops::Range;

/// Adds the addresses in a stretch of HTML.
pub fn addresses(source: &str, stretch: Range<usize>, found: &mut Vec<Reference>) {
    let bytes = source.as_bytes();
    let mut at = stretch.start;
    while at < stretch.end {
        if source[at..stretch.end].starts_with("<!--") {
            match source[at..stretch.end].find("-->") {
                Some(end) => at += end + 3,
                None => return,
            }
        } else if bytes[at] == b'<' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) {
            at = tag(source, at + 1, stretch.end, found);
        } else {
            at += 1;
            while at < stretch.end && !source.is_char_boundary(at) {
                at += 1;
            }
        }
    }
}

/// Reads one tag from its name on; returns the byte after it.
fn tag(source: &str, start: usize, end: usize, found: &mut Vec<Reference>) -> usize {
    let bytes = source.as_bytes();
    let skip = |mut at: usize, stop: fn(u8) -> bool| {
        while at < end && !stop(bytes[at]) {
            at += 1;
        }
        at
    };
    let name_end = skip(start, |b| b.is_ascii_whitespace() || b == b'/' || b == b'>');
    let name = source[start..name_end].to_ascii_lowercase();
    let mut at = name_end;
    loop {
        at = skip(at, |b| !b.is_ascii_whitespace() && b != b'/');
        if at >= end || bytes[at] == b'>' {
            return (at + 1).min(end.max(at));
        }
        let attribute = at;
        at = skip(at + 1, |b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'='));
        let attribute = source[attribute..at].to_ascii_lowercase();
        let equals = skip(at, |b| !b.is_ascii_whitespace());
        if equals >= end || bytes[equals] != b'=' {
            continue;
        }
        let first = skip(equals + 1, |b| !b.is_ascii_whitespace());
        let value = match bytes.get(first).filter(|_| first < end) {
            Some(b'"') => first + 1..skip(first + 1, |b| b == b'"'),
            Some(b'\'') => first + 1..skip(first + 1, |b| b == b'\''),
            Some(_) => first..skip(first, |b| b.is_ascii_whitespace() || b == b'>'),
            None => return end,
        };
        let quoted = value.start > first;
        at = if quoted { (value.end + 1).min(end) } else { value.end };
        take(source, &name, &attribute, value, found);
    }
}

fn take(source: &str, tag: &str, attribute: &str, value: Range<usize>, found: &mut Vec<Reference>) {
    let used = match (tag, attribute) {
        ("img" | "video" | "audio" | "source", "src") | ("video", "poster") => Use::Shown,
        ("img" | "source", "srcset") => {
            for candidate in candidates(source, value) {
                found.push(Reference {
                    address: unescape(&source[candidate.clone()]),
                    range: candidate,
                    used: Use::Shown,
                });
            }
            return;
        }
        ("a", "href") => Use::Linked,
        _ => return,
    };
    let text = &source[value.clone()];
    let start = value.start + (text.len() - text.trim_start().len());
    let trimmed = text.trim();
    if !trimmed.is_empty() {
        found.push(Reference { range: start..start + trimmed.len(), address: unescape(trimmed), used });
    }
}

/// Returns the addresses of a `srcset`: each up to white space or a comma, followed by an optional size.
fn candidates(source: &str, value: Range<usize>) -> Vec<Range<usize>> {
    let text = &source[value.clone()];
    if text.trim_start().starts_with("data:") {
        return Vec::new();
    }
    let mut places = Vec::new();
    let mut at = 0;
    for part in text.split(',') {
        let start = at + (part.len() - part.trim_start().len());
        let length = part.trim_start().find(char::is_whitespace).unwrap_or(part.trim_start().len());
        if length > 0 {
            places.push(value.start + start..value.start + start + length);
        }
        at += part.len() + 1;
    }
    places
}

/// Undoes the character references that occur in addresses.
fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
