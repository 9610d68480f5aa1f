//! Texts of several authors in one comment: what one leaves open does not swallow the next, and a label of one means nothing in
//! another.

use super::readings::{Reading, Scan};
use super::{dialect, flatten, label_end};
use pulldown_cmark::{CodeBlockKind, Event, LinkType, Parser, Tag};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// A paragraph that stands after a text to see what becomes of it.
const PROBE: &str = "cml-probe";
/// What ends one block may begin another: so many times at most.
const ROUNDS: usize = 8;
/// How GitLab reads a text.
const GITLAB: Reading = Reading { quotations: true, old: false, loose: false };

/// Returns the text with everything closed that would reach into what follows it: code fences, HTML blocks, comments and elements,
/// and GitLab's quotations of several lines. A text that leaves nothing open stays as it is.
pub fn closed(markdown: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(markdown);
    for _ in 0..ROUNDS {
        let Some(end) = open_block(&text) else { break };
        text = Cow::Owned(format!("{}\n{end}", text.strip_suffix('\n').unwrap_or(&text)));
    }
    let ends = [open_quotations(&text), open_elements(&text)].concat();
    if ends.is_empty() { text } else { Cow::Owned(format!("{}\n\n{}", text.trim_end(), ends.join("\n"))) }
}

/// Returns what ends the block of code or HTML in which a text after this one would stand.
fn open_block(markdown: &str) -> Option<String> {
    let probed = format!("{markdown}\n\n{PROBE}");
    let flat = flatten(&probed);
    let (mut depth, mut last) = (0usize, None);
    for (event, range) in Parser::new_ext(&flat, dialect()).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    last = Some((tag, range));
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    match last? {
        (Tag::CodeBlock(CodeBlockKind::Fenced(_)), range) => {
            let source = probed[range].trim_start();
            let mark = source.chars().next()?;
            Some(end_of_fence(markdown, source.chars().take_while(|c| *c == mark).collect()))
        }
        (Tag::HtmlBlock, range) => Some(end_of_html(probed[range].trim_start())),
        _ => None,
    }
}

/// Returns the lines that end a block of code. To GitLab the block may be over, with the quotation in which it began: there the fence
/// is put into another one.
fn end_of_fence(markdown: &str, fence: String) -> String {
    if !markdown.contains(">>>") || !Scan::read(GITLAB, markdown).is_in_text() {
        return fence;
    }
    let mut lines = open_quotations(markdown);
    lines.extend([">>>".to_owned(), fence, ">>>".to_owned()]);
    lines.join("\n")
}

/// Returns what ends an HTML block that no blank line ends: <https://spec.commonmark.org/0.31.2/#html-blocks>.
fn end_of_html(block: &str) -> String {
    let lower: String = block.chars().take(10).collect::<String>().to_ascii_lowercase();
    let verbatim = ["script", "pre", "style", "textarea"].into_iter().find(|name| lower[1..].starts_with(name));
    match verbatim {
        Some(name) => format!("</{name}>"),
        None if lower.starts_with("<!--") => "-->".to_owned(),
        None if lower.starts_with("<?") => "?>".to_owned(),
        None if lower.starts_with("<![cdata[") => "]]>".to_owned(),
        None => ">".to_owned(),
    }
}

/// Returns the lines that end the quotations between two lines of `>>>` which a text leaves open, the innermost first:
/// <https://docs.gitlab.com/user/markdown/#multiline-blockquote>. On other forges such a line is an empty quotation.
fn open_quotations(markdown: &str) -> Vec<String> {
    if !markdown.contains(">>>") {
        return Vec::new();
    }
    let scan = Scan::read(GITLAB, markdown);
    scan.open_quotations().iter().rev().map(|length| ">".repeat(*length)).collect()
}

/// Returns whether what follows a text would stand in a quotation that the text leaves open: an element, or one
/// between two lines of `>>>`.
pub fn leaves_quotation_open(markdown: &str) -> bool {
    !open_quotations(markdown).is_empty() || html_of(markdown).open.iter().any(|name| name == "blockquote")
}

