use super::*;
use proptest::prelude::*;

/// What GitLab carries out of a text: the lines of its paragraphs, wherever they stand, that name an action; and those which another
/// engine takes for text.
fn executed(text: &str) -> Vec<String> {
    let text = text.replace('\r', "");
    let mut found = Vec::new();
    for (event, range) in Parser::new_ext(&text, dialect()).into_offset_iter() {
        if let Event::Start(Tag::Paragraph) = event {
            let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
            found.extend(text[start..range.end].lines().filter(|line| is_action(line)).map(str::to_owned));
        }
    }
    for reading in Reading::all() {
        let mut scan = Scan::new(reading);
        found.extend(text.lines().filter(|line| scan.line(line) == Line::Text && is_action(line)).map(str::to_owned));
    }
    found
}

/// What a reader sees. The parser keeps white space before a line inside of a tag, where it means nothing, and of a code span, where a
/// browser shows several blanks as one.
fn shown(text: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new_ext(&text.replace('\r', ""), dialect()));
    let html = html.replace("\n ", "\n").replace("> ", ">");
    html.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_gitlab_carries_out_is_escaped_and_shows_the_same() {
    for (text, expected) in [
        ("/merge", "\\/merge"),
        ("# R\n\n/merge\n/approve\n/assign @evil\n", "# R\n\n\\/merge\n\\/approve\n\\/assign @evil\n"),
        ("text\n/target_branch x\nmore", "text\n\\/target_branch x\nmore"),
        ("text\r\n/close\r\n", "text\r\n\\/close\r\n"),
        ("/me\rrge", "\\/me\rrge"),
        ("text\n\r/merge \t\n", "text\n\r\\/merge \t\n"),
        ("x\r```\n/merge\n```", "x\r```\n\\/merge\n```"),
        ("> quote\n/merge\n", "> quote\n\\/merge\n"),
        ("- item\n/merge\n", "- item\n\\/merge\n"),
        ("1. > a\n/merge\n", "1. > a\n\\/merge\n"),
        ("**bold\n/merge now**", "**bold\n\\/merge now**"),
        ("/MERGE", "\\/MERGE"),
        ("/aßign @x\n\n/con\u{fb01}dential", "\\/aßign @x\n\n\\/con\u{fb01}dential"),
        ("<div>\n\n/merge\n\n</div>", "<div>\n\n\\/merge\n\n</div>"),
        ("/merge\n===\n", "\\/merge\n===\n"),
        ("/merge | a\n--- | ---\n/close | b", "\\/merge | a\n--- | ---\n\\/close | b"),
        ("``a`b\n/merge\n``", "``a`b /merge\n``"),
        ("`a\n/merge\nb`", "`a /merge\nb`"),
        ("`a\n*\n/merge\n`", "`a\n*\n /merge\n`"),
        ("> `a\n> 01.\n/merge\n`", "> `a\n> 01.\n /merge\n`"),
        ("<b title=\"\n/merge\n\">x</b>", "<b title=\"\n /merge\n\">x</b>"),
        ("[a]:\n/merge\n/close\n\n[a]", "[a]:\n /merge\n\\/close\n\n[a]"),
        ("$$\n/merge\n$$", "$$\n /merge\n$$"),
    ] {
        let escaped = escape(text);
        assert_eq!(escaped, expected);
        assert_eq!(shown(&escaped), shown(text), "{text}");
        assert_eq!(executed(&escaped), [""; 0], "{text}");
        assert_eq!(escape(&escaped), escaped, "twice is once");
    }
}

#[test]
fn what_gitlab_does_not_carry_out_keeps_its_bytes() {
    for text in [
        "```\n/merge\n```",
        "```sh\r\n/merge\r\n/close\r\n```\r\n",
        "~~~~\n/merge\n",
        "    /merge\n",
        "\t/merge",
        "- /merge\n- [ ] /close\n",
        "> /merge\n",
        "text /merge",
        "<div>\n/merge\n</div>",
        "<!--\n/merge\n-->\n",
        "<pre>\n\n/merge\n</pre>",
        "/usr/bin/python3 train.py\n",
        "//merge\n/ merge\n/\n/:x",
        "/assign@joe",
        "| a |\n|---|\n| /merge |",
        "\\/merge",
        " /merge",
        "`/merge`",
        "<pre>\n</code>\n\n/merge\n</pre>\n",
        "<SCRIPT>\n/merge\n</script>",
        "<!-- a\n\n/merge\n-->\n",
        "<?php\n/merge\n?>",
        "<!DOCTYPE\n/merge\n>",
        "<![CDATA[\n/merge\n]]>",
        "<b class='a' x>\n/merge\n</b>",
        "# a\n<b>\n/merge\n",
        "</div>\n/merge",
        "text\n```\n/merge\n```\n",
        "   ```\n/merge\n  ```\n",
        "- a\n- b\n\n```\n/merge\n```\n",
        "- a\n  ```\n  x\n\n```\n/merge\n```\n",
        "1. a\n\n   ~~~\n   x\n   ~~~\n\n~~~\n/merge\n~~~\n",
        "text\n2. a\n   ```\n/merge\n   ```\n",
        "-\n\n  ```\n/merge\n  ```\n",
        "* * *\n  ```\n/merge\n  ```\n",
        "> a\n\n```\n/merge\n```\n",
        ">>>\na\n>>>\n\n```\n/merge\n```\n",
        ">>>\n```\n/merge\n```\n>>>\n",
        "```\n>>>\n/merge\n>>>\n/close\n```\n",
        ">>> a\n```\n/merge\n```\n",
        "<details>\n\n```\n/merge\n```\n\n</details>\n",
        "````\n```\n/merge\n~~~\n````\n",
    ] {
        assert_eq!(escape(text), text);
    }
}

