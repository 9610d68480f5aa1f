//! `cml clearml promote`: moves a tag to the task that ran this commit, after the gate of `compare`, on the default branch.

use super::baseline::{Baseline, Search};
use super::compare::{Compare, Comparison};
use super::connect;
use super::selection::{Pick, Run};
use crate::app::App;
use crate::clearml::Filter;
use crate::clearml::statistic::Ranking;
use crate::clearml::task::Task;
use crate::command::diff;
use crate::connect::Global;
use crate::error::{Error, Result};
use crate::messages;
use crate::outputs;
use clap::ArgAction::Set;
use clap::Args;
use std::time::Duration;

/// Where other runs move the tag too, so many times it is looked who has it.
const MAX_ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// Options of `cml clearml promote`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # After a merge, move the tag best to the task that was trained, unless its accuracy is lower\n  \
    cml clearml promote --project Lab/CI --metric accuracy/val --baseline tag:best")]
pub struct Promote {
    /// What to compare. `--baseline tag:NAME` names the tag that moves.
    #[command(flatten)]
    pub compare: Compare,
    /// Branch on which the tag moves [default: the repository's default branch]
    #[arg(long, value_name = "BRANCH", help_heading = "Gate")]
    pub branch: Option<String>,
    /// Publish the task, too, with its models: nothing of it can change any more
    #[arg(long, help_heading = "Gate", action = Set, default_value_t = false)]
    pub publish_task: bool,
    /// Tag that moves to the models that the task has made, from those of other tasks of the project, or with --name of that name
    #[arg(long, value_name = "TAG", help_heading = "Gate")]
    pub model_tag: Option<String>,
}

/// Runs the command.
pub async fn run(app: &App, global: &Global, args: &Promote) -> Result<()> {
    let Promote { compare, branch, .. } = args;
    let Baseline::Tag(tag) = &compare.gate.baseline else {
        return Err(Error::usage("promote moves a tag").hint("name it: --baseline tag:best"));
    };
    if compare.selection.pick == Pick::All {
        return Err(Error::usage("a tag moves to one task").hint("use --pick newest or --pick best"));
    }
    compare.gate.rules()?;
    let run = Run::detect(app, global).await;
    if let Some(reason) = out_of_place(app, global, &run, branch.as_deref()).await? {
        app.log.info(&format!("{reason}: the ClearML tag {tag} stays where it is"));
        return outputs::set(app, &[("promoted", "false")]);
    }
    let Some(client) = connect(app, &run, &compare.connection).await? else { return Ok(()) };
    let search = compare.search(app, global, &client, &run);
    let Some(mut comparisons) = compare.compare(&search).await? else { return Ok(()) };
    let mut is_promoted = false;
    if let [comparison] = comparisons.as_mut_slice()
        && !comparison.is_failure()
    {
        let mut text;
        (text, is_promoted) = match fallen(comparison) {
            Some(what) => (format!("{what}: the tag {tag} stays where it is"), false),
            None => move_tag(&search, comparison, tag).await?,
        };
        if is_promoted {
            text.push_str(&args.promote_rest(&search, &comparison.task).await?);
        }
        app.log.info(&text);
        comparison.note = text;
    }
    outputs::set(app, &[("promoted", if is_promoted { "true" } else { "false" })])?;
    compare.hand_out(&search, &comparisons, "promote ").await
}

impl Promote {
    /// Tags the models and publishes the task, as far as that is wanted. Returns what was done.
    async fn promote_rest(&self, search: &Search<'_>, task: &Task) -> Result<String> {
        let Search { app, client, .. } = *search;
        let mut done = String::new();
        if let Some(tag) = &self.model_tag {
            let own: Vec<String> = task.models.iter().map(|(_, id)| id.clone()).collect();
            if own.is_empty() {
                app.log.warn_with_hint(
                    &format!("the ClearML task {} has made no model to tag", task.name),
                    "let it save one with OutputModel, or omit --model-tag",
                );
            } else {
                self.move_model_tag(search, task, &own, tag).await?;
                done = format!("; the tag {tag} is on its {}", messages::count(own.len(), "model"));
            }
        }
        if self.publish_task {
            client.publish(&task.id).await?;
            done.push_str("; published it");
        }
        Ok(done)
    }

    async fn move_model_tag(&self, search: &Search<'_>, task: &Task, own: &[String], tag: &str) -> Result<()> {
        let client = search.client;
        client.set_model_tag(own, tag, true).await?;
        let mut others = Vec::new();
        for (model, maker) in client.tagged_models(&task.project, tag).await? {
            let is_meant = match search.name {
                Some(name) => client.task(&maker).await.is_ok_and(|maker| maker.name == name),
                None => true,
            };
            if is_meant && !own.contains(&model) {
                others.push(model);
            }
        }
        if others.is_empty() { Ok(()) } else { client.set_model_tag(&others, tag, false).await }
    }
}

