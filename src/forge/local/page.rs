//! A page that shows comments and checks as a pull request's conversation does.
//!
//! Pure. Markdown becomes HTML in the dialect of the repository's forge ([`Dialect`]), and [`sanitize`] does what their
//! sanitisers do: only known elements and attributes stay, and whatever a report opens is closed inside its own box. The
//! page's policy (<https://www.w3.org/TR/CSP3/>) then leaves scripts, inline styles and frames without effect.

use crate::forge::checks::{self, CheckState};
use crate::report::annotations::Annotation;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

mod code;
mod dialect;
mod links;
mod markdown;
mod sanitize;

pub use dialect::Dialect;
use markdown::to_html;

const STYLE: &str = include_str!("page.css");
const WATERMARK: &str = "https://cml.dev/watermark.png";
/// The seconds from one look at the page to the next while a report is watched.
const RELOAD_SECONDS: u32 = 2;

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
    /// Whether it is collapsed as outdated.
    pub hidden: bool,
}

/// A check as the page shows it.
pub struct ShownCheck<'a> {
    /// The check's place on the page, such as `check-3`.
    pub anchor: String,
    /// What it is about.
    pub about: &'a str,
    /// When it was last changed, for people.
    pub changed: &'a str,
    /// Its title.
    pub title: &'a str,
    /// How far it is, and how it ended.
    pub state: CheckState,
    /// The Markdown of its report.
    pub report: &'a str,
    /// Its annotations.
    pub annotations: &'a [Annotation],
}

/// What the page consists of.
pub struct Page<'a> {
    /// The page's title.
    pub title: &'a str,
    /// The comments, made by [`comment`].
    pub comments: &'a [String],
    /// The checks, made by [`check`].
    pub checks: &'a [String],
    /// Whether the page loads itself again and again.
    pub reloads: bool,
}

/// Returns the page as one HTML document, which loads nothing but the pictures of the comments.
pub fn render(page: &Page<'_>, dialect: &Dialect) -> String {
    // Browsers read CRLF as LF, so it must be LF that is hashed.
    let style = STYLE.replace("\r\n", "\n");
    let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
    let title = escape(page.title);
    let mut thread = page.comments.concat();
    if !page.checks.is_empty() {
        thread += &format!("<h2 class=\"checks\">Checks</h2>\n{}", page.checks.concat());
    }
    if thread.is_empty() {
        thread += "<div class=\"empty\"><p>No comments yet</p><p>The first report will appear here.</p></div>\n";
    }
    // Scripts are off, so it is the browser that has to come back.
    let (reload, status) = if page.reloads {
        (format!("<meta http-equiv=\"refresh\" content=\"{RELOAD_SECONDS}\">\n"), "follows the report")
    } else {
        (String::new(), "nothing was published")
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src * data: file: blob:; \
         media-src * data: file:; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         {reload}<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <header class=\"top\"><h1>{title}</h1><p>Local preview - {status}</p></header>\n\
         <main class=\"thread\">\n{thread}<footer>{}</footer>\n</main>\n</body>\n</html>\n",
        dialect.differences()
    )
}

/// Returns a comment as HTML, built of elements that the sanitiser does not let through, so that no report can close
/// them.
pub fn comment(shown: &Shown, dialect: &Dialect) -> String {
    let (anchor, about, created) = (escape(&shown.anchor), escape(shown.about), escape(shown.created));
    let edited = shown.edited.map(|date| format!(" · edited {}", escape(date))).unwrap_or_default();
    let body = to_html(shown.body, &anchor, dialect);
    let version = |(version, (date, body)): (usize, &(&str, &str))| {
        let (date, body) = (escape(date), to_html(body, &format!("{anchor}-version-{version}"), dialect));
        format!("<header>{date}</header>\n<section class=\"markdown\">\n{body}</section>\n")
    };
    let versions: String = (1..).zip(&shown.earlier).map(version).collect();
    let summary = match shown.earlier.len() {
        1 => "1 earlier version".to_owned(),
        count => format!("{count} earlier versions"),
    };
    let earlier = format!("<details class=\"earlier\"><summary>{summary}</summary>\n{versions}</details>\n");
    let earlier = if versions.is_empty() { "" } else { &earlier };
    let words = format!("<b>cml</b> commented on {about} · <a href=\"#{anchor}\">{created}</a>{edited}");
    let content = format!("<header>{words}</header>\n<section class=\"markdown\">\n{body}</section>\n{earlier}");
    let content = if shown.hidden {
        format!(
            "<details class=\"outdated\"><summary>This comment was marked as outdated</summary>\n{content}</details>\n"
        )
    } else {
        content
    };
    format!(
        "<article class=\"comment\" id=\"{anchor}\">\n<aside aria-hidden=\"true\">cml</aside>\n\
         <section class=\"box\">\n{content}</section>\n</article>\n"
    )
}

