//! What a forge adds to the text of a comment by itself: links to what people write without brackets, and emoji.

use super::dialect::Dialect;
use super::{WATERMARK, escape};

/// Elements whose text stays as it is.
const PLAIN: [&str; 6] = ["a", "code", "kbd", "pre", "samp", "tt"];
/// A user's name is not longer, nor is that of an emoji.
const MAX_NAME: usize = 40;
/// A commit's whole hash.
const SHA: usize = 40;

/// Returns sanitised HTML with references and bare addresses linked and emoji in place of their names; without watermarks,
/// which must not be requested, and fields of forms.
pub fn link(html: &str, dialect: &Dialect) -> String {
    let mut linked = String::with_capacity(html.len() + html.len() / 8);
    let (mut rest, mut plain) = (html, 0_usize);
    while let Some(at) = rest.find('<') {
        push_text(&rest[..at], plain == 0, dialect, &mut linked);
        rest = &rest[at..];
        let (tag, after) = rest.split_at(tag_length(rest));
        rest = after;
        let name = tag.trim_start_matches(['<', '/']);
        let name = &name[..name.find([' ', '>']).unwrap_or(name.len())];
        match (PLAIN.contains(&name), tag.starts_with("</")) {
            (true, true) => plain = plain.saturating_sub(1),
            (true, false) => plain += 1,
            _ => {}
        }
        let is_mark = name == "img" && tag.contains(WATERMARK);
        if !is_mark && (name != "input" || tag.contains(" type=\"checkbox\"")) {
            linked.push_str(tag);
        }
    }
    push_text(rest, plain == 0, dialect, &mut linked);
    linked.replace("<p></p>\n", "")
}

/// The length of the tag that the text begins with; quotation marks around values are double, and not in them.
fn tag_length(html: &str) -> usize {
    let mut in_value = false;
    let end = html.bytes().position(|byte| {
        in_value ^= byte == b'"';
        byte == b'>' && !in_value
    });
    end.map_or(html.len(), |end| end + 1)
}

fn push_text(text: &str, links: bool, dialect: &Dialect, html: &mut String) {
    if !links {
        return html.push_str(text);
    }
    let mut copied = 0;
    let mut before = None;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match find(&text[at..], before, dialect) {
            Some((length, markup)) => {
                html.push_str(&text[copied..at]);
                html.push_str(&markup);
                at += length;
                copied = at;
                before = text[..at].chars().next_back();
            }
            None => {
                at += next.len_utf8();
                before = Some(next);
            }
        }
    }
    html.push_str(&text[copied..]);
}

/// What the text begins with, if it is something that the forge marks up: its length, and the HTML in its place.
fn find(text: &str, before: Option<char>, dialect: &Dialect) -> Option<(usize, String)> {
    let begins_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let begins = begins_word && before.is_none_or(|c| !matches!(c, '/' | '&' | '#' | '@' | '.' | '-'));
    match text.as_bytes()[0] {
        b':' => emoji(text),
        b'h' | b'w' if begins_word => address(text),
        b'#' if begins => number(text).map(|digits| reference(&text[..=digits], dialect.issue(&text[1..=digits]))),
        b'!' if begins => {
            let digits = number(text)?;
            let address = dialect.merge_request(&text[1..=digits])?;
            Some(reference(&text[..=digits], address))
        }
        b'@' if begins => mention(text, dialect),
        b'0'..=b'9' | b'a'..=b'f' if begins => commit(text, dialect),
        _ => None,
    }
}

fn reference(text: &str, address: Option<String>) -> (usize, String) {
    let html = match address {
        Some(address) => format!("<a href=\"{}\">{text}</a>", escape(&address)),
        None => format!("<span class=\"reference\">{text}</span>"),
    };
    (text.len(), html)
}

/// The number of digits after the first character, when nothing else of a word follows.
fn number(text: &str) -> Option<usize> {
    let rest = &text[1..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let follows = rest[digits..].chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    ((1..=9).contains(&digits) && !follows).then_some(digits)
}

fn mention(text: &str, dialect: &Dialect) -> Option<(usize, String)> {
    let length = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(text.len());
        text[..end].trim_end_matches('-').len()
    };
    let user = &text[1..];
    let mut end = length(user);
    // A name, not a figure such as `@0.5`.
    if end == 0 || end >= MAX_NAME || !user.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    if let Some(team) = user[end..].strip_prefix('/').map(length).filter(|team| *team > 0) {
        end += 1 + team;
    }
    if user[end..].starts_with(['_', '@', '/']) {
        return None;
    }
    let (_, html) = reference(&text[..=end], dialect.user(&user[..end]));
    Some((end + 1, html.replacen("<a ", "<a class=\"mention\" ", 1)))
}

fn commit(text: &str, dialect: &Dialect) -> Option<(usize, String)> {
    let length = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    if length != SHA || !text[..SHA].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let (_, html) = reference(&format!("<tt>{}</tt>", &text[..7]), dialect.commit(&text[..SHA]));
    Some((SHA, html))
}

fn emoji(text: &str) -> Option<(usize, String)> {
    let name = &text[1..];
    let end = name.bytes().take(MAX_NAME).position(|byte| byte == b':')?;
    Some((end + 2, emojis::get_by_shortcode(name.get(..end)?)?.as_str().to_owned()))
}

fn address(text: &str) -> Option<(usize, String)> {
    let scheme = ["https://", "http://", "www."].into_iter().find(|scheme| text.starts_with(scheme))?;
    if !text[scheme.len()..].starts_with(char::is_alphanumeric) {
        return None;
    }
    let url = bare_address(text);
    let target = if scheme == "www." { format!("http://{url}") } else { url.to_owned() };
    Some((url.len(), format!("<a href=\"{}\">{url}</a>", target.replace('"', "&quot;"))))
}

/// The bare address that a text of HTML begins with (<https://github.github.com/gfm/#autolinks-extension->).
fn bare_address(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(text.len());
    let ends = ["&lt;", "&gt;", "&nbsp;"].iter().filter_map(|entity| text[..end].find(entity));
    let mut url = &text[..ends.min().unwrap_or(end)];
    let mut unmatched = url.matches(')').count().saturating_sub(url.matches('(').count());
    loop {
        let shorter = url.strip_suffix("&amp;");
        let shorter = shorter.or_else(|| url.strip_suffix(['?', '!', '.', ',', ':', '*', '_', '~', '\'']));
        match (shorter, url.strip_suffix(')').filter(|_| unmatched > 0)) {
            (Some(shorter), _) => url = shorter,
            (None, Some(shorter)) => (url, unmatched) = (shorter, unmatched - 1),
            (None, None) => return url,
        }
    }
}
