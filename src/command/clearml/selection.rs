//! Options that name a task, and the search for it: by its ID, or by the commit that it ran.

use super::missing::{self, Fallback};
use crate::app::App;
use crate::ci::Context;
use crate::clearml::links::Links;
use crate::clearml::select::{NearMiss, Wanted};
use crate::clearml::task::Task;
use crate::clearml::{Client, Filter};
use crate::connect::{self, Global};
use crate::error::{Error, Result};
use crate::repository::Repository;
use clap::ArgAction::Set;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// How often a task that runs is looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// So many near misses are named.
const MAX_NEAR_MISSES: usize = 5;
/// So many commits with the same files are looked for.
const MAX_SAME_TREE: usize = 20;

/// What to do where no task ran the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Missing {
    /// Fail with exit code 5
    Fail,
    /// Say so, and succeed
    Neutral,
    /// Run the commit on an agent of --queue, and wait until that has completed
    Launch,
}

/// Which of several tasks to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pick {
    /// The one that changed last
    Newest,
    /// The best one by the first metric of compare or promote
    Best,
    /// All of them
    All,
}

/// Which task.
#[derive(Debug, Args)]
#[command(next_help_heading = "Task")]
pub struct Selection {
    /// ID of the task, instead of looking for the one that ran a commit
    #[arg(long, value_name = "ID", conflicts_with_all = ["commit", "project", "name", "kind", "tag", "wait"])]
    pub task: Option<String>,
    /// Commit that the task ran [default: the head of the pull request, or HEAD]
    #[arg(long, value_name = "COMMIT")]
    pub commit: Option<String>,
    /// Project of the task; PROJECT/** includes the projects below it
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Name of the task
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Type of the task, such as training
    #[arg(id = "kind", long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Tag that the task must have; may be given several times
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Status that the task may have, separated by commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', default_value = "completed,published")]
    pub status: Vec<String>,
    /// Accept a task that ran the commit with uncommitted changes
    #[arg(long, action = Set, default_value_t = false)]
    pub allow_diff: bool,
    /// Also accept a task whose commit has the same files, as after a rebase or a squash; the clone must have that commit
    #[arg(long, conflicts_with = "task", action = Set, default_value_t = false)]
    pub same_tree: bool,
    /// Accept archived tasks
    #[arg(long, action = Set, default_value_t = false)]
    pub include_archived: bool,
    /// Which of several tasks to take
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Pick::Newest)]
    pub pick: Pick,
    /// Wait up to this long, such as 30m, for a task of the commit that is pending or running
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
    /// What to do if no task ran the commit
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Missing::Fail)]
    pub missing: Missing,
    /// What to run then.
    #[command(flatten)]
    pub fallback: Fallback,
}

/// Parses seconds, or a number with the unit `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.trim().strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.trim().chars().next_back()),
        None => (text.trim(), None),
    };
    let seconds = match unit {
        Some('m') => 60,
        Some('h') => 3600,
        _ => 1,
    };
    let number: u64 = number.parse().map_err(|_| "expected seconds, or a number with a unit such as 30m".to_owned())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "that is too long".to_owned())
}

/// What the CI says about the run.
pub struct Run {
    /// All of it.
    pub context: Context,
    /// Whether the pull request comes from a fork.
    pub is_fork: bool,
    /// The repository that `--repo` or, without it, the CI or the clone names.
    pub named: Option<Repository>,
}

impl Run {
    /// Asks the CI; nothing is sent.
    pub async fn detect(app: &App, global: &Global) -> Self {
        let inferred = connect::infer(app, global, Repository::parse).await;
        let named = inferred.found.ok().flatten().map(|found| found.repository);
        Run { is_fork: inferred.context.fork.is_some(), context: inferred.context, named }
    }
}

/// The outcome of a search.
pub enum Found {
    /// Tasks that count, the newest first; at least one.
    Tasks(Vec<Task>),
    /// None.
    Nothing(Nothing),
}

/// That no task counts, and which ones nearly do.
pub struct Nothing {
    commit: String,
    sought: String,
    /// The tasks that ran the commit, and why they do not count.
    pub near: Vec<NearMiss>,
    /// Whether the time of `--wait` is over.
    pub timed_out: bool,
}

