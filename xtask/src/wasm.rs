//! The library for WebAssembly, with whichever compiler of this machine can build it.

use crate::shell::{self, Result, cargo, output};
use std::path::Path;
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// `check` or `clippy`.
pub fn run(verb: &str) -> Result {
    let mut command = if rustup_has_target() { cargo(&[verb]) } else { debian(verb)? };
    // A folder of its own: in a shared one, each compiler would build everything anew after the other.
    command.args(["--lib", "--target", TARGET, "--target-dir", "target/wasm"]);
    if verb == "clippy" {
        command.args(["--", "-D", "warnings"]);
    }
    shell::run(&mut command)
}

fn rustup_has_target() -> bool {
    output("rustc", &["--print", "target-libdir", "--target", TARGET]).is_some_and(|dir| Path::new(&dir).is_dir())
}

/// Debian's compiler, which builds the standard library from its sources. Its clippy is started by path: by
/// name, cargo would find rustup's.
fn debian(verb: &str) -> Result<Command> {
    let there = |path: &str| Path::new(path).exists();
    if !["/usr/bin/rustc", "/usr/bin/cargo", "/usr/lib/rustlib/src/rust/library"].into_iter().all(there) {
        return Err(format!(
            "no compiler for {TARGET}: rustup target add {TARGET}, or on Debian\n\
             apt-get install rustc-web cargo-web rust-web-src rust-web-clippy"
        ));
    }
    let mut command = Command::new(if verb == "clippy" { "/usr/bin/cargo-clippy" } else { "/usr/bin/cargo" });
    command.args([verb, "-Z", "build-std=std,panic_abort"]);
    command.env("CARGO", "/usr/bin/cargo").env("RUSTC", "/usr/bin/rustc").env("RUSTDOC", "/usr/bin/rustdoc");
    // Cargo's own libraries must not get in the way of the other compiler's.
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("LD_LIBRARY_PATH");
    Ok(command)
}
