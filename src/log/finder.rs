//! Finds any of many byte strings in one pass over a text: Wu and Manber's algorithm with blocks of two bytes.

use std::collections::HashMap;
use std::ops::Range;

/// The strings, prepared for searching.
pub struct Finder {
    needles: Vec<Vec<u8>>,
    /// The length of the shortest one.
    shortest: usize,
    /// By a pair of bytes: how far the window may move when it ends with the pair.
    shifts: Vec<u8>,
    /// By the pair that ends their first `shortest` bytes: the needles.
    candidates: HashMap<u16, Vec<usize>>,
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The needle's number.
    pub needle: usize,
    /// Where it is.
    pub range: Range<usize>,
}

fn pair(text: &[u8], end: usize) -> u16 {
    u16::from_le_bytes([text[end - 1], text[end]])
}

impl Finder {
    /// Prepares needles of at least two bytes each; shorter ones are never found.
    pub fn new(needles: Vec<Vec<u8>>) -> Self {
        let shortest = needles.iter().map(Vec::len).filter(|len| *len > 1).min().unwrap_or(0).min(usize::from(u8::MAX));
        let mut finder = Finder { needles, shortest, shifts: Vec::new(), candidates: HashMap::new() };
        if shortest == 0 {
            return finder;
        }
        finder.shifts = vec![(shortest - 1) as u8; 1 << 16];
        for (number, needle) in finder.needles.iter().enumerate().filter(|(_, needle)| needle.len() > 1) {
            for end in 1..shortest {
                let shift = &mut finder.shifts[usize::from(pair(needle, end))];
                *shift = (*shift).min((shortest - 1 - end) as u8);
            }
            finder.candidates.entry(pair(needle, shortest - 1)).or_default().push(number);
        }
        finder
    }

    /// Returns the length of the longest needle.
    pub fn longest(&self) -> usize {
        self.needles.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Returns all occurrences by where they start, overlapping ones too.
    pub fn all<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Found> + 'a {
        let mut end = self.shortest.wrapping_sub(1);
        let mut waiting: &[usize] = &[];
        std::iter::from_fn(move || {
            loop {
                while let [number, rest @ ..] = waiting {
                    waiting = rest;
                    let start = end - self.shortest;
                    let needle = &self.needles[*number];
                    if text[start..].starts_with(needle) {
                        return Some(Found { needle: *number, range: start..start + needle.len() });
                    }
                }
                if end >= text.len() {
                    return None;
                }
                let last = pair(text, end);
                match self.shifts[usize::from(last)] {
                    0 => {
                        waiting = self.candidates.get(&last).map_or(&[], Vec::as_slice);
                        end += 1;
                    }
                    shift => end += usize::from(shift),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_found_without_needles_or_text() {
        let empty: [Vec<u8>; 1] = [Vec::new()];
        for needles in [&[][..], &empty[..], &[b"x".to_vec()][..]] {
            assert_eq!(Finder::new(needles.to_vec()).all(b"text").next(), None);
        }
        assert_eq!(Finder::new(vec![b"needle".to_vec()]).all(b"").next(), None);
        assert_eq!(Finder::new(vec![b"needle".to_vec()]).all(b"need").next(), None);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_naive_search_finds(
            needles in prop::collection::vec("[ab]{2,9}", 0..6),
            text in "[abc]{0,60}",
        ) {
            let needles: Vec<Vec<u8>> = needles.into_iter().map(String::into_bytes).collect();
            let text = text.into_bytes();
            let mut naive = Vec::new();
            for start in 0..text.len() {
                for (needle, bytes) in needles.iter().enumerate() {
                    if text[start..].starts_with(bytes) {
                        naive.push(Found { needle, range: start..start + bytes.len() });
                    }
                }
            }
            let mut found: Vec<Found> = Finder::new(needles).all(&text).collect();
            found.sort_by_key(|found| (found.range.start, found.needle));
            prop_assert_eq!(found, naive);
        }
    }
}