impl Selection {
    /// Finds the task, or with `--missing launch` runs the commit in one.
    ///
    /// # Errors
    /// ClearML refuses a request, the commit cannot be determined, there is no such project or ID, or what was launched has failed.
    pub async fn find(&self, app: &App, global: &Global, run: &Run, client: &Client) -> Result<Found> {
        self.fallback.check(self.missing)?;
        if let Some(id) = &self.task {
            return Ok(Found::Tasks(vec![client.task(id).await?]));
        }
        let commits = self.commits(app, run).await?;
        // The code of a fork is not for agents without a look at it.
        let is_launched = self.missing == Missing::Launch && !run.is_fork;
        let projects = match &self.project {
            Some(project) => client.projects(project).await?,
            None => Vec::new(),
        };
        let start = app.host.elapsed();
        loop {
            let mut near = Vec::new();
            for commit in &commits {
                let tasks = self.matching(client, commit, &projects, &mut near).await?;
                if !tasks.is_empty() {
                    return Ok(Found::Tasks(tasks));
                }
            }
            let is_under_way = near.iter().any(|miss| miss.task.is_under_way());
            // What runs already is not launched again.
            let wait = self.wait.or(is_launched.then_some(missing::TIMEOUT)).filter(|_| is_under_way);
            let left = wait.map(|wait| wait.saturating_sub(app.host.elapsed().saturating_sub(start)));
            match left {
                Some(left) if !left.is_zero() => {
                    app.log.progress("waiting for the task to end");
                    app.host.sleep(left.min(POLL_INTERVAL)).await;
                    app.http.restart_budget();
                }
                left => {
                    app.log.clear_progress();
                    let commit = commits.into_iter().next().unwrap_or_default();
                    if is_launched && left.is_none() {
                        return Ok(Found::Tasks(vec![self.launch(app, global, run, client, &commit).await?]));
                    }
                    if near.is_empty() && !projects.is_empty() {
                        near = self.elsewhere(client, &commit).await?;
                    }
                    let nothing = Nothing { commit, sought: self.sought(), near, timed_out: left.is_some() };
                    return Ok(Found::Nothing(nothing));
                }
            }
        }
    }

    /// Returns the tasks of a commit that count, and adds the others to `near`.
    async fn matching(
        &self,
        client: &Client,
        commit: &str,
        projects: &[String],
        near: &mut Vec<NearMiss>,
    ) -> Result<Vec<Task>> {
        let wanted = self.wanted();
        let filter = Filter {
            projects: projects.to_vec(),
            name: self.name.clone(),
            commit: Some(commit.to_owned()),
            ..Filter::default()
        };
        let mut tasks = Vec::new();
        for task in client.tasks(&filter).await? {
            let refused = match wanted.refuse(&task) {
                None if wanted.any_diff => None,
                None => wanted.refuse_diff(&client.diff(&task.id).await?),
                refused => refused,
            };
            match refused {
                Some(reason) => near.push(NearMiss { task, reason }),
                None => tasks.push(task),
            }
            if self.pick == Pick::Newest && !tasks.is_empty() {
                break;
            }
        }
        Ok(tasks)
    }

