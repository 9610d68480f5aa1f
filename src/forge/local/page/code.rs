//! Code as the forges show it: with colours, by the kinds of words that most languages have.
//!
//! The forges know hundreds of languages. This knows those that reports quote, by their comments, quotation marks and
//! keywords; other code stays plain.

use super::dialect::Dialect;
use super::escape;
use std::fmt::Write;

/// What a language looks like.
struct Language {
    names: &'static str,
    /// What begins a comment that ends with the line.
    comments: &'static [&'static str],
    /// What is around a comment of several lines.
    block: Option<(&'static str, &'static str)>,
    /// What is around texts, the longest first; those of three characters, and `` ` ``, may span lines.
    quotes: &'static [&'static str],
    keywords: &'static str,
    /// What follows a name that is a key: `:` or `=`.
    key: Option<char>,
}

const PYTHON: &[&str] = &["\"\"\"", "'''", "\"", "'"];
const BOTH: &[&str] = &["\"", "'"];
const LANGUAGES: [Language; 12] = [
    Language {
        names: "python py python3 py3",
        comments: &["#"],
        block: None,
        quotes: PYTHON,
        keywords: "False None True and as assert async await break case class continue def del elif else except finally for \
            from global if import in is lambda match nonlocal not or pass raise return try while with yield",
        key: None,
    },
    Language {
        names: "bash sh shell zsh console dockerfile docker makefile make",
        comments: &["#"],
        block: None,
        quotes: BOTH,
        keywords: "case do done elif else esac export fi for function if in local return then while set source \
            FROM RUN COPY ADD ENV ARG WORKDIR ENTRYPOINT CMD USER EXPOSE LABEL",
        key: None,
    },
    Language {
        names: "yaml yml",
        comments: &["#"],
        block: None,
        quotes: BOTH,
        keywords: "true false null yes no on off",
        key: Some(':'),
    },
    Language {
        names: "json jsonc json5",
        comments: &["//"],
        block: None,
        quotes: &["\""],
        keywords: "true false null",
        key: Some(':'),
    },
    Language {
        names: "toml ini cfg conf",
        comments: &["#", ";"],
        block: None,
        quotes: PYTHON,
        keywords: "true false",
        key: Some('='),
    },
    Language {
        names: "javascript js typescript ts jsx tsx mjs",
        comments: &["//"],
        block: Some(("/*", "*/")),
        quotes: &["\"", "'", "`"],
        keywords: "as async await break case catch class const continue default delete do else enum export extends false finally \
            for from function if import in instanceof interface let new null of return static super switch this throw true try \
            type typeof undefined var void while yield",
        key: None,
    },
    Language {
        names: "rust rs",
        comments: &["//"],
        block: Some(("/*", "*/")),
        quotes: &["\""],
        keywords: "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move \
            mut pub ref return self Self static struct super trait true type unsafe use where while",
        key: None,
    },
    Language {
        names: "c cpp c++ cxx cuda cu h hpp java kotlin csharp cs scala go golang swift",
        comments: &["//"],
        block: Some(("/*", "*/")),
        quotes: &["\"", "'", "`"],
        keywords: "auto bool boolean break case catch chan char class const continue default defer delete do double else enum extends \
            false final float for func go if implements import int interface long map namespace new nil null nullptr package private \
            protected public range return short signed sizeof static struct switch template this throw true try type typedef union \
            unsigned using var virtual void volatile while",
        key: None,
    },
    Language {
        names: "sql",
        comments: &["--"],
        block: Some(("/*", "*/")),
        quotes: BOTH,
        keywords: "SELECT FROM WHERE AND OR NOT IN AS ON JOIN LEFT RIGHT INNER OUTER GROUP BY ORDER HAVING LIMIT INSERT INTO VALUES \
            UPDATE SET DELETE CREATE TABLE WITH UNION ALL DISTINCT CASE WHEN THEN ELSE END NULL IS LIKE select from where and or not \
            in as on join left right inner outer group by order having limit insert into values update set delete create table with \
            union all distinct case when then else end null is like",
        key: None,
    },
    Language {
        names: "r",
        comments: &["#"],
        block: None,
        quotes: BOTH,
        keywords: "break else FALSE for function if in Inf NA NaN next NULL repeat return TRUE while library",
        key: None,
    },
    Language {
        names: "julia jl",
        comments: &["#"],
        block: Some(("#=", "=#")),
        quotes: &["\"\"\"", "\""],
        keywords: "abstract begin break catch const continue do else elseif end export false finally for function global if import in \
            let local macro module mutable nothing quote return struct true try using where while",
        key: None,
    },
    Language {
        names: "lua",
        comments: &["--"],
        block: None,
        quotes: BOTH,
        keywords: "and break do else elseif end false for function if in local nil not or repeat return then true until while",
        key: None,
    },
];

