//! `vl2png`, `vl2svg` and `vg2png`, as CML's users call them: vl-convert from Python's package index, whose
//! digests `vega.txt` has, started by `vega.py`. Of DVC's plots `vl2svg`, and natively also `vl2png`, draw the picture themselves.

use super::{VEGA, launcher, setup};
use crate::app::App;
use crate::charts::plot::spec;
#[cfg(not(target_arch = "wasm32"))]
use crate::charts::png;
use crate::error::{Error, Result};
use crate::files::{LARGEST_REPORT, is_stdin};
use crate::host::Command;
use crate::release::{self, folder};
use arguments::Arguments;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

mod arguments;

const TOOLS: [&str; 3] = [VL2PNG, VL2SVG, "vg2png"];
/// A tool that needs vl-convert only for what is not one of DVC's plots.
const VL2SVG: &str = "vl2svg";
/// Likewise, but only the native program makes PNGs.
const VL2PNG: &str = "vl2png";
const PYTHONS: [&str; 2] = ["python3", "python"];
const SCRIPT: &str = "vega.py";
/// A pixel of a picture that is not scaled is a point.
#[cfg(not(target_arch = "wasm32"))]
const POINTS_PER_INCH: f64 = 72.0;

/// Puts the tools on PATH. They are installed now, or (`None`) when one is first called, so that setting up
/// needs no network; then only if the machine has none of its own. `native` is the native program, if it is set up.
pub async fn launchers(app: &App, bin: &Path, native: Option<&Path>, wanted: Option<bool>) -> Result<()> {
    let dist = release::dist(app);
    match wanted {
        Some(false) => return Ok(()),
        None if has_own(app) => return Ok(()),
        None => {}
        Some(true) => {
            let place = install(app, &dist).await?;
            app.log.info(&format!("{} are installed in {}", TOOLS.join(", "), place.display()));
        }
    }
    let program = native.map_or_else(|| app.host.current_exe_argv(), |native| vec![native.display().to_string()]);
    let install = [program, vec![VEGA.to_owned(), dist.display().to_string()]].concat();
    let draws = |tool: &str| tool == VL2SVG || (tool == VL2PNG && native.is_some());
    for tool in TOOLS.into_iter().filter(|tool| draws(tool)) {
        setup::write(app, bin, tool, &[install.clone(), vec![tool.to_owned()]].concat())?;
    }
    let install: Vec<&str> = install.iter().map(String::as_str).collect();
    let (place, script) = (place_file(app)?.display().to_string(), dist.join(SCRIPT).display().to_string());
    for tool in TOOLS.into_iter().filter(|tool| !draws(tool)) {
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

/// Runs a tool with its arguments, which come after the folder of `vega.py` and the tool's name; without a tool, installs the package.
/// Returns the exit code.
///
/// # Errors
/// The image cannot be written, or the package cannot be installed.
pub async fn run(app: &App, args: &[String]) -> Result<u8> {
    let (dist, args) = args.split_first().ok_or_else(|| Error::internal("no folder of the Vega tools"))?;
    let dist = Path::new(dist);
    let Some((tool, args)) = args.split_first() else { return install(app, dist).await.map(|_| 0) };
    if args.iter().any(|arg| ["--help", "--version"].contains(&arg.as_str())) {
        return run_python(app, dist, tool, args, Vec::new()).await;
    }
    let arguments = Arguments::parse(args);
    let path = Path::new(arguments.spec);
    let read = if is_stdin(path) {
        let input = app.files()?.named(path).and_then(|file| file.read(LARGEST_REPORT));
        input.map_err(|refusal| refusal.error("cannot read the spec".to_owned(), path))?
    } else {
        app.host.read(path).unwrap_or_default()
    };
    let Some(image) = draw(tool, &String::from_utf8_lossy(&read), &arguments) else {
        return run_python(app, dist, tool, args, if is_stdin(path) { read } else { Vec::new() }).await;
    };
    if arguments.image == "-" {
        return app.print_bytes(&image).map(|()| 0);
    }
    let written = app.host.write(Path::new(arguments.image), &image);
    written.map(|()| 0).map_err(|error| {
        Error::config(format!("cannot write {} ({error})", arguments.image))
            .hint("name a file in a folder that can be written to")
    })
}

/// Returns the image of a specification, if it is one of DVC's plots and the arguments ask for nothing else.
fn draw(tool: &str, spec: &str, arguments: &Arguments) -> Option<Vec<u8>> {
    let spec = spec.trim_start_matches('\u{feff}');
    match (tool, arguments.pixels_per_inch) {
        (VL2SVG, None) => Some(spec::draw(spec, arguments.scale?)?.into_bytes()),
        #[cfg(not(target_arch = "wasm32"))]
        (VL2PNG, pixels_per_inch) => {
            let pixels_per_inch = pixels_per_inch.unwrap_or(POINTS_PER_INCH);
            png::draw(&spec::draw(spec, arguments.scale? * pixels_per_inch / POINTS_PER_INCH)?, pixels_per_inch)
        }
        _ => None,
    }
}

/// Runs a tool of the package, which is installed if it is not there. Returns its exit code.
async fn run_python(app: &App, dist: &Path, tool: &str, args: &[String], input: Vec<u8>) -> Result<u8> {
    let place = install(app, dist).await?.display().to_string();
    let script = dist.join(SCRIPT).display().to_string();
    for python in PYTHONS {
        let argv = [python, &script, tool].map(str::to_owned).into_iter().chain(args.iter().cloned());
        let env = vec![("PYTHONPATH".to_owned(), place.clone())];
        let command = Command { env, input: input.clone(), ..Command::new(argv) };
        return match app.host.hand_over(&command).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => Err(Error::remote(format!("{python} cannot run {SCRIPT} ({error})"))),
            Ok(code) => Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        };
    }
    Err(no_python())
}

/// Installs the package, unless it is there. Returns its folder, which is written down when it is complete: of two
/// that install at the same time, each has its own.
async fn install(app: &App, dist: &Path) -> Result<PathBuf> {
    let file = place_file(app)?;
    if let Ok(place) = app.host.read(&file) {
        return Ok(String::from_utf8_lossy(&place).trim().into());
    }
    let place = file.with_file_name(format!("{:016x}", app.host.random()));
    let requirements = dist.join("vega.txt").display().to_string();
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
