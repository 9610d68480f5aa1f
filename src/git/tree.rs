//! Files of a commit, and how commits are related.

use super::Access::{Read, Transfer};
use super::{Git, explain};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// When it was made, in seconds since 1970.
    pub time: u64,
}

/// Commits are fetched in so many pieces at most; each is four times as long as the one before.
const MAX_PIECES: u32 = 6;
const FIRST_PIECE: u32 = 50;

impl Git<'_> {
    /// Returns the commit that a revision names, if there is one in this clone.
    pub async fn commit_of(&self, revision: &str) -> Result<Option<Commit>> {
        // Other names would be taken apart in another way with the path of a file behind them.
        let is_plain = !revision.is_empty() && !revision.contains(|c: char| c == ':' || c.is_whitespace());
        if is_plain && !self.expected.borrow().is_empty() {
            return self.commit_with_files(revision).await;
        }
        let name = format!("{revision}^{{commit}}");
        let args = ["log", "-1", "--no-show-signature", "--format=%H %ct", "--end-of-options", &name, "--"];
        let output = self.output(Read, &args, &[]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.code != Some(0) && said.contains("not a git repository") {
            return Err(explain::explain(&args, &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let (sha, time) = text.trim().split_once(' ').unwrap_or_default();
        let time = time.parse().ok().filter(|_| output.code == Some(0));
        Ok(time.map(|time| Commit { sha: sha.to_owned(), time }))
    }

    /// Expects that these files of the next commit that is asked for are read, so that git is started once for all. Paths are from the
    /// top.
    pub fn expect(&self, paths: impl Iterator<Item = String>) {
        *self.expected.borrow_mut() = paths.filter(|path| !path.contains('\n')).collect();
    }

    /// Returns the commit that a revision names, and keeps the files that are expected to be read of it.
    async fn commit_with_files(&self, revision: &str) -> Result<Option<Commit>> {
        let paths = self.expected.take();
        let names: String = paths.iter().map(|path| format!("{revision}:{path}\n")).collect();
        let args = ["cat-file", "--batch"];
        let output = self.feed(Read, &args, &[], format!("{revision}^{{commit}}\n{names}").as_bytes()).await?;
        if output.code != Some(0) {
            return Err(explain::explain(&args, &output));
        }
        let mut found = Objects(&output.stdout);
        let Some(Some((sha, commit))) = found.next() else { return Ok(None) };
        let commit = Commit { sha: sha.to_owned(), time: time_of(commit) };
        let read = paths.into_iter().zip(found).filter_map(|(path, object)| Some((path, object?.1.to_vec())));
        *self.kept.borrow_mut() = Kept { commit: commit.sha.clone(), time: commit.time, files: read.collect() };
        Ok(Some(commit))
    }

    /// Returns the paths of the files of a commit, from the top.
    pub async fn files_of(&self, commit: &str) -> Result<BTreeSet<String>> {
        let listed = self.run(Read, &["ls-tree", "-r", "-z", "--full-tree", commit, "--"], &[]).await?;
        let entries = listed.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        // A link or a submodule is not a file.
        let files = entries.filter_map(|entry| entry.strip_prefix("100")?.split_once('\t'));
        Ok(files.map(|(_, path)| path.to_owned()).collect())
    }

    /// Returns when a commit was made, and the contents of files of it, which it has.
    pub async fn read_files(&self, commit: &str, paths: &[&str]) -> Result<(u64, Vec<Vec<u8>>)> {
        if let Some(path) = paths.iter().find(|path| path.contains('\n')) {
            return Err(Error::config(format!("cannot read {path:?} from git: its name has two lines")));
        }
        if let Some(kept) = self.kept.borrow().read(commit, paths) {
            return Ok(kept);
        }
        let names: String = paths.iter().map(|path| format!("{commit}:{path}\n")).collect();
        let names = format!("{commit}\n{names}");
        let args = ["cat-file", "--batch"];
        let output = self.feed(Read, &args, &[], names.as_bytes()).await?;
        let mut found = objects(&output.stdout, paths.len() + 1);
        if found.is_none() {
            // A partial clone has to fetch them first.
            let output = self.feed(Transfer, &args, &[], names.as_bytes()).await?;
            found = objects(&output.stdout, paths.len() + 1);
            if found.is_none() {
                return Err(explain::explain(&args, &output));
            }
        }
        let mut found = found.unwrap_or_default().into_iter();
        Ok((time_of(&found.next().unwrap_or_default()), found.collect()))
    }

    /// Returns the paths of tracked and of new files of the working copy that fit patterns, from the top; ignored files are left out.
    pub async fn working_files(&self, patterns: &[&str]) -> Result<Vec<String>> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!(":(top,glob)**/{pattern}")).collect();
        let fixed = ["ls-files", "-z", "--full-name", "--cached", "--others", "--exclude-standard", "--"];
        let args: Vec<&str> = fixed.into_iter().chain(patterns.iter().map(String::as_str)).collect();
        let listed = self.run(Read, &args, &[]).await?;
        let paths = listed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        let paths: BTreeSet<String> = paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        Ok(paths.into_iter().collect())
    }

    /// Returns the best common ancestor of two commits, if this clone has one.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>> {
        let output = self.output(Read, &["merge-base", one, other], &[]).await?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.code == Some(0) && !found.is_empty()).then_some(found))
    }

    /// Returns the first parent of a commit, also where a shallow clone does not have it; `None` for the first commit of all.
    pub async fn parent_of(&self, commit: &str) -> Result<Option<String>> {
        let text = self.text(Read, &["cat-file", "commit", commit], &[]).await?;
        let header = text.lines().take_while(|line| !line.is_empty());
        Ok(header.filter_map(|line| line.strip_prefix("parent ")).next().map(str::to_owned))
    }

    /// Returns whether the clone lacks the beginning of the history.
    pub async fn is_shallow(&self) -> Result<bool> {
        Ok(self.query(&["rev-parse", "--is-shallow-repository"]).await? == "true")
    }

    /// Fetches one commit, unless the clone has it. A shallow clone gets it without its history.
    pub async fn fetch_commit(&self, remote: &str, commit: &str) -> Result<()> {
        if self.commit_of(commit).await?.is_some() {
            return Ok(());
        }
        // In a whole clone `--depth` would cut the history off.
        let depth: &[&str] = if self.is_shallow().await? { &["--depth=1"] } else { &[] };
        self.transfer(&[&FETCH[..], depth, &["--", remote, commit]].concat()).await
    }

    /// Returns the default branch of a remote, if it says so.
    pub async fn default_branch_of(&self, remote: &str) -> Result<Option<String>> {
        let listed = self.text(Transfer, &["ls-remote", "--quiet", "--symref", "--", remote, "HEAD"], &[]).await?;
        let head = listed.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        Ok(head.map(str::to_owned))
    }

    /// Fetches older commits of a shallow clone, in pieces, until two commits have a common ancestor. Returns it; `None` when they
    /// have none.
    pub async fn deepen_to_merge_base(&self, remote: &str, one: &str, other: &str) -> Result<Option<String>> {
        for piece in 0..MAX_PIECES {
            if let Some(found) = self.merge_base(one, other).await? {
                return Ok(Some(found));
            }
            if !self.is_shallow().await? {
                return Ok(None);
            }
            let deepen = format!("--deepen={}", FIRST_PIECE * 4u32.pow(piece));
            self.transfer(&[&FETCH[..], &[&deepen, "--", remote, one, other]].concat()).await?;
        }
        if self.is_shallow().await? {
            self.transfer(&[&FETCH[..], &["--unshallow", "--", remote, one, other]].concat()).await?;
        }
        self.merge_base(one, other).await
    }
}