/// Returns a check as HTML, built as [`comment`] is.
pub fn check(shown: &ShownCheck, dialect: &Dialect) -> String {
    let anchor = escape(&shown.anchor);
    let (state, class) = match shown.state {
        CheckState::Queued => ("queued".to_owned(), "pending"),
        CheckState::InProgress => ("in progress".to_owned(), "pending"),
        CheckState::Completed(conclusion) => (checks::name(conclusion).replace('_', " "), class_of(conclusion)),
    };
    let annotations: String = shown.annotations.iter().map(annotation).collect();
    let annotations = match shown.annotations.len() {
        0 => String::new(),
        count => {
            let summary = crate::messages::count(count, "annotation");
            format!("<details class=\"annotations\" open><summary>{summary}</summary>\n{annotations}</details>\n")
        }
    };
    let report = match to_html(shown.report, &anchor, dialect) {
        report if report.is_empty() => report,
        report => format!("<section class=\"markdown\">\n{report}</section>\n"),
    };
    format!(
        "<article class=\"comment check\" id=\"{anchor}\">\n<section class=\"box\">\n\
         <header><span class=\"state {class}\" aria-hidden=\"true\"></span><b>{}</b> {state} · {} · \
         <a href=\"#{anchor}\">{}</a></header>\n{report}{annotations}</section>\n</article>\n",
        escape(shown.title),
        escape(shown.about),
        escape(shown.changed),
    )
}

fn class_of(conclusion: checks::Conclusion) -> &'static str {
    use checks::Conclusion::{Cancelled, Failure, Neutral, Skipped, Success, TimedOut};
    match conclusion {
        Success => "success",
        Failure | TimedOut => "failure",
        Neutral | Cancelled | Skipped => "neutral",
    }
}

fn annotation(annotation: &Annotation) -> String {
    let Annotation { path, start_line, end_line, level, title, message, .. } = annotation;
    let lines =
        if start_line == end_line { format!("line {start_line}") } else { format!("lines {start_line}-{end_line}") };
    let title = title.as_deref().map(|title| format!(" · <b>{}</b>", escape(title))).unwrap_or_default();
    let level = format!("{level:?}").to_lowercase();
    format!(
        "<section class=\"annotation {level}\"><header>{level} · {} {lines}{title}</header><p>{}</p></section>\n",
        escape(path),
        escape(message)
    )
}

