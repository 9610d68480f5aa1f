//! Words that many messages have. Pure.

/// A number of things: `1 file`, `2 files`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_thing_has_no_ending() {
        assert_eq!([0, 1, 2].map(|number| super::count(number, "file")), ["0 files", "1 file", "2 files"]);
    }
}
