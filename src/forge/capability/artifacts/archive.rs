//! Zip files, as far as artifacts have them: files that are stored or deflated.
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>

use crc::{CRC_32_ISO_HDLC, Crc};
use std::collections::BTreeMap;

/// The largest file in it that is read, in bytes.
const LARGEST: usize = 32 << 20;
/// The signature of the record at the end, its length, and the most that a comment adds to it.
const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const MAX_COMMENT: usize = 0xffff;
/// The signatures of a file's entry in the directory and of its own header, and their lengths without names.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LENGTH: usize = 46;
const HEADER: &[u8] = b"PK\x03\x04";
const HEADER_LENGTH: usize = 30;
/// What a field has where the real value is elsewhere, in an archive of more than 4 GB or 65,534 files.
const ELSEWHERE: usize = 0xffff_ffff;
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A zip file in memory. A file is unpacked when it is read.
pub struct Archive {
    bytes: Vec<u8>,
    entries: BTreeMap<String, Entry>,
}

/// A file in it.
struct Entry {
    is_encrypted: bool,
    method: usize,
    checksum: usize,
    packed: usize,
    size: usize,
    /// Where its header is.
    at: usize,
}

impl Archive {
    /// Opens it, and reads its directory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(bytes: Vec<u8>) -> Result<Self, String> {
        let broken = || "it is not a zip file".to_owned();
        let first = bytes.len().saturating_sub(END_LENGTH + MAX_COMMENT);
        let last = bytes.len().checked_sub(END_LENGTH).ok_or_else(broken)?;
        let end = (first..=last).rev().find(|at| bytes[*at..].starts_with(END)).ok_or_else(broken)?;
        let count = number(&bytes, end + 10, 2).ok_or_else(broken)?;
        let mut at = number(&bytes, end + 16, 4).ok_or_else(broken)?;
        if at == ELSEWHERE || count == 0xffff {
            return Err("it has more than 65,534 files".to_owned());
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (name, entry, next) = entry(&bytes, at).ok_or("its directory is broken")?;
            if !name.ends_with('/') {
                entries.insert(name, entry);
            }
            at = next;
        }
        Ok(Archive { bytes, entries })
    }

    /// Returns the paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Unpacks a file. A path that is not in it has no content.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let Some(entry) = self.entries.get(path) else { return Ok(Vec::new()) };
        if entry.is_encrypted {
            return Err("it is encrypted".to_owned());
        }
        if entry.size > LARGEST {
            return Err(format!("it has {} MiB, and the limit is {}", entry.size >> 20, LARGEST >> 20));
        }
        let broken = || "its archive is broken".to_owned();
        let packed = entry.packed(&self.bytes).ok_or_else(broken)?;
        let content = match entry.method {
            0 => packed.to_vec(),
            8 => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, entry.size).map_err(|_| broken())?,
            method => return Err(format!("it is packed by method {method}, which cml does not know")),
        };
        let is_whole = content.len() == entry.size && CHECKSUM.checksum(&content) as usize == entry.checksum;
        is_whole.then_some(content).ok_or_else(broken)
    }
}

impl Entry {
    fn packed<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let header = bytes.get(self.at..)?;
        let start = HEADER_LENGTH + number(header, 26, 2)? + number(header, 28, 2)?;
        header.strip_prefix(HEADER)?;
        header.get(start..start.checked_add(self.packed)?)
    }
}

/// Reads an entry of the directory: the path, the entry, and where the next one is.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Entry, usize)> {
    let field = |offset: usize, length: usize| number(bytes, at + offset, length);
    bytes.get(at..)?.strip_prefix(ENTRY)?;
    let name = bytes.get(at + ENTRY_LENGTH..at + ENTRY_LENGTH + field(28, 2)?)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let next = at + ENTRY_LENGTH + field(28, 2)? + field(30, 2)? + field(32, 2)?;
    let entry = Entry {
        is_encrypted: field(8, 2)? & 1 == 1,
        method: field(10, 2)?,
        checksum: field(16, 4)?,
        packed: field(20, 4)?,
        size: field(24, 4)?,
        at: field(42, 4)?,
    };
    Some((name, entry, next))
}

/// Returns a number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Info-ZIP 3.0 wrote, by `zip -X -0 by_zip.zip m.json` and `zip -X -r by_zip.zip dir`: a file that is stored, and one that is deflated.
    const BY_ZIP: &[u8] = include_bytes!("by_zip.zip");

    #[test]
    fn files_are_unpacked() {
        let archive = Archive::open(BY_ZIP.to_vec()).unwrap();
        assert_eq!(archive.paths().collect::<Vec<_>>(), ["dir/long.json", "m.json"]);
        assert_eq!(archive.read("m.json").unwrap(), b"{\"a\": 1}");
        assert_eq!(archive.read("dir/long.json").unwrap(), format!("[{}0]", "0,".repeat(2000)).as_bytes());
        assert_eq!(archive.read("none").unwrap(), b"");
    }

    /// The archive with a number of an entry, by its offset in the directory, replaced.
    fn with(path: &str, offset: usize, bytes: &[u8]) -> Archive {
        let mut zip = BY_ZIP.to_vec();
        let name = zip.windows(path.len()).rposition(|part| part == path.as_bytes()).unwrap();
        let at = name - ENTRY_LENGTH + offset;
        zip[at..at + bytes.len()].copy_from_slice(bytes);
        Archive::open(zip).unwrap()
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (offset, bytes, expected) in [
            (8, &[1, 0][..], "it is encrypted"),
            (10, &[12, 0], "it is packed by method 12, which cml does not know"),
            (16, &[0, 0], "its archive is broken"),
            (20, &[255, 255, 255, 0], "its archive is broken"),
            (24, &[255, 15], "its archive is broken"),
            // It says that it is smaller than it is: no more is unpacked.
            (24, &[10, 0], "its archive is broken"),
            (24, &[255, 255, 255, 255], "it has 4095 MiB, and the limit is 32"),
            (42, &[1, 0], "its archive is broken"),
        ] {
            assert_eq!(with("dir/long.json", offset, bytes).read("dir/long.json").unwrap_err(), expected, "{offset}");
        }
        let error = |zip: &[u8]| Archive::open(zip.to_vec()).err();
        assert_eq!(error(b"").unwrap(), "it is not a zip file");
        assert_eq!(error(&BY_ZIP[..BY_ZIP.len() - 1]).unwrap(), "it is not a zip file");
        assert_eq!(error(&BY_ZIP[9..]).unwrap(), "its directory is broken");
        assert_eq!(error(&[BY_ZIP, b"a comment"].concat()), None);
    }

    proptest! {
        #[test]
        fn no_archive_is_a_panic(at in 0..BY_ZIP.len(), byte: u8, cut in 0..BY_ZIP.len()) {
            let mut zip = BY_ZIP.to_vec();
            zip[at] = byte;
            for zip in [&zip[..], &zip[cut..], &zip[..cut]] {
                if let Ok(archive) = Archive::open(zip.to_vec()) {
                    for path in archive.paths().collect::<Vec<_>>() {
                        let _ = archive.read(path);
                    }
                }
            }
        }
    }
}
