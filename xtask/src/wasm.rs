//! The library for WebAssembly, with whichever compiler of this machine can build it.

use crate::shell::{self, Result, cargo, output};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// `check` or `clippy`.
pub fn run(verb: &str) -> Result {
    let mut command = cargo_for_wasm(verb)?;
    // A folder of its own: in a shared one, each compiler would build everything anew after the other.
    command.args(["--package", "setup-cml-rs", "--lib", "--target", TARGET, "--target-dir", "target/wasm"]);
    if verb == "clippy" {
        // Not with Amazon's SDK, which takes minutes: what is over it is the same in both builds, and `dist` compiles it.
        command.args(["--no-default-features", "--features", "azure,gcp,kubernetes", "--", "-D", "warnings"]);
    }
    shell::run(&mut command)
}

/// The module itself, optimised; its path. The same sources make the same bytes in any folder.
pub fn module() -> Result<PathBuf> {
    let mut command = cargo_for_wasm("rustc")?;
    command.args(["--locked", "--profile", "wasm", "--lib", "--crate-type", "cdylib"]);
    command.args(["--target", TARGET, "--target-dir", "target/wasm"]).env("RUSTFLAGS", remapped()?);
    if let Some(linker) = rustup_linker().filter(|_| !rustup_has_target()) {
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    shell::run(&mut command)?;
    Ok(Path::new("target/wasm").join(TARGET).join("wasm/cml.wasm"))
}

/// The compiler that [`module`] uses.
pub fn compiler() -> Result<String> {
    let other = toolchain().filter(|_| !rustup_has_target());
    let program = other.map_or(PathBuf::from("rustc"), |toolchain| toolchain.join("bin/rustc"));
    output(&program, &["--version"]).ok_or(format!("{} --version fails", program.display()))
}

/// Flags that keep this machine's folders out of the module.
fn remapped() -> Result<String> {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let sources = format!("{}/registry/src", home.map_err(|e| e.to_string())?);
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let indexes = std::fs::read_dir(&sources).map_err(|e| format!("{sources}: {e}"))?;
    let mut flags: Vec<String> = indexes
        .filter_map(|index| Some(format!("--remap-path-prefix={}=/cargo", index.ok()?.path().display())))
        .collect();
    flags.sort();
    flags.push(format!("--remap-path-prefix={}=/src", here.display()));
    Ok(flags.join(" "))
}

/// The linker that rustup's Rust brings along; the other toolchain may have none.
fn rustup_linker() -> Option<PathBuf> {
    let folder = output("rustc", &["--print", "target-libdir"])?;
    let linker = Path::new(&folder).parent()?.join("bin/rust-lld");
    linker.is_file().then_some(linker)
}

fn rustup_has_target() -> bool {
    output("rustc", &["--print", "target-libdir", "--target", TARGET]).is_some_and(|dir| Path::new(&dir).is_dir())
}

/// The cargo for WebAssembly, with a verb: rustup's where it has the target, else the one of another toolchain.
fn cargo_for_wasm(verb: &str) -> Result<Command> {
    if rustup_has_target() {
        return Ok(cargo(&[verb]));
    }
    let toolchain = toolchain().ok_or(format!(
        "no compiler for {TARGET}: run `rustup target add {TARGET}`, or set {TOOLCHAIN} to the folder of another toolchain \
         (docs/development.md)"
    ))?;
    // Clippy is started by path: by name, cargo would find rustup's.
    let mut command = Command::new(toolchain.join(if verb == "clippy" { "bin/cargo-clippy" } else { "bin/cargo" }));
    command.args([verb, "-Z", "build-std=std,panic_abort"]).envs(shell::rustc_wrapper());
    for (name, program) in [("CARGO", "cargo"), ("RUSTC", "rustc"), ("RUSTDOC", "rustdoc")] {
        command.env(name, toolchain.join("bin").join(program));
    }
    // Cargo's own libraries must not get in the way of the other compiler's.
    command.env("RUSTC_BOOTSTRAP", "1").env_remove("LD_LIBRARY_PATH");
    Ok(command)
}

/// Where rustup has no compiler for WebAssembly: a toolchain's folder, with `bin/cargo`. It builds the standard library from its sources.
const TOOLCHAIN: &str = "CML_WASM_TOOLCHAIN";

fn toolchain() -> Option<PathBuf> {
    std::env::var_os(TOOLCHAIN).map(PathBuf::from)
}
