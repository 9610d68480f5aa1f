//! The values that nobody may see, in every form in which programs write them.

use super::finder::Finder;
use crate::error::Error;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

/// Shorter values are not blotted out: every line would be garbled, and nothing protected.
const SHORTEST: usize = 4;
/// Shorter values have no other forms and may be published: they are words as well.
const SHORTEST_TOKEN: usize = 8;
/// So many letters and digits are no coincidence, whatever stands between them.
const UNMISTAKABLE: usize = 16;
/// A text is searched for what stands between line breaks and escapes in pieces of this size.
const PIECE: usize = 1 << 20;

/// What `encodeURIComponent` and its likes leave alone.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A secret that stands where it must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The variable or option that holds it.
    pub name: String,
    /// The line of the text, from 1 on.
    pub line: usize,
}

impl Leak {
    /// Returns the error about it. `place` names the text.
    pub fn error(&self, place: impl std::fmt::Display) -> Error {
        let Leak { name, line } = self;
        Error::config(format!("the value of {name} is in line {line} of {place}")).hint(
            "nothing was sent: remove it, and rotate the secret if it was published before; if it is not a secret, run cml without the variable",
        )
    }
}

/// The secrets.
#[derive(Default)]
pub struct Secrets {
    known: BTreeSet<(String, String)>,
    /// What to look for, and the name of the secret; whether it may not be published.
    forms: Vec<(Vec<u8>, String, bool)>,
    /// The same with letters and digits only.
    squeezed: Vec<(Vec<u8>, String)>,
    finders: OnceCell<(Finder, Finder)>,
}

impl Secrets {
    /// Adds a value that `name` holds. Returns what is new to hide, for others who hide it too.
    pub fn add(&mut self, name: &str, value: &str) -> Vec<String> {
        let mut hidden = Vec::new();
        for part in parts(value).into_iter().filter(|part| part.len() >= SHORTEST) {
            if !self.known.insert((name.to_owned(), part.clone())) {
                continue;
            }
            self.finders = OnceCell::new();
            let is_token = part.len() >= SHORTEST_TOKEN;
            let forms = if is_token { forms(&part) } else { BTreeSet::from([part.clone()]) };
            self.forms.extend(forms.iter().map(|form| (form.clone().into_bytes(), name.to_owned(), is_token)));
            if part.bytes().filter(u8::is_ascii_alphanumeric).count() >= UNMISTAKABLE {
                let squeezed: BTreeSet<_> = encoded(&part).chain([part.clone()]).map(|form| squeeze(&form)).collect();
                self.squeezed.extend(squeezed.into_iter().map(|form| (form, name.to_owned())));
            }
            hidden.extend(forms);
        }
        hidden
    }

    fn finders(&self) -> &(Finder, Finder) {
        let make = || {
            let forms = self.forms.iter().map(|(form, ..)| form.clone());
            let squeezed = self.squeezed.iter().map(|(form, _)| form.clone());
            (Finder::new(forms.collect()), Finder::new(squeezed.collect()))
        };
        self.finders.get_or_init(make)
    }

    /// Returns the text with `***` in place of each secret.
    pub fn redact(&self, text: &str) -> String {
        let mut hidden: Vec<Range<usize>> = Vec::new();
        for found in self.finders().0.all(text.as_bytes()) {
            match hidden.last_mut() {
                Some(last) if found.range.start < last.end => last.end = last.end.max(found.range.end),
                _ => hidden.push(found.range),
            }
        }
        let (mut safe, mut done) = (String::with_capacity(text.len()), 0);
        for Range { start, end } in hidden {
            // A form is whole characters, so that these are boundaries of some.
            safe.push_str(text.get(done..start).unwrap_or_default());
            safe.push_str("***");
            done = end;
        }
        safe.push_str(text.get(done..).unwrap_or_default());
        safe
    }

    /// Finds a secret in what is going to be published: as it is written, or as a browser shows it.
    pub fn leak(&self, text: &[u8]) -> Option<Leak> {
        self.written_leak(text).or_else(|| self.written_leak(&shown(std::str::from_utf8(text).ok()?)?))
    }

    fn written_leak(&self, text: &[u8]) -> Option<Leak> {
        let found = self.finders().0.all(text).find(|found| {
            let (_, name, is_token) = &self.forms[found.needle];
            *is_token && !is_signature(name, &text[..found.range.start])
        });
        match found {
            Some(found) => {
                let line = 1 + text[..found.range.start].iter().filter(|byte| **byte == b'\n').count();
                Some(Leak { name: self.forms[found.needle].1.clone(), line })
            }
            None => self.squeezed_leak(text),
        }
    }

