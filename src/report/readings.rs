//! The blocks of a text as Markdown engines other than the parser's see them, as far as they change which lines are code or HTML.
//!
//! Engines disagree about where blocks of code and HTML end, and one disagreement turns all that follows inside out. So each engine is
//! followed on its own, line by line: [CommonMark 0.29](https://spec.commonmark.org/0.29/#html-blocks) and
//! [0.31](https://spec.commonmark.org/0.31.2/#html-blocks), with and without GitLab's
//! [quotations of several lines](https://docs.gitlab.com/user/markdown/#multiline-blockquote). What stands in a list item is not looked at:
//! a line without indent ends the item and everything in it.

/// One way to read a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Whether lines of `>>>` enclose a quotation, which ends whatever block is open in it, and `:` begins a description.
    pub quotations: bool,
    /// Whether HTML blocks are those of CommonMark 0.29.
    pub old: bool,
    /// Whether a tag of any name may begin an HTML block below the lines of a quote, an item or a table, and the name of CDATA may be
    /// in lower case.
    pub loose: bool,
}

impl Reading {
    /// Returns each way to read a text.
    pub fn all() -> impl Iterator<Item = Reading> {
        (0..8).map(|n| Reading { quotations: n & 1 > 0, old: n & 2 > 0, loose: n & 4 > 0 })
    }
}

/// What a line is to one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Any text.
    Text,
    /// Part of a code block between fences.
    Code,
    /// Part of an HTML block.
    Html,
    /// In a quote or an item, or indented: it may be anything.
    Nested,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    Text,
    Fence(u8, usize),
    Html(End),
}

/// What ends an HTML block.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    BlankLine,
    /// An end tag of an element of verbatim text, whichever it is.
    Tag,
    Mark(&'static str),
}

/// Whether a paragraph is open, which a tag of any name does not interrupt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Paragraph {
    No,
    /// In a quote, an item or a table.
    Maybe,
    Yes,
}

/// A reading in the middle of a text.
#[derive(Debug)]
pub struct Scan {
    reading: Reading,
    block: Block,
    /// The lengths of the marks of the open quotations of several lines, the outermost, which is the longest, first.
    quotations: Vec<usize>,
    /// Where the text of the open item begins.
    item: Option<usize>,
    /// Whether the item holds nothing so far; a blank line then ends it.
    is_bare: bool,
    paragraph: Paragraph,
}

impl Scan {
    /// Returns a reading at the start of a text.
    pub fn new(reading: Reading) -> Self {
        Scan {
            reading,
            block: Block::Text,
            quotations: Vec::new(),
            item: None,
            is_bare: false,
            paragraph: Paragraph::No,
        }
    }

    /// Reads a whole text.
    pub fn read(reading: Reading, text: &str) -> Self {
        let mut scan = Scan::new(reading);
        for line in text.lines() {
            scan.line(line);
        }
        scan
    }

    /// Returns the lengths of the marks of the quotations of several lines that are open, the outermost first.
    pub fn open_quotations(&self) -> &[usize] {
        &self.quotations
    }

    /// Returns whether neither code nor HTML is open.
    pub fn is_in_text(&self) -> bool {
        self.block == Block::Text
    }

    /// Reads the next line, which comes without its end.
    pub fn line(&mut self, line: &str) -> Line {
        let (indent, rest) = split_indent(line);
        let mark = quotation_mark(indent, rest).filter(|_| self.reading.quotations);
        if let Some(length) = mark {
            let outermost = self.quotations.partition_point(|open| *open > length);
            if outermost < self.quotations.len() {
                self.quotations.truncate(outermost);
                (self.block, self.item, self.paragraph) = (Block::Text, None, Paragraph::No);
                return Line::Nested;
            }
        }
        match self.block {
            Block::Text => self.text(indent, rest, mark),
            Block::Fence(mark, length) => {
                let marks = rest.bytes().take_while(|byte| *byte == mark).count();
                if indent < 4 && marks >= length && is_blank(&rest[marks..]) {
                    self.end_block();
                }
                Line::Code
            }
            Block::Html(end) => {
                if self.ends(end, rest) {
                    self.end_block();
                }
                Line::Html
            }
        }
    }

    fn end_block(&mut self) {
        (self.block, self.paragraph) = (Block::Text, Paragraph::No);
    }

    fn ends(&self, end: End, rest: &str) -> bool {
        match end {
            End::BlankLine => is_blank(rest),
            End::Mark(mark) => rest.contains(mark),
            End::Tag => {
                let lower = rest.to_ascii_lowercase();
                self.verbatim_elements().iter().any(|name| {
                    lower
                        .match_indices(name)
                        .any(|(at, _)| lower[..at].ends_with("</") && lower[at + name.len()..].starts_with('>'))
                })
            }
        }
    }

