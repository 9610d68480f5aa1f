//! Texts of others inside of Markdown that this program writes.

/// Returns a text that means nothing to Markdown or HTML, also in a table, and mentions nobody. It is one line.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '!' | '&' | '@' | '$') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
        // A backslash does not keep a forge from finding a name.
        if c == '@' {
            out.push('\u{200b}');
        }
        out
    })
}
