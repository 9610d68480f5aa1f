//! The one place that opens what is to be posted or published.
//!
//! Who named a file decides what it may be. What the command line names outside of the working copy is the user's own
//! word: `/tmp/report.md`, `../report.md`, a named pipe, `-`, the `/dev/fd/63` that a shell makes of `<(…)`. What lies in
//! the working copy may be a stranger's: a pull request commits links as it likes, and an artifact of a fork's job is
//! unpacked there. Such a path has to end at a regular file inside the working copy, and not in git's own folder. Nothing
//! in `/proc`, `/sys` and `/dev` is ever read by its name, whoever names it: the environment, and the token in it, is a
//! file there.
//!
//! All of this is decided on the open descriptor ([`OpenFile::facts`]), so that changing a name at the same moment gains
//! nothing; only whether a name lies in the working copy is a question about the name. What cannot be told is a hard
//! link: it is the file, under a second name. Only somebody who may already write to both folders can make one (Linux
//! also asks for the right to write to the file itself, `fs.protected_hardlinks`), and neither git nor an archive of an
//! artifact makes one to a file outside.

use crate::error::{Error, Kind};
use crate::host::{FileFacts, FileKind, Host, OpenFile};
use git_name::is_git_name;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

mod git_name;
mod windows;

/// Largest report. Markdown of this size makes hundreds of comments.
pub const LARGEST_REPORT: u64 = 32 << 20;
/// Larger files are not published: GitHub takes blobs, and GitLab uploads, of up to 100 MB.
/// <https://docs.github.com/en/rest/git/blobs>, <https://docs.gitlab.com/user/gitlab_com/#account-and-limit-settings>
pub const LARGEST_FILE: u64 = 100 << 20;
/// The name of standard input on a command line.
pub const STDIN: &str = "-";

/// Folders of the kernel's, whose files nobody wrote.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev"];
/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// Opens files. Knows the working copy and where git keeps what belongs to it.
pub struct Files {
    host: Rc<dyn Host>,
    /// What a report leads to is in it.
    root: PathBuf,
    /// It and the folder that the CI names: a path that enters one of them has to end in it.
    strange: Vec<PathBuf>,
    git: Vec<PathBuf>,
    is_windows: bool,
}

/// An open file that may be posted or published.
pub struct Checked(Box<dyn OpenFile>);

/// Why a file is not opened or read.
#[derive(Debug)]
pub enum Refusal {
    /// The system does not open or read it.
    Unreadable(io::Error),
    /// A path in the working copy that leads out of it.
    Outside,
    /// It belongs to git.
    Git,
    /// It is in a folder of the kernel's.
    System,
    /// It is a device.
    Device,
    /// It is a named pipe or a socket in the working copy.
    Pipe,
    /// It is a directory.
    Directory,
    /// The name means no file on Windows, or one on another host.
    Name(&'static str),
    /// It has more bytes than this.
    TooLarge(u64),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unreadable(error) => error.fmt(f),
            Refusal::Outside => f.write_str("it is outside the working copy"),
            Refusal::Git => f.write_str("it belongs to git's own folder"),
            Refusal::System => f.write_str("files in /proc, /sys and /dev are never published"),
            Refusal::Device => f.write_str("it is a device"),
            Refusal::Pipe => f.write_str("it is a named pipe"),
            Refusal::Directory => f.write_str("it is a directory"),
            Refusal::Name(what) => f.write_str(what),
            Refusal::TooLarge(most) => write!(f, "it is larger than {} MB", most >> 20),
        }
    }
}

impl Refusal {
    /// Returns what the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::Unreadable(_) | Refusal::Directory => "check the path: it is relative to the current directory",
            Refusal::Outside => {
                "a symbolic link in the working copy must not lead out of it; pass the target's own path instead"
            }
            Refusal::TooLarge(_) => "keep large data in a bucket and link to it",
            Refusal::Git | Refusal::System | Refusal::Device | Refusal::Pipe | Refusal::Name(_) => {
                "write it to a regular file, or pass it on standard input with -"
            }
        }
    }

    /// Returns the error for a file that the command line names.
    pub fn error(self, doing: impl fmt::Display, path: &Path) -> Error {
        let kind = if matches!(self, Refusal::TooLarge(_)) { Kind::TooLarge } else { Kind::Config };
        let not_unicode = matches!(self, Refusal::Unreadable(_)) && path.to_string_lossy().contains('\u{fffd}');
        let hint = if not_unicode { "rename the file: its name is not UTF-8" } else { self.hint() };
        Error::new(kind, format!("{doing} ({self})")).hint(hint)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::IsADirectory => Refusal::Directory,
            _ => Refusal::Unreadable(error),
        }
    }
}