    /// Returns the elements that begin an HTML block which no blank line ends.
    fn verbatim_elements(&self) -> &'static [&'static str] {
        if self.reading.old { &["pre", "script", "style"] } else { &["pre", "script", "style", "textarea"] }
    }

    fn text(&mut self, indent: usize, rest: &str, mark: Option<usize>) -> Line {
        if is_blank(rest) {
            self.paragraph = Paragraph::No;
            if self.is_bare {
                self.item = None;
            }
            return Line::Text;
        }
        self.is_bare = false;
        if self.item.is_some_and(|item| indent >= item) {
            self.paragraph = Paragraph::Maybe;
            return Line::Nested;
        }
        self.item = None;
        if indent > 3 {
            return Line::Nested;
        }
        if let Some(length) = mark {
            self.quotations.push(length);
            self.paragraph = Paragraph::No;
            return Line::Nested;
        }
        if let Some((mark, length)) = fence(rest) {
            self.block = Block::Fence(mark, length);
            return Line::Code;
        }
        if let Some(end) = self.html(rest) {
            self.block = Block::Html(end);
            if end != End::BlankLine && self.ends(end, rest) {
                self.end_block();
            }
            return Line::Html;
        }
        self.plain(indent, rest)
    }

    /// Returns a line that begins no block of code or HTML.
    fn plain(&mut self, indent: usize, rest: &str) -> Line {
        let is_underline = self.paragraph == Paragraph::Yes && is_made_of(rest, "=");
        if is_heading(rest) || is_thematic_break(rest) || is_underline {
            self.paragraph = Paragraph::No;
            return Line::Text;
        }
        if let Some(quoted) = rest.strip_prefix('>') {
            self.paragraph = if is_made_of(quoted, ">") || is_blank(quoted) { Paragraph::No } else { Paragraph::Maybe };
            return Line::Nested;
        }
        if let Some((content, is_bare)) = self.item(indent, rest) {
            (self.item, self.is_bare, self.paragraph) = (Some(content), is_bare, Paragraph::Maybe);
            return Line::Nested;
        }
        let is_uncertain = rest.starts_with("[^") || is_made_of(rest, "|:-");
        if is_uncertain || self.paragraph == Paragraph::Maybe {
            self.paragraph = Paragraph::Maybe;
        } else {
            self.paragraph = Paragraph::Yes;
        }
        Line::Text
    }

    /// Returns the column at which the text of an item begins, and whether there is none on its first line.
    fn item(&self, indent: usize, rest: &str) -> Option<(usize, bool)> {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let marker = match rest.as_bytes().get(digits)? {
            b'-' | b'+' | b'*' if digits == 0 => 1,
            b':' if digits == 0 && self.reading.quotations => 1,
            b'.' | b')' if (1..10).contains(&digits) => digits + 1,
            _ => return None,
        };
        let after = &rest[marker..];
        if !after.is_empty() && !after.starts_with(BLANKS) {
            return None;
        }
        let is_bare = is_blank(after);
        let interrupts = !is_bare && (digits == 0 || rest[..digits].parse() == Ok(1));
        if self.paragraph == Paragraph::Yes && !interrupts {
            return None;
        }
        let start = indent + marker;
        let (content, _) = split_indent_from(start, after);
        Some((if is_bare || content - start > 4 { start + 1 } else { content }, is_bare))
    }

    /// Returns what ends the HTML block that a line begins.
    fn html(&self, rest: &str) -> Option<End> {
        let tag = rest.strip_prefix('<')?;
        if tag.starts_with("!--") {
            return Some(End::Mark("-->"));
        }
        if tag.starts_with('?') {
            return Some(End::Mark("?>"));
        }
        if let Some(declaration) = tag.strip_prefix('!') {
            let cdata = declaration.get(..7).is_some_and(|name| {
                if self.reading.loose { name.eq_ignore_ascii_case("[CDATA[") } else { name == "[CDATA[" }
            });
            let first = declaration.bytes().next().unwrap_or_default();
            let is_named = if self.reading.old { first.is_ascii_uppercase() } else { first.is_ascii_alphabetic() };
            return if cdata { Some(End::Mark("]]>")) } else { is_named.then_some(End::Mark(">")) };
        }
        let (is_end, name) = tag.strip_prefix('/').map_or((false, tag), |name| (true, name));
        let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, after) = name.split_at(length);
        let name = name.to_ascii_lowercase();
        let is_verbatim = !is_end && self.verbatim_elements().contains(&name.as_str());
        let is_apart = after.is_empty() || after.starts_with(SPACE);
        if is_verbatim && (is_apart || after.starts_with('>')) {
            return Some(End::Tag);
        }
        let is_block =
            BLOCK_ELEMENTS.contains(&name.as_str()) || name == if self.reading.old { "source" } else { "search" };
        if is_block && (is_apart || after.starts_with('>') || after.starts_with("/>")) {
            return Some(End::BlankLine);
        }
        let is_allowed = self.paragraph == Paragraph::No || (self.reading.loose && self.paragraph == Paragraph::Maybe);
        (is_allowed && !is_verbatim && is_complete_tag(rest)).then_some(End::BlankLine)
    }
}