/// Returns the end tags, one per line, of the elements that a text leaves open, and before them what ends an open comment or tag.
fn open_elements(markdown: &str) -> Vec<String> {
    if !markdown.contains('<') {
        return Vec::new();
    }
    let html = html_of(markdown);
    let mut ends = match html.inside {
        Inside::Nothing => Vec::new(),
        Inside::Comment => vec!["<!-- -->".to_owned()],
        // Whatever its quotation marks are.
        Inside::Tag => vec!["<!-- \"'> -->".to_owned()],
    };
    let named = html.open.iter().rev().filter(|name| !ENDS_BY_ITSELF.contains(&name.as_str()));
    ends.extend(named.map(|name| format!("</{name}>")));
    ends
}

fn html_of(markdown: &str) -> Html {
    let mut html = Html::default();
    for (event, range) in Parser::new_ext(&flatten(markdown), dialect()).into_offset_iter() {
        if matches!(event, Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_)) {
            html.read(&markdown[range]);
        }
    }
    html
}

/// Elements without an end tag: <https://html.spec.whatwg.org/multipage/syntax.html#void-elements>.
const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
/// Elements whose end tag may be left out: <https://html.spec.whatwg.org/multipage/syntax.html#optional-tags>.
const ENDS_BY_ITSELF: [&str; 20] = [
    "body", "caption", "colgroup", "dd", "dt", "head", "html", "li", "optgroup", "option", "p", "rp", "rt", "tbody",
    "td", "tfoot", "th", "thead", "tr", "frame",
];

#[derive(Default, PartialEq)]
enum Inside {
    #[default]
    Nothing,
    Comment,
    Tag,
}

/// The raw HTML of a text, as a browser reads it.
#[derive(Default)]
struct Html {
    /// The names of the elements that are open, the innermost last.
    open: Vec<String>,
    /// How many of each name are.
    count: HashMap<String, usize>,
    /// What the HTML so far ends in.
    inside: Inside,
}

impl Html {
    fn read(&mut self, html: &str) {
        let mut rest = html;
        loop {
            if self.inside == Inside::Comment {
                let Some(end) = rest.find("-->") else { return };
                rest = &rest[end + 3..];
                self.inside = Inside::Nothing;
            }
            let Some(at) = rest.find('<') else { return };
            rest = &rest[at + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                (self.inside, rest) = (Inside::Comment, comment);
                continue;
            }
            let (is_end, name) = rest.strip_prefix('/').map_or((false, rest), |name| (true, name));
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                continue;
            }
            let length = name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(name.len());
            let (name, attributes) = name.split_at(length);
            let Some(end) = end_of_tag(attributes) else {
                self.inside = Inside::Tag;
                return;
            };
            rest = &attributes[end..];
            self.tag(&name.to_ascii_lowercase(), is_end);
        }
    }

    fn tag(&mut self, name: &str, is_end: bool) {
        // No end tag of another name means anything in Markdown, nor any such element to a forge.
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || VOID.contains(&name) {
            return;
        }
        if !is_end {
            *self.count.entry(name.to_owned()).or_default() += 1;
            return self.open.push(name.to_owned());
        }
        if self.count.get(name).is_none_or(|count| *count == 0) {
            return;
        }
        while let Some(inner) = self.open.pop() {
            if let Some(count) = self.count.get_mut(&inner) {
                *count -= 1;
            }
            if inner == name {
                return;
            }
        }
    }
}

/// Returns the place after the `>` that ends a tag.
fn end_of_tag(attributes: &str) -> Option<usize> {
    let (mut quote, mut after_equals) = (None, false);
    for (at, c) in attributes.char_indices() {
        match quote {
            Some(mark) if c == mark => quote = None,
            Some(_) => {}
            None if c == '>' => return Some(at + 1),
            None if after_equals && matches!(c, '"' | '\'') => quote = Some(c),
            None => {}
        }
        after_equals = c == '=' || (after_equals && c.is_ascii_whitespace());
    }
    None
}

