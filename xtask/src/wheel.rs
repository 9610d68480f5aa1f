//! The released program as a package for Python.

use crate::shell::{Result, run};
use crate::tools;
use std::path::Path;
use std::process::Command;

const WHEELS: &str = "target/wheels";

/// Packs the program of this machine, under the name that a release gives it.
pub fn pack(program: &Path) -> Result {
    let folder = Path::new("target/programs");
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let _ = std::fs::remove_dir_all(folder); // of another time
    std::fs::create_dir_all(folder).map_err(failed)?;
    let (os, arch, suffix) = (std::env::consts::OS, std::env::consts::ARCH, std::env::consts::EXE_SUFFIX);
    std::fs::copy(program, folder.join(format!("cml-{os}-{arch}{suffix}"))).map_err(failed)?;
    pack_all(folder)
}

/// Packs each program in a folder. Nothing is compiled.
pub fn pack_all(folder: &Path) -> Result {
    let python = tools::python("maturin")?;
    let tools = python.parent().unwrap_or(Path::new("")).to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)));
    let mut command = Command::new(".github/scripts/wheels.sh");
    command.arg(folder).arg(WHEELS).env("PATH", path.map_err(|e| e.to_string())?);
    run(&mut command)?;
    println!("{WHEELS}");
    Ok(())
}
