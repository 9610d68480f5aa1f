//! Where kubeconfig files are.

use super::config::Loaded;
use crate::app::App;
use crate::env::{is_reference, vars};
use crate::error::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};

/// Returns the kubeconfig files of the environment; `None` when there are none.
///
/// # Errors
/// One is invalid or cannot be read, or none of those that `KUBECONFIG` names exists.
pub fn kubeconfigs(app: &App) -> Result<Option<Vec<Loaded>>> {
    let set = |var| app.env().get(var).filter(|value| !is_reference(value));
    for var in [vars::KUBERNETES_CONFIGURATION, vars::KUBECONFIG_DATA] {
        if let Some(content) = set(var) {
            return Ok(Some(vec![Loaded::parse(content, var.name.to_owned(), app.here()?)?]));
        }
    }
    if let Some(list) = set(vars::KUBECONFIG) {
        let separator = if app.host.platform().os == "windows" { ';' } else { ':' };
        let paths = list.split(separator).filter(|path| !path.is_empty());
        let files = paths.map(|path| read(app, Path::new(path))).collect::<Result<Vec<_>>>()?;
        let files: Vec<Loaded> = files.into_iter().flatten().collect();
        if files.is_empty() {
            return Err(Error::config(format!("{} names {list}, which does not exist", vars::KUBECONFIG.name))
                .hint("give the path of a kubeconfig file, or its content in KUBERNETES_CONFIGURATION"));
        }
        return Ok(Some(files));
    }
    let Some(home) = app.env().named("HOME").or_else(|| app.env().named("USERPROFILE")) else { return Ok(None) };
    let file = read(app, &Path::new(home).join(".kube").join("config"))?;
    Ok(file.map(|file| vec![file]))
}

/// Reads a file; `None` when it does not exist.
fn read(app: &App, path: &Path) -> Result<Option<Loaded>> {
    let bytes = match app.host.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Error::config(format!("cannot read the kubeconfig file {} ({error})", path.display()))
                .hint("check that this user may read it"));
        }
    };
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    let folder = app.here()?.join(folder);
    Loaded::parse(&String::from_utf8_lossy(&bytes), path.display().to_string(), folder).map(Some)
}