/// Returns the text with the labels of its links, images and footnotes made its own, by a suffix that belongs to the name of its
/// part. It shows the same. Labels that it does not define are no labels in any other part either, as each defines its own only.
pub fn scoped(markdown: &str, name: &str) -> String {
    let suffix = format!("-{}", &crate::digest::hash(name.as_bytes())[..8]);
    let mut insertions: Vec<(usize, String)> = Vec::new();
    let mut taken: Vec<Range<usize>> = Vec::new();
    for (event, range) in Parser::new_ext(&flatten(markdown), dialect()).into_offset_iter() {
        match &event {
            Event::Start(Tag::Link { link_type, .. }) => {
                use_of(markdown, *link_type, 1, &range, &suffix, &mut insertions)
            }
            Event::Start(Tag::Image { link_type, .. }) => {
                use_of(markdown, *link_type, 2, &range, &suffix, &mut insertions)
            }
            Event::FootnoteReference(_) => insertions.push((range.end.saturating_sub(1), suffix.clone())),
            _ => {}
        }
        let is_container = matches!(
            event,
            Event::End(_) | Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_))
        );
        if !is_container {
            taken.push(range);
        }
    }
    definitions(markdown, taken, &suffix, &mut insertions);
    insertions.sort_by_key(|(at, _)| *at);
    let mut text = String::with_capacity(markdown.len() + insertions.len() * 16);
    let mut from = 0;
    for (at, insertion) in insertions {
        text.push_str(&markdown[from..at]);
        text.push_str(&insertion);
        from = at;
    }
    text.push_str(&markdown[from..]);
    text
}

/// A link or image by a label: `[text][label]`, `[label][]` or `[label]`.
fn use_of(
    markdown: &str,
    kind: LinkType,
    opening: usize,
    range: &Range<usize>,
    suffix: &str,
    insertions: &mut Vec<(usize, String)>,
) {
    let label = |end: usize| markdown.get(range.start + opening..range.end.saturating_sub(end)).unwrap_or_default();
    match kind {
        LinkType::Reference => insertions.push((range.end - 1, suffix.to_owned())),
        LinkType::Collapsed => {
            // The parser leaves the second pair of brackets out of some ranges.
            let (inside, after) = markdown.split_at(range.end);
            if inside.ends_with("[]") {
                insertions.push((range.end - 1, format!("{}{suffix}", label(3))));
            } else if after.starts_with("[]") {
                insertions.push((range.end + 1, format!("{}{suffix}", label(1))));
            }
        }
        LinkType::Shortcut => insertions.push((range.end, format!("[{}{suffix}]", label(1)))),
        _ => {}
    }
}

