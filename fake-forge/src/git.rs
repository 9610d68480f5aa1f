//! Git objects in memory: enough for GitHub's Git Data API. Names are the first 40 digits of SHA-256, not SHA-1: the
//! fake needs to be consistent, not compatible.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::clock::Time;
use super::state::hex;

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub mode: String,
    pub sha: String,
}

impl Entry {
    /// `blob`, `tree` or `commit` (a submodule).
    pub fn kind(&self) -> &'static str {
        match self.mode.as_str() {
            "040000" => "tree",
            "160000" => "commit",
            _ => "blob",
        }
    }
}

/// A directory: entries by name.
pub type Tree = BTreeMap<String, Entry>;

/// Author or committer.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub email: String,
    pub date: Time,
}

#[derive(Clone, Debug)]
pub struct Commit {
    pub tree: String,
    pub parents: Vec<String>,
    pub message: String,
    pub author: Person,
}

/// An object database and its refs, by full name (`refs/heads/main`).
#[derive(Debug, Default)]
pub struct Git {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub trees: BTreeMap<String, Tree>,
    pub commits: BTreeMap<String, Commit>,
    pub refs: BTreeMap<String, String>,
}

impl Git {
    /// One commit with a README on `main`.
    pub fn with_readme() -> Git {
        let mut git = Git::default();
        let sha = git.add_blob(b"# model\n".to_vec());
        let readme = Entry { mode: "100644".to_owned(), sha };
        let tree = git.add_files(&BTreeMap::from([("README.md".to_owned(), readme)]));
        let author = Person {
            name: "Octo Cat".to_owned(),
            email: "octo@example.com".to_owned(),
            date: Time(1_767_225_600_000_000),
        };
        let message = "Initial commit".to_owned();
        let commit = git.add_commit(Commit { tree, parents: Vec::new(), message, author });
        git.refs.insert("refs/heads/main".to_owned(), commit);
        git
    }

    pub fn add_blob(&mut self, body: Vec<u8>) -> String {
        let sha = name("blob", &body);
        self.blobs.insert(sha.clone(), body);
        sha
    }

    /// Stores the directories of a flat list of paths. Gives the root's name.
    pub fn add_files(&mut self, files: &BTreeMap<String, Entry>) -> String {
        let mut tree = Tree::new();
        let mut folders: BTreeMap<String, BTreeMap<String, Entry>> = BTreeMap::new();
        for (path, entry) in files {
            match path.split_once('/') {
                Some((folder, rest)) => {
                    folders.entry(folder.to_owned()).or_default().insert(rest.to_owned(), entry.clone());
                }
                None => {
                    tree.insert(path.clone(), entry.clone());
                }
            }
        }
        for (folder, files) in folders {
            let sha = self.add_files(&files);
            tree.insert(folder, Entry { mode: "040000".to_owned(), sha });
        }
        let lines = tree.iter().map(|(name, entry)| format!("{} {name}\0{}\n", entry.mode, entry.sha));
        let sha = name("tree", lines.collect::<String>().as_bytes());
        self.trees.insert(sha.clone(), tree);
        sha
    }

    /// The paths of a tree: of files only, or of directories too.
    pub fn list(&self, sha: &str, directories: bool) -> BTreeMap<String, Entry> {
        let mut found = BTreeMap::new();
        for (name, entry) in self.trees.get(sha).into_iter().flatten() {
            if entry.kind() == "tree" {
                for (path, inner) in self.list(&entry.sha, directories) {
                    found.insert(format!("{name}/{path}"), inner);
                }
            }
            if entry.kind() != "tree" || directories {
                found.insert(name.clone(), entry.clone());
            }
        }
        found
    }

    pub fn add_commit(&mut self, commit: Commit) -> String {
        let text = format!("{}\n{}\n\n{}", commit.tree, commit.parents.join(" "), commit.message);
        let sha = name("commit", text.as_bytes());
        self.commits.insert(sha.clone(), commit);
        sha
    }

    pub fn has(&self, sha: &str) -> bool {
        self.blobs.contains_key(sha) || self.trees.contains_key(sha) || self.commits.contains_key(sha)
    }

    /// The tree of a tree, of a commit, or of a branch.
    pub fn tree_of(&self, name: &str) -> Option<String> {
        let name = self.refs.get(&format!("refs/heads/{name}")).map_or(name, String::as_str);
        match self.commits.get(name) {
            Some(commit) => Some(commit.tree.clone()),
            None => self.trees.contains_key(name).then(|| name.to_owned()),
        }
    }

    /// The content of a file at a commit or branch.
    pub fn file(&self, revision: &str, path: &str) -> Option<&Vec<u8>> {
        let tree = self.tree_of(revision)?;
        let entry = self.list(&tree, false).remove(path)?;
        self.blobs.get(&entry.sha)
    }

    /// Whether `old` is `new` or one of its ancestors.
    pub fn contains(&self, new: &str, old: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut todo = vec![new];
        while let Some(sha) = todo.pop() {
            if sha == old {
                return true;
            }
            if seen.insert(sha) {
                let commit = self.commits.get(sha);
                todo.extend(commit.into_iter().flat_map(|commit| commit.parents.iter().map(String::as_str)));
            }
        }
        false
    }

    /// Whether a branch reaches a commit.
    pub fn on_a_branch(&self, sha: &str) -> bool {
        let mut branches = self.refs.iter().filter(|(name, _)| name.starts_with("refs/heads/"));
        branches.any(|(_, head)| self.contains(head, sha))
    }
}

fn name(kind: &str, content: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{kind} {}\0", content.len()));
    hash.update(content);
    hex(&hash.finalize()[..20])
}
