//! Sections: the parts of one comment that several jobs own.
//!
//! A section stands between two lines that are link definitions, which every forge hides (Bitbucket shows
//! HTML comments): `[cml-section]: # "begin NAME"` and `[cml-section]: # "end NAME"`. What stands outside of
//! all sections is the text of writers that name none.

use super::isolate::{closed, scoped};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

const MARK: &str = "[cml-section]: # \"";

/// A comment's text, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections {
    /// What stands outside of the sections.
    pub text: String,
    /// The sections by name.
    pub named: BTreeMap<String, String>,
}

impl Sections {
    /// Takes a body apart. A section without its end reaches to the next mark.
    pub fn parse(body: &str) -> Self {
        let mut sections = Sections::default();
        let mut current: Option<(String, Vec<&str>)> = None;
        let mut outside: Vec<&str> = Vec::new();
        for line in body.lines() {
            match read(line) {
                Some(("begin", name)) => {
                    sections.close(current.take());
                    current = Some((name, Vec::new()));
                }
                Some(_) => sections.close(current.take()),
                None => match &mut current {
                    Some((_, lines)) => lines.push(line),
                    None => outside.push(line),
                },
            }
        }
        sections.close(current);
        sections.text = tidy(&outside);
        sections
    }

    fn close(&mut self, section: Option<(String, Vec<&str>)>) {
        if let Some((name, lines)) = section {
            self.named.insert(name, tidy(&lines));
        }
    }

    /// Puts the body together again; sections in the order of their names, numbers by value.
    pub fn compose(&self) -> String {
        let mut blocks: Vec<String> = Vec::new();
        if !self.text.is_empty() {
            blocks.push(closed(&self.text).into_owned());
        }
        let mut names: Vec<_> = self.named.iter().collect();
        names.sort_by(|(a, _), (b, _)| natural(a).cmp(&natural(b)).then(a.cmp(b)));
        for (name, text) in names {
            let name = encode(name);
            blocks.push(format!("{MARK}begin {name}\"\n\n{}\n\n{MARK}end {name}\"", closed(text)));
        }
        blocks.join("\n\n")
    }

    /// Returns whether there is any section.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

/// Refuses a text that would be taken for a section's mark.
pub fn check(text: &str) -> Result<()> {
    match text.lines().position(|line| line.starts_with(MARK)) {
        None => Ok(()),
        Some(line) => Err(Error::usage(format!("line {} of the report looks like a section marker", line + 1))
            .hint("remove the line that begins with [cml-section]: cml uses such lines to tell sections apart")),
    }
}

/// Returns a section's text in a form that leaves nothing open and whose labels are its own.
pub fn alone(name: &str, text: &str) -> String {
    // White space at the end may decide what the text leaves open: it goes first.
    normal(&closed(&scoped(&normal(text), name)))
}

/// Returns the text as it comes back when a body with it is taken apart.
pub fn normal(text: &str) -> String {
    tidy(&text.lines().collect::<Vec<_>>())
}

/// Lines as a text without blank lines around it.
fn tidy(lines: &[&str]) -> String {
    // Python's text mode on Windows ends lines with two carriage returns.
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches('\r')).collect();
    lines.join("\n").trim_start_matches('\n').trim_end().to_owned()
}

fn read(line: &str) -> Option<(&str, String)> {
    let (verb, name) = line.trim_end().strip_prefix(MARK)?.strip_suffix('"')?.split_once(' ')?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?.into_owned();
    matches!(verb, "begin" | "end").then_some((verb, name))
}

/// Only what needs no escape in a Markdown title on any forge.
fn encode(name: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b' ')
        .remove(b'.')
        .remove(b'-')
        .remove(b'/')
        .remove(b',')
        .remove(b'=');
    percent_encoding::utf8_percent_encode(name, KEEP).to_string()
}

/// Returns a key that sorts `py3.9` before `py3.10`: words and the numbers after them.
fn natural(name: &str) -> Vec<(&str, u64)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(digits);
        let (number, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len()));
        key.push((word, number.parse().unwrap_or(u64::MAX)));
        rest = tail;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sorts_as_people_do() {
        let mut sections = Sections { text: "intro".into(), ..Default::default() };
        for name in ["py3.10", "py3.9", "a b"] {
            sections.named.insert(name.into(), format!("of {name}"));
        }
        let body = sections.compose();
        let order: Vec<_> = ["intro", "of a b", "of py3.9", "of py3.10"].iter().map(|t| body.find(t)).collect();
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{body}");
    }

    #[test]
    fn a_text_with_doubled_carriage_returns_is_found_again() {
        let text = normal("a\r\r\nb\r\r\r\n\r\nc\r\n");
        assert_eq!(normal(&text), text);
        let sections = Sections { named: [("x".to_owned(), text)].into(), ..Sections::default() };
        assert_eq!(Sections::parse(&sections.compose()), sections);
    }

    #[test]
    fn a_section_is_closed_once() {
        for text in ["<tr\u{b}", "```\nx\u{b}", "<div>\u{a0}"] {
            let sections = Sections { named: [("x".to_owned(), alone("x", text))].into(), ..Sections::default() };
            assert_eq!(Sections::parse(&sections.compose()), sections);
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart(text in "[^\\[\r]{0,40}", names in proptest::collection::btree_map("\\PC{1,12}", "[^\\[\r]{0,40}", 0..5)) {
            let named = names.into_iter().map(|(n, t)| (n, normal(&closed(&t)))).collect();
            let sections = Sections { text: normal(&closed(&text)), named };
            prop_assert_eq!(Sections::parse(&sections.compose()), sections);
        }
    }
}