/// Definitions stand in what no other block takes, those too that come second and mean nothing.
fn definitions(markdown: &str, mut taken: Vec<Range<usize>>, suffix: &str, insertions: &mut Vec<(usize, String)>) {
    taken.push(markdown.len()..markdown.len());
    taken.sort_by_key(|range| range.start);
    let mut from = 0;
    for range in taken {
        let mut at = from;
        while at < range.start {
            let gap = &markdown[at..range.start];
            let Some(open) = gap.find('[') else { break };
            let Some(end) = label_end(&gap[open..]) else { break };
            insertions.push((at + open + end - 2, suffix.to_owned()));
            // The rest of its line may hold brackets.
            let rest = &gap[open + end..];
            at += open + end + rest.find('\n').unwrap_or(rest.len());
        }
        from = from.max(range.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn html(markdown: &str) -> String {
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new_ext(markdown, dialect()));
        html
    }

    #[test]
    fn what_is_open_is_closed() {
        for (text, expected) in [
            ("```sh\nls", "```sh\nls\n```"),
            ("````\n```\n", "````\n```\n````"),
            ("~~~ x\n", "~~~ x\n~~~"),
            ("a\n<!-- note\n\nb", "a\n<!-- note\n\nb\n-->"),
            ("<pre>\n\nx\n", "<pre>\n\nx\n</pre>"),
            ("<script>\nx", "<script>\nx\n</script>"),
            ("<details><summary>x</summary>\n\nbody\n", "<details><summary>x</summary>\n\nbody\n\n</details>"),
            ("<div>\n<table><tr><td>\n\nx", "<div>\n<table><tr><td>\n\nx\n\n</table>\n</div>"),
            ("a <b>bold\n", "a <b>bold\n\n</b>"),
            ("<div><!-- x\n\ny", "<div><!-- x\n\ny\n\n<!-- -->\n</div>"),
            ("<div title=\"\n\ny", "<div title=\"\n\ny\n\n<!-- \"'> -->"),
            ("<details>\n\n```\nx", "<details>\n\n```\nx\n```\n\n</details>"),
            (">>>\nq\n\n", ">>>\nq\n\n>>>"),
            (">>>>\n>>>\n>>>\nq", ">>>>\n>>>\n>>>\nq\n\n>>>>"),
            (">>>\n```\n>>>\nx", ">>>\n```\n>>>\nx\n>>>\n```\n>>>"),
            (">>>\n~~~~\n>>>\n>>>>\nx", ">>>\n~~~~\n>>>\n>>>>\nx\n>>>>\n>>>\n~~~~\n>>>"),
            (">>>\n```\nx", ">>>\n```\nx\n```\n\n>>>"),
            ("<PRE>\nx", "<PRE>\nx\n</pre>"),
            ("<details>\n\n>>>\nq\n", "<details>\n\n>>>\nq\n\n>>>\n</details>"),
        ] {
            assert_eq!(closed(text), expected);
            assert_eq!(closed(expected), expected, "twice is once");
        }
    }

    #[test]
    fn what_is_closed_stays() {
        for text in [
            "",
            "text",
            "```\nx\n```\n",
            "- ```\n  x\n",
            "<details>\n\nx\n\n</details>\n",
            "<p>a\n\n<img src=x><br>\n",
            "`<div>` and \\<b>",
            "    <div>\n",
            "</details>\n",
            "<https://x.example>",
            "| a |\n|---|\n| 1 |",
            ">>>\nq\n>>>\n",
            "```\n>>>\n```\n",
            ">>> print(1)\n",
            "<div>\n<x\u{1}n>\n</div>\n",
        ] {
            assert_eq!(closed(text), text);
        }
    }

    #[test]
    fn labels_belong_to_their_part() {
        let s = format!("-{}", &crate::digest::hash(b"a")[..8]);
        for (text, expected) in [
            ("[a]\n\n[a]: x", format!("[a][a{s}]\n\n[a{s}]: x")),
            ("![a] [t][A] [a][]\n\n[a]: x \"t\"\n", format!("![a][a{s}] [t][A{s}] [a][a{s}]\n\n[a{s}]: x \"t\"\n")),
            ("[0.91]\n", "[0.91]\n".to_owned()),
            ("[0.91]: x\n[0.91]: y\n", format!("[0.91{s}]: x\n[0.91{s}]: y\n")),
            ("> [q]: x\n\n- i\n- [l]: y\n", format!("> [q{s}]: x\n\n- i\n- [l{s}]: y\n")),
            ("n[^1]\n\n[^1]: note\n", format!("n[^1{s}]\n\n[^1{s}]: note\n")),
            ("[![a]][b]\n\n[a]: x\n[b]: y", format!("[![a][a{s}]][b{s}]\n\n[a{s}]: x\n[b{s}]: y")),
            ("```\n[a]: x\n```\n\n`[a]`\n\n- [ ] [a](x)\n", "```\n[a]: x\n```\n\n`[a]`\n\n- [ ] [a](x)\n".to_owned()),
        ] {
            assert_eq!(scoped(text, "a"), expected);
            let plain = |text: &str| html(text).replace(&s, "");
            assert_eq!(plain(&scoped(text, "a")), plain(text));
        }
    }

    #[test]
    fn no_part_means_anything_in_another() {
        let one = scoped("[0.91]: https://a.example\n\n![p]\n\n[p]: a.png\n", "a");
        let other = scoped("score [0.91] ![p]\n\n[p]: b.png\n", "b");
        let shown = html(&format!("{one}\n\n{other}"));
        assert!(shown.contains("score [0.91] <img src=\"b.png\""), "{shown}");
    }

    #[test]
    fn large_texts_take_time_in_proportion() {
        // Quadratic work would take minutes here.
        let tags = format!("{}{}", "<b>".repeat(100_000), "</i>".repeat(100_000));
        let once = closed(&tags);
        assert!(once.len() < tags.len() * 3 && closed(&once) == once);
        let labels: String = (0..50_000).map(|n| format!("[l{n}]: x\n")).collect();
        assert!(scoped(&labels, "a").len() > labels.len());
    }

    proptest! {
        #[test]
        fn what_follows_a_closed_text_stands_alone(text in "(```|~~~|<!--|-->|<pre>|</pre>|<details>|</div>|<div>|> |- |\n|\n\n|a|`|\\[a\\]|: |\"|<\\?|<!X ){0,20}") {
            let closed = closed(&text);
            prop_assert!(open_block(&closed).is_none(), "{:?}", closed);
        }

        #[test]
        fn no_text_makes_it_fail(text in "(\\[|\\]|:|\\^|!|\\(|\\)| |\n|a|é|> |- |`|\\\\|<){0,40}") {
            let _ = scoped(&closed(&text), "ä");
        }
    }
}
