//! The finished HTML as a forge's sanitiser leaves it: known elements and attributes, closed in order, bare
//! addresses linked, watermarks gone. A report cannot break out of its comment.

use super::WATERMARK;
use std::ops::Range;

/// What the forges' sanitisers let through.
const KNOWN: &str = "a abbr audio b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption \
    figure h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p picture pre q rp rt ruby s samp small source \
    span strike strong sub summary sup table tbody td tfoot th thead time tr track tt ul var video wbr";
/// What stays visible as text (<https://github.github.com/gfm/#disallowed-raw-html-extension->).
const AS_TEXT: &str = "form iframe noembed noframes plaintext script style textarea title xmp";
const VOID: &str = "br hr img input source track wbr";
const NO_LINKS: &str = "a code kbd pre samp";
const TABLE: &str = "caption table tbody td tfoot th thead tr";
/// What keeps a closing tag within from reaching further out.
const WALL: &str = "caption table td th";
/// What the start of an element ends unless there is a wall between.
const ENDS: [(&str, &str, &str); 8] = [
    ("blockquote dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre summary table ul", "p", WALL),
    ("li", "li", "ol table ul"),
    ("dd dt", "dd dt", "dl table"),
    ("h1 h2 h3 h4 h5 h6", "h1 h2 h3 h4 h5 h6", "blockquote caption details div dd li td th"),
    ("caption tbody td tfoot th thead tr", "caption td th", "table"),
    ("caption tbody tfoot thead tr", "tr", "table"),
    ("caption tbody tfoot thead", "tbody tfoot thead", "table"),
    ("table", "table", "caption td th"),
];

fn among(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|n| n == name)
}

/// Keeps known elements and closes them the way browsers do, so that no closing tag reaches further out;
/// makes links of bare addresses; and drops watermarks, which nobody is to request.
pub fn clean(html: &str) -> String {
    let mut clean = Clean { html: String::with_capacity(html.len()), open: Vec::new() };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        clean.text(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[clean.markup(rest)..];
    }
    clean.text(rest);
    clean.close(0);
    clean.html
}

struct Clean {
    html: String,
    /// Names of open elements, where their tags are in the HTML, and whether addresses in them stay text.
    open: Vec<(String, Range<usize>, bool)>,
}

impl Clean {
    /// Takes what begins with `<`; returns its length.
    fn markup(&mut self, html: &str) -> usize {
        if let Some(comment) = html.strip_prefix("<!--") {
            let end = if comment.starts_with('>') || comment.starts_with("->") { ">" } else { "-->" };
            return comment.find(end).map_or(html.len(), |at| "<!--".len() + at + end.len());
        }
        let Some((name, length)) = tag(html).filter(|(name, _)| !among(AS_TEXT, name)) else {
            self.html += "&lt;";
            return 1;
        };
        let tag = &html[..length];
        if tag.starts_with("</") {
            self.end(&name, if among(TABLE, &name) { "table" } else { WALL });
        } else if self.keeps(&name, tag) {
            for (_, ended, walls) in ENDS.iter().filter(|(starts, ..)| among(starts, &name)) {
                self.end(ended, walls);
            }
            let plain = self.plain() || among(NO_LINKS, &name) || tag.starts_with("<span class=\"math");
            let start = self.html.len();
            self.html += tag;
            if !among(VOID, &name) {
                self.open.push((name, start..self.html.len(), plain));
            }
        }
        length
    }

    fn keeps(&self, name: &str, tag: &str) -> bool {
        let fits = match name {
            "input" => tag.contains("checkbox"),
            "table" => true,
            _ => !among(TABLE, name) || self.open.iter().any(|(open, ..)| open == "table"),
        };
        fits && among(KNOWN, name) && !tag.contains(WATERMARK)
    }

    fn plain(&self) -> bool {
        self.open.last().is_some_and(|(.., plain)| *plain)
    }

    /// Closes the innermost of these elements unless a wall is nearer.
    fn end(&mut self, names: &str, walls: &str) {
        let nearest = self.open.iter().rposition(|(open, ..)| among(names, open) || among(walls, open));
        if let Some(at) = nearest.filter(|at| among(names, &self.open[*at].0)) {
            self.close(at);
        }
    }

    /// Closes an element and all in it; paragraphs in which nothing is left go.
    fn close(&mut self, at: usize) {
        for (name, tag, _) in self.open.drain(at..).rev() {
            if name == "p" && self.html[tag.end..].trim().is_empty() {
                self.html.truncate(tag.start);
            } else {
                self.html += &format!("</{name}>");
            }
        }
    }

    fn text(&mut self, mut text: &str) {
        while !self.plain()
            && let Some(link) = address(text)
        {
            let url = &text[link.clone()];
            self.html += &format!("{}<a href=\"{url}\">{url}</a>", &text[..link.start]);
            text = &text[link.end..];
        }
        self.html += text;
    }
}

/// The first bare address in a text of HTML (<https://github.github.com/gfm/#autolinks-extension->).
fn address(text: &str) -> Option<Range<usize>> {
    let begins = |at: &usize| {
        let url = &text[*at..];
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        host.starts_with(char::is_alphanumeric) && !text[..*at].ends_with(char::is_alphanumeric)
    };
    let start = text.match_indices("http").map(|(at, _)| at).find(begins)?;
    let url = text[start..].split(|c: char| c.is_whitespace() || c == '"').next()?;
    let ends = ["&lt;", "&gt;", "&quot;"].iter().filter_map(|end| url.find(end));
    let mut url = &url[..ends.min().unwrap_or(url.len())];
    loop {
        let unmatched = url.matches(')').count() > url.matches('(').count();
        let shorter = url.strip_suffix("&amp;").or_else(|| url.strip_suffix("&#39;"));
        let shorter = shorter.or_else(|| url.strip_suffix(['?', '!', '.', ',', ':', '*', '_', '~', '\'']));
        match shorter.or_else(|| url.strip_suffix(')').filter(|_| unmatched)) {
            Some(shorter) => url = shorter,
            None => return Some(start..start + url.len()),
        }
    }
}

/// The name and the length of a tag, read as browsers do
/// (<https://html.spec.whatwg.org/multipage/parsing.html#tag-open-state>).
fn tag(html: &str) -> Option<(String, usize)> {
    let bytes = html.as_bytes();
    let find = |at: usize, stop: &dyn Fn(u8) -> bool| Some(at + bytes.get(at..)?.iter().position(|b| stop(*b))?);
    let slash = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let start = 1 + usize::from(html.starts_with("</"));
    bytes.get(start).filter(|b| b.is_ascii_alphabetic())?;
    let mut at = find(start, &|b| slash(b) || b == b'>')?;
    let name = html[start..at].to_ascii_lowercase();
    loop {
        at = find(at, &|b| !slash(b))?;
        if bytes[at] == b'>' {
            return Some((name, at + 1));
        }
        at = find(at + 1, &|b| slash(b) || b == b'>' || b == b'=')?;
        let equals = find(at, &|b| !b.is_ascii_whitespace())?;
        if bytes[equals] == b'=' {
            at = find(equals + 1, &|b| !b.is_ascii_whitespace())?;
            at = match bytes[at] {
                quote @ (b'"' | b'\'') => 1 + find(at + 1, &|b| b == quote)?,
                _ => find(at, &|b| b.is_ascii_whitespace() || b == b'>')?,
            };
        }
    }
}