impl Checked {
    /// Returns its size in bytes; 0 where it has none.
    pub fn len(&self) -> u64 {
        self.0.facts().len
    }

    /// Returns whether it has no size.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns its path with every symbolic link resolved, where it has one.
    pub fn real(&self) -> Option<&Path> {
        self.0.facts().real.as_deref()
    }

    /// Returns all of it, which is `most` bytes at the most. What its size says already is not read.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, Refusal> {
        if self.len() > most {
            return Err(Refusal::TooLarge(most));
        }
        let bytes = self.0.read(0, most + 1)?;
        if bytes.len() as u64 > most { Err(Refusal::TooLarge(most)) } else { Ok(bytes) }
    }

    /// Returns a part of it.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read(offset, length as u64)
    }
}

impl Files {
    /// Opens files for a working copy, whose path has no symbolic links in it.
    pub fn new(host: Rc<dyn Host>, root: PathBuf) -> Self {
        let git = git_folders(&*host, &root);
        let is_windows = host.platform().os == "windows";
        Files { host, strange: vec![root.clone()], root, git, is_windows }
    }

    /// Knows another folder in which strangers write: the one that the CI names, wherever the command starts.
    #[must_use]
    pub fn wary_of(mut self, folder: PathBuf) -> Self {
        if !self.strange.contains(&folder) {
            self.git.extend(git_folders(&*self.host, &folder));
            self.strange.push(folder);
        }
        self
    }

    /// Opens a file that the command line names; `-` is standard input.
    pub fn named(&self, path: &Path) -> Result<Checked, Refusal> {
        let descriptor = descriptor(path);
        if is_stdin(path) {
            return self.stdin();
        }
        if let Some(what) = self.is_windows.then(|| windows::device(&path.to_string_lossy())).flatten() {
            return Err(Refusal::Name(what));
        }
        let whole = self.absolute(path)?;
        if descriptor.is_none() && (self.is_system(&whole) || self.is_system(&lexical(&whole))) {
            return Err(Refusal::System);
        }
        let entered = if descriptor.is_none() { self.entered(&whole) } else { Vec::new() };
        let is_strange = !entered.is_empty();
        let file = self.host.open(path)?;
        self.judge(file.facts())?;
        match file.facts().kind {
            FileKind::Regular => must_be_below(&entered, file.facts())?,
            FileKind::Pipe if is_strange => return Err(Refusal::Pipe),
            // A pipe without a path is a descriptor, which only the command line itself may name.
            FileKind::Pipe if descriptor.is_some() || file.facts().real.is_some() => {}
            FileKind::Pipe => return Err(Refusal::System),
            FileKind::Directory => return Err(Refusal::Directory),
            FileKind::Terminal | FileKind::Device => return Err(Refusal::Device),
        }
        Ok(Checked(file))
    }

    /// Opens a file that a report or a folder leads to: a regular file inside of the working copy.
    pub fn found(&self, path: &Path) -> Result<Checked, Refusal> {
        if let Some(what) = self.foreign_name(&path.to_string_lossy()) {
            return Err(Refusal::Name(what));
        }
        let file = self.host.open(path)?;
        must_be_below(&[&self.root], file.facts())?;
        self.judge(file.facts())?;
        match file.facts().kind {
            FileKind::Regular => Ok(Checked(file)),
            FileKind::Directory => Err(Refusal::Directory),
            FileKind::Pipe => Err(Refusal::Pipe),
            FileKind::Terminal | FileKind::Device => Err(Refusal::Device),
        }
    }

    /// Opens a regular file that was found in a folder which the command line names.
    pub fn found_in_named(&self, path: &Path) -> Result<Checked, Refusal> {
        let file = self.named(path)?;
        match file.0.facts().kind {
            FileKind::Regular => Ok(file),
            _ => Err(Refusal::Pipe),
        }
    }

    /// Returns whether a folder that was found in one which the command line names may be searched: whoever names a
    /// folder of the working copy means nothing outside of it.
    pub fn may_search(&self, folder: &Path) -> bool {
        let real = self.host.canonicalize(folder);
        let Ok((whole, real)) = self.absolute(folder).and_then(|whole| Ok((whole, real?))) else { return false };
        let is_public = !self.is_system(&real) && !self.is_git(&real);
        is_public && is_below(&self.entered(&whole), &real)
    }

