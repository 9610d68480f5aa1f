//! Zip files as a forge hands them out.

use crc::{CRC_32_ISO_HDLC, Crc};

/// One with deflated files.
pub fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let packed = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 6);
        let checksum = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(text.as_bytes());
        // Version, flags, method, time and day; checksum and sizes; lengths of the name and of nothing.
        let mut common: Vec<u8> = [20u16, 0, 8, 0, 33].iter().flat_map(|number| number.to_le_bytes()).collect();
        let numbers = [checksum, packed.len() as u32, text.len() as u32, name.len() as u32];
        common.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let at = (bytes.len() as u32).to_le_bytes();
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &at, name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
    }
    let count = (files.len() as u16).to_le_bytes();
    let (length, at) = ((directory.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    [bytes, directory, [b"PK\x05\x06\0\0\0\0", &count[..], &count, &length, &at, &[0, 0]].concat()].concat()
}