/// What is the same in every fetch of commits.
const FETCH: [&str; 5] = ["fetch", "--quiet", "--no-write-fetch-head", "--no-tags", "--no-recurse-submodules"];

/// Returns when a commit was made, by its object.
fn time_of(commit: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(commit);
    let line = text.lines().find_map(|line| line.strip_prefix("committer ")).unwrap_or_default();
    line.rsplit(' ').nth(1).and_then(|time| time.parse().ok()).unwrap_or_default()
}

/// What was read of a commit when it was asked for.
#[derive(Default)]
pub struct Kept {
    commit: String,
    time: u64,
    files: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    /// Returns when the commit was made, and the contents of files of it, if all of them are here.
    fn read(&self, commit: &str, paths: &[&str]) -> Option<(u64, Vec<Vec<u8>>)> {
        let read = |path: &&str| self.files.get(*path).cloned();
        let all = paths.iter().filter(|_| self.commit == commit).map(read).collect::<Option<Vec<_>>>()?;
        (all.len() == paths.len()).then_some((self.time, all))
    }
}

/// The commits and files that `cat-file --batch` prints, with their names; `None` for one that is neither or does not exist.
struct Objects<'a>(&'a [u8]);

impl<'a> Iterator for Objects<'a> {
    type Item = Option<(&'a str, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (header, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        let header = std::str::from_utf8(header).unwrap_or_default();
        // The name may be any text, if there is no such object.
        let mut words = header.rsplitn(3, ' ');
        let (size, kind, name) = (words.next()?.parse::<usize>().ok(), words.next(), words.next().unwrap_or_default());
        let Some(size) = size.filter(|_| matches!(kind, Some("blob" | "commit" | "tree" | "tag"))) else {
            return Some(None);
        };
        let content = rest.get(..size);
        self.0 = rest.get(size + 1..).unwrap_or_default();
        Some(content.filter(|_| matches!(kind, Some("blob" | "commit"))).map(|content| (name, content)))
    }
}

/// Returns the contents that `cat-file --batch` prints; `None` unless it is as many files as were asked for.
fn objects(printed: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let found = Objects(printed).map(|object| Some(object?.1.to_vec())).collect::<Option<Vec<_>>>()?;
    (found.len() == count).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_by_their_size() {
        let printed = b"1234 blob 4\na\nb\n\n5678 blob 0\n\n";
        assert_eq!(objects(printed, 2), Some(vec![b"a\nb\n".to_vec(), Vec::new()]));
        for wrong in [&b"main:x missing\n"[..], b"1234 tree 1\na\n", b"1234 blob 9\na\n", b"1234 blob 1\na\n"] {
            assert_eq!(objects(wrong, 2), None);
        }
        let mixed = b"12 commit 2\na\n\nmain:a b 7 missing\n34 tree 3\nx\ny\n56 blob 1\nz\n:x ambiguous\n";
        let names: Vec<_> = Objects(mixed).map(|object| object.map(|(name, _)| name)).collect();
        assert_eq!(names, [Some("12"), None, None, Some("56"), None]);
        let commit =
            b"tree 1\nauthor a <a@b> 1 +0000\ncommitter c d <c@d> 1700000000 -0130\n\ncommitter e <f> 5 +0000\n";
        assert_eq!((time_of(commit), time_of(b"")), (1_700_000_000, 0));
    }
}
