//! The small programs on PATH that start the real one. Pure.

/// For `sh`, which every Linux and macOS runner has, and Git's bash on Windows.
pub fn posix(words: &[String]) -> String {
    format!("#!/bin/sh\nexec {} \"$@\"\n", quoted(words))
}

/// For `cmd` and PowerShell on Windows.
pub fn windows(words: &[String]) -> String {
    format!("@{} %*\r\n", quoted_for_cmd(words))
}

/// Words as `sh` reads them.
pub fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Words as a batch file reads them: `%` begins a variable even in quotes.
pub fn quoted_for_cmd(words: &[String]) -> String {
    let quote = |word: &String| format!("\"{}\"", word.replace('%', "%%"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_kind_are_one_word() {
        let words = ["/o'brien $HOME/node".to_owned(), "C:\\100% ours\\index.js".to_owned()];
        assert_eq!(posix(&words), "#!/bin/sh\nexec '/o'\\''brien $HOME/node' 'C:\\100% ours\\index.js' \"$@\"\n");
        assert_eq!(windows(&words[1..]), "@\"C:\\100%% ours\\index.js\" %*\r\n");
    }
}
