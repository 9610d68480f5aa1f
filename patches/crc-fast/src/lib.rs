//! The one checksum that object_store asks crc-fast for, over the crate `crc`.
//!
//! crc-fast itself brings the tables of some fifty checksums along, 0.6 MB that no linker can drop: an eighth of the action's WebAssembly. This
//! goes when they can be left out by features: <https://github.com/awesomized/crc-fast-rust/issues/61>. When object_store uses more of it,
//! this does not compile any more.

use crc::{CRC_64_NVME, Crc, Table};

static NVME: Crc<u64, Table<1>> = Crc::<u64, Table<1>>::new(&CRC_64_NVME);

/// The checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-64/NVME: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>.
    Crc64Nvme,
}

/// A checksum that grows.
pub struct Digest(crc::Digest<'static, u64, Table<1>>);

impl Digest {
    /// Of nothing yet.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        match algorithm {
            CrcAlgorithm::Crc64Nvme => Digest(NVME.digest()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum.
    pub fn finalize(self) -> u64 {
        self.0.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the catalogue of checksums gives: <https://reveng.sourceforge.io/crc-catalogue/>.
    #[test]
    fn check_value() {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        digest.update(b"12345");
        digest.update(b"6789");
        assert_eq!(digest.finalize(), 0xae8b_1486_0a79_9888);
    }
}