    /// Finds a secret that is interrupted: by the line breaks of `base64`, the backslashes of Markdown, NULs of UTF-16.
    fn squeezed_leak(&self, text: &[u8]) -> Option<Leak> {
        let finder = &self.finders().1;
        let overlap = finder.longest().checked_sub(1)?;
        let (mut piece, mut line, mut lines) = (Vec::new(), 1, Vec::new());
        let last = text.len().saturating_sub(1);
        for (at, byte) in text.iter().enumerate() {
            if *byte == b'\n' {
                line += 1;
                lines.push((piece.len(), line));
            } else if byte.is_ascii_alphanumeric() {
                piece.push(*byte);
            }
            if piece.len() < PIECE + overlap && at != last {
                continue;
            }
            let found = finder
                .all(&piece)
                .find(|found| !is_signature(&self.squeezed[found.needle].1, &piece[..found.range.start]));
            if let Some(found) = found {
                let before = lines.iter().take_while(|(at, _)| *at <= found.range.start).last();
                let first = line - lines.len();
                let name = self.squeezed[found.needle].1.clone();
                return Some(Leak { name, line: before.map_or(first, |(_, line)| *line) });
            }
            let done = piece.len() - overlap.min(piece.len());
            piece.drain(..done);
            lines.retain_mut(|(at, _)| {
                let stays = *at > done;
                *at = at.saturating_sub(done);
                stays
            });
        }
        None
    }
}

/// Returns a text without its tags, and with the characters that its references and escapes stand for (`&#113;`, `&#x71;`, `%71`,
/// `\\u0071`), on the same lines; `None` where it has none of them.
fn shown(text: &str) -> Option<Vec<u8>> {
    const LONGEST_TAG: usize = 200;
    let (mut made, mut rest, mut changed) = (Vec::new(), text.as_bytes(), false);
    while let Some((first, after)) = rest.split_first() {
        let found = match first {
            b'<' => {
                let tag = after.iter().take(LONGEST_TAG).take_while(|byte| **byte != b'\n');
                let is_tag = after.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"/!".contains(byte));
                tag.clone().position(|byte| *byte == b'>').filter(|_| is_tag).map(|end| (None, end + 1))
            }
            b'&' => {
                let end = after.iter().take(10).position(|byte| *byte == b';');
                end.and_then(|end| Some((reference(&after[..end])?, end + 1)))
            }
            b'%' => after.get(..2).and_then(|digits| Some((Some(number(digits, 16)?), 2))),
            b'\\' if after.first() == Some(&b'u') => {
                after.get(1..5).and_then(|digits| Some((Some(number(digits, 16)?), 5)))
            }
            _ => None,
        };
        let (byte, length) = found.unwrap_or((Some(*first), 0));
        changed |= found.is_some();
        made.extend(byte);
        rest = &after[length..];
    }
    changed.then_some(made)
}

/// Returns what a character reference without `&` and `;` stands for; nothing where that is in no secret.
fn reference(name: &[u8]) -> Option<Option<u8>> {
    match name {
        [b'#', b'x' | b'X', digits @ ..] => Some(number(digits, 16)),
        [b'#', digits @ ..] => Some(number(digits, 10)),
        _ => (!name.is_empty() && name.iter().all(u8::is_ascii_alphanumeric)).then_some(None),
    }
}

/// Returns an ASCII character by its number.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    u8::try_from(number).ok().filter(|byte| byte.is_ascii_graphic())
}

/// Returns whether a session's token belongs to an address that was signed with it, and is of no use for anything
/// else:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.
fn is_signature(name: &str, before: &[u8]) -> bool {
    name == crate::env::vars::AWS_SESSION_TOKEN.name
        && [b"X-Amz-Security-Token=".as_slice(), b"XAmzSecurityToken"]
            .iter()
            .any(|parameter| before.ends_with(parameter))
}

fn squeeze(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_alphanumeric).collect()
}

