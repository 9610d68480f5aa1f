//! What a machine in a cloud is told: read or refused without showing it, and the same after another writing.
#![no_main]

use cml::runner::document::Document;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match Document::parse(data) {
    Ok(document) => {
        let written = document.to_json();
        let again = Document::parse(written.expose().as_bytes()).expect("what was written is read");
        assert_eq!(again.to_json().expose(), written.expose());
    }
    Err(error) => assert!(error.to_string().len() < 300, "{error}"),
});
