//! A report as plain text, for places that show no Markdown.

use super::{dialect, flatten};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// Returns the report's text, a line for each block, item and row; without pictures and HTML.
pub fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut hidden = 0usize;
    for event in Parser::new_ext(&flatten(markdown), dialect()) {
        match event {
            Event::Start(Tag::Image { .. } | Tag::MetadataBlock(_)) => hidden += 1,
            Event::End(TagEnd::Image | TagEnd::MetadataBlock(_)) => hidden = hidden.saturating_sub(1),
            _ if hidden > 0 => {}
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            Event::SoftBreak => text.push(' '),
            Event::Start(Tag::Item) => {
                end_line(&mut text);
                text.push_str("- ");
            }
            Event::TaskListMarker(done) => text.push_str(if done { "[x] " } else { "[ ] " }),
            Event::End(TagEnd::TableCell) => text.push_str(" | "),
            Event::HardBreak | Event::Rule => end_line(&mut text),
            Event::End(TagEnd::TableHead | TagEnd::TableRow) => {
                text.truncate(text.trim_end_matches(" | ").len());
                end_line(&mut text);
            }
            Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item | TagEnd::CodeBlock | TagEnd::HtmlBlock,
            ) => end_line(&mut text),
            _ => {}
        }
    }
    text.trim().to_owned()
}

fn end_line(text: &mut String) {
    text.truncate(text.trim_end().len());
    if !text.is_empty() {
        text.push('\n');
    }
}

/// Returns a text that mentions nobody on any forge and looks the same: after an `@` that would begin a name stands a space
/// without width. For what this program writes from figures, tags and findings; the report itself is the user's own.
pub fn without_mentions(text: &str) -> String {
    let mut quiet = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        quiet.push(c);
        // Within a word it is an address or a version.
        let begins = c == '@' && !before.is_alphanumeric();
        if begins
            && chars.peek().is_some_and(|next| next.is_alphanumeric() || matches!(next, '_' | '.' | '-' | '{' | '"'))
        {
            quiet.push('\u{200b}');
        }
        before = c;
    }
    quiet
}

/// Returns the first so many characters of a text, with `…` where something is left out.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_lines_stay() {
        let report = "# Report\n\nAccuracy: **0.99** and `x`\nmore ![plot](a.png)\n\n- one\n- [x] two\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n<details>html</details>\n\n```\ncode\nlines\n```\n";
        let text = plain(report);
        assert_eq!(text, "Report\nAccuracy: 0.99 and x more\n- one\n- [x] two\na | b\n1 | 2\ncode\nlines");
        assert_eq!(plain("![only](a.png)"), "");
    }

    #[test]
    fn nobody_is_mentioned() {
        assert_eq!(
            without_mentions("@all, (@octo-org/team) @{557058:1}"),
            "@\u{200b}all, (@\u{200b}octo-org/team) @\u{200b}{557058:1}"
        );
        for text in ["me@example.org", "numpy@1.2", "a @ b", "@", ""] {
            assert_eq!(without_mentions(text), text);
        }
        assert_eq!(without_mentions(&without_mentions("@all")), without_mentions("@all"));
    }

    #[test]
    fn what_is_too_long_ends_in_dots() {
        assert_eq!(shorten("äbc", 3), "äbc");
        assert_eq!(shorten("äb cd", 4), "äb…");
    }
}