#[test]
fn a_line_that_any_engine_takes_for_text_is_escaped() {
    for text in [
        // CommonMark ends such a block with the end tag of any of four elements, in either case.
        "<pre>\n</style>\n/merge\n</pre>",
        "<pre>\nx</script>\n/merge\n</pre>",
        "<script>\n</pre>\n/merge\n</script>",
        "<style>\n</textarea>\n/merge\n</style>",
        "<pre></style>\n/merge\n</pre>",
        "<pre>\n</PRE>\n/merge\n</pre>",
        "<Script>\n</SCRIPT>\n/merge\n</Script>",
        "<pre>\n</PRE>\n```\n</pre>\n/merge\n```\n/close\n```\n",
        // A quotation of several lines ends what is open in it.
        ">>>\n```\n>>>\n/merge\n```",
        ">>>\n~~~\n>>>\n/merge\n~~~",
        ">>>\n<!--\n>>>\n/merge\n-->",
        ">>>\n<pre>\n>>>\n/merge\n</pre>",
        ">>>\n<div>\n>>>\n/merge\n</div>",
        ">>>\n<?x\n>>>\n/merge\n?>",
        ">>>>\n```\n>>>>\n/merge\n```",
        ">>>\n```\n  >>>>>  \n/merge\n```",
        ">>>>\n>>>\n```\n>>>\n/merge\n```",
        ">>>>\n>>>\n```\n>>>>\n/merge\n```",
        "  >>>\n\n```\n>>>\t\n/merge\n```",
        // To older engines these begin no HTML block.
        "<textarea>\n\n/merge\n</textarea>",
        "a\n<textarea>\n/merge",
        "a\n<search>\n/merge",
        "<!doctype\n/merge\n>",
        // Nor do these to newer ones.
        "a\n<source>\n/merge",
        "a\n<meta>\n/merge",
        // A paragraph whose beginning defines a link is one nevertheless.
        "[a]: x\n<b>\n/merge",
        "- a\n<b>\n/merge",
        "> a\n<b>\n/merge",
        "<![cdata[\n```\n]]>\n/merge\n```",
        "<!-->\n/merge\n-->",
        "<?>\n/merge\n?>",
        // An item ends, and the fence in it, where a description does.
        "a\n\n: b\n\n  ```\n/merge\n  ```",
    ] {
        let escaped = escape(text);
        assert!(escaped.contains("\n /merge") || escaped.contains("\n\\/merge"), "{text:?} {escaped:?}");
        assert_eq!(executed(&escaped), [""; 0], "{text:?}");
        assert_eq!(escape(&escaped), escaped, "twice is once");
        assert_eq!(escaped.replace(['\\', ' '], ""), text.replace(['\\', ' '], ""));
    }
    assert_eq!(
        escape("<pre>\n</PRE>\n/merge\n\n# next\n\n/close\n</pre>"),
        "<pre>\n</PRE>\n /merge\n\n# next\n\n /close\n</pre>"
    );
}