    /// Returns tasks that ran the commit in other projects or under other names.
    async fn elsewhere(&self, client: &Client, commit: &str) -> Result<Vec<NearMiss>> {
        let tasks = client.tasks(&Filter { commit: Some(commit.to_owned()), ..Filter::default() }).await?;
        let reason = "in another project or under another name";
        Ok(tasks.into_iter().map(|task| NearMiss { task, reason: reason.to_owned() }).collect())
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            kind: self.kind.clone(),
            tags: self.tag.clone(),
            status: self.status.clone(),
            archived: self.include_archived,
            any_diff: self.allow_diff,
        }
    }

    /// Returns what a message says that no task did.
    fn sought(&self) -> String {
        let status = match self.status.first().map(String::as_str) {
            Some("completed") => "completed".to_owned(),
            _ => self.status.join(" or "),
        };
        format!("no {status} ClearML task ran{}", if self.allow_diff { "" } else { " exactly" })
    }

    /// Returns the commits to look for: the given one, or the run's; then the head of what it merges, which is what was trained
    /// before a pull request was merged.
    async fn commits(&self, app: &App, run: &Run) -> Result<Vec<String>> {
        let commit = match (&self.commit, &run.context.commit) {
            (Some(name), _) => full_commit(app, name).await?,
            (None, Some(commit)) => commit.clone(),
            (None, None) => app.query_git(&["rev-parse", "HEAD"]).await.ok_or_else(|| {
                Error::config("cannot determine the commit")
                    .hint("pass --commit SHA or --task ID, or run inside a git repository")
            })?,
        };
        let parents = ["rev-list", "--parents", "--max-count=1", "--end-of-options", &commit];
        let parents = app.query_git(&parents).await.unwrap_or_default();
        let merged = parents.split(' ').nth(2).map(str::to_owned);
        let same = if self.same_tree { commits_of_tree(app, &commit).await } else { Vec::new() };
        let mut commits = vec![commit];
        for other in merged.into_iter().chain(same) {
            if !commits.contains(&other) {
                commits.push(other);
            }
        }
        Ok(commits)
    }

    /// Fails if the best task is wanted by a verb that knows no metric.
    pub fn check_pick(&self) -> Result<()> {
        if self.pick != Pick::Best {
            return Ok(());
        }
        Err(Error::usage("--pick best needs a metric with a direction")
            .hint("use `cml clearml compare --pick best --metric NAME`, or --pick newest"))
    }
}

/// Returns the commits of the clone that have the same files as a commit, the newest first.
async fn commits_of_tree(app: &App, commit: &str) -> Vec<String> {
    let tree = app.query_git(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")]).await;
    let listed = app.query_git(&["log", "--all", "--format=%H %T"]).await.unwrap_or_default();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    let same = pairs.filter(|(_, other)| tree.as_deref() == Some(*other)).map(|(commit, _)| commit.to_owned());
    same.take(MAX_SAME_TREE).collect()
}

/// Returns a commit in full.
pub async fn full_commit(app: &App, name: &str) -> Result<String> {
    if name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(name.to_ascii_lowercase());
    }
    let name = format!("{name}^{{commit}}");
    let found = app.query_git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await;
    found.ok_or_else(|| {
        Error::not_found(format!("unknown commit '{}'", name.trim_end_matches("^{commit}")))
            .hint("pass all 40 digits, or run in a clone that has the commit")
    })
}

impl Nothing {
    /// Returns the error, with the near misses as its hint.
    pub fn error(&self) -> Error {
        let error = Error::not_found(self.message());
        if self.near.is_empty() {
            return error.hint("run it at least once with this code before merging");
        }
        let misses = self.near.iter().take(MAX_NEAR_MISSES);
        let misses: Vec<String> =
            misses.map(|miss| format!("{} ({}) is {}", miss.task.name, miss.task.id, miss.reason)).collect();
        error.hint(format!("nearest: {}", misses.join("; ")))
    }

    /// Returns what was not found.
    pub fn message(&self) -> String {
        let end = if self.timed_out { " in the time of --wait" } else { "" };
        format!("{} {}{end}", self.sought, self.short_commit())
    }

    fn short_commit(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }

    /// Returns the same as Markdown, for people who read a comment.
    pub fn markdown(&self, links: &Links) -> String {
        use crate::report::escape::escape;
        let mut text = escape(&self.message());
        text.replace_range(..1, &text[..1].to_uppercase());
        text.push_str(". Run it at least once with this code before merging.\n");
        for (n, miss) in self.near.iter().take(MAX_NEAR_MISSES).enumerate() {
            text.push_str(if n == 0 { "\nNearest:\n\n" } else { "" });
            let (name, reason) = (escape(&miss.task.name), escape(&miss.reason));
            match links.task(&miss.task.project, &miss.task.id, "log") {
                Some(url) => text.push_str(&format!("- [{name}]({url}), {reason}\n")),
                None => text.push_str(&format!("- {name} ({}), {reason}\n", miss.task.id)),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("90", 90), ("30s", 30), ("10m", 600), (" 2h ", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "m", "1.5h", "-1", "10d", "99999999999999999999", "9999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
