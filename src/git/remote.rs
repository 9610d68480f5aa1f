//! What of a remote repository others can fetch.

use super::Access::{Read, Transfer};
use super::Git;
use crate::error::Result;

/// Whether a plain clone of a repository gets a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// A branch or tag has it. The branch, where it is the newest commit of one.
    Fetched(Option<String>),
    /// Only this reference has it, such as `refs/pull/7/merge`, which a clone leaves out.
    Hidden(String),
    /// No reference has it.
    Missing,
    /// This clone has too little of the history to tell.
    Unknown,
}

impl Git<'_> {
    /// Returns whether a branch or a tag of a remote has a commit. `branch` is the one that is looked at first.
    pub async fn reach(&self, remote: &str, commit: &str, branch: Option<&str>) -> Result<Reach> {
        let listed = self.text(Transfer, &["ls-remote", "--quiet", "--", remote], &[]).await?;
        let references: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
        let heads = || references.iter().filter_map(|(tip, name)| Some((*tip, name.strip_prefix("refs/heads/")?)));
        let mut own: Vec<&str> = heads().filter(|(tip, _)| *tip == commit).map(|(_, name)| name).collect();
        own.sort_by_key(|name| Some(*name) != branch);
        if let Some(name) = own.first() {
            return Ok(Reach::Fetched(Some((*name).to_owned())));
        }
        let is_cloned = |name: &str| name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
        let tips: Vec<&str> = references.iter().filter(|(_, name)| is_cloned(name)).map(|(tip, _)| *tip).collect();
        if tips.contains(&commit) {
            return Ok(Reach::Fetched(None));
        }
        let is_known = self.commit_of(commit).await?.is_some();
        if is_known && self.is_below(commit, &tips).await? {
            return Ok(Reach::Fetched(
                branch.filter(|branch| heads().any(|(_, name)| name == *branch)).map(str::to_owned),
            ));
        }
        if let Some((_, name)) = references.iter().find(|(tip, name)| *tip == commit && *name != "HEAD") {
            return Ok(Reach::Hidden((*name).to_owned()));
        }
        let is_whole = !self.is_shallow().await? && self.has_all(&tips).await?;
        Ok(if is_whole { Reach::Missing } else { Reach::Unknown })
    }

    /// Returns whether a commit of this clone is an ancestor of one of the tips that it has.
    async fn is_below(&self, commit: &str, tips: &[&str]) -> Result<bool> {
        let input: String = tips.iter().map(|tip| format!("^{tip}\n")).collect();
        let args = ["rev-list", "--ignore-missing", "--max-count=1", "--stdin", commit];
        let output = self.feed(Read, &args, &[], input.as_bytes()).await?;
        Ok(output.code == Some(0) && output.stdout.is_empty())
    }

    /// Returns whether this clone has all of some objects.
    async fn has_all(&self, objects: &[&str]) -> Result<bool> {
        let input: String = objects.iter().map(|object| format!("{object}\n")).collect();
        let output = self.feed(Read, &["cat-file", "--batch-check"], &[], input.as_bytes()).await?;
        Ok(output.code == Some(0) && !String::from_utf8_lossy(&output.stdout).contains(" missing\n"))
    }

    /// Returns the first of some paths, from the top, that a commit of this clone has.
    pub async fn path_in<'p>(&self, commit: &str, paths: &'p [String]) -> Result<Option<&'p str>> {
        for path in paths {
            let listed = self.run(Read, &["ls-tree", "--full-tree", "--name-only", commit, "--", path], &[]).await?;
            if !listed.is_empty() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}
