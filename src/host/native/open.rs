//! Files that are opened without waiting, and what their descriptors say of them.

use crate::host::{FileFacts, FileKind, OpenFile};
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a descriptor that has nothing yet is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// An open file.
pub struct Open {
    file: File,
    /// The name by which it was opened; none for standard input.
    path: Option<PathBuf>,
    facts: FileFacts,
}

impl Open {
    /// Opens a file by its name. Neither waits for a writer nor takes a terminal.
    pub fn path(path: &Path) -> io::Result<Self> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
        }
        let file = options.open(path)?;
        let facts = facts(&file, Some(path))?;
        Ok(Open { file, path: Some(path.to_owned()), facts })
    }

    /// Standard input.
    pub fn stdin() -> io::Result<Self> {
        #[cfg(unix)]
        let file = File::from(std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?);
        #[cfg(windows)]
        let file = File::from(std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?);
        let facts = facts(&file, None)?;
        Ok(Open { file, path: None, facts })
    }

    /// The same pipe, opened so that reading waits for whoever writes to it.
    #[cfg(unix)]
    fn waiting(&self) -> io::Result<Option<File>> {
        use std::os::unix::fs::MetadataExt;
        let Some(path) = &self.path else { return Ok(None) };
        if cfg!(target_os = "linux") {
            return File::open(by_descriptor(&self.file)).map(Some);
        }
        let (again, before) = (File::open(path)?, self.file.metadata()?);
        let now = again.metadata()?;
        if (now.dev(), now.ino()) == (before.dev(), before.ino()) { Ok(Some(again)) } else { Err(changed()) }
    }

    #[cfg(not(unix))]
    fn waiting(&self) -> io::Result<Option<File>> {
        Ok(None)
    }
}

impl OpenFile for Open {
    fn facts(&self) -> &FileFacts {
        &self.facts
    }

    fn read(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        match self.facts.kind {
            FileKind::Regular => {
                // Standard input may have been read from before.
                if self.path.is_some() {
                    (&self.file).seek(SeekFrom::Start(offset))?;
                }
                read_up_to(&self.file, length)
            }
            FileKind::Pipe => {
                // Without a writer there is nothing, be it that none has come yet.
                let bytes = read_up_to(&self.file, length)?;
                let again = if bytes.is_empty() { self.waiting()? } else { None };
                again.map_or(Ok(bytes), |file| read_up_to(&file, length))
            }
            _ => read_up_to(&self.file, length),
        }
    }
}

/// Reads so many bytes. Whoever started this program may have made standard input one that does not wait.
fn read_up_to(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let (mut bytes, mut file) = (Vec::new(), file.take(length));
    loop {
        match file.read_to_end(&mut bytes) {
            Ok(_) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(POLL_INTERVAL),
            Err(error) => return Err(error),
        }
    }
}

fn facts(file: &File, path: Option<&Path>) -> io::Result<FileFacts> {
    let meta = file.metadata()?;
    let kind = kind(&meta, file);
    let real = match kind {
        // A pipe of a shell has no path, and what the system says instead is none.
        FileKind::Pipe => real_path(file, &meta, path).unwrap_or_default(),
        _ => real_path(file, &meta, path)?,
    };
    Ok(FileFacts { kind, len: meta.len(), real, is_synthetic: is_synthetic(file) })
}

fn kind(meta: &Metadata, file: &File) -> FileKind {
    let kind = meta.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() || kind.is_socket() {
            return FileKind::Pipe;
        }
    }
    if kind.is_file() {
        FileKind::Regular
    } else if kind.is_dir() {
        FileKind::Directory
    } else if file.is_terminal() {
        FileKind::Terminal
    } else {
        FileKind::Device
    }
}

/// The name of an open file that is the file itself, on Linux.
#[cfg(unix)]
fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))
}

/// Where an open file lies: the kernel says it of the descriptor, so that nobody can change a name in between.
#[cfg(target_os = "linux")]
fn real_path(file: &File, meta: &Metadata, path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::os::unix::fs::MetadataExt;
    let link = match fs::read_link(by_descriptor(file)) {
        Ok(link) => link,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return path_of_same(meta, path),
        Err(error) => return Err(error),
    };
    let bytes = link.as_os_str().as_bytes();
    // What the kernel writes after the name of a file that is deleted by now, or replaced.
    let bytes = bytes.strip_suffix(b" (deleted)").filter(|_| meta.nlink() == 0).unwrap_or(bytes);
    let real = PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
    Ok(real.is_absolute().then_some(real))
}

