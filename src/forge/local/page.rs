//! A page that shows comments as a pull request's conversation does.
//!
//! Pure. Markdown becomes HTML in the forges' dialect ([`Dialect`]), and [`sanitize`] does what their sanitisers do:
//! only known elements and attributes stay, and whatever a report opens is closed inside its own box. The page's policy
//! (<https://www.w3.org/TR/CSP3/>) then leaves scripts, inline styles and frames without effect.

use crate::report;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd, TextMergeStream, html::push_html};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

mod sanitize;

use sanitize::sanitize;

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

/// The page as one HTML document, which loads nothing but the pictures of the comments. `comments` are made by
/// [`comment`].
pub fn render(title: &str, comments: &[String]) -> String {
    // Browsers read CRLF as LF, so it must be LF that is hashed.
    let style = STYLE.replace("\r\n", "\n");
    let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
    let title = escape(title);
    let thread = match comments {
        [] => "<div class=\"empty\"><p>No comments yet</p><p>The first report will appear here.</p></div>\n".to_owned(),
        _ => comments.concat(),
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

/// A comment as HTML, built of elements that the sanitiser does not let through, so that no report can close
/// them.
pub fn comment(shown: &Shown) -> String {
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
    let mut dialect = Dialect { prefix, cited: HashMap::new(), diff: false, images: 0 };
    let (mut text, mut notes, mut in_note) = (Vec::new(), Vec::new(), false);
    let flat = report::flatten(markdown);
    for event in TextMergeStream::new(Parser::new_ext(&flat, report::dialect())) {
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
    notes.retain(|(name, _)| dialect.cited.contains_key(name));
    notes.sort_by_key(|(name, _)| dialect.cited.get(name).copied());
    if !notes.is_empty() {
        text.push(Event::Html("<div class=\"footnotes\">\n".into()));
        text.extend(notes.into_iter().flat_map(|(_, note)| note));
        text.push(Event::Html("</div>\n".into()));
    }
    let mut html = String::new();
    push_html(&mut html, text.into_iter());
    // The policy leaves `style` without effect.
    let html = html.replace("<td style=\"text-align: ", "<td align=\"");
    sanitize(&html.replace("<th style=\"text-align: ", "<th align=\""))
}

/// Where the forges' HTML differs from pulldown-cmark's.
struct Dialect<'a> {
    prefix: &'a str,
    /// The names of footnotes, numbered in the order of their first mention.
    cited: HashMap<String, usize>,
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
                let next = self.cited.len();
                self.cited.entry(name).or_insert(next);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> String {
        let earlier = vec![("<first>", "old[^n]\n\n[^n]: x"), ("second", "</section></details>\n\nolder")];
        let shown = Shown { anchor: "c-1".into(), about: "a & b", created: "noon", edited: Some("one"), body, earlier };
        render("me/<repo>", &[comment(&shown)])
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
            "<li><input disabled=\"\" type=\"checkbox\" checked=\"\">",
            "<br>\ntwo<sup class=\"footnote-reference\"><a href=\"#c-1-note-a\">2</a></sup><a id=\"c-1-mention-a\"></a>",
            "<del>x</del> <span class=\"math\">$a&lt;b$</span> <span class=\"math display\">$$c_d$$</span> [^none]",
            "<span class=\"removed\">-a&lt;b\n</span><span class=\"added\">+c\n</span>",
            "<code class=\"language-rust\">fn",
            "<img src=\"z.png\" alt=\"x $y$\">",
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
            ("<p>a\n<div title='</div>'>b", "<p>a\n</p><div title=\"&lt;/div&gt;\">b</div>"),
            ("<input type=text><input type=checkbox>", "<p><input type=\"checkbox\"></p>"),
        ] {
            assert_eq!(body(report).trim_end(), html);
        }
        let page = page("<details><b>");
        assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
        assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
    }

    #[test]
    fn nothing_in_a_report_runs_or_leads_to_what_runs() {
        for (report, html) in [
            ("<img src=x onerror=alert(1)>", "<img src=\"x\">"),
            ("<IMG SRC='a.png' OnError='alert(1)' onload=a >", "<img src=\"a.png\">"),
            ("<b onclick=\"a\" style='x'>y</b>", "<b>y</b>"),
            ("<a href=javascript:a>b</a>", "<a>b</a>"),
            ("<a href=' \u{1}jAvAsCrIpT&colon;a'>b</a>", "<a>b</a>"),
            ("<a href='&#106;avascript:a'>b</a>", "<a>b</a>"),
            ("<a href='java&#10;script:a'>b</a>", "<a>b</a>"),
            ("[b](javascript:a) [b](vbscript:a) [b](data:text/html,a)", "<a>b</a> <a>b</a> <a>b</a>"),
            ("<javascript:alert(1)>", "<a>javascript:alert(1)</a>"),
            ("[b](evil.html) [b](../evil.svg) [b](file:///evil.html)", "<a>b</a> <a>b</a> <a>b</a>"),
            ("[b](files/ab.html)", "<a href=\"files/ab.html.txt\">b</a>"),
            (
                "[![](files/ab.svg)](files/ab.svg)",
                "<a href=\"files/ab.svg.txt\"><img src=\"files/ab.svg\" alt=\"\"></a>",
            ),
            ("[b](files/ab.pdf#page=2)", "<a href=\"files/ab.pdf#page=2\">b</a>"),
            (
                "[b](HTTPS://a.b?c&d) [b](mailto:c@d) [b](#e)",
                "<a href=\"HTTPS://a.b?c&amp;d\">b</a> <a href=\"mailto:c@d\">b</a> <a href=\"#e\">b</a>",
            ),
            ("<img src=//evil/share/a.png> <img src='\\\\evil\\a'> <img src='&#47;/evil/a'>", "<img> <img> <img>"),
            (
                "<img src=a srcset='b 1x, javascript:c 2x'> <img srcset='b 1x, https://c 2x'>",
                "<img src=\"a\"> <img srcset=\"b 1x, https://c 2x\">",
            ),
            ("<video autoplay poster=javascript:a src=data:text/html,b></video>", "<video></video>"),
            ("<a xlink:href=javascript:a formaction=b target=_blank download ping=c>b</a>", "<a>b</a>"),
            ("<a id='\"><script>x</script>'>b</a>", "<a id=\"&quot;&gt;&lt;script&gt;x&lt;/script&gt;\">b</a>"),
            ("<svg onload=a><a xlink:href=b>c</a></svg><math><mi>d</mi></math>", "<a>c</a>d"),
            ("<base href=//a><link rel=stylesheet href=b><object data=c></object><embed src=d>", ""),
        ] {
            let found = body(&format!("y {report}"));
            assert_eq!(found.trim_end(), format!("<p>y {html}</p>"), "{report}");
        }
        // What Markdown takes for text unless it stands in a block of HTML.
        for (report, html) in [
            ("<IMG/SRC='a.png'/onerror='b'/>", "<img src=\"a.png\">"),
            ("<b onclick=\"a\"style='x'>y</b>", "<b>y</b>"),
            ("<a\nhref\n=\njavascript:a\nonclick>b</a\nonclick=c>", "<a>b</a>"),
            ("<img src=a.png\"onerror=b>", "<img src=\"a.png&quot;onerror=b\">"),
            ("<img \"'\"src=a.png>", "<img>"),
        ] {
            assert_eq!(
                body(&format!("<div>\n{report}\n</div>")).trim_end(),
                format!("<div>\n{html}\n</div>"),
                "{report}"
            );
        }
    }

    #[test]
    fn nesting_ends_and_what_has_no_end_is_text() {
        for (text, most) in [("> ", 100), ("- ", 50), ("<div>", 100), ("<b>", 100)] {
            let html = body(&format!("{}x", text.repeat(3000)));
            let tag = ["<blockquote", "<li", "<div", "<b>"].iter().map(|tag| html.matches(tag).count()).max().unwrap();
            assert!(tag <= most && html.contains('x'), "{text}: {tag}");
            assert!(html.len() < 20_000, "{text}: {}", html.len());
        }
        let html = body(&format!("<div>\n{}", "<a b=\"".repeat(1001)));
        assert!(html.starts_with("<div>") && html.matches("&lt;a b=").count() > 400, "{html}");
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
                format!("<b>{}</b> <a>https://c.d</a>", link("https://a.b")),
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