/// Returns a code block as HTML; `info` is what stands after the fence.
pub fn block(info: &str, code: &str, dialect: &Dialect) -> String {
    let name = info.split(|c: char| c.is_whitespace() || matches!(c, ',' | '{')).next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    if let Some(what) = dialect.drawing(&name) {
        let caption = format!("{} draws this as a {what}", dialect.title);
        return format!(
            "<div class=\"drawn\">\n<p class=\"caption\">{caption}</p>\n<pre class=\"drawing\"><code>{}</code></pre>\n</div>\n",
            escape(code)
        );
    }
    let html = match LANGUAGES.iter().find(|language| language.names.split_ascii_whitespace().any(|n| n == name)) {
        _ if matches!(name.as_str(), "diff" | "patch") => code.split_inclusive('\n').map(diff_line).collect(),
        Some(language) => highlight(code, language),
        None => escape(code),
    };
    format!("<pre><code>{html}</code></pre>\n")
}

fn diff_line(line: &str) -> String {
    let class = match line.as_bytes() {
        [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] => "file",
        [b'@', b'@', ..] => "hunk",
        [b'+', ..] => "added",
        [b'-', ..] => "removed",
        _ => "same",
    };
    format!("<span class=\"{class}\">{}</span>", escape(line))
}

fn highlight(code: &str, language: &Language) -> String {
    let mut html = String::with_capacity(code.len() * 2);
    let mut rest = code;
    // What is a part of a name, a number or a text has no meaning of its own.
    let mut before = '\n';
    while let Some(first) = rest.chars().next() {
        let (length, class) = token(rest, before, language);
        let length = length.max(first.len_utf8());
        let (text, after) = rest.split_at(length);
        match class {
            Some(class) => {
                let _ = write!(html, "<span class=\"{class}\">{}</span>", escape(text));
            }
            None => html.push_str(&escape(text)),
        }
        before = text.chars().next_back().unwrap_or(before);
        rest = after;
    }
    html
}

