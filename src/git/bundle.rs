//! The certificate authorities that git is to trust, in one file for the time of its commands.

use super::{folder, scratch, slashes};
use crate::app::App;
use crate::env::vars;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where systems keep the authorities that git trusts, as far as it reads them from a file. On Windows and macOS it may
/// ask the system instead, and takes a file in addition or not at all, by its settings.
const SYSTEM: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file; it is gone when this is dropped.
pub struct Bundle<'a> {
    app: &'a App,
    file: PathBuf,
}

impl<'a> Bundle<'a> {
    /// Returns the authorities of a PEM file, and those of the system or of the file that git was told to use.
    pub fn new(app: &'a App, top: &Path, more: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::config(format!("cannot pass --ca-cert to git ({e})"));
        let told = app.env().get(vars::GIT_SSL_CAINFO);
        let usual = told.into_iter().chain(SYSTEM.iter().copied()).find_map(|file| app.host.read(Path::new(file)).ok());
        let more = app.host.read(more).map_err(failed)?;
        let file = folder(app, top)?.join(format!("{}.pem", scratch::name(app)));
        app.host.write(&file, &[usual.unwrap_or_default(), more].join(&b'\n')).map_err(failed)?;
        Ok(Bundle { app, file })
    }

    /// Returns where it is.
    pub fn path(&self) -> String {
        slashes(&self.file)
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        let _ = self.app.host.remove(&self.file);
    }
}
