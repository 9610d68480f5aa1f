//! Tells the program its version: in a released program and one that is installed from git, with the commit and its date, as
//! cargo's own. Not in the WebAssembly, whose bytes are committed, nor while developing, where each commit would compile anew.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // a build script talks to cargo by printing

use std::path::Path;
use std::process::Command;

fn main() {
    let env = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    let mut version = env("CARGO_PKG_VERSION");
    if env("PROFILE") == "release" && env("CARGO_CFG_TARGET_ARCH") != "wasm32" {
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={log}");
        }
        if let Some(commit) = git(&["log", "-1", "--format=%h %cs", "--abbrev=9", "--no-show-signature"]) {
            version += &format!(" ({commit})");
        }
    }
    println!("cargo::rustc-env=CML_VERSION={version}");
}

/// Returns what git prints about this repository; nothing for sources outside of one.
fn git(args: &[&str]) -> Option<String> {
    // Not of one around it.
    let output = Path::new(".git").exists().then(|| Command::new("git").args(args).output().ok()).flatten()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}
