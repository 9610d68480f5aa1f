//! What a hostile report costs: the time of the pure functions for a thousand, ten thousand and a hundred thousand of
//! whatever a report can have many of, and how much longer ten times as many take. About 10 is linear. It is the time of
//! the processor, so that other work of the machine does not count.
//!
//! `cargo bench --bench report`; with `--profile dev` nothing is optimised, which changes no ratio. Words after `--`
//! choose inputs by their names. Nothing fails because of a time. What has taken too long is not tried with more, and
//! told as `MISSED`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

use cml::forge::local::page;
use cml::report::section::Sections;
use cml::report::split::{self, ReportLimits, Unit};
use cml::report::watermark::Watermark;
use cml::report::{plain, references, rewrite};
use std::hint::black_box;
use std::time::Duration;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// A size is left out when a tenth of it took this long.
const TOO_LONG: Duration = Duration::from_secs(20);
/// Ten times the work may take this much longer: caches and the allocator have their part in it.
const MOST: f64 = 30.0;
/// Below this a ratio is noise.
const NOISE: Duration = Duration::from_millis(20);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!("| input | function | 1k ms | 10k ms | 100k ms | × | × |");
    println!("| :--- | :--- | ---: | ---: | ---: | ---: | ---: |");
    let mut missed = Vec::new();
    for (name, input) in
        INPUTS.iter().filter(|(name, _)| words.is_empty() || words.iter().any(|w| name.contains(w.as_str())))
    {
        for (function, run) in FUNCTIONS {
            let row = Row::measure(*input, *run);
            println!("| {name} | {function} | {row} |");
            if !row.is_linear() {
                missed.push(format!("{name}: {function}"));
            }
        }
    }
    if missed.is_empty() {
        println!("\nok     ten times as much takes at most {MOST} times as long")
    } else {
        println!("\nMISSED ten times as much takes at most {MOST} times as long: {}", missed.join(", "))
    }
}

/// What this process has used of a processor.
#[cfg(unix)]
fn processor_time() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
    of(usage.user_time()) + of(usage.system_time())
}

#[cfg(not(unix))]
fn processor_time() -> Duration {
    std::time::UNIX_EPOCH.elapsed().unwrap()
}

/// The times of a function for the sizes, as far as they were tried.
struct Row(Vec<Duration>);

impl Row {
    fn measure(input: fn(usize) -> String, run: fn(&str)) -> Row {
        let mut times: Vec<Duration> = Vec::new();
        for size in SIZES {
            if times.last().is_some_and(|time| *time > TOO_LONG) {
                break;
            }
            let text = input(size);
            let started = processor_time();
            run(&text);
            times.push(processor_time().saturating_sub(started));
        }
        Row(times)
    }

    fn ratios(&self) -> Vec<Option<f64>> {
        let ratio = |pair: &[Duration]| {
            (pair[1] > NOISE).then(|| pair[1].as_secs_f64() / pair[0].max(NOISE / 10).as_secs_f64())
        };
        self.0.windows(2).map(ratio).collect()
    }

    fn is_linear(&self) -> bool {
        self.0.len() == SIZES.len() && self.ratios().into_iter().flatten().all(|ratio| ratio < MOST)
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = (0..SIZES.len()).map(|n| match self.0.get(n) {
            Some(time) => format!("{:.1}", time.as_secs_f64() * 1000.0),
            None => "–".to_owned(),
        });
        let ratios = (0..SIZES.len() - 1).map(|n| match self.ratios().get(n) {
            Some(Some(ratio)) => format!("{ratio:.1}"),
            _ => "–".to_owned(),
        });
        f.write_str(&times.chain(ratios).collect::<Vec<_>>().join(" | "))
    }
}

/// A function of the program, by its name.
type Named = (&'static str, fn(&str));

/// Those of a forge with short comments, so that there are many.
const LIMITS: ReportLimits = ReportLimits { parts: 10, part: 800, unit: Unit::Utf16 };

const FUNCTIONS: &[Named] = &[
    ("references", |text| drop(black_box(references(text)))),
    ("rewrite", |text| {
        let found = references(text);
        let replacements: Vec<_> =
            found.into_iter().map(|r| (r.range, "https://example.org/a.png".to_owned())).collect();
        black_box(rewrite(text, &replacements));
    }),
    ("split", |text| drop(black_box(split::split(text, LIMITS)))),
    ("truncate", |text| drop(black_box(split::truncate(text, 800, "cut")))),
    ("sections", |text| drop(black_box(Sections::parse(text).compose()))),
    ("watermark", |text| {
        let mark = Watermark::new("a", None, None);
        black_box((mark.part_of(text), mark.strip(text).len()));
    }),
    ("plain", |text| drop(black_box(plain::plain(text)))),
    ("preview", |text| {
        let shown = page::Shown {
            anchor: "a".into(),
            about: "b",
            created: "c",
            edited: None,
            body: text,
            earlier: Vec::new(),
            hidden: false,
        };
        black_box(page::comment(&shown, &page::Dialect::new(None)));
    }),
];

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(line).collect()
}

