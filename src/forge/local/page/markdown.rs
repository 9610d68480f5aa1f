//! A comment's Markdown as HTML, in the dialect of its forge.

use super::dialect::Dialect;
use super::sanitize::{sanitize, with_disallowed_as_text};
use super::{code, escape, links};
use crate::report;
use comrak::nodes::{NodeMath, NodeValue};
use comrak::{Arena, Node, format_html, parse_document};
use std::collections::HashMap;

/// The tags that a browser opens again in the next paragraph when they were not closed in theirs.
const FORMATTING: &str = "a b big code em font i nobr s small strike strong tt u";
/// Elements without an end, and those whose end is often left out.
const UNCLOSED: &str = "br dd dt hr img input li p source tbody td tfoot th thead tr track wbr";
/// How much of the HTML may be tags that are opened again, in bytes for each byte of the report.
const MAX_GROWTH: usize = 20;
/// Browsers nest no deeper, either.
const MAX_DEPTH: usize = 512;

/// Returns the HTML; `prefix`, which is escaped, keeps its ids apart from those of other comments.
pub fn to_html(markdown: &str, prefix: &str, dialect: &Dialect) -> String {
    let flat = report::flatten(markdown);
    let mut options = dialect.options();
    let arena = Arena::new();
    let root = parse_document(&arena, &flat, &options);
    if Tags::read(root).are_too_many(flat.len()) {
        // They are shown as text, as the work and the page would grow out of proportion.
        (options.render.escape, options.render.r#unsafe) = (true, false);
    }
    for node in root.descendants() {
        // The text of an image stays text.
        if !node.ancestors().skip(1).any(|above| matches!(above.data().value, NodeValue::Image(_))) {
            adapt(node, dialect);
        }
    }
    let mut html = String::new();
    // It writes to memory.
    let _ = format_html(root, &options, &mut html);
    links::link(&sanitize(&with_footnotes_in_div(&html), prefix), dialect)
}

/// Replaces what the forges show in another way than comrak does.
fn adapt(node: Node<'_>, dialect: &Dialect) {
    let new = match &node.data().value {
        NodeValue::CodeBlock(block) => NodeValue::Raw(code::block(&block.info, &block.literal, dialect)),
        NodeValue::Code(code) if dialect.has_swatch(&code.literal) => NodeValue::Raw(swatch(&code.literal)),
        NodeValue::Math(math) => NodeValue::Raw(formula(math, dialect)),
        NodeValue::HtmlBlock(html) if dialect.has_html() => {
            let mut html = html.clone();
            html.literal = with_disallowed_as_text(&html.literal);
            NodeValue::HtmlBlock(html)
        }
        NodeValue::HtmlInline(html) if dialect.has_html() => NodeValue::HtmlInline(with_disallowed_as_text(html)),
        _ => return,
    };
    node.data_mut().value = new;
}

fn formula(math: &NodeMath, dialect: &Dialect) -> String {
    let (caption, formula) = (format!("{} draws this as a formula", dialect.title), escape(&math.literal));
    if math.display_math {
        format!("<code class=\"math display\">$${formula}$$</code><small class=\"caption\">{caption}</small>")
    } else {
        format!("<code class=\"math\" title=\"{caption}\">${formula}$</code>")
    }
}

/// A colour's name with a drop of it: in a picture, as the policy allows no inline style.
fn swatch(colour: &str) -> String {
    let fill = percent_encoding::utf8_percent_encode(colour, percent_encoding::NON_ALPHANUMERIC);
    format!(
        "<code>{}<img class=\"swatch\" alt=\"\" src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
         viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='4' fill='{fill}'/%3E%3C/svg%3E\"></code>",
        escape(colour)
    )
}

/// The page keeps `section` for itself.
fn with_footnotes_in_div(html: &str) -> String {
    const BEGIN: &str = "<section class=\"footnotes\" data-footnotes>";
    let notes = html.trim_end().strip_suffix("</section>").and_then(|html| html.rsplit_once(BEGIN));
    match notes {
        // The arrow as text, not as an emoji.
        Some((text, notes)) => format!("{text}<div class=\"footnotes\">{}</div>\n", notes.replace('↩', "↩\u{fe0e}")),
        None => html.to_owned(),
    }
}

/// What a report's own tags would make of the page.
#[derive(Default)]
struct Tags {
    /// The lengths of the open tags that are opened again in each block that follows, by name.
    reopened: HashMap<String, Vec<usize>>,
    size: usize,
    /// What those make the HTML longer.
    growth: usize,
    /// How many other elements are open; those whose end may be left out do not count.
    depth: usize,
    deepest: usize,
}

impl Tags {
    fn read(root: Node<'_>) -> Self {
        let mut tags = Tags::default();
        for node in root.descendants() {
            match &node.data().value {
                NodeValue::HtmlBlock(html) => tags.add(&html.literal),
                NodeValue::HtmlInline(html) => tags.add(html),
                value if value.block() => tags.growth += tags.size,
                _ => {}
            }
        }
        tags
    }

    fn add(&mut self, html: &str) {
        for tag in html.split('<').skip(1) {
            let is_end = tag.starts_with('/');
            let name =
                tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            let name = name.to_ascii_lowercase();
            let length = tag.len() + name.len() + "<>".len();
            match (FORMATTING.split(' ').any(|known| known == name), is_end) {
                (true, true) => self.size -= self.reopened.get_mut(&name).and_then(Vec::pop).unwrap_or_default(),
                (true, false) => {
                    self.size += length;
                    self.reopened.entry(name).or_default().push(length);
                }
                (false, true) => self.depth = self.depth.saturating_sub(1),
                (false, false) if UNCLOSED.split_ascii_whitespace().any(|known| known == name) => {}
                (false, false) => self.depth += 1,
            }
            self.deepest = self.deepest.max(self.depth);
            self.growth += self.size;
        }
    }

    fn are_too_many(&self, text: usize) -> bool {
        self.growth > MAX_GROWTH * (text + 500) || self.deepest > MAX_DEPTH
    }
}
