//! A long report in several comments, or cut to one.
//!
//! Cuts fall between blocks. A block that alone is too long is cut inside: tables repeat their header, code
//! its fences, `<details>` its summary. Link and footnote definitions are repeated where they are used.

use super::dialect;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use std::ops::Range;

/// The length of a text as the forges may count it: UTF-16 units, which are never fewer than characters.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The report in parts of at most `max` units each; a short one in one part, unchanged.
pub fn split(markdown: &str, max: usize) -> Vec<String> {
    if length(markdown) <= max {
        return vec![markdown.to_owned()];
    }
    let definitions = definitions(markdown);
    let reserve: usize = definitions.iter().map(|d| length(&d.text) + 2).sum();
    let reserve = if reserve <= max / 4 { reserve } else { 0 };
    let mut packer = Packer { max: max - reserve, room: 0, parts: Vec::new() };
    for block in blocks(markdown) {
        packer.add_block(markdown, block);
    }
    let mut parts = packer.parts;
    parts.retain(|part| !part.trim().is_empty());
    for part in &mut parts {
        repeat_definitions(part, &definitions, max);
    }
    parts
}

/// The beginning of the report, at most `max` units with the `note` that ends it.
pub fn truncate(markdown: &str, max: usize, note: &str) -> String {
    if length(markdown) <= max {
        return markdown.to_owned();
    }
    let room = max.saturating_sub(length(note) + 2);
    let first = split(markdown, room).into_iter().next().unwrap_or_default();
    format!("{first}\n\n{note}")
}

/// A block of the report: its text, and how it may be cut.
struct Block {
    range: Range<usize>,
    cut: Cut,
}

#[derive(Clone, PartialEq)]
enum Cut {
    /// Between lines.
    Lines,
    /// Between rows, repeating the header.
    Rows,
    /// Between lines, repeating the fence.
    Code,
    /// Inside `<details>`, repeating the block that opens it.
    Details(Range<usize>),
}

/// The top-level blocks, each with the white space and definitions after it; `<details>` to `</details>` is
/// one block.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut depth = 0usize;
    let mut details = 0isize;
    for (event, range) in Parser::new_ext(markdown, dialect()).into_offset_iter() {
        if depth == 0 && !matches!(event, Event::End(_)) {
            let before = details;
            let cut = match &event {
                Event::Start(Tag::Table(_)) => Cut::Rows,
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => Cut::Code,
                Event::Start(Tag::HtmlBlock) => {
                    let html = markdown[range.clone()].to_ascii_lowercase();
                    details += html.matches("<details").count() as isize - html.matches("</details").count() as isize;
                    if details > 0 { Cut::Details(range.clone()) } else { Cut::Lines }
                }
                _ => Cut::Lines,
            };
            if before <= 0 {
                details = details.max(0);
                blocks.push(Block { range, cut });
            }
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let starts: Vec<usize> = blocks.iter().skip(1).map(|b| b.range.start).chain([markdown.len()]).collect();
    for (block, end) in blocks.iter_mut().zip(starts) {
        block.range.end = end;
    }
    match blocks.first_mut() {
        Some(first) => first.range.start = 0,
        None => blocks.push(Block { range: 0..markdown.len(), cut: Cut::Lines }),
    }
    blocks
}

/// Fills parts one after the other.
struct Packer {
    max: usize,
    /// What still fits into the last part.
    room: usize,
    parts: Vec<String>,
}

impl Packer {
    fn add_block(&mut self, markdown: &str, block: Block) {
        let Block { range, cut } = block;
        let text = &markdown[range.clone()];
        if length(text) <= self.max {
            return self.add(text);
        }
        match cut {
            Cut::Lines => self.add_lines(text, 0, ""),
            Cut::Rows => self.add_lines(text, 2, ""),
            Cut::Code => {
                let fence: String = text.trim_start().chars().take_while(|c| matches!(c, '`' | '~')).collect();
                let body = text.trim_end().strip_suffix(fence.as_str()).unwrap_or(text);
                self.add_lines(body, 1, &format!("{fence}\n\n"));
            }
            Cut::Details(opening) => {
                let head = format!("{}\n\n", markdown[range.start..opening.end].trim_end());
                let body = &markdown[opening.end..range.end];
                let (body, tail) = body.rfind("</details").map_or((body, "</details>\n"), |at| body.split_at(at));
                let room = self.max.saturating_sub(length(&head) + length(tail) + 4);
                for part in split(body, room.max(self.max / 4)) {
                    self.add(&format!("{head}{}\n\n{}\n\n", part.trim_matches('\n'), tail.trim_end()));
                }
            }
        }
    }

    /// Adds a text line by line; its first `head` lines and the `tail` are in every part.
    fn add_lines(&mut self, text: &str, head: usize, tail: &str) {
        let mut lines = text.split_inclusive('\n');
        let head: String = lines.by_ref().take(head).collect();
        let frame = length(&head) + length(tail);
        let mut piece = head.clone();
        let (mut size, mut filled) = (frame, false);
        // The beginning goes into the part before when there is room for more than a few lines of it.
        let mut room = if self.room > self.max / 4 { self.room } else { self.max };
        for line in lines {
            let more = length(line);
            if filled && size + more > room {
                self.add(&format!("{piece}{tail}"));
                piece.clone_from(&head);
                (size, room) = (frame, self.max);
            }
            piece.push_str(line);
            size += more;
            filled = true;
        }
        self.add(&format!("{piece}{tail}"));
    }

    /// Adds a piece to the last part where it fits, else to a new one; a piece that is too long for any is
    /// cut anywhere, at a space where there is one.
    fn add(&mut self, piece: &str) {
        let mut rest = piece;
        let mut size = length(piece);
        while size > self.max {
            let joins = self.room > self.max / 4;
            let limit = if joins { self.room } else { self.max };
            let mut units = 0;
            let end = rest.char_indices().find_map(|(at, c)| {
                units += c.len_utf16();
                (units > limit).then_some(at)
            });
            let end = end.filter(|end| *end > 0).unwrap_or_else(|| rest.chars().next().map_or(0, char::len_utf8));
            let space = rest[..end].char_indices().rfind(|(at, c)| *at > end / 2 && c.is_whitespace());
            let end = space.map_or(end, |(at, c)| at + c.len_utf8());
            match self.parts.last_mut().filter(|_| joins) {
                Some(part) => part.push_str(&rest[..end]),
                None => self.parts.push(rest[..end].to_owned()),
            }
            self.room = 0;
            size -= length(&rest[..end]);
            rest = &rest[end..];
        }
        match self.parts.last_mut() {
            Some(part) if size <= self.room => {
                part.push_str(rest);
                self.room -= size;
            }
            _ => {
                self.parts.push(rest.to_owned());
                self.room = self.max.saturating_sub(size);
            }
        }
    }
}

/// A link or footnote definition.
struct Definition {
    text: String,
    mention: String,
}

fn definitions(markdown: &str) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut events = Parser::new_ext(markdown, dialect()).into_offset_iter();
    for (event, range) in events.by_ref() {
        if let Event::Start(Tag::FootnoteDefinition(label)) = event {
            let text = markdown[range].trim_end().to_owned();
            found.push(Definition { text, mention: format!("[^{}]", label.to_lowercase()) });
        }
    }
    for (label, definition) in events.reference_definitions().iter() {
        if let Some(text) = markdown.get(definition.span.clone()) {
            found.push(Definition { text: text.trim().to_owned(), mention: format!("[{}]", label.to_lowercase()) });
        }
    }
    found.sort_by(|a, b| a.mention.cmp(&b.mention));
    found
}