/// Returns the parts of a value that are secret by themselves: its lines, or the texts of a JSON document whose names
/// say so.
fn parts(value: &str) -> Vec<String> {
    let value = value.trim();
    if let Some(document) = value.starts_with('{').then(|| serde_json::from_str(value).ok()).flatten() {
        let mut found = Vec::new();
        texts(&document, false, &mut found);
        return found;
    }
    if !value.contains(['\n', '\r']) {
        return vec![value.to_owned()];
    }
    // Of a key in PEM only the data; a line with several words is about it.
    let is_data = |line: &&str| line.len() >= SHORTEST_TOKEN && !line.starts_with("-----") && !line.contains(' ');
    value.split(['\n', '\r']).map(str::trim).filter(is_data).map(str::to_owned).collect()
}

fn texts(value: &Value, is_secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => found.extend(parts(text)),
        Value::Array(items) => items.iter().for_each(|item| texts(item, is_secret, found)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| texts(value, is_secret || crate::env::is_secret_name(name), found));
        }
        _ => {}
    }
}

/// Base64 of a text wherever it stands in the encoded bytes (so after `user:` too), and hexadecimal.
fn encoded(text: &str) -> impl Iterator<Item = String> {
    let shifted = |offset: usize| {
        let bytes = [&[0; 2][..offset], text.as_bytes()].concat();
        // Characters that encode bits of other bytes as well are left out.
        let (first, end) = ((offset * 8).div_ceil(6), bytes.len() * 8 / 6);
        [BASE64_STANDARD_NO_PAD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes)]
            .map(|all| all[first..end].to_owned())
    };
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let upper = hex.to_ascii_uppercase();
    (0..3).flat_map(shifted).collect::<Vec<_>>().into_iter().chain([hex, upper])
}

/// Returns all forms of a text.
fn forms(text: &str) -> BTreeSet<String> {
    let json = Value::from(text).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let backslashes: String =
        text.chars().flat_map(|c| ['\\', c].into_iter().skip(usize::from(!c.is_ascii_punctuation()))).collect();
    let (html, old_html) = [("&#39;", "&#34;"), ("&#x27;", "&quot;")]
        .map(|(single, double)| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.replace('\'', single).replace('"', double)
        })
        .into();
    let percent = [NON_ALPHANUMERIC, COMPONENT].map(|set| utf8_percent_encode(text, set).to_string());
    let lower = percent.clone().map(|form| lower_escapes(&form));
    let others = [text.replace('\'', r"'\''"), json.replace('/', r"\/"), json, backslashes, html, old_html];
    let whole = [BASE64_STANDARD.encode(text), text.to_owned()];
    encoded(text).chain(others).chain(percent).chain(lower).chain(whole).collect()
}

