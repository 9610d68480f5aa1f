//! SHA-256 digests.

use crate::error::Error;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// A SHA-256 digest, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256Digest(String);

impl Sha256Digest {
    /// Computes the digest of some bytes.
    pub fn compute(bytes: &[u8]) -> Self {
        let mut hasher = Sha256Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Returns its 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Sha256Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_ascii_lowercase();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Sha256Digest(text));
        }
        Err(Error::usage(format!("'{text}' is not a SHA-256 digest in hexadecimal"))
            .hint("give the first word of the output of sha256sum"))
    }
}

/// Computes the digest of data that comes in chunks.
#[derive(Default)]
pub struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    /// Adds a chunk.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all chunks.
    pub fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Returns the SHA-256 digest of some bytes in hexadecimal, for names that follow from content.
pub fn hash(bytes: &[u8]) -> String {
    Sha256Digest::compute(bytes).0
}

/// Returns a UUID that follows from some texts, of version 8: <https://www.rfc-editor.org/rfc/rfc9562#section-5.8>.
pub fn uuid(parts: &[&str]) -> String {
    let digest = hash(parts.join("\n").as_bytes());
    format!("{}-{}-8{}-8{}-{}", &digest[..8], &digest[8..12], &digest[12..15], &digest[15..18], &digest[18..30])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_in_any_case_and_nothing_else_is_one() {
        let digest = Sha256Digest::compute(b"good");
        assert_eq!(digest.as_str(), "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c");
        let upper = format!(" {}\n", digest.as_str().to_uppercase());
        assert_eq!(upper.parse::<Sha256Digest>().unwrap(), digest);
        for wrong in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
            assert!(wrong.parse::<Sha256Digest>().is_err(), "{wrong}");
        }
    }
}
