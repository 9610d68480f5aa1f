//! Running programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Errors are for people.
pub type Result<T = ()> = std::result::Result<T, String>;

/// Goes to the top of the working copy; everything else here uses paths from there.
pub fn enter_root() -> Result {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("start me as `cargo xtask`")?;
    let root = Path::new(&manifest).join("..");
    std::env::set_current_dir(&root).map_err(|e| format!("{}: {e}", root.display()))
}

/// The cargo that runs this, with arguments.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(args).envs(rustc_wrapper());
    command
}

/// The variable that lets cargo compile through `xtask/rustc`, unless the user has a wrapper already or there is no `/bin/sh`.
pub fn rustc_wrapper() -> Option<(&'static str, PathBuf)> {
    let wanted = cfg!(unix) && std::env::var_os("RUSTC_WRAPPER").is_none();
    wanted.then(|| std::path::absolute("xtask/rustc").ok()).flatten().map(|path| ("RUSTC_WRAPPER", path))
}

/// The variable that lets cargo lint the crates of this workspace as it compiles them, where there is a `/bin/sh`.
pub fn clippy() -> Option<(&'static str, PathBuf)> {
    cfg!(unix).then(|| std::path::absolute("xtask/clippy").ok()).flatten().map(|path| ("RUSTC_WORKSPACE_WRAPPER", path))
}

/// Runs a command that must succeed, and shows it.
pub fn run(command: &mut Command) -> Result {
    show(command);
    let status = command.status();
    ended(command, status)
}

/// Shows a command that is about to run. It does not see what cargo told this program about its package: some build scripts would take
/// that for a change, and much would be built anew.
pub fn show(command: &mut Command) {
    eprintln!("$ {}", shown(command));
    let about_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| about_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
}

/// Returns an error unless a command has ended well.
pub fn ended(command: &Command, status: std::io::Result<ExitStatus>) -> Result {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{}: {status}", shown(command))),
        Err(error) => Err(format!("{}: {error}", shown(command))),
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// What a command prints; `None` when it fails or there is no such program.
pub fn output(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
