//! A page that shows comments as a pull request's conversation does.
//!
//! Pure. Markdown becomes HTML in the forges' dialect ([`Dialect`]), and [`clean`] does what their sanitisers do:
//! only known elements stay, and whatever a report opens is closed inside its own box. The page's policy
//! (<https://www.w3.org/TR/CSP3/>) then leaves scripts, inline styles and frames without effect.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream, html::push_html};
use sha2::{Digest, Sha256};
use std::ops::Range;

const STYLE: &str = include_str!("page.css");
const WATERMARK: &str = "https://cml.dev/watermark.png";

/// A comment as the page shows it.
pub struct Shown<'a> {
    /// The comment's place on the page, such as `comment-3`.
    pub anchor: String,
    /// What it is about: `pull request 7`, `commit abc1234`, `this working copy`.
    pub about: &'a str,
    /// When it was written, for people.
    pub created: &'a str,
    /// When it was last changed, if ever.
    pub edited: Option<&'a str>,
    /// Its Markdown.
    pub body: &'a str,
    /// The dates and the Markdown of what it said before.
    pub earlier: Vec<(&'a str, &'a str)>,
}

/// The page as one HTML document, which loads nothing but the pictures of the comments.
pub fn render(title: &str, comments: &[Shown]) -> String {
    // Browsers read CRLF as LF, so it must be LF that is hashed.
    let style = STYLE.replace("\r\n", "\n");
    let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
    let title = escape(title);
    let thread = match comments {
        [] => "<div class=\"empty\"><p>No comments yet</p><p>The first report will appear here.</p></div>\n".to_owned(),
        _ => comments.iter().map(comment).collect(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src * data: file: blob:; \
         media-src * data: file:; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <header class=\"top\"><h1>{title}</h1><p>Local preview - nothing was published</p></header>\n\
         <main class=\"thread\">\n{thread}</main>\n</body>\n</html>\n"
    )
}

/// Built of elements that [`KNOWN`] lacks, so that no report can close them.
fn comment(shown: &Shown) -> String {
    let (anchor, about, created) = (escape(&shown.anchor), escape(shown.about), escape(shown.created));
    let edited = shown.edited.map(|date| format!(" · edited {}", escape(date))).unwrap_or_default();
    let body = body_of(shown.body, &anchor);
    let version = |(version, (date, body)): (usize, &(&str, &str))| {
        let (date, body) = (escape(date), body_of(body, &format!("{anchor}-version-{version}")));
        format!("<header>{date}</header>\n<section class=\"markdown\">\n{body}</section>\n")
    };
    let versions: String = (1..).zip(&shown.earlier).map(version).collect();
    let summary = match shown.earlier.len() {
        1 => "1 earlier version".to_owned(),
        count => format!("{count} earlier versions"),
    };
    let earlier = format!("<details class=\"earlier\"><summary>{summary}</summary>\n{versions}</details>\n");
    let earlier = if versions.is_empty() { "" } else { &earlier };
    format!(
        "<article class=\"comment\" id=\"{anchor}\">\n<aside aria-hidden=\"true\">cml</aside>\n<section class=\"box\">\n\
         <header><b>cml</b> commented on {about} · <a href=\"#{anchor}\">{created}</a>{edited}</header>\n\
         <section class=\"markdown\">\n{body}</section>\n{earlier}</section>\n</article>\n"
    )
}

/// A comment's Markdown as HTML; `prefix`, which is escaped, keeps the ids of its footnotes apart.
fn body_of(markdown: &str, prefix: &str) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_GFM
        | Options::ENABLE_MATH;
    let mut dialect = Dialect { prefix, cited: Vec::new(), diff: false, images: 0 };
    let (mut text, mut notes, mut in_note) = (Vec::new(), Vec::new(), false);
    for event in TextMergeStream::new(Parser::new_ext(markdown, options)) {
        if let Event::Start(Tag::FootnoteDefinition(name)) = &event {
            notes.push((name.to_lowercase(), Vec::new()));
            in_note = true;
        }
        let ends = matches!(event, Event::End(TagEnd::FootnoteDefinition));
        let to = notes.last_mut().filter(|_| in_note).map_or(&mut text, |(_, note)| note);
        dialect.adapt(event, to);
        in_note &= !ends;
    }
    // In the order of their first mention; what nothing mentions is left out.
    let place = |name: &String| dialect.cited.iter().position(|cited| cited == name);
    notes.retain(|(name, _)| place(name).is_some());
    notes.sort_by_key(|(name, _)| place(name));
    if !notes.is_empty() {
        text.push(Event::Html("<div class=\"footnotes\">\n".into()));
        text.extend(notes.into_iter().flat_map(|(_, note)| note));
        text.push(Event::Html("</div>\n".into()));
    }
    let mut html = String::new();
    push_html(&mut html, text.into_iter());
    // The policy leaves `style` without effect.
    let html = html.replace("<td style=\"text-align: ", "<td align=\"");
    clean(&html.replace("<th style=\"text-align: ", "<th align=\""))
}

