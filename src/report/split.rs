//! A long report in several comments, or cut to one.
//!
//! Cuts fall between blocks. A block that alone is too long is cut inside: tables repeat their header, code
//! its fences, `<details>` its summary. Link and footnote definitions are repeated where they are used. A part leaves nothing open:
//! what follows it, its number or a note, is never inside its code or HTML.
//!
//! The work and the length of the result are in proportion to the report's length: what is repeated takes a quarter of
//! a part at most, and `<details>` are taken apart to a small depth.

use super::isolate::closed;
use super::{dialect, flatten};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// `<details>` within so many others are cut as any other text.
const MAX_DETAILS: usize = 4;

/// What is counted where a text may be so long only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// UTF-16 units: never fewer than characters, whatever those are taken for.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

impl Unit {
    /// Returns the length of a text.
    pub fn length(self, text: &str) -> usize {
        match self {
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Bytes => text.len(),
        }
    }

    fn width(self, c: char) -> usize {
        match self {
            Unit::Utf16 => c.len_utf16(),
            Unit::Bytes => c.len_utf8(),
        }
    }
}

/// Returns the length of a text as the forges may count it: UTF-16 units, which are never fewer than characters.
pub fn length(text: &str) -> usize {
    Unit::Utf16.length(text)
}

/// How much of a report there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportLimits {
    /// In how many parts.
    pub parts: usize,
    /// Longest part, in `unit`.
    pub part: usize,
    /// What the forge counts.
    pub unit: Unit,
}

/// Returns the report in parts of the length that there is room for, however many; a short one in one part, unchanged.
pub fn split(markdown: &str, ReportLimits { part: max, unit, .. }: ReportLimits) -> Vec<String> {
    if unit.length(markdown) <= max && unit.length(&closed(markdown)) <= max {
        return vec![markdown.to_owned()];
    }
    let definitions = Definitions::new(markdown);
    let reserve: usize = definitions.texts.iter().map(|text| unit.length(text) + 2).sum();
    let reserve = if reserve <= max / 4 { reserve } else { 0 };
    let room = max - reserve;
    let mut parts: Vec<String> = split_blocks(markdown, room, MAX_DETAILS, unit)
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| closed_within(part, room, unit))
        .collect();
    for part in &mut parts {
        definitions.repeat(part, max, unit);
    }
    parts
}

/// Returns a part with everything closed that it leaves open: in smaller parts where that takes more room than there is, and as it is
/// where not even an eighth is enough.
fn closed_within(part: String, max: usize, unit: Unit) -> Vec<String> {
    if let Some(whole) = closed_if_fits(&part, max, unit) {
        return vec![whole];
    }
    let pieces = split_blocks(&part, max - max / 8, MAX_DETAILS, unit);
    let kept = pieces.into_iter().filter(|piece| !piece.trim().is_empty());
    kept.map(|piece| closed_if_fits(&piece, max, unit).unwrap_or(piece)).collect()
}

fn closed_if_fits(text: &str, max: usize, unit: Unit) -> Option<String> {
    Some(closed(text).into_owned()).filter(|text| unit.length(text) <= max)
}

/// Returns the text in parts without anything added to them but what their blocks repeat.
fn split_blocks(markdown: &str, max: usize, details: usize, unit: Unit) -> Vec<String> {
    let mut packer = Packer { unit, max, room: 0, parts: Vec::new(), details };
    for block in blocks(markdown) {
        packer.add_block(markdown, block);
    }
    packer.parts
}

/// Returns the beginning of the report, at most `max` units with the `note` that ends it.
pub fn truncate(markdown: &str, max: usize, note: &str) -> String {
    if length(markdown) <= max {
        return markdown.to_owned();
    }
    ended(markdown, ReportLimits { parts: 1, part: max, unit: Unit::Utf16 }, note)
}