#[cfg(target_vendor = "apple")]
fn real_path(file: &File, meta: &Metadata, path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    use std::os::unix::ffi::OsStringExt;
    match rustix::fs::getpath(file) {
        Ok(real) => Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(real.into_bytes())))),
        Err(_) => path_of_same(meta, path),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn real_path(_: &File, meta: &Metadata, path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    path_of_same(meta, path)
}

/// The name's path with links resolved, if the same file lies there.
#[cfg(unix)]
fn path_of_same(meta: &Metadata, path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    use std::os::unix::fs::MetadataExt;
    let Some(path) = path else { return Ok(None) };
    let real = fs::canonicalize(path)?;
    let there = fs::symlink_metadata(&real)?;
    if (there.dev(), there.ino()) == (meta.dev(), meta.ino()) { Ok(Some(real)) } else { Err(changed()) }
}

/// The same on Windows, where the standard library does not tell the identity of a file: its size and times stand for it.
#[cfg(not(unix))]
fn path_of_same(meta: &Metadata, path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    let Some(path) = path else { return Ok(None) };
    let real = fs::canonicalize(path)?;
    let there = fs::symlink_metadata(&real)?;
    let mark = |meta: &Metadata| (meta.is_file(), meta.len(), meta.created().ok(), meta.modified().ok());
    if mark(&there) == mark(meta) { Ok(Some(real)) } else { Err(changed()) }
}

fn changed() -> io::Error {
    io::Error::other("it changed while it was being opened")
}

/// Whether a file is of a file system in which the kernel makes up what is read, wherever that is mounted.
/// <https://man7.org/linux/man-pages/man2/statfs.2.html>
#[cfg(target_os = "linux")]
fn is_synthetic(file: &File) -> bool {
    const PROC: u64 = 0x9fa0;
    const SYSFS: u64 = 0x6265_6572;
    rustix::fs::fstatfs(file).is_ok_and(|system| matches!(u64::try_from(system.f_type), Ok(PROC | SYSFS)))
}

#[cfg(not(target_os = "linux"))]
fn is_synthetic(_: &File) -> bool {
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_says_where_its_file_lies() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("a"), "0123456789").unwrap();
        std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        let open = Open::path(&root.join("link")).unwrap();
        assert_eq!(open.facts().real.as_deref(), Some(&*root.join("a")));
        assert_eq!((open.facts().kind, open.facts().len), (FileKind::Regular, 10));
        assert_eq!(open.read(2, 3).unwrap(), b"234");
        assert_eq!(open.read(8, 100).unwrap(), b"89");
        // The name means something else by now.
        fs::remove_file(root.join("link")).unwrap();
        fs::remove_file(root.join("a")).unwrap();
        assert_eq!(open.read(0, 2).unwrap(), b"01");
        assert_eq!(Open::path(&root).unwrap().facts().kind, FileKind::Directory);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_makes_up_is_known() {
        assert!(Open::path(Path::new("/proc/self/environ")).unwrap().facts().is_synthetic);
        let null = Open::path(Path::new("/dev/null")).unwrap();
        assert_eq!((null.facts().kind, null.facts().is_synthetic), (FileKind::Device, false));
        // A file that was deleted, or replaced, lies where it lay.
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::write(root.join("x (deleted)"), "").unwrap();
        let file = File::open(root.join("x (deleted)")).unwrap();
        for _ in 0..2 {
            let real = facts(&file, None).unwrap().real;
            assert_eq!(real, Some(root.join("x (deleted)")));
            let _ = fs::remove_file(root.join("x (deleted)"));
        }
    }

    #[test]
    fn opening_a_pipe_does_not_wait_and_reading_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let open = Open::path(&path).unwrap();
        assert_eq!(open.facts().kind, FileKind::Pipe);
        let later = path.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            fs::write(later, "late").unwrap();
        });
        assert_eq!(open.read(0, 100).unwrap(), b"late");
        writer.join().unwrap();
        // A writer that has come and gone is not waited for.
        let open = Open::path(&path).unwrap();
        fs::write(&path, "before").unwrap();
        assert_eq!(open.read(0, 100).unwrap(), b"before");
    }
}
