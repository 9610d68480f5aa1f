//! The invisible image by which a comment is known again. The form is CML's, so that both programs find
//! each other's comments: `![](https://cml.dev/watermark.png#<sha> "CML watermark <title>")`, after a blank
//! line at the end of the body. Nobody requests that image: it is a mark, not a picture.
//!
//! In the title CML escapes `_ * [ <` with a backslash; forges and CML's own serialiser take some of those
//! backslashes away again, so titles are compared without them.

const OPENING: &str = "![](https://cml.dev/watermark.png#";
const LABEL: &str = "CML watermark";

/// What marks the comments of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    title: String,
}

impl Watermark {
    /// A mark with a title; `{workflow}` and `{run}` stand for what the CI says.
    pub fn new(title: &str, workflow: Option<&str>, run: Option<&str>) -> Self {
        let title =
            title.replace("{workflow}", workflow.unwrap_or("undefined")).replace("{run}", run.unwrap_or("undefined"));
        Watermark { title: title.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// The mark in Markdown, for a comment about a commit. `part` counts from 1; the first part of a long
    /// report carries the plain mark, so that CML finds it.
    pub fn mark(&self, commit: Option<&str>, part: usize) -> String {
        let commit = commit.filter(|sha| !sha.is_empty() && sha.bytes().all(|b| b.is_ascii_hexdigit()));
        let title = escape(&self.label(part));
        // CML only recognises a mark with a hexadecimal fragment.
        format!("{OPENING}{} \"{title}\")", commit.unwrap_or("0000000"))
    }

    fn label(&self, part: usize) -> String {
        let title = &self.title;
        let space = if title.is_empty() { "" } else { " " };
        match part {
            0 | 1 => format!("{LABEL}{space}{title}"),
            _ => format!("{LABEL}{space}{title} (continued {part})"),
        }
    }

    /// Which part of this report a comment is: 1 for the first, `None` when it carries another mark or none.
    pub fn part_of(&self, body: &str) -> Option<usize> {
        marks(body).find_map(|found| self.part(&found))
    }

    fn part(&self, label: &str) -> Option<usize> {
        let label = plain(label);
        let first = plain(&self.label(1));
        if label == first {
            return Some(1);
        }
        let part = label.strip_prefix(&first)?.strip_prefix(" (continued ")?.strip_suffix(')')?.parse().ok()?;
        (part > 1).then_some(part)
    }

    /// The body without this report's mark and the white space before it.
    pub fn strip<'a>(&self, body: &'a str) -> &'a str {
        let mut end = body.len();
        while let Some(at) = body[..end].rfind(OPENING) {
            if let Some((label, _)) = read(&body[at..])
                && self.part(label).is_some()
            {
                return body[..at].trim_end();
            }
            end = at;
        }
        body
    }
}

/// The labels of all marks in a body.
fn marks(body: &str) -> impl Iterator<Item = String> {
    body.match_indices(OPENING).filter_map(|(at, _)| Some(read(&body[at..])?.0.to_owned()))
}

/// Reads a mark at the start of a text: its label and its length.
fn read(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix(OPENING)?;
    let sha = rest.find(|c: char| !c.is_ascii_hexdigit())?;
    let label = rest[sha..].strip_prefix(" \"")?;
    let line = label.lines().next()?;
    // A label may hold quotation marks: it ends at the last `")` of its line before another mark begins.
    let line = line.find(OPENING).map_or(line, |at| &line[..at]);
    let end = line.rfind("\")")?;
    label[..end].starts_with(LABEL).then_some((&label[..end], text.len() - label.len() + end + 2))
}

fn escape(title: &str) -> String {
    title.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '_' | '*' | '[' | '<' | '"') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

/// The label without the backslashes that forges and serialisers add and take away.
fn plain(label: &str) -> String {
    let mut text = String::with_capacity(label.len());
    let mut chars = label.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' || !chars.peek().is_some_and(char::is_ascii_punctuation) {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_cmls_form_byte_for_byte() {
        let sha = Some("abcdef0123");
        assert_eq!(
            Watermark::new("", None, None).mark(sha, 1),
            "![](https://cml.dev/watermark.png#abcdef0123 \"CML watermark\")"
        );
        assert_eq!(
            Watermark::new("m_a*b[c<d {workflow}/{run}", Some("w f"), Some("9")).mark(sha, 1),
            "![](https://cml.dev/watermark.png#abcdef0123 \"CML watermark m\\_a\\*b\\[c\\<d w f/9\")"
        );
    }

    #[test]
    fn finds_its_own_and_cmls_marks_only() {
        for title in ["", "my_model", "say \"hi\"", "a`b", "a_b*c", "x\\y", "(continued 2)", "æ ]) \") !"] {
            let mark = Watermark::new(title, None, None);
            for part in [1, 2, 12] {
                let body = format!("text\n\n{}", mark.mark(Some("ff"), part));
                assert_eq!(mark.part_of(&body), Some(part), "{title} {part}");
                assert_eq!(mark.strip(&body), "text");
            }
            let other = Watermark::new("other", None, None);
            assert_eq!(mark.part_of(&other.mark(None, 1)), None, "{title}");
            assert_eq!(other.part_of(&mark.mark(None, 1)), None, "{title}");
        }
        let posted = "![](https://cml.dev/watermark.png#ff \"CML watermark my_model\")\n";
        assert_eq!(Watermark::new("my_model", None, None).part_of(posted), Some(1));
        assert_eq!(
            Watermark::new("", None, None).part_of("![](https://cml.dev/watermark.png#HEAD \"CML watermark\")"),
            None
        );
    }
}