/// Where the forges' HTML differs from pulldown-cmark's.
struct Dialect<'a> {
    prefix: &'a str,
    /// The names of footnotes in the order of their first mention.
    cited: Vec<String>,
    diff: bool,
    images: usize,
}

impl Dialect<'_> {
    fn adapt<'a>(&mut self, event: Event<'a>, to: &mut Vec<Event<'a>>) {
        match &event {
            Event::Start(Tag::Image { .. }) => self.images += 1,
            Event::End(TagEnd::Image) => self.images -= 1,
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => self.diff = info.starts_with("diff"),
            Event::End(TagEnd::CodeBlock) => self.diff = false,
            _ => {}
        }
        let prefix = self.prefix;
        let html = match event {
            // The text of an image stays text.
            _ if self.images > 0 => return to.push(event),
            Event::Start(Tag::BlockQuote(Some(kind))) => {
                let title = format!("{kind:?}");
                format!("<blockquote class=\"alert {}\">\n<p class=\"title\">{title}</p>\n", title.to_lowercase())
            }
            Event::Text(lines) if self.diff => lines.split_inclusive('\n').map(coloured).collect(),
            Event::InlineMath(math) => format!("<span class=\"math\">${}$</span>", escape(&math)),
            Event::DisplayMath(math) => format!("<span class=\"math display\">$${}$$</span>", escape(&math)),
            // In comments, unlike in files, the end of a line is one.
            Event::SoftBreak => "<br>\n".to_owned(),
            Event::FootnoteReference(name) => {
                let name = name.to_lowercase();
                to.push(Event::FootnoteReference(format!("{prefix}-note-{name}").into()));
                let id = format!("<a id=\"{prefix}-mention-{}\"></a>", escape(&name));
                self.cited.push(name);
                id
            }
            Event::Start(Tag::FootnoteDefinition(name)) => {
                let name = name.to_lowercase();
                to.push(Event::Start(Tag::FootnoteDefinition(format!("{prefix}-note-{name}").into())));
                format!(
                    "<a class=\"back\" aria-label=\"Back\" href=\"#{prefix}-mention-{}\">↩\u{fe0e}</a>\n",
                    escape(&name)
                )
            }
            event => return to.push(event),
        };
        to.push(Event::Html(html.into()));
    }
}

