//! Files that runs of the CI have kept.

use crate::error::{Error, Result};
pub use archive::Archive;
use async_trait::async_trait;

mod archive;

/// The largest archive that is downloaded, in bytes.
pub const LARGEST: u64 = 64 << 20;

/// Artifacts of the repository's runs.
#[async_trait(?Send)]
pub trait Artifacts {
    /// Returns the newest artifact of a name that a successful run of a branch has kept. Runs of the commit `except` do not count. Of
    /// those that have expired the newest is returned if there are no others.
    ///
    /// # Errors
    /// The token may not read that.
    async fn find(&self, name: &str, branch: &str, except: Option<&str>) -> Result<Option<Artifact>>;

    /// Downloads the archive of an artifact, a zip file of at most [`LARGEST`] bytes.
    ///
    /// # Errors
    /// It is gone, or the token may not read it.
    async fn download(&self, artifact: &Artifact) -> Result<Vec<u8>>;
}

/// An artifact that a run has kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The forge's number for it, or for its job.
    pub id: u64,
    /// The commit that the run was for.
    pub commit: String,
    /// When it was kept, in seconds since 1970.
    pub time: u64,
    /// The size of its archive in bytes.
    pub size: u64,
    /// Whether it has been deleted because of its age.
    pub is_expired: bool,
}

/// Downloads an artifact, and opens its archive.
///
/// # Errors
/// It has expired, is too large, or is not a zip file. `name` is its name in messages.
pub async fn open(artifacts: &dyn Artifacts, artifact: &Artifact, name: &str) -> Result<Archive> {
    if artifact.is_expired {
        return Err(Error::not_found(format!("{name} has expired"))
            .hint("run the job of the base branch again, and let it keep the artifact for longer"));
    }
    if artifact.size > LARGEST {
        let (size, largest) = (artifact.size >> 20, LARGEST >> 20);
        return Err(Error::too_large(format!("{name} has {size} MiB, and the limit is {largest}"))
            .hint("keep the metrics in an artifact of their own"));
    }
    let bytes = artifacts.download(artifact).await?;
    Archive::open(bytes).map_err(|what| {
        Error::remote(format!("{name} cannot be read: {what}")).hint("check the step that keeps the artifact")
    })
}
