//! `vl2png`, `vl2svg` and `vg2png`, as CML's users call them: vl-convert from Python's package index, whose
//! digests `vega.txt` has, started by `vega.py`.

use super::{launcher, setup};
use crate::app::App;
use crate::error::{Error, Result};
use crate::release::{self, folder};
use std::path::{Path, PathBuf};

const TOOLS: [&str; 3] = ["vl2png", "vl2svg", "vg2png"];
const PYTHONS: [&str; 2] = ["python3", "python"];

/// Puts the tools on PATH. They are installed now, or (`None`) when one is first called, so that setting up
/// needs no network; then only if the machine has none of its own.
pub async fn launchers(app: &App, bin: &Path, dist: &Path, wanted: Option<bool>) -> Result<()> {
    match wanted {
        Some(false) => return Ok(()),
        None if has_own(app) => return Ok(()),
        None => {}
        Some(true) => {
            let place = install(app).await?;
            app.log.info(&format!("{} are installed in {}", TOOLS.join(", "), place.display()));
        }
    }
    let install = [app.host.current_exe_argv(), vec!["vega".to_owned()]].concat();
    let install: Vec<&str> = install.iter().map(String::as_str).collect();
    let (place, script) = (place_file(app)?.display().to_string(), dist.join("vega.py").display().to_string());
    for tool in TOOLS {
        let words = |words: &[&str]| launcher::quoted(&words.iter().map(|w| w.replace('\\', "/")).collect::<Vec<_>>());
        let text = format!(
            "#!/bin/sh\n[ -e {place} ] || {install} >&2 || exit\npython=$(command -v python3 || command -v python)\n\
             PYTHONPATH=$(cat {place}) exec \"$python\" {tool} \"$@\"\n",
            place = words(&[&place]),
            install = words(&install),
            tool = words(&[&script, tool]),
        );
        setup::executable(app, &bin.join(tool), &text)?;
        if setup::is_windows(app) {
            let words = |words: &[&str]| {
                launcher::quoted_for_cmd(&words.iter().map(|word| word.replace('/', "\\")).collect::<Vec<_>>())
            };
            let text = format!(
                "@echo off\r\nsetlocal\r\nif not exist {place} {install} 1>&2 || exit /b\r\n\
                 set /p PYTHONPATH=<{place}\r\npython {tool} %*\r\n",
                place = words(&[&place]),
                install = words(&install),
                tool = words(&[&script, tool]),
            );
            setup::executable(app, &bin.join(format!("{tool}.cmd")), &text)?;
        }
    }
    Ok(())
}

/// Installs the package, unless it is there. Returns its folder, which is written down when it is complete: of two
/// that install at the same time, each has its own.
pub async fn install(app: &App) -> Result<PathBuf> {
    let file = place_file(app)?;
    if let Ok(place) = app.host.read(&file) {
        return Ok(String::from_utf8_lossy(&place).trim().into());
    }
    let place = file.with_file_name(format!("{:016x}", app.host.random()));
    let requirements = release::dist(app).join("vega.txt").display().to_string();
    let target = place.display().to_string();
    let pip = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install"];
    let checked = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--target", &target, "-r", &requirements];
    for python in PYTHONS {
        let argv: Vec<&str> = [python].into_iter().chain(pip).chain(checked).collect();
        match app.run(&argv).await {
            Ok(output) if output.code == Some(0) => {
                let written = app.host.write(&file, format!("{target}\n").as_bytes());
                return written
                    .map(|()| place)
                    .map_err(|e| Error::config(format!("cannot write to {} ({e})", file.display())));
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(Error::remote(format!("pip cannot install the Vega tools:\n{said}")).hint(
                    "the machine needs Python 3.8 or later with pip and access to a package index; or set vega: false",
                ));
            }
            Err(_) => {}
        }
    }
    Err(Error::config("the Vega tools need Python, which is not on PATH")
        .hint("add actions/setup-python before this step, or set vega: false"))
}

/// Returns the file that says where the package is.
fn place_file(app: &App) -> Result<PathBuf> {
    Ok(folder(app)?.join("vega").join("place"))
}

/// Returns whether the machine has such tools already.
fn has_own(app: &App) -> bool {
    let separator = if setup::is_windows(app) { ';' } else { ':' };
    let folders = app.env().named("PATH").unwrap_or_default().split(separator);
    folders.filter(|folder| !folder.is_empty()).any(|folder| app.host.stat(&Path::new(folder).join(TOOLS[0])).is_ok())
}
