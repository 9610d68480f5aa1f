//! The mark by which a comment is known again: found whatever stands before it, and only where it is.
#![no_main]

use cml::report::watermark::Watermark;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, &str, u8)| {
    let (title, body, part) = data;
    let mark = Watermark::new(title, Some("w"), None);
    let stripped = mark.strip(body);
    assert!(body.starts_with(stripped));
    let _ = mark.part_of(body);
    let part = usize::from(part).max(1);
    let marked = format!("text\n\n{}", mark.mark(Some("ff"), part));
    assert_eq!(mark.part_of(&marked), Some(part), "{marked}");
    assert_eq!(mark.strip(&marked), "text");
});
