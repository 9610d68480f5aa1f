//! Parts of files that are made: between `# >>> KIND ARGUMENTS` and `# <<<`, at the marks' indentation. In Markdown the
//! marks are comments: `<!-- >>> KIND ARGUMENTS -->` and `<!-- <<< -->`.

const BEGIN: [&str; 2] = ["# >>> ", "<!-- >>> "];
const END: [&str; 2] = ["# <<<", "<!-- <<< -->"];

/// The text with its made parts made anew. `make` gets a mark's kind and arguments.
pub fn renew(text: &str, make: impl Fn(&str, &str) -> Result<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some(mark) = BEGIN.iter().find_map(|begin| line.trim_start().strip_prefix(begin)) else { continue };
        let mark = mark.trim_end_matches(" -->");
        let (kind, args) = mark.split_once(' ').unwrap_or((mark, ""));
        let indent = &line[..line.len() - line.trim_start().len()];
        for line in make(kind, args)?.lines() {
            out += if line.is_empty() { "" } else { indent };
            out += line;
            out.push('\n');
        }
        let end = lines.find(|line| END.contains(&line.trim_start())).ok_or(format!("{line} has no end"))?;
        out += end;
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::renew;

    #[test]
    fn what_is_between_the_marks_is_made_anew() {
        let made = renew("a\n  # >>> x y z\n  old\n  # <<<\nb\n", |kind, args| Ok(format!("{kind}: {args}\n\nend\n")));
        assert_eq!(made.unwrap(), "a\n  # >>> x y z\n  x: y z\n\n  end\n  # <<<\nb\n");
        let made = renew("<!-- >>> x -->\n<!-- <<< -->\n", |kind, _| Ok(kind.to_owned()));
        assert_eq!(made.unwrap(), "<!-- >>> x -->\nx\n<!-- <<< -->\n");
        assert!(renew("# >>> x\n", |_, _| Ok(String::new())).is_err());
    }
}