/// Returns as many of a report's parts as there is room for, the last with the `note` that ends them.
pub fn limit(mut parts: Vec<String>, room: ReportLimits, note: &str) -> Vec<String> {
    parts.truncate(room.parts);
    if let Some(last) = parts.last_mut() {
        *last = ended(last, room, note);
    }
    parts
}

/// Returns the beginning of a text with the `note` that ends it.
fn ended(text: &str, room: ReportLimits, note: &str) -> String {
    let part = room.part.saturating_sub(room.unit.length(note) + 2);
    let first = split(text, ReportLimits { part, ..room }).into_iter().next().unwrap_or_default();
    let first = closed_if_fits(&first, part, room.unit).unwrap_or(first);
    format!("{}\n\n{note}", first.trim_end())
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

/// Returns the top-level blocks, each with the white space and definitions after it; `<details>` to `</details>` is
/// one block.
fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut depth = 0usize;
    let mut details = 0isize;
    for (event, range) in Parser::new_ext(&flatten(markdown), dialect()).into_offset_iter() {
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
    unit: Unit,
    max: usize,
    /// What still fits into the last part.
    room: usize,
    parts: Vec<String>,
    /// How deep `<details>` are still taken apart.
    details: usize,
}

impl Packer {
    fn add_block(&mut self, markdown: &str, block: Block) {
        let Block { range, cut } = block;
        let text = &markdown[range.clone()];
        if self.unit.length(text) <= self.max {
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
            Cut::Details(opening) => self.add_details(markdown, range, opening),
        }
    }

    fn add_details(&mut self, markdown: &str, block: Range<usize>, opening: Range<usize>) {
        let head = format!("{}\n\n", markdown[block.start..opening.end].trim_end());
        let body = &markdown[opening.end..block.end];
        let (body, tail) = body.rfind("</details").map_or((body, "</details>\n"), |at| body.split_at(at));
        let frame = self.unit.length(&head) + self.unit.length(tail) + 4;
        if self.details == 0 || frame > self.max / 4 {
            return self.add_lines(&markdown[block], 0, "");
        }
        for part in split_blocks(body, self.max - frame, self.details - 1, self.unit) {
            if !part.trim().is_empty() {
                self.add(&format!("{head}{}\n\n{}\n\n", part.trim_matches('\n'), tail.trim_end()));
            }
        }
    }

    /// Adds a text line by line; its first `head` lines and the `tail` are in every part.
    fn add_lines(&mut self, text: &str, head: usize, tail: &str) {
        let repeated: usize = text.split_inclusive('\n').take(head).map(str::len).sum();
        let frame = self.unit.length(&text[..repeated]) + self.unit.length(tail);
        // A frame that leaves no room is not repeated.
        let (head, tail, frame) = if frame <= self.max / 4 { (&text[..repeated], tail, frame) } else { ("", "", 0) };
        let lines = text[head.len()..].split_inclusive('\n');
        let mut piece = head.to_owned();
        let (mut size, mut filled) = (frame, false);
        // The beginning goes into the part before when there is room for more than a few lines of it.
        let mut room = if self.room > self.max / 4 { self.room } else { self.max };
        for line in lines {
            let more = self.unit.length(line);
            if filled && size + more > room {
                self.add(&format!("{piece}{tail}"));
                head.clone_into(&mut piece);
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
        let mut size = self.unit.length(piece);
        while size > self.max {
            let joins = self.room > self.max / 4;
            let limit = if joins { self.room } else { self.max };
            let mut units = 0;
            let end = rest.char_indices().find_map(|(at, c)| {
                units += self.unit.width(c);
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
            size -= self.unit.length(&rest[..end]);
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

/// The definitions of links and footnotes.
struct Definitions {
    /// Each as it stands in the report, in the order of their mentions.
    texts: Vec<String>,
    /// Which of them a mention such as `[label]` or `[^1]` means: the first of several.
    by_mention: HashMap<String, usize>,
}

impl Definitions {
    fn new(markdown: &str) -> Self {
        let mut found: Vec<(String, String)> = Vec::new();
        let flat = flatten(markdown);
        let mut events = Parser::new_ext(&flat, dialect()).into_offset_iter();
        for (event, range) in events.by_ref() {
            if let Event::Start(Tag::FootnoteDefinition(label)) = event {
                found.push((mention(&format!("[^{label}]")), markdown[range].trim_end().to_owned()));
            }
        }
        for (label, definition) in events.reference_definitions().iter() {
            if let Some(text) = markdown.get(definition.span.clone()) {
                found.push((mention(&format!("[{label}]")), text.trim().to_owned()));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.dedup_by(|a, b| a.0 == b.0);
        let mut definitions = Definitions { texts: Vec::new(), by_mention: HashMap::new() };
        for (mention, text) in found {
            definitions.by_mention.insert(mention, definitions.texts.len());
            definitions.texts.push(text);
        }
        definitions
    }

    /// Repeats at the end of a part the definitions of what it mentions, as long as there is room.
    fn repeat(&self, part: &mut String, max: usize, unit: Unit) {
        if self.texts.is_empty() {
            return;
        }
        let mut wanted: Vec<usize> =
            mentions(part).filter_map(|mention| self.by_mention.get(&mention).copied()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let own: HashSet<&str> = part.lines().map(str::trim).collect();
        let is_there = |text: &str| text.lines().next().is_some_and(|first| own.contains(first.trim()));
        wanted.retain(|at| !is_there(&self.texts[*at]));
        let mut room = max.saturating_sub(unit.length(part.trim_end()));
        let mut before = "\n\n";
        for text in wanted.into_iter().map(|at| &self.texts[at]) {
            let needed = unit.length(text) + before.len();
            if needed <= room {
                part.truncate(part.trim_end().len());
                part.push_str(before);
                part.push_str(text);
                room -= needed;
                before = "\n";
            }
        }
    }
}

/// Returns a mention as all that mean the same are written.
fn mention(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Returns all that stands in innermost brackets, with them.
fn mentions(text: &str) -> impl Iterator<Item = String> {
    let mut open = None;
    let mut escaped = false;
    text.char_indices().filter_map(move |(at, c)| match c {
        _ if std::mem::take(&mut escaped) => None,
        '\\' => {
            escaped = true;
            None
        }
        '[' => {
            open = Some(at);
            None
        }
        ']' => open.take().map(|open| mention(&text[open..=at])),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(part: usize) -> ReportLimits {
        ReportLimits { parts: usize::MAX, part, unit: Unit::Utf16 }
    }

    fn bytes(part: usize) -> ReportLimits {
        ReportLimits { unit: Unit::Bytes, ..units(part) }
    }
    use proptest::prelude::*;

    #[test]
    fn a_long_table_repeats_its_header() {
        let rows: String = (0..200).map(|n| format!("| {n} | {} |\n", n * n)).collect();
        let text = format!(
            "# Results\n\n| n | square |\n|--:|---:|\n{rows}\nThe end. See [docs].\n\n[docs]: https://example.org\n"
        );
        let parts = split(&text, units(800));
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
        for part in split(&text, units(400)) {
            assert_eq!(part.matches("```").count() % 2, 0, "{part}");
            assert_eq!(part.matches("<details>").count(), part.matches("</details>").count(), "{part}");
            assert!(length(&part) <= 400);
        }
    }

    #[test]
    fn what_follows_a_part_is_outside_of_its_elements() {
        let lines = "line\n\n".repeat(100);
        for text in
            [format!("<div><b>\n\n{lines}</b></div>\n"), format!(">>>\n{lines}>>>\n"), format!("<!--\n{lines}-->\n")]
        {
            for part in split(&text, units(200)) {
                assert!(length(&part) <= 200 && closed(&part) == part, "{part}");
            }
            let cut = truncate(&text, 200, "cut");
            assert!(length(&cut) <= 200 && closed(&cut) == cut && cut.ends_with("\n\ncut"), "{cut}");
        }
        let full = format!("<div>\n\n{}", "a".repeat(191));
        assert_eq!(split(&full, units(198)).len(), 2, "with its end tag it is too long");
        assert_eq!(split(&full, units(206)), [full]);
    }

    #[test]
    fn definitions_follow_their_uses() {
        let filler = "word ".repeat(60);
        let text = format!("[a][x] and[^n]\n\n{filler}\n\n{filler}\n\n[x]: https://example.org\n\n[^n]: a note\n");
        let parts = split(&text, units(400));
        assert!(parts[0].contains("[x]: https://example.org") && parts[0].contains("[^n]: a note"), "{parts:?}");
    }

    #[test]
    fn the_parts_are_in_proportion_to_the_report() {
        let lines = "line\n".repeat(5_000);
        let long = "a".repeat(900);
        for text in [
            format!("| {long} | b |\n|---|---|\n{}", "| c | d |\n".repeat(5_000)),
            format!("```{long}\n{lines}```\n"),
            format!("<details><summary>{long}</summary>\n\n{lines}</details>\n"),
            format!("{}{lines}", "<details>\n\n".repeat(2_000)),
            format!("{lines}\n[^a]\n\n[^a]: {long}\n"),
            (0..2_000).map(|n| format!("[a{n}][b{n}] [^c{n}]\n\n[b{n}]: d{n}\n\n[^c{n}]: e\n\n")).collect(),
        ] {
            let total: usize = split(&text, units(1000)).iter().map(|part| length(part)).sum();
            assert!(total < text.len() * 2, "{} became {total}: {}", text.len(), &text[..40]);
        }
    }

    #[test]
    fn too_many_parts_end_with_a_note() {
        let text = "word\n\n".repeat(1_000);
        let parts = limit(split(&text, units(100)), ReportLimits { parts: 3, ..units(100) }, "and more");
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| length(part) <= 100), "{parts:?}");
        assert!(parts[2].starts_with("word\n\nword") && parts[2].ends_with("word\n\nand more"), "{parts:?}");
    }

    #[test]
    fn wide_characters_are_counted_in_the_unit_asked_for() {
        let rows: String = (0..2600).map(|n| format!("| train step {n} | \u{2705} |\n")).collect();
        let table = format!("| test | ok |\n|---|---|\n{rows}");
        let parts = split(&table, bytes(65_535));
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= 65_535));
        assert_eq!(split(&table, bytes(table.len())), std::slice::from_ref(&table));
        let emoji = "\u{1f389}".repeat(1000);
        assert!(split(&emoji, bytes(100)).iter().all(|part| part.len() <= 100));
    }

    #[test]
    fn large_reports_take_time_in_proportion() {
        // Quadratic work would take minutes here.
        let rows: String = (0..60_000).map(|n| format!("| {n} | x |\n")).collect();
        let text = format!("| a | b |\n|---|---|\n{rows}\n{}", "para\n\n".repeat(100_000));
        assert_eq!(split(&text, units(1_000_000)).len(), 2);
    }

    proptest! {
        #[test]
        fn plain_text_is_cut_without_loss(text in "([a-zé🎉]{1,30}[ \n]{1,2}){0,80}", max in 20usize..400) {
            let parts = split(&text, units(max));
            prop_assert!(parts.iter().all(|p| length(p) <= max));
            let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>().concat();
            prop_assert_eq!(words(&parts.concat()), words(&text));
        }

        #[test]
        fn no_text_makes_it_fail(text in "\\PC{0,300}|(([|`~<>#*\\-\\[\\]: a\n]|details|```\n|\\| a \\|\n){0,200})", max in 16usize..300) {
            let parts = split(&text, units(max));
            prop_assert!(parts.iter().all(|p| length(p) <= max), "{:?}", parts);
            prop_assert!(length(&truncate(&text, max.max(30), "cut")) <= max.max(30));
        }
    }
}
