//! What differs from HEAD, and which files are meant. Pure.

use crate::app::App;
use crate::error::{Error, Result};
use std::path::Path;

/// HEAD and what differs from it. <https://git-scm.com/docs/git-status#_porcelain_format_version_2>
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The commit of HEAD.
    pub head: String,
    /// The branch, when HEAD is on one.
    pub branch: Option<String>,
    /// Paths of changed and new files from the top of the working copy, as bytes.
    pub changed: Vec<Vec<u8>>,
    /// Those of files that are gone.
    pub deleted: Vec<Vec<u8>>,
    /// Those of folders that are repositories of their own.
    pub nested: Vec<String>,
}

impl Status {
    /// Returns whether nothing differs.
    pub fn is_clean(&self) -> bool {
        self.changed.is_empty() && self.deleted.is_empty()
    }

    /// Reads what git prints with `--porcelain=v2 --branch -z --no-renames`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut status = Status::default();
        for entry in bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let text = String::from_utf8_lossy(entry);
            let path = |fields: usize| entry.splitn(fields + 1, |byte| *byte == b' ').nth(fields).map(<[u8]>::to_vec);
            match text.split(' ').collect::<Vec<_>>()[..] {
                ["#", "branch.oid", "(initial)"] => {
                    return Err(Error::config("the repository is empty").hint("commit and push something"));
                }
                ["#", "branch.oid", sha] => status.head = sha.to_owned(),
                ["#", "branch.head", name] if name != "(detached)" => status.branch = Some(name.to_owned()),
                // Staged as deleted, and not there again; or just gone.
                ["1", "D." | ".D" | "AD" | "MD" | "TD", ..] => status.deleted.extend(path(8)),
                ["1", ..] => status.changed.extend(path(8)),
                ["?", ..] if text.ends_with('/') => {
                    let nested = path(1).unwrap_or_default();
                    status.nested.push(String::from_utf8_lossy(&nested).trim_end_matches('/').to_owned());
                }
                ["?", ..] => status.changed.extend(path(1)),
                ["u", ..] => {
                    let name = path(10).unwrap_or_default();
                    let name = String::from_utf8_lossy(&name).into_owned();
                    return Err(Error::conflict(format!("{name} has unresolved merge conflicts"))
                        .hint("resolve them, or abort the merge with `git merge --abort`"));
                }
                _ => {}
            }
        }
        Ok(status)
    }
}

/// Returns the files that the user's globs mean, as pathspecs of git: names of files and folders that there are as
/// they are, and globs in which `**` spans folders, `{a,b}` gives a choice and `!` takes away.
/// <https://git-scm.com/docs/gitglossary#Documentation/gitglossary.txt-pathspec>
pub fn pathspecs(app: &App, globs: &[String]) -> Vec<String> {
    let one = |glob: &String| -> Vec<String> {
        let glob = if cfg!(windows) { glob.replace('\\', "/") } else { glob.clone() };
        if app.host.stat(Path::new(&glob)).is_ok() {
            return vec![format!(":(literal){glob}")];
        }
        let (magic, glob) = match glob.strip_prefix('!') {
            Some(glob) => (":(exclude,glob)", glob),
            None => (":(glob)", glob.as_str()),
        };
        choices(glob).into_iter().map(|glob| format!("{magic}{glob}")).collect()
    };
    globs.iter().flat_map(one).collect()
}

/// `a{b,c}d` as `abd` and `acd`, one in the other.
fn choices(glob: &str) -> Vec<String> {
    let mut depth = 0;
    let (mut start, mut commas) = (0, Vec::new());
    for (at, c) in glob.char_indices() {
        match c {
            '{' => {
                if depth == 0 {
                    (start, commas) = (at, Vec::new());
                }
                depth += 1;
            }
            ',' if depth == 1 => commas.push(at),
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 && !commas.is_empty() {
                    let (before, after) = (&glob[..start], &glob[at + 1..]);
                    let starts = std::iter::once(start).chain(commas.iter().copied());
                    let ends = commas.iter().copied().chain([at]);
                    let alternatives = starts.zip(ends).map(|(start, end)| &glob[start + 1..end]);
                    return alternatives.flat_map(|one| choices(&format!("{before}{one}{after}"))).collect();
                }
            }
            _ => {}
        }
    }
    vec![glob.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_give_choices() {
        assert_eq!(choices("a.{x,y{1,2}}/{b,}c"), ["a.x/bc", "a.x/c", "a.y1/bc", "a.y1/c", "a.y2/bc", "a.y2/c"]);
        for plain in ["**/*.json", "a{b}c", "a}b{", "{a", "ä{"] {
            assert_eq!(choices(plain), [plain]);
        }
    }

    #[test]
    fn states_are_read() {
        let text = "# branch.oid 1234\0# branch.head (detached)\x001 .M N... 100644 100644 100644 a b a file\0? new ä\x001 .D N... 1 1 0 a b gone\0";
        let status = Status::parse(text.as_bytes()).unwrap();
        assert_eq!((status.head.as_str(), status.branch), ("1234", None));
        assert_eq!(
            (status.changed, status.deleted),
            (vec![b"a file".to_vec(), "new ä".into()], vec![b"gone".to_vec()])
        );
        let status = Status::parse(b"# branch.oid 1\0? dep/\0? a\0").unwrap();
        assert_eq!((status.nested, status.changed), (vec!["dep".to_owned()], vec![b"a".to_vec()]));
        let text = "# branch.oid 1\0u UU N... 100644 100644 100644 100644 a b c both sides\0";
        assert!(
            Status::parse(text.as_bytes())
                .unwrap_err()
                .to_string()
                .starts_with("both sides has unresolved merge conflicts")
        );
        assert!(Status::parse(b"# branch.oid (initial)\0# branch.head main\0").is_err());
    }
}