fn coloured(line: &str) -> String {
    let class = match line.as_bytes() {
        [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] => "file",
        [b'@', b'@', ..] => "hunk",
        [b'+', ..] => "added",
        [b'-', ..] => "removed",
        _ => "same",
    };
    format!("<span class=\"{class}\">{}</span>", escape(line))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// What the forges' sanitisers let through.
const KNOWN: &str = "a abbr audio b bdo blockquote br caption cite code dd del details dfn div dl dt em figcaption \
    figure h1 h2 h3 h4 h5 h6 hr i img input ins kbd li mark ol p picture pre q rp rt ruby s samp small source \
    span strike strong sub summary sup table tbody td tfoot th thead time tr track tt ul var video wbr";
/// What stays visible as text (<https://github.github.com/gfm/#disallowed-raw-html-extension->).
const AS_TEXT: &str = "form iframe noembed noframes plaintext script style textarea title xmp";
const VOID: &str = "br hr img input source track wbr";
const NO_LINKS: &str = "a code kbd pre samp";
const TABLE: &str = "caption table tbody td tfoot th thead tr";
/// What keeps a closing tag within from reaching further out.
const WALL: &str = "caption table td th";
/// What the start of an element ends unless there is a wall between.
const ENDS: [(&str, &str, &str); 7] = [
    ("blockquote dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr li ol p pre summary table ul", "p", WALL),
    ("li", "li", "ol table ul"),
    ("dd dt", "dd dt", "dl table"),
    ("td th", "td th", "table"),
    ("tr", "tr", "table"),
    ("tbody tfoot thead", "caption tbody tfoot thead", "table"),
    ("table", "table", "caption td th"),
];

fn among(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|n| n == name)
}

/// Keeps known elements and closes them the way browsers do, so that no closing tag reaches further out;
/// makes links of bare addresses; and drops watermarks, which nobody is to request.
fn clean(html: &str) -> String {
    let mut clean = Clean { html: String::with_capacity(html.len()), open: Vec::new() };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        clean.text(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[clean.markup(rest)..];
    }
    clean.text(rest);
    clean.close(0);
    clean.html
}

struct Clean {
    html: String,
    /// Names of open elements, where their tags are in the HTML, and whether addresses in them stay text.
    open: Vec<(String, Range<usize>, bool)>,
}

impl Clean {
    /// Takes what begins with `<`; returns its length.
    fn markup(&mut self, html: &str) -> usize {
        if let Some(comment) = html.strip_prefix("<!--") {
            let end = if comment.starts_with('>') || comment.starts_with("->") { ">" } else { "-->" };
            return comment.find(end).map_or(html.len(), |at| "<!--".len() + at + end.len());
        }
        let Some((name, length)) = tag(html).filter(|(name, _)| !among(AS_TEXT, name)) else {
            self.html += "&lt;";
            return 1;
        };
        let tag = &html[..length];
        if tag.starts_with("</") {
            self.end(&name, if among(TABLE, &name) { "table" } else { WALL });
        } else if self.keeps(&name, tag) {
            for (_, ended, walls) in ENDS.iter().filter(|(starts, ..)| among(starts, &name)) {
                self.end(ended, walls);
            }
            let plain = self.plain() || among(NO_LINKS, &name) || tag.starts_with("<span class=\"math");
            let start = self.html.len();
            self.html += tag;
            if !among(VOID, &name) {
                self.open.push((name, start..self.html.len(), plain));
            }
        }
        length
    }

    fn keeps(&self, name: &str, tag: &str) -> bool {
        let fits = match name {
            "input" => tag.contains("checkbox"),
            "table" => true,
            _ => !among(TABLE, name) || self.open.iter().any(|(open, ..)| open == "table"),
        };
        fits && among(KNOWN, name) && !tag.contains(WATERMARK)
    }

    fn plain(&self) -> bool {
        self.open.last().is_some_and(|(.., plain)| *plain)
    }

    /// Closes the innermost of these elements unless a wall is nearer.
    fn end(&mut self, names: &str, walls: &str) {
        let nearest = self.open.iter().rposition(|(open, ..)| among(names, open) || among(walls, open));
        if let Some(at) = nearest.filter(|at| among(names, &self.open[*at].0)) {
            self.close(at);
        }
    }

    /// Closes an element and all in it; paragraphs in which nothing is left go.
    fn close(&mut self, at: usize) {
        for (name, tag, _) in self.open.drain(at..).rev() {
            if name == "p" && self.html[tag.end..].trim().is_empty() {
                self.html.truncate(tag.start);
            } else {
                self.html += &format!("</{name}>");
            }
        }
    }

