//! The log file that a runner's hooks append to.

use crate::host::Host;
use std::path::PathBuf;

/// How many bytes are read at once: more than any line of a hook.
const CHUNK_SIZE: usize = 64 * 1024;

/// A reader that returns the lines that are new since the last read.
pub struct HookLog {
    path: PathBuf,
    read: u64,
}

impl HookLog {
    /// Creates a reader that starts at the beginning of a file.
    pub fn new(path: PathBuf) -> Self {
        HookLog { path, read: 0 }
    }

    /// Returns the complete new lines.
    pub fn read_lines(&mut self, host: &dyn Host) -> Vec<String> {
        let Ok(bytes) = host.read_at(&self.path, self.read, CHUNK_SIZE) else { return Vec::new() };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }
}
