//! Places of a report that look like an image or a link and are none to Markdown. Pure.

use super::dialect;
use pulldown_cmark::{Event, Parser, Tag};
use std::ops::Range;

/// `[text](an address with blanks)`, which Markdown shows as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The bytes of the address in the report.
    pub range: Range<usize>,
    /// The address.
    pub address: String,
    /// Whether it was to be shown.
    pub is_image: bool,
}

impl Mistake {
    /// Returns the same as Markdown takes it.
    pub fn corrected(&self) -> String {
        format!("<{}>", self.address)
    }
}

/// Addresses with blanks in them that Markdown does not take, in order. Code and HTML are left alone.
pub fn addresses_with_blanks(markdown: &str) -> Vec<Mistake> {
    // Mostly there is none, and the parser need not run.
    let mut candidates = candidates(markdown).peekable();
    if candidates.peek().is_none() {
        return Vec::new();
    }
    let mut covered: Vec<Range<usize>> = Vec::new();
    for (event, range) in Parser::new_ext(markdown, dialect()).into_offset_iter() {
        let is_taken = matches!(
            event,
            Event::Code(_)
                | Event::InlineHtml(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::Start(Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::Image { .. } | Tag::Link { .. })
        );
        if is_taken && covered.last().is_none_or(|last| last.end <= range.start) {
            covered.push(range);
        }
    }
    let is_free = |mistake: &Mistake| {
        let at = covered.partition_point(|range| range.end <= mistake.range.start);
        covered.get(at).is_none_or(|range| range.start >= mistake.range.end)
    };
    candidates.filter(is_free).collect()
}

/// No text or address of a link is looked for further than this.
const REACH: usize = 1000;

/// Returns what stands between `](` and `)` on a line and has blanks, but no title.
fn candidates(markdown: &str) -> impl Iterator<Item = Mistake> {
    markdown.match_indices("](").filter_map(|(at, opening)| {
        let start = at + opening.len();
        let near = &markdown[start..markdown.floor_char_boundary(start + REACH)];
        let length = near.find([')', '\n']).filter(|end| near[*end..].starts_with(')'))?;
        let address = near[..length].trim();
        let has_title = address.ends_with(['"', '\'']) || address.starts_with('<');
        if has_title || !address.contains([' ', '\t']) {
            return None;
        }
        let before = &markdown[markdown.ceil_char_boundary(at.saturating_sub(REACH))..at];
        let label = before.rfind(['[', '\n']).filter(|label| before[*label..].starts_with('['))?;
        let start = start + (length - near[..length].trim_start().len());
        Some(Mistake {
            range: start..start + address.len(),
            address: address.to_owned(),
            is_image: before[..label].ends_with('!'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_blanks_are_found_and_nothing_else() {
        let found = |text: &str| {
            let found = addresses_with_blanks(text).into_iter();
            found.map(|mistake| (mistake.address, mistake.is_image)).collect::<Vec<_>>()
        };
        for (text, address, is_image) in [
            ("![x](my plots/a.png)", "my plots/a.png", true),
            ("a [m](my model.pkl) b", "my model.pkl", false),
            ("| a |\n|---|\n| ![x]( my plots/ä.png ) |\n", "my plots/ä.png", true),
            ("> - ![](a b.png)", "a b.png", true),
        ] {
            assert_eq!(found(text), [(address.to_owned(), is_image)], "{text}");
        }
        for text in [
            "![x](<my plots/a.png>) ![x](my%20plots/a.png) ![x](a.png \"my title\") ![x](a.png 'b') ![x]( a.png )",
            "`![x](my plots/a.png)`\n\n```\n![x](my plots/a.png)\n```\n\n    ![x](my plots/a.png)\n",
            "<!-- ![x](my plots/a.png) -->\n",
            "f](x y) and ](x y)\n",
            "[x](a b\nc)",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        let text = "ä ![x]( my a.png )";
        let mistake = &addresses_with_blanks(text)[0];
        assert_eq!((&text[mistake.range.clone()], &*mistake.corrected()), ("my a.png", "<my a.png>"));
    }
}
