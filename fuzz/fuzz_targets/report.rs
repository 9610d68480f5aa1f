//! A report: its addresses, the same with other ones, its parts, its text and its preview.
#![no_main]

use cml::forge::local::page;
use cml::report::split::{self, ReportLimits, Unit};
use cml::report::{flatten, plain, references, rewrite};
use libfuzzer_sys::fuzz_target;

const NEW: &str = "https://example.org/new.png";

fuzz_target!(|data: (u8, &str)| {
    let (size, text) = data;
    assert_eq!(flatten(text).len(), text.len());
    rewritten(text);
    parts(text, 40 + usize::from(size));
    assert!(plain::plain(text).len() <= text.len() * 4 + 16);
    preview(text);
});

/// Every byte outside of the addresses stays, and what was replaced is found again.
fn rewritten(text: &str) {
    let found = references(text);
    assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start), "addresses overlap");
    let replacements: Vec<_> = found.iter().map(|r| (r.range.clone(), NEW.to_owned())).collect();
    let new = rewrite(text, &replacements);
    let removed: usize = found.iter().map(|r| r.range.len()).sum();
    assert_eq!(new.len(), text.len() - removed + found.len() * NEW.len());
    assert_eq!(rewrite(text, &[]), text);
}

/// Parts are short enough, and in all not much longer than the report.
fn parts(text: &str, max: usize) {
    let limits = ReportLimits { parts: 2, part: max, unit: Unit::Utf16 };
    let parts = split::split(text, limits);
    assert!(parts.iter().all(|part| split::length(part) <= max), "{parts:?}");
    let total: usize = parts.iter().map(|part| split::length(part)).sum();
    assert!(total <= split::length(text) * 6 + max, "{total}");
    let cut = split::limit(parts, limits, "cut");
    assert!(cut.len() <= 2 && cut.iter().all(|part| split::length(part) <= max), "{cut:?}");
}

/// The box is closed, and nothing in it runs.
fn preview(text: &str) {
    let shown =
        page::Shown { anchor: "a".into(), about: "b", created: "c", edited: None, body: text, earlier: Vec::new(), hidden: false };
    let html = page::comment(&shown, &page::Dialect::new(None));
    assert!(html.len() <= text.len() * 200 + 1000, "{}", html.len());
    for element in ["article", "section", "aside", "header", "div", "table", "details", "a", "b"] {
        let starts = html.matches(&format!("<{element}>")).count() + html.matches(&format!("<{element} ")).count();
        assert_eq!(starts, html.matches(&format!("</{element}>")).count(), "{element}: {html}");
    }
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        assert!(
            !["script", "style", "iframe", "object", "embed", "base", "link", "meta", "form", "svg"].contains(&name)
        );
        // A value is in double quotes, which are nowhere else in a tag.
        for (at, piece) in tag.split('"').enumerate() {
            let name = piece.trim_end_matches('=').rsplit(' ').next().unwrap_or_default();
            assert!(at % 2 == 1 || !(name.starts_with("on") || name == "style"), "{tag}");
        }
        let address = tag.split(" href=\"").nth(1).map(|rest| rest.split('"').next().unwrap_or_default());
        let allowed = ["#", "http://", "https://", "mailto:", "files/"];
        assert!(address.is_none_or(|a| allowed.iter().any(|b| a.to_ascii_lowercase().starts_with(b))), "{tag}");
    }
}
