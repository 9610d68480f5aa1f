//! The lease of an instance, in a file: the second since boot until which it may live (`docs/adr/0014-lease.md`).
//!
//! `cml runner lease` is what a pod's liveness probe runs. A machine checks its lease itself, in its start script.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use clap::Args;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that a lease may last: the longest time to boot, and one renewal.
const MAX_LEASE: u64 = 7200 + 300;

/// Options of `cml runner lease`.
#[derive(Debug, Args)]
pub struct Lease {
    /// File with the end of the instance's lease, in seconds since its boot
    #[arg(long, value_name = "FILE")]
    pub lease_file: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// The lease is over, or cannot be read: the instance has to end.
pub fn run(app: &App, args: &Lease) -> Result<()> {
    let over = |why: String| Error::new(Kind::Died, format!("the instance's lease is over ({why})"));
    let uptime = uptime(app).map_err(|error| over(format!("cannot read the time since boot: {error}")))?;
    let end = app.host.read(&args.lease_file).map_err(|error| over(error.to_string()))?;
    let end = str::from_utf8(&end).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let end = end.ok_or_else(|| over("invalid file".to_owned()))?;
    match end.checked_sub(uptime) {
        None | Some(0) => Err(over(format!("for {} seconds", uptime - end))),
        Some(left) if left > MAX_LEASE => Err(over(format!("it would last for another {left} seconds"))),
        Some(_) => Ok(()),
    }
}

/// Renews a lease: it lasts so long from now on.
pub fn renew(app: &App, file: &Path, lease: Duration) -> io::Result<()> {
    app.host.write(file, format!("{}\n", uptime(app)? + lease.as_secs()).as_bytes())
}

/// Returns the seconds since boot: the clock may be set.
fn uptime(app: &App) -> io::Result<u64> {
    let uptime = app.host.read(Path::new("/proc/uptime"))?;
    let seconds = str::from_utf8(&uptime).ok().and_then(|text| text.split('.').next()?.parse().ok());
    seconds.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
