//! The metrics that the last successful run of the base branch has kept as an artifact.

use super::default_branch;
use crate::app::App;
use crate::command::diff::gather::explain;
use crate::command::diff::project::Project;
use crate::connect::{self, Global};
use crate::error::{Error, Result};
use crate::forge::artifacts::{self, Archive};
use crate::forge::{Capability, require};
use crate::metrics::mlflow;
use std::collections::{BTreeMap, BTreeSet};

/// How a base begins that is an artifact.
pub const PREFIX: &str = "artifact:";
/// So many files of an artifact are named.
const MAX_NAMES: usize = 5;

/// The files of an artifact.
pub struct KeptFiles {
    /// As the user typed it.
    pub name: String,
    /// The commit of the run.
    pub commit: String,
    /// When they were kept, in seconds since 1970.
    pub time: u64,
    archive: Archive,
}

/// Returns the newest artifact of a name that a successful run has kept: of the pull request's target branch, or of the default branch. Runs
/// of the commit `own` do not count.
pub async fn find(app: &App, global: &Global, name: &str, own: Option<&str>) -> Result<KeptFiles> {
    if name.is_empty() {
        return Err(Error::usage("--base artifact: names no artifact").hint("write artifact:NAME"));
    }
    let connected = connect::connect(app, global, None).await?;
    let all = require(connected.forge.artifacts(), Capability::Artifacts, connected.driver)?;
    let context = &connected.context;
    let target = context.target_branch.clone().filter(|_| context.pull_request.is_some());
    let branch = match target {
        Some(target) => Some(target),
        None => default_branch(app, global, context).await,
    };
    let branch = branch.ok_or_else(|| {
        Error::config("cannot determine the default branch").hint("run `git remote set-head origin --auto`")
    })?;
    let what = format!("the artifact {name} of {branch}");
    let cannot = |error: Error| error.context(format!("cannot read {what}"));
    let found = all.find(name, &branch, own).await.map_err(cannot)?.ok_or_else(|| {
        Error::not_found(format!("no successful run of {branch} has an artifact named {name}")).hint(format!(
            "keep the metrics of {branch} with actions/upload-artifact; on GitLab, the name is that of a job with `artifacts: paths`"
        ))
    })?;
    let archive = artifacts::open(all, &found, &what).await?;
    Ok(KeptFiles { name: format!("{PREFIX}{name}"), commit: found.commit, time: found.time, archive })
}

impl KeptFiles {
    /// Returns the first digits of the commit.
    pub fn short(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }

    /// Returns its name in messages.
    pub fn described(&self) -> String {
        format!("{} ({})", self.name, self.short())
    }

    /// Returns the files that count, by their paths from the root of the project. `seen` are files of the newer version, from the top of the
    /// working copy: actions/upload-artifact leaves out the folders that all files of an artifact are in.
    pub fn files(
        &self,
        project: &Project,
        seen: impl Iterator<Item = String>,
        counts: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for folder in folders(seen) {
            for inner in self.archive.paths() {
                let path = format!("{folder}{inner}");
                let Some(path) = path.strip_prefix(&project.prefix).filter(|path| counts(path)) else { continue };
                let content = self.archive.read(inner).map_err(|what| {
                    Error::config(format!("cannot read {inner} of {}: {what}", self.described()))
                        .hint("check the step that keeps the artifact")
                })?;
                files.insert(path.to_owned(), content);
            }
            if !files.is_empty() {
                return mlflow::expand(files).map_err(|(path, problem)| explain(&path, &self.described(), problem));
            }
        }
        let paths: Vec<&str> = self.archive.paths().take(MAX_NAMES).collect();
        let has = if paths.is_empty() { "it is empty".to_owned() } else { format!("it has {}", paths.join(", ")) };
        Err(Error::not_found(format!("{} has none of the files that are compared: {has}", self.described()))
            .hint("keep the same files in the artifact, or name them on the command line"))
    }
}

/// Returns the folders of paths, and those around them, with a slash at the end; the shortest first.
fn folders(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut folders = BTreeSet::from([(0, String::new())]);
    for path in paths {
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        folders.extend(ends.map(|end| (end, path[..end].to_owned())));
    }
    folders.into_iter().map(|(_, folder)| folder).collect()
}