/// Returns a text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::Repository;

    fn page(body: &str) -> String {
        let earlier = vec![("<first>", "old[^n]\n\n[^n]: x"), ("second", "</section></details>\n\nolder")];
        let (created, edited) = ("noon", Some("one"));
        let shown = Shown { anchor: "c-1".into(), about: "a & b", created, edited, body, earlier, hidden: false };
        let dialect = Dialect::new(None);
        let comments = [comment(&shown, &dialect)];
        render(&Page { title: "me/<repo>", comments: &comments, checks: &[], reloads: false }, &dialect)
    }

    /// What becomes of a comment's body.
    fn body(markdown: &str) -> String {
        let page = page(markdown);
        let (_, rest) = page.split_once("<section class=\"markdown\">\n").unwrap();
        rest.split_once("</section>").unwrap().0.to_owned()
    }

    /// What a forge makes of a comment's body.
    fn body_on(address: &str, markdown: &str) -> String {
        let repository = Repository::parse(address, None).unwrap();
        markdown::to_html(markdown, "c-1", &Dialect::new(Some(&repository)))
    }

    #[test]
    fn speaks_the_forges_dialect() {
        let html = body(
            "|a|b|\n|:-:|--:|\n|`<td style=\"text-align: left\">`|2|\n\n> [!WARNING]\n> Hot\n\n- [x] done\n\n\
             one[^B]\ntwo[^a] ~~x~~ $a<b$ $$c_d$$ [^none]\n\n[^a]: A\n[^b]: B\n[^c]: unused\n\n\
             ```diff\n-a<b\n+c\n```\n\n```rust\nfn\n```\n\n![x $y$](z.png)",
        );
        for part in [
            "<th align=\"center\">a</th>\n<th align=\"right\">b</th>",
            "<td align=\"center\"><code>&lt;td style=\"text-align: left\"&gt;</code></td>",
            "<div class=\"markdown-alert markdown-alert-warning\">\n<p class=\"markdown-alert-title\">Warning</p>\n<p>Hot</p>",
            "<li><input type=\"checkbox\" checked=\"\" disabled=\"\"> done</li>",
            "<br>\ntwo<sup class=\"footnote-ref\"><a href=\"#c-1-fn-a\" id=\"c-1-fnref-a\">2</a></sup>",
            "<del>x</del> <code class=\"math\" title=\"GitHub draws this as a formula\">$a&lt;b$</code> <code class=\"math display\">$$c_d$$</code>",
            "<small class=\"caption\">GitHub draws this as a formula</small> [^none]",
            "<span class=\"removed\">-a&lt;b\n</span><span class=\"added\">+c\n</span>",
            "<code><span class=\"keyword\">fn</span>",
            "<img src=\"z.png\" alt=\"x y\">",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(html.find("id=\"c-1-fn-b\"") < html.find("id=\"c-1-fn-a\""));
        assert!(!html.contains("unused") && !html.contains("<td style"));
    }

    #[test]
    fn forges_differ() {
        let text = "a\nb <b>c</b> $d$ `#fff` `#ffffff` #1 !2 @me @org/team :tada:\n\n```mermaid\nx\n```\n\n>>>\nq\n>>>";
        let github = body_on("https://github.com/octo/model", text);
        for part in [
            "a<br>\nb <b>c</b> <code class=\"math\"",
            "<code>#fff</code> <code>#ffffff<img class=\"swatch\" alt=\"\" src=\"data:image/svg+xml,",
            "fill='%23ffffff'",
            "<a href=\"https://github.com/octo/model/issues/1\">#1</a> !2",
            "<a class=\"mention\" href=\"https://github.com/me\">@me</a>",
            "href=\"https://github.com/orgs/org/teams/team\">@org/team</a> \u{1f389}</p>",
            "<p class=\"caption\">GitHub draws this as a diagram</p>\n<pre class=\"drawing\"><code>x",
        ] {
            assert!(github.contains(part), "{part}: {github}");
        }
        let gitlab = body_on("https://gitlab.com/group/sub/model", text);
        for part in [
            "a\nb <b>c</b>",
            "<code>#fff<img",
            "<a href=\"https://gitlab.com/group/sub/model/-/issues/1\">#1</a>",
            "<a href=\"https://gitlab.com/group/sub/model/-/merge_requests/2\">!2</a>",
            "href=\"https://gitlab.com/org/team\">",
            "GitLab draws this as a diagram",
            "<blockquote>\n<p>q</p>\n</blockquote>",
        ] {
            assert!(gitlab.contains(part), "{part}: {gitlab}");
        }
        let bitbucket = body_on("https://bitbucket.org/team/model", text);
        for part in ["&lt;b&gt;c&lt;/b&gt; $d$ <code>#fff</code> <code>#ffffff</code>", "<pre><code>x\n</code></pre>"] {
            assert!(bitbucket.contains(part), "{part}: {bitbucket}");
        }
    }

    #[test]
    fn links_what_people_write_without_brackets() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        let commit = format!("<a href=\"https://github.com/octo/model/commit/{sha}\"><tt>0123456</tt></a>");
        for (text, html) in [
            (sha, commit.as_str()),
            ("www.a.b, me@a.b", "<a href=\"http://www.a.b\">www.a.b</a>, <a href=\"mailto:me@a.b\">me@a.b</a>"),
            ("mAP@50 @0.5 a#1 #1a &#35;x x/#1 @a_b a@b", "mAP@50 @0.5 a#1 #1a #x x/#1 @a_b a@b"),
            ("`#1 @me :tada:` [#1](https://a)", "<code>#1 @me :tada:</code> <a href=\"https://a\">#1</a>"),
            (":no_such: 12:30:45 :+1:", ":no_such: 12:30:45 \u{1f44d}"),
            ("1234567 deadbeef", "1234567 deadbeef"),
        ] {
            assert_eq!(body_on("https://github.com/octo/model", text).trim_end(), format!("<p>{html}</p>"), "{text}");
        }
        // In HTML, too.
        let html = body_on("https://github.com/octo/model", "<table><tr><td>:tada: #1 https://a.b</td></tr></table>");
        assert!(html.contains(
            "<td>\u{1f389} <a href=\"https://github.com/octo/model/issues/1\">#1</a> <a href=\"https://a.b\">"
        ));
        // Where no repository is known.
        assert_eq!(body("#1 @me").matches("<span class=\"reference\">").count(), 2);
    }

    #[test]
    fn shows_checks_and_hidden_comments() {
        let annotations = [Annotation {
            path: "a<b.py".into(),
            start_line: 3,
            end_line: 4,
            columns: None,
            level: crate::report::annotations::Level::Warning,
            title: Some("E1".into()),
            message: "too <long>".into(),
        }];
        let shown = ShownCheck {
            anchor: "check-1".into(),
            about: "commit abc",
            changed: "noon",
            title: "CML <Report>",
            state: CheckState::Completed(checks::Conclusion::TimedOut),
            report: "# Report",
            annotations: &annotations,
        };
        let html = check(&shown, &Dialect::new(None));
        for part in [
            "<span class=\"state failure\"",
            "<b>CML &lt;Report&gt;</b> timed out · commit abc · <a href=\"#check-1\">noon</a>",
            "<h1>Report</h1>",
            "<summary>1 annotation</summary>",
            "warning · a&lt;b.py lines 3-4 · <b>E1</b></header><p>too &lt;long&gt;</p>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let shown = Shown {
            anchor: "c".into(),
            about: "x",
            created: "noon",
            edited: None,
            body: "old",
            earlier: Vec::new(),
            hidden: true,
        };
        let html = comment(&shown, &Dialect::new(None));
        assert!(html.contains("<summary>This comment was marked as outdated</summary>\n<header><b>cml</b>"), "{html}");
    }

    #[test]
    fn keeps_reports_in_their_boxes() {
        for (report, html) in [
            ("<ScRipt>x</script>", "&lt;ScRipt&gt;x&lt;/script&gt;"),
            ("<p>a</p><style>x</style><meta a='>'>", "<p>a</p>&lt;style&gt;x&lt;/style&gt;"),
            ("<details>\n<summary>a</summary>\n\nb", "<details>\n<summary>a</summary>\n<p>b</p>\n</details>"),
            ("</div></article></section></main>a", "a"),
            ("<div><!-- <b> -->a<b", "<div>a</div>"),
            ("<div><td></div>a", "<div></div>a"),
            ("<table><tr><td></div>a</table>", "<table><tbody><tr><td>a</td></tr></tbody></table>"),
            ("<p>a\n<div title='</div>'>b", "<p>a\n</p><div title=\"&lt;/div&gt;\">b\n</div>"),
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
                "<a href=\"HTTPS://a.b?c&amp;d\">b</a> <a href=\"mailto:c@d\">b</a> <a href=\"#c-1-e\">b</a>",
            ),
            ("<img src=//evil/share/a.png> <img src='\\\\evil\\a'> <img src='&#47;/evil/a'>", "<img> <img> <img>"),
            (
                "<img src=a srcset='b 1x, javascript:c 2x'> <img srcset='b 1x, https://c 2x'>",
                "<img src=\"a\"> <img srcset=\"b 1x, https://c 2x\">",
            ),
            ("<video autoplay poster=javascript:a src=data:text/html,b></video>", "<video></video>"),
            ("<a xlink:href=javascript:a formaction=b target=_blank download ping=c>b</a>", "<a>b</a>"),
            ("<a id='\"><script>x</script>'>b</a>", "<a id=\"c-1-&quot;&gt;&lt;script&gt;x&lt;/script&gt;\">b</a>"),
            ("<svg onload=a><a xlink:href=b>c</a></svg><math><mi>d</mi></math>", ""),
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
    fn no_report_grows_out_of_proportion() {
        for text in
            ["> ", "- ", "<div>", "<b>", "<table><tr><td>", "<a b=\"", "*a **b ", "[", "`", "<b id=1>\n\na\n\n", "</p>"]
        {
            let markdown = format!("{}x", text.repeat(2000));
            let html = body(&markdown);
            assert!(html.len() < 30 * markdown.len(), "{text}: {}", html.len());
        }
        for (text, tag) in [("> ", "<blockquote"), ("- ", "<li")] {
            let html = body(&format!("{}x", text.repeat(3000)));
            assert!(html.matches(tag).count() <= 100 && html.contains('x'), "{html}");
        }
        // Tags that stay open are opened again in every paragraph. So many are shown as text.
        let open: String = (0..300).map(|n| format!("<i id=i{n}>")).collect();
        let html = body(&format!("{open}{}", "a\n\n".repeat(3000)));
        assert!(html.contains("&lt;i id=i299&gt;") && html.matches("<p>").count() == 3000, "{}", html.len());
        let html = body(&"<ul><li>".repeat(600));
        assert_eq!(html.matches("&lt;ul&gt;").count(), 600);
        let html = body("<i>a\n\nb");
        assert_eq!(html, "<p><i>a</i></p><i>\n<p>b</p>\n</i>");
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
                "<code>https://a.b</code> <code class=\"math\" title=\"GitHub draws this as a formula\">$https://c.d$</code>"
                    .into(),
            ),
            (
                "<b>https://a.b</b> <a href=x>https://c.d</a>",
                format!("<b>{}</b> <a></a>{}", link("https://a.b"), link("https://c.d")),
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
            "id=\"c-1-version-1-fn-n\"",
            "<p>older</p>",
        ] {
            assert!(html.contains(part), "{part}");
        }
        let empty = Page { title: "t", comments: &[], checks: &[], reloads: true };
        let html = render(&empty, &Dialect::new(None));
        assert!(html.contains("No comments yet") && html.contains("<meta http-equiv=\"refresh\" content=\"2\">"));
    }
}
