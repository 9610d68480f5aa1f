//! TFRecord, the framing of event files: length, checksum of the length, data, checksum of the data.
//! <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// Bytes of the length and its checksum.
const HEAD: usize = 12;
/// Bytes of the data's checksum.
const TAIL: usize = 4;
/// Larger records are passed over: scalars and images are small, graphs and models may be large.
pub const LARGEST: u64 = 64 << 20;

/// What stands at the beginning of some bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A record, and how many bytes it takes.
    Record(&'a [u8], usize),
    /// A record of more than [`LARGEST`] bytes: how many bytes to pass over.
    Large(u64),
    /// The beginning of a record of so many bytes, as far as is known.
    Needs(usize),
    /// Something else: what is wrong.
    Damaged(&'static str),
}

/// Takes the first record.
pub fn next(bytes: &[u8]) -> Next<'_> {
    let Some((length, check)) = number::<8>(bytes, 0).zip(number::<4>(bytes, 8)) else { return Next::Needs(HEAD) };
    if masked(&bytes[..8]) != u32::from_le_bytes(check) {
        return Next::Damaged("the checksum of a record's length is wrong");
    }
    let length = u64::from_le_bytes(length);
    if length > LARGEST {
        return Next::Large(length.saturating_add((HEAD + TAIL) as u64));
    }
    // At most LARGEST, which every usize holds.
    let end = HEAD + length as usize;
    match (bytes.get(HEAD..end), number::<4>(bytes, end)) {
        (Some(data), Some(check)) if masked(data) == u32::from_le_bytes(check) => Next::Record(data, end + TAIL),
        (Some(_), Some(_)) => Next::Damaged("the checksum of a record's data is wrong"),
        _ => Next::Needs(end + TAIL),
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Returns the checksum of checksums, which are no good input for a CRC as they are.
fn masked(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a record with that data.
    fn record(data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u64).to_le_bytes();
        [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
    }

    fn all(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Option<&'static str>) {
        let mut found = Vec::new();
        loop {
            match next(bytes) {
                Next::Record(data, used) => {
                    found.push(data.to_vec());
                    bytes = &bytes[used..];
                }
                Next::Damaged(what) => return (found, Some(what)),
                Next::Needs(_) | Next::Large(_) => return (found, None),
            }
        }
    }

    #[test]
    fn a_record_that_tensorflow_wrote() {
        // The first record of every event file: Event { wall_time: 1.0, file_version: "brain.Event:2" }.
        let data = b"\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0dbrain.Event:2";
        assert_eq!(next(&record(data)), Next::Record(data, data.len() + 16));
        let huge = u64::MAX.to_le_bytes();
        assert_eq!(next(&[&huge[..], &masked(&huge).to_le_bytes()].concat()), Next::Large(u64::MAX));
        assert_eq!((next(b""), next(&record(data)[..20])), (Next::Needs(12), Next::Needs(data.len() + 16)));
    }

    fn some() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)
    }

    proptest! {
        #[test]
        fn cut_anywhere_it_is_a_beginning(data in some()) {
            let bytes: Vec<u8> = data.iter().flat_map(|data| record(data)).collect();
            for end in 0..=bytes.len() {
                let (found, damage) = all(&bytes[..end]);
                prop_assert!(damage.is_none() && data.starts_with(&found));
            }
            prop_assert_eq!(all(&bytes).0, data);
        }

        #[test]
        fn a_flipped_bit_is_found(data in some(), at: usize) {
            let mut bytes: Vec<u8> = data.iter().flat_map(|data| record(data)).collect();
            let at = at % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            let (found, damage) = all(&bytes);
            prop_assert!(damage.is_some() && data.starts_with(&found) && found.len() < data.len());
        }

        #[test]
        fn nothing_else_is_a_record(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            all(&bytes);
        }
    }
}
