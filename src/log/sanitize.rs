//! Text from outside made safe to show: no control characters, no characters that change the order of others.
//!
//! A terminal runs escape sequences (<https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>), and bidirectional
//! controls show a text as another one (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).

use std::borrow::Cow;

/// What stands in place of a character that is taken out.
const REPLACEMENT: char = '\u{fffd}';

/// Returns whether a character controls how others are shown and has no look of its own. A tab is none.
fn is_control(c: char) -> bool {
    let is_format = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    (c.is_control() && c != '\t') || is_format || is_line_end(c)
}

/// Returns whether a character ends a line.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns the text with a mark in place of each control character; lines stay lines.
pub fn lines(text: &str) -> Cow<'_, str> {
    replace(text, |c| c != '\n' && is_control(c), |_| REPLACEMENT)
}

/// Returns the text as one line: what ends a line becomes a space, each other control character a mark.
pub fn one_line(text: &str) -> Cow<'_, str> {
    replace(text.trim_end_matches(is_line_end), is_control, |c| if is_line_end(c) { ' ' } else { REPLACEMENT })
}

fn replace(text: &str, is_bad: impl Fn(char) -> bool, mark: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.contains(&is_bad) {
        Cow::Owned(text.chars().map(|c| if is_bad(c) { mark(c) } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns JSON in which control characters of texts are escaped: it means the same.
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_control(c) {
            safe.push(c);
            continue;
        }
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text_around() {
        for (text, line) in [
            ("plain, tab\tand émoji 👩‍🔬", "plain, tab\tand émoji 👩‍🔬"),
            ("a\x1b[2K\x1b]0;title\x07b", "a\u{fffd}[2K\u{fffd}]0;title\u{fffd}b"),
            ("c1 \u{9b}31m del \x7f nul \0", "c1 \u{fffd}31m del \u{fffd} nul \u{fffd}"),
            ("gpj.\u{202e}exe \u{2066}x\u{2069} \u{200f}", "gpj.\u{fffd}exe \u{fffd}x\u{fffd} \u{fffd}"),
            ("one\r\ntwo\u{2028}three\u{85}", "one  two three"),
            ("https://host/x\n::error::y\n\n", "https://host/x ::error::y"),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(one_line(line), line, "{text:?}");
        }
        assert_eq!(lines("one\ntwo\r\n\x1bthree"), "one\ntwo\u{fffd}\n\u{fffd}three");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}\u{7f}\u{e0041}\n" });
        let text = json(&format!("{value:#}\n"));
        assert!(!text.contains(|c: char| c != '\n' && is_control(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
