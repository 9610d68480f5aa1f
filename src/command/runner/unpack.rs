//! `cml runner unpack`: the first container of a pod, whose image has nothing but this program. It puts the program and the bootstrap
//! configuration where the second one, of any image, finds them.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Pause between two looks for the configuration, which the launcher writes a moment after the pod.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Options of `cml runner unpack`.
#[derive(Debug, Args)]
pub struct Unpack {
    /// File with the bootstrap configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to write it, for the runner to delete
    #[arg(long, value_name = "FILE")]
    pub launch_file: PathBuf,
    /// Where to write this program
    #[arg(long, value_name = "FILE")]
    pub program: PathBuf,
    /// Seconds to wait for the configuration
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
}

/// Runs the verb.
pub async fn run(app: &App, args: &Unpack) -> Result<()> {
    if cfg!(target_arch = "wasm32") {
        return Err(Error::unsupported("cml runner unpack needs the native program"));
    }
    let config = wait_for_config(app, args).await?;
    let failed = |path: &PathBuf, error: io::Error| Error::config(format!("cannot write {} ({error})", path.display()));
    let own = app.host.current_exe_argv().into_iter().next().map(PathBuf::from).unwrap_or_default();
    let program = app.host.read(&own);
    let program = program.map_err(|error| Error::config(format!("cannot read {} ({error})", own.display())))?;
    let written = app.host.write(&args.program, &program).and_then(|()| app.host.make_executable(&args.program));
    written.map_err(|error| failed(&args.program, error))?;
    app.host.write_private(&args.launch_file, &config).map_err(|error| failed(&args.launch_file, error))
}

/// Reads the configuration as soon as it is there.
async fn wait_for_config(app: &App, args: &Unpack) -> Result<Vec<u8>> {
    let end = app.host.elapsed() + Duration::from_secs(args.wait);
    loop {
        match app.host.read(&args.config) {
            Ok(config) => return Ok(config),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::config(format!("cannot read {} ({error})", args.config.display())));
            }
            Err(_) if app.host.elapsed() >= end => {
                return Err(Error::new(
                    Kind::Died,
                    format!(
                        "there is no bootstrap configuration {} after waiting {} s",
                        args.config.display(),
                        args.wait
                    ),
                )
                .hint("the launcher was killed before it wrote it: launch another runner"));
            }
            Err(_) => app.host.sleep(POLL_INTERVAL).await,
        }
    }
}
