//! Where on this machine a runner lives: `~/.cml/<name>`, or the folder of `--workdir`.

use super::options::Launch;
use crate::app::App;
use crate::env::vars;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The folders of one runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// This runner's alone; removed with it.
    pub own: PathBuf,
    /// Where the runner program is, or will be.
    pub program: PathBuf,
    /// What the runner calls around each job.
    pub hooks: PathBuf,
    /// Where jobs work; it stays.
    pub work: PathBuf,
}

impl Folders {
    /// The folders of a runner of that name. A folder of `--runner-path` is there already.
    pub fn new(app: &App, args: &Launch, name: &str) -> Result<Self> {
        let here =
            || app.host.current_dir().map_err(|e| Error::config(format!("cannot find the current directory ({e})")));
        let (own, work) = match &args.workdir {
            Some(folder) => {
                let folder = here()?.join(folder);
                (folder.join(".cml"), folder.join("_work"))
            }
            None => {
                let home = app.env().get(vars::HOME).ok_or_else(|| {
                    Error::config("HOME is not set, so there is no folder for the runner")
                        .hint("give one with --workdir")
                })?;
                let folder = here()?.join(home).join(".cml").join(name);
                (folder.join("runner"), folder.join("_work"))
            }
        };
        // Two launches at once may ask for one name.
        let own = own.join(format!("{:08x}", app.host.random() as u32));
        let program = match &args.runner_path {
            Some(path) => whole(app, path)?,
            None => own.join("program"),
        };
        Ok(Folders { program, hooks: own.join("hooks"), own, work })
    }
}

/// A folder of `--runner-path`, which must be there.
pub fn whole(app: &App, path: &Path) -> Result<PathBuf> {
    let wrong = |e: std::io::Error| {
        Error::config(format!("cannot use --runner-path {} ({e})", path.display()))
            .hint("it is a folder with the forge's runner, unpacked")
    };
    app.host.list(path).map_err(wrong)?;
    app.host.canonicalize(path).map_err(wrong)
}