/// A block of HTML with something in it n times.
fn html(text: &str, n: usize) -> String {
    format!("<div>\n{}\n</div>\n", text.repeat(n))
}

type Input = (&'static str, fn(usize) -> String);

/// What there are n of.
const INPUTS: &[Input] = &[
    ("words", |n| "word ".repeat(n)),
    ("paragraphs", |n| "word\n\n".repeat(n)),
    ("headings", |n| "# a\n".repeat(n)),
    ("setext headings", |n| "a\n=\n".repeat(n)),
    ("quotes in a quote", |n| format!("{}a\n\nb\n", ">".repeat(n))),
    ("quotes in a quote, many lines", |n| format!("{}\n", ">".repeat(n / 10)).repeat(10)),
    ("quotes and lazy lines", |n| format!("{}a\n{}", "> ".repeat(n / 2), "b\n".repeat(n / 2))),
    ("lists in a list", |n| format!("{}a\n\nb\n", "- ".repeat(n))),
    ("lists in a list, numbered", |n| format!("{}a\n", "1. ".repeat(n))),
    ("lists in a list by indent", |n| lines((n as f64).sqrt() as usize, |i| format!("{}- a\n", "  ".repeat(i)))),
    ("items", |n| "- a\n".repeat(n)),
    ("items and blank lines", |n| "- a\n\n".repeat(n)),
    ("stars and blanks", |n| format!("{}a", "* ".repeat(n))),
    ("quotes and lists in turn", |n| format!("{}a\n", "> - ".repeat(n / 2))),
    ("open brackets", |n| "[".repeat(n)),
    ("open images", |n| "![".repeat(n)),
    ("brackets in brackets", |n| format!("{}a{}", "[".repeat(n), "]".repeat(n))),
    ("images in images", |n| format!("{}a{}", "![".repeat(n), "](b.png)".repeat(n))),
    ("links without an end", |n| "[a](".repeat(n)),
    ("links in angle brackets without an end", |n| "[a](<b".repeat(n)),
    ("links with titles without an end", |n| "[a](b \"".repeat(n)),
    ("links of odd brackets", |n| "[ (](".repeat(n)),
    ("closing brackets in lines", |n| "]([\n".repeat(n)),
    ("less-than signs", |n| "<".repeat(n)),
    ("tags without an end", |n| "<a ".repeat(n)),
    ("attributes without an end", |n| "<a b=\"".repeat(n)),
    ("comments without an end", |n| "a <!-- ".repeat(n)),
    ("CDATA without an end", |n| "a <![CDATA[".repeat(n)),
    ("instructions without an end", |n| "a <? ".repeat(n)),
    ("declarations without an end", |n| "a <!A ".repeat(n)),
    ("stars", |n| "*".repeat(n)),
    ("stars and letters", |n| "a***".repeat(n)),
    ("emphasis in emphasis", |n| format!("{}a{}", "*a **b ".repeat(n / 2), " b** a*".repeat(n / 2))),
    ("emphasis that does not fit", |n| "*a_ ".repeat(n)),
    ("brackets and emphasis", |n| "[*_a".repeat(n)),
    ("tildes", |n| "~a ".repeat(n)),
    ("backticks", |n| "`".repeat(n)),
    ("backticks of all lengths", |n| lines((n as f64).sqrt() as usize, |i| format!("{}a ", "`".repeat(i + 1)))),
    ("backticks and backslashes", |n| "``\\".repeat(n)),
    ("fences", |n| "```\na\n```\n".repeat(n)),
    ("fences without an end", |n| "```\n".repeat(n)),
    ("dollars", |n| "$".repeat(n)),
    ("formulas", |n| "$a{".repeat(n)),
    ("tables", |n| "|a|b|\n|-|-|\n|c|d|\n\n".repeat(n / 4)),
    ("cells of a row", |n| format!("{}\n{}\n{}\n", "|a".repeat(n), "|-".repeat(n), "|b".repeat(n))),
    ("rows", |n| format!("|a|b|\n|-|-|\n{}", "|c|d|\n".repeat(n))),
    ("rows that are too short", |n| format!("{}\n{}\n{}", "|a".repeat(n / 10), "|-".repeat(n / 10), "|b|\n".repeat(n))),
    ("a long header over rows", |n| format!("|{}|b|\n|-|-|\n{}", "a".repeat(n), "|c|d|\n".repeat(n))),
    ("references", |n| format!("{}\n\n[a]: b.png\n", "![a] ".repeat(n))),
    ("references without a definition", |n| lines(n, |i| format!("[a{i}] "))),
    ("definitions", |n| lines(n, |i| format!("[a{i}]: b{i}.png\n"))),
    ("definitions and references", |n| lines(n, |i| format!("![a{i}]\n\n[a{i}]: b{i}.png\n\n"))),
    ("footnotes in footnotes", |n| "[^a]: ".repeat(n)),
    ("items and many blank lines", |n| format!("{}a\n{}", "- ".repeat(n / 2), "\n".repeat(n / 2))),
    ("definitions of the same label", |n| "[a]: b.png\n".repeat(n)),
    ("a long definition and references", |n| format!("[a]: {}\n\n{}", "b".repeat(n), "[a]\n".repeat(n))),
    ("definitions in quotes", |n| lines(n, |i| format!("> [a{i}]:\n> b.png\n\n"))),
    ("labels without an end", |n| "[a\n".repeat(n)),
    ("footnotes", |n| lines(n, |i| format!("a[^{i}]\n\n[^{i}]: b\n\n"))),
    ("footnotes backwards", |n| {
        lines(n, |i| format!("[^{i}] ")) + "\n\n" + &lines(n, |i| format!("[^{}]: b\n\n", n - i))
    }),
    ("mentions of a footnote", |n| format!("{}\n\n[^a]: b\n", "[^a] ".repeat(n))),
    ("footnotes of the same name", |n| format!("[^a]\n\n{}", "[^a]: b\n\n".repeat(n))),
    ("images", |n| lines(n, |i| format!("![](plot{i}.png)\n"))),
    ("images of HTML", |n| "<img src=a.png> ".repeat(n)),
    ("tags", |n| html("<b>a</b>", n)),
    ("tags in tags", |n| format!("{}a{}", html("<div>", n), html("</div>", n))),
    ("inline tags in tags", |n| format!("a {}b{}", "<b>".repeat(n), "</b>".repeat(n))),
    ("tags that close nothing", |n| format!("{}{}", html("<b>", n / 2), html("</p>", n / 2))),
    ("cells of HTML", |n| format!("<table>{}", html("<tr><td>a", n))),
    ("tags without an end in HTML", |n| html("<a ", n)),
    ("attributes without an end in HTML", |n| html("<a b=\"", n | 1)),
    ("attributes of a tag", |n| html(&format!("<a {}>", "b=\"c\" ".repeat(n)), 1)),
    ("candidates of an image", |n| format!("<img srcset=\"{}\">", "a.png 1x, ".repeat(n))),
    ("details", |n| "<details>\n\na\n\n</details>\n\n".repeat(n)),
    ("details in details", |n| format!("{}a\n\n{}", "<details>\n\n".repeat(n), "</details>\n\n".repeat(n))),
    ("details without an end", |n| {
        format!("{}{}", "<details><summary>a</summary>\n\nb\n\n".repeat(10), "c\n\n".repeat(n))
    }),
    ("a long summary", |n| {
        format!("<details><summary>{}</summary>\n\n{}</details>\n", "a".repeat(n), "b\n\n".repeat(n))
    }),
    ("a long fence", |n| format!("{}\n{}", "`".repeat(n), "a\n".repeat(n))),
    ("addresses", |n| "https://example.org/a_b ".repeat(n)),
    ("an address and parentheses", |n| format!("https://a.b/{}", ")".repeat(n))),
    ("an address and dots", |n| format!("https://a.b/{}", ".".repeat(n))),
    ("http", |n| "http".repeat(n)),
    ("entities", |n| "&amp;&#1;&x ".repeat(n)),
    ("backslashes", |n| "\\".repeat(n)),
    ("breaks", |n| "a  \n".repeat(n)),
    ("carriage returns", |n| "a\r".repeat(n)),
    ("blanks", |n| format!("a{}b", " ".repeat(n))),
    ("tabs", |n| "\t".repeat(n)),
    ("marks", |n| "![](https://cml.dev/watermark.png#ff \"CML watermark b\") ".repeat(n)),
    ("marks without an end", |n| "![](https://cml.dev/watermark.png#".repeat(n)),
    ("sections", |n| lines(n, |i| format!("[cml-section]: # \"begin {i}\"\n\na\n\n[cml-section]: # \"end {i}\"\n"))),
    ("alerts", |n| "> [!NOTE]\n> a\n\n".repeat(n)),
    ("tasks", |n| "- [ ] a\n".repeat(n)),
    ("letters of four bytes", |n| "🎉".repeat(n)),
];
