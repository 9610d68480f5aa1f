//! Names that lead to git's own folder.

/// Returns whether a name is `.git` to some file system: in another case, with what Windows and macOS leave out, or
/// as the short name that Windows gives it.
pub fn is_git_name(name: &str) -> bool {
    // What HFS+ leaves out when it compares names.
    let ignored =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let name: String = name.chars().filter(|c| !ignored(*c)).collect::<String>().to_ascii_lowercase();
    let name = name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    name == ".git" || name == "git~1"
}

#[cfg(test)]
mod tests {
    use super::is_git_name;

    #[test]
    fn gits_folder_is_known_by_all_its_names() {
        let names = [
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".git.",
            ".git ",
            ".git. .",
            ".g\u{200c}it",
            ".git::$INDEX_ALLOCATION",
        ];
        assert_eq!(names.into_iter().find(|name| !is_git_name(name)), None);
        let others = [".gitignore", "git", ".github", "x.git", "git~10", ".gi"];
        assert_eq!(others.into_iter().find(|name| is_git_name(name)), None);
    }
}
