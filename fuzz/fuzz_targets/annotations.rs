//! SARIF and lines of JSON: what is read has a path in the repository, lines in order, and not more than the file.
#![no_main]

use cml::report::annotations;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let Ok(read) = annotations::parse(text, Path::new("/work/repo")) else { return };
    for found in &read.found {
        assert!(found.path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."), "{found:?}");
        assert!(1 <= found.start_line && found.start_line <= found.end_line, "{found:?}");
        assert!(found.columns.is_none_or(|(start, end)| 1 <= start && start <= end), "{found:?}");
        assert!(!found.message.trim().is_empty(), "{found:?}");
    }
    assert!(read.found.len() + read.elsewhere <= text.len());
});
