//! The task to compare with: by its ID, by a tag, the best one, or the last one of the base branch.

use super::selection::Run;
use crate::app::App;
use crate::clearml::select::Wanted;
use crate::clearml::statistic::Ranking;
use crate::clearml::task::Task;
use crate::clearml::{Client, Filter};
use crate::command::diff;
use crate::connect::Global;
use crate::error::{Error, Result};
use std::str::FromStr;

/// So many of the best tasks are looked at: the first may be the compared one itself, or one without a finite value.
const MAX_BEST: usize = 50;
/// So many of the last tasks of a branch are looked at for one without uncommitted changes.
const MAX_ON_BRANCH: usize = 20;
const HINT: &str = "write task:ID, tag:NAME, best or base-branch";

/// Which task to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// By its ID.
    Task(String),
    /// The last one with a tag.
    Tag(String),
    /// The best one by the first metric.
    Best,
    /// The last one that ran the branch that the pull request goes into.
    BaseBranch,
}

impl FromStr for Baseline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let value = match text.split_once(':') {
            Some(("task", id)) => Baseline::Task(id.to_owned()),
            Some(("tag", tag)) => Baseline::Tag(tag.to_owned()),
            None if text == "best" => Baseline::Best,
            None if text == "base-branch" => Baseline::BaseBranch,
            None => Baseline::Task(text.to_owned()),
            Some(_) => return Err(Error::usage(format!("'{text}' does not name a task")).hint(HINT)),
        };
        match &value {
            Baseline::Task(name) | Baseline::Tag(name) if name.trim().is_empty() => {
                Err(Error::usage("--baseline needs an ID or a tag").hint(HINT))
            }
            _ => Ok(value),
        }
    }
}

/// The task to compare with, or the reason why none was found.
pub enum Reference {
    /// The task, and what it is, such as `tagged best`.
    Task(Box<Task>, String),
    /// A reason, such as `no other task has the tag`.
    Missing(String),
}

impl Reference {
    /// Returns the task.
    pub fn task(&self) -> Option<&Task> {
        match self {
            Reference::Task(task, _) => Some(task),
            Reference::Missing(_) => None,
        }
    }

    /// Returns the reason why no task was found.
    pub fn missing(&self) -> Option<&str> {
        match self {
            Reference::Task(..) => None,
            Reference::Missing(reason) => Some(reason),
        }
    }
}

/// Where to look for a baseline.
pub struct Search<'a> {
    /// The program's surroundings.
    pub app: &'a App,
    /// Options of every command.
    pub global: &'a Global,
    /// The server.
    pub client: &'a Client,
    /// What the CI says.
    pub run: &'a Run,
    /// The name that tasks must have.
    pub name: Option<&'a str>,
}

impl Search<'_> {
    /// Returns the baseline of a task: another task of its project that is completed and not archived. `ranking` tells which is the
    /// best.
    ///
    /// # Errors
    /// There is no task with the ID, the base branch cannot be determined, or the best task is wanted without a ranking.
    pub async fn find(&self, baseline: &Baseline, task: &Task, ranking: Option<&Ranking>) -> Result<Reference> {
        match baseline {
            Baseline::Task(id) => Ok(Reference::Task(Box::new(self.client.task(id).await?), String::new())),
            Baseline::Tag(tag) => {
                let filter = Filter { tag: Some(tag.clone()), ..self.others(task) };
                let tagged = self.client.tasks(&filter).await?;
                let found = tagged.into_iter().find(|other| other.id != task.id);
                self.read(found, format!("tagged {tag}"), "no other task has the tag").await
            }
            Baseline::Best => {
                let ranking = ranking.ok_or_else(|| {
                    Error::usage("--baseline best needs a metric").hint("name one with --metric, such as accuracy/val")
                })?;
                self.best(task, ranking).await
            }
            Baseline::BaseBranch => self.on_branch(task).await,
        }
    }

    /// Returns the filter for the tasks that may be a baseline.
    fn others(&self, task: &Task) -> Filter {
        Filter {
            projects: vec![task.project.clone()],
            name: self.name.map(str::to_owned),
            status: ["completed", "published"].map(str::to_owned).to_vec(),
            no_archived: true,
            ..Filter::default()
        }
    }

    /// Reads the task that was found with all of its fields.
    async fn read(&self, found: Option<Task>, what: String, missing: &str) -> Result<Reference> {
        match found {
            Some(found) => Ok(Reference::Task(Box::new(self.client.task(&found.id).await?), what)),
            None => Ok(Reference::Missing(missing.to_owned())),
        }
    }

    async fn best(&self, task: &Task, ranking: &Ranking) -> Result<Reference> {
        let filter = Filter { best: Some((ranking.order(), MAX_BEST)), ..self.others(task) };
        let sorted = self.client.tasks(&filter).await?;
        let found = sorted.into_iter().find(|other| other.id != task.id && ranking.value(other).is_some());
        let name = ranking.scalar.name();
        self.read(found, format!("best {name}"), &format!("no other task has a value of {name}")).await
    }

    async fn on_branch(&self, task: &Task) -> Result<Reference> {
        let branch = self.run.base_branch(self.app, self.global).await.ok_or_else(|| {
            Error::config("cannot determine the base branch")
                .hint("run in a pull request or in a clone with a remote, or pass --baseline tag:NAME")
        })?;
        let filter = Filter { branch: Some(branch.clone()), ..self.others(task) };
        let tasks = self.client.tasks(&filter).await?;
        let mut found = None;
        for other in tasks.into_iter().filter(|other| other.id != task.id).take(MAX_ON_BRANCH) {
            if Wanted::default().refuse_diff(&self.client.diff(&other.id).await?).is_none() {
                found = Some(other);
                break;
            }
        }
        let missing = format!("no other task ran the branch {branch} without uncommitted changes");
        self.read(found, format!("last on {branch}"), &missing).await
    }
}

impl Run {
    /// Returns the branch that the pull request goes into, else the repository's default branch.
    async fn base_branch(&self, app: &App, global: &Global) -> Option<String> {
        match self.context.target_branch.clone().filter(|_| self.context.pull_request.is_some()) {
            Some(branch) => Some(branch),
            None => diff::default_branch(app, global, &self.context).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_task_a_tag_the_best_or_of_a_branch() {
        let parsed = |text: &str| text.parse::<Baseline>().map_err(|error| error.to_string());
        assert_eq!(parsed("task:a1"), Ok(Baseline::Task("a1".into())));
        assert_eq!(parsed("a1"), Ok(Baseline::Task("a1".into())));
        assert_eq!(parsed("tag:Best: one"), Ok(Baseline::Tag("Best: one".into())));
        assert_eq!((parsed("best"), parsed("base-branch")), (Ok(Baseline::Best), Ok(Baseline::BaseBranch)));
        for wrong in ["best:x", "tag:", "task: ", ""] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
