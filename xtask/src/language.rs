//! The lint of the language: phrases of docs/style_guide.md that no help, message or document may have.
//!
//! It reads the string literals of `src/` outside of tests, the first lines of doc comments, and the documents.

use crate::shell::Result;
use std::path::{Path, PathBuf};

/// What is banned, and what to write instead. Letters are compared without their case; a phrase begins and ends at a word's
/// border.
const PHRASES: &[(&str, &str)] = &[
    ("to be had", "available"),
    ("is no region", "is not a region"),
    ("is no commit", "is not a commit"),
    ("is no file", "is not a file"),
    ("is no option", "is not an option"),
    ("is no number", "is not a number"),
    ("this is no", "this is not a"),
    ("it is not said", "name what is missing: --x is required"),
    ("somebody removed", "was removed"),
    ("a last look", "one last time"),
    ("who wants", "to …, do …"),
    ("nobody knows", "unknown"),
    ("trying again", "retrying"),
    ("tried again in", "retrying in"),
    ("cannot find the address of", "cannot resolve"),
    ("an object a line", "one object per line"),
    ("a value a line", "one value per line"),
    ("or make it", "or create it"),
    ("say what was found", "show what was detected"),
    ("what is wrong here", "troubleshooting"),
    ("how much to tell", "log level"),
    ("how far the work is", "status"),
    ("a mistake in this program", "a bug in cml"),
    ("of no effect", "has no effect"),
    ("clear earlier comments away", "delete earlier comments"),
    ("brings up to date", "updates"),
    ("bring up to date", "update"),
    ("cannot be told", "cannot be determined"),
    ("who git says you are", "your git identity"),
    ("for ever", "forever, or with no end"),
    ("amazon's cloud", "AWS"),
];
/// Documents that quote what they ban.
const QUOTING: &[&str] = &["docs/style_guide.md"];

/// Fails with every place of a banned phrase.
pub fn check() -> Result {
    let mut found = Vec::new();
    for path in files(Path::new("src"), "rs")? {
        let text = read(&path)?;
        for (line, text) in literals(&text).into_iter().chain(doc_lines(&text)) {
            report(&path, line, &text, &mut found);
        }
    }
    let documents = [files(Path::new("docs"), "md")?, vec!["README.md".into(), "action.yml".into()]].concat();
    for path in documents.iter().filter(|path| !is_exempt(path)) {
        for (line, text) in (1..).zip(read(path)?.lines()) {
            report(path, line, text, &mut found);
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("{}\nwords and phrases: docs/style_guide.md", found.join("\n"))) }
}

/// Decisions are records: they are not rewritten.
fn is_exempt(path: &Path) -> bool {
    path.starts_with("docs/adr") || QUOTING.iter().any(|quoting| path == Path::new(quoting))
}

fn report(path: &Path, line: usize, text: &str, found: &mut Vec<String>) {
    for (phrase, instead) in PHRASES.iter().filter(|(phrase, _)| has(text, phrase)) {
        found.push(format!("{}:{line}: \"{phrase}\": write \"{instead}\"", path.display()));
    }
}

fn has(text: &str, phrase: &str) -> bool {
    let text = text.to_lowercase();
    let is_border = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(phrase)
        .any(|(at, _)| is_border(text[..at].chars().next_back()) && is_border(text[at + phrase.len()..].chars().next()))
}

/// The files of a folder and those below with an extension, in order, without those of tests.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The source without its tests, which stand last.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// Returns the string literals of a source, with their lines. Lines that a `\` joins are one text.
fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = without_tests(source);
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            // A character, not the beginning of a lifetime's name.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\") => 2 + rest[2..].chars().next().map_or(0, char::len_utf8),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#\"") => {
                let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
                let begin = end.len() + 1;
                let length = rest[begin..].find(end).unwrap_or_default();
                found.push((line, rest[begin..begin + length].to_owned()));
                begin + length + end.len()
            }
            '"' => {
                let length = string_length(&rest[1..]);
                found.push((line, joined(&rest[1..=length])));
                length + 2
            }
            c => c.len_utf8(),
        };
        let length = length.min(rest.len());
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// Returns the bytes up to the quotation mark that ends a string.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().position(|b| {
        let ends = b == b'"' && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn joined(literal: &str) -> String {
    let mut pieces = literal.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start()).replace("\\n", "\n")
}

/// Returns the first line of each doc comment, of an item or a module.
fn doc_lines(source: &str) -> Vec<(usize, String)> {
    let doc = |line: &str| {
        let line = line.trim_start();
        line.strip_prefix("///").or(line.strip_prefix("//!")).map(str::to_owned)
    };
    let mut above = None;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(without_tests(source).lines()) {
        let text = doc(line);
        if let (None, Some(text)) = (&above, &text) {
            found.push((number, text.clone()));
        }
        above = text;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// Is none to be had?
/// A second line to be had.
fn f() {
    // to be had
    let _ = ('\"', '\\'', r#\"raw \"to be had\"\"#);
    warn(\"no \\\"x\\\" is \\
          to be had\");
}
#[cfg(test)]
mod tests { const A: &str = \"to be had\"; }
";

    #[test]
    fn what_people_read_is_found() {
        let mut found = Vec::new();
        for (line, text) in literals(SOURCE).into_iter().chain(doc_lines(SOURCE)) {
            report(Path::new("a.rs"), line, &text, &mut found);
        }
        let lines: Vec<&str> = found.iter().filter_map(|text| text.split(':').nth(1)).collect();
        assert_eq!(lines, ["5", "6", "1"]);
    }

    #[test]
    fn a_phrase_is_one_of_whole_words() {
        assert!(has("None is To Be Had.", "to be had"));
        assert!(!has("who wantsx", "who wants"));
    }
}