/// Returns why the tag must not move in this run; `None` on the branch on which it does.
///
/// # Errors
/// The default branch cannot be determined.
async fn out_of_place(app: &App, global: &Global, run: &Run, branch: Option<&str>) -> Result<Option<String>> {
    let context = &run.context;
    // A merge queue is on a pull request too.
    if context.pull_request.is_some() || run.is_fork {
        return Ok(Some("this is a pull request".to_owned()));
    }
    let wanted = match branch {
        Some(branch) => branch.to_owned(),
        None => diff::default_branch(app, global, context).await.ok_or_else(|| {
            Error::config("cannot determine the default branch")
                .hint("pass --branch NAME: the branch on which tags move")
        })?,
    };
    let current = match &context.branch {
        Some(branch) => Some(branch.clone()),
        None => app.query_git(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await,
    };
    Ok(match current {
        Some(current) if current == wanted => None,
        Some(current) => Some(format!("this is the branch {current}, not {wanted}")),
        None => Some(format!("this is not the branch {wanted}")),
    })
}

/// Returns that the first metric is within the tolerance, but worse than the baseline's. The tag does not move then, as many such steps would
/// lead down.
fn fallen(comparison: &Comparison) -> Option<String> {
    let (ranking, old) = (comparison.ranking.as_ref()?, comparison.baseline()?);
    let (value, before) = (ranking.value(&comparison.task)?, ranking.value(old)?);
    let is_worse = ranking.goal.gain(value, before) < 0.0;
    let name = ranking.scalar.name();
    is_worse.then(|| format!("within the tolerance, but {name} of {value} is not better than {before}"))
}

/// Moves the tag, and returns what was done, and whether the task has it in the end. Each change is one of one tag, so that other
/// tags stay. Where several runs do so at once, they agree on the best task, as whoever changes something looks again afterwards.
async fn move_tag(search: &Search<'_>, comparison: &Comparison, tag: &str) -> Result<(String, bool)> {
    let Search { app, client, .. } = *search;
    let task = &comparison.task;
    let filter = Filter {
        projects: vec![task.project.clone()],
        name: search.name.map(str::to_owned),
        tag: Some(tag.to_owned()),
        ..Filter::default()
    };
    let before = client.tasks(&filter).await?;
    if !before.iter().any(|holder| holder.id == task.id) {
        client.set_tag(app, &task.id, tag, true).await?;
    }
    for round in 0..MAX_ROUNDS {
        if round > 1 {
            app.http.pause(PAUSE, 0).await?;
        }
        let mut others = client.tasks(&filter).await?;
        let count = others.len();
        others.retain(|holder| holder.id != task.id);
        match (others.len() < count, others.as_slice()) {
            (true, []) => return Ok((summary(tag, &before, task), true)),
            // Two runs have taken it from each other.
            (false, []) => client.set_tag(app, &task.id, tag, true).await?,
            (false, [other, ..]) => {
                let other = format!("{} ({})", other.name, other.id);
                return Ok((format!("another run has moved the tag {tag} to {other}"), false));
            }
            (true, others) => {
                // Those that had the tag before have been compared with; one that has got it since competes.
                let is_old = |id: &str| round == 0 && before.iter().any(|holder| holder.id == id);
                let mut is_best = true;
                for Task { id, .. } in others {
                    if is_old(id) || is_better(search, comparison.ranking.as_ref(), task, id).await? {
                        client.set_tag(app, id, tag, false).await?;
                    } else {
                        is_best = false;
                    }
                }
                if !is_best {
                    client.set_tag(app, &task.id, tag, false).await?;
                }
            }
        }
    }
    Err(Error::conflict(format!("other runs keep moving the ClearML tag {tag}"))
        .hint("run one promotion at a time: `concurrency` on GitHub, `resource_group` on GitLab"))
}

/// Returns whether a task is better than one that got the tag at the same time.
async fn is_better(search: &Search<'_>, ranking: Option<&Ranking>, task: &Task, other: &str) -> Result<bool> {
    let other = search.client.task(other).await?;
    Ok(ranking.map_or(task.id < other.id, |ranking| ranking.is_better(task, &other)))
}

fn summary(tag: &str, before: &[Task], task: &Task) -> String {
    match before.iter().find(|holder| holder.id != task.id) {
        Some(old) => format!("moved the tag {tag} here from {} ({})", old.name, old.id),
        None if before.is_empty() => format!("added the tag {tag}"),
        None => format!("the task has the tag {tag} already"),
    }
}