#[test]
fn a_paragraph_of_raw_html_names_no_lines() {
    let code = "```\n/merge\n```\n";
    for (text, expected) in [
        ("<p data-sourcepos=\"1:1-3:4\">\n/merge\n</p>", "<p data-no-sourcepos=\"1:1-3:4\">\n/merge\n</p>"),
        ("<P a=b\nDATA-SOURCEPOS\t= '1:1-9:4'>\n/x", "<P a=b\nDATA-no-SOURCEPOS\t= '1:1-9:4'>\n/x"),
        ("a <p data-source\rpos=1:1-3:4>/x", "a <p data-no-source\rpos=1:1-3:4>/x"),
        ("> </blockquote><p\n> data-sourcepos\n> =1:1-3:4>/x", "> </blockquote><p\n> data-no-sourcepos\n> =1:1-3:4>/x"),
        ("<p>x data-sourcepos = 1\n\na data-sourcepos=1", "<p>x data-no-sourcepos = 1\n\na data-sourcep&#111;s=1"),
    ] {
        let escaped = escape(&format!("{code}\n{text}")).into_owned();
        assert_eq!(escaped, format!("{code}\n{expected}"));
        assert_eq!(escape(&escaped), escaped, "twice is once");
    }
    for same in [
        "<p>\n\n`<p data-sourcepos=1>`",
        "```\n<p data-sourcepos=1>\n```",
        "- a\n\n  ```\n  <p data-sourcepos=1>\n  ```",
        "    <p data-sourcepos=1>",
        "<p>\n\nthe attribute data-sourcepos",
        "data-sourcepos=1",
    ] {
        let text = format!("{same}\n\n{code}");
        assert_eq!(escape(&text), text);
    }
    let hidden = escape(">>>\n```\n>>>\n<p data-sourcepos=\"1:1-9:4\">\n/x\n</p>\n```").into_owned();
    assert!(!hidden.contains(POSITION), "{hidden}");
}

#[test]
fn front_matter_does_not_move_lines_of_code_into_a_paragraph() {
    // GitLab takes the blank lines after front matter away before it counts lines.
    let body = "```\n/merge\n```\n\n\n/x, y\n";
    let text = format!("---\na: b\n---\n\n\n\n{body}");
    assert_eq!(escape(&text), format!("```yaml\na: b\n```\n\n{body}"));
    let named = format!("\u{feff}-*- coding: utf-8 -*-\n\n+++ x\na\n+++\n{body}");
    assert_eq!(escape(&named), format!("```x\na\n```\n\n{body}"));
    for same in ["---\na: b\n---\n\ntext\n", "---\na: b\n---\n\n```\nx\n```\n", "---\n```\n/merge\n```\n"] {
        assert_eq!(escape(same), same);
    }
}

#[test]
fn what_comes_back_is_what_was_sent_less_what_gitlab_drops() {
    assert_eq!(stored("a\r\n/merge\r\n\n "), "a\n\\/merge");
    assert_eq!(stored(&stored("a\r/b\n/c")), stored("a\r/b\n/c"));
}

#[test]
fn many_lines_take_time_in_proportion() {
    // Quadratic work would take minutes here.
    let text = "/merge\r\n".repeat(20_000);
    assert_eq!(escape(&text).len(), text.len() + 20_000);
    let marks: String = (3..600).rev().map(|length| ">".repeat(length) + "\n").collect();
    for line in ["</\n/x\n", "<p data-sourcepos \n/x\n", ">>>\n```\n/x\n", "<!--\n/x\n", "<b a='\n/x\n"] {
        let text = marks.clone() + &line.repeat(10_000);
        assert!(escape(&text).len() >= text.len());
    }
}

fn report() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "/merge",
            "/me\rrge",
            "/assign @x",
            "/usr/bin",
            "\n",
            "\n\n",
            "\r\n",
            "\r",
            "\n/close",
            "\n/close\n",
            "```\n",
            "~~~\n",
            "`",
            "``",
            "> ",
            "- ",
            "    ",
            "<div>\n",
            "</div>\n",
            "<!--",
            "-->\n",
            "<pre>\n",
            "</pre>\n",
            "</PRE>\n",
            "</style>\n",
            "<textarea>\n",
            "<search>\n",
            "<source>\n",
            "<b>\n",
            "<!doctype\n",
            "<![cdata[\n",
            "]]>\n",
            ">\n",
            ">>>\n",
            "\n>>>>\n",
            ": ",
            "[a]:",
            "[a]",
            "\n\n[b]: x\n",
            "$$\n",
            "$",
            "*",
            "**",
            "\\",
            "| a | b |\n|---|---|\n",
            "|",
            "---\n",
            "===\n",
            "text",
            "![x](",
            ")",
            "<b title=\"",
            "\">",
            "[^1]",
            "\n\n[^1]: ",
            "1. ",
            "# ",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn any_report_is_harmless_and_shows_the_same(text in report()) {
        let escaped = escape(&text);
        prop_assert_eq!(executed(&escaped), [""; 0], "{:?}", escaped);
        prop_assert_eq!(escape(&escaped), &*escaped);
        if front_matter_as_code(&text.replace('\r', "")).is_none() {
            prop_assert_eq!(shown(&escaped), shown(&text), "{:?}", escaped);
            prop_assert_eq!(escaped.replace(['\\', ' ', '\n'], ""), text.replace(['\\', ' ', '\n'], ""));
        }
    }
}