/// `%2F` as `%2f`.
fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |lower, part| {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower + "%" + &code.to_ascii_lowercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "ghs_Abc0123456789/+xyzXYZ-é";

    fn secrets(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("REPO_TOKEN", value);
        secrets
    }

    fn line(secrets: &Secrets, text: &str) -> Option<usize> {
        secrets.leak(text.as_bytes()).map(|leak| leak.line)
    }

    #[test]
    fn a_secret_is_found_as_a_browser_shows_it() {
        let mut secrets = Secrets::default();
        secrets.add("REPO_TOKEN", TOKEN);
        let (start, end) = TOKEN.split_at(5);
        let first = TOKEN.as_bytes()[0];
        for text in [
            format!("&#{first};{}", &TOKEN[1..]),
            format!("&#x{first:X};{}", &TOKEN[1..]),
            TOKEN.bytes().map(|byte| format!("&#{byte};")).collect(),
            format!("%{first:02x}{}", &TOKEN[1..]),
            format!("\\u{first:04x}{}", &TOKEN[1..]),
            format!("{start}&shy;{end}"),
            format!("{start}<wbr>{end}"),
            format!("{start}<b class=\"x\"></b>{end}"),
            format!("{start}<!-- a -->{end}"),
        ] {
            let leak = secrets.leak(format!("# <b>x</b>\n\n{text}\n").as_bytes());
            assert_eq!(leak, Some(Leak { name: "REPO_TOKEN".into(), line: 3 }), "{text}");
        }
        assert_eq!(secrets.leak(b"a < b && c; 100% <b>x</b> &amp; \\u00e9"), None);
    }

    #[test]
    fn every_form_is_found_and_blotted_out() {
        let secrets = secrets(TOKEN);
        let base64 = |text: String| BASE64_STANDARD.encode(text);
        let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02X}")).collect();
        let all = [
            TOKEN.to_owned(),
            base64(TOKEN.to_owned()),
            base64(format!("x-access-token:{TOKEN}")),
            base64(format!("oauth2:{TOKEN}\n")),
            base64(format!("u:{TOKEN} and more")),
            BASE64_URL_SAFE_NO_PAD.encode(format!("user:{TOKEN}")),
            "ghs_Abc0123456789%2F%2BxyzXYZ-%C3%A9".to_owned(),
            "ghs%5FAbc0123456789%2f%2bxyzXYZ%2D%c3%a9".replace("%2D", "%2d").replace("%5F", "%5f"),
            Value::from(TOKEN).to_string().replace('/', "\\/"),
            hex.to_lowercase(),
            hex,
        ];
        for form in all {
            let text = format!("one\ntwo {form} end\n");
            assert_eq!(line(&secrets, &text), Some(2), "{text}");
            let safe = secrets.redact(&text);
            assert!(safe.contains("***") && line(&secrets, &safe).is_none(), "{safe}");
        }
    }

    #[test]
    fn what_interrupts_a_secret_does_not_hide_it() {
        let secrets = secrets(TOKEN);
        let wrapped = |text: &str, width: usize| {
            text.as_bytes()
                .chunks(width)
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect::<Vec<_>>()
                .join("\n")
        };
        let base64 = BASE64_STANDARD.encode(format!("export A=1\nexport REPO_TOKEN={TOKEN}\n"));
        for (text, expected) in [
            (wrapped(&base64, 20), 2),
            (format!("a\n\n{}", TOKEN.replace('_', "\\_")), 3),
            (format!("\n{}", TOKEN.chars().map(|c| format!("{c}\0")).collect::<String>()), 2),
            (format!("\n{}", TOKEN.replace("01", "0\u{200b}1")), 2),
            (format!("{}\n{TOKEN}", "x".repeat(3 << 20)).replace("_A", "_\nA"), 2),
        ] {
            assert_eq!(line(&secrets, &text), Some(expected), "{}", &text[text.len() - 80..]);
        }
    }

    #[test]
    fn a_long_text_is_searched_to_its_end() {
        let secrets = secrets(TOKEN);
        let words = "Accuracy: **0.99**, loss 0.01\n".repeat(100_000);
        assert_eq!(line(&secrets, &words), None);
        assert_eq!(line(&secrets, &format!("{words}{TOKEN}")), Some(100_001));
        assert_eq!(line(&secrets, &format!("{words}{}", TOKEN.replace("01", "0 1"))), Some(100_001));
    }

    #[test]
    fn words_are_no_secrets_in_disguise() {
        let secrets = secrets("hunter22");
        assert_eq!(line(&secrets, "hunter 22 hunter-22 HUNTER22"), None);
        assert_eq!(line(&secrets, "a hunter22 b"), Some(1));
        let short = super::Secrets::default();
        assert_eq!(short.redact("text"), "text");
        let mut short = Secrets::default();
        short.add("PIN", "1234");
        short.add("NO", "123");
        assert_eq!((short.redact("123 1234"), line(&short, "1234")), ("123 ***".to_owned(), None));
    }

    #[test]
    fn each_line_of_a_key_and_each_secret_of_a_document_counts() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\r\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n";
        let document = serde_json::json!({ "type": "service_account", "project_id": "my-project", "private_key": pem });
        for value in [pem.to_owned(), document.to_string()] {
            let secrets = secrets(&value);
            for text in ["x MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB", &Value::from(pem).to_string()] {
                assert_eq!(line(&secrets, text), Some(1), "{text}");
            }
            assert_eq!(line(&secrets, "-----BEGIN PRIVATE KEY----- service_account my-project"), None);
        }
    }

    #[test]
    fn the_token_in_a_signed_address_is_part_of_it() {
        let mut secrets = Secrets::default();
        secrets.add("AWS_SESSION_TOKEN", TOKEN);
        let address = format!(
            "https://b.s3.amazonaws.com/x?X-Amz-Security-Token={}&X",
            utf8_percent_encode(TOKEN, NON_ALPHANUMERIC)
        );
        assert_eq!(line(&secrets, &address), None);
        assert_eq!(line(&secrets, &format!("{address}\n{TOKEN}")), Some(2));
    }

    #[test]
    fn secrets_that_overlap_are_blotted_out_together() {
        let mut secrets = Secrets::default();
        for value in ["abcdefgh", "efghijkl", "abcd"] {
            secrets.add("A", value);
        }
        assert_eq!(secrets.redact("-abcdefghijkl-abcd-"), "-***-***-");
    }
}
