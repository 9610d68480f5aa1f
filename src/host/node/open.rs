//! Files that are opened without waiting, and what their descriptors say of them.

use super::{io_error, js};
use crate::host::{FileFacts, FileKind, OpenFile};
use std::io;
use std::path::{Path, PathBuf};

/// An open file.
pub struct Open {
    file: u32,
    /// The name by which it was opened; none for standard input.
    path: Option<String>,
    facts: FileFacts,
}

impl Open {
    /// What Node has opened by this name.
    pub fn new(opened: js::Opened, path: Option<&Path>, to_path: impl Fn(String) -> PathBuf) -> Self {
        let kind = match opened.kind().as_str() {
            "regular" => FileKind::Regular,
            "directory" => FileKind::Directory,
            "pipe" => FileKind::Pipe,
            "terminal" => FileKind::Terminal,
            _ => FileKind::Device,
        };
        let real = opened.real().map(to_path);
        let facts = FileFacts { kind, len: opened.size(), real, is_synthetic: opened.synthetic() };
        Open { file: opened.file(), path: path.and_then(Path::to_str).map(str::to_owned), facts }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        js::close_file(self.file);
    }
}

impl OpenFile for Open {
    fn facts(&self) -> &FileFacts {
        &self.facts
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let is_pipe = self.facts.kind == FileKind::Pipe;
        // Standard input may have been read from before, and what has no size has no offset.
        let has_offset = self.facts.kind == FileKind::Regular && self.path.is_some();
        let offset = if has_offset { offset as f64 } else { -1.0 };
        js::read_file(self.file, self.path.as_deref(), is_pipe, offset, length as f64).map_err(io_error)
    }
}
