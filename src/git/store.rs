//! Files of ours in a reference of the remote, apart from the user's branches.

use super::Access::{Transfer, Write};
use super::{CommitAuthor, Git, Scratch};
use crate::error::{Error, Result};

/// How an attempt to move a reference ended.
#[derive(Debug)]
pub enum Moved {
    /// It is the commit.
    Done,
    /// Somebody else moved it first.
    Lost,
    /// The server, or the way there, refused.
    Refused(Error),
}

impl Git<'_> {
    /// Returns the first of some references that a remote has, by its full name, with its commit.
    pub async fn first_ref<'n>(&self, remote: &str, names: &[&'n str]) -> Result<Option<(&'n str, String)>> {
        let args = [&["ls-remote", "--quiet", "--", remote], names].concat();
        let listed = self.text(Transfer, &args, &[]).await?;
        let references: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
        let tip = |name: &str| references.iter().find(|(_, found)| *found == name).map(|(tip, _)| (*tip).to_owned());
        Ok(names.iter().find_map(|name| Some((*name, tip(name)?))))
    }

    /// Makes a commit on top of a parent, with a file more and some files less. Paths are from the top.
    pub async fn commit_file(
        &self,
        parent: Option<&str>,
        (path, content): (&str, &[u8]),
        removed: &[String],
        message: &str,
        author: &CommitAuthor,
    ) -> Result<String> {
        let scratch = Scratch::new(self.app, &self.checkout()?.top)?;
        let index = scratch.index();
        let own = [("GIT_INDEX_FILE", index.as_str())];
        if let Some(parent) = parent {
            // A clone may have to fetch parts of it.
            self.run(Transfer, &["read-tree", parent], &own).await?;
        }
        let args = ["hash-object", "-w", "--no-filters", "--stdin"];
        let blob = self.printed(&args, &[], content).await?;
        let nothing = "0".repeat(blob.len());
        let gone: String = removed.iter().map(|path| format!("0 {nothing}\t{path}\n")).collect();
        let entries = format!("{gone}100644 {blob}\t{path}\n");
        self.printed(&["update-index", "--index-info"], &own, entries.as_bytes()).await?;
        let tree = self.text(Write, &["write-tree"], &own).await?;
        let parents: Vec<&str> = parent.into_iter().flat_map(|parent| ["-p", parent]).collect();
        let args = [&["commit-tree", &tree], &parents[..], &["-m", message]].concat();
        self.text(Write, &args, &author.env()).await
    }

    async fn printed(&self, args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Result<String> {
        let output = self.feed(Write, args, env, input).await?;
        match output.code {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            _ => Err(super::explain::explain(args, &output)),
        }
    }

    /// Moves a reference of a remote from one commit, or from nothing, to another that is built on it.
    ///
    /// # Errors
    /// Where the reference is cannot be asked.
    pub async fn move_ref(&self, remote: &str, name: &str, before: Option<&str>, commit: &str) -> Result<Moved> {
        let refspec = format!("{commit}:{name}");
        let args = ["push", "--quiet", "--no-recurse-submodules", "--", remote, &refspec];
        let Err(error) = self.run(Transfer, &args, &[]).await else { return Ok(Moved::Done) };
        // The answer to an attempt that succeeded may have been lost.
        let now = self.first_ref(remote, &[name]).await?.map(|(_, tip)| tip);
        Ok(match now.as_deref() {
            Some(tip) if tip == commit => Moved::Done,
            tip if tip != before => Moved::Lost,
            _ => Moved::Refused(error),
        })
    }
}
