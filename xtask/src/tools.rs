//! Programs that come from Python's package index: one virtual environment in `target/tools`, made when needed.

use crate::shell::{Result, output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const VENV: &str = "target/tools";

/// A program that is on the PATH, or else in the virtual environment, where pip puts it with its package.
pub fn find(program: &str, package: &str) -> Result<PathBuf> {
    if works(Path::new(program)) {
        return Ok(program.into());
    }
    let path = scripts().join(program).with_extension(std::env::consts::EXE_EXTENSION);
    let path = std::path::absolute(path).map_err(|e| e.to_string())?;
    if !works(&path) {
        install(package).map_err(|why| format!("{program} is not here and cannot be installed: {why}"))?;
    }
    Ok(path)
}

fn install(package: &str) -> Result {
    let venv_python = scripts().join("python");
    if !works(&venv_python) {
        let python = ["python3", "python"].into_iter().find(|python| works(Path::new(python)));
        run(Command::new(python.ok_or("there is no Python")?).args(["-m", "venv", "--clear", VENV]))?;
    }
    run(Command::new(venv_python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]))
}

fn works(program: &Path) -> bool {
    output(program, &["--help"]).is_some()
}

fn scripts() -> PathBuf {
    Path::new(VENV).join(if cfg!(windows) { "Scripts" } else { "bin" })
}
