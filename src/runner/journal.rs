//! The file that a runner's hooks append to.

use crate::host::Host;
use std::path::PathBuf;

/// More than any line of a hook.
const PIECE: usize = 64 * 1024;

/// Reads the lines that are new since the last time.
pub struct Journal {
    path: PathBuf,
    read: u64,
}

impl Journal {
    /// The journal of this path, from its beginning on.
    pub fn new(path: PathBuf) -> Self {
        Journal { path, read: 0 }
    }

    /// What is new, in whole lines.
    pub fn lines(&mut self, host: &dyn Host) -> Vec<String> {
        let Ok(bytes) = host.read_at(&self.path, self.read, PIECE) else { return Vec::new() };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }
}
