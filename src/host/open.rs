//! An open file, and what its descriptor tells about it: a name may lead elsewhere a moment later.

use std::io;
use std::path::PathBuf;

/// The kind of file behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A pipe or a socket.
    Pipe,
    /// A terminal.
    Terminal,
    /// Any other device.
    Device,
}

/// What a descriptor tells about its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes; 0 where it has none.
    pub len: u64,
    /// Its path with every symbolic link resolved; `None` where it has none, as a pipe of a shell.
    pub real: Option<PathBuf>,
    /// Whether the kernel makes its content up, as below `/proc`.
    pub is_synthetic: bool,
}

/// An open file.
pub trait OpenFile {
    /// Returns what the descriptor tells about it.
    fn facts(&self) -> &FileFacts;
    /// Reads up to `length` bytes from `offset`. A file without a size is read from its current position.
    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>>;
}
