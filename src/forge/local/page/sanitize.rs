//! The finished HTML as a forge's sanitiser leaves it: known elements and attributes only, closed in order, bare
//! addresses linked, watermarks gone. A report cannot break out of its comment, and nothing in it runs or leads to
//! something that runs.
//!
//! Tags are written anew from their allowed attributes, and an address is kept only where its beginning is one of a
//! few forms ([`link`], [`media`]), so neither a handler nor `javascript:`, however it is encoded, comes through. The
//! page's policy is a second layer. Written by hand as the tags of Markdown come in pieces and need no tree: the work
//! and the depth are bounded, which a sanitiser that builds a document does not promise.

use super::super::copies;
use super::WATERMARK;
use std::ops::Range;

/// What the forges' sanitisers let through.
const ELEMENTS: &str = "a abbr audio b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption \
    figure h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p picture pre q rp rt ruby s samp small source \
    span strike strong sub summary sup table tbody td tfoot th thead time tr track tt ul var video wbr";
/// The attributes that hold no address and change nothing but the look.
const ATTRIBUTES: &str = "abbr align alt aria-describedby aria-hidden aria-label aria-labelledby border cellpadding \
    cellspacing checked class clear color cols colspan compact controls datetime dir disabled headers height hspace \
    id kind label lang loop media muted nowrap open reversed role rows rowspan rules scope size sizes span srclang \
    start summary title type valign value vspace width";
/// What stays visible as text (<https://github.github.com/gfm/#disallowed-raw-html-extension->).
const AS_TEXT: &str = "form iframe noembed noframes plaintext script style textarea title xmp";
const VOID: &str = "br hr img input source track wbr";
const NO_LINKS: &str = "a code kbd pre samp";
const TABLE: &str = "caption table tbody td tfoot th thead tr";
/// What keeps a closing tag within from reaching further out.
const SCOPE_BOUNDARY: &str = "caption table td th";
/// What the start of an element ends unless there is a boundary between.
const ENDS: [(&str, &str, &str); 8] = [
    (
        "blockquote dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre summary table ul",
        "p",
        SCOPE_BOUNDARY,
    ),
    ("li", "li", "ol table ul"),
    ("dd dt", "dd dt", "dl table"),
    ("h1 h2 h3 h4 h5 h6", "h1 h2 h3 h4 h5 h6", "blockquote caption details div dd li td th"),
    ("caption tbody td tfoot th thead tr", "caption td th", "table"),
    ("caption tbody tfoot thead tr", "tr", "table"),
    ("caption tbody tfoot thead", "tbody tfoot thead", "table"),
    ("table", "table", "caption td th"),
];
/// Elements that are nested deeper lose their tags; their text stays. Browsers stop at some hundreds, too.
const MAX_DEPTH: usize = 100;
/// How often the rest of a text may be read in vain for the end of a tag.
const MAX_UNCLOSED_TAGS: usize = 16;

fn among(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|n| n == name)
}

/// Keeps known elements and closes them the way browsers do, so that no closing tag reaches further out;
/// links bare addresses; and drops watermarks, which must not be requested.
pub fn sanitize(html: &str) -> String {
    let mut sanitizer = Sanitizer {
        html: String::with_capacity(html.len()),
        open: Vec::new(),
        too_deep: 0,
        unclosed_tags: MAX_UNCLOSED_TAGS,
    };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        sanitizer.text(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[sanitizer.markup(rest)..];
    }
    sanitizer.text(rest);
    sanitizer.close(0);
    sanitizer.html
}

/// An element whose end has not come.
struct OpenElement {
    name: String,
    /// Where its tag is in the result.
    tag: Range<usize>,
    /// Whether addresses in it stay text.
    no_autolink: bool,
}

struct Sanitizer {
    html: String,
    open: Vec<OpenElement>,
    /// How many elements that are nested too deep are open.
    too_deep: usize,
    /// How many more tags without an end are looked at.
    unclosed_tags: usize,
}

