//! What a forge's sanitiser leaves of a report's HTML.
//!
//! [`ammonia`] reads the HTML as browsers do and keeps the elements, attributes and classes that are named here, closed in
//! order, so that no report reaches out of its comment. An address stays only where its beginning is one of a few forms
//! ([`link`], [`media`]), so nothing in a report runs or leads to something that runs. The page's policy is a second layer.

use super::super::copies;
use ammonia::{Builder, UrlRelative};
use std::borrow::Cow;
use std::collections::HashSet;

/// What the forges' sanitisers let through. Nothing of what the page itself is built of: `article`, `section`, `header`.
const ELEMENTS: &str = "a abbr audio b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption \
    figure h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p picture pre q rp rt ruby s samp small source \
    span strike strong sub summary sup table tbody td tfoot th thead time tr track tt ul var video wbr";
/// The attributes that hold no address and change nothing but the look.
const ATTRIBUTES: &str = "abbr align alt aria-describedby aria-hidden aria-label aria-labelledby border cellpadding \
    cellspacing checked clear color cols colspan compact controls datetime dir disabled headers height hspace \
    id kind label lang loop media muted nowrap open reversed role rows rowspan rules scope size sizes span srclang \
    start summary title type valign value vspace width";
/// The attributes that hold addresses, by element.
const ADDRESSES: [(&str, &str); 6] = [
    ("a", "href"),
    ("img", "src srcset"),
    ("source", "src srcset"),
    ("audio", "src"),
    ("video", "src poster"),
    ("track", "src"),
];
/// The attributes that name elements of the same comment.
const NAMES: [&str; 3] = ["aria-describedby", "aria-labelledby", "headers"];
/// The classes that the page gives to what it makes of a report, by element.
const CLASSES: [(&str, &str); 9] = [
    (
        "div",
        "markdown-alert markdown-alert-note markdown-alert-tip markdown-alert-important markdown-alert-warning \
         markdown-alert-caution drawn footnotes",
    ),
    ("p", "markdown-alert-title caption"),
    ("span", "added removed hunk file same keyword string remark number key call"),
    ("code", "math display"),
    ("img", "swatch"),
    ("sup", "footnote-ref"),
    ("a", "footnote-backref"),
    ("pre", "drawing"),
    ("small", "caption"),
];
/// What stays visible as text (<https://github.github.com/gfm/#disallowed-raw-html-extension->).
const AS_TEXT: &str = "form iframe noembed noframes plaintext script style textarea title xmp";
const SCHEMES: [&str; 4] = ["https", "http", "mailto", "data"];

fn set(names: &str) -> HashSet<&str> {
    names.split_ascii_whitespace().collect()
}

/// Returns the HTML without anything but known elements and attributes. `prefix` keeps its ids, and the links to them,
/// apart from those of other comments.
pub fn sanitize(html: &str, prefix: &str) -> String {
    let prefix = format!("{prefix}-");
    let owned = prefix.clone();
    Builder::empty()
        .tags(set(ELEMENTS))
        .generic_attributes(set(ATTRIBUTES))
        .tag_attributes(ADDRESSES.map(|(tag, names)| (tag, set(names))).into())
        .allowed_classes(CLASSES.map(|(tag, names)| (tag, set(names))).into())
        .url_schemes(SCHEMES.into())
        .url_relative(UrlRelative::PassThrough)
        .link_rel(None)
        .id_prefix(Some(&prefix))
        .attribute_filter(move |element, name, value| filter(&owned, element, name, value))
        .clean(html)
        .to_string()
}

fn filter<'a>(prefix: &str, element: &str, name: &str, value: &'a str) -> Option<Cow<'a, str>> {
    match (element, name) {
        ("a", "href") => link(value, prefix).map(Cow::Owned),
        (_, "src" | "poster") => media(value).map(Cow::Borrowed),
        (_, "srcset") => srcset(value).then_some(Cow::Borrowed(value)),
        (_, name) if NAMES.contains(&name) => {
            let names = value.split_ascii_whitespace().map(|name| format!("{prefix}{name}"));
            Some(names.collect::<Vec<_>>().join(" ").into())
        }
        _ => Some(Cow::Borrowed(value)),
    }
}

/// An address that may be followed: on the web, a mail, a place in the comment, or a copy of a published file that runs
/// nothing ([`copies::passive`]).
fn link(value: &str, prefix: &str) -> Option<String> {
    let value = trim(value);
    if let Some(place) = value.strip_prefix('#') {
        return Some(format!("#{prefix}{place}"));
    }
    if begins_with(value, &["https://", "http://", "mailto:"]) {
        Some(value.to_owned())
    } else {
        copies::passive(value)
    }
}

/// An address that may be loaded as picture, sound or film: on the web, in the address itself, or a file below the
/// page's folder or the working copy. None leads to another host by a way that is not HTTP.
fn media(value: &str) -> Option<&str> {
    let value = trim(value);
    let is_name = |c: char| !c.is_control() && !matches!(c, ':' | '\\');
    let is_relative = !value.is_empty() && !value.starts_with('/') && value.chars().all(is_name);
    (is_relative || begins_with(value, &["https://", "http://", "data:image/"])).then_some(value)
}

/// Whether all candidates of a `srcset` are allowed.
fn srcset(value: &str) -> bool {
    let is_allowed =
        |candidate: &str| candidate.split_ascii_whitespace().next().is_some_and(|url| media(url).is_some());
    value.split(',').all(is_allowed)
}

/// Without what browsers take away around an address.
fn trim(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
}

fn begins_with(value: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|b| value.get(..b.len()).is_some_and(|head| head.eq_ignore_ascii_case(b)))
}

/// Returns a report's own HTML with the tags of scripts, styles and frames as text, as the forges show them.
pub fn with_disallowed_as_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for (number, part) in html.split('<').enumerate() {
        if number > 0 {
            text.push_str(if begins_disallowed(part) { "&lt;" } else { "<" });
        }
        text.push_str(part);
    }
    text
}

fn begins_disallowed(tag: &str) -> bool {
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let name = name.split(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).next().unwrap_or_default();
    AS_TEXT.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(name))
}