    /// Returns why a name that a report has is not even looked for: on Windows looking is enough to reach another
    /// host.
    pub fn foreign_name(&self, name: &str) -> Option<&'static str> {
        self.is_windows.then(|| windows::foreign(name)).flatten()
    }

    /// Checks a file that is to be written: what lies in the working copy stays in it. One that does not exist is fine, unless
    /// a link leads there.
    pub fn check_target(&self, path: &Path) -> Result<(), Refusal> {
        let whole = self.absolute(path)?;
        let entered = self.entered(&whole);
        if descriptor(path).is_some() || entered.is_empty() {
            return Ok(());
        }
        match self.named(path) {
            Ok(_) => Ok(()),
            Err(Refusal::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                let is_link = self.host.read_link(path).is_ok();
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let real = self.host.canonicalize(folder);
                let is_inside = real.as_ref().map_or(true, |real| is_below(&entered, real) && !self.is_git(real));
                if is_link || !is_inside { Err(Refusal::Outside) } else { Ok(()) }
            }
            // Reading is more than is asked for.
            Err(Refusal::Unreadable(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                let real = self.host.canonicalize(path)?;
                if is_below(&entered, &real) && !self.is_git(&real) { Ok(()) } else { Err(Refusal::Outside) }
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn stdin(&self) -> Result<Checked, Refusal> {
        let file = self.host.open_stdin()?;
        let facts = file.facts();
        match facts.kind {
            FileKind::Pipe | FileKind::Terminal => {}
            FileKind::Regular => self.judge(facts)?,
            FileKind::Device if facts.real.as_deref().is_none_or(|real| real == Path::new("/dev/null")) => {}
            FileKind::Device => return Err(Refusal::Device),
            FileKind::Directory => return Err(Refusal::Directory),
        }
        Ok(Checked(file))
    }

    /// Returns what no file may be, whoever names it.
    fn judge(&self, facts: &FileFacts) -> Result<(), Refusal> {
        let Some(real) = &facts.real else {
            // A file without a path cannot be judged; a pipe is its reader's.
            return if matches!(facts.kind, FileKind::Pipe) { Ok(()) } else { Err(Refusal::System) };
        };
        if facts.is_synthetic || self.is_system(real) {
            return Err(Refusal::System);
        }
        if self.is_git(real) { Err(Refusal::Git) } else { Ok(()) }
    }

    fn is_git(&self, real: &Path) -> bool {
        let below = self.strange.iter().find_map(|folder| real.strip_prefix(folder).ok()).unwrap_or(real);
        below.iter().any(|part| is_git_name(&part.to_string_lossy()))
            || self.git.iter().any(|folder| real.starts_with(folder))
    }

    /// Returns whether a path is in a folder of the kernel's. A working copy may lie in its shared memory.
    fn is_system(&self, path: &Path) -> bool {
        const MEMORY: &str = "/dev/shm";
        let is_memory = path.starts_with(MEMORY) && self.root.starts_with(MEMORY);
        !is_memory && SYSTEM.iter().any(|folder| path.starts_with(folder))
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        if self.is_absolute(path) { Ok(path.to_owned()) } else { Ok(self.host.current_dir()?.join(path)) }
    }

    /// WebAssembly's paths are those of Unix also on Windows.
    fn is_absolute(&self, path: &Path) -> bool {
        let has_drive = || path.to_string_lossy().as_bytes().get(1) == Some(&b':');
        path.has_root() || (self.is_windows && has_drive())
    }

    /// Returns the folders of strangers through which an absolute path, or a link on its way, leads: from there on it is a
    /// stranger's who says where it ends.
    fn entered(&self, path: &Path) -> Vec<&PathBuf> {
        self.strange.iter().filter(|folder| self.enters(path, folder)).collect()
    }

    fn enters(&self, path: &Path, folder: &Path) -> bool {
        let reversed = |path: &Path| path.iter().rev().map(OsString::from).collect::<Vec<_>>();
        let (mut here, mut todo, mut links) = (PathBuf::new(), reversed(path), 0);
        while let Some(part) = todo.pop() {
            match Path::new(&part).components().next() {
                None | Some(Component::CurDir) => continue,
                Some(Component::ParentDir) => drop(here.pop()),
                Some(_) => {
                    let next = here.join(&part);
                    match self.host.read_link(&next) {
                        Ok(target) if links < MAX_LINKS => {
                            links += 1;
                            if self.is_absolute(&target) {
                                here = PathBuf::new();
                            }
                            todo.extend(reversed(&target));
                        }
                        _ => here = next,
                    }
                }
            }
            // Where names differ in their case only, the system knows.
            let real = || self.host.canonicalize(&here);
            if here.starts_with(folder) || real().is_ok_and(|real| real.starts_with(folder)) {
                return true;
            }
        }
        false
    }
}

/// Returns whether a path, with links resolved, is below all of some folders.
fn is_below(folders: &[&PathBuf], real: &Path) -> bool {
    folders.iter().all(|folder| real.starts_with(folder))
}

fn must_be_below(folders: &[&PathBuf], facts: &FileFacts) -> Result<(), Refusal> {
    match &facts.real {
        Some(real) if is_below(folders, real) => Ok(()),
        None if folders.is_empty() => Ok(()),
        _ => Err(Refusal::Outside),
    }
}

/// Returns whether a name on the command line means standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN) || descriptor(path) == Some(0)
}

/// Returns how messages name a report or another file of the command line.
pub fn shown(path: &Path) -> String {
    if path == Path::new(STDIN) { "on standard input".to_owned() } else { path.display().to_string() }
}

/// Returns the folder to which the addresses in a file are relative: that of its name, for standard input and other
/// descriptors the current one.
pub fn folder_of(path: &Path) -> &Path {
    match descriptor(path) {
        Some(_) => Path::new(""),
        None => path.parent().unwrap_or(Path::new("")),
    }
}

/// Returns the number of a descriptor that a path names as shells do.
fn descriptor(path: &Path) -> Option<u32> {
    let text = path.to_str()?;
    if text == "/dev/stdin" {
        return Some(0);
    }
    let number = text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten()
}

/// Returns an absolute path without `.` and `..`, as it is written.
fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut made, part| {
        match part {
            Component::ParentDir => drop(made.pop()),
            Component::CurDir => {}
            part => made.push(part),
        }
        made
    })
}

