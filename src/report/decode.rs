//! The bytes of a report as a text that every forge takes. Pure.
//!
//! What no reader sees is taken out: a byte order mark, the colours of a terminal that a training's log has, and other control
//! characters, which forges refuse (NUL), drop or show as boxes. Line breaks and tabs stay; a carriage return alone, which
//! progress bars write, is a line break in Markdown and becomes one.

use std::borrow::Cow;
use std::fmt;

/// Why bytes are not the text of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecodable {
    /// UTF-16 from this line on; in all of it where that is the first.
    Utf16(usize),
    /// UTF-32.
    Utf32,
    /// A NUL byte on this line.
    Nul(usize),
    /// Bytes on this line that are not UTF-8.
    NotUtf8(usize),
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::Utf16(1) => f.write_str("is UTF-16, not UTF-8"),
            Undecodable::Utf16(line) => write!(f, "is UTF-16, not UTF-8, from line {line} on"),
            Undecodable::Utf32 => f.write_str("is UTF-32, not UTF-8"),
            Undecodable::Nul(line) => write!(f, "has a NUL byte (line {line})"),
            Undecodable::NotUtf8(line) => write!(f, "is not UTF-8 (line {line})"),
        }
    }
}

impl Undecodable {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Undecodable::Utf16(_) | Undecodable::Utf32 => {
                "in PowerShell > and >> write UTF-16; use: … | Out-File -Encoding utf8 (-Append) report.md"
            }
            Undecodable::Nul(_) => "a report must be text; show binary data as an image or link to it",
            Undecodable::NotUtf8(_) => "write it as UTF-8, in Python: open(path, \"w\", encoding=\"utf-8\")",
        }
    }
}

/// Returns the text of a report.
pub fn decode(bytes: &[u8]) -> Result<String, Undecodable> {
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err(Undecodable::Utf32);
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Undecodable::Utf16(1));
    }
    let line = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        let is_utf16 = is_utf16(&bytes[nul..]);
        return Err(if is_utf16 { Undecodable::Utf16(line(nul)) } else { Undecodable::Nul(line(nul)) });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Undecodable::NotUtf8(line(error.valid_up_to())))?;
    Ok(clean(text.strip_prefix('\u{feff}').unwrap_or(text)).into_owned())
}

/// Returns whether bytes with a NUL are UTF-16: its NULs are one half of a character that is Latin, a blank or a line
/// break.
fn is_utf16(bytes: &[u8]) -> bool {
    let head = bytes.iter().take(4096).enumerate();
    let nuls: Vec<usize> = head.filter(|(_, byte)| **byte == 0).map(|(at, _)| at).collect();
    nuls.len() >= 2 && nuls.iter().all(|at| at % 2 == nuls[0] % 2)
}

/// Returns a text without the escape sequences of terminals
/// (<https://ecma-international.org/publications-and-standards/standards/ecma-48/>) and without other control
/// characters.
pub fn clean(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| !is_plain(c)) {
        cleaned.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\r') {
            cleaned.push_str(if after.starts_with('\n') { "\r" } else { "\n" });
            rest = after;
        } else {
            rest = after_control(rest);
        }
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

/// Returns what follows the control character, or the whole escape sequence, at the beginning of a text.
fn after_control(text: &str) -> &str {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some('\u{9b}'), _) => after_parameters(chars.as_str()),
        (Some('\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}'), _) => after_string(chars.as_str()),
        (Some('\x1b'), Some('[')) => after_parameters(&chars.as_str()[1..]),
        (Some('\x1b'), Some(']' | 'P' | 'X' | '^' | '_')) => after_string(&chars.as_str()[1..]),
        (Some('\x1b'), Some(' '..='~')) => {
            let rest = chars.as_str().trim_start_matches(|c| matches!(c, ' '..='/'));
            rest.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(rest)
        }
        _ => chars.as_str(),
    }
}

/// Returns what follows the parameters of a control sequence and its last character.
fn after_parameters(text: &str) -> &str {
    let rest = text.trim_start_matches(|c| matches!(c, '0'..='?')).trim_start_matches(|c| matches!(c, ' '..='/'));
    rest.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(rest)
}

/// Returns what follows a control string, such as the title of a window or the address of a link. One without an end
/// goes no further than its line.
fn after_string(text: &str) -> &str {
    let line = &text[..text.find('\n').unwrap_or(text.len())];
    let ends = [("\x07", 1), ("\x1b\\", 2), ("\u{9c}", 2)];
    let end = ends.iter().filter_map(|(end, length)| Some((line.find(end)?, *length))).min();
    end.map_or(&text[line.len()..], |(at, length)| &text[at + length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn utf_16_is_known_with_a_mark_and_without() {
        let text = "# Metrics\r\nacc 0.9\r\n";
        for (to_bytes, mark) in [(u16::to_le_bytes as fn(u16) -> [u8; 2], b"\xff\xfe"), (u16::to_be_bytes, b"\xfe\xff")]
        {
            let bytes = utf16(text, to_bytes);
            assert_eq!(decode(&bytes), Err(Undecodable::Utf16(1)));
            assert_eq!(decode(&[&mark[..], &bytes].concat()), Err(Undecodable::Utf16(1)));
            // `>>` in PowerShell, after a line of another program's.
            assert_eq!(decode(&[b"# Report\r\n", &bytes[..]].concat()), Err(Undecodable::Utf16(2)));
            assert!(matches!(decode(&utf16("# 结果\n 好 吗\n", to_bytes)), Err(Undecodable::Utf16(_))));
        }
        assert_eq!(decode(b"\xff\xfe\0\0#\0\0\0"), Err(Undecodable::Utf32));
        assert_eq!(decode(b"# a\n\n\0\0\0\0\0\0"), Err(Undecodable::Nul(3)));
        assert_eq!(decode(b"# a\nb\0c"), Err(Undecodable::Nul(2)));
        assert_eq!(decode(b"# a\n\nna\xefve"), Err(Undecodable::NotUtf8(3)));
        assert_eq!(decode(b"\xef\xbb\xbf# a").as_deref(), Ok("# a"));
    }

    #[test]
    fn what_terminals_understand_is_taken_out() {
        for (text, cleaned) in [
            ("\x1b[1;31mloss\x1b[0m 0.1\x1b[K", "loss 0.1"),
            ("\x1b[38:2::255:0:0mred\x1b[m \x1b[?25l\x1b[2 q|", "red |"),
            ("\u{9b}31mred\u{9b}0m", "red"),
            ("\x1b]0;title\x07a \x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\ b", "a link b"),
            ("\x1bPq#0\x1b\\a\u{9d}0;t\u{9c}b", "ab"),
            ("\x1b(Ba\x1b7b\x1bMc\x1b=d", "abcd"),
            ("no end \x1b]0;title\nnext \x1b[31", "no end \nnext "),
            ("10%\r20%\r\n\x08\x0c\x7f\u{85}a\tb\n", "10%\n20%\r\na\tb\n"),
            ("\x1b", ""),
            ("a\x1b\nb\x1bäc", "a\nbäc"),
            ("\x1b[1ä", "ä"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
        assert!(matches!(clean("# a\n\tb ä 🎉\n"), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_left_that_no_forge_takes(text in "[\\PC\\n\\r\\t\x00-\x1f\x7f\u{80}-\u{9f}\\[\\]0-9;m]{0,40}") {
            let once = clean(&text).into_owned();
            proptest::prop_assert!(once.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')));
            proptest::prop_assert!(!once.replace("\r\n", "").contains('\r'));
            proptest::prop_assert_eq!(clean(&once), once.as_str());
        }
    }
}
