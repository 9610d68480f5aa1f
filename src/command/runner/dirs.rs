//! The folders of a runner on this host: below `~/.cml/<name>`, or in `--workdir`.

use super::options::Launch;
use crate::app::App;
use crate::env::vars;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The folders of one runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerDirs {
    /// The folder for this runner alone; removed with it.
    pub own: PathBuf,
    /// The folder of the runner program.
    pub program: PathBuf,
    /// The folder of the scripts that the runner calls around each job.
    pub hooks: PathBuf,
    /// The working directory of jobs; it is kept.
    pub work: PathBuf,
}

impl RunnerDirs {
    /// Returns the folders of a runner of that name. The folder of `--runner-path` must exist.
    pub fn new(app: &App, args: &Launch, name: &str) -> Result<Self> {
        let here = || {
            app.host.current_dir().map_err(|e| Error::config(format!("cannot determine the current directory ({e})")))
        };
        let (own, work) = match &args.workdir {
            Some(folder) => {
                let folder = here()?.join(folder);
                (folder.join(".cml"), folder.join("_work"))
            }
            None => {
                let home = app.env().get(vars::HOME).ok_or_else(|| {
                    Error::config("cannot determine the runner's folder: HOME is not set")
                        .hint("give one with --workdir")
                })?;
                let folder = here()?.join(home).join(".cml").join(name);
                (folder.join("runner"), folder.join("_work"))
            }
        };
        // Two simultaneous launches may use the same name.
        let own = own.join(format!("{:08x}", app.host.random() as u32));
        let program = match &args.runner_path {
            Some(path) => resolve_runner_path(app, path)?,
            None => own.join("program"),
        };
        Ok(RunnerDirs { program, hooks: own.join("hooks"), own, work })
    }
}

/// Returns the absolute path of `--runner-path`, which must exist.
pub fn resolve_runner_path(app: &App, path: &Path) -> Result<PathBuf> {
    let wrong = |e: std::io::Error| {
        Error::config(format!("cannot use --runner-path {} ({e})", path.display()))
            .hint("it must be a folder with the forge's unpacked runner program")
    };
    app.host.list(path).map_err(wrong)?;
    app.host.canonicalize(path).map_err(wrong)
}
