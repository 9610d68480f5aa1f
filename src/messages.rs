//! Words that many messages have. Pure.

/// Address of this project's repository. `Cargo.toml` is the only place in the code that names its owner.
pub const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
/// Name of the repository with its owner, as a workflow's `uses:` has it.
pub const ACTION: &str = REPOSITORY.split_at("https://github.com/".len()).1;
/// Name of the owner, also of the images.
pub const OWNER: &str = ACTION.split_at(ACTION.len() - "/setup-cml-rs".len()).0;

/// Returns a number of things: `1 file`, `2 files`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{ACTION, OWNER, REPOSITORY};

    #[test]
    fn the_repository_is_named_once() {
        assert_eq!(ACTION, format!("{OWNER}/{}", env!("CARGO_PKG_NAME")));
        assert_eq!(REPOSITORY, format!("https://github.com/{ACTION}"));
    }

    #[test]
    fn one_thing_has_no_ending() {
        assert_eq!([0, 1, 2].map(|number| super::count(number, "file")), ["0 files", "1 file", "2 files"]);
    }
}
