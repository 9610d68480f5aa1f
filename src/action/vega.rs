//! `vl2png`, `vl2svg` and `vg2png`, as CML's users call them: vl-convert from Python's package index, whose
//! digests `vega.txt` has, started by `vega.py`. Of DVC's plots `vl2svg` draws the picture itself.

use super::{launcher, setup};
use crate::app::App;
use crate::charts::plot::spec;
use crate::error::{Error, Result};
use crate::files::{LARGEST_REPORT, is_stdin};
use crate::host::Command;
use crate::release::{self, folder};
use arguments::Arguments;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

mod arguments;

const TOOLS: [&str; 3] = ["vl2png", VL2SVG, "vg2png"];
/// The tool that needs vl-convert only for what is not one of DVC's plots.
const VL2SVG: &str = "vl2svg";
const PYTHONS: [&str; 2] = ["python3", "python"];
const SCRIPT: &str = "vega.py";

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
    let ours = [app.host.current_exe_argv(), vec!["vega".to_owned(), VL2SVG.to_owned()]].concat();
    setup::write(app, bin, VL2SVG, &ours)?;
    let (place, script) = (place_file(app)?.display().to_string(), dist.join(SCRIPT).display().to_string());
    for tool in TOOLS.into_iter().filter(|tool| *tool != VL2SVG) {
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

/// Runs `vl2svg`, the first argument, with the others; without any, installs the package. Returns the exit code.
///
/// # Errors
/// The image cannot be written, or the package cannot be installed.
pub async fn run(app: &App, args: &[String]) -> Result<u8> {
    let Some((tool, args)) = args.split_first() else { return install(app).await.map(|_| 0) };
    if args.iter().any(|arg| ["--help", "--version"].contains(&arg.as_str())) {
        return run_python(app, tool, args, Vec::new()).await;
    }
    let arguments = Arguments::parse(args);
    let path = Path::new(arguments.spec);
    let read = if is_stdin(path) {
        let input = app.files()?.named(path).and_then(|file| file.read(LARGEST_REPORT));
        input.map_err(|refusal| refusal.error("cannot read the spec".to_owned(), path))?
    } else {
        app.host.read(path).unwrap_or_default()
    };
    let text = String::from_utf8_lossy(&read);
    let drawn = arguments.scale.and_then(|scale| spec::draw(text.trim_start_matches('\u{feff}'), scale));
    let Some(svg) = drawn else {
        return run_python(app, tool, args, if is_stdin(path) { read } else { Vec::new() }).await;
    };
    if arguments.image == "-" {
        return app.print(&svg).map(|()| 0);
    }
    let written = app.host.write(Path::new(arguments.image), svg.as_bytes());
    written.map(|()| 0).map_err(|error| {
        Error::config(format!("cannot write {} ({error})", arguments.image))
            .hint("name a file in a folder that can be written to")
    })
}

/// Runs a tool of the package, which is installed if it is not there. Returns its exit code.
async fn run_python(app: &App, tool: &str, args: &[String], input: Vec<u8>) -> Result<u8> {
    let place = install(app).await?.display().to_string();
    let script = release::dist(app).join(SCRIPT).display().to_string();
    for python in PYTHONS {
        let argv = [python, &script, tool].map(str::to_owned).into_iter().chain(args.iter().cloned());
        let env = vec![("PYTHONPATH".to_owned(), place.clone())];
        let output = match app.host.execute(&Command { env, input: input.clone(), ..Command::new(argv) }).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            output => output.map_err(|error| Error::remote(format!("{python} cannot run {SCRIPT} ({error})")))?,
        };
        String::from_utf8_lossy(&output.stderr).lines().for_each(|line| app.host.log(line));
        app.print(&String::from_utf8_lossy(&output.stdout))?;
        return Ok(output.code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    }
    Err(no_python())
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
    Err(no_python())
}

fn no_python() -> Error {
    Error::config("the Vega tools need Python, which is not on PATH")
        .hint("add actions/setup-python before this step, or set vega: false")
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
