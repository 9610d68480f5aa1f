use super::*;
use proptest::prelude::*;

/// What GitLab carries out of a text: the lines of its paragraphs, wherever they stand, that name an action.
fn executed(text: &str) -> Vec<String> {
    let text = text.replace('\r', "");
    let mut found = Vec::new();
    for (event, range) in Parser::new_ext(&text, dialect()).into_offset_iter() {
        if let Event::Start(Tag::Paragraph) = event {
            let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
            found.extend(text[start..range.end].lines().filter(|line| is_action(line)).map(str::to_owned));
        }
    }
    found
}

/// What a reader sees. The parser keeps white space before a line inside of a tag, where it means nothing.
fn shown(text: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new_ext(&text.replace('\r', ""), dialect()));
    html.replace("\n ", "\n")
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
    ] {
        assert_eq!(escape(text), text);
    }
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
    let text = "/merge\r\n".repeat(100_000);
    assert_eq!(escape(&text).len(), text.len() + 100_000);
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
