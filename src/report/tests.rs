use super::*;
use proptest::prelude::*;

fn addresses(markdown: &str) -> Vec<(&str, Use)> {
    references(markdown).into_iter().map(|r| (&markdown[r.range], r.used)).collect()
}

#[test]
fn finds_every_form_of_image() {
    use Use::{Linked, Shown};
    for (markdown, expected) in [
        ("![a](b.png)", vec![("b.png", Shown)]),
        ("![a]( <my plot.png> \"t\" )", vec![("my plot.png", Shown)]),
        ("![a](my%20plot.png)", vec![("my%20plot.png", Shown)]),
        ("![a](b_(1).png 'x')", vec![("b_(1).png", Shown)]),
        ("![a\\](b)](c.png)", vec![("c.png", Shown)]),
        ("![`](x)`](c.png)", vec![("c.png", Shown)]),
        ("[![in](a.png)](b.pdf)", vec![("a.png", Shown), ("b.pdf", Linked)]),
        ("![a][r] [r]\n\n[r]: p.png \"t\"\n", vec![("p.png", Shown)]),
        ("> ![a][r]\n>\n> [r]:\n> p.png\n", vec![("p.png", Shown)]),
        ("| a |\n|---|\n| ![x](t.png) |\n", vec![("t.png", Shown)]),
        ("- [ ] ![x](t.png)\n", vec![("t.png", Shown)]),
        ("> [!NOTE]\n> ![x](t.png)\n", vec![("t.png", Shown)]),
        ("a[^1]\n\n[^1]: ![x](t.png)\n", vec![("t.png", Shown)]),
        ("<img alt=x src=\"a.png\"/>", vec![("a.png", Shown)]),
        ("<p>\n<IMG\n  SRC='a b.png' width=3>\n</p>", vec![("a b.png", Shown)]),
        ("text <img src=a.png> text", vec![("a.png", Shown)]),
        ("<video poster=p.png controls><source src=v.mp4></video>", vec![("p.png", Shown), ("v.mp4", Shown)]),
        ("<source srcset=\"a.png 1x, b.png 2x\">", vec![("a.png", Shown), ("b.png", Shown)]),
        ("<a href=\"x.csv\">x</a>", vec![("x.csv", Linked)]),
        ("`![a](b.png)` <!-- <img src=x.png> -->", vec![]),
        ("    ![a](b.png)\n\n```\n![a](c.png)\n```\n", vec![]),
        ("$a ![x](y.png)$", vec![]),
        ("![](data:image/png;base64,AAAA)", vec![("data:image/png;base64,AAAA", Shown)]),
        ("![é](plötz/结果.png)", vec![("plötz/结果.png", Shown)]),
    ] {
        assert_eq!(addresses(markdown), expected, "{markdown}");
    }
}

#[test]
fn names_of_files_and_addresses_elsewhere() {
    assert_eq!(
        file_names("my%20plot.png?raw=1#x"),
        ["my%20plot.png?raw=1#x", "my plot.png?raw=1#x", "my%20plot.png", "my plot.png"]
    );
    for (address, local) in [
        ("a.png", true),
        ("./a:b.png", true),
        ("C:\\x.png", true),
        ("/x.png", true),
        ("https://x/a.png", false),
        ("//x/a.png", false),
        ("#top", false),
        ("mailto:a@b", false),
        ("", false),
    ] {
        assert_eq!(is_local(address), local, "{address}");
    }
    assert_eq!(fragment("a.png#gh-dark-mode-only"), "#gh-dark-mode-only");
}

#[test]
fn lines_are_counted_from_one() {
    let text = "a\n\n![x](y.png)\n";
    assert_eq!(references(text)[0].line(text), 3);
}

/// What a forge shows: the parser's events, with every address replaced by a number in order.
fn shape(markdown: &str) -> String {
    Parser::new_ext(markdown, dialect())
        .map(|event| match event {
            Event::Start(Tag::Image { title, .. }) => format!("image {title:?}\n"),
            Event::Start(Tag::Link { title, .. }) => format!("link {title:?}\n"),
            other => format!("{other:?}\n"),
        })
        .collect()
}

const REAL: &[&str] = &[
    include_str!("../../examples/report.md"),
    "- [ ] todo\n- [x] done\n\n> [!WARNING]\n> look\n\nfoot[^a] $a_1$ __b__ *   c\n\n[^a]: note ![p](p.png)\n",
    "| a | b |\r\n|:--|--:|\r\n| ![x](a.png) | `|` |\r\n\r\n<details>\r\n<summary>s</summary>\r\n\r\n![y](<b c.png>)\r\n</details>\r\n",
    "Setext\n===\n\n1) one\n2) two ![q][r]\n\n\t![code](no.png)\n\n[r]: <r s.png> (title)\n\nhard  \nbreak\\\nend",
];

/// Pieces from which Markdown with addresses in all kinds of places is put together.
fn markdown() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "![a](b.png)",
            "[l](x.csv)",
            "![a](<b c.png> \"t\")",
            "<img src=\"i.png\">",
            "`code ![n](o.png)`",
            "\n\n",
            "\n",
            "> ",
            "- [ ] ",
            "| a | b |\n|---|---|\n| c | ",
            " |\n",
            "```\n",
            "![a][r]",
            "\n\n[r]: ref.png\n\n",
            "$x_1$",
            "[^1]",
            "\n\n[^1]: note ",
            "<details>\n",
            "</details>\n",
            "**",
            "_",
            "\\",
            "](",
            "![",
            "]",
            "(",
            ")",
            "<",
            ">",
            "\"",
            "&amp;",
            "\t",
            "\r\n",
            "é🎉",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn bytes_outside_addresses_stay(text: &str) -> Result<(), TestCaseError> {
    let found = references(text);
    let new = |n: usize| format!("https://example.org/{n}.png");
    let replaced: Vec<_> = found.iter().enumerate().map(|(n, r)| (r.range.clone(), new(n))).collect();
    let rewritten = rewrite(text, &replaced);
    // Cutting the addresses out of both leaves the same bytes.
    let (mut was, mut is, mut from, mut to) = (String::new(), String::new(), 0, 0);
    for (n, (range, _)) in replaced.iter().enumerate() {
        prop_assert!(range.start >= from, "addresses overlap in {text:?}");
        was.push_str(&text[from..range.start]);
        let kept = range.start - from;
        is.push_str(&rewritten[to..to + kept]);
        to += kept;
        prop_assert!(rewritten[to..].starts_with(&new(n)));
        (from, to) = (range.end, to + new(n).len());
    }
    was.push_str(&text[from..]);
    is.push_str(&rewritten[to..]);
    prop_assert_eq!(was, is);
    prop_assert_eq!(rewrite(text, &[]), text);
    Ok(())
}

#[test]
fn real_reports_keep_their_bytes_and_their_look() {
    for text in REAL {
        bytes_outside_addresses_stay(text).unwrap();
        let replaced: Vec<_> = references(text)
            .into_iter()
            .filter(|r| is_local(&r.address))
            .map(|r| (r.range, "https://example.org/new.png".to_owned()))
            .collect();
        assert!(!replaced.is_empty());
        assert_eq!(shape(&rewrite(text, &replaced)), shape(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn generated_reports_keep_their_bytes(text in markdown()) {
        bytes_outside_addresses_stay(&text)?;
    }

    #[test]
    fn any_text_keeps_its_bytes(text in "\\PC{0,200}") {
        bytes_outside_addresses_stay(&text)?;
    }
}