impl Sanitizer {
    /// Takes what begins with `<`; returns its length.
    fn markup(&mut self, html: &str) -> usize {
        if let Some(comment) = html.strip_prefix("<!--") {
            let end = if comment.starts_with('>') || comment.starts_with("->") { ">" } else { "-->" };
            return comment.find(end).map_or(html.len(), |at| "<!--".len() + at + end.len());
        }
        let Some(tag) = self.read_tag(html).filter(|tag| !among(AS_TEXT, &tag.name)) else {
            self.html += "&lt;";
            return 1;
        };
        if tag.is_end {
            self.end_tag(&tag.name);
        } else if self.keeps(&tag) {
            self.start_tag(&tag);
        }
        tag.length
    }

    fn read_tag<'a>(&mut self, html: &'a str) -> Option<Tag<'a>> {
        if !begins_tag(html) || self.unclosed_tags == 0 {
            return None;
        }
        let tag = tag(html);
        self.unclosed_tags -= usize::from(tag.is_none());
        tag
    }

    fn start_tag(&mut self, tag: &Tag<'_>) {
        let is_void = among(VOID, &tag.name);
        if self.open.len() >= MAX_DEPTH && !is_void {
            self.too_deep += 1;
            return;
        }
        for (_, ended, boundary) in ENDS.iter().filter(|(starts, ..)| among(starts, &tag.name)) {
            self.end(ended, boundary);
        }
        let is_math = tag.attribute("class").is_some_and(|class| class.starts_with("math"));
        let no_autolink = self.no_autolink() || is_math || among(NO_LINKS, &tag.name);
        let start = self.html.len();
        tag.write(&mut self.html);
        if !is_void {
            self.open.push(OpenElement { name: tag.name.clone(), tag: start..self.html.len(), no_autolink });
        }
    }

    fn end_tag(&mut self, name: &str) {
        match self.too_deep {
            0 => self.end(name, if among(TABLE, name) { "table" } else { SCOPE_BOUNDARY }),
            _ => self.too_deep -= usize::from(among(ELEMENTS, name)),
        }
    }

    fn keeps(&self, tag: &Tag<'_>) -> bool {
        let fits = match tag.name.as_str() {
            "input" => tag.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("checkbox")),
            "table" => true,
            name => !among(TABLE, name) || self.open.iter().any(|open| open.name == "table"),
        };
        let is_watermark = tag.attribute("src").is_some_and(|address| address.contains(WATERMARK));
        fits && among(ELEMENTS, &tag.name) && !is_watermark
    }

    fn no_autolink(&self) -> bool {
        self.open.last().is_some_and(|open| open.no_autolink)
    }

    /// Closes the innermost of these elements unless a boundary is nearer.
    fn end(&mut self, names: &str, boundary: &str) {
        let nearest = self.open.iter().rposition(|open| among(names, &open.name) || among(boundary, &open.name));
        if let Some(at) = nearest.filter(|at| among(names, &self.open[*at].name)) {
            self.close(at);
        }
    }

    /// Closes an element and all in it; paragraphs in which nothing is left go.
    fn close(&mut self, at: usize) {
        for OpenElement { name, tag, .. } in self.open.drain(at..).rev() {
            if name == "p" && self.html[tag.end..].trim().is_empty() {
                self.html.truncate(tag.start);
            } else {
                self.html += &format!("</{name}>");
            }
        }
    }

    fn text(&mut self, mut text: &str) {
        while !self.no_autolink()
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
    let mut unmatched = url.matches(')').count().saturating_sub(url.matches('(').count());
    loop {
        let shorter = url.strip_suffix("&amp;").or_else(|| url.strip_suffix("&#39;"));
        let shorter = shorter.or_else(|| url.strip_suffix(['?', '!', '.', ',', ':', '*', '_', '~', '\'']));
        match (shorter, url.strip_suffix(')').filter(|_| unmatched > 0)) {
            (Some(shorter), _) => url = shorter,
            (None, Some(shorter)) => (url, unmatched) = (shorter, unmatched - 1),
            (None, None) => return Some(start..start + url.len()),
        }
    }
}

/// A tag as it stands in the text.
struct Tag<'a> {
    /// In lower case.
    name: String,
    /// Whether it is `</name>`.
    is_end: bool,
    /// Names in lower case; values as they are written, without quotation marks.
    attributes: Vec<(String, Option<&'a str>)>,
    length: usize,
}