    fn text(&mut self, mut text: &str) {
        while !self.plain()
            && let Some(link) = address(text)
        {
            let url = &text[link.clone()];
            self.html += &format!("{}<a href=\"{url}\">{url}</a>", &text[..link.start]);
            text = &text[link.end..];
        }
        self.html += text;
    }
}

/// The first bare address in a text of HTML (<https://github.github.com/gfm/#autolinks-extension->).
fn address(text: &str) -> Option<Range<usize>> {
    let begins = |at: &usize| {
        let url = &text[*at..];
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        host.starts_with(char::is_alphanumeric) && !text[..*at].ends_with(char::is_alphanumeric)
    };
    let start = text.match_indices("http").map(|(at, _)| at).find(begins)?;
    let url = text[start..].split(|c: char| c.is_whitespace() || c == '"').next()?;
    let ends = ["&lt;", "&gt;", "&quot;"].iter().filter_map(|end| url.find(end));
    let mut url = &url[..ends.min().unwrap_or(url.len())];
    loop {
        let unmatched = url.matches(')').count() > url.matches('(').count();
        let shorter = url.strip_suffix("&amp;").or_else(|| url.strip_suffix("&#39;"));
        let shorter = shorter.or_else(|| url.strip_suffix(['?', '!', '.', ',', ':', '*', '_', '~', '\'']));
        match shorter.or_else(|| url.strip_suffix(')').filter(|_| unmatched)) {
            Some(shorter) => url = shorter,
            None => return Some(start..start + url.len()),
        }
    }
}