fn repeat_definitions(part: &mut String, definitions: &[Definition], max: usize) {
    let text = part.to_lowercase();
    let mut first = true;
    for definition in definitions {
        let needed = text.contains(&definition.mention) && !part.contains(&definition.text);
        if needed && length(part) + length(&definition.text) + 2 <= max {
            part.truncate(part.trim_end().len());
            part.push_str(if first { "\n\n" } else { "\n" });
            part.push_str(&definition.text);
            first = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_table_repeats_its_header() {
        let rows: String = (0..200).map(|n| format!("| {n} | {} |\n", n * n)).collect();
        let text = format!(
            "# Results\n\n| n | square |\n|--:|---:|\n{rows}\nThe end. See [docs].\n\n[docs]: https://example.org\n"
        );
        let parts = split(&text, 800);
        assert!(parts.len() > 2);
        for part in &parts {
            assert!(length(part) <= 800);
            assert!(part.contains("| n | square |\n|--:|---:|\n| ") || part.starts_with("The end"), "{part}");
        }
        for n in 0..200 {
            assert_eq!(parts.iter().filter(|p| p.contains(&format!("\n| {n} |"))).count(), 1, "row {n}");
        }
    }

    #[test]
    fn code_and_details_are_closed_and_opened_again() {
        let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let text = format!(
            "```diff\n{lines}```\n\n<details><summary>More</summary>\n\n{lines}\n</details>\n\nbye[^1]\n\n[^1]: note\n"
        );
        for part in split(&text, 400) {
            assert_eq!(part.matches("```").count() % 2, 0, "{part}");
            assert_eq!(part.matches("<details>").count(), part.matches("</details>").count(), "{part}");
            assert!(length(&part) <= 400);
        }
    }

    #[test]
    fn definitions_follow_their_uses() {
        let filler = "word ".repeat(60);
        let text = format!("[a][x] and[^n]\n\n{filler}\n\n{filler}\n\n[x]: https://example.org\n\n[^n]: a note\n");
        let parts = split(&text, 400);
        assert!(parts[0].contains("[x]: https://example.org") && parts[0].contains("[^n]: a note"), "{parts:?}");
    }

    #[test]
    fn large_reports_take_time_in_proportion() {
        // Quadratic work would take minutes here.
        let rows: String = (0..60_000).map(|n| format!("| {n} | x |\n")).collect();
        let text = format!("| a | b |\n|---|---|\n{rows}\n{}", "para\n\n".repeat(100_000));
        assert_eq!(split(&text, 1_000_000).len(), 2);
    }

    proptest! {
        #[test]
        fn plain_text_is_cut_without_loss(text in "([a-zé🎉]{1,30}[ \n]{1,2}){0,80}", max in 20usize..400) {
            let parts = split(&text, max);
            prop_assert!(parts.iter().all(|p| length(p) <= max));
            let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>().concat();
            prop_assert_eq!(words(&parts.concat()), words(&text));
        }

        #[test]
        fn no_text_makes_it_fail(text in "\\PC{0,300}|(([|`~<>#*\\-\\[\\]: a\n]|details|```\n|\\| a \\|\n){0,200})", max in 16usize..300) {
            let parts = split(&text, max);
            prop_assert!(parts.iter().all(|p| length(p) <= max), "{:?}", parts);
            prop_assert!(length(&truncate(&text, max.max(30), "cut")) <= max.max(30));
        }
    }
}
