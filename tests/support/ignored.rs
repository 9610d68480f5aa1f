//! Tests that cannot run here. The harness decides which tests are ignored before it starts them, so it counts these as passed; they are
//! recorded in the file `CML_TEST_IGNORED`, from which `cargo xtask test` reports them as ignored, with the reason and a count.

use std::fs::OpenOptions;
use std::io::Write;

/// Records that the test of this thread does not run, and why.
pub fn ignored(reason: &str) {
    let test = std::thread::current().name().unwrap_or("main").to_owned();
    let (path, line) = (std::env::var_os("CML_TEST_IGNORED"), format!("{test}\t{reason}\n"));
    // Not `eprintln!`, which the harness keeps to itself when a test passes.
    let written = match path {
        Some(path) => {
            OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(line.as_bytes()))
        }
        None => std::io::stderr().write_all(format!("ignored: {reason}\n").as_bytes()),
    };
    written.unwrap();
}

/// Records that the test does not run for lack of a helper, and how to get it. In CI that is an error.
#[track_caller]
pub fn skipped(what: &str, remedy: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs {what}: {remedy}");
    ignored(&format!("no {what}: {remedy}"));
}

/// Returns whether the WebAssembly is under test, which then does not run this test of what only the native program does.
pub fn is_native_only() -> bool {
    if super::is_wasm() {
        ignored("the native program only");
    }
    super::is_wasm()
}