/// Returns where git keeps what belongs to a working copy, besides a folder `.git`: what the file of that name says
/// (in a linked worktree, a submodule, or after `git init --separate-git-dir`), and the environment.
/// <https://git-scm.com/docs/gitrepository-layout>
fn git_folders(host: &dyn Host, root: &Path) -> Vec<PathBuf> {
    let text = |path: &Path| {
        host.stat(path).ok().filter(|stat| stat.is_file)?;
        host.read_at(path, 0, 4096).ok().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    let dot = root.join(".git");
    let named = text(&dot);
    let named = named.and_then(|text| Some(root.join(text.strip_prefix("gitdir:")?.trim())));
    let common = named.as_ref().and_then(|folder| Some(folder.join(text(&folder.join("commondir"))?)));
    let from_env = ["GIT_DIR", "GIT_COMMON_DIR"].into_iter().filter_map(|name| host.env().named(name));
    // The folder itself may be a link.
    let all = [dot].into_iter().chain(named).chain(common).chain(from_env.map(PathBuf::from));
    // A folder around the working copy says nothing of what is in it.
    all.filter_map(|folder| host.canonicalize(&folder).ok()).filter(|folder| !root.starts_with(folder)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_known_in_the_spellings_of_shells_only() {
        for (path, number) in [
            ("/dev/stdin", Some(0)),
            ("/dev/fd/0", Some(0)),
            ("/dev/fd/63", Some(63)),
            ("/proc/self/fd/12", Some(12)),
            ("/dev/fd/", None),
            ("/dev/fd/+1", None),
            ("/dev/fd/1/../../self/environ", None),
            ("/dev/fd/../../proc/self/environ", None),
            ("/proc/self/fd/3/x", None),
            ("/proc/thread-self/fd/3", None),
            ("/dev/fd/99999999999999999999", None),
        ] {
            assert_eq!(descriptor(Path::new(path)), number, "{path}");
        }
    }

    #[test]
    fn paths_are_followed_as_they_are_written() {
        for (path, to) in [("/tmp/../proc/self/x", "/proc/self/x"), ("/a/./b/../c", "/a/c"), ("/../x", "/x")] {
            assert_eq!(lexical(Path::new(path)), Path::new(to));
        }
    }
}
