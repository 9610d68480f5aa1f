//! A comment's sections: whatever a body is, it comes apart, and what was put together comes apart as it was.
#![no_main]

use cml::report::section::{self, Sections};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, &str, &str)| {
    let (body, name, text) = data;
    // What somebody left open is closed, once.
    let composed = Sections::parse(body).compose();
    let mut sections = Sections::parse(&composed);
    assert_eq!(sections.compose(), composed, "once is enough");
    // A new section does not touch the others.
    if !name.is_empty() && section::check(text).is_ok() {
        sections.named.insert(name.to_owned(), section::alone(name, text));
        assert_eq!(Sections::parse(&sections.compose()), sections);
    }
});
