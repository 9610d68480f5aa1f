//! The files that a report is made of.

use super::isolate::{closed, scoped};
use std::path::PathBuf;

/// A Markdown file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies: addresses in it are relative to that folder.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Returns sources that can stand in one text: nothing that one leaves open swallows the next, and its labels are its own. A
/// single source stays as it is.
pub fn isolated(sources: Vec<Source>) -> Vec<Source> {
    if sources.len() < 2 {
        return sources;
    }
    let isolate = |(number, source): (usize, Source)| {
        let text = closed(&scoped(&source.text, &number.to_string())).into_owned();
        Source { text, ..source }
    };
    (1..).zip(sources).map(isolate).collect()
}

/// Returns the texts as one, in their order.
pub fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut texts = texts.into_iter();
    let mut whole = texts.next().unwrap_or_default().to_owned();
    for text in texts {
        whole.truncate(whole.trim_end().len());
        whole += "\n\n";
        whole += text;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(texts: &[&str]) -> String {
        let source = |text: &&str| Source { path: "r.md".into(), text: (*text).to_owned() };
        let sources = isolated(texts.iter().map(source).collect());
        joined(sources.iter().map(|source| source.text.as_str()))
    }

    #[test]
    fn sources_do_not_reach_into_each_other() {
        assert_eq!(report(&["a\n"]), "a\n");
        assert_eq!(report(&["a\n\n", "b\n"]), "a\n\nb\n");
        assert_eq!(report(&["```\na", "b"]), "```\na\n```\n\nb");
        assert_eq!(report(&["[x]: /1\n", "[x]\n"]).matches("[x]").count(), 1);
    }
}
