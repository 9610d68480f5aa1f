//! Files of a report in the repository's own place for them.

use crate::digest::hash;
use crate::error::{Error, Result};
use crate::files::{Files, LARGEST_FILE};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

/// Files that are published with reports.
#[async_trait(?Send)]
pub trait Assets {
    /// Puts files where the repository's readers, and nobody else, can see them. Returns their URLs, in order.
    async fn upload(&self, assets: &[Asset], progress: Progress<'_>) -> Result<Vec<String>>;

    /// Returns whether an address has, from its first character to its last, the form in which [`Assets::upload`] gives
    /// one to a file of that [`Asset::unique_name`], and lasts. The name proves nothing: anybody can compute the hash of
    /// a file.
    fn is_asset(&self, address: &str, name: &str) -> bool;

    /// Returns an address that [`Assets::upload`] gave, as it is written outside of the forge's comments.
    fn address_outside(&self, address: &str) -> String {
        address.to_owned()
    }
}

/// Called with the number of assets done so far.
pub type Progress<'a> = &'a dyn Fn(usize);

/// A file to publish with a report.
#[derive(Debug, Clone)]
pub struct Asset {
    /// SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// The name people see.
    pub name: String,
    /// MIME type, by content.
    pub mime: Cow<'static, str>,
    /// Usual ending of that type.
    pub extension: Cow<'static, str>,
    /// The bytes, or where they are.
    pub content: Content,
}

/// Where the bytes of a file are: those of a report's many images stay on disk until they are sent.
#[derive(Clone)]
pub enum Content {
    /// In memory.
    Here(Bytes),
    /// In a file of the working copy, which is opened and checked anew when it is sent.
    File(Rc<Files>, PathBuf),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Here(bytes) => write!(f, "Here({} bytes)", bytes.len()),
            Content::File(_, path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Asset {
    /// Returns the bytes. A file that is not any more what it was when the report was read is an error: its name,
    /// which is a hash, would stand for something else.
    pub fn read(&self) -> Result<Bytes> {
        match &self.content {
            Content::Here(bytes) => Ok(bytes.clone()),
            Content::File(files, path) => {
                let bytes = files.found(path).and_then(|file| file.read(LARGEST_FILE));
                let bytes = bytes.map_err(|refusal| refusal.error(format!("cannot read {}", path.display()), path))?;
                if hash(&bytes) == self.hash {
                    Ok(bytes.into())
                } else {
                    Err(Error::conflict(format!("{} changed while it was being published", path.display()))
                        .hint("publish the report after its images are complete, or use --watch"))
                }
            }
        }
    }

    /// Returns how many bytes it has.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Here(bytes) => bytes.len() as u64,
            Content::File(files, path) => files.found(path).map_or(0, |file| file.len()),
        }
    }

    /// Returns a name that is the same for the same bytes and never for others.
    pub fn unique_name(&self) -> String {
        format!("{}.{}", &self.hash[..32.min(self.hash.len())], self.extension)
    }
}

/// How many files are sent at once.
pub const UPLOADS_AT_ONCE: usize = 8;

/// Sends files, several at once, each by `send`, which returns its address. Returns the addresses in order.
pub async fn send_each(
    assets: &[Asset],
    progress: Progress<'_>,
    send: impl AsyncFn(&Asset) -> Result<String>,
) -> Result<Vec<String>> {
    let done = Cell::new(0);
    let send = async |asset| {
        let address = send(asset).await?;
        done.set(done.get() + 1);
        progress(done.get());
        Ok(address)
    };
    futures_util::stream::iter(assets).map(send).buffered(UPLOADS_AT_ONCE).try_collect().await
}

/// Returns whether a text is one of the hashes that git and the forges write: so many lower-case hexadecimal digits.
pub(in crate::forge) fn is_hash(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::host::Host;

    #[cfg(unix)]
    #[test]
    fn a_file_that_changed_since_it_was_named_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        let host: Rc<dyn Host> = Rc::new(crate::host::native::Native::default());
        host.write(&path, b"one").unwrap();
        let root = host.canonicalize(folder.path()).unwrap();
        let content = Content::File(Rc::new(Files::new(host.clone(), root.clone())), path.clone());
        let asset = Asset {
            hash: hash(b"one"),
            name: "plot.png".into(),
            mime: "image/png".into(),
            extension: "png".into(),
            content,
        };
        assert_eq!(asset.read().unwrap(), "one");
        host.write(&path, b"two").unwrap();
        assert_eq!(asset.read().unwrap_err().kind(), Kind::Conflict);
        // Nor is one that leads elsewhere since.
        let outside = tempfile::tempdir().unwrap();
        host.write(&outside.path().join("one"), b"one").unwrap();
        host.remove(&path).unwrap();
        std::os::unix::fs::symlink(outside.path().join("one"), &path).unwrap();
        assert!(asset.read().unwrap_err().to_string().contains("is outside the working copy"));
    }
}
