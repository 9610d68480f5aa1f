//! Splits a program's output into lines, whatever chunks it arrives in.

/// Longest line, in bytes.
const LONGEST: usize = 16 * 1024;

/// Collects chunks and returns whole lines.
#[derive(Default)]
pub struct Lines {
    line: Vec<u8>,
    /// Whether the rest of a line that was returned already is skipped.
    skipping: bool,
}

impl Lines {
    /// Takes a chunk and returns the lines that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if !self.skipping {
                self.line.extend_from_slice(text);
                if self.line.len() > LONGEST {
                    self.line.truncate(LONGEST);
                    whole.push(self.take());
                    self.skipping = true;
                } else if ends {
                    whole.push(self.take());
                }
            }
            self.skipping &= !ends;
        }
        whole
    }

    /// Returns the last line, if it has no line break.
    pub fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        String::from_utf8_lossy(text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_lines_are_cut_and_strange_bytes_replaced() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\xff\r\n\n").concat(), "a\u{fffd}");
        let long = lines.push(&vec![b'x'; 2 * LONGEST]);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LONGEST]);
        assert_eq!(lines.push(b"yyy\nshort\nno end"), ["short"]);
        assert_eq!((lines.rest().as_deref(), lines.rest()), (Some("no end"), None));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[a\r\n ]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..9)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut got: Vec<String> = cuts.windows(2).flat_map(|cut| lines.push(&bytes[cut[0]..cut[1]])).collect();
            got.extend(lines.rest());
            let mut lines = Lines::default();
            let mut expected = lines.push(bytes);
            expected.extend(lines.rest());
            prop_assert_eq!(got, expected);
        }
    }
}
