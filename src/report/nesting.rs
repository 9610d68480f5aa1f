//! Reports whose quotations and lists are nested without end, made harmless for the parser.
//!
//! The parser looks at every open quotation and list for every line, so that `>` ten thousand times over ten thousand
//! lines takes it minutes. No reader follows so many: the marks beyond are text.

use std::borrow::Cow;

/// How deep quotations, lists and footnotes may stand within each other, in half levels: a mark counts two, as does
/// the indent that a list asks of its next line at least.
const MAX_HALF_LEVELS: usize = 200;

/// Returns the text as the parser gets it: of the same length, and the same where nesting is as people write it.
pub fn flatten(markdown: &str) -> Cow<'_, str> {
    let mut text = String::new();
    let mut copied = 0;
    let mut at = 0;
    for line in markdown.split_inclusive(['\n', '\r']) {
        if line.len() > MAX_HALF_LEVELS / 2 {
            for mark in surplus_marks(line.as_bytes()) {
                text.push_str(&markdown[copied..at + mark]);
                text.push(',');
                copied = at + mark + 1;
            }
        }
        at += line.len();
    }
    match copied {
        0 => Cow::Borrowed(markdown),
        _ => Cow::Owned(text + &markdown[copied..]),
    }
}

/// Returns the bytes of a line that would open one level too many, each an ASCII character.
fn surplus_marks(line: &[u8]) -> Vec<usize> {
    let mut surplus = Vec::new();
    let (mut at, mut half_levels) = (0, 0);
    while let Some(byte) = line.get(at) {
        let (length, weight) = match byte {
            b' ' => (1, 1),
            b'\t' => (1, 4),
            _ => match mark(&line[at..]) {
                Some(length) => (length, 2),
                None => break,
            },
        };
        half_levels += weight;
        if half_levels > MAX_HALF_LEVELS && !byte.is_ascii_whitespace() {
            surplus.push(at + length - 1);
        }
        at += length;
    }
    surplus
}

/// Returns the length of a mark that opens a quotation, an item or a footnote at the start of a text. Its last byte
/// makes it one.
fn mark(text: &[u8]) -> Option<usize> {
    let ends = |at: usize| text.get(at).is_none_or(u8::is_ascii_whitespace);
    match text.first()? {
        b'>' => Some(1),
        b'-' | b'+' | b'*' => ends(1).then_some(1),
        b'[' if text.starts_with(b"[^") => {
            let end = text.iter().position(|b| *b == b']').filter(|end| *end < 1000)?;
            (text.get(end + 1) == Some(&b':')).then_some(end + 2)
        }
        _ => {
            let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
            let is_item =
                (1..10).contains(&digits) && matches!(text.get(digits), Some(b'.' | b')')) && ends(digits + 1);
            is_item.then_some(digits + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_reads_is_changed() {
        let usual = format!("{}a\n\n{}b\n", "> ".repeat(50), "  - ".repeat(10));
        assert!(matches!(flatten(&usual), Cow::Borrowed(_)));
        assert!(matches!(flatten(&format!("{}\n", "-".repeat(1000))), Cow::Borrowed(_)), "a line, not an item");
        for mark in [">", "> ", "- ", "1. ", "> - ", "[^a]: ", "\t* "] {
            let text = format!("é\r\n{}結\n", mark.repeat(500));
            let flat = flatten(&text);
            assert_eq!(flat.len(), text.len());
            let depth = |text: &str| {
                let (mut depth, mut most) = (0usize, 0);
                for event in pulldown_cmark::Parser::new_ext(text, crate::report::dialect()) {
                    match event {
                        pulldown_cmark::Event::Start(_) => depth += 1,
                        pulldown_cmark::Event::End(_) => depth -= 1,
                        _ => {}
                    }
                    most = most.max(depth);
                }
                most
            };
            assert!(depth(&flat) <= MAX_HALF_LEVELS + 2, "{mark}: {}", depth(&flat));
            assert!(flat.starts_with("é\r\n") && flat.ends_with("結\n"), "{mark}");
        }
    }
}