const BLANKS: [char; 2] = [' ', '\t'];
const SPACE: [char; 4] = [' ', '\t', '\u{b}', '\u{c}'];

/// The elements that begin an HTML block which a blank line ends, to every version of CommonMark.
const BLOCK_ELEMENTS: [&str; 61] = [
    "address",
    "article",
    "aside",
    "base",
    "basefont",
    "blockquote",
    "body",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "iframe",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "menuitem",
    "nav",
    "noframes",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "track",
    "ul",
];

fn is_blank(text: &str) -> bool {
    text.trim_start_matches(BLANKS).is_empty()
}

/// Returns the columns of white space before a text, and the text.
fn split_indent(line: &str) -> (usize, &str) {
    split_indent_from(0, line)
}

fn split_indent_from(column: usize, line: &str) -> (usize, &str) {
    let rest = line.trim_start_matches(BLANKS);
    let blanks = line[..line.len() - rest.len()].bytes();
    (blanks.fold(column, |at, blank| if blank == b'\t' { at + 4 - at % 4 } else { at + 1 }), rest)
}

/// Returns the length of a line of `>>>`.
fn quotation_mark(indent: usize, rest: &str) -> Option<usize> {
    let length = rest.bytes().take_while(|byte| *byte == b'>').count();
    (indent < 4 && length >= 3 && is_blank(&rest[length..])).then_some(length)
}

/// Returns the mark and the length of a fence that begins a block of code.
fn fence(rest: &str) -> Option<(u8, usize)> {
    let mark = rest.bytes().next().filter(|byte| matches!(byte, b'`' | b'~'))?;
    let length = rest.bytes().take_while(|byte| *byte == mark).count();
    (length >= 3 && (mark == b'~' || !rest[length..].contains('`'))).then_some((mark, length))
}

fn is_heading(rest: &str) -> bool {
    let after = rest.trim_start_matches('#');
    (1..7).contains(&(rest.len() - after.len())) && (after.is_empty() || after.starts_with(BLANKS))
}

fn is_thematic_break(rest: &str) -> bool {
    let first = rest.chars().next().filter(|c| "-_*".contains(*c));
    first.is_some_and(|mark| {
        rest.chars().all(|c| c == mark || BLANKS.contains(&c)) && rest.chars().filter(|c| *c == mark).count() >= 3
    })
}

/// Returns whether a line holds nothing but these characters and blanks.
fn is_made_of(rest: &str, marks: &str) -> bool {
    !is_blank(rest) && rest.chars().all(|c| marks.contains(c) || BLANKS.contains(&c))
}

/// Returns whether a line is one whole tag: <https://spec.commonmark.org/0.31.2/#raw-html>.
fn is_complete_tag(line: &str) -> bool {
    let tag = line.trim_end_matches(SPACE);
    let (is_end, name) = tag.strip_prefix("</").map_or((false, &tag[1..]), |name| (true, name));
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    let mut rest = name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
    loop {
        let next = rest.trim_start_matches(SPACE);
        if next == ">" || (next == "/>" && !is_end) {
            return true;
        }
        let Some(after) = attribute(next).filter(|_| !is_end && next.len() < rest.len()) else { return false };
        rest = after;
    }
}

/// Returns what follows an attribute.
fn attribute(text: &str) -> Option<&str> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':')) {
        return None;
    }
    let after = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-'));
    let Some(value) = after.trim_start_matches(SPACE).strip_prefix('=') else { return Some(after) };
    let value = value.trim_start_matches(SPACE);
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        return value[1..].split_once(quote).map(|(_, after)| after);
    }
    let after =
        value.trim_start_matches(|c: char| !SPACE.contains(&c) && !matches!(c, '"' | '\'' | '=' | '<' | '>' | '`'));
    (after.len() < value.len()).then_some(after)
}
