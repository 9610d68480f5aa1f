//! What an instance needs to become a runner, as data; each cloud renders it for its instances.

use crate::digest::Sha256Digest;
use crate::env::Secret;
use crate::error::{Error, Result};
use std::time::Duration;

/// What an instance needs to become a runner.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The file that `cml runner bootstrap` reads: JSON on one line, with the runner's credential.
    pub config: Secret,
    /// The program that reads it; `None` where it comes with an image.
    pub binary: Option<BootstrapBinary>,
    /// How long the instance may live.
    pub lifetime: Lifetime,
}

impl Bootstrap {
    /// Returns the program that the instance downloads.
    ///
    /// # Errors
    /// The launcher gave none: the cloud's [`super::Driver::downloads_binary`] is wrong.
    pub fn binary(&self) -> Result<&BootstrapBinary> {
        self.binary.as_ref().ok_or_else(|| Error::internal("a launch without the program that the instance runs"))
    }
}

/// The static cml binary for the instance's architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapBinary {
    /// Its URL.
    pub url: String,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// How long an instance may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Its maximum lifetime.
    pub max: Duration,
    /// The time until its runner must be ready.
    pub boot: Duration,
}