/// The name and the length of a tag, read as browsers do
/// (<https://html.spec.whatwg.org/multipage/parsing.html#tag-open-state>).
fn tag(html: &str) -> Option<(String, usize)> {
    let bytes = html.as_bytes();
    let find = |at: usize, stop: &dyn Fn(u8) -> bool| Some(at + bytes.get(at..)?.iter().position(|b| stop(*b))?);
    let slash = |b: u8| b.is_ascii_whitespace() || b == b'/';
    let start = 1 + usize::from(html.starts_with("</"));
    bytes.get(start).filter(|b| b.is_ascii_alphabetic())?;
    let mut at = find(start, &|b| slash(b) || b == b'>')?;
    let name = html[start..at].to_ascii_lowercase();
    loop {
        at = find(at, &|b| !slash(b))?;
        if bytes[at] == b'>' {
            return Some((name, at + 1));
        }
        at = find(at + 1, &|b| slash(b) || b == b'>' || b == b'=')?;
        let equals = find(at, &|b| !b.is_ascii_whitespace())?;
        if bytes[equals] == b'=' {
            at = find(equals + 1, &|b| !b.is_ascii_whitespace())?;
            at = match bytes[at] {
                quote @ (b'"' | b'\'') => 1 + find(at + 1, &|b| b == quote)?,
                _ => find(at, &|b| b.is_ascii_whitespace() || b == b'>')?,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> String {
        let earlier = vec![("<first>", "old[^n]\n\n[^n]: x"), ("second", "</section></details>\n\nolder")];
        let shown = Shown { anchor: "c-1".into(), about: "a & b", created: "noon", edited: Some("one"), body, earlier };
        render("me/<repo>", &[shown])
    }

    /// What becomes of a comment's body.
    fn body(markdown: &str) -> String {
        let page = page(markdown);
        let (_, rest) = page.split_once("<section class=\"markdown\">\n").unwrap();
        rest.split_once("</section>").unwrap().0.to_owned()
    }

    #[test]
    fn speaks_the_forges_dialect() {
        let html = body(
            "|a|b|\n|:-:|--:|\n|`<td style=\"text-align: left\">`|2|\n\n> [!WARNING]\n> Hot\n\n- [x] done\n\n\
             one[^B]\ntwo[^a] ~~x~~ $a<b$ $$c_d$$ [^none]\n\n[^a]: A\n[^b]: B\n[^c]: unused\n\n\
             ```diff\n-a<b\n+c\n```\n\n```rust\nfn\n```\n\n![x $y$](z.png)",
        );
        for part in [
            "<th align=\"center\">a</th><th align=\"right\">b</th>",
            "<td align=\"center\"><code>&lt;td style=\"text-align: left\"&gt;</code></td>",
            "<blockquote class=\"alert warning\">\n<p class=\"title\">Warning</p>\n<p>Hot</p>",
            "<li><input disabled=\"\" type=\"checkbox\" checked=\"\"/>",
            "<br>\ntwo<sup class=\"footnote-reference\"><a href=\"#c-1-note-a\">2</a></sup><a id=\"c-1-mention-a\"></a>",
            "<del>x</del> <span class=\"math\">$a&lt;b$</span> <span class=\"math display\">$$c_d$$</span> [^none]",
            "<span class=\"removed\">-a&lt;b\n</span><span class=\"added\">+c\n</span>",
            "<code class=\"language-rust\">fn",
            "<img src=\"z.png\" alt=\"x $y$\" />",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(html.find("id=\"c-1-note-b\"") < html.find("id=\"c-1-note-a\""));
        assert!(!html.contains("unused") && !html.contains("<td style"));
    }

    #[test]
    fn keeps_reports_in_their_boxes() {
        for (report, html) in [
            ("<ScRipt>x</script>", "&lt;ScRipt>x&lt;/script>"),
            ("<p>a</p><style>x</style><meta a='>'>", "<p>a</p>&lt;style>x&lt;/style>"),
            ("<details>\n<summary>a</summary>\n\nb", "<details>\n<summary>a</summary>\n<p>b</p>\n</details>"),
            ("</div></article></section></main>a", "a"),
            ("<div><!-- <b> -->a<b", "<div>a&lt;b</div>"),
            ("<div><td></div>a", "<div></div>a"),
            ("<table><tr><td></div>a</table>", "<table><tr><td>a</td></tr></table>"),
            ("<p>a\n<div title='</div>'>b", "<p>a\n</p><div title='</div>'>b</div>"),
            ("<input type=text><input type=checkbox>", "<p><input type=checkbox></p>"),
        ] {
            assert_eq!(body(report).trim_end(), html);
        }
        let page = page("<details><b>");
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
    }

    #[test]
    fn requests_no_watermark() {
        for mark in ["![](https://cml.dev/watermark.png#ab \"CML\")", "<img src='https://cml.dev/watermark.png'>"] {
            assert_eq!(body(&format!("a\n\n{mark}")).trim_end(), "<p>a</p>");
        }
    }

    #[test]
    fn links_bare_addresses() {
        let link = |url: &str| format!("<a href=\"{url}\">{url}</a>");
        for (text, html) in [
            ("(http://a.b/c_(d)?e&f=1).", format!("({}).", link("http://a.b/c_(d)?e&amp;f=1"))),
            (
                "**https://a.b**, <https://c.d>",
                format!("<strong>{}</strong>, {}", link("https://a.b"), link("https://c.d")),
            ),
            ("xhttp://a http:// https", "xhttp://a http:// https".into()),
            (
                "`https://a.b` $https://c.d$",
                "<code>https://a.b</code> <span class=\"math\">$https://c.d$</span>".into(),
            ),
            (
                "<b>https://a.b</b> <a href=x>https://c.d</a>",
                format!("<b>{}</b> <a href=x>https://c.d</a>", link("https://a.b")),
            ),
        ] {
            assert_eq!(body(text).trim_end(), format!("<p>{html}</p>"));
        }
    }

    #[test]
    fn is_a_whole_page() {
        let html = page("x");
        let style = html.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).unwrap().0;
        assert!(html.contains(&format!("style-src 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(style)))));
        for part in [
            "<title>me/&lt;repo&gt;</title>",
            "<article class=\"comment\" id=\"c-1\">",
            "<b>cml</b> commented on a &amp; b · <a href=\"#c-1\">noon</a> · edited one</header>",
            "<summary>2 earlier versions</summary>\n<header>&lt;first&gt;</header>",
            "id=\"c-1-version-1-note-n\"",
            "<p>older</p>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(render("t", &[]).contains("No comments yet"));
    }
}
