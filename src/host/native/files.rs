//! Private files and folders, and archives.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path};

/// Creates a folder that only this user can enter.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates a file that only this user can read.
pub fn create_private(path: &Path, mode: u32) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let _ = mode;
    options.open(path)
}

/// Writes a whole file that only this user can read; `scratch` is a free name beside it.
pub fn write_private(path: &Path, scratch: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_private_folder(parent)?;
    }
    let mut file = create_private(scratch, 0o600)?;
    file.write_all(bytes).and_then(|()| fs::rename(scratch, path)).inspect_err(|_| {
        let _ = fs::remove_file(scratch);
    })
}

/// Copies a program so that only this user can run it.
pub fn copy_program(from: &Path, to: &Path) -> io::Result<()> {
    let mut file = create_private(to, 0o700)?;
    io::copy(&mut fs::File::open(from)?, &mut file).map(drop)
}

/// Unpacks a `tar.gz`. Entries and links that lead out of the folder are errors, as are devices; owners and special
/// permissions are not taken over.
pub fn unpack(archive: &Path, folder: &Path) -> io::Result<()> {
    let file = io::BufReader::with_capacity(1 << 16, fs::File::open(archive)?);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive.set_preserve_permissions(false);
    archive.set_preserve_mtime(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} {}", path.display()));
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink() || kind.is_hard_link()) {
            return Err(wrong("the archive contains a device:"));
        }
        if let Some(link) = entry.link_name()? {
            let from = if kind.is_symlink() { path.parent().unwrap_or(Path::new("")) } else { Path::new("") };
            if !stays_inside(&from.join(&link)) || link.is_absolute() {
                return Err(wrong("the archive contains a link that leads outside:"));
            }
        }
        // The crate looks once more, at what is on the disk by then.
        if !stays_inside(&path) || !entry.unpack_in(folder)? {
            return Err(wrong("the archive contains a path that leads outside:"));
        }
    }
    Ok(())
}

fn stays_inside(path: &Path) -> bool {
    let mut depth = 0_i32;
    path.components().all(|part| {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        depth >= 0
    })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn packed(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            let is_file = kind.is_file();
            header.set_size(if is_file { content.len() as u64 } else { 0 });
            // What a hostile archive holds, the builder's own checks would refuse.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            if !is_file {
                header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_cksum();
            archive.append(&header, if is_file { content.as_bytes() } else { b"" }).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(entries: &[(&str, tar::EntryType, &str)]) -> (tempfile::TempDir, io::Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.tgz"), packed(entries)).unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let result = unpack(&folder.path().join("a.tgz"), &folder.path().join("in"));
        (folder, result)
    }

    use tar::EntryType::{Char, Link, Regular, Symlink};

    #[test]
    fn programs_keep_their_permission_to_run() {
        let (folder, result) =
            unpacked(&[("bin/run", Regular, "x"), ("bin/again", Symlink, "run"), ("run", Link, "bin/run")]);
        result.unwrap();
        let meta = fs::metadata(folder.path().join("in/bin/again")).unwrap();
        assert_eq!((meta.len(), meta.permissions().mode() & 0o100), (1, 0o100));
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        for hostile in [
            &[("../out", Regular, "x")][..],
            &[("/tmp/cml-test-out", Regular, "x")],
            &[("a/../../out", Regular, "x")],
            &[("a", Symlink, "../"), ("a/out", Regular, "x")],
            &[("a", Symlink, "/"), ("a/out", Regular, "x")],
            &[("a", Link, "../a.tgz")],
            &[("null", Char, "")],
        ] {
            let (folder, result) = unpacked(hostile);
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "{hostile:?}");
            assert!(!folder.path().join("out").exists());
        }
        assert!(!Path::new("/tmp/cml-test-out").exists());
    }

    #[test]
    fn private_files_are_private_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/secret");
        write_private(&path, &folder.path().join("scratch"), b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}
