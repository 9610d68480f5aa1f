//! `uses:` without a command: puts `cml`, CML's older names and the Vega tools on PATH for the later steps.

use super::{launcher, vega, yes_no_auto};
use crate::app::App;
use crate::env::vars;
use crate::error::{Error, Result};
use crate::messages::ACTION;
use crate::release::{self, folder};
use crate::{inputs, outputs};
use std::path::Path;

/// Sets up.
pub async fn run(app: &App) -> Result<()> {
    let path_file = app.env().get(vars::GITHUB_PATH).ok_or_else(|| {
        Error::config("GITHUB_PATH is not set; cannot add cml to PATH")
            .hint(format!("this is the step of a GitHub workflow: uses: {ACTION}@v1"))
    })?;
    let (native, vega) = (yes_no_auto(app, "native", Some(false))?, yes_no_auto(app, "vega", None)?);
    let version = env!("CARGO_PKG_VERSION");
    if let Some(wanted) = inputs::action::value(app.env(), "version").filter(|wanted| !is_ours(wanted)) {
        app.log.warn(&format!(
            "the input version is {wanted}, but this is {version}; choose the version in uses: {ACTION}@v{version}"
        ));
    }
    let bin = folder(app)?.join("bin");
    let native = match native {
        Some(false) => None,
        Some(true) => Some(release::install(app).await?),
        None => release::install(app).await.map_err(|error| skipped(app, &error)).ok(),
    };
    let program = match &native {
        Some(program) => vec![program.display().to_string()],
        None => [app.host.current_exe_argv(), vec!["cml".to_owned()]].concat(),
    };
    release::remember(app)?;
    write(app, &bin, "cml", &program)?;
    for name in inputs::programs() {
        write(app, &bin, &format!("cml-{name}"), &[program.clone(), vec![name.to_owned()]].concat())?;
    }
    vega::launchers(app, &bin, native.as_deref(), vega).await?;
    let bin = if is_windows(app) { bin.display().to_string().replace('/', "\\") } else { bin.display().to_string() };
    app.host
        .append(Path::new(path_file), format!("{bin}\n").as_bytes())
        .map_err(|e| Error::config(format!("cannot add {bin} to PATH ({e})")))?;
    outputs::set(app, &[("version", version)])?;
    let kind = if native.is_some() { "native" } else { "WebAssembly" };
    app.log.info(&format!("cml {version} ({kind}) is on PATH for the later steps of this job"));
    Ok(())
}

/// CML's action takes `latest` and `v0.20.6`: those mean "some CML", and this is one.
fn is_ours(wanted: &str) -> bool {
    let wanted = wanted.trim_start_matches('v');
    wanted == "latest"
        || env!("CARGO_PKG_VERSION").split_inclusive('.').scan(String::new(), prefix).any(|p| p == wanted)
}

/// `1`, `1.2` and `1.2.3` of `1.2.3`.
fn prefix(before: &mut String, part: &str) -> Option<String> {
    before.push_str(part);
    Some(before.trim_end_matches('.').to_owned())
}

fn skipped(app: &App, error: &Error) {
    app.log.warn(&format!("{error}; using the WebAssembly build instead"));
}

pub fn is_windows(app: &App) -> bool {
    app.host.platform().os == "windows"
}

/// Writes the launcher of one name.
pub fn write(app: &App, bin: &Path, name: &str, words: &[String]) -> Result<()> {
    let posix: Vec<String> =
        if is_windows(app) { words.iter().map(|word| word.replace('\\', "/")).collect() } else { words.to_vec() };
    executable(app, &bin.join(name), &launcher::posix(&posix))?;
    if is_windows(app) {
        let words: Vec<String> = words.iter().map(|word| word.replace('/', "\\")).collect();
        executable(app, &bin.join(format!("{name}.cmd")), &launcher::windows(&words))?;
    }
    Ok(())
}

/// Writes a file that can be run.
pub fn executable(app: &App, path: &Path, text: &str) -> Result<()> {
    let written = app.host.write(path, text.as_bytes()).and_then(|()| app.host.make_executable(path));
    written.map_err(|e| {
        Error::config(format!("cannot write {} ({e})", path.display()))
            .hint("check that the runner's temporary folder is writable and not full")
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_that_mean_this_one() {
        let ours = env!("CARGO_PKG_VERSION");
        let (major, _) = ours.split_once('.').unwrap();
        for (wanted, is) in [("latest", true), (ours, true), (&format!("v{ours}"), true), (major, true), ("9.9", false)]
        {
            assert_eq!(super::is_ours(wanted), is, "{wanted}");
        }
    }
}