impl Tag<'_> {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name)?.1
    }

    /// Writes the tag with what is allowed of its attributes.
    fn write(&self, html: &mut String) {
        html.push('<');
        html.push_str(&self.name);
        for (name, value) in &self.attributes {
            let value = match (self.name.as_str(), name.as_str(), value) {
                ("a", "href", Some(value)) => link(value),
                ("img" | "audio" | "video" | "source" | "track", "src", Some(value)) => media(value),
                ("video", "poster", Some(value)) => media(value),
                ("img" | "source", "srcset", Some(value)) => srcset(value),
                (_, name, value) if among(ATTRIBUTES, name) => Some(value.unwrap_or_default().to_owned()),
                _ => None,
            };
            let Some(value) = value else { continue };
            html.push(' ');
            html.push_str(name);
            html.push_str("=\"");
            html.push_str(&value.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;"));
            html.push('"');
        }
        html.push('>');
    }
}

/// An address that may be followed: on the web, a mail, a place on the page, or a copy of a published file that runs
/// nothing ([`copies::passive`]). What it begins with is compared as it is written, so nothing hides behind encodings.
fn link(value: &str) -> Option<String> {
    let value = trim(value);
    let is_allowed = value.starts_with('#') || begins_with(value, &["https://", "http://", "mailto:"]);
    match is_allowed {
        true => Some(value.to_owned()),
        false => copies::passive(value),
    }
}

/// An address that may be loaded as picture, sound or film: on the web, in the address itself, or a file below the
/// page's folder or the working copy. None leads to another host by a way that is not HTTP.
fn media(value: &str) -> Option<String> {
    let value = trim(value);
    let is_name = |c: char| !c.is_control() && !matches!(c, ':' | '\\' | '&');
    let is_relative = !value.is_empty() && !value.starts_with('/') && value.chars().all(is_name);
    (is_relative || begins_with(value, &["https://", "http://", "data:image/"])).then(|| value.to_owned())
}

/// The candidates of a `srcset`, all of which must be allowed.
fn srcset(value: &str) -> Option<String> {
    let address = |candidate: &str| candidate.split_ascii_whitespace().next().and_then(media);
    value.split(',').all(|candidate| address(candidate).is_some()).then(|| value.to_owned())
}

/// Without what browsers take away around an address.
fn trim(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
}

fn begins_with(value: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|b| value.get(..b.len()).is_some_and(|head| head.eq_ignore_ascii_case(b)))
}

fn begins_tag(html: &str) -> bool {
    let name = html.strip_prefix("</").or_else(|| html.strip_prefix('<'));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Reads a tag as browsers do (<https://html.spec.whatwg.org/multipage/parsing.html#tag-open-state>).
fn tag(html: &str) -> Option<Tag<'_>> {
    let bytes = html.as_bytes();
    let find = |at: usize, stop: &dyn Fn(u8) -> bool| Some(at + bytes.get(at..)?.iter().position(|b| stop(*b))?);
    let slash = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let is_end = html.starts_with("</");
    let start = 1 + usize::from(is_end);
    let mut at = find(start, &|b| slash(b) || b == b'>')?;
    let name = html[start..at].to_ascii_lowercase();
    let mut attributes = Vec::new();
    loop {
        at = find(at, &|b| !slash(b))?;
        if bytes[at] == b'>' {
            return Some(Tag { name, is_end, attributes, length: at + 1 });
        }
        let first = at;
        at = find(at + 1, &|b| slash(b) || b == b'>' || b == b'=')?;
        let attribute = html[first..at].to_ascii_lowercase();
        let equals = find(at, &|b| !b.is_ascii_whitespace())?;
        if bytes[equals] != b'=' {
            attributes.push((attribute, None));
            continue;
        }
        at = find(equals + 1, &|b| !b.is_ascii_whitespace())?;
        let value = match bytes[at] {
            quote @ (b'"' | b'\'') => at + 1..find(at + 1, &|b| b == quote)?,
            _ => at..find(at, &|b| b.is_ascii_whitespace() || b == b'>')?,
        };
        at = value.end + usize::from(value.start > 0 && matches!(bytes[value.start - 1], b'"' | b'\''));
        attributes.push((attribute, Some(&html[value])));
    }
}