/// The length of what the code begins with, and its class.
fn token(code: &str, before: char, language: &Language) -> (usize, Option<&'static str>) {
    let begins_comment =
        |mark: &&str| code.starts_with(*mark) && (*mark != "#" && *mark != ";" || before.is_whitespace());
    if let Some((begin, end)) = language.block.filter(|(begin, _)| code.starts_with(begin)) {
        let length = code[begin.len()..].find(end).map_or(code.len(), |at| begin.len() + at + end.len());
        return (length, Some("remark"));
    }
    if language.comments.iter().any(begins_comment) {
        return (code.find('\n').unwrap_or(code.len()), Some("remark"));
    }
    if let Some(length) = language.quotes.iter().find_map(|quote| quoted(code, quote)) {
        return (length, Some(if is_key(&code[length..], language) { "key" } else { "string" }));
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = code.chars().next().unwrap_or_default();
    if !is_word(first) {
        return (first.len_utf8(), None);
    }
    let is_number = first.is_ascii_digit();
    // Keys such as `max-epochs` and numbers such as `0.5`.
    let joins = |c: char| (is_number && c == '.') || (language.key.is_some() && c == '-');
    let length = code.find(|c: char| !is_word(c) && !joins(c)).unwrap_or(code.len());
    let (word, after) = code.split_at(length);
    let class = if language.key.is_some() && is_key(after, language) {
        Some("key")
    } else if is_number {
        Some("number")
    } else if language.keywords.split_ascii_whitespace().any(|keyword| keyword == word) {
        Some("keyword")
    } else if after.starts_with('(') {
        Some("call")
    } else {
        None
    };
    (length, class)
}

fn is_key(after: &str, language: &Language) -> bool {
    let after = after.trim_start_matches([' ', '\t']);
    language.key.is_some_and(|sign| {
        after
            .strip_prefix(sign)
            .is_some_and(|rest| sign != ':' || rest.is_empty() || rest.starts_with(char::is_whitespace))
    })
}

/// The length of a text in quotation marks.
fn quoted(code: &str, quote: &str) -> Option<usize> {
    let inner = code.strip_prefix(quote)?;
    let spans_lines = quote.len() > 1 || quote == "`";
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if !escaped && inner[at..].starts_with(quote) {
            return Some(quote.len() + at + quote.len());
        }
        if c == '\n' && !spans_lines {
            return None;
        }
        escaped = c == '\\' && !escaped;
    }
    spans_lines.then_some(code.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(info: &str, code: &str) -> String {
        let html = block(info, code, &Dialect::new(None));
        html.strip_prefix("<pre><code>")
            .and_then(|html| html.strip_suffix("</code></pre>\n"))
            .unwrap_or(&html)
            .to_owned()
    }

    #[test]
    fn colours_the_languages_of_reports() {
        for (info, code, parts) in [
            (
                "Python title=\"a\"",
                "def fit(x=0.5):  # a<b\n    return 'it\\'s' + \"\"\"a\nb\"\"\"",
                &[
                    "<span class=\"keyword\">def</span> <span class=\"call\">fit</span>(x=<span class=\"number\">0.5</span>)",
                    "<span class=\"remark\"># a&lt;b</span>\n",
                    "<span class=\"string\">&#39;it\\&#39;s&#39;</span>",
                    "<span class=\"string\">&quot;&quot;&quot;a\nb&quot;&quot;&quot;</span>",
                ][..],
            ),
            (
                "yaml",
                "max-epochs: 3 # few\nurl: http://a#b\nok: true",
                &[
                    "<span class=\"key\">max-epochs</span>: <span class=\"number\">3</span> <span class=\"remark\"># few</span>",
                    "http://a#b",
                    "<span class=\"keyword\">true</span>",
                ],
            ),
            (
                "json",
                "{\"a\": \"b\"}",
                &["{<span class=\"key\">&quot;a&quot;</span>: <span class=\"string\">&quot;b&quot;</span>}"],
            ),
            ("rust", "fn f<'a>() { /* x */ }", &["&lt;&#39;a&gt;", "<span class=\"remark\">/* x */</span>"]),
            ("unknown", "def <b>", &["def &lt;b&gt;"]),
            ("", "'open", &["&#39;open"]),
            ("py", "'open\nif", &["&#39;open\n<span class=\"keyword\">if</span>"]),
        ] {
            let html = shown(info, code);
            for part in parts {
                assert!(html.contains(part), "{info}: {part}: {html}");
            }
        }
    }

    #[test]
    fn says_what_the_forge_draws() {
        for (info, what) in [("mermaid", "diagram"), ("geojson", "map"), ("stl", "3D model"), ("math", "formula")] {
            let html = shown(info, "a<b");
            assert!(html.contains(&format!("<p class=\"caption\">GitHub draws this as a {what}</p>")), "{html}");
            assert!(html.contains("a&lt;b"));
        }
    }
}
