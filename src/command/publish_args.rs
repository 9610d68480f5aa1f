//! Options of every command that publishes files: where to publish them.

use crate::app::App;
use crate::connect::{self, Connected, Global};
use crate::error::{Error, Result};
use crate::files::{Checked, Refusal};
use crate::publish::{Destination, Publish};
use clap::ArgAction::Set;
use clap::Args;
use std::path::{Path, PathBuf};
use url::Url;

/// Where to publish files.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Publishing")]
pub struct PublishArgs {
    /// Publish to a server (https://…) or a bucket (s3://, gs://, az://) instead of the forge
    #[arg(long, alias = "url", value_name = "URL")]
    pub publish_url: Option<Url>,
    /// Publish to the forge, even when --publish-url is set elsewhere
    #[arg(long, alias = "native", action = Set, default_value_t = false)]
    pub publish_native: bool,
    /// Branch for published images, instead of the hidden ref refs/cml/assets (GitHub)
    #[arg(long, value_name = "BRANCH")]
    pub publish_branch: Option<String>,
    /// Create signed URLs, valid for HOURS hours (at most 168)
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=168))]
    pub publish_signed: Option<u32>,
}

/// A connected destination for files.
pub struct Store {
    connected: Connected,
    destination: Destination,
}

impl PublishArgs {
    /// Returns where the files are published. Fails if options conflict.
    pub fn destination(&self, native: bool) -> Result<Destination> {
        Destination::choose(self.publish_url.as_ref(), native || self.publish_native, self.publish_signed)
    }

    /// Connects. `native` is CML's older option for publishing to the forge.
    pub async fn open(&self, app: &App, global: &Global, native: bool) -> Result<Store> {
        let destination = self.destination(native)?;
        let connected = connect::connect(app, global, self.publish_branch.clone()).await?;
        Ok(Store { connected, destination })
    }
}

impl Store {
    /// Returns the publisher of files.
    pub fn publish<'a>(&'a self, app: &'a App) -> Publish<'a> {
        self.connected.publish(app, &self.destination)
    }
}

/// Prints a command's output, or appends it to `--file`, on its own lines.
pub fn write_output(app: &App, file: Option<&PathBuf>, text: &str) -> Result<()> {
    let Some(path) = file else {
        return app.print_result(text);
    };
    let start = if ends_line(app, path)? { "" } else { "\n" };
    app.host.append(path, format!("{start}{text}").as_bytes()).map_err(|e| unwritable(path, &e))
}

/// Returns whether the file ends at the end of a line. A missing file is empty.
fn ends_line(app: &App, path: &Path) -> Result<bool> {
    let files = app.files()?;
    files.check_target(path).map_err(|refusal| refused(path, refusal))?;
    let end = |file: Checked| file.read_at(file.len().checked_sub(1)?, 1).ok();
    let has_size = app.host.stat(path).is_ok_and(|stat| stat.is_file && stat.len > 0);
    let last = if has_size { files.named(path).ok().and_then(end) } else { None };
    Ok(last.is_none_or(|last| last == *b"\n"))
}

/// Returns the error for a `--file` that must not be written.
pub fn refused(path: &Path, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unreadable(error) => unwritable(path, &error),
        refusal => refusal.error(format!("cannot write to {}", path.display()), path),
    }
}

/// Returns the error for a `--file` that cannot be written.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("cannot write to {} ({error})", path.display())).hint("check --file: its folder must exist")
}
